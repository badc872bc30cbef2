"""What a session says of the market's hours, over a night, a weekend and an early close."""

from __future__ import annotations

import datetime as dt

from fairlead.control.hours import MarketHours
from fairlead.core.time import to_ns
from fairlead.data.calendars import ExchangeCalendar


class Watch:
    """Hours by a clock that a test sets."""

    def __init__(self, at: str, calendar: str = "XNYS") -> None:
        self.set(at)
        self.hours = MarketHours(ExchangeCalendar.get(calendar), lambda: self.now_ns)

    def set(self, at: str) -> Watch:
        self.now_ns = to_ns(dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC))
        return self


def test_a_day_a_night_and_a_weekend():
    watch = Watch("2024-07-03T13:29:59")
    assert watch.hours.text == "closed until 2024-07-03T13:30:00.000000Z"
    assert watch.hours.change() is None
    assert watch.set("2024-07-03T13:30:00").hours.change() == "market_opened"
    assert watch.hours.text == "open until 2024-07-03T17:00:00.000000Z"  # closes early
    assert watch.hours.change() is None
    assert watch.set("2024-07-03T17:00:00").hours.change() == "market_closed"
    assert watch.hours.text == "closed until 2024-07-05T13:30:00.000000Z"  # the fourth of July
    assert watch.set("2024-07-05T21:00:00").hours.text == "closed until 2024-07-08T13:30:00.000000Z"


def test_the_first_look_tells_nothing():
    watch = Watch("2024-07-03T14:00:00")
    assert watch.hours.change() is None
    assert watch.hours.text.startswith("open until")


def test_one_that_never_closes():
    assert Watch("2024-07-06T03:00:00", "24/7").hours.text.startswith("open")
