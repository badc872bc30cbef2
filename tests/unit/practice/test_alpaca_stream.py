"""The stream of orders of the practice Alpaca, heard through the official client and through the bare protocol."""

from __future__ import annotations

import json

import msgpack
import pytest
from websockets.sync.client import connect

from servers.alpaca_clients import TradingStream  # noqa: F401  first: it keeps the warnings of what follows to itself
from servers.waiting import wait_for

# isort: split
from alpaca.trading.enums import OrderClass, OrderSide, TimeInForce
from alpaca.trading.requests import (
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


def events(updates):
    return [(update.event, update.order.client_order_id) for update in updates]


def buy(client, qty=10, name="a-1", price=None, **more):
    common = {"symbol": "ACME", "qty": qty, "side": OrderSide.BUY, "time_in_force": TimeInForce.DAY, "client_order_id": name}
    if price is None:
        return client.submit_order(MarketOrderRequest(**common, **more))
    return client.submit_order(LimitOrderRequest(**common, limit_price=price, **more))


def execute(server, order, quantity, price):
    return server.do(lambda b: b.account.execute(b.book.find(str(order.id)).broker_id, quantity, price))


def test_the_life_of_an_order_is_told(server, client, updates):
    order = buy(client)
    server.step()
    wait_for(lambda: len(updates) == 3)
    assert [update.event for update in updates] == ["pending_new", "new", "fill"]
    fill = updates[-1]
    assert (fill.order.id, fill.order.status, float(fill.qty), float(fill.position_qty)) == (order.id, "filled", 10, 10)
    assert float(fill.price) == float(fill.order.filled_avg_price)
    assert fill.execution_id is not None


def test_an_execution_has_one_number_on_the_stream_and_in_the_list(server, client, updates):
    order = buy(client, price=90)
    execute(server, order, 4, 90)
    execute(server, order, 6, 89)
    wait_for(lambda: len(updates) == 4)
    partial, whole = updates[2:]
    assert [(one.event, float(one.qty), float(one.order.filled_qty)) for one in (partial, whole)] == [
        ("partial_fill", 4, 4),
        ("fill", 6, 10),
    ]
    assert float(whole.order.filled_avg_price) == pytest.approx(89.4)
    rows = client.get("/account/activities/FILL", {"direction": "asc"})
    assert [row["id"].rpartition("::")[2] for row in rows] == [str(partial.execution_id), str(whole.execution_id)]


def test_the_exits_of_a_bracket_are_told(server, client, updates):
    legs = {"take_profit": TakeProfitRequest(limit_price=95), "stop_loss": StopLossRequest(stop_price=85)}
    entry = buy(client, price=90, order_class=OrderClass.BRACKET, **legs)
    execute(server, entry, 10, 90)
    execute(server, entry.legs[1], 10, 85)
    wait_for(lambda: len(updates) == 6)
    profit, loss = (leg.client_order_id for leg in entry.legs)
    assert events(updates) == [
        ("pending_new", "a-1"),
        ("new", "a-1"),
        ("fill", "a-1"),
        ("new", profit),
        ("fill", loss),
        ("canceled", profit),
    ]
    assert updates[2].order.legs is not None


def test_a_replacement_is_told(client, updates):
    order = buy(client, price=90)
    client.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=91, client_order_id="a-2"))
    wait_for(lambda: len(updates) == 4)
    assert events(updates)[2:] == [("replaced", "a-1"), ("new", "a-2")]
    assert updates[2].order.replaced_by == updates[3].order.id


def test_a_cancel_that_takes_its_time_can_come_too_late(server, client, updates):
    server.do(lambda broker: setattr(broker.book, "holds_cancels", True))
    order = buy(client, price=90)
    client.cancel_order_by_id(order.id)
    execute(server, order, 10, 90)
    server.do(lambda broker: broker.book.release())
    wait_for(lambda: len(updates) == 4)
    assert [update.event for update in updates][2:] == ["pending_cancel", "fill"]
    assert client.get_order_by_id(order.id).status == "filled"


def test_a_part_is_filled_while_a_cancel_is_under_way(server, client, updates):
    server.do(lambda broker: setattr(broker.book, "holds_cancels", True))
    order = buy(client, price=90)
    client.cancel_order_by_id(order.id)
    execute(server, order, 4, 90)
    server.do(lambda broker: broker.book.release())
    wait_for(lambda: len(updates) == 5)
    assert [(update.event, update.order.status) for update in updates][2:] == [
        ("pending_cancel", "pending_cancel"),
        ("partial_fill", "pending_cancel"),
        ("canceled", "canceled"),
    ]
    assert float(client.get_open_position("ACME").qty) == 4


def test_a_replacement_that_comes_too_late_is_rejected(server, client, updates):
    server.do(lambda broker: setattr(broker.book, "holds_replaces", True))
    order = buy(client, price=90)
    client.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=91, client_order_id="a-2"))
    execute(server, order, 10, 90)
    server.do(lambda broker: broker.book.release())
    wait_for(lambda: len(updates) == 6)
    assert events(updates)[2:] == [
        ("pending_replace", "a-1"),
        ("fill", "a-1"),
        ("order_replace_rejected", "a-1"),
        ("rejected", "a-2"),
    ]
    assert float(client.get_open_position("ACME").qty) == 10


