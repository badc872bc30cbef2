"""The signal factory as a user meets it: one command from minutes to a run directory, refusals, and running it again."""

import csv
import datetime as dt
import json
import sys

import polars as pl
import pytest

from fairlead.contracts import read_orders
from fairlead.contracts.signals import CandidateList
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.generation import generate_dataset
from fairlead.data.opening import store_of
from fairlead.data.synthetic import SyntheticSettings
from support_cli import Terminal, fairlead, tree
from support_factory import CLOCKS_CHANGE, EARLY_CLOSE, config, write_config, write_minutes

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
PLUGIN = """\
from fairlead.factory.opening_range import OpeningRange


class {name}(OpeningRange):
    \"\"\"{name}.\"\"\"

    def {method}(self, {argument}):
        {body}
"""


def run(folder, plain=None, *options, workspace="w", **environ):
    path = write_config(folder, plain or config())
    return fairlead("factory", "run", path.name, "-w", workspace, *options, cwd=folder, **environ)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def manifest(folder, run_id="small", workspace="w"):
    return json.loads((folder / workspace / "runs" / run_id / "manifest.json").read_text())


def plugin(folder, name, method, argument, body):
    """Write a plug-in of the test's own and return the section that names it."""
    module = f"plugin_{name.lower()}"
    (folder / f"{module}.py").write_text(PLUGIN.format(name=name, method=method, argument=argument, body=body))
    sys.modules.pop(module, None)
    return {"model": f"{module}:{name}", "params": {"score_sessions": 2}}


@pytest.mark.parametrize("span", [CLOCKS_CHANGE, EARLY_CLOSE])
@pytest.mark.parametrize("signals", [INSIDE_BARS, {"model": "opening_range", "params": {"score_sessions": 2}}])
def test_one_command_goes_from_minutes_to_artefacts(tmp_path, span, signals):
    done = run(tmp_path, config(span, run_id="small", signals=signals), "--json")
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
    assert all(
        len(calendar.sessions(day, day)) == 1
        for day in {pl.Series([s["entry_ts"][:10] for s in trades]).str.to_date().to_physical()[0]}
    )


def test_the_table_tells_the_stages_and_the_trades(tmp_path):
    err = Terminal()
    path = write_config(tmp_path, config(run_id="small"))
    done = fairlead("factory", "run", path.name, "-w", "w", cwd=tmp_path, err=err)
    assert done.code == 0
    for word in ("SYNTHETIC", "11,700", "2,340", "candidates", "signals", "orders", "replay", "Sharpe", "w/runs/small"):
        assert word in done.out
    assert "error" not in err.getvalue()


def test_two_runs_into_two_workspaces_are_the_same_bytes(tmp_path):
    plain = config(run_id="small", signals=INSIDE_BARS)
    assert run(tmp_path, plain, workspace="a").code == run(tmp_path, plain, workspace="b").code == 0
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert {name for name in first if first[name] != second.get(name)} == {
        "runs/small/manifest.json",
        "runs/small/run_steps.jsonl",
    }
    assert first.keys() == second.keys()
    told = [manifest(tmp_path, workspace=name) for name in "ab"]
    assert all(one.pop("created_at") for one in told)
    assert told[0] == told[1]


def test_runs_of_other_names_differ_in_what_follows_from_the_name_alone(tmp_path):
    for name in ("one", "two"):
        assert run(tmp_path, config(run_id=name)).code == 0
    follows = ("order_id", "idempotency_key", "run_id", "trade_id", "fill_id", "signal_id")
    for file in ("runs/{}/trades.csv", "runs/{}/filled_orders.csv", "runs/{}/orders.csv", "factory/{}/signals.csv"):
        found = []
        for name in ("one", "two"):
            kept = [{k: v for k, v in row.items() if k not in follows} for row in rows(tmp_path / "w" / file.format(name))]
            found.append(kept)
        assert found[0] == found[1]
        assert found[0]
    for file in ("metrics.json", "equity_curve.csv", "equity_curve.png", "drawdown_curve.png"):
        assert len({(tmp_path / "w/runs" / name / file).read_bytes() for name in ("one", "two")}) == 1


