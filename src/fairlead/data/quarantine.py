"""The rows that an import refused, kept beside the data with the reason: ``quarantine.csv``."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fairlead.core.errors import ContractError, DataError

Quarantine = tuple[tuple[tuple[str, str], ...], ...]
"""Rows as (column, text) pairs."""


def merge_quarantine(path: Path | None, rows: Iterable[Any]) -> Quarantine:
    """Return the rows of the file at `path`, if there is one, and then those of `rows` that it does not have.

    Parameters
    ----------
    path : Path, optional
    rows : iterable of mapping, dataclass or named tuple
        What was refused; every value is kept as text.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    merged = dict.fromkeys(_read(path) if path is not None else ())
    merged.update(dict.fromkeys(_pairs(_fields(row)) for row in rows))
    return tuple(merged)


def quarantine_csv(rows: Quarantine) -> str:
    """Return `rows` as CSV with a header; a column that a row does not have is empty."""
    header = list(dict.fromkeys(name for row in rows for name, _ in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(row) for row in rows)
    return text.getvalue()


def _read(path: Path) -> Quarantine:
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return tuple(_pairs(row) for row in csv.DictReader(handle))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, csv.Error) as exc:
        raise DataError(f"cannot read {path}: {exc}. Import the data again with --replace.") from exc


def _fields(row: Any) -> Mapping[str, object]:
    if isinstance(row, Mapping):
        return row
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    if isinstance(row, tuple) and hasattr(row, "_asdict"):
        fields: Mapping[str, object] = row._asdict()
        return fields
    raise ContractError.of("quarantined row", "be a mapping, a dataclass or a named tuple", type(row).__name__)


def _pairs(row: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    # Empty fields are left out, so that a row compares equal after it went through a file with more columns.
    return tuple((name, str(value)) for name, value in row.items() if value is not None and str(value))
