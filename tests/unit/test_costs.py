"""Slippage, commission and latency: goldens, settings, plug-ins, streams."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from pydantic import ValidationError

from fairlead.core.errors import ConfigurationError
from fairlead.core.identity import random_stream
from fairlead.execution.commission import (
    BpsCommission,
    CommissionSettings,
    NoCommission,
    PerOrderCommission,
    PerShareCommission,
)
from fairlead.execution.latency import Latency, LatencySettings
from fairlead.execution.slippage import (
    FixedSlippage,
    NoSlippage,
    SlippageContext,
    SlippageModel,
    SlippageSettings,
    VolumeSlippage,
)


def in_parts(model, parts, price=100.0, multiplier=1.0):
    """Return what each part of one order is charged."""
    filled = charged = 0.0
    charges = []
    for quantity in parts:
        charge = model.charge(quantity, price, multiplier, filled, charged)
        filled, charged = filled + quantity, charged + charge
        charges.append(charge)
    return charges


@pytest.mark.parametrize(
    ("model", "quantity", "volume", "fraction"),
    [
        (NoSlippage(), 100, 0, 0.0),
        (FixedSlippage(), 100, 1_000, 0.0001),
        (FixedSlippage(bps=7), 1e6, 1, 0.0007),
        # 5 bps + 0.1 * q/V: 0.0005 + 0.1 * 0.1.
        (VolumeSlippage(), 100, 1_000, 0.0105),
        (VolumeSlippage(), 1, 1_000_000, 0.0005001),
        (VolumeSlippage(base_bps=0, volume_factor=0.2), 50, 1_000, 0.01),
        (VolumeSlippage(base_bps=3, volume_factor=0), 50, 1_000, 0.0003),
    ],
)
def test_slippage_goldens(model, quantity, volume, fraction):
    assert model.fraction(SlippageContext(quantity, volume, 50.0)) == pytest.approx(fraction, rel=1e-12, abs=0)


@pytest.mark.parametrize("volume", [0.0, float("nan")])
def test_a_bar_without_volume_fills_nothing_by_volume(volume):
    assert VolumeSlippage().fraction(SlippageContext(1, volume, 50.0)) is None


@pytest.mark.parametrize(
    ("model", "parts", "charges"),
    [
        (NoCommission(), [100, 50], [0, 0]),
        # 2 bps of 100 * 100.
        (BpsCommission(), [100, 50], [2.0, 1.0]),
        (BpsCommission(bps=10), [1], [0.1]),
        # Above the minimum: 0.005 a share.
        (PerShareCommission(), [1_000], [5.0]),
        # The minimum of 1.00 is charged once per order: 100 shares are worth 0.50, 300 are worth 1.50.
        (PerShareCommission(), [100], [1.0]),
        (PerShareCommission(), [100, 100, 100, 100], [1.0, 0.0, 0.5, 0.5]),
        # Three parts cost what one order of 600 costs.
        (PerShareCommission(), [10, 90, 500], [1.0, 0.0, 2.0]),
        (PerShareCommission(minimum=0), [10], [0.05]),
        # Once per order, at its first execution.
        (PerOrderCommission(), [10, 20, 30], [1.0, 0, 0]),
        (PerOrderCommission(amount=4.95), [1], [4.95]),
    ],
)
def test_commission_goldens(model, parts, charges):
    assert in_parts(model, parts) == pytest.approx(charges, rel=1e-12, abs=1e-12)


def test_the_cap_overrides_the_minimum():
    """One share of 20.00 may cost 1 % of 20.00, not the minimum of 1.00."""
    assert in_parts(PerShareCommission(), [1], price=20.0) == pytest.approx([0.20])


def test_what_the_cap_held_back_is_charged_when_the_order_grows():
    """1 share (cap 0.20), then 999 of 20.00: 5.00 together."""
    assert in_parts(PerShareCommission(), [1, 999], price=20.0) == pytest.approx([0.20, 4.80])


def test_the_cap_of_a_penny_stock():
    """10,000 shares of 0.10 are worth 1,000: 1 % is 10.00, not 50.00."""
    assert in_parts(PerShareCommission(), [10_000], price=0.10) == pytest.approx([10.0])


def test_the_multiplier_counts():
    assert in_parts(BpsCommission(), [2], price=50.0, multiplier=100.0) == pytest.approx([2.0])
    assert in_parts(PerShareCommission(max_frac=0.001), [1], price=5.0, multiplier=100.0) == pytest.approx([0.5])


# --- settings


@pytest.mark.parametrize(
    ("settings", "model", "text"),
    [
        (SlippageSettings, "fixd", "no slippage model named 'fixd'; did you mean 'fixed'"),
        (CommissionSettings, "per_shares", "no commission model named 'per_shares'; did you mean 'per_share'"),
    ],
)
def test_an_unknown_model_is_answered_with_what_is_known(settings, model, text):
    with pytest.raises(ValidationError, match=text) as caught:
        settings(model=model)
    assert "Or give 'package.module:Class'." in str(caught.value)
    assert "Known:" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "model", "params", "texts"),
    [
        (SlippageSettings, "fixed", {"bp": 5}, ["slippage model 'fixed' does not take these params", "'bp'", "Known: bps."]),
        (SlippageSettings, "none", {"bps": 5}, ["'bps'", "Known: none."]),
        (SlippageSettings, "fixed", {"bps": -1}, ["'bps': Input should be greater than or equal to 0, was -1"]),
        (
            SlippageSettings,
            "volume_based",
            {"base_bps": "x", "volume_factor": 11},
            ["'base_bps'", "was 'x'", "'volume_factor'", "was 11", "Known: base_bps, volume_factor."],
        ),
        (CommissionSettings, "per_share", {"max_frac": 0}, ["'max_frac'", "was 0", "Known: per_share, minimum, max_frac."]),
        (CommissionSettings, "bps", {"bps": float("nan")}, ["'bps'", "finite"]),
    ],
)
def test_bad_params_are_named_together(settings, model, params, texts):
    with pytest.raises(ValidationError) as caught:
        settings(model=model, params=params)
    assert [text for text in texts if text not in str(caught.value)] == []


def test_settings_build_what_they_say():
    assert SlippageSettings().build() == FixedSlippage(bps=1.0)
    assert CommissionSettings().build() == BpsCommission(bps=2.0)
    assert SlippageSettings(model="volume_based", params={"base_bps": 7}).build() == VolumeSlippage(base_bps=7)
    assert CommissionSettings(model="per_order", params={"amount": 3}).build() == PerOrderCommission(amount=3)


class HalfSpread(SlippageModel):
    """A third party's model."""

    spread: float = 0.02

    def fraction(self, trade: SlippageContext) -> float | None:
        return self.spread / 2


