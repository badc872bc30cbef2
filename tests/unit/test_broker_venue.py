"""A broker as a venue: what leaves, and what its reports make of the orders of a session."""

import dataclasses

import pytest

from fairlead.contracts.sessions import SessionHours
from fairlead.core.errors import UnknownName
from fairlead.core.instruments import Instrument
from fairlead.core.intents import ReplaceIntent
from fairlead.core.orders import Order, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from fairlead.core.time import NS_PER_SECOND
from fairlead.execution.brokers.calls import Cancel, Replace, Submit
from fairlead.execution.brokers.reports import BrokerReport, Wish
from fairlead.execution.brokers.seam import BrokerTraits
from fairlead.execution.brokers.venue import BrokerVenue
from fairlead.execution.brokers.words import BrokerOrder, Execution

CLOSE_NS = 10_000 * NS_PER_SECOND
ACK, FILLED, CANCELLED = OrderStatus.ACKNOWLEDGED, OrderStatus.FILLED, OrderStatus.CANCELLED


class Port:
    """Notes what leaves."""

    def __init__(self, **traits):
        self.traits = BrokerTraits(**traits)
        self.left = []
        self.looked_up = []

    def begin(self, call):
        self.left.append(call)

    def expect(self, references):
        self.expected = list(references)

    def look_up(self, references):
        self.looked_up += references


class Desk:
    """A venue, what it was told to hear, and the positions that come of it."""

    def __init__(self, **traits):
        self.port, self.heard, self.held, self.now = Port(**traits), [], 0.0, 7
        instruments = {"A": Instrument(symbol="A", calendar="24/7")}
        self.venue = BrokerVenue(
            self.port, instruments, self._hear, lambda _name, _symbol: self.held, lambda: self.now, lambda _symbol: self.hours
        )
        self.executions = 0

    @staticmethod
    def hours(now_ns):
        return SessionHours(0, 0, CLOSE_NS, 0, CLOSE_NS) if now_ns < CLOSE_NS else None

    def _hear(self, order, update, fill):
        self.heard.append((order.order_id, update.status, update.reason))
        if fill is not None:
            self.held += fill.signed_quantity

    def stands(self, order, status=ACK, filled=None, reason="", **terms):
        given = {"quantity": order.quantity, "limit_price": order.limit_price, "stop_price": order.stop_price, **terms}
        told = BrokerOrder(
            order.order_id,
            "b" + order.order_id,
            order.symbol,
            order.side,
            order.order_type,
            given["quantity"],
            order.filled_quantity if filled is None else filled,
            None,
            status,
            given["limit_price"],
            given["stop_price"],
            reason,
        )
        self.venue.report(BrokerReport.order(told))

    def fills(self, order, quantity, price=10.0, name="", replaces="", *, is_bust=False):
        self.executions += 1
        name = name or f"x{self.executions}"
        told = Execution(name, order.order_id, "b", order.symbol, order.side, quantity, price, 0.5, 1, replaces, is_bust)
        self.venue.report(BrokerReport.execution(told))
        return name

    def refuses(self, order, wish, reason="no"):
        self.venue.report(BrokerReport.refused(wish, order.order_id, reason))

    @property
    def left(self):
        """What has left since this was asked last."""
        calls, self.port.left[:] = list(self.port.left), []
        return calls


def order(name="one", units=10.0, side=Side.BUY, kind=OrderType.LIMIT, **changes) -> Order:
    prices = {"limit_price": 10.0} if kind is OrderType.LIMIT else {}
    return Order(name, name, name, "alpha", "A", side, units, kind, 1, 1, **prices | changes)


def bracket():
    entry = order("entry")
    target = order("target", 0.0, Side.SELL, limit_price=12.0, role=OrderRole.TAKE_PROFIT, parent_id="entry")
    stop = order(
        "stop", 0.0, Side.SELL, OrderType.STOP, stop_price=8.0, role=OrderRole.STOP_LOSS, parent_id="entry", reduce_only=True
    )
    return entry, target, stop


