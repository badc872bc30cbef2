"""What a line refuses: data, plug-ins and configurations; it says what, where and how often, and finishes its manifest."""

import datetime as dt
import json
import sys

import polars as pl
import pytest

from support_cli import fairlead
from support_factory import config, manifest, run_line, write_config, write_minutes

PLUGIN = """\
from fairlead.factory.opening_range import OpeningRange


class {name}(OpeningRange):
    \"\"\"{name}.\"\"\"

    def {method}(self, {argument}):
        {body}
"""


def plugin(folder, name, method, argument, body):
    """Write a plug-in of the test's own and return the section that names it."""
    module = f"plugin_{name.lower()}"
    (folder / f"{module}.py").write_text(PLUGIN.format(name=name, method=method, argument=argument, body=body))
    sys.modules.pop(module, None)
    return {"model": f"{module}:{name}", "params": {"score_sessions": 2}}


class TestRefusedData:
    hole = pl.col("timestamp").dt.date() == dt.date(2024, 3, 12)

    @pytest.mark.parametrize("level", ["off", "warn"])
    def test_minutes_off_the_grid_are_refused_at_every_level(self, tmp_path, level):
        """No longer bar is made of one, and no order could meet it."""
        late = pl.when(pl.int_range(pl.len()) == 7).then(pl.col("timestamp") + dt.timedelta(seconds=30))
        shifted = lambda f: f.with_columns(timestamp=late.otherwise("timestamp"))  # noqa: E731
        data = write_minutes(tmp_path / "m", SYN002=shifted) | {"path": "m"}
        done = run_line(tmp_path, config(run_id="small", data=data, enforcement={"contracts": level, "slas": level}))
        assert done.code == 1
        assert "SYN002 M1 I01 off_grid: first at 2024-03-04T14:37:30.000000Z, count 1" in done.err
        assert manifest(tmp_path)["result"]["status"] == "FAILED_PRECONDITION"

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            (lambda f: f.with_columns(HIGH=pl.col("LOW") - 1), "SYN002 M1 D09 high_low: first at 2024-03-04T14:30:00"),
            (lambda f: f.filter(~TestRefusedData.hole), "SYN002 M5 m5_completeness: first at 2024-03-12T13:30:00"),
        ],
    )
    def test_it_is_named_and_nothing_downstream_runs(self, tmp_path, spoil, told):
        data = write_minutes(tmp_path / "m", SYN002=spoil) | {"path": "m"}
        done = run_line(tmp_path, config(run_id="small", data=data))
        assert done.code == 1
        assert f"{told}.000000Z, count " in done.err
        assert "Nothing downstream was run." in done.err
        assert "Traceback" not in done.err
        assert [path.name for path in (tmp_path / "w/factory/small").iterdir()] == ["config.json"]
        result = manifest(tmp_path)["result"]
        assert result["status"] == "FAILED_PRECONDITION"
        assert told in result["reason"]
        assert manifest(tmp_path)["gates"]["sla"]["findings"][0]["check"] in told
        (step,) = [json.loads(line) for line in (tmp_path / "w/runs/small/run_steps.jsonl").read_text().splitlines()]
        assert step["step"] == "data"
        assert step["detail"]["findings"][0]["symbol"] == "SYN002"
        latest = json.loads((tmp_path / "w/quality/latest_sla.json").read_text())
        assert (latest["symbol"], latest["passed"], latest["run_id"]) == ("SYN002", False, "small")

    def test_what_an_earlier_run_handed_on_is_not_used(self, tmp_path):
        data = write_minutes(tmp_path / "m") | {"path": "m"}
        assert run_line(tmp_path, config(run_id="small", data=data)).code == 0
        spoilt = pl.read_parquet(tmp_path / "m/SYN001.parquet").with_columns(LOW=pl.lit(-1.0))
        spoilt.write_parquet(tmp_path / "m/SYN001.parquet")
        assert run_line(tmp_path, config(run_id="small", data=data)).code == 1
        assert manifest(tmp_path)["result"]["status"] == "FAILED_PRECONDITION"
        assert not (tmp_path / "w/runs/small/trades.csv").exists()

    def test_json_lists_every_finding(self, tmp_path):
        data = write_minutes(tmp_path / "m", SYN002=lambda f: f.filter(~self.hole), SYN003=lambda f: f.filter(~self.hole))
        done = run_line(tmp_path, config(run_id="small", data=data), "--json")
        assert done.code == 1
        assert [(f["symbol"], f["check"], f["count"]) for f in done.json["findings"]] == [
            ("SYN002", "m5_completeness", 78),
            ("SYN003", "m5_completeness", 78),
        ]

    def test_a_level_lets_it_pass_with_a_warning(self, tmp_path):
        data = write_minutes(tmp_path / "m", SYN002=lambda f: f.filter(~self.hole))
        done = run_line(tmp_path, config(run_id="small", data=data), ENABLE_SLA_CHECKS="warn")
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
    done = run_line(tmp_path, config(run_id="small", signals=signals))
    assert done.code == 1
    assert told in done.err
    assert "Traceback" not in done.err
    result = manifest(tmp_path)["result"]
    # What a plug-in hands on breaks its contract, or it breaks down itself.
    assert result["status"] == ("FAILED_PRECONDITION" if name == "Bad2" else "ERROR")
    assert told in result["reason"]
    assert not (tmp_path / "w/factory/small/orders.csv").exists()


def test_a_symbol_that_is_no_candidate_stops_the_line(tmp_path):
    body = "found = super().signals(view); from dataclasses import replace; return found._replace("
    body += "signals=tuple(replace(s, symbol='ZZZ') for s in found.signals))"
    done = run_line(tmp_path, config(run_id="small", signals=plugin(tmp_path, "Stray", "signals", "view", body)))
    assert done.code == 1
    assert "'symbol of a signal' must be one of the 2 candidates of 2024-03-06, was 'ZZZ'" in done.err
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
        ("tz=America/New_Yrk", "'tz' must be an IANA time zone"),
    ],
)
def test_a_bad_configuration_is_one_clear_error(tmp_path, override, told):
    done = run_line(tmp_path, None, "-o", override)
    assert done.code == 2, done.out + done.err
    assert told in done.err
    assert "override -o" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "w").exists()


def test_a_misspelt_switch_is_refused(tmp_path):
    done = run_line(tmp_path, None, ENABLE_CONTRACTS="yess")
    assert done.code == 2
    assert "'ENABLE_CONTRACTS' must be off, warn, enforce, 1 or 0" in done.err


def test_a_symbol_that_the_files_do_not_hold_is_bad_input(tmp_path):
    data = write_minutes(tmp_path / "m") | {"symbols": ["SYN001", "SYN009"]}
    done = run_line(tmp_path, config(run_id="small", data=data))
    assert done.code == 2
    assert "no symbol in dataset 'm' named 'SYN009'" in done.err
    assert manifest(tmp_path)["result"]["status"] == "FAILED_PRECONDITION"


def test_a_file_that_is_damaged_between_two_stages_stops_the_line(tmp_path):
    body = "Path('w/factory/small/m1/SYN001.parquet').write_bytes(b'x'); return super().signals(view)"
    signals = plugin(tmp_path, "Vandal", "signals", "view", "from pathlib import Path; " + body)
    done = run_line(tmp_path, config(run_id="small", signals=signals))
    assert done.code == 1
    assert "SYN001.parquet" in done.err
    assert "Traceback" not in done.err
    assert manifest(tmp_path)["result"]["status"] == "FAILED_PRECONDITION"
    assert (tmp_path / "w/factory/small/orders.csv").exists()
