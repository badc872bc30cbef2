"""Strategies that breach one limit each, in made-up markets, over the real engine: what is refused, and what still leaves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import fairlead
from fairlead.backtest.api import study_setup
from fairlead.backtest.pools.compiled import CompiledPool
from fairlead.backtest.rundir import read_directory, write_run
from fairlead.contracts.enforcement import Enforcement
from fairlead.core.errors import ConfigurationError
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent as Intent
from fairlead.core.intents import ReplaceIntent, one_cancels_other
from fairlead.core.orders import TimeInForce
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE
from fairlead.data.calendars import ExchangeCalendar
from fairlead.engine.compiled import run_compiled, unfit
from fairlead.execution.margin import AccountSettings
from fairlead.risk import RiskSettings
from fairlead.sdk.limits import RiskLimits
from support_kernels import Cross
from support_sessions import (
    FIRST_DAY,
    ArraySource,
    Scripted,
    allocate,
    columns_of,
    days,
    flat,
    free,
    minutes,
    plan,
    run,
    steady,
)

LOOSE = {
    "max_gross_exposure": 10**9,
    "max_symbol_qty": 10**6,
    "max_pos_pct": 1000,
    "max_daily_loss": 10**9,
    "max_drawdown": 10**9,
    "max_slippage_pct": 100,
    "max_move_pct": 100,
    "max_data_age_s": 86_400,
    "max_orders_per_min": 1000,
    "max_consecutive_losses": 1000,
    "max_open_positions": 1000,
}
"""Limits that nothing here breaks: what a test lowers stands alone."""


def backtest(source, script, *, enforcement=None, record=False, cash=100_000.0, instruments=None, validator=None, **limits):
    """Run a script through the public call, with loose guards but for `limits`."""
    return fairlead.backtest(
        Scripted(script),
        source,
        cash=cash,
        execution=free(),
        risk={"guards": {**LOOSE, **limits}, "validator": {"fee_buffer_bps": 0, "max_leverage": 20, **(validator or {})}},
        risk_limits={"max_leverage": 20},
        enforcement=enforcement,
        record=record,
        instruments=instruments,
    ).record


@pytest.fixture(autouse=True)
def _leveraged(monkeypatch):
    """Let scripts go where the limits that strategies declare would stop them before the guards do."""
    monkeypatch.setattr(Scripted, "risk_limits", RiskLimits(max_leverage=20))


def unguarded(source, script):
    """Run a script through the public call without the section."""
    return fairlead.backtest(Scripted(script), source, execution=free(), risk_limits={"max_leverage": 20}).record


def told(record):
    """Return (instant of the decision, signed units, reason) of every order."""
    order_of = sorted(record.orders, key=lambda o: (o.created_ns, o.order_id))
    return [
        (o.side.sign * o.quantity, o.reason.partition(" ")[0] if o.status == "REJECTED" else o.status.value) for o in order_of
    ]


def buys(*units, symbol="A"):
    """Return a script that trades at market, instant by instant; None trades nothing."""
    return {i: [Intent.market(symbol, n)] for i, n in enumerate(units) if n}


# One breach for each guard


def test_g1_gross_exposure():
    record = backtest(minutes({"A": steady(8), "B": steady(8)}), buys(300, -50, symbol="A"), max_gross_exposure=50_000)
    assert told(record) == [(300, "FILLED"), (-50, "FILLED")]
    script = {0: [Intent.market("A", 300)], 1: [Intent.market("B", -250)], 2: [Intent.market("B", -150)]}
    record = backtest(minutes({"A": steady(8), "B": steady(8)}), script, max_gross_exposure=50_000)
    assert told(record) == [(300, "FILLED"), (-250, "G1"), (-150, "FILLED")]
    assert record.orders[1].reason == "G1 MaxGrossExposure: gross_exposure 55025, limit 50000"


def test_g2_units_of_a_symbol_with_what_rests():
    script = {0: [Intent.limit("A", 60, 99.0)], 1: [Intent.market("A", 41)], 2: [Intent.market("A", 40)]}
    record = backtest(minutes({"A": steady(8)}), script, max_symbol_qty=100)
    assert [r for _, r in told(record)][1:] == ["G2", "FILLED"]


def test_g3_concentration():
    record = backtest(minutes({"A": steady(8)}), buys(201, 200), max_pos_pct=20)
    assert told(record) == [(201, "G3"), (200, "FILLED")]


def falling(*closes):
    """Return daily bars with these closes, each opening where it closes."""
    return days({"A": [flat(close) for close in closes]})


def test_g4_the_loss_of_a_session_ends_buying_and_not_selling():
    source = falling(100.0, 100.0, 90.0, 90.0, 90.0, 90.0)
    record = backtest(
        source, {0: [Intent.market("A", 200)], 2: [Intent.market("A", 1), Intent.market("A", -50)]}, max_daily_loss=1_000
    )
    # Down 2,000 on the third day: what adds is refused, what reduces leaves.
    assert sorted(told(record)) == [(-50, "FILLED"), (1, "G4"), (200, "FILLED")]
    refused = next(o for o in record.orders if o.reason)
    assert refused.reason == "G4 MaxDailyLoss: daily_loss 2000, limit 1000"


def test_g4_forgets_at_the_next_session():
    script = {0: [Intent.market("A", 200)], 2: [Intent.market("A", 1)], 3: [Intent.market("A", 1)]}
    record = backtest(falling(100.0, 100.0, 90.0, 90.0, 90.0), script, max_daily_loss=1_000)
    assert told(record) == [(200, "FILLED"), (1, "G4"), (1, "FILLED")]


def test_g4_within_one_session_of_minutes():
    closes = [100.0, 100.0, 96.0, 96.0, 96.0, 99.0, 99.0, 99.0]
    script = {0: [Intent.market("A", 300)], 3: [Intent.market("A", 1)], 5: [Intent.market("A", 1)]}
    record = backtest(minutes({"A": [flat(c) for c in closes]}), script, max_daily_loss=1_000)
    assert told(record) == [(300, "FILLED"), (1, "G4"), (1, "FILLED")]


def test_g5_a_drawdown_stays_until_someone_looks():
    closes = [100.0, 100.0, 120.0, 110.0, 110.0, 110.0, 110.0]
    script = {0: [Intent.market("A", 200)], 2: [Intent.market("A", 1)], 3: [Intent.market("A", 1)], 5: [Intent.market("A", 1)]}
    record = backtest(falling(*closes), script, max_drawdown=1_500)
    assert told(record) == [(200, "FILLED"), (1, "FILLED"), (1, "G5"), (1, "G5")]


def test_g6_a_limit_far_above_the_market():
    script = {0: [Intent.limit("A", 1, 106.0)], 1: [Intent.limit("A", 1, 104.0)], 2: [Intent.stop("A", 1, 106.0)]}
    assert told(backtest(minutes({"A": steady(6)}), script, max_slippage_pct=5)) == [(1, "G6"), (1, "FILLED"), (1, "G6")]


def test_g6_spares_the_stop_of_a_position():
    script = {0: [Intent.market("A", 10)], 2: [Intent.stop("A", -10, 50.0)]}
    assert told(backtest(minutes({"A": steady(6)}), script, max_slippage_pct=5))[1] == (
        -10,
        "CANCELLED",
    )  # at the end of the run


def test_g7_a_leap_of_the_price_within_five_minutes():
    closes = [100.0] * 6 + [106.0] * 8
    script = {4: [Intent.market("A", 1)], 6: [Intent.market("A", 1)], 12: [Intent.market("A", 1)]}
    record = backtest(minutes({"A": [flat(c) for c in closes]}), script, max_move_pct=5)
    assert told(record) == [(1, "FILLED"), (1, "G7"), (1, "FILLED")]


def test_g7_silence():
    bars = {"A": [flat(100.0), flat(100.0), None, None, flat(100.0), flat(100.0)], "B": steady(6)}
    script = {0: [Intent.market("A", 5)], 2: [Intent.market("A", 1)], 3: [Intent.market("A", 1), Intent.market("A", -5)]}
    record = backtest(minutes(bars), script, max_data_age_s=60)
    # A minute of silence passes, two do not; an exit does not wait for the next price.
    assert sorted(told(record)) == [(-5, "FILLED"), (1, "FILLED"), (1, "G7"), (5, "FILLED")]
    assert "stale_market_data 120, limit 60" in next(o.reason for o in record.orders if o.reason)


def around_the_clock(instants):
    """Return minutes of a day of which `instants` holds the minute of the day of each."""
    label = [FIRST_DAY * NS_PER_DAY + m * NS_PER_MINUTE for m in instants]
    known = [ns + NS_PER_MINUTE for ns in label]
    rows = columns_of({"A": steady(len(instants))})
    source = ArraySource(("A",), rows, session=[FIRST_DAY] * len(instants), label_ns=label, known_ns=known)
    source.calendar = "24/7"
    return source


def test_g8_orders_while_the_exchange_is_closed():
    open_ns = ExchangeCalendar.get("XNYS").segments(FIRST_DAY, FIRST_DAY).open_ns[0]
    opens = int(open_ns - FIRST_DAY * NS_PER_DAY) // NS_PER_MINUTE
    source = around_the_clock([opens - 3, opens - 2, opens, opens + 1, opens + 388, opens + 389, opens + 390, opens + 391])
    script = {i: [Intent.market("A", 1)] for i in (0, 2, 5, 6)}
    at_home = {"A": Instrument(symbol="A", calendar="XNYS")}
    record = backtest(source, script, instruments=at_home)
    assert told(record) == [(1, "G8"), (1, "FILLED"), (1, "FILLED"), (1, "G8")]
    assert [r for _, r in told(backtest(source, script, instruments=at_home, trading_hours_only=False))] == ["FILLED"] * 4


def test_g9_one_symbol_too_many():
    source = minutes({"A": steady(8), "B": steady(8), "C": steady(8)})
    script = {
        0: [Intent.market("A", 1), Intent.market("B", 1), Intent.market("C", 1)],
        2: [Intent.market("A", 1), Intent.market("B", -1)],
        4: [Intent.market("C", 1)],
    }
    record = backtest(source, script, max_open_positions=2)
    assert [(o.symbol, o.status.value) for o in sorted(record.orders, key=lambda o: (o.created_ns, o.symbol))] == [
        *(("A", "FILLED"), ("B", "FILLED"), ("C", "REJECTED"), ("A", "FILLED"), ("B", "FILLED"), ("C", "FILLED")),
    ]


def test_g10_losers_in_a_row_end_the_session():
    # Two sessions of ten minutes; bought high and sold low, twice.
    closes = [100.0, 100.0, 99.0, 99.0, 98.0, 98.0, 97.0, 97.0, 97.0, 97.0]
    bars = [flat(c) for c in closes] + steady(10, 97.0)
    source = minutes({"A": bars}, per_session=10)
    script = {0: 1, 1: -1, 3: 1, 5: -1, 7: 1, 11: 1}
    record = backtest(source, {i: [Intent.market("A", n)] for i, n in script.items()}, max_consecutive_losses=2)
    assert told(record) == [(1, "FILLED"), (-1, "FILLED"), (1, "FILLED"), (-1, "FILLED"), (1, "G10"), (1, "FILLED")]


def test_g11_orders_within_a_minute():
    source = minutes({"A": steady(8), "B": steady(8)})
    script = {
        0: [Intent.limit("A", 1, 99.0), Intent.limit("A", 1, 98.0), Intent.limit("A", 1, 97.0), Intent.limit("B", 1, 99.0)],
        1: [Intent.limit("A", 1, 96.0)],
    }
    record = backtest(source, script, max_orders_per_min=2)
    assert [(o.symbol, o.limit_price) for o in record.orders if o.reason.startswith("G11")] == [("A", 97.0)]
    record = backtest(source, script, max_orders_per_min_total=3)
    assert [(o.symbol, o.limit_price) for o in record.orders if o.reason.startswith("G11")] == [("B", 99.0)]


def test_g12_a_listed_symbol():
    script = {0: [Intent.market("A", 1), Intent.market("B", 1)]}
    record = backtest(minutes({"A": steady(6), "B": steady(6)}), script, blacklist=["A"])
    assert sorted((o.symbol, o.reason) for o in record.orders) == [("A", "G12 Blacklist: blacklisted"), ("B", "")]


def cooled(script, **limits):
    """Return what became of a script's orders under a cooldown, by their symbols and units."""
    record = backtest(minutes({"A": steady(8), "B": steady(8)}), script, **limits)
    return {(o.symbol, o.side.sign * o.quantity): o.reason.partition(" ")[0] or o.status.value for o in record.orders}


