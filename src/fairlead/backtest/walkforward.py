"""Walk-forward: choose parameters on each training window, trade them on the window after it, and judge what was traded.

For each fold every candidate runs over the training window alone; the best of them by the objective runs over the test window.
The returns of the test windows, one after the other, are the out-of-sample curve: nothing in it was chosen by what it shows.

Every run begins with the full capital and without positions. What precedes its window warms up features, which read all history
up to the window's end; `context.historical_data` reaches only the rows of the run itself, so a strategy that looks back through
it starts each window blind. A run is given no price after the end of its window.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np

from fairlead.backtest import metrics as m
from fairlead.backtest.metrics import Metric
from fairlead.backtest.objectives import Objective, objective_of
from fairlead.backtest.pools.compiled import LEAN
from fairlead.backtest.pools.opening import LOCAL, open_pool
from fairlead.backtest.search import search_of
from fairlead.backtest.space import ParameterSpace
from fairlead.backtest.splitters import Fold, WalkForward
from fairlead.backtest.trials import Trial, TrialSetup
from fairlead.backtest.windows import WindowedSetup, run_all
from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.errors import ConfigurationError, StrategyError
from fairlead.core.time import NS_PER_DAY, date_to_day

Progress: TypeAlias = Callable[[int], None]
Record: TypeAlias = Callable[[int, Trial], None]

MAX_CANDIDATES: Final = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class FoldOutcome:
    """What became of one fold.

    Attributes
    ----------
    fold : Fold
    trials : tuple of Trial
        Every candidate on the training window, in the order of the space.
    chosen : Trial, optional
        The best of them; None if none completed with a defined objective.
    test : Trial, optional
        The chosen parameters on the test window.
    in_sample, out_of_sample : float, optional
        The objective of `chosen` and of `test`; None where it is not defined.
    """

    fold: Fold
    trials: tuple[Trial, ...]
    chosen: Trial | None
    test: Trial | None
    in_sample: float | None
    out_of_sample: float | None

    @property
    def failed(self) -> int:
        """How many candidates did not complete."""
        return sum(not trial.completed for trial in self.trials)

    @property
    def problem(self) -> str:
        """Why the fold traded nothing; empty if it did."""
        if self.chosen is None:
            reasons = {trial.reason for trial in self.trials if trial.reason}
            return f"no candidate could be chosen{': ' + min(reasons) if reasons else ''}"
        return "" if self.test is None or self.test.completed else f"the test run failed: {self.test.reason}"


@dataclass(frozen=True, eq=False)
class WalkForwardResult:
    """The outcome of a walk-forward.

    Attributes
    ----------
    title : str
    splitter : WalkForward
    objective : str
        What was maximised, or minimised.
    space : ParameterSpace
    capital : float
        With which every run began.
    folds : tuple of FoldOutcome
    refused : tuple of dict
        Parameter sets that the strategy does not accept; they are no candidates.
    days, returns : arrays of shape (s,)
        Session dates in days since the epoch and out-of-sample returns, test window after test window. Sessions of a fold
        that traded nothing return 0.
    hindsight : tuple of Trial
        Every candidate over all test windows as one run; empty if that was not asked for.
    best : Trial, optional
        The best of these: what one could have had with a crystal ball, and no measure of anything that can be had.
    """

    title: str
    splitter: WalkForward
    objective: str
    space: ParameterSpace
    capital: float
    folds: tuple[FoldOutcome, ...]
    refused: tuple[dict[str, Any], ...]
    days: DayArray
    returns: FloatArray
    hindsight: tuple[Trial, ...] = ()
    best: Trial | None = None

    @cached_property
    def equity(self) -> FloatArray:
        """Out-of-sample equity at the close of each session, shape (s,): the capital with all returns compounded."""
        return compounded(self.returns, self.capital)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Metrics of the out-of-sample curve, at session closes."""
        return curve_metrics(self.days, self.returns, self.capital)

    @cached_property
    def degradation(self) -> dict[str, Metric]:
        """How much of what training promised was left.

        ``in_sample_sharpe`` is the mean over folds of the chosen parameters in training, ``out_of_sample_sharpe`` that of the
        stitched curve, ``sharpe_ratio`` the second divided by the first (None unless the first is above 0),
        ``median_fold_sharpe`` the median over test windows, ``positive_folds`` the share of them that gained.
        """
        promised = [f.chosen.metrics["sharpe"] for f in self.folds if f.chosen is not None]
        kept = [f.test.metrics["sharpe"] for f in self.folds if f.test is not None and f.test.completed]
        gained = [f.test.metrics["total_return"] for f in self.folds if f.test is not None and f.test.completed]
        known = [float(value) for value in promised if value is not None]
        tested = [float(value) for value in kept if value is not None]
        before, after = statistics.fmean(known) if known else None, self.metrics["sharpe"]
        objective = [(f.in_sample, f.out_of_sample) for f in self.folds]
        return {
            "in_sample_sharpe": before,
            "out_of_sample_sharpe": after,
            "sharpe_ratio": after / before if after is not None and before is not None and before > 0 else None,
            "median_fold_sharpe": statistics.median(tested) if tested else None,
            "positive_folds": sum(g is not None and g > 0 for g in gained) / len(self.folds),
            "in_sample_objective": _mean([a for a, _ in objective]),
            "out_of_sample_objective": _mean([b for _, b in objective]),
        }

    @cached_property
    def stability(self) -> dict[str, dict[str, Any]]:
        """How steady the choice was, by parameter.

        ``values`` by fold (None where nothing was chosen), ``distinct``, ``changes`` from one choice to the next; ``common``,
        the value chosen most often (of equals the first), and ``common_share``; for numbers ``mean`` and ``std`` (ddof 0).
        """
        return {
            name: _steadiness([f.chosen.params[name] if f.chosen else None for f in self.folds]) for name in self.space.axes
        }

    @property
    def warnings(self) -> list[str]:
        """What a careful reader must know."""
        notes = [f"Fold {f.fold.number} traded nothing: {f.problem}" for f in self.folds if f.problem]
        ruined = next((f.fold.number for f in self.folds if f.test is not None and not np.all(f.test.returns > -1.0)), None)
        if ruined is not None:
            notes.append(f"Equity fell below nothing in fold {ruined}: the out-of-sample curve ends there.")
        failed = sum(f.failed for f in self.folds)
        if failed:
            notes.append(f"{failed:,} of {sum(len(f.trials) for f in self.folds):,} training runs failed.")
        if self.refused:
            notes.append(f"{len(self.refused):,} parameter sets are refused by the strategy and were left out.")
        if len(self.folds) < 3:
            notes.append(f"{len(self.folds)} fold{'' if len(self.folds) == 1 else 's'}: too few to say anything of stability.")
        last = self.folds[-1].fold
        if last.test_sessions < self.splitter.test:
            notes.append(f"The last test window has {last.test_sessions} of {self.splitter.test} sessions.")
        return notes


