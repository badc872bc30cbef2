"""A market that is practised on: a stored session that happens once more, to accounts first and then to whoever listens."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from fairlead.core.errors import DataError
from fairlead.core.events import Bar
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.events import slices
from fairlead.data.live.feed import FeedNotice, MarketEvent, Sleep
from fairlead.data.live.pacing import MAX_SPEED, Pace
from fairlead.execution.brokers.simulated.account import SimulatedAccount

_YIELD_EVERY: Final = 64


class PracticeMarket:
    """Plays a session to accounts and listeners: at a pace, or step by step.

    At each instant the orders of every account meet its bars; then everything of it is told.

    Parameters
    ----------
    events : sequence of Bar, Quote or Trade
        Ordered by `known_ns`; accounts meet the bars alone.
    bar_size : BarSize
    calendar : str
    speed : float
        Multiple of real time; 0 for as fast as listeners allow.
    sleep, elapsed : callable
        Wait for seconds, and count them.

    Attributes
    ----------
    now_ns : int
        The session's own time, nanoseconds: the last instant, or the opening of the first bar.
    count : int
        How many events have become known.
    """

    def __init__(
        self,
        events: Sequence[MarketEvent],
        *,
        bar_size: BarSize,
        calendar: str,
        speed: float = MAX_SPEED,
        sleep: Sleep = asyncio.sleep,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        if not events:
            raise DataError("the session has no events to practise on.")
        self.events = events
        self.bar_size, self.calendar = bar_size, calendar
        self.symbols = tuple(sorted({event.symbol for event in events}))
        first = events[0]
        self.now_ns = first.label_ns if isinstance(first, Bar) else first.known_ns - 1
        self.count = 0
        self._accounts: list[SimulatedAccount] = []
        self._listeners: list[Callable[[MarketEvent], None]] = []
        self._instants = slices(events)
        self._next = next(self._instants, [])
        self._pace = Pace(speed, elapsed, ExchangeCalendar.get(calendar))
        self._sleep = sleep

    @property
    def is_over(self) -> bool:
        """Whether every event has become known."""
        return not self._next

    def serve(self, account: SimulatedAccount) -> None:
        """Let the orders of an account meet the bars that come; after a restart it takes the place of the one with its id."""
        self._accounts = [one for one in self._accounts if one.account_id != account.account_id]
        self._accounts.append(account)

    def listen(self, heard: Callable[[MarketEvent], None]) -> None:
        """Let somebody be told of every event, after the accounts have met it."""
        self._listeners.append(heard)

    def step(self, count: int = 1) -> bool:
        """Let so many instants happen, and return whether there are more."""
        for _ in range(count):
            if self._next:
                self._happen()
        return not self.is_over

    async def run(self) -> None:
        """Let the rest of the session happen at its pace."""
        while self._next:
            wait = self._pace.wait_s(self._next[0].known_ns)
            if wait > 0:
                await self._sleep(wait)
            elif self.count % _YIELD_EVERY < len(self._next):
                await asyncio.sleep(0)
            self._happen()

    def bars(self, symbol: str, start_ns: int, end_ns: int) -> list[Bar]:
        """Return the bars of a symbol that are known by now and opened in [`start_ns`, `end_ns`)."""
        # Bars of one symbol are ordered by both stamps; those of before are looked for by the one that orders all.
        first = bisect_left(self.events, start_ns, hi=self.count, key=_known_ns)
        past = bisect_right(self.events, end_ns + self._longest_ns, hi=self.count, key=_known_ns)
        found = (event for event in self.events[first:past] if isinstance(event, Bar) and event.symbol == symbol)
        return [bar for bar in found if start_ns <= bar.label_ns < end_ns]

    def last(self, symbol: str) -> MarketEvent | None:
        """Return the newest event of a symbol; None if nothing is known of it."""
        known = range(self.count - 1, -1, -1)
        return next((self.events[i] for i in known if self.events[i].symbol == symbol), None)

    @property
    def _longest_ns(self) -> int:
        return self.bar_size.ns if self.bar_size.is_intraday else BarSize.D1.ns

    def _happen(self) -> None:
        instant = [event for event in self._next if not isinstance(event, FeedNotice)]
        self._next = next(self._instants, [])
        self.now_ns = instant[0].known_ns
        bars = {event.symbol: event for event in instant if isinstance(event, Bar)}
        for account in self._accounts if bars else ():
            account.step(bars)
        self.count += len(instant)
        for event in instant:
            for heard in self._listeners:
                heard(event)


def _known_ns(event: MarketEvent) -> int:
    return event.known_ns
