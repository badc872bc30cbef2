"""Equity curves without per-bar work: what changes is noted, what does not is computed in blocks.

Between two changes of a ledger its equity is cash plus a fixed vector of holdings times the marks, one product per segment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from fairlead.core.arrays import DayArray, FloatArray, IntArray
from fairlead.core.bars import BarBlock
from fairlead.core.portfolio import Portfolio
from fairlead.engine.deferred import DeferredCurve, DeferredPrices
from fairlead.engine.instants import FEW, TOGETHER, Instants
from fairlead.engine.record import EquityCurve, SessionPrices

Held: TypeAlias = Sequence[tuple[str, float]]
"""Symbols, and what one unit of price of each is worth: signed units times multiplier."""
Segment: TypeAlias = tuple[int, float, Held]
"""The row from which on a ledger has so much cash, and holds this."""
Chunk: TypeAlias = Callable[[], FloatArray]
"""Gives cash, gross and net exposure of the rows of a block, shape (3, n)."""


class LedgerCurve:
    """The curve of one ledger, built block by block."""

    __slots__ = ("_chunks", "_ledger", "_recent", "_segments")

    def __init__(self, ledger: Portfolio) -> None:
        self._ledger = ledger
        self._segments: list[Segment] = []
        self._chunks: list[Chunk] = []
        self._recent: list[FloatArray] = []

    def chunks(self) -> list[Chunk]:
        """Return what the blocks so far are made of."""
        self._settle()
        return self._chunks

    def note(self, row: int) -> None:
        """Record the ledger as it stands from `row` of the current block on."""
        ledger, segments = self._ledger, self._segments
        held = []
        for p in ledger.positions.values():
            if p.quantity:
                held.append((p.symbol, p.quantity * p.multiplier))  # noqa: PERF401  a comprehension costs a frame
        if segments and segments[-1][0] == row:
            segments.pop()
        segments.append((row, ledger.cash, held))

    def close_block(self, block: BarBlock) -> None:
        """Keep what the delivered rows of `block` are made of; every change in them was noted."""
        first, end = block.start, len(block)
        segments, self._segments = self._segments, []
        chunk = _chunk_of(block, segments)
        if end - first > FEW:
            self._settle()
            self._chunks.append(chunk)
            return
        # A few numbers take less room than what would make them; and those of many small blocks go together.
        self._recent.append(chunk())
        if len(self._recent) >= TOGETHER:
            self._settle()

    def _settle(self) -> None:
        recent, self._recent = self._recent, []
        if recent:
            values = np.concatenate(recent, axis=1)
            self._chunks.append(lambda: values)

    def open_block(self, block: BarBlock) -> None:
        """Begin a block with the ledger as it stands."""
        self.note(block.start)

    def paid(self, amount: float) -> None:
        """Let money that comes between two blocks be there from the last instant on."""
        if self._recent:
            self._recent[-1] = _with_cash(self._recent[-1], amount)
            return
        before = self._chunks[-1]
        self._chunks[-1] = lambda: _with_cash(before(), amount)

    def amend(self, block: BarBlock) -> None:
        """Let the last instant, of a block that is closed, show the ledger as it stands now."""
        ledger = self._ledger
        held = [(p.symbol, p.quantity * p.multiplier) for p in ledger.positions.values() if p.quantity]
        worth = [float(block.mark[-1, block.columns[symbol]]) * units for symbol, units in held]
        last = (ledger.cash, sum(map(abs, worth)), sum(worth))
        if self._recent:
            self._recent[-1] = _with_last(self._recent[-1], last)
            return
        before = self._chunks[-1]
        self._chunks[-1] = lambda: _with_last(before(), last)


def _with_last(values: FloatArray, last: tuple[float, float, float]) -> FloatArray:
    """Return cash and exposures, shape (3, n), whose last instant is another."""
    values = values.copy()
    values[:, -1] = last
    return values


def _with_cash(values: FloatArray, amount: float) -> FloatArray:
    """Return cash and exposures, shape (3, n), at whose last instant cash has come in."""
    values = values.copy()
    values[0, -1] += amount
    return values


def _chunk_of(block: BarBlock, segments: Sequence[Segment]) -> Chunk:
    first, end = block.start, len(block)
    symbols = {symbol for _, _, held in segments for symbol, _ in held}
    if len(segments) == 1 and not symbols:
        # Nothing held and nothing changed: three numbers, however many rows.
        idle = np.broadcast_to(np.array([[segments[0][1]], [0.0], [0.0]]), (3, end - first))
        return lambda: idle
    if len(symbols) > 1:
        values = _many_held(block, segments)
        return lambda: values
    # One symbol, traded however often. A copy of its marks: a view would keep alive the memory that it is a part of.
    mark = block.mark[first:, block.columns[symbols.pop()]].copy() if symbols else None
    return partial(_one_held, segments, end, mark)


def _one_held(segments: Sequence[Segment], end: int, mark: FloatArray | None) -> FloatArray:
    """Return cash, gross and net exposure while one symbol is held, or none: one product over all rows."""
    starts, cash, holdings = zip(*segments, strict=True)
    lengths = np.diff([*starts, end])
    values = np.zeros((3, end - starts[0]))
    values[0] = np.repeat(cash, lengths)
    if mark is not None:
        each = np.repeat([held[0][1] if held else 0.0 for held in holdings], lengths)
        # A mark is unknown only while nothing is held.
        np.multiply(mark, each, out=values[2], where=each != 0.0)
        np.abs(values[2], out=values[1])
    return values


def _many_held(block: BarBlock, segments: Sequence[Segment]) -> FloatArray:
    """Return cash, gross and net exposure of the delivered rows of a block, segment by segment."""
    first, end = block.start, len(block)
    starts, cash, holdings = zip(*segments, strict=True)
    values = np.zeros((3, end - first))
    values[0] = np.repeat(cash, np.diff([*starts, end]))
    for row, stop, held in zip(starts, [*starts[1:], end], holdings, strict=True):
        if not held:
            continue
        at = slice(row - first, stop - first)
        worth = block.mark[row:stop][:, [block.columns[s] for s, _ in held]] * np.array([units for _, units in held])
        # Summed from left to right: a product (`@`, `einsum`) may round a row differently when there are more rows.
        values[1, at] = np.add.accumulate(np.abs(worth), axis=1)[:, -1]
        values[2, at] = np.add.accumulate(worth, axis=1)[:, -1]
    return values


class CurveRecorder:
    """Curves of every strategy's ledger, their sum, and the prices at session ends.

    Attributes
    ----------
    changed : set of str
        Strategies whose ledger changed at the current instant.
    """

    def __init__(self, ledgers: dict[str, Portfolio]) -> None:
        self._curves = {name: LedgerCurve(ledger) for name, ledger in ledgers.items()}
        self._instants = Instants()
        self._ends: list[tuple[DayArray, IntArray, FloatArray]] = []
        self._symbols: tuple[str, ...] = ()
        self.changed: set[str] = set()

    def mark_changed(self, name: str) -> None:
        """Remember that the ledger of strategy `name` changed at the current instant."""
        self.changed.add(name)

    def open_block(self, block: BarBlock) -> None:
        """Begin a block."""
        self._symbols = block.symbols
        for curve in self._curves.values():
            curve.open_block(block)

    def note_changes(self, row: int) -> None:
        """Record every changed ledger as it stands from `row` on."""
        changed = self.changed
        for name in sorted(changed) if len(changed) > 1 else changed:
            self._curves[name].note(row)
        changed.clear()

    def close_block(self, block: BarBlock) -> None:
        """Compute the block's part of every curve."""
        for curve in self._curves.values():
            curve.close_block(block)
        # Nothing is kept of the block itself: a view would keep all of it alive.
        session = block.session[block.start :]
        self._instants.add(block.known_ns[block.start :], session)
        ends = np.flatnonzero(np.append(session[1:] != session[:-1], True)) + block.start
        prices = (block.session[ends], block.known_ns[ends], block.mark[ends])
        if self._ends and len(ends) == 1 and np.array_equal(self._ends[-1][0], prices[0]):
            # A session that goes on has its end here.
            self._ends[-1] = prices
        else:
            self._ends.append(prices)

    def paid(self, name: str, amount: float) -> None:
        """Note money that was paid into the ledger of strategy `name`, or out of it, since the last block was closed."""
        self._curves[name].paid(amount)

    def finish(self, block: BarBlock) -> None:
        """Let what has changed since the last instant, of a block that is closed, be part of it."""
        for name in sorted(self.changed):
            self._curves[name].amend(block)
        self.changed.clear()

    def curves(self) -> tuple[EquityCurve, dict[str, EquityCurve]]:
        """Return the account's curve and each strategy's; each is put together when it is read."""
        # Of chunks and stamps alone: what was recorded from is not kept alive by what was recorded.
        chunks = {name: curve.chunks() for name, curve in self._curves.items()}

        def curve(parts: Sequence[Sequence[Chunk]]) -> EquityCurve:
            return DeferredCurve.later(partial(_curve_fields, self._instants, parts))

        by_strategy = {name: curve([own]) for name, own in chunks.items()}
        if len(by_strategy) == 1:
            return next(iter(by_strategy.values())), by_strategy
        return curve(list(chunks.values())), by_strategy

    def prices(self) -> SessionPrices:
        """Return the last price of every symbol at each session's end; they are put together when they are read."""
        return DeferredPrices.later(partial(_price_fields, self._symbols, self._ends), symbols=self._symbols)


