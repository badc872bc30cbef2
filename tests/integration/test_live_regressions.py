"""What has bitten others live, at each broker's protocol: a whole session, adapter and link, against a server that fails."""

from __future__ import annotations

import time

import pytest

from fairlead.core.orders import OrderStatus
from fairlead.sdk import CancelIntent, OrderIntent, ReplaceIntent, one_cancels_other
from support_operated import Planned, buy, orders_of, sell
from support_places import LINK, at_place, orders_at, place_of, trading

BOTH = pytest.mark.parametrize("broker", ["alpaca", "ibkr"])
ACKNOWLEDGED, CANCELLED, FILLED = OrderStatus.ACKNOWLEDGED, OrderStatus.CANCELLED, OrderStatus.FILLED


def limit(units, price):
    return [OrderIntent.limit("A", units, price)]


def cancelling(context):
    return [CancelIntent(order.order_id) for order in context.open_orders]


def fills_of(result):
    return [(fill.quantity, fill.price) for fill in result.record.fills]


@BOTH
def test_an_order_goes_there_and_its_fill_comes_back(tmp_path, broker):
    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=buy(10))
        session.until_working(1)
        session.meet(101.0)
        session.until_held(10.0)
        session.agrees(101.0)
        result = session.end()
        assert fills_of(result) == [(10.0, 101.0)]
        assert [(order[1], order[2]) for order in orders_of(result)] == [(10.0, "FILLED")]
        assert [str(update.status) for update in result.record.updates] == ["SUBMITTED", "ACKNOWLEDGED", "FILLED"]
        assert at_place(place) == 10.0
        assert place.sends == len(orders_at(place)) == 1


# Fills that nobody heard.


@BOTH
@pytest.mark.parametrize("is_restarted", [False, True])
def test_fills_while_the_socket_is_gone_are_booked_once(tmp_path, broker, is_restarted):
    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=buy(10))
        session.until_working(1)
        place.down()
        session.until(lambda status: "cannot be reached" in status["broker"])
        (order,) = orders_at(place)
        place.seconds(2)
        place.do(lambda account: account.execute(order.broker_id, 4.0, 101.0))
        place.seconds(2)
        place.do(lambda account: account.execute(order.broker_id, 6.0, 102.0))
        session.minute(103.0, alpha=buy(5))
        assert session.held() == 0.0
        place.up()
        if is_restarted:
            place.restart()
        session.until(lambda status: status["broker"] == "ok")
        session.until_held(10.0)
        place.drop()  # and all of it is asked for once more
        session.agrees(103.0)
        assert session.status["halted_by"] == []
        result = session.end()
        assert fills_of(result) == [(4.0, 101.0), (6.0, 102.0)]
        assert [(order[1], order[2]) for order in orders_of(result)] == [(10.0, "FILLED"), (5.0, "REJECTED")]
        assert "cannot be reached" in result.record.orders[1].reason
        assert at_place(place) == 10.0
        assert len(orders_at(place)) == 1


@pytest.mark.parametrize("is_data_lost", [False, True])
def test_fills_while_the_gateway_is_cut_off_are_booked_once(tmp_path, is_data_lost):
    with place_of("ibkr") as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=buy(10))
        session.until_working(1)
        place.running.call(lambda server: server.lose_link())
        session.until(lambda status: "1100" in status["broker"])
        (order,) = orders_at(place)
        place.do(lambda account: account.execute(order.broker_id, 10.0, 101.0))
        session.minute(103.0, alpha=buy(5))
        assert session.held() == 0.0
        place.running.call(lambda server: server.restore_link(is_data_lost=is_data_lost))
        session.until(lambda status: status["broker"] == "ok")
        session.until_held(10.0)
        session.agrees(103.0)
        result = session.end()
        assert fills_of(result) == [(10.0, 101.0)]
        assert [order[2] for order in orders_of(result)] == ["FILLED", "REJECTED"]
        assert place.sends == 1


# Numbers of orders.


