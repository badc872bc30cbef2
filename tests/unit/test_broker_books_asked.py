"""When a difference between a session's books and the broker's counts."""

from types import SimpleNamespace

from fairlead.control.brokerbooks import CONFIRM, SCHEDULE, START, BrokerBooks
from fairlead.execution.brokers.words import BrokerAccount, BrokerPosition, Snapshot
from fairlead.execution.reconciliation import ReconciliationSettings

NOTHING_DONE = SimpleNamespace(orders=[], updates=[], fills=[])


def seen(asked_ns, units):
    """What a broker shows that was asked at an instant."""
    account = BrokerAccount("DU1", True, "USD", 1000.0, 1000.0, 1000.0, 0.0)
    return Snapshot(asked_ns, account, (BrokerPosition("A", units, 1.0),) if units else (), (), ())


def books():
    asked, told = [], []
    made = BrokerBooks(
        ReconciliationSettings(),
        lambda found, _news: told.append(found),
        asked.append,
        lambda _reference: None,
        lambda *_adopted: None,
    )
    made.begin(SimpleNamespace(desk=NOTHING_DONE), {"A": 1.0}, lambda name: name)
    made.compare(seen(1, 0.0), START, NOTHING_DONE, 2)
    assert made.is_known
    return made, asked, told


def test_a_difference_that_is_still_there_when_it_is_asked_again_counts():
    made, asked, told = books()
    made.compare(seen(10, 5.0), SCHEDULE, NOTHING_DONE, 20)
    assert (asked, told) == ([CONFIRM], [])
    made.compare(seen(21, 5.0), CONFIRM, NOTHING_DONE, 30)
    assert made.mismatches
    assert made.is_strict
    assert len(told) == 1


def test_books_that_were_asked_for_before_the_doubt_confirm_nothing():
    made, asked, told = books()
    made.compare(seen(10, 5.0), SCHEDULE, NOTHING_DONE, 20)
    made.compare(seen(11, 5.0), SCHEDULE, NOTHING_DONE, 21)
    assert (asked, told) == ([CONFIRM], [])
    made.compare(seen(22, 0.0), CONFIRM, NOTHING_DONE, 30)
    assert not made.mismatches
    assert told == []


def test_where_a_clock_stands_only_what_was_asked_because_of_the_doubt_confirms_it():
    made, asked, told = books()
    made.compare(seen(20, 5.0), SCHEDULE, NOTHING_DONE, 20)
    made.compare(seen(20, 5.0), SCHEDULE, NOTHING_DONE, 20)
    assert (asked, told) == ([CONFIRM], [])
    made.compare(seen(20, 5.0), CONFIRM, NOTHING_DONE, 20)
    assert made.mismatches
