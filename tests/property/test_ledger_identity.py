"""Equity is cash plus positions at their marks, at every instant of any run, and the account is the sum of its strategies."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.bars import BarSlice
from fairlead.core.events import ActionKind
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from support_actions import ROWS, SYMBOLS, histories
from support_sessions import (
    Random,
    Scripted,
    allocate,
    days,
    dividend,
    flat,
    free,
    minutes,
    random_bars,
    run,
    split,
    steady,
)

INSTRUMENTS = {"B": Instrument(symbol="B", multiplier=10.0), "C": Instrument(symbol="C", lot_step=0.1, min_quantity=0.1)}


class Audited(Random):
    """Random orders, and a look at the ledger before each."""

    def on_market_event(self, event, context):
        """Whatever the ledger says of itself must hold too."""
        ledger = context.portfolio._ledger
        worth = sum(p.quantity * ledger.marks[s] * p.multiplier for s, p in ledger.positions.items() if p.quantity)
        assert math.isclose(ledger.equity, ledger.cash + worth, rel_tol=1e-9, abs_tol=1e-6)
        made = ledger.realised_pnl + ledger.unrealised_pnl + ledger.dividends - ledger.commissions
        assert math.isclose(ledger.equity, ledger.initial_cash + made, rel_tol=1e-9, abs_tol=1e-6)


class AuditedSlices(Audited):
    event_type = BarSlice


executions = st.fixed_dictionaries(
    {
        "slippage": st.sampled_from([SlippageSettings(model=m) for m in ("none", "fixed", "volume_based")]),
        "commission": st.sampled_from([CommissionSettings(model=m) for m in ("none", "bps", "per_share", "per_order")]),
        "latency": st.sampled_from([LatencySettings(), LatencySettings(mean_ms=90_000, std_ms=60_000)]),
        "max_bar_participation": st.sampled_from([0.05, 0.5, 1.0]),
    }
)


def forward(closes):
    """Return each column's last close so far: marks, computed the slow way."""
    marks = closes.copy()
    for i in range(1, len(marks)):
        for j in range(marks.shape[1]):
            if math.isnan(marks[i, j]):
                marks[i, j] = marks[i - 1, j]
    return marks


def was_forced(source, action):
    """Whether a split may have taken effect with the delisting itself, so that the last price is one of before it."""
    column = SYMBOLS.index(action.symbol)
    traded = source.session[~np.isnan(source.arrays["close"][:, column])]
    before = max((day for day in traded.tolist() if day < action.ex_session), default=0)
    return any(
        other.symbol == action.symbol and other.share_factor != 1.0 and before < other.ex_session <= action.ex_session
        for other in source.actions
    )


def expected(applied, held, source, last):
    """Return what `held` units become: what multiplies them, what they bring in cash at multiplier 1, and in other units."""
    action, value = applied.action, applied.action.value
    cash = action.cash or 0.0
    if action.kind is ActionKind.SPIN_OFF:
        # Handed out late, the units are those of the ex-session.
        return 1.0, 0.0, applied.other_quantity if applied.in_kind else held * value
    if action.kind is ActionKind.DELISTING and action.cash is None:
        cash = applied.cash / held / multiplier_of(action.symbol) if was_forced(source, action) else last
    return {
        ActionKind.SPLIT: (value, 0.0, 0.0),
        ActionKind.STOCK_DIVIDEND: (1 + value, 0.0, 0.0),
        ActionKind.DIVIDEND: (1.0, held * value, 0.0),
        ActionKind.RENAME: (0.0, 0.0, held),
        ActionKind.MERGER: (0.0, held * cash, held * value),
        ActionKind.DELISTING: (0.0, held * cash, 0.0),
    }[action.kind]


def multiplier_of(symbol):
    return INSTRUMENTS[symbol].multiplier if symbol in INSTRUMENTS else 1.0


def replayed(record, source, name, capital):
    """Return cash, gross and net of one strategy at every row, from fills and applied actions alone."""
    marks = forward(source.arrays["close"])
    multiplier = {s: multiplier_of(s) for s in SYMBOLS}
    actions, fills = defaultdict(list), defaultdict(list)
    for applied in record.applied_actions:
        if applied.strategy == name:
            actions[applied.ts_ns].append(applied)
    for fill in record.fills:
        if fill.strategy == name:
            fills[fill.ts_ns].append(fill)
    cash, held, rows = capital, dict.fromkeys(SYMBOLS, 0.0), []
    for i, ts in enumerate(source.known_ns.tolist()):
        for applied in actions[ts]:
            action, symbol = applied.action, applied.action.symbol
            before = held[symbol]
            assert math.isclose(applied.quantity_before, before, rel_tol=1e-9, abs_tol=1e-9)
            factor, paid, given = expected(applied, before, source, float(marks[i - 1, SYMBOLS.index(symbol)]))
            assert math.isclose(applied.cash, paid * multiplier[symbol], rel_tol=1e-9, abs_tol=1e-9)
            assert math.isclose(applied.other_quantity, given, rel_tol=1e-9, abs_tol=1e-9)
            cash += applied.cash
            held[symbol] *= factor
            if given:
                held[action.other] += given
            assert math.isclose(applied.quantity_after, held[symbol], rel_tol=1e-9, abs_tol=1e-9)
        for fill in fills[ts]:
            signed = fill.quantity if str(fill.side) == "BUY" else -fill.quantity
            held[fill.symbol] += signed
            cash -= signed * fill.price * multiplier[fill.symbol] + fill.commission
        worth = [held[s] * marks[i, j] * multiplier[s] for j, s in enumerate(SYMBOLS) if abs(held[s]) > 1e-9]
        rows.append((cash, sum(map(abs, worth)), sum(worth)))
    return np.array(rows).T


