"""Alpaca's adapter against a server that speaks its protocol: orders, what becomes of them, and what can go wrong."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal

import pytest

from fairlead.core.errors import (
    BrokerAccess,
    BrokerConnection,
    ConfigurationError,
    OrderRejected,
    OrderUnresolved,
    PacingViolation,
    UnknownName,
)
from fairlead.core.orders import OrderStatus, OrderType, Side, TimeInForce
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, EndpointKind
from fairlead.execution.brokers.inspection import (
    MARKET_DATA,
    READ_ONLY,
    SHORTING,
    TRADING,
    CancelsOthers,
    Inspectable,
    Timed,
    Verdict,
)
from fairlead.execution.brokers.opening import AccountKeys, broker_kind
from fairlead.execution.brokers.words import ChangeRequest, LinkKind, OrderRequest
from servers.alpaca import alpaca_server
from support_alpaca import Heard, connected, settings_of

S = OrderStatus


def limit(reference="r-1", quantity=100, price="99", side=Side.BUY, **changed):
    fields = {"symbol": "ACME", "quantity": Decimal(quantity), "order_type": OrderType.LIMIT, "limit_price": Decimal(price)}
    return OrderRequest(reference=reference, side=side, **{**fields, **changed})


def exits(quantity=100):
    stop = limit("sl", quantity, side=Side.SELL, order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(90))
    return [limit("tp", quantity, "110", Side.SELL), stop]


def fill(server, broker_id, quantity, price=99.0):
    """Let an order of Alpaca's be executed in part or whole."""
    server.do(lambda b: b.account.execute(b.book.records[broker_id].broker_id, quantity, price))


def run(body, *, data_too=False, **options):
    async def all_of_it():
        with alpaca_server(calls_per_minute=0, **options) as server:
            async with connected(server, **({"data_url": server.data_url} if data_too else {})) as (broker, heard):
                await body(server, broker, heard)

    asyncio.run(all_of_it())


def calls(server, method):
    return [call for call in server.do(lambda b: list(b.switches.calls)) if call.startswith(method)]


def test_an_order_is_sent_told_and_filled():
    async def body(server, broker, heard):
        account = await broker.account()
        assert (account.account_id, account.is_paper, account.is_blocked) == ("PA0001", True, False)
        (sent,) = await broker.submit([limit()])
        assert (sent.reference, sent.quantity, sent.limit_price) == ("r-1", 100.0, 99.0)
        await heard.until(lambda: S.ACKNOWLEDGED in [order.status for order in heard.orders("r-1")])
        fill(server, sent.broker_id, 40)
        fill(server, sent.broker_id, 60, 98.5)
        await heard.until(lambda: heard.orders("r-1")[-1].status is S.FILLED)
        assert [(e.reference, e.quantity, e.price) for e in heard.executions] == [("r-1", 40.0, 99.0), ("r-1", 60.0, 98.5)]
        assert heard.orders("r-1")[-1].average_price == pytest.approx(98.7)
        assert list(await broker.executions(0)) == heard.executions
        assert [(p.symbol, p.quantity) for p in await broker.positions()] == [("ACME", 100.0)]
        assert list(await broker.open_orders()) == []

    run(body)


def test_the_same_reference_is_never_a_second_order():
    async def body(server, broker, _heard):
        (first,) = await broker.submit([limit()])
        (again,) = await broker.submit([limit()])
        assert again.broker_id == first.broker_id
        assert len(server.do(lambda b: b.account.orders())) == 1

    run(body)


def test_an_order_whose_answer_is_lost_is_there_when_it_is_looked_up():
    async def body(server, broker, _heard):
        server.do(lambda b: setattr(b.switches, "loses_answers", 1))
        with pytest.raises(OrderUnresolved, match="line broke"):
            await broker.submit([limit()])
        found = await broker.find("r-1")
        assert found is not None
        assert (found.reference, found.quantity) == ("r-1", 100.0)
        server.do(lambda b: setattr(b.switches, "loses_orders", 1))
        with pytest.raises(OrderUnresolved):
            await broker.submit([limit("r-2")])
        assert await broker.find("r-2") is None
        assert len(calls(server, "POST")) == 2

    run(body)


