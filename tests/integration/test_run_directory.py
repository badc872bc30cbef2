"""The run directory: whole, complete, readable again, and the same each time."""

import hashlib
import json
import shutil
from dataclasses import fields

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from fairlead.backtest.library import find_run, free_run_id, list_runs, run_folder
from fairlead.backtest.result import Result
from fairlead.backtest.rundir import write_run
from fairlead.core.errors import DataError, DataNotFound, StorageError
from fairlead.core.instruments import AssetClass, Instrument
from fairlead.core.orders import Order, OrderStatus, OrderType
from fairlead.engine.record import EquityCurve
from support_records import Ask, Market, dividend, info_for, simulate, split, weekdays

FILES = {
    "config.yaml", "diagnostics.json", "drawdown_curve.png", "equity.parquet", "equity_curve.csv", "equity_curve.png",
    "events.parquet", "execution.json", "execution_quality.csv", "filled_orders.csv", "label.txt", "manifest.json",
    "metrics.json", "orders.csv", "orders.parquet", "prices.parquet", "report.html", "run_steps.jsonl", "trades.csv",
}  # fmt: skip


def eventful(run_id="bt_20200101T000000Z_test_0badcafe", stage_seconds=None, outcomes=None):
    days = weekdays("2024-01-02", 12)
    market = Market(
        {"AAA": [100, 101, 51, 52, 53, 50, 49, 55, 56, 57, 58, 59], "BBB": [float("nan"), *[20.0] * 11]},
        days,
        actions=(split("AAA", days[2], 2.0), dividend("AAA", days[6], 0.5)),
    )
    asks = [
        Ask(0, "AAA", 100, tag="in, with a comma"),
        Ask(3, "AAA", -250, "alpha", parts=2),
        Ask(4, "BBB", 30, "beta", order_type=OrderType.LIMIT, price=19.5, ends=OrderStatus.EXPIRED),
        Ask(5, "BBB", 30, "beta"),
        Ask(6, "BBB", 9, "beta", ends=OrderStatus.REJECTED, reason="position_limit"),
    ]
    return simulate(market, asks, run_id=run_id, strategies=("alpha", "beta"), stage_seconds=stage_seconds, outcomes=outcomes)


def result_of(record, **info):
    future = Instrument(symbol="BBB", asset_class=AssetClass.ETF, tick_size=0.05)
    return Result(record, info_for(record, **info), instruments={"BBB": future}, risk_free=0.01)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    result = result_of(eventful(), title="Two strategies\nand a line break")
    return result, write_run(result, tmp_path_factory.mktemp("ws"))


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_all_artefacts_are_there_and_nothing_else(written):
    """Every file of domain rule 6.12 and of the architecture's layout."""
    result, folder = written
    assert {path.name for path in folder.iterdir()} == FILES
    assert folder.name == result.run_id
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_manifest_names_every_artefact_with_its_hash_and_rows(written):
    """Anybody can check a run directory against its manifest."""
    result, folder = written
    manifest = json.loads((folder / "manifest.json").read_text())
    listed = {item["name"]: item["sha256"] for item in manifest["artefacts"]}
    found = hashes(folder)
    del found["manifest.json"]
    assert listed == found
    rows = {item["name"]: item["rows"] for item in manifest["artefacts"]}
    assert (rows["orders.csv"], rows["equity_curve.csv"], rows["trades.csv"]) == (5, 12, 4)
    assert manifest["result"]["status"] == "SUCCESS"
    assert manifest["result"]["digest"] == result.digest
    assert manifest["engine"] == "event"
    assert manifest["data"]["range_effective"] == ["2024-01-02", "2024-01-17"]


def test_a_stopped_strategy_is_an_error_in_the_manifest(tmp_path):
    """With the reason and an id to search for."""
    record = eventful(outcomes={"beta": {"status": "stopped", "error": "ValueError: a | b"}})
    manifest = json.loads((write_run(result_of(record), tmp_path) / "manifest.json").read_text())
    assert manifest["result"]["status"] == "ERROR"
    assert manifest["result"]["reason"] == "beta: ValueError: a | b"
    assert len(manifest["result"]["error_id"]) == 16


