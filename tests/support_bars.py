"""Canonical bar tables for tests: any size, with or without holes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE
from fairlead.data.table import BAR_SCHEMA


def bar_table(instants: int, symbols=("A",), *, present=None, daily=True, first_day=0, per_session=390, seed=3001) -> pa.Table:
    """Return bars of `symbols` at `instants` instants; `present` (instants, symbols) says which exist."""
    width = len(symbols)
    step = np.arange(instants, dtype=np.int64)
    if daily:
        session = first_day + step
        label = session * NS_PER_DAY
        known = label + 16 * 60 * NS_PER_MINUTE
    else:
        session = first_day + step // per_session
        label = session * NS_PER_DAY + (570 + step % per_session) * NS_PER_MINUTE
        known = label + NS_PER_MINUTE
    keep = np.ones((instants, width), bool) if present is None else np.asarray(present, bool)
    row, column = np.nonzero(keep)
    close = 10 + np.random.default_rng(seed).random((instants, width)).round(4)
    table = pa.table(
        {
            "known": pa.array(known[row]).cast(pa.timestamp("ns", tz="UTC")),
            "symbol": pa.array(symbols, pa.string()).take(pa.array(column)),
            "label": pa.array(label[row]).cast(pa.timestamp("ns", tz="UTC")),
            "session": pa.array(session[row].astype(np.int32)).cast(pa.date32()),
            "open": close[row, column] - 0.25,
            "high": close[row, column] + 0.5,
            "low": close[row, column] - 0.5,
            "close": close[row, column],
            "volume": close[row, column] * 100,
        }
    )
    return table.cast(BAR_SCHEMA)
