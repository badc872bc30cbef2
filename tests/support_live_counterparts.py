"""Brokers' protocol servers as the other side of a live session: the market happens there first, and then on the feed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fairlead.backtest.result import Result
from fairlead.config.livebroker import SessionBroker
from fairlead.config.papering import wire_at_broker
from fairlead.core.events import Bar
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderStatus, TimeInForce
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND, BarSize, to_datetime
from fairlead.data.closing import session_hours
from fairlead.execution.brokers.opening import AccountKeys, broker_kind
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.settings import LinkSettings
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import BrokerAccount, BrokerEvent, BrokerOrder, Execution
from fairlead.practice.alpaca.server import AlpacaServer
from fairlead.practice.market import PracticeMarket
from fairlead.practice.tws.running import RunningTws
from fairlead.practice.tws.server import TwsServer
from fairlead.practice.tws.settings import TwsSettings
from fairlead.sdk import OrderIntent, Strategy
from support_live import FREE
from support_live_parity import TwoSidedMarket, arrived, told
from support_paper import NOW, loaded, now_ns

CALENDAR = "XNYS"
_TAKEN_BACK = frozenset({OrderStatus.CANCELLED, OrderStatus.EXPIRED})
LINK = LinkSettings.model_validate({"attempt_s": 20, "silence_s": 600})


PATIENCE_NS = 30 * NS_PER_MINUTE


class Patient(Strategy):
    """Waits for a better price, for half an hour."""

    def on_start(self, context):
        self.closes = {}

    def on_market_event(self, event, context):
        self.closes[event.symbol] = event.close

    def generate_orders(self, context):
        for symbol, close in self.closes.items():
            if held := context.portfolio.quantity(symbol):
                yield OrderIntent.market(symbol, -held)
            elif not any(order.symbol == symbol for order in context.open_orders):
                until = to_datetime(context.current_ns + PATIENCE_NS)
                price = round(close * 0.998, 2)
                yield OrderIntent.limit(symbol, 10, price, time_in_force=TimeInForce.GTD, expires_at=until)


class Counted:
    """An adapter that tells in which loop it lives, and which executions, and orders taken back, it has told."""

    def __init__(self, adapter: Broker) -> None:
        self._adapter = adapter
        self.loop: asyncio.AbstractEventLoop | None = None
        self.reached = threading.Event()
        self.seen: set[str] = set()
        self.taken_back: set[str] = set()

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
            elif isinstance(event, BrokerOrder) and event.status in _TAKEN_BACK:
                self.taken_back.add(event.reference)
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
    traded = {symbol: Instrument(symbol=symbol, calendar=CALENDAR) for symbol in symbols}
    number = "PA0001" if name == "alpaca" else "DU1234567"
    account = SimulatedAccount(number, symbols=symbols, now_ns=clock, cash=cash, settings=FREE, instruments=traded)
    account.bar_size = BarSize(bar_size)
    if name == "alpaca":
        first = clock()
        quiet = [Bar(symbol, first - NS_PER_MINUTE, first, 1.0, 1.0, 1.0, 1.0, 1e6) for symbol in symbols]
        market = PracticeMarket(quiet, bar_size=BarSize.M1, calendar=CALENDAR)
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


class MarketClock:
    """A clock that the market sets, and that knows how often the session has begun to do what is due between two events."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns, self._turns = now_ns, 0

    def __call__(self) -> int:
        return self.now_ns

    def turn(self) -> str:
        """Hear that the session begins another turn; it is not to stop."""
        self._turns += 1
        return ""

    async def goes(self, now_ns: int) -> None:
        """Go on, and wait until the session has done what is due by it."""
        self.now_ns, before = now_ns, self._turns
        await until(lambda: self._turns >= before + 2, "the session does not go on")


