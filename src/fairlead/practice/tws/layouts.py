"""How the messages about orders and executions are laid out, by the version that is spoken."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.practice.tws.asked import Ticket
from fairlead.practice.tws.codes import Told
from fairlead.practice.tws.records import Held, Printed


def error(version: int, request_id: int, code: int, text: str) -> tuple[object, ...]:
    """Return an error or a notice; `request_id` is -1 if it concerns nothing that was asked."""
    return (Told.ERROR, 2, request_id, int(code), text, *(("",) if version >= 166 else ()))


def order_status(held: Held) -> tuple[object, ...]:
    """Return where an order stands."""
    remaining = max(held.ticket.quantity - held.filled, 0.0)
    average, last = held.average_price or 0.0, held.last_price
    start = (Told.ORDER_STATUS, held.order_id, held.status, held.filled, remaining, average, held.perm_id)
    return (*start, held.ticket.parent_id, last, held.client_id, held.why_held, 0.0)


def open_order(version: int, held: Held) -> tuple[object, ...]:
    """Return an order with everything that it asks for."""
    ticket = held.ticket
    return (
        *(Told.OPEN_ORDER, held.order_id, *held.listing.short, *_what(ticket)),
        *("O", 0, ticket.order_ref, held.client_id, held.perm_id, *_when(ticket), "", "", "", ""),
        *_then_by(version, ticket),
        # Auction strategy; prices and ranges of stock orders; display, block, sweep, all or none, minimum; OCA; the last four.
        *(0, "", "", "", "", "", "", False, False, False, "", ticket.oca_type, False, False, ""),
        *(ticket.parent_id, 0, "", 0, "", "", False, 0, _or_empty(ticket.trail_stop), _or_empty(ticket.trail_percent)),
        *("", "", "", 0, 0, 0, "", "", "", "", False, "", "", False, False, *_algorithm(ticket)),
        *(False, ticket.what_if, held.status, *("",) * 9, "", "", "", "", held.warning, False, False, 0),
        *_adjusted(ticket),
        *("", "", "", 0.0, False, False, False, False),
        *(("",) if version >= 159 else ()),
        *(("",) if version >= 160 else ()),
        *((False,) if version >= 162 else ()),
        *(("",) * 5 if version >= 170 else ()),
    )


def completed_order(version: int, held: Held, stamp: str) -> tuple[object, ...]:
    """Return an order that has ended; `stamp` is when."""
    ticket = held.ticket
    return (
        *(Told.COMPLETED_ORDER, *held.listing.short, *_what(ticket)),
        *("O", 0, ticket.order_ref, held.perm_id, *_when(ticket), "", "", ""),
        *_then_by(version, ticket),
        *("", "", "", "", "", "", False, False, "", ticket.oca_type),
        *(0, "", 0, "", "", False, 0, _or_empty(ticket.trail_stop), _or_empty(ticket.trail_percent)),
        *("", 0, 0, 0, "", "", "", "", "", "", False, False, *_algorithm(ticket)),
        *(False, held.status, False, False, 0),
        *(_or_empty(ticket.trail_stop), "", 0.0, False, False, "", held.filled, 0, False, "", False, False, ""),
        *(stamp, held.completed),
        *(("",) * 5 if version >= 170 else ()),
    )


def execution(version: int, request_id: int, held: Held, printed: Printed, account: str, stamp: str) -> tuple[object, ...]:
    """Return an execution; `request_id` is -1 if nobody asked for it."""
    return (
        *(Told.EXECUTION, request_id, held.order_id, *held.listing.short),
        *(
            printed.execution.execution_id,
            stamp,
            account,
            held.listing.short[7],
            "BOT" if held.ticket.action == "BUY" else "SLD",
        ),
        *(printed.shares, printed.execution.price, held.perm_id, held.client_id, 0, printed.cumulated, printed.average_price),
        *(held.ticket.order_ref, "", 0, "", 1),
        *((False,) if version >= 178 else ()),
    )


def commission(printed: Printed, currency: str) -> tuple[object, ...]:
    """Return what an execution has cost."""
    execution = printed.execution
    return (Told.COMMISSION, 1, execution.execution_id, execution.commission, currency, "", "", "")


def _what(ticket: Ticket) -> Sequence[object]:
    prices = (_or_zero(ticket.limit), _or_zero(ticket.aux))
    return (ticket.action, ticket.quantity, ticket.order_type, *prices, ticket.tif, ticket.oca_group, ticket.account)


def _when(ticket: Ticket) -> Sequence[object]:
    return (ticket.outside_rth, False, 0.0, ticket.good_after)


def _then_by(version: int, ticket: Ticket) -> Sequence[object]:
    # The profile of an adviser, where it is still told; model, end, rule 80A, offset, firm, short-sale slot, place, exemption.
    return (*(("",) if version < 177 else ()), "", ticket.good_till, "", "", "", 0, "", -1)


def _algorithm(ticket: Ticket) -> Sequence[object]:
    if not ticket.algo:
        return ("",)
    return (ticket.algo, len(ticket.algo_params), *(part for pair in ticket.algo_params for part in pair))


def _adjusted(ticket: Ticket) -> Sequence[object]:
    return ("", "", _or_empty(ticket.trail_stop), "", "", "", "", 0)


def _or_zero(value: float | None) -> float:
    return 0.0 if value is None else value


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value
