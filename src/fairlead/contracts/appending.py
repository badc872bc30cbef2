"""Append-only CSV files that several writers share and that survive a crash at any point (domain rule 4.4).

A row is complete when its line end is in the file. A writer holds the lock of the file from the look-up of a key to the flush
of its row, and writes whole lines in one call; so only the last line can be torn, and only by a writer that died. The next
writer puts it aside, into ``<name>.torn``, before it adds its own.
"""

from __future__ import annotations

import csv
import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import ClassVar, Final, Generic, TypeVar

from fairlead.contracts.cells import line_of
from fairlead.contracts.files import storage_error, sync_folder
from fairlead.contracts.locking import exclusive
from fairlead.core.errors import ContractError

RowT = TypeVar("RowT")

_BINARY: Final = getattr(os, "O_BINARY", 0)
_MODE: Final = 0o644


class AppendOnlyCsv(ABC, Generic[RowT]):
    """Writes rows to one file, each key once.

    Any number of writers, in threads and processes, may have the same file open.

    Parameters
    ----------
    path : path
        Made, with its folders, at the first row.
    """

    columns: ClassVar[tuple[str, ...]]

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = Lock()
        self._file = (0, 0)
        self._seen = 0
        self._known: dict[str, str] = {}
        self._forget()

    def append(self, row: RowT) -> RowT:
        """Write `row` and return it, or return the row that the file has under its key.

        When it returns, the row is on the disk.

        Raises
        ------
        ContractError
            If the file has another content under this key, or is no file of this kind; nothing is written.
        StorageError
            If the disk refuses; the file holds the rows it held.
        """
        return self.extend([row])[0]

    def extend(self, rows: Iterable[RowT]) -> list[RowT]:
        """Write rows at once, as `append` writes one; if one is refused, none is written."""
        wanted = list(rows)
        if not wanted:
            return []
        try:
            with self._lock, self._opened() as descriptor, exclusive(descriptor):
                size = self._catch_up(descriptor)
                found, fresh = self._sort(wanted)
                lines = list(fresh.values())
                if lines:
                    head = "" if size else line_of(self.columns)
                    self._write(descriptor, size, (head + "".join(lines)).encode())
                # Of known rows too: who wrote them may have died before his flush.
                os.fsync(descriptor)
                if not size:
                    sync_folder(self.path.parent)
                return found
        except OSError as exc:
            raise storage_error("write", self.path, exc) from exc

    def _sort(self, wanted: Sequence[RowT]) -> tuple[list[RowT], dict[str, str]]:
        found: list[RowT] = []
        fresh: dict[str, str] = {}
        self._begin()
        for row in wanted:
            cells = self._cells(row)
            key = self._key(cells)
            line = self._known.get(key) or fresh.get(key)
            if line is None:
                self._admit(row)
                fresh[key] = line_of(cells)
                found.append(row)
                continue
            known = self._row(_cells_of(line))
            if not self._same(known, row):
                raise ContractError(
                    f"{self.path} has a row with key {key} and another content. Rows never change: give the new one a key of "
                    f"its own.\n  there: {line.rstrip()}\n  new:   {line_of(cells).rstrip()}"
                )
            found.append(known)
        return found, fresh

    def _write(self, descriptor: int, size: int, data: bytes) -> None:
        try:
            written = os.write(descriptor, data)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        if written != len(data):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _catch_up(self, descriptor: int) -> int:
        """Index the complete lines that others have added, put a torn one aside, and return the size that remains."""
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != self._file or status.st_size < self._seen:
            self._forget()
            self._file = status.st_dev, status.st_ino
        data = _read(descriptor, self._seen, status.st_size)
        complete, end, torn = data.rpartition(b"\n")
        self._check_head(complete + end, torn)
        start = self._seen
        for line in (complete + end).split(b"\n")[:-1]:
            if start:  # the first line of a file is its header
                text = line.decode()
                key = self._key(self._checked(_cells_of(text), text))
                self._known.setdefault(key, text)
                self._index(_cells_of(text))
            start += len(line) + 1
        self._seen = start
        if torn:
            self._put_aside(torn)
            os.ftruncate(descriptor, start)
        return start

    def _check_head(self, complete: bytes, torn: bytes) -> None:
        head = line_of(self.columns).encode()
        if self._seen or (complete.startswith(head) if complete else head.startswith(torn)):
            return
        raise ContractError(
            f"{self.path} is not a file of this kind: its first line must be {head.decode().rstrip()}. Choose another path."
        )

    def _checked(self, cells: list[str], text: str) -> list[str]:
        if len(cells) != len(self.columns):
            raise ContractError.of(f"a row of {self.path}", f"have {len(self.columns)} cells", text, "Put the row right first.")
        return cells

    def _put_aside(self, torn: bytes) -> None:
        path = self.path.with_name(f"{self.path.name}.torn")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, _MODE)
        try:
            os.write(descriptor, torn + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, _MODE)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _forget(self) -> None:
        self._file = (0, 0)
        self._seen = 0
        self._known = {}

    def _begin(self) -> None:
        """Prepare to admit the rows of one call."""

    def _admit(self, row: RowT) -> None:
        """Refuse a new row that may not follow those of the file."""

    def _index(self, cells: list[str]) -> None:
        """Take note of a row of the file."""

    @abstractmethod
    def _key(self, cells: Sequence[str]) -> str: ...

    @abstractmethod
    def _cells(self, row: RowT) -> list[str]: ...

    @abstractmethod
    def _row(self, cells: Sequence[str]) -> RowT: ...

    @abstractmethod
    def _same(self, known: RowT, row: RowT) -> bool: ...


def _cells_of(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def _read(descriptor: int, start: int, end: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    parts = []
    while start < end:
        part = os.read(descriptor, end - start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)
