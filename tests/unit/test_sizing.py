"""Quantities from money, weights and targets (domain rules 5 and 1.3)."""

from __future__ import annotations

import pytest

from fairlead.core.errors import ContractError
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.risk.sizing import size_intent, units_for
from fairlead.sdk.limits import RiskLimits

STOCK = Instrument(symbol="A")
COIN = Instrument(symbol="A", lot_step=0.01, min_quantity=0.05)
OPTION = Instrument(symbol="A", multiplier=100)
I = OrderIntent  # noqa: E741  a table reads better with a short name


def size(intent, instrument=STOCK, *, price=100.0, equity=10_000.0, held=0.0, cap=None):
    return size_intent(intent, instrument, price=price, equity=equity, held=held, limits=RiskLimits(max_position_size=cap))


@pytest.mark.parametrize(
    ("intent", "instrument", "given", "quantity", "note"),
    [
        # Explicit quantities go down to the lot, with their sign.
        (I.market("A", 7), STOCK, {}, 7, ""),
        (I.market("A", -7.9), STOCK, {}, -7, ""),
        (I.limit("A", 0.1277, 5), COIN, {}, 0.12, ""),
        (I.market("A", 0.9), STOCK, {}, 0, "below_min_qty"),
        (I.market("A", -0.04), COIN, {}, 0, "below_min_qty"),
        (I.market("A", 0.05), COIN, {}, 0.05, ""),
        # Not clipped: the checks reject it.
        (I.market("A", 70), STOCK, {"cap": 0.1}, 70, ""),
        # Notional: what the money pays for.
        (I.notional("A", 1_050), STOCK, {}, 10, ""),
        (I.notional("A", -1_050), STOCK, {}, -10, ""),
        (I.notional("A", 99.99), STOCK, {}, 0, "below_min_qty"),
        (I.notional("A", 25_000), OPTION, {}, 2, ""),
        # Weights floor: 33.3 % of 10,000 is 33 shares of 100.
        (I.target_weight("A", 1 / 3), STOCK, {}, 33, ""),
        (I.target_weight("A", -1 / 3), STOCK, {}, -33, ""),
        (I.target_weight("A", 1.0), STOCK, {"price": 101.0}, 99, ""),
        (I.target_weight("A", 0.5), OPTION, {}, 0, ""),
        (I.target_weight("A", 1.0), OPTION, {}, 1, ""),
        (I.target_weight("A", 0.5), COIN, {"price": 333.0}, 15.01, ""),
        # A weight is a target: only the difference is traded.
        (I.target_weight("A", 0.5), STOCK, {"held": 20}, 30, ""),
        (I.target_weight("A", 0.5), STOCK, {"held": 80}, -30, ""),
        (I.target_weight("A", 0.5), STOCK, {"held": 50}, 0, ""),
        (I.target_weight("A", -0.5), STOCK, {"held": 50}, -100, ""),
        (I.target_weight("A", 0), STOCK, {"held": 50}, -50, ""),
        (I.target_weight("A", 0), STOCK, {"held": -50}, 50, ""),
        (I.target_weight("A", 0.5), STOCK, {"equity": 0.0}, 0, ""),
        (I.target_weight("A", 0.5), STOCK, {"equity": -5_000.0, "held": 7}, -7, ""),
        # Target positions.
        (I.target_position("A", 12), STOCK, {"held": 5}, 7, ""),
        (I.target_position("A", -12), STOCK, {"held": 5}, -17, ""),
        (I.target_position("A", 12.7), STOCK, {}, 12, ""),
        (I.target_position("A", 0), STOCK, {}, 0, ""),
        # An odd remainder, after a split say, is sold whole when the target is nothing, and left alone otherwise.
        (I.target_position("A", 0), STOCK, {"held": 10.5}, -10.5, ""),
        (I.target_position("A", 10), STOCK, {"held": 10.5}, 0, ""),
        (I.target_position("A", 5), STOCK, {"held": 10.5}, -5, ""),
        # A change below the smallest order is no order.
        (I.target_position("A", 1.04), COIN, {"held": 1.0}, 0, ""),
        (I.target_position("A", 1.06), COIN, {"held": 1.0}, 0.06, ""),
        # Targets are clipped to max_position_size and say so.
        (I.target_weight("A", 0.5), STOCK, {"cap": 0.1}, 10, "clipped_max_position_size"),
        (I.target_weight("A", -0.5), STOCK, {"cap": 0.1}, -10, "clipped_max_position_size"),
        (I.target_position("A", 50), STOCK, {"cap": 0.105, "held": 4}, 6, "clipped_max_position_size"),
        (I.target_weight("A", 0.1), STOCK, {"cap": 0.1}, 10, ""),
        (I.target_position("A", 50), STOCK, {"cap": 0.1, "held": 10}, 0, "clipped_max_position_size"),
    ],
)
def test_sizes(intent, instrument, given, quantity, note):
    sized = size(intent, instrument, **given)
    assert sized.quantity == pytest.approx(quantity, rel=1e-12, abs=1e-12)
    assert sized.note == note


def test_units_on_a_lot_grid():
    assert units_for(1_000, 33.0, STOCK) == 30
    assert units_for(-1_000, 33.0, STOCK) == 30
    assert units_for(1_000, 33.0, COIN) == 30.30


def test_exact_money_buys_the_exact_number():
    """0.1 + 0.2 of a lot must not cost a whole one: 300 * 0.07 pays for 300."""
    assert units_for(300 * 0.07, 0.07, STOCK) == 300


@pytest.mark.parametrize(("notional", "price"), [(float("nan"), 1.0), (float("inf"), 1.0), (1.0, 0.0), (1.0, float("nan"))])
def test_what_cannot_be_sized_is_refused(notional, price):
    with pytest.raises(ContractError, match="'A sizing' must have a finite notional and a price above 0"):
        units_for(notional, price, STOCK)


@pytest.mark.parametrize("intent", [I.target_position("A", 0), I.target_weight("A", 0.0)])
def test_the_rounding_of_a_position_less_its_orders_is_nothing_to_close(intent):
    """4,876.859 held, of which the orders under way sell all in parts: the difference is a picounit, and no order."""
    rounding = 4_876.859 - 4_000.858 - 876.001
    assert rounding != 0
    assert size(intent, Instrument(symbol="A", lot_step=0.001, min_quantity=0.001), held=rounding).quantity == 0
    # What a split left of a share is more than rounding.
    assert size(intent, held=1 / 3).quantity == -1 / 3