def walk_forward(
    setup: TrialSetup,
    space: ParameterSpace,
    splitter: WalkForward,
    *,
    objective: str | Objective = "sharpe",
    search: str = "grid",
    trials: int | None = None,
    seed: int = 42,
    hindsight: bool = True,
    workers: int | None = None,
    backend: str = LOCAL,
    address: str | None = None,
    recorded: Mapping[int, Trial] | None = None,
    begin: Callable[[], None] | None = None,
    record: Record | None = None,
    progress: Progress | None = None,
) -> WalkForwardResult:
    """Run a walk-forward. The result is the same whatever the number of workers, and wherever they are.

    Parameters
    ----------
    setup : TrialSetup
        The strategy and all that its runs share; its source says which sessions.
    space : ParameterSpace
        Where the candidates come from; the same for every fold.
    splitter : WalkForward
    objective : str or callable
        A metric's name, or a function of a `Trial` that returns what is to be as large as possible, or None. Of equals the
        first candidate is chosen.
    search : {'grid', 'random'}
        Every combination, or `trials` of them drawn at random.
    trials : int, optional
        How many to draw.
    seed : int
        Of the draw.
    hindsight : bool
        Also run every candidate over all test windows as one run, for comparison.
    workers : int, optional
        Processes; 1, the default, runs in this one. With more, a class given to `setup` must be importable.
    backend, address
        See `open_pool`.
    recorded : mapping of int to Trial, optional
        What `record` was given by a walk-forward that was interrupted, and with the same arguments: only the rest runs.
    begin : callable, optional
        Called when everything is checked and the workers are there, before the first run.
    record : callable, optional
        Given each trial as soon as it is finished, with its place: training fold by fold, then hindsight, then the tests.
    progress : callable, optional
        Told how many runs are done of `run_count`.

    Raises
    ------
    DataError
        If `recorded` is not of these arguments.
    ConfigurationError
        If there are too few sessions, the space does not fit the search, the objective is unknown, or the strategy refuses
        every candidate.
    StrategyError
        If no candidate completed in any fold; the text is that of the first failure.
    """
    name, judge = objective_of(objective)
    candidates, refused = candidates_of(setup, space, search=search, trials=trials, seed=seed)
    windowed = WindowedSetup.of(replace(setup, lean=name in LEAN))
    sessions = windowed.history.sessions
    folds = splitter.folds(sessions)
    trainings = [_days(fold.train_start, fold.train_end) for fold in folds]
    tests = [_days(fold.test_start, fold.test_end) for fold in folds]
    span = (tests[0][0], tests[-1][1])
    windows = (*trainings, *((span,) if hindsight else ()))
    tasks = [windowed.task(window, params) for window in windows for params in candidates]
    known = dict(recorded or {})
    done = len(known)

    def tell(place: int, trial: Trial) -> None:
        nonlocal done
        done += 1
        if record is not None:
            record(place, trial)
        if progress is not None:
            progress(done)

    size = len(candidates)
    with open_pool(windowed, workers=workers, backend=backend, address=address) as pool:
        if begin is not None:
            begin()
        found = run_all(pool, tasks, tell, recorded=known)
        trained = [tuple(found[i * size : (i + 1) * size]) for i in range(len(folds))]
        looked_back = tuple(found[len(folds) * size :])
        places = [_best(trials, judge) for trials in trained]
        chosen = [None if place is None else trials[place] for place, trials in zip(places, trained, strict=True)]
        if all(trial is None for trial in chosen):
            raise _nothing_completed(name, found)
        kept = [(i, place) for i, place in enumerate(places) if place is not None]
        again = [windowed.task(tests[i], candidates[place]) for i, place in kept]
        tested_before = {place - len(tasks): trial for place, trial in known.items()}
        ran = run_all(pool, again, lambda place, trial: tell(len(tasks) + place, trial), recorded=tested_before)
    tested = {i: trial for (i, _), trial in zip(kept, ran, strict=True)}
    best = _best(looked_back, judge)
    outcomes = tuple(
        FoldOutcome(fold, trained[i], chosen[i], tested.get(i), _judged(chosen[i], judge), _judged(tested.get(i), judge))
        for i, fold in enumerate(folds)
    )
    days, returns = _stitched(sessions, outcomes)
    return WalkForwardResult(
        title=setup.title,
        splitter=splitter,
        objective=name,
        space=space,
        capital=sum(entry.capital for entry in setup.entries),
        folds=outcomes,
        refused=refused,
        days=days,
        returns=returns,
        hindsight=looked_back,
        best=None if best is None else looked_back[best],
    )


