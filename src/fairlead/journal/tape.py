"""The tape of a session: what came into it, in order, on the disk before it has consequences.

A session that is given the same inputs decides the same. So the tape is all that a restart needs: what was decided, sent and
filled stands in the journal, and must come out again.

A file of lines, each with a checksum, a number and a line of JSON. A crash can tear the last one, which is cut off when the
tape is opened again: nothing that followed from it was written down, since the tape is synced first.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from fairlead.contracts.files import storage_error, sync_folder
from fairlead.core.errors import DataNotFound, StorageError

VERSION: Final = 1
HEADER: Final = "header"
_SUM_DIGITS: Final = 8


class Input(NamedTuple):
    """One thing that came into a session.

    Parameters
    ----------
    kind : str
        What it is; the first on a tape is its header.
    ts_ns : int
        When it was taken, by the session's clock; UTC nanoseconds.
    data : mapping
        Plain data. Floats come back bit for bit, NaN included.
    """

    kind: str
    ts_ns: int
    data: Mapping[str, Any]


class Tape:
    """The one writer of a tape.

    What is appended is handed to the system at once, so that it outlives this process; `sync` puts it on the disk.
    A write that fails is the last: what came after it is not on the tape, and nothing may follow from it.

    Parameters
    ----------
    path : path
    descriptor : int
        Open for writing, at its end; the tape closes it.
    count : int
        Lines that are there.
    """

    def __init__(self, path: Path, descriptor: int, count: int) -> None:
        self.path = path
        self.failure = ""
        """Why it takes nothing any more; empty as long as it does."""
        self._descriptor = descriptor
        self._count = count
        self._is_synced = True
        self._is_closed = False

    @classmethod
    def create(cls, path: Path, ts_ns: int, header: Mapping[str, Any]) -> Self:
        """Begin a tape; its header is on the disk when this returns.

        Raises
        ------
        StorageError
            If there is one already, or the disk refuses.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError as exc:
            raise storage_error("write", path, exc) from exc
        tape = cls(path, descriptor, 0)
        try:
            tape.append(Input(HEADER, ts_ns, {"version": VERSION, **header}))
            tape.sync()
            sync_folder(path.parent)
        except BaseException:
            tape.close()
            raise
        return tape

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Go on with a tape; a torn last line is cut off.

        Raises
        ------
        DataNotFound, StorageError
            As `read_tape`, and if the disk refuses.
        """
        count = length = 0
        for count, length, _ in _lines(path):  # noqa: B007  the last ones are wanted
            pass
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as exc:
            raise storage_error("write", path, exc) from exc
        try:
            os.ftruncate(descriptor, length)
            os.fsync(descriptor)
        except OSError as exc:
            os.close(descriptor)
            raise storage_error("write", path, exc) from exc
        return cls(path, descriptor, count)

    def append(self, taken: Input) -> None:
        """Add an input.

        Raises
        ------
        StorageError
            If this or an earlier write failed, or the tape is closed.
        """
        self._refuse_if_over()
        text = json.dumps([self._count + 1, taken.kind, taken.ts_ns, taken.data], separators=(",", ":")).encode()
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        try:
            written = os.write(self._descriptor, line)
        except OSError as exc:
            raise self._failed(exc) from exc
        if written != len(line):
            raise self._failed(None)
        self._count += 1
        self._is_synced = False

    def sync(self) -> None:
        """Return when everything that was appended is on the disk.

        Raises
        ------
        StorageError
            If this or an earlier write failed, or the tape is closed.
        """
        self._refuse_if_over()
        if self._is_synced:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as exc:
            raise self._failed(exc) from exc
        self._is_synced = True

    def give_up(self, reason: str) -> None:
        """Take nothing any more: what follows is not written down elsewhere either."""
        self.failure = self.failure or reason

    def close(self) -> None:
        """Let go of the file. A second time does nothing."""
        if not self._is_closed:
            self._is_closed = True
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _failed(self, exc: OSError | None) -> StorageError:
        error = storage_error("write", self.path, exc) if exc is not None else StorageError(f"{self.path}: the disk is full.")
        self.failure = str(error)
        return error

    def _refuse_if_over(self) -> None:
        if self.failure:
            raise StorageError(f"the tape takes nothing since a write failed: {self.failure}")
        if self._is_closed:
            raise StorageError(f"the tape {self.path} is closed.")


def read_tape(path: Path) -> Iterator[Input]:
    """Yield what is on a tape, its header first; a torn last line is left out.

    Raises
    ------
    DataNotFound
        If there is no tape, or nothing whole on it.
    StorageError
        If it is damaged before its end, of another version, or cannot be read.
    """
    for _, _, taken in _lines(path):
        yield taken


def _lines(path: Path) -> Iterator[tuple[int, int, Input]]:
    """Yield the number of each line, where it ends, and what it holds."""
    count = end = 0
    is_torn = False
    try:
        with path.open("rb") as handle:
            for line in handle:
                parsed = _parse(line)
                if parsed is None and not is_torn:
                    is_torn = True
                    continue
                # What a crash has torn is the last thing that was written.
                if is_torn or parsed is None or parsed[0] != count + 1:
                    remedy = "Put it back from a backup, or start another session with --anew."
                    raise StorageError(f"{path} is damaged at line {count + 1}, and goes on after it. {remedy}")
                count, end = count + 1, end + len(line)
                if count == 1:
                    _check_header(path, parsed[1])
                yield count, end, parsed[1]
    except FileNotFoundError as exc:
        raise DataNotFound(f"there is no tape {path}.") from exc
    except OSError as exc:
        raise storage_error("read", path, exc) from exc
    if not count:
        raise DataNotFound(f"{path} holds nothing: its session ended before it began.")


def _check_header(path: Path, taken: Input) -> None:
    if taken.kind != HEADER or taken.data.get("version") != VERSION:
        raise StorageError(f"{path} is no tape of version {VERSION}. Update Fairlead, or start another session with --anew.")


def _parse(line: bytes) -> tuple[int, Input] | None:
    """Return the number of a line and what it holds; None if it is not whole."""
    digits, text = line[:_SUM_DIGITS], line[_SUM_DIGITS + 1 : -1]
    if not line.endswith(b"\n") or digits != b"%08x" % zlib.crc32(text):
        return None
    number, kind, ts_ns, data = json.loads(text)
    return number, Input(kind, ts_ns, data)
