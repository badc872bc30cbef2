# ruff: noqa: E501  one row per mistake, with the whole message, reads best
"""Guards from the command line: a file of limits, switches of the environment, what is kept, replay, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from support_cli import fairlead, write_desk

LIMITS = "guards:\n  max_symbol_qty: 5\n"


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder whose run buys ten shares, with a limit of five in a file beside it."""
    folder = write_desk(tmp_path / "desk")
    (folder / "risk.yml").write_text(LIMITS)
    (folder / "run.yaml").write_text((folder / "run.yaml").read_text() + "risk: risk.yml\n")
    return folder


def ran(desk: Path, *args: str, **environ: str) -> tuple[dict, Path]:
    """Run the configuration; return its metrics and its directory."""
    done = fairlead("backtest", "run.yaml", "--json", *args, cwd=desk, **environ)
    assert done.code == 0, done.err
    folder = desk / done.json["path"]
    return json.loads((folder / "metrics.json").read_text()), folder


def checks(folder: Path) -> list[dict]:
    """Return what guards found, from the run directory."""
    file = folder / "order_checks.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def test_a_refusal_is_in_the_run_directory(desk):
    metrics, folder = ran(desk)
    assert (metrics["num_orders"], metrics["num_fills"]) == (1, 0)
    (found,) = checks(folder)
    assert found["outcome"] == "rejected"
    assert found["reason"] == "G2 PerSymbolMaxQty: symbol_quantity 10, limit 5"
    assert "G2 PerSymbolMaxQty" in (folder / "orders.csv").read_text()
    assert "order_checks.jsonl" in {item["name"] for item in json.loads((folder / "manifest.json").read_text())["artefacts"]}
    kept = yaml.safe_load((folder / "config.yaml").read_text())
    assert kept["risk"]["guards"]["max_symbol_qty"] == 5
    assert kept["enforcement"]["guards"] == "enforce"


@pytest.mark.parametrize(
    ("switch", "level", "outcomes"), [("warn", "warn", ["warned"]), ("0", "off", []), ("FALSE", "off", [])]
)
def test_the_environment_switches_the_level_and_the_run_keeps_it(desk, switch, level, outcomes):
    metrics, folder = ran(desk, ENABLE_RISK_GUARDS=switch)
    assert metrics["num_fills"] == 1
    assert [found["outcome"] for found in checks(folder)] == outcomes
    assert yaml.safe_load((folder / "config.yaml").read_text())["enforcement"]["guards"] == level
    # A replay is that of the run, whatever the environment says by then.
    again = fairlead("replay", "latest", cwd=desk, ENABLE_RISK_GUARDS="enforce")
    assert again.code == 0, again.err


def test_a_guarded_run_replays_to_the_same(desk):
    ran(desk, "--record")
    again = fairlead("replay", "latest", cwd=desk)
    assert again.code == 0, again.err + again.out


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("guards: {max_pos_pct: 0.2}\n", "'risk.guards.max_pos_pct' must be in [1, 1000], in percent, was 0.2. Write 20 for 20 percent."),
        ("guards: {max_daily_loss: -5}\n", "'risk.guards.max_daily_loss' must be in (0, 1000000000000], was -5."),
        ("- guards\n", "the file must be a mapping of keys to values, was a list."),
    ],
)  # fmt: skip
def test_bad_limits_are_one_error_at_their_line(desk, limits, message):
    (desk / "risk.yml").write_text(limits)
    done = fairlead("backtest", "run.yaml", cwd=desk, COLUMNS="500")
    assert done.code == 2
    assert f"risk.yml:1: {message}" in done.err
    assert not (desk / "artifacts" / "runs").exists()


def test_a_misspelt_switch_is_an_error(desk):
    done = fairlead("backtest", "run.yaml", cwd=desk, ENABLE_RISK_GUARDS="of", COLUMNS="500")
    assert done.code == 2
    assert "'ENABLE_RISK_GUARDS' must be off, warn, enforce, 1 or 0, was 'of'" in done.err
