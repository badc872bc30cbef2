"""The run digest: two runs that decided, ordered and filled the same have the same digest, and no others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from fairlead.core.fills import Fill
from fairlead.core.orders import TERMINAL, Order, OrderUpdate


def run_digest(orders: Iterable[Order], updates: Iterable[OrderUpdate], fills: Iterable[Fill]) -> str:
    """Return the SHA-256 of the ordered decisions, orders and fills; to cancel is a decision, so an order's end counts too.

    Identifiers are left out: they contain the run's own name, which differs between runs that are otherwise equal. An order
    enters as its position in the sequence instead. Floats enter in their shortest exact form.
    """
    hasher = hashlib.sha256()
    position: dict[str, int] = {}
    for order in orders:
        position[order.order_id] = len(position)
        hasher.update(
            f"O|{order.created_ns}|{order.strategy}|{order.symbol}|{order.side}|{order.order_type}|{order.quantity!r}|"
            f"{order.limit_price!r}|{order.stop_price!r}|{order.time_in_force}|{order.expires_ns}|{order.tag!r}|"
            f"{order.status}|{order.filled_quantity!r}|{order.reason!r}\n".encode()
        )
    for update in updates:
        if update.status in TERMINAL:
            hasher.update(f"E|{position[update.order_id]}|{update.ts_ns}|{update.status}\n".encode())
    for fill in fills:
        hasher.update(
            f"F|{position[fill.order_id]}|{fill.ts_ns}|{fill.quantity!r}|{fill.price_ideal!r}|{fill.price!r}|"
            f"{fill.commission!r}\n".encode()
        )
    return hasher.hexdigest()
