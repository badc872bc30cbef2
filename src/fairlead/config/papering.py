"""From a configuration to a session in real time: its feed is found, and its strategies are checked against that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from fairlead.config.feeding import live_source
from fairlead.config.live import BrokerSettings
from fairlead.config.livebroker import SessionBroker
from fairlead.config.loading import LoadedConfig
from fairlead.config.realtime import RealtimeSession
from fairlead.config.secrets import unlocked
from fairlead.config.wire import opened, wire_on
from fairlead.contracts.enforcement import Enforcement
from fairlead.contracts.workspace import workspace_folder
from fairlead.control.operators import Links
from fairlead.core.errors import ConfigurationError
from fairlead.data.live import LiveDataSettings, ReplayDataSettings, open_feed
from fairlead.data.live.opening import as_history, replay_of
from fairlead.data.live.source import FeedFacts
from fairlead.engine.clock import ClockSettings

_MODE: Final = "paper"


def wire_paper(
    loaded: LoadedConfig, environ: Mapping[str, str], now_ns: Callable[[], int], workspace: Path | str | None = None
) -> RealtimeSession:
    """Find the feed that a configuration asks for, and check that its strategies can run on it.

    Parameters
    ----------
    loaded : LoadedConfig
        Of mode paper.
    environ : mapping of str to str
    now_ns : callable
        The clock that stamps what a live feed brings.
    workspace : path, optional

    Raises
    ------
    ConfigurationError
        If the mode is another, or data and strategies do not fit; the text names file and line.
    """
    settings = loaded.settings
    if settings.mode != _MODE:
        remedy = "Or turn it into one: -o mode=paper -o data.type=replay."
        raise loaded.problem(("mode",), ConfigurationError.of("mode", "be paper here", settings.mode, remedy))
    if isinstance(settings.execution, BrokerSettings):
        rule, remedy = "be simulated here", "A broker is reached by wire_at_broker."
        raise loaded.problem(("execution", "type"), ConfigurationError.of("execution.type", rule, "broker", remedy))
    return _wired(loaded, environ, now_ns, workspace)


def wire_at_broker(
    loaded: LoadedConfig,
    environ: Mapping[str, str],
    now_ns: Callable[[], int],
    broker: SessionBroker,
    workspace: Path | str | None = None,
) -> RealtimeSession:
    """Wire a configuration of mode live or paper whose orders go to a broker: all else is as on paper.

    Parameters
    ----------
    broker : SessionBroker
        Whom it may trade with; the rest as `wire_paper`.

    Raises
    ------
    ConfigurationError
        If the mode is another, or data and strategies do not fit; the text names file and line.
    FairleadError
        If an operator has ended the title's links.
    """
    settings = loaded.settings
    if settings.mode not in {"live", _MODE} or not isinstance(settings.execution, BrokerSettings):
        rule = "be live, or paper at a broker, here"
        raise loaded.problem(("mode",), ConfigurationError.of("mode", rule, settings.mode))
    session = replace(_wired(loaded, environ, now_ns, workspace), broker=broker)
    Links(session.workspace, session.wired.title).check()
    return session


def _wired(
    loaded: LoadedConfig, environ: Mapping[str, str], now_ns: Callable[[], int], workspace: Path | str | None
) -> RealtimeSession:
    loaded = unlocked(loaded)
    settings = loaded.settings
    folder = workspace_folder(environ, workspace if workspace is not None else settings.workspace)
    data, clock = settings.data, settings.clock
    if settings.armed is not None and settings.armed.kill_switches.graded_drawdown.enabled:
        guards, level = settings.armed.guards, settings.enforcement.guards
        if "G1" in guards.disabled or level is not Enforcement.ENFORCE:
            text = "graded_drawdown halves the limit of guard G1, which holds nothing back here. Enforce it, or leave this out."
            raise loaded.problem(("risk", "kill_switches", "graded_drawdown", "enabled"), ConfigurationError(text))
    if isinstance(data, LiveDataSettings):
        facts, unfed = live_source(loaded, data)
        wired = wire_on(loaded, unfed, folder)
        return RealtimeSession(wired, facts, lambda: open_feed(data, now_ns=now_ns), is_replay=False)
    if not (isinstance(data, ReplayDataSettings) and isinstance(clock, ClockSettings)):
        raise loaded.problem(("data", "type"), ConfigurationError.of("data.type", "be replay or live", data.type))
    source = opened(loaded, as_history(data), clock, folder)
    return RealtimeSession(
        wire_on(loaded, source, folder),
        FeedFacts.of(source),
        lambda: replay_of(data, source, speed=clock.speed),
        is_replay=True,
    )
