"""A simulated broker whose market is a feed: the orders of its account meet the bars as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from fairlead.core.errors import FairleadError
from fairlead.data.live.feed import FeedNotice, LiveFeed
from fairlead.data.live.gathering import Gathering, GatheringRule, Instant
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.simulated.broker import SimulatedBroker, SimulatedBrokerSettings
from fairlead.execution.brokers.words import BrokerAccount, LinkKind, LinkNotice


class FollowingBroker(SimulatedBroker):
    """A simulated broker in this process that listens to a market while it is connected.

    What happened while it was not is asked for when it is again, as far as the feed still has it.

    Parameters
    ----------
    account : SimulatedAccount
    settings : SimulatedBrokerSettings
    open_feed : callable
        Opens the feed, without connecting.
    rule : GatheringRule
        When an instant is complete.
    now_ns : callable
    """

    def __init__(
        self,
        account: SimulatedAccount,
        settings: SimulatedBrokerSettings,
        *,
        open_feed: Callable[[], LiveFeed],
        rule: GatheringRule,
        now_ns: Callable[[], int],
    ) -> None:
        super().__init__(account, settings, now_ns=now_ns)
        self._open_feed, self._rule = open_feed, rule
        self._following: asyncio.Task[None] | None = None

    async def connect(self) -> BrokerAccount:
        """Connect, begin to follow the market, and return the account."""
        account = await super().connect()
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        return account

    async def disconnect(self) -> None:
        """End the connection, and leave the market."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
        await super().disconnect()

    async def _follow(self) -> None:
        feed, gathering = self._open_feed(), Gathering(self._rule)
        try:
            await feed.connect()
            await feed.subscribe(self._rule.symbols, self._account.market_ns or None)
            async for received in feed:
                for found in gathering.take(received):
                    if not isinstance(found, FeedNotice):
                        self._meet(found)
        except FairleadError as exc:
            self._tell(LinkNotice(LinkKind.DEGRADED, self._now_ns(), f"the simulated broker has no market: {exc}"))
        finally:
            await feed.close()

    def _meet(self, instant: Instant) -> None:
        bars = {bar.symbol: bar for bar in instant.values()}
        if min(bar.known_ns for bar in bars.values()) > self._account.market_ns:
            self._account.step(bars)
