"""What a real server on this machine does wrong, the feed survives: nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue as queue_module
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from fairlead.core.errors import DataError
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND, BarSize
from fairlead.data.live import (
    EventQueue,
    FaultSettings,
    FeedNotice,
    FeedThread,
    NoticeKind,
    Received,
    ReconnectSettings,
    WebSocketFeed,
    WebSocketSettings,
)
from fairlead.data.live.faults import Fault
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
    quote,
    run,
    server_of,
    until,
)

EVENTS = morning(10)
NOW_NS = EVENTS[-1].known_ns
BARS = [minute_bar(minute) for minute in range(30)]


def through(faults, events=EVENTS, **options):
    """What a feed delivers from a server with these faults, its state, and its waits."""

    async def body():
        time = HandTime(NOW_NS)
        async with server_of(events, faults=FaultSettings(**faults), **options) as server:
            feed = feed_of(server, time)
            received = await everything(feed, sorted({event.symbol for event in events}))
            return received, feed.state, time.waits

    return run(body())


RATES = st.sampled_from([0.0, 0.02, 0.3])


@given(
    gap=RATES,
    duplicate=RATES,
    reorder=RATES,
    malformed=RATES,
    drop_every=st.sampled_from([None, 7, 40]),
    silence_after=st.integers(0, 100),
    silence_events=st.sampled_from([0, 15]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
def test_any_mixture_of_faults_leaves_the_stream_whole(
    gap, duplicate, reorder, malformed, drop_every, silence_after, silence_events, seed
):
    received, state, _ = through(
        {
            "gap_rate": gap,
            "duplicate_rate": duplicate,
            "reorder_rate": reorder,
            "malformed_rate": malformed,
            "drop_every": drop_every,
            "silence_after": silence_after,
            "silence_events": silence_events,
            "seed": seed,
        }
    )
    assert market(received) == EVENTS
    assert state.lost == 0
    assert state.events == len(EVENTS)


def test_duplicates_and_garbage_are_counted(caplog):
    with caplog.at_level(logging.WARNING, "fairlead.data.live.websocket"):
        received, state, _ = through({"duplicate_rate": 0.2, "malformed_rate": 0.2})
    assert market(received) == EVENTS
    assert state.malformed > 5
    assert state.duplicates > 5
    skipped = [r for r in caplog.records if "skipped as malformed" in r.message]
    assert 0 < len(skipped) <= state.malformed.bit_length()


def test_a_dropped_socket_is_sought_again_with_growing_waits():
    received, state, waits = through({"drop_every": 20})
    assert market(received) == EVENTS
    assert state.reconnects == notices(received).count(NoticeKind.DISCONNECTED) > 0
    assert notices(received).count(NoticeKind.CONNECTED) == state.reconnects + 1
    assert set(waits) == {1.0}, "data came in between, so each wait is the first"


def test_what_is_no_longer_kept_is_lost_and_told():
    async def body():
        time = HandTime(NOW_NS)
        async with server_of(BARS, history=3, faults=FaultSettings(silence_after=5, silence_events=10)) as server:
            feed = feed_of(server, time, reorder_window=2)
            return await everything(feed, ["A"]), feed.state

    received, state = run(body())
    assert market(received) == BARS[:5] + BARS[15:]
    assert state.lost == 10
    (gap,) = [one.event for one in received if isinstance(one.event, FeedNotice) and one.event.kind is NoticeKind.GAP]
    assert "10 events are lost, numbers 5 to 14" in gap.text
    assert received.index(next(r for r in received if r.event is gap)) == 6


def test_silence_is_noticed_by_the_age_of_the_data(caplog):
    """The socket stays open and says nothing: after five bars the feed gives it up, comes back, and has missed nothing."""

    async def body():
        gate, time = Gate(), HandTime(OPEN_NS)
        async with server_of(BARS[:20], speed=1.0, sleep=gate.sleep, elapsed=gate.elapsed) as server:
            feed = feed_of(server, time)
            await feed.connect()
            await feed.subscribe(["A"])
            stream = aiter(feed)
            first = [await anext(stream)]
            gate.let(3)
            first += [await anext(stream) for _ in range(4)]
            assert market(first) == BARS[:4]
            server.order(Fault.SILENCE, 6)
            gate.let(6)
            time.move_to(BARS[3].known_ns + 5 * NS_PER_MINUTE)  # as old as it may be, and no older
            await asyncio.sleep(0)
            assert not feed.state.stale
            assert feed.state.connected
            time.move_to(BARS[3].known_ns + 5 * NS_PER_MINUTE + 1)
            told = [await anext(stream) for _ in range(3)]
            assert notices(told) == [NoticeKind.STALE, NoticeKind.DISCONNECTED, NoticeKind.CONNECTED]
            assert "no data for 300 s" in told[0].event.text
            assert feed.state.stale
            missed = [await anext(stream) for _ in range(7)]
            assert market(missed) == BARS[4:10]
            assert notices(missed) == [NoticeKind.FRESH]
            assert not feed.state.stale
            gate.let(20)
            rest = [received async for received in stream]
            assert market(rest) == BARS[10:20]
            await feed.close()

    with caplog.at_level(logging.ERROR, "fairlead.data.live.websocket"):
        run(body())
    assert any("is stale" in record.message for record in caplog.records)


def test_a_burst_comes_at_once_and_late():
    async def body():
        gate, time = Gate(), HandTime(NOW_NS)
        faults = FaultSettings(burst_every=25, burst_size=20)
        async with server_of(BARS, speed=1.0, faults=faults, sleep=gate.sleep, elapsed=gate.elapsed) as server:
            feed = feed_of(server, time)
            await feed.connect()
            await feed.subscribe(["A"])
            stream = aiter(feed)
            assert notices([await anext(stream)]) == [NoticeKind.CONNECTED]
            # All of the burst are due together with its last, which is the pace's beginning: twenty come unasked.
            assert market([await anext(stream) for _ in range(20)]) == BARS[:20]
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            assert not waiting.done()
            assert server.published == 20
            gate.let(30)
            rest = [await waiting] + [received async for received in stream]
            assert market(rest) == BARS[20:]

    run(body())


def test_faults_can_be_ordered_by_a_client_that_may():
    async def body(allow):
        gate, time = Gate(), HandTime(NOW_NS)
        async with server_of(BARS[:6], speed=1.0, sleep=gate.sleep, elapsed=gate.elapsed, allow_control=allow) as server:
            async with connect(server.url, proxy=None) as controller:
                await controller.recv()
                await controller.send(json.dumps({"type": "control", "fault": "malformed", "count": 2}))
                # The answer to a second message shows that the first was read.
                await controller.send("{}")
                answers = [json.loads(await controller.recv()) for _ in range(1 if allow else 2)]
            feed = feed_of(server, time)
            gate.let(6)
            received = await everything(feed, ["A"])
            assert market(received) == BARS[:6]
            return [answer["code"] for answer in answers], feed.state.malformed

    assert run(body(True)) == (["bad_message"], 2)
    assert run(body(False)) == (["forbidden", "bad_message"], 0)


@pytest.mark.parametrize("name", ["another", "desk"])
def test_another_session_is_told_and_begins_anew(name):
    """Also if it has the name of the first: its numbers begin behind what has come."""

    async def body():
        time = HandTime(NOW_NS)
        gate = Gate()
        first = server_of(BARS[:5], speed=1.0, sleep=gate.sleep, elapsed=gate.elapsed, producer_id="desk")
        await first.start()
        port = int(first.url.rpartition(":")[2])
        feed = feed_of(first, time)
        await feed.connect()
        await feed.subscribe(["A"])
        stream = aiter(feed)
        before = [await anext(stream) for _ in range(2)]
        await first.close()
        assert notices([await anext(stream)]) == [NoticeKind.DISCONNECTED]
        await until(lambda: feed.state.failures >= 4)
        assert time.waits[:5] == [1, 2, 4, 8, 16]
        async with server_of(BARS[10:14], port=port, producer_id=name):
            after = [received async for received in stream]
            await feed.close()
        assert market(before) == BARS[:1]
        assert market(after) == BARS[10:14]
        assert notices(after) == [NoticeKind.CONNECTED, NoticeKind.GAP, NoticeKind.ENDED]

    run(body())


def test_a_server_that_was_never_there_is_one_clear_error():
    async def body():
        async with server_of(BARS) as server:
            url = server.url
        time = HandTime()
        uniform = iter([0.5, 0.25, 1.0])
        feed = feed_of(url, time, uniform=lambda: next(uniform), reconnect=ReconnectSettings(first_attempts=3))
        with pytest.raises(DataError, match=rf"cannot reach {url}: .*Start the server, or correct data\.url"):
            await feed.connect()
        assert time.waits == [0.5, 0.5]
        assert feed.state.failures == 3
        assert not feed.state.connected

    run(body())


@pytest.mark.parametrize(
    ("first", "text"),
    [
        ("hello", "is no message of the protocol"),
        ('{"type":"heartbeat","next_number":0}', "'first message' must be a welcome, was 'heartbeat'"),
        (
            '{"type":"welcome","producer_id":"p","bar_size":"5min","calendar":"XNYS","symbols":["A"]}',
            "'data.bar_size' must be '5min' as at the server, was '1min'",
        ),
        (
            '{"type":"welcome","producer_id":"p","bar_size":"1min","calendar":"XLON","symbols":["A"]}',
            "'data.calendar' must be 'XLON' as at the server, was 'XNYS'",
        ),
        (
            '{"type":"welcome","protocol":"2.0","producer_id":"p","bar_size":"1min","calendar":"XNYS","symbols":["A"]}',
            "protocol",
        ),
    ],
)
def test_a_server_of_another_kind_is_refused_at_once(first, text):
    async def body():
        async def greet(socket):
            await socket.send(first)
            await socket.wait_closed()

        async with serve(greet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            time = HandTime()
            with pytest.raises(DataError, match="cannot be used") as refused:
                await feed_of(f"ws://127.0.0.1:{port}", time).connect()
            assert text in str(refused.value)
            assert time.waits == []

    run(body())


def test_a_peer_that_never_answers_is_given_up_in_time():
    async def body():
        held = asyncio.Event()

        async def keep(reader, writer):
            await held.wait()
            writer.close()

        listener = await asyncio.start_server(keep, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        reconnect = ReconnectSettings(timeout_s=0.05, first_attempts=1)
        with pytest.raises(DataError, match="no answer in time"):
            await feed_of(f"ws://127.0.0.1:{port}", HandTime(), reconnect=reconnect).connect()
        held.set()
        listener.close()
        await listener.wait_closed()

    run(body())


def test_a_server_that_stops_answering_backfills_costs_a_gap_and_no_more():
    """It announces two events that it never sends: asked three times, then told as lost, and what follows comes."""

    async def body():
        asked = []
        bar = {"event_type": "bar_event", "symbol": "A", "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 0}

        async def stubborn(socket):
            hello = {"type": "welcome", "producer_id": "p", "bar_size": "1min", "calendar": "XNYS", "symbols": ["A"]}
            await socket.send(json.dumps(hello))
            await socket.recv()
            await socket.send(json.dumps({"type": "subscribed", "symbols": ["A"], "next_number": 0}))
            for beat in range(20):
                await socket.send(json.dumps({"type": "heartbeat", "next_number": 2}))
                with contextlib.suppress(TimeoutError):
                    asked.append(json.loads(await asyncio.wait_for(socket.recv(), 0.01)))
                assert beat < 19
                if len(asked) == 3 and beat > 6:
                    break
            third = {**bar, "timestamp": "2024-01-02T14:31:00.000000Z", "metadata": {"sequence_number": 2}}
            await socket.send(json.dumps(third))
            await socket.send(json.dumps({"type": "end", "next_number": 3}))
            await socket.wait_closed()

        async with serve(stubborn, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            feed = feed_of(f"ws://127.0.0.1:{port}", HandTime(NOW_NS))
            received = await everything(feed, ["A"])
        assert [(a["first"], a["last"], a["request_id"]) for a in asked] == [(0, 1, 1)] * 3
        assert [bar.known_ns for bar in market(received)] == [OPEN_NS + NS_PER_MINUTE]
        assert notices(received) == [NoticeKind.CONNECTED, NoticeKind.GAP, NoticeKind.ENDED]
        assert feed.state.lost == 2

    run(body())


def test_a_server_refuses_what_it_cannot_serve():
    async def body():
        async with server_of(BARS) as server, connect(server.url, proxy=None) as client:
            welcome = json.loads(await client.recv())
            assert (welcome["symbols"], welcome["protocol"]) == (["A"], "1.0")

            async def ask(message):
                await client.send(message if isinstance(message, str) else json.dumps(message))
                answer = json.loads(await client.recv())
                return answer["type"], answer.get("code")

            assert await ask("garbage") == ("error", "bad_message")
            assert await ask({"type": "subscribe", "symbols": []}) == ("error", "bad_message")
            assert await ask({"type": "subscribe", "symbols": ["A"], "more": 1}) == ("error", "bad_message")
            assert await ask({"type": "subscribe", "symbols": ["X"]}) == ("error", "unknown_symbol")
            request = {"type": "backfill_request", "request_id": 7, "first": 0, "last": 3}
            assert await ask(request) == ("error", "not_subscribed")
            assert server.published == 0, "nothing begins before someone subscribes"

    run(body())


def test_a_server_says_why_it_cannot_start():
    async def body():
        async with server_of(BARS) as server:
            port = int(server.url.rpartition(":")[2])
            with pytest.raises(DataError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*Choose another"):
                await server_of(BARS, port=port).start()

    run(body())
    with pytest.raises(DataError, match="no events to serve"):
        server_of([])
    with pytest.raises(DataError, match="has not been started"):
        _ = server_of(BARS).url


def test_data_stale_at_the_opening_is_counted_from_the_opening():
    """Yesterday's last event is not late before today's session is five bars old."""

    async def body():
        gate, time = Gate(), HandTime(OPEN_NS - 3600 * NS_PER_SECOND)
        events = [quote(0, bid=10.0), quote(60, bid=11.0)]
        async with server_of(events, speed=1.0, sleep=gate.sleep, elapsed=gate.elapsed) as server:
            feed = feed_of(server, time)
            await feed.connect()
            stream = aiter(feed)
            await anext(stream)
            for minutes in (0, 5):
                time.move_to(OPEN_NS + minutes * NS_PER_MINUTE)
                await asyncio.sleep(0)
                assert not feed.state.stale
            time.move_to(OPEN_NS + 5 * NS_PER_MINUTE + 1)
            assert notices([await anext(stream)]) == [NoticeKind.STALE]
            await feed.close()

    run(body())


def test_the_size_of_bars_may_be_left_to_the_server():
    async def body():
        events = morning(6)
        async with server_of(events) as server:
            assert market(await everything(feed_of(server, HandTime(NOW_NS), bar_size=None), ["A", "B"])) == events
        whole = [minute_bar(0)._replace(known_ns=OPEN_NS + 5 * NS_PER_MINUTE)]
        async with server_of(whole, bar_size=BarSize.M5) as server:
            assert market(await everything(feed_of(server, HandTime(NOW_NS), bar_size=None), ["A"])) == whole

    run(body())


def test_a_consumer_may_leave_in_the_middle_of_a_full_buffer():
    async def body():
        events = morning(1500)
        async with server_of(events) as server:
            feed = feed_of(server, HandTime(NOW_NS))
            await feed.connect()
            await feed.subscribe(["A", "B"])
            stream = aiter(feed)
            await anext(stream)
            await until(feed._out.full)
            await stream.aclose()
            assert not feed.state.connected
            await feed.close()

    run(body())


def test_a_clock_beyond_the_calendar_ends_the_events_with_its_error():
    async def body():
        async with server_of(BARS) as server:
            time = HandTime(NOW_NS)
            feed = feed_of(server, time)
            await feed.connect()
            stream = aiter(feed)
            await anext(stream)
            time.move_to(2**62)
            with pytest.raises(DataError, match="calendar 'XNYS' is known from"):
                await anext(stream)
            await feed.close()

    run(body())


def test_a_loop_in_another_thread_gets_everything_through_a_small_queue():
    """Server, feed and loop each in a thread of their own, with drops, garbage and back-pressure over the socket."""
    address: queue_module.Queue[str] = queue_module.Queue()

    async def serve_until_left():
        faults = FaultSettings(drop_every=50, malformed_rate=0.05, gap_rate=0.05)
        async with server_of(EVENTS, faults=faults) as server:
            address.put(server.url)
            await server.left()

    serving = threading.Thread(target=lambda: run(serve_until_left()))
    serving.start()
    queue: EventQueue[Received] = EventQueue(5, conflate=False)
    settings = WebSocketSettings(url=address.get(timeout=20), reconnect=ReconnectSettings(base_s=0.001, cap_s=0.001))
    feed = WebSocketFeed(settings, now_ns=lambda: NOW_NS)
    feeds = FeedThread([(feed, ["A", "B"])], queue)
    feeds.start()
    taken = list(iter(queue.take, None))
    feeds.stop()
    serving.join(20)
    assert not serving.is_alive()
    assert feeds.error is None
    assert market(taken) == EVENTS
    assert queue.counts.most_waiting <= 5
    assert feed.state.reconnects > 0
