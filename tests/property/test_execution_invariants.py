"""What no order, bar or cost setting may break in the simulated venue."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.instruments import Instrument
from fairlead.core.orders import TERMINAL, TRANSITIONS, OrderStatus, OrderType, Side, TimeInForce
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from support_sessions import Venue, free, minutes, random_bars, split

SYMBOLS = ("A", "B")
PRICES = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("limit_price",),
    OrderType.STOP: ("stop_price",),
    OrderType.STOP_LIMIT: ("stop_price", "limit_price"),
    OrderType.TRAILING_STOP: (),
    OrderType.ADAPTIVE: (),
}

costs = st.fixed_dictionaries(
    {
        "slippage": st.sampled_from(
            [
                SlippageSettings(model="none"),
                SlippageSettings(model="fixed", params={"bps": 30}),
                SlippageSettings(model="volume_based"),
                SlippageSettings(model="volume_based", params={"base_bps": 1000, "volume_factor": 10}),
            ]
        ),
        "commission": st.sampled_from([CommissionSettings(model=m) for m in ("none", "bps", "per_share", "per_order")]),
        "latency": st.sampled_from([LatencySettings(), LatencySettings(mean_ms=60_000, std_ms=60_000)]),
        "max_bar_participation": st.sampled_from([0.01, 0.1, 0.5, 1.0]),
        "limit_fill_on_touch": st.booleans(),
        "slippage_on_limits": st.booleans(),
    }
)


def a_run(seed, execution, lot, splits=False):
    """Send random orders of every type over 40 random bars of two symbols; return the venue, its orders and limits."""
    random = np.random.default_rng(seed)
    source = minutes({s: random_bars(random, 40, gaps=0.2, volume=3_000) for s in SYMBOLS}, per_session=10)
    lots = {s: Instrument(symbol=s, lot_step=lot, min_quantity=lot) for s in SYMBOLS}
    venue = Venue(source, free(**execution), lots)
    orders = []
    for row in range(39):
        for _ in range(int(random.integers(0, 4))):
            column = int(random.integers(2))
            mark = float(venue.block.mark[row, column])
            kind = list(OrderType)[int(random.integers(6))]
            prices = {name: round(mark * (1 + random.normal(0, 0.02)), 2) for name in PRICES[kind]}
            prices["order_type"] = kind
            if kind is OrderType.TRAILING_STOP:
                prices["trail_amount" if random.random() < 0.5 else "trail_percent"] = round(mark * 0.02, 2)
            quantity = (1 if random.random() < 0.5 else -1) * int(random.integers(1, 2_000)) * lot
            tif = list(TimeInForce)[int(random.integers(7 if kind in (OrderType.MARKET, OrderType.LIMIT) else 5))]
            if tif is TimeInForce.GTD:
                prices["expires_ns"] = int(venue.block.known_ns[min(39, row + int(random.integers(1, 9)))])
            orders.append(venue.submit(SYMBOLS[column], quantity, time_in_force=tif, **prices))
        working = list(venue.execution.working)
        if working and random.random() < 0.2:
            venue.execution.cancel(working[int(random.integers(len(working)))], int(venue.block.known_ns[row]))
        if splits and random.random() < 0.1:
            ratio = (2.0, 1.5, 0.1)[int(random.integers(3))]
            venue.execution.apply_action(split(SYMBOLS[int(random.integers(2))], 0, ratio), int(venue.block.known_ns[row]))
        venue.step()
    return venue, {o.order_id: o for o in orders}


runs = given(seed=st.integers(0, 2**32), execution=costs, lot=st.sampled_from([1.0, 0.1, 100.0]))
modest = settings(max_examples=100, deadline=None)


@modest
@runs
def test_fills_lie_in_their_bar_and_cost_never_helps(seed, execution, lot):
    """Rule R11, and every slippage is adverse."""
    venue, orders = a_run(seed, execution, lot)
    block = venue.block
    for fill in venue.fills:
        row = int(np.searchsorted(block.known_ns, fill.ts_ns))
        column = SYMBOLS.index(fill.symbol)
        assert block.low[row, column] <= fill.price_ideal <= block.high[row, column]
        assert fill.bar_ns == block.label_ns[row]
        assert fill.slippage >= 0
        assert fill.price >= 0
        assert fill.commission >= 0
        assert orders[fill.order_id].created_ns < fill.ts_ns
        assert orders[fill.order_id].arrives_ns <= fill.ts_ns


@modest
@runs
def test_no_fill_is_worse_than_its_limit_before_slippage(seed, execution, lot):
    venue, orders = a_run(seed, execution, lot)
    for fill in venue.fills:
        order = orders[fill.order_id]
        if order.limit_price is not None:
            assert (fill.price_ideal - order.limit_price) * order.side.sign <= 0
        elif order.stop_price is not None:
            assert (fill.price_ideal - order.stop_price) * order.side.sign >= 0
        if order.limit_price is not None and not venue.settings.slippage_on_limits:
            assert fill.price == fill.price_ideal


@modest
@runs
def test_the_liquidity_of_a_bar_is_used_once(seed, execution, lot):
    venue, _ = a_run(seed, execution, lot)
    taken = defaultdict(float)
    for fill in venue.fills:
        taken[fill.ts_ns, fill.symbol] += fill.quantity
    for (ts, symbol), quantity in taken.items():
        row = int(np.searchsorted(venue.block.known_ns, ts))
        volume = venue.block.volume[row, SYMBOLS.index(symbol)]
        assert quantity <= venue.settings.max_bar_participation * volume + lot * 1e-6


@modest
@runs
def test_orders_live_by_the_table_and_add_up(seed, execution, lot):
    venue, orders = a_run(seed, execution, lot)
    status = dict.fromkeys(orders, OrderStatus.PENDING)
    seen = defaultdict(list)
    for order, update, fill in venue.heard:
        assert update.previous is status[order.order_id]
        assert update.status in TRANSITIONS[update.previous]
        status[order.order_id] = update.status
        seen[order.order_id].append(update)
        assert (fill is not None) == (update.status in (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED))
    for name, order in orders.items():
        assert [u.seq for u in seen[name]] == list(range(1, len(seen[name]) + 1))
        assert order.status is status[name]
        assert (name in venue.execution.working) == (order.status not in TERMINAL)
        fills = [f for f in venue.fills if f.order_id == name]
        assert order.filled_quantity <= order.quantity
        assert abs(sum(f.quantity for f in fills) - order.filled_quantity) <= 1e-9 * order.quantity
        assert abs(sum(f.commission for f in fills) - order.commission) <= 1e-9
        assert (order.status is OrderStatus.FILLED) == (order.filled_quantity == order.quantity)
        if order.time_in_force is TimeInForce.FOK and fills:
            assert len(fills) == 1
        if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            assert len({f.ts_ns for f in fills}) <= 1
        if order.time_in_force is TimeInForce.DAY:
            rows = np.searchsorted(venue.block.known_ns, [f.ts_ns for f in fills])
            assert len(set(venue.block.session[rows].tolist())) <= 1
        if order.expires_ns is not None:
            assert all(f.ts_ns <= order.expires_ns for f in fills)


@modest
@given(seed=st.integers(0, 2**32), execution=costs)
def test_splits_break_nothing(seed, execution):
    """Whatever is scaled while it works, no order fills beyond what is left of it, and statuses stay lawful."""
    venue, orders = a_run(seed, execution, 1.0, splits=True)
    for _, update, _ in venue.heard:
        assert update.status in TRANSITIONS[update.previous]
    for order in orders.values():
        assert 0 <= order.filled_quantity <= order.quantity
        if order.status not in TERMINAL:
            assert order.remaining > 0.999


@modest
@given(seed=st.integers(0, 2**32), execution=costs)
def test_the_same_orders_meet_the_same_fate_twice(seed, execution):
    first, _ = a_run(seed, execution, 1.0)
    second, _ = a_run(seed, execution, 1.0)
    assert first.fills == second.fills


def test_random_runs_do_fill_every_type_and_side():
    """The properties above would hold for a venue that fills nothing."""
    filled, statuses = set(), set()
    for seed in range(6):
        venue, orders = a_run(seed, {"max_bar_participation": 0.5}, 1.0)
        filled |= {(orders[f.order_id].order_type, f.side) for f in venue.fills}
        statuses |= {o.status for o in orders.values()}
    assert filled == {(kind, side) for kind in OrderType for side in Side}
    assert statuses >= {OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FILLED}
