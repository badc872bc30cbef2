"""A file of lines that never grows beyond its size: full, it steps aside, and the oldest goes (domain rule 16.4).

The handler of the standard library is not used: after a write that the disk refused it may leave half a line, to which the
next one is then joined.
"""

from __future__ import annotations

import threading
from pathlib import Path

from fairlead.core.errors import StorageError


class RotatingFile:
    """Appends whole lines; `lost` counts those that the disk refused. May be used from several threads.

    ``session.log`` is the newest, ``session.log.1`` the one before it, and so on.

    Parameters
    ----------
    path : path
        Missing parent folders are created; an existing file is continued.
    max_bytes : int
        Size at which it steps aside.
    backups : int
        How many older files stay.

    Raises
    ------
    StorageError
        If it cannot be opened. Later failures raise nothing: whoever writes a log has something more important to do.
    """

    def __init__(self, path: str | Path, *, max_bytes: int, backups: int) -> None:
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._backups = backups
        # A signal handler that logs may interrupt a line of its own thread.
        self._lock = threading.RLock()
        self.lost = 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as exc:
            raise StorageError(f"cannot write {self._path}: {exc.strerror or exc}. Check the path and the disk.") from exc

    def write(self, line: bytes) -> None:
        """Append `line`, which ends in its line end."""
        with self._lock:
            try:
                if self._file.closed:
                    self._open()
                # What another process has put aside is noticed at the next rotation; until then its lines stay together.
                if self._size and self._size + len(line) > self._max_bytes:
                    self._rotate()
                self._put(line)
            except (OSError, ValueError):
                self.lost += 1

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        with self._lock:
            self._file.close()

    def _open(self) -> None:
        # Unbuffered: a line is in the file when `write` returns, and a refused one leaves nothing behind in memory.
        self._file = self._path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._torn = self._size > 0 and not self._ends_whole()

    def _put(self, line: bytes) -> None:
        data = b"\n" + line if self._torn else line
        written = self._file.write(data)
        self._size += written
        self._torn = written not in (0, len(data)) or (self._torn and written == 0)
        if written != len(data):
            self.lost += 1

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._backups, 0, -1):
            younger = self._numbered(number - 1)
            if younger.exists():
                younger.replace(self._numbered(number))
        if self._backups == 0:
            self._path.unlink(missing_ok=True)
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _ends_whole(self) -> bool:
        # A process that was killed may have left half a line.
        try:
            with self._path.open("rb") as handle:
                handle.seek(-1, 2)
                return handle.read(1) == b"\n"
        except OSError:
            return True
