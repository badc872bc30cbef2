"""The orders of a simulated account, ended or not, by the account's name for them and by their owner's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from fairlead.core.errors import OrderRejected
from fairlead.core.orders import Order, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from fairlead.execution.brokers.words import BrokerOrder, OrderRequest

_IDS_OF_A_SERIAL: Final = 1_000_000
_TOLD_REASONS: Final = frozenset({OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})


class AccountOrders:
    """Keeps every order that an account ever had.

    An order's `order_id` is the account's name for it, its `tag` the reference of whoever sent it.

    Parameters
    ----------
    serial : int
        Goes into the names, so that those of an account that began anew are others.
    now_ns : callable
        The clock that stamps changes.
    """

    def __init__(self, serial: int, now_ns: Callable[[], int]) -> None:
        self._serial = serial
        self._now_ns = now_ns
        self._orders: dict[str, Order] = {}
        self._live: dict[str, Order] = {}
        """Those that may not have ended: nobody is to look through all that ever were for a few."""
        self._by_reference: dict[str, Order] = {}
        self._changed_ns: dict[str, int] = {}

    def make(self, requests: Sequence[OrderRequest], now: int) -> list[Order]:
        """Return the orders that requests become, at an instant of the market; they are not kept yet."""
        first = self._serial * _IDS_OF_A_SERIAL + len(self._orders) + 1
        return [_order(request, str(first + i), now) for i, request in enumerate(requests)]

    def add(self, order: Order) -> None:
        """Keep an order from now on."""
        self._orders[order.order_id] = order
        if not order.is_terminal:
            self._live[order.order_id] = order
        if order.tag:
            self._by_reference[order.tag] = order

    def find(self, reference: str) -> Order | None:
        """Return the order with a reference, None if there is none."""
        return self._by_reference.get(reference)

    def known(self, broker_id: str) -> Order:
        """Return an order.

        Raises
        ------
        OrderRejected
            If there is no such order.
        """
        order = self._orders.get(broker_id)
        if order is None:
            raise OrderRejected(f"there is no order {broker_id!r} at this broker.")
        return order

    def live(self, broker_id: str, verb: str) -> Order:
        """Return an order that has not ended.

        Raises
        ------
        OrderRejected
            If there is no such order, or it cannot be what `verb` says any more.
        """
        order = self.known(broker_id)
        if order.is_terminal:
            raise OrderRejected(f"order {order.tag or order.order_id} is {order.status} and cannot be {verb} any more.")
        return order

    def all(self) -> list[Order]:
        """Return every order, oldest first."""
        return list(self._orders.values())

    def open(self) -> list[Order]:
        """Return the orders that can still fill, oldest first."""
        self._live = {broker_id: order for broker_id, order in self._live.items() if not order.is_terminal}
        return list(self._live.values())

    def competing(self) -> list[Order]:
        """Return what can still fill, of exits that share their quantity the elder alone."""
        elder: dict[str, Order] = {}
        for order in self.open():
            elder.setdefault(order.group_id or order.order_id, order)
        return list(elder.values())

    def note(self, order: Order) -> BrokerOrder:
        """Stamp a change of an order, and return what is told of it."""
        self._changed_ns[order.order_id] = self._now_ns()
        return self.told(order)

    def told(self, order: Order) -> BrokerOrder:
        """Return an order as it is told."""
        return BrokerOrder(
            order.tag,
            order.order_id,
            order.symbol,
            order.side,
            order.order_type,
            order.quantity,
            order.filled_quantity,
            order.average_price,
            order.status,
            order.limit_price,
            order.stop_price,
            order.reason if order.status in _TOLD_REASONS else "",
            self._changed_ns.get(order.order_id, 0),
        )

    def to_list(self) -> list[dict[str, Any]]:
        """Return them as plain data."""
        return [{**asdict(order), "changed_ns": self._changed_ns.get(order.order_id, 0)} for order in self._orders.values()]

    def restore(self, data: Iterable[Mapping[str, Any]]) -> None:
        """Keep what `to_list` made plain."""
        for one in data:
            fields = dict(one)
            changed_ns = fields.pop("changed_ns")
            words = {
                "side": Side,
                "order_type": OrderType,
                "time_in_force": TimeInForce,
                "role": OrderRole,
                "status": OrderStatus,
            }
            order = Order(**{**fields, **{name: word(fields[name]) for name, word in words.items()}})
            self.add(order)
            self._changed_ns[order.order_id] = changed_ns


def _order(request: OrderRequest, broker_id: str, now: int) -> Order:
    return Order(
        broker_id,
        request.reference,
        "",
        "",
        request.symbol,
        request.side,
        float(request.quantity),
        request.order_type,
        now,
        now,
        None if request.limit_price is None else float(request.limit_price),
        None if request.stop_price is None else float(request.stop_price),
        request.time_in_force,
        request.expires_ns,
        request.reference,
        request.oco_id,
        role=request.role,
        reduce_only=request.reduce_only,
        trail_amount=None if request.trail_amount is None else float(request.trail_amount),
        trail_percent=None if request.trail_percent is None else float(request.trail_percent),
    )
