"""Trials of a kernel strategy in the compiled loop: the event loop's numbers, without a record of what happened.

Metrics that need round trips are left out (see `LEAN`); a study whose objective is one of those lets the event loop run.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Any, Final, Self

from fairlead.backtest import metrics as m
from fairlead.backtest.benchmark import buy_and_hold
from fairlead.backtest.info import plain
from fairlead.backtest.metrics import Metric
from fairlead.backtest.pools.contract import Task
from fairlead.backtest.run import config_hash
from fairlead.backtest.scorecard import Depth, Span, against_benchmark, distribution, drawdown, performance, returns_of
from fairlead.backtest.trials import Trial, TrialSetup, run_trial
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_DAY
from fairlead.engine.compiled import CompiledRun, CompiledRuns, unfit
from fairlead.engine.compiled import layout as at
from fairlead.engine.record import SessionPrices
from fairlead.sdk.kernel_strategy import KernelStrategy

LEAN: Final = frozenset(
    {
        *("final_cash", "total_return", "annualised_return", "cagr", "annualised_vol", "sharpe", "sortino", "calmar"),
        *("max_drawdown", "max_drawdown_pct", "longest_drawdown_days", "ulcer_index", "recovery_factor", "best_day"),
        *("worst_day", "best_month", "worst_month", "positive_days", "skew", "kurtosis", "var_95", "cvar_95", "tail_ratio"),
        *("total_fees", "total_slippage", "cost_bps", "num_rejections", "alpha", "information_ratio", "annualised_vol"),
    }
)
"""Objectives that need no round trips."""
_GROUP_S: Final = 0.1
"""Trials that end within so many seconds are one group."""


class CompiledPool:
    """A `TrialPool` of the compiled loop: threads of this process.

    Parameters
    ----------
    setup : TrialSetup
        `fits` says yes to it.
    threads : int
    """

    def __init__(self, setup: TrialSetup, threads: int = 1) -> None:
        self._setup, self._threads = setup, threads
        self._runs: CompiledRuns | None = None

    @staticmethod
    def fits(setup: TrialSetup) -> bool:
        """Whether the trials of a study can be run so."""
        if not setup.lean or len(setup.entries) != 1 or not issubclass(setup.strategy, KernelStrategy):
            return False
        try:
            plan = setup.plan_of(setup.build({}), "trial")
        except Exception:  # noqa: BLE001  its defaults do not fit together, or its constructor is at fault: trials will tell
            return False
        return unfit(plan) == ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing is left open."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Trial]]:
        """Yield the place and outcome of every task."""
        for group in self.groups(tasks):
            yield from group

    def groups(self, tasks: Iterable[Task]) -> Iterator[list[tuple[int, Trial]]]:
        """Yield places and outcomes in groups of what ended at about the same time: a short trial is not worth a commit."""
        ready: list[tuple[int, Mapping[str, Any], KernelStrategy]] = []
        for ordinal, params in tasks:
            strategy = self._built(params)
            if strategy is None:
                yield [(ordinal, run_trial(self._setup, params))]
            else:
                ready.append((ordinal, params, strategy))
        if not ready:
            return
        if self._runs is None:
            self._runs = CompiledRuns(self._setup.plan_of((ready[0][2],), "trial"))
        group: list[tuple[int, Trial]] = []
        began = last = time.perf_counter()
        for place, run in self._runs.run([strategy for _, _, strategy in ready], threads=self._threads):
            ordinal, params, strategy = ready[place]
            now = time.perf_counter()
            # What the event loop refuses in words, or what raised, it has to say itself.
            trial = self._told(params, strategy, run, now - last) if run.is_sure else run_trial(self._setup, params)
            group.append((ordinal, trial))
            last = now
            if now - began > _GROUP_S:
                yield group
                group, began = [], time.perf_counter()
        if group:
            yield group

    def _built(self, params: Mapping[str, Any]) -> KernelStrategy | None:
        try:
            (strategy,) = self._setup.build(dict(params))
        except Exception:  # noqa: BLE001  the constructor is the author's code; an ordinary trial records what it raises
            return None
        return strategy if isinstance(strategy, KernelStrategy) else None

    def _told(self, params: Mapping[str, Any], strategy: KernelStrategy, run: CompiledRun, seconds: float) -> Trial:
        setup, known = self._setup, plain(dict(params))
        history = self._loaded.history
        capital = setup.entry.capital
        sessions = returns_of(history.days, run.closes, self._prices, (), capital, self._held)
        return Trial(
            params=known,
            status="completed",
            strategy=setup.strategy.name,
            version=setup.strategy.version,
            metrics=self._metrics(run, capital, sessions),
            days=history.days,
            returns=sessions.returns,
            code_hash=setup.code_hash,
            config_hash=config_hash(setup.config_of(params, strategy)),
            data_hash=setup.source.content_hash,
            seconds=seconds,
        )

    def _metrics(self, run: CompiledRun, capital: float, sessions: Any) -> dict[str, Metric]:
        counts, money, times = run.counts, run.money, self._loaded.history.arrays.times
        span = Span(capital, float(money[at.LAST_EQUITY]), int(times[0, at.KNOWN]), int(times[-1, at.KNOWN]))
        longest, profit = float(counts[at.LONGEST_NS] / NS_PER_DAY), span.final - span.initial
        depth = Depth(float(money[at.WORST]), float(money[at.WORST_PCT]), longest, profit)
        fees, slippage, notional = float(money[at.FEES]), float(money[at.SLIPPAGE]), float(money[at.NOTIONAL])
        return {
            "sessions": len(sessions.days),
            "bars": self._loaded.history.bars,
            "initial_cash": capital,
            "final_cash": span.final,
            "dividends": float(money[at.DIVIDENDS]),
            "total_fees": fees,
            "total_slippage": slippage,
            "cost_bps": m.finite(1e4 * (fees + slippage) / notional) if notional > 0 else None,
            **performance(span, sessions, 0.0),
            **drawdown(span, sessions, depth),
            **distribution(capital, sessions),
            "time_in_market": float(counts[at.ROWS_HELD] / len(times)),
            "num_orders": int(counts[at.ORDERS]),
            "num_fills": int(counts[at.FILLS]),
            "num_rejections": int(counts[at.REJECTIONS]),
            **against_benchmark(capital, sessions, 0.0),
        }

    @property
    def _loaded(self) -> CompiledRuns:
        if self._runs is None:
            raise ConfigurationError("no trial has run yet.")
        return self._runs

    @cached_property
    def _prices(self) -> SessionPrices:
        history = self._loaded.history
        rows, times = history.arrays.last_rows, history.arrays.times
        marks = history.arrays.market[rows, :, -1].copy()
        return SessionPrices(history.symbols, history.days, times[rows, at.KNOWN].copy(), marks)

    @cached_property
    def _held(self) -> Any:
        history = self._loaded.history
        sessions = history.arrays.times[history.arrays.actions[at.ROW], at.SESSION].tolist()
        actions = [replace(a, ex_session=day) for a, day in zip(history.actions, sessions, strict=True)]
        return buy_and_hold(self._prices, actions, self._setup.entry.capital)


def warm_up(setup: TrialSetup) -> None:
    """Compile what the trials of a kernel strategy run: some seconds after an installation or a change, nothing otherwise.

    Trials do it themselves; this lets a person be told what takes so long. What cannot be compiled they report.
    """
    if not issubclass(setup.strategy, KernelStrategy):
        return
    from fairlead.engine.compiled.loop import compiled_runs  # noqa: PLC0415  numba is for those who compile

    with suppress(Exception):
        (strategy, *_) = setup.build({})
        assert isinstance(strategy, KernelStrategy)
        strategy.scan()
        compiled_runs()
