"""`Strategy`: what an author writes, once, for backtest, replay, paper and live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fairlead.core.bars import BarSlice
from fairlead.core.errors import ConfigurationError
from fairlead.core.events import Bar, CorporateAction
from fairlead.core.identity import slug
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import Order
from fairlead.sdk.context import Context
from fairlead.sdk.features import FeatureRequest
from fairlead.sdk.limits import RiskLimits
from fairlead.sdk.parameters import Parameter, resolve

Intents = Sequence[OrderIntent | CancelIntent | ReplaceIntent]


class Strategy:
    """Base of every strategy.

    At each instant the engine calls `on_market_event` for each event, then `generate_orders` once. Order updates arrive
    before the market event that caused them. Everything a strategy may know reaches it through the context.

    Attributes
    ----------
    name : str
        Registry name; the class name in snake case if not set.
    version : str
        Semantic version; part of every order's idempotency key, so raise it when behaviour changes.
    event_type : type
        `Bar`: one call per symbol's bar. `BarSlice`: one call with all bars that close at the instant.
    features : tuple of str
        Features it will ask for with their default parameters; see `required_features`.
    risk_limits : RiskLimits
        The widest limits it is designed for; a configuration may only tighten them.

    Examples
    --------
    >>> class BuyOnce(Strategy):
    ...     symbol: str = parameter("AAPL")
    ...     def generate_orders(self, context):
    ...         held = context.portfolio.quantity(self.symbol)
    ...         return [] if held else [OrderIntent.market(self.symbol, 10)]
    """

    name: ClassVar[str] = "strategy"
    version: ClassVar[str] = "1.0.0"
    event_type: ClassVar[type[Bar | BarSlice]] = Bar
    features: ClassVar[tuple[str, ...]] = ()
    risk_limits: ClassVar[RiskLimits] = RiskLimits()
    parameters: ClassVar[Mapping[str, Parameter]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Parameter)}
        for name in vars(cls):
            if name in cls.parameters and name not in own:
                raise ConfigurationError.of(f"{cls.__name__}.{name}", "be declared with parameter(...)", vars(cls)[name])
        cls.parameters = {**cls.parameters, **own}
        if "name" not in vars(cls):
            words = "".join(f" {c}" if c.isupper() else c for c in cls.__name__)
            cls.name = slug(words)

    def __init__(self, **params: Any) -> None:
        for name, value in resolve(self.parameters, params, type(self).__name__).items():
            setattr(self, name, value)
        self.validate()

    @property
    def params(self) -> dict[str, object]:
        """The value of every declared parameter."""
        return {name: getattr(self, name) for name in self.parameters}

    @classmethod
    def schema(cls) -> dict[str, object]:
        """Return the JSON Schema of the parameters."""
        return {
            "title": cls.name,
            "type": "object",
            "additionalProperties": False,
            "properties": {name: p.schema() for name, p in cls.parameters.items()},
        }

    def validate(self) -> None:
        """Check parameters against each other; raise `ConfigurationError` if they do not fit. Called on construction."""

    def required_symbols(self) -> Sequence[str]:
        """Return the symbols without which the strategy cannot run; they are checked before the start.

        By default those in the parameters ``symbol`` and ``symbols``, if it declares them.
        """
        one, several = self.params.get("symbol"), self.params.get("symbols")
        return [str(s) for s in (*([one] if one else []), *(several if isinstance(several, tuple) else ()))]

    def required_features(self) -> Mapping[str, FeatureRequest]:
        """Return the features it will ask `context.features` for: label -> name, or name and parameters.

        They are computed before each event, from all the history there is. By default those named in `features`.

        Examples
        --------
        >>> def required_features(self):
        ...     return {"fast": ("sma", {"n": self.fast}), "slow": ("sma", {"n": self.slow})}
        """
        return {name: name for name in self.features}

    def lookback(self) -> int:
        """Return how many bars `context.historical_data` must be able to reach back; at least 1000 are always kept."""
        return 0

    def on_start(self, context: Context) -> None:
        """Prepare. Called once, before the first event."""

    def on_market_event(self, event: Any, context: Context) -> None:
        """Take in one event of type `event_type`."""

    def generate_orders(self, context: Context) -> Intents:  # noqa: ARG002  the hook's signature is the contract
        """Return what is wanted now; an empty list for nothing."""
        return ()

    def on_order_update(self, order: Order, context: Context) -> None:
        """Hear of a change to one of your orders. Read the order; do not write to it."""

    def on_corporate_action(self, action: CorporateAction, context: Context) -> None:
        """Hear of a split or dividend at the open of its ex-session, before any fill of that session."""

    def on_stop(self, context: Context) -> None:
        """Clean up. Called once, after the last event."""

    def save_state(self) -> dict[str, Any]:
        """Return what a checkpoint must carry, as JSON-able values; `context.metadata` is carried anyway."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `save_state` returned."""
