"""One feature made ready to be tried: its kernels in machine code and in plain Python, over any bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeAlias

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.features.definition import Output, Step
from fairlead.features.plan import Node, Plan
from fairlead.features.program import Program

WrapStep: TypeAlias = Callable[[Step], Step]


class Trial:
    """A feature on trial.

    Parameters
    ----------
    plan : Plan
        That computes it.
    node : Node
        Where it stands in the plan.

    Attributes
    ----------
    outputs : tuple of Output
    first : float64 array of shape (outputs, symbols, bars)
        Values of the very first run, before a kernel could remember anything outside its state; set by who makes it.
    """

    def __init__(self, plan: Plan, node: Node) -> None:
        self.plan, self.node = plan, node
        self.outputs: tuple[Output, ...] = node.feature.outputs
        self.first: FloatArray = np.empty((len(self.outputs), 0, 0))

    @cached_property
    def _program(self) -> Program:
        return Program(self.plan)  # compiles; not before plain Python has shown that the state is large enough

    def history(self, columns: Mapping[str, FloatArray], rows: int | None = None) -> FloatArray:
        """Return the values of shape (outputs, symbols, bars), `rows` bars at a time; all at once by default."""
        table = self._table(columns)
        symbols, _, bars = table.shape
        state = self._program.new_state(symbols)
        for begin in range(0, bars, rows or max(1, bars)):
            end = min(bars, begin + (rows or bars))
            part = np.ascontiguousarray(table[:, :, begin:end])
            self._program.run(state, part)
            table[:, :, begin:end] = part
        return self._own(table)

    def slowly(self, columns: Mapping[str, FloatArray]) -> FloatArray:
        """Return what `history` does, by plain Python throughout.

        Raises
        ------
        Exception
            What the kernel raises: an IndexError where it reaches beyond its state.
        """
        return self._run_slowly(columns, lambda step: step)

    def gives_infinity(self, columns: Mapping[str, FloatArray]) -> bool:
        """Return whether the feature's own kernel, in plain Python, writes an infinity, which no driver would let through."""
        seen = []

        def watched(step: Step) -> Step:
            def run(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
                step(state, params, inputs, outputs)
                seen.append(bool(np.isinf(outputs).any()))

            return run if step is self.node.feature.kernel else step

        self._run_slowly(columns, watched)
        return any(seen)

    def _run_slowly(self, columns: Mapping[str, FloatArray], wrap: WrapStep) -> FloatArray:
        from fairlead.features.drivers import (  # noqa: PLC0415  numba is imported where something is compiled
            run_cross_section_slowly,
            run_history_slowly,
        )

        values = self._table(columns)
        # Machine code raises where a number is divided by zero; numpy's scalars would warn.
        with np.errstate(divide="raise", over="ignore", under="ignore", invalid="ignore"):
            for node in self.plan.nodes:
                step = wrap(node.feature.kernel)
                if node.feature.cross_section:
                    run_cross_section_slowly(step, node.params, values, node.inputs, node.first)
                    continue
                for table in values:
                    state, count = np.zeros(node.state_size), len(node.feature.outputs)
                    run_history_slowly(step, state, node.params, table, node.inputs, node.first, count)
        return self._own(values)

    def _table(self, columns: Mapping[str, FloatArray]) -> FloatArray:
        symbols, bars = columns[self.plan.columns[0]].shape
        table = np.full((symbols, self.plan.width, bars), np.nan)
        for slot, name in enumerate(self.plan.columns):
            table[:, slot] = columns[name]
        return table

    def _own(self, table: FloatArray) -> FloatArray:
        own = table[:, self.node.first : self.node.first + len(self.outputs)]
        return np.ascontiguousarray(own.transpose(1, 0, 2))
