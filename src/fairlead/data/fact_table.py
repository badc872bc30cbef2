"""Files and frames of published facts, read and held to their contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from fairlead.contracts.frames.reading import library_of
from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound
from fairlead.core.instruments import check_symbol
from fairlead.core.time import NS_PER_DAY, BarSize, day_to_date, format_utc
from fairlead.data.readers import SUFFIXES
from fairlead.data.stamps import Reading, read_labels

COLUMNS: Final = ("symbol", "field", "value", "period_end", "published")
_KEY: Final = ("symbol", "field", "published", "period_end")
_DATE: Final = r"^\s*(\d{4}[-/.]\d{2}[-/.]\d{2}|\d{8})\s*$"
_FIELD: Final = r"^[a-z][a-z0-9_]*$"
_DAY_REMEDY: Final = (
    "If only the day is known, give the end of it, the next day at 00:00 UTC or later: a report of the evening must not be "
    "known at that day's close."
)
_ZONE_REMEDY: Final = "Attach the zone it is in: tz_localize('America/New_York').tz_convert('UTC'), or write the offset: ...Z."


class _Origin(NamedTuple):
    """Where rows came from, for messages."""

    name: str
    place: str = "row"
    first: int = 0


def read_fact_file(path: str | Path) -> pl.DataFrame:
    """Return the checked rows of a CSV (comma, UTF-8) or Parquet file; see `read_fact_frame`.

    Raises
    ------
    DataNotFound
        If there is no such file.
    DataError
        If it is of another kind, or cannot be read.
    ContractError
        If its rows break the contract.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFound(f"there is no file named {path}. Check the path.")
    if not path.name.lower().endswith(SUFFIXES):
        raise DataError.of(f"{path}: file name", f"end in one of {', '.join(SUFFIXES)}", path.suffix, "Convert or rename it.")
    is_csv = not path.name.lower().endswith(".parquet")
    try:
        if not is_csv:
            frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
        else:
            frame = pl.read_csv(path, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as exc:
        reason = str(exc).partition("\n")[0]
        raise DataError(f"{path} cannot be read: {reason}. Export it again, or check that it is complete.") from exc
    return _checked(frame, _Origin(str(path), "line", 2) if is_csv else _Origin(str(path)))


def read_fact_frame(frame: Any) -> pl.DataFrame:
    """Return the checked rows of a pandas or polars frame.

    Returns
    -------
    polars.DataFrame
        Sorted by (symbol, field, published, period_end), with the columns ``symbol`` and ``field`` (text), ``value`` (float64;
        null where the value is a name), ``text`` (null where it is a number), ``period_end`` (int32 days since the epoch) and
        ``published`` (int64 UTC nanoseconds).

    Raises
    ------
    ContractError
        If `frame` is no frame, lacks a column, or a row breaks a rule; the first such row is named.
    """
    library = library_of(frame)
    if not library:
        raise ContractError.of("facts", "be a pandas or polars DataFrame", type(frame).__name__)
    return _checked(_from_pandas(frame) if library == "pandas" else frame, _Origin("frame"))


def _from_pandas(frame: Any) -> pl.DataFrame:
    columns = {}
    for name, values in ((str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns)):
        try:
            columns[name] = pl.Series(name, pl.from_pandas(values))
        except (TypeError, ValueError, pl.exceptions.PolarsError):  # a column of numbers and names
            columns[name] = pl.Series(name, [None if v is None or v != v else str(v) for v in values], dtype=pl.String)
    return pl.DataFrame(columns)


def _checked(frame: pl.DataFrame, origin: _Origin) -> pl.DataFrame:
    folded = {name.lower().strip("\ufeff "): name for name in frame.columns}
    missing = [name for name in COLUMNS if name not in folded]
    if missing:
        raise ContractError.of(
            f"{origin.name}: columns", f"have {', '.join(missing)}", frame.columns, "One row per published value."
        )
    rows = frame.select([pl.col(folded[name]).alias(name) for name in COLUMNS])
    for name in COLUMNS:
        _refuse(origin, name, rows[name].is_null(), "be given", lambda _: None, "Leave out rows that say nothing.")
    rows = rows.with_columns(
        _symbols(rows["symbol"], origin), _fields(rows["field"], origin), *_values(rows, origin), *_stamps(rows, origin)
    ).select("symbol", "field", "value", "text", "period_end", "published")
    early = rows["published"] // NS_PER_DAY < rows["period_end"].cast(pl.Int64)
    _refuse(
        origin,
        "published",
        early,
        "not be before the end of the period",
        lambda row: f"{format_utc(rows['published'][row])} for {day_to_date(rows['period_end'][row])}",
        "A forecast is a field of its own, with the day it was made as its period.",
    )
    twice = rows.select(pl.struct(_KEY).is_duplicated()).to_series()
    remedy = "Remove one of the two rows; a revision has a later publication."
    _refuse(origin, "symbol, field, published, period_end", twice, "be unique", lambda row: _key_text(rows, row), remedy)
    return rows.sort(_KEY)


def _symbols(column: pl.Series, origin: _Origin) -> pl.Series:
    text = column.cast(pl.String)
    known: dict[str, str] = {}
    for row, name in enumerate(text):
        if name not in known:
            try:
                known[name] = check_symbol(name)
            except ContractError as exc:
                raise ContractError(f"{origin.name}, {origin.place} {origin.first + row}: {exc}") from exc
    return text.replace_strict(known, return_dtype=pl.String) if known else text


def _fields(column: pl.Series, origin: _Origin) -> pl.Series:
    names = column.cast(pl.String).str.strip_chars()
    bad = ~names.str.contains(_FIELD)
    _refuse(origin, "field", bad, f"match {_FIELD}", lambda row: names[row], "A feature reads it as fact.<field>.")
    return names


def _values(rows: pl.DataFrame, origin: _Origin) -> tuple[pl.Series, pl.Series]:
    column = rows["value"]
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Categorical)):
        raise ContractError.of(f"{origin.name}: value", "be numbers or names", str(column.dtype), "Convert it to float64.")
    if column.dtype.is_numeric():
        text, number = pl.Series("text", [None] * len(column), dtype=pl.String), column.cast(pl.Float64)
    else:
        text = column.cast(pl.String).str.strip_chars().alias("text")
        number = text.cast(pl.Float64, strict=False).alias("value")
        text = text.set(number.is_not_null(), None)
    _refuse(origin, "value", number.is_not_null() & ~number.is_finite(), "be finite", lambda row: number[row], "Leave it out.")
    _refuse(origin, "value", text == "", "be given", lambda row: text[row], "Leave out rows that say nothing.")
    kinds = pl.DataFrame({"field": rows["field"].cast(pl.String).str.strip_chars(), "number": number.is_not_null()})
    mixed = kinds.select((pl.col("number").any() & ~pl.col("number").all()).over("field")).to_series()
    odd = mixed & number.is_null()
    _refuse(origin, "value", odd, "be a number, as others of its field are", lambda row: text[row], "Use a field of its own.")
    return number.alias("value"), text


