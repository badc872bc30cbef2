"""Blocks of one new row each: how what comes instant by instant is shown as history."""

from __future__ import annotations

from typing import Final

import numpy as np

from fairlead.core.bars import BarBlock, EffectiveAction, effective_actions
from fairlead.core.events import CorporateAction
from fairlead.data.live.gathering import Instant

_ROOM: Final = 4096
"""Rows after which what is carried moves to the front of new memory."""
_FIELDS: Final = ("open", "high", "low", "close", "volume")


class Rows:
    """Grows by a row at a time, and shows the newest with what it carries as a block, without a copy.

    Parameters
    ----------
    symbols : tuple of str
        The columns.
    carry : int
        How many rows of before a block shows.
    """

    def __init__(self, symbols: tuple[str, ...], carry: int) -> None:
        self._symbols = symbols
        self._columns = {symbol: i for i, symbol in enumerate(symbols)}
        self._carry = carry
        # The last marks and session are needed, whether they are shown or not.
        self._kept = max(carry, 1)
        self._count = 0
        self._placed: list[EffectiveAction] = []
        self._allocate(self._kept + _ROOM)

    def _allocate(self, size: int) -> None:
        self._stamps = np.empty((2, size), np.int64)
        self._session = np.empty(size, np.int32)
        self._values = np.full((len(_FIELDS) + 1, size, len(self._symbols)), np.nan)

    def block(
        self, label_ns: int, known_ns: int, session: int, bars: Instant, actions: tuple[CorporateAction, ...]
    ) -> BarBlock:
        """Return the block that ends with a new row.

        Parameters
        ----------
        label_ns, known_ns, session : int
            As in `BarBlock`.
        bars : mapping of int to Bar
            By column.
        actions : tuple of CorporateAction
            All that are known, whenever they take effect.
        """
        if self._count == len(self._session):
            self._move()
        row = self._count
        self._count += 1
        self._stamps[0, row], self._stamps[1, row], self._session[row] = label_ns, known_ns, session
        values = self._values
        if row:
            values[5, row] = values[5, row - 1]
        for column, bar in bars.items():
            values[:5, row, column] = bar.open, bar.high, bar.low, bar.close, bar.volume
            values[5, row, column] = bar.close
        if actions:
            self._place(row, actions)
        first = max(0, row - self._carry)
        part = slice(first, row + 1)
        opened, high, low, close, volume, mark = values[:, part]
        return BarBlock(
            self._symbols,
            self._stamps[0, part],
            self._stamps[1, part],
            self._session[part],
            opened,
            high,
            low,
            close,
            volume,
            mark,
            start=row - first,
            actions=tuple(e._replace(row=e.row - first) for e in self._placed if e.row >= first),
        )

    def _place(self, row: int, actions: tuple[CorporateAction, ...]) -> None:
        low = max(0, row - 1)
        part = slice(low, row + 1)
        found = effective_actions(
            actions,
            self._columns,
            self._session[part],
            self._values[5, part],
            open_=self._values[0, part],
            first_row=row - low,
            after_session=int(self._session[low]) if row else None,
        )
        self._placed += (e._replace(row=e.row + low) for e in found)

    def _move(self) -> None:
        # To new memory: blocks of before still look at the old.
        gone = self._count - self._kept
        kept = slice(gone, self._count)
        stamps, session, values = self._stamps[:, kept], self._session[kept], self._values[:, kept]
        self._placed = [e._replace(row=e.row - gone) for e in self._placed if e.row >= gone]
        self._allocate(len(self._session))
        self._count = self._kept
        self._stamps[:, : self._count], self._session[: self._count] = stamps, session
        self._values[:, : self._count] = values
