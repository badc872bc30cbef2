"""Which session a server of `fairlead dev` plays: stored, recorded or synthetic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from fairlead.cli.console import date_option
from fairlead.cli.data import validated

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from fairlead.core.time import BarSize
    from fairlead.data.calendars import ExchangeCalendar
    from fairlead.data.live.feed import MarketEvent

DEFAULT_DAY: Final = "2024-01-02"


def chosen_session(
    dataset: str | None,
    recording: Path | None,
    names: tuple[str, ...],
    bar_size: str | None,
    days: Sequence[dt.date | None],
    *,
    quotes: bool,
    seed: int,
    workspace: Path,
) -> tuple[list[MarketEvent], BarSize, ExchangeCalendar, bool]:
    """Return the events of a session, the size of its bars, its calendar, and whether it is synthetic."""
    from fairlead.core.errors import ConfigurationError
    from fairlead.data.calendars import ExchangeCalendar
    from fairlead.data.live.events import session_events
    from fairlead.data.live.recorded import RecordedSession
    from fairlead.data.live.serving import synthetic_session
    from fairlead.data.opening import store_of
    from fairlead.data.selection import choose_symbols
    from fairlead.data.synthetic import SyntheticSettings

    if dataset is not None and recording is not None:
        raise ConfigurationError.of("--recording", "not be given with a dataset", str(recording))
    if quotes and (dataset is not None or recording is not None):
        raise ConfigurationError.of("--quotes", "be given with synthetic prices alone", quotes)
    if recording is not None:
        kept = RecordedSession(recording)
        chosen = choose_symbols(names, kept.symbols, recording.name)
        return (
            [event for event in kept.events() if event.symbol in chosen],
            kept.bar_size,
            ExchangeCalendar.get(kept.calendar),
            False,
        )
    if dataset is not None:
        opened = store_of(workspace).open(dataset, bar_size)
        source = opened.select(names, days[0], days[1])
        calendar = ExchangeCalendar.get(source.calendar)
        return list(session_events(source)), source.bar_size, calendar, source.is_synthetic
    first = days[0] or date_option("--start", DEFAULT_DAY)
    settings = validated(
        SyntheticSettings,
        symbols=names or 5,
        bar_size=bar_size or "1min",
        start=first,
        end=days[1] or first,
        seed=seed,
    )
    calendar = ExchangeCalendar.get(settings.calendar)
    return synthetic_session(settings, quotes=quotes), settings.bar_size, calendar, True


def to_the_present(events: list[MarketEvent], size: BarSize) -> tuple[list[MarketEvent], ExchangeCalendar]:
    """Return the same events from now on, and the calendar that they then fit."""
    from fairlead.core.time import to_ns
    from fairlead.data.calendars import ExchangeCalendar
    from fairlead.data.live.serving import ALWAYS_OPEN, move_session
    from fairlead.engine.clock import WallClock

    return move_session(events, to_ns(WallClock().now()), size), ExchangeCalendar.get(ALWAYS_OPEN)
