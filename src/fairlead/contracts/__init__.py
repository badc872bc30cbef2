"""What crosses a border: frames, rows, files, manifests, settings."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fairlead.contracts.orders import (
        CanonicalOrder,
        OrderEvent,
        OrderEventWriter,
        OrderWriter,
        check_orders,
        order_idempotency_key,
        read_order_events,
        read_orders,
    )

__all__ = [
    "CanonicalOrder",
    "OrderEvent",
    "OrderEventWriter",
    "OrderWriter",
    "check_orders",
    "order_idempotency_key",
    "read_order_events",
    "read_orders",
]

# Opened when someone walks through: every part of the house imports a module of this package, and few need all of them.
_DOORS: Final = dict.fromkeys(
    (
        "CanonicalOrder",
        "OrderEvent",
        "OrderEventWriter",
        "OrderWriter",
        "check_orders",
        "order_idempotency_key",
        "read_order_events",
        "read_orders",
    ),
    "fairlead.contracts.orders",
)


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module 'fairlead.contracts' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