def test_a_call_that_takes_too_long_is_unresolved_and_found():
    async def body(server, broker, _heard):
        async with connected(server, timeout_s=0.2) as (hasty, _):
            server.do(lambda b: setattr(b.switches, "holds_answers", True))
            with pytest.raises(OrderUnresolved, match=r"no answer"):
                await hasty.submit([limit()])
            found = await hasty.find("r-1")
            server.do(lambda b: setattr(b.switches, "holds_answers", False))
            assert found is not None
            assert len(calls(server, "POST")) == 1

    run(body)


def test_too_many_calls_are_told_and_not_made_again():
    async def body(server, broker, _heard):
        server.do(lambda b: setattr(b.switches, "too_many", 2))
        with pytest.raises(PacingViolation, match="too much"):
            await broker.submit([limit()])
        with pytest.raises(PacingViolation):
            await broker.account()
        assert len(calls(server, "POST")) == 1
        await broker.submit([limit()])

    run(body)


def test_refusals_have_alpacas_reason():
    async def body(_server, broker, _heard):
        with pytest.raises(OrderRejected, match='asset "NONE" not found'):
            await broker.submit([limit(symbol="NONE")])
        with pytest.raises(OrderRejected, match="insufficient buying power"):
            await broker.submit([limit(quantity=1_000_000)])
        with pytest.raises(OrderRejected, match="sub-penny"):
            await broker.submit([limit(price="99.001")])
        with pytest.raises(OrderRejected, match="no order 'r-9'"):
            await broker.cancel("r-9")
        with pytest.raises(OrderRejected, match="no order 'r-9'"):
            await broker.replace(ChangeRequest(reference="r-9", limit_price=Decimal(98)))
        with pytest.raises(OrderRejected, match="not 3"):
            await broker.submit([limit("a"), limit("b"), limit("c")])
        assert await broker.find("r-1") is None

    run(body)


def test_a_cancel_is_told_and_of_one_that_has_ended_refused():
    async def body(_server, broker, heard):
        await broker.submit([limit()])
        await broker.cancel("r-1")
        await heard.until(lambda: [order.status for order in heard.orders("r-1")][-1:] == [S.CANCELLED])
        with pytest.raises(OrderRejected, match="canceled"):
            await broker.cancel("r-1")

    run(body)


def test_a_fill_that_overtakes_a_cancel_counts():
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        fill(server, sent.broker_id, 30)
        server.do(lambda b: setattr(b.book, "holds_cancels", True))
        await broker.cancel("r-1")
        fill(server, sent.broker_id, 20)
        server.do(lambda b: b.book.release())
        await heard.until(lambda: heard.orders("r-1")[-1].status is S.CANCELLED)
        assert heard.orders("r-1")[-1].filled == 50.0
        assert S.CANCELLED not in [order.status for order in heard.orders("r-1")][:-1]
        assert sum(e.quantity for e in heard.executions) == 50.0

    run(body)


