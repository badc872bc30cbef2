"""What no quote, print or order may break: each displayed and each printed unit is taken once, at a price that was there."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.events import Quote
from fairlead.core.orders import TERMINAL, TRANSITIONS, OrderRole, OrderStatus, OrderType, TimeInForce
from fairlead.core.time import NS_PER_SECOND
from fairlead.sdk import BarSlice, CancelIntent, OrderIntent, ReplaceIntent, Strategy, one_cancels_other
from support_sessions import allocate, run
from support_ticks import OPEN_NS, on_ticks, quiet_bars, quote, trade, write_ticks

ROWS, PER_SESSION = 16, 8
SYMBOLS = ("A", "B")
TICK = 0.01


def prices_of(seed, symbol_number):
    """Mid prices at every second of the bars; the sessions lie a day apart."""
    rng = np.random.default_rng([seed, symbol_number])
    steps = rng.integers(-2, 3, ROWS * 60) * (rng.random(ROWS * 60) < 0.4)
    return rng, 100.0 + TICK * np.cumsum(steps)


def ticks_for(seed, symbol, number):
    """Quotes and prints of one symbol, no two at one instant."""
    rng, mids = prices_of(seed, number)
    found = []
    for second, mid in enumerate(mids):
        if rng.random() < 0.4:
            continue
        day, rest = divmod(second, PER_SESSION * 60)
        when = OPEN_NS + day * 86_400 * NS_PER_SECOND + rest * NS_PER_SECOND + int(rng.integers(NS_PER_SECOND))
        if rng.random() < 0.5:
            half = TICK * int(rng.integers(1, 4))
            bid, ask = round(mid - half, 2), round(mid + half, 2)
            found.append(quote(when, bid, ask, float(rng.integers(0, 90)), float(rng.integers(0, 90)), symbol))
        else:
            found.append(trade(when, round(mid + TICK * int(rng.integers(-3, 4)), 2), float(rng.integers(1, 120)), symbol))
    return found


class Anything(Strategy):
    """Random intents of every kind, a dice for each symbol; prices lie a few ticks from the last close that was drawn."""

    event_type = BarSlice

    def __init__(self, seed, symbols):
        super().__init__()
        self.dice = {symbol: np.random.default_rng([seed, 7, SYMBOLS.index(symbol)]) for symbol in symbols}

    def generate_orders(self, context):
        return [intent for symbol, dice in self.dice.items() for intent in self.wish(symbol, dice, context)]

    def wish(self, symbol, dice, context):  # noqa: PLR0911, C901  one line for each kind of wish
        draw, sign = dice.random(), 1 if dice.random() < 0.5 else -1
        quantity = sign * int(dice.integers(1, 200))
        price = 100.0
        away = [round(price + sign * TICK * int(x), 2) for x in sorted(dice.integers(1, 12, 3))]
        behind = [round(price - sign * TICK * int(x), 2) for x in sorted(dice.integers(1, 12, 3))]
        tif = list(TimeInForce)[int(dice.integers(4))]
        auction = dice.random() < 0.1
        own = [o for o in context.open_orders if o.symbol == symbol]
        if dice.random() < 0.5:
            return []
        if draw < 0.10:
            return [OrderIntent.market(symbol, quantity, time_in_force=tif)]
        if draw < 0.30:
            return [OrderIntent.limit(symbol, quantity, behind[0], time_in_force=tif)]
        if draw < 0.40:
            return [OrderIntent.on_open(symbol, quantity) if auction else OrderIntent.limit(symbol, quantity, away[0])]
        if draw < 0.50:
            return [OrderIntent.stop(symbol, quantity, away[0], time_in_force=tif)]
        if draw < 0.56:
            return [OrderIntent.stop_limit(symbol, quantity, away[0], away[1], time_in_force=TimeInForce.GTC)]
        if draw < 0.62:
            return [OrderIntent.trailing_stop(symbol, quantity, amount=0.05)]
        if draw < 0.66:
            return [OrderIntent.adaptive(symbol, quantity)]
        if draw < 0.80:
            return [OrderIntent.market(symbol, quantity).with_exits(take_profit=away[2], stop_loss=behind[2])]
        if draw < 0.85:
            legs = OrderIntent.limit(symbol, quantity, behind[0]), OrderIntent.stop(symbol, quantity, away[1])
            return one_cancels_other(*legs)
        if not own:
            return [OrderIntent.limit(symbol, quantity, price, time_in_force=TimeInForce.GTC)]
        chosen = own[int(dice.integers(len(own)))]
        if draw < 0.90:
            return [CancelIntent(chosen.order_id)]
        return [ReplaceIntent(chosen.order_id, quantity=float(dice.integers(1, 250)))]


def a_run(seed, fidelity, execution, *, rows=None, only=SYMBOLS, kind="both"):
    """Two strategies over two symbols and two sessions; return the record and the ticks by instant and symbol."""
    ticks = [tick for i, symbol in enumerate(SYMBOLS) for tick in ticks_for(seed, symbol, i)]
    wanted = {"both": ticks, "quotes": [t for t in ticks if isinstance(t, Quote)]}
    wanted["trades"] = [t for t in ticks if not isinstance(t, Quote)]
    chosen = sorted(wanted[kind], key=lambda t: (t.known_ns, t.symbol))
    strategies = [allocate(Anything(seed + i, only), f"s{i}") for i in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_ticks(Path(folder) / "ticks.parquet", chosen)
        source = quiet_bars(ROWS, SYMBOLS, per_session=PER_SESSION).changed(rows=rows)
        record = run(source, *strategies, execution=on_ticks(path, fidelity, **execution))
    assert not any(s.error for s in record.strategies)
    return record, {(t.known_ns, t.symbol): t for t in chosen}


SETTINGS = st.fixed_dictionaries(
    {
        "latency": st.sampled_from(
            [
                {"mean_ms": 0, "std_ms": 0},
                {"mean_ms": 4_000, "std_ms": 3_000},
                {"mean_ms": 500, "std_ms": 0, "cancel": {"mean_ms": 50_000, "std_ms": 0}},
                {"mean_ms": 500, "std_ms": 0, "replace": {"mean_ms": 90_000, "std_ms": 0}},
            ]
        ),
        "limit_fill_on_touch": st.booleans(),
        "slippage": st.sampled_from([{"model": "none"}, {"model": "fixed", "params": {"bps": 20}}]),
    }
)
RUNS = {
    "seed": st.integers(0, 2**32),
    "execution": SETTINGS,
    "data": st.sampled_from([("quotes", "quotes"), ("quotes", "both"), ("trades", "both"), ("trades", "trades")]),
}
modest = settings(max_examples=40, deadline=None)


def on_ticks_only(record):
    """The fills that are not those of auctions."""
    auctions = {o.order_id for o in record.orders if o.time_in_force is TimeInForce.OPG}
    return [f for f in record.fills if f.order_id not in auctions]


@modest
@given(**RUNS)
def test_each_size_is_taken_once_by_all_orders_and_strategies(seed, execution, data):
    record, ticks = a_run(seed, data[0], execution, kind=data[1])
    taken = defaultdict(float)
    for fill in on_ticks_only(record):
        tick = ticks[fill.ts_ns, fill.symbol]
        taken[fill.ts_ns, fill.symbol, fill.side.sign if isinstance(tick, Quote) else 0] += fill.quantity
    for (ts_ns, symbol, side), quantity in taken.items():
        tick = ticks[ts_ns, symbol]
        assert quantity <= (tick.size if side == 0 else tick.ask_size if side > 0 else tick.bid_size)
    for symbol in SYMBOLS:
        for side in (1, -1):
            check_standing_offers(symbol, side, ticks, taken)


def check_standing_offers(symbol, side, ticks, taken):
    """While a side stands at one price, no more is taken of it than it has shown: its first size and what was added since."""
    price = before = None
    shown = had = 0.0
    session = None
    for ts_ns, owner in sorted(ticks):
        tick = ticks[ts_ns, owner]
        if owner != symbol or not isinstance(tick, Quote):
            continue
        now, size = (tick.ask, tick.ask_size) if side > 0 else (tick.bid, tick.bid_size)
        day = (ts_ns - OPEN_NS) // (86_400 * NS_PER_SECOND)
        if (now, day) != (price, session):
            shown, had = size, 0.0
        else:
            shown += max(0.0, size - before)
        price, before, session = now, size, day
        had += taken.get((ts_ns, symbol, side), 0.0)
        assert had <= shown


@modest
@given(**RUNS)
def test_fills_are_at_prices_that_were_there(seed, execution, data):
    """At the touch or the print; or at the order's own limit, when the market has come to it. Never past the limit."""
    record, ticks = a_run(seed, data[0], execution, kind=data[1])
    orders = {o.order_id: o for o in record.orders}
    for fill in on_ticks_only(record):
        tick, order, side = ticks[fill.ts_ns, fill.symbol], orders[fill.order_id], fill.side.sign
        there = (tick.ask if side > 0 else tick.bid) if isinstance(tick, Quote) else tick.price
        limit = order.limit_price
        if fill.price_ideal != there:
            assert fill.price_ideal == limit
            assert (limit - there) * side > 0
        if limit is not None:
            assert (limit - fill.price_ideal) * side >= 0
        assert fill.slippage >= 0


