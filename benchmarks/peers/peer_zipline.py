"""zipline-reloaded: a `TradingAlgorithm`, over minute bars in bcolz, its store for them, or over daily bars in memory.

In bcolz prices are whole numbers, in W1 of 64ths, so that they are exact; those of W2 would not be. It fills at the close of
the next bar unless a slippage model says otherwise; the one here fills at that bar's open.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import protocol
from protocol import Data, Prepared
from sqlalchemy import create_engine
from zipline import api
from zipline.algorithm import TradingAlgorithm
from zipline.assets import AssetDBWriter, AssetFinder
from zipline.data.bcolz_minute_bars import BcolzMinuteBarReader, BcolzMinuteBarWriter
from zipline.data.data_portal import DataPortal
from zipline.finance import commission
from zipline.finance.slippage import SlippageModel
from zipline.finance.trading import SimulationParameters
from zipline.utils.calendar_utils import get_calendar

# The reader of daily bars is that of `make parity`; the folder comes last, so that its own protocol is not found.
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "parity" / "peers"))
from zipline_bars import Bars

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

CALENDAR = get_calendar("XNYS")
GRID = 64
FIELDS = ("open", "high", "low", "close", "volume")


class AtOpen(SlippageModel):
    """All of an order at the open of the bar after the decision."""

    def process_order(self, data, order):
        return data.current(order.asset, "open"), order.open_amount


def finder_of(symbols, first, last):
    engine = create_engine("sqlite://")
    AssetDBWriter(engine).write(
        equities=pd.DataFrame(
            {
                "symbol": symbols,
                "asset_name": symbols,
                "start_date": first,
                "end_date": last,
                "auto_close_date": last + pd.Timedelta(days=3),
                "exchange": "NYSE",
            },
            index=range(len(symbols)),
        ),
        exchanges=pd.DataFrame([{"exchange": "NYSE", "canonical_name": "NYSE", "country_code": "US"}]),
    )
    return AssetFinder(engine)


def costs(terms):
    api.set_commission(commission.PerDollar(cost=terms["bps"] / 1e4))
    api.set_slippage(AtOpen())


def crossover(terms, symbol):
    """Return `initialize` and `handle_data` of W1."""

    def initialize(context):
        costs(terms)
        context.asset = api.symbol(symbol)
        context.fast = deque([0.0] * terms["fast"], maxlen=terms["fast"])
        context.slow = deque([0.0] * terms["slow"], maxlen=terms["slow"])
        context.fast_sum = context.slow_sum = 0.0
        context.cross = protocol.Cross()

    def handle_data(context, data):
        price = data.current(context.asset, "close")
        fast, slow = context.fast, context.slow
        context.fast_sum += price - fast[0]
        context.slow_sum += price - slow[0]
        fast.append(price)
        slow.append(price)
        if slow[0]:  # zeros until the window is full
            turn = context.cross.turn(context.fast_sum / len(fast) > context.slow_sum / len(slow))
            if turn:
                api.order(context.asset, turn * terms["shares"])

    return initialize, handle_data


def top_momentum(terms, symbols):
    """Return `initialize` and `handle_data` of W2."""
    window, every, count = (terms[name] for name in ("window", "every", "count"))

    def initialize(context):
        costs(terms)
        context.universe = [api.symbol(symbol) for symbol in symbols]
        context.bar = -1
        context.closes = {}

    def handle_data(context, data):
        context.bar += 1
        since = context.bar - window
        if context.bar % every and since % every:
            return  # neither a bar of decision nor one that a decision looks back to
        # `history` would round to three decimals.
        last = context.closes[context.bar] = data.current(context.universe, "close").to_numpy()
        if since < 0 or since % every:
            return
        held = np.zeros(len(last))
        for asset, position in context.portfolio.positions.items():
            held[asset.sid] = position.amount
        equity = context.portfolio.cash + held @ last
        best = np.argsort(-(last / context.closes.pop(since)), kind="stable")[:count]
        change = -held
        change[best] += np.floor(equity / count / last[best])
        for place in np.flatnonzero(change).tolist():
            api.order(context.universe[place], change[place])

    return initialize, handle_data


def w2(data: Data) -> Prepared:
    shape = (data.bars, len(data.symbols))
    days = pd.to_datetime(np.frombuffer(data.stamps("session"), np.int64), unit="D")
    frames = {name: pd.DataFrame(np.frombuffer(data.column(name)).reshape(shape), index=days) for name in FIELDS}
    reader = Bars(frames, CALENDAR, pd.Series("USD", index=range(shape[1])))
    finder = finder_of(data.symbols, days[0], days[-1])
    benchmark = pd.Series(0.0, index=days)

    def run():
        initialize, handle_data = top_momentum(data.terms, data.symbols)
        algorithm = TradingAlgorithm(
            sim_params=SimulationParameters(
                start_session=days[0],
                end_session=days[-1],
                trading_calendar=CALENDAR,
                capital_base=data.terms["cash"],
                data_frequency="daily",
            ),
            data_portal=DataPortal(finder, CALENDAR, first_trading_day=days[0], equity_daily_reader=reader),
            trading_calendar=CALENDAR,
            benchmark_returns=benchmark,
            initialize=initialize,
            handle_data=handle_data,
        )
        return algorithm.run()

    def tell(performance):
        bars = {day: bar for bar, day in enumerate(days)}
        fills = [
            (bars[pd.Timestamp(done["dt"]).tz_localize(None).normalize()], done["sid"].sid, done["amount"], done["price"])
            for day in performance["transactions"]
            for done in day
        ]
        return fills, float(performance["portfolio_value"].iloc[-1])

    return Prepared(run, tell)


def w1(data: Data) -> Prepared:
    minutes = pd.to_datetime(np.frombuffer(data.stamps("known_ns"), np.int64)).tz_localize("UTC")
    first, last = (CALENDAR.minute_to_session(minute) for minute in (minutes[0], minutes[-1]))
    scratch = tempfile.mkdtemp(dir=data.folder)  # goes with the folder of the data
    frame = pd.DataFrame({name: np.frombuffer(data.column(name)) for name in FIELDS}, index=minutes)
    writer = BcolzMinuteBarWriter(scratch, CALENDAR, first, last, 390, default_ohlc_ratio=GRID)
    writer.write_sid(0, frame)
    reader = BcolzMinuteBarReader(scratch)
    finder = finder_of(data.symbols, first, last)
    close = float(frame["close"].iloc[-1])
    benchmark = pd.Series(0.0, index=CALENDAR.sessions_in_range(first, last))

    def run():
        initialize, handle_data = crossover(data.terms, data.symbols[0])
        algorithm = TradingAlgorithm(
            sim_params=SimulationParameters(
                start_session=first,
                end_session=last,
                trading_calendar=CALENDAR,
                capital_base=data.terms["cash"],
                data_frequency="minute",
            ),
            data_portal=DataPortal(finder, CALENDAR, first_trading_day=first, equity_minute_reader=reader),
            trading_calendar=CALENDAR,
            benchmark_returns=benchmark,
            initialize=initialize,
            handle_data=handle_data,
        )
        return algorithm.run()

    def tell(performance):
        bars = {minute.value: bar for bar, minute in enumerate(minutes)}
        fills = [
            (bars[pd.Timestamp(done["dt"]).value], 0, float(done["amount"]), float(done["price"]))
            for day in performance["transactions"]
            for done in day
        ]
        held = sum(fill[2] for fill in fills)
        return fills, float(performance["ending_cash"].iloc[-1] + held * close)

    return Prepared(run, tell)


if __name__ == "__main__":
    protocol.answer("zipline-reloaded", {"W1": w1, "W2": w2})
