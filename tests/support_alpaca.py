"""Orders as Alpaca writes them, for tests of what is made of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fairlead.core.orders import OrderType, Side
from fairlead.execution.brokers.words import OrderRequest


def raw_order(**changed: Any) -> dict[str, Any]:
    """Return an order as in Alpaca's reference, with some fields otherwise."""
    order = {
        "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
        "client_order_id": "r-1",
        "created_at": "2025-01-02T14:30:00.123456789Z",
        "updated_at": "2025-01-02T14:30:00.5Z",
        "submitted_at": "2025-01-02T14:30:00.123456789Z",
        "filled_at": None,
        "replaced_by": None,
        "replaces": None,
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "15",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "107.00",
        "stop_price": None,
        "status": "accepted",
        "extended_hours": False,
        "legs": None,
    }
    return {**order, **changed}


def request(reference: str = "r-1", **changed: Any) -> OrderRequest:
    """Return a limit order for 15 AAPL, or one that is otherwise."""
    fields = {
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": Decimal(15),
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal("107.00"),
    }
    return OrderRequest(reference=reference, **{**fields, **changed})
