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


class KeptSource:
    """A `DataSource` that gives the blocks of another, which it asks once.

    Blocks are read-only, so that no trial can leave anything in them for the next. Those of one `carry` are kept at a time.

    Parameters
    ----------
    source : DataSource
    limit : int
        Bytes above which nothing is kept.
    """

    def __init__(self, source: DataSource, limit: int = KEPT_BYTES) -> None:
        self._source, self._limit = source, limit
        self._carry: int | None = None
        self._blocks: tuple[BarBlock, ...] = ()
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
        if carry == self._carry:
            yield from self._blocks
            return
        if self.expected_rows * len(self.symbols) * _BYTES_PER_BAR > self._limit:
            yield from self._source.blocks(carry=carry)
            return
        read = []
        for block in self._source.blocks(carry=carry):
            read.append(block)
            yield block
        # Only what was read to its end: a run that failed may have left in the middle.
        self._blocks, self._carry = tuple(read), carry
