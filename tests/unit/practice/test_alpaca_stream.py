"""The stream of orders of the practice Alpaca, heard through the official client and through the bare protocol."""

from __future__ import annotations

import json
import threading
import time

import pytest

from servers.alpaca import alpaca_server
from servers.alpaca_clients import TradingClient, TradingStream  # first: it keeps the warnings of what follows to itself

# isort: split
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest
from websockets.sync.client import connect

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
PATIENCE_S = 10.0


def wait_for(condition):
    """Wait until something has come about."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.002)


@pytest.fixture
def server():
    with alpaca_server() as running:
        yield running


@pytest.fixture
def client(server):
    made = TradingClient(server.keys.key, server.keys.secret, url_override=server.url)
    yield made
    made._session.close()


@pytest.fixture
def updates(server):
    """What the official client hears, as it comes."""
    heard = []
    stream = TradingStream(server.keys.key, server.keys.secret, url_override=server.stream_url)

    async def hear(update):
        heard.append(update)

    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    wait_for(lambda: server.do(lambda broker: broker.stream.listeners) == 1)
    yield heard
    stream.stop()
    server.do(lambda broker: broker.stream.drop())
    thread.join(PATIENCE_S)


def buy(client, quantity=10, name="a-1", **more):
    request = MarketOrderRequest if "limit_price" not in more else LimitOrderRequest
    return client.submit_order(
        request(symbol="ACME", qty=quantity, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id=name, **more)
    )


def test_the_life_of_an_order_is_told(server, client, updates):
    order = buy(client)
    server.step()
    wait_for(lambda: len(updates) == 3)
    assert [update.event for update in updates] == ["pending_new", "new", "fill"]
    fill = updates[-1]
    assert (fill.order.id, fill.order.status, float(fill.qty), float(fill.position_qty)) == (order.id, "filled", 10, 10)
    assert float(fill.price) == float(fill.order.filled_avg_price)
    assert fill.execution_id is not None


def test_wrong_keys_are_told_so(server):
    with connect(server.stream_url) as socket:
        socket.send(json.dumps({"action": "authenticate", "data": {"key_id": "x", "secret_key": "y"}}))
        answer = json.loads(socket.recv())
    assert answer == {"stream": "authorization", "data": {"status": "unauthorized", "action": "authenticate"}}
