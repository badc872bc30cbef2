"""The control socket of a running session: what comes in is doubted, and whatever it is, the session goes on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from fairlead.control.commands import MOST_BYTES, RefusedCommand, answer_line, parse_request, refusal_line
from fairlead.control.mailbox import Mailbox
from fairlead.control.places import forget, listen, new_token

Refused: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Is told of every line that was refused: ``code``, ``message`` and ``connection``; called in a thread of the server."""

_POLL_S: Final = 0.2
_BACKLOG: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlLimits:
    """What one connection, and all together, may take.

    Parameters
    ----------
    answer_s : float
        How long the session has for an answer, in seconds.
    idle_s : float
        A connection that says nothing whole for so long is closed, in seconds.
    lines_per_s, burst : float
        How many lines a connection may send: on average, and at once. One more ends it.
    connections, connections_per_s : int
        Open at once, and new ones a second; others wait or are closed.
    """

    answer_s: float = 5.0
    idle_s: float = 30.0
    lines_per_s: float = 10.0
    burst: float = 20.0
    connections: int = 8
    connections_per_s: float = 50.0


class _Allowance:
    """A bucket of tokens that fills evenly."""

    def __init__(self, per_s: float, most: float, now: Callable[[], float]) -> None:
        self._per_s, self._most, self._now = per_s, most, now
        self._left, self._at = most, now()

    def take(self) -> bool:
        """Whether one more is allowed."""
        at = self._now()
        self._left = min(self._most, self._left + self._per_s * (at - self._at))
        self._at = at
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class ControlServer:
    """Listens in a session's folder and hands commands to its mailbox.

    Use it as a context: the socket (mode 0600) and the token (mode 0600) are there while it lasts.

    Parameters
    ----------
    folder : path
        The session's.
    mailbox : Mailbox
        The loop serves it.
    refused : callable
        Is told of every line that was refused.
    limits : ControlLimits
    now : callable
        Seconds of a clock that only goes forward, for rates.

    Raises
    ------
    ConfigurationError
        If a session runs in this folder already.
    StorageError
        If the disk refuses.
    """

    def __init__(
        self,
        folder: str | Path,
        mailbox: Mailbox,
        refused: Refused,
        limits: ControlLimits | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = Path(folder)
        self._mailbox, self._refused, self._now = mailbox, refused, now
        self._limits = limits or ControlLimits()
        self._stopping = threading.Event()
        self._open = threading.BoundedSemaphore(self._limits.connections)
        self._threads: set[threading.Thread] = set()
        self._count = 0
        self._server, self._path = listen(self.folder, _BACKLOG)
        try:
            self._token = new_token(self.folder)
        except BaseException:
            self._server.close()
            forget(self.folder, self._path)
            raise
        self._server.settimeout(_POLL_S)
        self._thread = threading.Thread(target=self._accept, name="fairlead-control", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and remove socket, address and token; what is being answered is answered first."""
        self._stopping.set()
        self._thread.join()
        self._server.close()
        for thread in list(self._threads):
            thread.join(self._limits.answer_s + 1.0)
        forget(self.folder, self._path)

    def _accept(self) -> None:
        allowance = _Allowance(self._limits.connections_per_s, self._limits.connections_per_s, self._now)
        while not self._stopping.is_set():
            if not allowance.take():
                self._stopping.wait(1.0 / self._limits.connections_per_s)  # whoever floods waits at the door
                continue
            try:
                link, _ = self._server.accept()
            except TimeoutError:
                continue
            except OSError:  # no more descriptors, or whoever called has gone
                self._stopping.wait(_POLL_S)
                continue
            self._count += 1
            if self._open.acquire(blocking=False):
                thread = threading.Thread(target=self._attend, args=(link, self._count), daemon=True)
                self._threads.add(thread)
                thread.start()
            else:
                self._refuse(link, self._count, RefusedCommand("busy", "too many connections are open."))
                link.close()

    def _attend(self, link: socket.socket, number: int) -> None:
        try:
            with link:
                link.settimeout(_POLL_S)
                self._converse(link, number)
        except OSError:  # whoever called has gone
            pass
        finally:
            self._open.release()
            self._threads.discard(threading.current_thread())

    def _converse(self, link: socket.socket, number: int) -> None:
        allowance = _Allowance(self._limits.lines_per_s, self._limits.burst, self._now)
        held, since = bytearray(), self._now()
        while not self._stopping.is_set():
            if (end := held.find(b"\n")) < 0:
                if len(held) >= MOST_BYTES:
                    self._refuse(link, number, RefusedCommand("oversize", f"a line has at most {MOST_BYTES} bytes."))
                    return
                if self._now() - since > self._limits.idle_s:
                    return
                with contextlib.suppress(TimeoutError):
                    if not (more := link.recv(MOST_BYTES - len(held))):
                        return
                    held += more
                continue
            line = bytes(held[:end])
            del held[: end + 1]
            if not allowance.take():
                self._refuse(link, number, RefusedCommand("flood", "too many lines in too short a time."))
                return
            if not self._reply(link, number, line):
                return
            since = self._now()

    def _reply(self, link: socket.socket, number: int, line: bytes) -> bool:
        """Answer one line; return whether the connection goes on: without the token, it does not."""
        try:
            command = parse_request(line, self._token)
            answer = answer_line(self._mailbox.ask(command, self._limits.answer_s))
        except RefusedCommand as exc:
            self._refuse(link, number, exc)
            return exc.code not in {"token", "malformed"}
        self._send(link, answer)
        return True

    def _refuse(self, link: socket.socket, number: int, why: RefusedCommand) -> None:
        with contextlib.suppress(Exception):  # a log that fails must not end the server
            self._refused({"code": why.code, "message": str(why), "connection": number})
        with contextlib.suppress(OSError):
            self._send(link, refusal_line(why.code, str(why)))

    def _send(self, link: socket.socket, line: bytes) -> None:
        link.settimeout(1.0)  # who does not read is not waited for
        try:
            link.sendall(line)
        finally:
            link.settimeout(_POLL_S)
