"""A broker as the venue of a session: orders leave for it, and it reports what becomes of them.

It reads no clock and no socket. What it does follows from the calls and reports that it gets, so a restart gives it the same
again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fairlead.contracts.sessions import HoursOf
from fairlead.core.bars import BarBlock
from fairlead.core.fills import Fill
from fairlead.core.instruments import Instrument
from fairlead.core.orders import TERMINAL, Order, OrderStatus, Side
from fairlead.core.time import NS_PER_SECOND
from fairlead.execution.brokers.calls import Cancel
from fairlead.execution.brokers.ledger import Executions
from fairlead.execution.brokers.reports import BrokerReport, ReportKind, Wish
from fairlead.execution.brokers.sending import OVERDUE, Port, SentOrders
from fairlead.execution.brokers.words import BrokerOrder, Execution, execution_of, order_of
from fairlead.execution.requests import Terms
from fairlead.execution.working import Heard, Held

_SUBMITTED: Final = OrderStatus.SUBMITTED
_ACKNOWLEDGED: Final = OrderStatus.ACKNOWLEDGED
_PENDING_CANCEL: Final = OrderStatus.PENDING_CANCEL
_CANCELLED: Final = OrderStatus.CANCELLED
_REJECTED: Final = OrderStatus.REJECTED
_EXPIRED: Final = OrderStatus.EXPIRED
_EPSILON: Final = 1e-9
_ASK_AGAIN_NS: Final = 5 * NS_PER_SECOND
"""How long executions are waited for that an order has ended with."""


class BrokerVenue(SentOrders):
    """Keeps what works at a broker, as far as it has been told.

    Parameters
    ----------
    port, instruments, hear, held, now_ns, hours
        As `SentOrders`.

    Attributes
    ----------
    mids : list of float
        Empty: what bid and offer were at a fill is not known.
    double_fill : callable
        Told an order and units of it that were filled although another of its set had been: they are to be closed at once.
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
        super().__init__(port, instruments, hear, held, now_ns, hours)
        self.mids: list[float] = []
        self.double_fill: Callable[[Order, float], None] = lambda _order, _quantity: None
        self._executions = Executions()
        self._unsure: set[str] = set()
        self._asked_ns: dict[str, int] = {}
        self._bar_ns = 0

    # What the session does.

    def close(self) -> None:
        """Let go of whom it told, after the end of a run."""
        del self._hear
        self._held = None
        self.double_fill = lambda _order, _quantity: None
        self.stuck = lambda _order, _others: None

    def enter(self, block: BarBlock) -> None:
        """Take note of the newest bar."""
        self._bar_ns = int(block.label_ns[-1])

    def match(self, block: BarBlock, row: int) -> None:
        """Take back what must not meet a bar as late as this; what the market does to the rest is the broker's to say."""
        self.pass_time(int(block.known_ns[row]))

    def is_due(self, now_ns: int) -> bool:
        """Return whether there is something to be done by the clock."""
        return super().is_due(now_ns) or bool(self._stale(now_ns))

    def pass_time(self, now_ns: int) -> None:
        """As `SentOrders`; and ask anew for what has ended with more than is known: a bust may have taken that back since."""
        super().pass_time(now_ns)
        if stale := self._stale(now_ns):
            self._asked_ns.update(dict.fromkeys(stale, now_ns))
            self._port.look_up(stale)

    def _stale(self, now_ns: int) -> list[str]:
        return [name for name in self._endings if now_ns - self._asked_ns[name] >= _ASK_AGAIN_NS]

    def adopt(self, order: Order, price: float) -> None:
        """Book an order that never left as filled: the broker holds what it stands for."""
        now = self._now_ns()
        order.arrives_ns = order.created_ns
        self._hear(order, order.move_to(_SUBMITTED, now), None)
        held = Execution(order.order_id, order.order_id, "", order.symbol, order.side, order.quantity, price, 0.0, now)
        self._hear(order, order.record_fill(order.quantity, price, 0.0, now), self._fill(order, held, now))
        if self._families.used:
            self._react(order, order.quantity, now, self._begin_child)
            self._flush()

    def caught_up(self) -> None:
        """Ask for what nobody was there to hear: nothing has left for the broker while the past was gone through once more."""
        # One that is to be taken back may never have left either.
        here = self._yielding.waiting
        sent = [order for order in self.working.values() if order.order_id not in here]
        waiting = [order.order_id for order in sent if order.status in {_SUBMITTED, _PENDING_CANCEL}]
        self._port.expect([order.order_id for order in sent if order.order_id not in waiting])
        self._unsure = set(self._changes)
        self._port.look_up([*waiting, *(reference for reference in self._changes if reference not in waiting)])
        for order in self.working.values():
            if order.status is _PENDING_CANCEL:
                self._port.begin(Cancel(order.order_id))

    # What the broker reports.

    def report(self, report: BrokerReport) -> None:
        """Take in what the broker has told of an order; what is told again changes nothing."""
        if report.kind is ReportKind.EXECUTION:
            self._executed(execution_of(report.data))
        elif report.kind is ReportKind.ORDER:
            self._told(order_of(report.data))
        elif report.kind is ReportKind.REFUSED:
            self._refused(report.data)

    def booked_as(self, execution_id: str) -> str | None:
        """Return under which name an execution is booked; None if it counts no more."""
        return self._executions.booked_as(execution_id)

    def is_ending(self, order_id: str) -> bool:
        """Return whether the broker has said that an order is over, and executions before that are still to come."""
        return order_id in self._endings

    @property
    def is_settled(self) -> bool:
        """Whether the broker's word on everything that left is here."""
        return not self._endings and not self._changes and all(o.status is not _SUBMITTED for o in self.working.values())

    def _told(self, told: BrokerOrder) -> None:
        order = self._known.get(told.reference)
        if order is None:
            return  # not this session's: the books tell of it
        if order.is_terminal:
            if told.status not in TERMINAL:
                # It was given up as lost, and is there after all: nobody counts on it.
                self._port.begin(Cancel(told.reference))
            return
        now = self._now_ns()
        if order.status is _SUBMITTED and told.status not in {_SUBMITTED, _REJECTED}:
            self._hear(order, order.move_to(_ACKNOWLEDGED, now), None)
        self._take_terms(order, told, now)
        if told.status in TERMINAL and not order.is_terminal:
            self._endings[order.order_id] = told
            self._end_if_known(order)
            if order.order_id in self._endings:
                self._asked_ns[order.order_id] = now

    def _take_terms(self, order: Order, told: BrokerOrder, now: int) -> None:
        terms = self._changes.get(order.order_id)
        if terms is None:
            return
        if _agrees(terms, told):
            del self._changes[order.order_id]
            order.quantity, order.limit_price, order.stop_price = terms
            self._note(order, now, "replaced")
        elif order.order_id in self._unsure or told.status in TERMINAL:
            del self._changes[order.order_id]
            if told.status not in TERMINAL:
                self._note(order, now, "replace_rejected")
        self._unsure.discard(order.order_id)

    def _end_if_known(self, order: Order) -> None:
        """End an order that the broker says is over, once every execution before that is here."""
        told = self._endings.get(order.order_id)
        if told is None or order.is_terminal or told.filled > order.filled_quantity + _EPSILON * max(1.0, told.filled):
            return
        status, reason = told.status, told.reason
        if status is OrderStatus.FILLED:
            if not order.filled_quantity:
                return  # with what? its executions are still to come
            # It asked for less in the end than is known here.
            order.quantity = order.filled_quantity
        elif status is _REJECTED and order.status not in {_SUBMITTED, _ACKNOWLEDGED}:
            status, reason = _CANCELLED, f"rejected: {reason}"
        if status is _CANCELLED and self._is_overdue(order):
            status, reason = _EXPIRED, OVERDUE
        elif status is _CANCELLED and order.status is _PENDING_CANCEL:
            reason = order.reason  # ours: the broker knows no more than that it was asked
        self._end(order, status, self._now_ns(), reason)

    def _refused(self, data: Mapping[str, Any]) -> None:
        order = self._known.get(data["reference"])
        if order is None or order.is_terminal:
            return
        now, wish, reason = self._now_ns(), Wish(data["wish"]), data["reason"]
        if wish is Wish.REPLACE:
            if self._changes.pop(order.order_id, None) is not None:
                self._note(order, now, f"replace_rejected: {reason}")
        elif wish is Wish.CANCEL:
            self._hear(order, order.move_to(_PENDING_CANCEL, now, f"cancel_refused: {reason}"), None)
            self._port.look_up([order.order_id])  # it is not as it was thought to be
        elif order.status is _SUBMITTED:
            self._end(order, _REJECTED, now, reason)
        elif order.status is _PENDING_CANCEL:
            # Should it be there after all, it is taken back again, and what it has filled is booked.
            self._end(order, _CANCELLED, now, f"never sent: {reason}" if not order.filled_quantity else f"gone: {reason}")

    def _executed(self, execution: Execution) -> None:
        order = self._known.get(execution.reference)
        if order is None:
            return
        corrected = 0.0
        for step in self._executions.take(execution):
            if step.is_bust:
                self._take_back(order, step)
                corrected += step.quantity
            else:
                self._book(order, step, corrected)

    def _book(self, order: Order, execution: Execution, corrected: float) -> None:
        now, quantity = self._now_ns(), execution.quantity
        is_late = order.is_terminal or quantity > order.remaining * (1 + _EPSILON)
        record = order.record_late_fill if is_late else order.record_fill
        update = record(quantity, execution.price, execution.commission, now)
        if order.is_terminal and order.order_id in self.working:
            self._remove(order)
            self._endings.pop(order.order_id, None)
            self._changes.pop(order.order_id, None)
        self._hear(order, update, self._fill(order, execution, now))
        # What was only told otherwise before has had its consequences.
        more = quantity - corrected
        if self._families.used and more > 0.0:
            surplus = self._families.surplus(order, more)
            self._react(order, more, now, self._begin_child)
            self._flush()
            if surplus > 0.0:
                self.double_fill(order, surplus)
        if self._yielding.waiting:
            self._make_way(now)
        self._end_if_known(order)

    def _take_back(self, order: Order, execution: Execution) -> None:
        now = self._now_ns()
        update = order.take_back_fill(execution.quantity, execution.price, execution.commission, now)
        fill = self._fill(order, execution, now)
        self._hear(order, update, fill._replace(side=_other(fill.side), commission=-fill.commission, tag="bust"))

    def _fill(self, order: Order, execution: Execution, now: int) -> Fill:
        return Fill(
            execution_id=execution.execution_id,
            order_id=order.order_id,
            strategy=order.strategy,
            symbol=order.symbol,
            side=order.side,
            quantity=execution.quantity,
            price_ideal=execution.price,
            price=execution.price,
            commission=execution.commission,
            ts_ns=now,
            bar_ns=self._bar_ns,
            tag=order.tag,
        )


def _agrees(terms: Terms, told: BrokerOrder) -> bool:
    pairs = zip(terms, (told.quantity, told.limit_price, told.stop_price), strict=True)
    return all(
        ours is None or (theirs is not None and abs(ours - theirs) <= _EPSILON * max(1.0, ours)) for ours, theirs in pairs
    )


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
