"""Bars in columns: a chunk of history as time-by-symbol arrays, and the cursor that hides its future.

A row is one instant. It is *labelled* by the bar's opening instant and *known* at its closing instant; rows are ordered by
the latter. NaN in `close` means that the symbol has no bar in that row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

import numpy as np

from fairlead.core.arrays import BoolArray, DayArray, FloatArray, FloatCells, IntArray, IntCells
from fairlead.core.errors import DataNotFound
from fairlead.core.events import ActionKind, Bar, CorporateAction

# From so many columns on, filling row by row is faster than all rows at once.
_WIDE: Final = 64


class EffectiveAction(NamedTuple):
    """A corporate action at the row of a block in which it takes effect."""

    row: int
    column: int
    action: CorporateAction
    factor: float
    """What multiplies every price before this row to make it comparable with prices from this row on."""


class FormerName(NamedTuple):
    """Where the history of a column begins that is a symbol's new name."""

    row: int
    """The first row under the new name; what lies before stands in the other column."""
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class BarCells:
    """The columns of a `BarBlock`, to be read one number at a time."""

    label_ns: IntCells
    known_ns: IntCells
    session: IntCells
    open: FloatCells
    high: FloatCells
    low: FloatCells
    close: FloatCells
    volume: FloatCells
    mark: FloatCells


