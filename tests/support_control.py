"""A session to operate: small, real, and in a thread of its own."""

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

from fairlead.control import Command, ControlLimits, ControlServer, Mailbox
from fairlead.control.places import SESSIONS, TOKEN, connect
from fairlead.core.errors import KillSwitchTriggered


class SmallSession:
    """Does what it is told, and remembers it."""

    def __init__(self) -> None:
        self.done: list[Command] = []
        self.capital = {"momentum": 10_000.0}
        self.thread = 0

    def _do(self, command: Command, **said):
        self.thread = threading.get_ident()
        self.done.append(command)
        return said

    def status(self, command):
        return self._do(command, mode="paper", capital=self.capital, halted=False, open_orders=[])

    def pause(self, command):
        return self._do(command, paused=[command.strategy or "all"])

    def resume(self, command):
        return self._do(command, resumed=[command.strategy or "all"])

    def stop(self, command):
        return self._do(command, flatten=command.args.get("flatten", False))

    def flatten(self, command):
        return self._do(command, closing=3)

    def halt(self, command):
        return self._do(command, action="flatten" if command.args.get("flatten") else "investigate")

    def rearm(self, command):
        raise KillSwitchTriggered("the session stays halted: it is locked until noon.")

    def set_capital(self, command):
        if command.strategy == "broken":
            raise ZeroDivisionError("a mistake of the session")
        self.capital[command.strategy] = command.args["amount"]
        return self._do(command, capital=self.capital)


class Running:
    """A session's loop, which serves its mailbox every few milliseconds, and its control server."""

    def __init__(self, folder: Path, limits: ControlLimits | None = None, journal=None, *, serves: bool = True) -> None:
        self.session, self.journalled, self.refused = SmallSession(), [], []
        self.mailbox = Mailbox(journal or self.journalled.append)
        self.cycles, self._stop = 0, threading.Event()
        self.server = ControlServer(folder, self.mailbox, self.refused.append, limits)
        self.loop = threading.Thread(target=self._turn) if serves else None
        if self.loop is not None:
            self.loop.start()

    def _turn(self) -> None:
        while not self._stop.wait(0.002):
            self.mailbox.serve(self.session)
            self.cycles += 1

    def close(self) -> None:
        self._stop.set()
        if self.loop is not None:
            self.loop.join()
        self.server.close()


@contextlib.contextmanager
def running(folder: Path, limits: ControlLimits | None = None, **more) -> Iterator[Running]:
    live = Running(folder, limits, **more)
    try:
        yield live
    finally:
        live.close()


def session_folder(workspace: Path, name: str = "paper_main_20250106_momentum") -> Path:
    return workspace / SESSIONS / name


class Line:
    """A raw connection, for whoever does not keep to the rules."""

    def __init__(self, folder: Path) -> None:
        self.token = (folder / TOKEN).read_text()
        self.link = connect(folder, timeout_s=5)
        self.file = self.link.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.link.close()

    def request(self, **values) -> bytes:
        whole = {"token": self.token, "command": "status", "args": {}, "who": "ann", "why": "", **values}
        return json.dumps({key: value for key, value in whole.items() if value is not None}).encode() + b"\n"

    def send(self, data: bytes) -> None:
        self.link.sendall(data)

    def answer(self):
        """The next answer; None if the connection has ended."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def ask(self, **values):
        self.send(self.request(**values))
        return self.answer()
