"""What is booked of what a broker tells of executions."""

from fairlead.core.orders import Side
from fairlead.execution.brokers.ledger import Executions
from fairlead.execution.brokers.words import Execution


def told(name="x", quantity=10.0, price=100.0, commission=0.0, **more):
    return Execution(name, "r", "b", "A", Side.BUY, quantity, price, commission, 1, **more)


def booked(*executions):
    """What stands in the end: units, price and commission, and how many bookings it took."""
    ledger = Executions()
    steps = [step for one in executions for step in ledger.take(one)]
    sums = [sum((-1 if s.is_bust else 1) * value(s) for s in steps) for value in (lambda s: s.quantity, lambda s: s.commission)]
    names = [step.execution_id for step in steps]
    assert len(set(names)) == len(names)
    standing = [s for s in steps if not s.is_bust and f"{s.execution_id}/bust" not in names]
    return (*sums, standing[-1].price if standing else None, len(steps))


def test_each_counts_once_and_as_it_was_told_last():
    corrected = told("x=8", 8.0, 100.5, replaces="x")
    for order in ((told(), corrected, told(), corrected), (corrected, told(), corrected)):
        assert booked(*order)[:3] == (8.0, 0.0, 100.5)
    assert booked(told(), told("x=bust", replaces="x", is_bust=True), told())[:3] == (0.0, 0.0, None)


def test_one_that_was_corrected_while_nobody_listened_is_listed_under_its_name():
    assert booked(told(), told(price=100.5)) == (10.0, 0.0, 100.5, 3)
    assert booked(told(), told(price=100.5), told(price=100.5)) == (10.0, 0.0, 100.5, 3)
    # It was amended before, and is again: by the stream as it is known there, or in the list.
    again = (told(), told("x=10@100.2", price=100.2, replaces="x"), told(price=100.5))
    assert booked(*again)[:3] == (10.0, 0.0, 100.5)
    assert booked(*again, told("x=10@101", price=101.0, replaces="x"))[:3] == (10.0, 0.0, 101.0)
    assert booked(*again, told(price=100.2))[:3] == (10.0, 0.0, 100.2)


def test_a_commission_that_came_while_nobody_listened_is_not_lost():
    assert booked(told(), told(commission=0.5))[:2] == (10.0, 0.5)
    late = told("x/commission", commission=0.5, replaces="x")
    assert booked(told(), late, told(commission=0.5)) == (10.0, 0.5, 100.0, 3)
    assert booked(told(), late, told()) == (10.0, 0.5, 100.0, 3)
    assert booked(told(commission=0.5), told()) == (10.0, 0.5, 100.0, 1)


def test_what_a_correction_of_another_name_has_replaced_stays_so():
    first, second = told("1.01", commission=0.5), told("1.02", price=101.0, commission=0.6, replaces="1.01")
    assert booked(first, second, first, second) == (10.0, 0.6, 101.0, 3)
    late = told("1.01/commission", commission=0.5, replaces="1.01")
    assert booked(told("1.01"), late, second, told("1.01", commission=0.5), late)[:3] == (10.0, 0.6, 101.0)


def test_an_execution_is_found_again_under_the_name_that_it_is_booked_under():
    ledger = Executions()
    assert ledger.booked_as("x") == "x"
    corrected = told("x=10@100.5", price=100.5, replaces="x")
    assert [step.execution_id for step in ledger.take(corrected)] == ["x=10@100.5"]
    # The broker has forgotten how it came to be, and shows it as it is now.
    assert list(ledger.take(told(price=100.5))) == []
    assert ledger.booked_as("x") == ledger.booked_as("x=10@100.5") == "x=10@100.5"
    list(ledger.take(told("x=bust", replaces="x=10@100.5", is_bust=True)))
    assert ledger.booked_as("x") is None
    list(ledger.take(told("1.01")))
    list(ledger.take(told("1.02", price=99.0, replaces="1.01")))
    assert (ledger.booked_as("1.01"), ledger.booked_as("1.02")) == (None, "1.02")
