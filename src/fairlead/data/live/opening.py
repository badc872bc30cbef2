"""From settings to a feed."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from fairlead.contracts.plugins import build_part, find_part
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.events import session_events
from fairlead.data.live.feed import LiveFeed, NowNs, Sleep
from fairlead.data.live.kinds import FeedKind
from fairlead.data.live.pacing import MAX_SPEED
from fairlead.data.live.recorded import RecordedSession
from fairlead.data.live.replay import ReplayFeed
from fairlead.data.live.settings import WEBSOCKET, LiveDataSettings, ReplayDataSettings
from fairlead.data.live.websocket import WebSocketFeed
from fairlead.data.opening import open_source, recording_of
from fairlead.data.settings import DataSettings
from fairlead.data.source import DataSource

__all__ = ["GROUP", "FeedKind", "WebSocketKind", "as_history", "open_feed", "open_replay", "replay_of"]

GROUP: Final = "fairlead.feeds"


class WebSocketKind(FeedKind):
    """The feed of the project's own protocol."""

    def open(self, data: LiveDataSettings, now_ns: NowNs) -> LiveFeed:
        """Return a feed that is not connected yet."""
        return WebSocketFeed(data.websocket(), now_ns=now_ns)


_SHIPPED: Final[dict[str, type[FeedKind]]] = {WEBSOCKET: WebSocketKind}
_VENDORS: Final = {
    "alpaca": "fairlead.data.vendors.alpaca.feed:AlpacaKind",
    "ibkr": "fairlead.data.vendors.ibkr.opening:IbkrKind",
}
"""Feeds that ship and need a library of their own: imported only if they are asked for."""


def open_feed(settings: LiveDataSettings, *, now_ns: NowNs) -> LiveFeed:
    """Return the feed that `settings` name; it is not connected yet.

    Parameters
    ----------
    settings : LiveDataSettings
    now_ns : callable
        The session's clock.

    Raises
    ------
    UnknownName
        If there is no such feed or calendar.
    ConfigurationError
        If the feed does not take its `params`.
    """
    base: Any = FeedKind
    kind: type[FeedKind] = find_part("feed", _VENDORS.get(settings.feed, settings.feed), _SHIPPED, base, GROUP)
    return build_part("feed", settings.feed, kind, settings.params).open(settings, now_ns)


def open_replay(
    settings: ReplayDataSettings,
    *,
    start: dt.date | dt.datetime | None,
    end: dt.date | dt.datetime | None,
    workspace: Path,
    speed: float = MAX_SPEED,
    now_ns: NowNs | None = None,
) -> ReplayFeed:
    """Return the feed that plays history, or a recorded session, again.

    Parameters
    ----------
    settings : ReplayDataSettings
    start, end, workspace
        See `fairlead.data.opening.open_source`.
    speed : float
        Multiple of real time; 0 for as fast as possible.
    now_ns : callable, optional
        See `ReplayFeed`.

    Raises
    ------
    DataError, UnknownName, ConfigurationError, ContractError
        If there is no such history or session, or it cannot be read.
    """
    source = open_source(as_history(settings), start=start, end=end, workspace=workspace)
    return replay_of(settings, source, speed=speed, now_ns=now_ns)


def replay_of(
    settings: ReplayDataSettings,
    source: DataSource,
    *,
    speed: float = MAX_SPEED,
    now_ns: NowNs | None = None,
    sleep: Sleep = asyncio.sleep,
    elapsed: Callable[[], float] = time.monotonic,
) -> ReplayFeed:
    """Return the feed that plays a source that was opened already.

    Parameters
    ----------
    settings : ReplayDataSettings
    source : DataSource
        What they name; of a recorded session, what came between its bars is played too.
    speed : float
        Multiple of real time; 0 for as fast as possible.
    now_ns, sleep, elapsed
        See `ReplayFeed`.
    """
    folder = recording_of(settings)
    return ReplayFeed(
        partial(session_events, source) if folder is None else partial(RecordedSession(folder).played, source),
        source.symbols,
        speed=speed,
        jitter_s=settings.jitter_s,
        seed=settings.jitter_seed,
        calendar=ExchangeCalendar.get(source.calendar),
        now_ns=now_ns,
        sleep=sleep,
        elapsed=elapsed,
    )


def as_history(settings: ReplayDataSettings) -> DataSettings:
    """Return the settings of the history that a replay plays."""
    fields = {name: getattr(settings, name) for name in DataSettings.model_fields if name != "type"}
    return DataSettings(type="historical", **fields)
