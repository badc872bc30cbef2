"""A run states what its orders met: on the terminal, in the manifest and in the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fairlead.backtest.info import RunInfo
from support_cli import DAYS, fairlead, write_desk

QUOTES = ("-o", "execution.fidelity=quotes", "-o", "execution.ticks=quotes.csv")


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a configuration of daily bars, and a quote in the middle of each day."""
    folder = write_desk(tmp_path / "desk")
    rows = [f"ACME,{day}T17:00:00Z,{100 + i},500,{100.5 + i},7" for i, day in enumerate(DAYS)]
    (folder / "quotes.csv").write_text("\n".join(["symbol,timestamp,bid,bid_size,ask,ask_size", *rows]) + "\n")
    return folder


def test_a_run_on_bars_says_so(desk):
    run = fairlead("backtest", "run.yaml", cwd=desk)
    assert re.search(r"orders +meet bars", run.out)
    manifest = json.loads((next((desk / "artifacts" / "runs").iterdir()) / "manifest.json").read_text())
    assert (manifest["data"]["fidelity"], manifest["data"]["timeframe_exec"], manifest["data"]["ticks_sha256"]) == (
        "bars",
        "1d",
        None,
    )


def test_a_run_on_quotes_says_so_wherever_it_is_looked_at(desk):
    run = fairlead("backtest", "run.yaml", *QUOTES, "-o", "report.html=true", "--json", cwd=desk)
    assert run.json["fidelity"] == "quotes"
    folder = desk / run.json["path"]
    manifest = json.loads((folder / "manifest.json").read_text())
    data = manifest["data"]
    assert (data["fidelity"], data["timeframe_exec"], data["paths"]) == ("quotes", "quotes", ["ACME", "quotes.csv"])
    assert len(data["ticks_sha256"]) == 64
    info = RunInfo.from_dict(manifest["info"])
    assert (info.fidelity, info.ticks, info.ticks_hash) == ("quotes", "quotes.csv", data["ticks_sha256"])
    report = (folder / "report.html").read_text()
    assert "orders meet quotes" in report
    assert data["ticks_sha256"] in report
    assert re.search(r"orders +meet quotes", fairlead("backtest", "run.yaml", *QUOTES, cwd=desk).out)


def test_its_orders_met_the_quotes(desk):
    """Ten shares are wanted for the second day: seven stand at its offer, and for the rest the day ends."""
    run = fairlead("backtest", "run.yaml", *QUOTES, "-o", "execution.slippage.model=none", "--json", cwd=desk)
    orders = pq.read_table(desk / run.json["path"] / "orders.parquet").to_pylist()
    assert [(o["status"], o["filled_quantity"], o["average_price"]) for o in orders] == [("EXPIRED", 7.0, 101.5)]
    assert run.json["metrics"]["num_fills"] == 1


def test_a_run_of_an_earlier_version_was_on_bars(desk):
    fairlead("backtest", "run.yaml", cwd=desk)
    info = json.loads((next((desk / "artifacts" / "runs").iterdir()) / "manifest.json").read_text())["info"]
    for name in ("fidelity", "ticks", "ticks_hash"):
        del info[name]
    assert RunInfo.from_dict(info).fidelity == "bars"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("-o", "execution.fidelity=quotes"), "must be given with fidelity: quotes"),
        ((*QUOTES[:3], "execution.ticks=nowhere.csv"), "there is no file or folder of ticks named nowhere.csv"),
        (("-o", "execution.fidelity=trades", *QUOTES[2:]), "must hold trades"),
    ],
)
def test_ticks_that_are_not_there_are_refused_before_the_run(desk, options, text):
    run = fairlead("backtest", "run.yaml", *options, cwd=desk)
    assert run.code == 2
    assert text in " ".join(run.err.split())
    assert not (desk / "artifacts" / "runs").exists()
