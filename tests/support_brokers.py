"""Brokers for the conformance suite: each on a bench, with the market and the failures behind it in the test's hand."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from fairlead.core.events import Bar
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderType, Side, TimeInForce
from fairlead.core.time import NS_PER_MINUTE, to_ns
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.simulated.broker import SimulatedBroker, SimulatedBrokerSettings
from fairlead.execution.brokers.simulated.switches import Switches
from fairlead.execution.brokers.words import BrokerEvent, BrokerOrder, Execution, OrderRequest
from fairlead.execution.settings import ExecutionSettings

T = TypeVar("T")
SYMBOLS = ("AAPL", "MSFT", "SPY")
SESSIONS_NS = tuple(to_ns(dt.datetime(2024, 1, day, 14, 30, tzinfo=dt.UTC)) for day in (2, 3, 4))
"""The openings of three sessions in New York, one after another."""
ANSWER_S = 0.25
"""How long a broker on a bench may wait for an answer."""
PATIENCE_S = 10.0
"""After which a test that waits for something fails."""
ACTS = frozenset(
    {"trade", "next_session", "execute", "correct", "bust", "reject", "foreign", "drop", "restart_empty", "repeats"}
    | {"holds_answers", "loses_answers", "loses_orders", "too_many", "refuses_keys"}
)
"""What cases do to a bench. A broker that is only begun may lack some; those of the house lack none."""


@dataclass(frozen=True, kw_only=True)
class AccountTerms:
    """The account that a case wants."""

    cash: float = 100_000.0
    can_short: bool = True
    lot_step: float = 1.0


class Bench(Protocol):
    """A broker of a new account, not connected yet, and what stands behind it.

    A price of 100 has been seen in every symbol.
    """

    broker: Broker
    switches: Switches
    lacks: frozenset[str]
    """Acts of `ACTS` that it cannot do."""
    charges: bool
    """Whether executions cost commission."""

    async def trade(
        self, open_: float, high: float, low: float, close: float, *, volume: float = 100_000.0, symbol: str = "AAPL"
    ) -> None:
        """Let a minute of a symbol happen: a tenth of its volume is there for orders."""

    async def next_session(self) -> None:
        """Let the next minute be the first of the next session."""

    async def execute(self, reference: str, quantity: float, price: float) -> None:
        """Execute a part of an order, whatever the market does."""

    async def correct(self, reference: str, quantity: float, price: float) -> None:
        """Put other numbers in the place of an order's last execution."""

    async def bust(self, reference: str) -> None:
        """Let an order's last execution never have been."""

    async def reject(self, reference: str, reason: str) -> None:
        """Refuse an order that was taken before."""

    async def foreign(self, request: OrderRequest) -> None:
        """Let somebody else send an order for the same account."""

    async def drop(self) -> None:
        """Break the connection."""

    async def restart_empty(self) -> None:
        """Let the broker begin anew: it has the same account, and knows of no orders any more."""


class AccountBench:
    """What a bench does whose broker has a `SimulatedAccount` behind it, in this process and in this loop."""

    lacks: frozenset[str] = frozenset()
    charges = True

    def __init__(self, terms: AccountTerms) -> None:
        self.terms = terms
        self.switches = Switches()
        self._session, self._minute = 0, 0
        self._now_ns = SESSIONS_NS[0]
        self.account = self.open_account()

    def open_account(self, serial: int = 0) -> SimulatedAccount:
        """Return a new account by the terms; prices of 100 have been seen."""
        terms, model = self.terms, "bps" if self.charges else "none"
        account = SimulatedAccount(
            "DU0000001",
            symbols=SYMBOLS,
            now_ns=lambda: self._now_ns,
            cash=terms.cash,
            instruments={
                name: Instrument(symbol=name, lot_step=terms.lot_step, min_quantity=terms.lot_step) for name in SYMBOLS
            },
            settings=ExecutionSettings.model_validate(
                {"account": {"type": "reg_t"}, "slippage": {"model": "none"}, "commission": {"model": model}}
            ),
            can_short=terms.can_short,
            serial=serial,
        )
        label = self._next_label()
        account.step({name: Bar(name, label, self._now_ns, 100.0, 100.0, 100.0, 100.0, 1000.0) for name in SYMBOLS})
        return account

    async def trade(
        self, open_: float, high: float, low: float, close: float, *, volume: float = 100_000.0, symbol: str = "AAPL"
    ) -> None:
        label = self._next_label()
        self.account.step({symbol: Bar(symbol, label, self._now_ns, open_, high, low, close, volume)})
        await asyncio.sleep(0)

    async def next_session(self) -> None:
        self._session, self._minute = self._session + 1, 0

    async def execute(self, reference: str, quantity: float, price: float) -> None:
        self._now_ns += 1_000_000
        self.account.execute(self._id(reference), quantity, price)

    async def correct(self, reference: str, quantity: float, price: float) -> None:
        self._now_ns += 1_000_000
        self.account.correct(self._last(reference), quantity, price)

    async def bust(self, reference: str) -> None:
        self._now_ns += 1_000_000
        self.account.bust(self._last(reference))

    async def reject(self, reference: str, reason: str) -> None:
        self.account.reject(self._id(reference), reason)

    async def foreign(self, request: OrderRequest) -> None:
        self.account.submit([request])

    def _next_label(self) -> int:
        label = SESSIONS_NS[self._session] + self._minute * NS_PER_MINUTE
        self._minute += 1
        self._now_ns = label + NS_PER_MINUTE
        return label

    def _id(self, reference: str) -> str:
        found = self.account.find(reference)
        assert found is not None, f"the account has no order {reference!r}"
        return found.broker_id

    def _last(self, reference: str) -> str:
        return [e.execution_id for e in self.account.executions() if e.reference == reference][-1]


