"""Windows over history: runs of rows that a block shows, each with the rows before it that it repeats.

Two ways to the same windows. `cut` is for history that lies in memory: as long as it can, it returns views and copies nothing.
`gather` is for history that comes in pieces from a disk: every piece is written once, into a buffer that holds several
windows, and only when the buffer is full are the rows that the next window repeats copied to another one.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from fairlead.core.arrays import DayArray, FloatArray, IntArray
from fairlead.core.bars import forward_fill
from fairlead.core.errors import DataError
from fairlead.core.time import format_utc

# Of one column of a buffer: 16 MB.
BUFFER_CELLS: Final = 2_000_000
_MOST_FREE: Final = 12


class Panel(NamedTuple):
    """Consecutive whole instants: stamps of shape (n,), prices and volume of shape (n, k)."""

    label_ns: IntArray
    known_ns: IntArray
    session: DayArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    @property
    def height(self) -> int:
        """How many instants there are."""
        return len(self.known_ns)

    def part(self, first: int, stop: int) -> Panel:
        """Return some of the rows, as views."""
        return Panel._make(array[first:stop] for array in self)

    def fill(self, into: Panel, first: int) -> None:
        """Write the rows from `first` on into `into`, as many as it has."""
        stop = first + into.height
        targets: Iterable[Any] = into
        arrays: Iterable[Any] = self
        for target, values in zip(targets, arrays, strict=True):
            np.copyto(target, values[first:stop])


class Piece(Protocol):
    """Consecutive whole instants that can be written where they are needed."""

    @property
    def height(self) -> int:
        """How many instants there are."""

    def fill(self, into: Panel, first: int) -> None:
        """Write the rows from `first` on into `into`, as many as it has."""


class Window(NamedTuple):
    """What one block shows.

    Attributes
    ----------
    panel : Panel
    mark : float64 array of shape (n, k)
        The last close known at each row.
    carried : int
        How many of the rows were there in the window before.
    """

    panel: Panel
    mark: FloatArray
    carried: int


def cut(panels: Iterable[Panel], *, keep: int, rows: int) -> Iterator[Window]:
    """Yield windows of `rows` new instants, each repeating up to `keep` before them; views where one panel holds them all.

    Parameters
    ----------
    panels : iterable of Panel
        In order of time.
    """
    parts: list[tuple[Any, ...]] = []
    held = carried = 0
    mark: FloatArray | None = None

    def window(stop: int) -> Window:
        nonlocal parts, held, carried
        joined = parts[0] if len(parts) == 1 else tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        shown = [array[:stop] for array in joined]
        made = Window(Panel._make(shown[:-1]), shown[-1], carried)
        drop = max(0, stop - keep)
        parts = [tuple(array[drop:] for array in joined)]
        held -= drop
        carried = stop - drop
        return made

    for panel in panels:
        marks = forward_fill(panel.close, mark)
        mark = marks[-1]
        parts.append((*panel, marks))
        held += panel.height
        while held - carried >= rows:
            yield window(carried + rows)
    if held > carried:
        yield window(held)


def gather(
    pieces: Iterable[Piece], width: int, *, keep: int, rows: int, expected: int, cells: int | None = None
) -> Iterator[Window]:
    """Yield the windows that `cut` would yield; what they hold is bounded by a buffer, however long history is.

    Parameters
    ----------
    pieces : iterable of Piece
        In order of time.
    width : int
        Symbols.
    keep, rows : int
        As for `cut`; `keep` is at least 1.
    expected : int
        How many instants there may be in all, so that a short history gets a small buffer.
    cells : int, optional
        About how many cells of a column a buffer holds; more if windows repeat much. Default: `BUFFER_CELLS`.

    Raises
    ------
    DataError
        If a piece does not begin after the one before.
    """
    # However far back windows reach, a buffer holds no more that is repeated than is new.
    fitting = ((BUFFER_CELLS if cells is None else cells) // max(1, width) - keep) // rows
    full = keep + rows * max(fitting, -(-keep // rows))
    memory = _Memory()
    buffer = _Buffer(memory, width, max(1, min(full, expected)))
    done = filled = 0  # rows of the buffer that were delivered, and that are written
    for piece in pieces:
        first = 0
        while first < piece.height:
            if filled == buffer.height:
                repeated = min(keep, done)
                buffer = buffer.continued(_Buffer(memory, width, full), slice(done - repeated, filled))
                done, filled = repeated, filled - done + repeated
            count = min(piece.height - first, done + rows - filled, buffer.height - filled)
            piece.fill(buffer.panel.part(filled, filled + count), first)
            if first == 0 and filled and buffer.panel.known_ns[filled] <= buffer.panel.known_ns[filled - 1]:
                raise unsorted(int(buffer.panel.known_ns[filled]))
            first, filled = first + count, filled + count
            if filled - done == rows:
                yield buffer.window(max(0, done - keep), done, filled)
                done = filled
        del piece  # before the next is read
    if filled > done:
        yield buffer.window(max(0, done - keep), done, filled)


def unsorted(known_ns: int) -> DataError:
    """Return the error for bars that are not in order, at the instant `known_ns`."""
    rule = "be sorted by (known, symbol), one bar per symbol and instant"
    return DataError.of("bars", rule, format_utc(known_ns), "Import the data again with --replace.")


class _Memory:
    """Memory of columns that nobody looks at any more, to be used again: new pages cost more than what is written on them."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def column(self, height: int, width: int) -> FloatArray:
        """Return a column; its memory comes back when neither it nor a view of it is left."""
        fit = next((i for i, free in enumerate(self._free) if free.size == height * width), None)
        owner: Any = np.empty(height * width) if fit is None else self._free.pop(fit)
        del self._free[_MOST_FREE:]
        # Views of an array that stands on a `memoryview` refer to that array, not to the owner behind it.
        lent = np.frombuffer(memoryview(owner))
        weakref.finalize(lent, _give_back, weakref.ref(self), owner).atexit = False
        return lent.reshape(height, width)

    def take_back(self, owner: np.ndarray) -> None:
        """Keep the memory of a column for the next one."""
        self._free.append(owner)


