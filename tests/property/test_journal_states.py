"""A journal is a list that only grows, whatever is done with it in whatever order."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fairlead.journal import Entry, Journal, JournalSettings, Kind, Ticket, open_store, read_head, verify

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.builds(
    Entry,
    ts_ns=st.integers(-(1 << 63), (1 << 63) - 1),
    kind=st.sampled_from(Kind),
    payload=st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    strategy=NAMES,
    symbol=NAMES,
    order_id=NAMES,
)


class JournalOfAnySession(RuleBasedStateMachine):
    """Appends, waits, closes, drops and opens anew; a list keeps the same books."""

    @initialize(batch=st.integers(1, 6), head_every=st.integers(1, 8))
    def born(self, batch, head_every):
        self.folder = tempfile.TemporaryDirectory()
        self.settings = JournalSettings(batch=batch, head_every=head_every)
        self.told: list[tuple[str, Entry]] = []
        self.durable = 0
        self.tickets: list[Ticket] = []
        self.run = 0
        self.open()

    def open(self):
        self.run += 1
        self.journal = Journal.open(self.settings, f"run-{self.run}", Path(self.folder.name))
        assert self.journal.last_seq == self.journal.durable_seq == len(self.told)

    @rule(entry=ENTRIES)
    def append(self, entry):
        self.told.append((f"run-{self.run}", entry))
        self.tickets.append(self.journal.append(entry))
        assert self.tickets[-1].seq == len(self.told) == self.journal.last_seq

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def wait(self, data):
        ticket = data.draw(st.sampled_from(self.tickets))
        self.journal.durable(ticket)
        assert self.journal.is_durable(ticket)

    @rule()
    def flush(self):
        self.journal.flush()
        assert self.journal.durable_seq == len(self.told)

    @rule()
    def close_and_open(self):
        self.journal.close()
        self.open()

    @rule()
    def drop_and_open(self):
        """As if the process had died: what nobody waited for is gone, and nothing else."""
        kept = self.journal.durable_seq
        self.journal._store.close()
        del self.told[kept:], self.tickets[kept:]
        self.open()

    @rule(data=st.data())
    def read(self, data):
        start = data.draw(st.integers(1, len(self.told) + 2))
        found = list(self.journal.read(start))
        assert [record.seq for record in found] == list(range(start, self.journal.durable_seq + 1))

    @invariant()
    def what_is_durable_is_the_beginning_of_the_list(self):
        assert self.durable <= self.journal.durable_seq <= len(self.told)
        self.durable = self.journal.durable_seq
        assert len(self.told) - self.durable < self.settings.batch

    def teardown(self):
        if not hasattr(self, "journal"):
            return
        self.journal.close()
        with self.folder, closing(open_store(Path(self.folder.name) / "journal.db")) as store:
            found = list(store.read())
            assert verify(found, read_head(Path(self.folder.name) / "journal.head")).records == len(self.told) == store.count
            told = [(run, entry._replace(payload=record.data)) for (run, entry), record in zip(self.told, found, strict=True)]
            assert [(r.run_id, Entry(r.ts_ns, Kind(r.kind), r.data, r.strategy, r.symbol, r.order_id)) for r in found] == told
            assert all(record.data == entry.payload for (_, entry), record in zip(self.told, found, strict=True))


TestJournalOfAnySession = JournalOfAnySession.TestCase
TestJournalOfAnySession.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
