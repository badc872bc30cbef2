"""The guards of domain rule 7.1: asked in one place, just before an order leaves, in every mode."""

from fairlead.risk.guards.base import CheckResult, Guard
from fairlead.risk.guards.registry import GUARDS, GuardRegistry, create_default_guards
from fairlead.risk.guards.settings import GuardSettings
from fairlead.risk.guards.tracker import RiskTracker
from fairlead.risk.guards.views import FULL, Counters, LimitScale, MarketView, OrderView, PortfolioView, order_view

__all__ = [
    "FULL",
    "GUARDS",
    "CheckResult",
    "Counters",
    "Guard",
    "GuardRegistry",
    "GuardSettings",
    "LimitScale",
    "MarketView",
    "OrderView",
    "PortfolioView",
    "RiskTracker",
    "create_default_guards",
    "order_view",
]