def references(calls):
    return [tuple(call.references) for call in calls]


def test_an_order_lives_by_what_is_reported():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    assert isinstance(desk.left[0], Submit)
    assert one.status is OrderStatus.SUBMITTED
    desk.stands(one)
    desk.fills(one, 4.0)
    desk.fills(one, 6.0, 9.0)
    assert (one.status, one.average_price, desk.held) == (FILLED, pytest.approx(9.4), 10.0)
    assert desk.venue.working == {}
    assert desk.venue.is_settled


def test_the_end_waits_for_every_execution_before_it():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    desk.stands(one, CANCELLED, filled=7.0)
    assert one.status is ACK
    assert not desk.venue.is_settled
    desk.fills(one, 3.0)
    assert one.status is OrderStatus.PARTIALLY_FILLED
    desk.fills(one, 4.0)
    assert (one.status, one.filled_quantity, desk.held) == (CANCELLED, 7.0, 7.0)


def test_an_execution_after_the_end_is_booked_all_the_same():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    desk.stands(one, CANCELLED, filled=0.0)
    desk.fills(one, 10.0)
    assert (one.status, one.filled_quantity, desk.held) == (CANCELLED, 10.0, 10.0)
    assert desk.heard[-1][2] == "late_fill"


def test_a_cancel_is_a_wish_until_the_broker_has_spoken():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    assert desk.left
    desk.venue.cancel("one", 3, "halted")
    assert [type(call) for call in desk.left] == [Cancel]
    desk.fills(one, 10.0)
    assert one.status is FILLED
    two = order("two")
    desk.venue.submit(two)
    desk.stands(two)
    desk.venue.request_cancel("two", 3)
    desk.refuses(two, Wish.CANCEL, "too late")
    assert (two.status, two.reason) == (OrderStatus.PENDING_CANCEL, "cancel_refused: too late")
    assert desk.port.looked_up == ["two"]
    desk.stands(two, CANCELLED, filled=0.0)
    assert two.status is CANCELLED
    with pytest.raises(UnknownName):
        desk.venue.cancel("two", 3)


def test_a_change_is_a_wish_too():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    assert desk.left
    desk.venue.request_replace(ReplaceIntent("one", limit_price=9.5), 3)
    (call,) = desk.left
    assert isinstance(call, Replace)
    assert (call.change.quantity, str(call.change.limit_price)) == (None, "9.50")
    desk.stands(one)  # told before it arrived
    assert one.limit_price == 10.0
    desk.stands(one, limit_price=9.5)
    assert (one.limit_price, one.reason) == (9.5, "replaced")
    desk.venue.request_replace(ReplaceIntent("one", quantity=20.0), 3)
    desk.refuses(one, Wish.REPLACE)
    assert (one.quantity, one.reason) == (10.0, "replace_rejected: no")


def test_two_changes_at_once_are_one_too_many():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    desk.venue.request_replace(ReplaceIntent("one", limit_price=9.5), 3)
    desk.venue.request_replace(ReplaceIntent("one", limit_price=9.0), 3)
    assert one.reason == "replace_rejected"
    assert len([call for call in desk.left if isinstance(call, Replace)]) == 1


def test_after_a_restart_a_change_is_what_the_broker_shows():
    desk, one, two = Desk(), order(), order("two")
    for each in (one, two):
        desk.venue.submit(each)
        desk.stands(each)
        desk.venue.request_replace(ReplaceIntent(each.order_id, limit_price=9.5), 3)
    desk.venue.submit(order("three"))
    desk.venue.caught_up()
    assert desk.port.looked_up == ["three", "one", "two"]
    desk.stands(one, limit_price=9.5)
    desk.stands(two)
    assert (one.limit_price, two.limit_price, two.reason) == (9.5, 10.0, "replace_rejected")


