"""Time: conversions, text, sessions as days, bar sizes."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.core.time import (
    NS_PER_DAY,
    NS_PER_MINUTE,
    BarSize,
    date_to_day,
    day_to_date,
    format_utc,
    to_datetime,
    to_ns,
)


def test_epoch_is_zero_and_one_second_is_a_billion():
    assert to_ns(dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) == 0
    assert to_ns(dt.datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=dt.UTC)) == 1_000_005_000


def test_another_zone_is_converted_not_relabelled():
    """09:30 in New York is 14:30 UTC in winter and 13:30 in summer."""
    new_york = ZoneInfo("America/New_York")
    assert format_utc(to_ns(dt.datetime(2024, 1, 2, 9, 30, tzinfo=new_york))) == "2024-01-02T14:30:00.000000Z"
    assert format_utc(to_ns(dt.datetime(2024, 7, 2, 9, 30, tzinfo=new_york))) == "2024-07-02T13:30:00.000000Z"


def test_a_naive_stamp_is_refused():
    with pytest.raises(ContractError, match=r"'timestamp' must carry a time zone, was '2024-01-02T00:00:00'.*tz_localize"):
        to_ns(dt.datetime(2024, 1, 2))  # noqa: DTZ001  the point of the test


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_a_datetime_survives_the_round_trip(instant):
    assert to_datetime(to_ns(instant)) == instant


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_nanoseconds_are_truncated_to_the_microsecond_below(ns):
    assert 0 <= ns - to_ns(to_datetime(ns)) < 1_000


@given(st.dates())
def test_a_date_survives_the_round_trip(date):
    assert day_to_date(date_to_day(date)) == date


def test_days_count_from_the_epoch():
    assert date_to_day(dt.date(1970, 1, 2)) == 1
    assert date_to_day(dt.date(2000, 1, 1)) == 10_957


@pytest.mark.parametrize("size", list(BarSize))
def test_every_bar_size_is_parsed_from_value_and_name(size):
    assert BarSize.parse(f" {size.value.upper()} ") is size
    assert BarSize.parse(size.name) is size


@pytest.mark.parametrize(
    ("text", "size"),
    [("daily", "1d"), ("Day", "1d"), ("1m", "1min"), ("5m", "5min"), ("15m", "15min"), ("30m", "30min"), ("60min", "1h")],
)
def test_common_aliases_are_parsed(text, size):
    assert BarSize.parse(text) is BarSize(size)


def test_an_unknown_bar_size_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'bar_size' must be one of 1min, 5min, .*1d, was 'weekly'"):
        BarSize.parse("weekly")


def test_lengths_of_bars():
    minutes = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "1h": 60, "4h": 240}
    assert {s.value: s.ns // NS_PER_MINUTE for s in BarSize if s.is_intraday} == minutes
    assert BarSize.D1.ns == NS_PER_DAY
