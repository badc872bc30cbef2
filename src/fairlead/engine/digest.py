"""The run digest: two runs that decided, ordered and filled the same have the same digest, and no others."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from fairlead.core.fills import Fill
from fairlead.core.orders import TERMINAL, Order, OrderUpdate

_ORDER: Final = struct.Struct("<qqdddd")
_END: Final = struct.Struct("<qq")
_FILL: Final = struct.Struct("<qqdddd")


def run_digest(orders: Sequence[Order], updates: Iterable[OrderUpdate], fills: Iterable[Fill]) -> str:
    """Return the SHA-256 of the ordered decisions, orders and fills; to cancel is a decision, so an order's end counts too.

    Identifiers are left out: they contain the run's own name, which differs between runs that are otherwise equal. An order
    enters as its position in the sequence instead. Numbers enter as their 64 bits.
    """
    hasher = hashlib.sha256()
    position = {order.order_id: i for i, order in enumerate(orders)}
    for o in orders:
        hasher.update(
            f"{o.strategy}|{o.symbol}|{o.side}|{o.order_type}|{o.time_in_force}|{o.status}|{o.tag!r}|{o.reason!r}\n".encode()
        )
        limit, stop = _price(o.limit_price), _price(o.stop_price)
        hasher.update(_ORDER.pack(o.created_ns, o.expires_ns or 0, o.quantity, o.filled_quantity, limit, stop))
    for u in updates:
        if u.status in TERMINAL:
            hasher.update(_END.pack(position[u.order_id], u.ts_ns))
    for f in fills:
        hasher.update(_FILL.pack(position[f.order_id], f.ts_ns, f.quantity, f.price_ideal, f.price, f.commission))
    return hasher.hexdigest()


def _price(price: float | None) -> float:
    return math.nan if price is None else price
