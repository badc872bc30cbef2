"""Cross-sectional momentum: hold the recent winners."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fairlead.sdk import BarSlice, Context, Intents, OrderIntent, Strategy, parameter


class Momentum(Strategy):
    """Every so many bars, holds the `top` symbols by past return at equal weight.

    Momentum is P[t - skip] / P[t - skip - lookback_bars] - 1 on adjusted closes (Jegadeesh and Titman 1993). Ties go to the
    symbol that comes first; symbols without a price at either end are left out.
    """

    name: ClassVar[str] = "momentum"
    event_type: ClassVar[type] = BarSlice

    lookback_bars: int = parameter(126, ge=1, le=900, doc="Bars over which the return is measured.")
    skip: int = parameter(0, ge=0, le=90, doc="Most recent bars to leave out.")
    top: int = parameter(2, ge=1, le=5000, doc="How many symbols to hold.")
    every: int = parameter(21, ge=1, le=2520, doc="Bars between rebalancings.")
    weight: float = parameter(0.98, gt=0, le=1, doc="Share of equity to invest.")

    def lookback(self) -> int:
        """Return the bars the return spans."""
        return self.lookback_bars + self.skip + 1

    def on_start(self, context: Context) -> None:
        """Begin counting."""
        context.metadata["seen"] = 0

    def on_market_event(self, event: BarSlice, context: Context) -> None:  # noqa: ARG002  only the passing of time matters
        """Count the bars."""
        context.metadata["seen"] += 1

    def generate_orders(self, context: Context) -> Intents:
        """Rank and rebalance when it is time."""
        seen = context.metadata["seen"]
        if seen < self.lookback() or (seen - self.lookback()) % self.every:
            return ()
        closes = context.historical_data.panel(self.lookback())
        strength = closes[-1 - self.skip] / closes[0] - 1.0
        ranked = [i for i in np.argsort(-strength, kind="stable").tolist() if np.isfinite(strength[i])]
        winners = {context.symbols[i] for i in ranked[: self.top]}
        leave = [
            OrderIntent.target_position(s, 0, tag="dropped") for s in sorted(context.portfolio.positions) if s not in winners
        ]
        hold = [OrderIntent.target_weight(s, self.weight / len(winners), tag="winner") for s in sorted(winners)]
        return leave + hold
