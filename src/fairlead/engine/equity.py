"""Equity curves without per-bar work: what changes is noted, what does not is computed in blocks.

Between two changes of a ledger its equity is cash plus a fixed vector of holdings times the marks, one product per segment.
"""

from __future__ import annotations

import numpy as np

from fairlead.core.arrays import DayArray, FloatArray, IntArray
from fairlead.core.bars import BarBlock
from fairlead.core.portfolio import Portfolio
from fairlead.engine.record import EquityCurve, SessionPrices


class LedgerCurve:
    """The curve of one ledger, built block by block."""

    __slots__ = ("_chunks", "_ledger", "_segments")

    def __init__(self, ledger: Portfolio) -> None:
        self._ledger = ledger
        self._segments: list[tuple[int, float, list[tuple[str, float]]]] = []
        self._chunks: list[FloatArray] = []

    def note(self, row: int) -> None:
        """Record the ledger as it stands from `row` of the current block on."""
        ledger, segments = self._ledger, self._segments
        held = [(p.symbol, p.quantity * p.multiplier) for p in ledger.positions.values() if p.quantity]
        if segments and segments[-1][0] == row:
            segments.pop()
        segments.append((row, ledger.cash, held))

    def close_block(self, block: BarBlock) -> None:
        """Compute the delivered rows of `block`, of which every change was noted."""
        first, end = block.start, len(block)
        symbols = {symbol for segment in self._segments for symbol, _ in segment[2]}
        if len(self._segments) == 1 and not symbols:
            # Nothing held and nothing changed: three numbers, however many rows.
            idle = np.array([[self._segments[0][1]], [0.0], [0.0]])
            self._chunks.append(np.broadcast_to(idle, (3, end - first)))
            self._segments = []
            return
        starts, cash, holdings = zip(*self._segments, strict=True)
        lengths = np.diff([*starts, end])
        values = np.empty((3, end - first))
        values[0] = np.repeat(cash, lengths)
        if len(symbols) <= 1:
            # One symbol, traded however often, is one product over the whole block.
            units = np.repeat([held[0][1] if held else 0.0 for held in holdings], lengths)
            mark = block.mark[first:, block.columns[symbols.pop()]] if symbols else units
            # A mark is unknown only while nothing is held.
            values[2] = np.multiply(mark, units, out=np.zeros(end - first), where=units != 0.0)
            np.abs(values[2], out=values[1])
        else:
            self._add_segments(block, values)
        self._chunks.append(values)
        self._segments = []

    def _add_segments(self, block: BarBlock, values: FloatArray) -> None:
        first, end = block.start, len(block)
        for i, (row, _, held) in enumerate(self._segments):
            stop = self._segments[i + 1][0] if i + 1 < len(self._segments) else end
            at = slice(row - first, stop - first)
            if not held:
                values[1:, at] = 0.0
                continue
            worth = block.mark[row:stop][:, [block.columns[s] for s, _ in held]] * np.array([units for _, units in held])
            # Summed from left to right: a product (`@`, `einsum`) may round a row differently when there are more rows.
            values[1, at] = np.add.accumulate(np.abs(worth), axis=1)[:, -1]
            values[2, at] = np.add.accumulate(worth, axis=1)[:, -1]

    def open_block(self, block: BarBlock) -> None:
        """Begin a block with the ledger as it stands."""
        self.note(block.start)

    def values(self) -> FloatArray:
        """Return cash, gross and net exposure, shape (3, n)."""
        return np.concatenate(self._chunks, axis=1) if self._chunks else np.empty((3, 0))


class CurveRecorder:
    """Curves of every strategy's ledger, their sum, and the prices at session ends.

    Attributes
    ----------
    changed : set of str
        Strategies whose ledger changed at the current instant.
    """

    def __init__(self, ledgers: dict[str, Portfolio]) -> None:
        self._curves = {name: LedgerCurve(ledger) for name, ledger in ledgers.items()}
        self._known: list[np.ndarray] = []
        self._sessions: list[tuple[np.ndarray, np.ndarray]] = []
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
        delivered = slice(block.start, len(block))
        session = block.session[delivered]
        last_rows = np.flatnonzero(np.append(session[1:] != session[:-1], True))
        # A copy: a view would keep alive the memory that it is a part of. Sessions are kept as how many rows each has.
        self._known.append(block.known_ns[delivered].copy())
        self._sessions.append((session[last_rows], np.diff(last_rows, prepend=-1)))
        ends = last_rows + block.start
        self._ends.append((block.session[ends], block.known_ns[ends], block.mark[ends]))

    def curves(self) -> tuple[EquityCurve, dict[str, EquityCurve]]:
        """Return the account's curve and each strategy's."""
        ts = np.concatenate(self._known) if self._known else np.empty(0, np.int64)
        runs = [np.repeat(days, rows) for days, rows in self._sessions]
        session = np.concatenate(runs) if runs else np.empty(0, np.int32)
        each = {name: curve.values() for name, curve in self._curves.items()}
        by_strategy = {name: EquityCurve(ts, session, v[0] + v[2], v[0], v[1], v[2]) for name, v in each.items()}
        if len(by_strategy) == 1:
            return next(iter(by_strategy.values())), by_strategy
        cash, gross, net = sum(each.values(), np.zeros((3, len(ts))))
        return EquityCurve(ts, session, cash + net, cash, gross, net), by_strategy

    def prices(self) -> SessionPrices:
        """Return the last price of every symbol at each session's end."""
        if not self._ends:
            return SessionPrices(self._symbols, np.empty(0, np.int32), np.empty(0, np.int64), np.empty((0, len(self._symbols))))
        days, ts, marks = (np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in zip(*self._ends, strict=True))
        # A session that goes on in the next block has its end there.
        known, last = np.unique(days[::-1], return_index=True)
        if not np.array_equal(known, days):
            last = len(days) - 1 - last
            days, ts, marks = known, ts[last], marks[last]
        return SessionPrices(self._symbols, days, ts, marks)
