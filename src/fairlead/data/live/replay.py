"""A stored or recorded session as a live feed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from fairlead.core.errors import ConfigurationError, DataError, UnknownName
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.events import session_events, slices
from fairlead.data.live.feed import FeedBook, FeedNotice, FeedState, MarketEvent, NoticeKind, NowNs, Received, Sleep
from fairlead.data.live.pacing import MAX_SPEED, Pace
from fairlead.data.source import DataSource
from fairlead.data.ticks import TickSource

_YIELD_EVERY: Final = 256  # events, at full speed, after which other tasks get their turn


class ReplayFeed:
    """Delivers events that are known beforehand at the pace at which they became known.

    Parameters
    ----------
    events : callable
        Returns the events from the beginning, in their order; notices among them are told again.
    symbols : sequence of str
        What can be subscribed to.
    speed : float
        Multiple of real time; 0 for as fast as possible.
    jitter_s : float
        Each event is late by up to so many seconds of the session, before the next instant; of one instant the order stays.
    seed : int
        Of the jitter.
    calendar : ExchangeCalendar, optional
        The time between its sessions is skipped; None sits it out.
    now_ns : callable, optional
        The clock that stamps what arrives. None: the session's own time, which is the same in every replay.
    sleep, elapsed : callable
        Wait for seconds, and count them.
    """

    def __init__(
        self,
        events: Callable[[], Iterable[MarketEvent | FeedNotice]],
        symbols: Sequence[str],
        *,
        speed: float = MAX_SPEED,
        jitter_s: float = 0.0,
        seed: int = 42,
        calendar: ExchangeCalendar | None = None,
        now_ns: NowNs | None = None,
        sleep: Sleep = asyncio.sleep,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        if not jitter_s >= 0:
            raise ConfigurationError.of("jitter_s", "be 0 or more seconds", jitter_s)
        self._events = events
        self._known = tuple(sorted(symbols))
        self._chosen: frozenset[str] = frozenset()
        self._since_ns: int | None = None
        self._pace = Pace(speed, elapsed, calendar)
        self._jitter_ns = jitter_s * NS_PER_SECOND
        self._random = random.Random(seed)  # noqa: S311  delays of a test, not a secret
        self._now_ns = now_ns
        self._sleep = sleep
        self._book = FeedBook()
        self._closed = False

    @classmethod
    def of_source(
        cls,
        source: DataSource,
        ticks: TickSource | None = None,
        *,
        speed: float = MAX_SPEED,
        jitter_s: float = 0.0,
        seed: int = 42,
        now_ns: NowNs | None = None,
    ) -> ReplayFeed:
        """Return the feed of a stored dataset, and of the quotes and trades between its bars."""
        return cls(
            lambda: session_events(source, ticks),
            source.symbols,
            speed=speed,
            jitter_s=jitter_s,
            seed=seed,
            calendar=ExchangeCalendar.get(source.calendar),
            now_ns=now_ns,
        )

    @property
    def state(self) -> FeedState:
        """How it stands now."""
        return self._book.snapshot()

    async def connect(self) -> None:
        """Begin; there is nothing that could fail."""
        self._closed = False
        self._book.connected = True

    async def subscribe(self, symbols: Sequence[str], since_ns: int | None = None) -> None:
        """Choose the symbols to deliver, and after which instant; None for all that there is.

        Raises
        ------
        UnknownName
            If the session has no such symbol.
        DataError
            If it is not connected.
        """
        if not self._book.connected:
            raise DataError("this feed is not connected. Call connect() first.")
        for symbol in symbols:
            if symbol not in self._known:
                raise UnknownName.among("symbol in this replay", symbol, self._known)
        self._chosen, self._since_ns = frozenset(symbols), since_ns

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Yield the session's events, and a notice at its end."""
        if not self._book.connected:
            return
        count = 0
        newest = 0
        yield Received(FeedNotice(NoticeKind.CONNECTED, self._stamp(newest), "replay"), self._stamp(newest))
        for together, delays in self._delayed():
            for event, delay_ns in zip(together, delays, strict=True):
                due_ns = event.known_ns + delay_ns
                wait = self._pace.wait_s(due_ns)
                count += 1
                if wait > 0:
                    await self._sleep(wait)
                elif count % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
                if self._closed:
                    return
                newest = max(newest, due_ns)
                note = self._book.note_notice if isinstance(event, FeedNotice) else self._book.note
                yield note(event, self._stamp(due_ns))  # type: ignore[arg-type]  # of the kind that was asked for
        ended = FeedNotice(NoticeKind.ENDED, self._stamp(newest), "the session is over")
        yield self._book.note_notice(ended, ended.known_ns)

    async def close(self) -> None:
        """Stop; a second call does nothing."""
        self._closed = True
        self._book.connected = False

    def _stamp(self, session_ns: int) -> int:
        return session_ns if self._now_ns is None else self._now_ns()

    def _delayed(self) -> Iterable[tuple[list[MarketEvent | FeedNotice], Sequence[int]]]:
        """Yield the events of each instant and how late each is: ordered, and before the next instant."""
        waiting: list[MarketEvent | FeedNotice] = []
        chosen = (e for e in self._events() if isinstance(e, FeedNotice) or e.symbol in self._chosen)
        since_ns = self._since_ns
        for together in slices(chosen if since_ns is None else (e for e in chosen if e.known_ns > since_ns)):
            if waiting:
                yield waiting, self._delays(len(waiting), together[0].known_ns - waiting[0].known_ns)
            waiting = together
        if waiting:
            yield waiting, self._delays(len(waiting), None)

    def _delays(self, count: int, room_ns: int | None) -> Sequence[int]:
        if not self._jitter_ns:
            return [0] * count
        most = self._jitter_ns if room_ns is None else max(0, min(self._jitter_ns, room_ns - 1))
        return sorted(int(self._random.random() * most) for _ in range(count))
