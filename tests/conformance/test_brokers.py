"""What every broker must do, in numbered cases; `docs/guides/write-a-broker-adapter.md` has them as a table.

The brokers of the house play all of them. Another one is played with `FAIRLEAD_BROKER=package.module:open_bench`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from fairlead.core.errors import BrokerAccess, BrokerConnection, OrderRejected, OrderUnresolved, PacingViolation
from fairlead.core.orders import OrderRole, OrderStatus, OrderType, Side, TimeInForce
from fairlead.execution.brokers.words import BrokerOrder, ChangeRequest, LinkKind, LinkNotice
from support_brokers import (
    ACTS,
    BENCHES,
    UNFINISHED,
    AccountTerms,
    DoesNotApplyError,
    Ear,
    Stage,
    bench_opener,
    open_stage,
    play,
)

BUY, SELL = Side.BUY, Side.SELL
LIMIT, STOP, STOP_LIMIT, MARKET = OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET
DAY, GTC, IOC, FOK = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
NAMED = os.environ.get("FAIRLEAD_BROKER")
BROKERS = [NAMED] if NAMED else list(BENCHES)
DEFAULT = AccountTerms()

Case = Callable[[Stage], Awaitable[None]]


@pytest.fixture(params=BROKERS)
def broker_name(request):
    return request.param


def case(*needs: str, terms: AccountTerms = DEFAULT) -> Callable[[Case], Callable[[str], None]]:
    """Make a test of a case; `needs` are acts of the bench without which it cannot be played."""
    assert set(needs) <= ACTS

    def decorate(body: Case) -> Callable[[str], None]:
        def run(broker_name: str) -> None:
            reason = play(broker_name, body, terms, needs)
            if reason is not None:
                pytest.skip(reason)

        run.__name__, run.__doc__ = body.__name__, body.__doc__
        return run

    return decorate


# The connection.


@case()
async def test_c01_connect_returns_the_account(stage):
    """To connect returns the account: its id, whether it is paper, and what is in it."""
    account = await stage.broker.connect()
    assert account.account_id
    assert account.is_paper
    assert account.cash == 100_000.0
    assert account.nav == 100_000.0
    assert account.buying_power > 0
    assert account.currency == "USD"
    assert not account.is_blocked


@case()
async def test_c02_connect_twice_is_one_connection(stage):
    """To connect again while connected does nothing: everything is told once."""
    first = await stage.broker.connect()
    assert await stage.broker.connect() == first
    reference = await stage.rest()
    told = stage.ear.orders(reference)
    assert len([order for order in told if order.status is OrderStatus.ACKNOWLEDGED]) <= 1


@case()
async def test_c03_disconnect_ends_the_events_and_no_order(stage):
    """To disconnect ends the events, a second time does nothing, and orders go on working."""
    reference = await stage.rest()
    await stage.broker.disconnect()
    await stage.broker.disconnect()
    await stage.ear.until(lambda: stage.ear.is_over, "the end of the events")
    await stage.broker.connect()
    assert await stage.open_references() == [reference]


@case()
async def test_c04_without_a_connection_nothing_is_asked(stage):
    """Without a connection every method says so, and nothing is sent."""
    await stage.broker.disconnect()
    sent = len(stage.switches.calls)
    broker, request = stage.broker, stage.request()
    for ask in (
        lambda: broker.submit([request]),
        lambda: broker.cancel("ord_1"),
        lambda: broker.replace(ChangeRequest(reference="ord_1", quantity=Decimal(5))),
        lambda: broker.find("ord_1"),
        broker.open_orders,
        lambda: broker.executions(0),
        broker.positions,
        broker.account,
    ):
        with pytest.raises(BrokerConnection):
            await ask()
    assert len(stage.switches.calls) == sent
    await broker.connect()
    assert await broker.find(request.reference) is None


@case("drop")
async def test_c05_health_tells_how_it_stands(stage):
    """Health says whether it is connected and when something was heard, and a lost line is told."""
    await stage.broker.account()
    health = stage.broker.health()
    assert health.is_connected
    assert health.heard_ns is not None
    await stage.bench.drop()
    await stage.ear.until(lambda: _notices(stage.ear, LinkKind.DOWN), "that the line is down")
    assert not stage.broker.health().is_connected
    assert stage.broker.health().text


# Orders that come in and rest.


@case("trade")
async def test_c06_a_market_order_is_taken_and_filled(stage):
    """A market order is taken, told as acknowledged, and filled at the market."""
    request = stage.request(BUY, 10)
    (order,) = await stage.broker.submit([request])
    assert (order.reference, order.symbol, order.side, order.quantity) == (request.reference, "AAPL", BUY, 10.0)
    assert order.broker_id
    assert order.status in {OrderStatus.SUBMITTED, OrderStatus.ACKNOWLEDGED}
    await stage.bench.trade(101.0, 101.0, 101.0, 101.0)
    await stage.filled(request.reference, 10)
    ended = await stage.ended(request.reference)
    assert (ended.status, ended.filled, ended.average_price) == (OrderStatus.FILLED, 10.0, 101.0)


@case()
async def test_c07_order_types_come_back_as_they_were_sent(stage):
    """Every order type that the traits name is taken, and comes back with its type and prices."""
    prices = {LIMIT: {"limit_price": 90.0}, STOP: {"stop_price": 110.0}, MARKET: {}}
    prices[STOP_LIMIT] = {"limit_price": 111.0, "stop_price": 110.0}
    prices[OrderType.TRAILING_STOP] = {"trail_amount": Decimal(20)}
    prices[OrderType.ADAPTIVE] = {}
    for kind in sorted(stage.broker.traits.order_types):
        reference = await stage.send(BUY, 10, kind, **prices[kind])
        found = await stage.found(reference, lambda order: order.status is OrderStatus.ACKNOWLEDGED)
        assert found.order_type is kind
        assert found.limit_price == prices[kind].get("limit_price")
        if kind is not OrderType.TRAILING_STOP:  # its stop moves with the market
            assert found.stop_price == prices[kind].get("stop_price")


@case()
async def test_c08_times_in_force_are_taken(stage):
    """Every time in force of DAY, GTC, IOC and FOK that the traits name is taken."""
    for in_force in sorted(stage.broker.traits.times_in_force & {DAY, GTC, IOC, FOK}):
        reference = await stage.send(BUY, 10, LIMIT, limit_price=90.0, time_in_force=in_force)
        found = await stage.broker.find(reference)
        assert found is not None
        assert found.status is not OrderStatus.REJECTED


@case("trade")
async def test_c09_a_limit_rests_until_its_price(stage):
    """A limit order rests until its price is reached, and fills at it or better."""
    reference = await stage.rest(BUY, 10, 95.0)
    await stage.bench.trade(100.0, 101.0, 96.0, 100.0)
    assert (await stage.broker.find(reference)).status is OrderStatus.ACKNOWLEDGED
    await stage.bench.trade(100.0, 100.0, 94.0, 96.0)
    await stage.filled(reference, 10)
    (execution,) = stage.ear.executions(reference).values()
    assert execution.price <= 95.0


@case("trade")
async def test_c10_a_stop_waits_for_its_price(stage):
    """A stop order does nothing until its price is reached, and fills at it or worse."""
    reference = await stage.send(BUY, 10, STOP, stop_price=105.0, time_in_force=GTC)
    await stage.bench.trade(100.0, 104.0, 99.0, 100.0)
    assert (await stage.broker.find(reference)).filled == 0.0
    await stage.bench.trade(100.0, 107.0, 100.0, 106.0)
    await stage.filled(reference, 10)
    (execution,) = stage.ear.executions(reference).values()
    assert execution.price >= 105.0


@case("trade")
async def test_c11_a_stop_limit_becomes_a_limit(stage):
    """A stop-limit order that has been triggered fills within its limit."""
    reference = await stage.send(BUY, 10, STOP_LIMIT, stop_price=105.0, limit_price=106.0, time_in_force=GTC)
    await stage.bench.trade(100.0, 104.0, 99.0, 100.0)
    assert (await stage.broker.find(reference)).filled == 0.0
    await stage.bench.trade(100.0, 105.5, 100.0, 105.0)
    await stage.bench.trade(105.0, 105.5, 104.0, 105.0)
    await stage.filled(reference, 10)
    assert all(execution.price <= 106.0 for execution in stage.ear.executions(reference).values())


# Executions.


@case("trade", "repeats")
async def test_c12_an_execution_has_one_id_however_often_it_is_told(stage):
    """What is told again of an execution has the id and the numbers that it had, told or asked for."""
    stage.switches.repeats = 2
    reference = await stage.buy(10)
    assert len(stage.ear.executions(reference)) == 1
    asked = [e for e in await stage.broker.executions(0) if e.reference == reference]
    assert [(e.execution_id, e.quantity, e.price) for e in asked] == [
        (e.execution_id, e.quantity, e.price) for e in stage.ear.executions(reference).values()
    ]


@case("trade")
async def test_c13_parts_add_up(stage):
    """Partial fills are told as such, each with an id of its own, and what the order says is their sum and mean."""
    reference = await stage.send(BUY, 100, LIMIT, limit_price=100.0, time_in_force=GTC)
    await stage.bench.trade(99.0, 99.0, 99.0, 99.0, volume=400.0)
    await stage.filled(reference, 40)
    partly = await stage.found(reference, lambda order: order.filled == 40.0)
    assert partly.status is OrderStatus.PARTIALLY_FILLED
    await stage.bench.trade(98.0, 98.0, 98.0, 98.0)
    await stage.filled(reference, 100)
    ended = await stage.ended(reference)
    parts = list(stage.ear.executions(reference).values())
    assert sorted(part.quantity for part in parts) == [40.0, 60.0]
    assert (ended.status, ended.filled) == (OrderStatus.FILLED, 100.0)
    assert ended.average_price == pytest.approx(sum(p.quantity * p.price for p in parts) / 100.0)
    filled = [order.filled for order in stage.ear.orders(reference)]
    assert all(before <= after for before, after in pairwise(filled))


@case("trade")
async def test_c14_executions_since_leave_out_what_was_before(stage):
    """Executions since an instant are those at or after it, in order, and what is before is left out."""
    first = await stage.buy(10)
    second = await stage.buy(20)
    everything = await stage.broker.executions(0)
    assert [e.reference for e in everything] == [first, second]
    assert [e.ts_ns for e in everything] == sorted(e.ts_ns for e in everything)
    later = await stage.broker.executions(everything[-1].ts_ns)
    assert [e.reference for e in later] == [second]
    assert await stage.broker.executions(everything[-1].ts_ns + 60_000_000_000) == []


@case("execute", "correct")
async def test_c15_a_correction_takes_the_place_of_what_it_corrects(stage):
    """A correction is told as one, names what it replaces, and counts in its place."""
    reference = await stage.rest(BUY, 100)
    await stage.bench.execute(reference, 60, 90.0)
    await stage.filled(reference, 60)
    (old,) = stage.ear.executions(reference).values()
    await stage.bench.correct(reference, 50, 89.5)
    news = await stage.ear.until(lambda: [e for e in stage.ear.executions(reference).values() if e.replaces], "the correction")
    assert [(e.replaces, e.quantity, e.price, e.is_bust) for e in news] == [(old.execution_id, 50.0, 89.5, False)]
    assert news[0].execution_id != old.execution_id
    await stage.eventually(stage.held, {"AAPL": 50.0})


@case("execute", "bust")
async def test_c16_a_bust_takes_an_execution_back(stage):
    """A bust is told as one, names what never was, and the position is without it."""
    reference = await stage.rest(BUY, 100)
    await stage.bench.execute(reference, 60, 90.0)
    await stage.filled(reference, 60)
    (old,) = stage.ear.executions(reference).values()
    await stage.bench.bust(reference)
    news = await stage.ear.until(lambda: [e for e in stage.ear.executions(reference).values() if e.is_bust], "the bust")
    assert [e.replaces for e in news] == [old.execution_id]
    await stage.eventually(stage.held, {})


# Taking back and changing.


@case()
async def test_c17_a_cancel_ends_an_order(stage):
    """An order that is taken back ends as cancelled, and is open no more."""
    reference = await stage.rest()
    await stage.broker.cancel(reference)
    ended = await stage.ended(reference)
    assert (ended.status, ended.filled) == (OrderStatus.CANCELLED, 0.0)
    assert await stage.open_references() == []


@case("trade")
async def test_c18_a_filled_order_cannot_be_taken_back(stage):
    """To take back an order that is filled is refused, and changes nothing."""
    reference = await stage.buy(10)
    with pytest.raises(OrderRejected):
        await stage.broker.cancel(reference)
    assert (await stage.broker.find(reference)).status is OrderStatus.FILLED


@case()
async def test_c19_an_unknown_order_cannot_be_taken_back(stage):
    """To take back, or to change, an order that the broker has not got is refused."""
    with pytest.raises(OrderRejected):
        await stage.broker.cancel("ord_of_nobody")
    with pytest.raises(OrderRejected):
        await stage.broker.replace(ChangeRequest(reference="ord_of_nobody", quantity=Decimal(5)))


@case("execute")
async def test_c20_a_fill_that_meets_a_cancel_counts(stage):
    """A part that is filled while a cancel is under way is in the order, the executions and the position."""
    reference = await stage.rest(BUY, 100)
    await asyncio.gather(stage.bench.execute(reference, 40, 90.0), stage.broker.cancel(reference))
    ended = await stage.ended(reference)
    await stage.filled(reference, 40)
    assert ended.status is OrderStatus.CANCELLED
    assert (await stage.broker.find(reference)).filled == 40.0
    await stage.eventually(stage.held, {"AAPL": 40.0})


@case("trade")
async def test_c21_a_price_is_changed_under_the_same_reference(stage):
    """A working order's price is changed, and it goes on under its reference."""
    reference = await stage.rest(BUY, 10, 90.0)
    changed = await stage.broker.replace(ChangeRequest(reference=reference, limit_price=Decimal("95.50")))
    assert (changed.reference, changed.limit_price) == (reference, 95.5)
    found = await stage.found(reference, lambda order: order.limit_price == 95.5)
    assert found.status is OrderStatus.ACKNOWLEDGED
    assert await stage.open_references() == [reference]
    await stage.bench.trade(100.0, 100.0, 95.0, 99.0)
    await stage.filled(reference, 10)
    assert not [order for order in stage.ear.orders(reference) if order.status is OrderStatus.CANCELLED]