def test_after_a_restart_a_cancel_is_wished_for_again():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    desk.venue.cancel("one", 3)
    assert desk.left
    desk.venue.caught_up()
    assert references(desk.left) == [("one",)]


def test_an_order_that_was_given_up_and_is_there_after_all_is_taken_back():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.refuses(one, Wish.SUBMIT, "not_at_broker")
    assert (one.status, one.reason) == (OrderStatus.REJECTED, "not_at_broker")
    assert desk.left
    desk.stands(one)
    assert [type(call) for call in desk.left] == [Cancel]


def test_an_order_to_be_taken_back_that_is_nowhere_any_more_has_ended_and_what_it_fills_all_the_same_counts():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    desk.fills(one, 4.0)
    desk.venue.cancel("one", 3)
    desk.refuses(one, Wish.CANCEL, "not_at_broker")
    assert (one.status, desk.port.looked_up) == (OrderStatus.PENDING_CANCEL, ["one"])
    desk.refuses(one, Wish.SUBMIT, "not_at_broker")
    assert (one.status, one.reason, one.filled_quantity) == (CANCELLED, "gone: not_at_broker", 4.0)
    desk.left.clear()
    desk.stands(one)
    assert desk.left == [Cancel("one")]
    desk.fills(one, 6.0)
    assert desk.held == 10.0


def test_an_order_that_works_and_is_nowhere_is_left_to_the_books():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    desk.refuses(one, Wish.SUBMIT, "not_at_broker")
    assert one.status is ACK


def test_what_a_broker_does_not_take_never_leaves():
    desk, one = Desk(), order(kind=OrderType.TRAILING_STOP, trail_percent=1.0)
    desk.venue.submit(one)
    assert desk.left == []
    assert (one.status, one.reason) == (OrderStatus.REJECTED, "broker_refuses: takes no TRAILING_STOP orders")
    for other, why in (
        (order("two", time_in_force=TimeInForce.OPG), "takes no OPG orders"),
        (order("three", 0.5), "takes whole units, not 0.5"),
    ):
        desk.venue.submit(other)
        assert other.reason == f"broker_refuses: {why}"


def test_exits_leave_when_their_entry_fills_and_grow_with_it():
    desk = Desk()
    entry, target, stop = bracket()
    desk.venue.submit(entry, [target, stop])
    assert references(desk.left) == [("entry",)]
    desk.stands(entry)
    desk.fills(entry, 4.0)
    calls = desk.left
    assert references(calls) == [("target",), ("stop",)]
    assert [call.requests[0].quantity for call in calls] == [4, 4]
    desk.fills(entry, 6.0)
    assert [(type(call), call.change.quantity) for call in desk.left] == [(Replace, 10), (Replace, 10)]


def test_linked_exits_leave_together_when_the_entry_fills_no_more():
    desk = Desk(links_exits=True, resizes_exits=False)
    entry, target, stop = bracket()
    desk.venue.submit(entry, [target, stop])
    assert desk.left
    desk.stands(entry)
    desk.fills(entry, 4.0)
    assert desk.left == []
    desk.fills(entry, 6.0)
    assert references(desk.left) == [("target", "stop")]


def test_what_an_entry_has_filled_in_part_is_protected_when_it_ends():
    desk = Desk(links_exits=True, resizes_exits=False)
    entry, target, stop = bracket()
    desk.venue.submit(entry, [target, stop])
    desk.stands(entry)
    desk.fills(entry, 4.0)
    desk.left.clear()
    desk.stands(entry, CANCELLED, filled=4.0)
    (call,) = [call for call in desk.left if isinstance(call, Submit) and "target" in call.references]
    assert [request.quantity for request in call.requests] == [4, 4]


def test_exits_of_an_entry_that_never_filled_end_with_it():
    desk = Desk()
    entry, target, stop = bracket()
    desk.venue.submit(entry, [target, stop])
    desk.stands(entry)
    desk.stands(entry, OrderStatus.EXPIRED, filled=0.0)
    assert [one.status for one in (target, stop)] == [CANCELLED, CANCELLED]
    assert references(desk.left) == [("entry",)]


