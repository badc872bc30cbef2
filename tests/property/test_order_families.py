"""What no bracket, set, follower, replacement or cancel may break, whatever the bars do."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.orders import TERMINAL, TRANSITIONS, OrderRole, OrderStatus, OrderType
from support_anything import SETTINGS, Anything, N, market
from support_sessions import free, run

EXITS = (OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT)


def a_run(seed, execution, names=("A", "B"), rows=None):
    record = run(market(seed, names, rows), Anything(seed, names), execution=free(**execution))
    assert not record.strategies[0].error
    return record


some_runs = given(seed=st.integers(0, 2**32), execution=SETTINGS)
modest = settings(max_examples=60, deadline=None)


@modest
@some_runs
def test_orders_live_by_the_table_and_fill_no_more_than_they_ask_for(seed, execution):
    record = a_run(seed, execution)
    status = {}
    for update in record.updates:
        assert update.status in TRANSITIONS[update.previous]
        assert status.get(update.order_id, OrderStatus.PENDING) == update.previous
        status[update.order_id] = update.status
    executed = defaultdict(float)
    for fill in record.fills:
        executed[fill.order_id] += fill.quantity
    for order in record.orders:
        assert order.status in TERMINAL
        assert order.filled_quantity == executed[order.order_id] <= order.quantity
        assert status[order.order_id] == order.status


@modest
@some_runs
def test_fills_lie_in_their_bar_after_their_arrival_and_share_its_volume(seed, execution):
    record = a_run(seed, execution)
    block = next(iter(market(seed).blocks(carry=1)))
    orders = {o.order_id: o for o in record.orders}
    taken = defaultdict(float)
    for fill in record.fills:
        row, column = int(np.searchsorted(block.known_ns, fill.ts_ns)), block.columns[fill.symbol]
        assert block.low[row, column] <= fill.price_ideal <= block.high[row, column]
        assert orders[fill.order_id].arrives_ns <= fill.ts_ns
        assert orders[fill.order_id].created_ns < fill.ts_ns
        taken[row, column] += fill.quantity
    for (row, column), quantity in taken.items():
        assert quantity <= execution["max_bar_participation"] * block.volume[row, column] + 1e-9


@modest
@some_runs
def test_of_a_set_one_fills_and_exits_only_exit(seed, execution):
    record = a_run(seed, execution)
    filled = {o.order_id: o.filled_quantity for o in record.orders}
    sets = defaultdict(list)
    for order in record.orders:
        if order.oco_id:
            sets[order.oco_id].append(order)
    for legs in sets.values():
        assert sum(leg.filled_quantity > 0 for leg in legs) <= 1
    left = defaultdict(float)
    for order in record.orders:
        if order.role in EXITS:
            left[order.parent_id] += order.filled_quantity
    for parent, quantity in left.items():
        assert quantity <= filled[parent]
    held = defaultdict(float)
    for fill in record.fills:
        order = next(o for o in record.orders if o.order_id == fill.order_id)
        before = held[fill.symbol]
        held[fill.symbol] += fill.signed_quantity
        if order.reduce_only:
            assert abs(held[fill.symbol]) < abs(before)
            assert held[fill.symbol] * before >= 0


@modest
@some_runs
def test_cash_and_positions_make_the_equity_of_every_instant(seed, execution):
    record = a_run(seed, execution)
    block = next(iter(market(seed).blocks(carry=1)))
    cash, held, fills = 100_000.0, np.zeros(2), list(record.fills)
    for row in range(N):
        while fills and fills[0].ts_ns == block.known_ns[row]:
            fill = fills.pop(0)
            cash -= fill.signed_quantity * fill.price + fill.commission
            held[block.columns[fill.symbol]] += fill.signed_quantity
        equity = cash + float(np.nansum(held * block.mark[row]))
        assert record.account.equity[row] == pytest.approx(equity, rel=1e-9)
    assert not fills


@modest
@some_runs
def test_what_symbols_are_called_changes_nothing(seed, execution):
    """With other names the columns stand in another order."""
    first, second = a_run(seed, execution, ("A", "B")), a_run(seed, execution, ("Z", "B"))
    renamed = {"A": "Z", "B": "B"}

    def told(record, names):
        lines = [(names[f.symbol], f.ts_ns, str(f.side), f.quantity, f.price_ideal, f.price) for f in record.fills]
        return sorted(lines)

    assert told(first, renamed) == told(second, {"Z": "Z", "B": "B"})
    np.testing.assert_allclose(first.account.equity, second.account.equity, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@some_runs
def test_how_history_is_cut_changes_nothing(seed, execution):
    assert a_run(seed, execution).digest == a_run(seed, execution, rows=7).digest


def test_random_runs_do_meet_every_kind():
    """The properties above would hold for a venue that fills nothing."""
    roles, kinds, reasons = set(), set(), set()
    for seed in range(30):
        record = a_run(seed, {"max_bar_participation": 0.3, "latency": {"mean_ms": 20, "std_ms": 10}})
        roles |= {o.role for o in record.orders if o.filled_quantity}
        kinds |= {o.order_type for o in record.orders if o.filled_quantity}
        reasons |= {o.reason for o in record.orders} | {u.reason for u in record.updates}
    assert roles == set(OrderRole)
    assert kinds >= {OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.TRAILING_STOP}
    assert reasons >= {"oco", "replaced", "position_closed", "parent_ended", "nothing_to_reduce", "cancelled_by_strategy"}
