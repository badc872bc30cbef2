# ruff: noqa: E501  one row per mistake, with the whole message, reads best
"""The sections ``risk`` and ``enforcement`` of a configuration: defaults, files, switches, and mistakes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from fairlead.config.effective import dump_yaml
from fairlead.config.loading import load_settings
from fairlead.config.problems import ConfigurationProblems
from fairlead.config.wire import wire
from fairlead.contracts.enforcement import Enforcement
from fairlead.core.errors import ConfigurationError
from fairlead.risk import RiskSettings
from fairlead.risk.guards.settings import GuardSettings
from fairlead.risk.validator import ValidatorSettings

SHIPPED = Path(__file__).parents[2] / "configs" / "risk.yml"
SESSION = """\
mode: backtest
data: {source: bundled}
strategies:
  - {name: buy_and_hold, capital: 1000}
"""


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(text=SESSION, environ=None, **more):
    Path("run.yaml").write_text(text, encoding="utf-8")
    return load_settings("run.yaml", environ=environ or {}, **more)


def problems(text, **more):
    with pytest.raises(ConfigurationProblems) as caught:
        load(text, **more)
    return list(caught.value.problems)


def test_a_session_without_the_section_has_no_guards():
    loaded = load()
    assert loaded.settings.armed is None
    assert "risk" not in loaded.effective
    assert not wire(loaded, {}).plan().is_guarded


@pytest.mark.parametrize("section", ["risk:\n", "risk: {}\n", "risk: {guards: }\n"])
def test_the_section_alone_arms_the_defaults(section):
    loaded = load(SESSION + section)
    assert loaded.settings.armed == RiskSettings()
    assert loaded.effective["risk"]["guards"]["max_daily_loss"] == 1_000
    plan = wire(loaded, {}).plan()
    assert plan.is_guarded
    assert plan.risk == RiskSettings()


def test_the_file_that_ships_states_every_default():
    stated = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    assert RiskSettings.model_validate(stated) == RiskSettings()
    assert list(stated["guards"]) == list(GuardSettings.model_fields)
    assert list(stated["validator"]) == list(ValidatorSettings.model_fields)


def test_the_section_may_be_a_file_beside_the_configuration(tmp_path, monkeypatch):
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "risk.yml").write_text("guards:\n  max_daily_loss: ${LOSS}\n  blacklist: [gme]\n", encoding="utf-8")
    (folder / "run.yaml").write_text(f"{SESSION}risk: risk.yml\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    loaded = load_settings("desk/run.yaml", environ={"LOSS": "250.50"}, overrides=["risk.guards.max_open_positions=3"])
    guards = loaded.settings.armed.guards
    assert (guards.max_daily_loss, guards.blacklist, guards.max_open_positions) == (Decimal("250.5"), ("GME",), 3)


def test_a_file_may_be_named_by_an_override_and_by_the_environment():
    Path("strict.yml").write_text("guards: {max_drawdown: 10}\n", encoding="utf-8")
    assert load(overrides=["risk=strict.yml"]).settings.armed.guards.max_drawdown == 10
    named = load(f"{SESSION}risk: ${{RISK_FILE}}\n", environ={"RISK_FILE": "strict.yml"})
    assert named.settings.armed.guards.max_drawdown == 10


def test_a_mistake_in_the_file_is_named_at_its_line():
    Path("risk.yml").write_text("guards:\n  max_daily_loss: 500\n  max_pos_pct: 0.02\n", encoding="utf-8")
    assert problems(f"{SESSION}risk: risk.yml\n") == [
        "risk.yml:3: 'risk.guards.max_pos_pct' must be in [1, 1000], in percent, was 0.02. Write 2 for 2 percent."
    ]
    (found,) = problems(f"{SESSION}risk: none.yml\n")
    assert found.startswith("none.yml:1: the file must be readable, was not")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{guards: {max_daily_loss: 0}}", "'risk.guards.max_daily_loss' must be in (0, 1000000000000], was 0."),
        ("{guards: {max_daily_loss: lots}}", "'risk.guards.max_daily_loss' must be a number, was 'lots'."),
        ("{guards: {max_daily_loss: true}}", "'risk.guards.max_daily_loss' must be a number, was True"),
        ("{guards: {max_open_positions: 0}}", "'risk.guards.max_open_positions' must be in [1, 100000], was 0."),
        ("{guards: {max_slippage_pct: 0.05}}", "'risk.guards.max_slippage_pct' must be in [0.1, 100], in percent, was 0.05. Write 5"),
        ("{guards: {disabled: [G14]}}", "'risk.guards.disabled.0' must be one of 'G1', 'G2'"),
        ("{guards: {max_dayly_loss: 1}}", "'risk.guards.max_dayly_loss' must be a known key, was unknown. Did you mean 'max_daily_loss'?"),
        ("{validator: {max_leverage: 21}}", "'risk.validator.max_leverage' must be in (0, 20], was 21."),
        ("{validator: {order_types: [PEGGED]}}", "'risk.validator.order_types.0' must be one of 'MARKET', 'LIMIT'"),
        ("5", "'risk' must be a mapping of keys to values, was 5."),
    ],
)  # fmt: skip
def test_limits_out_of_range_are_refused(section, message):
    (found,) = problems(f"{SESSION}risk: {section}\n")
    assert found.startswith(f"run.yaml:5: {message}")


def test_levels_are_part_of_a_session_and_the_environment_switches_them():
    assert load().effective["enforcement"] == {"contracts": "enforce", "slas": "enforce", "guards": "enforce"}
    text = f"{SESSION}risk:\nenforcement: {{guards: warn}}\n"
    assert wire(load(text), {}).plan().guarded is Enforcement.WARN
    switched = load(text, environ={"ENABLE_RISK_GUARDS": "0", "ENABLE_CONTRACTS": "warn"})
    assert switched.effective["enforcement"] == {"contracts": "warn", "slas": "enforce", "guards": "off"}
    assert switched.hash != load(text).hash
    assert not wire(switched, {}).plan().is_guarded


def test_a_misspelt_switch_turns_nothing_off():
    with pytest.raises(ConfigurationError, match="'ENABLE_RISK_GUARDS' must be off, warn, enforce, 1 or 0, was 'fasle'"):
        load(environ={"ENABLE_RISK_GUARDS": "fasle"})
    assert problems(f"{SESSION}enforcement: {{guards: of}}\n")[0].startswith("run.yaml:5: 'enforcement.guards' must be one of")


@pytest.mark.parametrize("section", ["", "risk: {guards: {max_daily_loss: 12.25, disabled: [G8]}}\n"])
def test_what_is_kept_with_a_run_loads_to_the_same(section):
    loaded = load(SESSION + section)
    again = load(dump_yaml(loaded.effective))
    assert again.settings == loaded.settings
    assert again.hash == loaded.hash


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_paper_and_live_arm_the_defaults_without_a_word(mode):
    text = (Path(__file__).parents[2] / "configs" / "environments" / f"{mode}.yaml").read_text(encoding="utf-8")
    assert load(text).settings.armed == RiskSettings()
