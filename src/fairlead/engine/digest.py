"""The run digest: two runs that decided, ordered and filled the same have the same digest, and no others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from fairlead.core.fills import Fill
from fairlead.core.orders import TERMINAL, Order, OrderUpdate


def run_digest(orders: Sequence[Order], updates: Iterable[OrderUpdate], fills: Iterable[Fill]) -> str:
    """Return the SHA-256 of the ordered decisions, orders and fills; to cancel is a decision, so an order's end counts too.

    Identifiers are left out: they contain the run's own name, which differs between runs that are otherwise equal. An order
    enters as its position in the sequence instead. Floats enter in their shortest exact form.
    """
    position = {order.order_id: i for i, order in enumerate(orders)}
    lines = [
        f"O|{o.created_ns}|{o.strategy}|{o.symbol}|{o.side}|{o.order_type}|{o.quantity!r}|{o.limit_price!r}|{o.stop_price!r}|"
        f"{o.time_in_force}|{o.expires_ns}|{o.tag!r}|{o.status}|{o.filled_quantity!r}|{o.reason!r}"
        for o in orders
    ]
    lines += [f"E|{position[u.order_id]}|{u.ts_ns}|{u.status}" for u in updates if u.status in TERMINAL]
    lines += [
        f"F|{position[f.order_id]}|{f.ts_ns}|{f.quantity!r}|{f.price_ideal!r}|{f.price!r}|{f.commission!r}" for f in fills
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
