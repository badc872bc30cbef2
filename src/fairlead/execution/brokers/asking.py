"""What a broker is asked for an order of ours: floats become the numbers of a border here, and nowhere else."""

from __future__ import annotations

from decimal import Decimal

from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, TimeInForce
from fairlead.execution.brokers.seam import BrokerTraits
from fairlead.execution.brokers.words import ChangeRequest, OrderRequest
from fairlead.execution.requests import Terms


def keeps_end(order: Order, traits: BrokerTraits) -> bool:
    """Return whether it is for us to take an order back when its time is over, as the broker does not."""
    return order.time_in_force is TimeInForce.GTD and TimeInForce.GTD not in traits.times_in_force


def request_of(order: Order, instrument: Instrument, traits: BrokerTraits) -> OrderRequest:
    """Return what a broker is asked for."""
    is_ours = keeps_end(order, traits)
    return OrderRequest(
        reference=order.order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=instrument.quantity_to_decimal(order.quantity),
        order_type=order.order_type,
        time_in_force=TimeInForce.GTC if is_ours else order.time_in_force,
        limit_price=_price(instrument, order.limit_price),
        stop_price=_price(instrument, order.stop_price),
        trail_amount=_price(instrument, order.trail_amount),
        trail_percent=None if order.trail_percent is None else Decimal(repr(order.trail_percent)),
        expires_ns=None if is_ours else order.expires_ns,
        oco_id=order.oco_id,
        role=order.role,
        reduce_only=order.reduce_only,
    )


def change_of(order: Order, terms: Terms, instrument: Instrument) -> ChangeRequest:
    """Return how a broker is asked to change an order; what stays as it is is left out."""
    return ChangeRequest(
        reference=order.order_id,
        quantity=instrument.quantity_to_decimal(terms.quantity) if terms.quantity != order.quantity else None,
        limit_price=_price(instrument, terms.limit_price) if terms.limit_price != order.limit_price else None,
        stop_price=_price(instrument, terms.stop_price) if terms.stop_price != order.stop_price else None,
    )


def why_not(order: Order, traits: BrokerTraits) -> str:
    """Return why a broker does not take such an order; empty if it does."""
    if order.order_type not in traits.order_types:
        return f"broker_refuses: takes no {order.order_type} orders"
    in_force = TimeInForce.GTC if keeps_end(order, traits) else order.time_in_force
    if in_force not in traits.times_in_force:
        return f"broker_refuses: takes no {in_force} orders"
    if not traits.is_fractional and not order.quantity.is_integer():
        return f"broker_refuses: takes whole units, not {order.quantity:.12g}"
    return ""


def _price(instrument: Instrument, price: float | None) -> Decimal | None:
    return None if price is None else instrument.price_to_decimal(price)