def _give_back(memory: weakref.ref[_Memory], owner: np.ndarray) -> None:
    keeper = memory()
    if keeper is not None:  # else the history is at its end, and nobody needs memory for more of it
        keeper.take_back(owner)


class _Buffer:
    """Room for several windows; rows are written once and never change after that."""

    def __init__(self, memory: _Memory, width: int, height: int) -> None:
        self.height = height
        self._memory = memory
        prices = (memory.column(height, width) for _ in range(5))
        self.panel = Panel(np.empty(height, np.int64), np.empty(height, np.int64), np.empty(height, np.int32), *prices)
        # Where no bar is missing the last close is the close, and needs no memory of its own.
        self._mark = self.panel.close

    def continued(self, other: _Buffer, rows: slice) -> _Buffer:
        """Return `other` with some rows of this one at its beginning."""
        count = rows.stop - rows.start
        self.panel.fill(other.panel.part(0, count), rows.start)
        if self._mark is not self.panel.close and np.isnan(other.panel.close[:count]).any():
            other._own_mark(0)
            other._mark[:count] = self._mark[rows]
        return other

    def window(self, begin: int, first: int, stop: int) -> Window:
        """Return the rows from `begin` on, of which those from `first` on are new."""
        fresh = self.panel.close[first:stop]
        marks = forward_fill(fresh, self._mark[first - 1] if first else None)
        if marks is not fresh:
            self._own_mark(first)
        if self._mark is not self.panel.close:
            self._mark[first:stop] = marks
        return Window(self.panel.part(begin, stop), self._mark[begin:stop], first - begin)

    def _own_mark(self, written: int) -> None:
        if self._mark is self.panel.close:
            self._mark = self._memory.column(*self.panel.close.shape)
            self._mark[:written] = self.panel.close[:written]