@pytest.fixture
def plugin(monkeypatch):
    """A module as a third party would ship it."""
    module = types.ModuleType("their_models")
    module.HalfSpread = HalfSpread
    module.number = 7
    monkeypatch.setitem(sys.modules, "their_models", module)
    return module


def test_a_plug_in_by_path(plugin):
    settings = SlippageSettings(model="their_models:HalfSpread", params={"spread": 0.04})
    assert settings.build().fraction(SlippageContext(1, 1, 50.0)) == 0.02


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("their_models:Nothing", "slippage model 'their_models:Nothing' cannot be imported"),
        ("no_such_module_here:X", "cannot be imported: No module named 'no_such_module_here'"),
        (":X", "cannot be imported"),
        ("their_models:number", "must be a concrete subclass of SlippageModel, was 7"),
        ("fairlead.execution.commission:BpsCommission", "must be a concrete subclass of SlippageModel"),
        ("fairlead.execution.slippage:SlippageModel", "must be a concrete subclass of SlippageModel"),
    ],
)
def test_a_plug_in_that_cannot_be_one(plugin, model, text):
    with pytest.raises(ValidationError, match=text):
        SlippageSettings(model=model)


def test_a_plug_in_whose_module_does_not_run(tmp_path, monkeypatch):
    (tmp_path / "their_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValidationError, match="'their_broken:X' cannot be imported: division by zero"):
        SlippageSettings(model="their_broken:X")


def test_a_bad_param_of_a_built_model_is_our_error():
    with pytest.raises(ConfigurationError, match="does not take these params"):
        SlippageSettings.model_construct(model="fixed", params={"bps": -1}).build()


# --- latency


def delays(seed=42, strategy="alpha", n=5_000, **settings):
    latency = Latency(LatencySettings(**settings), lambda name: random_stream(seed, name))
    return np.array([latency.draw_ns(strategy) for _ in range(n)]) / 1e6


def test_delays_have_the_distribution_they_say():
    drawn = delays(mean_ms=100, std_ms=10)
    assert drawn.mean() == pytest.approx(100, abs=0.6)
    assert drawn.std() == pytest.approx(10, abs=0.5)


def test_delays_are_never_negative():
    """max(0, N(0, 10)): half of them are nothing."""
    drawn = delays(mean_ms=0, std_ms=10)
    assert drawn.min() == 0
    assert (drawn == 0).mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.max() > 20


def test_a_constant_delay():
    assert set(delays(n=10, mean_ms=3, std_ms=0)) == {3.0}


def test_delays_are_reproducible_and_seeded():
    np.testing.assert_array_equal(delays(), delays())
    assert not np.array_equal(delays(), delays(seed=43))


def test_the_delays_of_a_strategy_do_not_depend_on_another():
    latency = Latency(LatencySettings(), lambda name: random_stream(42, name))
    alone = delays(n=3_000)
    together = []
    for i in range(3_000):
        together.append(latency.draw_ns("alpha") / 1e6)
        for _ in range(i % 3):
            latency.draw_ns("beta")
    np.testing.assert_array_equal(alone, together)


def test_one_stream_is_drawn_in_order_across_batches():
    """The first 2,048 delays are the generator's first 2,048 numbers."""
    numbers = random_stream(42, "alpha").normal(10.0, 5.0, 2_048)
    expected = (np.maximum(numbers, 0) * 1e6).astype(np.int64) / 1e6
    np.testing.assert_array_equal(delays(n=2_048), expected)