def run_count(folds: int, candidates: int, *, hindsight: bool = True) -> int:
    """Return how many runs a walk-forward takes: what `progress` counts up to."""
    return (folds + hindsight) * candidates + folds


def compounded(returns: FloatArray, initial: float) -> FloatArray:
    """Return equity after each of `returns`, shape (s,)."""
    equity: FloatArray = (initial * np.cumprod(1.0 + returns)).astype(np.float64, copy=False)
    return equity


def curve_metrics(days: DayArray, returns: FloatArray, initial: float) -> dict[str, Metric]:
    """Return the metrics that a curve of session returns has by itself, by the formulas and names of a run's scorecard.

    Parameters
    ----------
    days, returns : arrays of shape (s,), s at least 1
        Session dates in days since the epoch; simple returns as fractions.
    initial : float
        Capital before the first session.
    """
    closes = compounded(returns, initial)
    final, stamps = float(closes[-1]), days.astype(np.int64) * NS_PER_DAY
    below, percent = m.drawdowns(closes, initial)
    yearly = m.annualised_return(initial, final, len(days))
    _, months = m.monthly_returns(days, closes, initial)
    return {
        "sessions": len(days),
        "initial_cash": initial,
        "final_cash": m.finite(final),
        "total_return": m.total_return(initial, final),
        "annualised_return": yearly,
        "cagr": m.cagr(initial, final, int(stamps[0]), int(stamps[-1])),
        "annualised_vol": m.annualised_vol(returns),
        "sharpe": m.sharpe(returns),
        "sortino": m.sortino(returns),
        "calmar": m.calmar(yearly, float(percent.max())),
        "max_drawdown": m.finite(float(below.max())),
        "max_drawdown_pct": m.finite(float(percent.max())),
        "longest_drawdown_days": m.longest_drawdown_days(stamps, closes, initial),
        "ulcer_index": m.ulcer_index(closes, initial),
        "best_day": m.finite(float(returns.max())),
        "worst_day": m.finite(float(returns.min())),
        "best_month": m.finite(float(months.max())),
        "worst_month": m.finite(float(months.min())),
        "positive_days": m.positive_share(returns),
        "skew": m.skewness(returns),
        "kurtosis": m.kurtosis(returns),
        "var_95": m.value_at_risk(returns),
        "cvar_95": m.conditional_value_at_risk(returns),
        "tail_ratio": m.tail_ratio(returns),
    }


