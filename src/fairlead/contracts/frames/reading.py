"""pandas and polars frames as plain arrays, without importing either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray

CANONICAL: Final = ("OPEN", "HIGH", "LOW", "CLOSE", "VOLUME")
STAMP_NAMES: Final = ("ts", "timestamp", "date")
_NS_PER_UNIT: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000}


@dataclass(slots=True)
class FrameView:
    """What a contract needs to know of a frame.

    Attributes
    ----------
    columns : tuple of str
        All column names, in order.
    label_ns : int64 array of shape (n,) or None
        The stamps; None if the frame has no index of stamps, and then `index_text` says what it has instead.
    tz : str or None
        Time zone of the stamps; None if they are naive.
    missing : int
        Rows without a stamp (NaT).
    dtypes : dict of str to str
        Of those canonical columns that are not numeric.
    values : dict of str to float64 array of shape (n,)
        Those canonical columns that are numeric; NaN where a value is missing.
    """

    columns: tuple[str, ...]
    rows: int
    label_ns: IntArray | None
    tz: str | None
    missing: int = 0
    index_text: str = ""
    dtypes: dict[str, str] = field(default_factory=dict)
    values: dict[str, FloatArray] = field(default_factory=dict)


def library_of(frame: object) -> str:
    """Return ``"pandas"``, ``"polars"`` or ``""``, by the class of `frame`."""
    kind = type(frame)
    package = kind.__module__.partition(".")[0]
    return package if package in {"pandas", "polars"} and kind.__name__ == "DataFrame" else ""


def view_frame(frame: Any) -> FrameView | None:
    """Return the plain form of a pandas or polars data frame, None if it is neither."""
    library = library_of(frame)
    if library == "pandas":
        return _view_pandas(frame)
    return _view_polars(frame) if library == "polars" else None


def stamp_column(columns: Sequence[str]) -> str | None:
    """Return the column in which a polars frame keeps its stamps, None if it has none."""
    return next((name for stamp in STAMP_NAMES for name in columns if name.lower() == stamp), None)


def _view_pandas(frame: Any) -> FrameView:
    index = frame.index
    columns = tuple(str(name) for name in frame.columns)
    if type(index).__name__ != "DatetimeIndex":
        view = FrameView(columns, len(frame), None, None, index_text=f"it is a {type(index).__name__}")
    else:
        missing = int(index.isna().sum())
        # The library may keep stamps in microseconds; as nanoseconds they are what the rest of the house uses.
        stamps = index.tz_localize(None) if index.tz is None else index.tz_convert("UTC").tz_localize(None)
        label_ns = stamps.to_numpy().astype("datetime64[ns]").astype(np.int64)
        view = FrameView(columns, len(frame), label_ns, None if index.tz is None else str(index.tz), missing)
    for name in CANONICAL:
        if columns.count(name) == 1:
            column = frame[name]
            if getattr(column.dtype, "kind", "O") in "iuf":
                view.values[name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
            else:
                view.dtypes[name] = str(column.dtype)
    return view


def _view_polars(frame: Any) -> FrameView:
    view = FrameView(tuple(frame.columns), frame.height, None, None)
    name = stamp_column(frame.columns)
    if name is None:
        view.index_text = f"there is no column named {', '.join(STAMP_NAMES[:-1])} or {STAMP_NAMES[-1]}"
    else:
        _view_polars_stamps(view, frame[name])
    for column in CANONICAL:
        if column in view.columns:
            if frame[column].dtype.is_numeric():
                view.values[column] = frame[column].cast(float).fill_null(float("nan")).to_numpy()
            else:
                view.dtypes[column] = str(frame[column].dtype)
    return view


def _view_polars_stamps(view: FrameView, column: Any) -> None:
    kind = str(column.dtype).partition("(")[0]
    view.missing = int(column.null_count())
    if kind == "Datetime":
        view.tz = column.dtype.time_zone
        view.label_ns = column.to_physical().fill_null(0).to_numpy() * _NS_PER_UNIT[column.dtype.time_unit]
    elif kind == "Date":
        view.tz = "UTC"  # a date is a session label: it has no time zone that could be wrong
        view.label_ns = column.to_physical().fill_null(0).to_numpy().astype(np.int64) * (86_400 * 1_000_000_000)
        view.index_text = "dates"
    else:
        view.index_text = f"column {column.name!r} is {column.dtype}"