@case("execute")
async def test_c22_a_quantity_is_changed_as_a_whole(stage):
    """A working order's quantity is changed to the whole one, what is filled included."""
    reference = await stage.rest(BUY, 100)
    await stage.bench.execute(reference, 30, 90.0)
    await stage.filled(reference, 30)
    changed = await stage.broker.replace(ChangeRequest(reference=reference, quantity=Decimal(50)))
    assert (changed.quantity, changed.filled) == (50.0, 30.0)
    await stage.bench.execute(reference, 20, 90.0)
    ended = await stage.ended(reference)
    assert (ended.status, ended.filled) == (OrderStatus.FILLED, 50.0)


@case("execute")
async def test_c23_no_less_than_is_filled(stage):
    """A quantity below what is filled is refused, and the order is what it was."""
    reference = await stage.rest(BUY, 100)
    await stage.bench.execute(reference, 30, 90.0)
    await stage.filled(reference, 30)
    with pytest.raises(OrderRejected):
        await stage.broker.replace(ChangeRequest(reference=reference, quantity=Decimal(20)))
    found = await stage.broker.find(reference)
    assert (found.quantity, found.filled, found.status) == (100.0, 30.0, OrderStatus.PARTIALLY_FILLED)


@case()
async def test_c24_what_has_ended_is_not_changed(stage):
    """To change an order that has ended is refused."""
    reference = await stage.rest()
    await stage.broker.cancel(reference)
    await stage.ended(reference)
    with pytest.raises(OrderRejected):
        await stage.broker.replace(ChangeRequest(reference=reference, limit_price=Decimal(91)))


