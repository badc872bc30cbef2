"""Interest and stock loans, accounts and margin calls: textbook examples of Regulation T, by hand."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fairlead.core.errors import ContractError
from fairlead.execution.financing import Accrual, FinancingSettings, accrue, borrowable
from fairlead.execution.margin import (
    AccountSettings,
    Holding,
    Liquidation,
    Settlement,
    affordable_units,
    buying_power,
    initial_margin,
    liquidations,
    maintenance_margin,
    margin_state,
    refusal,
)

REG_T = AccountSettings(type="reg_t")
CASH = AccountSettings(type="cash")
SIMPLE = AccountSettings()


def held(quantity, price, symbol="A"):
    return Holding(symbol, quantity, price)


# --- interest and loans


@pytest.mark.parametrize(
    ("cash", "days", "rates", "interest"),
    [
        # 10,000 borrowed at 8 % for 30 days of a year of 360.
        (-10_000, 30, {"margin_rate_pct": 8}, -66.666667),
        (-10_000, 365, {"margin_rate_pct": 8, "day_count": 365}, -800.0),
        # A weekend is three days.
        (-100_000, 3, {"margin_rate_pct": 6}, -50.0),
        (50_000, 36, {"cash_rate_pct": 4, "margin_rate_pct": 8}, 200.0),
        (50_000, 36, {"margin_rate_pct": 8}, 0.0),
        (-10_000, 30, {"cash_rate_pct": 4}, 0.0),
        (-10_000, 0, {"margin_rate_pct": 8}, 0.0),
    ],
)
def test_interest(cash, days, rates, interest):
    found = accrue(cash, {"A": 1e6}, days, FinancingSettings(**rates))
    assert found == Accrual(pytest.approx(interest), {})
    assert found.total == pytest.approx(interest)


def test_a_short_pays_for_its_loan():
    """100 shares at 50 for 10 days at 3 %: 5,000 * 0.03 * 10 / 360."""
    settings = FinancingSettings(borrow_rate_pct=3, borrow_rates_pct={"B": 36})
    found = accrue(5_000, {"B": -1_000.0, "A": -5_000.0, "C": 2_000.0}, 10, settings)
    assert list(found.borrow_fees) == ["A", "B"]
    assert found.borrow_fees == pytest.approx({"A": -4.1666667, "B": -10.0})
    assert found.total == pytest.approx(-14.1666667)


def test_proceeds_of_shorts_are_collateral():
    """100,000 of own money; 150,000 long and 50,000 short: the ledger's cash is 0, but 50,000 are borrowed."""
    settings = FinancingSettings(margin_rate_pct=7.2, cash_rate_pct=3.6)
    assert accrue(0.0, {"L": 150_000.0, "S": -50_000.0}, 10, settings).interest == pytest.approx(-100.0)
    assert accrue(150_000.0, {"S": -50_000.0}, 10, settings).interest == pytest.approx(100.0)


def test_by_default_nothing_is_charged():
    settings = FinancingSettings()
    assert not settings.charges
    assert accrue(-1e6, {"A": -1e6}, 30, settings).total == 0.0
    for name in ("margin_rate_pct", "cash_rate_pct", "borrow_rate_pct"):
        assert FinancingSettings(**{name: 1}).charges
    assert FinancingSettings(borrow_rates_pct={"A": 1}).charges


def test_what_can_be_borrowed():
    settings = FinancingSettings(not_borrowable=("x",), borrowable_units={"Y": 500})
    assert borrowable("X", 0, settings) == 0.0
    assert (borrowable("Y", 0, settings), borrowable("Y", 450, settings), borrowable("Y", 600, settings)) == (500, 50, 0)
    assert borrowable("Z", 1e9, settings) == float("inf")


def test_a_negative_number_of_days_is_refused():
    with pytest.raises(ContractError, match="'days' must be 0 or more, was -1"):
        accrue(0.0, {}, -1, FinancingSettings())


@pytest.mark.parametrize("wrong", [{"borrowable_units": {"A": -1}}, {"not_borrowable": ("a b",)}, {"margin_rate_pct": 800}])
def test_wrong_financing_is_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        FinancingSettings(**wrong)


# --- margin


@pytest.mark.parametrize(
    ("holding", "maintenance", "initial"),
    [
        (held(1_000, 20.0), 5_000, 10_000),
        (held(-100, 100.0), 3_000, 5_000),
        # A short of 10.00: 5.00 a share is more than 30 %.
        (held(-100, 10.0), 500, 500),
        # At 5.00 and below it: 5.00 a share, then the whole value.
        (held(-100, 5.0), 500, 500),
        (held(-100, 4.0), 400, 400),
        # A penny stock: 2.50 a share.
        (held(-1_000, 1.0), 2_500, 2_500),
        (Holding("F", 2, 50.0, 100.0), 2_500, 5_000),
        (held(0, 10.0), 0, 0),
    ],
)
def test_margins_of_a_position(holding, maintenance, initial):
    assert maintenance_margin(holding, REG_T) == pytest.approx(maintenance)
    assert initial_margin(holding, REG_T) == pytest.approx(initial)
    assert maintenance_margin(holding, CASH) == maintenance_margin(holding, SIMPLE) == 0.0
    assert initial_margin(holding, AccountSettings(leverage=4)) == pytest.approx(abs(holding.value) / 4)


