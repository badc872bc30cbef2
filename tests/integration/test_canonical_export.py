"""The orders of a run as canonical rows: what the columns can say, and why the others are left out."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from fairlead.backtest.canonical import canonical_orders
from fairlead.backtest.result import Result
from fairlead.contracts.orders import OrderEventWriter, OrderWriter, check_orders, read_order_events, read_orders
from fairlead.core.orders import OrderStatus, OrderType, TimeInForce
from fairlead.execution.latency import LatencySettings
from fairlead.sdk import OrderIntent, ReplaceIntent, one_cancels_other
from support_cli import fairlead, write_desk
from support_records import info_for
from support_sessions import FIRST_DAY, Scripted, allocate, days, flat, free, run, split, steady

D = Decimal


def exported(script, *, bars=None, **changes):
    record = run(days({"A": bars or steady(8)}, **changes), Scripted(script))
    return record, canonical_orders(Result(record, info_for(record)))


def bracket_pair():
    """Two stops that wait on both sides, each with its exits."""
    return one_cancels_other(
        OrderIntent.stop("A", 10, 105).with_exits(stop_loss=95, take_profit=110),
        OrderIntent.stop("A", -10, 95).with_exits(stop_loss=105, take_profit=90),
    )


def test_a_pair_of_brackets_is_two_rows_of_one_group():
    """Exits are columns of their entries; the group is shared, and so the keys differ by side."""
    record, found = exported({0: bracket_pair()}, bars=[flat(100), flat(106), *steady(6, 111)])
    assert len(record.orders) == 6
    assert (found.unsent, found.refused) == ((), ())
    buy, sell = found.orders
    assert [(row.side, row.order_type, row.qty) for row in (buy, sell)] == [
        ("BUY", OrderType.STOP, 10),
        ("SELL", OrderType.STOP, 10),
    ]
    assert (buy.stop_price, buy.stop_loss_price, buy.take_profit_price) == (105, 95, 110)
    assert (sell.stop_price, sell.stop_loss_price, sell.take_profit_price) == (95, 105, 90)
    assert buy.oco_id == sell.oco_id == record.orders[0].oco_id
    assert buy.intent().exits is not None
    last = {event.order_id: event for event in found.events}
    assert last[buy.order_id].status is OrderStatus.FILLED
    assert (last[buy.order_id].filled_qty, last[buy.order_id].avg_price) == (10, 106)
    assert last[sell.order_id].status is OrderStatus.CANCELLED
    assert {event.order_id for event in found.events} == {buy.order_id, sell.order_id}


def test_a_plain_order_keeps_its_identifiers():
    """Where the group is the order's own, key and id are those of the run's files."""
    record, found = exported({0: [OrderIntent.market("A", 10)], 2: [OrderIntent.limit("A", -4, 120.5)]})
    assert [row.idempotency_key for row in found.orders] == [order.idempotency_key for order in record.orders]
    assert [row.order_id for row in found.orders] == [order.order_id for order in record.orders]
    assert found.orders[1].limit_price == D("120.5")
    assert len(found.events) == len(record.updates)


def test_good_till_date_is_good_till_cancelled_with_an_end():
    """The file's enum knows no GTD."""
    end = dt.datetime.fromtimestamp((FIRST_DAY + 4) * 86_400, dt.UTC)
    intent = OrderIntent.limit("A", 10, 90, time_in_force=TimeInForce.GTD, expires_at=end)
    _, found = exported({0: [intent]})
    (row,) = found.orders
    assert (row.time_in_force, row.valid_to) == (TimeInForce.GTC, end)
    assert (row.intent().time_in_force, row.intent().expires_at) == (TimeInForce.GTD, end)


@pytest.mark.parametrize(
    ("intents", "reasons"),
    [
        ([OrderIntent.trailing_stop("A", 10, amount=2.0)], ["type TRAILING_STOP"]),
        ([OrderIntent.adaptive("A", 10)], ["type ADAPTIVE"]),
        ([OrderIntent.on_open("A", 10)], ["auction (OPG)"]),
        ([OrderIntent.market("A", 10).with_exits(trail_amount=2.0)], ["its stop trails"]),
        (
            one_cancels_other(OrderIntent.limit("A", 10, 90), OrderIntent.limit("A", 10, 80)),
            ["both would have one key", "both would have one key"],
        ),
        (
            one_cancels_other(OrderIntent.limit("A", 10, 90), OrderIntent.trailing_stop("A", -10, amount=1.0)),
            ["type TRAILING_STOP", "its one-cancels-other set holds"],
        ),
    ],
)
def test_what_the_columns_cannot_say_is_refused_with_the_reason(intents, reasons):
    """Better no row than one that means something else."""
    record, found = exported({0: intents})
    assert found.orders == ()
    assert found.events == ()
    for item, reason in zip(found.refused, reasons, strict=True):
        assert reason in item.reason
        assert item.order_id in {order.order_id for order in record.orders}


