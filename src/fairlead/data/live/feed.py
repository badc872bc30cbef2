"""The seam between market data as it happens and the loop, and what every feed tells of itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias

from fairlead.core.events import Bar, Quote, Trade

MarketEvent: TypeAlias = Bar | Quote | Trade
NowNs: TypeAlias = Callable[[], int]
"""The injected clock: nanoseconds since the epoch."""
Sleep: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds; injected so that tests do not."""


class NoticeKind(StrEnum):
    """What a feed says about itself, in the order of its events."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    STALE = "stale"
    FRESH = "fresh"
    GAP = "gap"
    """Events are missing for good: what could be fetched after a gap came without a notice."""
    ENDED = "ended"
    """There is nothing more to come."""
    QUIET = "quiet"
    """No feed says this: whoever waits for one notes with it, in the order of events, that all until `known_ns` is over."""


class FeedNotice(NamedTuple):
    """What happened to a feed itself. It takes its place among the events and is never dropped."""

    kind: NoticeKind
    known_ns: int
    text: str = ""


class Received(NamedTuple):
    """An event, and when it reached this machine."""

    event: MarketEvent | FeedNotice
    received_ns: int
    """By the injected clock, nanoseconds; the event's own `known_ns` is the exchange's stamp."""


class Passed(NamedTuple):
    """Something that is no market data and takes its place among it: handed on as it is, and never dropped."""

    what: Any


Queued: TypeAlias = Received | Passed
"""What waits for a session's loop."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """How a feed stands.

    Attributes
    ----------
    connected : bool
        What its connection says of itself. Whether data comes is another question: `last_event_ns`.
    stale : bool
        Whether the newest event is older than it may be in a session.
    last_event_ns : int or None
        The exchange's stamp of the newest market event, nanoseconds.
    last_received_ns : int or None
        When the last market event arrived, by the injected clock.
    last_by_symbol : mapping of str to int
        The exchange's stamp of the newest event of each symbol.
    events, gaps, lost, duplicates, malformed, reconnects, failures : int
        Market events delivered; interruptions of the sequence found; events that no backfill could bring; events that came
        twice and were delivered once; messages skipped because they could not be read; connections made after the first;
        attempts that failed.
    """

    connected: bool
    stale: bool
    last_event_ns: int | None
    last_received_ns: int | None
    last_by_symbol: Mapping[str, int]
    events: int = 0
    gaps: int = 0
    lost: int = 0
    duplicates: int = 0
    malformed: int = 0
    reconnects: int = 0
    failures: int = 0


class LiveFeed(Protocol):
    """Market data as it happens. Its methods belong to one asyncio loop; `state` may be read from any thread.

    Every implementation passes `tests/conformance/test_live_feeds.py`.
    """

    @property
    def state(self) -> FeedState:
        """How it stands now."""

    async def connect(self) -> None:
        """Open the connection.

        Raises
        ------
        DataError
            If it cannot be opened at all.
        """

    async def subscribe(self, symbols: Sequence[str], since_ns: int | None = None) -> None:
        """Ask for the events of `symbols`, instead of those that were asked for before.

        Parameters
        ----------
        symbols : sequence of str
        since_ns : int, optional
            What is stamped after this instant of the exchange comes, and nothing before it: first what has happened
            already, as far as it can still be had. None: what happens from now on.

        Raises
        ------
        UnknownName
            If the feed has no such symbol.
        DataError
            If it is not connected.
        """

    def __aiter__(self) -> AsyncIterator[Received]:
        """Yield what arrives: of each symbol in the order of the exchange's stamps, each event once.

        It ends when there is nothing more to come or the feed is closed.
        """

    async def close(self) -> None:
        """Close the connection; a second call does nothing."""


class FeedBook:
    """The counts behind a feed's state."""

    def __init__(self) -> None:
        self.connected = False
        self.stale = False
        self.last_event_ns: int | None = None
        self.last_received_ns: int | None = None
        self.last_by_symbol: dict[str, int] = {}
        self.events = 0
        self.gaps = 0
        self.lost = 0
        self.duplicates = 0
        self.malformed = 0
        self.reconnects = 0
        self.failures = 0

    def note(self, event: MarketEvent, received_ns: int) -> Received:
        """Count a market event and return it with its stamp of receipt."""
        known_ns = event.known_ns
        if self.last_event_ns is None or known_ns > self.last_event_ns:
            self.last_event_ns = known_ns
        self.last_received_ns = received_ns
        self.last_by_symbol[event.symbol] = known_ns
        self.events += 1
        return Received(event, received_ns)

    def note_notice(self, notice: FeedNotice, received_ns: int) -> Received:
        """Let a notice change the state that it tells of, and return it with its stamp of receipt."""
        match notice.kind:
            case NoticeKind.CONNECTED:
                self.connected = True
            case NoticeKind.DISCONNECTED | NoticeKind.ENDED:
                self.connected = False
            case NoticeKind.STALE | NoticeKind.FRESH:
                self.stale = notice.kind is NoticeKind.STALE
            case NoticeKind.GAP:
                self.gaps += 1
        return Received(notice, received_ns)

    def snapshot(self) -> FeedState:
        """Return the state as of now."""
        return FeedState(
            connected=self.connected,
            stale=self.stale,
            last_event_ns=self.last_event_ns,
            last_received_ns=self.last_received_ns,
            last_by_symbol=self.last_by_symbol.copy(),
            events=self.events,
            gaps=self.gaps,
            lost=self.lost,
            duplicates=self.duplicates,
            malformed=self.malformed,
            reconnects=self.reconnects,
            failures=self.failures,
        )
