"""Which of Alpaca's orders are one to us: replacements, legs, and what is told late."""

from __future__ import annotations

import pytest

from fairlead.core.orders import OrderStatus
from fairlead.execution.brokers.alpaca.lineage import Lineage
from fairlead.execution.brokers.alpaca.mapping import read_order
from fairlead.execution.brokers.alpaca.naming import Name
from support_alpaca import raw_order


def learned(*orders):
    lineage = Lineage()
    for order in orders:
        lineage.learn(read_order(order))
    return lineage


def test_a_replacement_goes_on_for_the_order_it_replaces():
    lineage = learned(
        raw_order(id="a", status="replaced", replaced_by="b", qty="100", filled_qty="40", filled_avg_price="10"),
        raw_order(id="b", client_order_id="r-1~1", replaces="a", status="new", qty="60", limit_price="11"),
    )
    order = lineage.order("b")
    assert lineage.newest("r-1") == "b"
    assert (order.reference, order.broker_id, order.quantity, order.filled) == ("r-1", "b", 100.0, 40.0)
    assert (order.status, order.average_price, order.limit_price) == (OrderStatus.PARTIALLY_FILLED, 10.0, 11.0)
    lineage.learn(
        read_order(
            raw_order(
                id="b", client_order_id="r-1~1", replaces="a", status="filled", qty="60", filled_qty="60", filled_avg_price="12"
            )
        )
    )
    order = lineage.order("b")
    assert (order.filled, order.average_price, order.status) == (100.0, 11.2, OrderStatus.FILLED)
    assert lineage.next_name("b") == "r-1~2"


def test_a_replacement_by_somebody_else_keeps_our_reference():
    lineage = learned(raw_order(id="b", client_order_id="0b9f", replaces="a", status="new"))
    assert lineage.predecessor("b") == "a"
    lineage.learn(read_order(raw_order(id="a", status="replaced", replaced_by="b")))
    assert lineage.predecessor("b") is None
    assert lineage.reference("b") == "r-1"
    lineage.learn(read_order(raw_order(id="b", client_order_id="0b9f", replaces="a", status="new")))
    assert lineage.newest("r-1") == "b"


def test_a_replacement_that_is_refused_leaves_the_order_as_it_is():
    lineage = learned(
        raw_order(id="a", status="new"),
        raw_order(id="b", client_order_id="r-1~1", replaces="a", status="pending_new"),
    )
    assert lineage.newest("r-1") == "b"
    lineage.learn(read_order(raw_order(id="b", client_order_id="r-1~1", replaces="a", status="rejected")))
    assert lineage.newest("r-1") == "a"
    assert lineage.next_name("a") == "r-1~2"


def pair(**leg):
    held = raw_order(id="leg", client_order_id="theirs", order_class="oco", type="stop", status="held", stop_price="95", **leg)
    return raw_order(id="top", client_order_id="tp+sl", order_class="oco", status="new", legs=[held])


def test_a_leg_is_found_by_its_parents_name():
    lineage = learned(pair())
    assert (lineage.newest("tp"), lineage.newest("sl")) == ("top", "leg")
    assert lineage.order("leg").reference == "sl"
    assert lineage.name("sl") == lineage.name("tp") == "tp+sl"
    assert (lineage.next_name("top"), lineage.next_name("leg")) == ("tp+sl~1", "sl~1")


def test_a_leg_has_no_reference_before_its_parent_was_heard_of():
    alone = raw_order(id="leg", client_order_id="theirs", order_class="oco", type="stop", status="held")
    lineage = learned(alone)
    assert lineage.is_orphan("leg")
    assert lineage.reference("leg") is None
    lineage.learn(read_order(pair()))
    assert (lineage.is_orphan("leg"), lineage.reference("leg")) == (False, "sl")
    stranger = learned(alone)
    stranger.give_up("leg")
    assert (stranger.is_orphan("leg"), stranger.reference("leg")) == (False, "")


def test_a_leg_that_is_replaced_is_still_the_stop():
    lineage = learned(
        pair(),
        raw_order(id="leg", client_order_id="theirs", order_class="oco", status="replaced", replaced_by="leg-2"),
        raw_order(id="leg-2", client_order_id="sl~1", order_class="oco", replaces="leg", status="held", stop_price="96"),
    )
    assert lineage.newest("sl") == "leg-2"
    assert lineage.order("leg-2").stop_price == 96.0


@pytest.mark.parametrize("late", [{"status": "new"}, {"status": "partially_filled", "filled_qty": "5"}])
def test_what_comes_late_changes_nothing(late):
    lineage = learned(
        raw_order(id="a", status="filled", filled_qty="15", filled_avg_price="107", updated_at="2025-01-02T14:31:00Z")
    )
    lineage.learn(read_order(raw_order(id="a", **late)))
    assert lineage.order("a").status is OrderStatus.FILLED
    assert lineage.order("a").filled == 15.0


def test_a_status_that_changes_nothing_is_held_against_the_last_one():
    lineage = learned(raw_order(id="a", status="accepted"))
    assert lineage.order("a").status is OrderStatus.SUBMITTED
    lineage.learn(read_order(raw_order(id="a", status="pending_cancel", updated_at="2025-01-02T14:31:00Z")))
    assert lineage.order("a").status is OrderStatus.SUBMITTED
    lineage.learn(read_order(raw_order(id="a", status="quantum", updated_at="2025-01-02T14:32:00Z")))
    assert (lineage.order("a").status, lineage.order("a").reason) == (OrderStatus.SUBMITTED, "Alpaca calls it 'quantum'")


def test_orders_that_were_sent_are_known_by_name_before_they_are_told():
    lineage = Lineage()
    lineage.expect(Name("tp", "sl"))
    assert (lineage.name("tp"), lineage.name("sl"), lineage.name("other")) == ("tp+sl", "tp+sl", "other")
    assert lineage.newest("tp") is None