def test_followers_replaced_and_reduce_only_orders_are_refused():
    """The order that one follows has its row."""

    def replaced(_strategy, context):
        return [ReplaceIntent(context.open_orders[0].order_id, limit_price=91.0)]

    _, found = exported({0: [OrderIntent.market("A", 10).then(OrderIntent.limit("A", -10, 120))]})
    assert [row.order_type for row in found.orders] == [OrderType.MARKET]
    assert "follows another order" in found.refused[0].reason
    resting = OrderIntent.limit("A", 10, 90, time_in_force=TimeInForce.GTC)
    _, found = exported({0: [resting], 3: replaced})
    assert found.orders == ()
    assert "replaced on its way" in found.refused[0].reason


def test_rows_say_what_was_decided_before_a_split():
    """Quantity and prices of the decision, not what the split has made of them."""
    intent = OrderIntent.limit("A", 10, 90, time_in_force=TimeInForce.GTC).with_exits(stop_loss=80, take_profit=100)
    bars = [flat(100), flat(100), *steady(6, 50.0)]
    record, found = exported({0: [intent]}, bars=bars, actions=[split("A", 2, 2.0)])
    assert record.orders[0].quantity == 20
    (row,) = found.orders
    assert (row.qty, row.limit_price, row.stop_loss_price, row.take_profit_price) == (10, 90, 80, 100)


def test_an_order_that_a_check_stopped_never_left():
    """It is told apart from those that the columns cannot say."""
    allocation = allocate(Scripted({0: [OrderIntent.market("A", 10_000)]}), max_position_size=0.1)
    record = run(days({"A": steady(4)}), allocation)
    found = canonical_orders(Result(record, info_for(record)))
    assert (found.orders, found.refused) == ((), ())
    assert [item.reason for item in found.unsent] == [record.orders[0].reason]


def test_a_set_of_which_one_order_never_left_has_no_rows():
    """A target without its stop is not what was asked for."""
    pair = one_cancels_other(OrderIntent.limit("A", 10, 90), OrderIntent.limit("A", -10_000, 120))
    record = run(days({"A": steady(4)}), allocate(Scripted({0: pair}), max_position_size=0.1))
    found = canonical_orders(Result(record, info_for(record)))
    assert (found.orders, found.refused) == ((), ())
    other, stopped = found.unsent
    assert stopped.reason.startswith("max_position_size")
    assert other.reason == f"its one-cancels-other set holds {stopped.order_id}, which never left"


def test_what_only_closes_at_the_end_of_a_session_is_implied():
    """Whoever fills the rows does that anyway; an auction that opens something says more than the columns can."""
    bracket = (
        OrderIntent.market("A", 10).with_exits(stop_loss=90).then(replace(OrderIntent.on_close("A", -10), reduce_only=True))
    )
    record, found = exported({0: [bracket]})
    assert len(found.orders) == 1
    assert found.refused == ()
    assert [(item.order_id, item.reason) for item in found.implied] == [
        (record.orders[2].order_id, "it only closes at the end of its session")
    ]
    _, opens = exported({0: [OrderIntent.on_close("A", 10)]})
    assert (len(opens.orders), len(opens.implied), len(opens.refused)) == (0, 0, 1)


def test_a_moved_exit_is_more_than_the_columns_can_say():
    """The row would have the price that it was moved to, as if that had been decided at first."""

    class Moves(Scripted):
        def generate_orders(self, context):
            stops = [order for order in context.open_orders if order.role == "stop_loss" and order.stop_price == 90]
            return [*super().generate_orders(context), *(ReplaceIntent(order.order_id, stop_price=95) for order in stops)]

    record = run(days({"A": steady(8)}), Moves({0: [OrderIntent.market("A", 10).with_exits(stop_loss=90)]}))
    found = canonical_orders(Result(record, info_for(record)))
    assert found.orders == ()
    assert [item.reason for item in found.refused] == [
        "an exit of it was moved on its way, and what it was before is not on record"
    ]


def test_an_order_is_valid_from_its_decision_on():
    """How long it travels is for the venue to say."""
    slow = free(latency=LatencySettings(mean_ms=500, std_ms=0))
    record = run(days({"A": steady(8)}), Scripted({0: [OrderIntent.market("A", 10)]}), execution=slow)
    (row,) = canonical_orders(Result(record, info_for(record))).orders
    assert record.orders[0].arrives_ns > record.orders[0].created_ns
    assert row.valid_from == row.created_at


