"""The door to the sessions of an exchange: around any instant, with breaks, and alike in a run and in a test."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from fairlead.contracts.sessions import SessionHours, hours_of
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.core.time import BarSize, date_to_day, to_datetime, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.closing import session_hours
from fairlead.sdk import Strategy, StrategyHarness
from fairlead.sdk.context import Context
from support_sessions import Scripted, days, run, steady

HONG_KONG = ExchangeCalendar.get("XHKG")


def ns(text):
    return to_ns(dt.datetime.fromisoformat(f"{text}+00:00"))


@pytest.mark.parametrize(
    ("instant", "opens", "closes"),
    [
        ("2024-03-08T14:30", "14:30", "21:00"),
        ("2024-03-08T20:59:59.999999", "14:30", "21:00"),
        ("2024-03-11T13:30", "13:30", "20:00"),
        ("2024-11-29T14:30", "14:30", "18:00"),
    ],
)
def test_a_session_holds_its_open_and_not_its_close(instant, opens, closes):
    """Whatever the clocks do, and on the day after Thanksgiving."""
    hours = hours_of(ExchangeCalendar.get("XNYS"))
    found = hours(ns(instant))
    assert [to_datetime(edge).strftime("%H:%M") for edge in (found.open_ns, found.close_ns)] == [opens, closes]
    assert (found.segment_open_ns, found.segment_close_ns) == (found.open_ns, found.close_ns)
    assert found.session == date_to_day(dt.date.fromisoformat(instant[:10]))
    assert hours(found.close_ns) is None
    assert hours(found.open_ns - 1) is None
    assert hours(ns(instant)) == found


def test_a_break_is_no_part_of_a_session():
    """Two parts of one session in Hong Kong."""
    hours = hours_of(HONG_KONG)
    morning, afternoon = hours(ns("2024-02-01T02:00")), hours(ns("2024-02-01T06:00"))
    assert morning[:3] == afternoon[:3]
    assert hours(ns("2024-02-01T04:30")) is None
    assert morning.segment_close_ns < afternoon.segment_open_ns
    assert (morning.segment_open_ns, afternoon.segment_close_ns) == (morning.open_ns, afternoon.close_ns)


def test_hours_agree_with_the_calendar_at_every_minute():
    """Four days of both exchanges."""
    for calendar in (HONG_KONG, ExchangeCalendar.get("XNYS")):
        hours = hours_of(calendar)
        minutes = ns("2024-02-01T00:00") + np.arange(4 * 1440, dtype=np.int64) * 60_000_000_000

        located = calendar.locate(minutes, BarSize.M1)
        for k, instant in enumerate(minutes.tolist()):
            found = hours(instant)
            assert (found is not None) == located.inside[k]
            if found is not None:
                expected = (located.session[k], located.open_ns[k], located.close_ns[k])
                assert (found.session, found.segment_open_ns, found.segment_close_ns) == expected


def test_a_run_and_a_harness_tell_the_same():
    """By the calendar of the data; the close of today is known at its open."""
    told = []

    class Asks(Strategy):
        def generate_orders(self, context):
            told.append(context.session_at(context.current_time - dt.timedelta(minutes=1)))
            return []

    run(days({"A": steady(1)}), Asks())
    harness = StrategyHarness(Asks(), symbols=("A",))
    harness.start()
    harness.bar("A", 100)
    assert told[0] == told[1] == SessionHours(19724, *[ns("2024-01-02T14:30"), ns("2024-01-02T21:00")] * 2)
    tokyo = StrategyHarness(Asks(), symbols=("A",), calendar="XTKS")
    assert tokyo.context.session_at(ns("2024-01-04T01:00")).open_ns == ns("2024-01-04T00:00")
    assert session_hours("XNYS")(ns("2024-01-02T14:30")) == told[0]


def test_what_a_context_cannot_tell_it_says():
    """A naive instant, and a context that was given no calendar."""
    harness = StrategyHarness(Scripted({}), symbols=("A",))
    with pytest.raises(ContractError, match="carry a time zone"):
        harness.context.session_at(dt.datetime(2024, 1, 2, 15))  # noqa: DTZ001  that is the mistake
    bare = Context(
        portfolio=harness.portfolio,
        historical_data=harness.context.historical_data,
        now_ns=lambda: 0,
        symbols=("A",),
        risk_limits=harness.context.risk_limits,
        random=harness.context.random,
        open_orders=lambda: (),
        features=harness.context.features,
    )
    with pytest.raises(ConfigurationError, match="knows no exchange calendar"):
        bare.session_at(0)
