"""No more leaves than a broker allows, whoever asks and when; what is urgent does not wait behind what is not."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError, PacingViolation
from fairlead.execution.brokers.pacing import Pacer, TokenBucket
from support_virtual import VirtualTime

ARRIVALS = st.lists(st.tuples(st.floats(0.0, 0.5), st.booleans()), min_size=1, max_size=150)


@given(ARRIVALS, st.integers(2, 60), st.sampled_from([60.0, 180.0, 3_000.0]))
def test_no_window_sees_more_than_the_bucket_and_its_refill(arrivals, burst, calls_per_minute):
    time, let_through = VirtualTime(), []

    async def ask(pacer, is_urgent):
        try:
            await pacer.take(is_urgent=is_urgent, patience_s=1_000.0)
        except PacingViolation:
            return
        let_through.append(time.monotonic())

    async def everybody():
        pacer = Pacer(calls_per_minute, burst, time.monotonic, asyncio.sleep)
        asking = []
        for wait, is_urgent in arrivals:
            await asyncio.sleep(wait)
            asking.append(asyncio.ensure_future(ask(pacer, is_urgent)))
        await asyncio.gather(*asking)

    time.run(everybody())
    rate = calls_per_minute / 60
    for first, began in enumerate(let_through):
        for last in range(first, len(let_through)):
            assert last - first + 1 <= burst + rate * (let_through[last] - began) + 1e-3


def test_fifty_at_once_and_fifty_a_second_with_ten_kept():
    time = VirtualTime()

    async def everybody():
        pacer = Pacer(3_000, 50, time.monotonic, asyncio.sleep)
        began = time.monotonic()
        for _ in range(40):
            await pacer.take()
        assert time.monotonic() - began < 0.01
        for _ in range(10):
            await pacer.take(is_urgent=True)
        assert time.monotonic() - began < 0.01
        await pacer.take(is_urgent=True)
        assert time.monotonic() - began == pytest.approx(0.02, abs=2e-3)

    time.run(everybody())


def test_who_would_wait_too_long_is_refused_and_nothing_is_taken():
    time, alerts = VirtualTime(), []

    async def everybody():
        pacer = Pacer(60, 5, time.monotonic, asyncio.sleep, alerts.append)
        for _ in range(4):
            await pacer.take()
        asking = [asyncio.ensure_future(pacer.take()) for _ in range(8)]
        done = await asyncio.gather(*asking, return_exceptions=True)
        refused = [one for one in done if one is not None]
        assert [type(one) for one in done[:5]] == [type(None)] * 5
        assert all(isinstance(one, PacingViolation) and "pacing_timeout" in str(one) for one in refused)
        assert len(refused) == 3
        assert alerts

    time.run(everybody())


def test_a_broker_that_has_had_too_much_is_left_alone():
    time = VirtualTime()

    async def everybody():
        pacer = Pacer(3_000, 50, time.monotonic, asyncio.sleep)
        pacer.hold(5.0)
        began = time.monotonic()
        await pacer.take(is_urgent=True, patience_s=60.0)
        assert time.monotonic() - began >= 5.0

    time.run(everybody())


@pytest.mark.parametrize(("capacity", "rate", "reserved"), [(0, 1, 0), (5, 0, 0), (5, 1, 5), (5, 1, -1)])
def test_a_bucket_that_cannot_be_is_refused(capacity, rate, reserved):
    with pytest.raises(ConfigurationError):
        TokenBucket(capacity, rate, reserved, 0.0)
