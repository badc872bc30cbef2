"""Executions count once, and as they were told last, in whatever order and however often they come."""

from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.orders import Side
from fairlead.execution.brokers.ledger import Executions
from fairlead.execution.brokers.words import Execution


def execution(name: str, quantity: float, replaces: str = "", *, is_bust: bool = False) -> Execution:
    return Execution(name, "ours", "1", "A", Side.BUY, quantity, 10.0, 0.5, 0, replaces, is_bust)


@st.composite
def histories(draw):
    """Some executions, each corrected up to three times and then perhaps busted; and what is true of all that."""
    told, true = [], 0.0
    for number in range(draw(st.integers(1, 4))):
        quantity, name = float(draw(st.integers(1, 9))), f"{number}.0"
        told.append(execution(name, quantity))
        for correction in range(draw(st.integers(0, 3))):
            quantity, before, name = float(draw(st.integers(1, 9))), name, f"{number}.{correction + 1}"
            told.append(execution(name, quantity, before))
        if draw(st.booleans()):
            told.append(execution(f"{name}.bust", 0.0, name, is_bust=True))
            quantity = 0.0
        true += quantity
    return told, true


@given(histories(), st.randoms(use_true_random=False), st.integers(0, 5))
def test_what_is_booked_in_the_end_is_what_is_true(history, random, repeats):
    told, true = history
    told += [random.choice(told) for _ in range(repeats)]
    random.shuffle(told)
    ledger, position, booked = Executions(), 0.0, {}
    for execution in told:
        for step in ledger.take(execution):
            assert step.execution_id not in booked
            booked[step.execution_id] = step
            position += -step.quantity if step.is_bust else step.quantity
    assert position == true
    reversals = [name for name in booked if name.endswith("/bust")]
    assert all(booked[name.removesuffix("/bust")].quantity == booked[name].quantity for name in reversals)


def test_what_was_corrected_before_it_was_told_is_never_booked():
    ledger = Executions()
    assert [step.quantity for step in ledger.take(execution("1.1", 7.0, "1.0"))] == [7.0]
    assert list(ledger.take(execution("1.0", 9.0))) == []
