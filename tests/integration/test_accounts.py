"""Cash and margin accounts in a run: what they refuse, what nights cost, and what a margin call sells."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.backtest.trades import ledger_of
from fairlead.sdk import OrderIntent, TimeInForce
from support_sessions import FIRST_DAY, Scripted, allocate, days, flat, free, run, steady

FLAT = (100.0, 100.0, 100.0, 100.0)


def daily(bars, script, *, capital=10_000.0, **changes):
    return run(days({"A": bars}), allocate(Scripted(script), capital=capital), execution=free(**changes))


def told(record):
    return [(str(f.side), f.quantity, f.price_ideal) for f in record.fills]


def reasons(record):
    return [o.reason for o in record.orders if o.reason]


# --- cash -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "commission",
    [{"model": "none"}, {"model": "bps", "params": {"bps": 20}}, {"model": "per_order", "params": {"amount": 30}}],
)
def test_cash_never_falls_below_zero_in_a_cash_account(commission):
    """Decided at 100 for all the cash there is, filled after a gap of 10 %: what cannot be paid is not bought."""
    record = daily(
        [FLAT, flat(110.0), flat(110.0)],
        {0: [OrderIntent.market("A", 100, time_in_force=TimeInForce.GTC)]},
        account={"type": "cash"},
        commission=commission,
    )
    assert record.account.cash.min() >= 0
    assert record.account.cash[1] < 110 * 2
    assert reasons(record) == ["insufficient_cash"]
    assert record.fills[0].quantity in (90, 91)


def test_the_same_gap_borrows_a_little_in_a_simple_account():
    record = daily([FLAT, flat(110.0)], {0: [OrderIntent.market("A", 100)]})
    assert record.account.cash[-1] == -1000


def test_a_cash_account_sells_nothing_short_and_buys_for_what_is_there():
    script = {0: [OrderIntent.market("A", -10)], 1: [OrderIntent.market("A", 101)], 2: [OrderIntent.market("A", 100)]}
    record = daily([FLAT] * 4, script, account={"type": "cash"})
    assert told(record) == [("BUY", 100, 100)]
    assert reasons(record) == ["short_in_cash_account", "insufficient_settled_cash"]


@pytest.mark.parametrize(("settlement", "bought"), [(0, True), (1, False)])
def test_proceeds_settle_a_session_later(settlement, bought):
    """On daily bars a sale of today fills today; its proceeds buy from tomorrow's decision on."""
    source = days({"A": [FLAT] * 5, "B": steady(5)})
    script = {
        0: [OrderIntent.market("A", 100)],
        1: [OrderIntent.market("A", -100)],
        2: [OrderIntent.market("B", 50)],
    }
    record = run(
        source,
        allocate(Scripted(script), capital=10_000.0),
        execution=free(account={"type": "cash", "settlement_days": settlement}),
    )
    assert any(f.symbol == "B" for f in record.fills) is bought


# --- margin -----------------------------------------------------------------------------------------------------------------


def test_a_short_that_runs_past_its_margin_is_bought_back():
    """Short 100 at 100 on 10,000: equity 10,000 - loss; maintenance 30 % of value. At 160: 4,000 < 4,800."""
    bars = [FLAT, FLAT, flat(130.0), flat(160.0), flat(160.0), flat(400.0), flat(400.0)]
    record = daily(bars, {0: [OrderIntent.market("A", -100)]}, account={"type": "reg_t"})
    assert told(record)[0] == ("SELL", 100, 100)
    assert record.fills[1].tag == "margin_call"
    assert record.fills[1].ts_ns == record.account.ts_ns[4]
    assert record.account.equity[4] > 0
    everything = daily(bars, {0: [OrderIntent.market("A", -100)]})
    assert everything.account.equity[-1] < 0  # what happens where nobody watches


def test_a_call_restores_the_account_and_leaves_the_rest():
    bars = [FLAT, FLAT, flat(70.0), flat(70.0), flat(70.0)]
    record = daily(bars, {0: [OrderIntent.market("A", 190)]}, account={"type": "reg_t"})
    # 19,000 of stock on 10,000; at 70: equity 4,300, maintenance 25 % of 13,300 = 3,325: no call yet.
    assert len(record.fills) == 1
    bars = [FLAT, FLAT, flat(60.0), flat(60.0), flat(60.0)]
    record = daily(bars, {0: [OrderIntent.market("A", 190)]}, account={"type": "reg_t"})
    # At 60: equity 2,400, maintenance 2,850.
    assert told(record)[1][0] == "SELL"
    left = record.account.gross[-1]
    assert record.account.equity[-1] >= 0.25 * left
    assert left > 0


def test_a_call_may_end_the_strategy_instead():
    bars = [FLAT, FLAT, flat(60.0), flat(60.0)]
    record = daily(bars, {0: [OrderIntent.market("A", 190)]}, account={"type": "reg_t", "margin_call": "stop"})
    assert record.strategies[0].status == "stopped"
    assert "margin call on" in record.strategies[0].error
    assert len(record.fills) == 1


