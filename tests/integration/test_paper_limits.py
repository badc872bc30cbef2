"""Limits that grow back after a re-arm, and that a drawdown halves, in a paper session over its own control socket."""

from __future__ import annotations

import pytest

from fairlead.control import RefusedCommand
from fairlead.journal import Kind
from support_operated import buy, journal_of, operated, orders_of, sell

COOLS = "{lock_hours: 0, cool_off_minutes: 30, disabled: [KS_PNL, KS_DD, KS_PSR]}"
OTHERS = "max_drawdown: 1000000, max_daily_loss: 1000000, slip_buffer_bps: 0, disabled: [G7, G8, G9, G10, G11]"
GROSS = f"max_gross_exposure: 10000, max_symbol_qty: 1000000, max_pos_pct: 1000, {OTHERS}"
UNITS = f"max_gross_exposure: 10000000, max_symbol_qty: 80, max_pos_pct: 1000, {OTHERS}"
SHARE = f"max_gross_exposure: 10000000, max_symbol_qty: 1000000, max_pos_pct: 40, {OTHERS}"


def limits(session, name="alpha"):
    """The share of its limits that a strategy is shown to have."""
    return session.status.get("limits", {name: 1.0})[name]


def rearmed(session, **args):
    """Let it trade, halt it, and lift the halt."""
    session.minute(100.0)
    session.ask("halt", why="something")
    assert limits(session) == 0.0
    session.ask("rearm", why="nothing", **args)
    assert limits(session) == 0.0


# Of limits of 100, 80 and 400 units; the cool-off takes 30 minutes, and so does the growth.
@pytest.mark.parametrize(
    ("guards", "whole", "refusal"),
    [
        (GROSS, 100, "G1 MaxGrossExposure: gross_exposure {:g}, limit {:g}"),
        (UNITS, 80, "G2 PerSymbolMaxQty: symbol_quantity {:g}, limit {:g}"),
        (SHARE, 400, "G3 PerSymbolMaxNotional: symbol_notional {:g}, limit {:g}"),
    ],
    ids=["gross", "units", "share"],
)
@pytest.mark.parametrize("minutes", [31, 37.5, 45, 59, 60, 90])
def test_limits_grow_back_evenly(tmp_path, guards, whole, refusal, minutes):
    with operated(tmp_path, switches=COOLS, guards=guards) as session:
        rearmed(session)
        session.passes(hours=minutes / 60)
        share = min(1.0, (minutes - 30) / 30)
        assert limits(session) == pytest.approx(share)
        units = int(whole * share + 1e-9)
        session.minute(100.0, alpha=buy(units + 1))
        session.minute(100.0, alpha=buy(units))
        session.minute(100.0)
        assert session.held() == units
        result = session.end()
    unit = 1 if guards is UNITS else 100
    text = refusal.format(unit * (units + 1), unit * whole * share)
    assert [(q, why) for _, q, status, why in orders_of(result) if status == "REJECTED"] == [(units + 1, text)]


def test_while_it_cools_off_nothing_that_adds_leaves_and_exits_do(tmp_path):
    with operated(tmp_path, switches=COOLS, guards=GROSS) as session:
        session.minute(100.0, alpha=buy(80))
        session.minute(100.0)
        rearmed(session)
        session.passes(hours=0.25)
        session.minute(100.0, alpha=buy(1))
        session.minute(100.0, alpha=sell(10))
        session.passes(hours=0.5)
        # A half of its limits are 50: of 70 held none may be added, and all may be sold.
        session.minute(100.0, alpha=buy(1))
        session.minute(100.0, alpha=sell(40))
        session.minute(100.0, alpha=buy(10))
        session.minute(100.0)
        assert session.held() == 40.0
        result = session.end()
    refused = [(q, why.partition(":")[0]) for _, q, status, why in orders_of(result) if status == "REJECTED"]
    assert refused == [(1.0, "cooling off after a re-arm"), (1.0, "G1 MaxGrossExposure")]


def test_a_replacement_that_adds_is_held_to_the_scaled_limit(tmp_path):
    from fairlead.sdk import OrderIntent, ReplaceIntent

    def grown(context):
        return [ReplaceIntent(order.order_id, quantity=60.0) for order in context.open_orders]

    with operated(tmp_path, switches=COOLS, guards=GROSS) as session:
        rearmed(session)
        session.passes(hours=0.75)
        session.minute(100.0, alpha=[OrderIntent.limit("A", 40, 90.0, time_in_force="GTC")])
        session.minute(100.0, alpha=grown)
        session.minute(100.0)
        result = session.end()
    assert [order.quantity for order in result.record.orders] == [40.0]
    reasons = [update.reason for update in result.record.updates if update.reason.startswith("replace_rejected")]
    assert reasons == ["replace_rejected: G1 MaxGrossExposure: gross_exposure 6000, limit 5000"]


