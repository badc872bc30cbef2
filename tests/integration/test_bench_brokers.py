"""The benchmark of brokers: a short one runs through its gate, and what it cannot do is one error."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "brokers.py"


def run(*args):
    command = [sys.executable, str(BENCHMARK), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=BENCHMARK.parent, timeout=120)


@pytest.mark.parametrize("broker", ["alpaca", "ibkr"])
def test_every_order_is_there_once(broker):
    done = run(broker, "--seconds", "2")
    # How fast it was depends on what else runs here; that every order arrived once, and none was refused, does not.
    assert done.stderr == ""
    assert "are there" not in done.stdout
    assert "refused" not in done.stdout
    assert f"{broker}: {100 if broker == 'ibkr' else 2} orders" in done.stdout


@pytest.mark.parametrize(("args", "told"), [(("nobody",), "no broker named nobody"), (("--seconds", "0"), "must be above 0")])
def test_what_it_cannot_do_is_one_error(args, told):
    done = run(*args)
    assert done.returncode == 2
    assert told in done.stderr
