"""Walk-forward as a stranger would use it: the real command, its output, what it leaves behind, and bad input."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fairlead.backtest.trialstore import TrialStore
from fairlead.core.time import day_to_date
from fairlead.data.calendars import ExchangeCalendar
from support_cli import HEADER, fairlead

STRATEGY = '''\
"""Bets on one direction."""

from fairlead.sdk import OrderIntent, Strategy, parameter


class Bet(Strategy):
    """Hold half the equity, long or short; two is no side."""

    side: int = parameter(1, ge=-1, le=2, doc="1 long, -1 short.")
    share: float = parameter(0.5, gt=0, le=1, doc="Of equity.")

    def on_start(self, context):
        self.seen = 0

    def generate_orders(self, context):
        self.seen += 1
        if self.side == 2:
            raise RuntimeError("two is no side")
        return [OrderIntent.target_weight("ACME", self.side * self.share)] if self.seen == 1 else []
'''
CONFIG = """\
mode: backtest
name: Which way
data: {type: historical, source: csv, path: ACME.csv, bar_size: 1d}
execution: {type: simulated}
strategies:
  - {name: bet, strategy: bet.py, capital: 10_000}
"""
SESSIONS = [day_to_date(int(day)).isoformat() for day in ExchangeCalendar.get("XNYS").sessions(19_723, 19_873)]
GRID = ("--param", "side=1,-1,2", "--train", "30", "--test", "15", "--objective", "total_return")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prices that rise for 55 sessions and fall for 35, a strategy, a configuration, and one walk-forward."""
    desk = tmp_path_factory.mktemp("walk")
    closes = 100 * np.cumprod(1 + np.repeat([0.01, -0.01], [55, 35]) + np.tile([0.002, -0.002], 45))
    days = SESSIONS[:90]
    rows = [f"{day},{c:.4f},{c * 1.001:.4f},{c * 0.999:.4f},{c:.4f},1000000" for day, c in zip(days, closes, strict=True)]
    (desk / "ACME.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (desk / "bet.py").write_text(STRATEGY)
    (desk / "run.yaml").write_text(CONFIG)
    done = fairlead("walkforward", "run.yaml", *GRID, cwd=desk)
    assert done.code == 0, done.err
    (desk / "printed.txt").write_text(done.out)
    return desk


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to write in."""
    return Path(shutil.copytree(made, tmp_path / "desk"))


def folder_of(desk: Path) -> Path:
    (folder,) = (desk / "artifacts/runs").glob("wf_*")
    return folder


def test_it_prints_folds_and_summary(made):
    """Every fold with its windows and choice, then what was traded, what was promised, and how steady the choice was."""
    text = (made / "printed.txt").read_text()
    headings = ("Which way", "Folds, chosen by total return", "Out of sample", "Sharpe in training, mean", "Most chosen")
    for words in (*headings, "In hindsight side -1", "4 of 12 training runs failed", "written to"):
        assert words in text
    assert folder_of(made).name in text


def test_it_leaves_tables_pictures_and_trials(made):
    """The directory tells what was chosen; the registry has every trial, the failed ones too; `runs ls` lists it."""
    folder = folder_of(made)
    with (folder / "folds.csv").open() as file:
        folds = list(csv.DictReader(file))
    assert [fold["param_side"] for fold in folds] == ["1", "1", "1", "-1"]
    assert [(fold["train_sessions"], fold["test_sessions"], fold["failed"]) for fold in folds] == [("30", "15", "1")] * 4
    assert folds[0]["test_start"] == SESSIONS[30]
    for picture in ("equity_curve.png", "parameters.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    with TrialStore(made / "artifacts") as store:
        (study,) = store.studies()
        assert (study.id, study.kind, study.planned) == (folder.name, "walkforward", 19)
        assert store.count(study=study.id) == 19
        assert store.count(study=study.id, status="failed") == 5
    listed = fairlead("runs", "ls", "--json", cwd=made).json
    assert [(run["run_id"], run["mode"], run["status"]) for run in listed] == [(folder.name, "walkforward", "SUCCESS")]
    shown = fairlead("runs", "show", folder, cwd=made)
    assert shown.code == 2
    assert "holds a walk-forward, which is no single run" in shown.err


def test_json_with_two_workers_tells_the_same(made, desk):
    """Machines get the summary; processes change nothing; only the name of the run differs."""
    done = fairlead("walkforward", "run.yaml", *GRID, "--workers", "2", "--json", cwd=desk)
    assert done.code == 0, done.err
    told = done.json
    before = json.loads((folder_of(made) / "summary.json").read_text())
    assert Path(told.pop("path")).name == told["id"]
    assert {**told, "id": ""} == {**before, "id": ""}


def test_windows_are_as_asked_for(desk):
    """Anchored, purged and embargoed."""
    args = ("--param", "side=1,-1", "--train", "30", "--test", "20", "--anchored", "--purge", "5", "--embargo", "5", "--json")
    folds = fairlead("walkforward", "run.yaml", *args, cwd=desk).json["folds"]
    assert [fold["train_sessions"] for fold in folds] == [25, 45, 65]
    assert {fold["train"][0] for fold in folds} == {SESSIONS[0]}
    assert [fold["train"][1] for fold in folds] == [SESSIONS[24], SESSIONS[44], SESSIONS[64]]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--param", "sid=1,-1"), "no parameter of bet named 'sid'; did you mean 'side'?"),
        (("--param", "side=1:-1:1"), "'side' must be a range from low to high"),
        (("--param", "side="), "'side' must have at least one value"),
        (("--param", "side=7"), "'side' must be <= 2, was 7"),
        (("--param", "side"), "must have the form name=values"),
        ((), "'--param' must be given at least once, was 'nothing'. Known: side, share."),
        (("--param", "side=1,-1", "--param", "share=0.0001:1:0.0001"), "'number of trials' must be at most 10,000"),
        (("--param", "side=1", "--train", "90"), "'sessions' must be more than the 90 of the first training window, was 90"),
        (("--param", "side=1", "--train", "0"), "'train' must be a whole number of at least 1"),
        (("--param", "side=1", "--purge", "504"), "'train' must be greater than purge and embargo together"),
        (("--param", "side=1", "--embargo", "-1"), "'embargo' must be a whole number of at least 0"),
        (("--param", "side=1", "--objective", "sharp"), "did you mean 'sharpe'?"),
        (("--param", "side=1", "--workers", "0"), "Invalid value for '--workers'"),
        (("--param", "share=0.1:0.9"), "have a finite list of values in a grid"),
        (("--param", "side=1", "--search", "optuna", "--trials", "3"), "'search' must be grid or random"),
        (("--param", "side=1", "--strategy", "bat"), "did you mean 'bet'?"),
    ],
)
def test_bad_input_is_told_in_one_line(made, args, text):
    """Exit code 2, what is wrong and what to do, and nothing is written."""
    before = sorted(path.name for path in (made / "artifacts/runs").iterdir())
    train = () if "--train" in args or "--purge" in args else ("--train", "30", "--test", "15")
    done = fairlead("walkforward", "run.yaml", *args, *train, cwd=made)
    assert (done.code, done.out) == (2, "")
    assert text in " ".join(done.err.split())
    assert sorted(path.name for path in (made / "artifacts/runs").iterdir()) == before


def test_a_strategy_that_always_raises_is_a_failed_run(desk):
    """Exit code 1 and the author's own words."""
    done = fairlead("walkforward", "run.yaml", "--param", "side=2", "--train", "30", "--test", "15", cwd=desk)
    assert done.code == 1
    assert "two is no side" in done.err


def test_an_interrupted_one_is_gone_on_with(made, tmp_path):
    """Half of the trials are in the registry; the rest runs, and everything printed and written is as if it had run at once."""
    desk = tmp_path / "desk"
    shutil.copytree(made, desk, ignore=shutil.ignore_patterns("artifacts"))
    with TrialStore(made / "artifacts") as before, TrialStore(desk / "artifacts") as store:
        (study,) = before.studies()
        store.begin(study)
        store.add(study.id, list(before.trials(study.id).items())[:9])
    told = fairlead("walkforward", "run.yaml", "--resume", "latest", "--json", cwd=desk).json
    expected = json.loads((folder_of(made) / "summary.json").read_text())
    assert {name: value for name, value in told.items() if name != "path"} == expected
    for name in ("trials.csv", "folds.csv", "equity_curve.csv", "summary.json"):
        assert (folder_of(desk) / name).read_bytes() == (folder_of(made) / name).read_bytes()
    again = fairlead("walkforward", "run.yaml", *GRID, "--resume", study.id, "--json", cwd=desk)
    assert (again.code, again.json) == (0, told)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--resume", "sw_1"), "no walkforward named 'sw_1'"),
        (("--resume", "latest", "-o", "strategies.bet.capital=5000"), "cannot be resumed: configuration changed since"),
        (("--resume", "latest", "--param", "side=1"), "'resume' must be given the parameters, windows and search of the walk"),
    ],
)
def test_what_cannot_be_resumed_is_told(made, args, text):
    done = fairlead("walkforward", "run.yaml", *args, cwd=made)
    assert (done.code, done.out) == (2, "")
    assert text in " ".join(done.err.split())
