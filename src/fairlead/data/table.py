"""The canonical bar table: the one in-memory form between importers, generators and the store."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = "1.0"

BAR_SCHEMA: Final = pa.schema(
    [
        pa.field("known", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("label", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("session", pa.date32(), nullable=False),
        pa.field("open", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("close", pa.float64(), nullable=False),
        pa.field("volume", pa.float64(), nullable=False),
    ]
)
"""One row per bar, sorted by (known, symbol).

``known`` is the closing instant, ``label`` the opening instant (a daily bar: its session date at 00:00 UTC), ``session`` the
exchange-local session date. Prices are raw, in currency; volume is in units.
"""