def test_an_exit_that_fills_takes_its_twin_back():
    desk = Desk()
    entry, target, stop = bracket()
    desk.venue.submit(entry, [target, stop])
    desk.stands(entry)
    desk.fills(entry, 10.0)
    for each in (target, stop):
        desk.stands(each)
    assert desk.left
    desk.fills(target, 4.0, 12.0)
    assert [(type(call), call.change.quantity) for call in desk.left] == [(Replace, 6)]
    desk.fills(target, 6.0, 12.0)
    assert [(type(call), call.references) for call in desk.left] == [(Cancel, ("stop",))]
    desk.stands(stop, CANCELLED, filled=0.0)
    assert (stop.status, stop.reason, desk.held) == (CANCELLED, "oco", 0.0)


def test_when_both_exits_fill_what_is_too_much_is_told():
    desk, doubles = Desk(), []
    desk.venue.double_fill = lambda filled, units: doubles.append((filled.order_id, units))
    entry, target, stop = bracket()
    desk.venue.submit(entry, [target, stop])
    desk.stands(entry)
    desk.fills(entry, 10.0)
    for each in (target, stop):
        desk.stands(each)
    desk.fills(target, 10.0, 12.0)
    desk.fills(stop, 10.0, 8.0)
    assert doubles == [("stop", 10.0)]
    assert desk.held == -10.0


def test_the_first_fill_of_a_set_takes_the_others_back_and_a_second_is_told():
    desk, doubles = Desk(), []
    desk.venue.double_fill = lambda filled, units: doubles.append((filled.order_id, units))
    up, down = order("up", oco_id="set"), order("down", side=Side.SELL, oco_id="set")
    for each in (up, down):
        desk.venue.submit(each)
        desk.stands(each)
    assert desk.left
    desk.fills(up, 3.0)
    assert [(type(call), call.references) for call in desk.left] == [(Cancel, ("down",))]
    desk.fills(down, 2.0)
    assert doubles == [("down", 2.0)]


def test_a_correction_replaces_and_a_bust_takes_back():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    name = desk.fills(one, 10.0, 10.0)
    assert one.status is FILLED
    desk.fills(one, 8.0, 9.0, "x1.1", name)
    assert (desk.held, one.filled_quantity, one.average_price, one.commission) == (8.0, 8.0, 9.0, 0.5)
    desk.fills(one, 0.0, 0.0, "x1.2", "x1.1", is_bust=True)
    assert (desk.held, one.filled_quantity, one.average_price, one.commission) == (0.0, 0.0, None, 0.0)
    desk.fills(one, 10.0, 10.0, name)
    assert desk.held == 0.0


def test_what_nobody_here_has_sent_changes_nothing():
    desk, one = Desk(), order("elsewhere")
    desk.stands(one)
    desk.fills(one, 3.0)
    desk.refuses(one, Wish.SUBMIT)
    assert (desk.heard, desk.held, desk.left) == ([], 0.0, [])


def test_a_rejection_after_a_part_was_filled_is_a_cancel():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    desk.fills(one, 4.0)
    desk.stands(one, OrderStatus.REJECTED, filled=4.0, reason="margin")
    assert (one.status, one.reason) == (CANCELLED, "rejected: margin")


def test_every_report_can_be_put_on_a_tape():
    one = order()
    told = BrokerOrder("one", "b", "A", Side.BUY, OrderType.LIMIT, 10.0, 0.0, None, ACK, 10.0)
    for report in (
        BrokerReport.order(told),
        BrokerReport.execution(Execution("x", "one", "b", "A", Side.BUY, 1.0, 10.0, 0.5, 1)),
        BrokerReport.refused(Wish.CANCEL, one.order_id, "no"),
    ):
        assert BrokerReport.of(report.to_dict()) == report
    assert dataclasses.is_dataclass(one)