@modest
@given(**RUNS)
def test_nothing_is_filled_before_it_arrives_or_beyond_what_was_ordered(seed, execution, data):
    record, _ = a_run(seed, data[0], execution, kind=data[1])
    orders, status, executed = {o.order_id: o for o in record.orders}, {}, defaultdict(float)
    for fill in record.fills:
        order = orders[fill.order_id]
        assert order.created_ns < fill.ts_ns
        assert order.arrives_ns <= fill.ts_ns
        executed[fill.order_id] += fill.quantity
    for update in record.updates:
        assert update.status in TRANSITIONS[update.previous]
        assert status.get(update.order_id, OrderStatus.PENDING) == update.previous
        status[update.order_id] = update.status
    for order in record.orders:
        assert order.status in TERMINAL
        assert order.filled_quantity == executed[order.order_id] <= order.quantity
    stamps = [fill.ts_ns for fill in record.fills]
    assert stamps == sorted(stamps)


@modest
@given(**RUNS)
def test_cash_and_positions_make_the_equity(seed, execution, data):
    record, _ = a_run(seed, data[0], execution, kind=data[1])
    cash, held, fills = 200_000.0, defaultdict(float), list(record.fills)
    for row, ts_ns in enumerate(record.account.ts_ns):
        while fills and fills[0].ts_ns <= ts_ns:
            fill = fills.pop(0)
            cash -= fill.signed_quantity * fill.price + fill.commission
            held[fill.symbol] += fill.signed_quantity
        assert record.account.equity[row] == pytest.approx(cash + 100.0 * sum(held.values()), rel=1e-9)
    assert not fills


