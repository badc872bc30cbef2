"""Alpaca on a bench of the conformance suite: the adapter, and a server that speaks Alpaca's protocol behind it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_MINUTE, BarSize
from fairlead.execution.brokers.alpaca.broker import AlpacaBroker
from fairlead.execution.brokers.words import OrderRequest
from fairlead.practice.alpaca.server import AlpacaServer
from fairlead.practice.market import PracticeMarket
from support_alpaca import settings_of
from support_brokers import ANSWER_S, SESSIONS_NS, SYMBOLS, AccountBench, AccountTerms, Bench


class AlpacaBench(AccountBench):
    """The account is the server's, and lives in its thread: everything is done to it there."""

    charges = False

    def __init__(self, terms: AccountTerms) -> None:
        super().__init__(terms)
        first = SESSIONS_NS[0]
        quiet = [Bar(name, first, first + NS_PER_MINUTE, 100.0, 100.0, 100.0, 100.0, 1000.0) for name in SYMBOLS]
        market = PracticeMarket(quiet, bar_size=BarSize.M1, calendar="XNYS")
        self.server = AlpacaServer(market, self.account, now_ns=lambda: self._now_ns, calls_per_minute=0)
        self.server.start()
        self.switches = self._do(lambda broker: broker.switches)
        self.broker = AlpacaBroker(settings_of(self.server, timeout_s=2 * ANSWER_S), now_ns=lambda: self._now_ns)

    async def trade(self, *prices: float, **terms: Any) -> None:
        await asyncio.to_thread(self._act, super().trade(*prices, **terms))

    async def execute(self, reference: str, quantity: float, price: float) -> None:
        await asyncio.to_thread(self._act, super().execute(reference, quantity, price))

    async def correct(self, reference: str, quantity: float, price: float) -> None:
        await asyncio.to_thread(self._act, super().correct(reference, quantity, price))

    async def bust(self, reference: str) -> None:
        await asyncio.to_thread(self._act, super().bust(reference))

    async def reject(self, reference: str, reason: str) -> None:
        await asyncio.to_thread(self._do, lambda broker: broker.book.extra.update(reject_reason=reason))
        await asyncio.to_thread(self._act, super().reject(reference, reason))

    async def foreign(self, request: OrderRequest) -> None:
        body = {
            "symbol": request.symbol,
            "qty": str(request.quantity),
            "side": request.side.value.lower(),
            "type": request.order_type.value.lower(),
            "time_in_force": request.time_in_force.value.lower(),
            "limit_price": str(request.limit_price),
            "client_order_id": request.reference or str(uuid.uuid4()),  # what Alpaca calls orders that come without
        }
        await asyncio.to_thread(self._do, lambda broker: broker.book.place(body))

    async def drop(self) -> None:
        await asyncio.to_thread(self.server.drop)

    async def restart_empty(self) -> None:
        await asyncio.to_thread(self.server.restart, empty=True)
        self.account = self._do(lambda broker: broker.account)
        self.switches = self._do(lambda broker: broker.switches)

    def _do(self, what: Callable[[Any], Any]) -> Any:
        return self.server.do(what)

    def _act(self, act: Any) -> None:
        """Run a coroutine of the account's bench, which waits for nothing, in the server's thread."""

        def acted(_broker: Any) -> None:
            try:
                while True:
                    act.send(None)
            except StopIteration:
                return

        self._do(acted)


@asynccontextmanager
async def open_alpaca(terms: AccountTerms) -> AsyncIterator[Bench]:
    """Open the bench of Alpaca's adapter."""
    bench = AlpacaBench(terms)
    try:
        yield bench
    finally:
        await asyncio.to_thread(bench.server.stop)