# References.


@case()
async def test_c25_a_reference_is_used_once(stage):
    """A reference that is sent again makes no second order: it is refused, or the first one is found."""
    request = stage.request(BUY, 10, LIMIT, limit_price=90.0)
    (first,) = await stage.broker.submit([request])
    try:
        (again,) = await stage.broker.submit([replace(request, quantity=Decimal(20))])
    except OrderRejected:
        pass
    else:
        assert again.broker_id == first.broker_id
    orders = await stage.broker.open_orders()
    assert [(order.reference, order.quantity) for order in orders] == [(request.reference, 10.0)]


@case("trade")
async def test_c26_an_order_is_found_by_its_reference(stage):
    """An order is found by its reference while it works and after it has ended; an unknown one surely is not."""
    working, filled = await stage.rest(), await stage.buy(10)
    assert (await stage.broker.find(working)).status is OrderStatus.ACKNOWLEDGED
    found = await stage.broker.find(filled)
    assert (found.reference, found.status, found.filled) == (filled, OrderStatus.FILLED, 10.0)
    assert await stage.broker.find("ord_of_nobody") is None


@case("trade")
async def test_c27_open_orders_are_those_that_can_fill(stage):
    """Open orders are those that can still fill, and no others."""
    await stage.buy(10)
    first, second = await stage.rest(), await stage.rest(BUY, 20, 80.0)
    assert await stage.open_references() == sorted([first, second])
    await stage.broker.cancel(first)
    await stage.ended(first)
    assert await stage.open_references() == [second]


