"""`fairlead sweep`, as it is called: what it prints, what it leaves behind, and how it refuses."""

from __future__ import annotations

import pytest

from support_cli import fairlead, write_desk

PARAMS = ("--param", "shares=10:30:10")


@pytest.fixture
def desk(tmp_path):
    return write_desk(tmp_path / "desk")


def test_a_sweep_prints_the_best_and_writes_its_folder(desk):
    done = fairlead("sweep", "run.yaml", *PARAMS, "--objective", "total_return", cwd=desk)
    assert done.code == 0, done.err
    assert "buyer on ACME: 3 completed" in done.out.replace("ACME.csv", "ACME")
    rows = [line.split() for line in done.out.splitlines() if line.split()[:1] in (["1"], ["2"], ["3"])]
    assert [row[1] for row in rows] == ["30", "20", "10"]
    assert "3 parameter sets were tried on this data." in done.out
    assert "The best shares, 30, is the end of its range" in done.out
    (folder,) = (desk / "artifacts" / "sweeps").iterdir()
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "parallel.png", "returns.parquet", "trials.csv"}
    assert f"sweeps/{folder.name}" in done.out
    assert (desk / "artifacts" / "registry.db").is_file()


def test_json_has_the_numbers_of_the_single_backtest(desk):
    """On two processes, with a strategy from a file: the best trial is what `fairlead backtest` gives for its parameters."""
    told = fairlead("sweep", "run.yaml", *PARAMS, "--objective", "total_return", "--workers", 2, "--json", cwd=desk).json
    assert (told["planned"], told["counts"]) == (3, {"completed": 3, "failed": 0, "refused": 0})
    best = told["best"][0]
    assert best["params"] == {"shares": 30}
    single = fairlead("backtest", "run.yaml", "-o", "strategies.buyer.params.shares=30", "--json", cwd=desk).json
    assert best["metrics"] == single["metrics"]
    assert best["digest"] == single["digest"]
    assert best["objective"] == single["metrics"]["total_return"]


def test_random_search_of_some_and_resume_of_nothing(desk):
    told = fairlead(
        "sweep", "run.yaml", "--param", "shares=1:1000", "--search", "random", "--trials", 5, "--seed", 3, "--json", cwd=desk
    ).json
    assert told["counts"]["completed"] == 5
    again = fairlead("sweep", "run.yaml", "--resume", told["sweep"], "--json", cwd=desk).json
    assert again == told


def test_a_trial_that_raises_is_recorded_and_the_sweep_goes_on(tmp_path):
    desk = write_desk(tmp_path / "desk", fourth="assert self.shares != 20, 'twenty'")
    done = fairlead("sweep", "run.yaml", *PARAMS, cwd=desk)
    assert done.code == 0, done.err
    assert "2 completed, 1 failed" in done.out
    assert "1 of 3 trials failed; the first: " in done.out
    assert "twenty" in done.out


def test_if_no_trial_completes_the_exit_code_is_1(tmp_path):
    desk = write_desk(tmp_path / "desk", fourth="raise ValueError('never')")
    done = fairlead("sweep", "run.yaml", *PARAMS, cwd=desk)
    assert done.code == 1
    assert "error: no trial completed. The first: " in done.err
    assert "never" in done.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "'--param' must be given at least once, was 'nothing'. buyer takes symbol, shares."),
        (("--param", "share=1:3:1"), "no parameter of buyer named 'share'; did you mean 'shares'?"),
        (("--param", "shares=30:10:10"), "'shares' must be a range from low to high, was '30:10:10'. Did you mean 10:30:10?"),
        (("--param", "shares="), "'shares' must have at least one value"),
        (("--param", "shares=0:10:5"), "'shares' must be >= 1, was 0. How many."),
        (("--param", "shares"), "'--param' must have the form name=values"),
        ((*PARAMS, "--search", "rndom"), "no search named 'rndom'; did you mean 'random'?"),
        ((*PARAMS, "--search", "random"), "'trials' must be given with a random search"),
        ((*PARAMS, "--objective", "sharp"), "no objective named 'sharp'; did you mean 'sharpe'?"),
        ((*PARAMS, "--strategy", "byer"), "no enabled strategy named 'byer'; did you mean 'buyer'?"),
        (("--resume", "latest"), "no sweep named 'latest'"),
    ],
)
def test_bad_input_is_told_in_one_line_and_nothing_runs(desk, args, message):
    done = fairlead("sweep", "run.yaml", *args, cwd=desk)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (desk / "artifacts" / "sweeps").exists()


def test_a_thousand_and_one_trials_need_a_yes(desk):
    """The count is told; with --yes the same call goes through (here to the next mistake, so that nothing long runs)."""
    many = ("sweep", "run.yaml", "--param", "shares=1:1000:1", "--param", "symbol=ACME,ZZZ")
    refused = fairlead(*many, cwd=desk)
    assert refused.code == 2
    assert "'number of trials' must be at most 1,000 unless more are asked for, was 2000. Add --yes" in refused.err
    assert "'workers'" not in refused.err
    passed = fairlead(*many, "--yes", "--workers", 0, cwd=desk)
    assert passed.code == 2
    assert "number of trials" not in passed.err


def test_with_several_strategies_one_is_named(desk):
    text = (desk / "run.yaml").read_text()
    second = "  - name: other\n    strategy: buyer.py\n    capital: 10_000\n"
    (desk / "run.yaml").write_text(text.replace("report:", second + "report:"))
    unnamed = fairlead("sweep", "run.yaml", *PARAMS, cwd=desk)
    assert unnamed.code == 2
    assert "'strategy' must be one of buyer, other, was None. Name it: --strategy NAME." in unnamed.err
    told = fairlead("sweep", "run.yaml", *PARAMS, "--strategy", "other", "--json", cwd=desk).json
    single = fairlead("backtest", "run.yaml", "-o", "strategies.other.params.shares=20", "--json", cwd=desk).json
    twenty = next(item for item in told["best"] if item["params"] == {"shares": 20})
    assert twenty["digest"] == single["digest"]
    assert twenty["metrics"] == single["metrics"]
