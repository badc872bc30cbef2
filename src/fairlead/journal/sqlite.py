"""A journal in an SQLite file: write-ahead log, flushed to the disk at every commit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from fairlead.contracts.files import storage_error, sync_folder
from fairlead.contracts.locking import try_exclusive
from fairlead.core.errors import DataNotFound
from fairlead.journal.sql import SqlStore, new_engine

_MODE: Final = 0o644
_BUSY_S: Final = 5.0


class SqliteStore(SqlStore):
    """A journal in a file; see `open_store`. The writer's place is a lock on a file beside it, which dies with its holder.

    Parameters
    ----------
    path : Path
    write : bool
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self._path = path
        self._place = str(path)
        self._lock: int | None = None
        if write:
            self._take_place()
        elif not path.is_file():
            raise DataNotFound(f"there is no journal {path}. A paper session makes one; --journal names another.")
        try:
            engine = new_engine(_url(path, write=write), connect_args={"timeout": _BUSY_S})
        except BaseException:
            self._leave_place()
            raise
        super().__init__(engine, str(path), write=write)

    def close(self) -> None:
        """Let go of the database and of the writer's place."""
        super().close()
        self._leave_place()

    def _take_place(self) -> None:
        beside = self._path.with_name(f"{self._path.name}.lock")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(beside, os.O_RDWR | os.O_CREAT, _MODE)
        except OSError as exc:
            raise storage_error("open", beside, exc) from exc
        self._lock = lock
        try:
            if not try_exclusive(lock):
                whose = os.pread(lock, 20, 0).decode(errors="replace").strip() if hasattr(os, "pread") else ""
                self._refuse_second(f", process {whose}" if whose.isdecimal() else "")
            os.lseek(lock, 0, os.SEEK_SET)  # taking a lock moves it on some systems
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
        except OSError as exc:
            self._leave_place()
            raise storage_error("write", beside, exc) from exc
        except BaseException:
            self._leave_place()
            raise

    def _leave_place(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _prepare(self, writer: sa.Connection) -> None:
        with writer.begin():
            writer.exec_driver_sql("PRAGMA journal_mode=WAL")
            writer.exec_driver_sql("PRAGMA synchronous=FULL")
        try:
            sync_folder(self._path.parent)  # the file's name is on the disk before anything in it counts
        except OSError as exc:
            raise storage_error("write", self._path, exc) from exc


def _url(path: Path, *, write: bool) -> sa.URL:
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sa.URL.create("sqlite", database=f"file:{quoted}", query={"mode": "rwc" if write else "ro", "uri": "true"})
