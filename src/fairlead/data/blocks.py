"""Assembly of history: the canonical long table, in chunks of any size, becomes a stream of `BarBlock`.

Three pure steps. A *panel* is a run of whole instants as time-by-symbol arrays; chunks become panels, panels become windows
of even size (`fairlead.data.windows`), and corporate actions are placed in each. Where every symbol has a bar at every instant,
a panel is a view of the table's own memory and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairlead.core.arrays import DayArray, FloatArray, IntArray
from fairlead.core.bars import BarBlock, EffectiveAction, effective_actions
from fairlead.core.events import CorporateAction
from fairlead.data.windows import Panel, Piece, Window, cut, gather, unsorted

CELLS_PER_BLOCK: Final = 250_000
MIN_BLOCK_ROWS: Final = 256


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
    windows = cut(panels_of(chunks, symbols, rows=per_block), keep=_kept(carry), rows=per_block)
    return _blocks(windows, tuple(symbols), carry, tuple(actions))


def assemble_pieces(
    pieces: Iterable[Piece],
    symbols: Sequence[str],
    *,
    carry: int,
    expected: int,
    actions: Sequence[CorporateAction] = (),
    rows: int | None = None,
) -> Iterator[BarBlock]:
    """Yield the same blocks as `assemble`, from history that comes in pieces; memory is bounded by a few blocks.

    Parameters
    ----------
    pieces : iterable of Piece
        Successive instants, as wide as `symbols`.
    symbols, carry, actions, rows
        As for `assemble`.
    expected : int
        How many instants there may be in all.

    Raises
    ------
    DataError
        If the pieces are not in order.
    """
    per_block = block_rows(len(symbols)) if rows is None else rows
    windows = gather(pieces, len(symbols), keep=_kept(carry), rows=per_block, expected=expected)
    return _blocks(windows, tuple(symbols), carry, tuple(actions))


def _kept(carry: int) -> int:
    return max(carry, 1)  # one row back is needed to price a dividend that falls on the first row of a block


def _blocks(
    windows: Iterable[Window], symbols: tuple[str, ...], carry: int, actions: tuple[CorporateAction, ...]
) -> Iterator[BarBlock]:
    columns = {symbol: i for i, symbol in enumerate(symbols)}
    placed: tuple[EffectiveAction, ...] = ()
    before = 0
    last_session: int | None = None
    for panel, mark, carried in windows:
        new = effective_actions(
            actions, columns, panel.session, mark, open_=panel.open, first_row=carried, after_session=last_session
        )
        placed = (*_shift(placed, before - carried), *new)
        before, last_session = panel.height, int(panel.session[-1])
        # With carry 0 the one row that was kept for pricing is not part of the block.
        extra = carried if carry == 0 else 0
        arrays = _read_only((*panel, mark), extra)
        yield BarBlock(symbols, *arrays, start=carried - extra, actions=_shift(placed, extra))  # type: ignore[misc]  # nine arrays


def _read_only(arrays: Sequence[Any], first: int) -> list[Any]:
    views = [array[first:] for array in arrays]
    for view in views:
        view.flags.writeable = False
    return views


def _shift(placed: tuple[EffectiveAction, ...], drop: int) -> tuple[EffectiveAction, ...]:
    return placed if drop == 0 else tuple(e._replace(row=e.row - drop) for e in placed if e.row >= drop)


def panels_of(chunks: Iterable[pa.Table | pa.RecordBatch], symbols: Sequence[str], *, rows: int) -> Iterator[Panel]:
    """Yield the whole instants of a canonical table that comes in chunks.

    The last instant of a chunk waits for the next chunk, which may continue it.

    Parameters
    ----------
    chunks, symbols
        As for `assemble`.
    rows : int
        Most instants of a panel that is not a view.

    Raises
    ------
    DataError
        As for `assemble`.
    """
    names = pa.array(symbols, pa.string())
    waiting: list[_Rows] = []
    waits_for = -1
    for long in _long_rows(chunks, names):
        if waiting and int(long.known[0]) < waits_for:
            raise unsorted(int(long.known[0]))
        waits_for = int(long.known[-1])
        steps = np.diff(long.known)
        if (steps < 0).any():
            raise unsorted(int(long.known[1:][steps < 0][0]))
        starts = np.flatnonzero(steps) + 1
        if len(starts) == 0 and waiting and int(waiting[-1].known[-1]) == waits_for:
            waiting.append(long)
            continue
        last = int(starts[-1]) if len(starts) else 0
        if waiting or last:
            yield from _pivot(_concatenate([*waiting, long.part(0, last)]), len(symbols), rows)
        waiting = [long.part(last)]
    if waiting:
        yield from _pivot(_concatenate(waiting), len(symbols), rows)


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


def _pivot(rows: _Rows, width: int, most: int) -> Iterator[Panel]:
    """Yield panels of whole instants: one view if the rows are dense, else copies of at most `most` instants."""
    starts = np.concatenate([[0], np.flatnonzero(rows.known[1:] != rows.known[:-1]) + 1])
    height = len(starts)
    if len(rows.known) == height * width and (rows.column.reshape(height, width) == np.arange(width)).all():
        yield _panel(rows, starts, lambda values: values.reshape(height, width))
        return
    for first in range(0, height, most):
        inside = starts[first : first + most]
        stop = int(starts[first + most]) if first + most < height else len(rows.known)
        yield _scatter(rows.part(int(inside[0]), stop), inside - inside[0], width)


def _scatter(rows: _Rows, starts: IntArray, width: int) -> Panel:
    height = len(starts)
    cell = np.repeat(np.arange(height) * width, np.diff(starts, append=len(rows.known))) + rows.column
    if (np.diff(cell) <= 0).any():
        raise unsorted(int(rows.known[1:][np.diff(cell) <= 0][0]))

    def placed(values: FloatArray) -> FloatArray:
        panel = np.full(height * width, np.nan)
        panel[cell] = values
        return panel.reshape(height, width)

    return _panel(rows, starts, placed)


def _panel(rows: _Rows, starts: IntArray, shaped: Callable[[FloatArray], FloatArray]) -> Panel:
    prices = (rows.open, rows.high, rows.low, rows.close, rows.volume)
    return Panel(rows.label[starts], rows.known[starts], rows.session[starts], *map(shaped, prices))