@dataclass(frozen=True, slots=True, eq=False)
class BarBlock:
    """A contiguous chunk of history for a fixed set of symbols.

    Parameters
    ----------
    symbols : tuple of str
        Column order, length k.
    label_ns, known_ns : int64 arrays of shape (n,)
        Opening and closing instants. `known_ns` is strictly increasing.
    session : int32 array of shape (n,)
        Exchange-local session date, in days since the epoch.
    open, high, low, close, volume : float64 arrays of shape (n, k)
        Raw prices in currency and volume in units; NaN where the symbol has no bar.
    mark : float64 array of shape (n, k)
        The last raw close known at each row; NaN before a symbol's first bar.
    start : int
        First row to deliver. Rows before it are history carried over from the block before.
    actions : tuple of EffectiveAction
        Ordered by row; includes those of the carried rows.
    """

    symbols: tuple[str, ...]
    label_ns: IntArray
    known_ns: IntArray
    session: DayArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    mark: FloatArray
    start: int = 0
    actions: tuple[EffectiveAction, ...] = ()
    columns: Mapping[str, int] = field(init=False)
    cells: BarCells = field(init=False, repr=False)
    """The same memory, for what looks at single bars."""
    actions_of: Mapping[int, tuple[EffectiveAction, ...]] = field(init=False)
    """The actions by column, each at the first row at or after its own in which the symbol has a bar.

    Until then the last price is one of before the action, and so are holdings and orders. What meets no bar in the block, and a
    column without any, is absent. What a renamed symbol does not meet under its old name counts under its new one.
    """
    former_names: Mapping[int, FormerName] = field(init=False)
    """The columns that are new names, from the first bar under them on."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", {symbol: i for i, symbol in enumerate(self.symbols)})
        cells: dict[str, Any] = {cell.name: memoryview(getattr(self, cell.name)) for cell in fields(BarCells)}
        object.__setattr__(self, "cells", BarCells(**cells))
        former = self._find_former_names()
        by_column: dict[int, list[EffectiveAction]] = {}
        for effective in self.actions:
            row = self._first_bar(effective.row, effective.column)
            column = effective.column
            for new, name in former.items():
                # Whatever the old name still shows later: what it had not met by then, the new name met.
                if name.column == effective.column and effective.row <= name.row and (row is None or name.row <= row):
                    row, column = name.row, new
            if row is not None:
                by_column.setdefault(column, []).append(effective._replace(row=row, column=column))
        object.__setattr__(self, "former_names", former)
        object.__setattr__(self, "actions_of", {column: tuple(found) for column, found in by_column.items()})

    def _find_former_names(self) -> dict[int, FormerName]:
        former: dict[int, FormerName] = {}
        for effective in self.actions:
            new = self.columns.get(effective.action.other) if effective.action.kind is ActionKind.RENAME else None
            row = self._first_bar(effective.row, new) if new is not None else None
            if new is not None and row is not None:
                former.setdefault(new, FormerName(row, effective.column))  # a name is given once
        return former

    def _first_bar(self, row: int, column: int) -> int | None:
        bars = self.close[row:, column]
        known = np.flatnonzero(bars == bars)
        return row + int(known[0]) if len(known) else None

    def __len__(self) -> int:
        return len(self.known_ns)

    def column(self, symbol: str) -> int:
        """Return the column of `symbol`.

        Raises
        ------
        DataNotFound
            If the block has no such symbol.
        """
        try:
            return self.columns[symbol]
        except KeyError:
            raise DataNotFound(f"no symbol named {symbol!r} in this run. Known: {', '.join(self.symbols)}.") from None

    def bar(self, row: int, column: int) -> Bar | None:
        """Return the bar at one cell, or None if the symbol has no bar in that row."""
        cells = self.cells
        close = cells.close[row, column]
        if close != close:
            return None
        return Bar(
            self.symbols[column],
            cells.label_ns[row],
            cells.known_ns[row],
            cells.open[row, column],
            cells.high[row, column],
            cells.low[row, column],
            close,
            cells.volume[row, column],
        )


class BarSlice:
    """All bars that close at one instant: a view of one row of a `BarBlock`."""

    __slots__ = ("_block", "_row")

    def __init__(self, block: BarBlock, row: int) -> None:
        self._block = block
        self._row = row

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol of the run, in column order, with or without a bar here."""
        return self._block.symbols

    @property
    def label_ns(self) -> int:
        """Opening instant in nanoseconds."""
        return int(self._block.label_ns[self._row])

    @property
    def known_ns(self) -> int:
        """Closing instant in nanoseconds: when the slice became known."""
        return int(self._block.known_ns[self._row])

    @property
    def open(self) -> FloatArray:
        """Opening prices, shape (k,), NaN where there is no bar."""
        row: FloatArray = self._block.open[self._row]
        return row

    @property
    def high(self) -> FloatArray:
        """Highest prices, shape (k,)."""
        row: FloatArray = self._block.high[self._row]
        return row

    @property
    def low(self) -> FloatArray:
        """Lowest prices, shape (k,)."""
        row: FloatArray = self._block.low[self._row]
        return row

    @property
    def close(self) -> FloatArray:
        """Closing prices, shape (k,)."""
        row: FloatArray = self._block.close[self._row]
        return row

    @property
    def volume(self) -> FloatArray:
        """Volumes in units, shape (k,)."""
        row: FloatArray = self._block.volume[self._row]
        return row

    @property
    def present(self) -> BoolArray:
        """Which symbols have a bar here, shape (k,)."""
        known: BoolArray = ~np.isnan(self._block.close[self._row])
        return known

    def __contains__(self, symbol: object) -> bool:
        column = self._block.columns.get(symbol) if isinstance(symbol, str) else None
        return column is not None and bool(self._block.close[self._row, column] == self._block.close[self._row, column])

    def __getitem__(self, symbol: str) -> Bar:
        bar = self._block.bar(self._row, self._block.column(symbol))
        if bar is None:
            raise DataNotFound(f"{symbol!r} has no bar at this instant; test `symbol in slice` first.")
        return bar

    def __iter__(self) -> Iterator[Bar]:
        for column in range(len(self._block.symbols)):
            bar = self._block.bar(self._row, column)
            if bar is not None:
                yield bar

    def __len__(self) -> int:
        return int(self.present.sum())

    def __repr__(self) -> str:
        return f"BarSlice(known_ns={self.known_ns}, bars={len(self)})"


class Cursor:
    """Where a run stands in history: the one mutable place that clock, marks and history views read.

    Views built on a cursor never look at rows beyond `row`; that is what makes them point-in-time.
    """

    __slots__ = ("block", "row")

    def __init__(self, block: BarBlock, row: int = 0) -> None:
        self.block = block
        self.row = row

    @property
    def known_ns(self) -> int:
        """The instant of the current row, in nanoseconds."""
        return self.block.cells.known_ns[self.row]


