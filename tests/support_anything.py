"""A strategy that wants anything that can be wanted, a market for it, and ways to execute."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from fairlead.core.orders import TimeInForce
from fairlead.sdk import BarSlice, CancelIntent, OrderIntent, ReplaceIntent, Strategy, one_cancels_other
from support_sessions import minutes, random_bars

N = 50


class Anything(Strategy):
    """Returns random intents of every kind, cancels and replacements; each symbol has its own dice."""

    event_type = BarSlice

    def __init__(self, seed, names):
        super().__init__()
        self.dice = {symbol: np.random.default_rng([seed, i]) for i, symbol in enumerate(names)}
        self.bars = {}

    def on_market_event(self, event, context):
        self.bars = {symbol: event[symbol] for symbol in context.symbols if symbol in event}

    def generate_orders(self, context):
        # In the order of the dice, whatever the symbols are called.
        return [
            intent for symbol, dice in self.dice.items() if symbol in self.bars for intent in self.wish(symbol, dice, context)
        ]

    def wish(self, symbol, dice, context):  # noqa: C901, PLR0911  one line for each kind of wish
        price, draw = self.bars[symbol].close, dice.random()
        sign = 1 if dice.random() < 0.5 else -1
        quantity = sign * int(dice.integers(1, 300))
        away = [round(price * (1 + x), 2) for x in sorted(abs(dice.normal(0, 0.02, 4)) + 0.002)]
        under = [round(price * (1 - x), 2) for x in sorted(abs(dice.normal(0, 0.02, 4)) + 0.002)]
        beyond, behind = (away, under) if sign > 0 else (under, away)
        tif = TimeInForce.GTC if dice.random() < 0.6 else TimeInForce.DAY
        exits = {"take_profit": beyond[3], "stop_loss": behind[3]}
        own = [o for o in context.open_orders if o.symbol == symbol]
        if draw < 0.35 or (draw > 0.9 and not own):
            return []
        if draw < 0.45:
            return [OrderIntent.market(symbol, quantity).with_exits(**exits)]
        if draw < 0.52:
            return [OrderIntent.limit(symbol, quantity, behind[0], time_in_force=tif).with_exits(**exits)]
        if draw < 0.60:
            return [OrderIntent.stop(symbol, quantity, beyond[0], time_in_force=tif).with_exits(trail_percent=1.5)]
        if draw < 0.68:
            legs = OrderIntent.stop(symbol, quantity, beyond[1]), OrderIntent.stop(symbol, -quantity, behind[1])
            return one_cancels_other(*legs)
        if draw < 0.74:
            return [
                OrderIntent.market(symbol, quantity).then(OrderIntent.limit(symbol, -quantity, beyond[1], time_in_force=tif))
            ]
        if draw < 0.80:
            return [OrderIntent(symbol=symbol, amount=quantity, reduce_only=True, time_in_force=tif)]
        if draw < 0.85:
            return [OrderIntent.trailing_stop(symbol, quantity, amount=round(price * 0.01, 2))]
        if draw < 0.90:
            return [OrderIntent.target_position(symbol, 0)]
        chosen = own[int(dice.integers(len(own)))]
        if draw < 0.95:
            return [CancelIntent(chosen.order_id)]
        return [ReplaceIntent(chosen.order_id, quantity=float(dice.integers(1, 400)))]


def market(seed, names=("A", "B"), rows=None):
    rng = np.random.default_rng(seed)
    drawn = [random_bars(rng, N, gaps=0.15, volume=2_000) for _ in names]
    return minutes(dict(zip(names, drawn, strict=True)), per_session=20, rows=rows)


SETTINGS = st.fixed_dictionaries(
    {
        "latency": st.sampled_from(
            [{"mean_ms": 0, "std_ms": 0}, {"mean_ms": 20, "std_ms": 10}, {"mean_ms": 90_000, "std_ms": 0}]
        ),
        "max_bar_participation": st.sampled_from([0.05, 0.3, 1.0]),
        "limit_fill_on_touch": st.booleans(),
        "allow_same_bar_exit": st.booleans(),
        "oco_same_bar": st.sampled_from(["pessimistic", "no_fill"]),
        "slippage": st.sampled_from([{"model": "none"}, {"model": "fixed", "params": {"bps": 20}}]),
    }
)
