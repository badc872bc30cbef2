"""Feeds in a thread of their own, beside a loop that never awaits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from threading import Thread
from typing import Final

from fairlead.core.errors import DataError, FairleadError
from fairlead.data.live.feed import FeedNotice, LiveFeed, NoticeKind, Queued, Received
from fairlead.data.live.queue import EventQueue

_LOG: Final = logging.getLogger(__name__)


async def pump(feed: LiveFeed, symbols: Sequence[str], queue: EventQueue[Queued], since_ns: int | None = None) -> None:
    """Connect `feed`, subscribe, and put what arrives into `queue` until the feed ends; it is closed then, whatever happens.

    Parameters
    ----------
    feed : LiveFeed
    symbols : sequence of str
    queue : EventQueue
    since_ns : int, optional
        See `LiveFeed.subscribe`; a feed that knows no such thing works as long as nobody asks.

    Raises
    ------
    DataError, UnknownName
        As `LiveFeed.connect` and `LiveFeed.subscribe` raise.
    """
    try:
        await feed.connect()
        await (feed.subscribe(symbols) if since_ns is None else feed.subscribe(symbols, since_ns))
        async for received in feed:
            await queue.put_async(received)
    finally:
        await feed.close()


class FeedThread:
    """Runs feeds in one asyncio loop, in a thread, and fills a queue with what they bring.

    When every feed has ended, or one has failed, the queue is closed; what waits in it can still be taken.

    Parameters
    ----------
    feeds : sequence of (LiveFeed, symbols)
    queue : EventQueue
    since_ns : int, optional
        An instant: what happened after it is asked for too. A session that goes on where another was says so.
    is_shared : bool
        Whether others put something into the queue as well: it is told then that the feeds have ended, and not closed.
    """

    def __init__(
        self,
        feeds: Sequence[tuple[LiveFeed, Sequence[str]]],
        queue: EventQueue[Queued],
        since_ns: int | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        self._is_shared = is_shared
        self._feeds = tuple(feeds)
        self._since_ns = since_ns
        self._queue = queue
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._thread = Thread(target=self._run, name="fairlead-feeds", daemon=True)
        self.error: BaseException | None = None
        """What ended the feeds before their time."""

    def start(self) -> None:
        """Begin; events are in the queue from now on."""
        self._thread.start()

    def stop(self, timeout: float | None = 10.0) -> None:
        """Close the feeds and the queue, and wait up to `timeout` seconds for the thread; a second call does nothing.

        Raises
        ------
        DataError
            If the thread does not end in time.
        """
        self._stopping = True
        self._queue.close()
        if self._thread.ident is None:
            self._loop.close()
            return
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._cancel)
            self._thread.join(timeout)
        if self._thread.is_alive():
            raise DataError("the feeds do not close. End the process; nothing of theirs is lost by that.")

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._all())
        except asyncio.CancelledError:
            pass
        except FairleadError as exc:
            # Whoever was about to put an event finds the queue closed by `stop`.
            self.error = None if self._stopping else exc
        except Exception as exc:  # noqa: BLE001
            # A third party's feed may raise anything; the loop reads it here and decides.
            _LOG.exception("a live feed failed")
            self.error = exc
        finally:
            if self._is_shared and not self._stopping:
                with contextlib.suppress(DataError):  # closed meanwhile
                    self._queue.put(Received(FeedNotice(NoticeKind.ENDED, 0, "the feeds have ended"), 0))
            else:
                self._queue.close()

    async def _all(self) -> None:
        self._task = asyncio.current_task()
        if self._queue.is_closed:
            return
        pumps = [asyncio.ensure_future(pump(feed, symbols, self._queue, self._since_ns)) for feed, symbols in self._feeds]
        try:
            await asyncio.gather(*pumps)
        finally:
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