def test_an_execution_is_corrected_and_busted(server, client, updates):
    order = buy(client, price=90)
    first = execute(server, order, 10, 90)
    second = server.do(lambda broker: broker.account.correct(first.execution_id, 10, 89))
    server.do(lambda broker: broker.account.bust(second.execution_id))
    wait_for(lambda: len(updates) == 5)
    corrected, busted = updates[3:]
    assert (corrected.event, float(corrected.price), float(corrected.position_qty)) == ("trade_correct", 89, 10)
    assert float(corrected.order.filled_avg_price) == 89
    assert (busted.event, float(busted.position_qty), float(busted.order.filled_qty)) == ("trade_bust", 0, 0)
    assert client.get_all_positions() == []
    assert client.get("/account/activities/FILL") == []


def test_what_amends_an_execution_names_it(server, client):
    with connect(server.stream_url) as socket:
        listen(socket, server)
        order = buy(client, price=90)
        first = execute(server, order, 10, 90)
        server.do(lambda broker: broker.account.correct(first.execution_id, 9, 90))
        told = [json.loads(socket.recv(timeout=10))["data"] for _ in range(4)]
    assert told[3]["previous_execution_id"] == told[2]["execution_id"]
    assert told[3]["execution_id"] != told[2]["execution_id"]


def test_an_order_that_was_taken_is_rejected_later(server, client, updates):
    order = buy(client, price=90)
    server.do(lambda broker: broker.account.reject(broker.book.find(str(order.id)).broker_id, "no borrow"))
    wait_for(lambda: len(updates) == 3)
    assert (updates[-1].event, updates[-1].order.status) == ("rejected", "rejected")
    assert updates[-1].order.failed_at is not None


def test_a_held_acknowledgement_leaves_an_order_pending(server, client, updates):
    server.do(lambda broker: setattr(broker.account, "holds_acknowledgements", True))
    order = buy(client)
    server.step()
    assert client.get_order_by_id(order.id).status == "pending_new"
    server.do(lambda broker: broker.account.acknowledge(broker.book.find(str(order.id)).broker_id))
    server.step()
    wait_for(lambda: len(updates) == 3)
    assert client.get_order_by_id(order.id).status == "filled"


@pytest.mark.parametrize(("ends_days", "event"), [(False, "expired"), (True, "done_for_day")])
def test_the_end_of_the_day_is_told(ends_days, event):
    from servers.alpaca import alpaca_server, flat_bars
    from servers.alpaca_clients import TradingClient

    with alpaca_server(flat_bars(count=2) + flat_bars(count=1, day="2024-01-03")) as server:
        server.do(lambda broker: setattr(broker.book, "ends_days", ends_days))
        client = TradingClient(server.keys.key, server.keys.secret, url_override=server.url)
        order = buy(client, price=50)
        server.step(2)
        told = client.get_order_by_id(order.id)
        client._session.close()
    assert told.status == event
    assert told.expired_at is not None


def listen(socket, server):
    keys = {"key_id": server.keys.key, "secret_key": server.keys.secret}
    socket.send(json.dumps({"action": "authenticate", "data": keys}))
    assert json.loads(socket.recv())["data"]["status"] == "authorized"
    socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates", "nothing"]}}))
    assert json.loads(socket.recv()) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}


def test_frames_are_binary(server, client):
    with connect(server.stream_url) as socket:
        listen(socket, server)
        buy(client)
        assert isinstance(socket.recv(), bytes)


def test_who_asks_for_messagepack_gets_it(server, client):
    with connect(server.stream_url, additional_headers={"Content-Type": "application/msgpack"}) as socket:
        keys = {"key_id": server.keys.key, "secret_key": server.keys.secret}
        socket.send(msgpack.packb({"action": "authenticate", "data": keys}))
        assert msgpack.unpackb(socket.recv())["data"]["status"] == "authorized"
        socket.send(msgpack.packb({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert msgpack.unpackb(socket.recv())["stream"] == "listening"
        buy(client)
        assert msgpack.unpackb(socket.recv())["data"]["event"] == "pending_new"


def test_nobody_listens_without_keys(server):
    with connect(server.stream_url) as socket:
        socket.send(json.dumps({"action": "authenticate", "data": {"key_id": "x", "secret_key": "y"}}))
        answer = json.loads(socket.recv())
        assert answer == {"stream": "authorization", "data": {"status": "unauthorized", "action": "authenticate"}}
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert json.loads(socket.recv())["data"] == {"status": "unauthorized", "action": "listen"}
        socket.send("{")
        assert json.loads(socket.recv())["stream"] == "error"
        socket.send(json.dumps({"action": "auth", "key": server.keys.key, "secret": server.keys.secret}))
        assert json.loads(socket.recv())["data"]["status"] == "authorized"
