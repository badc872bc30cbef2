"""Money that comes and goes leaves no trace in what a run has earned, however much, whenever and how often it does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fairlead.backtest.flows import growth
from fairlead.backtest.result import LEDGER_TOLERANCE, Result
from fairlead.core.bars import BarSlice
from fairlead.core.errors import RiskLimitError
from fairlead.core.flows import NetOfFlows
from fairlead.core.intents import OrderIntent
from fairlead.engine.attendance import SessionParts
from fairlead.engine.record import CashFlow, EquityCurve
from fairlead.engine.reportline import ReportLine
from fairlead.engine.session import run_session
from fairlead.execution.margin import AccountSettings, Holding, refusal, withdrawable
from fairlead.execution.settings import ExecutionSettings
from fairlead.risk.guards import FULL
from support_records import info_for
from support_sessions import Scripted, allocate, days, free, minutes, plan, random_bars

ROWS = 24
amounts = st.floats(1.0, 1e6).map(lambda value: round(value, 2))


class Paymaster:
    """Attends a session that nobody trades against, and changes capitals between two of its blocks."""

    def __init__(self, changes) -> None:
        self.changes = changes
        self.parts: SessionParts | None = None
        self.refused: list[RiskLimitError] = []
        self._line = ReportLine()

    @property
    def line(self):
        return self._line

    def begin(self, parts):
        self.parts = parts

    def instant(self, row):
        for runner in self.parts.runners:
            ledger = runner.ledger
            made = ledger.realised_pnl + ledger.unrealised_pnl + ledger.dividends - ledger.commissions
            assert math.isclose(ledger.equity, ledger.capital + made, rel_tol=1e-9, abs_tol=1e-6)

    def wanted(self, runner, intents):
        return intents

    def acted(self, runner):
        pass

    def veto(self, strategy, *, only_reduces):
        return None

    def scale(self, strategy):
        return FULL

    def end(self):
        pass

    def passed(self, done):
        """Do what is to be done after so many instants."""
        for who, amount in self.changes.get(done - 1, ()):
            runner = self.parts.runners[who]
            try:
                self.parts.funding.set_capital(runner, max(0.0, runner.ledger.capital + amount))
            except RiskLimitError as exc:
                assert amount < 0
                self.refused.append(exc)


class Fixed(Scripted):
    """Buys and sells fixed numbers of shares, which no capital changes."""

    event_type = BarSlice

    def on_market_event(self, event, context):
        pass

    def generate_orders(self, context):
        self.instant += 1
        units = self.script.get(self.instant, 0.0)
        return [OrderIntent.market("A", units)] if units else []


scripts = st.dictionaries(st.integers(0, ROWS - 2), st.integers(-300, 300).map(float), max_size=8)


def told(seed, script, changes, daily, rows=1):
    """Run it, and return its result and who paid."""
    make = days if daily else lambda bars, **more: minutes(bars, per_session=7, **more)
    source = make({"A": random_bars(np.random.default_rng(seed), ROWS)}, rows=rows)
    paymaster = Paymaster(changes)
    allocations = [allocate(Fixed(script), "alpha"), allocate(Fixed({k: -v // 3 for k, v in script.items()}), "beta", 50_000.0)]
    record = run_session(plan(source, *allocations), paymaster.passed, None, paymaster)
    return Result(record, info_for(record)), paymaster


@settings(max_examples=40)
@given(
    st.integers(0, 10_000), scripts, st.dictionaries(st.integers(0, ROWS - 1), amounts, min_size=1, max_size=5), st.booleans()
)
def test_paying_in_and_taking_out_the_same_at_one_instant_changes_no_metric(seed, script, paid, daily):
    changes = {row: [(row % 2, amount), (row % 2, -amount)] for row, amount in paid.items()}
    plain, _ = told(seed, script, {}, daily)
    values = np.unique(plain.record.account.equity)
    # What comes back to a value to the last bit, and no higher, is a drawdown or none by that bit.
    assume(len(values) == 1 or np.min(np.diff(values)) > 1e-6)
    flowed, paymaster = told(seed, script, changes, daily)
    assert paymaster.refused == []
    assert len(flowed.record.cash_flows) == 2 * len(paid)
    assert flowed.digest == plain.digest
    metrics = flowed.metrics
    assert metrics.pop("cash_flows") == pytest.approx(0.0, abs=1e-6)
    assert list(metrics) == list(plain.metrics)
    for name, value in plain.metrics.items():
        assert metrics[name] == (value if value is None else pytest.approx(value, rel=1e-6, abs=1e-6)), name
    assert [t.net_pnl for t in flowed.ledger.trades] == [t.net_pnl for t in plain.ledger.trades]


@settings(max_examples=40)
@given(
    st.integers(0, 10_000),
    scripts,
    st.dictionaries(
        st.integers(0, ROWS - 1),
        st.lists(st.tuples(st.integers(0, 1), amounts.flatmap(lambda a: st.sampled_from([a, -a / 10]))), max_size=3),
        max_size=6,
    ),
    st.booleans(),
    st.integers(1, 5),
)
def test_the_ledger_holds_and_trades_are_untouched_whatever_is_paid(seed, script, changes, daily, rows):
    """Orders of a fixed size fill alike; equity is what was paid in and what they made of it."""
    # Money comes between two blocks.
    changes = {row: who for row, who in changes.items() if (row + 1) % rows == 0 or row == ROWS - 1}
    plain, _ = told(seed, script, {}, daily, rows)
    flowed, _ = told(seed, script, changes, daily, rows)
    assume([o.status for o in flowed.record.orders] == [o.status for o in plain.record.orders])
    assert flowed.ledger_error <= LEDGER_TOLERANCE
    assert [t.net_pnl for t in flowed.ledger.trades] == [t.net_pnl for t in plain.ledger.trades]
    for name in ("net_pnl", "open_pnl", "dividends", "total_fees"):
        assert flowed.metrics[name] == plain.metrics[name]
    # In currency, profit and loss are those of the run without.
    for name in ("max_drawdown", "recovery_factor"):
        value = plain.metrics[name]
        assert flowed.metrics[name] == (value if value is None else pytest.approx(value, rel=1e-6, abs=1e-5)), name
    curves = flowed.record.by_strategy
    account = flowed.record.account
    np.testing.assert_allclose(account.equity, sum(curve.equity for curve in curves.values()), rtol=1e-12)
    np.testing.assert_array_equal(account.equity, account.cash + account.net)
    for name, curve in curves.items():
        before = plain.record.by_strategy[name]
        paid = np.zeros(ROWS)
        for flow in flowed.record.cash_flows:
            if flow.strategy == name:
                paid[np.searchsorted(curve.ts_ns, flow.ts_ns) :] += flow.amount
        np.testing.assert_allclose(curve.cash, before.cash + paid, rtol=1e-9, atol=1e-5)
        np.testing.assert_array_equal(curve.net, before.net)


@given(
    st.lists(st.floats(-0.5, 1.0), min_size=1, max_size=40),
    st.dictionaries(st.integers(0, 39), st.floats(-0.95, 5.0).filter(lambda x: abs(x) > 1e-6), max_size=8),
)
def test_growth_is_what_the_returns_are_whatever_comes_and_goes(returns, shares):
    """Equity is made of returns and of flows, each a share of what is there just before it; growth gives the returns back."""
    equity, worth, flows = [], 10_000.0, []
    for row, value in enumerate(returns):
        worth *= 1.0 + value
        if row in shares:
            amount = shares[row] * worth
            flows.append(CashFlow(row, "alpha", amount))
            worth += amount
        equity.append(worth)
    values = np.array(equity)
    curve = EquityCurve(np.arange(len(values)), np.zeros(len(values), np.int32), values, values, values, values)
    np.testing.assert_allclose(growth(curve, flows, 10_000.0), 10_000.0 * np.cumprod(1.0 + np.array(returns)), rtol=1e-9)


@given(st.floats(1.0, 1e6), st.lists(st.floats(-1e6, 1e6), max_size=10))
def test_a_flow_changes_no_net_worth(worth, flows):
    net = NetOfFlows()
    for amount in flows:
        before = net.of(worth)
        net.paid(worth, worth + amount)
        worth += amount
        size = net.level * (abs(worth) + abs(net.offset)) / net.base
        assert net.of(worth) == pytest.approx(before, rel=1e-9, abs=1e-9 * size)


accounts = st.sampled_from(
    [
        AccountSettings(type="cash"),
        AccountSettings(),
        AccountSettings(leverage=2.5),
        AccountSettings(type="reg_t"),
        AccountSettings(type="reg_t", minimum_equity=50_000.0, initial_frac=0.4),
    ]
)


@given(
    accounts,
    st.floats(-1e5, 2e5),
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.floats(-1_000, 1_000), st.floats(0.5, 200)), max_size=3, unique_by=lambda t: t[0]
    ),
    st.floats(0.0, 5e4),
    st.floats(0.0, 5e4),
)
def test_what_can_be_taken_out_is_as_much_as_the_rule_of_orders_lets_go(account, cash, held, working, unsettled):
    """An order for nothing is refused just when more has been taken out."""
    holdings = [Holding(*row) for row in held if account.type != "cash" or row[1] >= 0]
    free = withdrawable(cash, holdings, account, working=working, unsettled=unsettled)
    nothing = Holding("Z", 0.0, 1.0)

    def refused(taken):
        return refusal(nothing, cash - taken, holdings, account, working=working, unsettled=unsettled)

    assert free >= 0.0
    if refused(0.0) is not None:
        assert free <= 1e-3
        return
    assert refused(max(0.0, free - 1e-3)) is None
    assert refused(free + 1.0) is not None


@pytest.mark.parametrize(("taken", "least"), [(40_000.0, None), (40_000.01, "60,000.00")])
def test_the_account_of_a_session_is_asked(taken, least):
    """Of a cash account with 100,000, 60,000 of them held: 40,000 and no more."""
    source = days({"A": [(100.0, 100.0, 100.0, 100.0, 1e6)] * 5}, rows=1)
    paymaster = Paymaster({2: [(0, -taken)]})
    execution = ExecutionSettings(**{**free().model_dump(), "account": {"type": "cash"}})
    record = run_session(
        plan(source, allocate(Fixed({0: 600.0}), "alpha"), execution=execution), paymaster.passed, None, paymaster
    )
    assert len(record.cash_flows) == (1 if least is None else 0)
    told = [str(exc) for exc in paymaster.refused]
    assert told == (
        []
        if least is None
        else [
            (
                f"'capital of alpha' must be at least {least}, as no more than 40,000.00 can be taken out, was 59999.99. "
                "The rest is held, bound by working orders or not settled yet. Take out less, or close positions first."
            )
        ]
    )
