"""Market data as it happens: feeds behind one seam, a queue to the loop, bars from ticks, recording, a server for tests.

A feed lives in asyncio and hands `Received` events on; `FeedThread` runs feeds beside a synchronous loop, which takes the
events from an `EventQueue`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fairlead.data.live.age import DataAge
    from fairlead.data.live.aggregation import BarBuilder
    from fairlead.data.live.backoff import Backoff
    from fairlead.data.live.events import session_events
    from fairlead.data.live.faults import FaultSettings
    from fairlead.data.live.feed import FeedNotice, FeedState, LiveFeed, MarketEvent, NoticeKind, Passed, Queued, Received
    from fairlead.data.live.opening import open_feed, open_replay
    from fairlead.data.live.queue import EventQueue, QueueCounts
    from fairlead.data.live.recorded import RecordedSession
    from fairlead.data.live.recording import SessionRecorder
    from fairlead.data.live.replay import ReplayFeed
    from fairlead.data.live.sequencing import Sequencer
    from fairlead.data.live.server import MarketServer
    from fairlead.data.live.settings import (
        AggregationSettings,
        LiveDataSettings,
        ReconnectSettings,
        ReplayDataSettings,
        WebSocketSettings,
    )
    from fairlead.data.live.thread import FeedThread, pump
    from fairlead.data.live.websocket import WebSocketFeed

__all__ = [
    "AggregationSettings",
    "Backoff",
    "BarBuilder",
    "DataAge",
    "EventQueue",
    "FaultSettings",
    "FeedNotice",
    "FeedState",
    "FeedThread",
    "LiveDataSettings",
    "LiveFeed",
    "MarketEvent",
    "MarketServer",
    "NoticeKind",
    "Passed",
    "QueueCounts",
    "Queued",
    "Received",
    "ReconnectSettings",
    "RecordedSession",
    "ReplayDataSettings",
    "ReplayFeed",
    "Sequencer",
    "SessionRecorder",
    "WebSocketFeed",
    "WebSocketSettings",
    "open_feed",
    "open_replay",
    "pump",
    "session_events",
]

_ROOMS: Final = {
    "age": ("DataAge",),
    "aggregation": ("BarBuilder",),
    "backoff": ("Backoff",),
    "events": ("session_events",),
    "faults": ("FaultSettings",),
    "feed": ("FeedNotice", "FeedState", "LiveFeed", "MarketEvent", "NoticeKind", "Passed", "Queued", "Received"),
    "opening": ("open_feed", "open_replay"),
    "queue": ("EventQueue", "QueueCounts"),
    "recorded": ("RecordedSession",),
    "recording": ("SessionRecorder",),
    "replay": ("ReplayFeed",),
    "sequencing": ("Sequencer",),
    "server": ("MarketServer",),
    "settings": ("AggregationSettings", "LiveDataSettings", "ReconnectSettings", "ReplayDataSettings", "WebSocketSettings"),
    "thread": ("FeedThread", "pump"),
    "websocket": ("WebSocketFeed",),
}


def __getattr__(name: str) -> Any:
    # Settings are read with every configuration; sockets are loaded by whoever opens one.
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"fairlead.data.live.{room}"), name)
    raise AttributeError(f"module 'fairlead.data.live' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