def test_a_line_without_candidates_ends_well_without_a_trade(tmp_path):
    signals = {"model": "opening_range", "params": {"score_sessions": 250}}
    done = run(tmp_path, config(run_id="small", signals=signals), "--json")
    assert done.code == 0, done.err
    assert [step["rows_out"] for step in done.json["steps"]] == [2340, 0, 0, 0, 0]
    assert done.json["metrics"]["num_trades"] == 0
    assert done.json["metrics"]["final_cash"] == 10_000
    assert len(rows(tmp_path / "w/runs/small/equity_curve.csv")) >= 1


def test_the_same_name_again_writes_no_order_twice(tmp_path):
    plain = config(run_id="small")
    assert run(tmp_path, plain).code == 0
    before = tree(tmp_path / "w")
    assert run(tmp_path, plain).code == 0
    after = tree(tmp_path / "w")
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"runs/small/manifest.json", "runs/small/run_steps.jsonl"}


def test_orders_that_a_crash_cut_off_are_completed(tmp_path):
    """A run that died within its orders is run again: what was whole stays, what was torn is put aside and written again."""
    plain = config(run_id="small")
    assert run(tmp_path, plain).code == 0
    orders = tmp_path / "w/factory/small/orders.csv"
    whole = orders.read_bytes()
    orders.write_bytes(whole[: len(whole) // 2])
    assert run(tmp_path, plain).code == 0
    assert orders.read_bytes() == whole
    assert (tmp_path / "w/factory/small/orders.csv.torn").exists()


def test_the_same_name_for_another_configuration_is_refused(tmp_path):
    assert run(tmp_path, config(run_id="small")).code == 0
    before = tree(tmp_path / "w")
    done = run(tmp_path, config(run_id="small"), "-o", "candidates.max_candidates=1")
    assert done.code == 2
    assert "'run_id' must not be that of a run with another configuration, was 'small'" in done.err
    assert tree(tmp_path / "w") == before


def test_a_run_without_a_name_gets_one_that_holds_the_time(tmp_path):
    done = run(tmp_path, None, "--json")
    assert done.json["run_id"].startswith("bt_20")
    assert "_small_line_" in done.json["run_id"]


def test_a_dataset_of_the_workspace_gives_what_its_source_gives(tmp_path):
    span = {"start": CLOCKS_CHANGE[0], "end": CLOCKS_CHANGE[1]}
    made = SyntheticSettings(symbols=3, **span)
    generate_dataset(store_of(tmp_path / "w"), "minutes", made)
    assert run(tmp_path, config(run_id="synthetic")).code == 0
    done = run(tmp_path, config(run_id="stored", data={"type": "dataset", "dataset": "minutes", **span}))
    assert done.code == 0, done.err
    assert "SYNTHETIC" in done.out
    curves = {(tmp_path / "w/runs" / name / "equity_curve.csv").read_bytes() for name in ("synthetic", "stored")}
    assert len(curves) == 1


class TestRefusedData:
    hole = pl.col("timestamp").dt.date() == dt.date(2024, 3, 12)

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            (lambda f: f.with_columns(HIGH=pl.col("LOW") - 1), "SYN002 M1 D09 high_low: first at 2024-03-04T14:30:00"),
            (lambda f: f.filter(~TestRefusedData.hole), "SYN002 M5 m5_completeness: first at 2024-03-12T13:30:00"),
        ],
    )
    def test_it_is_named_and_nothing_downstream_runs(self, tmp_path, spoil, told):
        data = write_minutes(tmp_path / "m", SYN002=spoil) | {"path": "m"}
        done = run(tmp_path, config(run_id="small", data=data))
        assert done.code == 1
        assert f"{told}.000000Z, count " in done.err
        assert "Nothing downstream was run." in done.err
        assert "Traceback" not in done.err
        assert [path.name for path in (tmp_path / "w/factory/small").iterdir()] == ["config.json"]
        result = manifest(tmp_path)["result"]
        assert result["status"] == "FAILED_PRECONDITION"
        assert told in result["reason"]
        (step,) = [json.loads(line) for line in (tmp_path / "w/runs/small/run_steps.jsonl").read_text().splitlines()]
        assert step["step"] == "data"
        assert step["detail"]["findings"][0]["symbol"] == "SYN002"
        latest = json.loads((tmp_path / "w/quality/latest_sla.json").read_text())
        assert (latest["symbol"], latest["passed"], latest["run_id"]) == ("SYN002", False, "small")

    def test_what_an_earlier_run_handed_on_is_not_used(self, tmp_path):
        data = write_minutes(tmp_path / "m") | {"path": "m"}
        assert run(tmp_path, config(run_id="small", data=data)).code == 0
        spoilt = pl.read_parquet(tmp_path / "m/SYN001.parquet").with_columns(LOW=pl.lit(-1.0))
        spoilt.write_parquet(tmp_path / "m/SYN001.parquet")
        assert run(tmp_path, config(run_id="small", data=data)).code == 1
        assert manifest(tmp_path)["result"]["status"] == "FAILED_PRECONDITION"
        assert not (tmp_path / "w/runs/small/trades.csv").exists()

    def test_json_lists_every_finding(self, tmp_path):
        data = write_minutes(tmp_path / "m", SYN002=lambda f: f.filter(~self.hole), SYN003=lambda f: f.filter(~self.hole))
        done = run(tmp_path, config(run_id="small", data=data), "--json")
        assert done.code == 1
        assert [(f["symbol"], f["check"], f["count"]) for f in done.json["findings"]] == [
            ("SYN002", "m5_completeness", 78),
            ("SYN003", "m5_completeness", 78),
        ]

    def test_a_level_lets_it_pass_with_a_warning(self, tmp_path):
        data = write_minutes(tmp_path / "m", SYN002=lambda f: f.filter(~self.hole))
        done = run(tmp_path, config(run_id="small", data=data), ENABLE_SLA_CHECKS="warn")
        assert done.code == 0, done.err
        assert "! SYN002 M5 m5_completeness" in done.err
        assert manifest(tmp_path)["gates"]["sla"]["passed"] is False

    def test_check_does_this_part_alone(self, tmp_path):
        path = write_config(tmp_path, config())
        done = fairlead("factory", "check", path.name, "-w", "w", "--json", cwd=tmp_path)
        assert (done.code, done.json["passed"]) == (0, True)
        assert [path.name for path in (tmp_path / "w").iterdir()] == ["quality"]
        data = write_minutes(tmp_path / "m", SYN002=lambda f: f.filter(~self.hole))
        path = write_config(tmp_path, config(data=data))
        done = fairlead("factory", "check", path.name, "-w", "w", cwd=tmp_path)
        assert done.code == 1
        assert "m5_completeness" in done.err


