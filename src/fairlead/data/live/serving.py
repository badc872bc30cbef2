"""Sessions to serve: stored, recorded or synthetic, where they were or moved to the present."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairlead.core.errors import ConfigurationError
from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.time import NS_PER_DAY, BarSize, day_to_date
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.events import session_events
from fairlead.data.live.feed import MarketEvent
from fairlead.data.memory import MemorySource
from fairlead.data.synthetic import SyntheticSettings, generate_bars, generate_quotes

ALWAYS_OPEN = "24/7"


def synthetic_session(settings: SyntheticSettings, *, quotes: bool) -> list[MarketEvent]:
    """Return generated bars, and the quotes between them, ordered as they become known.

    Parameters
    ----------
    settings : SyntheticSettings
    quotes : bool
        Whether quotes are wanted; about ``settings.quotes.per_minute`` a minute for each symbol.

    Raises
    ------
    DataNotFound
        If there is no session between the start and the end.
    """
    calendar = ExchangeCalendar.get(settings.calendar)
    table = generate_bars(settings, calendar)
    source = MemorySource(table, bar_size=settings.bar_size, calendar=settings.calendar, synthetic=True)
    events: list[MarketEvent] = list(session_events(source))
    if quotes:
        days = np.unique(table.column("session").to_numpy().astype("datetime64[D]").astype(np.int64))
        for day in days.tolist():
            for symbol in settings.names:
                made = generate_quotes(settings, calendar, symbol, day_to_date(day))
                columns = [made.column(name).to_pylist() for name in ("bid", "ask", "bid_size", "ask_size")]
                # Messages have microseconds; what is served is what arrives.
                known = made.column("known").to_numpy().astype(np.int64) // 1_000 * 1_000
                events += [Quote(symbol, *row) for row in zip(known.tolist(), *columns, strict=True)]
        events.sort(key=lambda event: (event.known_ns, isinstance(event, Bar), event.symbol))
    return events


def move_session(events: Sequence[MarketEvent], start_ns: int, bar_size: BarSize) -> list[MarketEvent]:
    """Return the same events with their stamps moved so that the first comes at or just after `start_ns`.

    They move by whole bars, so that bars stay on the grid of the calendar ``24/7``: the only one that still fits. Bars that
    were cut short by the close of their exchange fit none, and are left out.

    Raises
    ------
    ConfigurationError
        If the bars are daily.
    """
    if not bar_size.is_intraday:
        raise ConfigurationError.of("bar_size", "be intraday to be moved to the present", bar_size.value)
    step = bar_size.ns
    by_ns = -((events[0].known_ns - start_ns) // step) * step
    # Bars of four hours, say, begin when their exchange opens, which is no whole number of bars after midnight.
    first = next((event.label_ns for event in events if isinstance(event, Bar)), 0)
    by_ns += -((first + by_ns) % NS_PER_DAY) % step
    whole = (event for event in events if not isinstance(event, Bar) or event.known_ns - event.label_ns == step)
    return [_moved(event, by_ns) for event in whole]


def _moved(event: MarketEvent, by_ns: int) -> MarketEvent:
    match event:
        case Bar():
            return event._replace(label_ns=event.label_ns + by_ns, known_ns=event.known_ns + by_ns)
        case Quote() | Trade():
            return event._replace(known_ns=event.known_ns + by_ns)
