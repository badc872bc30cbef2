"""The simulated broker: how far away it is, and what happens to an order on the way; what all brokers do is in conformance."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from fairlead.core.errors import BrokerConnection, OrderRejected, OrderUnresolved
from fairlead.core.orders import OrderType, Side
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.simulated.broker import SimulatedBroker, SimulatedBrokerSettings
from fairlead.execution.brokers.words import ChangeRequest, OrderRequest
from support_feeds import run


class Way:
    """A simulated broker whose waits are kept, and during which something may happen."""

    def __init__(self, **settings):
        self.waits = []
        self.meanwhile = lambda: None
        self.account = SimulatedAccount("DU1", symbols=("A",), now_ns=lambda: 0)
        self.broker = SimulatedBroker(
            self.account, SimulatedBrokerSettings.model_validate(settings), now_ns=lambda: 0, sleep=self.sleep
        )

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.meanwhile()
        await asyncio.sleep(0)


def limit(reference="r"):
    kind, price = OrderType.LIMIT, Decimal(90)
    return OrderRequest(reference=reference, symbol="A", side=Side.BUY, quantity=Decimal(1), order_type=kind, limit_price=price)


async def traded(way):
    await way.broker.connect()
    await way.broker.submit([limit()])
    await way.broker.replace(ChangeRequest(reference="r", limit_price=Decimal(91)))
    await way.broker.cancel("r")
    await way.broker.account()


def test_each_kind_of_wish_has_a_latency_of_its_own():
    latency = {"mean_ms": 20, "std_ms": 0, "cancel": {"mean_ms": 5, "std_ms": 0}, "replace": {"mean_ms": 0, "std_ms": 0}}
    way = Way(latency=latency)
    run(traded(way))
    assert way.waits == [0.02, 0.005]


def test_the_same_seed_waits_alike():
    found = [Way(seed=seed) for seed in (1, 1, 2)]
    for way in found:
        run(traded(way))
    assert found[0].waits == found[1].waits != found[2].waits
    assert all(wait >= 0 for way in found for wait in way.waits)


def test_an_order_that_is_on_its_way_when_the_line_is_lost_never_arrives():
    way = Way()
    way.meanwhile = way.broker.drop

    async def sent():
        await way.broker.connect()
        with pytest.raises(OrderUnresolved):
            await way.broker.submit([limit()])

    run(sent())
    assert way.account.orders() == []


def test_who_is_silent_answers_nothing_and_tells_nothing():
    way = Way(latency={"mean_ms": 0, "std_ms": 0}, answer_s=3.0)

    async def asked():
        await way.broker.connect()
        way.broker.switches.is_silent = True
        with pytest.raises(OrderUnresolved):
            await way.broker.submit([limit()])
        with pytest.raises(BrokerConnection, match="does not answer"):
            await way.broker.positions()
        assert way.broker.health().is_connected
        way.broker.drop()
        with pytest.raises(BrokerConnection, match="does not answer"):
            await way.broker.connect()
        way.broker.switches.is_silent = False
        await way.broker.connect()
        assert await way.broker.find("r") is None

    run(asked())
    assert way.waits == [3.0, 3.0, 3.0]


def test_a_broker_that_takes_no_orders_says_why():
    way = Way()
    way.broker.switches.refuses_orders = "it is closed"

    async def sent():
        await way.broker.connect()
        with pytest.raises(OrderRejected, match="it is closed"):
            await way.broker.submit([limit()])

    run(sent())
    assert way.account.orders() == []
