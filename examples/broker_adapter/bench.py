"""The template on a bench: what the conformance suite needs to play its cases.

``FAIRLEAD_BROKER=broker_adapter.bench:open_bench pytest tests/conformance/test_brokers.py``
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from broker_adapter.adapter import TemplateBroker, order_fields
from broker_adapter.exchange import Exchange, ExchangeError
from fairlead.execution.brokers.simulated.switches import Switches
from fairlead.execution.brokers.words import OrderRequest

SYMBOLS = ("AAPL", "MSFT", "SPY")
ANSWER_S = 0.25
_ORDERS = frozenset({"place", "withdraw", "amend"})


class _OnBench(TemplateBroker):
    """The template over a line on which things go wrong."""

    def __init__(self, exchange: Exchange, switches: Switches, bench: TemplateBench) -> None:
        super().__init__(exchange, now_ns=bench.now_ns, answer_s=ANSWER_S)
        self._switches = switches

    async def _call(self, what: str, told: dict[str, Any]) -> Any:
        switches = self._switches
        switches.calls.append(what)
        if switches.refuses_keys:
            raise ExchangeError("denied", "the keys are not accepted")
        if switches.take("too_many"):
            raise ExchangeError("busy", "too much was asked")
        if what in _ORDERS and switches.take("loses_orders"):
            self._exchange.cut()
            raise ConnectionResetError
        answer = await super()._call(what, told)
        if what in _ORDERS and switches.take("loses_answers"):
            self._exchange.cut()
            raise ConnectionResetError
        if what in _ORDERS and switches.holds_answers:
            await asyncio.Event().wait()  # until the adapter has waited long enough
        return answer

    def _hear(self, message: dict[str, Any]) -> None:
        for _ in range(1 + self._switches.repeats):
            super()._hear(message)


class TemplateBench:
    """What stands behind the template, in the hand of a test; see `support_brokers.Bench`."""

    lacks = frozenset({"correct", "bust"})
    charges = False

    def __init__(self, terms: Any) -> None:
        self.switches = Switches()
        self._now_ns = 1_704_205_800_000_000_000
        self.exchange = Exchange(SYMBOLS, funds=terms.cash, can_short=terms.can_short, now_ns=self.now_ns)
        self.broker = _OnBench(self.exchange, self.switches, self)

    def now_ns(self) -> int:
        """Return the time of the bench."""
        return self._now_ns

    async def trade(
        self, open_: float, high: float, low: float, close: float, *, volume: float = 100_000.0, symbol: str = "AAPL"
    ) -> None:
        """Let a minute happen as four prints, which share a tenth of its volume."""
        self._now_ns += 60_000_000_000
        size = volume / 10
        for price in (open_, high, low, close):
            size = self.exchange.trade(symbol, price, size)
        await asyncio.sleep(0)

    async def next_session(self) -> None:
        """End the session."""
        self.exchange.close_session()

    async def execute(self, reference: str, quantity: float, price: float) -> None:
        """Execute a part of an order."""
        self.exchange.fill(self._id(reference), quantity, price)

    async def reject(self, reference: str, reason: str) -> None:
        """Refuse an order that was taken."""
        self.exchange.reject(self._id(reference), reason)

    async def foreign(self, request: OrderRequest) -> None:
        """Let somebody else send an order."""
        self.exchange.call("place", **order_fields(request))

    async def drop(self) -> None:
        """Break the connection."""
        self.exchange.cut()

    async def restart_empty(self) -> None:
        """Let the exchange forget every order."""
        self.exchange.restart()

    def _id(self, reference: str) -> str:
        return str(self.exchange.call("lookup", ref=reference)["id"])


@asynccontextmanager
async def open_bench(terms: Any) -> AsyncIterator[TemplateBench]:
    """Open the bench, with a new account by the terms of a case."""
    yield TemplateBench(terms)