@case("trade")
async def test_c28_every_word_carries_the_reference(stage):
    """Everything that is told of an order or an execution carries its reference and the broker's name for it."""
    reference = await stage.buy(10)
    found = await stage.broker.find(reference)
    told = [event for event in stage.ear.heard if not isinstance(event, LinkNotice)]
    assert told
    assert {event.reference for event in told} == {reference}
    assert {event.broker_id for event in told} == {found.broker_id}
    assert {e.reference for e in await stage.broker.executions(0)} == {reference}


@case("foreign")
async def test_c29_orders_of_others_have_no_reference(stage):
    """An order that somebody else sent is among the open ones, without a reference."""
    ours = await stage.rest()
    await stage.bench.foreign(stage.request(BUY, 5, LIMIT, limit_price=80.0, reference=""))
    await stage.eventually(stage.open_references, sorted(["", ours]))


# The account.


@case("trade")
async def test_c30_positions_are_signed_and_flat_ones_left_out(stage):
    """Positions are long, short or, if flat, absent; with what a unit has cost."""
    await stage.buy(30, 100.0)
    await stage.eventually(stage.held, {"AAPL": 30.0})
    (position,) = await stage.broker.positions()
    assert position.average_price == pytest.approx(100.0, abs=0.05)
    await _sell(stage, 30)
    await stage.eventually(stage.held, {})
    await _sell(stage, 10)
    await stage.eventually(stage.held, {"AAPL": -10.0})


