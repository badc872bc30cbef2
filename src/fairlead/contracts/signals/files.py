"""Signals in CSV and Parquet files, and in frames (domain rule 3.1)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fairlead.contracts import cells
from fairlead.contracts.files import atomic_write_bytes, atomic_write_text, canonical_json, storage_error
from fairlead.contracts.frames.reading import library_of
from fairlead.contracts.lines import canonical_names, read_lines
from fairlead.contracts.signals.row import (
    PRICE_COLUMNS,
    SCHEMA_VERSION,
    SIGNAL_COLUMNS,
    TIMEFRAMES,
    Signal,
    check_signals,
    refuse_lookahead,
)
from fairlead.core.errors import ContractError, DataError, DataNotFound

REQUIRED_COLUMNS: Final = ("Symbol", "timestamp", "timeframe", "strategy", "strategy_version", "signal_id", "schema_version")

_JSON: Final = ("score_components", "metadata")
_PRICE_TYPE: Final = pa.decimal128(38, 12)
_TYPES: Final = {"timestamp": pa.timestamp("us", "UTC"), "score": pa.float64()} | dict.fromkeys(PRICE_COLUMNS, _PRICE_TYPE)
_SCHEMA: Final = pa.schema([(name, _TYPES.get(name, pa.string())) for name in SIGNAL_COLUMNS])


def write_signals(path: str | Path, signals: Iterable[Signal]) -> None:
    """Write signals to a ``.csv`` or ``.parquet`` file, as a whole or not at all.

    Raises
    ------
    ContractError
        If two are the same signal, or the file's name has another ending.
    StorageError
        If the disk refuses.
    """
    file, rows = Path(path), check_signals(signals)
    if _suffix(file) == ".csv":
        lines = [cells.line_of(SIGNAL_COLUMNS), *(cells.line_of(_cells(signal).values()) for signal in rows)]
        atomic_write_text(file, "".join(lines))
        return
    try:
        table = pa.Table.from_pylist([_values(signal) for signal in rows], schema=_SCHEMA)
    except pa.ArrowInvalid as exc:
        raise ContractError.of("prices", "have at most 12 decimal places and 26 digits before them", str(exc)) from exc
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    atomic_write_bytes(file, sink.getvalue().to_pybytes())


def read_signals(path: str | Path, *, risk_based: bool = False) -> list[Signal]:
    """Return the signals of a ``.csv`` or ``.parquet`` file; columns that are not of the schema are ignored.

    Parameters
    ----------
    risk_based : bool
        Whether positions are sized by risk, so that each entry needs its stop.

    Raises
    ------
    DataNotFound, DataError
        If there is no such file, or it cannot be read.
    ContractError
        If a column is missing, a row breaks a rule, the file is of a later major version, or the name of a column tells of the
        future, whether it is of the schema or not.
    """
    file = Path(path)
    if _suffix(file) == ".csv":
        return check_signals(_read_csv(file), risk_based=risk_based)
    if not file.is_file():
        raise DataNotFound(f"there is no file {file}. Check the path.")
    try:
        table = pq.read_table(file)
    except pa.ArrowInvalid as exc:
        raise DataError(f"cannot read {file}: {exc}. Is it a Parquet file?") from exc
    except OSError as exc:
        raise storage_error("read", file, exc) from exc
    return check_signals(_of_table(table, str(file)), risk_based=risk_based)


def signals_from_frame(frame: Any, *, risk_based: bool = False) -> list[Signal]:
    """Return the signals of a pandas or polars data frame; see `read_signals`.

    Raises
    ------
    ContractError
        As `read_signals` does. Prices are Decimal or text: a float does not say on which tick it stands.
    """
    library = library_of(frame)
    if not library:
        raise ContractError.of("signals", "be a pandas or polars data frame", type(frame).__name__)
    rows = frame.to_dicts() if library == "polars" else frame.to_dict(orient="records")
    names = [str(name) for name in frame.columns]
    plain = [{str(name): _plain(value) for name, value in row.items()} for row in rows]
    return check_signals(_of_rows(names, plain, "the frame"), risk_based=risk_based)


def _read_csv(file: Path) -> list[Signal]:
    text = read_lines(file)
    _check_columns(text.header, str(file))
    if text.torn is not None:
        raise DataError(f"{file} ends within a line: {text.torn[:80]!r}. It was cut off; write it again.")
    found = []
    for number, line in text.lines:
        try:
            found.append(_signal({name: cell or None for name, cell in text.row(line).items()}))
        except ContractError as exc:
            raise ContractError(f"{file}, line {number}: {exc}") from exc
    return found


def _of_table(table: pa.Table, origin: str) -> list[Signal]:
    return _of_rows(table.column_names, table.to_pylist(), origin)


def _of_rows(names: list[str], rows: list[dict[str, Any]], origin: str) -> list[Signal]:
    _check_columns(names, origin)
    found = []
    for number, row in enumerate(rows):
        try:
            found.append(_signal(row))
        except ContractError as exc:
            raise ContractError(f"{origin}, row {number}: {exc}") from exc
    return found


def _check_columns(names: Iterable[str], origin: str) -> None:
    header = tuple(names)
    refuse_lookahead(header, f"columns of {origin}")
    canonical_names(header, {}, SIGNAL_COLUMNS, REQUIRED_COLUMNS, origin)


def _signal(row: Mapping[str, Any]) -> Signal:
    version = row["schema_version"]
    if isinstance(version, str) and cells.is_higher_major(version, SCHEMA_VERSION):
        raise ContractError.of("schema_version", f"be at most {SCHEMA_VERSION}", version, "Read it with a later release.")
    values = {name: _value(name, row.get(name)) for name in SIGNAL_COLUMNS}
    for name in REQUIRED_COLUMNS:
        if values[name] is None:
            raise ContractError.of(name, "not be empty", "")
    return Signal(symbol=values.pop("Symbol"), **values)


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in PRICE_COLUMNS:
        return _exact(cells.read_decimal(name, value) if isinstance(value, str) else value)
    if name == "timestamp":
        return cells.read_instant(name, value) if isinstance(value, str) else _instant(value)
    if name == "timeframe":
        if value not in TIMEFRAMES:
            raise ContractError.of(name, f"be one of {', '.join(TIMEFRAMES)}", value)
        return TIMEFRAMES[value]
    if name == "score" and isinstance(value, str):
        return float(cells.read_decimal(name, value))
    return _object(name, value) if name in _JSON and isinstance(value, str) else value


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as exc:
        raise ContractError.of(name, "be a JSON object", text) from exc
    if not isinstance(found, dict):
        raise ContractError.of(name, "be a JSON object", text)
    return found


def _exact(value: Any) -> Any:
    # A column of one type pads with zeros, which are no part of the number.
    return value.normalize() + Decimal(0) if isinstance(value, Decimal) and value.is_finite() else value


def _instant(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo is not None else value


def _plain(value: Any) -> Any:
    if type(value).__name__ in ("NaTType", "NAType") or (isinstance(value, float) and value != value):
        return None
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value


def _values(signal: Signal) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(signal, name.lower()) for name in SIGNAL_COLUMNS}
    row["timeframe"] = signal.timeframe.name
    return row | {name: None if row[name] is None else canonical_json(row[name]) for name in _JSON}


def _cells(signal: Signal) -> dict[str, str]:
    row = _values(signal)
    row["timestamp"] = cells.instant_text(signal.timestamp)
    row["score"] = None if signal.score is None else cells.decimal_text(Decimal(repr(float(signal.score))))
    row |= {name: cells.decimal_text(row[name]) for name in PRICE_COLUMNS}
    return {name: "" if value is None else str(value) for name, value in row.items()}


def _suffix(file: Path) -> str:
    if file.suffix not in (".csv", ".parquet"):
        raise ContractError.of("a file of signals", "end in .csv or .parquet", str(file))
    return file.suffix
