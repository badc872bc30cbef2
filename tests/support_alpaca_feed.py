"""Alpaca's feed for tests: a server of its protocol behind it, whose session happens when somebody listens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND, BarSize
from fairlead.data.live.feed import MarketEvent
from fairlead.data.live.settings import LiveDataSettings
from fairlead.data.vendors.alpaca.feed import AlpacaFeed, AlpacaKind
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.practice.alpaca.server import AlpacaServer
from fairlead.practice.faults import PracticeFaults
from fairlead.practice.market import PracticeMarket
from support_feeds import CHECK_S, XNYS, HandTime, until

GRACE_S = 5.0


def server_of(events: Sequence[MarketEvent]) -> AlpacaServer:
    """Return a server of a session; it has not begun."""
    market = PracticeMarket(list(events), bar_size=BarSize.M1, calendar="XNYS")
    account = SimulatedAccount("PA0001", symbols=market.symbols, now_ns=lambda: market.now_ns)
    return AlpacaServer(market, account, calls_per_minute=0)


def feed_at(server: AlpacaServer, time: HandTime, **changed: Any) -> AlpacaFeed:
    """Return a feed of a server that listens to everything and ends with the session."""
    params = {
        "base_url": server.url,
        "data_url": server.data_url,
        "channels": ("bars", "quotes", "trades"),
        "ends_at_close": True,
    }
    fields = {"url": f"ws://127.0.0.1:{server.port}", "api_key": server.keys.key, "api_secret": server.keys.secret}
    data = LiveDataSettings(type="live", feed="alpaca", symbols=("A",), **{**fields, **changed.pop("data", {})})
    feed = AlpacaKind(**{**params, "grace_s": GRACE_S, **changed}).open(data, time.now_ns)
    feed._sleep, feed._check_s = time.sleep, CHECK_S
    feed._backoff._uniform = lambda: 1.0
    return feed


def close_ns(time: HandTime) -> int:
    """Return when the session closes."""
    parts = XNYS.segments_between(time.now - NS_PER_DAY, time.now + NS_PER_DAY)
    return next(int(close) for close in parts.close_ns if close >= time.now)


async def play(server: AlpacaServer, feed: AlpacaFeed, events: Sequence[MarketEvent], time: HandTime) -> None:
    """Let the session happen when the feed listens, and close it when all of it has come."""
    while not server.market.is_over:
        await until(lambda: feed._is_caught_up)
        await asyncio.to_thread(server.step)
        await asyncio.to_thread(server.do, lambda broker: broker.feed.flush())

    def expected() -> int:
        after_ns = feed._after_ns or 0
        return sum(event.symbol in feed._symbols and event.known_ns > after_ns for event in events)

    await until(lambda: feed.state.events >= expected())
    time.move_to(close_ns(time) + round(GRACE_S * NS_PER_SECOND))


@contextlib.asynccontextmanager
async def alpaca_feed(
    events: Sequence[MarketEvent], time: HandTime, faults: dict[str, Any] | None = None
) -> AsyncIterator[AlpacaFeed]:
    """Run a server, and a feed of it."""
    with server_of(events) as server:
        if faults is not None:
            server.do(lambda broker: broker.feed.misbehave(PracticeFaults(**faults)))
        feed = feed_at(server, time)
        playing = asyncio.create_task(play(server, feed, events, time))
        try:
            yield feed
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
