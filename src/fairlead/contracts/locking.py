"""An exclusive lock on an open file, between processes and between threads; the system drops it when its holder dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairlead.contracts.files import storage_error

if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def exclusive(descriptor: int) -> Iterator[None]:
        """Hold the only lock on an open file; wait for it."""
        # A byte far behind the end: a locked byte cannot be read by others here.
        place = 1 << 62
        os.lseek(descriptor, place, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                break
            except OSError:  # it gives up after ten seconds
                continue
        try:
            yield
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def try_exclusive(descriptor: int) -> bool:
        """Take the only lock on an open file until it is closed; return whether it was free."""
        os.lseek(descriptor, 1 << 62, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    @contextmanager
    def exclusive(descriptor: int) -> Iterator[None]:
        """Hold the only lock on an open file; wait for it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def try_exclusive(descriptor: int) -> bool:
        """Take the only lock on an open file until it is closed; return whether it was free."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def held_alone(path: Path) -> Iterator[bool]:
    """Hold the only lock on the file `path` for as long as the context lasts, and give whether it was free.

    The file is made if it is not there, and it stays: were it removed, two could hold a lock each on a file of this name.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise storage_error("open", path, exc) from exc
    try:
        yield try_exclusive(lock)
    finally:
        os.close(lock)