def test_exported_files_are_read_back(tmp_path):
    """Orders and events, written twice, are there once."""
    _, found = exported({0: bracket_pair(), 4: [OrderIntent.market("A", 3)]})
    for _ in range(2):
        OrderWriter(tmp_path / "orders.csv").extend(found.orders)
        OrderEventWriter(tmp_path / "events.csv").extend(found.events)
    assert read_orders(tmp_path / "orders.csv").orders == found.orders
    assert tuple(read_order_events(tmp_path / "events.csv")) == found.events


# ------------------------------------------------------------------------------------------------------------ the command line


def test_a_run_is_exported_and_its_file_passes(tmp_path):
    """From a configuration to canonical rows, and again without a second copy."""
    desk = write_desk(tmp_path / "desk")
    assert fairlead("backtest", "run.yaml", cwd=desk).code == 0
    made = fairlead("orders", "export", "latest", "--events", "events.csv", "--json", cwd=desk)
    assert made.code == 0, made.err
    assert (made.json["orders"], made.json["events"], made.json["refused"]) == (1, 3, [])
    path = desk / made.json["path"]
    assert path.parent == desk / "artifacts" / "orders"
    before = path.read_bytes()
    again = fairlead("orders", "export", "latest", cwd=desk)
    assert again.code == 0
    assert "1 orders of bt_" in again.out
    assert path.read_bytes() == before
    assert len(read_order_events(desk / "events.csv")) == 3
    checked = fairlead("orders", "validate", path, cwd=desk)
    assert checked.code == 0
    assert "passed 1 good rows, 0 bad ones" in checked.out
    assert "buyer" in checked.out
    # The run's own file has the same columns, and more.
    own = fairlead("orders", "validate", next(desk.glob("artifacts/runs/*/orders.csv")), "--json", cwd=desk)
    assert own.code == 0
    assert own.json["ignored_columns"] == ["status", "filled_qty", "avg_price", "reason", "tag"]


def test_an_export_that_leaves_something_out_exits_with_1(tmp_path):
    """The rows that can be written are, and the table says why others are not."""
    desk = write_desk(tmp_path / "desk", fourth="return [OrderIntent.trailing_stop(self.symbol, -10, amount=1.0)]")
    assert fairlead("backtest", "run.yaml", cwd=desk).code == 0
    made = fairlead("orders", "export", "latest", "-O", "orders.csv", cwd=desk)
    assert made.code == 1
    assert "TRAILING_STOP" in made.out
    assert len(check_orders(desk / "orders.csv").orders) == 1


def test_bad_rows_exit_with_1_and_bad_input_with_2(tmp_path):
    """A table of lines and rules, or one error that offers what may be meant."""
    desk = write_desk(tmp_path / "desk")
    assert fairlead("backtest", "run.yaml", cwd=desk).code == 0
    assert fairlead("orders", "export", "latest", "-O", "orders.csv", cwd=desk).code == 0
    path = desk / "orders.csv"
    text = path.read_text()
    path.write_text(text.replace(",BUY,", ",buy,") + "torn")
    bad = fairlead("orders", "validate", "orders.csv", cwd=desk)
    assert bad.code == 1
    assert "'side' must be one of BUY, SELL, was 'buy'" in " ".join(bad.out.split())
    assert "the last line is torn" in bad.out
    machine = fairlead("orders", "validate", "orders.csv", "--json", cwd=desk)
    assert machine.code == 1
    assert (machine.json["passed"], machine.json["problems"][0]["line"], machine.json["torn"]) == (False, 2, "torn")
    coarse = fairlead("orders", "validate", "orders.csv", "--lot", "3", "--json", cwd=desk)
    assert coarse.code == 1
    for args, said in [
        (("validate", "order.csv"), "Did you mean orders.csv?"),
        (("validate", "."), "is a folder"),
        (("validate", "ACME.csv"), "lacks the columns order_id"),
        (("validate", "orders.csv", "--lot", "0"), "lot_step"),
        (("export", "nope"), "no run named 'nope'"),
        (("exprot",), "Did you mean 'export'?"),
    ]:
        done = fairlead("orders", *args, cwd=desk)
        assert done.code == 2, args
        assert said in done.err
        assert done.out == ""
    path.write_text(text.replace(",1.0\n", ",2.0\n"))
    later = fairlead("orders", "validate", "orders.csv", cwd=desk)
    assert later.code == 2
    assert "Read it with a later release" in later.err
