"""Moving-average crossover: the first trend follower everyone writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Final

from fairlead.sdk import Bar, ConfigurationError, Context, FeatureRequest, Intents, OrderIntent, Strategy, parameter

# Two averages of the same cents differ in the last bits; only a difference beyond them is a crossing.
_ROUNDING: Final = 1e-13


class SmaCrossover(Strategy):
    """Long while the fast simple moving average is above the slow one, in cash otherwise.

    Averages are of closing prices adjusted for the splits and dividends known so far. Capital is divided equally between the
    symbols of the run; whenever one of them crosses, every position is brought back to its share, so that a winner never takes
    the room of the others.
    """

    name: ClassVar[str] = "sma_crossover"

    fast: int = parameter(50, ge=1, le=999, doc="Bars in the fast average.")
    slow: int = parameter(200, ge=2, le=999, doc="Bars in the slow average.")
    weight: float = parameter(0.95, gt=0, le=1, doc="Share of equity to invest when every symbol is long.")

    def validate(self) -> None:
        """Check that fast is faster than slow."""
        if self.fast >= self.slow:
            raise ConfigurationError.of("fast", f"be smaller than slow ({self.slow})", self.fast)

    def on_start(self, context: Context) -> None:
        """Begin with no view."""
        context.metadata.update(wanted={}, crossed=False)

    def required_features(self) -> Mapping[str, FeatureRequest]:
        """Ask for both averages."""
        return {"fast": ("sma", {"n": self.fast}), "slow": ("sma", {"n": self.slow})}

    def on_market_event(self, event: Bar, context: Context) -> None:
        """Compare the averages."""
        fast, slow = context.features.get("fast", event.symbol), context.features.get("slow", event.symbol)
        if math.isnan(slow):
            return
        share = self.weight / len(context.symbols) if fast > slow * (1.0 + _ROUNDING) else 0.0
        wanted = context.metadata["wanted"]
        context.metadata["crossed"] |= share != wanted.get(event.symbol, 0.0)
        wanted[event.symbol] = share

    def generate_orders(self, context: Context) -> Intents:
        """Trade when a view changed."""
        crossed = context.metadata["crossed"]
        context.metadata["crossed"] = False
        return [
            OrderIntent.target_weight(symbol, share, tag="long" if share else "flat")
            for symbol, share in context.metadata["wanted"].items()
            # An exit that was filled in part is asked for again until it is done.
            if crossed or (share == 0.0 and context.portfolio.quantity(symbol))
        ]
