"""What a halt asks for, step by step, and what it says when the broker does not do its part."""

import math
import random

import pytest

from fairlead.core.errors import ContractError
from fairlead.core.orders import OrderStatus, Side
from fairlead.core.time import NS_PER_SECOND
from fairlead.risk.monitors import (
    AskOrders,
    AskPositions,
    CancelOrders,
    Disconnect,
    HaltAction,
    HaltPhase,
    HaltPlan,
    RaiseAlert,
    SubmitFlatten,
)
from support_halt import SlowBroker, order, run_to_end

FLATTEN, INVESTIGATE = HaltAction.HALT_AND_FLATTEN, HaltAction.HALT_AND_INVESTIGATE


class Driver:
    """Answers every question of a plan at once with what a test says."""

    def __init__(self, plan, positions=None, orders=()):
        self.plan, self.positions, self.orders = plan, dict(positions or {}), list(orders)

    def at(self, second, closed=()):
        """Every step that the plan asks for at a time, questions answered."""
        steps = []
        while new := self.plan.next(round(second * NS_PER_SECOND), closed):
            for step in new:
                match step:
                    case AskOrders(ticket):
                        self.plan.on_open_orders(ticket, self.orders)
                    case AskPositions(ticket):
                        self.plan.on_positions(ticket, self.positions)
                    case _:
                        steps.append(step)
        return steps


def test_the_order_of_things():
    """Cancel, wait, ask, flatten, verify, disconnect; nothing is flattened while something may still fill."""
    working = order("a", "AAA", Side.SELL, 5.0)
    driver = Driver(HaltPlan("h", FLATTEN, 0, [working]), {"AAA": 10.0}, [working])
    assert driver.at(0) == [CancelOrders(("a",))]
    assert driver.plan.phase is HaltPhase.CANCEL
    assert driver.at(1) == []
    driver.positions, driver.orders = {"AAA": 8.0}, []  # two were sold while the cancel was on its way
    driver.plan.on_order_update("a", OrderStatus.CANCELLED, 0.0)
    assert driver.at(2) == [SubmitFlatten("h-AAA-1", "AAA", Side.SELL, 8.0)]
    driver.positions = {}
    driver.plan.on_order_update("h-AAA-1", OrderStatus.FILLED, 0.0)
    assert driver.at(3) == [Disconnect()]
    assert driver.plan.phase is HaltPhase.DONE
    assert driver.plan.reached == {"CANCEL": 0, "ASSESS": 2, "FLATTEN": 2, "VERIFY": 3, "DISCONNECT": 3, "DONE": 3}
    assert driver.at(4) == []


def test_nothing_to_do_is_verified_too():
    driver = Driver(HaltPlan("h", FLATTEN, 0))
    assert driver.at(0) == [Disconnect()]


def test_flat_is_not_believed_without_asking_again():
    plan = HaltPlan("h", FLATTEN, 0)
    first = plan.next(0)
    assert first == [AskOrders(1), AskPositions(2)]
    plan.on_open_orders(1, [])
    plan.on_positions(2, {})
    assert plan.next(1) == [AskOrders(3), AskPositions(4)]
    assert plan.phase is HaltPhase.VERIFY
    plan.on_positions(4, {"AAA": 3.0})  # someone else bought
    assert plan.next(2) == [SubmitFlatten("h-AAA-1", "AAA", Side.SELL, 3.0), AskPositions(5)]


def test_an_order_of_another_is_found_and_cancelled():
    driver = Driver(HaltPlan("h", FLATTEN, 0), {}, [order("theirs", "AAA", Side.BUY, 5.0)])
    assert driver.at(0) == [CancelOrders(("theirs",))]


