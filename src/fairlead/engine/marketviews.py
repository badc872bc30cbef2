"""What guards see of the market in a run on bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fairlead.core.bars import Cursor
from fairlead.core.errors import FairleadError
from fairlead.core.instruments import Instrument
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND
from fairlead.data.calendars import ExchangeCalendar
from fairlead.risk.guards import MarketView

_UNKNOWN: Final = float("nan")
REFERENCE_NS: Final = 5 * NS_PER_MINUTE
"""So long ago is the price with which guards compare the last one."""


class MarketViews:
    """Looks at a symbol's bars up to the cursor.

    Parameters
    ----------
    cursor : Cursor
    instruments : mapping of symbol to Instrument
    bar_ns : int
        Length of a bar. Longer ones than the reference is old have no reference.
    """

    def __init__(self, cursor: Cursor, instruments: Mapping[str, Instrument], bar_ns: int) -> None:
        self._cursor = cursor
        self._instruments = instruments
        self._is_fine = bar_ns <= REFERENCE_NS
        self._open: dict[str, tuple[int, int]] = {}

    def of(self, symbol: str) -> MarketView:
        """Return what is known of a symbol's market now."""
        cursor = self._cursor
        now, instrument, column = cursor.known_ns, self._instruments.get(symbol), cursor.block.columns.get(symbol)
        if instrument is None or column is None:
            return MarketView(now_ns=now, instrument=None, is_quoted=False)
        return MarketView(
            now_ns=now,
            instrument=instrument,
            last=cursor.block.cells.mark[cursor.row, column],
            age_s=self._age(column, now),
            in_session=self._in_session(instrument.calendar, now),
            is_quoted=False,
            reference=self._reference(column, now) if self._is_fine else None,
        )

    def _age(self, column: int, now: int) -> float:
        block = self._cursor.block
        close = block.cells.close
        for row in range(self._cursor.row, -1, -1):
            if close[row, column] == close[row, column]:
                return (now - block.cells.known_ns[row]) / NS_PER_SECOND
        return _UNKNOWN

    def _reference(self, column: int, now: int) -> float:
        """Return the price of five minutes ago; earlier in a session, its first."""
        cells, row = self._cursor.block.cells, self._cursor.row
        session, since = cells.session[row], now - REFERENCE_NS
        first = _UNKNOWN
        while row >= 0 and cells.session[row] == session:
            if cells.close[row, column] == cells.close[row, column]:
                if cells.known_ns[row] <= since:
                    return cells.close[row, column]
                first = cells.open[row, column]
            row -= 1
        return first

    def _in_session(self, calendar: str, now: int) -> bool | None:
        # An instant at the close belongs to the session whose last bar is known then.
        start, end = self._open.get(calendar, (0, -1))
        if start <= now <= end:
            return True
        try:
            parts = ExchangeCalendar.get(calendar).segments_between(now - 1, now)
        except FairleadError:
            return None
        for start, end in zip(parts.open_ns.tolist(), parts.close_ns.tolist(), strict=True):
            if start <= now <= end:
                self._open[calendar] = start, end
                return True
        return False
