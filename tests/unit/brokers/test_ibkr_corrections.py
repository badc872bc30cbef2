"""Executions of Interactive Brokers that are corrected more than once, told to somebody who was told before."""

import pytest

from fairlead.data.vendors.ibkr.messages import CommissionTold, ExecutionTold
from fairlead.execution.brokers.ibkr.executions import ExecutionDesk
from fairlead.execution.brokers.ledger import Executions


def told(name, quantity, price):
    return ExecutionTold(name, 1, 1, 9, "r", "DU1", "A", "BOT", quantity, price, 1)


@pytest.mark.parametrize("has_heard", [False, True])
def test_a_bust_of_a_correction_leaves_nothing(has_heard):
    ledger, desk = Executions(), ExecutionDesk(lambda _told: "r")
    said = []
    if has_heard:
        before = ExecutionDesk(lambda _told: "r")
        said += [*before.take(told("1.01", 94.0, 100.0)), *before.take_commission(CommissionTold("1.01", 1.0))]
    for one in (told("1.01", 94.0, 100.0), told("1.02", 94.0, 100.1), told("1.03", 0.0, 100.1)):
        said += [*desk.take(one, is_answer=True), *desk.take_commission(CommissionTold(one.execution_id, 1.0))]
    steps = [step for one in said for step in ledger.take(one)]
    assert sum((-1 if step.is_bust else 1) * step.quantity for step in steps) == 0
    assert sum((-1 if step.is_bust else 1) * step.commission for step in steps) == 0
