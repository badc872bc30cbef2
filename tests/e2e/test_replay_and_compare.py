"""Replay and comparison as a stranger would use them: the real commands, their output, exit codes and bad input."""

import dataclasses
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import fairlead as package
from fairlead.backtest.result import Result
from support_cli import Outcome, bars_csv, fairlead, tree, write_desk


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recorded run, one that is not, and a second strategy."""
    desk = write_desk(tmp_path_factory.mktemp("replayed"))
    seller = (desk / "buyer.py").read_text().replace("class Buyer", "class Late").replace("self.bars == 1", "self.bars == 3")
    (desk / "late.py").write_text(seller)
    for args in (("--record", "-o", "name=Recorded"), ()):
        done = fairlead("backtest", "run.yaml", *args, cwd=desk)
        assert done.code == 0, done.err
    return desk


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to write in."""
    return Path(shutil.copytree(made, tmp_path / "desk"))


def typed(text: str, *args: object, cwd: Path) -> Outcome:
    """Call a verb with `text` on standard input, as a pipe would give it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(text))
        return fairlead(*args, cwd=cwd)


def run_id(desk: Path, title: str) -> str:
    (folder,) = [path for path in (desk / "artifacts/runs").iterdir() if (path / "label.txt").read_text().strip() == title]
    return folder.name


# --------------------------------------------------------------------------------------------------------------------- record


def test_a_recorded_run_keeps_what_the_strategy_wished(made):
    """--record adds intents, stages and instants to events.parquet; the digest is the same without."""
    recorded = made / "artifacts/runs" / run_id(made, "Recorded")
    plain = made / "artifacts/runs" / run_id(made, "Eight days")
    rows, others = (pq.read_table(folder / "events.parquet").to_pylist() for folder in (recorded, plain))
    assert [row["kind"] for row in rows] == ["intent", "order", "order", "fill", "order"]
    assert [row["stage"] for row in rows] == ["ORDERS", "ORDERS", "EXECUTION", "EXECUTION", "EXECUTION"]
    assert {row["kind"] for row in others} == {"order", "fill"}
    assert {row["stage"] for row in others} == {None}
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (recorded, plain)]
    assert manifests[0]["result"]["digest"] == manifests[1]["result"]["digest"]
    assert manifests[0]["info"]["config"]["record"] is True


def test_execution_quality_is_in_the_run_directory(made):
    """As JSON and as a row per order, both listed in the manifest, both what `Result.execution` says."""
    folder = made / "artifacts/runs" / run_id(made, "Eight days")
    listed = {item["name"]: item["rows"] for item in json.loads((folder / "manifest.json").read_text())["artefacts"]}
    assert listed["execution_quality.csv"] == 1
    assert "execution.json" in listed
    data = json.loads((folder / "execution.json").read_text())
    again = Result.load(folder)
    assert data["total"]["shortfall"]["total"] == pytest.approx(again.execution.total.shortfall.total)
    assert data["total"]["arrival"]["cost"] > 0
    (_, row) = (folder / "execution_quality.csv").read_text().splitlines()
    assert ",ACME,BUY,MARKET,FILLED," in row
    saved = again.save(made / "again")
    for name in ("execution.json", "execution_quality.csv", "orders.parquet", "metrics.json"):
        assert (saved / name).read_bytes() == (folder / name).read_bytes()
    shutil.rmtree(saved)


# --------------------------------------------------------------------------------------------------------------------- replay


@pytest.mark.parametrize("title", ["Recorded", "Eight days"])
def test_a_replay_of_the_same_configuration_is_the_same(made, title):
    """Whether it was recorded or not; nothing is written."""
    before = tree(made)
    done = fairlead("replay", title, cwd=made)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("the same 1 orders and 1 fills")
    told = fairlead("replay", run_id(made, title), "--json", cwd=made)
    assert told.json["same"] is True
    assert told.json["digest"] == told.json["original_digest"]
    assert told.json["first_difference"] is None
    assert tree(made) == before


def test_stepping_stops_where_something_happened(made):
    """Enter goes to the next event, n to the next instant, c to the end; what was asked for is shown, and the verdict."""
    shown = typed("\nn\nc\n", "replay", "Recorded", "--step", cwd=made)
    assert shown.code == 0, shown.err
    instants = re.findall(r"^(2024-\S+)  equity ([\d,.]+)", shown.out, re.MULTILINE)
    assert [when[:10] for when, _ in instants] == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert instants[0][1] == "10,000.00"
    assert "intent ACME quantity 10 MARKET" in shown.out
    assert re.search(r"execution +fill BUY 10 ACME at 101\.0101 \(ideal 101\), commission 0\.202", shown.out)
    assert "the same 1 orders and 1 fills" in shown.out


def test_stepping_goes_on_by_itself_when_the_input_ends(made):
    """A pipe that closes is no reason to stop."""
    shown = typed("", "replay", "Recorded", "--step", cwd=made)
    assert len(re.findall(r"^2024-", shown.out, re.MULTILINE)) == 1
    assert "the same" in shown.out


def test_quitting_is_no_verdict(made):
    """Exit code 0, and nothing is said about the run being the same."""
    shown = typed("\nq\n", "replay", "Recorded", "--step", cwd=made)
    assert shown.code == 0
    assert "left at 2024-01-03" in shown.out
    assert "the same" not in shown.out


def test_an_answer_that_is_none_is_asked_for_again(made):
    """With what one may answer, on standard error."""
    shown = typed("what\nc\n", "replay", "Recorded", "--step", cwd=made)
    assert shown.code == 0
    assert "what is not understood. Enter: next instant with an event." in shown.err


def test_stepping_works_through_a_real_pipe(made):
    """As another program would drive it."""
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", "replay", "Recorded", "--step"],
        input="\nq\n",
        cwd=made,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "left at 2024-01-03" in done.stdout


def test_what_happens_is_printed_while_time_passes(made):
    """At a speed the events appear by themselves. A day in a thousandth of a second is fast enough for a test."""
    shown = fairlead("replay", "Recorded", "--speed", "1000000x", cwd=made)
    assert shown.code == 0
    assert len(re.findall(r"^2024-", shown.out, re.MULTILINE)) == 2


def test_a_replay_with_another_strategy_is_shown_beside_the_original(desk):
    """It is expected to differ: exit code 0. Saved, it is a run of its own that can be compared."""
    done = fairlead("replay", "Eight days", "--strategy", "late.py", "--param", "shares=20", "--save", cwd=desk)
    assert done.code == 0, done.err
    assert "changed as asked for" in done.out
    saved = desk / "artifacts/runs" / run_id(desk, "Eight days, replayed")
    manifest = json.loads((saved / "manifest.json").read_text())
    assert (manifest["engine"], manifest["info"]["mode"]) == ("replay", "replay")
    assert manifest["params"] == {"buyer": {"symbol": "ACME", "shares": 20}}
    compared = fairlead("compare", "Eight days", "Eight days, replayed", "--json", cwd=desk)
    assert compared.code == 1
    assert compared.json["counts"]["missing"] == compared.json["counts"]["extra"] == 1
    assert fairlead("replay", saved.name, cwd=desk).code == 0


def test_a_parameter_alone_can_be_changed(made):
    """The strategy stays, with its other parameters."""
    done = fairlead("replay", "Eight days", "--param", "shares=3", "--json", cwd=made)
    assert done.code == 0
    assert (done.json["changed"], done.json["same"]) == (True, False)


def test_a_strategy_that_fails_in_a_replay_ends_it_with_1(desk):
    """As it does in a backtest."""
    (desk / "late.py").write_text((desk / "late.py").read_text().replace("self.bars += 1", "raise ValueError('no idea')"))
    done = fairlead("replay", "Eight days", "--strategy", "late.py", cwd=desk)
    assert done.code == 1
    assert "stopped buyer: ValueError: no idea" in done.out


@pytest.mark.parametrize("title", ["Recorded", "Eight days"])
def test_a_replay_that_is_not_the_same_says_where_it_first_differs(title, desk):
    """The strategy was edited since: the first event that is another is shown from both sides; exit code 1."""
    text = (desk / "buyer.py").read_text()
    (desk / "buyer.py").write_text(
        text.replace("OrderIntent.market(self.symbol, self.shares)", "OrderIntent.market(self.symbol, 7)")
    )
    done = fairlead("replay", title, cwd=desk)
    assert done.code == 1
    assert "not the same" in done.out
    assert "The code has changed since" in done.out
    if title == "Recorded":
        assert "First difference, event 1 at 2024-01-02T21:00:00.000000Z" in done.out
        assert re.search(r"original +intent ACME quantity 10 MARKET", done.out)
        assert re.search(r"replay +intent ACME quantity 7 MARKET", done.out)
    else:
        assert "First difference, event" in done.out
        assert re.search(r"original +fill BUY 10 ACME", done.out)
        assert re.search(r"replay +fill BUY 7 ACME", done.out)
    told = fairlead("replay", title, "--json", cwd=desk)
    assert told.code == 1
    assert told.json["first_difference"]["ordinal"] >= 1
    assert told.json["code_changed"] is True


def test_a_run_that_was_made_in_python_can_be_replayed(tmp_path):
    """If its data is in the workspace: the call is translated into the configuration that says the same."""
    result = package.backtest(
        "sma_crossover", "bundled", params={"fast": 5, "slow": 20}, symbols=["IBM"], start="2010-03-01", end="2010-12-31",
        slippage=3, seed=7, workspace=tmp_path / "artifacts", record=True,
    )  # fmt: skip
    result.save(tmp_path / "artifacts/runs" / result.run_id)
    done = fairlead("replay", "latest", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["same"] is True
    assert done.json["digest"] == result.digest


# ----------------------------------------------------------------------------------------------------------------- bad input


def refused(desk: Path, *args: object) -> str:
    """The error of a command that must be refused, with nothing written."""
    before = tree(desk)
    done = fairlead(*args, cwd=desk)
    assert done.code == 2, done.out
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert tree(desk) == before
    return done.err


def test_data_that_has_changed_is_refused(desk):
    """One error that says what was and what is, and what to do."""
    (desk / "ACME.csv").write_text(bars_csv().replace("101,103,100,102", "101,103,100,102.5"))
    error = refused(desk, "replay", "latest")
    assert re.search(
        r"the data of run bt_\S+ has changed: dataset 'ACME' is [0-9a-f]{12} now and was [0-9a-f]{12}\. "
        r"Restore it, or run the configuration again",
        error,
    )


def test_data_that_is_gone_is_refused(desk):
    """With the folder in which to look."""
    (desk / "ACME.csv").unlink()
    error = refused(desk, "replay", "latest")
    assert re.search(r"run bt_\S+ read its data from ACME\.csv, which is not here\. Replay it in the folder", error)


def test_a_strategy_that_is_gone_is_refused(desk):
    """The file that cannot be read is named."""
    (desk / "buyer.py").unlink()
    assert "the strategy file buyer.py cannot be read" in refused(desk, "replay", "latest")


def test_runs_from_python_that_leave_nothing_to_replay_are_refused(tmp_path):
    """Prices from a frame, or a strategy from a notebook: it says why, and what can be done instead."""
    import pandas as pd

    from fairlead.sdk import Strategy

    class Once(Strategy):
        def generate_orders(self, context):
            return []

    frame = pd.read_csv(io.StringIO(bars_csv()), index_col="timestamp")
    workspace = tmp_path / "artifacts"
    package.backtest("buy_and_hold", {"AAPL": frame}, bar_size="1d").save(workspace / "runs/frames")
    assert "was made in Python from prices that a run does not keep" in refused(tmp_path, "replay", "artifacts/runs/frames")
    run = package.backtest(Once(), "bundled", symbols=["IBM"], start="2012-01-03", workspace=workspace)
    entry = {**run.info.config["strategies"][0], "strategy": "__main__:Once"}
    run.info = dataclasses.replace(run.info, config={**run.info.config, "strategies": [entry]})
    run.save(workspace / "runs/notebook")
    assert "Name its file: --strategy FILE.py" in refused(tmp_path, "replay", "artifacts/runs/notebook")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("replay", "nope"), "no run named 'nope' in artifacts/runs."),
        (("replay", "bt_"), "several runs begin with 'bt_'"),
        (("replay", "latest", "--step", "--json"), "'--step' must not be given with --json"),
        (("replay", "latest", "--speed", "fast"), "--speed fast: 'clock.speed' must be 'max' or a multiple of real time"),
        (("replay", "latest", "--strategy", "nope"), "no strategy named 'nope'"),
        (("replay", "latest", "--strategy", "seller=late.py"), "no strategy of this run named 'seller'"),
        (("replay", "latest", "--param", "shares"), "'--param' must be key=value, was 'shares'"),
        (("replay", "latest", "--param", "size=3"), "--param size=3: 'strategies.0.params.size' must be a parameter of"),
        (("replay", "latest", "--param", "shares=0"), "'strategies.0.params.shares' must be"),
        (("compare", "latest", "nope"), "no run named 'nope' in artifacts/runs."),
        (("compare", "latest", "latest", "--plot", "difference.pdf"), "'--plot' must end in .png, was 'difference.pdf'"),
    ],
)
def test_bad_input_is_one_error_and_exit_code_2(args, says, made):
    """Named in the words of the command line; nothing is written."""
    assert says in refused(made, *args)


def test_a_negative_tolerance_is_wrong_use(made):
    """Caught by the command line itself."""
    done = fairlead("compare", "latest", "latest", "--price-tolerance", "-1", cwd=made)
    assert done.code == 2


def test_a_damaged_run_is_named(desk):
    """Both verbs read the same tables."""
    folder = desk / "artifacts/runs" / run_id(desk, "Recorded")
    (folder / "events.parquet").write_bytes(b"junk")
    for args in (("replay", "Recorded"), ("compare", "Recorded", "Eight days")):
        assert "events.parquet" in refused(desk, *args)


# ------------------------------------------------------------------------------------------------------------------- compare


def test_equal_runs_compare_as_equal_by_id_title_path_and_latest(made):
    """Exit code 0 whatever names them."""
    recorded, plain = run_id(made, "Recorded"), run_id(made, "Eight days")
    for a, b in ((recorded, plain), ("Recorded", "latest"), (f"artifacts/runs/{recorded}", "Eight days")):
        done = fairlead("compare", a, b, cwd=made)
        assert (done.code, done.err) == (0, "")
        assert "equal 1 orders" in done.out
    told = fairlead("compare", "Recorded", "latest", "--json", cwd=made)
    assert (told.code, told.json["equal"], told.json["digests_equal"]) == (0, True, True)
    assert (told.json["a"], told.json["b"]) == (recorded, plain)


def test_different_runs_are_told_apart_order_by_order(desk):
    """Counts, the first differences with both values, the picture; exit code 1."""
    other = fairlead("backtest", "run.yaml", "-o", "strategies.buyer.params.shares=20", "-o", "name=Bold", cwd=desk)
    assert other.code == 0
    done = fairlead("compare", "Eight days", "Bold", "--plot", "difference.png", cwd=desk)
    assert done.code == 1
    assert re.search(r"Orders +1 +1", done.out)
    assert "different 0 missing, 0 extra, 1 of 1 matched orders differ (1 in size, 1 in cost)" in done.out
    assert re.search(r"2024-01-02 21:00:00 +buyer +BUY 10 ACME MARKET +differs +quantity 10 \| 20", done.out)
    assert "Equity is up to" in done.out
    assert (desk / "difference.png").read_bytes().startswith(b"\x89PNG")
    assert "picture" in done.out
    forgiven = fairlead("compare", "Eight days", "Bold", "--size-tolerance", "0.5", "--price-tolerance", "0.5", cwd=desk)
    assert forgiven.code == 0
    few = fairlead("compare", "Eight days", "Bold", "--limit", "0", cwd=desk)
    assert "BUY 10 ACME" not in few.out


def test_other_data_is_said_before_the_orders(desk):
    """The first thing to know about two runs that differ."""
    (desk / "ACME.csv").write_text(bars_csv().replace("101,103,100,102", "101,103,100,102.5"))
    assert fairlead("backtest", "run.yaml", "-o", "name=Revised", cwd=desk).code == 0
    done = fairlead("compare", "Eight days", "Revised", cwd=desk)
    assert done.code == 1
    assert re.search(r"! data: ACME [0-9a-f]{12} against ACME [0-9a-f]{12}", done.out)
    assert "equal orders" not in done.out


def test_two_runs_of_one_title_cannot_be_told_apart_by_it(desk):
    """The message lists both."""
    assert fairlead("backtest", "run.yaml", cwd=desk).code == 0
    assert "several runs are titled 'Eight days'" in refused(desk, "compare", "Eight days", "latest")
