"""The five service levels, by hand: what each measures, on which side of its limit, and what cannot be measured."""

import datetime as dt
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairlead.contracts import DataQualitySLA, Severity, SLAResult, all_passed, assert_valid_daily, assert_valid_intraday
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.core.time import BarSize, date_to_day, to_datetime
from fairlead.data.calendars import ExchangeCalendar

XNYS = ExchangeCalendar.get("XNYS")
XHKG = ExchangeCalendar.get("XHKG")
FIVE = ["m5_completeness", "lateness_minutes", "no_nan_ohlc", "no_dupe_index", "lookback_gap"]
WITHOUT_A_FEED = [name for name in FIVE if name != "lateness_minutes"]


def bars(first: str, last: str, calendar: ExchangeCalendar = XNYS, size: BarSize = BarSize.M5) -> pd.DataFrame:
    days = (date_to_day(dt.date.fromisoformat(day)) for day in (first, last))
    index = pd.DatetimeIndex(calendar.labels(*days, size).astype("datetime64[ns]"), tz="UTC")
    return pd.DataFrame({"OPEN": 10.0, "HIGH": 11.0, "LOW": 9.0, "CLOSE": 10.0, "VOLUME": 5}, index=index)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def measured(df, name: str, *args, calendar: ExchangeCalendar = XNYS, sla: DataQualitySLA | None = None, **kwargs):
    result = (sla or DataQualitySLA()).check_all(df, calendar, *args, **kwargs)[name]
    return result.measured_value, result.passed


def test_whole_sessions_meet_every_level():
    """A week with a holiday and an early close: nobody counts weekdays times 78."""
    df = bars("2024-11-25", "2024-11-29")
    assert len(df) == 3 * 78 + 42
    results = DataQualitySLA().check_all(df, XNYS)
    assert list(results) == WITHOUT_A_FEED
    assert all_passed(results)
    assert {r.severity for r in results.values()} == {Severity.FATAL}
    assert results["m5_completeness"] == SLAResult(
        "m5_completeness", True, Severity.FATAL, 1.0, 0.99, "276 of 276 bars", at("2024-11-29T18:00:00")
    )
    assert list(DataQualitySLA().check_all(df, XNYS, at("2024-11-29T18:00:00"))) == FIVE


def test_one_bar_of_a_day_is_one_too_many_to_miss_and_of_a_fortnight_it_is_not():
    day = bars("2024-07-01", "2024-07-01")
    assert measured(day.drop(day.index[20]), "m5_completeness") == (77 / 78, False)
    assert measured(day.drop(day.index[-1]), "m5_completeness") == (77 / 78, False)
    fortnight = bars("2024-07-08", "2024-07-19")
    assert measured(fortnight.drop(fortnight.index[20]), "m5_completeness") == (779 / 780, True)


def test_completeness_counts_what_was_asked_for():
    day = bars("2024-07-02", "2024-07-02")
    ranges = {"start": dt.date(2024, 7, 1), "end": dt.date(2024, 7, 2)}
    assert measured(day, "m5_completeness", **ranges) == (0.5, False)
    weekend = {"start": dt.date(2024, 7, 6), "end": dt.date(2024, 7, 7)}
    result = DataQualitySLA().check_all(day, XNYS, **weekend)["m5_completeness"]
    assert (result.measured_value, result.passed, result.message) == (1.0, True, "no sessions")


def test_bars_off_the_grid_or_twice_complete_nothing():
    day = bars("2024-07-01", "2024-07-01")
    stamps = day.index.to_list()
    stamps[5] = stamps[4]
    stamps[6] += pd.Timedelta("1min")
    assert measured(day.set_axis(pd.DatetimeIndex(stamps)), "m5_completeness") == (76 / 78, False)
    assert measured(day.set_axis(pd.DatetimeIndex(stamps)), "no_dupe_index") == (1, False)


def test_only_bars_that_have_closed_are_expected():
    morning = bars("2024-07-01", "2024-07-01").iloc[:12]  # 09:30 to 10:25
    assert measured(morning, "m5_completeness", at("2024-07-01T14:30:00")) == (1.0, True)
    assert measured(morning, "m5_completeness", at("2024-07-01T14:34:59")) == (1.0, True)
    assert measured(morning, "m5_completeness", at("2024-07-01T14:35:00")) == (12 / 13, False)


def test_lunch_is_no_gap():
    assert measured(bars("2024-07-02", "2024-07-05", XHKG), "m5_completeness", calendar=XHKG) == (1.0, True)


