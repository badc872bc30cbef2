"""The TWS server when it misbehaves, and when its clients do."""

import asyncio
import socket
import struct

import pytest
from ib_async import IB, LimitOrder

from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.practice.faults import PracticeFaults
from fairlead.practice.tws import TwsSettings
from fairlead.practice.tws.rate import RateWatch
from fairlead.practice.tws.wire import FrameReader, frame
from servers.tws import tws
from servers.tws_client import AAPL, codes, connected, until


def run(body, **options):
    async def whole(server):
        async with asyncio.timeout(30), connected(server) as (ib, heard):
            await body(ib, heard, server)

    with tws(**options) as server:
        asyncio.run(whole(server))


def turn(server, **values):
    def do(s):
        for name, value in values.items():
            setattr(s.switches, name, value)

    server.call(do)


def orders(server):
    return server.call(lambda s: [(o.reference, str(o.status)) for o in s.account.orders()])


def buy(ib, reference, price=10.0):
    return ib.placeOrder(AAPL, LimitOrder("BUY", 10, price, orderRef=reference))


def fill(server, reference, quantity):
    server.call(lambda s: s.account.execute(s.book.find(reference).broker_id, quantity, 10.0))


def test_a_client_id_belongs_to_one():
    async def body(ib, heard, server):
        other, said = IB(), []
        other.errorEvent += lambda _request, code, _text, _contract: said.append(code)
        with pytest.raises((ConnectionError, TimeoutError)):
            await other.connectAsync(server.host, server.port, clientId=3, timeout=0.5)
        assert said == [326]
        assert await ib.reqCurrentTimeAsync()

    run(body)


def test_a_silent_server_takes_everything_and_says_it_later():
    async def body(ib, heard, server):
        turn(server, is_silent=True)
        trade = buy(ib, "a")
        await until(lambda: orders(server) == [("a", "ACKNOWLEDGED")])
        assert trade.orderStatus.status == "PendingSubmit"
        turn(server, is_silent=False)
        await until(lambda: trade.orderStatus.status == "Submitted")

    run(body)


def test_an_order_is_taken_and_not_acknowledged_until_later():
    async def body(ib, heard, server):
        turn(server, holds_answers=True)
        trade = buy(ib, "a")
        await until(lambda: orders(server) == [("a", "ACKNOWLEDGED")])
        await ib.reqCurrentTimeAsync()
        assert trade.orderStatus.permId == 0
        assert [t.order.orderRef for t in await ib.reqAllOpenOrdersAsync()] == ["a"]
        turn(server, holds_answers=False)
        await until(lambda: "PreSubmitted" in [entry.status for entry in trade.log])

    run(body)


@pytest.mark.parametrize(("switch", "kept"), [("loses_answers", [("a", "ACKNOWLEDGED")]), ("loses_orders", [])])
def test_the_connection_breaks_before_or_after_an_order_is_taken(switch, kept):
    async def body(ib, heard, server):
        turn(server, **{switch: 1})
        buy(ib, "a")
        await until(lambda: not ib.isConnected())
        assert orders(server) == kept
        async with connected(server) as (again, _):
            assert [t.order.orderRef for t in again.openTrades()] == [name for name, _ in kept]

    run(body)


def test_orders_are_refused_in_every_way():
    async def body(ib, heard, server):
        turn(server, refuses_orders="no trading today")
        buy(ib, "a")
        await until(lambda: codes(heard) == [201])
        assert "no trading today" in heard[-1][2]
        turn(server, refuses_orders="", too_many=1)
        buy(ib, "b")
        await until(lambda: codes(heard) == [201, 100])
        turn(server, refusals=[(103, "Duplicate order id")])
        buy(ib, "c")
        await until(lambda: codes(heard) == [201, 100, 103])
        turn(server, is_read_only=True)
        buy(ib, "d")
        await until(lambda: codes(heard) == [201, 100, 103, 321])
        assert orders(server) == []

    run(body)


