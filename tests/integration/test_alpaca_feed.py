"""Alpaca's stream of market data: what was missed, what cannot be read, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from fairlead.core.errors import ConfigurationError, ContractError, DataError
from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.time import NS_PER_MINUTE
from fairlead.data.live import FeedNotice, LiveDataSettings, NoticeKind, open_feed
from fairlead.data.vendors.alpaca.decoding import AlpacaDecoder
from support_alpaca_feed import close_ns, feed_at, server_of
from support_feeds import OPEN_NS, XNYS, HandTime, market, morning, notices, run, until

EVENTS = morning()


@contextlib.asynccontextmanager
async def listening(server, time, **changed):
    """A feed that is connected and gathers what comes."""
    feed = feed_at(server, time, **changed)
    await feed.connect()
    gathered = []

    async def gather():
        async for received in feed:
            gathered.append(received)  # noqa: PERF401  it is looked at while it grows

    since = changed.pop("since", None)
    await feed.subscribe(("A", "B"), since)
    task = asyncio.create_task(gather())
    await until(lambda: feed._is_caught_up or task.done())
    try:
        yield feed, gathered, task
    finally:
        await feed.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def steps(server, count):
    await asyncio.to_thread(server.step, count)


def test_what_has_happened_is_fetched_and_the_rest_is_heard():
    async def body():
        with server_of(EVENTS) as server:
            await steps(server, 60)
            time = HandTime(server.market.now_ns)
            known = server.market.count
            since_ns = EVENTS[20].known_ns
            feed = feed_at(server, time)
            await feed.connect()
            await feed.subscribe(("A", "B"), since_ns)
            gathered = []

            async def gather():
                async for received in feed:
                    gathered.append(received)  # noqa: PERF401  as above

            task = asyncio.create_task(gather())
            await until(lambda: feed._is_caught_up)
            wanted = [event for event in EVENTS if event.known_ns > since_ns]
            await until(lambda: len(market(gathered)) >= len([e for e in EVENTS[:known] if e.known_ns > since_ns]))
            await steps(server, 1_000)
            await until(lambda: len(market(gathered)) >= len(wanted))
            assert market(gathered) == wanted
            time.move_to(close_ns(time) + 10**10)
            await task
            assert notices(gathered) == [NoticeKind.CONNECTED, NoticeKind.ENDED]
            assert (feed.state.gaps, feed.state.lost) == (0, 0)
            await feed.close()

    run(body())


def test_what_a_lost_line_missed_is_fetched():
    async def body():
        with server_of(EVENTS) as server:
            time = HandTime(EVENTS[-1].known_ns)
            async with listening(server, time) as (feed, gathered, _):
                await steps(server, 30)
                await until(lambda: len(market(gathered)) >= server.market.count)
                server.do(lambda broker: broker.feed.drop())
                server.do(lambda broker: setattr(broker.feed, "is_muted", True))
                await steps(server, 30)
                await until(lambda: len(market(gathered)) >= server.market.count)
                assert market(gathered) == EVENTS[: server.market.count]
                assert NoticeKind.DISCONNECTED in notices(gathered)
                assert NoticeKind.GAP not in notices(gathered)
                assert feed.state.reconnects == 1

    run(body())


def test_what_cannot_be_fetched_is_a_gap_that_is_told():
    async def body():
        with server_of(EVENTS) as server:
            time = HandTime(EVENTS[-1].known_ns)
            async with listening(server, time) as (feed, gathered, _):
                await steps(server, 30)
                await until(lambda: len(market(gathered)) >= server.market.count)
                server.do(lambda broker: setattr(broker.switches, "too_many", 3))
                server.do(lambda broker: broker.feed.drop())
                await until(lambda: feed.state.gaps == 3)
                told = [r.event.text for r in gathered if isinstance(r.event, FeedNotice) and r.event.kind is NoticeKind.GAP]
                assert all("cannot be had: Alpaca says that too much was asked" in text for text in told)

    run(body())


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"{",
        b'{"T":"b"}',
        b"[7]",
        b'[{"T":"zebra"}]',
        b'[{"T":"b","S":"A"}]',
        b'[{"T":"q","S":"A","t":"2024-01-02T14:30:00Z","bp":"x","ap":1,"bs":1,"as":1}]',
        b'[{"T":"t","S":"OTHER","t":"2024-01-02T14:30:00Z","p":1,"s":1}]',
        b'[{"T":"error","code":400,"msg":"invalid syntax"}]',
        b"[" * 100_000,
    ],
    ids=range(10),
)
def test_what_cannot_be_read_is_counted_and_skipped(garbage):
    async def body():
        with server_of(EVENTS) as server:
            time = HandTime(EVENTS[-1].known_ns)
            async with listening(server, time) as (feed, gathered, _):
                server.do(lambda broker: broker.feed.tell_raw(garbage))
                await steps(server, 5)
                await until(lambda: len(market(gathered)) >= server.market.count)
                assert feed.state.malformed == 1
                assert market(gathered) == EVENTS[: server.market.count]

    run(body())


def test_a_feed_that_is_not_paid_for_is_refused():
    async def body():
        with server_of(EVENTS) as server:
            server.do(lambda broker: broker.feed.feeds.discard("sip"))
            feed = feed_at(server, HandTime(OPEN_NS), source="sip")
            with pytest.raises(DataError, match=r"insufficient subscription \(409\)"):
                await feed.connect()

    run(body())


def test_wrong_keys_are_refused_and_not_shown():
    async def body():
        with server_of(EVENTS) as server:
            feed = feed_at(server, HandTime(OPEN_NS), data={"api_secret": "wrong-secret"})
            with pytest.raises(DataError, match="refuses the keys") as raised:
                await feed.connect()
            assert "wrong-secret" not in str(raised.value)

    run(body())


def test_keys_that_are_revoked_end_the_feed_with_a_reason():
    async def body():
        with server_of(EVENTS) as server:
            time = HandTime(EVENTS[-1].known_ns)
            async with listening(server, time) as (_, _gathered, task):
                server.do(lambda broker: setattr(broker.switches, "refuses_keys", True))
                server.do(lambda broker: broker.feed.drop())
                with pytest.raises(DataError, match="refuses the keys"):
                    await task

    run(body())


def test_a_configuration_opens_it():
    async def body():
        with server_of(EVENTS) as server:
            data = {
                "type": "live",
                "feed": "alpaca",
                "symbols": ["A"],
                "url": f"ws://127.0.0.1:{server.port}",
                "api_key": server.keys.key,
                "api_secret": server.keys.secret,
                "params": {"base_url": server.url, "data_url": server.data_url, "channels": ["quotes"]},
            }
            time = HandTime(OPEN_NS)
            feed = open_feed(LiveDataSettings(**data), now_ns=time.now_ns)
            await feed.connect()
            assert feed.state.connected
            await feed.close()
            for changed, why in (
                ({"api_key": None}, "be given for feed: alpaca"),
                ({"bar_size": "5min"}, "be 1min for feed: alpaca"),
                ({"params": {"base_url": "http://example.com"}}, "begin with https"),
                ({"params": {"source": "cta"}}, "source"),
            ):
                with pytest.raises(ConfigurationError, match=why):
                    open_feed(LiveDataSettings(**{**data, **changed}), now_ns=time.now_ns)

    run(body())


def test_what_alpaca_writes_is_what_comes_out():
    read = AlpacaDecoder(XNYS).event
    bar = {"t": "2024-01-02T14:30:00Z", "o": 10, "h": 11.5, "l": 9.25, "c": 10.5, "v": 1200, "n": 7, "vw": 10.1}
    assert read("bars", "A", bar) == Bar("A", OPEN_NS, OPEN_NS + NS_PER_MINUTE, 10.0, 11.5, 9.25, 10.5, 1200.0)
    assert read("bars", "A", {**bar, "t": "2024-01-02T12:00:00Z"}) is None  # before the opening
    quote = {"t": "2024-01-02T14:30:00.000000001Z", "bp": 9.99, "ap": 10.01, "bs": 3, "as": 2, "c": ["R"]}
    assert read("quotes", "A", quote) == Quote("A", OPEN_NS + 1, 9.99, 10.01, 3.0, 2.0)
    assert read("quotes", "A", {**quote, "bp": 0}) is None
    trade = {"t": "2024-01-02T14:30:00Z", "p": 10.25, "s": 100, "i": 1, "x": "V"}
    assert read("trades", "A", trade) == Trade("A", OPEN_NS, 10.25, 100.0)
    for kind, row in (
        ("bars", {**bar, "h": 9}),
        ("bars", {**bar, "c": None}),
        ("quotes", {**quote, "ap": 9}),
        ("trades", {**trade, "p": -1}),
        ("trades", {**trade, "s": True}),
        ("trades", {**trade, "t": "now"}),
    ):
        with pytest.raises(ContractError):
            read(kind, "A", row)
    with pytest.raises(ContractError):
        read("trades", None, trade)
