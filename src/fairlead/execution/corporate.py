"""What a corporate action does to an order: pure rules for whoever keeps orders, a simulated venue or a broker's desk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, Side

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL

GONE: Final[Mapping[ActionKind, str]] = MappingProxyType(
    {ActionKind.MERGER: "merged", ActionKind.DELISTING: "delisted", ActionKind.RENAME: "renamed"}
)
"""Why an order in a symbol that is no more is cancelled or rejected. A rename cancels nothing: its orders move."""


def rescale_order(order: Order, ratio: float, instrument: Instrument) -> bool:
    """Bring an order into the shares of after a split or a stock dividend, and return whether it still asks for something.

    What is filled is as odd as the position it made; only what remains goes back on the lot grid, rounded down. Prices go to
    the tick away from a better fill. An order that never asked for anything, such as the exit of a bracket before its entry
    fills, is left waiting.

    Parameters
    ----------
    order : Order
        Changed in place; its `decision` stays what it was.
    ratio : float
        New shares per old share: `CorporateAction.share_factor`.
    instrument : Instrument
    """
    order.decided_quantity, order.decided_limit, order.decided_stop = order.decision
    asked = order.remaining > 0.0
    # What only reduces may sell the odd remainder that a reverse split leaves of its position.
    remaining = order.remaining * ratio
    remaining = remaining if order.reduce_only else instrument.floor_quantity(remaining)
    order.filled_quantity *= ratio
    order.quantity = order.filled_quantity + remaining
    if order.average_price is not None:
        order.average_price /= ratio
    if order.limit_price is not None:
        order.limit_price = _on_tick(instrument, order.limit_price / ratio, up=order.side is _SELL)
    if order.stop_price is not None:
        order.stop_price = _on_tick(instrument, order.stop_price / ratio, up=order.side is _BUY)
    if order.trail_amount is not None:
        order.trail_amount /= ratio
    return remaining > 0.0 or not asked


def rename_order(order: Order, action: CorporateAction) -> None:
    """Let an order in a renamed symbol work under the new name; price, quantity and age stay."""
    order.decided_symbol = order.decided_symbol or order.symbol
    order.symbol = action.other


def orders_of(orders: Iterable[Order], symbol: str) -> list[Order]:
    """Return the orders in one symbol that can still change, in their order."""
    return [order for order in orders if order.symbol == symbol and not order.is_terminal]


def orders_to_cancel(orders: Iterable[Order], action: CorporateAction) -> list[Order]:
    """Return the orders that end with a symbol's merger or delisting, in their order; the reason is `GONE[action.kind]`."""
    if action.kind not in (ActionKind.MERGER, ActionKind.DELISTING):
        return []
    return orders_of(orders, action.symbol)


def orders_to_move(orders: Iterable[Order], action: CorporateAction) -> list[Order]:
    """Return the orders that go on under a new name, in their order; see `rename_order`."""
    return orders_of(orders, action.symbol) if action.kind is ActionKind.RENAME else []


def _on_tick(instrument: Instrument, price: float, *, up: bool) -> float:
    return instrument.ceil_price(price) if up else instrument.floor_price(price)
