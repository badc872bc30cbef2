"""NautilusTrader: a `BacktestEngine` with one venue.

A market order that is decided on a bar's close would be filled at that close, the last price that the venue knows. To be
filled at the next open it arrives one nanosecond later, and the venue is shown each bar's open as a quote of its own before the
bar. The bars themselves go to the strategy alone. Its dollar has two decimals, and a commission of 1 bp more: the account is in
a currency with eight.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

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


def w1(data: Data) -> Prepared:
    symbol = data.symbols[0]
    name = InstrumentId(Symbol(symbol), VENUE)
    fee = Decimal(data.terms["bps"]) / 10_000
    instrument = Equity(
        name, Symbol(symbol), USDT, DIGITS, Price.from_str("0.000001"), Quantity.from_int(1), 0, 0, maker_fee=fee, taker_fee=fee
    )
    bar_type = BarType(name, BarSpecification(1, BarAggregation.MINUTE, PriceType.LAST), AggregationSource.EXTERNAL)
    told = shown(data, instrument, bar_type)

    def run():
        engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
        engine.add_venue(
            VENUE,
            oms_type=OmsType.NETTING,
            account_type=AccountType.CASH,
            base_currency=USDT,
            starting_balances=[Money(data.terms["cash"], USDT)],
            book_type=BookType.L1_MBP,
            fee_model=MakerTakerFeeModel(),
            latency_model=LatencyModel(base_latency_nanos=0, insert_latency_nanos=1),
            bar_execution=False,
        )
        engine.add_instrument(instrument)
        strategy = SmaCrossover(instrument, bar_type, data.terms)
        engine.add_strategy(strategy)
        engine.add_data(told, sort=False)
        engine.run()
        balance = float(engine.portfolio.account(VENUE).balance_total(USDT))
        engine.dispose()
        return strategy.fills, balance

    def tell(result):
        fills, balance = result
        labels = {label + 1: bar for bar, label in enumerate(data.stamps("label_ns"))}
        equity = balance + sum(quantity for _, quantity, _ in fills) * data.column("close")[-1]
        return [(labels[stamp], 0, quantity, price) for stamp, quantity, price in fills], equity

    return Prepared(run, tell)


if __name__ == "__main__":
    protocol.answer("nautilus_trader", {"W1": w1})
