"""Prices and volumes in one unit over all of history, so that a split or a dividend is not a move.

History is told in the units of its first day: P_t / c_t, where c_t is the product of the price factors of all corporate
actions that took effect up to t (domain rule 2.7). That number never changes afterwards, so a feature can remember it. What a
feature gives in the unit of prices is multiplied by c_t again and stands in prices of the day. It is what back-adjusted prices
would give, without a look at the future and without going over the past at every action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.bars import BarBlock, opening_price
from fairlead.core.events import ActionKind, CorporateAction


class _Due(NamedTuple):
    """An action that waits for a symbol's bar."""

    column: int
    action: CorporateAction
    worth: float
    """Of a share of a spun-off child when the action was due, in currency; NaN if it had no price."""


class Rename(NamedTuple):
    """A change of name: from a row on one column goes on where another one stood.

    Attributes
    ----------
    row : int
        The first row under the new name.
    old, new : int
        Columns.
    session : int
        Of that row; before it is found, the ex-session. In days since the epoch.
    """

    row: int
    old: int
    new: int
    session: int


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
        self._columns = columns
        self._renames = [
            Rename(0, columns[a.symbol], columns[a.other], a.ex_session)
            for a in actions
            if a.kind is ActionKind.RENAME and a.symbol in columns and a.other in columns
        ]
        self._next = 0
        self._waiting: list[_Due] = []
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
        due = self._due(block, rows)
        if due:
            close = block.close[rows]
            price, volume = (np.repeat(factors, len(close), axis=1) for factors in (price, volume))
            for entry in due:
                self._apply(entry, block.session[rows], close[:, entry.column], price, volume)
            self._price, self._volume = price[:, -1].copy(), volume[:, -1].copy()
        last = block.mark[rows.stop - 1]
        self._close = np.where(np.isnan(last), self._close, last)
        return price, volume

    def renames(self, block: BarBlock, first: int, stop: int) -> list[Rename]:
        """Return the changes of name in some rows of a block, in order; each is told once."""
        if not self._renames:
            return []
        found: list[Rename] = []
        for name in list(self._renames):
            row = first + int(np.searchsorted(block.session[first:stop], name.session))
            bars = block.close[row:stop, name.new]
            traded = np.flatnonzero(bars == bars)
            if len(traded):
                self._renames.remove(name)
                row += int(traded[0])
                found.append(name._replace(row=row, session=int(block.session[row])))
        return sorted(found)

    def rename(self, change: Rename) -> None:
        """Let a column go on where another one stands: the same shares under a new name."""
        old, new = change.old, change.new
        for values in (self._price, self._volume, self._close):
            values[new] = values[old]
        # What met no bar under the old name takes effect with the first one under the new name.
        self._waiting = [entry._replace(column=new) if entry.column == old else entry for entry in self._waiting]
        self._actions[self._next :] = [
            (new, action) if column == old and action.ex_session <= change.session else (column, action)
            for column, action in self._actions[self._next :]
        ]

    def _due(self, block: BarBlock, rows: slice) -> list[_Due]:
        due, self._waiting = self._waiting, []
        session = block.session[rows]
        while self._next < len(self._actions) and self._actions[self._next][1].ex_session <= int(session[-1]):
            column, action = self._actions[self._next]
            due.append(_Due(column, action, self._worth_of_other(action, block, rows)))
            self._next += 1
        return due

    def _worth_of_other(self, action: CorporateAction, block: BarBlock, rows: slice) -> float:
        column = self._columns.get(action.other)
        if action.kind is not ActionKind.SPIN_OFF or column is None:
            return float("nan")
        row = rows.start + int(np.searchsorted(block.session[rows], action.ex_session))
        before = self._close if row == rows.start else block.mark[row - 1]
        return opening_price(column, block.open[row], before)

    def _apply(self, entry: _Due, session: DayArray, close: FloatArray, price: FloatArray, volume: FloatArray) -> None:
        column, action, worth = entry
        first = int(np.searchsorted(session, action.ex_session))
        traded = np.flatnonzero(close[first:] == close[first:])
        if len(traded) == 0:
            # Until the symbol trades again its last price is one of before the action.
            self._waiting.append(entry)
            return
        row = first + int(traded[0])
        earlier = close[:row][close[:row] == close[:row]]
        before = float(earlier[-1]) if len(earlier) else float(self._close[column])
        if before != before:
            return
        price[column, row:] *= action.price_factor(before, worth)
        if action.share_factor != 1.0:
            volume[column, row:] *= 1.0 / action.share_factor


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
