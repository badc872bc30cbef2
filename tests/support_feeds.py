"""Live feeds for tests: a morning of events, time that moves by hand, and servers that publish when they are told."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.time import NS_PER_MINUTE, BarSize, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live import FeedNotice, LiveFeed, MarketServer, NoticeKind, Received, WebSocketFeed, WebSocketSettings
from fairlead.data.live.feed import MarketEvent

XNYS = ExchangeCalendar.get("XNYS")
OPEN_NS = to_ns(dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC))
"""The opening of a session in New York."""
CHECK_S = 0.75
"""How often feeds of these tests look at the data's age: the wait by which `HandTime` knows it."""
HEARTBEAT_S = 0.02
LONGEST_S = 30.0

T = TypeVar("T")


def _at(second: float) -> int:
    # Messages have microseconds.
    return OPEN_NS + round(second * 1e6) * 1_000


def minute_bar(minute: int, symbol: str = "A", price: float = 10.0) -> Bar:
    """Return the bar that opens so many minutes after the opening."""
    label = OPEN_NS + minute * NS_PER_MINUTE
    return Bar(symbol, label, label + NS_PER_MINUTE, price, price + 0.5, price - 0.25, price + 0.125, 100.0 * (minute + 1))


def quote(second: float, symbol: str = "A", bid: float = 10.0) -> Quote:
    """Return a quote so many seconds after the opening."""
    return Quote(symbol, _at(second), bid, bid + 0.01, 300.0, 200.0)


def trade(second: float, symbol: str = "A", price: float = 10.0, size: float = 100.0) -> Trade:
    """Return a trade so many seconds after the opening."""
    return Trade(symbol, _at(second), price, size)


def morning(minutes: int = 20, symbols: Sequence[str] = ("A", "B")) -> list[MarketEvent]:
    """Return bars of each minute, and three quotes and a trade of each symbol before them."""
    events: list[MarketEvent] = []
    for minute in range(minutes):
        for i, symbol in enumerate(symbols):
            at = minute * 60 + 0.000_001 * (i + 1)
            price = 10.0 + minute / 7 + i
            events += [quote(at + second, symbol, price + second / 100) for second in (1, 2, 3)]
            events.append(trade(at + 4, symbol, price + 0.003, 100.0 + minute))
        events += [minute_bar(minute, symbol, 10.0 + minute / 3 + i) for i, symbol in enumerate(symbols)]
    return sorted(events, key=lambda event: (event.known_ns, isinstance(event, Bar), event.symbol))


def run(awaitable: Awaitable[T]) -> T:
    """Run to the end; a test that hangs fails."""

    async def bounded() -> T:
        return await asyncio.wait_for(awaitable, LONGEST_S)

    return asyncio.run(bounded())


class HandTime:
    """A clock that stands until it is moved. Waits for the data's age end when it moves; all others at once, and are kept."""

    def __init__(self, now_ns: int = OPEN_NS) -> None:
        self.now = now_ns
        self.waits: list[float] = []
        self._moved = asyncio.Event()

    def now_ns(self) -> int:
        """The clock."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """The sleep of a feed with ``check_s=CHECK_S``."""
        if seconds == CHECK_S:
            moved = self._moved
            await moved.wait()
        else:
            self.waits.append(seconds)
            await asyncio.sleep(0)

    def move_to(self, now_ns: int) -> None:
        """Move the clock and let feeds look at it."""
        self.now = now_ns
        self._moved.set()
        self._moved = asyncio.Event()


class Gate:
    """The time of a server: an event is due when it is let through."""

    def __init__(self) -> None:
        self._open = asyncio.Semaphore(0)

    def elapsed(self) -> float:
        """Stands still: whatever is later than the first event must wait."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """The sleep of a server with ``heartbeat_s=HEARTBEAT_S``."""
        if seconds == HEARTBEAT_S:
            await asyncio.sleep(seconds)
        else:
            await self._open.acquire()

    def let(self, count: int) -> None:
        """Let so many instants through."""
        for _ in range(count):
            self._open.release()


def server_of(events: Sequence[MarketEvent], **options: Any) -> MarketServer:
    """Return a server of minute bars in New York."""
    given = {"bar_size": BarSize.M1, "calendar": XNYS, "heartbeat_s": HEARTBEAT_S, **options}
    return MarketServer(events, **given)


def feed_of(server: MarketServer | str, time: HandTime, **options: Any) -> WebSocketFeed:
    """Return a feed of that server."""
    url = server if isinstance(server, str) else server.url
    uniform: Callable[[], float] = options.pop("uniform", lambda: 1.0)
    settings = WebSocketSettings(url=url, **options)
    return WebSocketFeed(settings, now_ns=time.now_ns, sleep=time.sleep, uniform=uniform, check_s=CHECK_S)


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something is so; `run` bounds it."""
    while not condition():  # noqa: ASYNC110  it is another's state, and nobody tells of it
        await asyncio.sleep(0)


async def everything(feed: LiveFeed, symbols: Sequence[str], since_ns: int | None = None) -> list[Received]:
    """Connect, subscribe, and return all that comes until the end."""
    await feed.connect()
    await feed.subscribe(symbols, since_ns)
    found = [received async for received in feed]
    await feed.close()
    return found


def market(received: Sequence[Received]) -> list[MarketEvent]:
    """Return what is no notice."""
    return [one.event for one in received if not isinstance(one.event, FeedNotice)]


def notices(received: Sequence[Received]) -> list[NoticeKind]:
    """Return the kinds of notices."""
    return [one.event.kind for one in received if isinstance(one.event, FeedNotice)]