def test_a_change_goes_on_under_our_reference_and_asks_for_what_is_left():
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        fill(server, sent.broker_id, 40)
        changed = await broker.replace(ChangeRequest(reference="r-1", limit_price=Decimal("98.5")))
        assert changed.broker_id != sent.broker_id
        assert (changed.reference, changed.quantity, changed.filled, changed.limit_price) == ("r-1", 100.0, 40.0, 98.5)
        assert changed.status is S.PARTIALLY_FILLED
        again = await broker.replace(ChangeRequest(reference="r-1", quantity=Decimal(90)))
        assert (again.quantity, again.filled, again.limit_price) == (90.0, 40.0, 98.5)
        fill(server, again.broker_id, 50, 98.5)
        await heard.until(lambda: heard.orders("r-1")[-1].status is S.FILLED)
        assert heard.orders("r-1")[-1].filled == 90.0
        assert S.CANCELLED not in [order.status for order in heard.orders("r-1")]
        assert {e.reference for e in heard.executions} == {"r-1"}
        with pytest.raises(OrderRejected, match="FILLED"):
            await broker.replace(ChangeRequest(reference="r-1", limit_price=Decimal(97)))
        async with connected(server) as (fresh, _):
            found = await fresh.find("r-1")
            assert found is not None
            assert (found.broker_id, found.filled, found.status) == (again.broker_id, 90.0, S.FILLED)
            assert [(e.reference, e.quantity) for e in await fresh.executions(0)] == [("r-1", 40.0), ("r-1", 50.0)]

    run(body)


def test_a_change_whose_answer_is_lost_is_not_made_twice():
    async def body(server, broker, _heard):
        await broker.submit([limit()])
        server.do(lambda b: setattr(b.switches, "loses_answers", 1))
        with pytest.raises(OrderUnresolved):
            await broker.replace(ChangeRequest(reference="r-1", limit_price=Decimal(98)))
        async with connected(server) as (fresh, _):
            found = await fresh.find("r-1")
            assert found is not None
            assert (found.limit_price, found.status) == (98.0, S.ACKNOWLEDGED)
            assert [order.limit_price for order in await fresh.open_orders()] == [98.0]

    run(body)


def test_a_fill_in_the_midst_of_a_change_does_not_come_on_top():
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        server.do(lambda b: setattr(b.book, "holds_replaces", True))
        wish = ChangeRequest(reference="r-1", limit_price=Decimal("98.5"), quantity=Decimal(80))
        changed = await broker.replace(wish)
        assert (changed.reference, changed.quantity) == ("r-1", 80.0)
        fill(server, sent.broker_id, 30)
        await heard.until(lambda: heard.executions)
        server.do(lambda b: setattr(b.book, "holds_replaces", False))
        server.do(lambda b: b.book.release())
        await heard.until(lambda: server.do(lambda b: b.account.orders())[0].quantity == 80.0)
        found = await broker.find("r-1")
        assert found is not None
        assert (found.quantity, found.filled, found.limit_price) == (80.0, 30.0, 98.5)
        assert any("while it was changed" in notice.text for notice in heard.notices(LinkKind.REMARK))

    run(body)


def test_a_change_that_comes_too_late_leaves_the_order_as_it_is():
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        server.do(lambda b: setattr(b.book, "holds_replaces", True))
        await broker.replace(ChangeRequest(reference="r-1", limit_price=Decimal("98.5")))
        fill(server, sent.broker_id, 100)
        server.do(lambda b: b.book.release())
        await heard.until(lambda: heard.orders("r-1")[-1].status is S.FILLED)
        assert S.REJECTED not in [order.status for order in heard.orders("r-1")]
        found = await broker.find("r-1")
        assert found is not None
        assert (found.broker_id, found.status, found.filled) == (sent.broker_id, S.FILLED, 100.0)

    run(body)


