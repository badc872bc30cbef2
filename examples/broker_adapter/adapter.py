"""A template of a broker adapter: copy it, and put your broker's client library in the place of `Exchange`.

What is yours to write stands in three places: the tables and functions that translate (both ways), `_ask` with the broker's
kinds of no, and the lines of `connect` and `disconnect`. The rest can stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from broker_adapter.exchange import Exchange, ExchangeError, Message
from fairlead.core.errors import BrokerAccess, BrokerConnection, OrderRejected, OrderUnresolved, PacingViolation
from fairlead.core.orders import OrderStatus, OrderType, Side, TimeInForce
from fairlead.execution.brokers.endpoint import Endpoint, EndpointKind
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind
from fairlead.execution.brokers.seam import BrokerHealth, BrokerTraits
from fairlead.execution.brokers.terms import check_terms
from fairlead.execution.brokers.words import (
    BrokerAccount,
    BrokerEvent,
    BrokerOrder,
    BrokerPosition,
    ChangeRequest,
    Execution,
    LinkKind,
    LinkNotice,
    OrderRequest,
)

NAME = "template"
# A table for each word that the broker and Fairlead say differently. What is in none of them must not be guessed: an order in
# a state that nobody knows is an error that is told, not an order that is forgotten.
KINDS = MappingProxyType(
    {OrderType.MARKET: "MKT", OrderType.LIMIT: "LMT", OrderType.STOP: "STP", OrderType.STOP_LIMIT: "STPLMT"}
)
TIMES = MappingProxyType({one: str(one) for one in (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)})
SIDES = MappingProxyType({Side.BUY: "B", Side.SELL: "S"})
STATES = MappingProxyType(
    {
        "open": OrderStatus.ACKNOWLEDGED,
        "part": OrderStatus.PARTIALLY_FILLED,
        "done": OrderStatus.FILLED,
        "gone": OrderStatus.CANCELLED,
        "no": OrderStatus.REJECTED,
        "over": OrderStatus.EXPIRED,
    }
)
_KINDS_BACK = MappingProxyType({word: kind for kind, word in KINDS.items()})
_SIDES_BACK = MappingProxyType({word: side for side, word in SIDES.items()})


def order_fields(request: OrderRequest) -> dict[str, Any]:
    """Return an order in the broker's words."""
    return {
        "ref": request.reference,
        "sym": request.symbol,
        "side": SIDES[request.side],
        "qty": float(request.quantity),
        "kind": KINDS[request.order_type],
        "tif": TIMES[request.time_in_force],
        "px": _number(request.limit_price),
        "trigger": _number(request.stop_price),
    }


def read_order(message: Message) -> BrokerOrder:
    """Return an order in our words."""
    return BrokerOrder(
        message["ref"],
        message["id"],
        message["sym"],
        _SIDES_BACK[message["side"]],
        _KINDS_BACK[message["kind"]],
        quantity=message["qty"],
        filled=message["done"],
        average_price=message["avg"],
        status=STATES[message["state"]],
        limit_price=message["px"],
        stop_price=message["trigger"],
        reason=message["why"],
        ts_ns=message["at"],
    )


def read_fill(message: Message) -> Execution:
    """Return an execution in our words."""
    return Execution(
        message["fill"],
        message["ref"],
        message["id"],
        message["sym"],
        _SIDES_BACK[message["side"]],
        message["qty"],
        message["px"],
        commission=0.0,
        ts_ns=message["at"],
    )


