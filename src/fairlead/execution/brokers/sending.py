"""A session's orders on their way to a broker: what leaves, in which order, and what waits until something else has happened.

It reads no clock and no socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from fairlead.contracts.sessions import HoursOf
from fairlead.core.errors import UnknownName
from fairlead.core.events import CorporateAction
from fairlead.core.instruments import Instrument
from fairlead.core.intents import ReplaceIntent
from fairlead.core.orders import Order, OrderStatus
from fairlead.execution.brokers.asking import change_of, keeps_end, request_of, why_not
from fairlead.execution.brokers.calls import Call, Cancel, Replace, Submit
from fairlead.execution.brokers.seam import BrokerTraits
from fairlead.execution.brokers.words import BrokerOrder, ChangeRequest, OrderRequest
from fairlead.execution.brokers.yielding import MAKES_WAY, TOO_LATE, Yielding, in_the_way
from fairlead.execution.corporate import orders_of
from fairlead.execution.families import EXITS
from fairlead.execution.requests import Terms, changed_terms
from fairlead.execution.working import Heard, Held, WorkingOrders

_SUBMITTED: Final = OrderStatus.SUBMITTED
_PENDING_CANCEL: Final = OrderStatus.PENDING_CANCEL
_REJECTED: Final = OrderStatus.REJECTED
_CANCELLED: Final = OrderStatus.CANCELLED
OVERDUE: Final = "expired"
"""Why an order is taken back whose time is over."""


class Port(Protocol):
    """Where wishes leave for a broker."""

    @property
    def traits(self) -> BrokerTraits:
        """What the broker can do."""

    def begin(self, call: Call) -> None:
        """Let a wish leave; nothing does while the past is gone through once more."""

    def look_up(self, references: Sequence[str]) -> None:
        """Find out what has become of orders of which the broker's word is missing."""

    def expect(self, references: Sequence[str]) -> None:
        """Learn which orders worked when the broker was last heard: those that do not any more have ended meanwhile."""


