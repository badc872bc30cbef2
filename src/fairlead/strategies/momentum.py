"""Cross-sectional momentum: hold the recent winners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from fairlead.sdk import BarSlice, Context, FeatureRequest, Intents, OrderIntent, Strategy, parameter


class Momentum(Strategy):
    """Every so many bars, holds the `top` symbols by past return at equal weight.

    Momentum is P[t - skip] / P[t - skip - lookback_bars] - 1 on adjusted closes (Jegadeesh and Titman 1993). Ties go to the
    symbol that comes first; symbols without a bar at the instant, or without enough of them, are left out.
    """

    name: ClassVar[str] = "momentum"
    event_type: ClassVar[type] = BarSlice

    lookback_bars: int = parameter(126, ge=1, le=900, doc="Bars over which the return is measured.")
    skip: int = parameter(0, ge=0, le=90, doc="Most recent bars to leave out.")
    top: int = parameter(2, ge=1, le=5000, doc="How many symbols to hold.")
    every: int = parameter(21, ge=1, le=2520, doc="Bars between rebalancings.")
    weight: float = parameter(0.98, gt=0, le=1, doc="Share of equity to invest.")

    def required_features(self) -> Mapping[str, FeatureRequest]:
        """Ask for the past return."""
        return {"strength": ("momentum", {"n": self.lookback_bars, "skip": self.skip})}

    def on_start(self, context: Context) -> None:
        """Begin so that the first instant with a ranking rebalances."""
        context.metadata["waited"] = self.every

    def on_market_event(self, event: BarSlice, context: Context) -> None:  # noqa: ARG002  the features hold what matters
        """Count the bars."""
        context.metadata["waited"] += 1

    def generate_orders(self, context: Context) -> Intents:
        """Rank and rebalance when it is time, or as soon after it as there is something to rank."""
        if context.metadata["waited"] <= self.every:
            return ()
        strength = context.features.row("strength")
        ranked = [i for i in np.argsort(-strength, kind="stable").tolist() if np.isfinite(strength[i])]
        if not ranked:
            return ()
        context.metadata["waited"] = 1
        winners = {context.symbols[i] for i in ranked[: self.top]}
        leave = [
            OrderIntent.target_position(s, 0, tag="dropped") for s in sorted(context.portfolio.positions) if s not in winners
        ]
        hold = [OrderIntent.target_weight(s, self.weight / len(winners), tag="winner") for s in sorted(winners)]
        return leave + hold
