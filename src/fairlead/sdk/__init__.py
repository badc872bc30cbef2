"""All that a strategy author imports."""

from fairlead.core.bars import BarSlice
from fairlead.core.errors import ConfigurationError
from fairlead.core.events import Bar, CorporateAction, Quote, Trade
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent, one_cancels_other
from fairlead.core.orders import Order, OrderStatus, OrderType, Side, TimeInForce
from fairlead.sdk.context import Context, PortfolioView
from fairlead.sdk.features import FeatureRequest, FeatureView
from fairlead.sdk.harness import StrategyHarness
from fairlead.sdk.history import HistoricalData
from fairlead.sdk.limits import RiskLimits
from fairlead.sdk.lint import lint_strategy
from fairlead.sdk.parameters import parameter
from fairlead.sdk.registry import find_strategy
from fairlead.sdk.strategy import Intents, Strategy

__all__ = [
    "Bar",
    "BarSlice",
    "CancelIntent",
    "ConfigurationError",
    "Context",
    "CorporateAction",
    "FeatureRequest",
    "FeatureView",
    "HistoricalData",
    "Intents",
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
]
