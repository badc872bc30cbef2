"""The seam between stored history and the engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from fairlead.core.bars import BarBlock
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize


class DataSource(Protocol):
    """A selection of history (symbols and dates are already chosen) that can be streamed in bounded chunks."""

    @property
    def name(self) -> str:
        """The dataset's name."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Column order of every block: sorted."""

    @property
    def bar_size(self) -> BarSize:
        """Length of a bar."""

    @property
    def calendar(self) -> str:
        """Name of the exchange calendar."""

    @property
    def is_synthetic(self) -> bool:
        """Whether the prices were generated; every artefact says so."""

    @property
    def content_hash(self) -> str:
        """SHA-256 of the selected data, corporate actions included."""

    @property
    def actions(self) -> tuple[CorporateAction, ...]:
        """Corporate actions of the selected symbols, ordered by (ex_session, symbol, kind)."""

    @property
    def expected_rows(self) -> int:
        """About how many instants there are, for progress; may be an estimate."""

    def whole(self) -> DataSource:
        """Return the same symbols over all dates there are; itself if no dates were chosen."""

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:
        """Yield history in order.

        Parameters
        ----------
        carry : int
            How many rows of history each block repeats before its `start`.

        Raises
        ------
        DataNotFound
            If the selection holds no bar at all.
        """
