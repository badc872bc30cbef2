"""The seam between Fairlead and a broker (domain rule 14.1): one small protocol, one module per implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fairlead.core.orders import OrderType, TimeInForce
from fairlead.execution.brokers.words import (
    BrokerAccount,
    BrokerEvent,
    BrokerOrder,
    BrokerPosition,
    ChangeRequest,
    Execution,
    OrderRequest,
)

_PLAIN_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT})
_PLAIN_TIMES = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK})


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerTraits:
    """What a broker can do, and how fast it may be asked.

    Parameters
    ----------
    order_types, times_in_force : frozenset
        What it takes; everything else is refused before it is sent.
    links_exits : bool
        Whether the two exits of a position, sent in one `submit`, cancel each other at the broker.
    links_sets : bool
        Whether orders of one `oco_id` do, whatever they are; otherwise that is done on our side.
    resizes_exits : bool
        Whether the quantity of linked exits can be changed.
    exits_hold_units : bool
        Whether exits that work hold the units that they could sell, so that no other order may sell them.
    auction_lead_s : float
        How long before the close an order for the closing auction has to be there.
    commission_s : float
        How long after an execution its commission may be told; 0 if they come together.
    is_fractional : bool
        Whether it takes parts of a unit.
    calls_per_minute : int
        All that may be asked in a minute, orders or not.
    burst : int
        Most of these at once.
    poll_s : float
        How often orders and executions are asked for although they are told; 0 for never.
    """

    order_types: frozenset[OrderType] = field(default=_PLAIN_TYPES)
    times_in_force: frozenset[TimeInForce] = field(default=_PLAIN_TIMES)
    links_exits: bool = False
    links_sets: bool = False
    resizes_exits: bool = True
    exits_hold_units: bool = False
    auction_lead_s: float = 0.0
    commission_s: float = 0.0
    is_fractional: bool = False
    calls_per_minute: int = 3_000
    burst: int = 50
    poll_s: float = 5.0


@dataclass(frozen=True, slots=True)
class BrokerHealth:
    """How a broker stands.

    Parameters
    ----------
    is_connected : bool
        What the connection says of itself.
    heard_ns : int or None
        When anything last came from it, by our clock, nanoseconds.
    text : str
        What is wrong; empty if nothing is.
    """

    is_connected: bool
    heard_ns: int | None = None
    text: str = ""


class Broker(Protocol):
    """A broker. Its methods belong to one asyncio loop; every implementation passes `tests/conformance/test_brokers.py`.

    No method tries anything twice by itself: whoever calls decides that. What comes of an order is told by `events`, whatever
    the call that sent it returned. Every method raises `BrokerConnection` if the broker cannot be reached, `PacingViolation` if
    it says that too much was asked, and `BrokerAccess` if it does not accept keys or account (any more).
    """

    @property
    def name(self) -> str:
        """How it is called in a configuration."""

    @property
    def traits(self) -> BrokerTraits:
        """What it can do."""

    async def connect(self) -> BrokerAccount:
        """Connect, and return the account; after it `events` tells what happens from now on.

        It can be called again after a connection was lost, and does nothing while there is one.
        """

    async def disconnect(self) -> None:
        """End the connection; a second call does nothing. Orders go on working."""

    def health(self) -> BrokerHealth:
        """Return how it stands, without asking it."""

    async def submit(self, requests: Sequence[OrderRequest]) -> Sequence[BrokerOrder]:
        """Send an order, or the two exits of a position that belong together.

        Returns
        -------
        sequence of BrokerOrder
            As the broker has them now, in the order of `requests`.

        Raises
        ------
        OrderRejected
            If the broker refuses: none of them works there. The text has its reason.
        OrderUnresolved
            If it is not known whether they arrived: `find` tells, and nothing is sent again before it has.
        """

    async def cancel(self, reference: str) -> None:
        """Ask for an order to be taken back. What comes of it is told by `events`; of one that has ended, nothing.

        Raises
        ------
        OrderRejected
            If there is no such order, or it cannot be taken back any more.
        OrderUnresolved
            If it is not known whether the wish arrived.
        """

    async def replace(self, change: ChangeRequest) -> BrokerOrder:
        """Change a working order under its reference, and return it as it is now.

        Raises
        ------
        OrderRejected
            If it cannot be changed (so): it is what it was.
        OrderUnresolved
            If it is not known whether the wish arrived.
        """

    async def find(self, reference: str) -> BrokerOrder | None:
        """Return the order with our reference, ended or not; None only if the broker surely has none."""

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """Return every order of the account that can still fill, also of others."""

    async def executions(self, since_ns: int) -> Sequence[Execution]:
        """Return what was executed at or after an instant, in the order in which it happened, as far as the broker keeps it."""

    async def positions(self) -> Sequence[BrokerPosition]:
        """Return what the account holds; what is flat is left out."""

    async def account(self) -> BrokerAccount:
        """Return the account as it stands."""

    def events(self) -> AsyncIterator[BrokerEvent]:
        """Yield what the broker tells: repeated, late and out of order as it comes. It ends when `disconnect` was called.

        A connection that is lost is told by a `LinkNotice`, and does not end it: `connect` goes on with it.
        """
