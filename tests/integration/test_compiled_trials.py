"""Trials in the compiled loop against the same trials in the event loop: equal numbers, equal refusals, equal failures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from fairlead.backtest.api import study_setup
from fairlead.backtest.pools.compiled import LEAN, CompiledPool
from fairlead.backtest.trials import run_trial
from fairlead.engine.compiled.runs import _Delays
from fairlead.sdk import KernelStrategy, parameter, target_position, target_weight
from support_kernels import Anything, Cross
from support_sweeps import Above, prices


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
