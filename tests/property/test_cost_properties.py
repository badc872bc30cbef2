"""What must hold of every cost: more is not cheaper, a split order costs what a whole one does, and calls are met."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fairlead.execution.commission import (
    BpsCommission,
    CommissionContext,
    CommissionSettings,
    NoCommission,
    PerOrderCommission,
    PerShareCommission,
    TieredCommission,
    known_presets,
)
from fairlead.execution.financing import FinancingSettings, accrue
from fairlead.execution.margin import AccountSettings, Holding, buying_power, liquidations, margin_state, refusal
from fairlead.execution.slippage import SLIPPAGE_MODELS, SlippageContext

IMPACT = sorted(name for name, model in SLIPPAGE_MODELS.items() if model.needs_history)
EXACT = 1e-9

units = st.floats(0.01, 1e7)
sigmas = st.floats(0.0, 0.2)
volumes = st.floats(1.0, 1e9)
shares = st.sampled_from([1 / 390, 5 / 390, 0.25, 1.0])
many = settings(max_examples=150, deadline=None)


def trade_of(quantity, sigma, adv, share, before=0.0):
    return SlippageContext(quantity, 1e6, 50.0, sigma, adv, share, 1, before, "A")


@many
@given(st.sampled_from(sorted(SLIPPAGE_MODELS)), units, units, sigmas, volumes, shares, st.floats(0, 1e7))
def test_slippage_rises_with_the_quantity(name, one, two, sigma, adv, share, before):
    model = SLIPPAGE_MODELS[name]()
    less, more = sorted((one, two))
    # More than a day's volume counts as a day's volume: what an order adds beyond it costs less.
    assume(before == 0 or before + more <= adv or name not in IMPACT)
    small = model.fraction(trade_of(less, sigma, adv, share, before))
    large = model.fraction(trade_of(more, sigma, adv, share, before))
    assert 0 <= small <= large * (1 + 1e-6) + 1e-12


@many
@given(st.sampled_from(IMPACT), units, sigmas, volumes, volumes, shares)
def test_impact_falls_with_the_daily_volume_and_rises_with_volatility(name, quantity, sigma, one, two, share):
    model = SLIPPAGE_MODELS[name]()
    thin, deep = sorted((one, two))
    assert model.fraction(trade_of(quantity, sigma, deep, share)) <= model.fraction(trade_of(quantity, sigma, thin, share))
    assert model.fraction(trade_of(quantity, sigma, thin, share)) <= model.fraction(
        trade_of(quantity, sigma + 0.01, thin, share)
    )


@many
@given(st.lists(st.floats(1, 1e5), min_size=1, max_size=8), st.floats(0.001, 0.1), st.floats(1e6, 1e9))
def test_small_parts_do_not_make_a_large_order_cheap(parts, sigma, adv):
    """Square root: to the rounding; permanent impact: likewise, the temporary one depending on the rate alone."""
    square_root = SLIPPAGE_MODELS["square_root"](half_spread_bps=0)
    permanent = SLIPPAGE_MODELS["almgren2005"](half_spread_bps=0, eta=0)
    total = sum(parts)
    assume(total < adv)
    for model in (square_root, permanent):
        paid = before = 0.0
        for part in parts:
            paid += part * model.fraction(trade_of(part, sigma, adv, 1.0, before))
            before += part
        assert paid == pytest.approx(total * model.fraction(trade_of(total, sigma, adv, 1.0)), rel=1e-6)


# --- commission

models = st.one_of(
    st.sampled_from([NoCommission(), BpsCommission(), PerShareCommission(), PerOrderCommission()]),
    st.sampled_from(known_presets()).map(lambda name: CommissionSettings(preset=name).build()),
    st.builds(
        lambda rates, minimum, cap: TieredCommission(
            tiers=[
                *({"up_to": 1_000.0 * (i + 1), "per_unit": rate} for i, rate in enumerate(rates[:-1])),
                {"per_unit": rates[-1]},
            ],
            minimum=minimum,
            max_frac=cap,
            fees=[
                {"name": "a", "per": "unit", "rate": 0.001, "cap": 3.0},
                {"name": "b", "per": "value", "rate": 0.0001, "side": "sell"},
                {"name": "c", "per": "commission", "rate": 0.05},
            ],
        ),
        st.lists(st.floats(0, 0.02), min_size=1, max_size=4),
        st.floats(0, 3),
        st.sampled_from([0.001, 0.01, 1.0]),
    ),
)
prices = st.floats(0.05, 500)
sides = st.sampled_from([1, -1])
months = st.floats(0, 5_000)


def total_of(model, parts, price, side, month):
    filled = charged = 0.0
    for part in parts:
        context = CommissionContext(part, price, 1.0, filled, charged, side, filled * price, month + filled)
        charge = model.charge_in(context)
        assert charge >= -EXACT
        filled, charged = filled + part, charged + charge
    return charged


@many
@given(models, st.lists(st.integers(1, 2_000).map(float), min_size=1, max_size=8), prices, sides, months)
def test_parts_of_an_order_cost_what_the_order_does(model, parts, price, side, month):
    """At one price, whatever its minimum, cap, tiers and fees."""
    whole = total_of(model, [sum(parts)], price, side, month)
    assert total_of(model, parts, price, side, month) == pytest.approx(whole, rel=1e-9, abs=1e-9)


@many
@given(models, st.floats(1, 1e5), st.floats(1, 1e5), prices, sides, months)
def test_commission_rises_with_the_quantity(model, one, two, price, side, month):
    less, more = sorted((one, two))
    assert total_of(model, [less], price, side, month) <= total_of(model, [more], price, side, month) + EXACT


@many
@given(models, st.lists(st.tuples(st.floats(1, 5_000), prices, st.floats(0, 4_000)), min_size=1, max_size=8), sides)
def test_no_charge_is_negative_whatever_happens_between_the_parts(model, parts, side):
    """Prices move, and other orders fill."""
    filled = charged = value = month = 0.0
    for quantity, price, others in parts:
        month += others
        charge = model.charge_in(CommissionContext(quantity, price, 1.0, filled, charged, side, value, month))
        assert charge >= -EXACT
        filled, charged, value, month = filled + quantity, charged + charge, value + quantity * price, month + quantity


# --- accounts

holdings = st.lists(
    st.builds(
        Holding,
        st.sampled_from("ABCDE"),
        st.integers(-2_000, 2_000).map(float),
        st.floats(0.5, 300).map(lambda p: round(p, 2)),
        st.just(1.0),
    ),
    max_size=5,
    unique_by=lambda h: h.symbol,
)
accounts = st.sampled_from([AccountSettings(type="reg_t"), AccountSettings(type="reg_t", call_buffer_frac=0)])


@many
@given(st.floats(-1e6, 1e6), holdings, accounts)
def test_a_margin_call_is_met_or_nothing_is_left(cash, held, account):
    orders = liquidations(cash, held, account)
    state = margin_state(cash, held, account)
    if state.equity > 0 and not state.is_called:
        assert orders == []
        return
    by_symbol = {h.symbol: h for h in held}
    for order in orders:
        holding = by_symbol[order.symbol]
        assert order.quantity * holding.quantity < 0
        assert abs(order.quantity) <= abs(holding.quantity)
        cash -= order.quantity * holding.price
        by_symbol[order.symbol] = holding._replace(quantity=holding.quantity + order.quantity)
    left = margin_state(cash, by_symbol.values(), account)
    assert left.equity == pytest.approx(state.equity, abs=1e-6)
    assert not left.is_called or all(h.quantity == 0 for h in by_symbol.values())


@many
@given(st.floats(0, 1e6), holdings, st.sampled_from(["simple", "cash", "reg_t"]), st.floats(1, 500))
def test_what_buying_power_allows_is_not_refused(cash, held, kind, price):
    account = AccountSettings(type=kind)
    held = [h for h in held if kind != "cash" or h.quantity > 0]
    power = buying_power(cash, held, account)
    assume(power > 1.0)
    assert refusal(Holding("NEW", power / price, price), cash, held, account) is None
    assert refusal(Holding("NEW", 1.01 * power / price + 1, price), cash, held, account) is not None


@many
@given(st.floats(-1e6, 1e6), holdings, st.integers(0, 10), st.integers(0, 10))
def test_interest_of_two_spans_is_that_of_both(cash, held, one, two):
    rates = FinancingSettings(margin_rate_pct=7, cash_rate_pct=3, borrow_rate_pct=2)
    values = {h.symbol: h.value for h in held}
    apart = accrue(cash, values, one, rates).total + accrue(cash, values, two, rates).total
    assert accrue(cash, values, one + two, rates).total == pytest.approx(apart, abs=1e-6)