def good_till(ns, **changes):
    return order(time_in_force=TimeInForce.GTD, expires_ns=ns, **changes)


def test_where_a_broker_keeps_no_times_an_order_is_taken_back_in_time():
    desk, one = Desk(), good_till(100)
    desk.venue.submit(one)
    ((asked,),) = [call.requests for call in desk.left]
    assert (asked.time_in_force, asked.expires_ns) == (TimeInForce.GTC, None)
    desk.stands(one)
    assert not desk.venue.is_due(100)
    desk.venue.pass_time(100)
    assert desk.left == []
    assert desk.venue.is_due(101)
    desk.venue.pass_time(101)
    desk.venue.pass_time(102)
    assert desk.left == [Cancel("one")]
    assert not desk.venue.is_due(103)
    desk.fills(one, 3.0)
    desk.stands(one, CANCELLED, filled=3.0)
    assert (one.status, one.reason, one.filled_quantity) == (OrderStatus.EXPIRED, "expired", 3.0)


def test_a_broker_that_keeps_times_is_told_them():
    desk, one = Desk(times_in_force=frozenset(TimeInForce)), good_till(100)
    desk.venue.submit(one)
    ((asked,),) = [call.requests for call in desk.left]
    assert (asked.time_in_force, asked.expires_ns) == (TimeInForce.GTD, 100)
    assert not desk.venue.is_due(101)


def test_where_nothing_rests_no_time_can_be_kept():
    desk, one = Desk(times_in_force=frozenset({TimeInForce.DAY})), good_till(100)
    desk.venue.submit(one)
    assert (one.status, one.reason) == (OrderStatus.REJECTED, "broker_refuses: takes no GTC orders")


def test_an_order_that_its_broker_calls_cancelled_when_its_time_is_over_has_expired():
    desk, one = Desk(times_in_force=frozenset(TimeInForce)), good_till(6)  # the venue's clock says 7
    desk.venue.submit(one)
    desk.stands(one)
    desk.stands(one, CANCELLED, reason="202")
    assert (one.status, one.reason) == (OrderStatus.EXPIRED, "expired")


HOLDING = {"links_exits": True, "resizes_exits": False, "exits_hold_units": True, "auction_lead_s": 600.0}
HOLDING["times_in_force"] = frozenset(TimeInForce)


def protected(**traits):
    """Ten units and their two exits, at a broker whose exits hold them."""
    desk, (entry, target, stop) = Desk(**HOLDING | traits), bracket()
    desk.venue.submit(entry, [target, stop])
    desk.stands(entry)
    desk.fills(entry, 10.0)
    desk.stands(target)
    desk.stands(stop)
    assert references(desk.left) == [("entry",), ("target", "stop")]
    return desk, target, stop


def closing(name="leave", units=10.0, **changes):
    return order(name, units, Side.SELL, OrderType.MARKET, **changes)


def test_exits_that_hold_the_units_make_way_for_what_closes_at_once():
    desk, target, stop = protected()
    leave = closing()
    desk.venue.submit(leave)
    assert desk.left == [Cancel("target"), Cancel("stop")]
    assert leave.status is OrderStatus.SUBMITTED
    assert not desk.venue.is_due(8)
    desk.stands(target, CANCELLED)
    assert desk.left == []
    desk.stands(stop, CANCELLED)
    assert references(desk.left) == [("leave",)]
    assert (target.reason, stop.reason) == ("makes_way", "makes_way")
    desk.fills(leave, 10.0)
    assert (leave.status, desk.held, desk.venue.working) == (FILLED, 0.0, {})


def test_what_an_exit_has_filled_before_it_made_way_is_not_sold_again():
    desk, target, stop = protected()
    leave, other = closing(), closing("other")
    desk.venue.submit(leave)
    desk.left.clear()
    desk.fills(stop, 4.0)
    desk.stands(stop, CANCELLED, filled=4.0)
    desk.stands(target, CANCELLED)
    assert references(desk.left)[-1] == ("leave",)
    assert leave.quantity == 6.0
    desk.fills(leave, 6.0)
    assert desk.held == 0.0
    desk, target, stop = protected()
    desk.venue.submit(other)
    desk.fills(stop, 10.0)
    desk.stands(target, CANCELLED)
    assert (other.status, other.reason) == (CANCELLED, "position_closed")
    assert ("other",) not in references(desk.left)


