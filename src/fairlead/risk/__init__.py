"""Sizing, the only place in the project where a quantity is computed from money, and the checks before an order leaves."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fairlead.risk.guards import GuardRegistry, GuardSettings, create_default_guards
    from fairlead.risk.position import PositionSize, PositionSizer, SizingConfig, SizingMode, SizingRule
    from fairlead.risk.rejection import Rejection
    from fairlead.risk.settings import RiskSettings
    from fairlead.risk.validator import OrderValidator

__all__ = [
    "GuardRegistry",
    "GuardSettings",
    "OrderValidator",
    "PositionSize",
    "PositionSizer",
    "Rejection",
    "RiskSettings",
    "SizingConfig",
    "SizingMode",
    "SizingRule",
    "create_default_guards",
]

_ROOMS: Final = {
    "guards": ("GuardRegistry", "GuardSettings", "create_default_guards"),
    "position": ("PositionSize", "PositionSizer", "SizingConfig", "SizingMode", "SizingRule"),
    "rejection": ("Rejection",),
    "settings": ("RiskSettings",),
    "validator": ("OrderValidator",),
}


def __getattr__(name: str) -> Any:
    # The engine imports the kernels of this package alone; the rest is loaded by whoever asks for it.
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"fairlead.risk.{room}"), name)
    raise AttributeError(f"module 'fairlead.risk' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
