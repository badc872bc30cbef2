"""The log read back: a file and those that stepped aside for it, oldest line first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fairlead.core.errors import StorageError
from fairlead.telemetry.record import Record, empty_record


def read_log(path: str | Path) -> Iterator[Record | None]:
    """Return the records of a log; None for a line that is none, torn by a crash for instance.

    Raises
    ------
    StorageError
        If a file cannot be read.
    """
    newest = Path(path)
    number = re.compile(rf"{re.escape(newest.name)}\.(\d+)")
    older = {int(found[1]): item for item in newest.parent.iterdir() if (found := number.fullmatch(item.name))}
    for file in [*(older[n] for n in sorted(older, reverse=True)), newest]:
        try:
            with file.open("rb") as handle:
                for line in handle:
                    yield _record(line)
        except OSError as exc:
            raise StorageError(f"cannot read {file}: {exc.strerror or exc}. Check the path and the disk.") from exc


def matches(record: Record, wanted: Mapping[str, Any]) -> bool:
    """Return whether a record's fields have the values in `wanted`; None stands for any."""
    return all(value is None or record[name] == value for name, value in wanted.items())


def _record(line: bytes) -> Record | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    empty = empty_record()
    fits = isinstance(found, dict) and found.keys() == empty.keys() and isinstance(found["data"], dict)
    return found if fits and all(isinstance(found[name], str) for name, value in empty.items() if value == "") else None
