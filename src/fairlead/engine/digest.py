"""The run digest: two runs that decided, ordered and filled the same have the same digest, and no others."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from fairlead.core.fills import Fill
from fairlead.core.orders import TERMINAL, Order, OrderUpdate

_NONE: Final = math.nan
_ORDER: Final = struct.Struct("<qqdddd")
_END: Final = struct.Struct("<qq")
_FILL: Final = struct.Struct("<qqdddd")


def run_digest(orders: Sequence[Order], updates: Iterable[OrderUpdate], fills: Iterable[Fill]) -> str:
    """Return the SHA-256 of the ordered decisions, orders and fills; to cancel is a decision, so an order's end counts too.

    Identifiers are left out: they contain the run's own name, which differs between runs that are otherwise equal. An order
    enters as its position in the sequence instead. Numbers enter as their 64 bits.
    """
    hasher = hashlib.sha256()
    update, pack = hasher.update, _ORDER.pack
    position: dict[str, int] = {}
    for at, o in enumerate(orders):
        position[o.order_id] = at
        words = o.strategy, o.symbol, o.side, o.order_type, o.time_in_force, o.status, repr(o.tag), repr(o.reason)
        limit = _NONE if o.limit_price is None else o.limit_price
        stop = _NONE if o.stop_price is None else o.stop_price
        numbers = pack(o.created_ns, o.expires_ns or 0, o.quantity, o.filled_quantity, limit, stop)
        update(("|".join(words) + "\n").encode() + numbers)
    pack = _END.pack
    for u in updates:
        if u.status in TERMINAL:
            update(pack(position[u.order_id], u.ts_ns))
    pack = _FILL.pack
    for f in fills:
        update(pack(position[f.order_id], f.ts_ns, f.quantity, f.price_ideal, f.price, f.commission))
    return hasher.hexdigest()
