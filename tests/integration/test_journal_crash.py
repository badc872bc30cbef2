"""A writer that is killed at any instant has lost nothing that it reported durable, and left a chain that holds.

A nursery process forks the writers, so that a death costs milliseconds. Each writer goes on where the one before it ended, in
groups of random size, and dies in one of three ways: inside the database, after so many instructions of its machine, commits
and checkpoints included; between two calls of its own; or from outside, while it does whatever it does. SIGKILL leaves what the
system has been given: that the disk was asked to keep it is what ``synchronous=FULL`` is for, and no test can pull the plug.
"""

import os
import random
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from fairlead.journal import open_store, read_head, verify
from support_journal import numbered

SEED = 3_007
NURSERY = """
import os, random, signal, sys
from pathlib import Path
from fairlead.journal import Journal, JournalSettings
from fairlead.journal import sqlite, sql
from support_journal import numbered

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def write(workspace, seed, told):
    rng = random.Random(seed)
    way = rng.choice(["inside", "inside", "between", "outside"])
    steps = int(10 ** rng.uniform(1, 5.3))
    if way == "inside":
        prepare = sqlite.SqliteStore._prepare

        def armed(self, writer):
            raw = writer.connection.driver_connection
            state = {"left": steps}

            def count():
                state["left"] -= 1
                if state["left"] <= 0:
                    die()

            raw.set_progress_handler(count, 1)
            prepare(self, writer)

        sqlite.SqliteStore._prepare = armed
    calls = int(10 ** rng.uniform(0, 3.3)) if way == "between" else 0
    journal = Journal.open(JournalSettings(head_every=rng.choice([3, 50])), f"run-{seed}", workspace)
    os.write(told, b"%d\\n" % journal.durable_seq)
    for _ in range(100_000):
        for _ in range(rng.randint(1, 20)):
            ticket = journal.append(numbered(journal.last_seq))
            calls -= 1
            if calls == 0:
                die()
        journal.durable(ticket)
        os.write(told, b"%d\\n" % ticket.seq)
    die()

for line in sys.stdin:
    workspace, seed, told = line.split()
    pid = os.fork()
    if not pid:
        write(Path(workspace), int(seed), os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("lives", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_nothing_that_was_reported_durable_is_ever_lost(tmp_path, lives):
    rng = random.Random(SEED)
    reported = held = 0
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environ
    ) as nursery:
        for life in range(lives):
            told = tmp_path / f"told-{life}"
            nursery.stdin.write(f"{tmp_path} {SEED + life} {told}\n")
            pid = int(nursery.stdout.readline())
            # From outside after a random number of words; those that die by themselves may be gone before.
            wait_for_words(told, pid, rng.randint(1, 60))
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            assert int(nursery.stdout.readline()) == -signal.SIGKILL, f"seed {SEED + life}: the writer ended by itself"
            lines = told.read_text().split() if told.exists() else []
            assert not lines or int(lines[0]) >= held, f"seed {SEED + life}: opened with fewer records than were there"
            reported = max([reported, *map(int, lines)])
            if not (tmp_path / "journal.db").exists() or (reported == 0 and not lines):
                continue
            with closing(open_store(tmp_path / "journal.db")) as store:
                verdict = verify(store, read_head(tmp_path / "journal.head"))
                assert verdict.whole, f"seed {SEED + life}: {verdict.text}"
                assert verdict.records >= reported, f"seed {SEED + life}: {reported} were durable, {verdict.records} are there"
                held = verdict.records
                if life % 10 == 9:
                    assert [record.data["i"] for record in store.read()] == list(range(held))
        nursery.stdin.close()
    assert reported > lives * 10


def wait_for_words(path, pid, count):
    """Return once a writer has said so much, or is dead: then its nursery has taken note of it."""
    while True:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        os.sched_yield()


def test_the_story_can_be_told_again():
    assert numbered(12) == numbered(12) != numbered(13)
