"""bt: a `Strategy` over one price for each security and bar.

Settings: the price of a bar is its open, and an order decided on a close is transacted on the next bar. After the last bar
stands one more with the last close, at which what is held is valued. Slippage is half a bid-offer spread (`bidoffer`).
With the setting ``as_shipped`` the price of a bar is its close, and an order is transacted on the bar of its decision.
It knows no resting orders, no limit on volume, and lets cash go below zero.
"""

from __future__ import annotations

import bt
import pandas as pd
import protocol
from protocol import Fills, Scenario


class Transact(bt.Algo):
    """Does on a bar what was decided on the close before."""

    def __init__(self, scenario: Scenario, positions: dict[int, float], delay: int) -> None:
        super().__init__()
        self.scenario = scenario
        self.positions = positions
        self.delay = delay
        self.bar = -1

    def __call__(self, target: bt.Strategy) -> bool:
        self.bar += 1
        decided = self.bar - self.delay
        if decided >= len(self.scenario["sessions"]) - 1:
            return True
        for ask in protocol.at(self.scenario["asks"], decided):
            target.transact(ask["quantity"], ask["symbol"])
        if decided in self.positions:
            target.transact(self.positions[decided] - target["A"].position, "A")
        for step in protocol.at(self.scenario["weights"], decided):
            target.temp["weights"] = step["weights"]
            bt.algos.Rebalance()(target)
        return True


def run(scenario: Scenario) -> tuple[Fills, float, float]:
    symbols = list(scenario["bars"])
    ends = str(pd.Timestamp(scenario["sessions"][-1]) + pd.Timedelta(days=1))[:10]
    as_shipped = scenario["settings"].get("as_shipped", False)
    shown = protocol.price_of_all(scenario, by_default="close" if as_shipped else "open")
    prices = pd.DataFrame(
        {s: [*protocol.column(scenario, s, shown), protocol.column(scenario, s, "close")[-1]] for s in symbols},
        index=pd.DatetimeIndex([*scenario["sessions"], ends]),
    )
    positions: dict[int, float] = {}
    if scenario["rule"]:
        closes = pd.Series(protocol.column(scenario, "A", "close"))
        averages = (closes.rolling(scenario["rule"][name]).mean().to_list() for name in ("fast", "slow"))
        positions = protocol.crossover_sides(scenario, *averages)
    script = Transact(scenario, positions, delay=0 if as_shipped else 1)
    strategy = bt.Strategy("script", [script], [bt.Security(s) for s in symbols])
    test = bt.Backtest(
        strategy,
        prices,
        initial_capital=scenario["cash"],
        commissions=lambda quantity, price: protocol.commission_of(scenario, quantity, price),
        integer_positions=scenario["lot"] == 1.0,
        additional_data={"bidoffer": prices * (2 * scenario["slippage_bps"] / 1e4)},
        progress_bar=False,
    )
    test.run()
    strategy = test.strategy  # a copy of the one that was passed
    done = strategy.get_transactions()
    dates = {date: bar for bar, date in enumerate(scenario["sessions"])}
    fills: Fills = [(dates[str(date)[:10]], symbol, row.quantity, row.price) for (date, symbol), row in done.iterrows()]
    return fills, strategy.capital, strategy.value


if __name__ == "__main__":
    nothing_rests = "no resting orders"
    protocol.answer(
        "bt",
        run,
        can={"at_close", "weights", "several", "slippage", "fractions", "per_share", "day"},
        cannot={
            "resting": nothing_rests,
            "exits": nothing_rests,
            "oco": nothing_rests,
            "trailing": nothing_rests,
            "participation": "no limit on volume",
        },
    )