@settings(max_examples=20, deadline=None)
@given(**RUNS)
def test_how_history_is_cut_changes_nothing(seed, execution, data):
    whole, _ = a_run(seed, data[0], execution, kind=data[1])
    assert a_run(seed, data[0], execution, kind=data[1], rows=3)[0].digest == whole.digest


@settings(max_examples=20, deadline=None)
@given(**RUNS)
def test_orders_in_one_symbol_change_nothing_in_another(seed, execution, data):
    """Ticks are passed over where nothing works; what is remembered of them must not depend on it."""
    execution = {**execution, "latency": {"mean_ms": 3_000, "std_ms": 0}}  # drawn for one strategy's orders in turn

    def in_a(symbols):
        record, _ = a_run(seed, data[0], execution, kind=data[1], only=symbols)
        return [(f.ts_ns, f.strategy, str(f.side), f.quantity, f.price_ideal) for f in record.fills if f.symbol == "A"]

    assert in_a(("A",)) == in_a(("A", "B"))


@pytest.mark.parametrize(("fidelity", "kind"), [("quotes", "quotes"), ("trades", "both"), ("trades", "trades")])
def test_random_runs_do_meet_every_kind(fidelity, kind):
    """The properties above would hold for a venue that fills nothing."""
    filled, roles, reasons = set(), set(), set()
    for seed in range(12):
        record, _ = a_run(seed, fidelity, {"latency": {"mean_ms": 500, "std_ms": 300}}, kind=kind)
        filled |= {(o.order_type, str(o.side)) for o in record.orders if o.filled_quantity}
        roles |= {o.role for o in record.orders if o.filled_quantity}
        reasons |= {o.reason for o in record.orders} | {u.reason for u in record.updates}
    assert {kind for kind, _ in filled} == set(OrderType)
    assert roles == {OrderRole.NONE, OrderRole.TAKE_PROFIT, OrderRole.STOP_LOSS}
    assert reasons >= {"ioc_remainder", "fok_not_filled", "not_marketable", "day_end", "oco", "replaced"}
    assert "cancelled_by_strategy" in reasons