class SimulatedBench(AccountBench):
    """The simulated broker; its line is the test's."""

    def __init__(self, terms: AccountTerms) -> None:
        super().__init__(terms)
        settings = SimulatedBrokerSettings.model_validate({"latency": {"mean_ms": 0, "std_ms": 0}, "answer_s": ANSWER_S})
        self.broker = SimulatedBroker(self.account, settings, now_ns=lambda: self._now_ns, switches=self.switches)

    async def drop(self) -> None:
        self.broker.drop()

    async def restart_empty(self) -> None:
        self.account = self.open_account(self.account.serial + 1)
        self.broker.restart(self.account)


@asynccontextmanager
async def open_simulated(terms: AccountTerms) -> AsyncIterator[Bench]:
    """Open the bench of the simulated broker."""
    yield SimulatedBench(terms)


OpenBench = Callable[[AccountTerms], AbstractAsyncContextManager[Bench]]
BENCHES: dict[str, str] = {
    "simulated": "support_brokers:open_simulated",
    "ibkr": "support_ibkr:open_ibkr",
    "alpaca": "support_alpaca_bench:open_alpaca",
    "template": "broker_adapter.bench:open_bench",
}
"""The brokers of the house, and where their benches are opened: `package.module:function`, an `OpenBench`."""
UNFINISHED = frozenset({"template"})
"""A skeleton may lack something."""


def bench_opener(name: str) -> OpenBench:
    """Return what opens a bench: one of `BENCHES`, or `package.module:function`."""
    module, _, attribute = BENCHES.get(name, name).partition(":")
    opener: OpenBench = getattr(importlib.import_module(module), attribute)
    return opener