def _stamps(rows: pl.DataFrame, origin: _Origin) -> tuple[pl.Series, pl.Series]:
    if rows.height == 0:
        return pl.Series("period_end", [], dtype=pl.Int32), pl.Series("published", [], dtype=pl.Int64)
    published = rows["published"]
    days = pl.Series([published.dtype == pl.Date] * len(published))
    if published.dtype == pl.String or published.dtype.is_integer():
        days = published.cast(pl.String).str.contains(_DATE)
    rule = "be an instant, not a date"
    _refuse(origin, "published", days, rule, lambda row: str(published[row]), _DAY_REMEDY)
    instants = _read(published, Reading(BarSize.M1, remedy=_ZONE_REMEDY), origin, "published")
    # A period's end is a date wherever it is read, and so has no zone that could be wrong.
    ends = _read(rows["period_end"], Reading(BarSize.D1, timezone="UTC"), origin, "period_end")
    inside = ends % NS_PER_DAY != 0
    rule, remedy = "be a date", "Give the last day of the period."
    _refuse(origin, "period_end", inside, rule, lambda row: str(rows["period_end"][row]), remedy)
    return (ends // NS_PER_DAY).cast(pl.Int32), instants


def _read(column: pl.Series, reading: Reading, origin: _Origin, name: str) -> pl.Series:
    try:
        labels = read_labels(column, reading, where=f"{origin.name}: {name}")
    except ConfigurationError as exc:  # pragma: no cover  the readings above are well formed
        raise ContractError(str(exc)) from exc
    bad = pl.Series(labels.unreadable | labels.ambiguous)
    _refuse(origin, name, bad, "be a date or an instant such as 2024-05-02T20:30:00Z", lambda row: str(column[row]), "")
    return pl.Series(name, np.ascontiguousarray(labels.label_ns), dtype=pl.Int64)


def _refuse(origin: _Origin, name: str, bad: pl.Series, rule: str, value: Callable[[int], object], remedy: str) -> None:
    if bad.any():
        row = int(bad.fill_null(False).arg_max() or 0)
        raise ContractError.of(f"{origin.name}, {origin.place} {origin.first + row}: {name}", rule, value(row), remedy)


def _key_text(rows: pl.DataFrame, row: int) -> str:
    symbol, field, _, _, end, published = rows.row(row)
    return f"{symbol} {field} of {day_to_date(end)} published {format_utc(published)}"