def test_files_for_people_read_as_they_should(written):
    """Label, metrics with nulls, steps, diagnostics, curve."""
    result, folder = written
    assert (folder / "label.txt").read_text() == "Two strategies and a line break\n"
    assert json.loads((folder / "metrics.json").read_text()) == result.metrics
    assert yaml.safe_load((folder / "config.yaml").read_text()) == result.info.config
    steps = [json.loads(line) for line in (folder / "run_steps.jsonl").read_text().splitlines()]
    assert [step["seq"] for step in steps] == list(range(len(steps)))
    assert [step["step"] for step in steps] == ["load", "strategy:alpha", "strategy:beta", "finish"]
    diagnostics = json.loads((folder / "diagnostics.json").read_text())
    assert diagnostics["checks"]["ledger"]["passed"] is True
    assert diagnostics["counts"]["rejections"] == {"position_limit": 1}
    lines = (folder / "equity_curve.csv").read_text().splitlines()
    assert lines[:2] == ["ts,equity,drawdown,drawdown_pct", "2024-01-02T21:00:00.000000Z,100000.0,0.0,0.0"]
    assert '"in, with a comma"' in (folder / "orders.csv").read_text()


def test_events_come_in_order(written):
    """By instant; at one instant actions before fills before status changes; market actions last."""
    _, folder = written
    rows = pq.read_table(folder / "events.parquet").to_pylist()
    rank = {"action": 0, "fill": 1, "order": 2}
    keys = [(row["ts_ns"], rank[row["kind"]]) for row in rows if row["kind"] != "market_action"]
    assert keys == sorted(keys)
    assert [row["kind"] for row in rows[-2:]] == ["market_action", "market_action"]


def test_a_saved_result_loads_as_it_was(written):
    """Statistics, digest, ledger and every field of the record."""
    result, folder = written
    loaded = Result.load(folder)
    assert loaded.stats.equals(result.stats)
    assert loaded.digest == result.digest
    assert loaded.info == result.info
    assert loaded.instruments == result.instruments
    assert loaded.risk_free == 0.01
    assert loaded.summary() == result.summary()
    mine, theirs = loaded.record, result.record
    for name in ("fills", "updates", "applied_actions", "market_actions", "strategies", "bars", "initial_cash"):
        assert getattr(mine, name) == getattr(theirs, name), name
    for f in fields(Order):
        assert [getattr(o, f.name) for o in mine.orders] == [getattr(o, f.name) for o in theirs.orders], f.name
    for name, curve in {"": theirs.account, **theirs.by_strategy}.items():
        other = mine.by_strategy[name] if name else mine.account
        for f in fields(EquityCurve):
            np.testing.assert_array_equal(getattr(other, f.name), getattr(curve, f.name))
            assert getattr(other, f.name).dtype == getattr(curve, f.name).dtype
    np.testing.assert_array_equal(mine.prices.mark, theirs.prices.mark)
    assert mine.prices.symbols == theirs.prices.symbols
    assert loaded.to_html() == result.to_html()


def test_the_same_run_gives_the_same_bytes(written, tmp_path):
    """Every artefact, pictures and Parquet included."""
    _, folder = written
    again = result_of(eventful(), title="Two strategies\nand a line break").save(tmp_path / "again")
    assert hashes(again) == hashes(folder)


def test_only_times_differ_when_a_run_is_repeated_later(written, tmp_path):
    """created_at and durations reach the manifest, the report, diagnostics and the steps, and nothing else."""
    _, folder = written
    later = result_of(
        eventful(stage_seconds={"strategy": 0.25}),
        title="Two strategies\nand a line break",
        created_at="2030-01-01T00:00:00.000000Z",
    ).save(tmp_path / "later")
    mine, theirs = hashes(later), hashes(folder)
    changed = {name for name in FILES if mine[name] != theirs[name]}
    assert changed == {"manifest.json", "report.html", "diagnostics.json", "run_steps.jsonl"}