def test_a_rearm_of_one_strategy_scales_its_own_orders_alone(tmp_path):
    switches = (
        "{lock_hours: 0, cool_off_minutes: 30, pnl: {session: false, strategies: [alpha], warning_pct: 1, critical_pct: 2}, "
        "disabled: [KS_DD, KS_PSR]}"
    )
    guards = UNITS.replace("80", "1000")
    with operated(tmp_path, "alpha", "beta", switches=switches, guards=guards) as session:
        session.minute(100.0, alpha=buy(500))
        for price in (100.0, 95.0, 95.0):
            session.minute(price)
        assert session.held() == 0.0
        session.ask("rearm", why="looked at", strategy="alpha")
        session.passes(hours=0.75)
        assert session.status["limits"] == {"alpha": pytest.approx(0.5), "beta": 1.0}
        session.minute(95.0, alpha=buy(501), beta=buy(400))
        session.minute(95.0)
        # 400 of beta are in the account, of which 500 are alpha's limit.
        session.minute(95.0, alpha=buy(101))
        session.minute(95.0, alpha=buy(100))
        session.minute(95.0)
        assert (session.held(), session.held("beta")) == (100.0, 400.0)
        session.end()


def test_guards_that_only_warn_hold_to_nothing_so_nothing_leaves_before_limits_are_whole(tmp_path):
    with operated(tmp_path, switches=COOLS, guards=GROSS, more="enforcement: {guards: warn}\n") as session:
        rearmed(session)
        session.passes(hours=0.75)
        session.minute(100.0, alpha=buy(1))
        session.passes(hours=0.25)
        session.minute(100.0, alpha=buy(2))
        session.minute(100.0)
        assert session.held() == 2.0
        result = session.end()
    assert [(q, why) for _, q, status, why in orders_of(result) if status == "REJECTED"] == [
        (1.0, "cooling off after a re-arm")
    ]


GRADED = (
    "{lock_hours: 0, cool_off_minutes: 0, graded_drawdown: {enabled: true, reduce_pct: 2}, "
    "drawdown: {warning_pct: 10, critical_pct: 15}, disabled: [KS_PNL, KS_PSR]}"
)


def test_a_drawdown_halves_the_limit_on_gross_exposure_until_it_is_made_good(tmp_path):
    """500 shares from 100: 2 % of 100,000 are 4 of price."""
    guards = GROSS.replace("10000,", "100000,", 1)
    with operated(tmp_path, switches=GRADED, guards=guards) as session:
        session.minute(100.0, alpha=buy(500))
        session.minute(100.0)
        session.minute(96.0, alpha=buy(20))  # exactly 2 %: whole
        session.minute(95.9)
        assert limits(session) == 0.5
        assert session.status["state"] == "running"
        session.minute(95.0, alpha=buy(10))  # 530 shares are 50,350 of 50,000
        session.minute(95.0, alpha=sell(120))
        session.minute(95.0, alpha=buy(100))  # 500 are 47,500
        session.minute(99.0)
        assert limits(session) == 1.0
        session.minute(99.0, alpha=buy(100))  # 600 are 59,400 of 100,000
        session.minute(99.0)
        assert session.held() == 600.0
        result = session.end()
    refused = [(q, why) for _, q, status, why in orders_of(result) if status == "REJECTED"]
    assert refused == [(10.0, "G1 MaxGrossExposure: gross_exposure 50350, limit 50000")]
    told = [r.data for r in journal_of(session.folder) if r.kind == Kind.SWITCH]
    assert [(d["switch"], d["state"], d["gross_factor"]) for d in told] == [("KS_DD", "reduce", 0.5), ("KS_DD", "normal", 1.0)]


def test_a_drawdown_beyond_the_critical_level_halts_as_without_grades(tmp_path):
    switches = GRADED.replace("warning_pct: 10, critical_pct: 15", "warning_pct: 3, critical_pct: 4")
    with operated(tmp_path, switches=switches, guards=GROSS.replace("10000,", "100000,", 1)) as session:
        session.minute(100.0, alpha=buy(500))
        session.minute(100.0)
        session.minute(95.5)
        session.minute(91.0)
        session.minute(91.0)
        assert (session.status["state"], session.held(), limits(session)) == ("halted", 0.0, 0.0)
        session.ask("rearm", why="looked at")
        session.minute(91.0, alpha=buy(100))
        session.minute(91.0)
        assert (session.status["state"], session.held(), limits(session)) == ("running", 100.0, 1.0)
        with pytest.raises(RefusedCommand, match="not halted"):
            session.ask("rearm")
        session.end()
    told = [(r.data["switch"], r.data["state"]) for r in journal_of(session.folder) if r.kind == Kind.SWITCH]
    assert told == [
        ("KS_DD", "reduce"),
        ("KS_DD", "halt"),
        ("KS_DD", "critical"),
        ("KS_DD", "tripped"),
        ("latch", "armed"),
        ("KS_DD", "normal"),
    ]


def test_money_taken_out_is_no_drawdown_that_halves_anything(tmp_path):
    with operated(tmp_path, switches=GRADED, guards=GROSS.replace("10000,", "100000,", 1)) as session:
        session.minute(100.0, alpha=buy(300))
        session.minute(100.0)
        session.minute(95.0)  # 1.5 %
        session.ask("set_capital", strategy="alpha", amount=50_000.0)
        session.minute(95.0)
        assert limits(session) == 1.0
        session.end()
