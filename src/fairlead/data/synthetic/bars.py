"""Synthetic bars as canonical tables, whole or month by month."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.synthetic.market import Market
from fairlead.data.synthetic.paths import Schedule, SessionBars, daily_bars, schedules, session_bars
from fairlead.data.synthetic.settings import SyntheticSettings, describe
from fairlead.data.table import BAR_SCHEMA

PROVENANCE_KEY: Final = b"provenance"
MAX_BATCH_ROWS: Final = 1_000_000


def generate_bars(settings: SyntheticSettings, calendar: ExchangeCalendar) -> pa.Table:
    """Return the bars of all symbols and sessions as one table.

    Returns
    -------
    pyarrow.Table
        In `BAR_SCHEMA`, sorted by (known, symbol); the schema's metadata carries the text of `describe`.

    Raises
    ------
    ConfigurationError
        If `calendar` is not the one that `settings` names.
    DataNotFound
        If there is no session between the start and the end.
    """
    return pa.concat_tables(list(generate_bar_batches(settings, calendar)))


def generate_bar_batches(
    settings: SyntheticSettings, calendar: ExchangeCalendar, *, max_rows: int = MAX_BATCH_ROWS
) -> Iterator[pa.Table]:
    """Yield the bars of `generate_bars` in order, at flat memory.

    Parameters
    ----------
    max_rows : int
        A batch holds whole sessions of one month: the whole month, or about as many rows as this.

    Raises
    ------
    ConfigurationError
        If `calendar` is not the one that `settings` names.
    DataNotFound
        If there is no session between the start and the end.
    """
    market = Market.draw(settings, calendar)
    schema = BAR_SCHEMA.with_metadata({PROVENANCE_KEY: describe(settings).encode(), b"synthetic": b"true"})
    daily = None if settings.bar_size.is_intraday else daily_bars(market)
    for first, stop in _months(market):
        pieces: list[pa.Table] = []
        rows = 0
        parts = (
            (session_bars(market, schedule) for schedule in schedules(market, settings.bar_size, first, stop))
            if daily is None
            else iter([_rows_of(daily, first, stop)])
        )
        for part in parts:
            if pieces and rows + part.close.size > max_rows:
                yield pa.concat_tables(pieces)
                pieces, rows = [], 0
            pieces.append(_table(market, part, schema))
            rows += part.close.size
        yield pa.concat_tables(pieces)


def _months(market: Market) -> Iterator[tuple[int, int]]:
    month = market.session.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    cuts = [0, *(np.flatnonzero(np.diff(month)) + 1).tolist(), len(month)]
    yield from itertools.pairwise(cuts)


def _rows_of(bars: SessionBars, first: int, stop: int) -> SessionBars:
    whole = bars.schedule
    schedule = Schedule(first, stop, whole.label_ns[first:stop], whole.known_ns[first:stop], whole.elapsed)
    return SessionBars(schedule, *(array[first:stop] for array in bars[1:]))


def _table(market: Market, bars: SessionBars, schema: pa.Schema) -> pa.Table:
    width = len(market.symbols)
    height, count = bars.schedule.label_ns.shape
    session = np.repeat(market.session[bars.schedule.first : bars.schedule.stop], count * width)

    def stamps(values: IntArray) -> pa.Array:
        return pa.array(np.repeat(values.ravel(), width)).view(schema.field("known").type)

    def rows(values: FloatArray) -> pa.Array:
        return pa.array(np.ascontiguousarray(values.transpose(0, 2, 1)).ravel())

    columns = [
        stamps(bars.schedule.known_ns),
        _repeated(market.symbols, height * count),
        stamps(bars.schedule.label_ns),
        pa.array(session).view(pa.date32()),
        *(rows(values) for values in (bars.open, bars.high, bars.low, bars.close, bars.volume)),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _repeated(symbols: tuple[str, ...], times: int) -> pa.Array:
    """Return the symbols, `times` over, without making a Python object per row."""
    text = "".join(symbols).encode()
    ends = np.cumsum([len(symbol) for symbol in symbols])
    offsets = np.concatenate([[0], (np.arange(times)[:, None] * len(text) + ends).ravel()]).astype(np.int32)
    return pa.StringArray.from_buffers(times * len(symbols), pa.py_buffer(offsets.tobytes()), pa.py_buffer(text * times))