@case("trade")
async def test_c31_cash_pays_for_fills_and_commission(stage):
    """Cash is what it was, less what fills and their commission have cost; the value of the account is with the position."""
    await stage.buy(30, 100.0)
    await _sell(stage, 10)

    async def is_paid() -> bool:
        told = list(await stage.broker.executions(0))
        paid = sum(e.side.sign * e.quantity * e.price + e.commission for e in told)
        account = await stage.broker.account()
        assert not stage.bench.charges or all(e.commission > 0 for e in told)
        return abs(account.cash - (100_000.0 - paid)) < 0.01 and abs(account.nav - account.cash - 20 * 100.0) < 0.01

    await stage.eventually(is_paid, expected=True)


@case()
async def test_c32_an_unknown_symbol_is_refused(stage):
    """An order for a symbol that the broker does not know is refused."""
    request = stage.request(symbol="NOSUCH")
    with pytest.raises(OrderRejected):
        await stage.broker.submit([request])
    assert await stage.open_references() == []


@case()
async def test_c33_what_cannot_be_paid_for_is_refused(stage):
    """An order beyond the buying power is refused, and the text says why."""
    with pytest.raises(OrderRejected, match=r"(?i)buying|margin|fund"):
        await stage.send(BUY, 5_000)
    assert await stage.open_references() == []


@case(terms=AccountTerms(can_short=False))
async def test_c34_no_short_sale_where_none_is_allowed(stage):
    """An account that may not sell short says so, and a sale of what it has not got is refused."""
    assert not (await stage.broker.account()).can_short
    with pytest.raises(OrderRejected, match=r"(?i)short"):
        await stage.send(SELL, 10)


@case("reject")
async def test_c35_a_later_rejection_is_told(stage):
    """An order that was taken and is then refused ends as rejected, with the reason."""
    reference = await stage.rest()
    await stage.bench.reject(reference, "the exchange says no")
    ended = await stage.ended(reference)
    assert (ended.status, ended.filled) == (OrderStatus.REJECTED, 0.0)
    assert "the exchange says no" in ended.reason