class Ear:
    """Hears what a broker tells, and keeps it."""

    def __init__(self, broker: Broker) -> None:
        self.heard: list[BrokerEvent] = []
        self._news = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._listen(broker.events()))
        self.is_over = False

    async def _listen(self, events: AsyncIterator[BrokerEvent]) -> None:
        async for event in events:
            self.heard.append(event)
            self._news.set()
        self.is_over = True
        self._news.set()

    async def until(self, condition: Callable[[], T | None], what: str = "") -> T:
        """Wait until something that was heard makes a condition true, and return what it returned."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (found := condition()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"never heard {what or condition}; heard {self.heard}") from None
        return found

    def orders(self, reference: str) -> list[BrokerOrder]:
        """Return what was told of an order."""
        return [event for event in self.heard if isinstance(event, BrokerOrder) and event.reference == reference]

    def executions(self, reference: str) -> dict[str, Execution]:
        """Return the executions of an order by their ids: what is told twice is one."""
        told = [event for event in self.heard if isinstance(event, Execution) and event.reference == reference]
        return {execution.execution_id: execution for execution in told}

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


class Stage:
    """A bench, its broker connected, and an ear at it: what a case is given."""

    def __init__(self, bench: Bench, ear: Ear) -> None:
        self.bench, self.broker, self.ear = bench, bench.broker, ear
        self._count = 0

    @property
    def switches(self) -> Switches:
        """What goes wrong on the way."""
        return self.bench.switches

    def request(
        self, side: Side = Side.BUY, quantity: float | str = 10, kind: OrderType = OrderType.MARKET, **terms: Any
    ) -> OrderRequest:
        """Return an order that a broker can be asked for, under a reference of its own; prices as numbers."""
        self._count += 1
        prices = {name: Decimal(str(terms.pop(name))) for name in ("limit_price", "stop_price") if name in terms}
        named = {"reference": f"ord_{self._count:032x}", "symbol": "AAPL", **terms}
        return OrderRequest(side=side, quantity=Decimal(str(quantity)), order_type=kind, **prices, **named)

    async def send(
        self, side: Side = Side.BUY, quantity: float | str = 10, kind: OrderType = OrderType.MARKET, **terms: Any
    ) -> str:
        """Send an order, and return its reference."""
        request = self.request(side, quantity, kind, **terms)
        await self.broker.submit([request])
        return request.reference

    async def rest(self, side: Side = Side.BUY, quantity: float = 10, limit_price: float = 90.0, **terms: Any) -> str:
        """Send an order that rests away from the market, wait until it is acknowledged, and return its reference."""
        terms = {"time_in_force": TimeInForce.GTC, **terms}
        reference = await self.send(side, quantity, OrderType.LIMIT, limit_price=limit_price, **terms)
        await self.found(reference, lambda order: order.status.value == "ACKNOWLEDGED")
        return reference

    async def buy(self, quantity: float = 10, price: float = 100.0, **terms: Any) -> str:
        """Buy at the market, wait until the fill is told, and return the reference."""
        reference = await self.send(Side.BUY, quantity, **terms)
        await self.bench.trade(price, price, price, price)
        await self.filled(reference, quantity)
        return reference

    async def filled(self, reference: str, quantity: float) -> None:
        """Wait until so much of an order has been told as executed, and the broker says the same of the order."""

        def is_told() -> bool:
            return sum(e.quantity for e in self.ear.executions(reference).values() if not e.replaces) >= quantity

        await self.ear.until(is_told, f"{quantity} of {reference}")
        await self.found(reference, lambda order: order.filled >= quantity)

    async def found(self, reference: str, condition: Callable[[BrokerOrder], bool]) -> BrokerOrder:
        """Ask for an order until it is as it should be: a broker may be slow to show what it has told."""
        order = None
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    order = await self.broker.find(reference)
                    if order is not None and condition(order):
                        return order
                    await asyncio.sleep(0.01)
        raise AssertionError(f"order {reference} never was as it should be, was {order}")

    async def ended(self, reference: str) -> BrokerOrder:
        """Wait until the broker tells that an order has ended, and return it."""

        def last() -> BrokerOrder | None:
            told = self.ear.orders(reference)
            ended = [order for order in told if order.status.value in {"FILLED", "CANCELLED", "REJECTED", "EXPIRED"}]
            return ended[-1] if ended else None

        return await self.ear.until(last, f"the end of {reference}")

    async def eventually(self, ask: Callable[[], Awaitable[T]], expected: T) -> None:
        """Ask until the answer is what it should be."""
        answer: Any = None
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while (answer := await ask()) != expected:  # noqa: ASYNC110  there is nobody who would tell
                    await asyncio.sleep(0.01)
        assert answer == expected

    async def held(self) -> dict[str, float]:
        """Return the signed units of the account, by symbol."""
        return {position.symbol: position.quantity for position in await self.broker.positions()}

    async def open_references(self) -> list[str]:
        """Return the references of the orders that can still fill, sorted."""
        return sorted(order.reference for order in await self.broker.open_orders())


@asynccontextmanager
async def open_stage(name: str, terms: AccountTerms) -> AsyncIterator[Stage]:
    """Open a bench, connect its broker, and listen."""
    async with bench_opener(name)(terms) as bench:
        await bench.broker.connect()
        ear = Ear(bench.broker)
        try:
            yield Stage(bench, ear)
        finally:
            await bench.broker.disconnect()
            await ear.close()


def play(name: str, case: Callable[[Stage], Awaitable[None]], terms: AccountTerms, needs: Sequence[str]) -> str | None:
    """Play a case on a bench; return why it does not apply, if so."""

    async def played() -> str | None:
        async with asyncio.timeout(6 * PATIENCE_S), open_stage(name, terms) as stage:
            lacking = sorted(set(needs) & stage.bench.lacks)
            if lacking:
                return f"its bench lacks {', '.join(lacking)}"
            try:
                await case(stage)
            except DoesNotApplyError as exc:
                return str(exc)
            return None

    return asyncio.run(played())


class DoesNotApplyError(Exception):
    """A broker's traits say that a case is none of it."""
