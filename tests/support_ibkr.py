"""Interactive Brokers for tests: its adapter over a socket, with a server of its protocol behind it in the same loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fairlead.core.time import NS_PER_SECOND
from fairlead.execution.brokers.ibkr.broker import IbkrBroker
from fairlead.execution.brokers.ibkr.settings import IbkrSettings
from fairlead.execution.brokers.words import OrderRequest
from fairlead.practice.tws import TwsServer, TwsSettings
from support_brokers import ANSWER_S, AccountBench, AccountTerms, Bench


class IbkrBench(AccountBench):
    """The adapter, and the account that a server of the protocol shows it."""

    def __init__(self, terms: AccountTerms, **settings: Any) -> None:
        super().__init__(terms)
        self._given = {"repeats": 2, **settings}
        self.server = self._make_server(0)
        self.switches = self.server.switches

    def _make_server(self, port: int) -> TwsServer:
        return TwsServer(self.account, TwsSettings(port=port, **self._given), now_ns=lambda: self._now_ns)

    async def open(self, *, sleeps: float | None = None, **settings: Any) -> None:
        """Start the server, and make the adapter for it; with `sleeps` it sleeps so long whatever it is asked for."""
        await self.server.start()
        given = {
            "port": self.server.port,
            "kind": "paper",
            "answer_s": 4 * ANSWER_S,  # over a socket, on a machine that may be busy
            "acknowledge_s": ANSWER_S,
            "commission_s": ANSWER_S,
            "can_short": self.terms.can_short,
            "reset": None,
            **settings,
        }
        sleep = asyncio.sleep if sleeps is None else lambda _seconds: asyncio.sleep(sleeps)
        self.broker = IbkrBroker(IbkrSettings.model_validate(given), now_ns=lambda: self._now_ns, sleep=sleep)

    async def close(self) -> None:
        """End the adapter's connection, and the server."""
        await self.broker.disconnect()
        await self.server.stop()

    async def settled(self) -> None:
        """Let the server tell what has happened."""
        self.server.settle()
        await asyncio.sleep(0)

    async def trade(self, *prices: float, volume: float = 100_000.0, symbol: str = "AAPL") -> None:
        await super().trade(*prices, volume=volume, symbol=symbol)
        await self.settled()

    async def execute(self, reference: str, quantity: float, price: float) -> None:
        self._now_ns += NS_PER_SECOND  # the protocol's stamps have whole seconds
        await super().execute(reference, quantity, price)
        await self.settled()

    async def correct(self, reference: str, quantity: float, price: float) -> None:
        await super().correct(reference, quantity, price)
        await self.settled()

    async def bust(self, reference: str) -> None:
        await super().bust(reference)
        await self.settled()

    async def reject(self, reference: str, reason: str) -> None:
        await super().reject(reference, reason)
        await self.settled()

    async def foreign(self, request: OrderRequest) -> None:
        await super().foreign(request)
        await self.settled()

    async def drop(self) -> None:
        self.server.drop()
        await asyncio.sleep(0)

    async def restart_empty(self) -> None:
        port = self.server.port
        await self.server.stop()
        self.account = self.open_account(self.account.serial + 1)
        self.server = self._make_server(port)
        await self.server.start()
        self.switches = self.server.switches


@asynccontextmanager
async def open_ibkr(terms: AccountTerms) -> AsyncIterator[Bench]:
    """Open the bench of Interactive Brokers."""
    bench = IbkrBench(terms)
    await bench.open()
    try:
        yield bench
    finally:
        await bench.close()
