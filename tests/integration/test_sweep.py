"""Sweeps: equal to single backtests to the bit, the same on any number of processes, and nothing lost to a kill."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fairlead
from fairlead.backtest.api import study_setup
from fairlead.backtest.kept import KeptSource
from fairlead.backtest.sweep_result import SweepResult, luckiest_of
from fairlead.backtest.sweeps import sweep
from fairlead.backtest.trials import run_trial
from fairlead.backtest.trialstore import REGISTRY, TrialStore
from fairlead.contracts.files import sha256_file
from fairlead.core.errors import ConfigurationError, DataError, DataNotFound, UnknownName
from fairlead.sdk import Strategy
from support_sessions import ArraySource, days, random_bars
from support_sweeps import NOON, Above, ended, prices, same

SPACE = {"n": [5, 10, 13], "wait": "0:10:5"}
TESTS = Path(__file__).parents[1]


class Unfindable(Above):
    """Stands in a test module, which other processes cannot import."""


def all_same(a: SweepResult, b: SweepResult) -> bool:
    return list(a.trials) == list(b.trials) and all(same(a.trials[i], b.trials[i]) for i in a.trials)


def swept(workspace: Path, space=None, *, strategy: type[Strategy] | str = Above, **options) -> SweepResult:
    return sweep(strategy, prices(), space or SPACE, workspace=workspace, now=lambda: NOON, **options)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def result(workspace):
    """A grid of nine: six complete, two fail, and one is refused or fails by its parameters alone."""
    return swept(workspace, params={"share": 0.4}, cash=50_000, commission=3)


def test_every_trial_equals_the_single_backtest_to_the_bit(result):
    completed = [trial for trial in result.trials.values() if trial.completed]
    assert len(completed) >= 4
    for trial in completed:
        single = fairlead.backtest(Above, prices(), params={"share": 0.4, **trial.params}, cash=50_000, commission=3)
        assert trial.digest == single.digest
        assert trial.metrics == single.metrics
        assert trial.returns.tobytes() == single.sessions.returns.tobytes()
        assert trial.days.tobytes() == single.sessions.days.tobytes()
        info = single.info
        assert (trial.code_hash, trial.config_hash, trial.data_hash) == (info.code_hash, info.config_hash, info.dataset_hash)
    assert len({trial.digest for trial in completed}) > 1


class Counted(ArraySource):
    """Counts how often its history is read."""

    reads = 0

    def blocks(self, *, carry):
        self.reads += 1
        yield from super().blocks(carry=carry)


def counted() -> Counted:
    source = days({"ASSET": random_bars(np.random.default_rng(3), 120)}, rows=50)
    arrays = {name: source.arrays[name] for name in source.arrays}
    return Counted(
        source.symbols, arrays, session=source.session, label_ns=source.label_ns, known_ns=source.known_ns,
        bar_size=source.bar_size, rows=50,
    )  # fmt: skip


def test_history_is_read_once_for_all_trials(tmp_path):
    """And what was kept gives the same as what is read again."""
    source = counted()
    found = sweep(Above, source, {"n": [5, 10, 15]}, workspace=tmp_path, now=lambda: NOON)
    assert source.reads == 1
    setup = study_setup(Above, source)
    for trial in found.trials.values():
        assert trial.completed
        assert same(trial, run_trial(setup, trial.params))
    assert source.reads == 4


def test_history_too_large_to_keep_is_read_again():
    source = counted()
    kept = KeptSource(source, limit=100)
    assert [len(list(kept.blocks(carry=1))) for _ in range(2)] == [3, 3]
    assert source.reads == 2


def test_history_that_was_read_in_part_is_read_on():
    source = counted()
    kept = KeptSource(source)
    first = next(kept.blocks(carry=1))
    whole = list(kept.blocks(carry=1))
    assert (len(whole), source.reads) == (3, 1)
    assert whole[0] is first
    assert all(a is b for a, b in zip(whole, kept.blocks(carry=1), strict=True))
    for carry in (2, 3):
        assert all(a is not b for a, b in zip(whole, kept.blocks(carry=carry), strict=True))
    assert len(list(kept.blocks(carry=1))) == 3
    assert source.reads == 4  # two carries are kept, and the first was the oldest


class Torn(Counted):
    """A file in the middle is damaged."""

    def blocks(self, *, carry):
        for i, block in enumerate(super().blocks(carry=carry)):
            if i == 1:
                raise DataError("the second file is damaged")
            yield block


def test_damaged_history_fails_every_trial_and_shortens_none(tmp_path):
    source = counted()
    source.__class__ = Torn
    found = sweep(Above, source, {"n": [5, 10, 15]}, workspace=tmp_path, now=lambda: NOON)
    assert [trial.reason for trial in found.trials.values()] == ["the second file is damaged"] * 3


def test_refused_and_failed_trials_are_told_apart_and_do_not_end_the_sweep(result):
    by_params = {(t.params["n"], t.params["wait"]): t for t in result.trials.values()}
    assert list(by_params) == [(n, wait) for n in (5, 10, 13) for wait in (0, 5, 10)]
    for n in (5, 10):
        assert by_params[n, n].status == "refused"
        assert by_params[n, n].reason == f"'wait' must differ from n ({n}), was {n}"
    for wait in (0, 5, 10):
        failed = by_params[13, wait]
        assert (failed.status, failed.metrics, len(failed.returns)) == ("failed", {}, 0)
        assert "ValueError: thirteen" in failed.reason
        assert failed.config_hash
    assert result.counts == {"completed": 4, "failed": 3, "refused": 2}
    assert any(note.startswith("3 of 9 trials failed; the first: ") for note in result.warnings)


def test_two_workers_find_what_one_does(result, tmp_path):
    assert all_same(result, swept(tmp_path, params={"share": 0.4}, cash=50_000, commission=3, workers=2))


def test_the_store_gives_back_what_went_in(result, workspace):
    assert all_same(result, SweepResult.load(workspace, result.id))
    assert repr(SweepResult.load(workspace)) == repr(result)
    with TrialStore(workspace) as store:
        assert store.count("above") == 9
        assert store.count("above", status="failed") == 3
        assert store.count("other") == store.count("above", data_hash="0") == 0
        assert store.distinct("above", result.study.data_hash) == 7
    with pytest.raises(DataNotFound, match=r"no sweep named 'sw_none' in .*Newest: sw_20240701T120000Z_above_"):
        SweepResult.load(workspace, "sw_none")


def test_the_latest_sweep_is_no_study_of_another_kind(tmp_path):
    found = swept(tmp_path, {"n": [5]})
    with TrialStore(tmp_path) as store:
        store.begin(replace(found.study, id="wf_1", kind="walkforward", created_at="2025-01-01T00:00:00.000000Z"))
        assert store.study("latest").id == "wf_1"
        assert store.study("latest", "sweep").id == found.id
        with pytest.raises(DataNotFound, match="no sweep named 'wf_1'"):
            store.study("wf_1", "sweep")
    assert SweepResult.load(tmp_path).id == found.id


@pytest.mark.parametrize("statement", ["UPDATE trials SET status = 'completed'", "DELETE FROM trials"])
def test_no_trial_can_be_changed_or_deleted(result, workspace, statement):
    db = sqlite3.connect(workspace / REGISTRY)
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        db.execute(statement)
    db.close()


def test_frame_returns_and_ranking_say_the_same(result):
    frame, returns = result.frame, result.returns
    assert list(frame.columns[:3]) == ["n", "wait", "status"]
    assert len(frame) == 9
    best = result.trials[result.ranking[0]]
    assert result.best is best
    assert best.metrics["sharpe"] == frame["sharpe"].max()
    assert list(frame.loc[result.ranking, "sharpe"]) == sorted(frame["sharpe"].dropna(), reverse=True)
    assert list(returns.columns) == [i for i, t in result.trials.items() if t.completed]
    assert np.array_equal(returns[result.ranking[0]].to_numpy(), best.returns)
    assert returns.index[0].isoformat() == "2024-01-02T00:00:00+00:00"


def test_a_metric_that_is_better_the_lower_ranks_the_lowest_first(tmp_path):
    found = swept(tmp_path, {"n": [5, 10], "share": [0.2, 0.9]}, objective="max_drawdown_pct")
    drawdowns = [found.trials[i].metrics["max_drawdown_pct"] for i in found.ranking]
    assert drawdowns == sorted(drawdowns)
    assert drawdowns[0] < drawdowns[-1]
    assert found.summary()["best"][0]["objective"] == drawdowns[0]


def test_saved_files_are_those_the_manifest_lists(result):
    folder = result.save()
    assert result.save() == folder  # again, in its own place
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {"trials.csv", "returns.parquet", "heatmap.png", "parallel.png"}
    assert all(sha256_file(folder / name) == sha for name, sha in manifest["files"].items())
    assert manifest["counts"] == result.counts
    assert manifest["data_hash"] == result.study.data_hash
    table = pl.read_csv(folder / "trials.csv")
    assert table.columns[:4] == ["trial", "n", "wait", "status"]
    assert table["sharpe"].to_list() == [t.metrics.get("sharpe") for t in result.trials.values()]


@pytest.mark.parametrize(
    "space",
    [
        {"n": [5, 10]},
        {"n": "5:12", "share": "0.1:0.9"},
        {"n": [5, 10], "wait": [1, 2], "share": [0.2, 0.4]},
        {"share": "1e-3:1:log"},
    ],
)
def test_pictures_of_any_space_can_be_drawn(tmp_path, space):
    search = {} if all(not isinstance(v, str) for v in space.values()) else {"search": "random", "trials": 5}
    found = swept(tmp_path, space, **search)
    assert (found.save() / "parallel.png").stat().st_size > 5_000
    assert (found.save() / "heatmap.png").is_file() == (len(space) > 1)
    if len(space) == 1:
        with pytest.raises(ConfigurationError, match="'sweep' must have two parameters"):
            found.plot("heatmap")
    with pytest.raises(UnknownName, match="no plot named 'heat'"):
        found.plot("heat")


KILLED = """\
import multiprocessing, os, signal, sys
sys.path.insert(0, {tests!r})
from support_sessions import ArraySource, days, random_bars
from support_sweeps import NOON, Above, prices
from fairlead.backtest.sweeps import sweep

