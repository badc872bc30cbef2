"""`fairlead data check`: levels, exit codes, switches, and what is left on the disk."""

import json
from pathlib import Path

import pytest

from support_cli import DAYS, bars_csv, fairlead, tree, write_desk


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A workspace with eight whole days of one stock."""
    folder = write_desk(tmp_path / "desk")
    assert fairlead("data", "import", "ACME.csv", "-d", "prices", "-b", "1d", cwd=folder).code == 0
    return folder


@pytest.fixture
def holed(desk: Path) -> Path:
    """The same, and a dataset that lacks one of the days."""
    (desk / "ACME.csv").write_text(bars_csv(days=tuple(day for day in DAYS if day != DAYS[3])))
    assert fairlead("data", "import", "ACME.csv", "-d", "holed", "-b", "1d", cwd=desk).code == 0
    return desk


def test_levels_are_printed_and_written_down(desk):
    found = fairlead("data", "check", "prices", cwd=desk)
    assert found.code == 0, found.err
    assert found.out.startswith("ok 1 files match their hashes, 8 bars pass every rule.\n")
    table = {line.split()[0]: line.split()[1:] for line in found.out.splitlines()[3:]}
    assert table["d1_completeness"] == ["ok", "1", "of", "1", "1", "0.99", "ACME:", "8", "of", "8", "bars"]
    assert list(table) == ["d1_completeness", "no_nan_ohlc", "no_dupe_index", "lookback_gap", "outliers"]
    quality = desk / "artifacts/quality"
    assert sorted(path.name for path in quality.iterdir()) == ["ACME_D1_20240111T210000Z.json", "latest_sla.json"]
    assert json.loads((quality / "latest_sla.json").read_text())["passed"] is True
    before = tree(desk)
    assert fairlead("data", "check", "prices", cwd=desk).out == found.out
    assert tree(desk) == before


def test_a_fatal_level_that_is_not_met_exits_1(holed):
    found = fairlead("data", "check", "holed", cwd=holed)
    assert found.code == 1
    assert "d1_completeness  failed" in found.out
    assert found.err == "error: holed: fatal service levels are not met: d1_completeness, lookback_gap.\n"
    report = fairlead("data", "check", "holed", "--json", cwd=holed)
    assert (report.code, report.json["passed"], report.json["violations"]) == (1, False, [])
    levels = {sla["sla_name"]: sla for sla in report.json["slas"]}
    assert levels["d1_completeness"]["measured_value"] == 7 / 8
    assert (levels["lookback_gap"]["measured_value"], levels["lookback_gap"]["symbol"]) == (1, "ACME")
    latest = json.loads((holed / "artifacts/quality/latest_sla.json").read_text())
    assert latest["gaps"][0]["session"] == DAYS[3]


def test_switches_turn_levels_into_warnings_or_off(holed):
    warned = fairlead("data", "check", "holed", cwd=holed, ENABLE_SLA_CHECKS="warn")
    assert warned.code == 0
    assert warned.err == "! holed: fatal service levels are not met: d1_completeness, lookback_gap.\n"
    written = tree(holed)
    off = fairlead("data", "check", "holed", "--json", cwd=holed, ENABLE_SLA_CHECKS="0")
    assert (off.code, off.err, off.json["slas"]) == (0, "", [])
    assert off.json["enforcement"] == {"contracts": "enforce", "slas": "off"}
    assert tree(holed) == written
    wrong = fairlead("data", "check", "holed", cwd=holed, ENABLE_SLA_CHECKS="never")
    assert wrong.code == 2
    assert wrong.err == "error: 'ENABLE_SLA_CHECKS' must be off, warn, enforce, 1 or 0, was 'never'\n"


def test_broken_rules_follow_their_own_switch(desk):
    import pyarrow.compute as pc

    from fairlead.data.ingest import import_bars
    from fairlead.data.opening import store_of

    table = import_bars(desk / "ACME.csv", bar_size="1d").table
    low = table.schema.get_field_index("low")
    broken = table.set_column(low, table.schema.field(low), pc.multiply(table["low"], 2.0))
    store_of(desk / "artifacts").write("broken", broken, bar_size="1d", calendar="XNYS")
    enforced = fairlead("data", "check", "broken", cwd=desk)
    assert (enforced.code, enforced.err) == (1, "error: broken: bars break the rules D09.\n")
    latest = json.loads((desk / "artifacts/quality/latest_sla.json").read_text())
    assert (latest["passed"], latest["contract"]["violations"][0]["first_ts"]) == (False, "2024-01-02T00:00:00.000000Z")
    warned = fairlead("data", "check", "broken", cwd=desk, ENABLE_CONTRACTS="warn")
    assert (warned.code, warned.err) == (0, "! broken: bars break the rules D09.\n")
    off = fairlead("data", "check", "broken", cwd=desk, ENABLE_CONTRACTS="off")
    assert off.code == 0
    assert off.out.startswith("ok 1 files match their hashes, 8 bars not held to the rules.\n")


def test_lateness_is_measured_against_a_reference(desk):
    late = fairlead("data", "check", "prices", "--reference", "2024-01-12T16:06:00-05:00", "--json", cwd=desk)
    levels = {sla["sla_name"]: sla for sla in late.json["slas"]}
    assert (late.code, levels["lateness_minutes"]["measured_value"]) == (1, 6.0)
    in_time = fairlead("data", "check", "prices", "--reference", "2024-01-12T21:05:00Z", cwd=desk)
    assert in_time.code == 0
    assert "lateness_minutes  ok" in in_time.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("pricse",), "no dataset named 'pricse'; did you mean 'prices'"),
        (("prices", "--reference", "now"), "'--reference' must be a time with its zone like 2024-06-28T19:59:00Z, was 'now'"),
        (("prices", "--reference", "2024-01-12T21:05:00"), "'--reference' must be a time with its zone"),
        (("prices", "--start", "soon"), "'--start' must be a date like 2024-01-31, was 'soon'"),
        (("prices", "--start", "2024-01-05", "--end", "2024-01-04"), "'end' must not be before start (2024-01-05)"),
        (("prices", "--start", "2024-02-01"), "no symbol of dataset 'prices' has bars from 2024-02-01 to the end"),
        (("prices", "--end", "2999-01-04"), "calendar 'XNYS' is known from"),
        (("prices", "--refrence", "x"), "--reference"),
    ],
)
def test_bad_input_is_one_clear_error(desk, arguments, text):
    found = fairlead("data", "check", *arguments, cwd=desk)
    assert (found.code, found.out) == (2, "")
    assert text in found.err
    assert not (desk / "artifacts/quality").exists()
