"""The other end of the control socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fairlead.control.commands import RefusedCommand, command_of, line_of
from fairlead.control.places import connect, read_token
from fairlead.core.errors import DataNotFound

TIMEOUT_S: Final = 10.0
_CHUNK: Final = 65_536


class ControlClient:
    """Asks one running session.

    Parameters
    ----------
    folder : path
        The session's.
    timeout_s : float
        For connecting and for each answer, in seconds; longer than the session takes to say that it cannot answer.
    """

    def __init__(self, folder: str | Path, timeout_s: float = TIMEOUT_S) -> None:
        self.folder = Path(folder)
        self._timeout_s = timeout_s

    def ask(self, command: str, *, who: str, why: str = "", args: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a command and return what the session says.

        Raises
        ------
        RefusedCommand
            If it is not carried out; `code` and text say why. A command that is wrong in itself is not sent.
        DataNotFound
            If nobody listens.
        """
        request = {"command": command, "args": dict(args or {}), "who": who, "why": why}
        command_of(request)
        try:
            token = read_token(self.folder)
            with connect(self.folder, timeout_s=self._timeout_s) as link:
                link.sendall(line_of({**request, "token": token}))
                answer = _read_line(link)
        except TimeoutError as exc:
            text = f"session {self.folder.name} did not answer within {self._timeout_s:g} s. Ask again for its status."
            raise RefusedCommand("timeout", text) from exc
        except OSError as exc:
            raise DataNotFound(f"session {self.folder.name} does not run: nobody listens on its control socket.") from exc
        held = json.loads(answer)
        if held["ok"]:
            return dict(held["result"])
        raise RefusedCommand(held["error"]["code"], held["error"]["message"])


def _read_line(link: socket.socket) -> bytes:
    held = bytearray()
    while not held.endswith(b"\n"):
        more = link.recv(_CHUNK)
        if not more:
            raise ConnectionResetError("closed before it answered")
        held += more
    return bytes(held)
