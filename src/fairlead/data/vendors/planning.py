"""What a pull still has to ask for: pure functions from what is there to requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from fairlead.core.errors import ConfigurationError, DataNotFound
from fairlead.core.time import NS_PER_DAY, BarSize, date_to_day, day_to_date
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.coverage import Coverage, Days, add_days, missing_days
from fairlead.data.dataset import Dataset
from fairlead.data.vendors.history import PageRequest

SETTLING_NS: Final = NS_PER_DAY
"""Vendors correct a session for about a day. What was read earlier after its close is read again by the next pull."""


class AskFor(StrEnum):
    """What a request is about."""

    ACTIONS = "actions"
    BARS = "bars"


@dataclass(frozen=True, slots=True)
class Task:
    """One request of a pull."""

    kind: AskFor
    request: PageRequest


def pull_range(
    calendar: ExchangeCalendar, bar_size: BarSize, start: dt.date, end: dt.date | None, now_ns: int
) -> tuple[int, int]:
    """Return the first and the last day to ask for; the last is never later than that of the newest bar that can be known.

    Raises
    ------
    ConfigurationError
        If `end` lies before `start`.
    DataNotFound
        If there is no session in the range that has a bar yet.
    DataError
        If the calendar does not know these dates.
    """
    if end is not None and end < start:
        raise ConfigurationError.of("--end", f"not be before --start ({start})", str(end))
    first = date_to_day(start)
    # A session that is dated tomorrow may have begun today.
    today = now_ns // NS_PER_DAY
    last = today + 1 if end is None else min(date_to_day(end), today + 1)
    days = calendar.sessions(first, last)
    opens, closes = calendar.bounds(days)
    begun = days[(opens if bar_size.is_intraday else closes) <= now_ns]
    if len(begun) == 0:
        until = "now" if end is None else str(end)
        raise DataNotFound(f"{calendar.name} has no session with bars of {bar_size} from {start} to {until}. Check the dates.")
    is_past = end is not None and date_to_day(end) == last and len(begun) == len(days)
    return first, last if is_past else int(begun[-1])


def settled_through(calendar: ExchangeCalendar, last: int, now_ns: int) -> int:
    """Return the last day, up to `last`, that vendors will not correct any more."""
    first = min(last, (now_ns - SETTLING_NS) // NS_PER_DAY) - 14
    days = calendar.sessions(first, last)
    _, closes = calendar.bounds(days)
    open_ones = days[closes > now_ns - SETTLING_NS]
    return last if len(open_ones) == 0 else int(open_ones[0]) - 1


def known_coverage(dataset: Dataset | None, source: str) -> Coverage:
    """Return what a pull from `source` need not ask again.

    Of a symbol that came into the dataset in another way, these are its sessions but the newest.

    Raises
    ------
    ConfigurationError
        If the dataset was pulled from another source.
    """
    if dataset is None:
        return Coverage(source)
    known = Coverage.read(dataset.folder) or Coverage(source)
    if known.source != source:
        rule = f"be {known.source!r}, from which dataset {dataset.name!r} was pulled"
        raise ConfigurationError.of(
            "--source", rule, source, "Name another dataset: prices of two vendors are not one history."
        )
    spans = {
        span.symbol: (date_to_day(span.first_session), date_to_day(span.last_session)) for span in dataset.manifest.symbols
    }
    imported = {name: ((low, high - 1),) for name, (low, high) in spans.items() if name not in known.bars and low < high}
    return known.joined(Coverage(source, imported))


def plan_tasks(
    symbols: Sequence[str],
    calendar: ExchangeCalendar,
    bar_size: BarSize,
    days: Days,
    known: Coverage,
    *,
    sessions_per_page: int,
    has_actions: bool,
    needs_actions: bool = False,
) -> list[Task]:
    """Return what is to be asked, in order: the corporate actions of every symbol, then its bars, the earliest of all first.

    The pages of a stretch count from its beginning, so that what is left of it after an interruption has the same pages.

    Parameters
    ----------
    symbols : sequence of str
    calendar, bar_size : ExchangeCalendar, BarSize
    days : tuple of int
        The first and the last day to ask for.
    known : Coverage
        What is not to be asked.
    sessions_per_page : int
    has_actions, needs_actions : bool
        As in `fairlead.data.vendors.history.HistoryTraits`.
    """
    first, last = days
    sessions = calendar.sessions(first, last)
    actions: list[Task] = []
    pages: list[Task] = []
    for symbol in symbols:
        stretches = list(_with_sessions(missing_days(known.bars.get(symbol, ()), first, last), sessions))
        if has_actions:
            missing = list(_with_sessions(missing_days(known.actions.get(symbol, ()), first, last), sessions))
            if needs_actions and stretches:
                missing = [(min(stretches[0][0], *(low for low, _ in missing), last), last)]
            actions += [Task(AskFor.ACTIONS, _request(symbol, calendar, bar_size, low, high)) for low, high in missing]
        for low, high in stretches:
            pages += [
                Task(AskFor.BARS, _request(symbol, calendar, bar_size, *page))
                for page in _pages(low, high, sessions, sessions_per_page)
            ]
    pages.sort(key=lambda task: (task.request.first, task.request.symbol))
    return [*actions, *pages]


def covered(task: Task, settled: int, source: str) -> Coverage:
    """Return what need not be asked again once a task is done, given the last settled day."""
    first, last = date_to_day(task.request.first), min(date_to_day(task.request.last), settled)
    stretches = {task.request.symbol: add_days((), first, last)} if first <= last else {}
    return Coverage(source, **{task.kind.value: stretches})


def _request(symbol: str, calendar: ExchangeCalendar, bar_size: BarSize, first: int, last: int) -> PageRequest:
    return PageRequest(symbol=symbol, bar_size=bar_size, first=day_to_date(first), last=day_to_date(last), calendar=calendar)


def _with_sessions(stretches: Iterator[Days], sessions: np.ndarray) -> Iterator[Days]:
    for low, high in stretches:
        if np.searchsorted(sessions, low) < np.searchsorted(sessions, high, side="right"):
            yield low, high


def _pages(low: int, high: int, sessions: np.ndarray, per_page: int) -> Iterator[Days]:
    """Yield pages that touch each other, so that what they cover becomes one stretch."""
    inside = sessions[np.searchsorted(sessions, low) : np.searchsorted(sessions, high, side="right")]
    ends = [*(int(day) - 1 for day in inside[per_page::per_page]), high]
    for end in ends:
        yield low, end
        low = end + 1
