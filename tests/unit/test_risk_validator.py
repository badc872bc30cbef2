"""V1 to V13: what each refuses, and what it lets pass."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from fairlead.contracts.orders import ORDER_COLUMNS, CanonicalOrder, OrderSource
from fairlead.core.exits import Exits
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderType, Side, TimeInForce
from fairlead.core.time import NS_PER_MINUTE, to_datetime
from fairlead.risk import OrderValidator
from fairlead.risk.validator import AccountFacts, ValidatorSettings
from fairlead.sdk.limits import RiskLimits
from support_risk import NOW, account, asked, market, working
from support_risk import a_ledger as ledger

OPTION = Instrument(symbol="A", lot_step=10.0, min_quantity=20.0)


def check(order, portfolio=None, view=None, facts=None, **limits):
    """Return what the validator says of an order of which all is well but what a test changes."""
    return OrderValidator(ValidatorSettings(**limits)).check(order, portfolio or account(ledger()), view or market(), facts)


def refused(row, *args, **kwargs):
    """Return (reason, measured, limit) of a refusal by a row of the table."""
    rejection = check(*args, **kwargs)
    assert rejection is not None
    assert rejection.guard_id == row, rejection
    return rejection.reason, pytest.approx(rejection.measured, nan_ok=True), pytest.approx(rejection.limit, nan_ok=True)


def a_row(**changes):
    """Return a canonical order."""
    fields = {
        "run_id": "r",
        "symbol": "A",
        "side": Side.BUY,
        "qty": Decimal(10),
        "limit_price": Decimal("100.00"),
        "valid_from": to_datetime(NOW),
        "valid_to": to_datetime(NOW + NS_PER_MINUTE),
        "source": OrderSource.PAPER,
        "strategy": "s",
        "strategy_version": "1.0.0",
        "order_type": OrderType.LIMIT,
        "created_at": to_datetime(NOW),
    }
    return CanonicalOrder.new(**{**fields, **changes})


def test_a_sound_order_passes_every_row():
    results = OrderValidator().check_all(asked(10, limit_price=100.0), account(ledger()), market())
    assert [r.guard.partition(" ")[0] for r in results] == [f"V{i}" for i in range(1, 14)]
    assert check(asked(10, limit_price=100.0)) is None
    assert check(a_row()) is None
    assert check(working("A", 10, limit_price=100.0)) is None


def test_v1_schema_and_enums():
    cells = dict(zip(ORDER_COLUMNS, a_row().to_cells(), strict=True))
    assert check(cells) is None
    assert "'side' must be one of BUY, SELL" in refused("V1", {**cells, "side": "HOLD"})[0]
    assert refused("V1", asked(10, "a b"))[0] == "symbol_not_canonical"
    assert refused("V1", asked(10, order_type="PEGGED"))[0] == "unknown_type"


def test_v2_quantity_and_lots():
    view = replace(market(), instrument=OPTION)
    assert check(asked(20), view=view) is None
    assert refused("V2", asked(25), view=view) == ("off_lot", 25, 10)
    assert refused("V2", asked(10), view=view) == ("below_min_qty", 10, 20)
    assert refused("V2", asked(0))[0] == "no_quantity"
    assert refused("V2", asked(float("nan")))[0] == "no_quantity"
    # What closes a position may be the odd remainder of a split.
    assert check(asked(-7), account(ledger(A=7)), view) is None


def test_v3_prices_on_the_tick():
    assert check(asked(10, limit_price=100.01)) is None
    assert refused("V3", asked(10, limit_price=100.005)) == ("off_tick", 100.005, 0.01)
    assert refused("V3", asked(10, stop_price=100.005))[0] == "off_tick"
    assert refused("V3", asked(10, exits=Exits(stop_loss=98.005)))[0] == "off_tick"
    assert refused("V3", asked(10, limit_price=-1.0))[0] == "price_not_above_0"
    assert refused("V3", a_row(limit_price=Decimal("100.005")))[0] == "off_tick"


def test_v4_prices_of_the_type():
    assert check(asked(10, stop_price=101.0)) is None
    assert refused("V4", asked(10, order_type=OrderType.LIMIT))[0] == "prices_of_type"
    assert refused("V4", asked(10, order_type=OrderType.MARKET, limit_price=100.0))[0] == "prices_of_type"
    assert refused("V4", asked(10, order_type=OrderType.STOP))[0] == "prices_of_type"
    assert refused("V4", asked(10, stop_price=101.0, limit_price=100.0))[0] == "prices_of_type"


def test_v5_bracket_on_the_right_sides():
    assert check(asked(10, limit_price=100.0, exits=Exits(103.0, 98.0))) is None
    assert refused("V5", asked(10, limit_price=100.0, exits=Exits(99.0, 98.0)))[0] == "bracket_ordering"
    assert refused("V5", asked(-10, limit_price=100.0, exits=Exits(103.0, 98.0)))[0] == "bracket_ordering"


def test_v6_validity():
    later = NOW + NS_PER_MINUTE
    gtd = {"time_in_force": TimeInForce.GTD}
    assert check(asked(10, expires_ns=later, **gtd)) is None
    assert refused("V6", asked(10, expires_ns=NOW, **gtd))[0] == "ends_before_it_begins"
    assert refused("V6", asked(10, expires_ns=later, **gtd), view=market(now_ns=later))[0] == "already_expired"
    assert refused("V6", a_row(), view=market(now_ns=later))[0] == "already_expired"


def test_v7_what_the_broker_takes():
    assert check(asked(10), order_types=("MARKET",), times_in_force=("DAY",)) is None
    assert refused("V7", asked(10, limit_price=100.0), order_types=("MARKET",))[0] == "order_type_not_allowed"
    found = refused("V7", asked(10, time_in_force=TimeInForce.OPG), times_in_force=("DAY", "GTC"))
    assert found[0] == "time_in_force_not_allowed"


def test_v8_buying_power_with_a_buffer_for_fees():
    assert check(asked(999)) is None
    assert refused("V8", asked(1_000)) == ("buying_power", 100_100, 100_000)
    assert check(asked(1_000), fee_buffer_bps=0) is None
    # What is held and what works is spent; what closes costs nothing.
    portfolio = account(ledger(A=500), working("B", 800))
    assert refused("V8", asked(150), portfolio)[2] == 10_000
    assert check(asked(-500), portfolio) is None


def test_v9_leverage():
    wide = AccountFacts(limits=RiskLimits(max_leverage=20))
    assert check(asked(1_900), facts=wide, max_leverage=2) is None
    assert check(asked(500), facts=wide) is None
    # What adds nothing to gross exposure costs no buying power, and is refused where there is too much of it already.
    portfolio = account(ledger(A=2_500))
    assert refused("V8", asked(1), portfolio, facts=wide, max_leverage=2)[0] == "buying_power"
    assert refused("V9", asked(-4_000), portfolio, facts=wide, max_leverage=1) == ("leverage", 150_000, 100_000)
    assert check(asked(-3_500), portfolio, facts=wide, max_leverage=1, max_order_qty=3_500) is None
    assert refused("V9", asked(-300), account(ledger(-20_000.0, A=200)), facts=wide)[0] == "no_equity"


def test_v10_size_of_one_order():
    assert check(asked(50), max_order_qty=50, max_order_notional=5_000) is None
    assert refused("V10", asked(51), max_order_qty=50) == ("order_quantity", 51, 50)
    assert refused("V10", asked(51), max_order_notional=5_000) == ("order_notional", 5_100, 5_000)
    assert check(asked(-51), account(ledger(A=51)), max_order_qty=50) is None


def test_v11_known_and_tradable():
    assert refused("V11", asked(10, "Z"), view=market("Z", instrument=None))[0] == "unknown_symbol"
    assert refused("V11", asked(10), facts=AccountFacts(ended="delisted"))[0] == "delisted"


def test_v12_within_what_the_strategy_declares():
    half = AccountFacts(limits=RiskLimits(max_position_size=0.5))
    assert check(asked(500), facts=half) is None
    assert refused("V12", asked(501), facts=half) == ("max_position_size", 50_100, 50_000)
    assert refused("V12", asked(10), facts=AccountFacts(is_enabled=False))[0] == "strategy_not_enabled"
    assert check(asked(-501), account(ledger(A=501)), facts=half) is None


@pytest.mark.parametrize("mode", ["backtest", "paper"])
def test_v13_orders_reach_only_the_account_that_they_were_made_for(mode):
    order = asked(10, mode=mode)
    assert check(order, facts=AccountFacts(mode=mode)) is None
    assert refused("V13", order, facts=AccountFacts(mode="live"))[0] == "mode_of_account"
    assert refused("V13", a_row(source=OrderSource.PAPER), facts=AccountFacts(mode="live"))[0] == "mode_of_account"


def test_a_row_that_begins_later_is_no_late_order():
    begins = to_datetime(NOW + NS_PER_MINUTE)
    assert check(a_row(valid_from=begins, valid_to=begins + dt.timedelta(hours=1))) is None
