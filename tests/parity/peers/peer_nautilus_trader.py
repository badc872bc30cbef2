"""NautilusTrader: a `BacktestEngine` with one venue.

A bar is shown to the venue as a walk from open to high to low to close (the nearer of high and low first) in steps of one cent,
each step a book with one level on either side; the strategy gets the bar after its last step. Two shorter walks: a rule that
trades at the market sees the open alone, and a share of the volume stands in the book once, at the open.
Settings: `book_type=L2_MBP`, so that what triggers fills at the book; `reject_stop_orders=False`; orders arrive one nanosecond
after the decision, that is with the next open, and cancels at once; `prob_fill_on_limit` is 1 or 0 as touching fills or not;
a cash account where nothing is sold short, else a margin account. Fractions are of a currency pair. Its money has two decimals.
With the setting ``book: bars`` the venue gets the bars themselves (`book_type=L1_MBP`) and orders arrive at once.
"""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import protocol
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import FeeModel, FillModel, LatencyModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import BTC, USD
from nautilus_trader.model.data import Bar, BarSpecification, BarType, BookOrder, OrderBookDelta, OrderBookDeltas, QuoteTick
from nautilus_trader.model.enums import (
    AccountType,
    AggregationSource,
    BarAggregation,
    BookAction,
    BookType,
    ContingencyType,
    OmsType,
    OrderSide,
    PriceType,
    TimeInForce,
    TrailingOffsetType,
    TriggerType,
)
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair, Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.model.orders import StopMarketOrder
from nautilus_trader.trading.strategy import Strategy
from protocol import Fills, Inexpressible, Scenario

VENUE = Venue("SIM")
SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
DEEP = 10_000_000


class Charges(FeeModel):
    """What the scenario charges."""

    def __init__(self, scenario):
        super().__init__()
        self.scenario = scenario

    def get_commission(self, order, fill_qty, fill_px, instrument):
        return Money(protocol.commission_of(self.scenario, float(fill_qty), float(fill_px)), USD)


