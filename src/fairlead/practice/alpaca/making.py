"""Orders of Alpaca out of what was asked for, and what an account is asked for in their name."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from fairlead.core.orders import OrderRole, Side
from fairlead.execution.brokers.words import OrderRequest
from fairlead.practice.alpaca.placing import Asked, Exit
from fairlead.practice.alpaca.records import Record
from fairlead.practice.alpaca.words import ORDER_TYPES, TIMES

_ASSETS: Final = uuid.UUID("6b1f9f0e-6f1d-4a43-9d0e-0b6a3a6c2f10")
_OPPOSITE: Final = {"buy": "sell", "sell": "buy"}


def asset_id(symbol: str) -> str:
    """Return what Alpaca would call an asset by."""
    return str(uuid.uuid5(_ASSETS, symbol))


def new_order(asked: Asked, order_id: str, name: str, now_ns: int) -> Record:
    """Return the order that is asked for; `name` is what it is called if the client gives it no name."""
    return Record(
        order_id=order_id,
        client_order_id=asked.client_order_id or name,
        asset_id=asset_id(asked.symbol),
        symbol=asked.symbol,
        side=asked.side,
        order_type=asked.order_type,
        time_in_force=asked.time_in_force,
        quantity=float(asked.quantity),
        order_class=asked.order_class if asked.order_class != "simple" else "",
        limit_price=maybe_float(asked.limit_price),
        stop_price=maybe_float(asked.stop_price),
        trail_price=maybe_float(asked.trail_price),
        trail_percent=maybe_float(asked.trail_percent),
        extended_hours=asked.extended_hours,
        created_ns=now_ns,
        updated_ns=now_ns,
    )


def new_leg(parent: Record, way_out: Exit, order_id: str, name: str) -> Record:
    """Return an order that hangs on another, and is held until it may work."""
    return Record(
        order_id=order_id,
        client_order_id=name,
        asset_id=parent.asset_id,
        symbol=parent.symbol,
        side=parent.side if parent.order_class == "oco" else _OPPOSITE[parent.side],
        order_type=way_out.order_type,
        time_in_force=parent.time_in_force,
        quantity=parent.quantity,
        order_class=parent.order_class,
        limit_price=maybe_float(way_out.limit_price),
        stop_price=maybe_float(way_out.stop_price),
        status="held",
        parent_id=parent.order_id,
        created_ns=parent.created_ns,
        updated_ns=parent.updated_ns,
    )


def order_requests(records: Sequence[Record]) -> list[OrderRequest]:
    """Return what an account is asked for: one order, or the two exits of a position, the profit first."""
    are_exits = len(records) == 2
    roles = (OrderRole.TAKE_PROFIT, OrderRole.STOP_LOSS) if are_exits else (OrderRole.NONE,)
    return [
        OrderRequest(
            reference=record.client_order_id,
            symbol=record.symbol,
            side=Side(record.side.upper()),
            quantity=exact(record.quantity),
            order_type=ORDER_TYPES[record.order_type],
            time_in_force=TIMES[record.time_in_force],
            limit_price=maybe_exact(record.limit_price),
            stop_price=maybe_exact(record.stop_price),
            trail_amount=maybe_exact(record.trail_price),
            trail_percent=maybe_exact(record.trail_percent),
            oco_id=records[0].order_id if are_exits else "",
            role=role,
        )
        for record, role in zip(records, roles, strict=True)
    ]


def exact(value: float) -> Decimal:
    """Return a number as it is written."""
    return Decimal(repr(value))


def maybe_exact(value: float | None) -> Decimal | None:
    """Return a number as it is written; None for none."""
    return None if value is None else exact(value)


def maybe_float(value: Decimal | None) -> float | None:
    """Return a number to reckon with; None for none."""
    return None if value is None else float(value)
