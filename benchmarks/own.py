"""Fairlead's side of `make bench-peers`: asked and answering like a peer, on the same files, in a process of its own.

A row is a way to run a workload. One more, such as a compiled strategy, is one more function here, under a name of its own, and
one more line in `contenders.py` with that name as its task.
"""

from __future__ import annotations

import tempfile

import numpy as np

import fairlead
import workloads
from fairlead.backtest.sweep_result import SweepResult
from fairlead.core.time import BarSize
from fairlead.engine.compiled import CompiledRun, CompiledRuns, layout
from fairlead.engine.compiled.playback import record_of
from fairlead.engine.record import RunRecord
from fairlead.sdk import Strategy
from fairlead.sdk.history import MIN_HISTORY
from kernels import KernelCrossover
from peers import protocol
from peers.protocol import Data, Fills, Prepared


def columns_of(data: Data) -> workloads.Columns:
    """Return the bars as arrays."""
    shape = (data.bars, len(data.symbols))
    stamps = (np.frombuffer(data.stamps(name), np.int64) for name in ("label_ns", "known_ns", "session"))
    label, known, session = stamps
    values = (np.frombuffer(data.column(name)).reshape(shape) for name in ("open", "high", "low", "close", "volume"))
    return workloads.Columns(tuple(data.symbols), BarSize(data.bar_size), label, known, session.astype(np.int32), *values)


def told(record: RunRecord, columns: workloads.Columns) -> tuple[Fills, float]:
    """Return the fills and the final equity of a run.

    Raises
    ------
    SystemExit
        If the strategy stopped: that run is not one.
    """
    for strategy in record.strategies:
        if strategy.error:
            raise SystemExit(f"the strategy stopped: {strategy.error}")
    bars = {label: bar for bar, label in enumerate(columns.label_ns.tolist())}
    places = {symbol: place for place, symbol in enumerate(columns.symbols)}
    fills = [(bars[fill.bar_ns], places[fill.symbol], fill.signed_quantity, fill.price) for fill in record.fills]
    return fills, float(record.account.equity[-1])


def prepared(data: Data, strategy: type[Strategy], **parameters: int) -> Prepared:
    """Return one strategy on all of the data, with the blocks made beforehand, as the peers have their frames."""
    columns = columns_of(data)
    source = workloads.BlockSource.of(workloads.as_source(columns), MIN_HISTORY + 1)
    cash = data.terms["cash"]
    return Prepared(
        lambda: workloads.run(source, strategy(**parameters), cash), lambda record: told(record, columns), compiles=True
    )


def w1(data: Data) -> Prepared:
    """W1 as an ordinary Python strategy."""
    return prepared(data, workloads.SmaCrossover, fast=data.terms["fast"], slow=data.terms["slow"])


def compiled(data: Data) -> CompiledRuns:
    """Return the compiled loop over all of the data, which it holds as arrays, as the peers hold their frames."""
    source = workloads.as_source(columns_of(data))
    return CompiledRuns(workloads.plan(source, KernelCrossover(), data.terms["cash"]))


def w1_compiled(data: Data) -> Prepared:
    """W1 as a kernel strategy in the compiled loop; what is told is played back from its tape."""
    runs, columns = compiled(data), columns_of(data)
    strategy = KernelCrossover(fast=data.terms["fast"], slow=data.terms["slow"])

    def run() -> CompiledRun:
        return next(runs.run([strategy], tape=True))[1]

    return Prepared(run, lambda done: told(record_of(runs.history, strategy, done), columns), compiles=True)


def w2(data: Data) -> Prepared:
    """W2 as an ordinary Python strategy."""
    return prepared(data, workloads.TopMomentum, **{name: data.terms[name] for name in ("window", "every", "count")})


def w3(data: Data) -> Prepared:
    """W3 as ordinary Python strategies, by the sweep that users have, on two processes; every trial is recorded."""
    return swept(data, workloads.SmaCrossover, processes=2)


def swept(data: Data, strategy: type[Strategy], processes: int = 0) -> Prepared:
    """Return W3 by `fairlead.backtest.sweep`."""
    source, terms = workloads.as_source(columns_of(data)), data.terms
    pairs = [tuple(pair) for pair in terms["pairs"]]
    space = {"fast": sorted({fast for fast, _ in pairs}), "slow": sorted({slow for _, slow in pairs})}
    costs = {"commission": {"model": "bps", "params": {"bps": terms["bps"]}}, "slippage": {"model": "none"}}

    def run() -> SweepResult:
        with tempfile.TemporaryDirectory(dir=data.folder) as workspace:
            return fairlead.backtest.sweep(strategy, source, space, workers=2, workspace=workspace, cash=terms["cash"], **costs)

    def tell(result: SweepResult) -> tuple[list[int], list[float]]:
        frame = result.frame.set_index(["fast", "slow"]).loc[pairs]
        return frame["num_fills"].tolist(), (terms["cash"] * (1.0 + frame["total_return"])).tolist()

    return Prepared(run, tell, compiles=not processes, processes=processes)


def w3_compiled(data: Data) -> Prepared:
    """W3 as a kernel strategy in the compiled loop, on two threads: fills, equity by session and costs of every pair."""
    runs = compiled(data)

    def run() -> list[CompiledRun]:
        strategies = [KernelCrossover(fast=fast, slow=slow) for fast, slow in data.terms["pairs"]]
        return [done for _, done in runs.run(strategies, threads=2)]

    def tell(done: list[CompiledRun]) -> tuple[list[int], list[float]]:
        return [int(one.counts[layout.FILLS]) for one in done], [float(one.money[layout.LAST_EQUITY]) for one in done]

    return Prepared(run, tell, compiles=True)


def w3_recorded(data: Data) -> Prepared:
    """W3 as a kernel strategy by the sweep that users have, on two threads: every trial judged, hashed and recorded."""
    return swept(data, KernelCrossover)


if __name__ == "__main__":
    tasks = {"W1": w1, "W1 compiled": w1_compiled, "W2": w2}
    tasks |= {"W3": w3, "W3 compiled": w3_compiled, "W3 recorded": w3_recorded}
    protocol.answer("fairlead", tasks)
