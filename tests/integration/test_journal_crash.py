"""A writer that is killed at any instant has lost nothing that it reported durable, and left a chain that holds.

A nursery process forks the writers, so that a death costs milliseconds. Each writer goes on where the one before it ended, in
groups of random size, and dies in one of three ways: inside the database, after so many instructions of its machine, commits
and checkpoints included; between two calls of its own; or by a timer, whatever it does. A death leaves what the system has been
given: that the disk was asked to keep it is what ``synchronous=FULL`` is for, and no test can pull the plug. The writer of a
seed dies in the same place again, unless it was the timer's. FAIRLEAD_JOURNAL_LIVES asks for more deaths than the suite has.
"""

import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from fairlead.journal import open_store, read_head, verify

SEED = 3_007
LIVES = int(os.environ.get("FAIRLEAD_JOURNAL_LIVES", "30"))
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
    signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.001, 0.2) if way == "outside" else 0.5)
    journal = Journal.open(JournalSettings(head_every=rng.choice([3, 50])), f"run-{seed}", workspace)
    os.write(told, b"%d\\n" % journal.durable_seq)
    while True:
        for _ in range(rng.randint(1, 20)):
            ticket = journal.append(numbered(journal.last_seq))
            calls -= 1
            if calls == 0:
                die()
        journal.durable(ticket)
        os.write(told, b"%d\\n" % ticket.seq)

for line in sys.stdin:
    workspace, seed, told = line.split()
    pid = os.fork()
    if not pid:
        write(Path(workspace), int(seed), os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")
def test_nothing_that_was_reported_durable_is_ever_lost(tmp_path):
    reported = held = 0
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environ
    ) as nursery:
        for life in range(LIVES):
            seed = SEED + life
            told = tmp_path / f"told-{life}"
            nursery.stdin.write(f"{tmp_path} {seed} {told}\n")
            ended = int(nursery.stdout.readline())
            assert ended in (-signal.SIGKILL, -signal.SIGALRM), f"seed {seed}: the writer ended by itself, with {ended}"
            lines = told.read_text().split()
            assert not lines or int(lines[0]) >= held, f"seed {seed}: opened with fewer records than were there"
            reported = max([reported, *map(int, lines)])
            if not reported:
                continue  # it may have died before there was a journal
            with closing(open_store(tmp_path / "journal.db")) as store:
                verdict = verify(store, read_head(tmp_path / "journal.head"))
                assert verdict.whole, f"seed {seed}: {verdict.text}"
                assert verdict.records >= reported, f"seed {seed}: {reported} were durable, {verdict.records} are there"
                held = verdict.records
        nursery.stdin.close()
    with closing(open_store(tmp_path / "journal.db")) as store:
        assert [record.data["i"] for record in store.read()] == list(range(held))
    assert reported > LIVES * 10
