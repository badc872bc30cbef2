"""What the practice Alpaca does when it is told to misbehave, and what is left of it when it is killed."""

from __future__ import annotations

import contextlib
import json
import socket as sockets
import threading

import pytest
import requests
from requests.exceptions import ConnectionError as BrokenConnection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from fairlead.practice.faults import PracticeFaults
from servers.alpaca import alpaca_server
from servers.alpaca_clients import TradingClient  # first: it keeps the warnings of what follows to itself
from servers.waiting import PATIENCE_S, wait_for

# isort: split
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest


def buy(client, name="a-1", price=90, **more):
    return client.submit_order(
        LimitOrderRequest(
            symbol="ACME",
            qty=10,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.DAY,
            limit_price=price,
            client_order_id=name,
            **more,
        )
    )


def turn(server, **switches):
    server.do(lambda broker: [setattr(broker.switches, name, value) for name, value in switches.items()])


@contextlib.contextmanager
def listen(server):
    with connect(server.stream_url) as socket:
        keys = {"key_id": server.keys.key, "secret_key": server.keys.secret}
        socket.send(json.dumps({"action": "authenticate", "data": keys}))
        socket.recv()
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        socket.recv()
        yield socket


def heard(socket, count):
    return [json.loads(socket.recv(timeout=PATIENCE_S))["data"]["event"] for _ in range(count)]


def test_an_order_is_taken_and_never_answered(server, client):
    turn(server, loses_answers=1)
    with pytest.raises(BrokenConnection):
        buy(client)
    assert client.get_order_by_client_id("a-1").status == "new"


def test_an_order_is_lost_on_its_way(server, client):
    turn(server, loses_orders=1)
    with pytest.raises(BrokenConnection):
        buy(client)
    with pytest.raises(APIError, match="not found"):
        client.get_order_by_client_id("a-1")


def test_an_answer_comes_late(server, client):
    turn(server, holds_answers=True)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(buy(client)))
    thread.start()
    wait_for(lambda: server.do(lambda broker: len(broker.book.records)) == 1)
    assert answers == []
    turn(server, holds_answers=False)
    thread.join(PATIENCE_S)
    assert answers[0].client_order_id == "a-1"


def test_too_much_is_asked_for_a_while(server, client):
    turn(server, too_many=2)
    for _ in range(2):
        with pytest.raises(APIError, match="rate limit exceeded") as caught:
            client.get_account()
        assert (caught.value.status_code, caught.value.code) == (429, 42910000)
    client.get_account()


def test_two_hundred_calls_fit_into_a_minute():
    with alpaca_server(calls_per_minute=5) as server:
        client = TradingClient(server.keys.key, server.keys.secret, url_override=server.url)
        client._retry = 0
        for _ in range(5):
            client.get_account()
        with pytest.raises(APIError) as caught:
            client.get_account()
        headers = caught.value.response.headers
        client._session.close()
        assert server.do(lambda broker: broker.limit.refused) == 1
    assert caught.value.status_code == 429
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("5", "0")
    assert int(headers["X-RateLimit-Reset"]) > 0


def test_a_server_fails_before_and_after_what_it_does(server, client):
    turn(server, fails=1, fail_status=503)
    with pytest.raises(APIError) as caught:
        buy(client)
    assert caught.value.status_code == 503
    turn(server, fails_after=1, fail_status=500)
    with pytest.raises(APIError) as caught:
        buy(client)
    assert (caught.value.status_code, caught.value.code) == (500, 50010000)
    assert client.get_order_by_client_id("a-1").status == "new"


def test_an_answer_is_garbled(server, client):
    turn(server, garbles=1)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        client.get_account()


def test_orders_are_refused_for_a_reason(server, client):
    turn(server, refuses_orders="the market is on fire")
    with pytest.raises(APIError, match="the market is on fire"):
        buy(client)


def test_keys_are_revoked_in_the_middle(server, client):
    with listen(server) as socket:
        server.do(lambda broker: broker.revoke_keys())
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=PATIENCE_S)
    with pytest.raises(APIError, match="not authorized"):
        client.get_account()


def test_nothing_is_told_or_answered_while_it_is_silent(server, client):
    with listen(server) as socket:
        turn(server, is_silent=True)
        server.step()
        with pytest.raises(requests.exceptions.ReadTimeout):
            client._session.get(f"{server.url}/v2/account", headers=client._get_auth_headers(), timeout=0.05)
        server.do(lambda broker: broker.tell("new", next(iter(broker.book.records.values()))) if broker.book.records else None)
        pong = socket.ping()
        assert pong.wait(PATIENCE_S)
        turn(server, is_silent=False)
        buy(client)
        assert heard(socket, 2) == ["pending_new", "new"]


def test_events_come_twice_late_or_not_at_all(server, client):
    with listen(server) as socket:
        server.do(lambda broker: broker.stream.telling.order("duplicate"))
        buy(client)
        assert heard(socket, 3) == ["pending_new", "pending_new", "new"]
        server.do(lambda broker: broker.stream.telling.order("reorder"))
        buy(client, "a-2")
        assert heard(socket, 2) == ["new", "pending_new"]
        server.do(lambda broker: broker.stream.telling.order("gap"))
        buy(client, "a-3")
        assert heard(socket, 1) == ["new"]
        server.do(lambda broker: broker.stream.misbehave(PracticeFaults(duplicate_rate=0.99, seed=1)))
        buy(client, "a-4")
        assert heard(socket, 4) == ["pending_new", "pending_new", "new", "new"]


def test_a_socket_breaks(server, client):
    with listen(server) as socket:
        server.do(lambda broker: broker.stream.telling.order("drop"))
        buy(client)
        with pytest.raises(ConnectionClosed):
            heard(socket, 2)
    with listen(server) as socket:
        server.drop()
        with pytest.raises(ConnectionClosed):
            heard(socket, 1)
    assert client.get_order_by_client_id("a-1").status == "new"


