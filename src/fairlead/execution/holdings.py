"""What a ledger holds and what its working orders may open, as the rules of an account take it."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.core.orders import Order
from fairlead.core.portfolio import Portfolio
from fairlead.execution.margin import Holding


def holdings_of(ledger: Portfolio) -> list[Holding]:
    """Return the positions of a ledger at its marks; what is flat is left out."""
    return [
        Holding(p.symbol, p.quantity, ledger.marks[p.symbol], p.multiplier) for p in ledger.positions.values() if p.quantity
    ]


def together(orders: Sequence[Order]) -> float:
    """Return the units that orders of one side can fill together: of a set one fills."""
    single, sets = 0.0, dict[str, float]()
    for order in orders:
        if order.oco_id:
            sets[order.oco_id] = max(sets.get(order.oco_id, 0.0), order.remaining)
        else:
            single += order.remaining
    return single + sum(sets.values())


def opening_value(ledger: Portfolio, working: Sequence[Order]) -> float:
    """Return the value of the orders that open or enlarge a position, in currency."""
    total = 0.0
    for order in working:
        held = ledger.quantity(order.symbol)
        opens = not order.reduce_only and held * order.side.sign >= 0
        if opens:
            total += order.remaining * ledger.marks[order.symbol] * ledger.multipliers.get(order.symbol, 1.0)
    return total
