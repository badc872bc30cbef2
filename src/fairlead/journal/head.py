"""The head: place and hash of a record, kept outside the database, against which a missing end shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final, NamedTuple

from fairlead.contracts.files import storage_error, write_json
from fairlead.core.errors import DataError

_HASH: Final = re.compile(r"[0-9a-f]{64}")


class Head(NamedTuple):
    """A record that a journal is known to have held. Later ones may follow it."""

    seq: int
    hash: str


def write_head(path: Path, head: Head) -> None:
    """Write `head` atomically.

    Raises
    ------
    StorageError
        If the disk refuses; the file holds what it held.
    """
    write_json(path, head._asdict())


def read_head(path: Path) -> Head | None:
    """Return the head in `path`; None if there is no such file.

    Raises
    ------
    DataError
        If the file is unreadable or holds no head.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise storage_error("read", path, exc) from exc
    head = _head_of(data)
    if head is None:
        raise DataError(f"{path} is no head of a journal. Name another with --head, or put it back from a backup.")
    return head


def _head_of(data: bytes) -> Head | None:
    try:
        found = json.loads(data)
    except ValueError:  # text that is no UTF-8 included
        return None
    seq, of = (found.get("seq"), found.get("hash")) if isinstance(found, dict) else (None, None)
    if isinstance(seq, int) and seq > 0 and isinstance(of, str) and _HASH.fullmatch(of):
        return Head(seq, of)
    return None