@pytest.mark.parametrize("dies", [False, True])
def test_numbers_that_are_given_again_after_a_reset_never_collide(tmp_path, monkeypatch, dies):
    monkeypatch.setattr(Planned, "plan", {1: limit(7, 90.0), 2: limit(5, 91.0)})
    (tmp_path / "first").mkdir()
    with place_of("ibkr") as place, trading(tmp_path / "first", place, strategy="Planned") as session:
        session.ready()
        session.minute(100.0)
        session.until_working(1)
        place.running.go_down(forgets_ids=True)
        if dies:
            left = session.die(tmp_path / "second")
        place.running.come_back()
        if not dies:
            _second_order_is_another(place, session)
            return
        with trading(left, place, strategy="Planned", goes_on=True) as again:
            again.now = session.now
            again.until(lambda status: status.get("broker") == "ok")
            _second_order_is_another(place, again)


def _second_order_is_another(place, session):
    session.until(lambda status: status["broker"] == "ok")
    session.minute(100.0)
    session.until_working(2)
    first, second = orders_at(place)
    assert [(o.quantity, o.limit_price, o.status) for o in (first, second)] == [
        (7.0, 90.0, ACKNOWLEDGED),
        (5.0, 91.0, ACKNOWLEDGED),
    ]
    place.do(lambda account: account.execute(first.broker_id, 7.0, 90.0))
    session.until_held(7.0)
    session.agrees()
    result = session.end()
    assert [(o.quantity, o.filled_quantity) for o in result.record.orders] == [(7.0, 7.0), (5.0, 0.0)]
    assert [o.status for o in orders_at(place)] == [FILLED, CANCELLED]


# Restarts.


@BOTH
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_restart_neither_flattens_nor_doubles_what_is_held_and_a_working_order_survives(
    tmp_path, monkeypatch, broker, is_restarted
):
    monkeypatch.setattr(Planned, "plan", {1: buy(10), 3: limit(7, 90.0)})
    (tmp_path / "first").mkdir()
    with place_of(broker) as place, trading(tmp_path / "first", place, strategy="Planned") as session:
        session.ready()
        session.minute(100.0)
        session.until_working(1)
        session.meet(101.0)
        session.until_held(10.0)
        session.minute(101.0)
        session.minute(101.0)
        session.until_working(1)
        left = session.die(tmp_path / "second")
        before = [order.broker_id for order in orders_at(place)]
        working = place.do(lambda account: account.open_orders())
        place.seconds(2)
        place.do(lambda account: account.execute(working[0].broker_id, 3.0, 90.0))
        if is_restarted:
            place.restart()
        with trading(left, place, strategy="Planned", goes_on=True) as again:
            again.now = session.now
            again.until(lambda status: status.get("broker") == "ok")
            again.until_held(13.0)
            assert again.status["working_orders"] == 1
            again.agrees(100.0)
            assert again.status["halted_by"] == []
            again.meet(89.0)
            again.until_held(17.0)
            again.agrees(89.0)
            result = again.end()
        assert [fill.quantity for fill in result.record.fills] == [10.0, 3.0, 4.0]
        assert at_place(place) == 17.0
        assert [order.broker_id for order in orders_at(place)] == before


@BOTH
def test_a_working_order_survives_the_servers_restart(tmp_path, broker):
    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=limit(7, 90.0))
        session.until_working(1)
        place.restart()
        session.until(lambda status: status["broker"] == "ok")
        session.agrees()
        session.until_working(1)
        session.meet(89.0)
        session.until_held(7.0)
        session.minute(89.0)
        assert fills_of(session.end())[0][0] == 7.0
        assert at_place(place) == 7.0


# Changes.


