"""Wilder's relative strength index: buy the oversold, sell the overbought."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from fairlead.sdk import Bar, ConfigurationError, Context, FeatureRequest, Intents, OrderIntent, Strategy, parameter


class Rsi(Strategy):
    """Long below `oversold`, out above `overbought`.

    RSI = 100 - 100 / (1 + RMA(gain) / RMA(loss)), where RMA is Wilder's average with alpha = 1/n, seeded with the mean of the
    first n changes (Wilder 1978). No loss gives 100; neither gain nor loss gives 50.
    """

    name: ClassVar[str] = "rsi"

    window: int = parameter(14, ge=2, le=500, doc="Bars in Wilder's average.")
    oversold: float = parameter(30.0, gt=0, lt=100, doc="Buy below.")
    overbought: float = parameter(70.0, gt=0, lt=100, doc="Sell above.")
    weight: float = parameter(0.95, gt=0, le=1, doc="Share of equity to invest when every symbol is held.")

    def validate(self) -> None:
        """Check the order of the levels."""
        if self.oversold >= self.overbought:
            raise ConfigurationError.of("oversold", f"be smaller than overbought ({self.overbought})", self.oversold)

    def required_features(self) -> Mapping[str, FeatureRequest]:
        """Ask for the index."""
        return {"rsi": ("rsi", {"n": self.window})}

    def on_start(self, context: Context) -> None:
        """Begin with nothing known."""
        context.metadata.update(rsi={}, leaving=[])

    def on_market_event(self, event: Bar, context: Context) -> None:
        """Note the index."""
        value = context.features.get("rsi", event.symbol)
        if not math.isnan(value):
            context.metadata["rsi"][event.symbol] = value

    def generate_orders(self, context: Context) -> Intents:
        """Enter the oversold, leave the overbought."""
        intents = []
        # Only symbols with a bar at this instant: an old value is no reason to trade.
        fresh, context.metadata["rsi"] = context.metadata["rsi"], {}
        leaving = set(context.metadata["leaving"])
        for symbol, rsi in fresh.items():
            if not context.portfolio.quantity(symbol) > 0:
                leaving.discard(symbol)
                if rsi < self.oversold:
                    intents.append(OrderIntent.target_weight(symbol, self.weight / len(context.symbols), tag="oversold"))
            elif rsi > self.overbought or symbol in leaving:
                # An exit that was filled in part is asked for again until it is done.
                leaving.add(symbol)
                intents.append(OrderIntent.target_position(symbol, 0, tag="overbought"))
        context.metadata["leaving"] = sorted(leaving)
        return intents
