"""Every live feed gives what was subscribed to, once, in order, stamped by the injected clock, and says how it stands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import pytest

from fairlead.core.errors import DataError, UnknownName
from fairlead.core.time import BarSize
from fairlead.data.live import FeedNotice, LiveFeed, NoticeKind, RecordedSession, ReplayFeed, SessionRecorder
from support_alpaca_feed import alpaca_feed
from support_feeds import HandTime, everything, feed_of, market, morning, notices, run, server_of

EVENTS = morning()
NOW_NS = EVENTS[-1].known_ns + 1_000


class Opened(Protocol):
    """Opens a feed of `EVENTS` as a context."""

    def __call__(self, time: HandTime, folder: Any) -> contextlib.AbstractAsyncContextManager[LiveFeed]: ...


@contextlib.asynccontextmanager
async def replayed(time: HandTime, folder: Any) -> AsyncIterator[LiveFeed]:
    yield ReplayFeed(lambda: EVENTS, ("A", "B"), now_ns=time.now_ns)


@contextlib.asynccontextmanager
async def jittered(time: HandTime, folder: Any) -> AsyncIterator[LiveFeed]:
    yield ReplayFeed(lambda: EVENTS, ("A", "B"), jitter_s=30.0, now_ns=time.now_ns)


@contextlib.asynccontextmanager
async def recorded(time: HandTime, folder: Any) -> AsyncIterator[LiveFeed]:
    with SessionRecorder(folder / "session", bar_size=BarSize.M1, calendar="XNYS", chunk=50) as recorder:
        async for received in _started(ReplayFeed(lambda: EVENTS, ("A", "B"))):
            recorder.append(received)
    session = RecordedSession(folder / "session")
    yield ReplayFeed(session.events, session.symbols, now_ns=time.now_ns)


@contextlib.asynccontextmanager
async def over_a_socket(time: HandTime, folder: Any) -> AsyncIterator[LiveFeed]:
    async with server_of(EVENTS) as server:
        yield feed_of(server, time)


@contextlib.asynccontextmanager
async def over_a_bad_line(time: HandTime, folder: Any) -> AsyncIterator[LiveFeed]:
    faults = {"gap_rate": 0.1, "duplicate_rate": 0.1, "reorder_rate": 0.1, "malformed_rate": 0.05, "drop_every": 60}
    from fairlead.data.live import FaultSettings

    async with server_of(EVENTS, faults=FaultSettings(**faults)) as server:
        yield feed_of(server, time)


@contextlib.asynccontextmanager
async def from_alpaca(time: HandTime, folder: Any) -> AsyncIterator[LiveFeed]:
    async with alpaca_feed(EVENTS, time) as feed:
        yield feed


@contextlib.asynccontextmanager
async def from_alpaca_on_a_bad_line(time: HandTime, folder: Any) -> AsyncIterator[LiveFeed]:
    async with alpaca_feed(EVENTS, time, faults={"duplicate_rate": 0.1, "malformed_rate": 0.0, "drop_every": 60}) as feed:
        yield feed


async def _started(feed: LiveFeed) -> AsyncIterator[Any]:
    await feed.connect()
    await feed.subscribe(("A", "B"))
    async for received in feed:
        yield received


FEEDS: dict[str, Opened] = {
    "replay": replayed,
    "jittered replay": jittered,
    "recorded session": recorded,
    "websocket": over_a_socket,
    "websocket with faults": over_a_bad_line,
    "alpaca": from_alpaca,
    "alpaca with faults": from_alpaca_on_a_bad_line,
}


@pytest.fixture(params=FEEDS)
def use(request, tmp_path) -> Callable[..., Any]:
    """Run an async test body with each feed."""

    def with_feed(body):
        async def opened():
            time = HandTime(NOW_NS)
            async with FEEDS[request.param](time, tmp_path) as feed:
                try:
                    return await body(feed)
                finally:
                    await feed.close()

        return run(opened())

    return with_feed


def test_events_come_once_and_in_order(use):
    async def body(feed):
        received = await everything(feed, ["B", "A", "B"])
        assert market(received) == EVENTS
        assert {one.received_ns for one in received if not isinstance(one.event, FeedNotice)} == {NOW_NS}
        told = notices(received)
        assert told[0] is NoticeKind.CONNECTED
        assert told[-1] is NoticeKind.ENDED
        assert NoticeKind.GAP not in told
        assert received[-1].event.kind is NoticeKind.ENDED
        assert feed.state.lost == 0

    use(body)


def test_only_what_was_subscribed_to_comes(use):
    async def body(feed):
        assert market(await everything(feed, ["B"])) == [event for event in EVENTS if event.symbol == "B"]
        assert set(feed.state.last_by_symbol) == {"B"}

    use(body)


@pytest.mark.parametrize("since_ns", [EVENTS[30].known_ns, EVENTS[30].known_ns - 1, EVENTS[-1].known_ns, 0])
def test_what_was_since_an_instant_comes_and_nothing_before_it(use, since_ns):
    async def body(feed):
        found = market(await everything(feed, ["A", "B"], since_ns))
        assert found == [event for event in EVENTS if event.known_ns > since_ns]

    use(body)


def test_state_follows_the_events(use):
    async def body(feed):
        before = feed.state
        assert not before.connected
        assert (before.last_event_ns, before.last_received_ns, before.events) == (None, None, 0)
        await feed.connect()
        assert feed.state.connected
        await feed.subscribe(["A", "B"])
        await feed.subscribe(["A"])  # instead of the former
        seen = [received.event async for received in feed if not isinstance(received.event, FeedNotice)]
        after = feed.state
        assert seen == [event for event in EVENTS if event.symbol == "A"]
        assert after.events == len(seen)
        assert after.last_event_ns == after.last_by_symbol["A"] == seen[-1].known_ns
        assert after.last_received_ns == NOW_NS
        assert not after.connected
        assert not after.stale

    use(body)


def test_unknown_symbols_are_refused_by_name(use):
    async def body(feed):
        await feed.connect()
        with pytest.raises(UnknownName, match=r"no symbol .* named 'AX'.* Known: A, B\."):
            await feed.subscribe(["A", "AX"])

    use(body)


def test_subscribing_needs_a_connection(use):
    async def body(feed):
        with pytest.raises(DataError, match="not connected"):
            await feed.subscribe(["A"])

    use(body)


def test_closing_ends_the_events_and_can_be_repeated(use):
    async def body(feed):
        await feed.connect()
        await feed.subscribe(["A", "B"])
        seen = 0
        async for received in feed:
            seen += not isinstance(received.event, FeedNotice)
            if seen == 5:
                await feed.close()
        assert seen == 5
        await feed.close()
        assert not feed.state.connected
        assert [one async for one in feed] == []

    use(body)


def test_a_consumer_that_is_slow_misses_nothing(use):
    async def body(feed):
        await feed.connect()
        await feed.subscribe(["A", "B"])
        seen = []
        async for received in feed:
            await asyncio.sleep(0)
            seen.append(received)
        assert market(seen) == EVENTS

    use(body)