class ServedMarket(TwoSidedMarket):
    """The broker's side is a server of its protocol."""

    def __init__(self, events: Sequence[Bar], other: Counterpart, clock: MarketClock, patience_ns: int = 0) -> None:
        super().__init__(events, other.broker.reached)
        self._other, self._clock, self._patience_ns = other, clock, patience_ns
        self._hours = session_hours(CALENDAR)
        self._answered = (0, 0)

    async def meet(self, bars: Sequence[Bar]) -> None:
        account = self._other.account
        await self._at_broker(arrived)
        # What follows from what was told, such as exits that leave when the other side of their entry is gone.
        while (happened := self._happened) != self._answered:
            self._answered = happened
            await self._acts(self._clock.now_ns)
        for moment in self._moments(bars[0]):
            await self._acts(moment)
        self._clock.now_ns = bars[0].known_ns
        await asyncio.to_thread(self._other.do, lambda: account.step({bar.symbol: bar for bar in bars}))
        await self._is_told()

    @property
    def _happened(self) -> tuple[int, int]:
        account = self._other.account
        return len(account.executions()), sum(order.status in _TAKEN_BACK for order in account.orders())

    async def _acts(self, now_ns: int) -> None:
        await self._clock.goes(now_ns)
        await self._at_broker(arrived)
        await self._is_told()

    async def _is_told(self) -> None:
        broker, (done, over) = self._other.broker, self._happened
        await until(lambda: len(broker.seen) >= done, "executions are not told")
        await until(lambda: len(broker.taken_back) >= over, "orders that were taken back are not told")
        await self._at_broker(told)

    def _moments(self, bar: Bar) -> Iterator[int]:
        """Yield when, before a bar is over, the session has something to do that others do themselves at another broker."""
        account, traits = self._other.account, self._other.broker.traits
        held = {position.symbol for position in account.positions()}
        working = account.open_orders()
        works = {order.symbol for order in working}
        begins_ns, patience_ns = max(self._clock.now_ns, bar.label_ns) + NS_PER_SECOND, self._patience_ns
        is_over = patience_ns and any(begins_ns - order.ts_ns > patience_ns for order in working)
        if TimeInForce.GTD not in traits.times_in_force and is_over:
            yield begins_ns
        hours = self._hours(bar.label_ns)
        if traits.exits_hold_units and hours is not None and works & held:
            moment = hours.close_ns - round((traits.auction_lead_s + 60) * NS_PER_SECOND)
            if bar.label_ns <= moment < bar.known_ns:
                yield from (moment, moment + NS_PER_SECOND)

    async def _at_broker(self, act: Callable[[], Any]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(act(), self._other.broker.loop))


def traded_at(
    name: str,
    config: Path,
    workspace: Path,
    events: Sequence[Bar],
    *overrides: str,
    bar_size: str,
    symbols: Sequence[str],
    patience_ns: int = 0,
) -> Result:
    """Run a configuration live, at a server of a broker's protocol; its orders are good for so long, if they end."""
    names = ", ".join(symbols)
    data = f"data={{type: live, feed: two_sides, symbols: [{names}], bar_size: {bar_size}, record: false}}"
    given = ("mode=live", "clock={type: realtime}", data, f"execution={{type: broker, broker: {name}}}", *overrides)
    known = loaded(config, *given)
    cash = sum(entry.capital for entry in known.settings.strategies)
    clock = MarketClock(events[0].label_ns)
    with counterpart(name, symbols, cash, bar_size, clock) as other:
        feed = ServedMarket(events, other, clock, patience_ns)
        at = SessionBroker(account="A1", open=lambda: other.broker, admit=lambda _account: None, settings=LINK)
        session = dataclasses.replace(wire_at_broker(known, {}, clock, at, workspace), feed=lambda: feed)
        return session.run("live_A1", now=NOW, now_ns=clock, progress=feed.decided.put, stop_asked=clock.turn)


async def until(is_so: Callable[[], bool], otherwise: str) -> None:
    for _ in range(5_000):
        if is_so():
            return
        await asyncio.sleep(0.002)
    raise AssertionError(otherwise)
