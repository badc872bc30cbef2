"""What crosses a border: frames, rows, files, manifests, settings."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fairlead.contracts.enforcement import Enforcement, EnforcementSettings
    from fairlead.contracts.frames import (
        DailyFrameSpec,
        IntradayFrameSpec,
        Violation,
        assert_valid_daily,
        assert_valid_intraday,
    )
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
    from fairlead.contracts.quality import DataQualitySLA, Severity, SLAResult, all_passed
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
    "DailyFrameSpec",
    "DataQualitySLA",
    "Enforcement",
    "EnforcementSettings",
    "IntradayFrameSpec",
    "OrderEvent",
    "OrderEventWriter",
    "OrderWriter",
    "SLAResult",
    "Severity",
    "Signal",
    "Violation",
    "all_passed",
    "assert_valid_daily",
    "assert_valid_intraday",
    "check_orders",
    "order_idempotency_key",
    "read_order_events",
    "read_orders",
    "read_signals",
    "signals_from_frame",
    "write_signals",
]

_ROOMS: Final = {
    "enforcement": ("Enforcement", "EnforcementSettings"),
    "frames": ("DailyFrameSpec", "IntradayFrameSpec", "Violation", "assert_valid_daily", "assert_valid_intraday"),
    "orders": (
        *("CanonicalOrder", "OrderEvent", "OrderEventWriter", "OrderWriter", "check_orders", "order_idempotency_key"),
        *("read_order_events", "read_orders"),
    ),
    "quality": ("DataQualitySLA", "SLAResult", "Severity", "all_passed"),
    "signals": ("Candidate", "CandidateList", "Signal", "read_signals", "signals_from_frame", "write_signals"),
}


def __getattr__(name: str) -> Any:
    # Most who import a module of this package want that one alone; the others are loaded by whoever asks for them.
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"fairlead.contracts.{room}"), name)
    raise AttributeError(f"module 'fairlead.contracts' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