def test_g13_the_second_order_of_an_instant_and_of_two_minutes():
    script = {0: [Intent.market("A", 10), Intent.market("A", 5), Intent.market("B", 7)], 1: [Intent.market("A", 3)]}
    found = cooled(script, cooldown_s=5)
    assert found == {("A", 10): "FILLED", ("A", 5): "G13", ("B", 7): "FILLED", ("A", 3): "FILLED"}
    assert cooled(script, cooldown_s=61) == {**found, ("A", 3): "G13"}
    assert cooled(script, cooldown_s=0) == cooled(script) == dict.fromkeys(found, "FILLED")
    record = backtest(minutes({"A": steady(8)}), {1: [Intent.market("A", 1)], 2: [Intent.market("A", 1)]}, cooldown_s=90)
    assert record.orders[1].reason == "G13 Cooldown: cooldown 60, limit 90"


def test_g13_no_order_while_one_works_and_exits_at_any_time():
    script = {
        0: [Intent.market("A", 10)],
        1: [Intent.limit("A", 5, 90.0)],
        3: [Intent.market("A", 1)],
        4: [Intent.market("A", -9), Intent.market("A", -2)],
    }
    assert cooled(script, cooldown_s=5) == {
        ("A", 10): "FILLED",
        ("A", 5): "end_of_run",
        ("A", 1): "G13",
        ("A", -9): "FILLED",
        ("A", -2): "G13",
    }


