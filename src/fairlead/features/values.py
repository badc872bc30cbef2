"""Values of one feature over history, in parts of bounded size: in memory, or read from disk as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from fairlead.core.arrays import BoolArray, FloatArray, IntArray
from fairlead.core.bars import BarBlock
from fairlead.core.errors import DataGap
from fairlead.core.time import format_utc
from fairlead.features.feed import RunFeed
from fairlead.features.plan import Plan


class Part(NamedTuple):
    """Values at consecutive instants.

    Attributes
    ----------
    known_ns : int64 array of shape (n,)
        When each row became known, increasing.
    has_bar : bool array of shape (n, k)
        Whether a symbol has a bar in a row.
    values : tuple of float64 arrays of shape (n, k)
        One per output, in units of the day.
    """

    known_ns: IntArray
    has_bar: BoolArray
    values: tuple[FloatArray, ...]

    def rows(self, rows: slice) -> Part:
        """Return some of the rows."""
        return Part(self.known_ns[rows], self.has_bar[rows], tuple(array[rows] for array in self.values))


class Values(Protocol):
    """Successive parts, found by the instants that they begin and end with."""

    @property
    def first_ns(self) -> IntArray:
        """First instant of each part."""

    @property
    def last_ns(self) -> IntArray:
        """Last instant of each part."""

    def part(self, index: int) -> Part:
        """Return one part."""


class MemoryValues:
    """Values that are held in memory.

    Parameters
    ----------
    parts : sequence of Part
        In order of time, none of them empty.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = tuple(parts)
        self.first_ns = np.array([part.known_ns[0] for part in parts], np.int64)
        self.last_ns = np.array([part.known_ns[-1] for part in parts], np.int64)

    def part(self, index: int) -> Part:
        """Return one part."""
        return self._parts[index]


def between(values: Values, start_ns: int, end_ns: int) -> Iterator[Part]:
    """Yield the rows from one instant to another, both included, part by part."""
    first = int(np.searchsorted(values.last_ns, start_ns))
    stop = int(np.searchsorted(values.first_ns, end_ns, side="right"))
    for index in range(first, stop):
        part = values.part(index)
        begin, end = np.searchsorted(part.known_ns, start_ns), np.searchsorted(part.known_ns, end_ns, side="right")
        if end > begin:
            yield part.rows(slice(int(begin), int(end)))


def last_known(values: Values, columns: Sequence[int], known_ns: int, outputs: int) -> FloatArray:
    """Return the values at each column's last bar at or before an instant, shape (columns, outputs); NaN without such a bar."""
    found = np.full((len(columns), outputs), np.nan)
    waiting = dict(enumerate(columns))
    for index in range(int(np.searchsorted(values.first_ns, known_ns, side="right")) - 1, -1, -1):
        part = values.part(index)
        stop = int(np.searchsorted(part.known_ns, known_ns, side="right"))
        for place, column in tuple(waiting.items()):
            rows = np.flatnonzero(part.has_bar[:stop, column])
            if len(rows):
                found[place] = [array[rows[-1], column] for array in part.values]
                del waiting[place]
        if not waiting:
            break
    return found


class Aligned:
    """Rows of values at given instants, asked for in order of time.

    Parameters
    ----------
    values : Values
    name : str
        Whose they are, for messages.
    """

    def __init__(self, values: Values, name: str) -> None:
        self._values, self._name = values, name
        self._index = -1
        self._part: Part | None = None

    def rows(self, known_ns: IntArray, shape: tuple[int, int]) -> list[FloatArray]:
        """Return the values at `known_ns`: per output one array of `shape` (instants, symbols).

        Raises
        ------
        DataGap
            If there is no row at one of the instants.
        """
        arrays: list[FloatArray] = []
        at = 0
        while at < len(known_ns):
            part = self._reach(int(known_ns[at]))
            stop = at + int(np.searchsorted(known_ns[at:], part.known_ns[-1], side="right"))
            rows = np.searchsorted(part.known_ns, known_ns[at:stop])
            strange = part.known_ns[rows] != known_ns[at:stop]
            if strange.any():
                raise self._gap(int(known_ns[at:stop][strange][0]))
            arrays = arrays or [np.empty(shape) for _ in part.values]
            for array, source in zip(arrays, part.values, strict=True):
                array[at:stop] = source[rows]
            at = stop
        return arrays

    def _reach(self, known_ns: int) -> Part:
        index = max(self._index, int(np.searchsorted(self._values.last_ns, known_ns)))
        if index >= len(self._values.last_ns):
            raise self._gap(known_ns)
        if self._part is None or index != self._index:
            self._index, self._part = index, self._values.part(index)
        return self._part

    def _gap(self, known_ns: int) -> DataGap:
        return DataGap(
            f"the kept values of feature {self._name!r} have no row at {format_utc(known_ns)}, at which the run has bars. "
            f"Compute them again: fairlead features invalidate {self._name}."
        )


class KeptFeed:
    """Features of a run of which some are kept: a `RunFeed`.

    Parameters
    ----------
    plan : Plan
        Of all of them.
    kept : mapping of str to Values
        Label -> values over a history that holds the run's.
    computed : RunFeed, optional
        Where the others come from.
    """

    def __init__(self, plan: Plan, kept: Mapping[str, Values], computed: RunFeed | None) -> None:
        self.plan = plan
        self._kept = {label: Aligned(values, plan.asked[label].feature.name) for label, values in kept.items()}
        self._computed = computed
        self._values: dict[str, Sequence[FloatArray]] = {}

    def take(self, block: BarBlock) -> None:
        """Find the values of the delivered rows of the block that follows.

        Raises
        ------
        DataGap
            If kept values have no row at an instant of the block.
        """
        if self._computed is not None:
            self._computed.take(block)
        known = block.known_ns[block.start :]
        shape = len(known), len(block.symbols)
        self._values = {label: aligned.rows(known, shape) for label, aligned in self._kept.items()}

    def values(self, label: str) -> Sequence[FloatArray]:
        """Return the values in the last block: per output one array of shape (rows delivered, symbols), in units of the day."""
        if label in self._kept or self._computed is None:
            return self._values[label]
        return self._computed.values(label)