class Script(Strategy):
    """Orders what the scenario says."""

    def __init__(self, scenario, instrument, bar_type):
        super().__init__()
        self.scenario = scenario
        self.instrument = instrument
        self.bar_type = bar_type
        self.bar = -1
        self.named = {}
        self.fills: Fills = []
        self.refused = []
        rule = scenario["rule"]
        if rule:
            self.fast, self.slow = SimpleMovingAverage(rule["fast"]), SimpleMovingAverage(rule["slow"])

    def on_start(self):
        self.subscribe_bars(self.bar_type)
        if self.scenario["rule"]:
            self.register_indicator_for_bars(self.bar_type, self.fast)
            self.register_indicator_for_bars(self.bar_type, self.slow)

    def on_order_filled(self, event):
        sign = 1 if event.order_side == OrderSide.BUY else -1
        bar = self.scenario["sessions"].index(str(pd.Timestamp(event.ts_event))[:10])
        self.fills.append((bar, self.instrument.raw_symbol.value, sign * float(event.last_qty), float(event.last_px)))

    def on_bar(self, bar):
        self.bar += 1
        scenario = self.scenario
        if scenario["rule"]:
            if self.slow.initialized:
                wanted = scenario["rule"]["quantity"] * (1 if self.fast.value > self.slow.value else -1)
                change = wanted - float(self.portfolio.net_position(self.instrument.id))
                if change:
                    self.submit_order(self.order_factory.market(self.instrument.id, *self.sized(change)))
            return
        for cancel in protocol.at(scenario["cancels"], self.bar):
            self.cancel_order(self.named[cancel["name"]])
        linked = []
        for ask in protocol.at(scenario["asks"], self.bar):
            if ask["oco"]:
                linked.append(ask)
            elif ask["take_profit"] or ask["stop_loss"]:
                self.bracket(ask)
            else:
                self.named[ask["name"]] = order = self.order_of(ask)
                self.submit_order(order)
        if linked:
            self.link(linked)

    def sized(self, quantity):
        return OrderSide.BUY if quantity > 0 else OrderSide.SELL, self.instrument.make_qty(abs(quantity))

    def bracket(self, ask):
        if ask["limit"] is not None or ask["stop"] is not None:
            raise Inexpressible("brackets around market orders only, here")
        side, quantity = self.sized(ask["quantity"])
        target, stop = self.instrument.make_price(ask["take_profit"]), self.instrument.make_price(ask["stop_loss"])
        self.submit_order_list(
            self.order_factory.bracket(
                self.instrument.id, side, quantity, tp_price=target, sl_trigger_price=stop, tp_post_only=False
            )
        )

    def link(self, asks):
        if any(ask["limit"] is not None or ask["stop"] is None for ask in asks):
            raise Inexpressible("linked stop orders only, here")
        made = [self.order_of(ask) for ask in asks]
        initial = []
        for order in made:
            others = [other.client_order_id for other in made if other is not order]
            initial.append(
                StopMarketOrder(
                    order.trader_id,
                    order.strategy_id,
                    order.instrument_id,
                    order.client_order_id,
                    order.side,
                    order.quantity,
                    order.trigger_price,
                    order.trigger_type,
                    order.init_id,
                    order.ts_init,
                    contingency_type=ContingencyType.OCO,
                    linked_order_ids=others,
                )
            )
        self.submit_order_list(self.order_factory.create_list(initial))

    def order_of(self, ask):
        make = self.order_factory
        how = {}
        if ask["day"]:
            ends = pd.Timestamp(self.scenario["sessions"][ask["bar"] + 1], tz="UTC") + pd.Timedelta(hours=23)
            how = {"time_in_force": TimeInForce.GTD, "expire_time": ends}
        prices = {"limit": ask["limit"], "stop": ask["stop"]}
        prices = {name: None if price is None else self.instrument.make_price(price) for name, price in prices.items()}
        side, quantity = self.sized(ask["quantity"])
        if ask["trail_percent"] is not None:
            return make.trailing_stop_market(
                self.instrument.id,
                side,
                quantity,
                trailing_offset=Decimal(str(ask["trail_percent"] * 100)),
                trailing_offset_type=TrailingOffsetType.BASIS_POINTS,
                trigger_type=TriggerType.BID_ASK,
            )
        if prices["stop"] is not None and prices["limit"] is not None:
            return make.stop_limit(self.instrument.id, side, quantity, prices["limit"], prices["stop"], **how)
        if prices["stop"] is not None:
            return make.stop_market(self.instrument.id, side, quantity, prices["stop"], **how)
        if prices["limit"] is not None:
            return make.limit(self.instrument.id, side, quantity, prices["limit"], **how)
        return make.market(self.instrument.id, side, quantity)


def cents(price):
    return round(price * 100)


def walk(opened, high, low, close):
    """Return the prices of a bar in cents, one cent apart, the nearer end of its range first."""
    points = [cents(p) for p in ((opened, low, high, close) if opened - low < high - opened else (opened, high, low, close))]
    path = [points[0]]
    for goal in points[1:]:
        step = 1 if goal > path[-1] else -1
        path += range(path[-1] + step, goal + step, step) if goal != path[-1] else []
    return path


def book(instrument, cent, size, ns):
    """Return the book as it stands at one price."""
    deltas = [OrderBookDelta.clear(instrument.id, 0, ns, ns)]
    for side in (OrderSide.BUY, OrderSide.SELL):
        level = BookOrder(side, Price(cent / 100, 2), Quantity(size, instrument.size_precision), 1 + (side == OrderSide.SELL))
        deltas.append(OrderBookDelta(instrument.id, BookAction.ADD, level, 0, 0, ns, ns))
    return OrderBookDeltas(instrument.id, deltas)