def test_two_exits_are_linked_at_alpaca_and_known_after_a_restart():
    async def body(server, broker, heard):
        (bought,) = await broker.submit([limit("in")])
        fill(server, bought.broker_id, 100)
        profit, stop = await broker.submit(exits())
        assert [(o.reference, o.order_type) for o in (profit, stop)] == [("tp", OrderType.LIMIT), ("sl", OrderType.STOP)]
        assert profit.status in {S.SUBMITTED, S.ACKNOWLEDGED}
        assert stop.status is S.ACKNOWLEDGED
        async with connected(server) as (fresh, _):
            assert {o.reference: o.broker_id for o in await fresh.open_orders()} == {
                "tp": profit.broker_id,
                "sl": stop.broker_id,
            }
        async with connected(server) as (fresh, _):
            found = await fresh.find("sl")
            assert found is not None
            assert found.broker_id == stop.broker_id
        async with connected(server) as (fresh, _):
            found = await fresh.find("tp")
            assert found is not None
            assert found.broker_id == profit.broker_id
        fill(server, stop.broker_id, 100, 90.0)
        await heard.until(lambda: heard.orders("tp") and heard.orders("tp")[-1].status is S.CANCELLED)
        await heard.until(lambda: heard.orders("sl")[-1].status is S.FILLED)
        async with connected(server) as (fresh, _):
            assert [(e.reference, e.quantity) for e in await fresh.executions(0)] == [("in", 100.0), ("sl", 100.0)]

    run(body)


def test_a_stop_that_is_moved_is_still_the_other_exits_twin():
    async def body(server, broker, heard):
        (bought,) = await broker.submit([limit("in")])
        fill(server, bought.broker_id, 100)
        await broker.submit(exits())
        changed = await broker.replace(ChangeRequest(reference="sl", stop_price=Decimal(95)))
        assert (changed.reference, changed.stop_price) == ("sl", 95.0)
        fill(server, changed.broker_id, 100, 95.0)
        await heard.until(lambda: heard.orders("tp") and heard.orders("tp")[-1].status is S.CANCELLED)
        await heard.until(lambda: heard.orders("sl")[-1].status is S.FILLED)
        async with connected(server) as (fresh, _):
            assert [(e.reference, e.quantity) for e in await fresh.executions(0)] == [("in", 100.0), ("sl", 100.0)]

    run(body)


def test_linked_exits_whose_answer_is_lost_are_both_found():
    async def body(server, broker, _heard):
        (bought,) = await broker.submit([limit("in")])
        fill(server, bought.broker_id, 100)
        server.do(lambda b: setattr(b.switches, "loses_answers", 1))
        with pytest.raises(OrderUnresolved):
            await broker.submit(exits())
        found = [await broker.find("tp"), await broker.find("sl")]
        assert [order.reference for order in found if order is not None] == ["tp", "sl"]
        with pytest.raises(OrderRejected, match="quantity of linked exits"):
            await broker.replace(ChangeRequest(reference="tp", quantity=Decimal(50)))

    run(body)


def test_a_correction_and_a_bust_are_told_with_what_they_amend():
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        fill(server, sent.broker_id, 40)
        fill(server, sent.broker_id, 60)
        await heard.until(lambda: len(heard.executions) == 2)
        first, second = heard.executions
        theirs = server.do(lambda b: [e.execution_id for e in b.account.executions()])
        server.do(lambda b: b.account.correct(theirs[0], 30, 98.0))
        server.do(lambda b: b.account.bust(theirs[1]))
        await heard.until(lambda: len(heard.executions) == 4)
        corrected, busted = heard.executions[2:]
        assert (corrected.replaces, corrected.quantity, corrected.price) == (first.execution_id, 30.0, 98.0)
        assert (busted.replaces, busted.is_bust) == (second.execution_id, True)
        assert len({e.execution_id for e in heard.executions}) == 4

    run(body)


def test_a_correction_of_what_was_executed_before_a_restart_is_understood():
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        fill(server, sent.broker_id, 40)
        await heard.until(lambda: heard.executions)
        async with connected(server) as (_fresh, listening):
            theirs = server.do(lambda b: [e.execution_id for e in b.account.executions()])
            server.do(lambda b: b.account.correct(theirs[0], 30, 98.0))
            await listening.until(lambda: listening.executions)
            assert listening.executions[0].replaces == heard.executions[0].execution_id

    run(body)


