"""History that is read once and kept, for a process that runs many trials over it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final

from fairlead.core.bars import BarBlock
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize
from fairlead.data.source import DataSource

KEPT_BYTES: Final = 256 * 2**20
"""History up to about this size is kept; what is larger is read again for every trial."""
# Six columns of prices and volume by symbol; stamps weigh little beside them.
_BYTES_PER_BAR: Final = 6 * 8
# One for the run, one for features that warm up before it.
_CARRIES: Final = 2


class KeptSource:
    """A `DataSource` that gives the blocks of another, which it asks once.

    Blocks are read-only, so that no trial can leave anything in them for the next. Those of two values of `carry` are kept at
    a time.

    Parameters
    ----------
    source : DataSource
    limit : int
        Bytes above which nothing is kept.
    """

    def __init__(self, source: DataSource, limit: int = KEPT_BYTES) -> None:
        self._source, self._limit = source, limit
        self._kept: dict[int, _Reading] = {}
        self.name = source.name
        self.symbols = source.symbols
        self.bar_size: BarSize = source.bar_size
        self.calendar = source.calendar
        self.is_synthetic = source.is_synthetic
        self.content_hash = source.content_hash
        self.actions: tuple[CorporateAction, ...] = source.actions
        self.expected_rows = source.expected_rows

    def whole(self) -> DataSource:
        """Return the same symbols over all dates there are."""
        return self._whole

    @cached_property
    def _whole(self) -> DataSource:
        whole = self._source.whole()
        return self if whole is self._source else KeptSource(whole, self._limit)

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:
        """Yield history in order; see `DataSource.blocks`."""
        if self.expected_rows * len(self.symbols) * _BYTES_PER_BAR > self._limit:
            return self._source.blocks(carry=carry)
        reading = self._kept.pop(carry, None) or _Reading(self._source.blocks(carry=carry))
        self._kept[carry] = reading
        while len(self._kept) > _CARRIES:
            del self._kept[next(iter(self._kept))]
        return reading.from_the_start()


class _Reading:
    """Blocks as far as anyone has read: features that warm up stop in the middle."""

    def __init__(self, blocks: Iterator[BarBlock]) -> None:
        self._rest = blocks
        self._read: list[BarBlock] = []
        self._failed: BaseException | None = None

    def from_the_start(self) -> Iterator[BarBlock]:
        place = 0
        while True:
            if place == len(self._read):
                if self._failed is not None:
                    raise self._failed  # an iterator that raised looks, to the next who asks, as if it were at its end
                try:
                    block = next(self._rest, None)
                except BaseException as exc:
                    self._failed = exc
                    raise
                if block is None:
                    return
                self._read.append(block)
            yield self._read[place]
            place += 1
