"""What a market server is asked for once more: what was since an instant, as far as it still has it."""

from __future__ import annotations

import json

import pytest
from websockets.asyncio.client import connect

from fairlead.core.time import NS_PER_MINUTE
from fairlead.data.live import EventQueue, FaultSettings, FeedThread, NoticeKind
from support_feeds import (
    OPEN_NS,
    Gate,
    HandTime,
    everything,
    feed_of,
    market,
    minute_bar,
    morning,
    notices,
    run,
    server_of,
    until,
)
from support_recordings import ScriptFeed

EVENTS = morning(150)
BARS = [minute_bar(minute) for minute in range(60)]
NOW_NS = EVENTS[-1].known_ns


async def going_on(events, begun, body, **options):
    """A server that has published some of its events to nobody who listens any more, and a feed that is not connected."""
    gate, time = Gate(), HandTime(NOW_NS)
    async with server_of(events, speed=1.0, sleep=gate.sleep, elapsed=gate.elapsed, **options) as server:
        gate.let(begun - 1)
        async with connect(server.url, proxy=None) as first:
            await first.send(json.dumps({"type": "subscribe", "symbols": ["A"]}))
            await until(lambda: server.published == begun)
            first.transport.abort()  # it has read nothing, and so does not hear a goodbye
        feed = feed_of(server, time)
        return await body(feed, gate, server)


@pytest.mark.parametrize("since_ns", [0, EVENTS[7].known_ns, EVENTS[100].known_ns, EVENTS[150].known_ns, EVENTS[1450].known_ns])
@pytest.mark.parametrize("symbols", [["A"], ["A", "B"]])
def test_what_happened_before_a_client_came_is_brought_first(since_ns, symbols):
    """Also if the line is bad, and more is missing than one answer holds."""

    async def body(feed, gate, server):
        gate.let(len(EVENTS))
        received = await everything(feed, symbols, since_ns)
        assert market(received) == [e for e in EVENTS if e.symbol in symbols and e.known_ns > since_ns]
        assert NoticeKind.GAP not in notices(received)
        assert feed.state.lost == 0

    faults = FaultSettings(gap_rate=0.05, duplicate_rate=0.05, drop_every=400, seed=1)
    run(going_on(EVENTS, 1400, body, faults=faults))


def test_without_an_instant_a_client_hears_what_happens_from_now_on():
    async def body(feed, gate, server):
        await feed.connect()
        await feed.subscribe(["A"])
        await until(lambda: any(client.symbols for client in server._clients))
        gate.let(100)
        assert market([one async for one in feed]) == BARS[20:]
        await feed.close()

    run(going_on(BARS, 20, body))


def test_what_the_server_does_not_have_any_more_is_told_and_the_rest_comes():
    async def body(feed, gate, server):
        await feed.connect()
        await feed.subscribe(["A"], BARS[4].known_ns)
        stream = aiter(feed)
        found = [await anext(stream) for _ in range(2 + 10)]
        assert notices(found) == [NoticeKind.CONNECTED, NoticeKind.GAP]
        assert "15 events are lost, numbers 5 to 19: events 20 to 29 can be had" in found[1].event.text
        assert market(found) == BARS[20:30]
        gate.let(100)
        assert market([received async for received in stream]) == BARS[30:]
        assert feed.state.lost == 15
        await feed.close()

    run(going_on(BARS, 30, body, history=10))


def test_a_line_that_breaks_before_the_answer_is_asked_again():
    async def body(feed, gate, server):
        await feed.connect()
        feed._socket.transport.abort()
        await feed.subscribe(["A"], BARS[9].known_ns)
        gate.let(100)
        received = [one async for one in feed]
        assert market(received) == BARS[10:]
        assert notices(received) == [
            NoticeKind.CONNECTED,
            NoticeKind.DISCONNECTED,
            NoticeKind.CONNECTED,
            NoticeKind.ENDED,
        ]
        await feed.close()

    run(going_on(BARS, 30, body))


def test_a_server_says_which_was_the_first():
    async def body(feed, gate, server):
        async with connect(server.url, proxy=None) as client:
            await client.recv()
            for since, first in (("14:30:59.999999", 0), ("14:31:00", 1), ("14:45:30", 15), ("23:00:00", 30)):
                asked = {"type": "subscribe", "symbols": ["A"], "since": f"2024-01-02T{since}Z"}
                await client.send(json.dumps(asked))
                while (answer := json.loads(await client.recv()))["type"] != "subscribed":
                    pass
                assert (answer["first_number"], answer["next_number"]) == (first, 30)
            await client.send(json.dumps({"type": "subscribe", "symbols": ["A"], "since": "2024-01-02T14:31:00"}))
            while (answer := json.loads(await client.recv()))["type"] != "error":
                pass
            assert answer["code"] == "bad_message"

    run(going_on(BARS, 30, body))


@pytest.mark.parametrize("since_ns", [None, OPEN_NS + 3 * NS_PER_MINUTE])
def test_a_thread_asks_its_feeds(since_ns):
    feed, queue = ScriptFeed([]), EventQueue()
    thread = FeedThread([(feed, ["A"])], queue, since_ns)
    thread.start()
    assert queue.take(timeout=10) is None
    thread.stop()
    assert feed.asked == [since_ns]


def test_a_feed_that_knows_no_such_thing_works_as_long_as_nobody_asks():
    class Plain(ScriptFeed):
        async def subscribe(self, symbols):
            self.asked.append(tuple(symbols))

    for since_ns, error in ((None, None), (5, TypeError)):
        feed, queue = Plain([]), EventQueue()
        thread = FeedThread([(feed, ["A"])], queue, since_ns)
        thread.start()
        assert queue.take(timeout=10) is None
        thread.stop()
        assert feed.asked == ([] if error else [("A",)])
        assert (thread.error is None) if error is None else isinstance(thread.error, error)
