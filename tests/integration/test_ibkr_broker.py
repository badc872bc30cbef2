"""Interactive Brokers over a socket, with what goes wrong at a gateway switched on one after the other."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from fairlead.core.errors import BrokerAccess, BrokerConnection, ConfigurationError, OrderRejected, OrderUnresolved
from fairlead.core.orders import OrderRole, OrderStatus, OrderType, Side, TimeInForce
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.vendors.ibkr.codes import CODES, CodeAction
from fairlead.execution.brokers.ibkr.broker import IbkrBroker
from fairlead.execution.brokers.ibkr.opening import IbkrKind
from fairlead.execution.brokers.ibkr.settings import IbkrSettings
from fairlead.execution.brokers.inspection import (
    MARKET_DATA,
    READ_ONLY,
    SHORTING,
    TRADING,
    CancelsOthers,
    Inspectable,
    Verdict,
)
from fairlead.execution.brokers.opening import AccountKeys, broker_kind
from fairlead.execution.brokers.words import ChangeRequest, LinkKind, LinkNotice
from support_brokers import AccountTerms, Ear, Stage
from support_ibkr import IbkrBench

BUY, SELL = Side.BUY, Side.SELL
LIMIT, GTC = OrderType.LIMIT, TimeInForce.GTC


@asynccontextmanager
async def opened(*, connects=True, server=None, **settings):
    bench = IbkrBench(AccountTerms(), **(server or {}))
    await bench.open(**settings)
    ear = Ear(bench.broker)
    try:
        if connects:
            await bench.broker.connect()
        yield Stage(bench, ear)
    finally:
        await bench.broker.disconnect()
        await ear.close()
        await bench.close()


def play(body, **settings):
    async def played():
        async with asyncio.timeout(30), opened(**settings) as stage:
            await body(stage)

    asyncio.run(played())


def notices(stage, kind=None):
    return [one for one in stage.ear.heard if isinstance(one, LinkNotice) and kind in {None, one.kind}]


async def told(stage, kind, text):
    return await stage.ear.until(lambda: [one for one in notices(stage, kind) if text in one.text], f"{kind}: {text}")


def test_orders_carry_reference_account_and_group_to_the_gateway():
    async def body(stage):
        reference = await stage.rest(BUY, 10, 90.0, oco_id="set_1")
        ticket = stage.bench.server.book.find(reference).ticket
        assert (ticket.order_ref, ticket.account, ticket.oca_group, ticket.oca_type) == (reference, "DU0000001", "set_1", 1)
        assert (ticket.order_type, ticket.limit, ticket.tif, ticket.outside_rth) == ("LMT", 90.0, "GTC", False)

    play(body)


def test_adaptive_goes_as_an_algorithm_with_its_priority():
    async def body(stage):
        reference = await stage.send(BUY, 10, OrderType.ADAPTIVE, urgency="Patient")
        ticket = stage.bench.server.book.find(reference).ticket
        assert (ticket.order_type, ticket.algo, ticket.algo_params) == ("MKT", "Adaptive", (("adaptivePriority", "Patient"),))
        assert (await stage.broker.find(reference)).order_type is OrderType.ADAPTIVE

    play(body)


def test_the_two_exits_go_as_one_group_whose_fills_reduce_the_other():
    async def body(stage):
        await stage.buy(10)
        target = stage.request(SELL, 10, LIMIT, limit_price=105.0, time_in_force=GTC, role=OrderRole.TAKE_PROFIT)
        stop = stage.request(SELL, 10, OrderType.STOP, stop_price=95.0, time_in_force=GTC, role=OrderRole.STOP_LOSS)
        await stage.broker.submit([target, stop])
        tickets = [stage.bench.server.book.find(one.reference).ticket for one in (target, stop)]
        assert {ticket.oca_group for ticket in tickets} == {f"exits-{target.reference}"}
        assert [ticket.oca_type for ticket in tickets] == [2, 2]

    play(body)


def test_what_one_exit_fills_in_part_leaves_the_rest_of_the_position_its_stop():
    async def body(stage):
        await stage.buy(10)
        target = stage.request(SELL, 10, LIMIT, limit_price=105.0, time_in_force=GTC, role=OrderRole.TAKE_PROFIT)
        stop = stage.request(SELL, 10, OrderType.STOP, stop_price=95.0, time_in_force=GTC, role=OrderRole.STOP_LOSS)
        await stage.broker.submit([target, stop])
        await stage.bench.execute(target.reference, 4, 105.0)
        reduced = await stage.found(stop.reference, lambda order: order.quantity == 6.0)
        assert (reduced.status, reduced.filled) == (OrderStatus.ACKNOWLEDGED, 0.0)

    play(body)


def test_of_two_exits_of_which_one_is_refused_none_works():
    async def body(stage):
        await stage.buy(10)
        stage.switches.refusals.append((201, "Order rejected - reason:no"))
        target = stage.request(SELL, 10, LIMIT, limit_price=105.0, time_in_force=GTC, role=OrderRole.TAKE_PROFIT)
        stop = stage.request(SELL, 10, OrderType.STOP, stop_price=95.0, time_in_force=GTC, role=OrderRole.STOP_LOSS)
        with pytest.raises(OrderRejected, match="reason:no"):
            await stage.broker.submit([target, stop])
        await stage.eventually(stage.open_references, [])

    play(body)


REFUSING = [code for code, rule in CODES.items() if rule.action in {CodeAction.REJECT, CodeAction.DISABLE}]


@pytest.mark.parametrize("code", REFUSING)
def test_what_refuses_an_order_says_why_and_is_not_tried_again(code):
    async def body(stage):
        stage.switches.refusals.append((code, "because of it"))
        request = stage.request(BUY, 10, LIMIT, limit_price=90.0)
        with pytest.raises(OrderRejected, match=rf"code {code}\): because of it"):
            await stage.broker.submit([request])
        assert stage.switches.calls.count("place_order") == 1
        again = stage.request(BUY, 10, LIMIT, limit_price=90.0)
        if CODES[code].action is CodeAction.DISABLE:
            with pytest.raises(OrderRejected, match="takes no orders here"):
                await stage.broker.submit([again])
            assert stage.switches.calls.count("place_order") == 1
        else:
            await stage.broker.submit([again])

    play(body)


def test_an_unknown_code_is_told_as_an_error_and_nothing_is_sent_again():
    async def body(stage):
        stage.switches.refusals.append((9999, "nobody knows"))
        request = stage.request(BUY, 10, LIMIT, limit_price=90.0)
        with pytest.raises(OrderUnresolved):
            await stage.broker.submit([request])
        (notice,) = await told(stage, LinkKind.REMARK, "nobody knows")
        assert "ERROR unknown (9999)" in notice.text
        assert stage.switches.calls.count("place_order") == 1
        assert await stage.broker.find(request.reference) is None

    play(body)


def test_a_remark_keeps_the_order():
    async def body(stage):
        reference = await stage.rest()
        order_id = stage.bench.server.book.find(reference).order_id
        stage.bench.server.notify(399, "held until the open", order_id)
        await stage.ear.until(lambda: [one for one in stage.ear.orders(reference) if one.reason == "held until the open"])
        assert await stage.open_references() == [reference]

    play(body)


def test_a_duplicate_order_id_is_not_sent_again_and_new_ids_are_taken():
    async def body(stage):
        stage.switches.refusals.append((103, "Duplicate order id"))
        request = stage.request(BUY, 10, LIMIT, limit_price=90.0, time_in_force=GTC)
        with pytest.raises(OrderRejected, match="not sent again"):
            await stage.broker.submit([request])
        assert stage.switches.calls.count("place_order") == 1
        assert stage.switches.calls.count("ids") == 1
        assert await stage.rest()

    play(body)


def test_the_same_reference_is_never_sent_twice():
    async def body(stage):
        request = stage.request(BUY, 10, LIMIT, limit_price=90.0, time_in_force=GTC)
        await stage.broker.submit([request])
        with pytest.raises(OrderRejected, match="never sent twice"):
            await stage.broker.submit([request])
        await stage.bench.drop()
        await stage.ear.until(lambda: notices(stage, LinkKind.DOWN))
        await stage.broker.connect()
        with pytest.raises(OrderRejected, match="never sent twice"):
            await stage.broker.submit([request])

    play(body)


def test_ids_that_the_gateway_gives_again_change_no_order():
    """After a reset the next valid id is that of an order that works: to use it would be to change that order."""

    async def body(stage):
        first = await stage.rest(BUY, 10, 90.0)
        stage.bench.server.book.forget_ids()
        other = IbkrBroker(
            IbkrSettings(port=stage.bench.server.port, kind="paper", client_id=1, reset=None),
            now_ns=lambda: stage.bench._now_ns,
        )
        await stage.broker.disconnect()
        await other.connect()
        try:
            request = stage.request(BUY, 20, LIMIT, limit_price=91.0, time_in_force=GTC)
            await other.submit([request])
            found = {order.reference: (order.quantity, order.limit_price) for order in await other.open_orders()}
            assert found == {first: (10.0, 90.0), request.reference: (20.0, 91.0)}
        finally:
            await other.disconnect()

    play(body)


def test_a_client_id_in_use_is_told_and_another_taken():
    async def body(stage):
        reference = await stage.rest()
        second = IbkrBroker(
            IbkrSettings(port=stage.bench.server.port, kind="paper", client_id=1, client_id_s=0, reset=None),
            now_ns=lambda: stage.bench._now_ns,
        )
        ear = Ear(second)
        try:
            await second.connect()
            (notice,) = await ear.until(
                lambda: [one for one in ear.heard if isinstance(one, LinkNotice) and one.kind is LinkKind.DEGRADED]
            )
            assert "client id 1 is in use (326): connected as 2" in notice.text
            assert [order.reference for order in await second.open_orders()] == [reference]
            with pytest.raises(OrderRejected, match="sent by client 1, and this connection is client 2"):
                await second.cancel(reference)
        finally:
            await second.disconnect()
            await ear.close()

    play(body)


def test_orders_of_others_have_no_reference():
    async def body(stage):
        mine = await stage.rest()
        await stage.bench.foreign(stage.request(BUY, 5, LIMIT, limit_price=80.0, time_in_force=GTC))
        found = await stage.broker.open_orders()
        assert sorted(order.reference for order in found) == ["", mine]

    play(body)


@pytest.mark.parametrize(("code", "kind"), [(1101, LinkKind.RESTORED_LOST), (1102, LinkKind.RESTORED)])
def test_nothing_is_sent_while_the_brokers_servers_are_not_reached(code, kind):
    async def body(stage):
        stage.bench.server.notify(1100, "Connectivity between IB and Trader Workstation has been lost.")
        await told(stage, LinkKind.DOWN, "(1100)")
        assert "1100" in stage.broker.health().text
        sent = stage.switches.calls.count("place_order")
        with pytest.raises(BrokerConnection, match="1100"):
            await stage.send(BUY, 10, LIMIT, limit_price=90.0)
        with pytest.raises(BrokerConnection, match="1100"):
            await stage.broker.connect()
        assert stage.switches.calls.count("place_order") == sent
        stage.bench.server.notify(code, "Connectivity has been restored")
        await told(stage, kind, f"({code})")
        await stage.broker.connect()
        assert await stage.rest()

    play(body)


def test_broken_farms_degrade_and_their_return_restores():
    async def body(stage):
        server = stage.bench.server
        server.notify(2103, "Market data farm connection is broken:usfarm")
        server.notify(2105, "HMDS data farm connection is broken:ushmds")
        await told(stage, LinkKind.DEGRADED, "(2105)")
        server.notify(2104, "Market data farm connection is OK:usfarm")
        server.notify(2106, "HMDS data farm connection is OK:ushmds")
        (notice,) = await told(stage, LinkKind.RESTORED, "ushmds")
        assert "(2106)" in notice.text

    play(body)


def test_too_much_is_told_as_pacing():
    async def body(stage):
        stage.bench.server.notify(100, "Max rate of messages per second has been exceeded")
        await told(stage, LinkKind.PACING, "(100)")

    play(body)


def test_an_unknown_status_leaves_the_order_as_it_was():
    async def body(stage):
        stage.switches.unknown_status = "Levitating"
        request = stage.request(BUY, 10, LIMIT, limit_price=90.0, time_in_force=GTC)
        (order,) = await stage.broker.submit([request])
        assert order.status is OrderStatus.SUBMITTED
        await told(stage, LinkKind.REMARK, "unknown status 'Levitating'")

    play(body)


def test_a_status_that_is_repeated_is_told_once():
    async def body(stage):
        reference = await stage.buy(10)
        orders = [order._replace(ts_ns=0) for order in stage.ear.orders(reference)]
        assert len(orders) == len(set(orders))

    play(body, server={"repeats": 4})


def test_a_commission_that_comes_late_is_told_as_a_correction():
    async def body(stage):
        stage.switches.holds_commissions = True
        reference = await stage.rest(BUY, 100)
        stage.bench.account.execute(stage.bench.server.book.find(reference).broker_id, 60, 90.0, 1.5)
        await stage.bench.settled()
        await stage.ear.until(lambda: stage.ear.executions(reference))
        (first,) = stage.ear.executions(reference).values()
        assert (first.quantity, first.commission) == (60.0, 0.0)
        stage.switches.holds_commissions = False
        stage.bench.server.settle()
        late = await stage.ear.until(lambda: [one for one in stage.ear.executions(reference).values() if one.replaces])
        assert [(one.replaces, one.quantity, one.commission) for one in late] == [(first.execution_id, 60.0, 1.5)]
        # It is corrected after that: what is replaced then is what was told last.
        await stage.bench.correct(reference, 50, 89.0)
        news = await stage.ear.until(lambda: [o for o in stage.ear.executions(reference).values() if o.quantity == 50.0])
        assert [one.replaces for one in news] == [late[0].execution_id]

    play(body, commission_s=0.05)


def test_an_execution_is_told_with_its_commission_if_that_comes_in_time():
    async def body(stage):
        reference = await stage.buy(10)
        (execution,) = stage.ear.executions(reference).values()
        assert execution.commission > 0
        assert execution.ts_ns % NS_PER_SECOND == 0

    play(body)


def test_a_read_only_interface_is_told_clearly():
    async def body(stage):
        stage.switches.is_read_only = True
        with pytest.raises(BrokerAccess, match=r"read-only.*API settings"):
            await stage.send(BUY, 10, LIMIT, limit_price=90.0)
        with pytest.raises(BrokerAccess, match="read-only"):
            await stage.broker.open_orders()

    play(body)


@pytest.mark.parametrize(("shown", "kind"), [("U1234567", "paper"), ("DU1234567", "live")])
def test_an_account_of_the_other_kind_is_refused_before_anything_is_sent(shown, kind):
    async def body(stage):
        stage.bench.server.money.shown_id = shown
        with pytest.raises(BrokerAccess, match=rf"is for a {kind} account, and {shown}"):
            await stage.broker.connect()
        assert not stage.broker.health().is_connected
        assert stage.switches.calls == []

    play(body, connects=False, kind=kind)


def test_nobody_there_is_told_with_what_to_do():
    async def body(stage):
        await stage.bench.server.stop()
        with pytest.raises(BrokerConnection, match=r"no gateway at .* \(502\).*Start TWS or IB Gateway"):
            await stage.broker.connect()

    play(body, connects=False)


def test_a_silent_gateway_answers_in_no_time_and_says_so():
    async def body(stage):
        stage.switches.is_silent = True
        with pytest.raises(BrokerConnection, match=r"did not answer within 0\.25 s"):
            await stage.broker.account()
        stage.switches.is_silent = False

    play(body, answer_s=0.25)


def test_a_fill_during_a_cancel_counts_and_the_rest_is_cancelled():
    async def body(stage):
        reference = await stage.rest(BUY, 100)
        stage.switches.fills_in_cancel = 40.0
        await stage.broker.cancel(reference)
        ended = await stage.ended(reference)
        assert (ended.status, ended.filled) == (OrderStatus.CANCELLED, 40.0)
        await stage.filled(reference, 40)

    play(body)


def test_a_change_that_meets_a_fill_is_refused_and_the_order_known():
    async def body(stage):
        reference = await stage.rest(BUY, 10)
        known = stage.bench.server.book.find(reference)
        stage.bench.account.execute(known.broker_id, 10, 90.0)  # and nobody has told the client yet
        with pytest.raises(OrderRejected):
            await stage.broker.replace(ChangeRequest(reference=reference, limit_price=Decimal(91)))
        assert (await stage.broker.find(reference)).status is OrderStatus.FILLED

    play(body)


def test_a_working_order_is_changed_by_a_new_process_that_has_its_client_id():
    async def body(stage):
        reference = await stage.rest(BUY, 10, 90.0, oco_id="set_9")
        await stage.broker.disconnect()
        later = IbkrBroker(
            IbkrSettings(port=stage.bench.server.port, kind="paper", client_id=1, reset=None),
            now_ns=lambda: stage.bench._now_ns,
        )
        await later.connect()
        try:
            changed = await later.replace(ChangeRequest(reference=reference, limit_price=Decimal("91.5"), quantity=Decimal(12)))
            assert (changed.limit_price, changed.quantity) == (91.5, 12.0)
            ticket = stage.bench.server.book.find(reference).ticket
            assert (ticket.limit, ticket.quantity, ticket.oca_group, ticket.tif) == (91.5, 12.0, "set_9", "GTC")
            assert len(await later.open_orders()) == 1
        finally:
            await later.disconnect()

    play(body)


def test_the_nightly_reset_is_told_before_and_after():
    async def body(stage):
        (before,) = await told(stage, LinkKind.DEGRADED, "restarts its servers until")
        assert "no new risk" in before.text
        stage.bench._now_ns += 3_600 * NS_PER_SECOND
        await told(stage, LinkKind.RESTORED, "nightly restart is over")

    play(body, reset={"begins": "09:00", "ends": "10:00", "timezone": "America/New_York"}, sleeps=0.01)


def test_in_an_emergency_everything_can_be_taken_back_beside_the_session():
    async def body(stage):
        reference = await stage.rest()
        kind = IbkrKind(port=stage.bench.server.port, kind="paper", reset=None)
        other = kind.open(AccountKeys("DU0000001"), lambda: stage.bench._now_ns, is_emergency=True)
        await other.connect()
        try:
            (order,) = await other.open_orders()
            assert (order.reference, order.quantity) == ("", 10.0)
            await other.cancel_others([order.broker_id])
            assert (await stage.ended(reference)).status is OrderStatus.CANCELLED
            await stage.eventually(other.open_orders, [])
            assert sorted(stage.bench.server.clients) == [1, 32]
        finally:
            await other.disconnect()

    play(body)


def test_what_can_be_said_of_an_account_before_it_is_traded_with():
    async def body(stage):
        found = {one.check: one.verdict for one in await stage.broker.inspect()}
        assert found == {TRADING: Verdict.OK, SHORTING: Verdict.UNKNOWN, MARKET_DATA: Verdict.UNKNOWN, READ_ONLY: Verdict.OK}
        stage.switches.is_read_only = True
        found = {one.check: one.verdict for one in await stage.broker.inspect()}
        assert found[READ_ONLY] is Verdict.FAILED
        assert isinstance(stage.broker, Inspectable)
        assert isinstance(stage.broker, CancelsOthers)

    play(body)


def test_it_is_opened_by_its_name():
    kind = broker_kind("ibkr", {"port": 4001})
    assert (kind.endpoint().kind, kind.kind_of("DU1"), kind.kind_of("U1")) == ("live", "paper", "live")
    assert kind.open(AccountKeys("U1234567"), lambda: 0).name == "ibkr"
    with pytest.raises(ConfigurationError, match="'account' must be of the kind of port 4001, live"):
        kind.open(AccountKeys("DU1234567"), lambda: 0)
    with pytest.raises(ConfigurationError, match=r"'host' must be one of 127\.0\.0\.1"):
        broker_kind("ibkr", {"host": "example.org"})
