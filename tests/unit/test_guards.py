"""G1 to G13: what each refuses, what it lets pass, and what passes whatever it measures."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from fairlead.contracts.orders import CanonicalOrder, OrderSource
from fairlead.core.errors import ConfigurationError
from fairlead.core.orders import OrderType, Side
from fairlead.risk import GuardRegistry, create_default_guards
from fairlead.risk.guards import GUARDS, PortfolioView
from fairlead.risk.guards.settings import GuardSettings
from support_risk import MARKS, NOW, account, asked, market, working
from support_risk import a_ledger as ledger

NAN = float("nan")


def judge(guard_id, order, portfolio, market_view, **limits):
    """Return what one guard says, alone."""
    (guard,) = create_default_guards(**limits).only(guard_id).guards
    return guard.check(order, portfolio, market_view)


def refused(guard_id, order, portfolio, market_view, **limits):
    """Return (reason, measured, limit) of a refusal that must be one."""
    rejection = judge(guard_id, order, portfolio, market_view, **limits)
    assert rejection is not None
    assert rejection.guard_id == guard_id
    return rejection.reason, pytest.approx(rejection.measured, nan_ok=True), pytest.approx(rejection.limit, nan_ok=True)


def test_the_table_has_twelve_guards_in_order_and_one_that_must_be_asked_for():
    guards = create_default_guards()
    assert [guard.guard_id for guard in guards.guards] == [f"G{i}" for i in range(1, 13)]
    assert [guard.name for guard in GUARDS] == [
        *("MaxGrossExposure", "PerSymbolMaxQty", "PerSymbolMaxNotional", "MaxDailyLoss", "MaxDrawdown", "SlippageSanity"),
        *("MarketHaltProxy", "TradingHours", "MaxOpenPositions", "MaxConsecutiveLosses", "OrderRate", "Blacklist"),
        "Cooldown",
    ]
    assert [guard.guard_id for guard in create_default_guards(cooldown_s=5).guards] == [f"G{i}" for i in range(1, 14)]
    assert len(create_default_guards(cooldown_s=5, disabled=("G13",)).guards) == 12


def test_defaults_are_those_of_the_table():
    d = GuardSettings()
    assert (d.max_gross_exposure, d.max_symbol_qty, d.max_pos_pct, d.max_daily_loss, d.max_drawdown) == (
        *(50_000, 100, 20, 1_000, 1_500),
    )
    assert (d.max_slippage_pct, d.max_data_age_s, d.max_spread_bps, d.max_move_pct, d.trading_hours_only) == (
        *(5, 60, 500, 5, True),
    )
    assert (d.max_open_positions, d.max_consecutive_losses, d.max_orders_per_min, d.max_orders_per_min_total) == (
        *(10, 5, 5, 300),
    )


@pytest.mark.parametrize("kind", [Decimal, int, float])
def test_limits_and_markets_come_in_any_number(kind):
    view = market(last=kind(100), bid=kind(100), ask=kind(100), reference=kind(100), age_s=kind(0))
    guards = create_default_guards(max_daily_loss=kind(500), max_pos_pct=kind(20), max_drawdown=kind(700))
    assert guards.check_all(asked(10), account(ledger()), view) is None
    losing = account(ledger(), session_start_equity=kind(100_501), peak_equity=kind(100_501))
    assert guards.check_all(asked(10), losing, view).guard == "G4 MaxDailyLoss"


# G1


def test_gross_exposure_counts_held_working_and_the_order():
    portfolio = account(ledger(A=100), working("B", 200))
    assert judge("G1", asked(290, "B"), portfolio, market("B"), slip_buffer_bps=0) is None
    # 100 of A are 10,000; 200 + 601 of B are 40,050.
    found = refused("G1", asked(601, "B", limit_price=50.0), portfolio, market("B"))
    assert found == ("gross_exposure", 50_050, 50_000)


def test_gross_exposure_counts_sales_as_it_counts_purchases():
    assert refused("G1", asked(-501), account(ledger()), market(), slip_buffer_bps=0) == ("gross_exposure", 50_100, 50_000)
    assert judge("G1", asked(-500), account(ledger()), market(), slip_buffer_bps=0) is None


def test_a_market_order_counts_with_what_it_may_slip():
    assert judge("G1", asked(500), account(ledger()), market(), slip_buffer_bps=0) is None
    assert refused("G1", asked(500), account(ledger()), market(), slip_buffer_bps=10)[1] == 50_050


def test_a_limit_above_the_market_counts_at_the_limit():
    assert refused("G1", asked(490, limit_price=104.0), account(ledger()), market())[1] == 490 * 104


def test_gross_exposure_knows_multipliers():
    assert judge("G1", asked(499, "C"), account(ledger()), market("C")) is None
    assert refused("G1", asked(501, "C", limit_price=10.0), account(ledger()), market("C"))[1] == 50_100


def test_gross_exposure_adds_up_the_books_of_an_account():
    other = ledger(A=-300)
    assert judge("G1", asked(190), account(ledger(), others=(other,)), market()) is None
    assert refused("G1", asked(300), account(ledger(), others=(other,)), market(), slip_buffer_bps=0)[1] == 60_000


# G2


def test_quantity_counts_held_and_what_works_on_the_same_side():
    portfolio = account(ledger(A=40), working("A", 40), working("A", -30))
    assert judge("G2", asked(20), portfolio, market()) is None
    assert refused("G2", asked(21), portfolio, market()) == ("symbol_quantity", 101, 100)


def test_quantity_of_a_short_position_is_what_is_owed():
    assert judge("G2", asked(-60), account(ledger(A=-40)), market()) is None
    assert refused("G2", asked(-61), account(ledger(A=-40)), market())[1] == 101


def test_long_and_short_books_do_not_cover_each_other():
    assert refused("G2", asked(50), account(ledger(), others=(ledger(A=-60),)), market())[1] == 110


# G3


def test_notional_is_held_against_equity():
    assert judge("G3", asked(200), account(ledger()), market()) is None
    assert refused("G3", asked(201), account(ledger()), market()) == ("symbol_notional", 20_100, 20_000)
    assert judge("G3", asked(201), account(ledger()), market(), max_pos_pct=25) is None


def test_without_equity_nothing_is_concentrated_enough():
    assert refused("G3", asked(1), account(ledger(0.0)), market())[0] == "no_equity"


# G4, G5, G10


def test_a_daily_loss_up_to_the_limit_passes():
    assert judge("G4", asked(1), account(ledger(), session_start_equity=101_000), market()) is None
    assert refused("G4", asked(1), account(ledger(), session_start_equity=101_000.5), market()) == (
        "daily_loss",
        1_000.5,
        1_000,
    )


def test_a_drawdown_up_to_the_limit_passes():
    assert judge("G5", asked(1), account(ledger(), peak_equity=101_500), market()) is None
    assert refused("G5", asked(1), account(ledger(), peak_equity=101_501), market()) == ("drawdown", 1_501, 1_500)


@pytest.mark.parametrize(("guard_id", "name"), [("G4", "session_start_equity"), ("G5", "peak_equity")])
def test_an_equity_that_is_not_known_refuses(guard_id, name):
    assert refused(guard_id, asked(1), account(ledger(), **{name: NAN}), market())[0] == "unknown_equity"


def test_as_many_losers_as_the_limit_end_the_session():
    assert judge("G10", asked(1), account(ledger(), losers_in_a_row=4), market()) is None
    assert refused("G10", asked(1), account(ledger(), losers_in_a_row=5), market()) == ("consecutive_losses", 5, 5)


# G6


@pytest.mark.parametrize(
    ("order", "far"),
    [
        (asked(10, limit_price=105.1), 5.1),
        (asked(-10, limit_price=94.9), 5.1),
        (asked(10, stop_price=105.1), 5.1),
        (asked(10, stop_price=94.9), 5.1),
        (asked(-10, stop_price=94.9), 5.1),
        (asked(10, stop_price=104.0, limit_price=106.0), 6.0),
        (asked(10, order_type=OrderType.TRAILING_STOP, trail_percent=6.0), 6.0),
        (asked(10, order_type=OrderType.TRAILING_STOP, trail_amount=7.0), 7.0),
    ],
)
def test_prices_far_away_are_refused(order, far):
    assert refused("G6", order, account(ledger()), market()) == ("slippage", far, 5)


@pytest.mark.parametrize(
    "order",
    [
        asked(10, limit_price=105.0),
        asked(10, limit_price=50.0),  # it waits for a better price, however far
        asked(-10, limit_price=150.0),
        asked(10, stop_price=104.0),
        asked(10),
        asked(10, order_type=OrderType.TRAILING_STOP, trail_percent=4.0),
    ],
)
def test_prices_near_by_pass(order):
    assert judge("G6", order, account(ledger()), market()) is None


def test_a_market_order_is_measured_by_the_quote_that_it_would_meet():
    wide = market(bid=94.0, ask=106.0)
    assert refused("G6", asked(10), account(ledger()), wide)[1] == 6
    assert refused("G6", asked(-10), account(ledger()), wide)[1] == 6
    assert judge("G6", asked(10), account(ledger()), market(is_quoted=False, bid=NAN, ask=NAN)) is None
    found = refused("G6", asked(10), account(ledger()), market(is_quoted=False), slip_buffer_bps=600)
    assert found[1] == 6


def test_exits_may_lie_anywhere():
    portfolio = account(ledger(A=10))
    for order in (asked(-10, stop_price=50.0), asked(-10, limit_price=200.0), asked(-10, limit_price=60.0)):
        assert judge("G6", order, portfolio, market()) is None
    assert judge("G6", asked(-10, stop_price=50.0, reduce_only=True), account(ledger()), market()) is None


# G7


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_halted": True}, "halted"),
        ({"age_s": 60.5}, "stale_market_data"),
        ({"age_s": 60.5, "in_session": None}, "stale_market_data"),
        ({"age_s": NAN}, "no_market_data"),
        ({"last": NAN}, "no_market_data"),
        ({"bid": NAN}, "no_quote"),
        ({"ask": 0.0}, "no_quote"),
        ({"bid": 100.1, "ask": 100.0}, "crossed_quote"),
        ({"bid": 97.0, "ask": 103.0}, "wide_spread"),
        ({"reference": 95.0}, "price_move"),
        ({"reference": 106.0}, "price_move"),
        ({"reference": NAN}, "no_reference_price"),
    ],
)
def test_a_market_that_looks_halted_is_refused(changes, reason):
    assert refused("G7", asked(10), account(ledger()), market(**changes))[0] == reason


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"age_s": 60.0},
        {"age_s": 50_000.0, "in_session": False},
        {"bid": 97.6, "ask": 102.4},
        {"reference": 96.0},
        {"reference": None},
        {"is_quoted": False, "bid": NAN, "ask": NAN},
    ],
)
def test_a_market_that_trades_passes(changes):
    assert judge("G7", asked(10), account(ledger()), market(**changes)) is None


@pytest.mark.parametrize("changes", [{"age_s": 600.0}, {"age_s": NAN}, {"last": NAN}, {"bid": NAN}, {"reference": NAN}])
def test_missing_and_stale_data_do_not_hold_up_an_exit(changes):
    exit_ = account(ledger(A=10))
    assert judge("G7", asked(-10), exit_, market(**changes)) is None
    assert judge("G7", asked(-10), exit_, None) is None
    assert refused("G7", asked(-10), exit_, market(is_halted=True))[0] == "halted"


# G8


def test_orders_outside_the_session_are_refused():
    assert judge("G8", asked(10), account(ledger()), market()) is None
    assert refused("G8", asked(10), account(ledger()), market(in_session=False))[0] == "outside_session"
    assert refused("G8", asked(10), account(ledger()), market(in_session=None))[0] == "unknown_hours"
    assert judge("G8", asked(10), account(ledger()), market(in_session=False), trading_hours_only=False) is None


# G9


def test_one_symbol_too_many_is_refused():
    portfolio = account(ledger(A=1), working("B", 5))
    assert judge("G9", asked(1, "C"), portfolio, market("C"), max_open_positions=3) is None
    assert refused("G9", asked(1, "C"), portfolio, market("C"), max_open_positions=2) == ("open_positions", 3, 2)
    assert judge("G9", asked(1, "B"), portfolio, market("B"), max_open_positions=2) is None


def test_positions_of_other_books_count():
    portfolio = account(ledger(A=1), others=(ledger(B=1),))
    assert refused("G9", asked(1, "C"), portfolio, market("C"), max_open_positions=2)[1] == 3
    assert judge("G9", asked(1, "B"), portfolio, market("B"), max_open_positions=2) is None


# G11


def test_orders_of_a_minute_are_counted():
    assert judge("G11", asked(1), account(ledger(), orders_of_pair=4, orders_of_all=299), market()) is None
    assert refused("G11", asked(1), account(ledger(), orders_of_pair=5, orders_of_all=5), market()) == ("order_rate", 6, 5)
    found = refused("G11", asked(1), account(ledger(), orders_of_pair=0, orders_of_all=300), market())
    assert found == ("order_rate_of_all", 301, 300)


# G12


def test_listed_symbols_known_keys_and_shorts_without_shares_are_refused():
    assert judge("G12", asked(1, key="k1"), account(ledger(), keys={"k2"}), market(), blacklist=("B",)) is None
    assert refused("G12", asked(1), account(ledger()), market(), blacklist=("a",))[0] == "blacklisted"
    assert refused("G12", asked(1, key="k1"), account(ledger(), keys={"k1"}), market())[0] == "duplicate_key"
    assert refused("G12", asked(-1), account(ledger()), market(shortable=False))[0] == "not_shortable"
    assert refused("G12", asked(-11), account(ledger(A=10)), market(shortable=False))[0] == "not_shortable"
    assert judge("G12", asked(-10), account(ledger(A=10)), market(shortable=False)) is None
    assert judge("G12", asked(-1), account(ledger()), market()) is None
    assert refused("G12", asked(-1), account(ledger()), None)[0] == "unknown_symbol"
    assert refused("G12", asked(-1, "N"), account(ledger()), market("N", shortable=False))[0] == "no_market_data"


# G13


SECOND = 1_000_000_000


def test_an_order_waits_for_the_one_before():
    for ago, told in ((0, 0), (4 * SECOND, 4), (5 * SECOND - 1, 5 - 1e-9)):
        found = refused("G13", asked(1), account(ledger(), last_sent_ns=NOW - ago), market(), cooldown_s=5)
        assert found == ("cooldown", told, 5)
    assert judge("G13", asked(1), account(ledger(), last_sent_ns=NOW - 5 * SECOND), market(), cooldown_s=5) is None
    assert judge("G13", asked(1), account(ledger()), market(), cooldown_s=5) is None


def test_an_order_waits_for_one_that_works():
    busy = PortfolioView.of(ledger(), [working("A", 5, limit_price=90.0)])
    assert refused("G13", asked(1), busy, market(), cooldown_s=0.001)[0] == "order_working"
    assert judge("G13", asked(1, "B"), busy, market("B"), cooldown_s=5) is None
    protected = PortfolioView.of(ledger(A=10), [working("A", -10, OrderType.STOP, stop_price=90.0, reduce_only=True)])
    assert judge("G13", asked(1), protected, market(), cooldown_s=5) is None


def test_what_only_reduces_need_not_wait_and_a_set_is_one_order():
    waits = {"last_sent_ns": NOW, "busy": {"A"}}
    assert judge("G13", asked(-10), account(ledger(A=10), **waits), market(), cooldown_s=60) is None
    assert refused("G13", asked(-11), account(ledger(A=10), **waits), market(), cooldown_s=60)[0] == "order_working"
    assert judge("G13", asked(-11, oco_id="x"), account(ledger(), sets={"x"}, **waits), market(), cooldown_s=60) is None
    assert refused("G13", asked(-11, oco_id="y"), account(ledger(), sets={"x"}, **waits), market(), cooldown_s=60)


# All together


def test_the_first_refusal_decides_and_all_are_told():
    guards, portfolio = create_default_guards(), account(ledger(), session_start_equity=200_000, losers_in_a_row=9)
    order = asked(150)
    rejection = guards.check_all(order, portfolio, market())
    assert str(rejection) == "G2 PerSymbolMaxQty: symbol_quantity 150, limit 100"
    results = guards.check_all_detailed(order, portfolio, market())
    assert [r.guard.partition(" ")[0] for r in results if r.reason] == ["G2", "G4", "G10"]
    assert len(results) == 12
    assert next(r.rejection for r in results if r.reason) == rejection


def test_what_only_reduces_passes_limits_whatever_they_measure():
    portfolio = account(
        ledger(A=500), session_start_equity=NAN, peak_equity=NAN, losers_in_a_row=9, orders_of_pair=0, orders_of_all=0
    )
    results = create_default_guards().check_all_detailed(asked(-400), portfolio, market())
    assert [r.guard.partition(" ")[0] for r in results if r.is_exempt] == ["G1", "G2", "G3", "G4", "G5", "G9", "G10"]
    assert not [r for r in results if r.reason]
    # Beyond zero it opens a position, and is judged like any other.
    assert create_default_guards().check_all(asked(-501), portfolio, market()) is not None


def test_without_a_market_only_exits_leave():
    guards = create_default_guards()
    assert guards.check_all(asked(1), ledger()).reason == "no_market_data"
    assert guards.check_all(asked(-10), ledger(A=10)) is None
    assert guards.check_all(asked(1), PortfolioView.of(ledger(), market=market())) is None
    assert guards.check_all(asked(1), PortfolioView.of(ledger(), market=market()), market(is_halted=True)).reason == "halted"


def test_a_bare_ledger_is_an_account():
    guards, lost = create_default_guards(), ledger()
    lost.cash -= 1_200.0
    assert guards.check_all(asked(1), lost, market()).guard == "G4 MaxDailyLoss"
    assert guards.check_all(asked(1), ledger(), market()) is None


@pytest.mark.parametrize("guard_id", ["G1", "G2", "G3", "G6", "G7"])
def test_a_symbol_without_a_price_is_refused(guard_id):
    assert refused(guard_id, asked(1, "N"), account(ledger()), market("N"))[0] == "no_market_data"
    assert refused(guard_id, asked(1, "Z"), account(ledger()), market("Z"))[0] == "no_market_data"


def test_a_holding_without_a_price_leaves_equity_unknown():
    held = ledger(B=10)
    held.marks = {**MARKS, "B": NAN}
    view = PortfolioView.of(held)
    guards = create_default_guards()
    reasons = {r.guard.partition(" ")[0]: r.reason for r in guards.check_all_detailed(asked(1), view, market()) if r.reason}
    assert reasons == {
        **dict.fromkeys(("G1", "G3"), "no_market_data"),
        **dict.fromkeys(("G4", "G5"), "unknown_equity"),
    }
    assert guards.check_all(asked(-10, "B"), view, market("B", last=NAN)) is None


def test_a_set_counts_once():
    """Of orders that cancel each other one fills: the second adds nothing that the first has not."""
    first = working("A", 100, OrderType.STOP, oco_id="set")
    portfolio = account(ledger(), first)
    assert judge("G2", asked(100, stop_price=103.0, oco_id="set"), portfolio, market()) is None
    assert refused("G2", asked(100, stop_price=103.0), portfolio, market())[1] == 200


def test_orders_of_the_engine_and_canonical_rows_are_judged_alike():
    row = CanonicalOrder.new(
        run_id="r",
        symbol="A",
        side=Side.BUY,
        qty=Decimal(150),
        limit_price=Decimal("100.00"),
        valid_from=dt.datetime(2024, 1, 2, 14, 31, tzinfo=dt.UTC),
        valid_to=dt.datetime(2024, 1, 2, 21, tzinfo=dt.UTC),
        source=OrderSource.PAPER,
        strategy="s",
        strategy_version="1.0.0",
        order_type=OrderType.LIMIT,
        created_at=dt.datetime(2024, 1, 2, 14, 31, tzinfo=dt.UTC),
    )
    guards = create_default_guards()
    order = working("A", 150, limit_price=100.0)
    assert guards.check_all(row, account(ledger()), market()) == guards.check_all(order, account(ledger()), market())
    known = account(ledger(), keys={row.idempotency_key})
    assert guards.only("G12").check_all(row, known, market()).reason == "duplicate_key"


def test_guards_can_be_disabled_one_by_one():
    guards = create_default_guards(disabled=("G2", "G8"))
    assert [g.guard_id for g in guards.guards] == ["G1", "G3", "G4", "G5", "G6", "G7", "G9", "G10", "G11", "G12"]
    assert isinstance(guards, GuardRegistry)
    assert next(g.guard_id for g in guards.without("G1", "G12").guards) == "G3"


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"max_pos_pct": 0.2}, r"'max_pos_pct' must be in \[1, 1000\], in percent, was 0.2. Write 20 for 20 percent."),
        ({"max_slippage_pct": 0.02}, r"'max_slippage_pct' must be in \[0.1, 100\], in percent, was 0.02. Write 2 for 2 per"),
        ({"max_move_pct": 5_000}, r"'max_move_pct' must be in \[0.1, 100\], in percent, was 5000.0"),
        ({"max_daily_loss": True}, "'max_daily_loss' must be a number, was True"),
        ({"max_daily_loss": 0}, "'max_daily_loss': Input should be greater than 0, was 0"),
        ({"max_daily_loss": NAN}, "'max_daily_loss': Input should be a finite number"),
        ({"max_daly_loss": 1}, "'max_daly_loss': Extra inputs are not permitted"),
        ({"disabled": ("G14",)}, "'disabled.0': Input should be 'G1'"),
        ({"blacklist": ("not a symbol",)}, "'symbol' must match"),
    ],
)
def test_limits_out_of_range_are_refused(limits, text):
    with pytest.raises(ConfigurationError, match=text):
        create_default_guards(**limits)


def test_what_a_set_counts_already_is_spared_by_the_amounts_and_by_nothing_else():
    """Its mate has been judged as to how much; price, data and lot are its own."""
    mate = working("A", 50, oco_id="set")
    sibling = {"oco_id": "set", "limit_price": 99.0}
    view = account(ledger(), mate)
    guards = create_default_guards(max_gross_exposure=5_000)
    assert guards.check_all(asked(50, **sibling), view, market()) is None
    assert guards.check_all(asked(50, **sibling | {"limit_price": 150.0}), view, market()).guard == "G6 SlippageSanity"
    assert guards.check_all(asked(50, **sibling), view, market(age_s=9_999)).guard == "G7 MarketHaltProxy"
    assert guards.check_all(asked(50, limit_price=99.0), view, market()).guard == "G1 MaxGrossExposure"
