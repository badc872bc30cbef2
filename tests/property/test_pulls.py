"""However a pull is interrupted, and wherever: gone on with, it gives the dataset of one that was not."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.data.vendors.planning import AskFor
from support_pulls import MARKET, DiedError, market, order, pulled, state

CALLS = 1_500_000
"""More than a pull of the market makes, calls and returns of functions together."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a pull gives that nothing interrupts."""
    root = tmp_path_factory.mktemp("undisturbed")
    pulled(root, MARKET, market())
    return state(root)


@settings(max_examples=6)
@given(
    deaths=st.lists(st.integers(1, 40), max_size=4),
    fold_rows=st.sampled_from([20, 120, 1_000_000]),
    rows_per_answer=st.sampled_from([2, 1_000_000]),
    ends=st.lists(st.sampled_from(["2023-12-05", "2024-01-20", "2024-03-28"]), max_size=4),
)
def test_a_pull_that_dies_in_any_request_gives_the_same_dataset(
    undisturbed: dict[str, object],
    tmp_path_factory: pytest.TempPathFactory,
    deaths: list[int],
    fold_rows: int,
    rows_per_answer: int,
    ends: list[str],
) -> None:
    root = tmp_path_factory.mktemp("dying")
    whole: list[tuple[AskFor, str, dt.date, dt.date]] = []
    orders = [order(["AAA", "CCC"], "2023-11-01", end) for end in ends]
    for what, dies_at in [*zip(orders, [*deaths, *[None] * 4], strict=False), *((MARKET, at) for at in deaths), (MARKET, None)]:
        vendor = market()
        vendor.dies_at, vendor.rows_per_answer = dies_at, rows_per_answer
        with contextlib.suppress(DiedError):
            pulled(root, what, vendor, fold_rows=fold_rows)
        # A page counts once its last part was answered.
        whole += [(k, r.symbol, r.first, r.last) for k, r in vendor.answered if vendor.was_last(k, r)]
    assert state(root) == undisturbed
    assert len(whole) == len(set(whole))
    for symbol in MARKET.symbols:
        days = sorted((first, last) for kind, name, first, last in whole if kind is AskFor.BARS and name == symbol)
        assert all(last < first for (_, last), (first, _) in itertools.pairwise(days))


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[str]]:
    """A program that forks pulls which are killed."""
    here = Path(__file__).parents[1]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), *sys.path])}
    command = [sys.executable, str(here / "support_pulls.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        yield program
        program.stdin.close()


@pytest.mark.parametrize("seed", range(6))
def test_a_pull_that_is_killed_at_any_call_gives_the_same_dataset(
    nursery: subprocess.Popen[str], undisturbed: dict[str, object], tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    deaths = 0
    # Early deaths and late ones alike: the exponent is what is uniform.
    while not _lived(nursery, tmp_path, round(math.exp(rng.uniform(math.log(3_000), math.log(CALLS))))):
        deaths += 1
    assert deaths
    assert state(tmp_path) == undisturbed


def _lived(nursery: subprocess.Popen[str], root: Path, at: int) -> bool:
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(json.dumps([str(root), at]) + "\n")
    nursery.stdin.flush()
    code = int(nursery.stdout.readline())
    assert code in {0, -signal.SIGKILL}
    return code == 0
