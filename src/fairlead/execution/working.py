"""Orders that work, and what becoming of one means for others: the same at a simulated venue and at a broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.core.fills import Fill
from fairlead.core.orders import Order, OrderStatus, OrderUpdate
from fairlead.execution.families import Families

Heard = Callable[[Order, OrderUpdate, Fill | None], None]
Held = Callable[[str, str], float]
"""Strategy and symbol -> signed units held."""
# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_PENDING: Final = OrderStatus.PENDING
_SUBMITTED: Final = OrderStatus.SUBMITTED
_ACKNOWLEDGED: Final = OrderStatus.ACKNOWLEDGED
_CANCELLED: Final = OrderStatus.CANCELLED


class WorkingOrders:
    """Keeps the orders that work, and tells of every change.

    Parameters
    ----------
    hear : callable
        Called with every change: the order, the update, and the fill that caused it, if one did.
    held : callable, optional
        What a strategy holds: needed by orders that only reduce.

    Attributes
    ----------
    working : dict of str to Order
        Orders that are not final, oldest first. What waits for a parent is not among them.
    """

    def __init__(self, hear: Heard, held: Held | None = None) -> None:
        self.working: dict[str, Order] = {}
        self._hear = hear
        self._held = held
        self._note_change: Callable[[OrderUpdate], None] | None = None
        self._families = Families()

    def tell_only(self, note_change: Callable[[OrderUpdate], None] | None) -> None:
        """Tell of changes without a fill by their updates alone, if nobody acts on them; None: as of all others.

        Of most orders two changes in three are such: that it was sent, and that it has arrived.
        """
        self._note_change = note_change

    def _note(self, order: Order, ts_ns: int, reason: str) -> None:
        # A change that reaches the venue before the order itself finds it there in the simulation.
        status = _ACKNOWLEDGED if order.status is _SUBMITTED else order.status
        self._hear(order, order.move_to(status, ts_ns, reason), None)

    def _end(self, order: Order, status: OrderStatus, ts_ns: int, reason: str) -> None:
        self._remove(order)
        self._hear(order, order.move_to(status, ts_ns, reason), None)
        if self._families.used:
            for orphan in self._families.orphans(order):
                self._end_waiting(orphan, ts_ns, "parent_ended")
            self._families.forget(order)

    def _end_waiting(self, order: Order, ts_ns: int, reason: str) -> None:
        # What waits for a parent is none of the venue's yet; and hearing of one may have ended another.
        if not order.is_terminal:
            self._hear(order, order.move_to(_CANCELLED, ts_ns, reason), None)

    def _remove(self, order: Order) -> None:
        del self.working[order.order_id]

    # What one fill means for other orders.

    def _react(self, order: Order, quantity: float, now: int, begin: Callable[[Order], None]) -> None:
        families = self._families
        for rival in families.rivals(order):
            self._cancel_for(rival, now, "oco")
        twin = families.twin(order)
        if twin is not None:
            # Not cancelled by a part: what is left of the position would stand without its stop.
            twin.quantity = max(twin.filled_quantity, twin.quantity - quantity)
            if twin.remaining <= 0.0:
                self._cancel_for(twin, now, "oco")
            else:
                self._shrunk(twin)
        held = self._held(order.strategy, order.symbol) if self._held is not None else None
        opened = quantity if held is None else families.opened(order, quantity, held)
        for child in families.to_grow(order) if opened > 0.0 else ():
            child.quantity += opened
            if child.status is _PENDING:
                begin(child)
            else:
                self._grown(child)
        for child in families.to_start(order):
            # Hearing of the one before may have made the strategy fail.
            if child.status is _PENDING:
                begin(child)
        for child in families.left_alone(order.strategy, order.symbol, held) if held is not None else ():
            self._cancel_for(child, now, "position_closed")
        for orphan in families.orphans(order) if order.is_terminal else ():
            # An order that only closed has left nothing to protect.
            self._end_waiting(orphan, now, "nothing_to_reduce")
        families.forget(order)

    def _shrunk(self, order: Order) -> None:
        """Take note that a working exit has less to do, as its twin has done it."""

    def _grown(self, order: Order) -> None:
        """Take note that a working exit has more to do, as its entry has filled more."""

    def _cancel_for(self, order: Order, now: int, reason: str) -> None:
        # Hearing of one may have ended another.
        if order.order_id in self.working:
            self._end(order, _CANCELLED, now, reason)
        else:
            self._end_waiting(order, now, reason)
