"""Executions of Interactive Brokers: once, with their commissions, and corrected by number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fairlead.data.vendors.ibkr.messages import CommissionTold, ExecutionTold
from fairlead.execution.brokers.ibkr.executions import ExecutionDesk
from fairlead.execution.brokers.ledger import Executions

A1, A2, A3 = "0000e0d5.6530a7f8.01.01", "0000e0d5.6530a7f8.01.02", "0000e0d5.6530a7f8.01.03"
OTHER = "0000e0d5.6530a7f9.01.01"


def told(name=A1, quantity=60.0, price=10.0):
    return ExecutionTold(name, 7, 1, 99, "r1", "DU1", "AAPL", "BOT", quantity, price, 1_000_000_000)


def desk():
    return ExecutionDesk(lambda one: one.reference)


def test_an_execution_waits_for_its_commission():
    d = desk()
    assert d.take(told()) == []
    assert d.waiting == (A1,)
    (execution,) = d.take_commission(CommissionTold(A1, 1.25))
    assert (execution.execution_id, execution.commission, execution.replaces) == (A1, 1.25, "")
    assert (execution.reference, execution.broker_id, execution.side.value, execution.quantity) == ("r1", "99", "BUY", 60.0)
    assert d.take(told()) == d.take_commission(CommissionTold(A1, 1.25)) == d.give_up(A1) == []


def test_a_commission_that_came_first_is_kept():
    d = desk()
    assert d.take_commission(CommissionTold(A1, 1.25)) == []
    assert [one.commission for one in d.take(told())] == [1.25]


def test_without_a_commission_it_is_told_and_then_corrected():
    d = desk()
    d.take(told())
    (first,) = d.give_up(A1)
    assert first.commission == 0.0
    (late,) = d.take_commission(CommissionTold(A1, 1.25))
    assert (late.replaces, late.commission, late.quantity, late.is_bust) == (A1, 1.25, 60.0, False)
    assert late.execution_id != A1
    assert d.said(told()) == [first, late]
    assert d.take_commission(CommissionTold(A1, 1.25)) == []


def test_a_commission_of_nothing_corrects_nothing():
    d = desk()
    d.take(told())
    d.give_up(A1)
    assert d.take_commission(CommissionTold(A1, 0.0)) == []


def test_a_correction_replaces_what_was_told_last():
    d = desk()
    d.take(told())
    d.give_up(A1)
    (late,) = d.take_commission(CommissionTold(A1, 1.25))
    assert d.is_correction(told(A2))
    assert not d.is_correction(told(OTHER))
    d.take(told(A2, 50.0))
    (second,) = d.take_commission(CommissionTold(A2, 1.0))
    assert (second.replaces, second.quantity, second.commission) == (late.execution_id, 50.0, 1.0)
    d.take(told(A3, 55.0))
    (third,) = d.give_up(A3)
    assert third.replaces == A2


def test_a_correction_to_nothing_is_a_bust_and_waits_for_no_commission():
    d = desk()
    d.take_commission(CommissionTold(A1, 1.0))
    d.take(told())
    (bust,) = d.take(told(A2, 0.0))
    assert (bust.replaces, bust.is_bust) == (A1, True)


def test_a_correction_of_what_was_never_told_names_it_all_the_same():
    d = desk()
    d.take(told(A2))
    assert d.give_up(A2)[0].replaces == A1


def test_a_commission_of_what_has_been_corrected_changes_nothing():
    d = desk()
    d.take(told())
    d.give_up(A1)
    d.take(told(A2, 50.0))
    d.give_up(A2)
    assert d.take_commission(CommissionTold(A1, 1.0)) == []


def test_after_a_restart_a_correction_also_takes_back_what_the_former_process_may_have_told():
    """The former process told the commission apart; this one does not know that, and nothing may count twice."""
    ledger, booked = Executions(), []
    former, later = desk(), desk()
    former.take(told())
    events = [*former.give_up(A1), *former.take_commission(CommissionTold(A1, 1.25))]
    later.take(told(), is_answer=True)
    events += later.take_commission(CommissionTold(A1, 1.25))
    later.take(told(A2, 50.0))
    events += later.take_commission(CommissionTold(A2, 1.0))
    for event in events:
        booked += [step.quantity * (-1 if step.is_bust else 1) for step in ledger.take(event)]
    assert sum(booked) == 50.0


STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "commission", "give up"]), st.sampled_from([A1, A2, A3, OTHER])), max_size=30
)


@given(STEPS)
def test_whatever_comes_in_whatever_order_what_stands_is_the_last_of_each(steps):
    """Each chain counts as its newest execution says, once, however often and in whichever order it is told."""
    quantities = {A1: 60.0, A2: 50.0, A3: 55.0, OTHER: 10.0}
    d, ledger, position = desk(), Executions(), 0.0
    taken = set()
    for what, name in [*steps, *[("give up", name) for name in quantities]]:
        if what == "take":
            found = d.take(told(name, quantities[name]))
            taken.add(name)
        elif what == "commission":
            found = d.take_commission(CommissionTold(name, quantities[name] / 100))
        else:
            found = d.give_up(name)
        for event in found:
            for step in ledger.take(event):
                position += step.quantity * (-1 if step.is_bust else 1)
    newest = [max(taken & chain, default=None) for chain in ({A1, A2, A3}, {OTHER})]
    assert position == sum(quantities[name] for name in newest if name is not None)