# How long orders work.


@case("trade", "next_session")
async def test_c36_a_day_order_ends_with_its_session(stage):
    """What a session leaves of a DAY order has expired in the next; a GTC order goes on."""
    day = await stage.send(BUY, 10, LIMIT, limit_price=90.0, time_in_force=DAY)
    until_cancelled = await stage.rest(BUY, 10, 89.0)
    await stage.bench.trade(100.0, 100.0, 99.0, 100.0)
    await stage.bench.next_session()
    await stage.bench.trade(100.0, 100.0, 99.0, 100.0)
    ended = await stage.ended(day)
    assert (ended.status, ended.filled) == (OrderStatus.EXPIRED, 0.0)
    assert await stage.open_references() == [until_cancelled]


@case("trade")
async def test_c37_what_ioc_does_not_get_at_once_is_cancelled(stage):
    """An IOC order takes what is there at once, and the rest is cancelled."""
    reference = await stage.send(BUY, 100, LIMIT, limit_price=101.0, time_in_force=IOC)
    await stage.bench.trade(100.0, 100.0, 100.0, 100.0, volume=400.0)
    ended = await stage.ended(reference)
    await stage.filled(reference, 40)
    assert (ended.status, ended.filled) == (OrderStatus.CANCELLED, 40.0)


@case("trade")
async def test_c38_fok_is_all_or_nothing(stage):
    """A FOK order is filled as a whole or not at all."""
    too_much = await stage.send(BUY, 100, LIMIT, limit_price=101.0, time_in_force=FOK)
    await stage.bench.trade(100.0, 100.0, 100.0, 100.0, volume=400.0)
    ended = await stage.ended(too_much)
    assert (ended.status, ended.filled) == (OrderStatus.CANCELLED, 0.0)
    enough = await stage.send(BUY, 100, LIMIT, limit_price=101.0, time_in_force=FOK)
    await stage.bench.trade(100.0, 100.0, 100.0, 100.0)
    assert (await stage.ended(enough)).filled == 100.0


# What hangs together.


@case("trade")
async def test_c39_linked_exits_end_each_other(stage):
    """Of two exits that were sent together one fills, and the other ends without one."""
    if not stage.broker.traits.links_exits:
        raise DoesNotApplyError("it does not link exits")
    await stage.buy(10)
    target = stage.request(SELL, 10, LIMIT, limit_price=105.0, time_in_force=GTC, role=OrderRole.TAKE_PROFIT, reduce_only=True)
    stop = stage.request(SELL, 10, STOP, stop_price=95.0, time_in_force=GTC, role=OrderRole.STOP_LOSS, reduce_only=True)
    sent = await stage.broker.submit([target, stop])
    assert [order.reference for order in sent] == [target.reference, stop.reference]
    assert await stage.open_references() == sorted([target.reference, stop.reference])
    await stage.bench.trade(104.0, 106.0, 104.0, 106.0)
    assert (await stage.ended(target.reference)).status is OrderStatus.FILLED
    other = await stage.ended(stop.reference)
    assert (other.status, other.filled) == (OrderStatus.CANCELLED, 0.0)
    await stage.eventually(stage.held, {})


@case("trade")
async def test_c40_a_set_ends_with_its_first_fill(stage):
    """Of orders of one set one fills, and the others are cancelled."""
    if not stage.broker.traits.links_sets:
        raise DoesNotApplyError("it does not link sets")
    up = await stage.send(BUY, 10, STOP, stop_price=105.0, time_in_force=GTC, oco_id="set_1")
    down = await stage.send(BUY, 10, LIMIT, limit_price=95.0, time_in_force=GTC, oco_id="set_1")
    await stage.bench.trade(104.0, 106.0, 104.0, 106.0)
    assert (await stage.ended(up)).status is OrderStatus.FILLED
    other = await stage.ended(down)
    assert (other.status, other.filled) == (OrderStatus.CANCELLED, 0.0)
    await stage.eventually(stage.held, {"AAPL": 10.0})


# What goes wrong on the way.


