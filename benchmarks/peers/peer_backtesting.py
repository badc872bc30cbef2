"""backtesting.py: the averages as indicators, worked out before the first bar; the rule bar by bar in `next`."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pandas as pd
import protocol
from backtesting import Backtest, Strategy
from protocol import Data, Prepared

warnings.simplefilter("ignore")


def average(values: np.ndarray, window: int) -> np.ndarray:
    """Return the simple moving average, NaN before it is full."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.concatenate([np.full(window - 1, np.nan), (total[window:] - total[:-window]) / window])


class SmaCrossover(Strategy):
    fast = 20
    slow = 50
    shares = 100.0

    def init(self):
        self.quick = self.I(average, self.data.Close, self.fast, plot=False)
        self.steady = self.I(average, self.data.Close, self.slow, plot=False)
        self.cross = protocol.Cross()

    def next(self):
        turn = self.cross.turn(self.quick[-1] > self.steady[-1])
        if turn > 0:
            self.buy(size=self.shares)
        elif turn < 0:
            self.position.close()


def backtest(data: Data) -> Backtest:
    frame = pd.DataFrame(
        {name.capitalize(): np.frombuffer(data.column(name)) for name in ("open", "high", "low", "close", "volume")},
        index=pd.to_datetime(np.frombuffer(data.stamps("label_ns"), np.int64)),
    )
    terms = data.terms
    SmaCrossover.shares = terms["shares"]
    return Backtest(frame, SmaCrossover, cash=terms["cash"], commission=terms["bps"] / 1e4, finalize_trades=False)


def w1(data: Data) -> Prepared:
    test = backtest(data)
    return Prepared(lambda: test.run(fast=data.terms["fast"], slow=data.terms["slow"]), tell)


def tell(stats):
    broker = stats["_strategy"]._broker
    fills = []
    for trade in [*broker.trades, *broker.closed_trades]:
        fills.append((int(trade.entry_bar), 0, float(trade.size), float(trade.entry_price)))
        if trade.exit_bar is not None:
            fills.append((int(trade.exit_bar), 0, -float(trade.size), float(trade.exit_price)))
    return fills, float(broker.equity)


def w3(data: Data) -> Prepared:
    test = backtest(data)
    pairs = data.terms["pairs"]
    grid = {"fast": sorted({fast for fast, _ in pairs}), "slow": sorted({slow for _, slow in pairs})}
    if len(pairs) != len(grid["fast"]) * len(grid["slow"]):
        raise SystemExit("the pairs are no grid")

    def run():
        return test.optimize(**grid, maximize="Equity Final [$]", return_heatmap=True)[1]

    def tell(equity):
        # The optimiser keeps one number of each run; fills are counted for a few pairs.
        counts = [None] * len(pairs)
        for place in range(0, len(pairs), max(1, len(pairs) // 8)):
            counts[place] = len(tell_fills(test.run(fast=pairs[place][0], slow=pairs[place][1])))
        return counts, [float(equity[tuple(pair)]) for pair in pairs]

    return Prepared(run, tell, processes=os.cpu_count() or 1)


def tell_fills(stats):
    return tell(stats)[0]


if __name__ == "__main__":
    protocol.answer("backtesting", {"W1": w1, "W3": w3})
