"""An order of the protocol in our words, and where one stands in theirs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from fairlead.core.errors import OrderRejected
from fairlead.core.orders import OrderRole, OrderStatus, OrderType, Side, TimeInForce
from fairlead.core.time import to_ns
from fairlead.execution.brokers.words import BrokerOrder, ChangeRequest, OrderRequest
from fairlead.practice.tws.asked import Ticket
from fairlead.practice.tws.listings import Listing, WantedContract
from fairlead.practice.tws.records import Held

_TYPES: Final = {
    "MKT": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "STP": OrderType.STOP,
    "STP LMT": OrderType.STOP_LIMIT,
    "TRAIL": OrderType.TRAILING_STOP,
    "MOC": OrderType.MARKET,
    "LOC": OrderType.LIMIT,
}
_CLOSING: Final = frozenset({"MOC", "LOC"})
_STATUSES: Final = {
    OrderStatus.SUBMITTED: "PendingSubmit",
    OrderStatus.ACKNOWLEDGED: "Submitted",
    OrderStatus.PARTIALLY_FILLED: "Submitted",
    OrderStatus.PENDING_CANCEL: "PendingCancel",
    OrderStatus.FILLED: "Filled",
    OrderStatus.CANCELLED: "Cancelled",
    OrderStatus.EXPIRED: "Cancelled",
    OrderStatus.REJECTED: "Inactive",
}
STOPS: Final = frozenset({"STP", "STP LMT", "TRAIL"})
ORDER_TYPES: Final = frozenset(_TYPES)


def status_of(status: OrderStatus) -> str:
    """Return where an order stands in the words of the protocol, which has none for a part that is filled."""
    return _STATUSES[status]


def request_of(ticket: Ticket, reference: str, symbol: str, quantity: float, oca_id: str) -> OrderRequest:
    """Return what the account is asked for.

    Raises
    ------
    OrderRejected
        If the order is of a kind that nobody here can work.
    """
    order_type = _TYPES.get(ticket.order_type)
    if order_type is None:
        raise OrderRejected.of("orderType", f"be one of {', '.join(_TYPES)}", ticket.order_type)
    if ticket.algo and ticket.algo != "Adaptive":
        raise OrderRejected.of("algoStrategy", "be Adaptive", ticket.algo)
    if ticket.algo and ticket.order_type not in ("MKT", "LMT"):
        raise OrderRejected.of("orderType", "be MKT or LMT with Adaptive", ticket.order_type)
    expires = _moment(ticket.good_till) if ticket.tif == "GTD" else None
    is_trail = order_type is OrderType.TRAILING_STOP
    priced = order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    stopped = order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    return OrderRequest(
        reference=reference,
        symbol=symbol,
        side=Side(ticket.action),
        quantity=Decimal(repr(quantity)),
        order_type=OrderType.ADAPTIVE if ticket.algo else order_type,
        time_in_force=TimeInForce.CLS if ticket.order_type in _CLOSING else _time_in_force(ticket.tif),
        limit_price=decimal_of(ticket.limit) if priced else None,
        stop_price=decimal_of(ticket.aux) if stopped else decimal_of(ticket.trail_stop) if is_trail else None,
        trail_amount=decimal_of(ticket.aux) if is_trail and ticket.trail_percent is None else None,
        trail_percent=decimal_of(ticket.trail_percent) if is_trail else None,
        expires_ns=expires,
        oco_id=oca_id,
        urgency=dict(ticket.algo_params).get("adaptivePriority", "Normal"),
    )


def change_of(reference: str, old: Ticket, new: Ticket) -> ChangeRequest | None:
    """Return what the account is asked to change; None if there is nothing."""
    priced, stopped = old.order_type in ("LMT", "STP LMT", "LOC"), old.order_type in ("STP", "STP LMT")
    change = ChangeRequest(
        reference=reference,
        quantity=decimal_of(new.quantity) if new.quantity != old.quantity else None,
        limit_price=decimal_of(new.limit) if priced and new.limit != old.limit else None,
        stop_price=decimal_of(new.aux) if stopped and new.aux != old.aux else None,
    )
    return None if (change.quantity, change.limit_price, change.stop_price) == (None, None, None) else change


def roles_of(orders: Sequence[Held]) -> list[OrderRole]:
    """Return what orders that are sent together are to a position: the two exits of one, or nothing."""
    kinds = {
        OrderRole.TAKE_PROFIT: [held for held in orders if held.ticket.order_type == "LMT"],
        OrderRole.STOP_LOSS: [held for held in orders if held.ticket.order_type in STOPS],
    }
    if len(orders) != 2 or any(len(found) != 1 for found in kinds.values()):
        return [OrderRole.NONE] * len(orders)
    return [OrderRole.TAKE_PROFIT if held.ticket.order_type == "LMT" else OrderRole.STOP_LOSS for held in orders]


def ticket_by_hand(order: BrokerOrder, listing: Listing, account: str) -> Ticket:
    """Return the ticket of an order that no client has sent."""
    words = {ours: theirs for theirs, ours in _TYPES.items() if theirs not in _CLOSING} | {OrderType.ADAPTIVE: "MKT"}
    blank = ("",) * (len(WantedContract._fields) - 3)
    return Ticket(
        order_id=0,
        contract=WantedContract(str(listing.con_id), listing.their_symbol, listing.kind, *blank),
        action=order.side.value,
        quantity=order.quantity,
        order_type=words[order.order_type],
        limit=order.limit_price,
        aux=order.stop_price,
        tif="DAY",
        oca_group="",
        account=account,
        order_ref=order.reference,
        transmit=True,
        parent_id=0,
        outside_rth=False,
        good_after="",
        good_till="",
        oca_type=0,
        trail_stop=None,
        trail_percent=None,
        algo="",
        algo_params=(),
        what_if=False,
    )


def decimal_of(value: float | None) -> Decimal | None:
    """Return a number as it was written."""
    return None if value is None else Decimal(repr(value))


def _time_in_force(text: str) -> TimeInForce:
    try:
        return TimeInForce(text)
    except ValueError:
        known = [one.value for one in TimeInForce if one is not TimeInForce.CLS]
        raise OrderRejected.of("tif", f"be one of {', '.join(known)}", text) from None


def _moment(text: str) -> int:
    """Return the instant of `20240102 15:00:00 US/Eastern`, or of `20240102-15:00:00`, which is UTC."""
    moment = read_moment(text)
    if moment is None:
        raise OrderRejected.of("goodTillDate", "be written as 20240102-15:00:00", text)
    return moment


def read_moment(text: str, zone: str = "UTC") -> int | None:
    """Return the instant that a client writes, in nanoseconds; None if it is none.

    Parameters
    ----------
    text : str
        A date and a time with a blank or two between them, and perhaps a zone; or with a hyphen, which means UTC.
    zone : str
        If none is written.
    """
    day, *rest = text.replace("-", " ").split() or [""]
    clock = rest[0] if rest else "00:00:00"
    if "-" in text:
        zone = "UTC"
    elif len(rest) > 1:
        zone = rest[1]
    try:
        read = dt.datetime.strptime(f"{day} {clock} +0000", "%Y%m%d %H:%M:%S %z")
        return to_ns(read.replace(tzinfo=ZoneInfo(zone)))
    except (ValueError, KeyError):
        return None
