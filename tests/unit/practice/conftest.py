"""A practice Alpaca over flat bars, and its official clients."""

from __future__ import annotations

import threading

import pytest

from servers.alpaca import alpaca_server
from servers.alpaca_clients import TradingClient, TradingStream
from servers.waiting import PATIENCE_S, wait_for


@pytest.fixture
def server():
    with alpaca_server() as running:
        yield running


@pytest.fixture
def client(server):
    made = TradingClient(server.keys.key, server.keys.secret, url_override=server.url)
    made._retry = 0
    yield made
    made._session.close()


@pytest.fixture
def updates(server):
    """What the official client hears of orders, as it comes."""
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
