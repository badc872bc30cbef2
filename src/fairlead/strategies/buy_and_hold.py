"""Buy once, hold for ever: the yardstick."""

from __future__ import annotations

from typing import ClassVar

from fairlead.sdk import BarSlice, Context, Intents, OrderIntent, Strategy, parameter


class BuyAndHold(Strategy):
    """Buys every symbol at equal weight as soon as all of them trade, and never sells.

    The closed form: with equity E, n symbols and closing prices P on the day of the decision, it buys
    floor(weight * E / n / P) units of each at the next open and keeps the rest in cash.
    """

    name: ClassVar[str] = "buy_and_hold"
    event_type: ClassVar[type] = BarSlice

    symbols: tuple[str, ...] = parameter(("AAPL",), doc="What to hold.")
    weight: float = parameter(1.0, gt=0, le=1, doc="Share of equity to invest.")

    def on_start(self, context: Context) -> None:
        """Begin with nothing bought."""
        context.metadata["bought"] = False

    def on_market_event(self, event: BarSlice, context: Context) -> None:
        """Note whether every symbol trades."""
        context.metadata["all_trade"] = all(symbol in event for symbol in self.symbols)

    def generate_orders(self, context: Context) -> Intents:
        """Buy, once."""
        if context.metadata["bought"] or not context.metadata["all_trade"]:
            return ()
        context.metadata["bought"] = True
        share = self.weight / len(self.symbols)
        return [OrderIntent.target_weight(symbol, share, tag="buy_and_hold") for symbol in self.symbols]