def test_g13_counts_what_left_and_not_what_was_filled_or_refused():
    script = {i: [Intent.limit("A", 1 + i, 50.0, time_in_force=TimeInForce.IOC)] for i in range(3)}
    found = cooled(script, cooldown_s=100)
    assert found == {("A", 1): "not_marketable", ("A", 2): "G13", ("A", 3): "not_marketable"}
    script = {0: [Intent.market("A", 500)], 1: [Intent.market("A", 1)]}
    assert cooled(script, cooldown_s=100, max_symbol_qty=100) == {("A", 500): "G2", ("A", 1): "FILLED"}


def test_g13_brackets_and_sets_are_one_order():
    pair = one_cancels_other(Intent.stop("A", 100, 101.0), Intent.stop("A", -100, 99.0))
    record = backtest(minutes({"A": steady(6)}), {0: pair}, cooldown_s=5)
    assert not [o for o in record.orders if o.status == "REJECTED"]
    entry = Intent.market("A", 10).with_exits(stop_loss=90.0, take_profit=110.0)
    record = backtest(minutes({"A": steady(6)}), {0: [entry], 2: [Intent.market("A", 5)]}, cooldown_s=5)
    assert [o.status.value for o in record.orders if not o.role.value] == ["FILLED", "FILLED"]


