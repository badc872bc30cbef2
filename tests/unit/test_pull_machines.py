"""The pure parts of a pull: pace, circuit breaker, coverage and plan."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError, DataError, DataNotFound
from fairlead.core.time import BarSize, date_to_day, day_to_date, to_ns
from fairlead.data.coverage import COVERAGE_FILE, Coverage, add_days, missing_days
from fairlead.data.vendors.breaker import HISTORY_BREAKER, LIVE_BREAKER, BreakerState, CircuitBreaker
from fairlead.data.vendors.pace import Pace, PaceLimit, PaceScope
from fairlead.data.vendors.planning import AskFor, covered, plan_tasks, pull_range, settled_through
from support_pulls import XNYS

DAYS = st.integers(0, 60)
RANGES = st.lists(st.tuples(DAYS, DAYS).map(lambda pair: (min(pair), max(pair))), max_size=8)


@given(
    limits=st.lists(st.tuples(st.integers(1, 5), st.floats(0.5, 20)), min_size=1, max_size=3), gaps=st.lists(st.floats(0, 3))
)
def test_no_stretch_of_a_limit_has_more_requests_than_it_allows(limits: list[tuple[int, float]], gaps: list[float]) -> None:
    pace = Pace(tuple(PaceLimit(count, seconds) for count, seconds in limits))
    now, sent = 0.0, []
    for gap in gaps:
        now += gap
        while (wait := pace.wait_s(now, "A", len(sent))) > 0:
            now += wait
        pace.note(now, "A", len(sent))
        sent.append(now)
    for count, seconds in limits:
        for i in range(count, len(sent)):
            assert sent[i] - sent[i - count] >= seconds - 1e-6


def test_limits_count_by_symbol_and_by_request() -> None:
    pace = Pace((PaceLimit(1, 15, PaceScope.REQUEST), PaceLimit(2, 2, PaceScope.SYMBOL), PaceLimit(60, 600)))
    pace.note(0.0, "A", "x")
    assert pace.wait_s(1.0, "A", "x") == 14.0
    assert pace.wait_s(1.0, "A", "y") == 0.0
    pace.note(1.0, "A", "y", weight=2)
    assert pace.wait_s(1.5, "A", "z") == 1.5
    assert pace.wait_s(1.5, "B", "x") == 0.0
    with pytest.raises(ConfigurationError, match="allow 1 request or more"):
        PaceLimit(0, 1.0)


@pytest.mark.parametrize(("settings", "open_s"), [(HISTORY_BREAKER, 300.0), (LIVE_BREAKER, 30.0)])
def test_a_breaker_opens_after_five_failures_and_is_tried_once(settings: object, open_s: float) -> None:
    breaker = CircuitBreaker(settings)  # type: ignore[arg-type]
    for second in range(5):
        assert breaker.admit(second)
        breaker.fail(second)
    assert breaker.state(4.0) is BreakerState.OPEN
    assert not breaker.admit(4.0 + open_s - 0.001)
    assert breaker.wait_s(4.0) == open_s
    assert breaker.state(4.0 + open_s) is BreakerState.HALF_OPEN
    assert breaker.admit(4.0 + open_s)
    assert not breaker.admit(4.0 + open_s)  # one at a time
    breaker.fail(5.0 + open_s)
    assert breaker.state(5.0 + open_s) is BreakerState.OPEN
    assert breaker.admit(5.0 + 2 * open_s)
    breaker.succeed()
    assert breaker.is_closed
    assert breaker.failures == 0


def test_failures_that_are_not_in_a_row_open_nothing() -> None:
    breaker = CircuitBreaker(HISTORY_BREAKER)
    for second in range(40):
        breaker.fail(second)
        if second % 4 == 3:
            breaker.succeed()
    assert breaker.state(40.0) is BreakerState.CLOSED


@given(RANGES, st.tuples(DAYS, DAYS).map(lambda pair: (min(pair), max(pair))))
def test_what_is_missing_is_what_was_not_added(ranges: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    stretches: tuple[tuple[int, int], ...] = ()
    for first, last in ranges:
        stretches = add_days(stretches, first, last)
    assert all(low[1] + 1 < high[0] for low, high in itertools.pairwise(stretches))
    there = {day for first, last in ranges for day in range(first, last + 1)}
    missing = {day for first, last in missing_days(stretches, *asked) for day in range(first, last + 1)}
    assert missing == set(range(asked[0], asked[1] + 1)) - there


def test_coverage_comes_back_from_its_file(tmp_path: Path) -> None:
    assert Coverage.read(tmp_path) is None
    known = Coverage("stored", {"AAA": ((19_000, 19_010), (19_020, 19_030))}, {"BBB": ((1, 2),)})
    from fairlead.contracts.files import write_json

    write_json(tmp_path / COVERAGE_FILE, known.to_json())
    assert Coverage.read(tmp_path) == known
    (tmp_path / COVERAGE_FILE).write_text('{"schema_version": 1')
    with pytest.raises(DataError, match=r"cannot read .*pulled\.json.*Remove it"):
        Coverage.read(tmp_path)


def test_pages_have_so_many_sessions_and_touch_each_other() -> None:
    days = date_to_day(dt.date(2024, 1, 1)), date_to_day(dt.date(2024, 2, 29))
    tasks = plan_tasks(["AAA"], XNYS, BarSize.M1, days, Coverage("x"), sessions_per_page=10, has_actions=True)
    assert [task.kind for task in tasks] == [AskFor.ACTIONS, *[AskFor.BARS] * 5]
    pages = [(date_to_day(task.request.first), date_to_day(task.request.last)) for task in tasks[1:]]
    assert pages[0][0] == days[0]
    assert pages[-1][1] == days[1]
    assert all(first == before + 1 for (_, before), (first, _) in itertools.pairwise(pages))
    assert [len(XNYS.sessions(*page)) for page in pages] == [10, 10, 10, 10, 1]


def test_a_day_after_its_close_a_session_is_settled() -> None:
    close = to_ns(dt.datetime(2024, 1, 5, 21, tzinfo=dt.UTC))
    last = date_to_day(dt.date(2024, 1, 5))
    day = 24 * 3_600 * 1_000_000_000
    assert settled_through(XNYS, last, close + day) == last
    assert day_to_date(settled_through(XNYS, last, close + day - 1)) == dt.date(2024, 1, 4)
    task = plan_tasks(["A"], XNYS, BarSize.D1, (last - 1, last), Coverage("x"), sessions_per_page=9, has_actions=False)[0]
    assert covered(task, last - 1, "x").bars == {"A": ((last - 1, last - 1),)}
    assert covered(task, last - 2, "x").bars == {}


def test_the_range_ends_with_the_newest_bar() -> None:
    start = dt.date(2024, 1, 2)
    morning = to_ns(dt.datetime(2024, 1, 5, 15, tzinfo=dt.UTC))
    assert day_to_date(pull_range(XNYS, BarSize.M1, start, None, morning)[1]) == dt.date(2024, 1, 5)
    assert day_to_date(pull_range(XNYS, BarSize.D1, start, None, morning)[1]) == dt.date(2024, 1, 4)
    assert day_to_date(pull_range(XNYS, BarSize.D1, start, dt.date(2030, 1, 1), morning)[1]) == dt.date(2024, 1, 4)
    with pytest.raises(ConfigurationError, match="not be before --start"):
        pull_range(XNYS, BarSize.D1, start, dt.date(2023, 1, 1), morning)
    with pytest.raises(DataNotFound, match="no session with bars of 1d from 2024-01-06 to 2024-01-07"):
        pull_range(XNYS, BarSize.D1, dt.date(2024, 1, 6), dt.date(2024, 1, 7), morning + 10**16)
