"""Instruments: symbols, the tick and lot grids, and the crossing to Decimal."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.core.instruments import Instrument, check_symbol

STOCK = Instrument(symbol="AAPL")
TICKS = st.sampled_from([0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 0.03125])
LOTS = st.sampled_from([1e-8, 1e-6, 0.001, 0.01, 0.1, 0.25, 1.0, 10.0, 100.0])
# As fine as the grid comparison: an excess of this share of a tick is representation error.
SLACK = 2e-9
# The quotient is forgiven 1e-15 of itself; dividing, adding and storing the result round by 1.1e-16 each.
RELATIVE = 2e-15


@pytest.mark.parametrize("text", ["AAPL", " aapl ", "BRK.B", "BF-B", "0700", "A" * 20])
def test_symbols_are_trimmed_and_upper_case(text):
    assert check_symbol(text) == text.strip().upper()


@pytest.mark.parametrize("text", ["", " ", ".A", "-A", "A B", "A" * 21, "A/B", "A|B", "Ä", "A\n\nB"])
def test_what_is_no_symbol_is_refused(text):
    with pytest.raises(ContractError, match="'symbol' must match"):
        check_symbol(text)


@pytest.mark.parametrize("name", ["lot_step", "min_quantity", "multiplier", "tick_size"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_grid_must_be_a_finite_number_above_zero(name, value):
    with pytest.raises(ConfigurationError, match=f"'{name}' must be a finite number above 0, was {value}"):
        Instrument(symbol="AAPL", **{name: value})


@pytest.mark.parametrize(("price", "tick"), [(1.0, 0.01), (250.0, 0.01), (0.9999, 0.0001), (0.01, 0.0001)])
def test_the_us_tick_rule_changes_at_one_dollar(price, tick):
    assert STOCK.tick_at(price) == tick


@pytest.mark.parametrize(
    ("price", "floor", "ceil"),
    [
        (101.014, 101.01, 101.02),
        (101.01, 101.01, 101.01),  # 101.01 / 0.01 is 10100.999999999998
        (1.15, 1.15, 1.15),
        (0.29, 0.29, 0.29),
        (0.123449, 0.1234, 0.1235),
        (0.99999, 0.9999, 1.0),
        (4.35, 4.35, 4.35),  # 4.35 / 0.01 is 434.99999999999994
        (1.1, 1.1, 1.1),  # 1.1 / 0.01 is 110.00000000000001
    ],
)
def test_prices_round_to_the_cent_exactly(price, floor, ceil):
    assert (STOCK.floor_price(price), STOCK.ceil_price(price)) == (floor, ceil)


def test_a_future_rounds_to_its_quarter_and_a_bond_to_its_thirty_second():
    future = Instrument(symbol="ES", tick_size=0.25, multiplier=50)
    assert (future.floor_price(4500.30), future.ceil_price(4500.30)) == (4500.25, 4500.5)
    bond = Instrument(symbol="ZB", tick_size=0.03125)
    assert (bond.floor_price(118.04), bond.ceil_price(118.04)) == (118.03125, 118.0625)
    coarse = Instrument(symbol="X", tick_size=2.5)
    assert (coarse.floor_price(6.0), coarse.ceil_price(6.0)) == (5.0, 7.5)


@given(st.floats(min_value=1e-3, max_value=1e6), TICKS)
def test_floor_and_ceil_enclose_the_price_within_one_tick(price, tick):
    thing = Instrument(symbol="X", tick_size=tick)
    floor, ceil = thing.floor_price(price), thing.ceil_price(price)
    slack = tick * SLACK + price * RELATIVE
    assert floor - slack <= price <= ceil + slack
    assert ceil - floor <= tick + slack


@given(st.floats(min_value=1e-3, max_value=1e6), TICKS)
def test_rounded_prices_are_on_the_grid_and_stay_there(price, tick):
    thing = Instrument(symbol="X", tick_size=tick)
    for rounded in (thing.floor_price(price), thing.ceil_price(price)):
        assert Decimal(repr(rounded)) % Decimal(repr(tick)) == 0
        assert thing.floor_price(rounded) == thing.ceil_price(rounded) == rounded


@given(st.floats(min_value=1e-3, max_value=1e6))
def test_the_default_grid_is_idempotent_across_one_dollar(price):
    floor, ceil = STOCK.floor_price(price), STOCK.ceil_price(price)
    assert STOCK.floor_price(floor) == floor
    assert STOCK.ceil_price(ceil) == ceil


@pytest.mark.parametrize(
    ("quantity", "lot", "rounded"),
    [(10.9, 1.0, 10.0), (-10.9, 1.0, 10.0), (0.3, 0.1, 0.3), (0.29, 0.1, 0.2), (250, 100.0, 200.0), (2.9999999999, 1.0, 3.0)],
)
def test_quantities_round_down_and_lose_their_sign(quantity, lot, rounded):
    assert Instrument(symbol="X", lot_step=lot).floor_quantity(quantity) == rounded


@given(st.floats(min_value=-1e6, max_value=1e6), LOTS)
def test_a_floored_quantity_is_on_its_grid_and_not_more_than_was_asked(quantity, lot):
    thing = Instrument(symbol="X", lot_step=lot)
    rounded = thing.floor_quantity(quantity)
    assert 0 <= rounded <= abs(quantity) + lot * SLACK + abs(quantity) * RELATIVE
    assert abs(quantity) - rounded < lot * (1 + SLACK) + abs(quantity) * RELATIVE
    assert thing.floor_quantity(rounded) == rounded


@pytest.mark.parametrize(
    ("price", "text"), [(101.01, "101.01"), (0.1234, "0.1234"), (100.0, "100.00"), (1e6, "1000000.00"), (1.004999, "1.00")]
)
def test_prices_leave_as_exact_decimals(price, text):
    assert str(STOCK.price_to_decimal(price)) == text


@pytest.mark.parametrize(
    ("quantity", "lot", "text"),
    [(100.0, 1.0, "100"), (-100.0, 1.0, "-100"), (0.3, 0.1, "0.3"), (1e6, 100.0, "1000000"), (5e-8, 1e-8, "5E-8")],
)
def test_quantities_leave_as_exact_decimals(quantity, lot, text):
    assert Instrument(symbol="X", lot_step=lot).quantity_to_decimal(quantity) == Decimal(text)


def test_a_round_quantity_leaves_without_an_exponent():
    """Domain 4.4: a Decimal is written without exponent."""
    assert str(STOCK.quantity_to_decimal(1000.0)) == "1000"


def test_a_tick_from_numpy_leaves_as_a_decimal_too():
    """`repr` of a NumPy float is not a number's text."""
    import numpy as np

    thing = Instrument(symbol="X", tick_size=np.float64(0.05), lot_step=np.float64(0.1))
    assert str(thing.price_to_decimal(1.15)) == "1.15"
    assert str(thing.quantity_to_decimal(0.3)) == "0.3"


@given(st.integers(min_value=1, max_value=10**8), TICKS)
def test_the_crossing_to_decimal_is_exact_on_the_grid(steps, tick):
    """Decimal -> float -> Decimal gives the same decimal back: never the float's binary expansion."""
    exact = steps * Decimal(repr(tick))
    assert Instrument(symbol="X", tick_size=tick).price_to_decimal(float(exact)) == exact