def test_g13_a_replacement_is_no_new_order():
    def larger(strategy, context):
        return [ReplaceIntent(context.open_orders[0].order_id, quantity=20)]

    record = backtest(minutes({"A": steady(6)}), {0: [Intent.limit("A", 10, 90.0)], 1: larger}, cooldown_s=600)
    assert [(o.quantity, o.status.value) for o in record.orders] == [(20.0, "CANCELLED")]


def test_the_validator_comes_before_the_guards():
    script = {0: [Intent.market("A", 60)], 1: [Intent.limit("A", 1, 99.0)]}
    limits = {"max_order_qty": 50, "order_types": ["MARKET"]}
    record = backtest(minutes({"A": steady(6)}), script, validator=limits, max_symbol_qty=1)
    assert [o.reason for o in record.orders] == [
        "V10 OrderSize: order_quantity 60, limit 50",
        "V7 BrokerTypes: order_type_not_allowed",
    ]


# What passes beside the gate, and what does not


def test_exits_of_a_bracket_work_while_every_limit_is_broken():
    entry = Intent.market("A", 100).with_exits(stop_loss=95.0)
    closes = [100.0, 100.0, 100.0, 94.0, 94.0]
    record = backtest(minutes({"A": [flat(c) for c in closes]}), {0: [entry], 3: [Intent.market("A", 1)]}, max_daily_loss=100)
    assert [(o.role.value, o.status.value) for o in record.orders] == [
        ("", "FILLED"),
        ("stop_loss", "FILLED"),
        ("", "REJECTED"),
    ]