@settings(max_examples=60, deadline=None)
@given(source=histories(), execution=executions, seed=st.integers(0, 1_000), leverage=st.sampled_from([1.0, 3.0]))
def test_equity_is_cash_plus_positions_at_every_instant(source, execution, seed, leverage):
    """Recomputed from the record's fills and actions, apart from the engine."""
    capital = {"a": 100_000.0, "b": 40_000.0}
    allocations = [
        allocate(Audited(), "a", capital["a"], max_leverage=leverage),
        allocate(AuditedSlices(), "b", capital["b"], max_leverage=leverage, max_position_size=0.5),
    ]
    record = run(source, *allocations, execution=free(**execution), instruments=INSTRUMENTS, seed=seed)
    assert [s.error for s in record.strategies] == ["", ""]
    total = np.zeros((3, ROWS))
    for name, curve in record.by_strategy.items():
        cash, gross, net = replayed(record, source, name, capital[name])
        scale = np.maximum(np.abs(cash) + gross, 1.0)
        for found, expected in ((curve.cash, cash), (curve.gross, gross), (curve.net, net), (curve.equity, cash + net)):
            assert (np.abs(found - expected) <= 1e-9 * scale).all()
        total += (cash, gross, net)
    account = record.account
    scale = np.maximum(np.abs(total[0]) + total[1], 1.0)
    for found, expected in ((account.cash, total[0]), (account.gross, total[1]), (account.net, total[2])):
        assert (np.abs(found - expected) <= 1e-9 * scale).all()
    np.testing.assert_array_equal(account.equity, account.cash + account.net)
    np.testing.assert_array_equal(account.ts_ns, source.known_ns)
    np.testing.assert_array_equal(account.session, source.session)


@settings(max_examples=30, deadline=None)
@given(source=histories(), seed=st.integers(0, 1_000))
def test_without_costs_and_at_one_price_nothing_is_made_or_lost(source, seed):
    """If no price ever moves and no action pays, equity is the capital, whatever was traded."""
    still = {name: np.where(np.isnan(values), np.nan, 50.0) for name, values in source.arrays.items()}
    still["volume"] = source.arrays["volume"]
    record = run(source.changed(arrays=still, actions=()), allocate(Audited()), seed=seed)
    np.testing.assert_allclose(record.account.equity, 100_000, rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    ratio=st.sampled_from([2.0, 3.0, 0.5, 1.25, 0.1]),
    units=st.integers(-500, 500).filter(bool),
    rows=st.sampled_from([None, 1, 3]),
)
def test_a_split_alone_changes_no_equity(ratio, units, rows):
    bars = {"A": [*steady(5, 60.0), *steady(5, 60.0 / ratio)]}
    record = run(days(bars, actions=[split("A", 5, ratio)], rows=rows), Scripted({1: [OrderIntent.market("A", units)]}))
    np.testing.assert_allclose(record.account.equity, 100_000, rtol=1e-12)
    assert len(record.applied_actions) == 1


def test_random_runs_meet_fills_actions_and_refusals():
    """The properties above would hold for a run in which nothing happens."""
    random = np.random.default_rng(1)
    bars = {s: random_bars(random, ROWS, gaps=0.3) for s in SYMBOLS}
    bars["D"] = steady(ROWS)
    actions = [split("A", 2, 2.0), dividend("B", 3, 0.5), split("C", 4, 0.1)]
    strategy = allocate(Audited(), max_leverage=1.0)
    record = run(minutes(bars, per_session=10, actions=actions), strategy, instruments=INSTRUMENTS)
    assert len(record.fills) > 20
    assert len(record.applied_actions) == 3
    assert {str(o.status) for o in record.orders} == {"FILLED", "CANCELLED", "EXPIRED", "REJECTED"}


def test_bars_without_a_price_change_are_bars():
    """A symbol that appears late is marked from its first bar on."""
    record = run(days({"A": [None, flat(5), flat(5)], "B": steady(3)}), Scripted())
    np.testing.assert_array_equal(record.prices.mark[:, 0], [np.nan, 5, 5])
