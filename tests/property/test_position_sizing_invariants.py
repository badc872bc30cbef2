"""What holds of every position size, in exact numbers (domain rule 5)."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.risk import PositionSizer, SizingConfig, SizingMode

RUNS = settings(max_examples=300, deadline=None)
LOTS = st.sampled_from(["1", "100", "0.001", "0.25", "3", "0.0001"])
TICKS = st.sampled_from(["0.01", "0.0001", "0.25", "0.1", "5"])
CENTS = st.integers(1, 10**8).map(lambda n: Decimal(n) / 100)
PERCENTS = st.integers(1, 100_000).map(lambda n: Decimal(n) / 1000)


@st.composite
def configs(draw, mode=None):
    lot = Decimal(draw(LOTS))
    return {
        "mode": mode or draw(st.sampled_from(list(SizingMode))),
        "fixed_qty": draw(CENTS),
        "pos_pct": draw(PERCENTS),
        "risk_pct": draw(PERCENTS),
        "max_pos_pct": draw(PERCENTS),
        "max_position_loss_pct_equity": draw(st.none() | PERCENTS),
        "tick_size": Decimal(draw(TICKS)),
        "multiplier": draw(st.sampled_from([1, 10, 100])),
        "lot_step": lot,
        "min_qty": draw(st.sampled_from([lot, lot * 10, Decimal(1)])),
        "max_symbol_qty": draw(st.none() | CENTS),
    }


def size(config, equity, entry, stop):
    return PositionSizer(SizingConfig(equity=equity, **config)).calculate(entry, stop)


def cost(config, entry, stop):
    """Per unit: what it is worth, and what it loses at the stop."""
    tick, multiplier = Fraction(config["tick_size"]), config["multiplier"]
    ticks = math.ceil(abs(Fraction(entry) - Fraction(stop)) / tick)
    return Fraction(entry) * multiplier, ticks * tick * multiplier


@RUNS
@given(configs(), CENTS, CENTS, CENTS)
def test_a_size_is_on_the_grid_and_within_every_limit(config, equity, entry, stop):
    """Never negative, on the lot, none or at least the least, and never a cent beyond a limit."""
    quantity, reason, _ = found = size(config, equity, entry, stop)
    worth, loss = cost(config, entry, stop)
    assert quantity >= 0
    assert quantity == 0 or quantity >= config["min_qty"]
    assert (quantity == 0) == bool(reason)
    assert quantity % config["lot_step"] == 0
    assert Fraction(quantity) * worth <= Fraction(equity) * Fraction(config["max_pos_pct"]) / 100
    if config["max_position_loss_pct_equity"] is not None:
        assert Fraction(quantity) * loss <= Fraction(equity) * Fraction(config["max_position_loss_pct_equity"]) / 100
    if config["max_symbol_qty"] is not None:
        assert quantity <= config["max_symbol_qty"]
    assert found == size(config, equity, entry, stop)


@RUNS
@given(configs(SizingMode.RISK_BASED), CENTS, CENTS, CENTS)
def test_risk_is_never_beyond_the_budget_and_no_lot_is_given_away(config, equity, entry, stop):
    """What the stop may cost is paid for; where nothing clips, one lot more would not be."""
    found = size(config, equity, entry, stop)
    _, loss = cost(config, entry, stop)
    budget = Fraction(equity) * Fraction(config["risk_pct"]) / 100
    assert Fraction(found.quantity) * loss <= budget
    if not found.clips and not found.reason:
        assert Fraction(found.quantity + config["lot_step"]) * loss > budget


@RUNS
@given(configs(), CENTS, CENTS, CENTS, CENTS)
def test_more_equity_never_makes_a_position_smaller(config, equity, more, entry, stop):
    """A size does not fall as equity rises."""
    assert size(config, equity, entry, stop).quantity <= size(config, equity + more, entry, stop).quantity


@RUNS
@given(configs(SizingMode.RISK_BASED), CENTS, CENTS, CENTS, CENTS, st.booleans())
def test_a_farther_stop_never_makes_a_position_larger(config, equity, entry, near, farther, below):
    """A size does not rise with the distance of the stop."""
    sign = -1 if below else 1
    close, far = (size(config, equity, entry, entry + sign * way) for way in (near, near + farther))
    assert far.quantity <= close.quantity


@RUNS
@given(configs(), CENTS, CENTS, CENTS)
def test_floats_give_the_size_of_the_decimals_they_stand_for(config, equity, entry, stop):
    """The type of a number is no part of its value."""
    assert size(config, float(equity), float(entry), float(stop)) == size(config, equity, entry, stop)