def test_ids_that_are_given_again_after_a_reset():
    """An id of an order that works is a change of it, and refused as another's; one that is used up is a duplicate."""

    async def body(ib, heard, server):
        trade = buy(ib, "a")
        await until(lambda: trade.orderStatus.status == "Submitted")
        used = trade.order.orderId
        ib.client.placeOrder(used, AAPL, LimitOrder("SELL", 10, 12.0, orderRef="b"))
        await until(lambda: codes(heard) == [105])
        ib.cancelOrder(trade.order)
        await until(lambda: codes(heard) == [105, 202])
        ib.client.placeOrder(used, AAPL, LimitOrder("BUY", 10, 10.0, orderRef="c"))
        await until(lambda: codes(heard) == [105, 202, 103])
        server.go_down(forgets_ids=True)
        await until(lambda: not ib.isConnected())
        assert codes(heard)[3:] == [1100]
        server.come_back()
        async with connected(server) as (again, _):
            assert server.call(lambda s: s.book.next_id(3)) == 1
            again.client.placeOrder(used, AAPL, LimitOrder("BUY", 10, 10.0, orderRef="d"))
            await until(lambda: orders(server)[-1] == ("d", "ACKNOWLEDGED"))

    run(body)


@pytest.mark.parametrize(("is_lost", "code"), [(False, 1102), (True, 1101)])
def test_what_happens_without_a_link_is_not_told_and_can_be_asked_for(is_lost, code):
    async def body(ib, heard, server):
        trade, other = buy(ib, "a"), buy(ib, "other")
        await until(lambda: other.orderStatus.status == "Submitted")
        server.call(lambda s: s.lose_link())
        fill(server, "a", 4)
        late = buy(ib, "late")
        ib.cancelOrder(other.order)
        await until(lambda: codes(heard) == [1100])
        await ib.reqCurrentTimeAsync()
        assert orders(server) == [("a", "PARTIALLY_FILLED"), ("other", "ACKNOWLEDGED")]
        assert (trade.fills, late.orderStatus.status) == ([], "PendingSubmit")
        server.call(lambda s: s.restore_link(is_data_lost=is_lost))
        await until(lambda: late.orderStatus.status == "Submitted" and other.orderStatus.status == "Cancelled")
        assert codes(heard) == [1100, code, 202]
        assert trade.fills == []
        assert [f.execution.shares for f in await ib.reqExecutionsAsync()] == [4]

    run(body)


@pytest.mark.parametrize(("quantity", "ends", "said"), [(4, "Cancelled", 202), (10, "Filled", 10148)])
def test_a_fill_comes_before_the_cancel(quantity, ends, said):
    async def body(ib, heard, server):
        trade = buy(ib, "a")
        await until(lambda: trade.orderStatus.status == "Submitted")
        turn(server, fills_in_cancel=float(quantity))
        ib.cancelOrder(trade.order)
        await until(lambda: codes(heard) == [said])
        assert trade.filled() == quantity
        assert orders(server) == [("a", "CANCELLED" if ends == "Cancelled" else "FILLED")]

    run(body)


def test_news_is_repeated_late_and_in_another_order_and_nothing_is_lost():
    async def body(ib, heard, server):
        trades = [buy(ib, f"r{i}") for i in range(20)]
        await until(lambda: server.call(lambda s: len(s.account.orders())) == 20)
        for i in range(20):
            fill(server, f"r{i}", 5)
            fill(server, f"r{i}", 5)
        await until(lambda: sum(len(t.fills) for t in trades) == 40)
        assert [t.filled() for t in trades] == [10] * 20

    run(body, faults=PracticeFaults(duplicate_rate=0.2, reorder_rate=0.2, delay_rate=0.3, delay_s=0.01, seed=5))