def candidates_of(
    setup: TrialSetup, space: ParameterSpace, *, search: str = "grid", trials: int | None = None, seed: int = 42
) -> tuple[list[dict[str, Any]], tuple[dict[str, Any], ...]]:
    """Return the parameter sets that a walk-forward tries, and those that the strategy refuses.

    Raises
    ------
    ConfigurationError
        If the space has no end and a grid is asked for, it is too large, or the strategy refuses every parameter set.
    """
    accepted: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    reason = ""
    for params in _asked(space, search, trials, seed):
        try:
            setup.build(params)
        except ConfigurationError as exc:
            refused.append(params)
            reason = reason or str(exc)
        except Exception:  # noqa: BLE001  the constructor is the author's code; the runs will record what it raises
            accepted.append(params)
        else:
            accepted.append(params)
    if not accepted:
        raise ConfigurationError(f"the strategy refuses every parameter set; of the first it says: {reason}")
    return accepted, tuple(refused)


def _asked(space: ParameterSpace, search: str, trials: int | None, seed: int) -> list[dict[str, Any]]:
    if search not in ("grid", "random"):
        remedy = "A search that learns would look at every fold's training anew."
        raise ConfigurationError.of("search", "be grid or random in a walk-forward", search, remedy)
    found = search_of(search, space, trials=trials, seed=seed)
    if found.count > MAX_CANDIDATES:
        rule = f"give at most {MAX_CANDIDATES:,} parameter sets"
        raise ConfigurationError.of("parameters", rule, found.count, "Take larger steps, or search at random.")
    asked: list[dict[str, Any]] = []
    while batch := found.ask():
        asked += batch
        found.tell([None] * len(batch))
    return asked


def _days(first: Any, last: Any) -> tuple[int, int]:
    return date_to_day(first), date_to_day(last)


def _judged(trial: Trial | None, judge: Objective) -> float | None:
    if trial is None or not trial.completed:
        return None
    value = judge(trial)
    return None if value is None else m.finite(float(value))


def _best(trials: Sequence[Trial], judge: Objective) -> int | None:
    scores = [(score, place) for place, trial in enumerate(trials) if (score := _judged(trial, judge)) is not None]
    return max(scores, key=lambda pair: pair[0])[1] if scores else None  # of equals, max returns the first


def _nothing_completed(objective: str, trials: Sequence[Trial]) -> StrategyError:
    reason = next((trial.reason for trial in trials if not trial.completed), "")
    if reason:
        return StrategyError(f"no candidate completed in any fold; the first failed with: {reason}")
    return StrategyError(
        f"{objective!r} is not defined for any candidate in any fold: did it never trade? Train on more sessions."
    )


def _stitched(sessions: DayArray, outcomes: Sequence[FoldOutcome]) -> tuple[DayArray, FloatArray]:
    first = np.searchsorted(sessions, date_to_day(outcomes[0].fold.test_start))
    days = sessions[first:]
    returns = np.zeros(len(days))
    for outcome in outcomes:
        if outcome.test is not None and outcome.test.completed:
            returns[np.searchsorted(days, outcome.test.days)] = outcome.test.returns
    return days, returns


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _steadiness(values: Sequence[Any]) -> dict[str, Any]:
    chosen = [value for value in values if value is not None]
    common = max(chosen, key=chosen.count)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in chosen)
    facts: Mapping[str, Any] = {
        "values": list(values),
        "distinct": sum(value not in chosen[:i] for i, value in enumerate(chosen)),
        "changes": sum(a != b for a, b in pairwise(chosen)),
        "common": common,
        "common_share": chosen.count(common) / len(chosen),
    }
    return {**facts, **({"mean": statistics.fmean(chosen), "std": statistics.pstdev(chosen)} if numbers else {})}
