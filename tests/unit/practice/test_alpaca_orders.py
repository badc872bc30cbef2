"""Orders at the practice Alpaca, as its official client sends and sees them."""

from __future__ import annotations

import pytest

from servers.alpaca import alpaca_server
from servers.alpaca_clients import TradingClient  # first: it keeps the warnings of what follows to itself

# isort: split
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest


@pytest.fixture
def server():
    with alpaca_server() as running:
        yield running


@pytest.fixture
def client(server):
    made = TradingClient(server.keys.key, server.keys.secret, url_override=server.url)
    yield made
    made._session.close()


def test_the_account_is_told(client):
    account = client.get_account()
    assert account.account_number == "PA0001"
    assert float(account.equity) == 1_000_000


def test_a_market_order_lives_and_fills(server, client):
    order = client.submit_order(
        MarketOrderRequest(symbol="ACME", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id="a-1")
    )
    assert order.status == "pending_new"
    assert client.get_order_by_client_id("a-1").status == "new"
    server.step()
    filled = client.get_order_by_id(order.id)
    assert filled.status == "filled"
    assert float(filled.filled_qty) == 10
    (position,) = client.get_all_positions()
    assert (position.symbol, float(position.qty)) == ("ACME", 10)


def test_the_same_name_is_refused(client):
    request = LimitOrderRequest(
        symbol="ACME", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=90, client_order_id="a-1"
    )
    client.submit_order(request)
    with pytest.raises(APIError, match="client_order_id must be unique") as caught:
        client.submit_order(request)
    assert caught.value.status_code == 422
