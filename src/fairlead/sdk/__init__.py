"""All that a strategy author imports."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fairlead.core.bars import BarSlice
    from fairlead.core.errors import ConfigurationError
    from fairlead.core.events import Bar, CorporateAction, Quote, Trade
    from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent, one_cancels_other
    from fairlead.core.orders import Order, OrderStatus, OrderType, Side, TimeInForce
    from fairlead.sdk.context import Context, PortfolioView
    from fairlead.sdk.decisions import HOLD, Decision, target_position, target_weight
    from fairlead.sdk.features import FeatureRequest, FeatureView
    from fairlead.sdk.harness import StrategyHarness
    from fairlead.sdk.history import HistoricalData
    from fairlead.sdk.kernel_strategy import KernelStrategy
    from fairlead.sdk.limits import RiskLimits
    from fairlead.sdk.lint import lint_strategy
    from fairlead.sdk.parameters import parameter
    from fairlead.sdk.registry import find_strategy
    from fairlead.sdk.strategy import Intents, Strategy

# Looked up when they are asked for: features share the parameters, and must not load all that strategies need.
_ROOMS: Final = {
    "fairlead.core.bars": ("BarSlice",),
    "fairlead.core.errors": ("ConfigurationError",),
    "fairlead.core.events": ("Bar", "CorporateAction", "Quote", "Trade"),
    "fairlead.core.intents": ("CancelIntent", "OrderIntent", "ReplaceIntent", "one_cancels_other"),
    "fairlead.core.orders": ("Order", "OrderStatus", "OrderType", "Side", "TimeInForce"),
    "fairlead.sdk.context": ("Context", "PortfolioView"),
    "fairlead.sdk.decisions": ("HOLD", "Decision", "target_position", "target_weight"),
    "fairlead.sdk.features": ("FeatureRequest", "FeatureView"),
    "fairlead.sdk.harness": ("StrategyHarness",),
    "fairlead.sdk.history": ("HistoricalData",),
    "fairlead.sdk.kernel_strategy": ("KernelStrategy",),
    "fairlead.sdk.limits": ("RiskLimits",),
    "fairlead.sdk.lint": ("lint_strategy",),
    "fairlead.sdk.parameters": ("parameter",),
    "fairlead.sdk.registry": ("find_strategy",),
    "fairlead.sdk.strategy": ("Intents", "Strategy"),
}
_ROOM_OF: Final = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "HOLD",
    "Bar",
    "BarSlice",
    "CancelIntent",
    "ConfigurationError",
    "Context",
    "CorporateAction",
    "Decision",
    "FeatureRequest",
    "FeatureView",
    "HistoricalData",
    "Intents",
    "KernelStrategy",
    "Order",
    "OrderIntent",
    "OrderStatus",
    "OrderType",
    "PortfolioView",
    "Quote",
    "ReplaceIntent",
    "RiskLimits",
    "Side",
    "Strategy",
    "StrategyHarness",
    "TimeInForce",
    "Trade",
    "find_strategy",
    "lint_strategy",
    "one_cancels_other",
    "parameter",
    "target_position",
    "target_weight",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'fairlead.sdk' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_ROOM_OF[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
