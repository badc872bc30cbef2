"""The signal factory as a user meets it: one command from minutes to a run directory."""

import datetime as dt
import json

import pytest

from fairlead.contracts import read_orders
from fairlead.contracts.signals import CandidateList
from fairlead.core.time import date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.generation import generate_dataset
from fairlead.data.opening import store_of
from fairlead.data.synthetic import SyntheticSettings
from support_cli import Terminal, fairlead
from support_factory import CLOCKS_CHANGE, EARLY_CLOSE, config, manifest, rows, run_line, write_config

ARTEFACTS = {
    "orders.csv",
    "filled_orders.csv",
    "trades.csv",
    "equity_curve.csv",
    "equity_curve.png",
    "drawdown_curve.png",
    "metrics.json",
    "manifest.json",
    "label.txt",
    "run_steps.jsonl",
    "diagnostics.json",
}
"""Domain rule 6.12."""
INSIDE_BARS = {"model": "insidebar", "params": {"score_sessions": 2}}


def date_range(span):
    return [date_to_day(dt.date.fromisoformat(day)) for day in span]


@pytest.mark.parametrize("span", [CLOCKS_CHANGE, EARLY_CLOSE])
@pytest.mark.parametrize("signals", [INSIDE_BARS, {"model": "opening_range", "params": {"score_sessions": 2}}])
def test_one_command_goes_from_minutes_to_artefacts(tmp_path, span, signals):
    done = run_line(tmp_path, config(span, run_id="small", signals=signals), "--json")
    assert done.code == 0, done.err
    told = done.json
    runs, handed = tmp_path / "w/runs/small", tmp_path / "w/factory/small"
    assert {path.name for path in runs.iterdir()} == ARTEFACTS
    assert {path.name for path in handed.iterdir()} == {
        *("config.json", "m1", "m5", "daily", "candidates"),
        *("signals.csv", "rejects.csv", "orders.csv", "unsized.csv"),
    }
    assert [step["step"] for step in told["steps"]] == ["data", "candidates", "signals", "orders", "replay"]
    assert manifest(tmp_path)["result"]["status"] == "SUCCESS"
    assert manifest(tmp_path)["gates"]["sla"] == {"passed": True, "symbols": 3}
    assert "SYNTHETIC" in (runs / "label.txt").read_text()
    orders, trades = rows(handed / "orders.csv"), rows(runs / "trades.csv")
    assert orders
    assert trades
    assert told["metrics"]["num_trades"] == len(trades)
    steps = [json.loads(line) for line in (runs / "run_steps.jsonl").read_text().splitlines()]
    assert [(s["step"], s["detail"]["rows_out"]) for s in steps[:4]] == [(s["step"], s["rows_out"]) for s in told["steps"][:4]]
    assert told["steps"][3]["rows_out"] == len(orders)
    # Every signal is of a candidate of its session, and becomes two orders of one group.
    calendar = ExchangeCalendar.get("XNYS")
    for signal in rows(handed / "signals.csv"):
        listed = CandidateList.read(handed / "candidates" / f"{signal['timestamp'][:10]}.json")
        assert signal["Symbol"] in listed.symbols
        assert len(listed.items) <= 2
    groups = {order.oco_id for order in read_orders(handed / "orders.csv").orders}
    assert 2 * len(groups) == len(orders)
    sessions = {str(day) for day in calendar.sessions(*date_range(span)).astype("datetime64[D]")}
    assert {trade["entry_ts"][:10] for trade in trades} <= sessions


def test_the_table_tells_the_stages_and_the_trades(tmp_path):
    err = Terminal()
    path = write_config(tmp_path, config(run_id="small"))
    done = fairlead("factory", "run", path.name, "-w", "w", cwd=tmp_path, err=err)
    assert done.code == 0
    for word in ("SYNTHETIC", "11,700", "2,340", "candidates", "signals", "orders", "replay", "Sharpe", "w/runs/small"):
        assert word in done.out
    assert "error" not in err.getvalue()


def test_signals_in_minutes_need_no_longer_bars(tmp_path):
    done = run_line(tmp_path, config(run_id="small", timeframe="1min"), "--json")
    assert done.code == 0, done.err
    assert done.json["steps"][0]["rows_out"] == 3 * 10 * 390
    assert done.json["metrics"]["num_trades"] > 0


def test_a_line_without_candidates_ends_well_without_a_trade(tmp_path):
    signals = {"model": "opening_range", "params": {"score_sessions": 250}}
    done = run_line(tmp_path, config(run_id="small", signals=signals), "--json")
    assert done.code == 0, done.err
    assert [step["rows_out"] for step in done.json["steps"]] == [2340, 0, 0, 0, 0]
    assert done.json["metrics"]["num_trades"] == 0
    assert done.json["metrics"]["final_cash"] == 10_000
    assert len(rows(tmp_path / "w/runs/small/equity_curve.csv")) >= 1


def test_a_run_without_a_name_gets_one_that_holds_the_time(tmp_path):
    done = run_line(tmp_path, None, "--json")
    assert done.json["run_id"].startswith("bt_20")
    assert "_small_line_" in done.json["run_id"]


def test_a_dataset_of_the_workspace_gives_what_its_source_gives(tmp_path):
    span = {"start": CLOCKS_CHANGE[0], "end": CLOCKS_CHANGE[1]}
    made = SyntheticSettings(symbols=3, **span)
    generate_dataset(store_of(tmp_path / "w"), "minutes", made)
    assert run_line(tmp_path, config(run_id="synthetic")).code == 0
    done = run_line(tmp_path, config(run_id="stored", data={"type": "dataset", "dataset": "minutes", **span}))
    assert done.code == 0, done.err
    assert "SYNTHETIC" in done.out
    curves = {(tmp_path / "w/runs" / name / "equity_curve.csv").read_bytes() for name in ("synthetic", "stored")}
    assert len(curves) == 1


def test_the_template_is_written_once_and_is_a_configuration(tmp_path):
    assert fairlead("factory", "init", "f.yaml", cwd=tmp_path).code == 0
    again = fairlead("factory", "init", "f.yaml", cwd=tmp_path)
    assert again.code == 2
    assert "'FILE' must be new" in again.err
    small = ("-o", "data.symbols=3", "-o", "data.end=2024-01-19", "-o", "run_id=t")
    done = fairlead("factory", "run", "f.yaml", "-w", "w", *small, cwd=tmp_path)
    assert done.code == 0, done.err
