"""The rules of the inside bar, one by one: geometry, ranges, levels, windows, validity, trailing, and the bars they are fed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from fairlead.contracts.sessions import hours_of
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_MINUTE, to_datetime, to_ns
from fairlead.strategies.inside_bar import InsideBar
from fairlead.strategies.inside_bar.building import BarBuilder
from fairlead.strategies.inside_bar.rules import (
    DEFINITION_MODES,
    Leg,
    SignalBar,
    average_true_range,
    body_fraction,
    is_inside,
    levels_of,
    trailed_stop,
    true_range,
    validity_of,
)
from fairlead.strategies.inside_bar.windows import SessionWindows
from support_inside_bar import CALENDAR

RULES = InsideBar().rules
MOTHER = SignalBar(0, 100.30, 101.00, 100.20, 100.90)
INSIDE = SignalBar(300 * 10**9, 100.80, 100.90, 100.40, 100.50)
HL, BODY_HL, BODY_BODY, CLOSE = DEFINITION_MODES


def at(text):
    return to_ns(dt.datetime.fromisoformat(text))


def hours(text):
    return hours_of(CALENDAR)(at(text))


def local(ns, zone="America/New_York"):
    return to_datetime(ns).astimezone(ZoneInfo(zone)).strftime("%H:%M")


def prices(leg, rules=RULES):
    return tuple(str(rules.exact_price(level)) for level in leg)


def test_the_levels_of_the_rule():
    """The golden of domain rule 6.4."""
    long, short = levels_of(RULES, MOTHER, INSIDE)
    assert prices(long) == ("101.00", "100.60", "101.80")
    assert prices(short) == ("100.20", "100.60", "99.40")
    assert (long.sign, short.sign, long.risk, short.risk) == (1, -1, 40, 40)


@pytest.mark.parametrize(
    ("changes", "long", "short"),
    [
        ({"stop_distance_cap_ticks": 100}, ("101.00", "100.20", "102.60"), ("100.20", "101.00", "98.60")),
        ({"stop_distance_cap_ticks": 80}, ("101.00", "100.20", "102.60"), ("100.20", "101.00", "98.60")),
        ({"stop_distance_cap_ticks": 79}, ("101.00", "100.21", "102.58"), ("100.20", "100.99", "98.62")),
        ({"entry_level_mode": "inside_bar"}, ("100.90", "100.50", "101.70"), ("100.40", "100.80", "99.60")),
        ({"risk_reward_ratio": 1.0}, ("101.00", "100.60", "101.40"), ("100.20", "100.60", "99.80")),
        # 1.51 * 40 is 60.4 ticks: away from the entry.
        ({"risk_reward_ratio": 1.51}, ("101.00", "100.60", "101.61"), ("100.20", "100.60", "99.59")),
        ({"risk_reward_ratio": 1.1}, ("101.00", "100.60", "101.44"), ("100.20", "100.60", "99.76")),
        ({"tick_size": 0.05, "stop_distance_cap_ticks": 8}, ("101.00", "100.60", "101.80"), ("100.20", "100.60", "99.40")),
    ],
)
def test_levels_follow_the_parameters(changes, long, short):
    """The cap moves the stop, the ratio the target, and the mode the entry; the opposite end of the mother is the stop."""
    rules = replace(RULES, **changes)
    assert [prices(leg, rules) for leg in levels_of(rules, MOTHER, INSIDE)] == [long, short]


def test_levels_off_the_grid_are_rounded_away():
    """Entries away from the market, stops away from their entries; a hair beside a tick is the tick."""
    rules = replace(RULES, stop_distance_cap_ticks=1000)
    long, short = levels_of(rules, SignalBar(0, 100.3, 101.004, 100.196, 100.9), INSIDE)
    assert prices(long)[:2] == ("101.01", "100.19")
    assert prices(short)[:2] == ("100.19", "101.01")
    long, short = levels_of(rules, SignalBar(0, 100.3, 101.00 + 1e-13, 100.20 - 1e-13, 100.9), INSIDE)
    assert (prices(long)[:2], prices(short)[:2]) == (("101.00", "100.20"), ("100.20", "101.00"))
    assert rules.price(long.entry) == 101.0
    assert rules.exact_price(long.entry) == Decimal("101.00")


def test_without_risk_there_are_no_levels():
    """A flat mother, or a target at or below zero."""
    flat = SignalBar(0, 100.0, 100.0, 100.0, 100.0)
    assert levels_of(RULES, flat, flat) is None
    cheap = SignalBar(0, 0.31, 0.40, 0.30, 0.39)
    assert levels_of(replace(RULES, risk_reward_ratio=3.0), cheap, cheap) is None
    assert levels_of(replace(RULES, risk_reward_ratio=2.9), cheap, cheap) is not None


@pytest.mark.parametrize(
    ("mode", "inside", "inclusive", "strict"),
    [
        (HL, (100.5, 100.99, 100.21, 100.6), True, True),
        (HL, (100.5, 101.00, 100.21, 100.6), True, False),
        (HL, (100.5, 100.99, 100.20, 100.6), True, False),
        (HL, (100.5, 101.01, 100.21, 100.6), False, False),
        (HL, (100.5, 100.99, 100.19, 100.6), False, False),
        (BODY_HL, (100.5, 100.89, 100.31, 100.6), True, True),
        (BODY_HL, (100.5, 100.90, 100.31, 100.6), True, False),
        (BODY_HL, (100.5, 100.89, 100.30, 100.6), True, False),
        (BODY_HL, (100.5, 100.91, 100.31, 100.6), False, False),
        (BODY_HL, (100.5, 100.89, 100.29, 100.6), False, False),
        (BODY_BODY, (100.5, 200.0, 1.0, 100.6), True, True),
        (BODY_BODY, (100.9, 200.0, 1.0, 100.6), True, False),
        (BODY_BODY, (100.5, 200.0, 1.0, 100.3), True, False),
        (BODY_BODY, (100.91, 200.0, 1.0, 100.6), False, False),
        (BODY_BODY, (100.5, 200.0, 1.0, 100.29), False, False),
        (CLOSE, (100.5, 100.99, 1.0, 100.21), True, True),
        (CLOSE, (100.5, 101.00, 1.0, 100.6), True, False),
        (CLOSE, (100.5, 100.99, 1.0, 100.2), True, False),
        (CLOSE, (100.5, 101.01, 1.0, 100.6), False, False),
        (CLOSE, (100.5, 100.99, 1.0, 100.19), False, False),
    ],
)
def test_what_lies_inside(mode, inside, inclusive, strict):
    """Each definition at its bounds, and one tick to either side of them."""
    bar = SignalBar(0, *inside)
    assert is_inside(mode, MOTHER, bar, strict=False) is inclusive
    assert is_inside(mode, MOTHER, bar, strict=True) is strict
    falling = MOTHER._replace(open=MOTHER.close, close=MOTHER.open)
    assert is_inside(mode, falling, bar, strict=False) is inclusive, "the colour of the mother does not matter"


def test_ranges_and_bodies():
    """The way from the last close counts; a bar without a range has no body; the mean is a simple one."""
    assert true_range(MOTHER, 100.5) == pytest.approx(0.8)
    assert true_range(MOTHER, 99.0) == pytest.approx(2.0)
    assert true_range(MOTHER, 103.0) == pytest.approx(2.8)
    assert average_true_range([1.0, 2.0, 6.0]) == 3.0
    assert body_fraction(MOTHER) == pytest.approx(0.75)
    assert body_fraction(SignalBar(0, 1.0, 1.0, 1.0, 1.0)) == 0.0


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2024-03-08", [("14:30", "16:00"), ("19:00", "20:00")]),  # the Friday before the clocks change
        ("2024-03-11", [("13:30", "15:00"), ("18:00", "19:00")]),
        ("2024-11-01", [("13:30", "15:00"), ("18:00", "19:00")]),
        ("2024-11-04", [("14:30", "16:00"), ("19:00", "20:00")]),
        ("2024-11-29", [("14:30", "16:00")]),  # closes at 13:00: the afternoon has no window
    ],
)
def test_windows_follow_the_clocks_of_their_zone(day, expected):
    """09:30 in New York is another instant after the change; an early close leaves windows out."""
    found = SessionWindows("America/New_York", ("09:30-11:00", "14:00-15:00")).of(hours(f"{day}T15:00+00:00"))
    assert [(local(w.open_ns, "UTC"), local(w.close_ns, "UTC")) for w in found] == expected
    assert [w.ordinal for w in found] == list(range(len(expected)))


def test_windows_of_another_zone_are_cut_to_the_session():
    """Berlin and New York change their clocks on different days: for three weeks they are an hour closer."""
    berlin = SessionWindows("Europe/Berlin", ("15:00-16:00", "16:00-17:00"))
    assert [(local(w.open_ns), local(w.close_ns)) for w in berlin.of(hours("2024-03-08T15:00+00:00"))] == [
        ("09:30", "10:00"),
        ("10:00", "11:00"),
    ]
    assert [(local(w.open_ns), local(w.close_ns)) for w in berlin.of(hours("2024-03-15T15:00+00:00"))] == [
        ("10:00", "11:00"),
        ("11:00", "12:00"),
    ]
    early = SessionWindows("America/New_York", ("08:00-09:40", "12:30-15:00", "16:00-17:00"))
    assert [(local(w.open_ns), local(w.close_ns)) for w in early.of(hours("2024-11-29T15:00+00:00"))] == [
        ("09:30", "09:40"),
        ("12:30", "13:00"),
    ]


@pytest.mark.parametrize(
    "windows",
    [
        (),
        ("09:30",),
        ("11:00-09:30",),
        ("09:30-09:30",),
        ("09:30-11:00", "10:00-12:00"),
        ("9:30-11:00",),
        (930,),
        ("24:00-25:00",),
    ],
)
def test_windows_that_are_none_are_refused(windows):
    """With the form that they have to have."""
    with pytest.raises(ConfigurationError, match="'session_windows' must be windows such as '09:30-11:00'"):
        InsideBar(session_windows=windows)


def test_an_unknown_zone_is_refused():
    """By its name."""
    with pytest.raises(ConfigurationError, match="'session_timezone' must be an IANA time zone, was 'New York'"):
        InsideBar(session_timezone="New York")


@pytest.mark.parametrize(
    ("changes", "signal", "expected"),
    [
        ({}, "14:40", ("09:40", "11:00")),
        ({}, "15:55", ("10:55", "11:00")),
        ({}, "16:00", None),
        ({}, "17:00", None),
        ({}, "19:30", ("14:30", "15:00")),
        ({"valid_from_policy": "next_bar"}, "14:40", ("09:45", "11:00")),
        ({"valid_from_policy": "next_bar"}, "15:55", None),
        ({"order_validity_policy": "fixed_minutes"}, "14:40", ("09:40", "10:40")),
        ({"order_validity_policy": "fixed_minutes"}, "15:30", ("10:30", "11:00")),
        ({"order_validity_policy": "fixed_minutes", "order_validity_minutes": 10}, "15:30", ("10:30", "10:40")),
        ({"order_validity_policy": "one_bar"}, "14:40", ("09:40", "09:45")),
        ({"order_validity_policy": "one_bar", "valid_from_policy": "next_bar"}, "14:40", ("09:45", "09:50")),
    ],
)
def test_validity(changes, signal, expected):
    """From the signal or a bar later, to the end of the window or sooner; never outside of windows."""
    windows = SessionWindows(RULES.session_timezone, RULES.session_windows).of(hours("2024-02-01T15:00+00:00"))
    found = validity_of(replace(RULES, **changes), at(f"2024-02-01T{signal}+00:00"), windows)
    assert (found and (local(found[0]), local(found[1]))) == expected


@pytest.mark.parametrize(
    ("best", "moved"),
    [(101.55, None), (101.56, 10080), (101.8, 10080), (103.0, 10080)],
)
def test_a_long_stop_is_moved_after_seven_tenths(best, moved):
    """Entry 101.00, target 101.80: 101.56 is seven tenths of the way; half of a risk of 0.40 remains."""
    long, short = levels_of(RULES, MOTHER, INSIDE)
    assert trailed_stop(RULES, long, best) == moved
    mirrored = 201.2 - best  # around the middle of the two entries
    assert trailed_stop(RULES, short, mirrored) == (None if moved is None else 10040)


def test_a_stop_is_moved_closer_only():
    """All of the risk remaining is where it is already; an odd half is rounded away from the entry."""
    assert trailed_stop(replace(RULES, trailing_risk_remaining_frac=1.0), Leg(10100, 10060, 10180), 102.0) is None
    assert trailed_stop(RULES, Leg(10100, 10061, 10178), 102.0) == 10080
    assert trailed_stop(RULES, Leg(10100, 10139, 10022), 99.0) == 10120
    assert trailed_stop(replace(RULES, trailing_risk_remaining_frac=0.0), Leg(10100, 10060, 10180), 102.0) == 10100


def test_a_builder_gives_a_bar_when_its_last_minute_is_over():
    """Not before, and with the extremes of all of its minutes; a minute that is missing at the end is waited for no longer."""
    session, builder = hours("2024-02-01T15:00+00:00"), BarBuilder(5 * NS_PER_MINUTE)
    start = session.open_ns

    def add(minute, *prices):
        label = start + minute * NS_PER_MINUTE
        return builder.add(prices, label, label + NS_PER_MINUTE, session)

    assert [add(m, 10 + m, 11 + m, 9 + m, 10.5 + m) for m in range(4)] == [[]] * 4
    assert add(4, 14.0, 14.5, 8.0, 14.2) == [SignalBar(start, 10, 14.5, 8.0, 14.2)]
    assert builder.finish(start + 60 * NS_PER_MINUTE) is None, "nothing is begun"
    assert add(6, 1.0, 2.0, 1.0, 1.5) == []
    assert builder.finish(start + 10 * NS_PER_MINUTE - 1) is None
    assert builder.finish(start + 10 * NS_PER_MINUTE) == SignalBar(start + 5 * NS_PER_MINUTE, 1.0, 2.0, 1.0, 1.5)
    assert add(10, 1.0, 2.0, 1.0, 1.5) == []
    both = add(19, 3.0, 3.0, 3.0, 3.0)
    assert [bar.start_ns for bar in both] == [start + 10 * NS_PER_MINUTE, start + 15 * NS_PER_MINUTE]


def test_a_builder_refuses_bars_that_are_too_long():
    """A quarter of an hour has no five minutes in it."""
    session, builder = hours("2024-02-01T15:00+00:00"), BarBuilder(5 * NS_PER_MINUTE)
    with pytest.raises(ConfigurationError, match="'timeframe_minutes' must be at least the length of the bars"):
        builder.add((1.0, 1.0, 1.0, 1.0), session.open_ns, session.open_ns + 15 * NS_PER_MINUTE, session)