def _curve_fields(instants: Instants, parts: Sequence[Sequence[Chunk]]) -> dict[str, np.ndarray]:
    values = _joined(parts[0])
    for chunks in parts[1:]:
        values = values + _joined(chunks)
    return {
        "ts_ns": instants.stamps(),
        "session": instants.sessions(),
        "equity": values[0] + values[2],
        "cash": values[0],
        "gross": values[1],
        "net": values[2],
    }


def _joined(chunks: Sequence[Chunk]) -> FloatArray:
    """Return cash, gross and net exposure, shape (3, n)."""
    made = [chunk() for chunk in chunks]
    return np.concatenate(made, axis=1) if made else np.empty((3, 0))


def _price_fields(symbols: Sequence[str], ends: Sequence[tuple[DayArray, IntArray, FloatArray]]) -> dict[str, np.ndarray]:
    if not ends:
        return {"session": np.empty(0, np.int32), "ts_ns": np.empty(0, np.int64), "mark": np.empty((0, len(symbols)))}
    days, ts, marks = (np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in zip(*ends, strict=True))
    # A session that goes on in the next block has its end there.
    known, last = np.unique(days[::-1], return_index=True)
    if not np.array_equal(known, days):
        last = len(days) - 1 - last
        days, ts, marks = known, ts[last], marks[last]
    return {"session": days, "ts_ns": ts, "mark": marks}
