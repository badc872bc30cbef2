"""The client that everybody uses, ib_async, at a server of a test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from ib_async import IB, Stock

from fairlead.practice.tws import RunningTws

PATIENCE_S = 10.0
AAPL = Stock("AAPL", "SMART", "USD")
MSFT = Stock("MSFT", "SMART", "USD")


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something has come about."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  it looks at another thread's doings
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def connected(
    server: RunningTws, client_id: int = 3, **options: Any
) -> AsyncIterator[tuple[IB, list[tuple[int, int, str]]]]:
    """Connect a client, and yield it with the codes that it hears: request, code and text of each."""
    ib, heard = IB(), []
    ib.errorEvent += lambda request, code, text, _contract: heard.append((request, code, text))
    await ib.connectAsync(server.host, server.port, clientId=client_id, timeout=PATIENCE_S, **options)
    try:
        yield ib, heard
    finally:
        ib.disconnect()


def codes(heard: list[tuple[int, int, str]]) -> list[int]:
    """Return the codes that are no notices of farms."""
    return [code for _, code, _ in heard if not 2100 <= code < 2200]
