"""Walk-forward: the choice follows what training shows, and nothing that comes later."""

import dataclasses
import datetime as dt
import hashlib
import json

import numpy as np
import pytest

import fairlead
from fairlead.backtest.api import study_setup
from fairlead.backtest.library import list_runs, run_folder
from fairlead.backtest.metrics import sharpe
from fairlead.backtest.rundir import read_directory
from fairlead.backtest.space import ParameterSpace
from fairlead.backtest.splitters import WalkForward
from fairlead.backtest.trials import StrategyEntry, TrialSetup
from fairlead.backtest.trialstore import TrialStore
from fairlead.backtest.walkforward import candidates_of, curve_metrics, run_count, walk_forward
from fairlead.backtest.walkforward_files import digest, study_of, summary, write_walk_forward
from fairlead.backtest.windows import HeldHistory, WindowedSetup
from fairlead.core.errors import ConfigurationError, DataError, DataNotFound, StrategyError
from fairlead.core.time import date_to_day
from fairlead.engine.session import SessionPlan, run_session
from support_sessions import FIELDS, FIRST_DAY, days, dividend, free, minutes, random_bars, split

STRATEGY = '''\
"""Bets on one direction, always."""

from fairlead.sdk import ConfigurationError, OrderIntent, Strategy, parameter


class Bet(Strategy):
    """Hold half the equity, long or short."""

    side: int = parameter(1, ge=-2, le=3, doc="1 long, -1 short, -2 out of the market; 2 raises, 3 is refused.")
    share: float = parameter(0.5, gt=0, le=1)

    def validate(self):
        if self.side == 3:
            raise ConfigurationError.of("side", "not be 3", self.side)

    def on_start(self, context):
        self.seen = 0

    def generate_orders(self, context):
        self.seen += 1
        if self.side == 2:
            raise RuntimeError("two is no side")
        if self.side == -2:
            return []
        return [OrderIntent.target_weight("A", self.side * self.share)] if self.seen == 1 else []


class Seen(Bet):
    """Buys if the average of the last three closes, from before the window too, is at least `level`."""

    level: float = parameter(0.0)

    def required_features(self):
        return {"mean": ("sma", {"n": 3})}

    def generate_orders(self, context):
        self.seen += 1
        known = context.features.get("mean", "A")
        return [OrderIntent.target_weight("A", self.share)] if self.seen == 1 and known >= self.level else []
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bets") / "bet.py"
    path.write_text(STRATEGY)
    return path


def history(moves, price=100.0, **changes):
    """Daily bars of one symbol that opens where it closed and then moves by these fractions, in turn with a little noise."""
    noise = 0.002 * np.where(np.arange(len(moves)) % 2, 1.0, -1.0)
    closes = price * np.cumprod(1.0 + np.asarray(moves) + noise)
    opens = np.concatenate(([price], closes[:-1]))
    rows = [(o, max(o, c), min(o, c), c, 1e9) for o, c in zip(opens, closes, strict=True)]
    return days({"A": rows}, **changes)


def regimes(*lengths, step=0.01):
    """Rising and falling by `step` in turns."""
    return history(np.concatenate([np.full(n, step if i % 2 == 0 else -step) for i, n in enumerate(lengths)]))


def setup_of(file, source, name="Bet", **params):
    reference = f"{file}:{name}"
    return TrialSetup(
        title="A bet",
        plan=SessionPlan(run_id="", allocations=(), source=source, execution=free()),
        entries=(StrategyEntry(name="bet", strategy=reference, params=params),),
        config={"strategies": [{"name": "bet", "params": {}}]},
    )


def space_of(setup, **axes):
    return ParameterSpace.of(axes, setup.strategy.parameters, setup.strategy.name)


def walk(file, source, splitter, side=(1, -1), **options):
    setup = setup_of(file, source)
    return walk_forward(setup, space_of(setup, side=list(side)), splitter, **options)


def choices(result):
    return [None if f.chosen is None else f.chosen.params["side"] for f in result.folds]


# ----------------------------------------------------------------------------------------------------------------- the choice


def test_the_choice_follows_the_regime(file):
    """Sixty sessions up, sixty down: trained on the twenty before, the bet turns once these have mostly fallen."""
    result = walk(file, regimes(60, 60), WalkForward(train=20, test=10))
    starts = [date_to_day(f.fold.test_start) - FIRST_DAY for f in result.folds]
    assert starts == [20, 30, 40, 50, 60, 70, 80, 90, 100, 110]
    # The fold at 70 trained on ten up and ten down; the noise is even, and the earlier candidate wins a tie or a small gain.
    assert choices(result)[:5] == [1] * 5
    assert choices(result)[6:] == [-1] * 4
    assert result.folds[4].test.metrics["total_return"] < 0 < result.folds[0].test.metrics["total_return"]
    assert result.stability["side"]["changes"] == 1
    assert result.stability["side"]["distinct"] == 2


def test_the_future_never_changes_a_choice(file):
    """Whatever prices do from a test window on, the parameters traded in it are the same."""
    source, splitter = regimes(45, 30, 45), WalkForward(train=30, test=15)
    before = walk(file, source, splitter)
    assert set(choices(before)) == {1, -1}
    for number, outcome in enumerate(before.folds):
        first = date_to_day(outcome.fold.test_start) - FIRST_DAY
        arrays = {name: values.copy() for name, values in source.arrays.items()}
        for name in FIELDS[:4]:
            arrays[name][first:] = 7.0 + 0.01 * np.arange(len(arrays[name]) - first)[:, None]
        after = walk(file, source.changed(arrays=arrays), splitter)
        assert choices(after)[: number + 1] == choices(before)[: number + 1]
        for now, then in zip(after.folds[: number + 1], before.folds, strict=False):
            assert [t.digest for t in now.trials] == [t.digest for t in then.trials]
            assert [t.data_hash for t in now.trials] == [t.data_hash for t in then.trials]


def test_training_ends_before_the_purge(file):
    """Ten sessions up after forty down: with those purged, training has seen no rise."""
    source = history(np.repeat([-0.002, 0.03, 0.01], [40, 10, 30]))
    assert choices(walk(file, source, WalkForward(train=50, test=30)))[0] == 1
    purged = walk(file, source, WalkForward(train=50, test=30, purge=10))
    assert choices(purged)[0] == -1
    assert [len(trial.days) for trial in purged.folds[0].trials] == [40, 40]


def test_the_objective_decides(file):
    """A price that falls a little: shorts win by return, staying out has no drawdown, a function may ask for anything."""
    source, splitter = history(np.full(60, -0.001)), WalkForward(train=20, test=20)
    assert choices(walk(file, source, splitter, (1, -1, -2), objective="total_return")) == [-1, -1]
    assert choices(walk(file, source, splitter, (1, -1, -2), objective="max_drawdown_pct")) == [-2, -2]
    result = walk(file, source, splitter, (1, -1, -2), objective=lambda trial: float(trial.params["side"]))
    assert choices(result) == [1, 1]
    assert result.objective == "<lambda>"


def test_of_equals_the_first_is_chosen(file):
    """Neither trades: the order of the space decides, not chance."""
    setup = setup_of(file, history(np.full(30, 0.01)), side=-2)
    for shares in ([0.2, 0.4], [0.4, 0.2]):
        result = walk_forward(setup, space_of(setup, share=shares), WalkForward(train=10, test=10), objective="total_return")
        assert [f.chosen.params["share"] for f in result.folds] == [shares[0]] * 2


# ------------------------------------------------------------------------------------------------------------------ the curve


def test_the_curve_chains_the_test_windows(file):
    """Equity is the capital with the returns of every test window compounded, and its metrics are those of the one library."""
    result = walk(file, regimes(60, 45), WalkForward(train=20, test=25))
    parts = [f.test.returns for f in result.folds]
    assert [len(part) for part in parts] == [25, 25, 25, 10]
    np.testing.assert_array_equal(result.returns, np.concatenate(parts))
    np.testing.assert_array_equal(result.days, FIRST_DAY + np.arange(20, 105))
    final = 100_000.0 * np.prod([1 + f.test.metrics["total_return"] for f in result.folds])
    assert result.equity[-1] == pytest.approx(final, rel=1e-12)
    assert result.metrics["sharpe"] == sharpe(result.returns)
    assert result.metrics["final_cash"] == pytest.approx(final, rel=1e-12)


def test_the_metrics_of_a_curve_are_those_of_a_run(file):
    """A single run, seen as a curve of returns, has the metrics of its scorecard: trades at the close of daily bars only."""
    result = walk(file, regimes(40, 40), WalkForward(train=40, test=40))
    test = result.folds[0].test
    found = curve_metrics(test.days, test.returns, 100_000.0)
    # A run counts calendar years between instants of the day, a curve between dates.
    own = {name: value for name, value in test.metrics.items() if name in found and name != "cagr"}
    assert set(found) - set(own) == {"cagr"}
    assert own == pytest.approx({name: found[name] for name in own}, rel=1e-9)


def test_ruin_is_told_and_never_a_number(file):
    """A short that loses more than there is: no metric of the curve is NaN, and a warning says what happened."""
    source = history(np.concatenate([np.full(20, -0.001), np.full(20, 0.1)]))
    setup = setup_of(file, source, share=1.0)
    result = walk_forward(setup, space_of(setup, side=[-1]), WalkForward(train=20, test=20))
    assert result.folds[0].test.metrics["final_cash"] < 0
    assert result.metrics["sharpe"] is None
    assert not any(isinstance(value, float) and np.isnan(value) for value in result.metrics.values())
    assert "Equity fell below nothing in fold 1: the out-of-sample curve ends there." in result.warnings


def test_degradation_is_what_training_promised_against_what_was_kept(file):
    """By hand from the folds."""
    result = walk(file, regimes(60, 60), WalkForward(train=20, test=10))
    inside = np.mean([f.chosen.metrics["sharpe"] for f in result.folds])
    assert result.degradation["in_sample_sharpe"] == pytest.approx(inside)
    assert result.degradation["sharpe_ratio"] == pytest.approx(result.metrics["sharpe"] / inside)
    assert result.degradation["median_fold_sharpe"] == pytest.approx(
        np.median([f.test.metrics["sharpe"] for f in result.folds])
    )
    gained = [f.test.metrics["total_return"] > 0 for f in result.folds]
    assert 0 < result.degradation["positive_folds"] == np.mean(gained) < 1


def test_hindsight_runs_every_candidate_over_all_tests(file):
    """One run each over the stitched span; the best is no worse than any other; and it can be left out."""
    source, splitter = regimes(60, 20), WalkForward(train=20, test=20)
    result = walk(file, source, splitter)
    assert [t.params["side"] for t in result.hindsight] == [1, -1]
    assert all(np.array_equal(t.days, result.days) for t in result.hindsight)
    assert result.best.metrics["sharpe"] == max(t.metrics["sharpe"] for t in result.hindsight)
    without = walk(file, source, splitter, hindsight=False)
    assert without.hindsight == ()
    assert without.best is None
    assert np.array_equal(without.returns, result.returns)


# ------------------------------------------------------------------------------------------------------------------- windows


def test_a_window_is_what_a_selection_of_dates_would_give(file):
    """Blocks of a window equal those of the source cut to it, corporate actions included."""
    moves = (split("A", 12, 2.0), dividend("A", 20, 0.5), dividend("A", 35, 0.5))
    source = history(np.full(40, 0.01)).changed(actions=moves)
    held = HeldHistory.of(source)
    window = held.window(FIRST_DAY + 10, FIRST_DAY + 29)
    (block,) = window.blocks(carry=10)
    cut = slice(10, 30)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(block, name), source.arrays[name][cut])
    np.testing.assert_array_equal(block.known_ns, source.known_ns[cut])
    np.testing.assert_array_equal(block.label_ns, source.label_ns[cut])
    assert [(e.row, e.action.ex_session) for e in block.actions] == [(2, FIRST_DAY + 12), (10, FIRST_DAY + 20)]
    assert [len(b) for b in window.whole().blocks(carry=0)] == [30]
    assert [a.ex_session for a in window.whole().actions] == [FIRST_DAY + 12, FIRST_DAY + 20]
    assert held.known_ns(FIRST_DAY + 29) == source.known_ns[29]


def test_features_are_warm_at_the_first_session_of_a_test(file):
    """A mean of three bars is known at once, from the bars before the window; of later bars there is nothing in reach."""
    source = history(np.full(40, 0.0))
    setup = setup_of(file, source, "Seen")
    windowed = WindowedSetup.of(setup).over((FIRST_DAY + 20, FIRST_DAY + 29))
    trial = windowed.run({"level": 1.0})
    assert trial.completed
    assert trial.metrics["num_orders"] == 1
    assert windowed.run({"level": 1e6}).metrics["num_orders"] == 0
    # What the disk keeps was computed from all of history.
    assert setup.plan.features.cache
    assert not windowed.plan.features.cache
    assert [int(b.session[-1]) for b in windowed.plan.source.whole().blocks(carry=0)] == [FIRST_DAY + 29]


def test_a_trial_of_a_window_is_a_backtest_of_it(file):
    """The same decisions and fills as a run on the source cut to those dates."""
    source = regimes(30, 30)
    setup = setup_of(file, source)
    trial = WindowedSetup.of(setup).over((FIRST_DAY + 25, FIRST_DAY + 44)).run({"side": 1})
    plan = setup.on(source.until(45).since(25)).plan_of(setup.build({"side": 1}), "other")
    assert trial.digest == run_session(plan).digest


def test_minute_bars_with_gaps_are_held_as_they_are():
    """Three symbols by the minute, two of them with holes: a window trades as the source cut to it, features warm in both."""
    random = np.random.default_rng(2_024)
    source = minutes({s: random_bars(random, 200, gaps=g) for s, g in (("A", 0.0), ("B", 0.3), ("C", 0.6))}, per_session=20)
    setup = TrialSetup(
        title="t",
        plan=SessionPlan(run_id="", allocations=(), source=source),
        entries=(StrategyEntry(name="sma", strategy="sma_crossover"),),
        config={"strategies": [{"params": {}}]},
    )
    params = {"fast": 2, "slow": 5}
    trial = WindowedSetup.of(setup).over((FIRST_DAY + 4, FIRST_DAY + 7)).run(params)
    record = run_session(setup.on(source.until(160).since(80)).plan_of(setup.build(params), "other"))
    assert len(record.fills) > 10
    assert trial.digest == record.digest
    assert trial.days.tolist() == [FIRST_DAY + 4 + i for i in range(4)]


def test_a_fold_is_the_backtest_of_its_dates(tmp_path):
    """On stored prices with splits and dividends: the test run of a fold is `fairlead.backtest` between the same dates."""
    options = {"symbols": ["AAPL", "IBM"], "cash": 50_000.0, "workspace": tmp_path}
    setup = study_setup("sma_crossover", "bundled", start="2004-01-02", end="2006-12-29", params={"slow": 40}, **options)
    result = walk_forward(setup, space_of(setup, fast=[5, 15]), WalkForward(train=250, test=252), hindsight=False)
    for outcome in result.folds:
        fold, params = outcome.fold, {"slow": 40, **outcome.chosen.params}
        for trial, start, end in (
            (outcome.chosen, fold.train_start, fold.train_end),
            (outcome.test, fold.test_start, fold.test_end),
        ):
            single = fairlead.backtest("sma_crossover", "bundled", start=start, end=end, params=params, **options)
            assert trial.digest == single.digest
            assert trial.metrics == single.metrics
    assert result.capital == 50_000.0


def test_history_before_the_first_date_warms_up_and_is_not_tested(file):
    """A source cut to dates: folds cover its sessions alone, and features reach back behind them."""
    result = walk(file, regimes(60, 60).since(20), WalkForward(train=40, test=20))
    assert date_to_day(result.folds[0].fold.train_start) == FIRST_DAY + 20
    setup = setup_of(file, history(np.full(40, 0.0)).since(20), "Seen")
    assert WindowedSetup.of(setup).over((FIRST_DAY + 20, FIRST_DAY + 24)).run({"level": 1.0}).metrics["num_orders"] == 1


# ---------------------------------------------------------------------------------------------------------- failure and order


def test_a_trial_that_raises_is_recorded_and_the_fold_goes_on(file):
    """One candidate raises, one is refused: the others are judged, and both are told."""
    result = walk(file, regimes(40, 20), WalkForward(train=20, test=20), (2, 1, -1, 3))
    assert choices(result) == [1, 1]
    first = result.folds[0].trials[0]
    assert (first.status, first.params) == ("failed", {"side": 2})
    assert "two is no side" in first.reason
    assert result.refused == ({"side": 3},)
    assert [f.failed for f in result.folds] == [1, 1]
    assert "2 of 6 training runs failed." in result.warnings
    assert "1 parameter sets are refused by the strategy and were left out." in result.warnings


def test_a_fold_without_a_choice_stays_in_cash(file):
    """The objective is not defined in the second fold: it trades nothing, says so, and the others are as before."""
    source, splitter = regimes(60, 20), WalkForward(train=20, test=20)
    late = date_to_day(walk(file, source, splitter).folds[1].fold.train_start)
    result = walk(file, source, splitter, objective=lambda t: None if t.days[0] == late else t.metrics["sharpe"])
    assert choices(result) == [1, None, 1]
    assert not result.returns[20:40].any()
    assert result.returns[:20].any()
    assert result.stability["side"]["values"] == [1, None, 1]
    assert any("Fold 2 traded nothing: no candidate could be chosen" in note for note in result.warnings)


def test_if_nothing_completes_the_first_reason_is_told(file):
    """A strategy that always raises, and an objective that is never defined."""
    splitter = WalkForward(train=20, test=20)
    with pytest.raises(StrategyError, match=r"no candidate completed in any fold; the first failed with.*two is no side"):
        walk(file, regimes(40), splitter, (2,))
    with pytest.raises(StrategyError, match="'sharpe' is not defined for any candidate in any fold"):
        walk(file, regimes(40), splitter, (-2,))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"side": (3,)}, ConfigurationError, "refuses every parameter set.*must not be 3"),
        ({"objective": "sharp"}, ConfigurationError, "no objective named 'sharp'; did you mean 'sharpe'"),
        ({"objective": 3}, ConfigurationError, "'objective' must be a metric's name or a function"),
        ({"workers": 0}, ConfigurationError, "'workers' must be at least 1, was 0"),
        ({"search": "optuna", "trials": 3}, ConfigurationError, "'search' must be grid or random in a walk-forward"),
        ({"search": "random"}, ConfigurationError, "'trials' must be given with a random search"),
    ],
)
def test_bad_arguments_are_refused(file, options, error, text):
    """Before anything runs."""
    with pytest.raises(error, match=text):
        walk(file, regimes(40), WalkForward(train=20, test=20), **options)


def test_too_little_history_is_refused(file):
    """Fewer sessions than one training window, or none."""
    with pytest.raises(ConfigurationError, match="'sessions' must be more than the 50 of the first training window, was 40"):
        walk(file, regimes(40), WalkForward(train=50, test=20))
    with pytest.raises(DataNotFound, match="holds no bar"):
        walk(file, regimes(40).until(0), WalkForward(train=50, test=20))


def test_a_random_search_draws_the_same_candidates_each_time(file):
    """So many different ones; another seed, others."""
    setup = setup_of(file, regimes(40))
    space = space_of(setup, share="0.01:1:0.01")
    drawn = [candidates_of(setup, space, search="random", trials=7, seed=seed)[0] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({params["share"] for params in drawn[0]}) == 7


def test_workers_change_nothing(file):
    """Two processes, a strategy from a file: every trial, the curve and the choice are those of one process."""
    source, splitter = regimes(45, 30), WalkForward(train=30, test=15)
    told: list[list[int]] = [[], []]
    one = walk(file, source, splitter, (1, -1, 2), progress=told[0].append)
    two = walk(file, source, splitter, (1, -1, 2), workers=2, progress=told[1].append)
    assert digest(one) == digest(two)
    np.testing.assert_array_equal(one.returns, two.returns)

    def facts(trial):
        return dataclasses.replace(trial, seconds=0.0, days=None, returns=trial.returns.tolist())

    pairs = zip([*one.hindsight, *one.folds[1].trials], [*two.hindsight, *two.folds[1].trials], strict=True)
    assert all(dataclasses.asdict(facts(a)) == dataclasses.asdict(facts(b)) for a, b in pairs)
    assert told[0] == told[1] == list(range(1, run_count(3, 3) + 1))


# ---------------------------------------------------------------------------------------------------------------------- files


def test_the_directory_is_whole_and_listed(file, tmp_path):
    """Every file is named in the manifest with its hash; `runs ls` lists it; it is told apart from a run; two are alike."""
    setup = setup_of(file, regimes(45, 30))
    space = space_of(setup, side=[1, -1, 2])
    plan = {"space": space.to_dict(), "train": 30, "test": 15}
    now = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    written = []
    with TrialStore(tmp_path) as store:
        for _ in range(2):
            study = study_of(setup, plan, planned=15, created_at=now, taken=[s.id for s in store.studies()])
            store.begin(study)
            result = walk_forward(
                setup, space, WalkForward(train=30, test=15), record=lambda i, trial, s=study: store.add(s.id, [(i, trial)])
            )
            written.append(write_walk_forward(result, setup, study, tmp_path))
        assert store.count(study=study.id) == run_count(3, 3)
        assert store.count(study=study.id, status="failed") == 4
    first, second = written
    assert first.name.startswith("wf_20260102T030405Z_a_bet_")
    assert second.name == f"{first.name}_2"
    manifest = json.loads((first / "manifest.json").read_text())
    names = {path.name for path in first.iterdir()} - {"manifest.json"}
    assert names == {
        "config.yaml", "equity_curve.csv", "equity_curve.png", "folds.csv", "label.txt", "metrics.json", "parameters.png",
        "summary.json", "trials.csv",
    }  # fmt: skip
    hashes = {item["name"]: item["sha256"] for item in manifest["artefacts"]}
    assert hashes == {name: hashlib.sha256((first / name).read_bytes()).hexdigest() for name in names}
    rows = {item["name"]: item["rows"] for item in manifest["artefacts"]}
    assert (rows["folds.csv"], rows["trials.csv"], rows["equity_curve.csv"]) == (3, 15, 45)
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names - {"summary.json"})
    told = json.loads((first / "summary.json").read_text())
    assert told == json.loads(json.dumps(summary(result, dataclasses.replace(study, id=first.name))))
    assert [run["mode"] for run in list_runs(tmp_path)] == ["walkforward"] * 2
    with pytest.raises(DataNotFound, match="no run named 'latest'"):
        run_folder(tmp_path, "latest")
    with pytest.raises(DataError, match="holds a walk-forward, which is no single run"):
        read_directory(first)


def test_a_drawdown_that_is_minimised_is_reported_as_it_is(file):
    """The sign by which a search turns it round does not reach a reader."""
    setup = setup_of(file, regimes(40, 20, step=0.001))
    result = walk_forward(setup, space_of(setup, side=[1, -1]), WalkForward(train=20, test=20), objective="max_drawdown_pct")
    study = study_of(setup, {}, planned=1, created_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    fold = summary(result, study)["folds"][0]
    assert fold["in_sample"] == result.folds[0].chosen.metrics["max_drawdown_pct"] > 0
    assert summary(result, study)["degradation"]["in_sample_objective"] > 0
