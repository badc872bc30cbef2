"""Quotes and prints for tests: written as files, met by the orders of scripted strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fairlead.core.events import Quote, Trade
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE
from support_sessions import FIRST_DAY, ArraySource, flat, free, minutes

OPEN_NS = FIRST_DAY * NS_PER_DAY + 870 * NS_PER_MINUTE
"""When the first session of `minutes` opens, in nanoseconds."""
_STAMP = pa.timestamp("ns", tz="UTC")
_NUMBERS = ("bid", "bid_size", "ask", "ask_size", "price", "size")


def at(minute: float, nanoseconds: int = 0) -> int:
    """Return the instant so many minutes after the first opening: 1.5 is in the middle of the second bar."""
    return OPEN_NS + round(minute * 60) * 1_000_000_000 + nanoseconds


def quote(when: int, bid: float, ask: float, bid_size: float = 100.0, ask_size: float = 100.0, symbol: str = "A") -> Quote:
    """Return a quote."""
    return Quote(symbol, when, bid, ask, bid_size, ask_size)


def trade(when: int, price: float, size: float = 100.0, symbol: str = "A") -> Trade:
    """Return a print."""
    return Trade(symbol, when, price, size)


def write_ticks(path: Path, ticks: Sequence[Quote | Trade]) -> Path:
    """Write quotes and prints into one Parquet file, in the order given."""
    rows: dict[str, list[Any]] = {name: [] for name in ("symbol", "timestamp", *_NUMBERS)}
    for tick in ticks:
        given: Mapping[str, Any] = tick._asdict()
        rows["symbol"].append(tick.symbol)
        rows["timestamp"].append(tick.known_ns)
        for name in _NUMBERS:
            rows[name].append(given.get(name))
    types = {"symbol": pa.string(), "timestamp": _STAMP}
    has = {Quote: any(isinstance(t, Quote) for t in ticks), Trade: any(isinstance(t, Trade) for t in ticks)}
    wanted = [*(_NUMBERS[:4] if has[Quote] else ()), *(_NUMBERS[4:] if has[Trade] else ())]
    columns = {name: pa.array(rows[name], types.get(name, pa.float64())) for name in ("symbol", "timestamp", *wanted)}
    pq.write_table(pa.table(columns), path)
    return path


def on_ticks(path: Path, fidelity: str = "quotes", **changes: Any) -> Any:
    """Return execution settings without costs that meet the ticks of a file."""
    return free(fidelity=fidelity, ticks=str(path), **changes)


def quiet_bars(n: int, symbols: Sequence[str] = ("A",), price: float = 100.0, per_session: int = 390) -> ArraySource:
    """Return bars that say nothing: in tick mode no order may look at them."""
    return minutes({symbol: [flat(price, 1e6)] * n for symbol in symbols}, per_session=per_session)