class SentOrders(WorkingOrders):
    """Sends what a session wishes of a broker, and keeps what became of it so far.

    Parameters
    ----------
    port : Port
    instruments : mapping of symbol to Instrument
    hear, held
        As `WorkingOrders`.
    now_ns : callable
        The session's idea of now: when the newest thing was heard, nanoseconds.
    hours : callable
        Given a symbol, returns when its sessions are.

    Attributes
    ----------
    stuck : callable
        Told an order that has waited for long, and those that do not make way for it.
    """

    def __init__(
        self,
        port: Port,
        instruments: Mapping[str, Instrument],
        hear: Heard,
        held: Held | None,
        now_ns: Callable[[], int],
        hours: Callable[[str], HoursOf],
    ) -> None:
        super().__init__(hear, held)
        self._yielding = Yielding(port.traits, hours)
        self._port, self._instruments, self._now_ns = port, instruments, now_ns
        self.stuck: Callable[[Order, Sequence[Order]], None] = lambda _order, _others: None
        self._known: dict[str, Order] = {}
        self._endings: dict[str, BrokerOrder] = {}
        self._changes: dict[str, Terms] = {}
        self._leaving: list[Order] = []

    def submit(self, order: Order, children: Sequence[Order] = ()) -> None:
        """Let an order leave; its exits and followers wait here until it has filled."""
        order.arrives_ns = order.created_ns
        if order.oco_id:
            self._families.add_to_set(order)
        if children:
            self._families.add_children(order, children)
        self._begin(order)
        self._flush()

    def cancel(self, order_id: str, ts_ns: int, reason: str = "cancelled_by_strategy") -> None:
        """Wish an order to be taken back: it works until the broker says that it does not.

        Raises
        ------
        UnknownName
            If no such order is working.
        """
        order = self.working.get(order_id)
        if order is None:
            raise UnknownName.among("working order", order_id, self.working, "It may have been filled already.")
        if order_id in self._yielding.waiting:
            self._end(order, _CANCELLED, ts_ns, reason)
            return
        if order.status is not _PENDING_CANCEL:
            self._hear(order, order.move_to(_PENDING_CANCEL, ts_ns, reason), None)
        self._port.begin(Cancel(order_id))

    def request_cancel(self, order_id: str, ts_ns: int) -> None:
        """Wish an order to be taken back; as `cancel`."""
        self.cancel(order_id, ts_ns)

    def request_replace(self, change: ReplaceIntent, ts_ns: int) -> None:
        """Wish an order to be changed: it works as it stands until the broker says that it does not.

        Raises
        ------
        UnknownName
            If no such order is working.
        """
        order = self.working.get(change.order_id)
        if order is None:
            raise UnknownName.among("working order", change.order_id, self.working, "It may have been filled already.")
        instrument = self._instruments[order.symbol]
        terms = changed_terms(order, change, instrument)
        if terms is None or order.order_id in self._changes or order.order_id in self._yielding.waiting:
            self._note(order, ts_ns, "replace_rejected")
            return
        self._changes[order.order_id] = terms
        self._port.begin(Replace(change_of(order, terms, instrument)))

    def is_due(self, now_ns: int) -> bool:
        """Return whether there is something to be done by the clock."""
        waiting = self._yielding
        return any(self._overdue(now_ns)) or bool(waiting.blocking(self.working, now_ns) or waiting.stuck(now_ns))

    def pass_time(self, now_ns: int) -> None:
        """Take back the orders whose time is over, where the broker does not do it itself, and exits that are to make way."""
        for order in list(self._overdue(now_ns)):
            self.cancel(order.order_id, now_ns, OVERDUE)
        self._make_way(now_ns)
        for order in self._yielding.stuck(now_ns):
            self._yielding.told(order)
            self.stuck(order, in_the_way(order, self.working))

    def apply_action(self, action: CorporateAction, ts_ns: int) -> None:
        """Take back the orders of a symbol that an action concerns: what a broker makes of them is its own affair."""
        for order in orders_of([*self.working.values(), *self._families.waiting()], action.symbol):
            self._cancel_for(order, ts_ns, "corporate_action")

    # What leaves.

    def _overdue(self, now_ns: int) -> Iterator[Order]:
        for order in self.working.values():
            if order.expires_ns is None or now_ns <= order.expires_ns or order.status is _PENDING_CANCEL:
                continue
            if keeps_end(order, self._port.traits):
                yield order

    def _is_overdue(self, order: Order) -> bool:
        """Whether an order that was taken back was so because its time was over, whoever did it."""
        if order.reason == OVERDUE:
            return True
        is_over = order.expires_ns is not None and self._now_ns() > order.expires_ns
        return is_over and order.status is not _PENDING_CANCEL

    def _request(self, order: Order) -> OrderRequest:
        return request_of(order, self._instruments[order.symbol], self._port.traits)

    def _begin(self, order: Order) -> None:
        """Let an order be one that works, to leave with the next `_flush`."""
        if refused := why_not(order, self._port.traits):
            self._hear(order, order.move_to(_REJECTED, order.created_ns, refused), None)
            return
        must_wait = self._yielding.must_wait(order, self.working) and (order.role in EXITS or self._closes_all(order))
        if must_wait and self._yielding.is_too_late(order, self._now_ns()):
            self._hear(order, order.move_to(_REJECTED, order.created_ns, TOO_LATE), None)
            return
        self.working[order.order_id] = self._known[order.order_id] = order
        self._hear(order, order.move_to(_SUBMITTED, order.arrives_ns), None)
        if must_wait:
            self._yielding.waiting[order.order_id] = order
            self._make_way(self._now_ns())
        else:
            self._leaving.append(order)

    def _closes_all(self, order: Order) -> bool:
        """Whether nothing is left for exits to protect: a part is refused, rather than that the rest stands without them."""
        return self._held is None or order.quantity >= -order.side.sign * self._held(order.strategy, order.symbol)

    def _make_way(self, now_ns: int) -> None:
        """Take back exits that hold what another order is to sell now, and let leave what none is in the way of any more."""
        waiting = self._yielding.waiting
        self._flush()  # what is to be taken back has left before
        for exit_ in self._yielding.blocking(self.working, now_ns) if waiting else ():
            self._cancel_for(exit_, now_ns, MAKES_WAY)
        for order in [order for order in waiting.values() if not in_the_way(order, self.working)]:
            if waiting.pop(order.order_id, None) is None:
                continue
            held = self._held(order.strategy, order.symbol) if self._held is not None else -order.side.sign * order.quantity
            # An exit may have filled before it was taken back.
            left = max(0.0, -order.side.sign * held)
            if left > 0.0:
                order.quantity = min(order.quantity, left)
                self._leaving.append(order)
            else:
                self._end(order, _CANCELLED, now_ns, "position_closed")
        self._flush()

    def _begin_child(self, child: Order) -> None:
        # What cannot be made larger afterwards waits until its entry fills no more.
        parent = self._known.get(child.parent_id)
        if child.role in EXITS and not self._port.traits.resizes_exits and parent is not None and not parent.is_terminal:
            return
        child.arrives_ns = self._now_ns()
        if child.oco_id:
            self._families.add_to_set(child)
        self._begin(child)

    def _flush(self) -> None:
        """Let leave what has begun, the two exits of a position together where the broker links them."""
        leaving, self._leaving = [order for order in self._leaving if not order.is_terminal], []
        groups: dict[str, list[Order]] = {}
        for order in leaving:
            is_linked = order.role in EXITS and self._port.traits.links_exits
            groups.setdefault(order.parent_id if is_linked else order.order_id, []).append(order)
        for group in groups.values():
            self._port.begin(Submit(tuple(self._request(order) for order in group)))

    def _end(self, order: Order, status: OrderStatus, ts_ns: int, reason: str) -> None:
        self._endings.pop(order.order_id, None)
        self._changes.pop(order.order_id, None)
        self._yielding.waiting.pop(order.order_id, None)
        self._end_alone(order, status, ts_ns, reason)
        if self._yielding.waiting:
            self._make_way(ts_ns)

    def _end_alone(self, order: Order, status: OrderStatus, ts_ns: int, reason: str) -> None:
        if not (order.filled_quantity and self._families.used):
            super()._end(order, status, ts_ns, reason)
            return
        self._remove(order)
        self._hear(order, order.move_to(status, ts_ns, reason), None)
        # What protects the part that it has filled leaves now; what never came to life is taken back.
        for child in self._families.orphans(order):
            if child.role in EXITS and child.quantity > 0.0:
                self._begin_child(child)
            else:
                self._end_waiting(child, ts_ns, "parent_ended")
        self._flush()
        self._families.forget(order)

    def _shrunk(self, order: Order) -> None:
        if not self._port.traits.links_exits:  # otherwise the broker does it itself
            self._grown(order)

    def _grown(self, order: Order) -> None:
        quantity = self._instruments[order.symbol].quantity_to_decimal(order.quantity)
        self._port.begin(Replace(ChangeRequest(reference=order.order_id, quantity=quantity)))

    def _cancel_for(self, order: Order, now: int, reason: str) -> None:
        if order.order_id in self.working:
            if order.status is not _PENDING_CANCEL:
                self.cancel(order.order_id, now, reason)
        else:
            self._end_waiting(order, now, reason)
