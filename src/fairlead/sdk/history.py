"""The past, as far as the clock allows: `context.historical_data`."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.bars import Cursor
from fairlead.core.errors import ConfigurationError, StrategyError
from fairlead.core.events import Bar

Field = Literal["open", "high", "low", "close", "volume"]
FIELDS: Final = ("open", "high", "low", "close", "volume")
MIN_HISTORY: Final = 1000


class HistoricalData:
    """Closed bars up to and including the current instant, and nothing later.

    Everything returned is a copy, so that no array leads back to the future. A symbol that was renamed goes on under its new
    name: what lies before its first bar is that of the old one.

    Parameters
    ----------
    cursor : Cursor
        Where the run stands.
    limit : int
        How many bars back it can reach.
    """

    __slots__ = ("_cursor", "_limit")

    def __init__(self, cursor: Cursor, limit: int = MIN_HISTORY) -> None:
        self._cursor = cursor
        self._limit = max(limit, MIN_HISTORY)

    def closes(self, symbol: str, n: int, *, adjusted: bool = True) -> FloatArray:
        """Return the last `n` closing prices of `symbol`, oldest first; fewer while history is short."""
        return self.values(symbol, n, "close", adjusted=adjusted)

    def values(self, symbol: str, n: int, field: Field = "close", *, adjusted: bool = True) -> FloatArray:
        """Return one field of the last `n` bars of `symbol`, oldest first.

        Parameters
        ----------
        symbol : str
        n : int
            At most what `Strategy.lookback` asked for, or 1000.
        field : {'open', 'high', 'low', 'close', 'volume'}
        adjusted : bool
            Scale earlier prices by the corporate actions known by now, so that a split is not a crash. The newest value
            is always the raw one.

        Returns
        -------
        array of shape (m,), m <= n
            Bars that do not exist are left out, not filled.
        """
        self._check(n, field)
        block, row = self._cursor.block, self._cursor.row
        column = block.column(symbol)
        if column in block.former_names:
            window = self._renamed(column, max(0, row + 1 - self._limit), row + 1, field, adjusted=adjusted)
            return window[~np.isnan(window)][-n:]
        source: FloatArray = getattr(block, field)[: row + 1, column]
        first = max(0, row + 1 - n)
        window = source[first:]
        keep = ~np.isnan(window)
        if keep.all():
            return self._adjusted(window.copy(), first, column, field) if adjusted else window.copy()
        first = max(0, row + 1 - self._limit)
        window = source[first:].copy()
        if adjusted:
            window = self._adjusted(window, first, column, field)
        return window[~np.isnan(window)][-n:]

    def panel(self, n: int, field: Field = "close", *, adjusted: bool = True) -> FloatArray:
        """Return one field of the last `n` instants for every symbol.

        Returns
        -------
        array of shape (m, k), m <= n
            Column order is that of `BarSlice.symbols`; NaN where a symbol has no bar.
        """
        self._check(n, field)
        block, row = self._cursor.block, self._cursor.row
        first = max(0, row + 1 - n)
        window: FloatArray = getattr(block, field)[first : row + 1].copy()
        if adjusted:
            for column in block.actions_of:
                window[:, column] = self._adjusted(window[:, column], first, column, field)
        for column in block.former_names:
            window[:, column] = self._renamed(column, first, row + 1, field, adjusted=adjusted)
        return window

    def bars(self, symbol: str, n: int) -> list[Bar]:
        """Return the last `n` raw bars of `symbol`, oldest first; those of before a rename carry the old name."""
        self._check(n, "close")
        block, row = self._cursor.block, self._cursor.row
        column = block.column(symbol)
        found: list[Bar] = []
        for r in range(row, max(-1, row - self._limit), -1):
            former = block.former_names.get(column)
            if former is not None and r < former.row <= row:
                column = former.column
            bar = block.bar(r, column)
            if bar is not None:
                found.append(bar)
            if len(found) == n:
                break
        return found[::-1]

    def _renamed(self, column: int, first: int, stop: int, field: Field, *, adjusted: bool) -> FloatArray:
        """Return rows `first` to `stop`, with what lies before a rename under the new name, comparable at the last of them."""
        block = self._cursor.block
        window: FloatArray = getattr(block, field)[first:stop, column].copy()
        former = block.former_names.get(column)
        if former is not None and first < former.row < stop:
            window[: former.row - first] = self._renamed(former.column, first, former.row, field, adjusted=adjusted)
        return self._adjusted(window, first, column, field, stop) if adjusted else window

    def _adjusted(self, window: FloatArray, first: int, column: int, field: Field, stop: int | None = None) -> FloatArray:
        block = self._cursor.block
        end = self._cursor.row + 1 if stop is None else stop
        for e in block.actions_of.get(column, ()):
            if not first < e.row < end:
                continue
            if field != "volume":
                window[: e.row - first] *= e.factor
            elif e.action.share_factor != 1.0:
                window[: e.row - first] /= e.factor
        return window

    def _check(self, n: int, field: str) -> None:
        if field not in FIELDS:
            raise ConfigurationError.of("field", f"be one of {', '.join(FIELDS)}", field)
        if not 1 <= n <= self._limit:
            raise StrategyError.of(
                "n", f"be from 1 to {self._limit} bars", n, "Override Strategy.lookback() to reach further back."
            )
