"""What no bracket, set, follower, replacement or cancel may break, whatever the bars do."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.orders import TERMINAL, TRANSITIONS, OrderRole, OrderStatus, OrderType, TimeInForce
from fairlead.sdk import BarSlice, CancelIntent, OrderIntent, ReplaceIntent, Strategy, one_cancels_other
from support_sessions import free, minutes, random_bars, run

N = 50
EXITS = (OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT)


class Anything(Strategy):
    """Returns random intents of every kind, cancels and replacements; each symbol has its own dice."""

    event_type = BarSlice

    def __init__(self, seed, names):
        super().__init__()
        self.dice = {symbol: np.random.default_rng([seed, i]) for i, symbol in enumerate(names)}
        self.bars = {}

    def on_market_event(self, event, context):
        self.bars = {symbol: event[symbol] for symbol in context.symbols if symbol in event}

    def generate_orders(self, context):
        # In the order of the dice, whatever the symbols are called.
        return [
            intent for symbol, dice in self.dice.items() if symbol in self.bars for intent in self.wish(symbol, dice, context)
        ]

    def wish(self, symbol, dice, context):  # noqa: C901, PLR0911  one line for each kind of wish
        price, draw = self.bars[symbol].close, dice.random()
        sign = 1 if dice.random() < 0.5 else -1
        quantity = sign * int(dice.integers(1, 300))
        away = [round(price * (1 + x), 2) for x in sorted(abs(dice.normal(0, 0.02, 4)) + 0.002)]
        under = [round(price * (1 - x), 2) for x in sorted(abs(dice.normal(0, 0.02, 4)) + 0.002)]
        beyond, behind = (away, under) if sign > 0 else (under, away)
        tif = TimeInForce.GTC if dice.random() < 0.6 else TimeInForce.DAY
        exits = {"take_profit": beyond[3], "stop_loss": behind[3]}
        own = [o for o in context.open_orders if o.symbol == symbol]
        if draw < 0.35 or (draw > 0.9 and not own):
            return []
        if draw < 0.45:
            return [OrderIntent.market(symbol, quantity).with_exits(**exits)]
        if draw < 0.52:
            return [OrderIntent.limit(symbol, quantity, behind[0], time_in_force=tif).with_exits(**exits)]
        if draw < 0.60:
            return [OrderIntent.stop(symbol, quantity, beyond[0], time_in_force=tif).with_exits(trail_percent=1.5)]
        if draw < 0.68:
            legs = OrderIntent.stop(symbol, quantity, beyond[1]), OrderIntent.stop(symbol, -quantity, behind[1])
            return one_cancels_other(*legs)
        if draw < 0.74:
            return [
                OrderIntent.market(symbol, quantity).then(OrderIntent.limit(symbol, -quantity, beyond[1], time_in_force=tif))
            ]
        if draw < 0.80:
            return [OrderIntent(symbol=symbol, amount=quantity, reduce_only=True, time_in_force=tif)]
        if draw < 0.85:
            return [OrderIntent.trailing_stop(symbol, quantity, amount=round(price * 0.01, 2))]
        if draw < 0.90:
            return [OrderIntent.target_position(symbol, 0)]
        chosen = own[int(dice.integers(len(own)))]
        if draw < 0.95:
            return [CancelIntent(chosen.order_id)]
        return [ReplaceIntent(chosen.order_id, quantity=float(dice.integers(1, 400)))]


def market(seed, names=("A", "B"), rows=None):
    rng = np.random.default_rng(seed)
    drawn = [random_bars(rng, N, gaps=0.15, volume=2_000) for _ in names]
    return minutes(dict(zip(names, drawn, strict=True)), per_session=20, rows=rows)


def a_run(seed, execution, names=("A", "B"), rows=None):
    record = run(market(seed, names, rows), Anything(seed, names), execution=free(**execution))
    assert not record.strategies[0].error
    return record


SETTINGS = st.fixed_dictionaries(
    {
        "latency": st.sampled_from(
            [{"mean_ms": 0, "std_ms": 0}, {"mean_ms": 20, "std_ms": 10}, {"mean_ms": 90_000, "std_ms": 0}]
        ),
        "max_bar_participation": st.sampled_from([0.05, 0.3, 1.0]),
        "limit_fill_on_touch": st.booleans(),
        "allow_same_bar_exit": st.booleans(),
        "oco_same_bar": st.sampled_from(["pessimistic", "no_fill"]),
        "slippage": st.sampled_from([{"model": "none"}, {"model": "fixed", "params": {"bps": 20}}]),
    }
)
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