def tell(done):
    if done == 3:
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    sweep(Above, prices(), {space!r}, workspace={workspace!r}, now=lambda: NOON, workers={workers}, progress=tell)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_sweep_is_resumed_where_it_stopped(tmp_path, workers):
    """The parent is killed: its workers leave too, what it reported is there, and only the rest runs."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(tests=str(TESTS), space=SPACE, workspace=str(tmp_path / "a"), workers=workers))
    child = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert child.returncode == -9, child.stderr
    orphans = [int(pid) for pid in child.stdout.split()]
    assert len(orphans) >= workers - 1
    for pid in orphans:
        assert ended(pid)
    broken = SweepResult.load(tmp_path / "a")
    assert len(broken.trials) == 3
    assert "3 of 9 trials are there." in broken.warnings
    told: list[int] = []
    resumed = sweep(Above, prices(), workspace=tmp_path / "a", resume="latest", progress=told.append)
    assert told == [4, 5, 6, 7, 8, 9]
    assert resumed.id == broken.id
    assert resumed.is_complete
    assert all(resumed.trials[i] is not broken.trials[i] and same(resumed.trials[i], broken.trials[i]) for i in broken.trials)
    assert all_same(resumed, swept(tmp_path / "b"))


def test_resuming_a_finished_sweep_runs_nothing(result, workspace):
    told: list[int] = []
    again = sweep(
        Above, prices(), SPACE, workspace=workspace, resume=result.id, progress=told.append,
        params={"share": 0.4}, cash=50_000, commission=3,
    )  # fmt: skip
    assert told == []
    assert all_same(result, again)


def test_a_sweep_of_something_else_is_not_resumed(tmp_path):
    first = swept(tmp_path)
    with pytest.raises(ConfigurationError, match=f"sweep {first.id} cannot be resumed: configuration changed"):
        sweep(Above, prices(), workspace=tmp_path, resume="latest", cash=1_000)
    with pytest.raises(ConfigurationError, match="configuration and data changed since"):
        sweep(Above, prices(seed=2), workspace=tmp_path, resume="latest")
    with pytest.raises(ConfigurationError, match="'resume' must be given the parameters and the search of the sweep, or none"):
        swept(tmp_path, {"n": [5, 6]}, resume="latest")
    with pytest.raises(DataNotFound, match="no sweep named 'sw_1999'"):
        swept(tmp_path, resume="sw_1999")


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_a_search_is_the_same_on_two_workers_and_when_resumed(tmp_path, search):
    """Optuna learns from results, so the order in which processes finish must not reach it."""
    if search == "optuna":
        pytest.importorskip("optuna")
    space, plan = {"n": "2:50", "share": "0.1:1"}, {"search": search, "trials": 20, "search_seed": 5}
    whole = swept(tmp_path / "a", space, **plan)
    assert all_same(whole, swept(tmp_path / "b", space, workers=2, **plan))

    def stop(done):
        if done == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path / "c", space, progress=stop, **plan)
    with TrialStore(tmp_path / "c") as store:
        assert store.count() == 11
    assert all_same(whole, sweep(Above, prices(), workspace=tmp_path / "c", resume="latest"))
    assert not all_same(whole, swept(tmp_path / "d", space, **{**plan, "search_seed": 6}))


def test_trials_of_earlier_sweeps_count_and_repeated_ones_do_not(tmp_path):
    first = swept(tmp_path, {"n": [5, 10]})
    second = swept(tmp_path, {"n": [10, 15, 20]})
    assert (first.tried, second.tried, second.tried_before) == (2, 4, 1)
    assert any(
        note.startswith("4 parameter sets were tried on this data, 1 of them before this sweep.") for note in second.warnings
    )
    third = swept(tmp_path, {"n": [10, 15, 20]})
    assert third.id == f"{second.id}_2"
    assert third.tried == 4


def test_the_luck_of_many_trials_is_the_golden_value():
    """Domain rule 11: annual variance 0.5, 100 trials, 250 days."""
    assert luckiest_of(100, 0.5 / 250) == pytest.approx(0.113172, abs=1e-6)
    assert luckiest_of(1, 0.5) == 0.0


def test_too_many_trials_need_more_than_a_word(tmp_path):
    with pytest.raises(
        ConfigurationError, match="'number of trials' must be at most 1,000 unless more are asked for, was 2401"
    ):
        swept(tmp_path, {"n": "2:50:1", "wait": "1:49:1"})
    with pytest.raises(ConfigurationError, match="must be at most 3 "):
        swept(tmp_path, {"n": [5, 6, 7, 8]}, max_trials=3)
    assert not (tmp_path / "sweeps").exists()


def test_what_cannot_be_swept_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ConfigurationError, match="'strategy' must be a class or a name"):
        swept(tmp_path, strategy=Above())
    with pytest.raises(UnknownName, match="no option of a study named 'comission'; did you mean 'commission'"):
        swept(tmp_path, comission=3)
    with pytest.raises(UnknownName, match="no parameter of above named 'nn'"):
        swept(tmp_path, {"nn": [1]})
    with pytest.raises(UnknownName, match="no objective named 'sharp'; did you mean 'sharpe'"):
        swept(tmp_path, objective="sharp")
    with pytest.raises(ConfigurationError, match="'workers' must be at least 1"):
        swept(tmp_path, workers=0)

    with pytest.raises(ConfigurationError, match=r"another process cannot load the study: .*top level of a file that can be"):
        swept(tmp_path, strategy=Unfindable, workers=2)

    class Local(Above):
        """Stands in a function, where no other process finds it."""

    with pytest.raises(ConfigurationError, match="Put the strategy at the top level of a file, or use workers=1"):
        swept(tmp_path, strategy=Local, workers=2)
    assert swept(tmp_path, {"n": [5]}, strategy=Local).counts["completed"] == 1


def test_a_damaged_registry_is_named(tmp_path):
    (tmp_path / REGISTRY).write_text("not a database at all, but long enough to look like a header of one" * 20)
    with pytest.raises(DataError, match=r"cannot open .*registry.db: .* put it aside"):
        swept(tmp_path)


def test_the_package_has_the_door(tmp_path):
    found = fairlead.backtest.sweep("buy_and_hold", "bundled", {"symbols": [("IBM",), ("AAPL",)]}, workspace=tmp_path)
    assert [t.params["symbols"] for t in found.trials.values()] == [["IBM"], ["AAPL"]]
    assert found.counts["completed"] == 2
    assert (found.save() / "heatmap.png").exists() is False