def test_cancels_are_sent_again_and_residuals_tried_anew():
    """Every five seconds, with what the broker then holds."""
    working = order("a", "AAA", Side.BUY, 5.0)
    driver = Driver(HaltPlan("h", FLATTEN, 0, [working]), {"AAA": -10.0}, [working])
    assert [driver.at(second) for second in (0, 4.9, 5)] == [[CancelOrders(("a",))], [], [CancelOrders(("a",))]]
    driver.orders = []
    driver.plan.on_order_update("a", OrderStatus.CANCELLED, 0.0)
    assert driver.at(6) == [SubmitFlatten("h-AAA-1", "AAA", Side.BUY, 10.0)]
    driver.plan.on_order_update("h-AAA-1", OrderStatus.PARTIALLY_FILLED, 6.0)
    driver.orders, driver.positions = [order("h-AAA-1", "AAA", Side.BUY, 6.0)], {"AAA": -6.0}
    assert driver.at(7) == []
    assert driver.at(11) == [CancelOrders(("h-AAA-1",))]
    driver.orders = []
    driver.plan.on_order_update("h-AAA-1", OrderStatus.CANCELLED, 0.0)
    assert driver.at(11.5) == [SubmitFlatten("h-AAA-2", "AAA", Side.BUY, 6.0)]


def test_a_rejected_flatten_is_tried_after_five_seconds():
    driver = Driver(HaltPlan("h", FLATTEN, 0), {"AAA": 10.0})
    driver.at(0)
    driver.plan.on_order_update("h-AAA-1", OrderStatus.REJECTED, 0.0)
    assert driver.at(4.9) == []
    assert driver.at(5) == [SubmitFlatten("h-AAA-2", "AAA", Side.SELL, 10.0)]


@pytest.mark.parametrize(("side", "units"), [(Side.BUY, 10.0), (Side.SELL, 7.0)])
def test_an_order_that_does_not_end_is_worked_around(side, units):
    """After the time to assess: what it could still sell is left for it, what it could buy does no harm."""
    stuck = order("a", "AAA", side, 3.0)
    driver = Driver(HaltPlan("h", FLATTEN, 0, [stuck]), {"AAA": 10.0}, [stuck])
    driver.at(0)
    assert SubmitFlatten("h-AAA-1", "AAA", Side.SELL, units) not in driver.at(29.9)
    steps = driver.at(30.1)
    assert SubmitFlatten("h-AAA-1", "AAA", Side.SELL, units) in steps
    assert RaiseAlert("stuck", "not confirmed as cancelled within 30 s: a") in steps


def test_an_order_on_its_way_is_not_taken_for_gone():
    """The broker does not know it yet: it may still arrive, and sell what a flatten has sold."""
    sent = order("a", "AAA", Side.SELL, 10.0, status=OrderStatus.SUBMITTED)
    driver = Driver(HaltPlan("h", FLATTEN, 0, [sent]), {"AAA": 10.0})
    assert driver.at(0) == [CancelOrders(("a",))]
    assert driver.at(4) == []
    assert driver.at(5) == [CancelOrders(("a",))]
    assert driver.at(9.9) == []
    # For as long as an order may be on its way it could not be seen; now it is gone.
    assert driver.at(10) == [CancelOrders(("a",)), SubmitFlatten("h-AAA-1", "AAA", Side.SELL, 10.0)]


def test_an_old_answer_is_not_believed():
    """A position that was asked for before a fill says nothing of after."""
    plan = HaltPlan("h", FLATTEN, 0, [order("a", "AAA", Side.SELL, 5.0)])
    assert plan.next(0) == [CancelOrders(("a",)), AskOrders(1), AskPositions(2)]
    plan.on_open_orders(1, [order("a", "AAA", Side.SELL, 5.0)])
    plan.on_order_update("a", OrderStatus.FILLED, 0.0)
    plan.on_positions(2, {"AAA": 10.0})
    assert plan.next(1) == [AskPositions(3)]
    plan.on_positions(3, {"AAA": 5.0})
    assert plan.next(1)[0] == SubmitFlatten("h-AAA-1", "AAA", Side.SELL, 5.0)


