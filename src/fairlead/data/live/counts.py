"""What came of a feed, in numbers: for the log line at the end of a session."""

from __future__ import annotations

from dataclasses import asdict

from fairlead.data.live.feed import LiveFeed, Queued
from fairlead.data.live.queue import EventQueue
from fairlead.data.live.source import FeedSource

_OF_FEED = ("events", "gaps", "lost", "duplicates", "malformed", "reconnects", "failures")


def feed_counts(feed: LiveFeed, queue: EventQueue[Queued], source: FeedSource) -> dict[str, int]:
    """Return the counts of a feed, of the queue between it and the loop, and of the bars that came too late.

    Parameters
    ----------
    feed : LiveFeed
    queue : EventQueue
        ``conflated`` quotes gave way, ``most_waiting`` events waited at once, ``refused`` times a producer had to wait.
    source : FeedSource
    """
    state = asdict(feed.state)
    return {name: int(state[name]) for name in _OF_FEED} | asdict(queue.counts) | {"late_bars": source.late}
