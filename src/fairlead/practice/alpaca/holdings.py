"""What may still be sold: Alpaca keeps back what open orders close, and lets no order cross zero."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.practice.alpaca.records import Record
from fairlead.practice.alpaca.refusals import forbidden, invalid
from fairlead.practice.alpaca.words import number_text


def held_for_orders(records: Sequence[Record], symbol: str, quantity: float) -> float:
    """Return how many units of a position open orders close; two linked exits close the same ones.

    Parameters
    ----------
    records : sequence of Record
        Open ones.
    symbol : str
    quantity : float
        Signed units of the position.
    """
    side = "sell" if quantity > 0 else "buy"
    groups: dict[str, float] = {}
    for record in records:
        if record.symbol == symbol and record.side == side and record.broker_id:
            group = record.parent_id or record.order_id
            groups[group] = max(groups.get(group, 0.0), record.quantity - record.filled)
    return sum(groups.values())


def check_available(
    account: SimulatedAccount, records: Sequence[Record], symbol: str, side: str, quantity: Decimal, *, is_exit: bool
) -> None:
    """Refuse an order that closes more than is free, or sells short what may not be.

    Raises
    ------
    Refusal
    """
    held = next((position.quantity for position in account.positions() if position.symbol == symbol), 0.0)
    closes = held > 0 if side == "sell" else held < 0
    if is_exit and not closes:
        raise invalid("oco orders must be exit orders")
    if not closes:
        if side == "sell" and not account.can_short:
            raise forbidden("account is not allowed to short")
        if side == "sell" and not account.instruments[symbol].shortable:
            raise forbidden(f'asset "{symbol}" cannot be sold short')
        return
    kept = held_for_orders(records, symbol, held)
    available = max(0.0, abs(held) - kept)
    if float(quantity) > available + 1e-9:
        asked, free = number_text(quantity), number_text(available)
        raise forbidden(
            f"insufficient qty available for order (requested: {asked}, available: {free})",
            available=free,
            existing_qty=number_text(abs(held)),
            held_for_orders=number_text(kept),
            symbol=symbol,
        )