class TemplateBroker:
    """An account at the exchange of the template; see `fairlead.execution.brokers.seam.Broker` for what each method promises.

    Parameters
    ----------
    exchange : Exchange
        Here the thing itself; in an adapter of yours, its client.
    now_ns : callable
        The real time, nanoseconds.
    answer_s : float
        How long an answer is waited for.
    """

    def __init__(self, exchange: Exchange, *, now_ns: Callable[[], int], answer_s: float = 10.0) -> None:
        self._exchange, self._now_ns, self._answer_s = exchange, now_ns, answer_s
        self._is_connected = False
        self._heard_ns: int | None = None
        self._events: asyncio.Queue[BrokerEvent | None] = asyncio.Queue()

    @property
    def name(self) -> str:
        """How it is called in a configuration."""
        return NAME

    @property
    def traits(self) -> BrokerTraits:
        """What it can do: say less rather than more."""
        return BrokerTraits(order_types=frozenset(KINDS), times_in_force=frozenset(TIMES), calls_per_minute=600, burst=20)

    async def connect(self) -> BrokerAccount:
        """Connect, and return the account."""
        if not self._is_connected:
            self._is_connected = True
            try:
                await self._ask("funds")  # keys that are not accepted are found out here, and not with the first order
            except (BrokerAccess, BrokerConnection):
                self._is_connected = False
                raise
            self._exchange.open_line(self._hear, self._lost)
            self._tell(LinkNotice(LinkKind.UP, self._now_ns()))
        return await self.account()

    async def disconnect(self) -> None:
        """End the connection, and the events with it."""
        self._is_connected = False
        self._exchange.open_line(lambda _message: None, lambda: None)
        ended, self._events = self._events, asyncio.Queue()
        ended.put_nowait(None)

    def health(self) -> BrokerHealth:
        """Return how it stands, without asking."""
        return BrokerHealth(self._is_connected, self._heard_ns, "" if self._is_connected else "not connected")

    async def submit(self, requests: Sequence[OrderRequest]) -> Sequence[BrokerOrder]:
        """Send orders: what the broker does not take is refused before anything is sent."""
        check_terms(requests, self.traits, NAME)
        orders: list[BrokerOrder] = []
        for request in requests:
            try:
                orders.append(read_order(await self._ask("place", is_order=True, **order_fields(request))))
            except OrderRejected:
                # All of them, or none.
                for order in orders:
                    await self.cancel(order.reference)
                raise
        return orders

    async def cancel(self, reference: str) -> None:
        """Take an order back."""
        await self._ask("withdraw", is_order=True, id=await self._id(reference))

    async def replace(self, change: ChangeRequest) -> BrokerOrder:
        """Change an order, under its reference."""
        terms = {"qty": change.quantity, "px": change.limit_price, "trigger": change.stop_price}
        numbers = {name: _number(value) for name, value in terms.items()}
        return read_order(await self._ask("amend", is_order=True, id=await self._id(change.reference), **numbers))

    async def find(self, reference: str) -> BrokerOrder | None:
        """Return an order by our reference: None only if the broker said that there is none."""
        message = await self._ask("lookup", ref=reference)
        return None if message is None else read_order(message)

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """Return every order that can still fill."""
        return [read_order(message) for message in await self._ask("listing")]

    async def executions(self, since_ns: int) -> Sequence[Execution]:
        """Return what was executed since an instant."""
        return [read_fill(message) for message in await self._ask("executions", since=since_ns)]

    async def positions(self) -> Sequence[BrokerPosition]:
        """Return what is held."""
        return [BrokerPosition(one["sym"], one["qty"], one["cost"]) for one in await self._ask("holdings")]

    async def account(self) -> BrokerAccount:
        """Return the account. `is_paper` is the broker's own word, never a guess: what is not known to be paper is not."""
        told = await self._ask("funds")
        return BrokerAccount(
            told["acct"],
            is_paper=True,
            currency="USD",
            nav=told["worth"],
            cash=told["cash"],
            buying_power=told["power"],
            can_short=told["short_ok"],
        )

    def events(self) -> AsyncIterator[BrokerEvent]:
        """Yield what is told, until `disconnect`."""
        return _until_none(self._events)

    async def _ask(self, what: str, *, is_order: bool = False, **told: Any) -> Any:
        """Ask the broker, once, and make our errors of its own.

        Whether an answer that never came is a lost connection or an order of which nobody knows is the one thing that an
        adapter must not get wrong: an order is never sent again before `find` has told.
        """
        if not self._is_connected:
            raise BrokerConnection(f"{NAME} is not connected. Call connect() first.")
        try:
            async with asyncio.timeout(self._answer_s):
                answer = await self._call(what, told)
        except ExchangeError as exc:
            raise _ERRORS.get(exc.code, OrderRejected)(f"{NAME} refuses {what}: {exc}.") from exc
        except (TimeoutError, ConnectionError) as exc:
            if is_order:
                raise OrderUnresolved(f"{NAME} did not answer {what}: look the order up.") from exc
            raise BrokerConnection(f"{NAME} did not answer {what}.") from exc
        self._heard_ns = self._now_ns()
        return answer

    async def _call(self, what: str, told: dict[str, Any]) -> Any:
        # Your client's own coroutine; this exchange is here and answers at once.
        return self._exchange.call(what, **told)

    async def _id(self, reference: str) -> str:
        found = await self.find(reference)
        if found is None:
            raise OrderRejected(f"{NAME} has no order {reference!r}.")
        return found.broker_id

    def _hear(self, message: Message) -> None:
        self._tell(read_fill(message) if message["type"] == "fill" else read_order(message))

    def _lost(self) -> None:
        self._is_connected = False
        self._tell(LinkNotice(LinkKind.DOWN, self._now_ns(), "the line was lost"))

    def _tell(self, event: BrokerEvent) -> None:
        self._heard_ns = self._now_ns()
        self._events.put_nowait(event)


class TemplateKind(BrokerKind):
    """How a configuration opens it: ``execution: {type: broker, broker: 'broker_adapter.adapter:TemplateKind'}``.

    Parameters
    ----------
    symbols : tuple of str
    funds : float
    """

    symbols: tuple[str, ...] = ("AAPL", "MSFT", "SPY")
    funds: float = 100_000.0

    def endpoint(self) -> Endpoint:
        """Return where it connects to: nowhere but here."""
        return Endpoint(EndpointKind.PRACTICE, "in memory")

    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> TemplateBroker:  # noqa: ARG002
        """Return a broker that is not connected yet."""
        return TemplateBroker(Exchange(self.symbols, funds=self.funds, now_ns=now_ns), now_ns=now_ns)


_ERRORS: MappingProxyType[str, type[Exception]] = MappingProxyType({"busy": PacingViolation, "denied": BrokerAccess})


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


async def _until_none(events: asyncio.Queue[BrokerEvent | None]) -> AsyncIterator[BrokerEvent]:
    while (event := await events.get()) is not None:
        yield event