def test_garbage_and_statuses_that_nobody_knows_leave_the_client_alive():
    async def body(ib, heard, server):
        turn(server, unknown_status="Pondering")
        trade = buy(ib, "a")
        await until(lambda: trade.orderStatus.status == "Pondering")
        server.call(lambda s: s.send_raw(frame("what", "is", "this")))
        assert await ib.reqCurrentTimeAsync()
        server.call(lambda s: s.send_raw(struct.pack(">I", 0x7FFFFFFF) + b"never ends"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ib.reqCurrentTimeAsync(), 0.2)

    run(body)


def test_a_server_goes_on_with_what_it_had_and_another_begins_empty():
    async def first(server):
        async with connected(server) as (ib, _heard):
            trade = buy(ib, "a")
            await until(lambda: trade.orderStatus.status == "Submitted")
            fill(server, "a", 3)
            await until(lambda: trade.orderStatus.filled == 3)
            return trade.order.permId, trade.order.orderId

    async def second(server, perm_id, order_id):
        async with connected(server) as (ib, heard):
            (trade,) = ib.openTrades()
            assert (trade.order.permId, trade.order.orderId, trade.order.orderRef) == (perm_id, order_id, "a")
            assert [f.execution.cumQty for f in ib.fills()] == [3]
            assert ib.client.getReqId() > order_id
            assert [p.position for p in ib.positions()] == [3]
            ib.cancelOrder(trade.order)
            await until(lambda: codes(heard) == [202])

    with tws() as server:
        ids = asyncio.run(first(server))
        kept = server.call(lambda s: s.to_dict())
    with tws(kept=kept) as server:
        asyncio.run(second(server, *ids))
    with tws(account={"serial": 1}) as server:
        asyncio.run(first(server))


def test_the_same_reference_twice_is_two_orders_and_counted():
    async def body(ib, heard, server):
        first, second = buy(ib, "a"), buy(ib, "a")
        await until(lambda: first.orderStatus.status == second.orderStatus.status == "Submitted")
        assert server.call(lambda s: (len(s.account.orders()), s.book.duplicates)) == (2, 1)

    run(body)


def speak(server, *messages):
    """Send bytes after a proper greeting, and return whether the server ended the connection for it."""
    with socket.create_connection((server.host, server.port), timeout=5) as line:
        line.sendall(b"API\0" + struct.pack(">I", 9) + b"v157..178")
        for message in messages:
            line.sendall(message)
        received = b""
        line.settimeout(0.3)
        try:
            while data := line.recv(65536):
                received += data
        except TimeoutError:
            return False, received
        return True, received


@pytest.mark.parametrize(
    ("messages", "ends", "says"),
    [
        ([frame(71, 2, 5, ""), struct.pack(">I", 0x7FFFFFFF)], True, b""),
        ([frame(71, 2, 5, ""), struct.pack(">I", 0)], True, b""),
        ([frame(71, 2, 5, ""), struct.pack(">I", 2) + b"\xff\0"], True, b""),
        ([frame(71, 2, 5, ""), struct.pack(">I", 2) + b"49"], True, b""),
        ([frame(49, 1)], False, b"startApi"),
        ([frame(71, 2, 5, ""), frame(3, 1, "x")], False, b"320"),
        ([frame(71, 2, 5, ""), frame(4711)], False, b"Unknown or unsupported"),
        ([frame(71, 2, 5, ""), frame("nonsense")], False, b"whole number"),
        ([frame(71, 2, 5, ""), frame(3, 1, *[""] * 14, "BUY", "nan")], False, b"finite"),
    ],
)
def test_frames_that_are_none_end_the_connection_and_messages_that_are_none_are_told(messages, ends, says):
    with tws() as server:
        ended, received = speak(server, *messages)
        assert (ended, says in received) == (ends, True)
        assert server.call(lambda s: s.account.orders()) == []


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\n\r\n", b"API\0\0\0\0\x04nope", b"API\0\0\0\0\x07v10..20"])
def test_who_does_not_greet_is_shut_out(greeting):
    with tws() as server, socket.create_connection((server.host, server.port), timeout=5) as line:
        line.sendall(greeting)
        assert line.recv(100) == b""


def test_a_greeting_may_come_in_pieces():
    reader = FrameReader()
    for byte in b"API\0" + struct.pack(">I", 9) + b"v157..178":
        assert reader.greeting() is None
        reader.feed(bytes([byte]))
    assert reader.greeting() == (157, 178)
    reader.feed(struct.pack(">I", 1 << 30))
    with pytest.raises(ContractError, match="bytes"):
        reader.next()


def test_twice_the_rate_is_too_much_and_a_second_later_is_not():
    now = [0.0]
    watch = RateWatch(50, lambda: now[0])
    assert [watch.allows() for _ in range(101)] == [True] * 100 + [False]
    now[0] = 1.0
    assert watch.allows()
    assert watch.strikes == 1


@pytest.mark.parametrize("wrong", [{"version": 100}, {"host": "0.0.0.0"}, {"tickers": -1}, {"repeats": 0}])
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        TwsSettings(**wrong)
