"""Longer bars from shorter ones, by hand: anchors, early closes, lunch, clock changes, partial buckets, refusals."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairlead.contracts.frames import IntradayFrameSpec
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.resampling import resample_bars, resample_m1_to_m5

XNYS = ExchangeCalendar.get("XNYS")
XHKG = ExchangeCalendar.get("XHKG")
COLUMNS = ["OPEN", "HIGH", "LOW", "CLOSE", "VOLUME", "N_M1", "PARTIAL"]


def minutes(day: str, calendar: ExchangeCalendar = XNYS) -> pd.DataFrame:
    """Every minute of a session; minute i opens at 100 + i, and its volume is i + 1."""
    session = date_to_day(dt.date.fromisoformat(day))
    stamps = calendar.labels(session, session, BarSize.M1)
    index = pd.DatetimeIndex(stamps.astype("datetime64[ns]"), tz="UTC", name="when")
    opens = 100.0 + np.arange(len(index))
    columns = {"OPEN": opens, "HIGH": opens + 2, "LOW": opens - 3, "CLOSE": opens + 1, "VOLUME": np.arange(len(index)) + 1}
    return pd.DataFrame(columns, index=index)


def test_five_minutes_become_one_bar():
    df = minutes("2024-07-01")
    df.attrs["adjustment"] = "none"
    bars = resample_m1_to_m5(df, XNYS, "America/New_York")
    assert list(bars.columns) == COLUMNS
    assert len(bars) == 78
    assert bars.iloc[0].to_list() == [100.0, 106.0, 97.0, 105.0, 15, 5, False]
    assert bars.iloc[-1].to_list() == [485.0, 491.0, 482.0, 490.0, 386 + 387 + 388 + 389 + 390, 5, False]
    assert (str(bars.index[0]), str(bars.index[-1])) == ("2024-07-01 13:30:00+00:00", "2024-07-01 19:55:00+00:00")
    assert bars["VOLUME"].dtype == np.int64
    assert (bars.index.name, bars.index.unit, bars.attrs) == ("when", df.index.unit, {"adjustment": "none"})
    assert resample_m1_to_m5(df.astype({"VOLUME": float}), "XNYS")["VOLUME"].dtype == np.float64


@pytest.mark.parametrize(
    ("day", "first", "bars"),
    [
        ("2024-03-08", "14:30", 78),  # the Friday before clocks go forward
        ("2024-03-11", "13:30", 78),
        ("2024-11-01", "13:30", 78),  # the Friday before they go back
        ("2024-11-04", "14:30", 78),
        ("2024-07-03", "13:30", 42),  # early close
        ("2024-11-29", "14:30", 42),
    ],
)
def test_buckets_follow_the_calendar_through_clock_changes_and_early_closes(day, first, bars):
    found = resample_m1_to_m5(minutes(day), XNYS)
    assert (f"{found.index[0]:%H:%M}", len(found)) == (first, bars)
    assert not found["PARTIAL"].any()


def test_buckets_count_from_the_opening_and_stop_at_lunch():
    """The morning of Hong Kong has 150 minutes: its third hour is half an hour long, and whole for all that."""
    found = resample_bars(minutes("2024-07-02", XHKG), XHKG, "Asia/Hong_Kong", target=BarSize.H1)
    local = found.index.tz_convert("Asia/Hong_Kong").strftime("%H:%M").to_list()
    assert local == ["09:30", "10:30", "11:30", "13:00", "14:00", "15:00"]
    assert found["N_M1"].to_list() == [60, 60, 30, 60, 60, 60]
    assert not found["PARTIAL"].any()
    assert found["OPEN"].iloc[3] == 250.0


def test_hours_of_new_york_are_not_those_of_the_epoch():
    found = resample_bars(minutes("2024-07-01"), XNYS, target="1h")
    assert found.index.strftime("%H:%M").to_list() == ["13:30", "14:30", "15:30", "16:30", "17:30", "18:30", "19:30"]
    assert found["N_M1"].to_list() == [60] * 6 + [30]


def test_missing_minutes_make_partial_buckets_and_empty_ones_do_not_exist():
    df = minutes("2024-07-01")
    thin = df.drop(df.index[[1, 2, 10, 11, 12, 13, 14]])
    found = resample_m1_to_m5(thin, XNYS)
    assert len(found) == 77
    assert found.iloc[0].to_list() == [100.0, 106.0, 97.0, 105.0, 1 + 4 + 5, 3, True]
    assert str(found.index[2]) == "2024-07-01 13:45:00+00:00"
    assert found["PARTIAL"].sum() == 1
    assert len(resample_m1_to_m5(thin, XNYS, min_m1=3)) == 77
    assert len(resample_m1_to_m5(thin, XNYS, min_m1=4)) == 76


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_polars_frames_give_the_same_bars(unit):
    df = minutes("2024-07-01").drop(index=minutes("2024-07-01").index[3])
    columns = {name: pl.from_pandas(df[name]) for name in df.columns}
    given = pl.DataFrame({"timestamp": pl.from_pandas(df.index.to_series()).cast(pl.Datetime(unit, "UTC")), **columns})
    found, expected = resample_m1_to_m5(given, XNYS), resample_m1_to_m5(df, XNYS)
    assert found.schema["timestamp"] == pl.Datetime(unit, "UTC")
    assert found.columns == ["timestamp", *COLUMNS]
    assert found["VOLUME"].dtype == pl.Int64
    assert np.array_equal(found["timestamp"].dt.epoch("ms").to_numpy(), expected.index.as_unit("ms").asi8)
    assert np.array_equal(found.select(COLUMNS).to_numpy(), expected.to_numpy(dtype=float))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_no_minutes_give_no_bars_of_the_same_form(library):
    empty = minutes("2024-07-01").iloc[:0]
    if library == "polars":
        empty = pl.from_pandas(empty.reset_index())
        empty = empty.rename({"when": "ts"})
    found = resample_m1_to_m5(empty, XNYS)
    assert type(found) is type(empty)
    assert (len(found), list(found.columns)[-7:]) == (0, COLUMNS)
    assert IntradayFrameSpec(BarSize.M5).validate(found, XNYS) == (True, [])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda df: df.drop(columns="LOW"), "D01 missing_columns"),
        (lambda df: df.reset_index(), "D02 index_type"),
        (lambda df: df.tz_localize(None), "D03 index_tz"),
        (lambda df: df.iloc[::-1], "D04 not_monotonic"),
        (lambda df: df.iloc[[0, 0, 1]], "D05 duplicates"),
        (lambda df: df.assign(CLOSE=np.nan), "D06 nan_ohlc"),
        (lambda df: df.shift(freq="1h"), r"I02 outside_session: .*\(2024-07-01 16:00:00 America/New_York\)"),
    ],
)
def test_a_frame_that_breaks_its_contract_is_refused(change, text):
    with pytest.raises(ContractError, match=text):
        resample_m1_to_m5(change(minutes("2024-07-01")), XNYS, "America/New_York")


def test_what_is_no_frame_is_refused():
    with pytest.raises(ContractError, match="it is a list, neither a pandas nor a polars DataFrame"):
        resample_m1_to_m5([1, 2], XNYS)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"source": "5min", "target": "1min"}, "'target' must be a whole multiple of the source's 5min, was '1min'"),
        ({"target": "1d"}, "'target' must be an intraday bar size, was '1d'"),
        ({"source": "1d", "target": "1d"}, "'source' must be an intraday bar size"),
        ({"min_m1": 0}, "'min_m1' must be 1 to 5, the minutes of 5min, was 0"),
        ({"min_m1": 6}, "'min_m1' must be 1 to 5"),
        ({"target": "7min"}, "'bar_size' must be one of"),
        ({"calendar": "XNYSE"}, "no exchange calendar named 'XNYSE'; did you mean 'XNYS'"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments, text):
    with pytest.raises(ConfigurationError, match=text):
        resample_bars(minutes("2024-07-01"), **{"calendar": XNYS, **arguments})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (0, "'N_M1' must be 1 or more in every row, was 0"),
        ("x", "'N_M1' must be a column of whole numbers"),
        (2.5, "'N_M1' must be a column of whole numbers, was 'float64'"),
    ],
)
def test_a_count_of_minutes_that_is_none_is_refused(values, text):
    with pytest.raises(ContractError, match=text):
        resample_m1_to_m5(minutes("2024-07-01").assign(N_M1=values), XNYS)
