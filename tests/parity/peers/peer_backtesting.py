"""backtesting.py: a `Backtest` of one symbol.

Settings: `trade_on_close=False`, `hedging=False`; commission as a function; fractions of a unit through `FractionalBacktest`.
Its strategies speak from the second bar on, so a copy of the first bar is put before it. Its orders live until cancelled, so a
day order is cancelled by the script after its session. It fills a limit that is only touched, always, and has no limit on
volume. `spread` makes entries dearer and leaves exits alone.
"""

from __future__ import annotations

import warnings
from typing import ClassVar

import pandas as pd
import protocol
from backtesting import Backtest, Strategy
from backtesting.lib import FractionalBacktest
from protocol import Fills, Scenario

warnings.simplefilter("ignore")


LEAD_IN = 1


class Script(Strategy):
    """Orders what the scenario says; prices and sizes are in multiples of `unit`."""

    scenario: ClassVar[Scenario] = {}
    unit = 1.0

    def init(self):
        self.named = {}
        self.ends = {}

    def next(self):
        bar = len(self.data) - 1 - LEAD_IN
        if self.scenario["rule"]:
            self.cross(bar)
            return
        for order in [o for o in self.orders if self.ends.get(id(o)) == bar]:
            order.cancel()
        for cancel in protocol.at(self.scenario["cancels"], bar):
            self.named[cancel["name"]].cancel()
        for ask in protocol.at(self.scenario["asks"], bar):
            self.ask(ask)

    def cross(self, bar):
        rule = self.scenario["rule"]
        if bar + 1 < rule["slow"]:
            return
        fast, slow = (self.data.Close[-rule[name] :].mean() for name in ("fast", "slow"))
        wanted = rule["quantity"] if fast > slow else -rule["quantity"]
        change = wanted - self.position.size
        if change:
            (self.buy if change > 0 else self.sell)(size=abs(change))

    def ask(self, ask):
        prices = {"limit": "limit", "stop": "stop", "sl": "stop_loss", "tp": "take_profit"}
        given = {name: ask[field] * self.unit for name, field in prices.items() if ask[field] is not None}
        order = (self.buy if ask["quantity"] > 0 else self.sell)(size=round(abs(ask["quantity"]) / self.unit), **given)
        self.named[ask["name"]] = order
        if ask["day"]:
            self.ends[id(order)] = ask["bar"] + 1


def run(scenario: Scenario) -> tuple[Fills, float, float]:
    symbol = protocol.only_symbol(scenario)
    unit = 1.0 if scenario["lot"] == 1.0 else scenario["lot"]
    index = pd.DatetimeIndex(["2023-12-29", *scenario["sessions"]])
    bars = protocol.rows(scenario, symbol)
    data = pd.DataFrame([bars[0], *bars], columns=["Open", "High", "Low", "Close", "Volume"], index=index)
    engine, extra = (Backtest, {}) if unit == 1.0 else (FractionalBacktest, {"fractional_unit": unit})
    test = engine(
        data,
        type("Asked", (Script,), {"scenario": scenario, "unit": unit}),
        cash=scenario["cash"],
        spread=scenario["slippage_bps"] / 1e4,
        commission=lambda size, price: protocol.commission_of(scenario, size, price),
        finalize_trades=False,
        **extra,
    )
    stats = test.run()
    broker = stats["_strategy"]._broker
    fills: Fills = []
    held = 0.0
    for trade in [*broker.trades, *broker.closed_trades]:
        fills.append((trade.entry_bar - LEAD_IN, symbol, trade.size * unit, trade.entry_price / unit))
        if trade.exit_bar is not None:
            fills.append((trade.exit_bar - LEAD_IN, symbol, -trade.size * unit, trade.exit_price / unit))
        else:
            held += trade.size * unit
    equity = broker.equity
    return fills, equity - held * protocol.column(scenario, symbol, "close")[-1], equity


if __name__ == "__main__":
    protocol.answer(
        "backtesting",
        run,
        can={"resting", "exits", "day", "slippage", "fractions", "per_share"},
        cannot={
            "oco": "one order cancels another only as the exits of a trade",
            "trailing": "a trailing stop is code of the strategy",
            "at_close": "no orders for the close",
            "weights": "sizes by free margin, not by weight",
            "several": "one symbol a run",
            "participation": "no limit on volume",
        },
    )