def test_unknown_words_are_told(server, client):
    buy(client)
    server.do(lambda broker: broker.book.extra.update(status="quantum", mood="good"))
    row = client.get("/orders:by_client_order_id", {"client_order_id": "a-1"})
    assert (row["status"], row["mood"]) == ("quantum", "good")
    with listen(server) as socket:
        server.do(lambda broker: broker.tell("teleported", broker.book.named("a-1"), order={"status": "gone"}))
        told = json.loads(socket.recv(timeout=PATIENCE_S))["data"]
    assert (told["event"], told["order"]["status"]) == ("teleported", "gone")


def test_frames_are_malformed_oversized_or_none(server):
    with listen(server) as socket:
        server.do(lambda broker: broker.stream.tell_raw(b"\xff{"))
        assert socket.recv(timeout=PATIENCE_S) == b"\xff{"
        server.do(lambda broker: broker.stream.send_raw(b"\xff\xff\xff\xff\xff"))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=PATIENCE_S)
    with listen(server) as socket:
        server.do(lambda broker: broker.stream.tell_raw(b"x" * (2 << 20)))
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=PATIENCE_S)
        assert caught.value.sent.code == 1009


def test_a_client_that_does_not_read_is_dropped(server):
    with listen(server):
        for _ in range(40):
            server.do(lambda broker: broker.stream.tell_raw(b"x" * (1 << 20)))
        wait_for(lambda: server.do(lambda broker: broker.stream.listeners) == 0)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbroken\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /stream HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 426),
    ],
)
def test_what_is_no_request_is_answered_and_the_line_closed(server, request_, status):
    with sockets.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as line:
        line.sendall(request_)
        answer = b""
        while part := line.recv(65_536):
            answer += part
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_everything_survives_a_restart(server, client):
    buy(client)
    filled = client.submit_order(
        MarketOrderRequest(symbol="TGT", qty=5, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id="a-2")
    )
    server.step()
    before = (client.get("/orders", {"status": "all"}), client.get("/account/activities/FILL"), client.get("/positions"))
    cash, port = client.get_account().cash, server.port
    server.restart()
    assert server.port == port
    after = (client.get("/orders", {"status": "all"}), client.get("/account/activities/FILL"), client.get("/positions"))
    assert after == before
    assert client.get_account().cash == cash
    with pytest.raises(APIError, match="must be unique"):
        buy(client)
    third = buy(client, "a-3")
    assert third.id not in {filled.id, client.get_order_by_client_id("a-1").id}
    server.do(lambda b: b.account.execute(b.book.named("a-1").broker_id, 10, 90))
    assert client.get_order_by_client_id("a-1").status == "filled"
    assert len(client.get("/account/activities/FILL")) == 2


def test_everything_can_be_forgotten_and_no_id_comes_again(server, client):
    first = buy(client)
    server.do(lambda b: b.account.execute(b.book.named("a-1").broker_id, 10, 90))
    activity = client.get("/account/activities/FILL")[0]["id"]
    server.restart(empty=True)
    assert client.get("/orders", {"status": "all"}) == []
    assert client.get_all_positions() == []
    assert float(client.get_account().cash) == 1_000_000
    second = buy(client)
    assert second.id != first.id
    server.do(lambda b: b.account.execute(b.book.named("a-1").broker_id, 10, 90))
    assert client.get("/account/activities/FILL")[0]["id"].rpartition("::")[2] != activity.rpartition("::")[2]
    server.step()


def test_it_is_told_from_outside_to_misbehave():
    with alpaca_server(obeys=True) as server:
        client = TradingClient(server.keys.key, server.keys.secret, url_override=server.url)
        client._retry = 0

        def order(**asked):
            return requests.post(f"{server.url}/practice", json=asked, timeout=PATIENCE_S)

        buy(client)
        assert order(do="turn", too_many=1).json()["switches"]["too_many"] == 1
        with pytest.raises(APIError, match="rate limit"):
            client.get_account()
        assert order(do="execute", client_order_id="a-1", quantity=4, price=90).json()["positions"] == {"ACME": 4.0}
        assert order(do="correct", client_order_id="a-1", quantity=3, price=90).json()["positions"] == {"ACME": 3.0}
        assert order(do="bust", client_order_id="a-1").json()["positions"] == {}
        assert order(do="step", count=2).json()["market"]["count"] == 9
        assert order(do="misbehave", on="orders", duplicate_rate=0.5).status_code == 200
        assert order(do="fault", on="market", fault="gap").status_code == 200
        assert order(do="drop").status_code == 200
        assert (
            requests.get(f"{server.url}/practice", timeout=PATIENCE_S).json()["open_orders"][0]["status"] == "partially_filled"
        )
        for wrong in (
            {"do": "dance"},
            {"do": "turn", "nothing": 1},
            {"do": "turn", "too_many": "x"},
            {"do": "fault", "fault": "x"},
            {"do": "misbehave", "gap_rate": 2},
            {"do": "drop", "on": "all"},
            {"do": "execute", "client_order_id": "nobody", "quantity": 1, "price": 1},
            {"do": "execute", "client_order_id": "a-1"},
        ):
            assert order(**wrong).status_code == 422
        assert requests.post(f"{server.url}/practice", data="{", timeout=PATIENCE_S).status_code == 400
        assert order(do="turn", refuses_keys=True).json()["switches"]["refuses_keys"] is True
        client._session.close()


def test_nobody_orders_a_server_that_does_not_obey(server):
    assert requests.get(f"{server.url}/practice", timeout=PATIENCE_S).status_code == 401
