"""What the server itself looks at before it gives an order, or a change of one, to the account."""

from __future__ import annotations

from typing import TypeAlias

from fairlead.practice.tws.asked import Ticket
from fairlead.practice.tws.codes import Code
from fairlead.practice.tws.listings import Listing
from fairlead.practice.tws.records import Held
from fairlead.practice.tws.translation import ORDER_TYPES

Fault: TypeAlias = tuple[int, str]
NO_DEFINITION = "No security definition has been found for the request"


def check_ticket(ticket: Ticket, listing: Listing | None, account: str) -> Fault | None:
    """Return why an order is not taken, as a code and its text; None if it is."""
    if listing is None:
        return Code.NO_CONTRACT, NO_DEFINITION
    if ticket.what_if:
        return _invalid("What-if orders are not answered")
    if ticket.account not in ("", account):
        return _invalid("Invalid account code '" + ticket.account + "'")
    if ticket.action not in ("BUY", "SELL"):
        return _invalid(f"Invalid order action '{ticket.action}'")
    if ticket.order_type not in ORDER_TYPES:
        return _invalid(f"Invalid order type was entered: '{ticket.order_type}'")
    return _size_and_prices(ticket, listing)


def check_change(held: Held, ticket: Ticket, listing: Listing | None) -> Fault | None:
    """Return why an order cannot become another, as a code and its text; None if it can."""
    if listing != held.listing or ticket.action != held.ticket.action:
        return Code.CHANGE_MISMATCH, "Order being modified does not match original order"
    if ticket.order_type != held.ticket.order_type:
        return Code.TYPE_CHANGE, f"Order modify failed. Cannot change to the new order type {ticket.order_type}"
    return _size_and_prices(ticket, held.listing)


def _size_and_prices(ticket: Ticket, listing: Listing) -> Fault | None:
    if not ticket.quantity > 0:
        return Code.SIZE_ZERO, "The order size cannot be zero"
    prices = []
    if ticket.order_type in ("LMT", "STP LMT", "LOC"):
        prices.append(ticket.limit)
    if ticket.order_type in ("STP", "STP LMT"):
        prices.append(ticket.aux)
    for price in prices:
        if price is None or not price > 0:
            return _invalid("An order of this type needs a price above 0")
        tick = listing.instrument.tick_at(price)
        if abs(price / tick - round(price / tick)) > 1e-6:
            return Code.OFF_TICK, "The price does not conform to the minimum price variation for this contract."
    return None


def _invalid(cause: str) -> Fault:
    return Code.INVALID, f"Error validating request.-'bN' : cause - {cause}"
