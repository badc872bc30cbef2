"""Stamps of any vendor become UTC labels, or are refused with the remedy."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.core.time import BarSize, to_ns
from fairlead.data.stamps import Reading, read_labels


def ns(text: str) -> int:
    return to_ns(dt.datetime.fromisoformat(text))


def intraday(values, **kwargs):
    return read_labels(pl.Series(values), Reading(BarSize.M1, **kwargs), where="x")


def daily(values, **kwargs):
    return read_labels(pl.Series(values), Reading(BarSize.D1, **kwargs), where="x")


HALF_PAST_TWO = ns("2024-01-02T14:30:00+00:00")
NAIVE = dt.datetime.fromisoformat("2024-01-02T09:30")
MIDNIGHT = ns("2024-01-02T00:00:00+00:00")


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-02T14:30:00Z",
        "2024-01-02 14:30:00+00:00",
        "2024-01-02T09:30:00-05:00",
        "2024-01-02 09:30:00.000000-0500",
        "2024-01-02T14:30Z",
        "2024-01-02 14:30:00 UTC",
        "2024/01/02 20:00:00+05:30",
        "20240102 14:30:00Z",
        " 2024-01-02T14:30:00Z ",
    ],
)
def test_text_with_an_offset_is_an_instant(text):
    assert intraday([text]).label_ns.tolist() == [HALF_PAST_TWO]


@pytest.mark.parametrize(
    "value", [1704205800, 1704205800000, 1704205800000000, 1704205800000000000, 1704205800.0, "1704205800"]
)
def test_epoch_numbers_say_their_unit_by_their_size(value):
    assert intraday([value]).label_ns.tolist() == [HALF_PAST_TWO]


def test_fractions_of_a_second_are_kept_to_the_nanosecond():
    assert intraday(["2024-01-02T14:30:00.123456789Z"]).label_ns.tolist() == [HALF_PAST_TWO + 123456789]


def test_local_times_follow_their_zone_through_the_change_of_clocks():
    labels = intraday(["2024-03-08 09:30:00", "2024-03-11 09:30:00"], timezone="America/New_York").label_ns
    assert labels.tolist() == [ns("2024-03-08T14:30:00+00:00"), ns("2024-03-11T13:30:00+00:00")]


def test_local_times_that_are_skipped_or_repeated_are_marked():
    values = ["2024-11-03 01:30:00", "2024-03-10 02:30:00", "2024-03-11 02:30:00"]
    found = intraday(values, timezone="America/New_York")
    assert found.ambiguous.tolist() == [True, True, False]
    assert found.unreadable.tolist() == [False, False, False]


def test_a_stamps_own_offset_beats_the_declared_zone():
    found = intraday(["2024-01-02T14:30:00Z", "2024-01-02T09:30:00"], timezone="America/New_York")
    assert found.label_ns.tolist() == [HALF_PAST_TWO, HALF_PAST_TWO]


@pytest.mark.parametrize("values", [["2024-01-02 09:30:00"], [NAIVE], ["2024-01-02T09:30:00Z", "2024-01-02 09:31"]])
def test_stamps_without_a_zone_are_refused_with_the_remedy(values):
    with pytest.raises(ContractError, match=r"'x: stamps' must carry a time zone, was '2024-01-02 09:3.* Declare the zone"):
        intraday(values)


def test_an_unknown_zone_is_refused():
    with pytest.raises(ConfigurationError, match=r"must be an IANA time zone .* was 'EST5'"):
        Reading(BarSize.M1, timezone="EST5")


@pytest.mark.parametrize("values", [["2024-01-02"], ["2024/01/02"], ["20240102"], [20240102], [dt.date(2024, 1, 2)]])
def test_dates_of_daily_bars_need_no_zone(values):
    assert daily(values).label_ns.tolist() == [MIDNIGHT]
    assert daily(values, timezone="Asia/Tokyo").label_ns.tolist() == [MIDNIGHT]


def test_dates_are_no_stamps_of_intraday_bars():
    with pytest.raises(ContractError, match=r"must carry a time of day in bars of 1min, was '2024-01-02'\. Is the bar size 1d"):
        intraday(["2024-01-02"])


@pytest.mark.parametrize(
    ("values", "timezone"),
    [
        (["2024-01-02T00:00:00Z"], None),
        (["2024-01-02T00:00:00-05:00"], None),
        (["2024-01-02T05:00:00Z"], "America/New_York"),
        (["2024-01-02 00:00:00"], "America/New_York"),
        (["2024-01-01T15:00:00Z"], "Asia/Tokyo"),
        ([1704153600], None),
    ],
)
def test_daily_labels_are_the_date_at_whose_midnight_the_stamp_lies(values, timezone):
    assert daily(values, timezone=timezone).label_ns.tolist() == [MIDNIGHT]


def test_typed_daily_stamps_count_midnight_in_their_own_zone():
    stamps = pl.Series([dt.date(2024, 1, 2)]).cast(pl.Datetime).dt.replace_time_zone("America/New_York")
    assert read_labels(stamps, Reading(BarSize.D1), where="x").label_ns.tolist() == [MIDNIGHT]


def test_daily_stamps_at_another_hour_stay_what_they_are():
    """They are refused later, as no session label."""
    assert daily(["2024-01-02T21:00:00Z"]).label_ns.tolist() == [ns("2024-01-02T21:00:00+00:00")]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_typed_stamps_of_any_unit(unit):
    stamps = pl.Series([NAIVE + dt.timedelta(hours=5)], dtype=pl.Datetime(unit)).dt.replace_time_zone("UTC")
    assert read_labels(stamps, Reading(BarSize.M1), where="x").label_ns.tolist() == [HALF_PAST_TWO]


def test_missing_and_senseless_stamps_are_marked():
    found = intraday(["2024-01-02T14:30:00Z", None, "", "soon", "2024-13-02T14:30:00Z"])
    assert found.unreadable.tolist() == [False, True, True, True, True]
    assert np.array_equal(found.label_ns[1:], np.zeros(4))


@pytest.mark.parametrize("values", [["soon"], [None], [True], [None, None], ["01/31/2024 09:30"]])
def test_a_column_without_any_stamp_is_refused(values):
    with pytest.raises(ContractError, match=r"must be a date or a time such as .* stamp_format="):
        intraday(values)


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises((ConfigurationError, ContractError), match="stamp_format"):
        intraday(["2024"], timezone="UTC", stamp_format="%Q")


def test_numbers_that_are_all_missing_are_no_stamps():
    with pytest.raises(ContractError, match="must be a date or a time"):
        intraday([float("nan"), None])


def test_other_forms_can_be_declared():
    found = intraday(["01/02/2024 09:30"], timezone="America/New_York", stamp_format="%m/%d/%Y %H:%M")
    assert found.label_ns.tolist() == [HALF_PAST_TWO]
    assert intraday(["02.01.2024 14:30 +0000"], stamp_format="%d.%m.%Y %H:%M %z").label_ns.tolist() == [HALF_PAST_TWO]
    assert daily(["01/02/2024"], stamp_format="%m/%d/%Y").label_ns.tolist() == [MIDNIGHT]
