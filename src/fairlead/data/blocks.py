"""Assembly of history: the canonical long table, in chunks of any size, becomes a stream of `BarBlock`.

Three pure steps. A *panel* is a run of whole instants as time-by-symbol arrays; chunks become panels, panels are cut and
joined to blocks of even size, and corporate actions are placed in each block. Where every symbol has a bar at every instant,
a panel is a view of the table's own memory and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairlead.core.arrays import DayArray, FloatArray, IntArray
from fairlead.core.bars import BarBlock, EffectiveAction, effective_actions, forward_fill
from fairlead.core.errors import DataError
from fairlead.core.events import CorporateAction
from fairlead.core.time import format_utc

CELLS_PER_BLOCK: Final = 250_000
MIN_BLOCK_ROWS: Final = 256


class _Panel(NamedTuple):
    """Consecutive whole instants: the arrays of a `BarBlock`, in its order."""

    label_ns: IntArray
    known_ns: IntArray
    session: DayArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    mark: FloatArray

    def rows(self, first: int, stop: int | None = None) -> _Panel:
        return self if first == 0 and stop is None else _Panel._make(array[first:stop] for array in self)


class _Rows(NamedTuple):
    """Long rows as plain arrays, sorted by (known, column)."""

    known: IntArray
    column: IntArray
    label: IntArray
    session: DayArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def part(self, first: int, stop: int | None = None) -> _Rows:
        return _Rows._make(array[first:stop] for array in self)


def block_rows(symbols: int) -> int:
    """Return how many instants a block delivers: about 250,000 cells, at least 256 rows."""
    return max(MIN_BLOCK_ROWS, CELLS_PER_BLOCK // max(1, symbols))


def assemble(
    chunks: Iterable[pa.Table | pa.RecordBatch],
    symbols: Sequence[str],
    *,
    carry: int,
    actions: Sequence[CorporateAction] = (),
    rows: int | None = None,
) -> Iterator[BarBlock]:
    """Yield blocks of history; how the table was chunked leaves no trace in them.

    Parameters
    ----------
    chunks : iterable of pyarrow Table or RecordBatch
        Successive parts of one canonical table (`fairlead.data.table.BAR_SCHEMA`); the symbol may be dictionary-encoded.
    symbols : sequence of str
        Column order of the blocks: sorted. Rows of other symbols are left out.
    carry : int
        How many rows of history each block repeats before its `start`.
    actions : sequence of CorporateAction
        Placed at the first row whose session is at or after their ex-session; carried rows keep theirs.
    rows : int, optional
        Instants per block. Default: `block_rows`.

    Yields
    ------
    BarBlock
        With read-only, C-contiguous arrays. Nothing is yielded for an empty table.

    Raises
    ------
    DataError
        If rows are not sorted by (known, symbol) or a symbol has two bars at one instant.
    """
    per_block = block_rows(len(symbols)) if rows is None else rows
    return _blocks(_panels(chunks, tuple(symbols), per_block), tuple(symbols), carry, tuple(actions), per_block)


def _blocks(
    panels: Iterator[_Panel], symbols: tuple[str, ...], carry: int, actions: tuple[CorporateAction, ...], per_block: int
) -> Iterator[BarBlock]:
    columns = {symbol: i for i, symbol in enumerate(symbols)}
    keep = max(carry, 1)  # one row back is needed to price a dividend that falls on the first row of a block
    parts: list[_Panel] = []
    held = 0
    carried = 0
    placed: tuple[EffectiveAction, ...] = ()
    last_session: int | None = None

    def cut(stop: int) -> BarBlock:
        nonlocal parts, held, carried, placed, last_session
        joined = _join(parts)
        panel = joined.rows(0, stop)
        new = effective_actions(
            actions, columns, panel.session, panel.mark, open_=panel.open, first_row=carried, after_session=last_session
        )
        placed = (*placed, *new)
        # With carry 0 the one row that was kept for pricing is not part of the block.
        extra = carried if carry == 0 else 0
        block = _block(symbols, panel.rows(extra), carried - extra, _shift(placed, extra))
        last_session = int(panel.session[-1])
        drop = max(0, stop - keep)
        placed = _shift(placed, drop)
        parts = [joined.rows(drop)]
        held = len(joined.known_ns) - drop
        carried = stop - drop
        return block

    for panel in panels:
        parts.append(panel)
        held += len(panel.known_ns)
        while held - carried >= per_block:
            yield cut(carried + per_block)
    if held > carried:
        yield cut(held)


def _block(symbols: tuple[str, ...], panel: _Panel, start: int, actions: tuple[EffectiveAction, ...]) -> BarBlock:
    for array in panel:
        array.flags.writeable = False
    return BarBlock(symbols, *panel, start=start, actions=actions)


def _shift(placed: tuple[EffectiveAction, ...], drop: int) -> tuple[EffectiveAction, ...]:
    return placed if drop == 0 else tuple(e._replace(row=e.row - drop) for e in placed if e.row >= drop)


def _join(parts: list[_Panel]) -> _Panel:
    return parts[0] if len(parts) == 1 else _Panel._make(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _panels(chunks: Iterable[pa.Table | pa.RecordBatch], symbols: tuple[str, ...], per_block: int) -> Iterator[_Panel]:
    """Yield panels; the last instant of a chunk waits for the next chunk, which may continue it."""
    names = pa.array(symbols, pa.string())
    waiting: list[_Rows] = []
    waits_for = -1
    mark: FloatArray | None = None
    for rows in _long_rows(chunks, names):
        if waiting and int(rows.known[0]) < waits_for:
            raise _unsorted(int(rows.known[0]))
        waits_for = int(rows.known[-1])
        steps = np.diff(rows.known)
        if (steps < 0).any():
            raise _unsorted(int(rows.known[1:][steps < 0][0]))
        starts = np.flatnonzero(steps) + 1
        if len(starts) == 0 and waiting and int(waiting[-1].known[-1]) == waits_for:
            waiting.append(rows)
            continue
        last = int(starts[-1]) if len(starts) else 0
        if waiting or last:
            whole = _concatenate([*waiting, rows.part(0, last)])
            for panel in _pivot(whole, len(symbols), mark, per_block):
                mark = panel.mark[-1]
                yield panel
        waiting = [rows.part(last)]
    if waiting:
        yield from _pivot(_concatenate(waiting), len(symbols), mark, per_block)


def _long_rows(chunks: Iterable[pa.Table | pa.RecordBatch], names: pa.Array) -> Iterator[_Rows]:
    for chunk in chunks:
        for batch in chunk.to_batches() if isinstance(chunk, pa.Table) else (chunk,):
            if batch.num_rows == 0:
                continue
            column = _column_numbers(batch.column("symbol"), names)
            selected = batch
            if column.null_count:
                selected = batch.filter(column.is_valid())
                column = column.drop_null()
            if selected.num_rows == 0:
                continue
            yield _Rows(
                _integers(selected.column("known"), pa.int64()),
                column.to_numpy(),
                _integers(selected.column("label"), pa.int64()),
                _integers(selected.column("session"), pa.int32()),
                *(selected.column(name).to_numpy() for name in ("open", "high", "low", "close", "volume")),
            )


def _integers(values: pa.Array, kind: pa.DataType) -> Any:
    return values.view(kind).to_numpy()


def _column_numbers(values: pa.Array, names: pa.Array) -> pa.Array:
    """Return the column of each row's symbol; null for symbols that are not selected."""
    if isinstance(values, pa.DictionaryArray):
        return pc.take(pc.index_in(values.dictionary, value_set=names), values.indices)
    return pc.index_in(values, value_set=names)


