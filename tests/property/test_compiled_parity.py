"""A kernel strategy in the compiled loop and in the event loop: one record, to the bit, whatever data, orders and costs."""

from __future__ import annotations

import datetime as dt
import os

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.data.facts import Facts
from fairlead.features.feed import SideData
from fairlead.features.supply import FeatureSupply
from fairlead.sdk import HOLD, KernelStrategy, parameter, target_position
from support_kernels import Anything, AtTheEnd, Cross, ManyFeatures, Share, Wild
from support_parity import (
    CAPITALS,
    EXECUTIONS,
    INSTRUMENTS,
    LIMITS,
    OWN_LIMITS,
    WISHES,
    assert_trials_are_the_same,
    both,
    histories,
)
from support_sessions import allocate, days, free, minutes, plan, random_bars, split, steady

EACH = st.lists(INSTRUMENTS, min_size=6, max_size=6)
TIMES = int(os.environ.get("PARITY_TIMES", "1"))
"""How many times as many examples as usual."""


@given(
    source=histories(),
    execution=EXECUTIONS,
    instruments=EACH,
    wishes=WISHES,
    limits=LIMITS,
    own=OWN_LIMITS,
    capital=CAPITALS,
)
@settings(max_examples=100 * TIMES, deadline=None)
def test_both_loops_leave_the_same_record(source, execution, instruments, wishes, limits, own, capital):
    make = lambda: Anything(**wishes)  # noqa: E731
    both(source, make, limits=limits, own=own, capital=capital, instruments=instruments, execution=execution)


@given(
    source=histories(),
    execution=EXECUTIONS,
    instruments=EACH,
    seed=st.integers(1, 100_000),
    limits=LIMITS,
    capital=CAPITALS,
)
@settings(max_examples=100 * TIMES, deadline=None)
def test_wishes_that_few_have(source, execution, instruments, seed, limits, capital):
    make = lambda: Wild(seed=seed)  # noqa: E731
    both(source, make, limits=limits, capital=capital, instruments=instruments, execution=execution)


@given(source=histories(), execution=EXECUTIONS, weight=st.sampled_from([0.3, -0.4, 1.0]))
@settings(max_examples=30 * TIMES, deadline=None)
def test_weights_that_are_kept(source, execution, weight):
    both(source, lambda: Share(weight=weight), execution=execution, limits={"max_leverage": 3.0})


@given(source=histories(), execution=EXECUTIONS, seed=st.integers(1, 100_000), capital=CAPITALS, limits=LIMITS)
@settings(max_examples=30 * TIMES, deadline=None)
def test_trials_have_the_same_numbers(source, execution, seed, capital, limits):
    planned = plan(source, allocate(Wild(), capital=capital, **limits), execution=execution)
    assert_trials_are_the_same(planned, Wild, {"seed": seed})


@given(source=histories(most=40), execution=EXECUTIONS, before=st.integers(0, 2))
@settings(max_examples=20 * TIMES, deadline=None)
def test_a_strategy_that_begins_at_the_end(source, execution, before):
    both(source, lambda: AtTheEnd(bar=max(1, len(source.known_ns) - before)), execution=execution)


@given(source=histories(), n=st.integers(2, 30))
@settings(max_examples=30 * TIMES, deadline=None)
def test_features_of_every_kind(source, n):
    both(source, lambda: ManyFeatures(n=n), features=beside(source))


def beside(source):
    """Return what features may read beside the bars: the first symbol as the benchmark, and earnings that change."""
    first, last = int(source.known_ns[0]), int(source.known_ns[-1])
    rows = [
        {
            "symbol": symbol,
            "field": "eps",
            "value": 1.0 if i % 3 else -1.0,
            "period_end": dt.date(2023, 1 + i, 1),
            "published": dt.datetime.fromtimestamp((first + (last - first) * i // 8) // 10**9 + i, dt.UTC),
        }
        for symbol in source.symbols
        for i in range(8)
    ]
    return FeatureSupply(side=SideData(source.symbols[0], Facts.from_frame(pl.DataFrame(rows))))


@pytest.mark.parametrize("rows", [None, 17])
def test_features_reach_both_loops(rows):
    source = minutes({s: random_bars(np.random.default_rng(7), 400) for s in "AB"}, per_session=100, rows=rows)
    record = both(source, lambda: Cross(fast=3, slow=9, shares=20.0))
    assert len(record.fills) > 20


class Keep(KernelStrategy):
    """Buys once, and then wants what it has, whatever that is."""

    state_size = 1

    @staticmethod
    def decide(state, position):
        state[0] += 1.0
        return target_position(4.0 if state[0] == 1.0 else position)


class Distant(KernelStrategy):
    """Takes its profit where no price ever comes."""

    target: float = parameter(1e17, gt=0, doc="Price.")

    @staticmethod
    def decide(target, position, close):
        return target_position(10.0, close * 0.5, target) if position == 0.0 else HOLD


def test_less_than_a_lot_that_is_wanted_is_sold_in_both():
    """After one for ten, four shares are 0.4: a target of so much is rounded down to none."""
    record = both(days({"A": steady(12)}, actions=[split("A", 5, 0.1)]), Keep)
    assert [(str(fill.side), fill.quantity) for fill in record.fills] == [("BUY", 4.0), ("SELL", 0.4)]


@pytest.mark.parametrize("target", [1e16, 1e17, 1e25, 1e300])
def test_a_target_that_no_integer_can_count_in_ticks(target):
    record = both(days({"A": steady(12)}), lambda: Distant(target=target))
    assert record.orders[2].limit_price == pytest.approx(target, rel=1e-14)


@pytest.mark.parametrize("volume", [1e9, 1e11, 1e13])
def test_a_volume_that_no_integer_can_count_in_lots(volume):
    bars = {"A": [(1.0, 1.0, 1.0, 1.0, volume * (1 + i / 7)) for i in range(12)]}
    fine = {"lot_step": 1e-8, "min_quantity": 1e-8}
    record = both(
        days(bars), lambda: Share(weight=0.7), capital=1e14, instruments=fine, execution=free(max_bar_participation=0.5)
    )
    assert max(fill.quantity for fill in record.fills) > volume / 3
