"""Longer bars from shorter ones: buckets count from the opening of their segment and never reach across it (domain 2.4)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from fairlead.contracts.frames import IntradayFrameSpec
from fairlead.contracts.frames.reading import CANONICAL, FrameView, library_of, stamp_column, view_frame
from fairlead.contracts.frames.violation import contract_error
from fairlead.contracts.sessions import SessionCalendar, find_segment
from fairlead.core.arrays import BoolArray, FloatArray, IntArray
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.core.time import NS_PER_MINUTE, BarSize
from fairlead.data.calendars import ExchangeCalendar

MINUTES: Final = "N_M1"
PARTIAL: Final = "PARTIAL"


def resample_m1_to_m5(df_m1: Any, calendar: SessionCalendar | str, tz: str = "UTC", *, min_m1: int = 1) -> Any:
    """Return the five-minute bars of a frame of one-minute bars; see `resample_bars`."""
    return resample_bars(df_m1, calendar, tz, source=BarSize.M1, target=BarSize.M5, min_m1=min_m1)


def resample_bars(
    df: Any,
    calendar: SessionCalendar | str,
    tz: str = "UTC",
    *,
    source: BarSize | str = BarSize.M1,
    target: BarSize | str = BarSize.M5,
    min_m1: int = 1,
) -> Any:
    """Return the bars of size `target` that the bars of size `source` make up.

    Bucket k of a segment (a session, or its part before or after lunch) is labelled by the segment's opening + k bars; the last
    bucket of a segment may be cut short by its close. Buckets without a bar are left out, never filled.

    Parameters
    ----------
    df : pandas.DataFrame or polars.DataFrame
        Valid by D01 to D10 and I02. Columns other than the canonical ones and ``N_M1`` are dropped.
    calendar : SessionCalendar or str
        The exchange's sessions, or their name, e.g. ``"XNYS"``.
    tz : str
        IANA zone in which messages repeat the stamps; nothing is computed with it.
    source, target : BarSize or str
        Intraday sizes; `target` is a whole multiple of `source`.
    min_m1 : int
        Buckets made of fewer minutes are dropped; with the default none is.

    Returns
    -------
    frame of the same library
        ``OPEN, HIGH, LOW, CLOSE, VOLUME``; ``N_M1``, int64: how many minutes of source bars are in the bucket (of a source with
        a column ``N_M1``: the sum of that); ``PARTIAL``, bool: whether that is fewer than the bucket has.

    Raises
    ------
    ContractError
        Listing every rule that `df` breaks.
    ConfigurationError
        If the sizes do not fit each other, or `min_m1` is out of range.
    """
    small, large = _sizes(source, target)
    if not 1 <= min_m1 <= large.ns // NS_PER_MINUTE:
        raise ConfigurationError.of("min_m1", f"be 1 to {large.ns // NS_PER_MINUTE}, the minutes of {large}", min_m1)
    book = ExchangeCalendar.get(calendar) if isinstance(calendar, str) else calendar
    view = _valid_view(df, book, tz, small)
    buckets = _fill_buckets(view, _minutes_given(df, view.rows), book, small, large)
    return _frame_like(df, buckets, buckets.minutes >= min_m1)


class _Buckets(NamedTuple):
    """Arrays of shape (m,), one entry a bucket, in order; `values` by canonical column."""

    label_ns: IntArray
    values: dict[str, FloatArray]
    minutes: IntArray
    partial: BoolArray


def _sizes(source: BarSize | str, target: BarSize | str) -> tuple[BarSize, BarSize]:
    small, large = BarSize.parse(source), BarSize.parse(target)
    for name, size in (("source", small), ("target", large)):
        if not size.is_intraday:
            raise ConfigurationError.of(name, "be an intraday bar size", size.value)
    if large.ns % small.ns:
        raise ConfigurationError.of("target", f"be a whole multiple of the source's {small}", large.value)
    return small, large


def _valid_view(df: Any, calendar: SessionCalendar, tz: str, size: BarSize) -> FrameView:
    _, found = IntradayFrameSpec(size).validate(df, calendar, tz)
    # Where it trades little, minutes are missing, and their usual spacing then says nothing about the bar size.
    barring = [violation for violation in found if violation.code.startswith("D") or violation.code == "I02"]
    view = view_frame(df)
    if barring or view is None:
        raise contract_error(f"intraday frame ({size})", barring)
    return view


def _minutes_given(df: Any, rows: int) -> IntArray | None:
    if MINUTES not in df.columns:
        return None
    if not _is_whole(df[MINUTES]):
        raise ContractError.of(MINUTES, "be a column of whole numbers", str(df[MINUTES].dtype))
    given: IntArray = df[MINUTES].to_numpy().astype(np.int64)
    if rows and given.min() < 1:
        raise ContractError.of(MINUTES, "be 1 or more in every row", int(given.min()))
    return given


def _fill_buckets(
    view: FrameView, given: IntArray | None, calendar: SessionCalendar, small: BarSize, large: BarSize
) -> _Buckets:
    stamps = view.label_ns
    if stamps is None or len(stamps) == 0:
        nothing, none = np.empty(0, np.int64), np.empty(0, np.bool_)
        return _Buckets(nothing, {name: np.empty(0, np.float64) for name in CANONICAL}, nothing, none)
    segments = calendar.segments_between(int(stamps[0]), int(stamps[-1]))
    _, position = find_segment(segments, stamps)
    opening, close = segments.open_ns[position], segments.close_ns[position]
    bucket = opening + (stamps - opening) // large.ns * large.ns
    # Segments do not overlap, so a bucket's label names it without its segment.
    first = np.flatnonzero(np.append(True, bucket[1:] != bucket[:-1]))
    last = np.append(first[1:], len(stamps)) - 1
    length = (np.minimum(stamps + small.ns, close) - stamps) // NS_PER_MINUTE if given is None else given
    minutes = np.add.reduceat(np.maximum(length, 1), first)
    whole = (np.minimum(bucket[first] + large.ns, close[first]) - bucket[first]) // NS_PER_MINUTE
    values = {
        "OPEN": view.values["OPEN"][first],
        "HIGH": np.maximum.reduceat(view.values["HIGH"], first),
        "LOW": np.minimum.reduceat(view.values["LOW"], first),
        "CLOSE": view.values["CLOSE"][last],
        "VOLUME": np.add.reduceat(view.values["VOLUME"], first),
    }
    return _Buckets(bucket[first], values, minutes, minutes < whole)


def _frame_like(df: Any, buckets: _Buckets, kept: BoolArray) -> Any:
    columns: dict[str, Any] = {name: buckets.values[name][kept] for name in CANONICAL}
    if _is_whole(df["VOLUME"]):
        columns["VOLUME"] = columns["VOLUME"].astype(np.int64)
    columns |= {MINUTES: buckets.minutes[kept], PARTIAL: buckets.partial[kept]}
    stamps = buckets.label_ns[kept].astype("datetime64[ns]")
    if library_of(df) == "pandas":
        import pandas as pd  # noqa: PLC0415  whoever hands in such a frame has loaded it

        index = pd.DatetimeIndex(stamps, tz="UTC", name=df.index.name).as_unit(df.index.unit)
        frame = pd.DataFrame(columns, index=index)
        frame.attrs = dict(df.attrs)
        return frame
    import polars as pl  # noqa: PLC0415  as above

    name = str(stamp_column(df.columns))
    stamped = pl.Series(name, stamps).dt.replace_time_zone("UTC").cast(df[name].dtype)
    return pl.DataFrame({name: stamped, **columns})


def _is_whole(column: Any) -> bool:
    dtype = column.dtype
    return bool(dtype.is_integer()) if hasattr(dtype, "is_integer") else getattr(dtype, "kind", "") in "iu"