@case("drop", "trade")
async def test_c41_fills_while_disconnected_are_found(stage):
    """What was filled while the line was down is among the executions after it is back, under an id that stays."""
    reference = await stage.rest(BUY, 100, 95.0)
    await stage.bench.drop()
    await stage.ear.until(lambda: _notices(stage.ear, LinkKind.DOWN), "that the line is down")
    await stage.bench.trade(94.0, 94.0, 94.0, 94.0, volume=400.0)
    await stage.broker.connect()
    missed = [e for e in await stage.broker.executions(0) if e.reference == reference]
    assert [(e.quantity, e.price) for e in missed] == [(40.0, 94.0)]
    await stage.bench.trade(94.0, 94.0, 94.0, 94.0)
    await stage.ended(reference)
    everything = {e.execution_id: e for e in await stage.broker.executions(0)} | stage.ear.executions(reference)
    assert len(everything) == 2
    assert missed[0].execution_id in everything
    assert sum(e.quantity for e in everything.values()) == 100.0


@case("drop")
async def test_c42_events_go_on_after_a_lost_line(stage):
    """The events that were begun before a line was lost go on when `connect` has been called again."""
    await stage.bench.drop()
    await stage.ear.until(lambda: _notices(stage.ear, LinkKind.DOWN), "that the line is down")
    assert not stage.ear.is_over
    await stage.broker.connect()
    reference = await stage.rest()
    await stage.ear.until(lambda: stage.ear.orders(reference), "the order that was sent after")


@case("drop")
async def test_c43_working_orders_survive_a_lost_line(stage):
    """A working order is there once after a lost line, and can be changed and taken back."""
    reference = await stage.rest()
    await stage.bench.drop()
    await stage.ear.until(lambda: _notices(stage.ear, LinkKind.DOWN), "that the line is down")
    await stage.broker.connect()
    assert await stage.open_references() == [reference]
    changed = await stage.broker.replace(ChangeRequest(reference=reference, limit_price=Decimal(91)))
    assert changed.limit_price == 91.0
    assert await stage.open_references() == [reference]
    await stage.broker.cancel(reference)
    assert (await stage.ended(reference)).status is OrderStatus.CANCELLED


@case("loses_answers")
async def test_c44_an_order_whose_answer_was_lost_is_found(stage):
    """An order whose answer was lost with the line is unresolved, sent once, and found afterwards."""
    request = stage.request(BUY, 10, LIMIT, limit_price=90.0, time_in_force=GTC)
    stage.switches.loses_answers = 1
    with pytest.raises(OrderUnresolved):
        await stage.broker.submit([request])
    await stage.broker.connect()
    assert (await stage.broker.find(request.reference)).quantity == 10.0
    assert await stage.open_references() == [request.reference]


@case("loses_orders")
async def test_c45_an_order_that_was_lost_is_surely_not_there(stage):
    """An order that was lost with the line is unresolved too, and surely not found afterwards."""
    request = stage.request(BUY, 10, LIMIT, limit_price=90.0, time_in_force=GTC)
    stage.switches.loses_orders = 1
    with pytest.raises(OrderUnresolved):
        await stage.broker.submit([request])
    await stage.broker.connect()
    assert await stage.broker.find(request.reference) is None
    assert await stage.open_references() == []


@case("holds_answers")
async def test_c46_a_time_out_is_resolved_by_looking_up(stage):
    """An order that is not answered in time is unresolved, sent once, and found by its reference."""
    request = stage.request(BUY, 10, LIMIT, limit_price=90.0, time_in_force=GTC)
    stage.switches.holds_answers = True
    with pytest.raises(OrderUnresolved):
        await stage.broker.submit([request])
    stage.switches.holds_answers = False
    await stage.found(request.reference, lambda order: order.quantity == 10.0)
    await stage.eventually(stage.open_references, [request.reference])


@case("too_many")
async def test_c47_too_much_is_told_as_such(stage):
    """A broker that says that too much was asked makes a pacing violation of it, and nothing was done."""
    request = stage.request(BUY, 10, LIMIT, limit_price=90.0, time_in_force=GTC)
    stage.switches.too_many = 1
    with pytest.raises(PacingViolation):
        await stage.broker.submit([request])
    assert await stage.broker.find(request.reference) is None
    await stage.broker.submit([request])
    await stage.eventually(stage.open_references, [request.reference])


