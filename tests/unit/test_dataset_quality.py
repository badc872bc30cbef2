"""The quality of a stored dataset: month by month it says what the whole frame says, symbol by symbol."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from fairlead.contracts import DataQualitySLA
from fairlead.contracts.quality import QualityRecord, check_frame, write_records
from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound, StorageError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.checking import check_dataset
from fairlead.data.dataset import Dataset
from fairlead.data.ingest import import_bars
from fairlead.data.quality import DatasetQuality
from fairlead.data.store import BarStore

XNYS = ExchangeCalendar.get("XNYS")
SPLIT = CorporateAction("ACME", date_to_day(dt.date(2024, 7, 1)), ActionKind.SPLIT, 2.0)


def frame(first: str, last: str, *, scale: float = 1.0) -> pd.DataFrame:
    """Half hours of a price that swings by a thousandth, and halves on the first of July 2024."""
    days = (date_to_day(dt.date.fromisoformat(day)) for day in (first, last))
    index = pd.DatetimeIndex(XNYS.labels(*days, BarSize.M30).astype("datetime64[ns]"), tz="UTC")
    close = np.where(np.arange(len(index)) % 2, 100.0, 100.1) * scale
    close[index >= "2024-07-01"] /= 2
    return pd.DataFrame({"OPEN": close, "HIGH": close, "LOW": close, "CLOSE": close, "VOLUME": 7.0}, index=index)


def stored(tmp_path, frames: dict[str, pd.DataFrame], actions=(SPLIT,)) -> Dataset:
    table = import_bars(frames, bar_size="30min", calendar="XNYS").table
    store = BarStore(tmp_path / "bars")
    store.write("half", table, bar_size="30min", calendar="XNYS", actions=actions, source="made for a test")
    return store.open("half")


def records(dataset: Dataset, **options) -> dict[str, QualityRecord]:
    quality = DatasetQuality(dataset, **options)
    list(check_dataset(dataset, quality=quality))
    return {record.symbol: record for record in quality.records()}


def slas(record: QualityRecord) -> dict[str, tuple]:
    return {sla["sla_name"]: (sla["measured_value"], sla["passed"]) for sla in record.slas}


def test_months_add_up_to_what_the_whole_frame_says(tmp_path):
    """Holes in two months, and no bar at all in a third."""
    whole = frame("2024-04-01", "2024-08-15")
    holed = whole.drop(whole.index[[3, 4, 700, -5]])
    holed = holed[(holed.index < "2024-06-01") | (holed.index > "2024-06-30")]
    reference = dt.datetime(2024, 8, 15, 20, 4, tzinfo=dt.UTC)
    found = records(stored(tmp_path, {"ACME": holed, "OTHER": whole}), reference_time=reference)
    expected = DataQualitySLA(BarSize.M30).check_all(holed, XNYS, reference)
    fatal = [sla for sla in found["ACME"].slas if sla["severity"] == "FATAL"]
    assert fatal == [result.as_json() for result in expected.values()]
    assert fatal[0]["measured_value"] == len(holed) / len(whole)
    gaps = found["ACME"].gaps
    missing = [stamp for gap in gaps for stamp in gap.missing]
    assert missing == [f"{stamp:%Y-%m-%dT%H:%M:%S.%fZ}" for stamp in whole.index.difference(holed.index)]
    assert gaps[0].session == dt.date(2024, 4, 1)
    assert (found["ACME"].passed, found["OTHER"].passed) == (False, True)


def test_a_record_says_what_it_is_about(tmp_path):
    whole = frame("2024-06-24", "2024-07-03")
    record = records(stored(tmp_path, {"ACME": whole}))["ACME"]
    assert set(record.as_json()) == {
        *("schema_version", "run_id", "symbol", "timeframe", "calendar", "range", "asof", "passed", "slas", "gaps"),
        *("contract", "source", "rows", "data_hash"),
    }
    plain = record.as_json()
    assert plain["range"] == {"start": "2024-06-24", "end": "2024-07-03"}
    assert (plain["asof"], plain["timeframe"], plain["calendar"]) == ("2024-07-03T17:00:00.000000Z", "M30", "XNYS")
    assert (plain["rows"], plain["passed"], plain["gaps"]) == (len(whole), True, [])
    assert plain["contract"] == {"passed": True, "violations": []}
    assert (plain["source"], plain["schema_version"]) == ("half: made for a test", "1.0")
    assert record.file_name == "ACME_M30_20240703T170000Z.json"
    assert list(slas(record)) == ["m30_completeness", "no_nan_ohlc", "no_dupe_index", "lookback_gap", "outliers"]


def test_a_range_that_was_asked_for_must_be_there(tmp_path):
    dataset = stored(tmp_path, {"ACME": frame("2024-06-24", "2024-07-03"), "LATE": frame("2024-07-01", "2024-07-02")})
    own = records(dataset)
    assert slas(own["LATE"])["m30_completeness"] == (1.0, True)
    asked = records(dataset, start=dt.date(2024, 6, 27), end=dt.date(2024, 7, 2))
    assert slas(asked["LATE"])["m30_completeness"] == (0.5, False)
    assert slas(asked["ACME"])["m30_completeness"] == (1.0, True)
    assert asked["ACME"].rows == 4 * 13
    beyond = records(dataset, end=dt.date(2024, 7, 5))["ACME"]
    assert slas(beyond)["m30_completeness"] == (98 / 111, False)
    nothing = records(dataset, start=dt.date(2024, 7, 8), end=dt.date(2024, 7, 9))["ACME"]
    assert slas(nothing)["m30_completeness"] == (0.0, False)
    assert (nothing.rows, nothing.passed, len(nothing.gaps)) == (0, False, 2)
    assert list(records(dataset, start=dt.date(2024, 7, 3))) == ["ACME"]  # the other one has left by then
    with pytest.raises(ConfigurationError, match="'end' must not be before start"):
        records(dataset, start=dt.date(2024, 7, 2), end=dt.date(2024, 7, 1))
    with pytest.raises(DataNotFound, match="no symbol of dataset 'half' has bars from 2024-07-05 to the end"):
        records(dataset, start=dt.date(2024, 7, 5))


def test_a_jump_is_a_hint_unless_an_action_explains_it(tmp_path):
    """The split is in the month after the first bars, so the action has to be seen across files."""
    whole = frame("2024-06-24", "2024-07-03")
    assert slas(records(stored(tmp_path / "a", {"ACME": whole}))["ACME"])["outliers"] == (0, True)
    record = records(stored(tmp_path / "b", {"ACME": whole}, actions=()))["ACME"]
    assert slas(record)["outliers"] == (1, False)
    hint = record.slas[-1]
    assert (hint["severity"], record.passed) == ("WARNING", True)
    assert hint["message"].endswith("first at 2024-07-01T13:30:00.000000Z")


def test_the_hash_is_that_of_the_bars_however_they_are_cut(tmp_path):
    whole = frame("2024-06-24", "2024-07-10")
    one = records(stored(tmp_path / "a", {"ACME": whole}))["ACME"]
    cut = records(stored(tmp_path / "b", {"ACME": frame("2024-05-01", "2024-07-10")}), start=dt.date(2024, 6, 24))["ACME"]
    assert one.data_hash == cut.data_hash
    other = whole.copy()
    other.iloc[5, 4] += 1.0
    assert records(stored(tmp_path / "c", {"ACME": other}))["ACME"].data_hash != one.data_hash


def test_records_are_written_whole_and_the_latest_is_green_only_if_all_are(tmp_path):
    whole = frame("2024-06-24", "2024-07-03")
    good = records(stored(tmp_path / "a", {"ACME": whole, "ZED": whole}))
    folder = write_records(tmp_path, list(good.values()))
    names = ["ACME_M30_20240703T170000Z.json", "ZED_M30_20240703T170000Z.json", "latest_sla.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert json.loads((folder / names[0]).read_text()) == json.loads(json.dumps(good["ACME"].as_json()))
    assert (folder / "latest_sla.json").read_bytes() == (folder / names[1]).read_bytes()
    before = (folder / names[0]).read_bytes()
    mixed = records(stored(tmp_path / "b", {"ACME": whole.drop(whole.index[-2]), "ZED": whole}))
    write_records(tmp_path, list(mixed.values()))
    assert (folder / names[0]).read_bytes() != before
    latest = json.loads((folder / "latest_sla.json").read_text())
    assert (latest["symbol"], latest["passed"]) == ("ACME", False)
    assert latest["gaps"] == [{"session": "2024-07-03", "missing": ["2024-07-03T16:00:00.000000Z"]}]


def test_a_disk_that_refuses_is_one_clear_error(tmp_path):
    (tmp_path / "quality").write_text("in the way")
    whole = frame("2024-06-24", "2024-07-03")
    found = records(stored(tmp_path, {"ACME": whole}))
    with pytest.raises(StorageError, match="cannot write"):
        write_records(tmp_path, list(found.values()))


def test_a_frame_is_recorded_as_a_dataset_is(tmp_path):
    whole = frame("2024-06-24", "2024-07-03").drop(index=frame("2024-07-02", "2024-07-02").index[4])
    stored_record = records(stored(tmp_path, {"ACME": whole}, actions=()))["ACME"]
    sla = DataQualitySLA(BarSize.M30)
    assert check_frame(whole, "ACME", XNYS, sla=sla, source="half: made for a test") == stored_record
    shuffled = check_frame(whole.assign(HIGH=1.0), "ACME", XNYS, sla=sla, run_id="bt_1")
    assert (shuffled.passed, shuffled.run_id, shuffled.contract.violations[0]["code"]) == (False, "bt_1", "D09")
    assert shuffled.contract.violations[0]["first_ts"] == "2024-06-24T13:30:00.000000Z"


def test_a_daily_frame_is_recorded_too():
    days = pd.DatetimeIndex(["2024-07-01", "2024-07-02", "2024-07-05"], tz="UTC")
    df = pd.DataFrame({"OPEN": 1.0, "HIGH": 1.0, "LOW": 1.0, "CLOSE": 1.0, "VOLUME": 1}, index=days)
    record = check_frame(df, "ACME", XNYS, sla=DataQualitySLA(BarSize.D1))
    assert slas(record)["d1_completeness"] == (0.75, False)
    assert record.contract.passed
    assert record.file_name == "ACME_D1_20240705T200000Z.json"


def test_a_frame_that_says_nothing_is_refused():
    whole = frame("2024-07-01", "2024-07-01")
    sla = DataQualitySLA(BarSize.M30)
    with pytest.raises(ContractError, match=r"frame of ACME \(30min\) breaks 1 rule of its contract:\n  - D01"):
        check_frame(whole.drop(columns="LOW"), "ACME", XNYS, sla=sla)
    with pytest.raises(ContractError, match="D02"):
        check_frame([1], "ACME", XNYS, sla=sla)
    empty = whole.iloc[:0]
    with pytest.raises(ConfigurationError, match="'start and end' must be given for an empty frame"):
        check_frame(empty, "ACME", XNYS, sla=sla)
    record = check_frame(empty, "ACME", XNYS, sla=sla, start=dt.date(2024, 7, 1), end=dt.date(2024, 7, 2))
    assert (record.rows, record.passed, record.contract.passed, len(record.gaps)) == (0, False, True, 2)
    assert record.file_name == "ACME_M30_20240702T000000Z.json"
    with pytest.raises(ConfigurationError, match=r"'end' must not be before start \(2024-07-02\), was '2024-07-01'"):
        check_frame(whole, "ACME", XNYS, sla=sla, start=dt.date(2024, 7, 2), end=dt.date(2024, 7, 1))


def test_stamps_outside_every_session_are_no_bars_of_any():
    weekend = frame("2024-07-05", "2024-07-05").shift(freq="1D")
    record = check_frame(weekend, "ACME", XNYS, sla=DataQualitySLA(BarSize.M30))
    assert (record.passed, record.contract.violations[0]["code"]) == (False, "I02")
    assert slas(record)["m30_completeness"] == (1.0, True)  # of no session, nothing is missing