class CursorMarks(Mapping[str, float]):
    """The last known close of every symbol at a cursor; NaN before a symbol's first bar."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def __getitem__(self, symbol: str) -> float:
        block, row = self._cursor.block, self._cursor.row
        return block.cells.mark[row, block.columns[symbol]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cursor.block.symbols)

    def __len__(self) -> int:
        return len(self._cursor.block.symbols)


def forward_fill(values: FloatArray, before: FloatArray | None = None) -> FloatArray:
    """Return `values` with each NaN replaced by the last number above it in its column.

    Parameters
    ----------
    values : array of shape (n, k)
    before : array of shape (k,), optional
        What was known before the first row.
    """
    if len(values) == 0:
        return values.copy()
    missing = np.isnan(values)
    if not missing.any():
        return values
    if values.shape[1] >= _WIDE:
        return _fill_rows(values, missing, before)
    rows = np.where(missing, 0, np.arange(len(values))[:, None])
    np.maximum.accumulate(rows, axis=0, out=rows)
    filled: FloatArray = np.take_along_axis(values, rows, axis=0)
    if before is not None:
        filled = np.where(np.isnan(filled), before[None, :], filled)
    return filled


def _fill_rows(values: FloatArray, missing: BoolArray, before: FloatArray | None) -> FloatArray:
    filled = values.copy()
    if before is not None:
        np.copyto(filled[0], before, where=missing[0])
    for row in (np.flatnonzero(missing[1:].any(axis=1)) + 1).tolist():
        np.copyto(filled[row], filled[row - 1], where=missing[row])
    return filled


def effective_actions(
    actions: Sequence[CorporateAction],
    columns: Mapping[str, int],
    session: DayArray,
    mark: FloatArray,
    *,
    open_: FloatArray | None = None,
    first_row: int = 0,
    after_session: int | None = None,
) -> tuple[EffectiveAction, ...]:
    """Place each action at the first row whose session is at or after its ex-session.

    Parameters
    ----------
    actions : sequence of CorporateAction
    columns : mapping of symbol to column
    session, mark : arrays of shape (n,) and (n, k), as in `BarBlock`
    open_ : array of shape (n, k), optional
        As in `BarBlock`: at its opening price in that row a spun-off child is counted, if it has one.
    first_row : int
        Rows before it are carried history, whose actions were placed before.
    after_session : int, optional
        The last session already placed. None at the start of history: what took effect earlier touches no position.
    """
    days = session[first_row:]
    if len(days) == 0:
        return ()
    floor = int(days[0]) - 1 if after_session is None else after_session
    placed: list[EffectiveAction] = []
    for action in actions:
        column = columns.get(action.symbol)
        if column is None or not floor < action.ex_session <= int(days[-1]):
            continue
        row = first_row + int(np.searchsorted(days, action.ex_session))
        marks = mark[row - 1] if row > 0 else np.full(len(columns), np.nan)
        before = float(marks[column])
        if before != before:
            before = _under_former_name(action, actions, columns, marks)
        other = columns.get(action.other) if action.other else None
        worth = float("nan") if other is None else opening_price(other, None if open_ is None else open_[row], marks)
        placed.append(EffectiveAction(row, column, action, action.price_factor(before, worth)))
    placed.sort(key=lambda e: (e.row, e.column, e.action.sort_key))
    return tuple(placed)


def opening_price(column: int, open_: FloatArray | None, mark_before: FloatArray) -> float:
    """Return what a symbol is worth at the open of a row, in currency: its opening price, else its last close, else NaN.

    Parameters
    ----------
    column : int
    open_, mark_before : arrays of shape (k,)
        Opening prices of the row, if they are at hand, and the last closes before it.
    """
    price = float("nan") if open_ is None else float(open_[column])
    return price if price == price else float(mark_before[column])


def _under_former_name(
    action: CorporateAction, actions: Sequence[CorporateAction], columns: Mapping[str, int], marks: FloatArray
) -> float:
    for earlier in actions:
        is_rename = earlier.kind is ActionKind.RENAME and earlier.other == action.symbol
        if is_rename and earlier.ex_session <= action.ex_session and earlier.symbol in columns:
            return float(marks[columns[earlier.symbol]])
    return float("nan")


def prelude(block: BarBlock) -> BarBlock:
    """Return a one-row block that stands just before `block`'s first delivered row: no bar known, time at its opening.

    It is what a strategy sees in `on_start`.
    """
    unknown = np.full((1, len(block.symbols)), np.nan)
    row = slice(block.start, block.start + 1)
    label = block.label_ns[row]
    return BarBlock(block.symbols, label, label, block.session[row], unknown, unknown, unknown, unknown, unknown, unknown)