def test_initial_margin_limits_what_can_be_opened():
    record = daily(
        [FLAT] * 3, {0: [OrderIntent.market("A", 201)], 1: [OrderIntent.market("A", 200)]}, account={"type": "reg_t"}
    )
    assert told(record) == [("BUY", 200, 100)]
    assert reasons(record) == ["insufficient_margin"]


def test_what_cannot_be_borrowed_is_not_sold_short():
    financing = {"not_borrowable": ["A"]}
    record = daily([FLAT] * 3, {0: [OrderIntent.market("A", -1)]}, financing=financing)
    assert reasons(record) == ["not_borrowable"]
    some = daily(
        [FLAT] * 4,
        {0: [OrderIntent.market("A", -6)], 1: [OrderIntent.market("A", -6)]},
        financing={"borrowable_units": {"A": 10}},
    )
    assert told(some) == [("SELL", 6, 100)]


# --- financing --------------------------------------------------------------------------------------------------------------


def test_nights_cost_interest_on_debt_and_fees_for_shorts():
    """Two calendar days apart each: FIRST_DAY is a day, sessions follow one another."""
    rates = {"margin_rate_pct": 36.0, "borrow_rate_pct": 18.0}
    debt = daily([FLAT] * 4, {0: [OrderIntent.market("A", 150)]}, financing=rates)
    # 5,000 of debt at 36 % over 360 days: 5 a day, from the night after the purchase on.
    np.testing.assert_allclose(np.diff(debt.account.cash)[1:], [-5.0, -5.005])
    short = daily([FLAT] * 4, {0: [OrderIntent.market("A", -100)]}, financing=rates)
    # 10,000 of shorts at 18 %: 5 a day; their proceeds are collateral and bear no interest.
    np.testing.assert_allclose(np.diff(short.account.cash)[1:], [-5.0, -5.0])
    assert [c.borrow_fees for c in short.financing] == [-5.0, -5.0]
    assert FIRST_DAY


def test_a_weekend_costs_three_nights():
    source = days({"A": [FLAT] * 3})
    source = source.changed(session=source.session + np.array([0, 1, 3]))
    rates = {"margin_rate_pct": 36.0}
    record = run(
        source, allocate(Scripted({0: [OrderIntent.market("A", 150)]}), capital=10_000.0), execution=free(financing=rates)
    )
    assert record.financing[-1].interest == pytest.approx(-15.0)


def test_profit_and_loss_are_trades_dividends_and_financing():
    bars = [FLAT, FLAT, flat(104.0), flat(103.0), flat(103.0)]
    record = daily(
        bars,
        {0: [OrderIntent.market("A", 150)], 3: [OrderIntent.target_position("A", 20)]},
        financing={"margin_rate_pct": 12.0, "cash_rate_pct": 1.0},
    )
    ledger = ledger_of(record)
    assert ledger.financing < 0
    assert ledger.total_pnl == pytest.approx(record.account.equity[-1] - 10_000, abs=1e-9)
    np.testing.assert_allclose(record.account.cash + record.account.net, record.account.equity, rtol=1e-12)


def test_plain_runs_have_no_accounts_to_watch():
    record = daily([FLAT] * 3, {0: [OrderIntent.market("A", 10)]})
    assert record.financing == []


def test_impact_knows_the_days_before_and_no_others():
    """Square-root impact charges for volume and volatility of completed sessions: a flat fee only until it knows them."""
    rng = np.random.default_rng(7)
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 60)))
    bars = [(c, c * 1.01, c * 0.99, c, 50_000.0) for c in closes.round(2)]
    script = {2: [OrderIntent.market("A", 500)], 40: [OrderIntent.market("A", 500)]}
    record = run(
        days({"A": bars}),
        allocate(Scripted(script), capital=1e6),
        execution=free(slippage={"model": "square_root"}, max_bar_participation=0.5),
    )
    early, late = (f.price / f.price_ideal - 1 for f in record.fills)
    # Y sigma sqrt(500 / 50,000) = 0.02 * 0.1 = 20 bps and half a spread, against the flat 55.
    assert early == pytest.approx(0.0055)
    assert 0.0010 < late < 0.0040


def test_a_simple_account_with_leverage_is_closed_once_its_equity_is_gone():
    bars = [FLAT, FLAT, flat(210.0), flat(220.0), flat(400.0)]
    record = daily(bars, {0: [OrderIntent.market("A", -100)]}, account={"leverage": 1.0})
    assert told(record) == [("SELL", 100, 100), ("BUY", 100, 220)]
    refused = daily([FLAT] * 2, {0: [OrderIntent.market("A", 101)]}, account={"leverage": 1.0})
    assert reasons(refused) == ["insufficient_buying_power"]


def test_what_a_sale_brings_buys_something_else_in_the_same_decision():
    source = days({"A": [FLAT] * 4, "B": steady(4)})
    script = {0: [OrderIntent.market("A", 100)], 1: [OrderIntent.market("B", 90), OrderIntent.market("A", -100)]}
    record = run(source, allocate(Scripted(script), capital=10_000.0), execution=free(account={"type": "cash"}))
    assert [(f.symbol, f.quantity) for f in record.fills] == [("A", 100), ("A", 100), ("B", 90)]
    assert record.account.cash.min() >= 0
