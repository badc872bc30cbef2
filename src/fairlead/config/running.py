"""A feed while a session runs on it: its thread, its queue, its recording, and what becomes of the session if it fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fairlead.config.keeping import CHUNK, Keeper
from fairlead.control.conductor import Conductor
from fairlead.control.stopwatch import Stopwatch
from fairlead.core.errors import DataError, FairleadError
from fairlead.data.live import EventQueue, FeedThread, LiveDataSettings, LiveFeed, Queued, SessionRecorder
from fairlead.data.live.counts import feed_counts
from fairlead.data.live.gathering import GRACE_S, Instant
from fairlead.data.live.source import FeedFacts, FeedSource
from fairlead.data.source import DataSource
from fairlead.telemetry.logs import Log

HeardT = TypeVar("HeardT")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningFeed:
    """A feed, and everyone who hears of what it brings.

    Parameters
    ----------
    facts : FeedFacts
    feed : LiveFeed
    queue : EventQueue
    data : settings
        The configuration's section ``data``.
    history : DataSource, optional
        Where stored bars are played again: of these none is lost, and one that is played late still belongs to its instant.
    folder : Path
        Where a recording goes.
    log : Log
    now_ns : callable
        The real time.
    conductor : Conductor
    stopwatch : Stopwatch
    idle : callable
        Called between events; returns whether the session is to end.
    past : iterator of Instant
        What the session took in before it was interrupted.
    since_ns : int, optional
        After which instant the feed is asked for what was missed.
    is_shared : bool
        Whether a broker tells its reports into the same queue.
    failed : callable, optional
        Told what ended the feed before its time, once there is a result; without it that is raised.
    """

    facts: FeedFacts
    feed: LiveFeed
    queue: EventQueue[Queued]
    data: object
    history: DataSource | None
    folder: Path
    log: Log
    now_ns: Callable[[], int]
    conductor: Conductor
    stopwatch: Stopwatch
    idle: Callable[[], bool]
    past: Iterator[Instant]
    since_ns: int | None
    is_shared: bool
    failed: Callable[[FairleadError], None] | None

    @contextmanager
    def opened(self) -> Iterator[FeedSource]:
        """Give the source that the session runs on; the feed runs as long as the context lasts.

        Raises
        ------
        FairleadError
            If the session was stopped before it had any data.
        DataError
            If the feed fails before its time, and nobody is to be told.
        """
        queue, conductor = self.queue, self.conductor
        thread = FeedThread([(self.feed, self.facts.symbols)], queue, self.since_ns, is_shared=self.is_shared)
        with self._keeping() as keeper:

            def between() -> bool:
                is_calm = self.stopwatch.idle()
                if keeper is not None:
                    keeper.idle(is_calm=is_calm)
                return self.idle()

            source = FeedSource(
                self.facts,
                queue,
                history=self.history,
                grace_s=GRACE_S if self.history is None else math.inf,
                idle=between,
                told=conductor.told,
                seen=self.stopwatch.seen if keeper is None else in_turn(self.stopwatch.seen, keeper.take),
                past=self.past,
                taken=conductor.taken,
                passed=conductor.reported,
                lingers=conductor.lingers,
            )
            thread.start()
            try:
                yield source
            except DataError:
                # A session without a bar says so; why there was none is what the feed or an operator says.
                thread.stop()
                conductor.gave_up()
                if thread.error is not None:
                    raise thread.error from None
                if conductor.stopped_before_data:
                    raise FairleadError("the session was stopped before it had any data; there is no run to write.") from None
                raise
            except BaseException:
                thread.stop()
                raise
        self.log.info("feed_counts", message="what came and what became of it", **feed_counts(self.feed, queue, source))
        if (error := _end_of(thread)) is not None:
            self.log.error("feed_failed", message=str(error))
            if self.failed is None:
                raise error
            self.failed(error)

    @contextmanager
    def _keeping(self) -> Iterator[Keeper | None]:
        if not (isinstance(self.data, LiveDataSettings) and self.data.record):
            yield None
            return
        facts = self.facts
        recorder = SessionRecorder(
            self.folder,
            bar_size=facts.bar_size,
            calendar=facts.calendar,
            symbols=facts.symbols,
            aggregate=facts.aggregate,
            chunk=4 * CHUNK,
        )
        keeper = Keeper(recorder, self.log, self.now_ns)
        try:
            yield keeper
        finally:
            keeper.close()


def in_turn(*hearers: Callable[[HeardT], None]) -> Callable[[HeardT], None]:
    """Return what tells several, one after the other."""

    def hear(heard: HeardT) -> None:
        for tell in hearers:
            tell(heard)

    return hear


def _end_of(thread: FeedThread) -> FairleadError | None:
    """Stop a feed whose session is over, and return what went wrong with it: it has cost data, and must not cost the result."""
    try:
        thread.stop()
    except DataError as exc:
        return exc
    error = thread.error
    if error is None or isinstance(error, FairleadError):
        return error
    return DataError(f"the feed failed: {type(error).__name__}: {error}.")
