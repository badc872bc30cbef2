"""Cancels and replacements on their way to the venue: until they arrive, the order works as it stands."""

from __future__ import annotations

from typing import Final, NamedTuple

from fairlead.core.instruments import Instrument
from fairlead.core.intents import ReplaceIntent
from fairlead.core.orders import Order, OrderStatus, OrderType
from fairlead.execution.families import EXITS
from fairlead.execution.pricing import prices_on_tick

_TRAILING: Final = OrderType.TRAILING_STOP
_PENDING_CANCEL: Final = OrderStatus.PENDING_CANCEL


class Request(NamedTuple):
    """A wish to cancel an order, or to change it."""

    arrives_ns: int
    order: Order
    change: ReplaceIntent | None
    """None to cancel."""


class Requests:
    """What is on its way.

    Attributes
    ----------
    waiting : list of Request
        In order of arrival.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[Request] = []

    def add(self, request: Request) -> None:
        """Send a request off."""
        self.waiting.append(request)
        self.waiting.sort(key=lambda waiting: waiting.arrives_ns)

    def arrived(self, until_ns: int, order: Order | None = None) -> list[Request]:
        """Return, and take out, what has arrived by an instant, for one order or for all, and concerns one that still works."""
        due: list[Request] = []
        waiting: list[Request] = []
        for request in self.waiting:
            meant = request.arrives_ns <= until_ns and (order is None or request.order is order)
            (due if meant else waiting).append(request)
        self.waiting = waiting
        return [request for request in due if not request.order.is_terminal]

    def last(self, order: Order, until_ns: int) -> int:
        """Return when the last request of an order arrives that does so by an instant."""
        return max(request.arrives_ns for request in self.waiting if request.order is order and request.arrives_ns <= until_ns)

    def touched(self, until_ns: int) -> set[str]:
        """Return the orders that a request will have reached by an instant."""
        return {request.order.order_id for request in self.waiting if request.arrives_ns <= until_ns}


class Terms(NamedTuple):
    """What an order asks for: unsigned units, and prices in currency."""

    quantity: float
    limit_price: float | None
    stop_price: float | None


def changed_terms(order: Order, change: ReplaceIntent, instrument: Instrument) -> Terms | None:
    """Return what a working order would ask for after a change, on the grids; None if it cannot be changed so."""
    quantity = order.quantity if change.quantity is None else instrument.floor_quantity(change.quantity)
    wrong = (change.limit_price is not None and order.limit_price is None) or (
        change.stop_price is not None and (order.stop_price is None or order.order_type is _TRAILING)
    )
    # The size of an exit follows its entry.
    wrong = wrong or (change.quantity is not None and order.role in EXITS)
    if wrong or quantity <= order.filled_quantity or order.status is _PENDING_CANCEL:
        return None
    limit = order.limit_price if change.limit_price is None else change.limit_price
    stop = order.stop_price if change.stop_price is None else change.stop_price
    return Terms(quantity, *prices_on_tick(instrument, order.side, limit, stop))