def market(scenario, instrument, bar_type, by_bars):
    """Return what the engine is shown, in the order of time."""
    told = []
    symbol = next(iter(scenario["bars"]))
    for date, (opened, high, low, close, volume) in zip(scenario["sessions"], scenario["bars"][symbol], strict=True):
        begins = pd.Timestamp(date, tz="UTC").value + HOUR
        ends = begins + 20 * HOUR
        if not by_bars:
            share = scenario["participation"]
            path = walk(opened, high, low, close)
            if scenario["rule"]:
                path = [path[0]]  # market orders meet the open alone
            if share < 1:
                # The share of the volume stands in the book once, at the open.
                told.append(book(instrument, path[0], round(share * volume), begins))
            else:
                told += [book(instrument, cent, DEEP, begins + i * SECOND) for i, cent in enumerate(path)]
        prices = [Price(p, 2) for p in (opened, high, low, close)]
        size = Quantity(volume, instrument.size_precision)
        if not by_bars and scenario["participation"] == 1:
            # So that the check of means knows a price. It also offers the book again to what rests, whose share is used up.
            told.append(QuoteTick(instrument.id, prices[-1], prices[-1], size, size, ends - 1, ends - 1))
        told.append(Bar(bar_type, *prices, size, ends, ends))
    return told


def instrument_of(scenario, symbol):
    name = InstrumentId(Symbol(symbol), VENUE)
    if scenario["lot"] == 1.0:
        return Equity(name, Symbol(symbol), USD, 2, Price.from_str("0.01"), Quantity.from_int(1), 0, 0)
    digits = len(str(scenario["lot"]).partition(".")[2])
    step = Quantity(scenario["lot"], digits)
    return CurrencyPair(name, Symbol(symbol), BTC, USD, 2, digits, Price.from_str("0.01"), step, 0, 0)


def run(scenario: Scenario) -> tuple[Fills, float, float]:
    symbol = protocol.only_symbol(scenario)
    touch = scenario["settings"].get("touch_fills", scenario["touch_fills"])
    by_bars = scenario["settings"].get("book") == "bars"
    on_margin = bool(scenario["rule"]) or scenario["lot"] != 1.0 or any(ask["quantity"] < 0 for ask in scenario["asks"])
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN if on_margin else AccountType.CASH,
        base_currency=USD,
        starting_balances=[Money(scenario["cash"], USD)],
        default_leverage=Decimal(1),
        book_type=BookType.L1_MBP if by_bars else BookType.L2_MBP,
        fill_model=FillModel(prob_fill_on_limit=float(touch), random_seed=1),
        fee_model=Charges(scenario),
        latency_model=LatencyModel(base_latency_nanos=0, insert_latency_nanos=0 if by_bars else 1, cancel_latency_nanos=0),
        reject_stop_orders=False,
        bar_execution=by_bars,
    )
    instrument = instrument_of(scenario, symbol)
    engine.add_instrument(instrument)
    daily = BarSpecification(1, BarAggregation.DAY, PriceType.LAST)
    bar_type = BarType(instrument.id, daily, AggregationSource.EXTERNAL)
    script = Script(scenario, instrument, bar_type)
    engine.add_strategy(script)
    engine.add_data(market(scenario, instrument, bar_type, by_bars))
    engine.run()
    held = sum(quantity for _, _, quantity, _ in script.fills)
    last = protocol.column(scenario, symbol, "close")[-1]
    balance = float(engine.portfolio.account(VENUE).balance_total(USD))
    if on_margin:
        # A margin account keeps profits and commissions only; what is held is not paid for.
        open_pnl = sum(float(p.unrealized_pnl(Price(last, 2))) for p in engine.cache.positions_open())
        equity = balance + open_pnl
    else:
        equity = balance + held * last
    engine.dispose()
    return script.fills, equity - held * last, equity


if __name__ == "__main__":
    protocol.answer(
        "nautilus_trader",
        run,
        can={"resting", "exits", "oco", "trailing", "day", "participation", "fractions", "per_share"},
        cannot={
            "at_close": "auctions are not simulated",
            "weights": "no orders by weight",
            "several": "one symbol a run, here",
            "slippage": "slippage in ticks, not in basis points",
        },
    )