def test_exits_are_judged_as_they_will_work():
    """What an intent states between two ticks is put on one before anyone asks; a stop that would lie at nothing is refused."""
    entry = Intent.limit("A", 10, 100.014).with_exits(stop_loss=98.004, take_profit=103.007)
    record = backtest(minutes({"A": steady(6)}), {0: [entry]})
    assert [o.status.value for o in record.orders] == ["FILLED", "CANCELLED", "CANCELLED"]
    cheap = Intent.market("A", 10).with_exits(stop_loss=0.00004)
    record = backtest(minutes({"A": steady(6, 0.5)}), {0: [cheap]})
    assert [o.reason for o in record.orders] == ["V3 PriceGrid: price_not_above_0"]


def test_a_follower_is_judged_as_if_its_parent_had_filled():
    parent = Intent.market("A", 80).then(Intent.limit("A", 30, 99.0), Intent.limit("A", 20, 98.0))
    record = backtest(minutes({"A": steady(6)}), {0: [parent]}, max_symbol_qty=100)
    followers = sorted((o.quantity, o.reason.partition(" ")[0]) for o in record.orders if o.role == "follower")
    assert followers == [(20.0, "end_of_run"), (30.0, "G2")]


def test_of_a_set_one_counts():
    pair = one_cancels_other(Intent.stop("A", 100, 101.0), Intent.stop("A", -100, 99.0))
    record = backtest(minutes({"A": steady(6)}), {0: pair}, max_symbol_qty=100, max_gross_exposure=10_200)
    assert not [o for o in record.orders if o.status == "REJECTED"]


def test_a_replacement_that_adds_is_judged_again():
    def larger(strategy, context):
        return [ReplaceIntent(context.open_orders[0].order_id, quantity=120)]

    def nearer(strategy, context):
        return [ReplaceIntent(context.open_orders[0].order_id, quantity=90, limit_price=98.0)]

    def far(strategy, context):
        return [ReplaceIntent(context.open_orders[0].order_id, limit_price=120.0)]

    record = backtest(
        minutes({"A": steady(8)}),
        {0: [Intent.limit("A", 80, 99.0)], 1: larger, 2: nearer, 3: far},
        max_symbol_qty=100,
        max_slippage_pct=5,
        record=True,
    )
    reasons = [u.reason for u in record.updates if u.reason.startswith("repla")]
    assert reasons == [
        "replace_rejected: G2 PerSymbolMaxQty: symbol_quantity 120, limit 100",
        "replaced",
        "replace_rejected: G6 SlippageSanity: slippage 20, limit 5",
    ]
    assert [c.outcome for c in record.order_checks] == ["accepted", "rejected", "accepted", "rejected"]


