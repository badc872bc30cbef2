"""The features of a run: one feed for all strategies, one view for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fairlead.core.bars import BarBlock, Cursor
from fairlead.features.feed import RunFeed
from fairlead.sdk.features import FeatureRequest, FeatureView

OpenFeed = Callable[[Mapping[str, FeatureRequest]], RunFeed]


class RunFeatures:
    """What the strategies of a run declare, computed once however many ask for it.

    Parameters
    ----------
    declared : mapping of str to mapping
        Strategy -> label -> request.
    cursor : Cursor
        Where the run stands.
    open_feed : callable
        Requests -> a feed that has taken in all history before the run.

    Raises
    ------
    UnknownName, ConfigurationError
        If a request is wrong, or needs what the run does not have.
    """

    def __init__(self, declared: Mapping[str, Mapping[str, FeatureRequest]], cursor: Cursor, open_feed: OpenFeed) -> None:
        requests = {(name, label): request for name, labels in declared.items() for label, request in labels.items()}
        self._keys = {pair: "\n".join(pair) for pair in requests}
        self._feed = open_feed({self._keys[pair]: request for pair, request in requests.items()}) if requests else None
        self._views: dict[str, FeatureView] = {}
        for name, labels in declared.items():
            outputs = {label: self._outputs(name, label) for label in labels}
            self._views[name] = FeatureView(cursor, outputs)

    def view(self, name: str) -> FeatureView:
        """Return what strategy `name` sees."""
        return self._views[name]

    def enter(self, block: BarBlock) -> None:
        """Compute the delivered rows of the block that follows."""
        if self._feed is None:
            return
        self._feed.take(block)
        for name, view in self._views.items():
            own = {label: self._feed.values(key) for (owner, label), key in self._keys.items() if owner == name}
            view.enter(own, block.start)

    def _outputs(self, name: str, label: str) -> tuple[str, ...]:
        if self._feed is None:
            return ()
        node = self._feed.plan.asked[self._keys[name, label]]
        return tuple(output.name for output in node.feature.outputs)