def test_an_order_for_the_close_leaves_the_exits_where_they_are_until_it_must_go():
    desk, target, stop = protected()
    leave = closing(time_in_force=TimeInForce.CLS)
    desk.venue.submit(leave)
    moment = CLOSE_NS - 660 * NS_PER_SECOND
    desk.venue.pass_time(moment - 1)
    assert (desk.left, desk.venue.is_due(moment - 1), desk.venue.is_due(moment)) == ([], False, True)
    desk.now = moment
    desk.venue.pass_time(moment)
    desk.venue.pass_time(moment + 1)
    assert desk.left == [Cancel("target"), Cancel("stop")]
    desk.stands(target, CANCELLED)
    desk.stands(stop, CANCELLED)
    assert references(desk.left) == [("leave",)]
    assert desk.venue.working == {"leave": leave}


def test_an_order_that_waits_for_its_way_is_taken_back_here_and_one_that_is_too_late_is_refused():
    desk, target, _ = protected()
    leave = closing(time_in_force=TimeInForce.CLS)
    desk.venue.submit(leave)
    desk.venue.caught_up()
    assert "leave" not in [*desk.port.expected, *desk.port.looked_up]
    desk.venue.cancel("leave", 9)
    assert (leave.status, leave.reason, desk.left) == (CANCELLED, "cancelled_by_strategy", [])
    desk.now = CLOSE_NS - 599 * NS_PER_SECOND
    late = closing("late", time_in_force=TimeInForce.CLS)
    desk.venue.submit(late)
    assert (late.status, late.reason) == (OrderStatus.REJECTED, "broker_refuses: too late for the closing auction")
    assert target.status is ACK
    # When the exits have ended by themselves, nothing is in its way.
    desk, target, stop = protected()
    again = closing("again", time_in_force=TimeInForce.CLS)
    desk.venue.submit(again)
    desk.stands(target, CANCELLED)
    desk.stands(stop, CANCELLED)
    assert references(desk.left) == [("again",)]


def test_where_exits_hold_nothing_what_closes_leaves_at_once():
    desk, target, _ = protected(exits_hold_units=False)
    desk.venue.submit(closing())
    assert references(desk.left) == [("leave",)]
    assert target.status is ACK


def test_exits_wait_for_the_other_side_of_their_entry_to_be_gone():
    desk, (entry, target, stop) = Desk(**HOLDING), bracket()
    other = order("other", 10.0, Side.SELL, OrderType.STOP, stop_price=9.0, oco_id="set")
    entry.oco_id = "set"
    desk.venue.submit(entry, [target, stop])
    desk.venue.submit(other)
    desk.stands(entry)
    desk.stands(other)
    desk.left.clear()
    desk.fills(entry, 10.0)
    assert desk.left == [Cancel("other")]
    assert {o.status for o in (target, stop)} == {OrderStatus.SUBMITTED}
    desk.stands(other, CANCELLED)
    assert references(desk.left) == [("target", "stop")]


def test_when_the_other_side_fills_all_the_same_no_exit_is_left_to_send():
    desk, (entry, target, stop) = Desk(**HOLDING), bracket()
    other = order("other", 10.0, Side.SELL, OrderType.STOP, stop_price=9.0, oco_id="set")
    entry.oco_id = "set"
    desk.venue.submit(entry, [target, stop])
    desk.venue.submit(other)
    desk.stands(entry)
    desk.stands(other)
    desk.fills(entry, 10.0)
    desk.left.clear()
    desk.fills(other, 10.0)
    assert desk.held == 0.0
    assert [o.status for o in (target, stop)] == [CANCELLED, CANCELLED]
    assert desk.left == []


