"""Trades explain equity, whatever was traded."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.backtest.scorecard import score
from fairlead.backtest.trades import EXIT_REASONS, ledger_of
from fairlead.core.instruments import Instrument
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.slippage import SlippageSettings
from support_actions import histories
from support_records import Ask, Market, dividend, simulate, split, weekdays
from support_sessions import Random, allocate, free, run

COUNT = 12
prices = st.lists(st.floats(1.0, 500.0), min_size=COUNT, max_size=COUNT)
asks = st.lists(
    st.builds(
        Ask,
        row=st.integers(0, COUNT - 2),
        symbol=st.sampled_from(["AAA", "BBB"]),
        quantity=st.one_of(st.integers(1, 90), st.integers(-90, -1)).map(float),
        strategy=st.sampled_from(["alpha", "beta"]),
        parts=st.integers(1, 3),
    ),
    max_size=25,
)
actions = st.lists(
    st.tuples(st.sampled_from(["AAA", "BBB"]), st.integers(1, COUNT - 1), st.booleans(), st.floats(0.25, 4.0)), max_size=4
)


@settings(max_examples=120, deadline=None)
@given(a=prices, b=prices, orders=asks, events=actions)
def test_profit_of_trades_and_dividends_is_the_change_of_equity(a, b, orders, events):
    """sum(net_pnl of closed and open trades) + dividends = final equity - initial cash, through splits and crossings."""
    days = weekdays("2024-01-02", COUNT)
    effective = tuple((split if is_split else dividend)(symbol, days[row], value) for symbol, row, is_split, value in events)
    record = simulate(
        Market({"AAA": a, "BBB": b}, days, actions=effective), orders, strategies=("alpha", "beta"), commission_bps=7.0
    )
    ledger = ledger_of(record)
    gained = float(record.account.equity[-1]) - record.initial_cash
    scale = max(abs(float(record.account.equity[-1])), record.initial_cash)
    assert abs(ledger.total_pnl - gained) <= 1e-9 * scale
    assert np.isclose(sum(leg.quantity for leg in ledger.legs), sum(fill.quantity for fill in record.fills))
    assert np.isclose(sum(leg.commission for leg in ledger.legs), sum(fill.commission for fill in record.fills))
    assert len({trade.trade_id for trade in ledger.trades}) == len(ledger.trades)
    k = score(record, ledger)
    assert np.isclose(k["final_cash"], k["initial_cash"] + k["net_pnl"] + k["open_pnl"] + k["dividends"], rtol=1e-9, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(a=prices, b=prices, orders=asks)
def test_every_metric_is_a_finite_number_or_none(a, b, orders):
    """No metric is NaN or infinite, even when equity falls below zero."""
    record = simulate(
        Market({"AAA": a, "BBB": b}, weekdays("2024-01-02", COUNT)), orders, strategies=("alpha", "beta"), cash=5e3
    )
    for name, value in score(record, ledger_of(record)).items():
        assert value is None or np.isfinite(value), name


@settings(max_examples=80, deadline=None)
@given(source=histories(), seed=st.integers(0, 1_000))
def test_trades_explain_equity_through_corporate_actions_of_every_kind(source, seed):
    """Two ledgers that share no code: what the engine booked, and what the trades make of fills and applied actions."""
    costs = free(slippage=SlippageSettings(model="fixed"), commission=CommissionSettings(model="bps"))
    instruments = {"B": Instrument(symbol="B", multiplier=10.0)}
    record = run(source, allocate(Random(), "a"), allocate(Random(), "b"), execution=costs, instruments=instruments, seed=seed)
    ledger = ledger_of(record, {"B": 10.0})
    gained = float(record.account.equity[-1]) - record.initial_cash
    turnover = sum(abs(fill.price * fill.quantity) * 10 for fill in record.fills)
    assert abs(ledger.total_pnl - gained) <= 1e-9 * max(record.initial_cash, turnover)
    assert np.isclose(sum(trade.commission_cost for trade in ledger.trades), sum(fill.commission for fill in record.fills))
    assert len({trade.trade_id for trade in ledger.trades}) == len(ledger.trades)
    assert {trade.exit_reason for trade in ledger.closed} <= EXIT_REASONS
    held = {(trade.strategy, trade.symbol): trade.qty * trade.side.sign for trade in ledger.open}
    for name in ("a", "b"):
        ended = {action.symbol for action in record.market_actions if action.ends_symbol}
        assert not [symbol for owner, symbol in held if owner == name and symbol in ended]