@pytest.mark.parametrize(
    ("validator", "reason"),
    [
        ({"max_order_qty": 50}, "replace_rejected: V10 OrderSize: order_quantity 60, limit 50"),
        ({"max_leverage": 0.05}, "replace_rejected: V8 BuyingPower: buying_power 1000, limit 100"),
    ],
)
def test_a_replacement_is_validated_too_and_its_size_is_the_whole_order(validator, reason):
    """In small steps it goes no further than at once."""

    def larger(strategy, context):
        (order,) = context.open_orders
        return [ReplaceIntent(order.order_id, quantity=order.quantity + 10)]

    record = backtest(
        minutes({"A": steady(6)}),
        {0: [Intent.limit("A", 49 if "max_leverage" in validator else 40, 99.0)], 1: larger, 2: larger},
        validator=validator,
    )
    reasons = [u.reason for u in record.updates if u.reason.startswith("repla")]
    assert reasons[-1].startswith(reason)
    assert record.orders[0].quantity <= 50


def test_two_orders_that_together_turn_the_position_round_are_no_exits():
    """Each alone would only close it; after the loss that the limit allows, the second one may not leave."""
    source = minutes({"A": [flat(price) for price in (100.0, 100.0, 90.0, 90.0, 93.0, 93.0)]})
    script = {0: [Intent.market("A", 50)], 2: [Intent.limit("A", -50, 91.0)], 3: [Intent.limit("A", -50, 92.0)]}
    record = backtest(source, script, max_daily_loss=100)
    assert [str(o.status) for o in record.orders] == ["FILLED", "FILLED", "REJECTED"]
    assert record.orders[2].reason == "G4 MaxDailyLoss: daily_loss 500, limit 100"
    # As a set, of which one fills, they are the exit that it is.
    pair = one_cancels_other(Intent.limit("A", -50, 91.0), Intent.stop("A", -50, 80.0))
    record = backtest(source, {0: [Intent.market("A", 50)], 2: pair}, max_daily_loss=100)
    assert [str(o.status) for o in record.orders] == ["FILLED", "FILLED", "CANCELLED"]


def test_a_stop_that_is_moved_stays_an_exit():
    """It is counted among what rests already."""

    def far(strategy, context):
        return [ReplaceIntent(context.open_orders[0].order_id, stop_price=70.0)]

    record = backtest(
        minutes({"A": steady(6)}), {0: [Intent.market("A", 50)], 2: [Intent.stop("A", -50, 90.0)], 3: far}, max_slippage_pct=5
    )
    assert [u.reason for u in record.updates if u.reason.startswith("repla")] == ["replaced"]


def test_the_second_order_of_a_set_has_a_price_of_its_own():
    pair = one_cancels_other(Intent.limit("A", 50, 98.0), Intent.stop("A", 50, 130.0))
    record = backtest(minutes({"A": steady(6)}), {0: pair}, max_slippage_pct=5)
    assert [o.reason for o in record.orders if o.status == "REJECTED"] == ["G6 SlippageSanity: slippage 30, limit 5"]


def test_a_margin_call_sells_whatever_the_guards_say():
    source = falling(100.0, 100.0, 60.0, 40.0, 40.0, 40.0)
    settings = RiskSettings.model_validate({"guards": {**LOOSE, "max_daily_loss": 1, "max_drawdown": 1}})
    record = run(
        source,
        allocate(Scripted({0: [Intent.market("A", 150)]}), capital=10_000.0),
        execution=free(account=AccountSettings(type="reg_t")),
        risk=settings,
    )
    calls = [o for o in record.orders if o.tag == "margin_call"]
    assert calls
    assert all(o.status == "FILLED" for o in calls)


def test_books_of_an_account_are_judged_together():
    first = allocate(Scripted({0: [Intent.market("A", 60)]}), "first")
    second = allocate(Scripted({1: [Intent.market("A", -50)], 2: [Intent.market("A", 40)]}), "second")
    settings = RiskSettings.model_validate({"guards": {**LOOSE, "max_symbol_qty": 100}})
    record = run(minutes({"A": steady(8)}), first, second, risk=settings)
    assert told(record) == [(60, "FILLED"), (-50, "G2"), (40, "FILLED")]


