"""Canonical orders: the rows in which orders cross a border, and the files that hold them (domain rules 4.1-4.5)."""

from fairlead.contracts.orders.events import OrderEvent, OrderEventWriter, read_order_events
from fairlead.contracts.orders.reading import OrderFile, RowProblem, check_orders, read_orders
from fairlead.contracts.orders.row import (
    ORDER_COLUMNS,
    SCHEMA_VERSION,
    CanonicalOrder,
    OrderSource,
    TradingHours,
    order_idempotency_key,
)
from fairlead.contracts.orders.writing import OrderWriter

__all__ = [
    "ORDER_COLUMNS",
    "SCHEMA_VERSION",
    "CanonicalOrder",
    "OrderEvent",
    "OrderEventWriter",
    "OrderFile",
    "OrderSource",
    "OrderWriter",
    "RowProblem",
    "TradingHours",
    "check_orders",
    "order_idempotency_key",
    "read_order_events",
    "read_orders",
]
