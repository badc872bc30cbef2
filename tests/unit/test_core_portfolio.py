"""Positions and the ledger, against results worked out by hand (domain rule 6.14)."""

from __future__ import annotations

import math

import pytest

from fairlead.core.errors import DataError
from fairlead.core.fills import Fill
from fairlead.core.orders import Side
from fairlead.core.portfolio import Portfolio, Position


def a_fill(signed: float, price: float, commission: float = 0.0, symbol: str = "AAPL", ts_ns: int = 1) -> Fill:
    return Fill("f", "o", "s", symbol, Side.of(signed), abs(signed), price, price, commission, ts_ns, 0)


@pytest.mark.parametrize(
    ("trades", "quantity", "average", "realised"),
    [
        ([(100, 10.0)], 100, 10.0, 0.0),
        ([(100, 10.0), (100, 12.0)], 200, 11.0, 0.0),
        ([(100, 10.0), (-40, 13.0)], 60, 10.0, 120.0),
        ([(100, 10.0), (-100, 9.0)], 0, 0.0, -100.0),
        ([(-100, 10.0)], -100, 10.0, 0.0),
        ([(-100, 10.0), (-100, 8.0)], -200, 9.0, 0.0),
        ([(-100, 10.0), (40, 7.0)], -60, 10.0, 120.0),
        ([(-100, 10.0), (100, 11.0)], 0, 0.0, -100.0),
        ([(100, 10.0), (-150, 12.0)], -50, 12.0, 200.0),
        ([(-100, 10.0), (150, 12.0)], 50, 12.0, -200.0),
        ([(100, 10.0), (-150, 12.0), (50, 11.0), (10, 5.0)], 10, 5.0, 250.0),
    ],
    ids=["open", "add", "reduce", "close", "short", "add-short", "cover-some", "cover", "cross-down", "cross-up", "reopen"],
)
def test_average_cost(trades, quantity, average, realised):
    """Adding averages, reducing realises and keeps the average, crossing zero starts again at the fill price."""
    position = Position("AAPL")
    for signed, price in trades:
        position.trade(signed, price)
    assert (position.quantity, position.average_price) == (quantity, pytest.approx(average))
    assert position.realised_pnl == pytest.approx(realised)


def test_trade_returns_what_it_realised_itself():
    position = Position("ES", multiplier=50.0)
    assert position.trade(2, 4000.0) == 0.0
    assert position.trade(-1, 4010.0) == 500.0
    assert position.trade(-1, 3990.0) == -500.0
    assert position.realised_pnl == 0.0


def test_dust_of_fractional_lots_is_flat():
    """0.1 + 0.2 - 0.3 leaves 5.6e-17 units, of which nobody can be rid."""
    position = Position("BTC")
    for signed in (0.1, 0.2, -0.3):
        position.trade(signed, 100.0)
    assert (position.quantity, position.average_price) == (0.0, 0.0)


def test_values_of_a_short_with_a_multiplier():
    position = Position("ES", multiplier=50.0)
    position.trade(-2, 4000.0)
    assert position.market_value(4010.0) == -401_000.0
    assert position.unrealised_pnl(4010.0) == -1000.0


def test_a_split_scales_units_and_cost_inversely():
    position = Position("AAPL")
    position.trade(100, 400.0)
    position.split(4.0)
    assert (position.quantity, position.average_price) == (400, 100.0)
    assert position.unrealised_pnl(100.0) == 0.0


def test_a_round_trip_with_commissions():
    """Buy 100 at 10, sell 100 at 12, one dollar each way: 198 richer."""
    marks = {"AAPL": 10.0}
    ledger = Portfolio(5000.0, marks)
    opened = ledger.apply(a_fill(100, 10.0, 1.0, ts_ns=7))
    assert (ledger.cash, ledger.equity) == (3999.0, 4999.0)
    assert (opened.symbol, opened.ts_ns, opened.quantity_before, opened.quantity_after) == ("AAPL", 7, 0.0, 100.0)
    assert (opened.average_price, opened.realised_pnl) == (10.0, 0.0)
    marks["AAPL"] = 12.0
    assert (ledger.equity, ledger.unrealised_pnl) == (5199.0, 200.0)
    closed = ledger.apply(a_fill(-100, 12.0, 1.0))
    assert (closed.quantity_before, closed.quantity_after, closed.average_price, closed.realised_pnl) == (100, 0, 0.0, 200.0)
    assert (ledger.cash, ledger.equity, ledger.realised_pnl, ledger.commissions) == (5198.0, 5198.0, 200.0, 2.0)
    assert ledger.unrealised_pnl == 0.0


def test_short_proceeds_are_cash_and_the_position_is_a_debt():
    ledger = Portfolio(1000.0, {"AAPL": 10.0})
    ledger.apply(a_fill(-50, 10.0))
    assert (ledger.cash, ledger.net_exposure, ledger.gross_exposure, ledger.equity) == (1500.0, -500.0, 500.0, 1000.0)


