"""`fairlead dev broker-server` as a process: a broker that the official client trades at, and one error for what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest
import requests
from ib_async import IB, MarketOrder, Stock

from servers.tws_client import until
from servers.waiting import wait_for
from support_broker_process import client_of, serving
from support_cli import fairlead

# isort: split
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import MarketOrderRequest


def test_a_newcomer_trades_without_an_account(tmp_path):
    with (
        serving(tmp_path, "--symbols", "ACME,TGT", "--speed", "6000x", "--allow-control", "--cash", "50000") as (facts, _),
        client_of(facts) as client,
    ):
        assert (facts["broker"], facts["symbols"], facts["calendar"]) == ("alpaca", ["ACME", "TGT"], "XNYS")
        account = client.get_account()
        assert (account.account_number, float(account.cash)) == (facts["account"], 50_000)
        order = client.submit_order(
            MarketOrderRequest(symbol="ACME", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, client_order_id="a-1")
        )
        wait_for(lambda: client.get_order_by_id(order.id).status == "filled")

        def asked(**what):
            return requests.post(f"{facts['url']}/practice", json=what, timeout=10)

        assert asked(do="restart").status_code == 202
        wait_for(lambda: held(client) == ["ACME"])
        assert asked(do="restart", empty=True).status_code == 202
        wait_for(lambda: held(client) == [])


def held(client):
    """What is held at a server that may just be killed; None while it is not back."""
    try:
        return [position.symbol for position in client.get_all_positions()]
    except requests.exceptions.ConnectionError:
        return None


def test_it_ends_with_its_session(tmp_path):
    with serving(tmp_path, "--symbols", "ACME", "--speed", "max", "--once") as (facts, process), client_of(facts) as client:
        with contextlib.suppress(requests.exceptions.ConnectionError):
            client.get_clock()
        assert process.wait(20) == 0, process.stderr.read()


def test_at_the_pace_of_the_world_its_clock_is_the_worlds(tmp_path):
    with serving(tmp_path, "--symbols", "ACME", "--from-now") as (facts, _), client_of(facts) as client:
        assert facts["calendar"] == "24/7"
        first = client.get_clock()
        wait_for(lambda: client.get_clock().timestamp > first.timestamp)
        assert first.is_open


def test_a_newcomer_trades_at_a_tws_too(tmp_path):
    async def trade(facts):
        ib = IB()
        await ib.connectAsync(facts["host"], facts["port"], clientId=1, timeout=10)
        assert ib.managedAccounts() == [facts["account"]] == ["DU0000001"]
        bought = ib.placeOrder(Stock("ACME", "SMART", "USD"), MarketOrder("BUY", 1, orderRef="a-1"))
        await until(lambda: bought.orderStatus.status == "Filled")
        await until(lambda: [position.position for position in ib.positions()] == [1])
        with socket.create_connection((facts["host"], facts["control_port"]), timeout=10) as line:
            line.sendall(b'{"do": "restart"}\n')
            assert json.loads(line.makefile().readline())["positions"] == {"ACME": 1}
        await until(lambda: not ib.isConnected())
        await asyncio.sleep(0)  # the lost socket is let go of in the next round

    async def look(facts):
        ib = IB()
        await ib.connectAsync(facts["host"], facts["port"], clientId=1, timeout=10)
        ib.disconnect()
        await asyncio.sleep(0)

    with serving(tmp_path, "--symbols", "ACME", "--speed", "6000x", "--allow-control", broker="ibkr") as (facts, _):
        asyncio.run(trade(facts))
    with serving(tmp_path, "--symbols", "ACME", "--speed", "max", "--once", broker="ibkr") as (facts, process):
        asyncio.run(look(facts))
        assert process.wait(20) == 0, process.stderr.read()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("nobody",), "no broker server named 'nobody'"),
        (("alpaca", "nothing"), "nothing"),
        (("alpaca", "--cash", "0"), "'--cash' must be above 0"),
        (("alpaca", "--speed", "fast"), "speed"),
        (("alpaca", "--bar-size", "1d", "--from-now"), "'bar_size' must be intraday"),
    ],
)
def test_bad_input_is_one_error(tmp_path, args, text):
    done = fairlead("dev", "broker-server", *args, cwd=tmp_path, FAIRLEAD_HOME=str(tmp_path))
    assert done.code == 2
    assert text in done.err
    assert done.err.count("error:") == 1
