"""The recording of a paper session, which is kept as well as the disk allows and never ends the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.core.errors import StorageError
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.live import Received, SessionRecorder
from fairlead.telemetry.logs import Log

FLUSH_S: Final = 60
"""What a crash may cost, in seconds of real time."""
CHUNK: Final = 10_000
"""Events after which they are written down as soon as nothing else is under way."""


class Keeper:
    """Keeps every event of a session; what the disk refuses ends the recording, and not the session.

    Parameters
    ----------
    recorder : SessionRecorder
        Of a chunk that is larger than `CHUNK`, which it writes of its own accord.
    log : Log
        Told what the disk refuses.
    now_ns : callable
        The real time.
    """

    def __init__(self, recorder: SessionRecorder, log: Log, now_ns: Callable[[], int]) -> None:
        self._recorder, self._log, self._now_ns = recorder, log, now_ns
        self._flushed_ns = now_ns()
        self._count = 0
        self._has_failed = False

    def take(self, received: Received) -> None:
        """Keep an event."""
        if not self._has_failed:
            self._count += 1
            self._try(lambda: self._recorder.append(received))

    def idle(self, *, is_calm: bool = False) -> None:
        """Write down what is kept, when that is due.

        Parameters
        ----------
        is_calm : bool
            Whether an instant has just been decided on: what takes time then delays no decision.
        """
        now_ns = self._now_ns()
        is_due = now_ns - self._flushed_ns >= FLUSH_S * NS_PER_SECOND or (is_calm and self._count >= CHUNK)
        if is_due and not self._has_failed:
            self._flushed_ns, self._count = now_ns, 0
            self._try(self._recorder.flush)

    def close(self) -> None:
        """Write down what is left."""
        self._try(self._recorder.close)

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StorageError as exc:
            self._has_failed = True
            self._log.exception("recording_failed", message=str(exc))