@case("refuses_keys")
async def test_c48_wrong_keys_are_told_as_such(stage):
    """Keys that are not accepted make an access error at the connection."""
    await stage.broker.disconnect()
    stage.switches.refuses_keys = True
    with pytest.raises(BrokerAccess):
        await stage.broker.connect()
    assert not stage.broker.health().is_connected


@case("refuses_keys")
async def test_c49_keys_that_are_revoked_are_told_as_such(stage):
    """Keys that are revoked while connected make an access error of whatever is asked next, and no order leaves."""
    request = stage.request(BUY, 10, LIMIT, limit_price=90.0)
    stage.switches.refuses_keys = True
    with pytest.raises(BrokerAccess):
        await stage.broker.submit([request])
    stage.switches.refuses_keys = False
    await stage.broker.connect()
    assert await stage.broker.find(request.reference) is None


@case("restart_empty", "trade")
async def test_c50_ids_do_not_come_again_after_an_empty_restart(stage):
    """After a broker has forgotten everything, old references are surely not found and no id comes a second time."""
    old = [await stage.rest(), await stage.buy(10)]
    old_ids = {(await stage.broker.find(reference)).broker_id for reference in old}
    old_executions = {e.execution_id for e in await stage.broker.executions(0)}
    await stage.bench.restart_empty()
    await stage.ear.until(lambda: _notices(stage.ear, LinkKind.DOWN), "that the line is down")
    await stage.broker.connect()
    assert [await stage.broker.find(reference) for reference in old] == [None, None]
    assert await stage.open_references() == []
    new = [await stage.rest(), await stage.buy(10)]
    assert not {(await stage.broker.find(reference)).broker_id for reference in new} & old_ids
    assert not {e.execution_id for e in await stage.broker.executions(0)} & old_executions


# What is not sent at all.


@case()
async def test_c51_parts_of_a_unit_are_refused_unless_they_are_taken(stage):
    """A part of a unit is refused before it is sent, unless the traits say that it is taken."""
    if stage.broker.traits.is_fractional:
        raise DoesNotApplyError("it takes parts of a unit")
    before = list(stage.switches.calls)
    with pytest.raises(OrderRejected):
        await stage.send(BUY, "1.5")
    assert stage.switches.calls == before


@case()
async def test_c52_what_the_traits_do_not_name_is_not_sent(stage):
    """An order type or a time in force that the traits do not name is refused before it is sent."""
    traits, before = stage.broker.traits, list(stage.switches.calls)
    kinds, in_force = sorted(set(OrderType) - traits.order_types), sorted(set(TimeInForce) - traits.times_in_force)
    if not kinds and not in_force:
        raise DoesNotApplyError("it takes everything")
    for kind in kinds:
        with pytest.raises(OrderRejected):
            await stage.send(BUY, 10, kind)
    for lasting in in_force:
        with pytest.raises(OrderRejected):
            await stage.send(BUY, 10, LIMIT, limit_price=90.0, time_in_force=lasting)
    assert stage.switches.calls == before


def _notices(ear: Ear, kind: LinkKind) -> list[LinkNotice]:
    return [event for event in ear.heard if isinstance(event, LinkNotice) and event.kind is kind]


async def _sell(stage: Stage, quantity: float) -> str:
    reference = await stage.send(SELL, quantity)
    await stage.bench.trade(100.0, 100.0, 100.0, 100.0)
    await stage.filled(reference, quantity)
    return reference


def test_the_brokers_of_the_house_lack_nothing(broker_name):
    """A case may be left out because of traits, not because a bench of the house cannot play it."""
    if NAMED or broker_name in UNFINISHED:
        pytest.skip("it is none of the house's, or a skeleton")

    async def lacking() -> frozenset[str]:
        async with bench_opener(broker_name)(DEFAULT) as bench:
            return bench.lacks

    assert asyncio.run(lacking()) == frozenset()


def test_the_stage_hears_what_a_broker_tells(broker_name):
    """What the cases stand on: an ear that hears, and a condition that is waited for."""

    async def heard() -> list[BrokerOrder]:
        async with open_stage(broker_name, DEFAULT) as stage:
            reference = await stage.rest()
            return await stage.ear.until(lambda: stage.ear.orders(reference))

    assert asyncio.run(heard())
