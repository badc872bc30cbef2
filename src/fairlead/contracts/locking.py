"""An exclusive lock on an open file, between processes and between threads; the system drops it when its holder dies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform == "win32":
    import msvcrt
    import os

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