@pytest.mark.parametrize(("price", "called"), [(13.34, False), (13.33, True)])
def test_the_margin_call_of_a_long(price, called):
    """Shares for 20,000, half of it borrowed: the call comes below 10,000 / 0.75 = 13,333.33."""
    state = margin_state(-10_000, [held(1_000, price)], REG_T)
    assert state.equity == pytest.approx(1_000 * price - 10_000)
    assert state.is_called is called
    assert (state.excess < 0) is called


@pytest.mark.parametrize(("price", "called"), [(115.38, False), (115.39, True)])
def test_the_margin_call_of_a_short(price, called):
    """1,000 shares sold at 100 against 50,000: the call comes above 150,000 / 1,300 = 115.38."""
    assert margin_state(150_000, [held(-1_000, price)], REG_T).is_called is called


def test_exactly_the_maintenance_margin_is_no_call():
    assert not margin_state(-7_500, [held(1_000, 10.0)], REG_T).is_called


def test_buying_power_of_a_margin_account():
    """Cash of 100,000 buys for 200,000; holding 60,000 it buys for 140,000 more."""
    assert buying_power(100_000, [], REG_T) == pytest.approx(200_000)
    assert buying_power(40_000, [held(600, 100.0)], REG_T) == pytest.approx(140_000)
    assert buying_power(40_000, [held(600, 100.0)], REG_T, working=100_000) == pytest.approx(40_000)
    # A short of 60,000 ties up half of its value, and its proceeds.
    assert buying_power(160_000, [held(-600, 100.0)], REG_T) == pytest.approx(140_000)
    # Below the initial margin nothing is opened.
    assert buying_power(-10_000, [held(1_000, 15.0)], REG_T) == 0.0


def test_with_less_than_the_minimum_equity_there_is_no_margin():
    assert buying_power(1_500, [], REG_T) == 1_500
    assert buying_power(1_500, [], REG_T, working=400) == 1_100
    # 1,000 of the 2,500 are proceeds of the short.
    assert buying_power(2_500, [held(-10, 100.0)], REG_T) == 1_500


def test_buying_power_of_other_accounts():
    """Domain rule 6.14, and cash that is there."""
    assert buying_power(40_000, [held(600, 100.0)], SIMPLE) == pytest.approx(40_000)
    assert buying_power(40_000, [held(600, 100.0)], AccountSettings(leverage=2), working=5_000) == pytest.approx(135_000)
    assert buying_power(40_000, [held(600, 100.0)], CASH) == 40_000
    assert buying_power(40_000, [held(600, 100.0)], CASH, working=10_000, unsettled=25_000) == 5_000
    assert buying_power(40_000, [], CASH, unsettled=50_000) == 0.0


@pytest.mark.parametrize(
    ("account", "trade", "cash", "holdings", "reason"),
    [
        (CASH, held(100, 50.0), 5_000, [], None),
        (CASH, held(101, 50.0), 5_000, [], "insufficient_settled_cash"),
        (CASH, held(-1, 50.0), 5_000, [], "short_in_cash_account"),
        (CASH, held(-100, 50.0), 0, [held(100, 50.0)], None),
        (CASH, held(-101, 50.0), 0, [held(100, 50.0)], "short_in_cash_account"),
        (REG_T, held(4_000, 50.0), 100_000, [], None),
        (REG_T, held(4_001, 50.0), 100_000, [], "insufficient_margin"),
        (REG_T, held(-4_000, 50.0), 100_000, [], None),
        (REG_T, held(-4_001, 50.0), 100_000, [], "insufficient_margin"),
        # A margin call does not block the exit, but the position must not turn round.
        (REG_T, held(-1_000, 11.0), -10_000, [held(1_000, 11.0)], None),
        (REG_T, held(-2_000, 11.0), -10_000, [held(1_000, 11.0)], "below_minimum_equity"),
        (REG_T, held(30, 50.0), 1_500, [], None),
        (REG_T, held(31, 50.0), 1_500, [], "below_minimum_equity"),
        (REG_T, held(-1, 50.0), 1_500, [], "below_minimum_equity"),
        (SIMPLE, held(200, 50.0), 10_000, [], None),
        (SIMPLE, held(201, 50.0), 10_000, [], "insufficient_buying_power"),
        (SIMPLE, held(-201, 50.0), 10_000, [], "insufficient_buying_power"),
    ],
)
def test_which_orders_may_leave(account, trade, cash, holdings, reason):
    assert refusal(trade, cash, holdings, account) == reason


