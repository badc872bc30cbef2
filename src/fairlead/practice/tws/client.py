"""One client that is connected: what it is told, and what it has asked to be told from now on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.practice.tws.layouts import error
from fairlead.practice.tws.switches import Switches
from fairlead.practice.tws.wire import frame

NOBODY: Final = -1


class Client:
    """A connection of a client.

    Parameters
    ----------
    version : int
        What is spoken with it.
    write : callable
        Takes bytes for its socket.
    close : callable
        Ends the connection once everything is written.
    switches : Switches

    Attributes
    ----------
    client_id : int
        As it has said; -1 before.
    told : int
        Messages that it was sent.
    """

    def __init__(self, version: int, write: Callable[[bytes], None], close: Callable[[], None], switches: Switches) -> None:
        self.version = version
        self.client_id = NOBODY
        self.told = 0
        self.close = close
        self.wants_account = False
        self.wants_positions = False
        self.data_type = 1
        self.summaries: dict[int, tuple[str, ...]] = {}
        self._write = write
        self._switches = switches
        self._waiting: list[bytes] = []

    def send(self, *fields: object) -> None:
        """Tell something."""
        self.told += 1
        data = frame(*fields)
        if self._switches.is_silent:
            self._waiting.append(data)
        else:
            self._write(data)

    def error(self, request_id: int, code: int, text: str) -> None:
        """Tell that something went wrong, or a notice."""
        self.send(*error(self.version, request_id, code, text))

    def speak_again(self) -> None:
        """Send what waited while the server was silent."""
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self._write(data)

    def write(self, data: bytes) -> None:
        """Send bytes as they are, whatever they mean."""
        self._write(data)
