"""Tiers, fees and the price lists that ship: the brokers' own examples, and how a preset is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from fairlead.backtest.arguments import execution_of
from fairlead.config.document import parse_yaml
from fairlead.config.problems import Origin
from fairlead.config.profiles import apply_profile
from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.core.orders import Order, OrderStatus, OrderType, Side
from fairlead.execution.commission import (
    COMMISSION_MODELS,
    BpsCommission,
    CommissionContext,
    CommissionSettings,
    Fee,
    MonthVolume,
    Tier,
    TieredCommission,
    commission_preset,
    known_presets,
)
from fairlead.execution.costs import ExecutionCosts
from fairlead.execution.financing import FinancingSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.margin import AccountSettings
from fairlead.execution.slippage import SLIPPAGE_MODELS, NoSlippage

JAN_31, FEB_1 = 19_753, 19_754
"""31 January and 1 February 2024."""
BUY, SELL = 1, -1


def model_of(preset):
    return CommissionSettings(preset=preset).build()


def one(model, quantity, price, side=BUY, month=0.0):
    return model.charge_in(CommissionContext(quantity, price, 1.0, side=side, month_volume=month))


def in_parts(model, parts, side=BUY, month=0.0):
    """Return what each part of one order is charged; a part is units at a price."""
    filled = charged = value = 0.0
    charges = []
    for quantity, price in parts:
        charge = model.charge_in(CommissionContext(quantity, price, 1.0, filled, charged, side, value, month + filled))
        filled, charged, value = filled + quantity, charged + charge, value + quantity * price
        charges.append(charge)
    return charges


# --- price lists


@pytest.mark.parametrize("name", known_presets())
def test_a_preset_is_dated_sourced_and_builds(name):
    preset = commission_preset(name)
    assert preset.title
    assert preset.as_of.year >= 2026
    assert preset.source
    assert not re.search(r"https?:|www\.", preset.source + preset.notes)
    assert one(model_of(name), 100, 25.0) >= 0


def test_what_ships():
    assert known_presets() == ("alpaca", "ibkr_fixed", "ibkr_tiered", "zero")


@pytest.mark.parametrize(
    ("quantity", "price", "charge"),
    # The examples of the broker's page: 1.00, 5.00 and, capped at 1 % of the value, 2.50.
    [(100, 25.0, 1.00), (1_000, 25.0, 5.00), (1_000, 0.25, 2.50)],
)
def test_ibkr_fixed_examples(quantity, price, charge):
    cat = 0.000003 * quantity
    assert one(model_of("ibkr_fixed"), quantity, price) == pytest.approx(charge + cat, abs=1e-9)
    sold = one(model_of("ibkr_fixed"), quantity, price, SELL)
    assert sold == pytest.approx(charge + cat + 0.0000206 * quantity * price + 0.000195 * quantity, abs=1e-9)


def test_ibkr_tiered_by_hand():
    """30,000,000 shares: 1,050 + 5,400 + 25,500 + 10,000 at the rates of the four tiers, and what is passed on."""
    broker = 300_000 * 0.0035 + 2_700_000 * 0.002 + 17_000_000 * 0.0015 + 10_000_000 * 0.001
    assert broker == pytest.approx(41_950)
    passed_on = 30e6 * (0.0030 + 0.00020 + 0.000003) + broker * (0.000175 + 0.000563)
    model = model_of("ibkr_tiered")
    assert one(model, 30e6, 5.0) == pytest.approx(broker + passed_on, rel=1e-12)
    assert one(model, 30e6, 5.0, SELL) == pytest.approx(broker + passed_on + 0.0000206 * 150e6 + 9.79, rel=1e-12)


def test_ibkr_tiered_has_a_small_minimum():
    assert one(model_of("ibkr_tiered"), 10, 50.0) == pytest.approx(0.35 * 1.000738 + 10 * 0.003203)


@pytest.mark.parametrize(
    ("quantity", "price", "side", "charge"),
    [
        (100, 50.0, BUY, 0.0003),
        # A sale of 10,000: 0.206 to the SEC, 0.039 to FINRA, 0.0006 for the audit trail.
        (200, 50.0, SELL, 0.206 + 0.039 + 0.0006),
        # FINRA takes no more than 9.79 of an order.
        (100_000, 1.0, SELL, 2.06 + 9.79 + 0.3),
    ],
)
def test_alpaca_takes_what_the_regulators_take(quantity, price, side, charge):
    assert one(model_of("alpaca"), quantity, price, side) == pytest.approx(charge, rel=1e-9)


def test_zero_is_nothing():
    assert CommissionSettings(preset="zero").build().charge(1e6, 100.0, 1.0, 0.0, 0.0) == 0.0


# --- tiers


TIERS = {"tiers": [{"up_to": 1_000, "per_unit": 0.01}, {"up_to": 3_000, "per_unit": 0.005}, {"per_unit": 0.001}]}


@pytest.mark.parametrize(
    ("month", "quantity", "charge"),
    [
        (0, 500, 5.0),
        (0, 1_000, 10.0),
        (0, 1_100, 10.5),
        (900, 200, 1.5),
        (1_000, 200, 1.0),
        (2_900, 200, 0.6),
        (5_000, 200, 0.2),
    ],
)
def test_each_unit_pays_the_rate_of_its_tier(month, quantity, charge):
    assert one(TieredCommission(**TIERS), quantity, 50.0, month=month) == pytest.approx(charge)


def test_a_cheaper_tier_does_not_pay_back_what_an_order_has_paid():
    """500 units at 0.01; then others of the strategy trade 4,500; then 500 more at 0.001."""
    model = TieredCommission(**TIERS)
    first = one(model, 500, 50.0)
    second = model.charge_in(CommissionContext(500, 50.0, 1.0, 500.0, first, BUY, 25_000.0, 5_000.0))
    assert (first, second) == pytest.approx((5.0, 0.5))


def test_an_order_that_goes_on_in_a_new_month_pays_the_first_tier_again():
    """Its earlier units count at the first rate: the month before is over."""
    model = TieredCommission(**TIERS, minimum=1.0)
    assert model.charge_in(CommissionContext(100, 50.0, 1.0, 20.0, 1.0, BUY, 1_000.0, 0.0)) == pytest.approx(0.2)


def test_minimum_and_cap_hold_for_the_order():
    model = TieredCommission(tiers=[{"per_unit": 0.005}], minimum=1.0, max_frac=0.01)
    assert in_parts(model, [(100, 100.0)] * 4) == pytest.approx([1.0, 0.0, 0.5, 0.5])
    assert in_parts(model, [(1, 20.0), (999, 20.0)]) == pytest.approx([0.20, 4.80])
    # What the cap held back of a part is charged when the order has the value for it.
    assert in_parts(model, [(1_000, 0.10), (1_000, 100.0)]) == pytest.approx([1.0, 9.0])


def test_the_cap_does_not_cover_fees():
    fees = [{"name": "exchange", "per": "unit", "rate": 0.003}]
    model = TieredCommission(tiers=[{"per_unit": 0.005}], max_frac=0.01, fees=fees)
    assert one(model, 1_000, 0.10) == pytest.approx(1.0 + 3.0)


def test_a_capped_fee_is_capped_for_the_order():
    fees = [{"name": "taf", "per": "unit", "rate": 0.01, "side": "sell", "cap": 1.5}]
    model = TieredCommission(tiers=[{"per_unit": 0.0}], fees=fees)
    assert in_parts(model, [(100, 10.0)] * 3, SELL) == pytest.approx([1.0, 0.5, 0.0])
    assert in_parts(model, [(100, 10.0)] * 3) == [0.0, 0.0, 0.0]


def test_without_a_context_it_is_a_buy_in_a_new_month():
    model = TieredCommission(**TIERS)
    assert model.charge(1_100, 50.0, 1.0, 0.0, 0.0) == pytest.approx(10.5)
    assert model.charge(100, 50.0, 1.0, 1_000.0, 10.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"tiers": []}, "tiers"),
        ({"tiers": [{"per_unit": 1, "up_to": 5}]}, "'up_to' must not be given in the last tier, was 5.0"),
        ({"tiers": [{"per_unit": 1}, {"per_unit": 2}]}, "'up_to' must rise from tier to tier"),
        ({"tiers": [{"per_unit": 1, "up_to": 5}, {"per_unit": 1, "up_to": 5}, {"per_unit": 2}]}, "must rise from tier to tier"),
        ({"fees": [{"name": "x", "per": "commission", "rate": 0.1, "cap": 1}]}, "'cap of x' must not be given"),
    ],
)
def test_price_lists_that_cannot_be_one(params, text):
    with pytest.raises(ValidationError, match=text):
        CommissionSettings(model="tiered", params=params)


# --- the month


def test_the_volume_is_that_of_the_strategy_and_the_month():
    volume = MonthVolume()
    volume.add("a", JAN_31, 100.0)
    volume.add("b", JAN_31, 7.0)
    volume.add("a", JAN_31, 50.0)
    assert (volume.of("a", JAN_31), volume.of("b", JAN_31), volume.of("c", JAN_31)) == (150.0, 7.0, 0.0)
    assert volume.of("a", FEB_1) == 0.0
    volume.add("a", FEB_1, 3.0)
    assert (volume.of("a", FEB_1), volume.of("b", FEB_1)) == (3.0, 0.0)


def an_order(side, strategy="a"):
    return Order(
        order_id="o", idempotency_key="k", group_id="g", strategy=strategy, symbol="A", side=side, quantity=1e9,
        order_type=OrderType.MARKET, created_ns=0, arrives_ns=0,
    )  # fmt: skip


def test_the_venue_tells_side_value_and_volume():
    fees = [{"name": "sec", "per": "value", "rate": 0.1, "side": "sell", "cap": 1_000}]
    costs = ExecutionCosts(NoSlippage(), TieredCommission(**TIERS, fees=fees))
    order = an_order(Side.SELL)
    first = costs.charge(order, 800.0, 10.0, 1.0, JAN_31)
    order.move_to(OrderStatus.SUBMITTED, 0)
    order.move_to(OrderStatus.ACKNOWLEDGED, 0)
    order.record_fill(800.0, 10.0, first, 0)
    # 200 units fill the first tier, 100 the second; of the fee 200 are left below its cap.
    second = costs.charge(order, 300.0, 10.0, 1.0, JAN_31)
    assert (first, second) == pytest.approx((8.0 + 800.0, 2.0 + 0.5 + 200.0))
    assert costs.charge(an_order(Side.BUY), 100.0, 10.0, 1.0, JAN_31) == pytest.approx(0.5)
    assert costs.charge(an_order(Side.BUY, "b"), 100.0, 10.0, 1.0, JAN_31) == pytest.approx(1.0)
    assert costs.charge(an_order(Side.BUY), 100.0, 10.0, 1.0, FEB_1) == pytest.approx(1.0)


def test_a_plain_model_is_charged_as_before():
    costs = ExecutionCosts(NoSlippage(), BpsCommission())
    assert costs.charge(an_order(Side.SELL), 100.0, 50.0, 1.0, JAN_31) == BpsCommission().charge(100.0, 50.0, 1.0, 0.0, 0.0)


# --- how a preset is named


def test_a_preset_fills_in_its_values_and_keeps_its_name():
    settings = CommissionSettings(preset="ibkr_fixed")
    dumped = settings.model_dump(mode="json")
    assert dumped["preset"] == "ibkr_fixed"
    assert dumped["model"] == "tiered"
    assert dumped["params"]["minimum"] == 1.0
    assert CommissionSettings.model_validate(dumped) == settings


def test_params_replace_those_of_the_preset():
    settings = CommissionSettings(preset="ibkr_fixed", params={"minimum": 0.5})
    assert settings.build().minimum == 0.5
    assert settings.build().max_frac == 0.01
    assert CommissionSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_without_a_preset_nothing_is_said_of_one():
    assert CommissionSettings().model_dump() == {"model": "bps", "params": {"bps": 2.0}}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"preset": "ibkr_fix"}, "no commission preset named 'ibkr_fix'; did you mean 'ibkr_fixed'"),
        ({"preset": "alpaca", "model": "bps"}, "'model' must be left out beside preset 'alpaca', was 'bps'"),
        ({"preset": "alpaca", "params": {"minimun": 1}}, "does not take these params"),
        ({"preset": 7}, "preset"),
    ],
)
def test_presets_that_cannot_be(values, text):
    with pytest.raises(ValidationError, match=text):
        CommissionSettings(**values)


def test_an_unknown_preset_is_answered_with_what_is_known():
    with pytest.raises(UnknownName, match="Known: alpaca, ibkr_fixed, ibkr_tiered, zero"):
        commission_preset("schwab")


@pytest.mark.parametrize(
    ("commission", "expected"),
    [
        ("ibkr_tiered", CommissionSettings(preset="ibkr_tiered")),
        ({"preset": "alpaca"}, CommissionSettings(preset="alpaca")),
        (3, CommissionSettings(model="bps", params={"bps": 3})),
        ("per_share", CommissionSettings(model="per_share")),
    ],
)
def test_python_takes_a_preset_by_name(commission, expected):
    assert execution_of(None, commission, None).commission == expected


def test_a_preset_is_no_slippage():
    with pytest.raises(ConfigurationError, match="no slippage model named 'alpaca'"):
        execution_of(None, None, "alpaca")


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        ("{model: bps, params: {bps: 2}}", "{preset: alpaca}", {"preset": "alpaca"}),
        ("{preset: alpaca, params: {minimum: 1}}", "{preset: zero}", {"preset": "zero"}),
        ("{preset: alpaca, params: {minimum: 1}}", "{model: none}", {"model": "none"}),
        ("{preset: alpaca}", "{params: {minimum: 1}}", {"preset": "alpaca", "params": {"minimum": 1}}),
        ("{model: bps, params: {bps: 2}}", "{params: {bps: 6}}", {"model": "bps", "params": {"bps": 6}}),
    ],
)
def test_a_profile_may_trade_a_model_for_a_preset(base, over, expected):
    text = f"commission: {base}\nprofiles: {{p: {{commission: {over}}}}}\n"
    root = parse_yaml(text, lambda line: Origin.in_file("run.yaml", line))
    assert apply_profile(root, "p").plain() == {"commission": expected}


def test_the_page_on_costs_names_every_model_setting_and_preset():
    """And the date of each price list."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "costs.md").read_text()
    parts = [*COMMISSION_MODELS.values(), *SLIPPAGE_MODELS.values(), Fee, Tier]
    settings = [LatencySettings, FinancingSettings, AccountSettings]
    names = {name for part in (*parts, *settings) for name in part.model_fields}
    names |= {*COMMISSION_MODELS, *SLIPPAGE_MODELS}
    assert [name for name in sorted(names) if f"`{name}" not in text] == []
    for preset in known_presets():
        line = next(line for line in text.splitlines() if line.startswith(f"| `{preset}`"))
        assert line.endswith(f"| {commission_preset(preset).as_of} |")
