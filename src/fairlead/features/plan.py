"""From the features that are asked for to steps in an order in which each finds its inputs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import ConfigurationError
from fairlead.features.definition import Feature, Uses
from fairlead.features.identity import definition_hash
from fairlead.features.inputs import INPUT_COLUMNS
from fairlead.features.registry import find_feature

Request: TypeAlias = "str | tuple[str, Mapping[str, Any]]"
Find: TypeAlias = Callable[[str], Feature]


@dataclass(frozen=True, slots=True)
class Node:
    """One feature with its parameters, and where its numbers stand in a row of slots.

    Attributes
    ----------
    params : float64 array of shape (parameters,)
    inputs : int64 array of shape (inputs,)
        Slots to read.
    first : int
        First slot to write; the outputs follow each other.
    warm_up : int
        Rows without a value before the first one, if no input is missing; what the inputs need is included.
    identity : str
        See `definition_hash`.
    """

    feature: Feature
    params: FloatArray
    inputs: IntArray
    first: int
    state_size: int
    warm_up: int
    identity: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Nodes in order of computation over a row of slots: first the columns, then each node's outputs.

    Attributes
    ----------
    columns : tuple of str
        The columns that are needed, in the order of their slots.
    nodes : tuple of Node
        Each identity once, however many ask for it.
    asked : dict of str to Node
        Label -> node.
    width : int
        Number of slots.
    """

    columns: tuple[str, ...]
    nodes: tuple[Node, ...]
    asked: Mapping[str, Node]
    width: int

    @property
    def compares_symbols(self) -> bool:
        """Whether some node needs all symbols of an instant at once."""
        return any(node.feature.cross_section for node in self.nodes)


def make_plan(requests: Mapping[str, Request], find: Find = find_feature) -> Plan:
    """Return the plan that computes `requests`.

    Parameters
    ----------
    requests : mapping of str to str or (str, mapping)
        Label -> a feature's name, or its name and parameters.
    find : callable
        Name -> feature.

    Raises
    ------
    UnknownName
        If a feature, output or parameter is not known.
    ConfigurationError
        If a parameter is out of range, features use each other in a circle, or one declares a state or a warm-up that is no
        number of numbers or steps.
    """
    drafts = _Drafts(find)
    labels = {label: drafts.add(*((r, {}) if isinstance(r, str) else r)) for label, r in requests.items()}
    columns = (*(c for c in INPUT_COLUMNS if c in drafts.columns), *sorted(drafts.columns.difference(INPUT_COLUMNS)))
    slots: dict[tuple[str, int], int] = {(name, 0): i for i, name in enumerate(columns)}
    nodes: dict[str, Node] = {}
    width = len(columns)
    for identity, draft in drafts.found.items():
        feature, params = draft.feature, draft.params
        nodes[identity] = Node(
            feature,
            np.array([float(params[name]) for name in feature.parameters], np.float64),
            np.array([slots[source] for source in draft.sources], np.int64),
            width,
            _count(feature, "state_size", params),
            _count(feature, "warm_up", params)
            + max([nodes[name].warm_up for name, _ in draft.sources if name in nodes], default=0),
            identity,
        )
        slots.update({(identity, i): width + i for i in range(len(feature.outputs))})
        width += len(feature.outputs)
    return Plan(columns, tuple(nodes.values()), {label: nodes[identity] for label, identity in labels.items()}, width)


def _count(feature: Feature, name: str, params: Mapping[str, Any]) -> int:
    found = getattr(feature, name)(params)
    try:
        count = operator.index(found)
    except TypeError:
        count = -1
    if count < 0:
        raise ConfigurationError.of(f"{feature.name}.{name}", "give a whole number, at least 0", found)
    return count


@dataclass(slots=True)
class _Draft:
    feature: Feature
    params: dict[str, Any]
    sources: list[tuple[str, int]]  # (column, 0) or (identity, output)


class _Drafts:
    """Collects features depth first, so that `found` holds each after those it uses."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self.found: dict[str, _Draft] = {}
        self.columns: set[str] = set()

    def add(self, name: str, given: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise ConfigurationError(f"features use each other in a circle: {circle}. Compute one of them from columns alone.")
        feature = self._find(name)
        params = feature.resolve(given)
        sources: list[tuple[str, int]] = []
        for item in feature.inputs:
            if isinstance(item, Uses):
                identity = self.add(item.feature, item.bound(params), (*path, name))
                sources.append((identity, self.found[identity].feature.output_index(item.output)))
            else:
                self.columns.add(item)
                sources.append((item, 0))
        used = [f"{source}.{output}" for source, output in sources if source not in self.columns]
        identity = definition_hash(feature, params, used)
        self.found.setdefault(identity, _Draft(feature, params, sources))
        return identity
