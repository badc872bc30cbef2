"""Alpaca's adapter in a storm: whatever the stream does and whoever is restarted, it knows in the end what the server knows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from decimal import Decimal

import pytest

from fairlead.core.errors import BrokerConnection, OrderRejected, OrderUnresolved
from fairlead.core.orders import TERMINAL, OrderType, Side
from fairlead.execution.brokers.alpaca.broker import AlpacaBroker
from fairlead.execution.brokers.words import ChangeRequest, OrderRequest
from fairlead.practice.faults import PracticeFaults
from servers.alpaca import alpaca_server
from support_alpaca import Heard, settings_of

SEEDS = range(int(os.environ.get("FAIRLEAD_STORMS", "6")))
ACTS = ("submit", "submit", "fill", "fill", "fill", "replace", "cancel", "exits", "drop", "restart", "lose", "anew", "flush")


class Storm:
    """One run: a server that misbehaves, and a client that is killed and comes back."""

    def __init__(self, server, seed):
        self.server, self.random = server, random.Random(seed)
        self.references: list[str] = []
        self.told: dict[str, tuple] = {}
        self.sent = 0
        self.broker: AlpacaBroker
        self.heard: Heard

    async def begin(self):
        self.broker = AlpacaBroker(settings_of(self.server), now_ns=time.time_ns)  # noqa: TID251  as a session's clock
        self.heard = Heard(self.broker)
        await self.connect()

    async def connect(self):
        while True:
            with contextlib.suppress(BrokerConnection):
                await self.broker.connect()
                return

    async def end(self):
        await self.broker.disconnect()
        await self.heard.end()
        self.note(self.heard.executions)

    def note(self, executions):
        for one in executions:
            told = (one.reference, one.broker_id, one.quantity, one.price)
            assert self.told.setdefault(one.execution_id, told) == told

    async def act(self):
        with contextlib.suppress(OrderRejected, OrderUnresolved, BrokerConnection):
            await getattr(self, self.random.choice(ACTS))()
        with contextlib.suppress(BrokerConnection):
            self.note(await self.broker.executions(0))

    def _order(self, reference, **changed):
        fields = {"symbol": "ACME", "side": Side.BUY, "quantity": Decimal(100), "order_type": OrderType.LIMIT}
        return OrderRequest(reference=reference, **{**fields, "limit_price": Decimal(self.random.randint(80, 95)), **changed})

    async def submit(self):
        self.references.append(f"r-{len(self.references)}")
        self.sent += 1
        await self.broker.submit([self._order(self.references[-1])])

    async def exits(self):
        take, stop = f"r-{len(self.references)}", f"r-{len(self.references) + 1}"
        self.references += [take, stop]
        self.sent += 1
        sold = {"side": Side.SELL, "quantity": Decimal(10)}
        await self.broker.submit(
            [
                self._order(take, **{**sold, "limit_price": Decimal(110)}),
                self._order(stop, **sold, order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(70)),
            ]
        )

    async def fill(self):
        quantity = self.random.randint(1, 40)
        at = self.random.random()

        def filled(broker):
            working = broker.account.open_orders()
            if working:
                order = working[int(at * len(working))]
                broker.account.execute(order.broker_id, min(quantity, order.quantity - order.filled), 90.0)

        self.server.do(filled)

    async def flush(self):
        self.server.do(lambda broker: broker.stream.flush())

    async def replace(self):
        if self.references:
            wish = ChangeRequest(
                reference=self.random.choice(self.references), limit_price=Decimal(self.random.randint(80, 95))
            )
            await self.broker.replace(wish)

    async def cancel(self):
        if self.references:
            await self.broker.cancel(self.random.choice(self.references))

    async def drop(self):
        self.server.drop()
        await self.connect()

    async def restart(self):
        self.server.restart()
        self.misbehave()
        await self.connect()

    async def lose(self):
        self.server.do(lambda broker: setattr(broker.switches, self.random.choice(["loses_answers", "loses_orders"]), 1))
        await self.submit()

    async def anew(self):
        await self.end()
        await self.begin()

    def misbehave(self):
        faults = dict.fromkeys(("gap_rate", "duplicate_rate", "reorder_rate", "malformed_rate", "delay_rate"), 0.1)
        faults = PracticeFaults(**faults, delay_s=0.01, seed=self.random.randrange(10**6))
        self.server.do(lambda broker: broker.stream.misbehave(faults))


@pytest.mark.parametrize("seed", SEEDS)
def test_it_knows_in_the_end_what_the_server_knows(seed):
    async def body():
        with alpaca_server(calls_per_minute=0) as server:
            storm = Storm(server, seed)
            storm.misbehave()
            await storm.begin()
            for _ in range(30):
                await storm.act()
            await storm.connect()
            theirs = server.do(lambda broker: broker.account.orders())
            executions = await storm.broker.executions(0)
            storm.note(executions)
            assert len({one.execution_id for one in executions}) == len(executions)
            assert storm.told.keys() == {one.execution_id for one in executions}
            for order in theirs:
                record = server.do(lambda b, o=order: [r for r in b.book.records.values() if r.broker_id == o.broker_id][-1])
                found = [await storm.broker.find(reference) for reference in storm.references]
                ours = next(one for one in found if one is not None and one.broker_id == record.order_id)
                assert (ours.quantity, ours.filled, ours.status) == (order.quantity, order.filled, order.status)
                assert (ours.limit_price, ours.stop_price) == (order.limit_price, order.stop_price)
                filled = sum(one.quantity for one in executions if one.reference == ours.reference)
                assert filled == order.filled
            still = {one.reference for one in await storm.broker.open_orders()}
            assert len(still) == sum(order.status not in TERMINAL for order in theirs)
            sent = [call for call in server.do(lambda broker: broker.switches.calls) if call == "POST /v2/orders"]
            assert len(sent) <= storm.sent
            await storm.end()

    asyncio.run(body())
