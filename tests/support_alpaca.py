"""Alpaca for tests: orders as it writes them, and a client of ours at a server of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

from fairlead.core.orders import OrderType, Side
from fairlead.execution.brokers.alpaca.broker import AlpacaBroker
from fairlead.execution.brokers.alpaca.settings import AlpacaSettings
from fairlead.execution.brokers.words import BrokerEvent, BrokerOrder, Execution, LinkKind, LinkNotice, OrderRequest
from fairlead.practice.alpaca.server import AlpacaServer

PATIENCE_S = 10.0


def raw_order(**changed: Any) -> dict[str, Any]:
    """Return an order as in Alpaca's reference, with some fields otherwise."""
    order = {
        "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
        "client_order_id": "r-1",
        "created_at": "2025-01-02T14:30:00.123456789Z",
        "updated_at": "2025-01-02T14:30:00.5Z",
        "submitted_at": "2025-01-02T14:30:00.123456789Z",
        "filled_at": None,
        "replaced_by": None,
        "replaces": None,
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "15",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "107.00",
        "stop_price": None,
        "status": "accepted",
        "extended_hours": False,
        "legs": None,
    }
    return {**order, **changed}


def request(reference: str = "r-1", **changed: Any) -> OrderRequest:
    """Return a limit order for 15 AAPL, or one that is otherwise."""
    fields = {
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": Decimal(15),
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal("107.00"),
    }
    return OrderRequest(reference=reference, **{**fields, **changed})


def settings_of(server: AlpacaServer | str, **changed: Any) -> AlpacaSettings:
    """Return the settings with which a client reaches a server."""
    keys = {} if isinstance(server, str) else {"api_key": server.keys.key, "api_secret": server.keys.secret}
    url = server if isinstance(server, str) else server.url
    return AlpacaSettings(**{"base_url": url, "api_key": "K", "api_secret": "S", "timeout_s": 5.0, **keys, **changed})


class Heard:
    """What a broker tells, kept in order."""

    def __init__(self, broker: AlpacaBroker) -> None:
        self.events: list[BrokerEvent] = []
        self._task = asyncio.create_task(self._listen(broker))

    async def _listen(self, broker: AlpacaBroker) -> None:
        async for event in broker.events():
            self.events.append(event)

    @property
    def executions(self) -> list[Execution]:
        """Executions, each time they were told."""
        return [event for event in self.events if isinstance(event, Execution)]

    def orders(self, reference: str) -> list[BrokerOrder]:
        """What was told of an order."""
        return [event for event in self.events if isinstance(event, BrokerOrder) and event.reference == reference]

    def notices(self, kind: LinkKind) -> list[LinkNotice]:
        """What was told of the way."""
        return [event for event in self.events if isinstance(event, LinkNotice) and event.kind is kind]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110  a server in another thread tells of it
                await asyncio.sleep(0.002)

    async def end(self) -> None:
        """Wait until nothing more is told."""
        async with asyncio.timeout(PATIENCE_S):
            await self._task


@contextlib.asynccontextmanager
async def connected(server: AlpacaServer, **changed: Any) -> AsyncIterator[tuple[AlpacaBroker, Heard]]:
    """Run a client of a server."""
    broker = AlpacaBroker(settings_of(server, **changed), now_ns=time.time_ns)  # noqa: TID251  what a session's clock would say
    heard = Heard(broker)
    await broker.connect()
    try:
        yield broker, heard
    finally:
        await broker.disconnect()
        await heard.end()
