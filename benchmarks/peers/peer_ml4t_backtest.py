"""ml4t-backtest: orders of one bar filled at the open of the next, which is its default; percentage commission."""

from __future__ import annotations

from collections import deque

import numpy as np
import polars as pl
import protocol
from ml4t.backtest import BacktestConfig, CommissionType, DataFeed, Engine, Strategy
from ml4t.backtest.types import OrderSide
from protocol import Data, Prepared

FIELDS = ("open", "high", "low", "close", "volume")


class SmaCrossover(Strategy):
    def __init__(self, symbol, terms):
        self.symbol = symbol
        self.shares = terms["shares"]
        self.fast, self.slow = terms["fast"], terms["slow"]

    def on_start(self, broker):
        self.fast_window = deque([0.0] * self.fast, maxlen=self.fast)
        self.slow_window = deque([0.0] * self.slow, maxlen=self.slow)
        self.fast_sum = self.slow_sum = 0.0
        self.cross = protocol.Cross()

    def on_data(self, timestamp, data, context, broker):
        price = data[self.symbol]["close"]
        fast, slow = self.fast_window, self.slow_window
        self.fast_sum += price - fast[0]
        self.slow_sum += price - slow[0]
        fast.append(price)
        slow.append(price)
        if slow[0]:  # zeros until the window is full
            turn = self.cross.turn(self.fast_sum / self.fast > self.slow_sum / self.slow)
            if turn:
                broker.submit_order(self.symbol, turn * self.shares)


class TopMomentum(Strategy):
    def __init__(self, symbols, terms):
        self.symbols = symbols
        self.window, self.every, self.count, self.credit = (terms[n] for n in ("window", "every", "count", "cash"))

    def on_start(self, broker):
        self.bar = -1
        self.closes = {}

    def on_data(self, timestamp, data, context, broker):
        self.bar += 1
        since = self.bar - self.window
        if self.bar % self.every and since % self.every:
            return  # neither a bar of decision nor one that a decision looks back to
        last = self.closes[self.bar] = np.array([bar["close"] for bar in data.values()])
        if since < 0 or since % self.every:
            return
        best = np.argsort(-(last / self.closes.pop(since)), kind="stable")[: self.count]
        wanted = np.zeros(len(last))
        wanted[best] = np.floor((broker.get_account_value() - self.credit) / self.count / last[best])
        for symbol, position in broker.get_positions().items():
            wanted[self.symbols[symbol]] -= position.quantity
        names = list(self.symbols)
        for place in np.flatnonzero(wanted).tolist():
            broker.submit_order(names[place], wanted[place])


def frame_of(data: Data) -> pl.DataFrame:
    width = len(data.symbols)
    stamps = np.frombuffer(data.stamps("label_ns"), np.int64).repeat(width)
    # In nanoseconds every bar takes twice as long: each stamp then becomes one of pandas.
    columns = {"timestamp": pl.Series(stamps // 1000).cast(pl.Datetime("us")), "symbol": data.symbols * data.bars}
    return pl.DataFrame({**columns, **{name: np.frombuffer(data.column(name)) for name in FIELDS}})


def config_of(data: Data, credit: float = 0.0) -> BacktestConfig:
    cash, rate = data.terms["cash"] + credit, data.terms["bps"] / 1e4
    return BacktestConfig(initial_cash=cash, commission_type=CommissionType.PERCENTAGE, commission_rate=rate)


def told(data: Data, credit: float = 0.0):
    def tell(result):
        labels = np.frombuffer(data.stamps("label_ns"), "datetime64[ns]").astype("datetime64[us]")
        bars = {stamp: bar for bar, stamp in enumerate(labels.tolist())}
        places = {symbol: place for place, symbol in enumerate(data.symbols)}
        fills = []
        for fill in result.fills:
            sign = 1.0 if fill.side == OrderSide.BUY else -1.0
            fills.append((bars[fill.timestamp.replace(tzinfo=None)], places[fill.asset], sign * fill.quantity, fill.price))
        return fills, float(result.equity_curve[-1][1]) - credit

    return tell


def w1(data: Data) -> Prepared:
    frame, config = frame_of(data), config_of(data)

    def run():
        return Engine(DataFeed(prices_df=frame), SmaCrossover(data.symbols[0], data.terms), config).run()

    return Prepared(run, told(data))


def w2(data: Data) -> Prepared:
    # Cash cannot fall below zero here, as it does by a little when prices gap up between the decision and the open.
    credit = data.terms["cash"]
    frame, config = frame_of(data), config_of(data, credit)
    places = {symbol: place for place, symbol in enumerate(data.symbols)}

    def run():
        return Engine(DataFeed(prices_df=frame), TopMomentum(places, data.terms), config).run()

    return Prepared(run, told(data, credit))


if __name__ == "__main__":
    protocol.answer("ml4t-backtest", {"W1": w1, "W2": w2})
