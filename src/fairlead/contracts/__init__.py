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
    from fairlead.contracts.quality import DataQualitySLA, Severity, SLAResult, all_passed

__all__ = [
    "DailyFrameSpec",
    "DataQualitySLA",
    "Enforcement",
    "EnforcementSettings",
    "IntradayFrameSpec",
    "SLAResult",
    "Severity",
    "Violation",
    "all_passed",
    "assert_valid_daily",
    "assert_valid_intraday",
]

_ROOMS: Final = {
    "enforcement": ("Enforcement", "EnforcementSettings"),
    "frames": ("DailyFrameSpec", "IntradayFrameSpec", "Violation", "assert_valid_daily", "assert_valid_intraday"),
    "quality": ("DataQualitySLA", "SLAResult", "Severity", "all_passed"),
}


def __getattr__(name: str) -> Any:
    # Most who import a module of this package want that one alone; the others are loaded by whoever asks for them.
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"fairlead.contracts.{room}"), name)
    raise AttributeError(f"module 'fairlead.contracts' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
