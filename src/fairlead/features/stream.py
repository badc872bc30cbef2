"""Live: all symbols of a slice brought up to date at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Final

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.features.plan import Node, Request, make_plan

_SIZES: Final[tuple[Callable[[Node], int], ...]] = (
    lambda node: node.state_size,
    lambda node: len(node.params),
    lambda node: len(node.inputs),
)


class Stream:
    """The current values of features, for all symbols.

    Parameters
    ----------
    requests : mapping of str to str or (str, mapping)
        Label -> a feature's name, or its name and parameters.
    symbols : int
        How many there are.

    Attributes
    ----------
    plan : Plan
    state : float64 array of shape (symbols, state)
        All that the features remember; write into it to go on from a copy.

    Raises
    ------
    UnknownName, ConfigurationError
        If a request is wrong.
    """

    def __init__(self, requests: Mapping[str, Request], symbols: int) -> None:
        if symbols < 1:
            raise ConfigurationError.of("symbols", "be at least 1", symbols)
        self.plan = make_plan(requests)
        self._values = np.full((symbols, self.plan.width, 1), np.nan)  # per symbol a table of one bar
        self.state = np.zeros((symbols, sum(node.state_size for node in self.plan.nodes)))
        start = 0
        self._segments: list[_Fast | _Slow] = []
        for fast, group in groupby(self.plan.nodes, key=lambda node: node.feature.compiled):
            nodes = list(group)
            self._segments.append(_Fast(nodes, start) if fast else _Slow(nodes, start))
            start += sum(node.state_size for node in nodes)

    @property
    def warm_up(self) -> int:
        """Slices without a value of some feature, if no bar is missing."""
        return max((node.warm_up for node in self.plan.nodes), default=0)

    def update(self, columns: Mapping[str, FloatArray]) -> None:
        """Take in one slice.

        Parameters
        ----------
        columns : mapping of str to float64 array of shape (symbols,)
            At least those in `plan.columns`; NaN for a symbol without a bar, whose features are NaN until its next one.

        Raises
        ------
        ContractError
            If a column is missing or of another length. Nothing is taken in then.
        """
        for name in self.plan.columns:
            shape = np.shape(columns[name]) if name in columns else None
            if shape != (len(self._values),):
                raise ContractError.of(f"columns[{name!r}]", f"have the shape ({len(self._values)},)", shape)
        for slot, name in enumerate(self.plan.columns):
            self._values[:, slot, 0] = columns[name]
        for segment in self._segments:
            segment.run(self.state, self._values)

    def values(self, label: str) -> FloatArray:
        """Return the current values, shape (symbols, outputs): a read-only view, overwritten by the next slice.

        Raises
        ------
        ConfigurationError
            If `label` was not asked for.
        """
        node = self.plan.asked.get(label)
        if node is None:
            raise ConfigurationError.of("label", f"be one of {sorted(self.plan.asked)}", label, "Ask for it in `requests`.")
        view = self._values[:, node.first : node.first + len(node.feature.outputs), 0]
        view.flags.writeable = False
        return view


class _Fast:
    """Compiled nodes that follow each other: one call for all of them and all symbols."""

    def __init__(self, nodes: list[Node], start: int) -> None:
        from fairlead.features import drivers  # noqa: PLC0415  numba is imported where something is compiled

        self._run = drivers.run_slice
        self._kept = [drivers.compiled(node.feature) for node in nodes]  # an address holds while its step is kept
        self._steps = np.array([drivers.address(step) for step in self._kept], np.int64)
        self._rows = np.concatenate([node.inputs for node in nodes])
        self._params = np.concatenate([node.params for node in nodes])
        ends = [
            start + np.cumsum([node.state_size for node in nodes]),
            np.cumsum([len(node.params) for node in nodes]),
            np.cumsum([len(node.inputs) for node in nodes]),
        ]
        begins = [end - [size(node) for node in nodes] for end, size in zip(ends, _SIZES, strict=True)]
        first = np.array([node.first for node in nodes])
        count = np.array([len(node.feature.outputs) for node in nodes])
        pairs = [array for pair in zip(begins, ends, strict=True) for array in pair]
        self._layout = np.ascontiguousarray(np.stack([*pairs, first, first + count], axis=1), np.int64)

    def run(self, state: FloatArray, values: FloatArray) -> None:
        self._run(self._steps, self._layout, self._rows, self._params, state, values)


class _Slow:
    """Nodes that stay Python."""

    def __init__(self, nodes: list[Node], start: int) -> None:
        self._nodes, self._start = nodes, start

    def run(self, state: FloatArray, values: FloatArray) -> None:
        from fairlead.features.drivers import run_history_slowly  # noqa: PLC0415  numba is imported where something is compiled

        begin = self._start
        for node in self._nodes:
            end = begin + node.state_size
            room = np.empty(len(node.inputs)), np.empty(len(node.feature.outputs))
            for own, table in zip(state, values, strict=True):
                run_history_slowly(node.feature.kernel, own[begin:end], node.params, table, node.inputs, node.first, *room)
            begin = end
