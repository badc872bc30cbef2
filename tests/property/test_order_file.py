"""The order file keeps every row that was written and doubles none, whoever writes and whoever dies (domain rule 4.4)."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import support_orders
from fairlead.contracts.orders import OrderWriter, check_orders, read_orders
from fairlead.core.errors import ContractError
from support_orders import ENDLESS, order

NUMBERS = st.integers(0, 12)


class SharedFile(RuleBasedStateMachine):
    """Three writers, and crashes that leave any beginning of a row behind."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "orders.csv"
        self.writers = [OrderWriter(self.path) for _ in range(3)]
        self.written = {}
        self.torn = ""

    def teardown(self):
        self.folder.cleanup()

    @rule(who=st.integers(0, 2), numbers=st.lists(NUMBERS, min_size=1, max_size=4))
    def write(self, who, numbers):
        wanted = [order(number, created_at=support_orders.NOON.replace(second=who)) for number in numbers]
        found = self.writers[who].extend(wanted)
        for number, new, kept in zip(numbers, wanted, found, strict=True):
            assert kept == self.written.setdefault(number, new)
        self.torn = ""

    @rule(who=st.integers(0, 2), number=NUMBERS, other=NUMBERS)
    def conflict(self, who, number, other):
        if number in self.written:
            before = self.path.read_bytes()
            with pytest.raises(ContractError, match="another content"):
                self.writers[who].extend([order(other + 100), order(number, qty=Decimal(7))])
            complete = before[: before.rfind(b"\n") + 1]
            assert self.path.read_bytes() == complete
            self.torn = ""

    @rule(number=NUMBERS, share=st.floats(0.01, 0.99))
    def crash(self, number, share):
        if self.written and not self.torn:
            line = ",".join(order(number + 200).to_cells())
            self.torn = line[: max(1, int(share * len(line)))]
            with self.path.open("a") as file:
                file.write(self.torn)

    @rule(who=st.integers(0, 2))
    def start_again(self, who):
        self.writers[who] = OrderWriter(self.path)

    @invariant()
    def every_row_is_there_once(self):
        if self.path.exists():
            found = read_orders(self.path)
            assert [row.oco_id for row in found.orders] == [row.oco_id for row in self.written.values()]
            assert found.orders == tuple(self.written.values())
            assert found.torn == (self.torn or None)


SharedFile.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
test_any_order_of_writers_and_crashes = SharedFile.TestCase


def start(path, numbers, *, batch=1, calls=ENDLESS, seed=0):
    command = [sys.executable, support_orders.__file__, str(path), json.dumps([numbers, batch, calls, seed])]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)


def go(*writers):
    """Let writers begin; return what each says until it ends."""
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    return [
        [int(line) for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith(b"\n")] for writer in writers
    ]


def held_by(path):
    """The numbers of the orders in a file, which must have no bad row and no order twice."""
    found = check_orders(path)
    assert found.problems == ()
    return [int(row.oco_id[-6:]) for row in found.orders]


def test_processes_that_write_at_once_write_each_order_once(tmp_path):
    """Three begin together with the same sixty orders; each of them hears of all that they are there."""
    path, numbers = tmp_path / "orders.csv", list(range(60))
    said = go(*(start(path, numbers, batch=batch) for batch in (1, 1, 2)))
    assert said == [numbers] * 3
    assert held_by(path) == numbers


@pytest.mark.parametrize("seed", range(3))
def test_processes_that_are_killed_lose_nothing_and_double_nothing(tmp_path, seed):
    """Four write the same orders at once and are killed inside their calls; others go on, until one comes to its end."""
    chance = random.Random(3000 + seed)
    path, numbers, said, deaths = tmp_path / "orders.csv", list(range(24)), set(), 0
    for _ in range(4):
        batches = [(chance.sample(numbers, len(numbers)), chance.choice([1, 1, 3])) for _ in range(4)]
        writers = [
            start(path, mixed, batch=batch, calls=chance.randrange(1, 16), seed=chance.randrange(1 << 30))
            for mixed, batch in batches
        ]
        said |= {number for numbers_said in go(*writers) for number in numbers_said}
        deaths += sum(writer.returncode != 0 for writer in writers)
        assert said <= set(held_by(path))
    assert go(start(path, numbers)) == [numbers]
    assert sorted(held_by(path)) == numbers
    assert read_orders(path).torn is None
    assert deaths > 8


def test_a_writer_killed_from_outside_has_kept_its_word(tmp_path):
    """Killed at whatever point it has reached: what it said was written is there."""
    path, numbers = tmp_path / "orders.csv", list(range(3000))
    said = []
    for kept in (1, 20, 90):
        with start(path, numbers[len(said) :]) as writer:
            writer.stdin.write(b"go\n")
            writer.stdin.flush()
            said += [int(writer.stdout.readline()) for _ in range(kept)]
            writer.kill()
            # Not `communicate`, which does not see what was read ahead of the lines above.
            said += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        held = held_by(path)
        assert held == numbers[: len(held)]
        assert said == numbers[: len(said)]
        assert len(held) - len(said) in (0, 1)


def test_threads_share_a_writer(tmp_path):
    """One writer, several threads, the same orders: each row once, and every caller gets the row of the file."""
    writer = OrderWriter(tmp_path / "orders.csv")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: writer.append(order(number % 20)), range(160)))
    assert found == [order(number % 20) for number in range(160)]
    assert len(read_orders(writer.path).orders) == 20