@pytest.mark.parametrize(
    ("last", "reference", "overdue", "passed"),
    [
        ("2024-07-01T13:30:00", "2024-07-01T13:35:30", 0.0, True),  # fresh: its age is not its lateness
        ("2024-07-01T13:30:00", "2024-07-01T13:40:30", 0.5, True),
        ("2024-07-01T13:30:00", "2024-07-01T13:45:00", 5.0, True),
        ("2024-07-01T13:30:00", "2024-07-01T13:45:01", 5 + 1 / 60, False),
        ("2024-07-05T19:55:00", "2024-07-07T12:00:00", 0.0, True),  # a weekend
        ("2024-07-05T19:55:00", "2024-07-08T13:35:00", 0.0, True),  # the next session's first bar is due now
        ("2024-07-05T19:55:00", "2024-07-08T13:41:00", 6.0, False),
        ("2024-07-03T16:55:00", "2024-07-05T13:30:00", 0.0, True),  # early close and a holiday
        ("2024-07-01T13:30:00", "2024-07-01T13:20:00", 0.0, True),  # a clock that is behind
        ("2024-11-01T19:55:00", "2024-11-04T14:37:00", 2.0, True),  # clocks went back
    ],
)
def test_lateness_is_how_long_the_next_bar_has_been_due(last, reference, overdue, passed):
    df = bars("2024-06-28", "2024-11-01")
    found = measured(df[: at(last)], "lateness_minutes", at(reference))
    assert (pytest.approx(found[0]), found[1]) == (overdue, passed)


def test_lateness_over_lunch():
    df = bars("2024-07-02", "2024-07-02", XHKG)[: at("2024-07-02T03:55:00")]  # to noon in Hong Kong
    for reference, overdue in (("2024-07-02T04:50:00", 0.0), ("2024-07-02T05:05:00", 0.0), ("2024-07-02T05:08:00", 3.0)):
        assert measured(df, "lateness_minutes", at(reference), calendar=XHKG) == (overdue, True)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_prices_that_are_no_numbers_are_counted_by_cell(value):
    df = bars("2024-07-01", "2024-07-01")
    df.iloc[3, 0] = df.iloc[3, 1] = df.iloc[9, 3] = value
    assert measured(df, "no_nan_ohlc") == (3, False)
    assert measured(df.assign(VOLUME=np.nan)[10:], "no_nan_ohlc") == (0, True)


def test_the_lookback_is_measured_in_bars_of_the_calendar():
    df = bars("2024-07-01", "2024-07-02")
    assert measured(df.drop(df.index[-50]), "lookback_gap") == (1, False)
    assert measured(df.drop(df.index[-51]), "lookback_gap") == (0, True)
    morning = df[: at("2024-07-02T14:25:00")]  # 12 bars, and 38 of the day before
    assert measured(morning.drop(morning.index[-50]), "lookback_gap") == (1, False)
    assert measured(morning.drop(morning.index[-51]), "lookback_gap") == (0, True)
    assert measured(morning.drop(morning.index[-50]), "lookback_gap", sla=DataQualitySLA(lookback_bars=49)) == (0, True)
    few = df.iloc[:7]
    assert measured(few, "lookback_gap", at("2024-07-01T14:05:00")) == (0, True)
    result = DataQualitySLA().check_all(df.drop(df.index[[-3, -4]]), XNYS)["lookback_gap"]
    assert result.message == "2 of the last 50 bars missing, first at 2024-07-02T19:40:00.000000Z"


