"""Mean reversion on a z-score: buy what fell unusually far, sell when it is back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from fairlead.sdk import Bar, ConfigurationError, Context, FeatureRequest, Intents, OrderIntent, Strategy, parameter


class MeanReversion(Strategy):
    """Long below -entry standard deviations from the mean, out again above -exit.

    z = (P - mean_n) / std_n over the last n adjusted closes, the current one included, ddof 1.
    """

    name: ClassVar[str] = "mean_reversion"

    window: int = parameter(20, ge=3, le=999, doc="Bars in mean and deviation.")
    entry: float = parameter(2.0, gt=0, le=10, doc="Deviations below the mean at which to buy.")
    exit: float = parameter(0.5, ge=0, le=10, doc="Deviations below the mean at which to sell; smaller than entry.")
    weight: float = parameter(0.95, gt=0, le=1, doc="Share of equity to invest when every symbol is held.")

    def validate(self) -> None:
        """Check that the exit lies nearer to the mean than the entry."""
        if self.exit >= self.entry:
            raise ConfigurationError.of("exit", f"be smaller than entry ({self.entry})", self.exit)

    def on_start(self, context: Context) -> None:
        """Begin with no view."""
        context.metadata["z"] = {}

    def required_features(self) -> Mapping[str, FeatureRequest]:
        """Ask for the z-score."""
        return {"z": ("zscore", {"n": self.window})}

    def on_market_event(self, event: Bar, context: Context) -> None:
        """Note the z-score."""
        z = context.features.get("z", event.symbol)
        if not math.isnan(z):
            context.metadata["z"][event.symbol] = z

    def generate_orders(self, context: Context) -> Intents:
        """Enter what is stretched, leave what is back."""
        intents = []
        # Only symbols with a bar at this instant: an old z-score is no reason to trade.
        fresh, context.metadata["z"] = context.metadata["z"], {}
        for symbol, z in fresh.items():
            held = context.portfolio.quantity(symbol) > 0
            if not held and z < -self.entry:
                intents.append(OrderIntent.target_weight(symbol, self.weight / len(context.symbols), tag="stretched"))
            elif held and z > -self.exit:
                intents.append(OrderIntent.target_position(symbol, 0, tag="reverted"))
        return intents
