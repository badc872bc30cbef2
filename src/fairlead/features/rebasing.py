"""Prices and volumes in one unit over all of history, so that a split or a dividend is not a move.

History is told in the units of its first day: P_t / c_t, where c_t is the product of the price factors of all corporate
actions that took effect up to t (domain rule 2.7). That number never changes afterwards, so a feature can remember it. What a
feature gives in the unit of prices is multiplied by c_t again and stands in prices of the day. It is what back-adjusted prices
would give, without a look at the future and without going over the past at every action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.bars import BarBlock
from fairlead.core.events import ActionKind, CorporateAction


class Rebasing:
    """The factors of every symbol, kept while history passes.

    Parameters
    ----------
    symbols : sequence of str
    actions : sequence of CorporateAction
        Ordered by ex-session. What takes effect before a symbol's first bar touches nothing.
    """

    def __init__(self, symbols: Sequence[str], actions: Sequence[CorporateAction]) -> None:
        columns = {symbol: i for i, symbol in enumerate(symbols)}
        self._actions = [(columns[a.symbol], a) for a in actions if a.symbol in columns]
        self._next = 0
        self._waiting: list[tuple[int, CorporateAction]] = []
        self._price = np.ones(len(symbols))
        self._volume = np.ones(len(symbols))
        self._close = np.full(len(symbols), np.nan)

    def advance(self, block: BarBlock, rows: slice) -> tuple[FloatArray, FloatArray]:
        """Take in some rows of a block, and return what divides raw prices and multiplies raw volumes there.

        Returns
        -------
        tuple of two float64 arrays of shape (symbols, rows) or (symbols, 1)
            The latter where no factor changes.
        """
        price, volume = self._price[:, None], self._volume[:, None]
        due = self._due(block.session[rows])
        if due:
            close = block.close[rows]
            price, volume = (np.repeat(factors, len(close), axis=1) for factors in (price, volume))
            for column, action in due:
                self._apply(action, column, block.session[rows], close[:, column], price, volume)
            self._price, self._volume = price[:, -1].copy(), volume[:, -1].copy()
        last = block.mark[rows.stop - 1]
        self._close = np.where(np.isnan(last), self._close, last)
        return price, volume

    def _due(self, session: DayArray) -> list[tuple[int, CorporateAction]]:
        due, self._waiting = self._waiting, []
        while self._next < len(self._actions) and self._actions[self._next][1].ex_session <= int(session[-1]):
            due.append(self._actions[self._next])
            self._next += 1
        return due

    def _apply(
        self,
        action: CorporateAction,
        column: int,
        session: DayArray,
        close: FloatArray,
        price: FloatArray,
        volume: FloatArray,
    ) -> None:
        first = int(np.searchsorted(session, action.ex_session))
        traded = np.flatnonzero(close[first:] == close[first:])
        if len(traded) == 0:
            # Until the symbol trades again its last price is one of before the action.
            self._waiting.append((column, action))
            return
        row = first + int(traded[0])
        earlier = close[:row][close[:row] == close[:row]]
        before = float(earlier[-1]) if len(earlier) else float(self._close[column])
        if before != before:
            return
        price[column, row:] *= action.price_factor(before)
        if action.kind is ActionKind.SPLIT:
            volume[column, row:] *= action.price_factor(before)


def in_units_of_the_day(values: FloatArray, unit: str, factors: Mapping[str, FloatArray]) -> FloatArray:
    """Return values of one output, shape (symbols, rows), in the units of their day.

    Parameters
    ----------
    values : float64 array of shape (symbols, rows)
    unit : str
        See `Output`.
    factors : mapping of unit to float64 array
        As `Rebasing.advance` returned them, under ``price`` and ``volume``.
    """
    if unit == "price":
        return np.asarray(values * factors["price"])
    if unit == "volume":
        return np.asarray(values / factors["volume"])
    return values
