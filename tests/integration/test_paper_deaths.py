"""A paper session that is killed and started again loses nothing, sends nothing twice, and ends as it would have ended.

Every seed is a session with three strategies, one of which fails, on an account of some kind, with partial fills and delays.
It runs once undisturbed. Then it runs again, on a feed that breaks off and repeats itself, every other one with reports
that come twice and out of order, and is killed at any call or return
of a function, or inside the database, or finds the disk full, up to five times, and is started again each time with the same
command. FAIRLEAD_DEATH_RUNS asks for more seeds than the suite has; FAIRLEAD_DEATH_SEED=n runs that of a failure again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from fairlead.journal import Kind, entries, open_store, verify
from support_cli import fairlead
from support_deaths import FULL, config_of

RUNS = int(os.environ.get("FAIRLEAD_DEATH_RUNS", "12"))
ONLY = os.environ.get("FAIRLEAD_DEATH_SEED")
FIRST = int(os.environ.get("FAIRLEAD_DEATH_FIRST", "0"))
SEEDS = [int(ONLY)] if ONLY else range(FIRST, FIRST + RUNS)
MOST_DEATHS = 5
KILLED = -9
SURELY = {"calls": (0.9, KILLED), "database": (1_000, KILLED), "full": (2_000, FULL)}
"""Of each way of dying: how far a session surely does not come, and how it ends then."""
PERHAPS = {"calls": 1.1, "database": 5_000, "full": 60_000}
WAYS = ("calls", "database", "calls", "full")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")


class Nursery:
    """Sends a session through its lives."""

    def __init__(self, process: subprocess.Popen[str], toy: Path) -> None:
        self._process, self._toy = process, toy

    def home(self, folder: Path) -> Path:
        """A new workspace with the bars in it."""
        shutil.copytree(self._toy, folder)
        return folder

    def live(self, workspace: Path, seed: int, way: str, at: int = 0, *, life: int = 0, scrambled: bool = False) -> int:
        """Let a session live once more, from its first life on with trouble, and return how that ended."""
        asked = {"workspace": str(workspace), "seed": seed, "way": way, "at": at, "life": life, "scrambled": scrambled}
        (workspace / "error.txt").unlink(missing_ok=True)
        self._process.stdin.write(json.dumps(asked) + "\n")
        return int(self._process.stdout.readline())


def halts(seed: int) -> bool:
    """Whether the kill switches of a seed are so near that they trip."""
    return "critical_pct: 0.3" in config_of(seed)


def error_of(workspace: Path) -> str:
    """What ended a life that was not killed."""
    path = workspace / "error.txt"
    return path.read_text() if path.exists() else ""


@pytest.fixture(scope="module")
def nursery(tmp_path_factory) -> Iterator[Nursery]:
    toy = tmp_path_factory.mktemp("toy") / "home"
    size = ("--bar-size", "5min", "--start", "2024-01-02", "--end", "2024-01-02")
    made = fairlead("data", "synth", "toy", "--symbols", "AAA,BBB", *size, cwd=toy.parent, FAIRLEAD_HOME=str(toy))
    assert made.code == 0, made.err
    first = shutil.copytree(toy, toy.parent / "first")
    command = [sys.executable, "-m", "support_deaths", str(first)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, env=environ, **pipes) as process:
        yield Nursery(process, toy)
        process.stdin.close()


def facts(workspace: Path) -> dict[str, Any]:
    return json.loads((workspace / "facts.json").read_text())


def journalled(workspace: Path) -> dict[str, list[Any]]:
    """What a journal says of money, in order, once it has been found whole."""
    (path,) = workspace.glob("sessions/*/journal.db")
    with closing(open_store(path)) as store:
        verdict = verify(store)
        assert verdict.whole, verdict.text
        records = list(store.read())
    made = [order for r in records if r.kind == Kind.ORDER and (order := entries.order_of(r)) is not None]
    changes = [change for r in records if r.kind == Kind.ORDER and (change := entries.update_of(r)) is not None]
    return {
        "wishes": [(r.ts_ns, r.strategy, r.payload) for r in records if r.kind == Kind.INTENT],
        "orders": [order.order_id for order in made],
        "updates": [tuple(change) for change in changes],
        "fills": [tuple(entries.fill_of(r)) for r in records if r.kind == Kind.FILL],
        "switches": [(r.strategy, r.data["switch"], r.data["state"]) for r in records if r.kind == Kind.SWITCH],
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_it_goes_on_where_it_was(nursery, tmp_path, seed):
    whole = nursery.home(tmp_path / "whole")
    assert nursery.live(whole, seed, "calls", 10**9) == 0
    calls = int((whole / "calls").read_text())
    assert facts(whole)["failed"] == ["raiser"], f"seed {seed}"
    rng, ends = random.Random(seed), Counter()
    mortal, scrambled = nursery.home(tmp_path / "mortal"), seed % 2 == 1
    for life in range(1, 1 + rng.randint(1, MOST_DEATHS)):
        # A halt that is on no record, as the disk was full, holds after a restart: that session ends otherwise, and should.
        ways = WAYS[:-1] if halts(seed) else WAYS
        way = ways[(seed + life) % len(ways)]
        most, expected = SURELY[way] if life == 1 else (PERHAPS[way], None)
        most *= calls if way == "calls" else 1
        end = nursery.live(mortal, seed, way, rng.randint(1, int(most)), life=life, scrambled=scrambled)
        ends[way, end] += 1
        assert end in ({0, KILLED, FULL} if expected is None else {expected}), f"seed {seed}: {way}\n{error_of(mortal)}"
        if end == 0:
            break
    else:
        assert nursery.live(mortal, seed, "none", life=99, scrambled=scrambled) == 0, (
            f"seed {seed}: {dict(ends)}\n{error_of(mortal)}"
        )
    where = f"seed {seed}, {dict(ends)}"
    found, expected, told, wanted = facts(mortal), facts(whole), journalled(mortal), journalled(whole)
    if scrambled:
        # Between orders, reports may change places; of each order they are what they were.
        by_order = itemgetter(0)
        del found["digest"], expected["digest"]
        for one in (found, expected):
            one["fills"].sort(key=itemgetter(1))
        for one in (told, wanted):
            one["updates"].sort(key=by_order)
            one["fills"].sort()
        for curve in ("equity", "cash"):
            assert found.pop(curve) == pytest.approx(expected.pop(curve), rel=1e-12), where
    assert found == expected, where
    assert told == wanted, where
    for kind in ("orders", "fills"):
        assert max(Counter(told[kind]).values(), default=1) == 1, where
