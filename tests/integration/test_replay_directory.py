"""The run directory of a replay: its files, the same bytes again, and a manifest for every outcome (domain rule 6.12)."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json

import pytest

from fairlead.backtest.library import find_run, list_runs
from fairlead.backtest.replay import ReplayAbout, ReplayRunDirectory, ReplaySettings, run_replay
from fairlead.contracts.orders import OrderWriter, read_orders
from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound, StorageError
from fairlead.core.time import BarSize
from fairlead.data.ingest import import_bars
from fairlead.data.store import BarStore
from support_cli import fairlead
from support_replay import bars, row

QUIET = (100.5, 100.7, 100.4, 100.5)
ROWS = [QUIET, (100.8, 101.1, 100.7, 101.05), (101.2, 101.9, 101.0, 101.5), QUIET]
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
FILES = {
    *("orders.csv", "filled_orders.csv", "trades.csv", "equity_curve.csv", "equity_curve.png", "drawdown_curve.png"),
    *("metrics.json", "manifest.json", "label.txt", "run_steps.jsonl", "diagnostics.json"),
}
COLUMNS = {
    "trades.csv": "trade_id,order_id,oco_id,symbol,side,qty,entry_ts,exit_ts,entry_price,exit_price,entry_exec_price,"
    "exit_exec_price,gross_pnl,slippage_cost,commission_cost,net_pnl,exit_reason,duration_minutes,signal_tf,exec_tf,"
    "evidence_status,evidence_codes",
    "filled_orders.csv": "fill_id,order_id,trade_id,symbol,fill_type,fill_ts,bar_ts,price_ideal,price_exec,qty,commission,"
    "slippage,reason",
    "equity_curve.csv": "ts,equity,drawdown,drawdown_pct",
}
MANIFEST = {
    *("schema_version", "run_id", "created_at", "engine", "mode", "strategy", "strategy_version", "params", "params_hash"),
    *("code_version", "python_version", "seed", "universe", "data", "costs", "sizing", "gates", "result", "artefacts"),
}


@pytest.fixture
def desk(tmp_path):
    """An order file and the bars of one symbol."""
    OrderWriter(tmp_path / "orders.csv").extend([row("BUY"), row("SELL")])
    (tmp_path / "m5").mkdir()
    bars(*ROWS).drop("symbol").write_parquet(tmp_path / "m5" / "AAPL.parquet")
    return tmp_path


def about(name="bt_one", **given):
    return ReplayAbout(run_id=name, created_at=NOW, **{"title": "Two legs", **given})


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_directory_holds_exactly_what_it_should(desk):
    """Files, columns, and a manifest that names each with its hash and rows."""
    folder = desk / "runs" / "bt_one"
    result = run_replay(desk / "orders.csv", desk / "m5", folder, about(params={"risk_reward_ratio": 2.0}))
    assert {path.name for path in folder.iterdir()} == FILES
    for name, header in COLUMNS.items():
        assert (folder / name).read_text().partition("\n")[0] == header
    assert read_orders(folder / "orders.csv").orders == result.file.orders
    assert (folder / "label.txt").read_text() == "Two legs\n"
    said = manifest(folder)
    assert set(said) == MANIFEST
    assert (said["engine"], said["mode"], said["strategy"], said["strategy_version"]) == (
        "replay", "insidebar_intraday", "insidebar", "1.0.0",
    )  # fmt: skip
    assert said["created_at"] == "2026-01-02T03:04:05.000000Z"
    assert said["result"] == {"status": "SUCCESS", "reason": "", "error_id": None}
    assert said["params"]["risk_reward_ratio"] == 2.0
    assert said["params"]["replay"]["exit_policy"] == "session_end"
    assert said["data"]["symbols"] == said["universe"] == ["AAPL"]
    assert said["data"]["range_effective"] == ["2025-01-06T14:30:00.000000Z", "2025-01-06T14:50:00.000000Z"]
    assert said["data"]["paths"] == ["m5"]
    assert said["gates"]["coverage"]["signal"]["bars"] == 4
    assert str(desk) not in (folder / "manifest.json").read_text()
    listed = {item["name"]: item for item in said["artefacts"]}
    assert set(listed) == FILES - {"manifest.json"}
    found = hashes(folder)
    assert all(item["sha256"] == found[name] for name, item in listed.items() if name != "run_steps.jsonl")
    counts = {name: len(rows_of(folder / name)) for name in (*COLUMNS, "orders.csv")}
    assert {name: listed[name]["rows"] for name in counts} == counts
    assert counts == {"orders.csv": 2, "trades.csv": 1, "filled_orders.csv": 3, "equity_curve.csv": 5}
    assert json.loads((folder / "metrics.json").read_text()) == result.metrics
    steps = [json.loads(line) for line in (folder / "run_steps.jsonl").read_text().splitlines()]
    assert [(step["seq"], step["step"], step["status"]) for step in steps] == [
        (0, "read_orders", "ok"), (1, "read_bars", "ok"), (2, "replay", "ok"), (3, "write", "ok"),
    ]  # fmt: skip


def test_the_trades_of_the_file_add_up(desk):
    """Text that reads back as the very numbers of the result."""
    result = run_replay(desk / "orders.csv", desk / "m5", desk / "run", about())
    (written,) = rows_of(desk / "run" / "trades.csv")
    (trade,) = result.trades.to_dict("records")
    for name in ("entry_price", "exit_price", "entry_exec_price", "exit_exec_price", "gross_pnl", "slippage_cost", "net_pnl"):
        assert float(written[name]) == trade[name]
    assert (written["entry_ts"], written["exit_ts"]) == ("2025-01-06T14:40:00.000000Z", "2025-01-06T14:45:00.000000Z")
    assert written["qty"] == "10"
    fills = rows_of(desk / "run" / "filled_orders.csv")
    assert [(fill["fill_type"], fill["reason"]) for fill in fills] == [
        ("CANCEL", "order_cancelled_oco"), ("ENTRY", "stop"), ("EXIT", "take_profit"),
    ]  # fmt: skip
    assert float(fills[1]["commission"]) + float(fills[2]["commission"]) == pytest.approx(trade["commission_cost"])
    last = rows_of(desk / "run" / "equity_curve.csv")[-1]
    assert float(last["equity"]) == result.metrics["final_cash"]


def test_the_same_files_give_the_same_bytes(desk):
    """Pictures too. Only the run id, the instant and durations may differ."""
    for name, instant in (("bt_one", NOW), ("bt_two", NOW + dt.timedelta(days=1))):
        given = ReplayAbout(run_id=name, created_at=instant, title="Two legs")
        run_replay(desk / "orders.csv", desk / "m5", desk / "runs" / name, given)
    one, two = (desk / "runs" / name for name in ("bt_one", "bt_two"))
    first, second = hashes(one), hashes(two)
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= {"manifest.json", "run_steps.jsonl"}
    said = [{**manifest(folder), "run_id": "", "created_at": ""} for folder in (one, two)]
    assert said[0] == said[1]
    steps = [
        [{**json.loads(line), "seconds": 0} for line in (folder / "run_steps.jsonl").read_text().splitlines()]
        for folder in (one, two)
    ]
    assert steps[0] == steps[1]


def test_refused_bars_leave_a_failed_precondition(desk):
    """The manifest says which rule was broken; nothing downstream was written."""
    bars(QUIET, (100.8, 100.0, 100.7, 101.05)).drop("symbol").write_parquet(desk / "m5" / "AAPL.parquet")
    with pytest.raises(ContractError, match="D09"):
        run_replay(desk / "orders.csv", desk / "m5", desk / "run", about())
    said = manifest(desk / "run")
    assert said["result"]["status"] == "FAILED_PRECONDITION"
    assert "D09" in said["result"]["reason"]
    assert len(said["result"]["error_id"]) == 16
    assert {path.name for path in (desk / "run").iterdir()} == {
        "manifest.json", "label.txt", "orders.csv", "run_steps.jsonl", "diagnostics.json",
    }  # fmt: skip
    assert json.loads((desk / "run" / "run_steps.jsonl").read_text().splitlines()[-1])["status"] == "failed"


@pytest.mark.parametrize(
    ("orders", "data", "error"),
    [("nothing.csv", "m5", DataNotFound), ("orders.csv", "nothing", DataNotFound), ("bad.csv", "m5", ContractError)],
)
def test_missing_and_broken_files_are_preconditions_too(desk, orders, data, error):
    """What is not there, and rows that break a rule."""
    text = (desk / "orders.csv").read_text()
    (desk / "bad.csv").write_text(text.replace("101.00", "-101.00"))
    with pytest.raises(error):
        run_replay(desk / orders, desk / data, desk / "run", about())
    assert manifest(desk / "run")["result"]["status"] == "FAILED_PRECONDITION"


def _crash(folder):
    with ReplayRunDirectory(folder, about()) as run:
        begun = manifest(folder)["result"]
        assert (begun["status"], begun["reason"]) == ("ERROR", "the run did not finish")
        with run.step("resample"):
            1 / 0  # noqa: B018  a fault of ours


def test_a_crash_is_an_error_and_so_is_a_run_that_never_ended(desk):
    """While it runs, and after a power cut, the manifest says that the run did not finish."""
    with pytest.raises(ZeroDivisionError):
        _crash(desk / "run")
    said = manifest(desk / "run")["result"]
    assert (said["status"], said["reason"]) == ("ERROR", "ZeroDivisionError: division by zero")
    with ReplayRunDirectory(desk / "idle", about()):
        pass
    assert manifest(desk / "idle")["result"]["status"] == "ERROR"


def test_a_line_of_steps_has_them_all(desk):
    """Steps and gates of whoever calls stand in the files; the settings are those that were given."""
    with ReplayRunDirectory(desk / "run", about(sizing={"mode": "risk"}), ReplaySettings(initial_cash=500.0)) as run:
        with run.step("resample", {"symbols": 1}) as detail:
            detail["bars"] = 4
        run.gate("sla", {"passed": True})
        with pytest.raises(ConfigurationError, match="coverage"):
            run.gate("weather", {})
        assert run.replay(desk / "orders.csv", desk / "m5").metrics["initial_cash"] == 500.0
    first = json.loads((desk / "run" / "run_steps.jsonl").read_text().splitlines()[0])
    assert first["detail"] == {"bars": 4, "symbols": 1}
    said = manifest(desk / "run")
    assert (said["gates"]["sla"], said["sizing"]) == ({"passed": True}, {"mode": "risk"})


def test_a_run_is_never_written_over(desk):
    """Choose another id."""
    run_replay(desk / "orders.csv", desk / "m5", desk / "run", about())
    before = hashes(desk / "run")
    with pytest.raises(StorageError, match="a run already"):
        run_replay(desk / "orders.csv", desk / "m5", desk / "run", about())
    assert hashes(desk / "run") == before


def test_a_run_without_a_fill_has_every_file(desk):
    """One point of equity, empty tables with their headers."""
    bars(*[QUIET] * 3).drop("symbol").write_parquet(desk / "m5" / "AAPL.parquet")
    run_replay(desk / "orders.csv", desk / "m5", desk / "run", about())
    assert {path.name for path in (desk / "run").iterdir()} == FILES
    assert (desk / "run" / "trades.csv").read_text() == COLUMNS["trades.csv"] + "\n"
    assert (desk / "run" / "equity_curve.csv").read_text().splitlines()[1:] == ["2025-01-06T15:30:00.000000Z,10000.0,0.0,0.0"]


def test_files_frames_and_datasets_give_the_same_trades(desk):
    """One CSV with a symbol column, one Parquet file a symbol, and a stored dataset, whose files are held to their hashes."""
    bars(*ROWS).with_columns(ts=bars(*ROWS)["ts"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(desk / "all.csv")
    table = import_bars(desk / "m5", bar_size=BarSize.M5).table
    store = BarStore(desk / "store")
    store.write("desk", table, bar_size=BarSize.M5, calendar="XNYS", source="test")
    stored = desk / "store" / "desk" / "5min"
    trades = [
        run_replay(desk / "orders.csv", data, desk / f"run{i}", about()).trades
        for i, data in enumerate((desk / "m5", desk / "all.csv", stored, stored.parent))
    ]
    assert all(trades[0].equals(other) for other in trades[1:])
    with pytest.raises(ConfigurationError, match="calendar"):
        run_replay(desk / "orders.csv", stored, desk / "other", about(), ReplaySettings(calendar="XLON"))
    month = next(stored.rglob("bars.parquet"))
    bars(*ROWS).write_parquet(month)
    with pytest.raises(DataError, match="SHA-256"):
        run_replay(desk / "orders.csv", stored, desk / "changed", about())


# ------------------------------------------------------------------------------------------------------------ the command line


def test_the_command_line_replays_and_lists(desk):
    """A table for people, JSON for machines; `runs ls` knows such a run, and verbs that need a record say what it is."""
    made = fairlead("orders", "replay", "orders.csv", "--data", "m5", "--title", "Mine", cwd=desk)
    assert made.code == 0, made.err
    assert "take_profit" in made.out
    told = fairlead("orders", "replay", "orders.csv", "--data", "m5", "--slippage-bps", "0", "--json", cwd=desk)
    assert told.code == 0
    assert (told.json["status"], told.json["orders"], told.json["metrics"]["num_trades"]) == ("SUCCESS", 2, 1)
    assert told.json["metrics"]["total_slippage"] == 0.0
    assert (desk / told.json["path"] / "manifest.json").is_file()
    strict = fairlead(
        "orders", "replay", "orders.csv", "--data", "m5", "--limits-on-touch", "--targets-through", "--json", cwd=desk
    )
    rules = manifest(desk / strict.json["path"])["params"]["replay"]
    assert (rules["limit_fill_on_touch"], rules["target_fill_on_touch"], rules["allow_same_bar_exit"]) == (True, False, True)
    runs = list_runs(desk / "artifacts")
    assert {run["title"] for run in runs} == {"Mine", "orders"}
    assert {run["status"] for run in runs} == {"SUCCESS"}
    assert fairlead("runs", "ls", cwd=desk).code == 0
    with pytest.raises(DataError, match="replay of an order file"):
        find_run(desk / "artifacts", told.json["run_id"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nothing.csv", "--data", "m5"), "order file"),
        (("orders.csv", "--data", "nothing"), "--data"),
        (("orders.csv", "--data", "m5", "--data-m1", "nothing"), "--data-m1"),
        (("orders.csv", "--data", "orders.txt"), "file name"),
        (("orders.csv", "--data", "empty"), "no file named"),
        (("bad.csv", "--data", "m5"), "line 2"),
        (("orders.csv", "--data", "m5", "--cash", "0"), "initial_cash"),
        (("orders.csv", "--data", "m5", "--tz", "Mars"), "tz"),
        (("orders.csv", "--data", "m5", "--calendar", "MARS"), "exchange calendar"),
        (("orders.csv", "--data", "m5", "--end", "soon"), "requested_end"),
        (("orders.csv", "--data", "m5", "--bar-size", "1d"), "--bar-size"),
        (("orders.csv", "--data", "m5", "--window", "9-10"), "windows"),
        (("orders.csv", "--data", "m5", "--exit-policy", "never"), "exit_policy"),
    ],
)
def test_bad_input_is_one_error_and_exit_2(desk, arguments, named):
    """And no run is begun."""
    (desk / "bad.csv").write_text((desk / "orders.csv").read_text().replace("101.00", "-101.00"))
    (desk / "orders.txt").write_text("no bars")
    (desk / "empty").mkdir()
    made = fairlead("orders", "replay", *arguments, cwd=desk)
    assert made.code == 2
    assert made.err.startswith("error: ")
    assert named in made.err
    assert not (desk / "artifacts" / "runs").exists()


def test_refused_bars_exit_with_1_and_keep_the_run(desk):
    """The run folder says why; a torn last line of the orders is put aside and told."""
    bars(QUIET, (100.8, 100.0, 100.7, 101.05)).drop("symbol").write_parquet(desk / "m5" / "AAPL.parquet")
    made = fairlead("orders", "replay", "orders.csv", "--data", "m5", "--json", cwd=desk)
    assert made.code == 1
    assert "D09" in made.err
    assert made.json["status"] == "FAILED_PRECONDITION"
    assert manifest(desk / made.json["path"])["result"]["status"] == "FAILED_PRECONDITION"
    assert list_runs(desk / "artifacts")[0]["status"] == "FAILED_PRECONDITION"
    bars(*ROWS).drop("symbol").write_parquet(desk / "m5" / "AAPL.parquet")
    with (desk / "orders.csv").open("a") as file:
        file.write("half a li")
    torn = fairlead("orders", "replay", "orders.csv", "--data", "m5", cwd=desk)
    assert torn.code == 0
    assert "half a li" in torn.err