def test_exposure_leverage_and_buying_power():
    ledger = Portfolio(1000.0, {"A": 10.0, "B": 20.0})
    ledger.apply(a_fill(60, 10.0, symbol="A"))
    ledger.apply(a_fill(-20, 20.0, symbol="B"))
    assert (ledger.gross_exposure, ledger.net_exposure, ledger.leverage) == (1000.0, 200.0, 1.0)
    assert ledger.buying_power() == 0.0
    assert ledger.buying_power(2.0) == 1000.0
    assert ledger.buying_power(2.0, working_notional=300.0) == 700.0
    assert ledger.buying_power(1.0, working_notional=300.0) == 0.0, "never below zero"


def test_leverage_is_infinite_once_equity_is_gone():
    marks = {"A": 10.0}
    ledger = Portfolio(100.0, marks)
    assert ledger.leverage == 0.0
    ledger.apply(a_fill(-20, 10.0, symbol="A"))
    marks["A"] = 20.0
    assert (ledger.equity, ledger.leverage) == (-100.0, math.inf)


def test_multipliers_reach_cash_exposure_and_profit():
    ledger = Portfolio(1e6, {"ES": 4010.0}, {"ES": 50.0})
    ledger.apply(a_fill(2, 4000.0, symbol="ES"))
    assert (ledger.cash, ledger.gross_exposure, ledger.unrealised_pnl) == (600_000.0, 401_000.0, 1000.0)


def test_a_split_moves_the_position_and_reports_it():
    ledger = Portfolio(1000.0, {"AAPL": 10.0})
    assert ledger.apply_split("AAPL", 2.0, 5) is None
    ledger.apply(a_fill(10, 10.0))
    change = ledger.apply_split("AAPL", 2.0, 5)
    assert (change.ts_ns, change.quantity_before, change.quantity_after, change.average_price) == (5, 10, 20, 5.0)
    assert change.realised_pnl == 0.0
    assert ledger.cash == 900.0


def test_a_dividend_credits_longs_and_debits_shorts():
    ledger = Portfolio(1000.0, {"A": 10.0, "B": 10.0})
    ledger.apply(a_fill(10, 10.0, symbol="A"))
    ledger.apply(a_fill(-4, 10.0, symbol="B"))
    cash = ledger.cash
    assert ledger.apply_dividend("A", 0.5) == 5.0
    assert ledger.apply_dividend("B", 0.5) == -2.0
    assert ledger.apply_dividend("C", 0.5) == 0.0
    assert (ledger.cash, ledger.dividends) == (cash + 3.0, 3.0)


def test_a_closed_position_gets_no_dividend_and_no_split():
    ledger = Portfolio(1000.0, {"A": 10.0})
    ledger.apply(a_fill(10, 10.0, symbol="A"))
    ledger.apply(a_fill(-10, 10.0, symbol="A"))
    assert ledger.apply_dividend("A", 1.0) == 0.0
    assert ledger.apply_split("A", 2.0, 0) is None


def test_a_position_without_a_price_cannot_be_valued():
    ledger = Portfolio(1000.0, {"A": math.nan})
    ledger.apply(a_fill(10, 10.0, symbol="A"))
    with pytest.raises(DataError, match=r"no price for 'A', of which 10.0 units are held"):
        _ = ledger.equity


def test_a_flat_ledger_needs_no_prices():
    ledger = Portfolio(1000.0, {})
    assert (ledger.equity, ledger.gross_exposure, ledger.unrealised_pnl, ledger.quantity("A")) == (1000.0, 0.0, 0.0, 0.0)


def test_the_slippage_of_a_fill_is_a_cost_on_either_side():
    buy = Fill("f", "o", "s", "A", Side.BUY, 5, 10.0, 10.1, 0.0, 0, 0)
    sell = Fill("f", "o", "s", "A", Side.SELL, 5, 10.0, 9.9, 0.0, 0, 0)
    assert buy.slippage == pytest.approx(0.1)
    assert sell.slippage == pytest.approx(0.1)
    assert (buy.signed_quantity, sell.signed_quantity) == (5, -5)


def test_both_say_what_they_are():
    ledger = Portfolio(1000.0, {"A": 10.0})
    ledger.apply(a_fill(10, 10.0, symbol="A"))
    assert repr(ledger) == "Portfolio(cash=900.00, positions=1)"
    assert repr(ledger.positions["A"]) == "Position('A', quantity=10.0, average_price=10.0)"


def test_dust_of_large_holdings_on_a_fine_lot_is_flat():
    """Half a million units of 0.001: the error of the sum is near 1e-10, far above that of a few shares."""
    parts = [123_456.789, 98_765.432, 210_987.654, 0.001]
    position = Position("EURUSD")
    for part in parts:
        position.trade(part, 1.1)
    for part in (210_987.654, 123_456.789, 98_765.432, 0.001):
        position.trade(-part, 1.1)
    assert (position.quantity, position.average_price) == (0.0, 0.0)


def test_a_single_lot_left_of_a_large_holding_is_no_dust():
    position = Position("EURUSD")
    position.trade(1e8 + 0.001, 1.1)
    position.trade(-1e8, 1.1)
    assert position.quantity == pytest.approx(0.001, rel=1e-3)
    position.trade(-position.quantity, 1.1)
    assert position.quantity == 0.0
