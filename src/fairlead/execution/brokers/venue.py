"""A broker as the venue of a session: orders leave for it, and it reports what becomes of them.

It reads no clock and no socket. What it does follows from the calls and reports that it gets, so a restart gives it the same
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from fairlead.core.bars import BarBlock
from fairlead.core.errors import UnknownName
from fairlead.core.events import CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.instruments import Instrument
from fairlead.core.intents import ReplaceIntent
from fairlead.core.orders import TERMINAL, Order, OrderStatus, Side
from fairlead.execution.brokers.asking import change_of, keeps_end, request_of, why_not
from fairlead.execution.brokers.calls import Call, Cancel, Replace, Submit
from fairlead.execution.brokers.ledger import Executions
from fairlead.execution.brokers.reports import BrokerReport, ReportKind, Wish
from fairlead.execution.brokers.seam import BrokerTraits
from fairlead.execution.brokers.words import BrokerOrder, ChangeRequest, Execution, OrderRequest, execution_of, order_of
from fairlead.execution.corporate import orders_of
from fairlead.execution.families import EXITS
from fairlead.execution.requests import Terms, changed_terms
from fairlead.execution.working import Heard, Held, WorkingOrders

_PENDING: Final = OrderStatus.PENDING
_SUBMITTED: Final = OrderStatus.SUBMITTED
_ACKNOWLEDGED: Final = OrderStatus.ACKNOWLEDGED
_PENDING_CANCEL: Final = OrderStatus.PENDING_CANCEL
_CANCELLED: Final = OrderStatus.CANCELLED
_REJECTED: Final = OrderStatus.REJECTED
_EXPIRED: Final = OrderStatus.EXPIRED
_OVERDUE: Final = "expired"
_EPSILON: Final = 1e-9


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


class BrokerVenue(WorkingOrders):
    """Keeps what works at a broker, as far as it has been told.

    Parameters
    ----------
    port : Port
    instruments : mapping of symbol to Instrument
    hear, held
        As `WorkingOrders`.
    now_ns : callable
        The session's idea of now: when the newest thing was heard, nanoseconds.

    Attributes
    ----------
    mids : list of float
        Empty: what bid and offer were at a fill is not known.
    double_fill : callable
        Told an order and units of it that were filled although another of its set had been: they are to be closed at once.
    """

    def __init__(
        self, port: Port, instruments: Mapping[str, Instrument], hear: Heard, held: Held | None, now_ns: Callable[[], int]
    ) -> None:
        super().__init__(hear, held)
        self.mids: list[float] = []
        self.double_fill: Callable[[Order, float], None] = lambda _order, _quantity: None
        self._port, self._instruments, self._now_ns = port, instruments, now_ns
        self._known: dict[str, Order] = {}
        self._executions = Executions()
        self._endings: dict[str, BrokerOrder] = {}
        self._changes: dict[str, Terms] = {}
        self._unsure: set[str] = set()
        self._leaving: list[Order] = []
        self._bar_ns = 0

    # What the session does.

    def close(self) -> None:
        """Let go of whom it told, after the end of a run."""
        del self._hear
        self._held = None
        self.double_fill = lambda _order, _quantity: None

    def enter(self, block: BarBlock) -> None:
        """Take note of the newest bar."""
        self._bar_ns = int(block.label_ns[-1])

    def match(self, block: BarBlock, row: int) -> None:
        """Take back what must not meet a bar as late as this; what the market does to the rest is the broker's to say."""
        self.expire(int(block.known_ns[row]))

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
        if terms is None or order.order_id in self._changes:
            self._note(order, ts_ns, "replace_rejected")
            return
        self._changes[order.order_id] = terms
        self._port.begin(Replace(change_of(order, terms, instrument)))

    def is_expiry_due(self, now_ns: int) -> bool:
        """Return whether the time of an order is over whose end the broker does not keep."""
        return any(True for _ in self._overdue(now_ns))

    def expire(self, now_ns: int) -> None:
        """Take back the orders whose time is over, where the broker does not do it itself."""
        for order in list(self._overdue(now_ns)):
            self.cancel(order.order_id, now_ns, _OVERDUE)

    def apply_action(self, action: CorporateAction, ts_ns: int) -> None:
        """Take back the orders of a symbol that an action concerns: what a broker makes of them is its own affair."""
        for order in orders_of([*self.working.values(), *self._families.waiting()], action.symbol):
            self._cancel_for(order, ts_ns, "corporate_action")

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
        waiting = [order.order_id for order in self.working.values() if order.status in {_SUBMITTED, _PENDING_CANCEL}]
        self._port.expect([order_id for order_id in self.working if order_id not in waiting])
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
            status, reason = _EXPIRED, _OVERDUE
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
        elif order.status is _SUBMITTED:
            self._end(order, _REJECTED, now, reason)
        elif order.status is _PENDING_CANCEL and not order.filled_quantity:
            self._end(order, _CANCELLED, now, f"never sent: {reason}")

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

    # What leaves.

    def _overdue(self, now_ns: int) -> Iterator[Order]:
        for order in self.working.values():
            if order.expires_ns is None or now_ns <= order.expires_ns or order.status is _PENDING_CANCEL:
                continue
            if keeps_end(order, self._port.traits):
                yield order

    def _is_overdue(self, order: Order) -> bool:
        """Whether an order that was taken back was so because its time was over, whoever did it."""
        if order.reason == _OVERDUE:
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
        self.working[order.order_id] = self._known[order.order_id] = order
        self._hear(order, order.move_to(_SUBMITTED, order.arrives_ns), None)
        self._leaving.append(order)

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
        linked = [order for order in leaving if order.role in EXITS and self._port.traits.links_exits]
        for group in [*([linked] if linked else []), *([order] for order in leaving if order not in linked)]:
            self._port.begin(Submit(tuple(self._request(order) for order in group)))

    def _end(self, order: Order, status: OrderStatus, ts_ns: int, reason: str) -> None:
        self._endings.pop(order.order_id, None)
        self._changes.pop(order.order_id, None)
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


def _agrees(terms: Terms, told: BrokerOrder) -> bool:
    pairs = zip(terms, (told.quantity, told.limit_price, told.stop_price), strict=True)
    return all(
        ours is None or (theirs is not None and abs(ours - theirs) <= _EPSILON * max(1.0, ours)) for ours, theirs in pairs
    )


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
