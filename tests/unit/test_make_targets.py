"""Targets whose names hold a colon do what their plain twins do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(*arguments):
    # As from a shell, also where the tests are themselves started by make.
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", *arguments], cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def _needs_make():
    if shutil.which("make") is None:
        pytest.skip("there is no make on this machine")


def commands(*arguments):
    """What would be run, without setting up."""
    return make("-n", "RUNTIME=", *arguments).strip().removeprefix(".venv/bin/")


@pytest.mark.parametrize("name", ["data-validate", "bt-run"])
def test_a_colon_name_is_a_twin(name):
    assert commands(name.replace("-", ":")) == commands(name)
    assert f"  {name.replace('-', ':')} " in make("help")


def test_what_is_validated_follows_from_its_name():
    assert commands("data-validate") == "fairlead factory check configs/factory_insidebar.yaml"
    assert commands("data-validate", "DATA=my.yaml") == "fairlead factory check my.yaml"
    assert commands("data-validate", "DATA=prices") == "fairlead data check prices"


def test_what_is_run_follows_from_the_file():
    assert commands("bt-run") == "fairlead factory run configs/factory_insidebar.yaml"
    assert (
        commands("bt-run", "CONFIG=configs/environments/backtest.yaml")
        == "fairlead backtest configs/environments/backtest.yaml"
    )
