"""PyBroker: in W1 the averages as indicators, worked out before the first bar, and the rule bar by bar in the execution.

In W2 the rule sees all symbols after their executions. A credit line of the same size as the cash stands in it and is taken off
again: an order that is dearer at the open than it was at the decision, beyond what the cash pays for, would be cut.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import protocol
import pybroker
from protocol import Data, Prepared
from pybroker import FeeMode, PriceType, Strategy, StrategyConfig


def average(values: np.ndarray, window: int) -> np.ndarray:
    """Return the simple moving average, NaN before it is full."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.concatenate([np.full(window - 1, np.nan), (total[window:] - total[:-window]) / window])


def frame_of(data: Data) -> pd.DataFrame:
    names = ("open", "high", "low", "close", "volume")
    width = len(data.symbols)
    dates = pd.to_datetime(np.frombuffer(data.stamps("label_ns"), np.int64).repeat(width))
    columns = {name: np.frombuffer(data.column(name)) for name in names}
    return pd.DataFrame({"date": dates, "symbol": data.symbols * data.bars, **columns})


def config_of(data: Data, credit: float = 0.0) -> StrategyConfig:
    return StrategyConfig(
        initial_cash=data.terms["cash"] + credit,
        fee_mode=FeeMode.ORDER_PERCENT,
        fee_amount=data.terms["bps"] / 100,  # in percent
        round_fill_price=False,
        round_test_result=False,
    )


def told(data: Data, credit: float = 0.0):
    def tell(result):
        bars = {date: bar for bar, date in enumerate(pd.to_datetime(np.frombuffer(data.stamps("label_ns"), np.int64)))}
        places = {symbol: place for place, symbol in enumerate(data.symbols)}
        signs = {"buy": 1.0, "sell": -1.0}
        fills = [
            (bars[order.date], places[order.symbol], signs[order.type] * float(order.shares), float(order.fill_price))
            for order in result.orders.itertuples()
        ]
        return fills, float(result.portfolio["equity"].iloc[-1]) - credit

    return tell


def w1(data: Data) -> Prepared:
    terms, frame, config = data.terms, frame_of(data), config_of(data)
    fast = pybroker.indicator("fast", lambda bars: average(bars.close, terms["fast"]))
    slow = pybroker.indicator("slow", lambda bars: average(bars.close, terms["slow"]))

    def run():
        cross = protocol.Cross()
        shares, warm = terms["shares"], terms["slow"]

        def rule(context):
            if context.bars < warm:
                return
            turn = cross.turn(context.indicator("fast")[-1] > context.indicator("slow")[-1])
            if turn > 0:
                context.buy_shares = shares
                context.buy_fill_price = PriceType.OPEN
            elif turn < 0:
                context.sell_all_shares()
                context.sell_fill_price = PriceType.OPEN

        strategy = Strategy(frame, frame["date"].iloc[0], frame["date"].iloc[-1], config)
        strategy.add_execution(rule, data.symbols, indicators=[fast, slow])
        return strategy.backtest(calc_bootstrap=False)

    return Prepared(run, told(data), compiles=True)


def w2(data: Data) -> Prepared:
    frame, credit = frame_of(data), data.terms["cash"]
    config = config_of(data, credit)
    window, every, count = (data.terms[name] for name in ("window", "every", "count"))

    def run():
        closes, bars = {}, itertools.count()

        def rule(contexts):
            bar = next(bars)
            since = bar - window
            if bar % every and since % every:
                return  # neither a bar of decision nor one that a decision looks back to
            universe = list(contexts.values())
            last = closes[bar] = np.array([context.close_price for context in universe])
            if since < 0 or since % every:
                return
            best = np.argsort(-(last / closes.pop(since)), kind="stable")[:count]
            wanted = np.zeros(len(last))
            wanted[best] = np.floor((float(universe[0].total_equity) - credit) / count / last[best])
            for context, units in zip(universe, wanted.tolist(), strict=True):
                position = context.long_pos()
                change = units - (float(position.shares) if position else 0.0)
                if change > 0:
                    context.buy_shares = change
                    context.buy_fill_price = PriceType.OPEN
                elif change < 0:
                    context.sell_shares = -change
                    context.sell_fill_price = PriceType.OPEN

        strategy = Strategy(frame, frame["date"].iloc[0], frame["date"].iloc[-1], config)
        strategy.add_execution(None, data.symbols)
        strategy.set_after_exec(rule)
        return strategy.backtest(calc_bootstrap=False)

    return Prepared(run, told(data, credit), compiles=True)


if __name__ == "__main__":
    pybroker.disable_progress_bar()
    pybroker.disable_logging()
    protocol.answer("lib-pybroker", {"W1": w1, "W2": w2})