def _concatenate(parts: list[_Rows]) -> _Rows:
    parts = [part for part in parts if len(part.known)]
    return parts[0] if len(parts) == 1 else _Rows._make(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _pivot(rows: _Rows, width: int, mark: FloatArray | None, per_block: int) -> Iterator[_Panel]:
    """Yield panels of whole instants: one view if the rows are dense, else copies of at most `per_block` instants."""
    starts = np.concatenate([[0], np.flatnonzero(rows.known[1:] != rows.known[:-1]) + 1])
    height = len(starts)
    if len(rows.known) == height * width and (rows.column.reshape(height, width) == np.arange(width)).all():
        close = rows.close.reshape(height, width)
        yield _Panel(
            rows.label[starts],
            rows.known[starts],
            rows.session[starts],
            rows.open.reshape(height, width),
            rows.high.reshape(height, width),
            rows.low.reshape(height, width),
            close,
            rows.volume.reshape(height, width),
            forward_fill(close, mark),
        )
        return
    for first in range(0, height, per_block):
        inside = starts[first : first + per_block]
        stop = int(starts[first + per_block]) if first + per_block < height else len(rows.known)
        panel = _scatter(rows.part(int(inside[0]), stop), inside - inside[0], width, mark)
        mark = panel.mark[-1]
        yield panel


def _scatter(rows: _Rows, starts: IntArray, width: int, mark: FloatArray | None) -> _Panel:
    height = len(starts)
    cell = np.repeat(np.arange(height) * width, np.diff(starts, append=len(rows.known))) + rows.column
    if (np.diff(cell) <= 0).any():
        raise _unsorted(int(rows.known[1:][np.diff(cell) <= 0][0]))

    def placed(values: FloatArray) -> FloatArray:
        panel = np.full(height * width, np.nan)
        panel[cell] = values
        return panel.reshape(height, width)

    close = placed(rows.close)
    return _Panel(
        rows.label[starts],
        rows.known[starts],
        rows.session[starts],
        placed(rows.open),
        placed(rows.high),
        placed(rows.low),
        close,
        placed(rows.volume),
        forward_fill(close, mark),
    )


def _unsorted(known_ns: int) -> DataError:
    rule = "be sorted by (known, symbol), one bar per symbol and instant"
    return DataError.of("bars", rule, format_utc(known_ns), "Import the data again with --replace.")