@BOTH
@pytest.mark.parametrize("is_answered", [True, False])
def test_a_change_and_a_reconnection_do_not_make_two_orders(tmp_path, broker, is_answered):
    def changed(context):
        (order,) = context.open_orders
        return [ReplaceIntent(order.order_id, quantity=12.0, limit_price=91.0)]

    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=limit(10, 90.0))
        session.until_working(1)
        if not is_answered:
            place.turn(loses_answers=1)
        session.minute(100.0, alpha=changed)
        session.until(lambda _: _working_at(place) == [(12.0, 91.0)])
        if is_answered:
            place.drop()
        session.agrees()
        session.until_working(1)
        assert _working_at(place) == [(12.0, 91.0)]
        session.meet(90.5)
        session.until_held(12.0)
        session.agrees(90.5)
        result = session.end()
        (order,) = result.record.orders
        assert (order.quantity, order.limit_price, order.status) == (12.0, 91.0, FILLED)
        assert at_place(place) == 12.0


def _working_at(place):
    return [(order.quantity, order.limit_price) for order in place.do(lambda account: account.open_orders())]


# Silence, and too much.


@BOTH
def test_a_socket_that_is_silent_is_noticed_within_the_limit(tmp_path, broker):
    link = "{attempt_s: 0.5, silence_s: 3, looks_s: [0.05, 0.1, 0.3], reconnect: {base_s: 0.02, cap_s: 0.05}}"
    with place_of(broker) as place, trading(tmp_path, place, link=link) as session:
        session.ready()
        session.minute(100.0, alpha=buy(10))
        session.until_working(1)
        place.turn(is_silent=True)
        place.seconds(3)
        began = time.monotonic()
        session.until(lambda status: "cannot be reached" in status["broker"])
        assert time.monotonic() - began < 3.0
        sent = len(orders_at(place))
        session.minute(100.0, alpha=buy(5))
        (order,) = orders_at(place)
        place.do(lambda account: account.execute(order.broker_id, 10.0, 101.0))
        assert session.held() == 0.0
        place.turn(is_silent=False)
        session.until_held(10.0)
        session.until(lambda status: status["broker"] == "ok")
        session.agrees()
        result = session.end()
        assert [(order[1], order[2]) for order in orders_of(result)] == [(10.0, "FILLED"), (5.0, "REJECTED")]
        assert sent == len(orders_at(place)) == 1


@BOTH
def test_a_storm_of_too_much_is_backed_off_from_and_no_order_is_lost_or_doubled(tmp_path, broker):
    link = LINK.replace("{attempt_s", "{back_off_s: 1, attempt_s")
    with place_of(broker) as place, trading(tmp_path, place, link=link) as session:
        session.ready()
        session.minute(100.0, alpha=limit(10, 90.0))
        session.until_working(1)
        place.turn(too_many=2)
        before = len(place.calls)
        session.minute(100.0, alpha=lambda context: [*cancelling(context), *buy(5)])
        session.until(lambda _: place.do(lambda account: 10.0 not in [o.quantity for o in account.open_orders()]), seconds=20.0)
        # A cancel is worth every wait; what adds risk is told to be refused, or is there, once.
        session.minute(100.0)
        session.until(lambda status: status["working_orders"] == len(place.do(lambda account: account.open_orders())))
        assert len(place.calls) - before < 40
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0, alpha=buy(7))
        session.until(lambda _: 7.0 in [order.quantity for order in orders_at(place)])
        session.meet(101.0)
        session.until(lambda status: status["working_orders"] == 0)
        session.agrees(101.0)
        result = session.end()
        ours = {order.quantity: order for order in result.record.orders}
        theirs = [order.quantity for order in orders_at(place)]
        assert sorted(theirs) == sorted(q for q, order in ours.items() if str(order.status) != "REJECTED")
        assert ours[10.0].status is CANCELLED
        assert ours[7.0].status is FILLED
        assert at_place(place) == sum(fill.quantity for fill in result.record.fills)


@pytest.mark.parametrize(("broker", "switch"), [("alpaca", "loses_orders"), ("alpaca", "loses_answers"), ("ibkr", "too_many")])
def test_a_cancel_of_which_nothing_is_heard_is_looked_up_and_asked_for_again(tmp_path, broker, switch):
    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=limit(10, 90.0))
        session.until_working(1)
        place.turn(**{switch: 1})
        session.minute(100.0, alpha=cancelling)
        session.until_working(0)
        session.until(lambda status: status["broker"] == "ok")
        session.agrees()
        (order,) = session.end().record.orders
        assert order.status is CANCELLED
        assert [order.status for order in orders_at(place)] == [CANCELLED]


