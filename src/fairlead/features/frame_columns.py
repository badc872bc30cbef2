"""The columns that a feature reads, from a pandas or polars frame of one symbol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np

from fairlead.contracts.frames.reading import library_of
from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import ContractError
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, BarSize, format_utc
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.columns import map_columns
from fairlead.features.inputs import BARS, BENCHMARK, FACT, QUOTES, TIMES

_ZONE: Final = "Attach the zone that they are in: tz_localize('America/New_York') in pandas, replace_time_zone in polars."


def read_columns(frame: Any, names: Iterable[str], calendar: str) -> dict[str, FloatArray]:
    """Return input columns of a frame.

    Parameters
    ----------
    frame : pandas.DataFrame or polars.DataFrame
        Bars of one symbol, the oldest first.
    names : iterable of str
        Of `fairlead.features.inputs`. Times come from the frame's stamps, all others from columns of their names, in any
        letter case.
    calendar : str
        Exchange whose sessions intraday stamps lie in.

    Returns
    -------
    dict of str to float64 array of shape (rows,)
        NaN where a value is missing.

    Raises
    ------
    ContractError
        If `frame` is no such frame, lacks a column, holds text for numbers, several symbols, or rows that are not in order;
        where times are needed, if stamps are missing, have no time zone, or lie outside the sessions of `calendar`.
    UnknownName, DataError
        If `calendar` is not known, or not for these dates.
    """
    library = library_of(frame)
    if not library:
        raise ContractError.of("frame", "be a pandas or polars DataFrame", type(frame).__name__)
    if getattr(frame.columns, "nlevels", 1) > 1:
        raise ContractError.of("frame.columns", "have one level", list(frame.columns[:2]), "Pick one symbol.")
    if getattr(getattr(frame, "index", None), "nlevels", 1) > 1:
        levels = [str(level) for level in frame.index.names]
        raise ContractError.of("frame.index", "have one level, the rows of one symbol", levels, "Pick one: frame.xs('AAPL').")
    wanted = list(names)
    columns = [str(column) for column in frame.columns]
    fields = map_columns(columns, where="frame", required=[name for name in wanted if name in BARS])
    _check_rows(frame, library, fields)
    found = {name: fields[name] if name in BARS else _named(name, columns) for name in wanted if name not in TIMES}
    values = {name: _numbers(frame[column], library, column) for name, column in found.items()}
    if needed := [name for name in wanted if name in TIMES]:
        stamps = _stamps(frame, library, fields, needed)
        if "session" in needed:
            values["session"] = _sessions(stamps, calendar).astype(np.float64)
        if "minute" in needed:
            values["minute"] = stamps.label_ns / NS_PER_MINUTE
    if "close" in fields:  # a row without a close is no bar: it begins no session, and nothing is known at it
        gap = np.isnan(_numbers(frame[fields["close"]], library, fields["close"]))
        for name in wanted:
            if name in TIMES or name.startswith(FACT):
                values[name] = np.where(gap, np.nan, values[name])
    return values


def _check_rows(frame: Any, library: str, fields: dict[str, str]) -> None:
    if "symbol" in fields:
        symbols = frame[fields["symbol"]]
        if (symbols.nunique() if library == "pandas" else symbols.n_unique()) > 1:
            raise ContractError.of(
                "frame", "hold one symbol", list(symbols.unique()[:3]), "Select one, or use fairlead.features.compute_symbols."
            )
    if library == "polars":
        ordered = "ts" not in fields or frame[fields["ts"]].is_sorted()
    else:
        stamps = frame.index if type(frame.index).__name__ == "DatetimeIndex" else frame.get(fields.get("ts"))
        ordered = stamps is None or stamps.is_monotonic_increasing
    if not ordered:
        raise ContractError.of("frame", "have its rows in order of time", "rows that go back", "Sort it, the oldest bar first.")


def _named(name: str, columns: list[str]) -> str:
    matches = [column for column in columns if column.lower() == name]
    if len(matches) > 1:
        raise ContractError(f"frame: columns {' and '.join(map(repr, matches))} both mean {name!r}. Remove all but one.")
    if not matches:
        if name == BENCHMARK:
            remedy = "Add the close of the benchmark's bars under that name, aligned by time."
        elif name.startswith(FACT):
            remedy = "Add under that name what was last public at each row's instant."
        else:
            remedy = f"This feature reads quotes, one per row: {', '.join(QUOTES)}."
        raise ContractError(f"frame: no column for {name}; the columns are {', '.join(map(repr, columns)) or 'none'}. {remedy}")
    return matches[0]


def _numbers(column: Any, library: str, name: str) -> FloatArray:
    numeric = getattr(column.dtype, "kind", "O") in "iuf" if library == "pandas" else column.dtype.is_numeric()
    if not numeric:
        raise ContractError.of(f"frame[{name!r}]", "hold numbers", str(column.dtype), "Convert it to float64.")
    if library == "pandas":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(column.cast(float).fill_null(float("nan")).to_numpy())


class _Stamps(NamedTuple):
    """Opening instants in UTC, and what a clock on the wall of their own zone showed; int64 nanoseconds."""

    label_ns: IntArray
    wall_ns: IntArray


def _stamps(frame: Any, library: str, fields: dict[str, str], needed: list[str]) -> _Stamps:
    if library == "pandas" and type(frame.index).__name__ == "DatetimeIndex":
        column, where = frame.index.to_series(), "frame.index"
    elif "ts" in fields:
        column, where = frame[fields["ts"]], f"frame[{fields['ts']!r}]"
    else:
        remedy = "Give it a DatetimeIndex." if library == "pandas" else "Add them as a column 'ts'."
        raise ContractError.of("frame", f"have time stamps, from which {', '.join(needed)} is computed", "none", remedy)
    missing = int((column.isna() if library == "pandas" else column.is_null()).sum())
    if missing:
        raise ContractError.of(where, "have a stamp in every row", f"{missing} missing", "Drop these rows.")
    stamps = _read_pandas(column, where) if library == "pandas" else _read_polars(column, where)
    # Daily bars are labelled by the date of their session, in whatever zone their midnight was written.
    return stamps if (stamps.wall_ns % NS_PER_DAY).any() else _Stamps(stamps.wall_ns, stamps.wall_ns)


def _read_pandas(column: Any, where: str) -> _Stamps:
    if column.dtype.kind != "M":
        raise ContractError.of(where, "hold time stamps", str(column.dtype), "Convert it: pandas.to_datetime(..., utc=True).")
    if column.dt.tz is None:
        raise ContractError.of(where, "carry a time zone", str(column.iloc[0]) if len(column) else "naive", _ZONE)
    utc, wall = column.dt.tz_convert(None), column.dt.tz_localize(None)
    return _Stamps(*(clock.to_numpy().astype("datetime64[ns]").astype(np.int64) for clock in (utc, wall)))


def _read_polars(column: Any, where: str) -> _Stamps:
    import polars as pl  # noqa: PLC0415  only for a caller who has imported it

    if column.dtype == pl.Date:  # a session label, which has no time zone that could be wrong
        label = column.cast(pl.Datetime("ns")).to_physical().to_numpy()
        return _Stamps(label, label)
    if not isinstance(column.dtype, pl.Datetime):
        raise ContractError.of(where, "hold time stamps", str(column.dtype), "Convert it to Datetime with a time zone.")
    if column.dtype.time_zone is None:
        raise ContractError.of(where, "carry a time zone", str(column[0]) if len(column) else "naive", _ZONE)
    utc = column.dt.cast_time_unit("ns")
    return _Stamps(utc.to_physical().to_numpy(), utc.dt.replace_time_zone(None).to_physical().to_numpy())


def _sessions(stamps: _Stamps, calendar: str) -> IntArray:
    if not (stamps.wall_ns % NS_PER_DAY).any():
        return stamps.wall_ns // NS_PER_DAY
    exchange = ExchangeCalendar.get(calendar)
    located = exchange.locate(stamps.label_ns, BarSize.M1)
    if not located.inside.all():
        raise ContractError.of(
            "frame: stamp",
            f"be inside a session of {exchange.name}",
            format_utc(int(stamps.label_ns[int(np.argmin(located.inside))])),
            "Drop bars outside it, check the time zone, or name the exchange: calendar='XLON', or '24/7'.",
        )
    return located.session.astype(np.int64)