def test_another_run_id_changes_nothing_that_does_not_carry_it(written, tmp_path):
    """Ids derive from the run id; equity, metrics, prices, configuration and pictures do not."""
    _, folder = written
    other = result_of(eventful("bt_other"), title="Two strategies\nand a line break").save(tmp_path / "other")
    mine, theirs = hashes(other), hashes(folder)
    same = {name for name in FILES if mine[name] == theirs[name]}
    assert same >= {
        "metrics.json", "equity_curve.csv", "equity.parquet", "prices.parquet", "config.yaml", "label.txt", "equity_curve.png",
        "drawdown_curve.png",
    }  # fmt: skip


def test_a_run_is_never_overwritten(written):
    """Writing it twice is refused, and the first stays."""
    result, folder = written
    before = hashes(folder)
    with pytest.raises(StorageError, match="already there"):
        write_run(result, folder.parent.parent)
    assert hashes(folder) == before
    assert free_run_id(folder.parent.parent, result.run_id) == f"{result.run_id}_2"
    assert free_run_id(folder.parent.parent, "bt_new") == "bt_new"


def test_a_failing_write_leaves_nothing(tmp_path):
    """The staging folder is gone too."""
    result = result_of(eventful(), config={"bad": "\ud800"})  # a lone surrogate cannot be written as UTF-8
    with pytest.raises(UnicodeEncodeError):
        write_run(result, tmp_path)
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_report_can_be_left_out(tmp_path):
    """It is 5 MB; the rest stays loadable."""
    folder = write_run(result_of(eventful()), tmp_path, report=False)
    assert {path.name for path in folder.iterdir()} == FILES - {"report.html"}
    assert Result.load(folder).stats["num_orders"] == 5


def test_runs_are_listed_newest_first_and_found_by_name_path_or_latest(tmp_path):
    """A damaged directory is listed as such and does not break the list."""
    assert list_runs(tmp_path) == []
    for run_id, created in (("bt_a", "2024-01-01"), ("bt_c", "2024-03-01"), ("bt_b", "2024-02-01")):
        write_run(result_of(eventful(run_id), created_at=created), tmp_path, report=False)
    (tmp_path / "runs" / "bt_broken").mkdir()
    (tmp_path / "runs" / ".bt_d.staging-1").mkdir()
    runs = list_runs(tmp_path)
    assert [run["run_id"] for run in runs] == ["bt_c", "bt_b", "bt_a", "bt_broken"]
    assert [run["status"] for run in runs] == ["SUCCESS", "SUCCESS", "SUCCESS", "DAMAGED"]
    assert runs[0]["metrics"]["num_orders"] == 5
    assert find_run(tmp_path, "latest").run_id == "bt_c"
    assert find_run(tmp_path, "bt_a").run_id == "bt_a"
    assert run_folder(tmp_path / "elsewhere", tmp_path / "runs" / "bt_b").name == "bt_b"
    with pytest.raises(DataNotFound, match=r"no run named 'bt_x' in .*runs\. Newest: bt_c, bt_b, bt_a\."):
        find_run(tmp_path, "bt_x")
    with pytest.raises(DataNotFound, match=r"Newest: \(none\)"):
        find_run(tmp_path / "elsewhere", "latest")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", b"{"),
        ("manifest.json", b"[]"),
        ("manifest.json", b'{"info": {}}'),
        ("events.parquet", b"not parquet"),
        ("orders.parquet", None),
    ],
)
def test_a_damaged_directory_is_a_clear_error(written, tmp_path, name, content):
    """Each names the file and what to do."""
    _, folder = written
    copy = shutil.copytree(folder, tmp_path / "copy")
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"cannot read .*{name}.*damaged; run it again"):
        Result.load(copy)


def test_a_folder_without_a_manifest_is_no_run(tmp_path):
    """It is not damaged, it is something else."""
    with pytest.raises(DataNotFound, match=r"no run directory at .*manifest.json"):
        Result.load(tmp_path)
