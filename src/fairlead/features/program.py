"""A plan made ready to run: its nodes as machine code, on any number of symbols and bars at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from itertools import groupby, pairwise
from typing import Final, Protocol, TypeAlias

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.features.plan import Node, Plan

_SIZES: Final[tuple[Callable[[Node], int], ...]] = (
    lambda node: node.state_size,
    lambda node: len(node.params),
    lambda node: len(node.inputs),
)
_Kind: TypeAlias = tuple[bool, bool]


class _Part(Protocol):
    """Nodes of one kind that follow each other."""

    def run(self, state: FloatArray, values: FloatArray, pool: Executor | None, workers: int) -> None:
        """Compute the nodes' slots of `values` from those before them."""


class Program:
    """A plan with its kernels compiled.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    plan : Plan
    state_size : int
        Numbers that the features of one symbol remember.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._parts: list[_Part] = []
        self.state_size = 0
        for kind, group in groupby(plan.nodes, key=_kind_of):
            nodes = list(group)
            self._parts.append(_part(kind, nodes, self.state_size))
            self.state_size += sum(node.state_size for node in nodes)

    @property
    def compares_symbols(self) -> bool:
        """Whether some node needs all symbols of an instant at once."""
        return self.plan.compares_symbols

    def new_state(self, symbols: int) -> FloatArray:
        """Return what the features of `symbols` symbols remember before their first bar, shape (symbols, state)."""
        return np.zeros((symbols, self.state_size))

    def run(self, state: FloatArray, values: FloatArray, pool: Executor | None = None, workers: int = 1) -> None:
        """Compute every slot after the columns.

        Parameters
        ----------
        state : float64 array of shape (symbols, state)
            Taken up where it stands, and moved on.
        values : float64 array of shape (symbols, slots, bars), C order
            The first slots are the columns of the plan; the others are overwritten.
        pool : Executor, optional
            Where to run parts side by side: symbols, or instants of a cross-section.
        workers : int
        """
        for part in self._parts:
            part.run(state, values, pool, workers)


def _kind_of(node: Node) -> _Kind:
    return node.feature.cross_section, node.feature.compiled


def _part(kind: _Kind, nodes: list[Node], start: int) -> _Part:
    cross_section, compiled = kind
    if cross_section:
        return _CrossSections(nodes)
    return _Compiled(nodes, start) if compiled else _Python(nodes, start)


class _Compiled:
    """One call for all nodes and all symbols."""

    def __init__(self, nodes: list[Node], start: int) -> None:
        from fairlead.features import drivers  # noqa: PLC0415  numba is imported where something is compiled

        self._run = drivers.run_nodes
        self._kept = [drivers.compiled(node.feature) for node in nodes]  # an address holds while its loop is kept
        self._loops = np.array([drivers.address(loop) for loop in self._kept], np.int64)
        self._rows = np.concatenate([node.inputs for node in nodes])
        self._params = np.concatenate([node.params for node in nodes])
        ends = [
            start + np.cumsum([node.state_size for node in nodes]),
            np.cumsum([len(node.params) for node in nodes]),
            np.cumsum([len(node.inputs) for node in nodes]),
        ]
        begins = [end - [size(node) for node in nodes] for end, size in zip(ends, _SIZES, strict=True)]
        first = np.array([node.first for node in nodes])
        pairs = [array for pair in zip(begins, ends, strict=True) for array in pair]
        self._layout = np.ascontiguousarray(np.stack([*pairs, first], axis=1), np.int64)

    def run(self, state: FloatArray, values: FloatArray, pool: Executor | None, workers: int) -> None:
        if pool is None:
            self._run(self._loops, self._layout, self._rows, self._params, state, values)
            return

        def one(part: slice) -> None:
            self._run(self._loops, self._layout, self._rows, self._params, state[part], values[part])

        list(pool.map(one, _shares(len(values), workers)))


class _Python:
    """Nodes that stay Python."""

    def __init__(self, nodes: list[Node], start: int) -> None:
        self._nodes, self._start = nodes, start

    def run(self, state: FloatArray, values: FloatArray, pool: Executor | None, workers: int) -> None:  # noqa: ARG002  Python runs one at a time
        from fairlead.features.drivers import run_history_slowly  # noqa: PLC0415  numba is imported where something is compiled

        begin = self._start
        for node in self._nodes:
            end = begin + node.state_size
            for own, table in zip(state, values, strict=True):
                run_history_slowly(
                    node.feature.kernel,
                    own[begin:end],
                    node.params,
                    table,
                    node.inputs,
                    node.first,
                    len(node.feature.outputs),
                )
            begin = end


class _CrossSections:
    """Nodes that compare the symbols of an instant."""

    def __init__(self, nodes: list[Node]) -> None:
        from fairlead.features import drivers  # noqa: PLC0415  numba is imported where something is compiled

        self._nodes = [(node, drivers.compiled(node.feature) if node.feature.compiled else None) for node in nodes]
        self._slowly = drivers.run_cross_section_slowly

    def run(self, state: FloatArray, values: FloatArray, pool: Executor | None, workers: int) -> None:  # noqa: ARG002  nothing is remembered
        bars = values.shape[2]
        for node, loop in self._nodes:
            if loop is None:
                self._slowly(node.feature.kernel, node.params, values, node.inputs, node.first)
            elif pool is None:
                loop(node.params, values, node.inputs, node.first, 0, bars)
            else:
                waiting = [
                    pool.submit(loop, node.params, values, node.inputs, node.first, part.start, part.stop)
                    for part in _shares(bars, workers)
                ]
                for one in waiting:
                    one.result()


def _shares(count: int, workers: int) -> list[slice]:
    edges = [count * i // workers for i in range(workers + 1)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]
