"""Clocks and stage timers: what they wait, what they count, what they cost."""

from __future__ import annotations

import pytest

from fairlead.core.bars import Cursor, prelude
from fairlead.core.time import to_datetime
from fairlead.engine.clock import ClockSettings, HistoricalClock
from fairlead.telemetry.timers import StageTimers
from support_sessions import minutes, steady


def paced(speed, hours="market", per_session=3, n=6):
    """Return the seconds slept for six one-minute bars in two sessions."""
    block = next(iter(minutes({"A": steady(n)}, per_session=per_session).blocks(carry=1)))
    slept = []
    cursor = Cursor(prelude(block))
    clock = HistoricalClock(cursor, ClockSettings(speed=speed, hours=hours), slept.append)
    rows = list(clock.rows(block))
    assert rows == list(range(n))
    return slept


OVERNIGHT = 24 * 3_600 - 2 * 60


@pytest.mark.parametrize(
    ("speed", "hours", "slept"),
    [
        ("max", "market", []),
        ("max", "24/7", []),
        ("1x", "market", [60, 60, 60, 60]),
        ("10x", "market", [6, 6, 6, 6]),
        (0.5, "market", [120, 120, 120, 120]),
        ("1x", "24/7", [60, 60, OVERNIGHT, 60, 60]),
        ("10x", "24/7", [6, 6, OVERNIGHT / 10, 6, 6]),
    ],
)
def test_the_clock_waits_as_long_as_its_speed_says(speed, hours, slept):
    assert paced(speed, hours) == slept


def test_the_clock_remembers_the_last_instant_across_blocks():
    first, second = minutes({"A": steady(4)}, rows=2).blocks(carry=1)
    slept = []
    clock = HistoricalClock(Cursor(first), ClockSettings(speed="60x"), slept.append)
    assert [*clock.rows(first), *clock.rows(second)] == [0, 1, 1, 2]
    assert slept == [1, 1, 1]


def test_the_clock_reads_the_cursor_and_is_done_when_told():
    block = next(iter(minutes({"A": steady(4)}).blocks(carry=1)))
    cursor = Cursor(block, 2)
    clock = HistoricalClock(cursor, ClockSettings())
    assert (clock.current_ns, clock.current_time) == (block.known_ns[2], to_datetime(block.known_ns[2]))
    assert not clock.is_done
    clock.finish()
    assert clock.is_done


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"speed": -1}, "must be 'max' or a multiple of real time"),
        ({"speed": "fast"}, "speed"),
        ({"speed": 2e6}, "must be 'max' or a multiple of real time"),
        ({"start_date": "2024-02-01", "end_date": "2024-01-01"}, "2024-02-01"),
        ({"hours": "office"}, "hours"),
    ],
)
def test_a_clock_that_cannot_be(settings, text):
    with pytest.raises(ValueError, match=text):
        ClockSettings(**settings)


def test_timers_cost_nothing_when_off():
    timers = StageTimers(enabled=False)
    assert timers.wrap("x", len) is len
    assert timers.seconds == {}


def test_timers_add_up_also_when_the_stage_raises():
    ticks = iter(range(0, 10_000_000_000, 500_000_000))
    timers = StageTimers(enabled=True, tick=lambda: next(ticks))
    timed = timers.wrap("x", int)
    again = timers.wrap("x", int)
    assert (timed("3"), again("4")) == (3, 4)
    with pytest.raises(ValueError, match="invalid literal"):
        timed("five")
    assert timers.seconds == {"x": 1.5}
