"""The compiled walk of the replay against a slow one that reads the rules anew; and what holds for every file."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.backtest.replay import ReplaySettings
from fairlead.backtest.replay.bars import load_bars
from fairlead.backtest.replay.fills import EXITS, REASONS
from fairlead.backtest.replay.simulation import replay_orders
from fairlead.contracts.orders import OrderFile
from fairlead.core.time import BarSize
from support_slow_replay import SlowReplay, listed, random_frames, random_orders

SETTINGS = st.builds(
    dict,
    limit_fill_on_touch=st.booleans(),
    target_fill_on_touch=st.booleans(),
    oco_same_bar_policy=st.sampled_from(["pessimistic", "no_fill"]),
    allow_same_bar_exit=st.booleans(),
)


def made(seed, minutes, given):
    """A random file over random bars, and its replay."""
    random = np.random.default_rng(seed)
    size = BarSize.M5
    five = random_frames(random, size)
    # Minutes of the early close alone: the other sessions are met on signal bars.
    one = random_frames(random, BarSize.M1, days=(3, 3)) if minutes else None
    if not minutes:
        given = given | {"allow_same_bar_exit": True}
    rules = ReplaySettings(**given)
    bars = load_bars(five, one, rules, bar_size=size)
    orders = random_orders(random, size)
    return orders, bars, rules, replay_orders(OrderFile("orders.csv", tuple(orders)), bars, rules)


def outcomes(result):
    """What became of each order, in the words of the slow replay."""
    ints, found = result.bars.ints, {}
    for leg in result.fills.legs:
        if leg.trade is None:
            found[leg.order.order_id] = (leg.reason, None, None, None, None, "")
        elif leg.kind == "EXIT":
            trade = leg.trade
            labels = (int(ints[bar, 0]) for bar in (trade.entry_bar, trade.exit_bar))
            entry, end = labels
            found[leg.order.order_id] = ("filled", entry, trade.entry_price, end, trade.exit_price, trade.exit_reason)
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), SETTINGS)
def test_the_compiled_walk_is_the_slow_one(seed, minutes, given):
    """Every order, every price, every reason."""
    orders, bars, rules, result = made(seed, minutes, given)
    assert outcomes(result) == SlowReplay(orders, listed(bars), rules).run()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), SETTINGS)
def test_what_holds_for_every_file(seed, minutes, given):
    """R11: fills lie in their bars; one outcome an order; one position a symbol; equity is cash and marks."""
    orders, bars, rules, result = made(seed, minutes, given)
    trades = result.fills.trades
    for trade in trades:
        for bar, price in ((trade.entry_bar, trade.entry_price), (trade.exit_bar, trade.exit_price)):
            assert bars.floats[bar, 2] <= price <= bars.floats[bar, 1]
        assert trade.entry_bar <= trade.exit_bar
        assert bars.session[trade.entry_bar] == bars.session[trade.exit_bar]
        assert trade.exit_reason in EXITS.values()
    ended = [leg.order.order_id for leg in result.fills.legs if leg.kind != "ENTRY"]
    assert sorted(ended) == sorted(order.order_id for order in orders)
    assert all(leg.reason in REASONS.values() for leg in result.fills.legs if leg.trade is None)
    filled = [trade.order.oco_id for trade in trades]
    assert len(filled) == len(set(filled))
    for symbol in bars.symbols:
        spans = sorted((t.entry_bar, t.exit_bar) for t in trades if t.order.symbol == symbol)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert all("EXEC_EARLIEST_TOUCH_OK" in codes and "FILL_WITHIN_BAR_OK" in codes for codes in result.codes)
    net = math.fsum(trade.net_pnl for trade in trades)
    assert math.isclose(float(result.curve.equity[-1]), rules.initial_cash + net, rel_tol=1e-12)
    assert result.curve.equity[0] == rules.initial_cash
    assert (np.diff(result.curve.ts_ns) > 0).all()
