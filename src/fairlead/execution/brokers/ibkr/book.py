"""The orders of an account as they have been told: by our reference and the permanent id; other numbers come again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fairlead.core.orders import TERMINAL, OrderStatus
from fairlead.data.vendors.ibkr.messages import ExecutionTold, OrderTold, StatusTold
from fairlead.execution.brokers.ibkr.mapping import (
    CANCELLED,
    FILLED,
    KNOWN_STATUSES,
    held_as,
    limit_of,
    side_of,
    status_of,
    stop_of,
    type_of,
)
from fairlead.execution.brokers.words import BrokerOrder

_OUR_SHAPE: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_NOT_HEARD: Final = frozenset({"", "ApiPending", "PendingSubmit"})


@dataclass(slots=True, kw_only=True)
class Known:
    """What is known of an order.

    Parameters
    ----------
    reference : str
        As the order carries it, whoever sent it.
    perm_id : int
        0 while it has not been heard of.
    theirs : str
        Its status in the broker's word.
    since_ns : int
        Since when it is known.
    is_corrected : bool
        Whether less may be filled than was said before.
    is_being_cancelled : bool
        Whether it was asked for to be taken back, from here.
    """

    reference: str
    order_id: int
    client_id: int
    perm_id: int
    symbol: str
    terms: dict[str, Any]
    theirs: str = ""
    status: OrderStatus | None = None
    filled: float = 0.0
    average_price: float | None = None
    reason: str = ""
    since_ns: int = 0
    is_corrected: bool = False
    is_being_cancelled: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.status in TERMINAL

    @property
    def is_heard(self) -> bool:
        """Whether the broker has said more of it than that it came."""
        return bool(self.perm_id) and self.theirs not in _NOT_HEARD

    @property
    def quantity(self) -> float:
        """What it asks for, in units."""
        return float(self.terms.get("totalQuantity") or self.filled)


class OrderBook:
    """Remembers orders. It owns no socket and no clock.

    Parameters
    ----------
    client_id : int
        Ours; further ones are added to `client_ids`.
    symbol_of : callable
        Our name of what the broker calls so.
    has_closed : callable
        Whether a session has ended between two instants, nanoseconds.
    adopts : bool
        Whether an order that another client sent is ours if its reference has the shape of ours.

    Attributes
    ----------
    client_ids : set of int
        Under which we have sent.
    """

    def __init__(
        self,
        client_id: int,
        symbol_of: Callable[[str], str] = lambda symbol: symbol,
        has_closed: Callable[[int, int], bool] = lambda _since_ns, _until_ns: False,
        *,
        adopts: bool = True,
    ) -> None:
        self.client_ids = {client_id}
        self._symbol_of, self._has_closed, self._adopts = symbol_of, has_closed, adopts
        self._by_perm: dict[int, Known] = {}
        self._by_key: dict[tuple[int, int], Known] = {}
        self._by_reference: dict[str, Known] = {}
        self._early: dict[int, StatusTold] = {}
        self._most_ids: dict[int, int] = {}
        self._claimed: set[str] = set()
        self._sent: set[str] = set()
        self._since: dict[int, int] = {}
        self._told: dict[int, BrokerOrder] = {}

    def forget(self) -> None:
        """Forget the orders themselves, as they are asked for anew: a broker may have forgotten them too.

        What was sent is never sent again, what was told is not told again, and no number is used again.
        """
        self._since |= {known.perm_id: known.since_ns for known in self._by_perm.values()}
        for kept in (self._by_perm, self._by_key, self._by_reference, self._early):
            kept.clear()

    def was_sent(self, reference: str) -> bool:
        """Return whether an order was sent under a reference before."""
        return reference in self._sent or reference in self._by_reference

    def least_id(self, client_id: int) -> int:
        """Return the id from which on none of a client's orders has been numbered, as far as was heard."""
        return self._most_ids.get(client_id, 0) + 1

    def reference_of(self, known: Known) -> str:
        """Return our reference of an order; empty if somebody else sent it."""
        return self._own(known.reference, known.client_id)

    def reference_of_execution(self, told: ExecutionTold) -> str:
        """Return our reference of the order of an execution; empty if somebody else sent it."""
        return self._own(told.reference, told.client_id)

    def find(self, reference: str) -> Known | None:
        """Return the order of a reference."""
        return self._by_reference.get(reference)

    def claim(self, reference: str) -> None:
        """Learn that a reference is ours: it has been asked for by it."""
        self._claimed.add(reference)

    def by_order_id(self, client_id: int, order_id: int) -> Known | None:
        """Return the order that a client sent under a number, the newest if that came again."""
        return self._by_key.get((client_id, order_id))

    def send(self, reference: str, order_id: int, client_id: int, symbol: str, terms: dict[str, Any], now_ns: int) -> Known:
        """Take note of an order that is about to be sent."""
        known = Known(
            reference=reference, order_id=order_id, client_id=client_id, perm_id=0, symbol=symbol, terms=terms, since_ns=now_ns
        )
        self._sent.add(reference)
        self._by_key[client_id, order_id] = self._by_reference[reference] = known
        self._note_id(client_id, order_id)
        return known

    def take_order(self, told: OrderTold, now_ns: int) -> Known:
        """Take in an order with its terms."""
        known = self._known(told, now_ns)
        known.perm_id, known.symbol = told.perm_id or known.perm_id, self._symbol_of(told.symbol)
        known.terms = dict(told.terms)
        if told.order_id > 0:
            known.order_id, known.client_id = told.order_id, told.client_id
        known.reason = known.reason or told.reason
        filled, status = told.filled, told.status
        if filled is None:
            # What it has filled in the end is said by the status that follows, and executions may come later still.
            filled = known.filled
            if status == FILLED and not known.is_corrected:
                filled = max(filled, known.quantity)
            elif status in CANCELLED:
                status = known.theirs
        self._stand(known, status, filled, known.average_price, now_ns)
        early = self._early.pop(known.perm_id, None)
        if early is not None:
            self.take_status(early, now_ns)
        return known

    def take_status(self, told: StatusTold, now_ns: int) -> Known | None:
        """Take in how an order stands; None if nothing is known of it yet, or it says what was over before."""
        known = self._by_perm.get(told.perm_id)
        if known is None:
            known = self._by_key.get((told.client_id, told.order_id)) if told.order_id > 0 else None
            if known is None or (known.perm_id and told.perm_id and known.perm_id != told.perm_id):
                self._early[told.perm_id] = told
                return None
            self._name(known, told.perm_id)
        if told.filled < known.filled and not known.is_corrected:
            return None  # overtaken by what has been told since
        if not known.is_over:
            known.reason = f"held: {told.why_held}" if told.why_held else known.reason.partition("held: ")[0]
        self._stand(known, held_as(told.status, told.why_held), told.filled, told.average_price, now_ns)
        return known

    def take_execution(self, told: ExecutionTold, *, is_correction: bool) -> None:
        """Take note of the number of an execution's order, and whether what was filled may become less."""
        if told.order_id > 0:
            self._note_id(told.client_id, told.order_id)
        known = self._by_perm.get(told.perm_id)
        if known is not None and is_correction:
            known.is_corrected = True

    def end(self, known: Known, status: OrderStatus, reason: str, now_ns: int) -> None:
        """Let an order end by what an error says of it; one that has ended keeps its end, and gets its reason."""
        if reason:
            known.reason = reason
        if not known.is_over:
            known.status = status
            self._see_why_it_ended(known, now_ns)

    def _see_why_it_ended(self, known: Known, now_ns: int) -> None:
        """Tell an order whose time was over from one that was taken back: the protocol has one word for both."""
        if known.status is not OrderStatus.CANCELLED or known.is_being_cancelled or known.terms.get("tif") == "GTC":
            return
        if self._has_closed(known.since_ns, now_ns):
            known.status = OrderStatus.EXPIRED

    def news(self, known: Known, ts_ns: int) -> BrokerOrder | None:
        """Return an order if there is news of it since this was last called; None if there is none."""
        now, before = self.word(known, ts_ns), self._told.get(known.perm_id)
        self._told[known.perm_id] = now
        return None if before is not None and before._replace(ts_ns=0) == now._replace(ts_ns=0) else now

    def word(self, known: Known, ts_ns: int) -> BrokerOrder:
        """Return an order in our words."""
        return BrokerOrder(
            reference=self.reference_of(known),
            broker_id=str(known.perm_id) if known.perm_id else "",
            symbol=known.symbol,
            side=side_of(str(known.terms.get("action"))),
            order_type=type_of(known.terms),
            quantity=known.quantity,
            filled=known.filled,
            average_price=known.average_price if known.filled else None,
            status=known.status or OrderStatus.SUBMITTED,
            limit_price=limit_of(known.terms),
            stop_price=stop_of(known.terms),
            reason=known.reason,
            ts_ns=ts_ns,
        )

    def open(self) -> list[Known]:
        """Return what has been heard of and has not ended."""
        return [known for known in self._by_perm.values() if not known.is_over]

    def _known(self, told: OrderTold, now_ns: int) -> Known:
        known = self._by_perm.get(told.perm_id)
        if known is None and told.order_id > 0:
            at_number = self._by_key.get((told.client_id, told.order_id))
            # A number comes again after a reset of the broker's: then it is another order.
            if at_number is not None and at_number.perm_id in {0, told.perm_id} and at_number.reference == told.reference:
                known = at_number
        if known is None and told.reference and told.order_id <= 0:
            sent = self._by_reference.get(told.reference)
            known = sent if sent is not None and not sent.perm_id else None
        if known is None:
            known = Known(
                reference=told.reference,
                order_id=told.order_id,
                client_id=told.client_id,
                perm_id=told.perm_id,
                symbol=told.symbol,
                terms={},
                since_ns=self._since.get(told.perm_id, now_ns),
            )
        self._name(known, told.perm_id)
        if told.order_id > 0:
            self._by_key[told.client_id, told.order_id] = known
            self._note_id(told.client_id, told.order_id)
        if known.reference:
            self._by_reference.setdefault(known.reference, known)
        return known

    def _name(self, known: Known, perm_id: int) -> None:
        if perm_id:
            known.perm_id = perm_id
            self._by_perm[perm_id] = known

    def _note_id(self, client_id: int, order_id: int) -> None:
        self._most_ids[client_id] = max(self._most_ids.get(client_id, 0), order_id)

    def _stand(self, known: Known, theirs: str, filled: float, average_price: float | None, now_ns: int) -> None:
        known.filled = filled
        if average_price:
            known.average_price = average_price
        if theirs in KNOWN_STATUSES:
            known.theirs = theirs
        if not known.is_over:
            known.status = status_of(theirs, filled, known.quantity, known.status)
            self._see_why_it_ended(known, now_ns)

    def _own(self, reference: str, client_id: int) -> str:
        sent = self._by_reference.get(reference)
        if client_id in self.client_ids or (sent is not None and sent.client_id in self.client_ids):
            return reference
        is_ours = reference in self._claimed or (self._adopts and _OUR_SHAPE.match(reference) is not None)
        return reference if is_ours else ""