def test_a_lost_line_is_told_at_once_and_nothing_is_lost_by_it():
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        server.drop()
        await heard.until(lambda: heard.notices(LinkKind.DOWN))
        assert not broker.health().is_connected
        fill(server, sent.broker_id, 100)
        await broker.connect()
        assert broker.health().is_connected
        await heard.until(lambda: len(heard.notices(LinkKind.UP)) == 2)
        assert [e.quantity for e in await broker.executions(0)] == [100.0]
        found = await broker.find("r-1")
        assert found is not None
        assert found.status is S.FILLED

    run(body)


def test_who_listens_after_a_connection_was_ended_hears_what_comes_then():
    async def body(server, broker, heard):
        await broker.disconnect()
        await heard.end()
        before = len(heard.events)
        await broker.connect()
        later = Heard(broker)
        await broker.submit([limit()])
        await later.until(lambda: later.orders("r-1"))
        assert len(heard.events) == before
        # A session's link may do both at once when nothing has come for long.
        await asyncio.gather(broker.disconnect(), broker.connect(), broker.disconnect(), broker.connect())
        assert broker.health().is_connected
        assert len(await broker.open_orders()) == 1
        await later.end()

    run(body)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5])
def test_whoever_has_no_patience_for_the_farewell_leaves_no_socket_open(turns):
    async def body(_server, broker, heard):
        transport = broker._stream._socket.transport
        leaving = asyncio.create_task(broker.disconnect())
        await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert transport.is_closing()
        assert not broker.health().is_connected
        await heard.end()

    run(body)


def test_what_does_not_fit_on_a_page_is_asked_for_page_by_page():
    async def body(server, broker, _heard):
        (bought,) = await broker.submit([limit("in", quantity=300)])
        fill(server, bought.broker_id, 100)
        await broker.submit(exits())
        for _ in range(130):
            fill(server, bought.broker_id, 1)
        cheap = {"symbol": "TGT", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "50"}
        for first in (0, 260):
            server.step()
            server.do(lambda b, at=first: [b.book.place({**cheap, "client_order_id": f"o-{at + i}"}) for i in range(260)])
        async with connected(server) as (fresh, _):
            executions = await fresh.executions(0)
            assert (len(executions), {e.reference for e in executions}) == (131, {"in"})
            assert sum(e.quantity for e in executions) == 230.0
            references = [order.reference for order in await fresh.open_orders()]
            assert (len(references), len(set(references))) == (523, 523)
        async with connected(server) as (fresh, _):
            found = await fresh.find("sl")
            assert found is not None
            assert found.order_type is OrderType.STOP
            assert await fresh.find("nobody") is None

    run(body)


def test_a_list_that_may_not_be_whole_is_not_taken_for_one():
    async def body(server, broker, _heard):
        cheap = {"symbol": "TGT", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "50"}
        server.do(lambda b: [b.book.place({**cheap, "client_order_id": f"o-{i}"}) for i in range(501)])
        with pytest.raises(BrokerConnection, match="there may be others"):
            await broker.open_orders()
        with pytest.raises(BrokerConnection, match="there may be others"):
            await broker.find("nobody")
        assert await broker.executions(0) == []

    run(body)


def test_what_survives_a_restart_of_the_server_is_what_it_was():
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        fill(server, sent.broker_id, 40)
        await heard.until(lambda: heard.executions)
        server.restart()
        await heard.until(lambda: heard.notices(LinkKind.DOWN))
        await broker.connect()
        found = await broker.find("r-1")
        assert found is not None
        assert (found.broker_id, found.filled, found.status) == (sent.broker_id, 40.0, S.PARTIALLY_FILLED)
        assert [e.execution_id for e in await broker.executions(0)] == [heard.executions[0].execution_id]

    run(body)


def test_a_server_that_is_gone_is_told_as_such():
    async def body(server, broker, heard):
        server.stop()
        await heard.until(lambda: heard.notices(LinkKind.DOWN))
        with pytest.raises(BrokerConnection, match="cannot be reached"):
            await broker.account()
        with pytest.raises(BrokerConnection, match="cannot be reached"):
            await broker.submit([limit()])
        with pytest.raises(BrokerConnection):
            await broker.connect()

    run(body)