def test_working_orders_and_unsettled_proceeds_count():
    assert refusal(held(100, 50.0), 5_000, [], CASH, working=1.0) == "insufficient_settled_cash"
    assert refusal(held(100, 50.0), 5_000, [], CASH, unsettled=1.0) == "insufficient_settled_cash"
    assert refusal(held(2_000, 50.0), 100_000, [], REG_T, working=100_000) is None
    assert refusal(held(2_001, 50.0), 100_000, [], REG_T, working=100_000) == "insufficient_margin"
    assert refusal(held(100, 50.0), 10_000, [], SIMPLE, working=5_001) == "insufficient_buying_power"
    assert refusal(held(100, 50.0), 10_000, [], SIMPLE, working=5_000) is None


# --- margin calls


def after(cash, holdings, orders):
    """Return the account once the orders are done at current prices."""
    traded = {order.symbol: order.quantity for order in orders}
    left = [h._replace(quantity=h.quantity + traded.get(h.symbol, 0.0)) for h in holdings]
    return cash - sum(h.price * h.multiplier * traded.get(h.symbol, 0.0) for h in holdings), left


def test_a_call_sells_four_times_its_amount():
    """Value 12,000, loan 10,000: 3,000 are needed, 2,000 there; the call of 1,000 is met by selling for 4,000."""
    exact = AccountSettings(type="reg_t", call_buffer_frac=0)
    holdings = [held(1_000, 12.0)]
    orders = liquidations(-10_000, holdings, exact)
    assert orders == [Liquidation("A", -334.0)]
    state = margin_state(*after(-10_000, holdings, orders), exact)
    assert 0 <= state.excess < 3.0


def test_the_buffer_sells_more():
    """2,000 of equity carry 2,000 / 1.05 of margin."""
    orders = liquidations(-10_000, [held(1_000, 12.0)], REG_T)
    state = margin_state(*after(-10_000, [held(1_000, 12.0)], orders), REG_T)
    assert orders == [Liquidation("A", -366.0)]
    assert state.equity >= 1.05 * state.maintenance
    assert liquidations(-10_000, [held(1_000, 12.0)], REG_T, {"A": 100.0}) == [Liquidation("A", -400.0)]


def test_a_call_covers_a_short():
    holdings = [held(-1_000, 120.0)]
    orders = liquidations(150_000, holdings, REG_T)
    # 30,000 of equity carry 28,571.43; of 36 a share that is 793 shares, so 207 are bought.
    assert orders == [Liquidation("A", 207.0)]
    assert not margin_state(*after(150_000, holdings, orders), REG_T).is_called


def test_what_needs_most_goes_first_and_the_order_of_holdings_does_not_matter():
    holdings = [held(100, 10.0, "C"), held(-200, 20.0, "B"), held(1_000, 11.0, "A"), held(1_000, 11.0, "D")]
    orders = liquidations(-17_000, holdings, REG_T)
    assert [order.symbol for order in orders] == ["A", "D"]
    assert orders[0].quantity == -1_000
    assert liquidations(-17_000, holdings[::-1], REG_T) == orders
    assert not margin_state(*after(-17_000, holdings, orders), REG_T).is_called


def test_once_the_equity_is_gone_everything_goes():
    """A short that has run past the equity, in any account."""
    holdings = [held(-1_000, 160.0), held(10, 5.0, "B")]
    assert liquidations(150_000, holdings, REG_T) == [Liquidation("A", 1_000.0), Liquidation("B", -10.0)]
    assert liquidations(150_000, holdings, SIMPLE) == [Liquidation("A", 1_000.0), Liquidation("B", -10.0)]


@pytest.mark.parametrize("account", [REG_T, SIMPLE, CASH])
def test_an_account_in_order_is_left_alone(account):
    assert liquidations(5_000, [held(100, 50.0)], account) == []
    assert liquidations(0.0, [], account) == []


def test_a_cash_account_below_zero_sells_what_it_owes():
    assert liquidations(-120.0, [held(10, 50.0), held(100, 30.0, "B")], CASH) == [Liquidation("B", -4.0)]


# --- settlement


def test_proceeds_wait_a_session():
    settlement = Settlement(1)
    settlement.sold(10, 500.0)
    settlement.sold(10, 250.0)
    assert settlement.unsettled(10) == 750.0
    assert settlement.unsettled(11) == 0.0
    settlement.sold(13, 40.0)
    assert settlement.unsettled(13) == 40.0


def test_proceeds_settle_at_once_without_a_delay():
    settlement = Settlement(0)
    settlement.sold(10, 500.0)
    assert settlement.unsettled(10) == 0.0


@pytest.mark.parametrize(
    ("spendable", "price", "options", "units"),
    [
        (1_000, 10.0, {}, 100),
        (999, 10.0, {}, 99),
        (1_000, 10.0, {"cost_frac": 0.001}, 99),
        (1_000, 10.0, {"lot_step": 0.1, "multiplier": 3.0}, 33.3),
        (-5, 10.0, {}, 0),
        (0, 10.0, {}, 0),
        (1_000, 0.0, {}, 0),
    ],
)
def test_what_cash_can_pay_for(spendable, price, options, units):
    assert affordable_units(spendable, price, **options) == pytest.approx(units)