@pytest.mark.parametrize(
    ("name", "method", "argument", "body", "told"),
    [
        ("Bad1", "scores", "daily", "raise RuntimeError('no scores')", "opening_range scores: RuntimeError: no scores"),
        ("Bad2", "scores", "daily", "return {'GHOST': 1.0}", "'symbol that opening_range scores' must be one of the 3"),
        ("Bad3", "signals", "view", "return 1 / 0", "opening_range signals: ZeroDivisionError"),
        ("Bad4", "signals", "view", "return None", "opening_range signals: it returned None, not a Found"),
    ],
)
def test_a_stage_that_fails_leaves_a_finished_manifest(tmp_path, name, method, argument, body, told):
    signals = plugin(tmp_path, name, method, argument, body)
    done = run(tmp_path, config(run_id="small", signals=signals))
    assert done.code == 1
    assert told in done.err
    assert "Traceback" not in done.err
    result = manifest(tmp_path)["result"]
    assert result["status"] in {"ERROR", "FAILED_PRECONDITION"}
    assert told in result["reason"]
    assert not (tmp_path / "w/factory/small/orders.csv").exists()


def test_a_symbol_that_is_no_candidate_stops_the_line(tmp_path):
    body = "found = super().signals(view); from dataclasses import replace; return found._replace("
    body += "signals=tuple(replace(s, symbol='ZZZ') for s in found.signals))"
    done = run(tmp_path, config(run_id="small", signals=plugin(tmp_path, "Stray", "signals", "view", body)))
    assert done.code == 1
    assert "'symbol of a signal' must be one of the 2 candidates of 2024-03-06, was 'ZZZ'" in done.err
    assert manifest(tmp_path)["result"]["status"] == "FAILED_PRECONDITION"


