"""What a daily and an intraday frame must be."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairlead.contracts.frames.checks import (
    bad_volume,
    disordered,
    intraday_faults,
    missing_labels,
    not_session_label,
    price_faults,
    repeated,
    spacings,
)
from fairlead.contracts.frames.reading import CANONICAL, FrameView, view_frame
from fairlead.contracts.frames.violation import RULES, Violation, contract_error
from fairlead.contracts.sessions import SessionCalendar, require_calendar
from fairlead.core.arrays import BoolArray, IntArray
from fairlead.core.errors import FairleadError
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND, BarSize, format_utc, to_datetime


@dataclass(frozen=True, slots=True)
class DailyFrameSpec:
    """The contract of a daily frame: rules D01 to D11.

    A pandas frame carries its stamps in the index; a polars frame in a column named ``ts``, ``timestamp`` or ``date``, of
    type Datetime in UTC or Date.

    Parameters
    ----------
    allow_nonpositive : bool
        Whether prices may be 0 or negative, as spreads and some futures are.
    """

    allow_nonpositive: bool = False

    def validate(self, df: Any, calendar: SessionCalendar | None = None) -> tuple[bool, list[Violation]]:
        """Return whether `df` keeps the contract, and every rule that it breaks, by code. Never raises for bad data.

        Parameters
        ----------
        df : pandas.DataFrame or polars.DataFrame
        calendar : SessionCalendar, optional
            Whose sessions the stamps must be (D11); without one, D11 is not checked.
        """
        if calendar is not None:
            require_calendar(calendar)
        view = view_frame(df)
        found = _base_violations(view, df, allow_nonpositive=self.allow_nonpositive)
        if view is not None and calendar is not None and _has_utc_stamps(view):
            found += _daily_violations(view, calendar)
        return not found, sorted(found, key=lambda v: v.code)

    def assert_valid(self, df: Any, calendar: SessionCalendar | None = None) -> None:
        """Raise ContractError listing every rule that `df` breaks; see `validate`."""
        valid, found = self.validate(df, calendar)
        if not valid:
            raise contract_error("daily frame", found)


@dataclass(frozen=True, slots=True)
class IntradayFrameSpec:
    """The contract of an intraday frame: rules D01 to D10 and I01 to I06.

    Parameters
    ----------
    bar_size : BarSize
        The declared length of a bar.
    require_contiguous : bool
        Whether every bar between the first and the last of a session must be there (I06).
    allow_nonpositive : bool
        Whether prices may be 0 or negative.
    """

    bar_size: BarSize = BarSize.M5
    require_contiguous: bool = False
    allow_nonpositive: bool = False

    def validate(self, df: Any, calendar: SessionCalendar, tz: str = "UTC") -> tuple[bool, list[Violation]]:
        """Return whether `df` keeps the contract, and every rule that it breaks, by code. Never raises for bad data.

        Parameters
        ----------
        df : pandas.DataFrame or polars.DataFrame
        calendar : SessionCalendar
            Whose sessions the bars must lie in.
        tz : str
            IANA zone in which messages repeat the stamps, e.g. ``America/New_York``; the stamps themselves must be UTC.
        """
        require_calendar(calendar)
        view = view_frame(df)
        show = _stamp_text(tz)
        found = _base_violations(view, df, allow_nonpositive=self.allow_nonpositive, show=show)
        if view is not None and view.index_text == "dates":
            found.append(Violation("D02", "it holds dates; intraday bars need the time of day as well", max(view.rows, 1)))
        elif view is not None and _has_utc_stamps(view):
            found += self._session_violations(view, calendar, show)
        return not found, sorted(found, key=lambda v: v.code)

    def assert_valid(self, df: Any, calendar: SessionCalendar, tz: str = "UTC") -> None:
        """Raise ContractError listing every rule that `df` breaks; see `validate`."""
        valid, found = self.validate(df, calendar, tz)
        if not valid:
            raise contract_error(f"intraday frame ({self.bar_size})", found)

    def _session_violations(self, view: FrameView, calendar: SessionCalendar, show: _Show) -> list[Violation]:
        stamps = view.label_ns
        if stamps is None or len(stamps) == 0:
            return []
        try:
            segments = calendar.segments_between(int(stamps.min()), int(stamps.max()))
        except FairleadError as exc:
            return [Violation("I02", str(exc), len(stamps), to_datetime(int(stamps[0])))]
        length = self.bar_size.ns
        faults = intraday_faults(stamps, length, segments)
        found = _row_violations(
            {"I01": faults.off_grid, "I02": faults.outside, "I04": faults.straddles, "I05": faults.overnight}, stamps, show
        )
        steps = spacings(stamps, segments)
        if len(steps) and int(np.median(steps)) != length:
            seconds = float(np.median(steps)) / NS_PER_SECOND
            message = f"{RULES['I03'][1]}, {self.bar_size}; the median spacing is {seconds:g} s"
            found.append(Violation("I03", message, 1, to_datetime(int(stamps[0]))))
        if self.require_contiguous:
            absent = missing_labels(stamps, length, segments)
            if len(absent):
                message = f"{RULES['I06'][1]}; {_count(len(absent), 'bar')} missing, first at {show(int(absent[0]))}"
                found.append(Violation("I06", message, len(absent), to_datetime(int(absent[0]))))
        return found


def assert_valid_daily(df: Any, calendar: SessionCalendar | None = None) -> None:
    """Raise ContractError listing every rule that the daily frame `df` breaks."""
    DailyFrameSpec().assert_valid(df, calendar)


def assert_valid_intraday(df: Any, calendar: SessionCalendar, tz: str = "UTC", *, bar_size: BarSize = BarSize.M5) -> None:
    """Raise ContractError listing every rule that the intraday frame `df` breaks."""
    IntradayFrameSpec(bar_size).assert_valid(df, calendar, tz)


_Show = Callable[[int], str]


def _base_violations(
    view: FrameView | None, frame: object, *, allow_nonpositive: bool, show: _Show = format_utc
) -> list[Violation]:
    if view is None:
        return [Violation("D02", f"it is a {type(frame).__name__}, neither a pandas nor a polars DataFrame")]
    found = [*_column_violations(view), *_index_violations(view)]
    usable = not any(v.code in {"D01", "D02", "D10"} for v in found)
    if view.label_ns is not None and view.missing == 0:
        masks = {"D04": disordered(view.label_ns), "D05": repeated(view.label_ns)}
        if usable:
            prices = (view.values[name] for name in CANONICAL[:4])
            masks |= price_faults(*prices, allow_nonpositive=allow_nonpositive)
            masks["D08"] = bad_volume(view.values["VOLUME"])
        found += _row_violations(masks, view.label_ns, show)
    return found


def _column_violations(view: FrameView) -> Iterable[Violation]:
    bad = [name for name in CANONICAL if view.columns.count(name) != 1]
    if bad:
        columns = ", ".join(view.columns) or "none"
        message = f"{', '.join(bad)} missing or repeated; the columns are {columns}. Rename them with normalise_frame."
        yield Violation("D01", message, len(bad))
    if view.dtypes:
        kinds = ", ".join(f"{name} is {dtype}" for name, dtype in view.dtypes.items())
        yield Violation("D10", f"{RULES['D10'][1]}; {kinds}", len(view.dtypes))


def _index_violations(view: FrameView) -> Iterable[Violation]:
    if view.label_ns is None:
        yield Violation("D02", f"{RULES['D02'][1]}; {view.index_text}")
        return
    if view.missing:
        yield Violation("D02", f"{RULES['D02'][1]}; {_count(view.missing, 'stamp')} missing", view.missing)
    if view.tz != "UTC":
        remedy = "Attach it: df.index = df.index.tz_localize('UTC')" if view.tz is None else "Convert it: df.tz_convert('UTC')"
        first = to_datetime(int(view.label_ns[0])) if view.rows and not view.missing else None
        yield Violation("D03", f"{RULES['D03'][1]}, was {view.tz}. {remedy}", max(view.rows, 1), first)


def _daily_violations(view: FrameView, calendar: SessionCalendar) -> list[Violation]:
    stamps = view.label_ns
    if stamps is None or len(stamps) == 0:
        return []
    try:
        sessions = calendar.sessions(int(stamps.min()) // NS_PER_DAY, int(stamps.max()) // NS_PER_DAY)
    except FairleadError as exc:
        return [Violation("D11", str(exc), len(stamps), to_datetime(int(stamps[0])))]
    return _row_violations({"D11": not_session_label(stamps, sessions)}, stamps, format_utc)


def _has_utc_stamps(view: FrameView) -> bool:
    # Stamps in another zone or without one would be blamed a second time for lying outside the session.
    return view.label_ns is not None and view.missing == 0 and view.tz == "UTC"


def _row_violations(masks: dict[str, BoolArray], stamps: IntArray, show: _Show) -> list[Violation]:
    found = []
    for code, mask in masks.items():
        count = int(np.count_nonzero(mask))
        if count:
            first = int(stamps[np.argmax(mask)])
            message = f"{RULES[code][1]}; {_count(count, 'row')}, first at {show(first)}"
            found.append(Violation(code, message, count, to_datetime(first)))
    return found


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _stamp_text(tz: str) -> _Show:
    try:
        zone = zoneinfo.ZoneInfo(tz)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return format_utc  # the zone serves the reader alone; validate never raises for it
    if tz == "UTC":
        return format_utc
    return lambda ns: f"{format_utc(ns)} ({to_datetime(ns).astimezone(zone):%Y-%m-%d %H:%M:%S} {tz})"
