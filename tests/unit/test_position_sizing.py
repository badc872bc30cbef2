"""Positions sized from money at risk (domain rule 5)."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from pydantic import ValidationError

from fairlead.core.errors import ContractError
from fairlead.risk import PositionSizer, SizingConfig, SizingMode


def size(entry, stop=None, **settings):
    return PositionSizer(SizingConfig(**{"equity": 10_000, **settings})).calculate(entry, stop)


@pytest.mark.parametrize("number", [Decimal, float, lambda text: int(text) if "." not in text else Decimal(text)])
@pytest.mark.parametrize(("entry", "stop", "quantity"), [("100", "98", 20), ("101.00", "100.60", 19)])
def test_goldens(number, entry, stop, quantity):
    """50 and 250 by risk, clipped to a fifth of equity; the same for every type of number."""
    found = size(number(entry), number(stop))
    assert found == (quantity, "", ("max_pos_pct",))
    assert isinstance(found.quantity, Decimal)


@pytest.mark.parametrize(
    ("entry", "stop", "settings", "quantity", "reason", "clips"),
    [
        # By risk alone: 1 % of 10,000 over 2.00 is 50.
        (100, 98, {"max_pos_pct": 100}, 50, "", ()),
        (98, 100, {"max_pos_pct": 100}, 50, "", ()),
        # The way to the stop is rounded up to ticks: 0.015 is two.
        (100, "99.985", {"max_pos_pct": 1000, "risk_pct": "0.01"}, 50, "", ()),
        # A tick and a lot are two things.
        ("0.5", "0.4", {"lot_step": 100, "min_qty": 100, "max_pos_pct": 100}, 1000, "", ()),
        ("0.5", "0.4", {"lot_step": 300, "min_qty": 1, "max_pos_pct": 100}, 900, "", ()),
        # Futures: a point is 50, a tick of 0.25 is 12.50.
        (4000, 3990, {"equity": 100_000, "multiplier": 50, "tick_size": "0.25", "max_pos_pct": 1000}, 2, "", ()),
        (4000, 3990, {"equity": 100_000, "multiplier": 50, "tick_size": "0.25", "max_pos_pct": 300}, 1, "", ("max_pos_pct",)),
        (4000, 3990, {"equity": 100_000, "tick_size": "0.25", "tick_value": 25, "max_pos_pct": 100}, 1, "", ()),
        # Share of equity, fixed.
        (100, None, {"mode": "pct_equity"}, 10, "", ()),
        (100, None, {"mode": "pct_equity", "pos_pct": 30}, 20, "", ("max_pos_pct",)),
        (101, None, {"mode": "pct_equity"}, 9, "", ()),
        (100, None, {"mode": "fixed", "fixed_qty": "7.9"}, 7, "", ()),
        (100, None, {"mode": "fixed", "fixed_qty": 70}, 20, "", ("max_pos_pct",)),
        # Each further limit.
        (100, 98, {"buying_power": 1_550}, 15, "", ("max_pos_pct", "buying_power")),
        (100, 98, {"max_volume_qty": "12.7"}, 12, "", ("max_pos_pct", "max_volume_qty")),
        (100, 98, {"max_symbol_qty": 5}, 5, "", ("max_pos_pct", "max_symbol_qty")),
        (100, 98, {"max_symbol_qty": 500}, 20, "", ("max_pos_pct",)),
        (
            100,
            80,
            {"mode": "fixed", "fixed_qty": 20, "max_position_loss_pct_equity": 3},
            15,
            "",
            ("max_position_loss_pct_equity",),
        ),
        (100, 80, {"mode": "fixed", "fixed_qty": 15, "max_position_loss_pct_equity": 3}, 15, "", ()),
        # Nothing, and why.
        (100, 98, {"equity": 0}, 0, "no_equity", ()),
        (100, 98, {"equity": -1}, 0, "no_equity", ()),
        (0, 98, {}, 0, "no_price", ()),
        (-1, 98, {}, 0, "no_price", ()),
        (100, None, {}, 0, "no_stop", ()),
        (100, None, {"mode": "fixed", "max_position_loss_pct_equity": 3}, 0, "no_stop", ()),
        (100, 100, {}, 0, "no_stop_distance", ()),
        (10_000, 9_000, {}, 0, "below_min_qty", ()),
        (100, 98, {"min_qty": 21}, 0, "below_min_qty", ("max_pos_pct",)),
        (100, 98, {"buying_power": 0}, 0, "below_min_qty", ("max_pos_pct", "buying_power")),
    ],
)
def test_sizes(entry, stop, settings, quantity, reason, clips):
    """Every mode, every limit, and every reason for nothing."""
    entry, stop = (Decimal(n) if isinstance(n, str) else n for n in (entry, stop))
    assert size(entry, stop, **settings) == (Decimal(quantity), reason, clips)


def test_a_computed_float_counts_as_its_tick():
    """0.1 + 0.2 is three tenths: the last bit of a float is no tick more."""
    assert size(0.1 + 0.2, 0.2, tick_size="0.1", max_pos_pct=1000, risk_pct=1) == size(
        Decimal("0.3"), Decimal("0.2"), tick_size="0.1", max_pos_pct=1000, risk_pct=1
    )


def test_equity_and_buying_power_of_the_moment():
    """A sizer serves many decisions: the account may be given with each."""
    sizer = PositionSizer(SizingConfig(equity=10_000))
    assert sizer.calculate(100, 98, equity=20_000.0).quantity == 40
    assert sizer.calculate(100, 98, buying_power=Decimal(1000)).quantity == 10
    assert sizer.calculate(100, 98).quantity == 20


@pytest.mark.parametrize("bad", [math.nan, math.inf, Decimal("NaN"), Decimal("-Infinity"), 10**400])
@pytest.mark.parametrize("name", ["entry_price", "stop_price", "equity", "buying_power"])
def test_what_is_no_number_is_refused(name, bad):
    """Never a size from a price that is not known."""
    sizer = PositionSizer(SizingConfig(equity=10_000))
    with pytest.raises(ContractError, match="finite"):
        sizer.calculate(**{"entry_price": 100, "stop_price": 98, name: bad})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("equity", math.nan), ("risk_pct", 0), ("risk_pct", 101), ("pos_pct", -1), ("max_pos_pct", 0)),
        *(("lot_step", 0), ("min_qty", 0), ("tick_size", 0), ("multiplier", -1), ("mode", "half"), ("riskpct", 1)),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    """Ranges and names are those of the settings."""
    with pytest.raises(ValidationError, match=name):
        SizingConfig(**{"equity": 1, name: value})


def test_more_lots_than_a_float_can_count_are_refused():
    """Rather than a quantity with wrong last digits."""
    with pytest.raises(ContractError, match="lots"):
        size(1, Decimal("0.99"), equity=10**20)


def test_modes_have_the_names_of_a_configuration():
    """`fixed`, `pct_equity` and `risk`; the last is the default."""
    assert [mode.value for mode in SizingMode] == ["fixed", "pct_equity", "risk"]
    assert SizingConfig(equity=1).mode is SizingMode.RISK_BASED