def test_orders_that_differ_from_those_written_stop_the_line(tmp_path):
    """The data has changed under a name whose orders are written: rows never change."""
    data = write_minutes(tmp_path / "m") | {"path": "m"}
    assert run(tmp_path, config(run_id="small", data=data)).code == 0
    for path in (tmp_path / "m").iterdir():
        frame = pl.read_parquet(path)
        frame.with_columns(pl.col("OPEN", "HIGH", "LOW", "CLOSE") + 1.0).write_parquet(path)
    orders = (tmp_path / "w/factory/small/orders.csv").read_bytes()
    done = run(tmp_path, config(run_id="small", data=data))
    assert done.code == 1
    assert "another content. Rows never change" in done.err
    assert (tmp_path / "w/factory/small/orders.csv").read_bytes() == orders
    assert manifest(tmp_path)["result"]["status"] == "FAILED_PRECONDITION"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.symbls=3", "Did you mean 'symbols'?"),
        ("data.type=dataste", "Did you mean 'dataset'?"),
        ("signals.model=insidbar", "did you mean 'insidebar'?"),
        ("signals.params.minuts=5", "'signals.params.minuts' must be a known key"),
        ("signals.params.minutes=7", "'signals.params.minutes' must be a whole number of bars of 5min, was 7"),
        ("signals={model: insidebar, params: {atr_perod: 3}}", "atr_perod"),
        ("signals={model: insidebar, params: {timeframe_minutes: 15}}", "must be 5, as timeframe: 5min makes its bars"),
        ("signals={model: insidebar, params: {entry_trigger: close_confirm}}", "must be stop_cross in a factory"),
        ("signals={model: insidebar, params: {trailing_enabled: true}}", "must be false in a factory"),
        ("sizing.risk_pct=1000", "'sizing.risk_pct' must be in (0, 100]"),
        ("replay.tz=UTC", "'replay.tz' must be left out, as it follows from tz"),
        ("replay.oco_same_bar_policy=maybe", "'replay.oco_same_bar_policy' must be one of"),
        ("data.calendar=XNY", "did you mean 'XNYS'?"),
        ("data.end=2024-01-01", "'data.end' must not be before start"),
        ("timeframe=1d", "'timeframe' must be an intraday bar size"),
        ("enforcement.slas=strict", "'enforcement.slas' must be one of 'off', 'warn', 'enforce'"),
        ("data={type: dataset, dataset: nothing, start: 2024-03-04, end: 2024-03-05}", "no dataset named 'nothing'"),
        ("data={type: files, path: nowhere, start: 2024-03-04, end: 2024-03-05}", "there is no file or folder named nowhere"),
        ("run_id=a/b", "'run_id' must"),
    ],
)
def test_a_bad_configuration_is_one_clear_error(tmp_path, override, told):
    done = run(tmp_path, None, "-o", override)
    assert done.code == 2, done.out + done.err
    assert told in done.err
    assert "override -o" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "w").exists()


def test_a_misspelt_switch_is_refused(tmp_path):
    done = run(tmp_path, None, ENABLE_CONTRACTS="yess")
    assert done.code == 2
    assert "'ENABLE_CONTRACTS' must be off, warn, enforce, 1 or 0" in done.err


def test_the_template_is_written_once_and_is_a_configuration(tmp_path):
    assert fairlead("factory", "init", "f.yaml", cwd=tmp_path).code == 0
    again = fairlead("factory", "init", "f.yaml", cwd=tmp_path)
    assert again.code == 2
    assert "'FILE' must be new" in again.err
    small = ("-o", "data.symbols=3", "-o", "data.end=2024-01-19", "-o", "run_id=t")
    done = fairlead("factory", "run", "f.yaml", "-w", "w", *small, cwd=tmp_path)
    assert done.code == 0, done.err