def test_exits_of_two_entries_leave_apart():
    desk, other = Desk(**HOLDING), order("other", 5.0, Side.SELL, OrderType.STOP, stop_price=9.0)
    pairs = []
    for name in ("one", "two"):
        entry, target, stop = bracket()
        entry.order_id, target.order_id, stop.order_id = name, f"{name}_target", f"{name}_stop"
        target.parent_id = stop.parent_id = name
        pairs.append((entry, target, stop))
        desk.venue.submit(entry, [target, stop])
        desk.stands(entry)
    desk.venue.submit(other)
    desk.stands(other)
    desk.venue.cancel("other", 7)
    desk.left.clear()
    for entry, _, _ in pairs:
        desk.fills(entry, 10.0)
    assert desk.left == []
    desk.stands(other, CANCELLED)
    assert references(desk.left) == [("one_target", "one_stop"), ("two_target", "two_stop")]


def test_an_order_that_ended_with_more_than_is_known_is_asked_for_again():
    desk, one = Desk(), order()
    desk.venue.submit(one)
    desk.stands(one)
    taken = desk.fills(one, 4.0)
    desk.fills(one, 3.0)
    desk.stands(one, CANCELLED, filled=8.0)  # a part of it is not told any more, as it was taken back meanwhile
    assert not desk.venue.is_due(7)
    desk.venue.pass_time(7)
    assert desk.port.looked_up == []
    later = 7 + 5 * NS_PER_SECOND
    assert desk.venue.is_due(later)
    desk.venue.pass_time(later)
    desk.venue.pass_time(later + 1)
    assert desk.port.looked_up == ["one"]
    desk.fills(one, 4.0, name="bust", replaces=taken, is_bust=True)
    assert one.status is OrderStatus.PARTIALLY_FILLED
    desk.stands(one, CANCELLED, filled=3.0)
    assert (one.status, one.filled_quantity, desk.held) == (CANCELLED, 3.0, 3.0)
    assert not desk.venue.is_due(later + 10 * NS_PER_SECOND)


def test_exits_do_not_make_way_for_what_closes_a_part():
    desk, target, stop = protected()
    desk.venue.submit(closing(units=4.0))
    assert references(desk.left) == [("leave",)]  # the broker refuses it, and the exits protect what is held
    assert (target.status, stop.status) == (ACK, ACK)


def test_what_waits_for_long_is_told_once():
    desk, told = Desk(**HOLDING), []
    desk.venue.stuck = lambda waiting, others: told.append((waiting.order_id, [each.order_id for each in others]))
    (entry, target, stop), other = bracket(), order("other", 10.0, Side.SELL, OrderType.STOP, stop_price=9.0, oco_id="set")
    entry.oco_id = "set"
    desk.venue.submit(entry, [target, stop])
    desk.venue.submit(other)
    desk.stands(entry)
    desk.stands(other)
    desk.fills(entry, 10.0)
    late = 7 + 30 * NS_PER_SECOND
    assert not desk.venue.is_due(late - 1)
    desk.venue.pass_time(late - 1)
    assert told == []
    assert desk.venue.is_due(late)
    desk.venue.pass_time(late)
    assert told == [("target", ["other"]), ("stop", ["other"])]
    assert not desk.venue.is_due(late)
    desk.venue.pass_time(2 * late)
    assert len(told) == 2
    desk.left.clear()
    desk.stands(other, CANCELLED)
    assert references(desk.left) == [("target", "stop")]


def test_what_waits_for_the_closing_auction_is_not_stuck():
    desk, _, _ = protected()
    desk.venue.stuck = lambda *_: pytest.fail("it has time")
    desk.venue.submit(closing(time_in_force=TimeInForce.CLS))
    moment = CLOSE_NS - 661 * NS_PER_SECOND
    assert not desk.venue.is_due(moment)
    desk.venue.pass_time(moment)
