"""Trials in the compiled loop against the same trials in the event loop: equal numbers, equal refusals, equal failures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import fairlead
from fairlead.backtest.api import study_setup
from fairlead.backtest.pools.compiled import LEAN, CompiledPool
from fairlead.backtest.pools.opening import open_pool
from fairlead.backtest.space import ParameterSpace
from fairlead.backtest.splitters import WalkForward
from fairlead.backtest.trials import run_trial
from fairlead.backtest.walkforward import walk_forward
from fairlead.engine.compiled.runs import _Delays
from fairlead.sdk import KernelStrategy, parameter, target_position, target_weight
from support_kernels import Anything, Cross
from support_sweeps import NOON, Above, prices


class Picky(KernelStrategy):
    """Refuses an even number, divides by nothing at 5, wants the infinite at 7."""

    n: int = parameter(1, ge=1, le=9, doc="What it is told.")

    def validate(self):
        if self.n % 2 == 0:
            from fairlead.sdk import ConfigurationError

            raise ConfigurationError.of("n", "be odd", self.n)

    @staticmethod
    def decide(n, close, position):
        if n == 5:
            return target_weight(close / (position * 0.0))
        if n == 7:
            return target_position(1e300 * 1e300)
        return target_position(float(n))


def lean(*args, **options):
    """Return a study that is content with metrics of the account."""
    return replace(study_setup(*args, **options), lean=True)


def both(setup, tasks, threads=2):
    with CompiledPool(setup, threads) as pool:
        compiled = dict(pool.run(enumerate(tasks)))
    return [(compiled[i], run_trial(setup, params)) for i, params in enumerate(tasks)]


@pytest.mark.parametrize(
    ("strategy", "options", "tasks"),
    [
        (Cross, {"data": "bundled", "symbols": ["IBM"]}, [{"fast": f, "slow": s} for f in (3, 20, 50) for s in (60, 200)]),
        (Cross, {"data": "bundled", "symbols": ["AAPL", "IBM", "MSFT"], "start": "2005-01-03"}, [{"fast": 10, "slow": 50}]),
        (Anything, {"data": "bundled", "symbols": ["AAPL", "GOOG"], "cash": 5_000.0}, [{"seed": s} for s in range(1, 12)]),
        (Anything, {"data": prices(), "commission": 30, "slippage": 20}, [{"seed": s, "activity": 0.9} for s in (1, 2, 3)]),
    ],
    ids=["one symbol", "three symbols", "anything at all", "dear"],
)
def test_every_number_of_a_compiled_trial_is_that_of_the_event_loop(strategy, options, tasks):
    data = options.pop("data") if "data" in options else None
    setup = lean(strategy, data, **options)
    options["data"] = data  # parametrised values are shared
    assert CompiledPool.fits(setup)
    for compiled, looped in both(setup, tasks):
        assert (compiled.status, looped.status) == ("completed", "completed"), (compiled.reason, looped.reason)
        assert looped.metrics["num_fills"] > 0
        assert set(compiled.metrics) <= set(looped.metrics)
        for name, value in compiled.metrics.items():
            assert value == looped.metrics[name], name
        np.testing.assert_array_equal(compiled.days, looped.days)
        np.testing.assert_array_equal(compiled.returns, looped.returns)
        for name in ("params", "strategy", "version", "code_hash", "config_hash", "data_hash"):
            assert getattr(compiled, name) == getattr(looped, name), name
        assert compiled.digest == ""
        assert set(compiled.metrics) >= LEAN


def test_what_is_refused_or_fails_is_told_as_by_the_event_loop():
    setup = lean(Picky, prices())
    trials = both(setup, [{"n": n} for n in (1, 2, 5, 7, 9)])
    assert [compiled.status for compiled, _ in trials] == ["completed", "refused", "failed", "failed", "completed"]
    for compiled, looped in trials:
        assert (compiled.status, compiled.reason) == (looped.status, looped.reason)
    assert "ZeroDivisionError" in trials[2][0].reason
    assert "be a finite number" in trials[3][0].reason


def test_threads_change_nothing():
    setup = lean(Anything, "bundled", symbols=["IBM"])
    tasks = list(enumerate({"seed": seed} for seed in range(1, 9)))
    one, two = (dict(CompiledPool(setup, threads).run(tasks)) for threads in (1, 2))
    for place, trial in one.items():
        assert trial.metrics == two[place].metrics
        np.testing.assert_array_equal(trial.returns, two[place].returns)


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (Above, {}),
        (Cross, {"slippage": "square_root"}),
        (Cross, {"commission": "tiered"}),
    ],
    ids=["ordinary", "impact", "tiers"],
)
def test_studies_that_need_the_event_loop(strategy, options):
    assert not CompiledPool.fits(lean(strategy, prices(), **options))


def test_the_pool_of_a_kernel_strategy_is_the_compiled_loop_where_that_is_enough():
    kernel = study_setup(Cross, prices())
    assert isinstance(open_pool(replace(kernel, lean=True)), CompiledPool)
    assert not isinstance(open_pool(kernel), CompiledPool)
    assert not isinstance(open_pool(replace(study_setup(Above, prices()), lean=True)), CompiledPool)


def test_a_sweep_of_a_kernel_strategy_is_recorded_and_resumed(tmp_path):
    space = {"fast": [3, 5, 8], "slow": [10, 20]}
    found = fairlead.backtest.sweep(Cross, prices(), space, workspace=tmp_path, now=lambda: NOON)
    assert found.counts == {"completed": 6, "failed": 0, "refused": 0}
    assert {trial.digest for trial in found.trials.values()} == {""}
    again = fairlead.backtest.sweep(Cross, prices(), resume="latest", workspace=tmp_path)
    assert {place: trial.metrics for place, trial in again.trials.items()} == {
        place: trial.metrics for place, trial in found.trials.items()
    }
    best = found.best
    alone = fairlead.backtest(Cross, prices(), params=best.params)
    assert alone.stats["sharpe"] == best.metrics["sharpe"]
    assert "win_rate" not in best.metrics


def test_an_objective_that_needs_round_trips_runs_the_event_loop(tmp_path):
    found = fairlead.backtest.sweep(
        Cross, prices(), {"fast": [3, 5]}, objective="win_rate", workspace=tmp_path, now=lambda: NOON
    )
    assert all(trial.digest and trial.metrics["num_trades"] is not None for trial in found.trials.values())


def test_a_walk_forward_of_a_kernel_strategy_is_that_of_the_event_loop():
    space = ParameterSpace.of({"fast": [2, 4, 7], "slow": [9, 15]}, Cross.parameters, "cross")
    splitter = WalkForward(train=60, test=20)
    results = [
        walk_forward(study_setup(Cross, prices()), space, splitter, objective=objective)
        for objective in ("total_return", _total_return)
    ]
    compiled, looped = results
    assert {t.digest for f in compiled.folds for t in f.trials} == {""}
    assert "" not in {t.digest for f in looped.folds for t in f.trials}
    np.testing.assert_array_equal(compiled.returns, looped.returns)
    assert [f.chosen.params for f in compiled.folds] == [f.chosen.params for f in looped.folds]


def _total_return(trial):
    """An objective that nobody can tell to be content with metrics of the account."""
    return trial.metrics["total_return"]


class Moody(KernelStrategy):
    """With some parameters its features, labels or outputs are wrong, or it raises."""

    n: int = parameter(5, ge=0, le=2**60, doc="Bars in the average, and more.")

    def required_features(self):
        if self.n == 6:
            raise ValueError("not six")
        if self.n == 7:
            return {"mean": "macd"}
        return {"meen" if self.n == 8 else "mean": ("bollinger", {"n": min(self.n, 9)})}

    @staticmethod
    def decide(n, mean_upper, close):
        return target_position(float(n % 10) if close > mean_upper else 0.0)


def test_one_parameter_set_that_is_wrong_ends_no_other():
    tasks = [{"n": n} for n in (5, 0, 6, 7, 8, 2**53 + 1, 9)]
    trials = both(lean(Moody, prices()), tasks)
    assert [compiled.status for compiled, _ in trials] == ["completed", *["failed"] * 5, "completed"]
    for compiled, looped in trials:
        assert (compiled.status, compiled.reason) == (looped.status, looped.reason)
    assert "must be within 9,007,199,254,740,992 of 0" in trials[5][0].reason


def test_delays_are_drawn_in_one_order_by_many_threads():
    setup = lean(Moody, prices())
    planned = setup.plan_of(setup.build({}), "trial")
    alone = _Delays(planned, "alpha").first(60_000)
    together = _Delays(planned, "alpha")
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(together.first, range(20_000, 60_001, 5_000)))
    assert all((part[:20_000] == alone[:20_000]).all() for part in drawn)
