"""A live feed as a source of the engine: a block for every instant, as soon as the instant is complete.

The loop that walks history walks these blocks, and nothing in it knows the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fairlead.core.bars import BarBlock
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.feed import FeedNotice, NoticeKind, Passed, Queued, Received
from fairlead.data.live.gathering import GRACE_S, Gathering, GatheringRule, Instant
from fairlead.data.live.queue import EventQueue
from fairlead.data.live.rows import Rows
from fairlead.data.live.settings import AggregationSettings
from fairlead.data.source import DataSource


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFacts:
    """What is known of a feed before it begins.

    Parameters
    ----------
    name : str
    symbols : tuple of str
        Sorted; the columns of every block.
    bar_size : BarSize
    calendar : str
    is_synthetic : bool
    content_hash : str
        Of history that is played again; empty for what nobody has seen yet.
    actions : tuple of CorporateAction
        Known beforehand.
    expected_rows : int
        Instants, if it is known how many there will be.
    aggregate : AggregationSettings, optional
        Bars are made of what it brings.
    """

    name: str
    symbols: tuple[str, ...]
    bar_size: BarSize
    calendar: str
    is_synthetic: bool = False
    content_hash: str = ""
    actions: tuple[CorporateAction, ...] = ()
    expected_rows: int = 0
    aggregate: AggregationSettings | None = None

    @classmethod
    def of(cls, source: DataSource) -> FeedFacts:
        """Return those of history that is played again."""
        return cls(
            name=source.name,
            symbols=source.symbols,
            bar_size=source.bar_size,
            calendar=source.calendar,
            is_synthetic=source.is_synthetic,
            content_hash=source.content_hash,
            actions=source.actions,
            expected_rows=source.expected_rows,
        )


class FeedSource:
    """A `DataSource` over a queue that a feed fills.

    An instant is complete when every symbol has its bar, when a bar of a later one arrives, or when no bar has come for
    `grace_s`; see `Gathering`. What comes after that is late: it is counted and told, and not used, as nothing happens in the
    past.

    Parameters
    ----------
    facts : FeedFacts
    queue : EventQueue
    history : DataSource, optional
        What came before, for features.
    grace_s : float
        Seconds to wait for the rest of an instant once some of it is there; infinite where later ones are sure to come.
    poll_s : float
        Seconds after which `idle` is called while nothing arrives.
    idle : callable
        Called between instants, and while nothing arrives; returns whether the session is to end.
    told : callable
        Told what a feed says of itself, and of late bars.
    seen : callable, optional
        Given everything that is taken, before it is used, and each mark of a silence that ended something.
    past : iterable of Instant
        Instants of before a restart; the feed goes on after them.
    taken : callable
        Given every instant that comes after them, before it is used.
    passed : callable
        Given what is no market data, in its turn.
    lingers : callable
        Asked again and again when the last instant is over, until it says that nothing more is waited for.

    Raises
    ------
    ConfigurationError, UnknownName
        As `Gathering`.
    """

    def __init__(
        self,
        facts: FeedFacts,
        queue: EventQueue[Queued],
        *,
        history: DataSource | None = None,
        grace_s: float = GRACE_S,
        poll_s: float = 0.1,
        idle: Callable[[], bool] = lambda: False,
        told: Callable[[FeedNotice], None] = lambda _notice: None,
        seen: Callable[[Received], None] | None = None,
        past: Iterable[Instant] = (),
        taken: Callable[[Instant], None] = lambda _instant: None,
        passed: Callable[[Any], None] = lambda _what: None,
        lingers: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = facts.name
        self.symbols = facts.symbols
        self.bar_size = facts.bar_size
        self.calendar = facts.calendar
        self.is_synthetic = facts.is_synthetic
        self.content_hash = facts.content_hash
        self.actions = facts.actions
        self.expected_rows = facts.expected_rows
        self.gathering: Final = Gathering(
            GatheringRule(
                bar_size=facts.bar_size,
                calendar=facts.calendar,
                symbols=facts.symbols,
                grace_s=grace_s,
                aggregate=facts.aggregate,
            )
        )
        self._queue = queue
        self._history = history
        self._poll_s = poll_s
        self._idle, self._told, self._seen = idle, told, seen
        self._past, self._taken = past, taken
        self._passed, self._lingers = passed, lingers
        self._exchange = ExchangeCalendar.get(facts.calendar)

    @property
    def late(self) -> int:
        """How many bars came when their instant was over."""
        return self.gathering.late

    def whole(self) -> DataSource:
        """Return the history before the session; itself if there is none."""
        return self._history.whole() if self._history is not None else self

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:
        """Yield a block of one new row for every instant, each when it is complete."""
        rows = Rows(self.symbols, carry)
        for instant in self._instants():
            label_ns, known_ns = min((bar.label_ns, bar.known_ns) for bar in instant.values())
            _, session = self._exchange.closing_instants(np.array([label_ns], np.int64), self.bar_size)
            yield rows.block(label_ns, known_ns, int(session[0]), instant, self.actions)

    def _instants(self) -> Iterator[Instant]:
        """Yield the instants that were, and then each as it comes."""
        for instant in self._past:
            self.gathering.go_on_after(instant)
            yield instant
        yield from self._new_instants()
        while self._lingers():
            received = self._queue.take(self._poll_s)
            if isinstance(received, Passed):
                self._passed(received.what)

    def _new_instants(self) -> Iterator[Instant]:
        for received in self._received():
            if isinstance(received, Passed):
                self._passed(received.what)
                continue
            if self._seen is not None:
                self._seen(received)
            for found in self.gathering.take(received):
                if isinstance(found, FeedNotice):
                    self._told(found)
                else:
                    self._taken(found)
                    yield found
            if isinstance(received.event, FeedNotice) and received.event.kind is not NoticeKind.QUIET:
                self._told(received.event)
                if received.event.kind is NoticeKind.ENDED:
                    return

    def _received(self) -> Iterator[Queued]:
        """Yield what comes, and the marks of silences that end something, until an operator or the end of the feed ends it."""
        while not self._idle():
            received = self._queue.take(self._poll_s)
            is_over = received is None and self._queue.is_closed and not len(self._queue)
            if received is None:
                received = self.gathering.closed() if is_over else self.gathering.silence(self._poll_s)
            if received is not None:
                yield received
            elif is_over:
                return
