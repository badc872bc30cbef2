"""The run digest: two runs that decided, ordered and filled the same have the same digest, and no others."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final

from fairlead.core.fills import Fill
from fairlead.core.orders import TERMINAL, Order, OrderUpdate

_NONE: Final = math.nan
_WORDS: Final = attrgetter("strategy", "symbol", "side", "order_type", "time_in_force", "status", "tag", "reason")
_ORDER: Final = struct.Struct("<qqdddd")
_END: Final = struct.Struct("<qq")
_FILL: Final = struct.Struct("<qqdddd")


def run_digest(orders: Sequence[Order], updates: Iterable[OrderUpdate], fills: Iterable[Fill]) -> str:
    """Return the SHA-256 of the ordered decisions, orders and fills; to cancel is a decision, so an order's end counts too.

    Identifiers are left out: they contain the run's own name, which differs between runs that are otherwise equal. An order
    enters as its position in the sequence instead. Numbers enter as their 64 bits.
    """
    position = {order.order_id: at for at, order in enumerate(orders)}
    pack, end = _FILL.pack, _END.pack
    hasher = hashlib.sha256(b"".join(_decisions(orders)))
    hasher.update(b"".join([end(position[u.order_id], u.ts_ns) for u in updates if u.status in TERMINAL]))
    hasher.update(
        b"".join([pack(position[f.order_id], f.ts_ns, f.quantity, f.price_ideal, f.price, f.commission) for f in fills])
    )
    return hasher.hexdigest()


def _decisions(orders: Iterable[Order]) -> list[bytes]:
    pack = _ORDER.pack
    # The words of most orders are those of one before.
    written: dict[tuple[str, ...], bytes] = {}
    parts: list[bytes] = []
    for o in orders:
        words = _WORDS(o)
        text = written.get(words)
        if text is None:
            *plain, tag, reason = words
            text = written[words] = ("|".join((*plain, repr(tag), repr(reason))) + "\n").encode()
        limit = _NONE if o.limit_price is None else o.limit_price
        stop = _NONE if o.stop_price is None else o.stop_price
        parts += (text, pack(o.created_ns, o.expires_ns or 0, o.quantity, o.filled_quantity, limit, stop))
    return parts
