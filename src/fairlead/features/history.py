"""Features over all of a source's history: computed block by block, and told apart by all that decides their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from fairlead.contracts.files import canonical_json, sha256_bytes
from fairlead.core.arrays import FloatArray
from fairlead.core.bars import BarBlock
from fairlead.core.errors import ConfigurationError
from fairlead.data.source import DataSource
from fairlead.features.definition import Feature, plain
from fairlead.features.feed import Feed, SideData, check_columns, open_feed
from fairlead.features.identity import kernel_hash
from fairlead.features.inputs import BENCHMARK, FACT
from fairlead.features.plan import Plan, Request, make_plan
from fairlead.features.registry import find_feature, known_features
from fairlead.features.value_files import ValueKey
from fairlead.features.values import Part

BEGINNING: Final = int(np.iinfo(np.int64).min)
END: Final = int(np.iinfo(np.int64).max)
_ARITHMETIC: Final = 1
"""Raise it when feed, drivers or rebasing come to other numbers for the same kernels: what was kept is then left alone."""


class FeatureHistory:
    """Features over the whole history of a source's symbols.

    Parameters
    ----------
    source : DataSource
        Its dates do not matter.
    side : SideData
        What features may read beside the bars.

    Attributes
    ----------
    whole : DataSource
        All dates there are.
    """

    def __init__(self, source: DataSource, side: SideData) -> None:
        self._source, self.whole = source, source.whole()
        self._side = side
        self._own: dict[str, Feature] = {}
        self._plans: dict[tuple[str, str], Plan] = {}

    def register(self, feature: Feature) -> None:
        """Make a feature known under its name.

        Raises
        ------
        ConfigurationError
            If the name belongs to a feature that ships or is installed, or to another kernel of the same version.
        """
        if feature.name in known_features():
            raise ConfigurationError.of("name", "not be one of a feature that is installed", feature.name, "Choose another.")
        before = self._own.get(feature.name)
        if before is not None and before.version == feature.version and kernel_hash(before) != kernel_hash(feature):
            raise ConfigurationError(
                f"feature {feature.name!r} version {feature.version} is registered with another kernel. Raise its version to "
                f"{feature.version + 1}, or choose another name."
            )
        self._own[feature.name] = feature
        self._plans.clear()

    def find(self, name: str) -> Feature:
        """Return a registered feature, or what `fairlead.features.find_feature` finds."""
        return self._own[name] if name in self._own else find_feature(name)

    def plan(self, request: Request) -> Plan:
        """Return the plan of one request, under the label "".

        Raises
        ------
        UnknownName, ConfigurationError
            If the request is wrong, or needs what is not there.
        """
        name, params = split(request)
        place = name, canonical_json(params)
        if place not in self._plans:
            plan = make_plan({"": request}, self.find)
            check_columns(plan, self.whole.symbols, self._side)
            self._plans[place] = plan
        return self._plans[place]

    def key(self, request: Request) -> ValueKey:
        """Return whose values the answer to a request is."""
        whole, plan = self.whole, self.plan(request)
        node = plan.asked[""]
        feature = node.feature
        facts = self._side.facts if any(name.startswith(FACT) for name in plan.columns) else None
        data = {
            "arithmetic": _ARITHMETIC,
            "bars": whole.content_hash,
            "benchmark": self._side.benchmark if BENCHMARK in plan.columns else None,
            "facts": None if facts is None else facts.content_hash,
            "units": [output.unit for output in feature.outputs],  # no part of the identity, yet they decide the numbers
        }
        return ValueKey(
            feature=feature.name,
            version=feature.version,
            params=feature.resolve(split(request)[1]),
            identity=node.identity,
            dataset=whole.name,
            bar_size=whole.bar_size,
            dataset_sha256=whole.content_hash,
            data_sha256=sha256_bytes(canonical_json(data).encode()),
            symbols=whole.symbols,
            outputs=tuple(output.name for output in feature.outputs),
        )

    def parts(
        self, requests: Mapping[str, Request], from_ns: int = BEGINNING, until_ns: int = END
    ) -> Iterator[Mapping[str, Part]]:
        """Yield values block by block, by label: at least those between two instants.

        Raises
        ------
        StrategyError
            If a kernel raises.
        """
        whole = self.whole
        feed = Feed(requests, whole.symbols, actions=whole.actions, calendar=whole.calendar, side=self._side, find=self.find)
        for block in whole.blocks(carry=0):
            if block.known_ns[block.start] > until_ns:
                return
            feed.take(block)
            if block.known_ns[-1] >= from_ns:
                yield {label: _part(block, feed.values(label)) for label in requests}

    def feed(self, requests: Mapping[str, Request], first: BarBlock) -> Feed:
        """Return a feed that has taken in all history before the `first` block of the source; see `open_feed`."""
        return open_feed(requests, self._source, first, side=self._side, find=self.find)


def split(request: Request) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the parameters of a request."""
    return (request, {}) if isinstance(request, str) else (request[0], plain(request[1]))


def _part(block: BarBlock, values: Sequence[FloatArray]) -> Part:
    close = block.close[block.start :]
    return Part(block.known_ns[block.start :].copy(), close == close, tuple(values))
