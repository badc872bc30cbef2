"""pybroker: the averages as indicators, worked out before the first bar; the rule bar by bar in the execution."""

from __future__ import annotations

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


def w1(data: Data) -> Prepared:
    terms = data.terms
    names = ("open", "high", "low", "close", "volume")
    dates = pd.to_datetime(np.frombuffer(data.stamps("label_ns"), np.int64))
    frame = pd.DataFrame({"date": dates, "symbol": data.symbols[0], **{n: np.frombuffer(data.column(n)) for n in names}})
    fast = pybroker.indicator("fast", lambda bars: average(bars.close, terms["fast"]))
    slow = pybroker.indicator("slow", lambda bars: average(bars.close, terms["slow"]))
    config = StrategyConfig(
        initial_cash=terms["cash"],
        fee_mode=FeeMode.ORDER_PERCENT,
        fee_amount=terms["bps"] / 100,  # in percent
        round_fill_price=False,
        round_test_result=False,
    )

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

        strategy = Strategy(frame, dates[0], dates[-1], config)
        strategy.add_execution(rule, data.symbols, indicators=[fast, slow])
        return strategy.backtest(calc_bootstrap=False)

    def tell(result):
        places = {date: bar for bar, date in enumerate(dates)}
        signs = {"buy": 1.0, "sell": -1.0}
        fills = [
            (places[order.date], 0, signs[order.type] * float(order.shares), float(order.fill_price))
            for order in result.orders.itertuples()
        ]
        return fills, float(result.portfolio["equity"].iloc[-1])

    return Prepared(run, tell, compiles=True)


if __name__ == "__main__":
    pybroker.disable_progress_bar()
    pybroker.disable_logging()
    protocol.answer("lib-pybroker", {"W1": w1})
