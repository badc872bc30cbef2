"""NautilusTrader: a `BacktestEngine` with one venue.

A market order that is decided on a bar's close would be filled at that close, the last price that the venue knows. To be
filled at the next open it arrives one nanosecond later, and the venue is shown each bar's open as a quote of its own before the
bar. The bars themselves go to the strategy alone. Its dollar has two decimals, and a commission of 1 bp more: the account is in
a currency with eight.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

import numpy as np
import protocol
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import LatencyModel, MakerTakerFeeModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarSpecification, BarType, QuoteTick
from nautilus_trader.model.enums import AccountType, AggregationSource, BarAggregation, BookType, OmsType, OrderSide, PriceType
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy
from protocol import Data, Prepared

VENUE = Venue("SIM")
DIGITS = 6  # a 64th has so many decimals
FINE = 12  # prices of W2 lie on no grid; so many decimals keep them to a relative 1e-13
FIELDS = ("open", "high", "low", "close", "volume")


class SmaCrossover(Strategy):
    def __init__(self, instrument, bar_type, terms):
        super().__init__()
        self.instrument = instrument
        self.bar_type = bar_type
        self.size = instrument.make_qty(terms["shares"])
        self.fast, self.slow = terms["fast"], terms["slow"]
        self.fast_window = deque([0.0] * self.fast, maxlen=self.fast)
        self.slow_window = deque([0.0] * self.slow, maxlen=self.slow)
        self.fast_sum = self.slow_sum = 0.0
        self.cross = protocol.Cross()
        self.fills = []

    def on_start(self):
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar):
        price = bar.close.as_double()
        fast, slow = self.fast_window, self.slow_window
        self.fast_sum += price - fast[0]
        self.slow_sum += price - slow[0]
        fast.append(price)
        slow.append(price)
        if not slow[0]:  # zeros until the window is full
            return
        turn = self.cross.turn(self.fast_sum / self.fast > self.slow_sum / self.slow)
        if turn:
            side = OrderSide.BUY if turn > 0 else OrderSide.SELL
            self.submit_order(self.order_factory.market(self.instrument.id, side, self.size))

    def on_order_filled(self, event):
        sign = 1.0 if event.order_side == OrderSide.BUY else -1.0
        self.fills.append((event.ts_event, sign * float(event.last_qty), float(event.last_px)))


class TopMomentum(Strategy):
    def __init__(self, instruments, bar_types, terms):
        super().__init__()
        self.instruments, self.bar_types = instruments, bar_types
        self.places = {bar_type: place for place, bar_type in enumerate(bar_types)}
        self.window, self.every, self.count, self.credit = (terms[n] for n in ("window", "every", "count", "cash"))
        self.last = np.zeros(len(instruments))
        self.held = np.zeros(len(instruments))
        self.closes = {}
        self.bar = 0
        self.fills = []

    def on_start(self):
        for bar_type in self.bar_types:
            self.subscribe_bars(bar_type)

    def on_bar(self, bar):
        place = self.places[bar.bar_type]
        self.last[place] = bar.close.as_double()
        if place == len(self.last) - 1:
            self.decide()
            self.bar += 1

    def decide(self):
        since = self.bar - self.window
        if self.bar % self.every and since % self.every:
            return  # neither a bar of decision nor one that a decision looks back to
        last = self.closes[self.bar] = self.last.copy()
        if since < 0 or since % self.every:
            return
        cash = float(self.portfolio.account(VENUE).balance_total(USDT)) - self.credit
        best = np.argsort(-(last / self.closes.pop(since)), kind="stable")[: self.count]
        change = -self.held
        change[best] += np.floor((cash + self.held @ last) / self.count / last[best])
        for place in np.flatnonzero(change).tolist():
            instrument = self.instruments[place]
            side = OrderSide.BUY if change[place] > 0 else OrderSide.SELL
            size = instrument.make_qty(abs(change[place]))
            self.submit_order(self.order_factory.market(instrument.id, side, size))

    def on_order_filled(self, event):
        place = int(event.instrument_id.symbol.value[1:])
        quantity = float(event.last_qty) * (1.0 if event.order_side == OrderSide.BUY else -1.0)
        self.held[place] += quantity
        self.fills.append((event.ts_event, place, quantity, float(event.last_px)))


def shown_all(data: Data, instruments, bar_types):
    """Return what the engine is shown: after each close the opens of the next bar, and one of them again when orders arrive."""
    deep = Quantity.from_int(100_000_000)
    width = len(instruments)
    fields = {name: np.frombuffer(data.column(name)).reshape(data.bars, width).tolist() for name in FIELDS}
    known = data.stamps("known_ns").tolist()
    told = []
    for row, stamp in enumerate(known):
        begins = known[row - 1] + 1 if row else stamp - 3
        opens = [Price(price, FINE) for price in fields["open"][row]]
        told += [QuoteTick(one.id, p, p, deep, deep, begins, begins) for one, p in zip(instruments, opens, strict=True)]
        told.append(QuoteTick(instruments[0].id, opens[0], opens[0], deep, deep, begins + 1, begins + 1))
        high, low, close, volume = (fields[name][row] for name in FIELDS[1:])
        for place, bar_type in enumerate(bar_types):
            prices = (opens[place], Price(high[place], FINE), Price(low[place], FINE), Price(close[place], FINE))
            told.append(Bar(bar_type, *prices, Quantity(volume[place], 0), stamp, stamp))
    return told


def shown(data: Data, instrument, bar_type):
    """Return what the engine is shown, in the order of time."""
    deep = Quantity.from_int(1_000_000)
    values = zip(*(data.column(name) for name in ("open", "high", "low", "close", "volume")), strict=True)
    stamps = zip(data.stamps("label_ns"), data.stamps("known_ns"), strict=True)
    told = []
    for (label, known), (opened, high, low, close, volume) in zip(stamps, values, strict=True):
        first = Price(opened, DIGITS)
        told.append(QuoteTick(instrument.id, first, first, deep, deep, label + 1, label + 1))
        prices = (first, Price(high, DIGITS), Price(low, DIGITS), Price(close, DIGITS))
        told.append(Bar(bar_type, *prices, Quantity(volume, 0), known, known))
    return told


def listed(data: Data, symbol, digits, aggregation):
    """Return an instrument and the type of its bars."""
    name = InstrumentId(Symbol(symbol), VENUE)
    fee = Decimal(data.terms["bps"]) / 10_000
    tick = Price(10.0**-digits, digits)
    instrument = Equity(name, Symbol(symbol), USDT, digits, tick, Quantity.from_int(1), 0, 0, maker_fee=fee, taker_fee=fee)
    return instrument, BarType(name, BarSpecification(1, aggregation, PriceType.LAST), AggregationSource.EXTERNAL)


def finished(instruments, strategy, told, cash, latency_ns=1):
    """Return the fills and the balance of a run."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(
        VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=USDT,
        starting_balances=[Money(cash, USDT)],
        book_type=BookType.L1_MBP,
        fee_model=MakerTakerFeeModel(),
        latency_model=LatencyModel(base_latency_nanos=0, insert_latency_nanos=latency_ns),
        bar_execution=False,
    )
    for instrument in instruments:
        engine.add_instrument(instrument)
    engine.add_strategy(strategy)
    engine.add_data(told, sort=False)
    engine.run()
    balance = float(engine.portfolio.account(VENUE).balance_total(USDT))
    engine.dispose()
    return strategy.fills, balance


