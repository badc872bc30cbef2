"""Wilder's relative strength index: buy the oversold, sell the overbought."""

from __future__ import annotations

from typing import Any, ClassVar

from fairlead.sdk import Bar, ConfigurationError, Context, CorporateAction, Intents, OrderIntent, Strategy, parameter


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

    def on_start(self, context: Context) -> None:
        """Begin with nothing known."""
        context.metadata.update(wilder={}, fresh=[], leaving=[])

    def on_market_event(self, event: Bar, context: Context) -> None:
        """Take one close into Wilder's averages."""
        state: dict[str, Any] | None = context.metadata["wilder"].get(event.symbol)
        if state is None:
            context.metadata["wilder"][event.symbol] = {"n": 0, "gain": 0.0, "loss": 0.0, "close": event.close}
            return
        change = event.close - state["close"]
        state["close"] = event.close
        state["n"] += 1
        # The seed is a plain mean, so the first n steps weigh 1/k; from then on 1/n.
        share = 1.0 / min(state["n"], self.window)
        state["gain"] += (max(change, 0.0) - state["gain"]) * share
        state["loss"] += (max(-change, 0.0) - state["loss"]) * share
        context.metadata["fresh"].append(event.symbol)

    def on_corporate_action(self, action: CorporateAction, context: Context) -> None:
        """Restate what is remembered in prices of today, so that a split is not a crash."""
        state = context.metadata["wilder"].get(action.symbol)
        if state is not None:
            factor = action.price_factor(state["close"])
            for key in ("gain", "loss", "close"):
                state[key] *= factor

    def value(self, symbol: str, context: Context) -> float:
        """Return the RSI of `symbol`, 0 to 100; 50 before the average is seeded."""
        state = context.metadata["wilder"].get(symbol)
        if state is None or state["n"] < self.window or state["gain"] == state["loss"] == 0.0:
            return 50.0
        return 100.0 if state["loss"] == 0.0 else 100.0 - 100.0 / (1.0 + state["gain"] / state["loss"])

    def generate_orders(self, context: Context) -> Intents:
        """Enter the oversold, leave the overbought."""
        intents = []
        # Only symbols with a bar at this instant: an old value is no reason to trade.
        fresh, context.metadata["fresh"] = context.metadata["fresh"], []
        leaving = set(context.metadata["leaving"])
        for symbol in fresh:
            rsi = self.value(symbol, context)
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