def test_news_of_an_unknown_order_makes_every_position_old():
    plan = HaltPlan("h", FLATTEN, 0)
    plan.next(0)
    plan.on_open_orders(1, [])
    plan.on_positions(2, {"AAA": 10.0})
    plan.on_order_update("whose?", OrderStatus.FILLED, 0.0)
    assert plan.next(1) == [AskPositions(3)]


def test_a_closed_market_waits_and_raises_an_alert():
    """The rest is closed; what waits is sized anew when its market opens."""
    driver = Driver(HaltPlan("h", FLATTEN, 0), {"AAA": 10.0, "BBB": -4.0})
    steps = driver.at(0, closed=["AAA"])
    assert SubmitFlatten("h-BBB-1", "BBB", Side.BUY, 4.0) in steps
    assert RaiseAlert("closed:AAA", "AAA waits for its market to open: 10 units") in steps
    assert driver.plan.queued == ("AAA",)
    driver.positions = {"AAA": 10.0}
    driver.plan.on_order_update("h-BBB-1", OrderStatus.FILLED, 0.0)
    assert driver.at(60, closed=["AAA"]) == []
    assert driver.at(3600)[0] == SubmitFlatten("h-AAA-1", "AAA", Side.SELL, 10.0)


def test_investigate_keeps_positions_and_their_protection():
    """Entries are cancelled; the stop that guards the position stays, and so does the connection."""
    stop, entry = order("stop", "AAA", Side.SELL, 10.0, is_protective=True), order("entry", "BBB", Side.BUY, 5.0)
    driver = Driver(HaltPlan("h", INVESTIGATE, 0, [stop, entry]), {"AAA": 10.0}, [stop, entry])
    assert driver.at(0) == [CancelOrders(("entry",))]
    driver.orders = [stop]
    driver.plan.on_order_update("entry", OrderStatus.CANCELLED, 0.0)
    assert driver.at(1) == []
    assert driver.plan.phase is HaltPhase.HELD
    assert driver.plan.residual == {"AAA": 10.0}


def test_a_silent_broker_is_told_of():
    plan = HaltPlan("h", FLATTEN, 0)
    alerts = [
        (second, step.rule) for second in range(200) for step in plan.next(second * NS_PER_SECOND) if type(step) is RaiseAlert
    ]
    assert alerts == [(11, "orders"), (31, "assess"), (121, "flat"), (181, "verify")]
    assert plan.phase is HaltPhase.CANCEL


def test_questions_without_an_answer_are_asked_again():
    plan = HaltPlan("h", FLATTEN, 0)
    asked = [second for second in range(12) if any(type(s) is AskOrders for s in plan.next(second * NS_PER_SECOND))]
    assert asked == [0, 5, 10]


def test_answers_that_nobody_asked_for_change_nothing():
    plan = HaltPlan("h", FLATTEN, 0)
    plan.next(0)
    plan.on_positions(99, {"AAA": 5.0})
    plan.on_open_orders(99, [order("a", "AAA", Side.BUY, 1.0)])
    assert plan.residual == {}
    assert plan.working == ()


def test_a_position_that_is_no_number_is_refused():
    plan = HaltPlan("h", FLATTEN, 0)
    plan.next(0)
    with pytest.raises(ContractError, match="'positions' must be numbers"):
        plan.on_positions(2, {"AAA": math.nan})


def test_a_second_halt_after_a_restart_goes_on_where_the_broker_stands():
    """The first is cut off anywhere; another, with another id, closes what is left."""
    for cut in (0.25, 1.0, 3.0, 6.0):
        broker = SlowBroker({"AAA": 40.0, "BBB": -7.0}, [order("a", "AAA", Side.SELL, 15.0)])
        run_to_end(HaltPlan("h1", FLATTEN, 0), broker, 0.0, limit_s=cut, chance=random.Random(1))
        broker.asked.clear()
        broker.news.clear()
        broker.cancels.clear()
        second = HaltPlan("h2", FLATTEN, 0)
        run_to_end(second, broker, cut, limit_s=120.0, chance=random.Random(2))
        assert second.phase is HaltPhase.DONE
        assert not any(broker.positions.values())
