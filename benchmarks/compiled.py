"""W1 and W3 as a kernel strategy in the compiled loop, checked against the reference and timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import reference
import workloads
from fairlead.engine.compiled import CompiledRun, CompiledRuns, layout
from fairlead.engine.compiled.playback import record_of
from kernels import KernelCrossover
from timing import GateFailed, timed


def measure_kernels(runs: int, cash: float) -> dict[str, dict[str, Any]]:
    """Check W1 and W3 as a kernel strategy in the compiled loop, then time them.

    Raises
    ------
    GateFailed
        If fills or equity differ from the reference.
    """
    columns = workloads.minute_walk()
    expected, loop = reference.crossover(columns, cash), _compiled(columns, cash)
    (one,) = _swept(loop, [(20, 50)], tape=True)
    difference = reference.disagreement(record_of(loop.history, KernelCrossover(), one), columns, expected)
    if difference:
        raise GateFailed(f"W1 as a kernel strategy: {difference}")
    single = timed(runs, lambda: _swept(loop, [(20, 50)], tape=True))
    whole = timed(runs, lambda: _swept(_compiled(columns, cash), [(20, 50)], tape=True))
    bars = columns.close.size
    columns, pairs = workloads.minute_walk(50_000), workloads.sweep_pairs()
    wanted, walk = reference.sweep(columns, cash, pairs), columns
    found = _swept(_compiled(columns, cash), pairs)
    for i, run in enumerate(found):
        fills, equity = run.counts[layout.FILLS], run.money[layout.LAST_EQUITY]
        if fills != wanted.fills[i] or abs(equity - wanted.equity[i]) > 1e-9 * wanted.equity[i]:
            raise GateFailed(f"W3 {pairs[i]}: {fills} fills and {equity}, not {wanted.fills[i]} and {wanted.equity[i]}")
    swept = timed(runs, lambda: _swept(_compiled(walk, cash), pairs))
    return {
        "W1 kernel": {
            "title": "W1  the same as a kernel strategy, compiled loop, fills kept",
            "target": ">= 50,000,000 bars/s",
            "engine": {**single, "bars_per_s": bars / single["median_s"]},
            "with_assembly": {**whole, "bars_per_s": bars / whole["median_s"]},
        },
        "W3 kernel": {
            "title": "W3  1,000 SMA pairs x 50,000 bars, kernel strategy, 2 threads",
            "target": "<= 0.4 s",
            "fills": int(wanted.fills.sum()),
            "engine": {**swept, "bars_per_s": len(pairs) * len(columns.close) / swept["median_s"]},
        },
    }


def _compiled(columns: workloads.Columns, cash: float) -> CompiledRuns:
    return CompiledRuns(workloads.plan(workloads.as_source(columns), KernelCrossover(), cash))


def _swept(loop: CompiledRuns, pairs: Sequence[tuple[int, int]], *, tape: bool = False) -> list[CompiledRun]:
    strategies = [KernelCrossover(fast=fast, slow=slow) for fast, slow in pairs]
    return [run for _, run in loop.run(strategies, tape=tape, threads=2)]


def sweep_once(cash: float) -> None:
    """Make the data of W3 and run it once."""
    _swept(_compiled(workloads.minute_walk(50_000), cash), workloads.sweep_pairs())
