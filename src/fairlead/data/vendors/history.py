"""The seam between a pull and a vendor of history: one request in, one page out; all else is done here, for every vendor alike.

A vendor's module translates. It does not wait, does not try twice, does not check bars and stores nothing: the pull paces the
requests by the vendor's limits, asks again after a failure, and every bar passes the door (`fairlead.data.ingest`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fairlead.core.errors import ConfigurationError, DataNotFound
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.vendors.pace import PaceLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """What a vendor is asked for at once.

    Parameters
    ----------
    symbol : str
        In our spelling.
    bar_size : BarSize
    first, last : date
        The sessions from one to the other, both included; they need not be sessions themselves.
    calendar : ExchangeCalendar
        The exchange whose sessions they are.
    token : str
        Of a page that an answer has announced (`HistoryPage.next_token`); empty for the first.
    """

    symbol: str
    bar_size: BarSize
    first: dt.date
    last: dt.date
    calendar: ExchangeCalendar
    token: str = ""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """What a vendor answered.

    Attributes
    ----------
    frame : pandas.DataFrame, polars.DataFrame or None
        Stamps of the bars' openings, or the dates of daily bars, with their zone; open, high, low, close and volume, as traded:
        what the vendor serves adjusted, its module has turned back, and bars outside of trading hours it has left out. In order
        of time. None if there are no bars.
    next_token : str
        What to ask for the rest with; empty if this is all.
    """

    frame: Any = None
    next_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryTraits:
    """What a vendor can serve, and how fast it may be asked.

    Parameters
    ----------
    sessions_per_page : mapping of BarSize to int
        The bar sizes that it has on the grid of ours (counted from the opening of a session), and how many sessions of them one
        request brings.
    limits : tuple of PaceLimit
        All of them hold.
    reach_days : mapping of BarSize to int
        How many days back it goes; sizes without an end are left out.
    has_actions : bool
        Whether `actions` tells anything.
    needs_actions : bool
        Whether `actions` has to be asked before `page`: what a module turns adjusted prices back with.
    """

    sessions_per_page: Mapping[BarSize, int]
    limits: tuple[PaceLimit, ...] = ()
    reach_days: Mapping[BarSize, int] = field(default_factory=dict)
    has_actions: bool = False
    needs_actions: bool = False


class HistorySource(Protocol):
    """A vendor of history. Each method may be a coroutine; all of one source are awaited in one asyncio loop.

    Every method raises, whatever the vendor's library calls it:

    - `DataNotFound` if the vendor knows no such symbol. A symbol that has no bars in these sessions is an empty page.
    - `PacingViolation` if it says that too much was asked, with `retry_after_s` as an attribute if it says for how long.
    - `BrokerConnection` if it cannot be reached, does not answer in time, or fails by itself.
    - `BrokerAccess` if it does not accept the keys, or they do not cover this data.
    - `DataError` if its answer cannot be understood.
    """

    @property
    def name(self) -> str:
        """How it is called on the command line."""

    @property
    def traits(self) -> HistoryTraits:
        """What it can serve."""

    def page(self, request: PageRequest) -> HistoryPage | Awaitable[HistoryPage]:
        """Return the bars of `request`, by one request to the vendor."""

    def actions(self, request: PageRequest) -> Sequence[CorporateAction] | Awaitable[Sequence[CorporateAction]]:
        """Return the corporate actions with an ex-session in `request`, in raw currency per share of their day."""

    def close(self) -> Awaitable[None] | None:
        """Let go of what it holds open. It connects by itself when it is first asked."""


def require_size(source: HistorySource, bar_size: BarSize) -> int:
    """Return how many sessions of `bar_size` a page of `source` has.

    Raises
    ------
    ConfigurationError
        If it does not serve bars of this size.
    """
    sizes = source.traits.sessions_per_page
    if bar_size not in sizes:
        known = ", ".join(size.value for size in BarSize if size in sizes)
        raise ConfigurationError.of("bar_size", f"be one of {known} from {source.name}", bar_size.value)
    return sizes[bar_size]


def require_reach(source: HistorySource, bar_size: BarSize, first: dt.date, today: dt.date) -> None:
    """Refuse to ask a vendor for what it does not keep.

    Raises
    ------
    DataNotFound
        If `first` is farther back than it goes with bars of this size.
    """
    reach = source.traits.reach_days.get(bar_size)
    if reach is not None and first < today - dt.timedelta(days=reach):
        earliest = today - dt.timedelta(days=reach)
        raise DataNotFound(
            f"{source.name} keeps bars of {bar_size} for {reach} days only, since {earliest}, and {first} was asked for. "
            "Ask for a later --start, for longer bars, or another source."
        )
