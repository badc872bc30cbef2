"""Files, folders and frames as raw tables: every vendor's form becomes one; all that is checked is that it can be read."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from fairlead.contracts.frames.reading import library_of
from fairlead.core.errors import ContractError, DataError, DataNotFound
from fairlead.data.columns import map_columns

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
_SEPARATORS: Final = ",;\t|"
_HEAD_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class RawTable:
    """One file or frame.

    Attributes
    ----------
    origin : str
        What messages call it: a file's path, or ``frame 'AAPL'``.
    rows : polars.DataFrame
        Columns ``ts, open, high, low, close, volume`` and perhaps ``symbol``, as the vendor wrote them; ``line`` is the place
        of each row: a CSV file's line, counted from 1, or else the row, counted from 0.
    place : str
        What `line` counts: ``"line"`` or ``"row"``.
    symbol : str or None
        The symbol of all rows, if the table has no column for it.
    name : str
        What artefacts call it: a file's path inside the folder it was read from, so that no machine's path is kept.
    naive_remedy : str or None
        What to do about stamps without a time zone, if not to declare it.
    """

    origin: str
    rows: pl.DataFrame
    place: str
    symbol: str | None = None
    name: str = ""
    naive_remedy: str | None = None


def read_tables(source: Any, symbol: str | None = None) -> list[RawTable]:
    """Return the raw tables of a file, a folder of files, a frame, or a mapping of symbols to frames.

    Parameters
    ----------
    source : path, pandas.DataFrame, polars.DataFrame, or mapping of str to either frame
        Files are CSV (comma, semicolon, tab or bar; ``.csv`` or ``.csv.gz``) or Parquet; a folder is read with its subfolders,
        names that start with a dot or an underscore left out.
    symbol : str, optional
        The symbol of everything in `source`. Without it the symbol comes from a column, else from the mapping's key or the
        file's name.

    Raises
    ------
    DataNotFound
        If there is no such file, or none of a known kind in the folder.
    DataError
        If a file is empty or cannot be read.
    ContractError
        If a column is missing, or a frame of several symbols has no column that tells them apart.
    """
    if isinstance(source, str | Path):
        root = Path(source)
        tables = [(path, _read_file(path, symbol)) for path in bar_files(root)]
        base = root if root.is_dir() else root.parent
        return [replace(table, name=path.relative_to(base).as_posix()) for path, table in tables]
    if isinstance(source, Mapping):
        if not source:
            raise DataError("the mapping of symbols to frames is empty. Pass at least one frame.")
        return [_read_frame(source[key], f"frame {key!r}", str(key)) for key in sorted(source)]
    return [_read_frame(source, "frame", symbol)]


def bar_files(path: Path) -> list[Path]:
    """Return the files that `read_tables` reads of a path, in its order.

    Raises
    ------
    DataNotFound, DataError
        If there is none of a known kind.
    """
    if path.is_dir():
        inner = sorted(p for p in path.rglob("*") if p.is_file() and p.name.lower().endswith(SUFFIXES))
        found = [p for p in inner if not any(part.startswith((".", "_")) for part in p.relative_to(path).parts)]
        if not found:
            raise DataNotFound(f"folder {path} holds no file named {', '.join('*' + s for s in SUFFIXES)}. Check the path.")
        return found
    if not path.exists():
        raise DataNotFound(f"there is no file or folder named {path}. Check the path.")
    if not path.name.lower().endswith(SUFFIXES):
        raise DataError.of(f"{path}: file name", f"end in one of {', '.join(SUFFIXES)}", path.suffix, "Convert or rename it.")
    return [path]


def _read_file(path: Path, symbol: str | None) -> RawTable:
    is_csv = not path.name.lower().endswith(".parquet")
    try:
        if is_csv:
            frame = pl.read_csv(path, separator=_separator(path), infer_schema=False, glob=False)
        else:
            frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    except pl.exceptions.NoDataError as exc:
        raise DataError(f"{path} is empty. Give a file with a header and at least one row.") from exc
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as exc:
        kind = "CSV text in UTF-8" if is_csv else "Parquet"
        reason = str(exc).partition("\n")[0]
        raise DataError(f"{path} cannot be read as {kind}: {reason}. Export it again, or check that it is complete.") from exc
    stem = path.name[: -len(next(s for s in SUFFIXES if path.name.lower().endswith(s)))]
    return _raw_table(frame, str(path), symbol, stem, is_csv=is_csv)


def _separator(path: Path) -> str:
    open_ = gzip.open if path.name.lower().endswith(".gz") else Path.open
    with open_(path, "rb") as handle:
        head = handle.read(_HEAD_BYTES)
    if b"\0" in head:
        raise DataError(f"{path} cannot be read as CSV text in UTF-8: it holds binary data. Check that it is the right file.")
    header = head.partition(b"\n")[0].decode()
    return max(_SEPARATORS, key=header.count)  # the first of them wins where there is none at all


def _read_frame(frame: Any, origin: str, symbol: str | None) -> RawTable:
    library = library_of(frame)
    if library == "pandas":
        remedy = 'Attach it: df.index = df.index.tz_localize("UTC")'
        return _raw_table(_from_pandas(frame, origin), origin, symbol, None, remedy=remedy)
    if library == "polars":
        remedy = 'Attach it: df = df.with_columns(pl.col("ts").dt.replace_time_zone("UTC"))'
        return _raw_table(frame, origin, symbol, None, remedy=remedy)
    raise ContractError.of(
        origin, "be a pandas or polars DataFrame, a mapping of them by symbol, or a path", type(frame).__name__
    )


def _from_pandas(frame: Any, origin: str) -> pl.DataFrame:
    if getattr(frame.columns, "nlevels", 1) > 1:
        remedy = "Pick one symbol: df.xs('AAPL', axis=1, level=1)."
        raise ContractError.of(f"{origin}: columns", "have one level", [str(c) for c in frame.columns[:2]], remedy)
    columns = {}
    for level in range(frame.index.nlevels):
        values = frame.index.get_level_values(level)
        if values.name is not None or getattr(values.dtype, "kind", "O") not in "iu":  # else it merely numbers the rows
            columns[str(values.name or ("ts" if level == 0 else f"level_{level}"))] = values
    columns |= {str(name): frame.iloc[:, i] for i, name in enumerate(frame.columns)}
    return pl.DataFrame({name: _series(name, values) for name, values in columns.items()})


def _series(name: str, values: Any) -> pl.Series:
    try:
        return pl.Series(name, pl.from_pandas(values))
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        # A column of mixed kinds: as text, so that the cell at fault can be named later.
        return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _raw_table(
    frame: pl.DataFrame,
    origin: str,
    symbol: str | None,
    fallback: str | None,
    *,
    is_csv: bool = False,
    remedy: str | None = None,
) -> RawTable:
    frame, fields = _fields(frame, origin)
    first = 2 if is_csv else 0
    rows = frame.select([pl.col(name).alias(field) for field, name in fields.items()])
    blank = pl.all_horizontal(pl.exclude("line").is_null())
    rows = rows.with_columns(pl.int_range(first, first + rows.height).alias("line")).filter(~blank)
    if rows.height == 0:
        raise DataError(f"{origin} is empty: it has a header but no row. Give at least one bar.")
    if "symbol" not in fields:
        if symbol is None and fallback is None:
            raise ContractError(
                f"{origin}: no symbol; pass symbol='AAPL', a mapping of symbols to frames, or a column 'symbol'."
            )
        return RawTable(origin, rows, "line" if is_csv else "row", symbol or fallback, origin, remedy)
    if symbol is not None:
        inside = rows["symbol"].cast(pl.String).str.strip_chars().str.to_uppercase().unique().sort().to_list()
        if inside != [symbol.strip().upper()]:
            names = ", ".join(map(str, inside[:5]))
            raise ContractError.of(f"{origin}: symbol", f"be {symbol!r} throughout, as was passed", names, "Leave symbol= out.")
    return RawTable(origin, rows, "line" if is_csv else "row", None, origin, remedy)


def _fields(frame: pl.DataFrame, origin: str) -> tuple[pl.DataFrame, dict[str, str]]:
    required = ("ts", "open", "high", "low", "close", "volume")
    folded = {name.lower().strip("<>\ufeff "): name for name in frame.columns}
    if {"date", "time"} <= folded.keys() and not {"ts", "timestamp", "datetime"} & folded.keys():
        date, time = folded["date"], folded["time"]
        joined = pl.concat_str([pl.col(date).cast(pl.String), pl.col(time).cast(pl.String)], separator=" ").alias("ts")
        frame = frame.with_columns(joined).drop(date, time)
    fields = map_columns(frame.columns, where=origin, required=required)
    return frame, {field: fields[field] for field in (*required, "symbol") if field in fields}