# Races.


@BOTH
@pytest.mark.parametrize("meanwhile", [4.0, 7.0])
def test_a_fill_that_races_a_cancel_ends_with_the_right_position(tmp_path, broker, meanwhile):
    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=limit(10, 90.0))
        session.until_working(1)
        (order,) = orders_at(place)
        place.do(lambda account: account.execute(order.broker_id, 3.0, 90.0))
        session.until_held(3.0)
        if broker == "ibkr":
            place.turn(fills_in_cancel=meanwhile)
            session.minute(100.0, alpha=cancelling)
        else:
            place.server.do(lambda there: setattr(there.book, "holds_cancels", True))
            session.minute(100.0, alpha=cancelling)
            session.until(lambda _: any(call.startswith("DELETE") for call in place.calls))
            place.do(lambda account: account.execute(order.broker_id, meanwhile, 90.0))
            place.server.do(lambda there: there.book.release())
        session.until_held(3.0 + meanwhile)
        session.until_working(0)
        session.agrees()
        assert session.status["halted_by"] == []
        result = session.end()
        assert at_place(place) == 3.0 + meanwhile
        (ours,) = result.record.orders
        assert (ours.filled_quantity, ours.status) == (3.0 + meanwhile, FILLED if meanwhile == 7.0 else CANCELLED)


@BOTH
def test_a_correction_replaces_a_fill_and_a_bust_reverses_it(tmp_path, broker):
    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=buy(10))
        session.until_working(1)
        session.meet(101.0)
        session.until_held(10.0)
        session.agrees(101.0)
        (first,) = place.do(lambda account: account.executions())
        place.seconds(2)
        second = place.do(lambda account: account.correct(first.execution_id, 8.0, 100.5))
        session.until_held(8.0)
        session.agrees(101.0)
        place.drop()  # told again, it changes nothing
        session.until(lambda status: status["broker"] == "ok")
        session.agrees(101.0)
        assert session.held() == at_place(place) == 8.0
        place.seconds(2)
        place.do(lambda account: account.bust(second.execution_id))
        session.until_held(0.0)
        session.agrees(101.0)
        assert session.status["halted_by"] == []
        assert session.status["equity"] == 100_000.0
        session.end()
        assert at_place(place) == 0.0


def test_of_a_pair_of_which_both_fill_the_second_is_closed_at_once(tmp_path):
    """Where a set is kept on our side: at Interactive Brokers the group is the broker's, and its account fills one of it."""
    pair = one_cancels_other(OrderIntent.limit("A", 10, 95.0), OrderIntent.stop("A", 10, 105.0))
    with place_of("alpaca") as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=pair)
        session.until_working(2)

        def both(account):
            for order, price in zip(account.open_orders(), (95.0, 105.0), strict=True):
                account.execute(order.broker_id, 10.0, price)

        place.do(both)
        session.until(lambda _: len(orders_at(place)) == 3)
        closing = orders_at(place)[-1]
        assert (str(closing.side), closing.quantity) == ("SELL", 10.0)
        session.meet(100.0)
        session.until_held(10.0)
        session.agrees()
        assert "oco_double_fill" in session.log
        session.end()
        assert at_place(place) == 10.0
        assert len(orders_at(place)) == 3


@BOTH
def test_to_sell_what_is_held_goes_before_everything_else(tmp_path, broker):
    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=buy(10))
        session.until_working(1)
        session.meet(101.0)
        session.until_held(10.0)
        session.minute(101.0, alpha=sell(10))
        session.until_working(1)
        session.meet(102.0)
        session.until_held(0.0)
        session.agrees(102.0)
        assert fills_of(session.end()) == [(10.0, 101.0), (10.0, 102.0)]
        assert at_place(place) == 0.0
