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
    from fairlead.contracts.signals import (
        Candidate,
        CandidateList,
        Signal,
        read_signals,
        signals_from_frame,
        write_signals,
    )

__all__ = [
    "Candidate",
    "CandidateList",
    "CanonicalOrder",
    "OrderEvent",
    "OrderEventWriter",
    "OrderWriter",
    "Signal",
    "check_orders",
    "order_idempotency_key",
    "read_order_events",
    "read_orders",
    "read_signals",
    "signals_from_frame",
    "write_signals",
]

# Opened when someone walks through: every part of the house imports a module of this package, and few need all of them.
_DOORS: Final = {
    "Candidate": "fairlead.contracts.signals",
    "CandidateList": "fairlead.contracts.signals",
    "CanonicalOrder": "fairlead.contracts.orders",
    "OrderEvent": "fairlead.contracts.orders",
    "OrderEventWriter": "fairlead.contracts.orders",
    "OrderWriter": "fairlead.contracts.orders",
    "Signal": "fairlead.contracts.signals",
    "check_orders": "fairlead.contracts.orders",
    "order_idempotency_key": "fairlead.contracts.orders",
    "read_order_events": "fairlead.contracts.orders",
    "read_orders": "fairlead.contracts.orders",
    "read_signals": "fairlead.contracts.signals",
    "signals_from_frame": "fairlead.contracts.signals",
    "write_signals": "fairlead.contracts.signals",
}


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module 'fairlead.contracts' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