# Levels, records, and other ways to run


def test_at_warn_the_refusal_is_recorded_and_the_order_leaves():
    record = backtest(minutes({"A": steady(6)}), buys(150), max_symbol_qty=100, enforcement={"guards": "warn"})
    assert told(record) == [(150, "FILLED")]
    (found,) = record.order_checks
    assert (found.outcome, found.reason) == ("warned", "G2 PerSymbolMaxQty: symbol_quantity 150, limit 100")


def test_at_off_nothing_is_asked():
    source, script = minutes({"A": steady(6)}), buys(150)
    off = backtest(source, script, max_symbol_qty=100, enforcement={"guards": "off"})
    assert off.order_checks == []
    assert off.digest == unguarded(source, script).digest


def test_guards_that_refuse_nothing_change_nothing():
    """Whether a session is guarded or not, the same orders come to the same fills."""
    source = minutes({"A": steady(40, step=0.01), "B": steady(40, 50.0)})
    script = {i: [Intent.target_weight("A", 0.1 * (i % 3)), Intent.limit("B", 10, 50.0)] for i in range(0, 30, 2)}
    guarded, bare = backtest(source, script), unguarded(source, script)
    assert guarded.digest == bare.digest
    assert len(guarded.fills) > 10


def test_measurements_of_accepted_orders_are_kept_if_the_run_is_recorded(tmp_path):
    result = fairlead.backtest(
        Scripted({0: [Intent.market("A", 10)], 1: [Intent.market("A", 500)]}),
        minutes({"A": steady(8)}),
        execution=free(),
        risk={},
        record=True,
    )
    accepted, rejected = result.record.order_checks
    assert (accepted.outcome, len(accepted.results)) == ("accepted", 25)
    measured = {r.guard.partition(" ")[0]: r.measured for r in accepted.results}
    assert (measured["G1"], measured["G2"], measured["G11"]) == (pytest.approx(1_001.0), 10.0, 1.0)
    assert rejected.outcome == "rejected"
    folder = write_run(result, tmp_path, report=False, plots=False)
    lines = [json.loads(line) for line in (folder / "order_checks.jsonl").read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["accepted", "rejected"]
    assert repr(read_directory(folder).record.order_checks) == repr(result.record.order_checks)
    assert "risk" in (folder / "config.yaml").read_text()


def test_the_compiled_loop_leaves_guarded_sessions_to_the_engine():
    """It knows no guards: one plan after the other, only the guarded one is refused."""
    source, strategy = minutes({"A": steady(8)}), Cross()
    assert unfit(plan(source, allocate(strategy))) == ""
    guarded = plan(source, allocate(strategy), risk=RiskSettings())
    assert unfit(guarded) == "validator and guards are asked before every order"
    with pytest.raises(ConfigurationError, match="validator and guards"):
        run_compiled(guarded)
    assert unfit(plan(source, allocate(strategy), risk=RiskSettings(), guarded=Enforcement.OFF)) == ""


def test_a_sweep_of_a_guarded_kernel_strategy_is_that_of_the_engine():
    source = minutes({"A": [flat(100.0 + (i % 7)) for i in range(60)]})
    options = {"execution": free(), "cash": 100_000.0}
    for limit, count in ((10**6, None), (1, 0)):
        setup = study_setup(Cross, source, risk={"guards": {**LOOSE, "max_symbol_qty": limit}}, **options)
        assert not CompiledPool.fits(replace(setup, lean=True))
        trial = replace(setup, lean=True).run({"fast": 2, "slow": 5, "shares": 10.0})
        alone = fairlead.backtest(
            Cross(fast=2, slow=5, shares=10.0), source, risk={"guards": {**LOOSE, "max_symbol_qty": limit}}, **options
        )
        assert trial.metrics["num_fills"] == alone.metrics["num_fills"]
        assert trial.digest == alone.digest
        assert (trial.metrics["num_fills"] == 0) == (count == 0)
    assert CompiledPool.fits(replace(study_setup(Cross, source, **options), lean=True))
