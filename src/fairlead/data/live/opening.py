"""From settings to a feed."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

from fairlead.contracts.plugins import build_part, find_part
from fairlead.contracts.settings import Settings
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.feed import LiveFeed, NowNs
from fairlead.data.live.pacing import MAX_SPEED
from fairlead.data.live.recording import RecordedSession
from fairlead.data.live.replay import ReplayFeed
from fairlead.data.live.settings import WEBSOCKET, LiveDataSettings, ReplayDataSettings
from fairlead.data.live.websocket import WebSocketFeed
from fairlead.data.opening import open_source
from fairlead.data.selection import choose_symbols
from fairlead.data.settings import DataSettings

GROUP: Final = "fairlead.feeds"


class FeedKind(Settings, ABC):
    """How a kind of feed is opened. Third parties derive from it; its fields are what ``data.params`` may hold."""

    @abstractmethod
    def open(self, data: LiveDataSettings, now_ns: NowNs) -> LiveFeed:
        """Return a feed that is not connected yet."""


class WebSocketKind(FeedKind):
    """The feed of the project's own protocol."""

    def open(self, data: LiveDataSettings, now_ns: NowNs) -> LiveFeed:
        """Return a feed that is not connected yet."""
        return WebSocketFeed(data.websocket(), now_ns=now_ns)


_SHIPPED: Final[dict[str, type[FeedKind]]] = {WEBSOCKET: WebSocketKind}


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
    kind: type[FeedKind] = find_part("feed", settings.feed, _SHIPPED, base, GROUP)
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
        See `fairlead.data.opening.open_source`; a recorded session is played whole.
    speed : float
        Multiple of real time; 0 for as fast as possible.
    now_ns : callable, optional
        See `ReplayFeed`.

    Raises
    ------
    DataError, UnknownName, ConfigurationError, ContractError
        If there is no such history or session, or it cannot be read.
    """
    if settings.recording is None:
        source = open_source(as_history(settings), start=start, end=end, workspace=workspace)
        return ReplayFeed.of_source(source, speed=speed, jitter_s=settings.jitter_s, seed=settings.jitter_seed, now_ns=now_ns)
    session = RecordedSession(settings.recording)
    chosen = choose_symbols(settings.symbols, session.symbols, session.folder.name)
    return ReplayFeed(
        session.course,
        chosen,
        speed=speed,
        jitter_s=settings.jitter_s,
        seed=settings.jitter_seed,
        calendar=ExchangeCalendar.get(session.calendar),
        now_ns=now_ns,
    )


def as_history(settings: ReplayDataSettings) -> DataSettings:
    """Return the settings of the history that a replay plays."""
    fields = {name: getattr(settings, name) for name in DataSettings.model_fields if name != "type"}
    return DataSettings(type="historical", **fields)