def test_wrong_keys_are_refused():
    async def body(server, broker, _heard):
        with pytest.raises(BrokerAccess, match="does not accept the keys"):
            async with connected(server, api_secret="wrong"):
                raise AssertionError
        assert "wrong" not in repr(settings_of(server, api_secret="wrong"))

    run(body)


def test_keys_that_are_revoked_are_told_once():
    async def body(server, broker, heard):
        server.do(lambda b: setattr(b.switches, "refuses_keys", True))
        for _ in range(2):
            with pytest.raises(BrokerAccess):
                await broker.submit([limit()])
        await heard.until(lambda: heard.notices(LinkKind.REFUSED))
        await asyncio.sleep(0)
        assert len(heard.notices(LinkKind.REFUSED)) == 1
        assert "keys" in broker.health().text

    run(body)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"{",
        b"[1]",
        b'"text"',
        b"\xff\xfe",
        b'{"stream":"trade_updates"}',
        b'{"stream":"trade_updates","data":{"event":"fill"}}',
        b'{"stream":"trade_updates","data":{"event":"fill","order":{"id":"x"}}}',
        b"[" * 100_000,
        b"x" * (2 << 20),
    ],
    ids=range(10),
)
def test_what_cannot_be_read_is_counted_and_costs_nothing(garbage):
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        server.do(lambda b: b.stream.tell_raw(garbage))
        fill(server, sent.broker_id, 100)
        await heard.until(lambda: heard.executions)
        assert broker.updates.malformed == 1
        assert len(heard.notices(LinkKind.REMARK)) == 1
        assert broker.health().is_connected

    run(body)


def test_a_status_that_nobody_knows_is_remarked_on_once_and_changes_nothing():
    async def body(server, broker, heard):
        (sent,) = await broker.submit([limit()])
        await heard.until(lambda: S.ACKNOWLEDGED in [order.status for order in heard.orders("r-1")])
        for _ in range(2):
            server.do(lambda b: b.tell("quantum", b.book.records[sent.broker_id], order={"status": "quantum"}))
        await heard.until(lambda: len(heard.orders("r-1")) >= 3)
        assert heard.orders("r-1")[-1].status is S.ACKNOWLEDGED
        assert ["'quantum'" in notice.text for notice in heard.notices(LinkKind.REMARK)] == [True]

    run(body)


def test_orders_of_others_are_shown():
    async def body(server, broker, _heard):
        server.do(
            lambda b: b.book.place(
                {"symbol": "TGT", "qty": "5", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "50"}
            )
        )
        (order,) = await broker.open_orders()
        assert (order.symbol, order.quantity, order.limit_price) == ("TGT", 5.0, 50.0)

    run(body)


def test_names_that_others_give_do_no_harm():
    async def body(server, broker, _heard):
        await broker.submit([limit()])
        cheap = {"symbol": "TGT", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "50"}
        names = ("x+y+z", "~1", "+", "a~b~3", "r-1~7", "+~9", "n" * 128)
        for name in names:
            server.do(lambda b, name=name: b.book.place({**cheap, "client_order_id": name}))
        async with connected(server) as (fresh, _):
            for client in (broker, fresh):
                assert len(await client.open_orders()) == 1 + len(names)
                found = await client.find("r-1")
                assert found is not None
                assert found.symbol == "ACME"
                changed = await client.replace(ChangeRequest(reference="r-1", limit_price=Decimal(95)))
                assert changed.symbol == "ACME"
                await client.replace(ChangeRequest(reference="r-1", limit_price=Decimal(94)))

    run(body)