def w1(data: Data) -> Prepared:
    instrument, bar_type = listed(data, data.symbols[0], DIGITS, BarAggregation.MINUTE)
    told = shown(data, instrument, bar_type)

    def run():
        return finished([instrument], SmaCrossover(instrument, bar_type, data.terms), told, data.terms["cash"])

    def tell(result):
        fills, balance = result
        labels = {label + 1: bar for bar, label in enumerate(data.stamps("label_ns"))}
        equity = balance + sum(quantity for _, quantity, _ in fills) * data.column("close")[-1]
        return [(labels[stamp], 0, quantity, price) for stamp, quantity, price in fills], equity

    return Prepared(run, tell)


def w2(data: Data) -> Prepared:
    credit = data.terms["cash"]
    instruments, bar_types = zip(*(listed(data, s, FINE, BarAggregation.DAY) for s in data.symbols), strict=True)
    told = shown_all(data, instruments, bar_types)

    def run():
        strategy = TopMomentum(instruments, bar_types, data.terms)
        return finished(instruments, strategy, told, data.terms["cash"] + credit, latency_ns=2)

    def tell(result):
        fills, balance = result
        bars = {stamp + 2: bar + 1 for bar, stamp in enumerate(data.stamps("known_ns"))}
        last = data.column("close")[-len(instruments) :]
        equity = balance - credit + sum(quantity * last[place] for _, place, quantity, _ in fills)
        return [(bars[stamp], place, quantity, price) for stamp, place, quantity, price in fills], equity

    return Prepared(run, tell)


if __name__ == "__main__":
    protocol.answer("nautilus_trader", {"W1": w1, "W2": w2})
