"""A live session whose market happens at its broker first and then on its feed, one instant after the other."""

from __future__ import annotations

import asyncio
import dataclasses
import queue
import threading
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from fairlead.backtest.result import Result
from fairlead.config.livebroker import SessionBroker
from fairlead.config.papering import wire_at_broker
from fairlead.core.events import Bar
from fairlead.core.instruments import Instrument
from fairlead.core.time import BarSize
from fairlead.data.live import FeedNotice, NoticeKind, Received
from fairlead.data.live.feed import FeedBook, FeedState
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from support_live import AT_ONCE, QUICK, Here
from support_operated import WAIT_S
from support_paper import NOW, loaded, now_ns


class TwoSidedMarket:
    """A feed; before it brings the bars of an instant, the broker's side has met them, and what came of that has been told."""

    def __init__(self, events: Sequence[Bar], reached: threading.Event) -> None:
        self._instants = [list(bars) for _, bars in groupby(events, key=lambda bar: bar.known_ns)]
        self._reached = reached
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
        assert await asyncio.to_thread(self._reached.wait, WAIT_S)
        for number, bars in enumerate(self._instants):
            if number:
                assert await asyncio.to_thread(self.decided.get, timeout=WAIT_S) == number
            await self.meet(bars)
            for bar in bars:
                yield Received(bar, bar.known_ns)
        assert await asyncio.to_thread(self.decided.get, timeout=WAIT_S) == len(self._instants)
        yield Received(FeedNotice(NoticeKind.ENDED, self._instants[-1][0].known_ns, "it is over"), 0)

    async def meet(self, bars: Sequence[Bar]) -> None:
        """Let the broker's side meet the bars of an instant, when what was decided on the last one has arrived there."""
        raise NotImplementedError

    async def close(self) -> None:
        self._book.connected = False


async def arrived() -> None:
    """Wait, in a broker's loop, until what was decided is at the broker."""
    await asyncio.sleep(0)
    await asyncio.gather(*(task for task in asyncio.all_tasks() if "_carry_out" in str(task.get_coro())))


async def told() -> None:
    """Let what was told walk into the session's queue."""
    for _ in range(50):
        await asyncio.sleep(0)


class AccountMarket(TwoSidedMarket):
    """The broker's side is an account in the loop of its broker."""

    def __init__(self, events: Sequence[Bar], account: SimulatedAccount, broker: Here) -> None:
        super().__init__(events, broker.reached)
        self._account, self._broker = account, broker

    async def meet(self, bars: Sequence[Bar]) -> None:
        async def met() -> None:
            await arrived()
            self._account.step({bar.symbol: bar for bar in bars})
            await told()

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(met(), self._broker.loop))


def traded_live(
    config: Path, workspace: Path, events: Sequence[Bar], *overrides: str, bar_size: str, symbols: Sequence[str], calendar: str
) -> Result:
    """Run a configuration live, against a simulated broker that fills by the configuration's own rules."""
    names = ", ".join(symbols)
    data = f"data={{type: live, feed: two_sides, symbols: [{names}], bar_size: {bar_size}, record: false}}"
    paper = loaded(config, "mode=paper", "clock={type: realtime}", data, *overrides).settings
    account = SimulatedAccount(
        "DU1",
        symbols=symbols,
        now_ns=now_ns,
        cash=sum(entry.capital for entry in paper.strategies),
        settings=paper.execution.model_copy(update={"account": type(paper.execution)().account}),
        instruments={symbol: Instrument(symbol=symbol, calendar=calendar) for symbol in symbols},
    )
    account.bar_size = BarSize(bar_size)
    broker = Here(account, AT_ONCE, now_ns=now_ns)
    feed = AccountMarket(events, account, broker)
    given = ("mode=live", "clock={type: realtime}", data, "execution={type: broker, broker: simulated}", *overrides)
    at = SessionBroker(account="DU1", open=lambda: broker, admit=lambda _account: None, settings=QUICK)
    session = dataclasses.replace(wire_at_broker(loaded(config, *given), {}, now_ns, at, workspace), feed=lambda: feed)
    return session.run("live_DU1", now=NOW, now_ns=now_ns, progress=feed.decided.put)


def decisions_of(result: Result) -> list[dict[str, Any]]:
    """What was decided, in order, and what it came to."""
    own = {"order_id", "idempotency_key", "group_id", "oco_id", "parent_id", "arrives_ns", "day_session", "update_count"}
    return [
        {f.name: getattr(order, f.name) for f in dataclasses.fields(order) if f.name not in own}
        for order in result.record.orders
    ]


def executed(result: Result) -> list[tuple[Any, ...]]:
    """What was filled, in order."""
    return [(f.strategy, f.symbol, f.side, f.quantity, f.price, f.commission) for f in result.record.fills]