def test_assets_and_whether_they_can_be_sold_short():
    async def body(_server, broker, _heard):
        asset = await broker.asset("ACME")
        assert (asset.symbol, asset.is_tradable, asset.is_shortable) == ("ACME", True, True)
        with pytest.raises(UnknownName, match="no asset 'NONE'"):
            await broker.asset("NONE")

    run(body)


def test_alpacas_sessions_are_held_against_the_calendar():
    async def body(_server, broker, _heard):
        assert await broker.calendar_differences(dt.date(2024, 1, 1), dt.date(2024, 12, 31)) == []
        differences = await broker.calendar_differences(dt.date(2024, 7, 1), dt.date(2024, 7, 5), "XLON")
        assert any("2024-07-04: no session at Alpaca" in text for text in differences)

    run(body)


def test_an_account_of_the_other_kind_is_refused(monkeypatch):
    async def body(server, broker, _heard):
        # No address of this machine can be Alpaca's own.
        live = Endpoint(EndpointKind.LIVE, "https://api.alpaca.markets")
        monkeypatch.setattr("fairlead.execution.brokers.alpaca.broker.alpaca_endpoint", lambda _: live)
        with pytest.raises(BrokerAccess, match="is for live trading, and account PA0001 is a paper one"):
            async with connected(server):
                raise AssertionError

    run(body)


def test_what_alpaca_says_of_an_account():
    async def body(server, broker, _heard):
        found = {one.check: one for one in await broker.inspect()}
        assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(
            (TRADING, SHORTING, MARKET_DATA, READ_ONLY), Verdict.OK
        )
        server.do(lambda b: b.feed.feeds.discard("sip"))
        server.do(lambda b: setattr(b.account, "blocked", "a debt"))
        server.do(lambda b: setattr(b.account, "can_short", False))
        found = {one.check: one for one in await broker.inspect()}
        assert found[MARKET_DATA].verdict is Verdict.WARNING
        assert found[TRADING].verdict is Verdict.FAILED
        assert found[SHORTING].verdict is Verdict.WARNING
        assert await broker.clock_ns() == server.market.now_ns
        assert isinstance(broker, Inspectable)
        assert isinstance(broker, Timed)
        assert isinstance(broker, CancelsOthers)

    run(body, data_too=True)


def test_orders_of_others_can_be_taken_back():
    async def body(server, broker, _heard):
        order = {"symbol": "TGT", "qty": "5", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "50"}
        placed = server.do(lambda b: b.book.place(order))
        await broker.cancel_others([placed["id"], placed["id"]])
        assert await broker.open_orders() == []

    run(body)


def test_a_configuration_opens_it():
    kind = broker_kind("alpaca", {"base_url": "http://127.0.0.1:1/v2", "timeout_s": 3})
    assert kind.endpoint().kind is EndpointKind.PRACTICE
    assert broker_kind("alpaca", {}).endpoint().kind is EndpointKind.PAPER
    assert kind.kind_of("PA1") is AccountKind.PAPER
    broker = kind.open(AccountKeys(api_key="K", api_secret="S"), lambda: 0)
    assert (broker.name, broker.health().is_connected) == ("alpaca", False)
    with pytest.raises(ConfigurationError, match="Alpaca needs api_key and api_secret"):
        kind.open(AccountKeys(api_key="K"), lambda: 0)
    for params in ({"base_url": "ftp://x"}, {"base_url": "http://example.com"}, {"speed": 1}, {"timeout_s": 0}):
        with pytest.raises(ConfigurationError):
            broker_kind("alpaca", params)


def test_every_time_in_force_and_a_trailing_stop_are_taken():
    async def body(_server, broker, _heard):
        for life in (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK):
            (order,) = await broker.submit([limit(life.value, time_in_force=life)])
            assert order.reference == life.value
        trailing = limit("trail", order_type=OrderType.TRAILING_STOP, limit_price=None, trail_percent=Decimal(2))
        (order,) = await broker.submit([trailing])
        assert order.order_type is OrderType.TRAILING_STOP

    run(body)
