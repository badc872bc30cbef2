"""The simulated broker: the seam over an account in memory, at a distance, on a line that can be lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, TypeVar

from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.core.errors import BrokerAccess, BrokerConnection, OrderRejected, OrderUnresolved, PacingViolation
from fairlead.core.identity import random_stream
from fairlead.core.orders import OrderType, TimeInForce
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.live.feed import Sleep
from fairlead.execution.brokers.seam import BrokerHealth, BrokerTraits
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.simulated.switches import Switches
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
from fairlead.execution.latency import Latency, LatencyKind, LatencySettings

AnswerT = TypeVar("AnswerT")
NAME: Final = "simulated"
_SUBMIT, _CANCEL, _REPLACE = LatencyKind.SUBMIT, LatencyKind.CANCEL, LatencyKind.REPLACE


class SimulatedBrokerSettings(Settings):
    """How far away a simulated broker is.

    Parameters
    ----------
    latency : LatencySettings
        How long an order, a cancel or a change is on its way; answers come back at once.
    answer_s : float
        How long an answer is waited for, in seconds.
    seed : int
        Of the latency.
    """

    latency: LatencySettings = LatencySettings()
    answer_s: float = Field(default=10.0, gt=0, le=300)
    seed: int = Field(default=42, ge=0, lt=2**63)


class SimulatedBroker:
    """A `Broker` over an account in memory.

    Parameters
    ----------
    account : SimulatedAccount
    settings : SimulatedBrokerSettings, optional
    now_ns : callable
        Stamps what is told of the line, and when something was heard.
    sleep : callable
        Waits for seconds.
    switches : Switches, optional
        What goes wrong on the way.
    """

    def __init__(
        self,
        account: SimulatedAccount,
        settings: SimulatedBrokerSettings | None = None,
        *,
        now_ns: Callable[[], int],
        sleep: Sleep = asyncio.sleep,
        switches: Switches | None = None,
    ) -> None:
        self.switches = Switches() if switches is None else switches
        self._settings = settings = SimulatedBrokerSettings() if settings is None else settings
        self._now_ns, self._sleep = now_ns, sleep
        self._latency = Latency(settings.latency, lambda name: random_stream(settings.seed, name))
        self._is_connected = False
        self._heard_ns: int | None = None
        self._events: asyncio.Queue[BrokerEvent | None] = asyncio.Queue()
        self._attend(account)

    @property
    def name(self) -> str:
        """How it is called in a configuration."""
        return NAME

    @property
    def traits(self) -> BrokerTraits:
        """What it can do: everything, and fractions where an instrument has them."""
        return BrokerTraits(
            order_types=frozenset(OrderType),
            times_in_force=frozenset(TimeInForce),
            links_exits=True,
            links_sets=True,
            is_fractional=any(one.lot_step < 1.0 for one in self._account.instruments.values()),
        )

    async def connect(self) -> BrokerAccount:
        """Connect, and return the account."""
        if not self._is_connected:
            if self.switches.refuses_keys:
                raise BrokerAccess(f"the simulated broker does not accept the keys of {self._account.account_id}.")
            if self.switches.is_silent:
                await self._sleep(self._settings.answer_s)
                raise BrokerConnection("the simulated broker does not answer.")
            self._is_connected = True
            self._tell(LinkNotice(LinkKind.UP, self._now_ns()))
        return self._account.account()

    async def disconnect(self) -> None:
        """End the connection, and the events with it; orders go on working."""
        self._is_connected = False
        ended, self._events = self._events, asyncio.Queue()
        ended.put_nowait(None)

    def health(self) -> BrokerHealth:
        """Return how it stands."""
        return BrokerHealth(self._is_connected, self._heard_ns, "" if self._is_connected else "the line is down")

    async def submit(self, requests: Sequence[OrderRequest]) -> Sequence[BrokerOrder]:
        """Send an order, or the two exits of a position; see `Broker`."""
        check_terms(requests, self.traits, NAME)
        self._begin("submit")
        if self.switches.take("loses_orders"):
            self._lose("before the order was there")
        await self._travel(_SUBMIT)
        if self.switches.refuses_orders:
            raise OrderRejected(f"the simulated broker takes no orders: {self.switches.refuses_orders}.")
        return await self._answer(lambda: self._account.submit(requests))

    async def cancel(self, reference: str) -> None:
        """Take an order back; see `Broker`."""
        self._begin("cancel")
        await self._travel(_CANCEL)
        await self._answer(lambda: self._account.cancel(self._named(reference)))

    async def cancel_others(self, broker_ids: Sequence[str]) -> None:
        """Take back orders that somebody else sent; see `CancelsOthers`."""
        for broker_id in broker_ids:
            self._begin("cancel")
            await self._travel(_CANCEL)
            with contextlib.suppress(OrderRejected):  # it has ended meanwhile
                self._account.cancel(broker_id)

    async def replace(self, change: ChangeRequest) -> BrokerOrder:
        """Change an order; see `Broker`."""
        self._begin("replace")
        await self._travel(_REPLACE)
        return await self._answer(lambda: self._account.replace(self._named(change.reference), change))

    async def find(self, reference: str) -> BrokerOrder | None:
        """Return the order with a reference, None if there is none."""
        return await self._ask("find", lambda: self._account.find(reference))

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """Return the orders that can still fill."""
        return await self._ask("open_orders", self._account.open_orders)

    async def executions(self, since_ns: int) -> Sequence[Execution]:
        """Return what was executed at or after an instant."""
        return await self._ask("executions", lambda: self._account.executions(since_ns))

    async def positions(self) -> Sequence[BrokerPosition]:
        """Return what the account holds."""
        return await self._ask("positions", self._account.positions)

    async def account(self) -> BrokerAccount:
        """Return the account as it stands."""
        return await self._ask("account", self._account.account)

    def events(self) -> AsyncIterator[BrokerEvent]:
        """Yield what the broker tells, until `disconnect` is called."""
        # Now, not when the first is asked for: `disconnect` may come before that.
        return _until_none(self._events)

    # What happens to it.

    def drop(self, text: str = "the line was lost") -> None:
        """Lose the line: what happens from now on is told to nobody."""
        if self._is_connected:
            self._tell(LinkNotice(LinkKind.DOWN, self._now_ns(), text))
            self._is_connected = False

    def restart(self, account: SimulatedAccount) -> None:
        """Let another account be behind it, as after a restart of the broker; the line is lost with the old one."""
        self.drop("the broker was restarted")
        self._attend(account)

    def _attend(self, account: SimulatedAccount) -> None:
        self._account = account
        # One that was restarted away has nothing to say any more.
        account.listen(lambda news: self._hear(news) if account is self._account else None)

    def _hear(self, news: BrokerOrder | Execution) -> None:
        if self._is_connected and not self.switches.is_silent:
            for _ in range(1 + self.switches.repeats):
                self._tell(news)

    def _tell(self, event: BrokerEvent) -> None:
        self._heard_ns = self._now_ns()
        self._events.put_nowait(event)

    def _begin(self, call: str) -> None:
        """Raise what keeps a call from being heard at all."""
        if not self._is_connected:
            raise BrokerConnection("the simulated broker is not connected. Call connect() first.")
        self.switches.calls.append(call)
        if self.switches.refuses_keys:
            raise BrokerAccess(f"the simulated broker does not accept the keys of {self._account.account_id} any more.")
        if self.switches.take("too_many"):
            raise PacingViolation("the simulated broker says that too much was asked of it.")

    async def _ask(self, call: str, answer: Callable[[], AnswerT]) -> AnswerT:
        self._begin(call)
        if self.switches.is_silent:
            await self._sleep(self._settings.answer_s)
            raise BrokerConnection("the simulated broker does not answer.")
        self._heard_ns = self._now_ns()
        return answer()

    async def _travel(self, kind: LatencyKind) -> None:
        delay_ns = self._latency.draw_ns(NAME, kind)
        if delay_ns:
            await self._sleep(delay_ns / NS_PER_SECOND)
        if not self._is_connected or self.switches.is_silent:
            await self._time_out()

    async def _answer(self, act: Callable[[], AnswerT]) -> AnswerT:
        answer = act()
        if self.switches.take("loses_answers"):
            self._lose("before the answer")
        if self.switches.holds_answers:
            await self._time_out()
        self._heard_ns = self._now_ns()
        return answer

    async def _time_out(self) -> None:
        if self._is_connected:
            await self._sleep(self._settings.answer_s)
        raise OrderUnresolved("the simulated broker has not answered: look the order up before anything is sent again.")

    def _lose(self, when: str) -> None:
        self.drop(f"the line was lost {when}")
        raise OrderUnresolved(f"the line to the simulated broker was lost {when}: look the order up.")

    def _named(self, reference: str) -> str:
        found = self._account.find(reference)
        if found is None:
            raise OrderRejected(f"there is no order {reference!r} at the simulated broker.")
        return found.broker_id


async def _until_none(events: asyncio.Queue[BrokerEvent | None]) -> AsyncIterator[BrokerEvent]:
    while (event := await events.get()) is not None:
        yield event
