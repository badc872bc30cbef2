"""A kernel strategy in the compiled loop and in the event loop: one record, to the bit, whatever data, orders and costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.instruments import Instrument
from fairlead.engine.compiled import run_compiled, unfit
from fairlead.engine.session import run_session
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from support_kernels import Anything, Cross, Share
from support_sessions import allocate, days, dividend, free, minutes, plan, random_bars, split

COMMISSIONS = st.sampled_from(
    [
        CommissionSettings(model="none"),
        CommissionSettings(model="bps", params={"bps": 3.5}),
        CommissionSettings(model="per_share", params={"per_share": 0.01, "minimum": 1.5, "max_frac": 0.02}),
        CommissionSettings(model="per_order", params={"amount": 2.25}),
    ]
)
SLIPPAGES = st.sampled_from(
    [
        SlippageSettings(model="none"),
        SlippageSettings(model="fixed", params={"bps": 7}),
        SlippageSettings(model="volume_based", params={"base_bps": 4, "volume_factor": 0.3}),
    ]
)
LATENCIES = st.sampled_from(
    [
        LatencySettings(mean_ms=0, std_ms=0),
        LatencySettings(mean_ms=10, std_ms=5),
        LatencySettings(mean_ms=45_000, std_ms=30_000),
        LatencySettings(mean_ms=200_000, std_ms=100_000),
    ]
)
EXECUTIONS = st.builds(
    free,
    commission=COMMISSIONS,
    slippage=SLIPPAGES,
    latency=LATENCIES,
    max_bar_participation=st.sampled_from([0.02, 0.1, 0.5, 1.0]),
    limit_fill_on_touch=st.booleans(),
    slippage_on_limits=st.booleans(),
    allow_same_bar_exit=st.booleans(),
    arrival_grace_ms=st.sampled_from([0.0, 1000.0, 60_000.0]),
)
INSTRUMENTS = st.sampled_from(
    [
        {},
        {"lot_step": 0.01, "min_quantity": 0.01},
        {"lot_step": 10.0, "min_quantity": 20.0, "shortable": False},
        {"tick_size": 0.05, "multiplier": 5.0},
    ]
)


@st.composite
def histories(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 3))
    length = draw(st.integers(20, 120))
    gaps = draw(st.sampled_from([0.0, 0.0, 0.15, 0.5]))
    start = float(draw(st.sampled_from([2.0, 50.0, 400.0])))
    bars = {symbol: random_bars(random, length, gaps=gaps, volume=4_000.0, start=start) for symbol in "ABC"[:count]}
    daily = draw(st.booleans())
    per_session = draw(st.sampled_from([7, 25, 390]))
    sessions = length if daily else length // per_session
    actions = []
    for _ in range(draw(st.integers(0, 3)) if sessions > 2 else 0):
        symbol, day = "ABC"[int(random.integers(count))], int(random.integers(1, sessions))
        ratio = float(random.choice([0.1, 0.5, 1.5, 2.0, 3.0]))
        made = split(symbol, day, ratio) if random.random() < 0.6 else dividend(symbol, day, round(float(random.random()), 2))
        if all((made.symbol, made.ex_session, made.kind) != (a.symbol, a.ex_session, a.kind) for a in actions):
            actions.append(made)
    rows = draw(st.sampled_from([None, 13]))
    return (
        days(bars, actions=actions, rows=rows) if daily else minutes(bars, per_session=per_session, actions=actions, rows=rows)
    )


def assert_same(compiled, looped):
    for name in ("orders", "updates", "fills", "applied_actions", "market_actions"):
        left, right = getattr(compiled, name), getattr(looped, name)
        assert len(left) == len(right), name
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            assert repr(a) == repr(b), f"{name}[{i}]"
    for name in ("ts_ns", "session", "equity", "cash", "gross", "net"):
        np.testing.assert_array_equal(getattr(compiled.account, name), getattr(looped.account, name), name)
    np.testing.assert_array_equal(compiled.prices.mark, looped.prices.mark)
    np.testing.assert_array_equal(compiled.execution_prices.arrival, looped.execution_prices.arrival)
    np.testing.assert_array_equal(compiled.execution_prices.bar, looped.execution_prices.bar)
    assert compiled.digest == looped.digest
    assert compiled.bars == looped.bars
    assert compiled.strategies == looped.strategies


def both(source, make, *, limits=None, capital=20_000.0, instruments=None, **changes):
    def one():
        allocation = allocate(make(), capital=capital, **(limits or {}))
        own = {symbol: Instrument(symbol=symbol, **(instruments or {})) for symbol in source.symbols}
        return plan(source, allocation, instruments=own, **changes)

    assert unfit(one()) == ""
    compiled, looped = run_compiled(one()), run_session(one())
    assert_same(compiled, looped)
    return compiled


WISHES = st.fixed_dictionaries(
    {
        "seed": st.integers(1, 100_000),
        "activity": st.sampled_from([0.05, 0.3, 0.9]),
        "brackets": st.sampled_from([0.0, 0.6, 1.0]),
        "width": st.sampled_from([0.005, 0.03]),
    }
)
LIMITS = st.fixed_dictionaries(
    {"max_position_size": st.sampled_from([None, 0.3]), "max_leverage": st.sampled_from([0.8, 2.0, 20.0])}
)


@given(source=histories(), execution=EXECUTIONS, instruments=INSTRUMENTS, wishes=WISHES, limits=LIMITS)
@settings(max_examples=150, deadline=None)
def test_both_loops_leave_the_same_record(source, execution, instruments, wishes, limits):
    both(source, lambda: Anything(**wishes), limits=limits, instruments=instruments, execution=execution)


@given(source=histories(), execution=EXECUTIONS, weight=st.sampled_from([0.3, -0.4, 1.0]))
@settings(max_examples=40, deadline=None)
def test_weights_that_are_kept(source, execution, weight):
    both(source, lambda: Share(weight=weight), execution=execution, limits={"max_leverage": 3.0})


@pytest.mark.parametrize("rows", [None, 17])
def test_features_reach_both_loops(rows):
    source = minutes({s: random_bars(np.random.default_rng(7), 400) for s in "AB"}, per_session=100, rows=rows)
    record = both(source, lambda: Cross(fast=3, slow=9, shares=20.0))
    assert len(record.fills) > 20
