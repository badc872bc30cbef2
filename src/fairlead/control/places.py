"""Where running sessions are found: a folder each, with the address of their socket and the token that opens it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fairlead.contracts.files import atomic_write_bytes, storage_error
from fairlead.core.errors import ConfigurationError, DataNotFound, StorageError, UnknownName

SESSIONS: Final = "sessions"
SOCKET: Final = "control.sock"
TOKEN: Final = "control.token"  # noqa: S105  the name of a file
ADDRESS: Final = "control.address"
# The system's limit for the path of a socket is 104 to 108 bytes.
_LONGEST_PATH: Final = 100
_OWNER_ONLY: Final = 0o600
_AGAIN_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """A session's folder; `is_running` says whether someone listens there."""

    folder: Path
    is_running: bool

    @property
    def name(self) -> str:
        """Its id."""
        return self.folder.name


def list_sessions(workspace: str | Path) -> list[SessionPlace]:
    """Return the sessions of a workspace that have, or left behind, a control socket, by name."""
    folder = Path(workspace) / SESSIONS
    found = sorted(path.parent for path in folder.glob(f"*/{ADDRESS}")) if folder.is_dir() else []
    return [SessionPlace(path, is_listening(path)) for path in found]


def find_session(workspace: str | Path, name: str = "") -> SessionPlace:
    """Return a running session.

    Parameters
    ----------
    name : str
        Its id or the beginning of exactly one; empty if only one runs.

    Raises
    ------
    DataNotFound
        If it, or any, does not run, or if several fit.
    UnknownName
        If no session has such a name; the message offers the nearest.
    """
    every = list_sessions(workspace)
    running = [place for place in every if place.is_running]
    names = ", ".join(place.name for place in running) or "(none)"
    if not name:
        if len(running) == 1:
            return running[0]
        what = "several sessions run; name one" if running else f"no session runs in {workspace}"
        raise DataNotFound(f"{what}. Running: {names}.")
    exact = [place for place in every if place.name == name]
    fitting = exact or [place for place in every if place.name.startswith(name)]
    if len(fitting) > 1:
        fitting = [place for place in fitting if place.is_running]
    if len(fitting) > 1:
        raise DataNotFound(f"several sessions begin with {name!r}: {', '.join(place.name for place in fitting)}.")
    if not fitting:
        raise UnknownName.among("session", name, [place.name for place in running])
    if not fitting[0].is_running:
        raise DataNotFound(f"session {fitting[0].name} does not run: nobody listens on its control socket. Running: {names}.")
    return fitting[0]


def is_listening(folder: Path) -> bool:
    """Whether someone listens on the socket of a session's folder."""
    try:
        with connect(folder, timeout_s=1.0):
            return True
    except TimeoutError:  # it is flooded, and so not gone
        return True
    except (OSError, StorageError):
        return False


def connect(folder: Path, *, timeout_s: float) -> socket.socket:
    """Return a connection to the session of a folder.

    Raises
    ------
    OSError
        If nobody listens, or (`TimeoutError`) nobody answers the door.
    StorageError
        If the folder has no address.
    """
    if sys.platform == "win32":
        raise ConfigurationError(
            "sessions are controlled over Unix domain sockets, which this system does not offer to Python."
        )
    path = folder / ADDRESS
    try:
        address = path.read_text().strip()
    except OSError as exc:
        raise storage_error("read", path, exc) from exc
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(timeout_s)
        until = time.monotonic() + timeout_s
        while True:
            try:
                link.connect(address)
            except BlockingIOError as exc:  # too many are waiting at the door
                if time.monotonic() >= until:
                    raise TimeoutError("the queue of the socket is full") from exc
                time.sleep(_AGAIN_S)
            else:
                return link
    except BaseException:
        link.close()
        raise


def listen(folder: Path, backlog: int) -> tuple[socket.socket, Path]:
    """Return a listening socket that only this user can open, and its path; its address is written into the folder.

    Raises
    ------
    ConfigurationError
        If a session runs there already.
    StorageError
        If the disk refuses.
    """
    if sys.platform == "win32":
        raise ConfigurationError(
            "sessions are controlled over Unix domain sockets, which this system does not offer to Python."
        )
    if is_listening(folder):
        raise ConfigurationError.of("session", "not run already", folder.name, "Stop the other first: fairlead session stop.")
    path = folder / SOCKET
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if len(os.fsencode(path.absolute())) > _LONGEST_PATH:
            path = Path(tempfile.mkdtemp(prefix="fairlead-")) / SOCKET  # a folder that only this user can enter
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.bind(str(path.absolute()))
            path.chmod(_OWNER_ONLY)  # before it listens: until then nobody can connect
            server.listen(backlog)
            atomic_write_bytes(folder / ADDRESS, os.fsencode(path.absolute()), mode=_OWNER_ONLY)
        except BaseException:
            server.close()
            raise
    except OSError as exc:
        raise storage_error("open", path, exc) from exc
    return server, path


def forget(folder: Path, path: Path) -> None:
    """Remove what `listen` and `new_token` left in a folder."""
    for file in (folder / ADDRESS, folder / TOKEN, path):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
    if path.parent != folder:
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def new_token(folder: Path) -> str:
    """Write a new secret that only this user can read, and return it."""
    token = secrets.token_urlsafe(32)
    atomic_write_bytes(folder / TOKEN, token.encode(), mode=_OWNER_ONLY)
    return token


def read_token(folder: Path) -> str:
    """Return the secret of a session.

    Raises
    ------
    StorageError
        If it is not there or belongs to another user.
    """
    try:
        return (folder / TOKEN).read_text().strip()
    except OSError as exc:
        raise storage_error("read", folder / TOKEN, exc) from exc
