"""To look at an account, once: connect, be sure that it is the one, ask, and go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from fairlead.core.errors import BrokerConnection, BrokerError
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.words import BrokerAccount, BrokerOrder, BrokerPosition

AnswerT = TypeVar("AnswerT")


class Holdings(NamedTuple):
    """What an account has: what is open first, so that nothing that fills meanwhile is in neither."""

    account: BrokerAccount
    orders: tuple[BrokerOrder, ...]
    positions: tuple[BrokerPosition, ...]

    @property
    def is_flat(self) -> bool:
        """Whether it holds nothing and nothing works."""
        return not self.orders and not self.positions


async def look(
    broker: Broker,
    admit: Callable[[BrokerAccount], object],
    ask: Callable[[Broker, BrokerAccount], Awaitable[AnswerT]],
    *,
    attempt_s: float = 10.0,
) -> AnswerT:
    """Return what `ask` finds at a broker, which is connected for that alone.

    Raises
    ------
    BrokerConnection
        If the broker cannot be reached, or does not answer in time: each step may take `attempt_s` seconds.
    BrokerAccess
        If it does not accept keys or account, or `admit` does not.
    """
    try:
        async with asyncio.timeout(attempt_s):
            account = await broker.connect()
        admit(account)
        async with asyncio.timeout(attempt_s):
            return await ask(broker, account)
    except TimeoutError as exc:
        raise BrokerConnection(f"{broker.name} has not answered within {attempt_s:g} s. Try again.") from exc
    finally:
        with contextlib.suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(attempt_s):
                await broker.disconnect()


async def holdings(broker: Broker, account: BrokerAccount) -> Holdings:
    """Return what an account has; see `look`."""
    orders = tuple(await broker.open_orders())
    return Holdings(account, orders, tuple(await broker.positions()))
