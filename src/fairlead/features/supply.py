"""Where a run's features come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fairlead.core.bars import BarBlock
from fairlead.data.source import DataSource
from fairlead.features.feed import RunFeed, SideData
from fairlead.features.plan import Request
from fairlead.features.settings import FeatureSettings

if TYPE_CHECKING:
    from fairlead.features.store import FeatureStore, Progress

FOLDER: Final = "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSupply:
    """What a run may compute its features from, and whether it reads and keeps values.

    Parameters
    ----------
    side : SideData
        What features may read beside the bars.
    folder, cache, compute_on_demand
        As `FeatureStore` takes them.
    """

    side: SideData = field(default_factory=SideData)
    folder: Path | None = None
    cache: bool = True
    compute_on_demand: bool = True

    @classmethod
    def of(cls, settings: FeatureSettings, workspace: Path) -> FeatureSupply:
        """Return what settings ask for, with its facts read.

        Raises
        ------
        DataNotFound, DataError, ContractError
            If the facts cannot be read; see `Facts.load`.
        """
        facts = None
        if settings.facts is not None:
            from fairlead.data.facts import Facts  # noqa: PLC0415  polars is for runs that have facts

            facts = Facts.load(settings.facts)
        return cls(
            side=SideData(settings.benchmark or "", facts),
            folder=workspace / FOLDER,
            cache=settings.cache,
            compute_on_demand=settings.compute_on_demand,
        )

    def open(self, requests: Mapping[str, Request], source: DataSource, first: BarBlock) -> RunFeed:
        """Return the feed of a run over `source` that begins with its `first` block; see `FeatureStore.feed`."""
        return self._store(source).feed(requests, first)

    def prepare(self, requests: Iterable[Request], source: DataSource, progress: Progress | None = None) -> None:
        """Materialise what a run will want on disk, so that its progress can be shown; else `open` does it."""
        self._store(source).prepare(requests, progress)

    def until(self, known_ns: int) -> FeatureSupply:
        """Return the supply of a run that is to know nothing of what came later: without the disk, and facts cut.

        What is kept was computed from all of history. A run on the part up to an instant computes its values itself, which
        proves those that are kept, and leaves nothing on disk for a part that nobody asks for again.
        """
        facts = None if self.side.facts is None else self.side.facts.known_by(known_ns)
        return replace(self, side=replace(self.side, facts=facts), folder=None, cache=False, compute_on_demand=True)

    def _store(self, source: DataSource) -> FeatureStore:
        from fairlead.features.store import FeatureStore  # noqa: PLC0415  what a run without kept features need not load

        return FeatureStore(
            source, folder=self.folder, cache=self.cache, compute_on_demand=self.compute_on_demand, side=self.side
        )
