"""Fixed weights, rebalanced: 60/40 and its relatives."""

from __future__ import annotations

from typing import ClassVar

from fairlead.sdk import BarSlice, ConfigurationError, Context, Intents, OrderIntent, Strategy, parameter


class FixedWeights(Strategy):
    """Holds given weights and brings them back every so many instants.

    The closed form: on every rebalancing close with equity E and prices P it trades to floor(w * E / P) units at the next
    open.
    """

    name: ClassVar[str] = "fixed_weights"
    event_type: ClassVar[type] = BarSlice

    symbols: tuple[str, ...] = parameter(("AAPL", "IBM"), doc="What to hold.")
    weights: tuple[float, ...] = parameter((0.6, 0.4), doc="Share of equity of each symbol; they may sum to 1 at most.")
    every: int = parameter(21, ge=1, le=2520, doc="Bars between rebalancings.")

    def validate(self) -> None:
        """Check that weights and symbols belong together."""
        if len(self.weights) != len(self.symbols):
            raise ConfigurationError.of("weights", f"have one entry per symbol, {len(self.symbols)}", self.weights)
        if not 0 < sum(abs(w) for w in self.weights) <= 1 + 1e-12:
            raise ConfigurationError.of("weights", "sum to more than 0 and at most 1 in absolute terms", self.weights)

    def on_start(self, context: Context) -> None:
        """Begin so that the first complete close rebalances."""
        context.metadata["waited"] = self.every

    def on_market_event(self, event: BarSlice, context: Context) -> None:
        """Count the bars on which every symbol trades."""
        context.metadata["due"] = False
        if all(symbol in event for symbol in self.symbols):
            context.metadata["due"] = context.metadata["waited"] >= self.every
            context.metadata["waited"] += 1

    def generate_orders(self, context: Context) -> Intents:
        """Rebalance when it is time."""
        if not context.metadata["due"]:
            return ()
        context.metadata["waited"] = 1
        return [OrderIntent.target_weight(s, w, tag="rebalance") for s, w in zip(self.symbols, self.weights, strict=True)]
