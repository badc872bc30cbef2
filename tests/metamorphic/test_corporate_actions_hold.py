"""Whatever companies do: nothing is known before its day, symbols' order changes nothing, and every view has one rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.bars import BarSlice
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.intents import OrderIntent
from fairlead.evidence.lookahead import check_lookahead
from fairlead.features.rebasing import Rebasing
from support_actions import ROWS, SYMBOLS, histories
from support_sessions import ArraySource, Random, Scripted, allocate, plan, run

WANTED = {"mean": ("sma", {"n": 4}), "high": ("rolling_max", {"n": 4})}


class Watchful(Random):
    """Orders at random, and compares its features with what the adjusted history says."""

    event_type = BarSlice

    def required_features(self):
        return WANTED

    def on_market_event(self, event, context):
        for symbol in context.symbols:
            closes = context.historical_data.closes(symbol, 4)
            mean = context.features.get("mean", symbol)
            if symbol in event and len(closes) == 4:
                assert mean == pytest.approx(closes.mean(), rel=1e-9)
                assert context.features.get("high", symbol) == pytest.approx(closes.max(), rel=1e-9)
            else:
                assert math.isnan(mean)


@settings(max_examples=40, deadline=None)
@given(source=histories(), seed=st.integers(0, 1_000))
def test_features_and_adjusted_history_agree(source, seed):
    """One is told forwards in units of the first day, the other backwards in units of the last."""
    record = run(source, allocate(Watchful()), seed=seed)
    assert record.strategies[0].error == ""


@settings(max_examples=25, deadline=None)
@given(source=histories(), seed=st.integers(0, 1_000))
def test_nothing_that_a_company_will_do_changes_what_was_decided(source, seed):
    """Cut anywhere, with the later actions gone: the same orders, fills and equity, to the bit."""
    report = check_lookahead(lambda: plan(source, allocate(Watchful()), seed=seed), cuts=4)
    assert [str(divergence) for divergence in report.divergences] == []


class ByName(Scripted):
    """Orders by (instant, symbol)."""

    def __init__(self, wanted):
        super().__init__()
        self.wanted = wanted

    def generate_orders(self, context):
        self.instant += 1
        return [OrderIntent.market(symbol, units) for symbol, units in self.wanted.get(self.instant, ())]


@settings(max_examples=40, deadline=None)
@given(
    source=histories(),
    names=st.permutations(["E", "F", "G", "H"]),
    asks=st.lists(
        st.tuples(st.integers(0, ROWS - 1), st.sampled_from(SYMBOLS), st.integers(-200, 200).filter(bool)), max_size=12
    ),
)
def test_the_order_of_the_symbols_changes_nothing(source, names, asks):
    """Other names for the same shares put columns, and actions of one session, in another order."""
    called = dict(zip(SYMBOLS, names, strict=True))
    other = renamed(source, called)
    wanted: dict[int, list[tuple[str, float]]] = {}
    for row, symbol, units in asks:
        wanted.setdefault(row, []).append((symbol, float(units)))
    first = run(source, ByName(wanted))
    second = run(other, ByName({row: [(called[s], u) for s, u in found] for row, found in wanted.items()}))
    np.testing.assert_allclose(first.account.equity, second.account.equity, rtol=1e-10)
    np.testing.assert_allclose(first.account.cash, second.account.cash, rtol=1e-10, atol=1e-6)
    assert sorted((f.ts_ns, called[f.symbol], f.quantity, f.price) for f in first.fills) == sorted(
        (f.ts_ns, f.symbol, f.quantity, f.price) for f in second.fills
    )


def renamed(source: ArraySource, called: dict[str, str]) -> ArraySource:
    """Return the same history with other names, its columns in their order."""
    order = sorted(range(len(SYMBOLS)), key=lambda i: called[SYMBOLS[i]])
    return ArraySource(
        sorted(called.values()),
        {name: values[:, order] for name, values in source.arrays.items()},
        session=source.session,
        label_ns=source.label_ns,
        known_ns=source.known_ns,
        actions=[
            CorporateAction(called[a.symbol], a.ex_session, a.kind, a.value, called.get(a.other, ""), a.cash, a.basis)
            for a in source.actions
        ],
        rows=source.rows,
        bar_size=source.bar_size,
    )


@settings(max_examples=60, deadline=None)
@given(source=histories(), step=st.integers(1, 20))
def test_the_factors_of_features_are_those_of_the_blocks(source, step):
    """Price factors are found in two places, once placed in a block and once while features pass: they are the same numbers."""
    (block,) = source.changed(rows=None).blocks(carry=0)
    rebasing = Rebasing(source.symbols, source.actions)
    renames = [a for a in source.actions if a.kind is ActionKind.RENAME]
    price = np.ones((len(SYMBOLS), ROWS))
    for begin in range(0, ROWS, step):
        stop = min(begin + step, ROWS)
        if any(rebasing.renames(block, begin, stop)):
            return  # the feed cuts its rows there; see the test above
        price[:, begin:stop] = rebasing.advance(block, slice(begin, stop))[0]
    expected = np.ones((len(SYMBOLS), ROWS))
    for column, found in block.actions_of.items():
        for effective in found:
            known = np.flatnonzero(~np.isnan(block.close[: effective.row, column]))
            if len(known) and not (renames and column in block.former_names):
                expected[column, effective.row :] *= effective.factor
    np.testing.assert_allclose(price, expected, rtol=1e-12)
