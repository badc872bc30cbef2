"""The lives of orders at a simulated venue, from their arrival to their end (domain rules 4.3, 4.5)."""

from __future__ import annotations

from typing import Final

from fairlead.core.orders import TERMINAL, Order, OrderStatus, TimeInForce
from fairlead.execution.pricing import BarPricer
from fairlead.execution.working import Heard, Held, WorkingOrders

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_SUBMITTED: Final = OrderStatus.SUBMITTED
_ACKNOWLEDGED: Final = OrderStatus.ACKNOWLEDGED
_CANCELLED: Final = OrderStatus.CANCELLED
_EXPIRED: Final = OrderStatus.EXPIRED
_DAY: Final = TimeInForce.DAY
_CLS: Final = TimeInForce.CLS
AUCTIONS: Final = frozenset({TimeInForce.OPG, TimeInForce.CLS})


class OrderLives(WorkingOrders):
    """Lets orders arrive, expire and miss.

    Parameters
    ----------
    pricer : BarPricer
        Knows when sessions close, and which stops trail.
    hear, held
        As `WorkingOrders`.
    """

    def __init__(self, pricer: BarPricer, hear: Heard, held: Held | None = None) -> None:
        super().__init__(hear, held)
        self._pricer = pricer

    def _has_arrived(self, order: Order, now: int, session: int) -> bool:
        may_expire = order.day_session is not None or order.expires_ns is not None
        if (may_expire and self._has_expired(order, now, session)) or order.created_ns >= now or order.arrives_ns > now:
            return False
        if order.status is _SUBMITTED:
            note_change = self._note_change
            if note_change is not None:
                note_change(order.move_to(_ACKNOWLEDGED, order.arrives_ns))
            else:
                hear = self._hear
                hear(order, order.move_to(_ACKNOWLEDGED, order.arrives_ns), None)
        if order.day_session is None:
            order.day_session = session
        return order.status not in TERMINAL

    def _has_expired(self, order: Order, now: int, session: int) -> bool:
        if order.expires_ns is not None and now > order.expires_ns:
            self._end(order, _EXPIRED, now, "expired")
            return True
        in_force = order.time_in_force
        if (in_force is _DAY or in_force is _CLS) and order.day_session is not None and session > order.day_session:
            self._end_session(order, now)
            return True
        return False

    def _end_day(self, now: int, session: int) -> None:
        # Before the strategies decide: what the session left unfilled is no longer under way.
        day = [
            o
            for o in self.working.values()
            if (o.time_in_force is _DAY or o.time_in_force is _CLS) and o.day_session is not None
        ]
        if not day or not self._pricer.closes(now, session):
            return
        for order in day:
            if not order.is_terminal:
                self._end_session(order, now)

    def _end_session(self, order: Order, now: int) -> None:
        if order.time_in_force is _DAY:
            self._end(order, _EXPIRED, now, "day_end")
        else:
            self._end(order, _EXPIRED, now, "auction_over")

    def _miss(self, order: Order, now: int) -> None:
        if order.time_in_force in AUCTIONS:
            self._end(order, _EXPIRED, now, "auction_over")
        else:
            self._end(order, _CANCELLED, now, "not_marketable")

    def _remove(self, order: Order) -> None:
        super()._remove(order)
        if self._pricer.trailing:
            self._pricer.forget(order)
