"""Brokers' protocol servers as the other side of a live session: the market happens there first, and then on the feed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from fairlead.backtest.result import Result
from fairlead.config.livebroker import SessionBroker
from fairlead.config.papering import wire_at_broker
from fairlead.core.events import Bar
from fairlead.core.instruments import Instrument
from fairlead.core.time import NS_PER_MINUTE, BarSize
from fairlead.data.live import FeedNotice, NoticeKind, Received
from fairlead.data.live.feed import FeedBook, FeedState
from fairlead.execution.brokers.opening import AccountKeys, broker_kind
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.settings import LinkSettings
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import BrokerAccount, BrokerEvent, Execution
from fairlead.practice.alpaca.server import AlpacaServer
from fairlead.practice.market import PracticeMarket
from fairlead.practice.tws.running import RunningTws
from fairlead.practice.tws.server import TwsServer
from fairlead.practice.tws.settings import TwsSettings
from support_live import FREE
from support_operated import WAIT_S
from support_paper import NOW, loaded, now_ns

LINK = LinkSettings.model_validate({"attempt_s": 20, "silence_s": 600})


class Counted:
    """An adapter that tells in which loop it lives, and which executions it has told."""

    def __init__(self, adapter: Broker) -> None:
        self._adapter = adapter
        self.loop: asyncio.AbstractEventLoop | None = None
        self.reached = threading.Event()
        self.seen: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def connect(self) -> BrokerAccount:
        self.loop = asyncio.get_running_loop()
        account = await self._adapter.connect()
        self.reached.set()
        return account

    async def events(self) -> AsyncIterator[BrokerEvent]:
        async for event in self._adapter.events():
            if isinstance(event, Execution):
                self.seen.add(event.execution_id)
            yield event


@dataclasses.dataclass
class Counterpart:
    """A server, its account, and how to do something there."""

    account: SimulatedAccount
    do: Callable[[Callable[[], Any]], Any]
    broker: Counted


@contextlib.contextmanager
def counterpart(
    name: str, symbols: Sequence[str], cash: float, bar_size: str, clock: Callable[[], int]
) -> Iterator[Counterpart]:
    """Run a server of a broker's protocol."""
    traded = {symbol: Instrument(symbol=symbol, calendar="XNYS") for symbol in symbols}
    number = "PA0001" if name == "alpaca" else "DU1234567"
    account = SimulatedAccount(number, symbols=symbols, now_ns=clock, cash=cash, settings=FREE, instruments=traded)
    account.bar_size = BarSize(bar_size)
    if name == "alpaca":
        first = clock()
        quiet = [Bar(symbol, first - NS_PER_MINUTE, first, 1.0, 1.0, 1.0, 1.0, 1e6) for symbol in symbols]
        market = PracticeMarket(quiet, bar_size=BarSize.M1, calendar="XNYS")
        server = AlpacaServer(market, account, now_ns=clock, calls_per_minute=0)
        server.start()
        params = {"base_url": server.url, "calls_per_minute": 100_000, "burst": 1_000}
        adapter = broker_kind(name, params).open(AccountKeys(None, server.keys.key, server.keys.secret), now_ns)
        try:
            yield Counterpart(account, lambda act: server.do(lambda _broker: act()), Counted(adapter))
        finally:
            server.stop()
    else:
        with RunningTws(lambda: TwsServer(account, TwsSettings(port=0, messages_per_s=0), now_ns=clock)) as running:
            adapter = broker_kind(name, {"port": running.port, "kind": "paper", "reset": None}).open(AccountKeys(), now_ns)
            yield Counterpart(account, lambda act: running.call(lambda _server: act()), Counted(adapter))


class ServedMarket:
    """A feed; before it brings the bars of an instant, the server has met them, and what came of that has been told."""

    def __init__(self, events: Sequence[Bar], other: Counterpart, clock: list[int]) -> None:
        self._instants = [list(bars) for _, bars in groupby(events, key=lambda bar: bar.known_ns)]
        self._other, self._clock = other, clock
        self._book = FeedBook()
        self.decided: queue.Queue[int] = queue.Queue()

    @property
    def state(self) -> FeedState:
        return self._book.snapshot()

    async def connect(self) -> None:
        self._book.connected = True

    async def subscribe(self, symbols: Sequence[str], since_ns: int | None = None) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Received]:
        yield Received(FeedNotice(NoticeKind.CONNECTED, 0, "two sides"), 0)
        broker = self._other.broker
        assert await asyncio.to_thread(broker.reached.wait, WAIT_S)
        for number, bars in enumerate(self._instants):
            if number:
                assert await asyncio.to_thread(self.decided.get, timeout=WAIT_S) == number
                await self._at_broker(_arrived)
            self._clock[0] = bars[0].known_ns
            await asyncio.to_thread(self._other.do, lambda bars=bars: self._other.account.step({b.symbol: b for b in bars}))
            done = len(self._other.account.executions())
            for _ in range(5_000):
                if len(broker.seen) >= done:
                    break
                await asyncio.sleep(0.002)
            assert len(broker.seen) >= done
            await self._at_broker(_told)
            for bar in bars:
                yield Received(bar, bar.known_ns)
        assert await asyncio.to_thread(self.decided.get, timeout=WAIT_S) == len(self._instants)
        yield Received(FeedNotice(NoticeKind.ENDED, self._instants[-1][0].known_ns, "it is over"), 0)

    async def _at_broker(self, act: Callable[[], Any]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(act(), self._other.broker.loop))

    async def close(self) -> None:
        self._book.connected = False


async def _arrived() -> None:
    """Wait until what was decided on is at the broker."""
    await asyncio.sleep(0)
    await asyncio.gather(*(task for task in asyncio.all_tasks() if "_carry_out" in str(task.get_coro())))


async def _told() -> None:
    """Let what was told walk into the session's queue."""
    for _ in range(50):
        await asyncio.sleep(0)


def traded_at(
    name: str, config: Path, workspace: Path, events: Sequence[Bar], *overrides: str, bar_size: str, symbols: Sequence[str]
) -> Result:
    """Run a configuration live, at a server of a broker's protocol."""
    names = ", ".join(symbols)
    data = f"data={{type: live, feed: two_sides, symbols: [{names}], bar_size: {bar_size}, record: false}}"
    given = ("mode=live", "clock={type: realtime}", data, f"execution={{type: broker, broker: {name}}}", *overrides)
    known = loaded(config, *given)
    cash = sum(entry.capital for entry in known.settings.strategies)
    clock = [events[0].label_ns]
    with counterpart(name, symbols, cash, bar_size, lambda: clock[0]) as other:
        feed = ServedMarket(events, other, clock)
        at = SessionBroker(account="A1", open=lambda: other.broker, admit=lambda _account: None, settings=LINK)
        session = dataclasses.replace(wire_at_broker(known, {}, now_ns, at, workspace), feed=lambda: feed)
        return session.run("live_A1", now=NOW, now_ns=now_ns, progress=feed.decided.put)
