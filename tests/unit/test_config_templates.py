"""The templates load as they are, on a machine where nothing is set."""

import re
from pathlib import Path

import pytest

from fairlead.config.loading import load_settings
from fairlead.config.templates import template_names, template_text
from fairlead.core.errors import UnknownName

CONFIGS = Path(__file__).parents[2] / "configs"
STRATEGIES = ["buy_and_hold", "fixed_weights", "insidebar", "mean_reversion", "momentum", "rsi", "sma_crossover"]


@pytest.mark.parametrize("name", template_names())
def test_a_template_loads(name):
    config = load_settings(CONFIGS / f"{name}.yaml", environ={})
    folder, _, stem = name.partition("/")
    assert config.settings.mode == (stem if folder == "environments" else "backtest")


@pytest.mark.parametrize("name", template_names())
def test_a_template_is_what_stands_in_configs(name):
    assert template_text(name) == (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")


def test_every_environment_and_strategy_has_one():
    expected = [*(f"environments/{mode}" for mode in ("backtest", "live", "paper")), *(f"strategies/{s}" for s in STRATEGIES)]
    assert list(template_names()) == expected


def test_an_unknown_template_is_refused():
    with pytest.raises(UnknownName, match=re.escape("did you mean 'strategies/rsi'?")):
        template_text("strategies/rsj")


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_template_states_every_parameter(name):
    """A parameter that is added to a strategy is added to its template."""
    config = load_settings(CONFIGS / "strategies" / f"{name}.yaml", environ={})
    (entry,) = config.settings.strategies
    assert entry.reference == name
    assert set(config.document.child("strategies").child(0).child("params").mapping) == set(entry.params)
    assert config.settings.data.source == ("synthetic" if name == "insidebar" else "bundled")


@pytest.mark.parametrize("profile", ["recent", "costly"])
def test_the_profiles_of_the_backtest_template_change_it(profile):
    path = CONFIGS / "environments" / "backtest.yaml"
    assert load_settings(path, environ={}, profile=profile).hash != load_settings(path, environ={}).hash
