"""A journal that is gone through once more: what it holds comes again or the session stops, and what is new is added."""

from __future__ import annotations

import pytest

from fairlead.journal import Entry, Journal, JournalSettings, Kind
from fairlead.journal.retrace import Diverged, RetracedJournal


def entry(number: int, kind: Kind = Kind.ORDER, **payload) -> Entry:
    return Entry(number, kind, {"n": number, **payload}, "alpha", "A")


@pytest.fixture
def journal(tmp_path):
    with Journal.open(JournalSettings(), "run", tmp_path) as opened:
        opened.append(entry(0, Kind.SESSION))
        for made in (entry(1), entry(2, Kind.FILL), entry(3, Kind.NOTE), entry(4)):
            opened.append(made)
        opened.flush()
        yield opened


def retraced(journal, skipped=lambda record: False) -> RetracedJournal:
    return RetracedJournal(journal, 2, skipped)


def again(found, *entries):
    for one in entries:
        found.append(one)


def test_what_comes_again_is_not_written_again(journal):
    found = retraced(journal)
    again(found, entry(1), entry(2, Kind.FILL), entry(3, Kind.NOTE), entry(4))
    assert (journal.last_seq, found.finish().to_dict()) == (5, {"found": 4, "added": 0})
    found.append(entry(1))
    assert journal.last_seq == 6


def test_what_is_new_is_added(journal):
    found = retraced(journal)
    again(found, entry(1), entry(2, Kind.FILL), entry(3, Kind.NOTE), entry(4), entry(5), entry(6, Kind.FILL))
    assert found.finish().to_dict() == {"found": 4, "added": 2}
    found.flush()
    assert [record.data["n"] for record in journal.read(6)] == [5, 6]


def test_a_crash_between_two_kinds_costs_neither(journal):
    """Of the kinds that a crash has cut short each goes on where it was."""
    found = retraced(journal)
    again(found, entry(1), entry(4), entry(2, Kind.FILL), entry(7, Kind.FILL), entry(3, Kind.NOTE), entry(8))
    assert found.finish().to_dict() == {"found": 4, "added": 2}


@pytest.mark.parametrize(
    "other",
    [
        entry(4),
        entry(1, more=True),
        entry(1)._replace(ts_ns=2),
        entry(1)._replace(strategy="beta"),
        entry(1)._replace(symbol="B"),
        entry(1)._replace(order_id="x"),
    ],
)
def test_what_comes_otherwise_stops_it(journal, other):
    text = 'record 2 of the journal does not come again, .* It says order 1 alpha A {"n": 1}; now came order .* start another'
    with pytest.raises(Diverged, match=text):
        retraced(journal).append(other)
    assert journal.last_seq == 5


def test_what_does_not_come_again_stops_it(journal):
    found = retraced(journal)
    again(found, entry(1), entry(4))
    with pytest.raises(Diverged, match=r"record 3 .* It says fill 2 alpha A .*; now came nothing"):
        found.finish()


def test_what_only_tells_may_be_told_otherwise(journal):
    found = retraced(journal)
    again(found, entry(1), entry(2, Kind.FILL), entry(9, Kind.NOTE), entry(4))
    assert found.finish().to_dict() == {"found": 3, "added": 1}


def test_what_is_skipped_is_not_waited_for(journal):
    found = retraced(journal, lambda record: record.kind == Kind.FILL)
    again(found, entry(1), entry(3, Kind.NOTE), entry(4))
    assert found.finish().to_dict() == {"found": 3, "added": 0}


def test_a_number_that_json_has_not_is_what_it_was_written_as(tmp_path):
    with Journal.open(JournalSettings(), "run", tmp_path) as opened:
        opened.append(entry(1, value=float("nan")))
        opened.flush()
        found = RetracedJournal(opened, 1, lambda record: False)
        found.append(entry(1, value=float("nan")))
        assert found.finish().found == 1


def test_a_checkpoint_must_come_again(tmp_path):
    with Journal.open(JournalSettings(), "run", tmp_path) as opened:
        opened.append(entry(1, Kind.SESSION, event="checkpoint", state="a"))
        opened.flush()
        found = RetracedJournal(opened, 1, lambda record: False)
        with pytest.raises(Diverged, match=r'"state": "a".*now came session .*"state": "b"'):
            found.append(entry(1, Kind.SESSION, event="checkpoint", state="b"))
