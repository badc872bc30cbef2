"""Every rule of the frame contracts is broken by one mutation of a good frame, and by it alone."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairlead.contracts.frames import DailyFrameSpec, IntradayFrameSpec, assert_valid_daily, assert_valid_intraday
from fairlead.core.errors import ContractError
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar

XNYS = ExchangeCalendar.get("XNYS")
FIRST, LAST = date_to_day(dt.date(2024, 11, 25)), date_to_day(dt.date(2024, 12, 6))  # a holiday and an early close inside


def frame(size: BarSize, calendar: ExchangeCalendar = XNYS) -> pd.DataFrame:
    index = pd.DatetimeIndex(calendar.labels(FIRST, LAST, size).astype("datetime64[ns]"), tz="UTC")
    rng = np.random.default_rng(3000)
    opens, closes = 100 + rng.normal(0, 1, len(index)), 100 + rng.normal(0, 1, len(index))
    high, low = np.maximum(opens, closes) + 0.1, np.minimum(opens, closes) - 0.1
    volume = rng.integers(0, 1000, len(index))
    return pd.DataFrame({"OPEN": opens, "HIGH": high, "LOW": low, "CLOSE": closes, "VOLUME": volume}, index=index)


def to_polars(df: pd.DataFrame, name: str = "ts") -> pl.DataFrame:
    columns = {column: pl.from_pandas(df[column]) for column in df.columns}
    return pl.DataFrame({name: pl.from_pandas(df.index), **columns})


def put(column: str, value: object, row: int = 3):
    def change(df: pd.DataFrame) -> pd.DataFrame:
        df = df.astype({"VOLUME": float})
        df.iloc[row, df.columns.get_loc(column)] = value
        return df

    return change


def shifted(row: int, delta: str):
    def change(df: pd.DataFrame) -> pd.DataFrame:
        stamps = df.index.to_list()
        stamps[row] += pd.Timedelta(delta)
        return df.set_axis(pd.DatetimeIndex(stamps))

    return change


def rows(*positions: int):
    return lambda df: df.iloc[list(positions)]


BASE_MUTATIONS = [
    ("D01", lambda df: df.drop(columns="VOLUME")),
    ("D01", lambda df: df.rename(columns={"OPEN": "Open"})),
    ("D01", lambda df: pd.concat([df, df[["OPEN"]]], axis=1)),
    ("D02", lambda df: df.reset_index(drop=True)),
    ("D02", lambda df: df.set_axis(pd.DatetimeIndex([pd.NaT, *df.index[1:]]))),
    ("D03", lambda df: df.tz_localize(None)),
    ("D03", lambda df: df.tz_convert("America/New_York")),
    ("D04", rows(0, 1, 3, 2, 4)),
    ("D05", rows(0, 1, 1, 2, 3)),
    ("D06", put("CLOSE", np.nan)),
    ("D06", put("HIGH", np.inf)),
    ("D07", put("LOW", -1.0)),
    ("D07", put("LOW", 0.0)),
    ("D08", put("VOLUME", -1.0)),
    ("D08", put("VOLUME", np.nan)),
    ("D08", put("VOLUME", np.inf)),
    ("D09", put("HIGH", 1.0)),
    ("D09", put("LOW", 1000.0)),
    ("D10", lambda df: df.astype({"OPEN": str})),
    ("D10", lambda df: df.astype({"VOLUME": bool})),
]


def codes(result: tuple) -> list[str]:
    valid, found = result
    assert valid == (not found)
    return [violation.code for violation in found]


@pytest.mark.parametrize(("code", "change"), BASE_MUTATIONS)
def test_each_mutation_of_a_daily_frame_breaks_its_rule_alone(code, change):
    assert codes(DailyFrameSpec().validate(change(frame(BarSize.D1)), XNYS)) == [code]


@pytest.mark.parametrize(("code", "change"), BASE_MUTATIONS)
def test_each_mutation_of_an_intraday_frame_breaks_its_rule_alone(code, change):
    assert codes(IntradayFrameSpec(BarSize.M5).validate(change(frame(BarSize.M5)), XNYS, "America/New_York")) == [code]


@pytest.mark.parametrize("change", [shifted(0, "1h"), shifted(-1, "1D"), shifted(-1, "20D")])
def test_a_daily_stamp_off_midnight_or_off_the_calendar_is_no_session_label(change):
    df = change(frame(BarSize.D1))
    expected = [] if df.index[-1] == pd.Timestamp("2024-12-26", tz="UTC") else ["D11"]
    assert codes(DailyFrameSpec().validate(df, XNYS)) == expected
    assert codes(DailyFrameSpec().validate(df)) == []


@pytest.mark.parametrize(
    ("expected", "size", "change"),
    [
        (["I01"], BarSize.M5, shifted(0, "1min")),
        (["I02"], BarSize.M5, shifted(-1, "5min")),
        (["I02"], BarSize.M5, shifted(0, "-5min")),
        (["I03"], BarSize.M5, lambda df: df[::3]),
        (["I01", "I03", "I04"], BarSize.M30, lambda df: frame(BarSize.M15)),
        (["I01", "I04"], BarSize.M5, shifted(-1, "1min")),
    ],
)
def test_intraday_stamps_break_the_rule_of_their_place(expected, size, change):
    """A bar that straddles its close is off the grid too: on the grid, the last bar is cut short by rule."""
    assert codes(IntradayFrameSpec(size).validate(change(frame(size)), XNYS)) == expected


def test_a_frame_of_days_without_any_session_lies_outside():
    df = frame(BarSize.M5).iloc[:2]
    lonely = df.set_axis(pd.DatetimeIndex(["2050-01-01T15:00Z", "2050-01-01T15:05Z"]))
    assert codes(IntradayFrameSpec(require_contiguous=True).validate(lonely, XNYS)) == ["I02"]


def test_a_bar_across_two_sessions_that_touch_is_overnight():
    calendar = ExchangeCalendar.get("CMES")
    df = frame(BarSize.M5, calendar)
    assert codes(IntradayFrameSpec(BarSize.M5).validate(df, calendar)) == []
    row = int(np.flatnonzero(np.diff(calendar.closing_instants(df.index.asi8, BarSize.M5)[1]))[0])
    assert codes(IntradayFrameSpec(BarSize.M5).validate(shifted(row, "2min")(df), calendar)) == ["I01", "I04", "I05"]


def test_gaps_are_counted_inside_sessions_only_and_on_request():
    df = frame(BarSize.M5)
    trimmed = df.drop(df.index[[0, 1, 77]])  # before the first and after the last bar of a session: no gap
    assert codes(IntradayFrameSpec(require_contiguous=True).validate(trimmed, XNYS)) == []
    holed = df.drop(df.index[[5, 6, 100]])
    assert codes(IntradayFrameSpec().validate(holed, XNYS)) == []
    _, found = IntradayFrameSpec(require_contiguous=True).validate(holed, XNYS)
    assert [(v.code, v.count, v.first_ts) for v in found] == [("I06", 3, df.index[5].to_pydatetime())]


@pytest.mark.parametrize("size", [BarSize.M1, BarSize.M5, BarSize.H1, BarSize.H4])
@pytest.mark.parametrize("name", ["XNYS", "XHKG", "XTKS", "24/7"])
def test_a_full_grid_keeps_the_contract_on_every_calendar(size, name):
    calendar = ExchangeCalendar.get(name)
    assert_valid_intraday(frame(size, calendar), calendar, calendar.timezone, bar_size=size)
    assert IntradayFrameSpec(size, require_contiguous=True).validate(frame(size, calendar), calendar) == (True, [])


def test_polars_frames_are_judged_as_pandas_frames():
    assert_valid_daily(to_polars(frame(BarSize.D1), "Date"), XNYS)
    assert_valid_intraday(to_polars(frame(BarSize.M5)), XNYS, "UTC")
    dates = to_polars(frame(BarSize.D1), "date").with_columns(pl.col("date").dt.date())
    assert_valid_daily(dates, XNYS)
    assert codes(IntradayFrameSpec().validate(dates, XNYS)) == ["D02"]
    assert codes(DailyFrameSpec().validate(to_polars(frame(BarSize.D1), "when"), XNYS)) == ["D02"]


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("D02", lambda f: f.with_columns(pl.col("ts").cast(pl.String))),
        ("D02", lambda f: f.with_columns(pl.when(pl.col("ts") > pl.col("ts").min()).then(pl.col("ts")))),
        ("D03", lambda f: f.with_columns(pl.col("ts").dt.replace_time_zone(None))),
        ("D05", lambda f: pl.concat([f[:2], f[1:]])),
        ("D06", lambda f: f.with_columns(pl.when(pl.col("OPEN") > pl.col("OPEN").min()).then(pl.col("OPEN")))),
        ("D10", lambda f: f.with_columns(pl.col("LOW").cast(pl.String))),
        ("D11", lambda f: f.with_columns(pl.col("ts") + pl.duration(hours=5))),
    ],
)
def test_each_mutation_of_a_polars_frame_breaks_its_rule_alone(code, change):
    assert codes(DailyFrameSpec().validate(change(to_polars(frame(BarSize.D1))), XNYS)) == [code]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_in_which_pandas_keeps_stamps_does_not_matter(unit):
    df = frame(BarSize.M5)
    assert_valid_intraday(df.set_axis(df.index.as_unit(unit)), XNYS)


def test_missing_values_of_nullable_columns_are_not_numbers():
    df = frame(BarSize.D1).astype({"CLOSE": "Float64"})
    df.iloc[2, 3] = pd.NA
    assert codes(DailyFrameSpec().validate(df, XNYS)) == ["D06"]


def test_an_empty_frame_of_the_right_form_passes():
    assert_valid_daily(frame(BarSize.D1).iloc[:0], XNYS)
    assert_valid_intraday(frame(BarSize.M5).iloc[:0], XNYS)
    assert_valid_daily(to_polars(frame(BarSize.D1))[:0], XNYS)


def test_what_is_no_frame_is_a_violation_and_not_a_crash():
    for thing in (None, [1, 2], pd.Series([1.0])):
        assert codes(DailyFrameSpec().validate(thing, XNYS)) == ["D02"]
        assert codes(IntradayFrameSpec().validate(thing, XNYS)) == ["D02"]


@pytest.mark.parametrize("size", [BarSize.D1, BarSize.M5])
def test_dates_beyond_the_calendar_are_a_violation_and_not_a_crash(size):
    calendar = ExchangeCalendar.get("XTKS")
    df = frame(size)
    old = df.set_axis(df.index - pd.Timedelta(days=40 * 365))
    valid, found = (
        DailyFrameSpec().validate(old, calendar) if size is BarSize.D1 else IntradayFrameSpec().validate(old, calendar)
    )
    assert not valid
    assert "is known from 1997-01-01" in str(found[0])


def test_nonpositive_prices_can_be_allowed():
    df = frame(BarSize.D1)
    df[["OPEN", "HIGH", "LOW", "CLOSE"]] -= 100
    assert codes(DailyFrameSpec().validate(df, XNYS)) == ["D07"]
    assert codes(DailyFrameSpec(allow_nonpositive=True).validate(df, XNYS)) == []


def test_every_violation_is_listed_with_count_first_stamp_and_text():
    df = put("CLOSE", np.nan, 4)(put("VOLUME", -1.0, 2)(put("VOLUME", -1.0, 5)(frame(BarSize.D1))))
    with pytest.raises(ContractError) as caught:
        assert_valid_daily(df, XNYS)
    text = str(caught.value)
    assert text.startswith("daily frame breaks 2 rules of its contract:\n  - D06 nan_ohlc: ")
    assert "D08 bad_volume: volume must be a finite number, 0 or more; 2 rows, first at 2024-11-27T00:00:00.000000Z" in text
    _, found = DailyFrameSpec().validate(df, XNYS)
    assert (found[1].name, found[1].count, found[1].first_ts) == ("bad_volume", 2, dt.datetime(2024, 11, 27, tzinfo=dt.UTC))


def test_intraday_messages_repeat_the_stamp_in_the_local_zone():
    df = put("VOLUME", -1.0, 0)(frame(BarSize.M5))
    with pytest.raises(ContractError, match=r"2024-11-25T14:30:00.000000Z \(2024-11-25 09:30:00 America/New_York\)"):
        assert_valid_intraday(df, XNYS, "America/New_York")
    assert codes(IntradayFrameSpec().validate(df, XNYS, "Mars/Olympus")) == ["D08"]


@pytest.mark.parametrize(("change", "remedy"), [(BASE_MUTATIONS[5][1], "tz_localize"), (BASE_MUTATIONS[6][1], "tz_convert")])
def test_a_wrong_time_zone_comes_with_its_remedy(change, remedy):
    _, found = DailyFrameSpec().validate(change(frame(BarSize.D1)), XNYS)
    assert remedy in str(found[0])
