"""Orders, their changes, fills and intents as rows of plain values, and back: one form for run directories and the journal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from fairlead.core.exits import Exits
from fairlead.core.fills import Fill
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import AmountKind, Order, OrderRole, OrderStatus, OrderType, OrderUpdate, Side, TimeInForce

_ENUMS: Final[Mapping[str, Callable[[Any], Any]]] = {
    enum.__name__: enum for enum in (Side, OrderType, TimeInForce, OrderStatus, OrderRole, AmountKind)
}
# By the annotations, so that a new field is kept without a word here.
ORDER_KINDS: Final[Mapping[str, str]] = {f.name: str(f.type).partition(" | ")[0] for f in fields(Order)}
"""The fields of an `Order` and the types they are annotated with, None left out."""
_INTENT_KINDS: Final = {f.name: str(f.type).partition(" | ")[0] for f in fields(OrderIntent)}


def order_row(order: Order) -> dict[str, Any]:
    """Return an order as it stands, one column per field."""
    return {name: getattr(order, name) for name in ORDER_KINDS}


def order_of(row: Mapping[str, Any]) -> Order:
    """Return the order that a row states; columns that are no field of an order are passed over."""
    enums = {name: _ENUMS.get(ORDER_KINDS[name]) for name in row if name in ORDER_KINDS}
    values: dict[str, Any] = {name: row[name] if enum is None else enum(row[name]) for name, enum in enums.items()}
    return Order(**values)


def update_row(update: OrderUpdate) -> dict[str, Any]:
    """Return a change of an order as a row."""
    return {
        "ts_ns": update.ts_ns,
        "kind": "order",
        "order_id": update.order_id,
        "seq": update.seq,
        "previous": update.previous.value,
        "status": update.status.value,
        "filled_quantity": update.filled_quantity,
        "average_price": update.average_price,
        "text": update.reason,
    }


def update_of(row: Mapping[str, Any]) -> OrderUpdate:
    """Return the order update that a row states."""
    return OrderUpdate(
        row["order_id"],
        row["seq"],
        row["ts_ns"],
        OrderStatus(row["previous"]),
        OrderStatus(row["status"]),
        row["filled_quantity"],
        row["average_price"],
        row["text"],
    )


def fill_row(fill: Fill) -> dict[str, Any]:
    """Return an execution as a row."""
    return {
        "ts_ns": fill.ts_ns,
        "kind": "fill",
        "strategy": fill.strategy,
        "symbol": fill.symbol,
        "order_id": fill.order_id,
        "execution_id": fill.execution_id,
        "side": fill.side.value,
        "quantity": fill.quantity,
        "price_ideal": fill.price_ideal,
        "price": fill.price,
        "commission": fill.commission,
        "bar_ns": fill.bar_ns,
        "text": fill.tag,
    }


def fill_of(row: Mapping[str, Any]) -> Fill:
    """Return the fill that a row states."""
    return Fill(
        execution_id=row["execution_id"],
        order_id=row["order_id"],
        strategy=row["strategy"],
        symbol=row["symbol"],
        side=Side(row["side"]),
        quantity=row["quantity"],
        price_ideal=row["price_ideal"],
        price=row["price"],
        commission=row["commission"],
        ts_ns=row["ts_ns"],
        bar_ns=row["bar_ns"],
        tag=row["text"],
    )


def wish_of(intent: OrderIntent | CancelIntent | ReplaceIntent) -> dict[str, Any]:
    """Return what an intent states as plain data; what it leaves open is left out."""
    stated: dict[str, Any] = _stated(intent)
    return stated


def intent_of(kind: str, wish: Mapping[str, Any]) -> OrderIntent | CancelIntent | ReplaceIntent:
    """Return the intent whose `wish_of` this is.

    Parameters
    ----------
    kind : str
        ``intent``, ``cancel`` or ``replace``; see `intent_kind`.
    wish : mapping
    """
    if kind == "cancel":
        return CancelIntent(**wish)
    return ReplaceIntent(**wish) if kind == "replace" else _order_intent(wish)


def intent_kind(intent: OrderIntent | CancelIntent | ReplaceIntent) -> str:
    """Return the name of the kind of intent: ``intent``, ``cancel`` or ``replace``."""
    if isinstance(intent, OrderIntent):
        return "intent"
    return "cancel" if isinstance(intent, CancelIntent) else "replace"


def _order_intent(wish: Mapping[str, Any]) -> OrderIntent:
    return OrderIntent(**{name: _member(_INTENT_KINDS[name], value) for name, value in wish.items()})


def _member(kind: str, value: Any) -> Any:
    if kind in _ENUMS:
        return _ENUMS[kind](value)
    if kind == "dt.datetime":
        return dt.datetime.fromisoformat(value)
    if kind == "Exits":
        return Exits(**value)
    return tuple(_order_intent(item) for item in value) if isinstance(value, list) else value


def _stated(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        stated = {f.name: getattr(value, f.name) for f in fields(value)}
        # An amount of 0 is stated; a comparison with False would not tell it apart.
        left_open = {name for name, item in stated.items() if item is None or item is False or item in ("", ())}
        return {name: _stated(item) for name, item in stated.items() if name not in left_open}
    if isinstance(value, tuple | list):
        return [_stated(item) for item in value]
    return value.isoformat() if isinstance(value, dt.datetime) else value
