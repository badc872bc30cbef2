"""Orders that wait for others to make way: at some brokers an order holds the units that it could sell, or buy back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fairlead.contracts.sessions import HoursOf
from fairlead.core.orders import Order, OrderStatus, OrderType, TimeInForce
from fairlead.core.time import NS_PER_SECOND
from fairlead.execution.brokers.seam import BrokerTraits
from fairlead.execution.families import EXITS

MAKES_WAY: Final = "makes_way"
"""Why an exit is taken back: another order is to sell what it holds."""
TOO_LATE: Final = "broker_refuses: too late for the closing auction"
STUCK_S: Final = 30
"""So long an order waits before somebody is told, in seconds."""
_MARGIN_S: Final = 60
_CLS: Final = TimeInForce.CLS
_PENDING_CANCEL: Final = OrderStatus.PENDING_CANCEL


class Yielding:
    """Knows which orders have to wait, for what, and until when.

    Exits make way for an order that closes: at once for one at the market; for one for the closing auction they stay until a
    minute before that has to be there. And exits themselves wait for what is being taken back, such as the other side of the
    entry: they would be refused, and what was entered would stand without them.

    Parameters
    ----------
    traits : BrokerTraits
    hours : callable
        Given a symbol, returns when its sessions are.
    """

    def __init__(self, traits: BrokerTraits, hours: Callable[[str], HoursOf]) -> None:
        self._traits, self._hours = traits, hours
        self.waiting: dict[str, Order] = {}
        self._told: set[str] = set()

    def must_wait(self, order: Order, working: Mapping[str, Order]) -> bool:
        """Return whether a broker would refuse an order because of what works there and is on its way out, or can be."""
        is_one = order.order_type is OrderType.MARKET or order.time_in_force is _CLS or order.role in EXITS
        return is_one and self._traits.exits_hold_units and bool(in_the_way(order, working))

    def is_too_late(self, order: Order, now_ns: int) -> bool:
        """Return whether an order cannot reach the auction that it is for any more."""
        close_ns = self._close_ns(order, now_ns)
        return close_ns is not None and now_ns > close_ns - round(self._traits.auction_lead_s * NS_PER_SECOND)

    def is_due(self, order: Order, now_ns: int) -> bool:
        """Return whether exits are to make way for an order now."""
        if order.time_in_force is not _CLS:
            return True
        close_ns = self._close_ns(order, now_ns)
        return close_ns is not None and now_ns >= close_ns - round((self._traits.auction_lead_s + _MARGIN_S) * NS_PER_SECOND)

    def blocking(self, working: Mapping[str, Order], now_ns: int) -> list[Order]:
        """Return the exits that are to be taken back now."""
        due = [order for order in self.waiting.values() if order.role not in EXITS and self.is_due(order, now_ns)]
        found = {exit_.order_id: exit_ for order in due for exit_ in in_the_way(order, working)}
        return [exit_ for exit_ in found.values() if exit_.status is not _PENDING_CANCEL]

    def stuck(self, now_ns: int) -> list[Order]:
        """Return what has waited for too long, and of which nobody has been told yet."""
        since_ns = now_ns - STUCK_S * NS_PER_SECOND
        untold = [order for name, order in self.waiting.items() if name not in self._told]
        return [order for order in untold if order.time_in_force is not _CLS and order.arrives_ns <= since_ns]

    def told(self, order: Order) -> None:
        """Note that somebody has been told of what is stuck."""
        self._told.add(order.order_id)

    def _close_ns(self, order: Order, now_ns: int) -> int | None:
        if order.time_in_force is not _CLS:
            return None
        hours = self._hours(order.symbol)(now_ns)
        return None if hours is None else hours.close_ns


def in_the_way(order: Order, working: Mapping[str, Order]) -> list[Order]:
    """Return what holds the units that an order is to sell, or to buy back, and will let go of them.

    For exits that is what is being taken back, and for other orders exits too.
    """
    same = (order.strategy, order.symbol, order.side)
    beside = [one for one in working.values() if one is not order and (one.strategy, one.symbol, one.side) == same]
    if order.role in EXITS:
        return [one for one in beside if one.role not in EXITS and one.status is _PENDING_CANCEL]
    return [one for one in beside if one.role in EXITS]
