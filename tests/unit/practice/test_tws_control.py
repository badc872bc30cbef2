"""The line on which a TWS server of its own process is told what to do."""

import asyncio
import json
import socket

import pytest
from ib_async import LimitOrder

from servers.tws import tws
from servers.tws_client import AAPL, codes, connected, until


@pytest.fixture
def server():
    with tws(obeys=True) as running:
        yield running


def tell(server, **asked):
    with socket.create_connection((server.host, server.control_port), timeout=5) as line:
        line.sendall(json.dumps(asked).encode() + b"\n")
        return json.loads(line.makefile().readline())


def test_orders_are_executed_corrected_and_busted_and_connections_end(server):
    async def body():
        async with asyncio.timeout(30), connected(server) as (ib, heard):
            trade = ib.placeOrder(AAPL, LimitOrder("BUY", 10, 10.0, orderRef="a"))
            await until(lambda: trade.orderStatus.status == "Submitted")
            assert tell(server, do="execute", reference="a", quantity=4, price=10)["positions"] == {"AAPL": 4}
            assert tell(server, do="correct", reference="a", quantity=3, price=9)["positions"] == {"AAPL": 3}
            assert tell(server, do="bust", reference="a")["positions"] == {}
            await until(lambda: len(trade.fills) == 3)
            tell(server, do="refuse", code=103, text="Duplicate order id")
            ib.placeOrder(AAPL, LimitOrder("BUY", 1, 10.0))
            await until(lambda: codes(heard) == [103])
            tell(server, do="lose_link")
            tell(server, do="restore_link", is_data_lost=True)
            await until(lambda: codes(heard) == [103, 1100, 1101])
            assert tell(server, do="turn", is_read_only=True)["switches"]["is_read_only"] is True
            assert tell(server, do="state")["open_orders"] == ["a"]
            tell(server, do="restart")
            await until(lambda: not ib.isConnected())
        tell(server, do="turn", is_read_only=False)
        async with asyncio.timeout(30), connected(server) as (ib, _heard):
            assert len(ib.openTrades()) == 1
            assert tell(server, do="drop")["violations"] == 0
            await until(lambda: not ib.isConnected())

    asyncio.run(body())


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"do": "dance"}, "be one of restart, bust"),
        ({"do": "turn", "is_loud": True}, "'switch' must be one of"),
        ({"do": "turn", "is_silent": "yes"}, "'is_silent' must be like False"),
        ({"do": "execute"}, "missing 'reference'"),
        ({"do": "bust", "reference": "none"}, "be that of an order that was sent"),
    ],
)
def test_what_cannot_be_done_is_said(server, asked, says):
    answer = tell(server, **asked)
    assert says in answer["error"]