def test_daily_bars_are_due_at_the_close_of_their_session():
    sla = DataQualitySLA(BarSize.D1)
    df = bars("2024-01-02", "2024-07-02", size=BarSize.D1)
    results = sla.check_all(df, XNYS, at("2024-07-03T17:04:00"))
    assert list(results) == ["d1_completeness", *FIVE[1:]]
    assert results["lateness_minutes"].measured_value == 4.0  # the third closed at 13:00 in New York
    assert all_passed(results)
    assert measured(df.drop(df.index[-50]), "lookback_gap", sla=sla) == (1, False)
    assert measured(df.drop(df.index[[5, 6]]), "d1_completeness", sla=sla) == (124 / 126, False)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_an_empty_frame_meets_nothing(library):
    df = bars("2024-07-01", "2024-07-01").iloc[:0]
    df = pl.from_pandas(df.rename_axis("ts").reset_index()) if library == "polars" else df
    results = DataQualitySLA().check_all(df, XNYS, at("2024-07-01T15:00:00"))
    assert [(r.sla_name, r.measured_value, r.passed) for r in results.values()] == [
        ("m5_completeness", 0.0, False),
        *((name, None, False) for name in FIVE[1:]),
    ]
    assert {r.message for r in results.values()} == {"there are no rows"}
    assert not any(r.passed for r in DataQualitySLA().check_all(df, XNYS).values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda df: [1], "neither a pandas nor a polars DataFrame"),
        (lambda df: df.reset_index(drop=True), "there are no stamps: it is a RangeIndex"),
        (lambda df: df.tz_localize(None), "the time zone of the index must be UTC, was None"),
        (lambda df: df.set_axis(pd.DatetimeIndex([pd.NaT, *df.index[1:]])), "some stamps are missing"),
        (lambda df: df.set_axis(df.index - pd.DateOffset(years=150)), "calendar 'XNYS' is known from"),
    ],
)
def test_what_cannot_be_measured_is_not_met(change, message):
    results = DataQualitySLA().check_all(change(bars("2024-07-01", "2024-07-01")), XNYS)
    assert not any(r.passed for r in results.values())
    assert all(message in r.message for r in results.values())


def test_a_missing_price_column_leaves_the_other_levels_measured():
    results = DataQualitySLA().check_all(bars("2024-07-01", "2024-07-01").drop(columns="LOW"), XNYS)
    assert [name for name, r in results.items() if not r.passed] == ["no_nan_ohlc"]
    assert results["no_nan_ohlc"].measured_value is None


def test_polars_frames_are_measured_alike():
    df = bars("2024-07-01", "2024-07-03")
    df = df.drop(df.index[[5, -7]])
    columns = {name: pl.from_pandas(df[name]) for name in df.columns}
    other = pl.DataFrame({"ts": pl.from_pandas(df.index.to_series()), **columns})
    reference = at("2024-07-03T18:00:00")
    assert DataQualitySLA().check_all(other, XNYS, reference) == DataQualitySLA().check_all(df, XNYS, reference)


def test_hints_do_not_block_and_nothing_checked_is_nothing_passed():
    def result(name, passed, severity):
        return SLAResult(name, passed, severity, 1.0, 0.0, "", to_datetime(0))

    hint, fatal = result("a", False, Severity.WARNING), result("b", False, Severity.FATAL)
    met = result("c", True, Severity.FATAL)
    assert all_passed({"a": hint, "c": met})
    assert not all_passed({"a": hint, "b": fatal, "c": met})
    assert not all_passed({})
    assert met.as_json()["timestamp"] == "1970-01-01T00:00:00.000000Z"
    assert met.as_json()["severity"] == "FATAL"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"min_completeness": 99.0}, "'min_completeness' must be a share from 0 to 1, was 99.0"),
        ({"max_lateness_minutes": float("nan")}, "'max_lateness_minutes' must be 0 or more, was nan"),
        ({"lookback_bars": 0}, "'lookback_bars' must be 1 or more, was 0"),
    ],
)
def test_thresholds_out_of_range_are_refused(arguments, text):
    with pytest.raises(ConfigurationError, match=text):
        DataQualitySLA(**arguments)


def test_a_reference_without_a_zone_is_refused():
    with pytest.raises(ContractError, match="'timestamp' must carry a time zone"):
        DataQualitySLA().check_all(bars("2024-07-01", "2024-07-01"), XNYS, at("2024-07-01T15:00:00").replace(tzinfo=None))


@pytest.mark.parametrize("calendar", ["XNYS", None, 5])
def test_what_is_no_calendar_is_refused(calendar):
    df = bars("2024-07-01", "2024-07-01")
    text = "'calendar' must be a SessionCalendar, was .* Obtain one with"
    with pytest.raises(ConfigurationError, match=text):
        DataQualitySLA().check_all(df, calendar)
    with pytest.raises(ConfigurationError, match=text):
        assert_valid_intraday(df, calendar, "America/New_York")
    if calendar is not None:
        with pytest.raises(ConfigurationError, match=text):
            assert_valid_daily(df, calendar)


def test_the_public_names_are_there_and_load_only_what_is_asked_for():
    import fairlead.contracts as door

    assert set(dir(door)) == set(door.__all__)
    assert all(getattr(door, name).__module__.startswith("fairlead.contracts.") for name in door.__all__)
    with pytest.raises(AttributeError, match=r"module 'fairlead\.contracts' has no attribute 'Nothing'"):
        _ = door.Nothing
    light = "import sys, fairlead.contracts.workspace; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", light], check=False).returncode == 0
