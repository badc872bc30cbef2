"""Where the control thread hands commands to the session's loop, and waits for what it says."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from fairlead.control.commands import EASING, Command, CommandName, Operated, RefusedCommand
from fairlead.core.errors import FairleadError

MOST_WAITING: Final = 32
OVER: Final = "the session has ended."

Journal: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Takes one record: ``command`` as plain data, ``stage`` (``accepted`` or ``answered``), ``ok`` and ``answer``.

It is called in the session's thread, and what it was given is durable when it returns."""


@dataclass(slots=True)
class _Ticket:
    command: Command
    done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_taken: bool = False
    is_withdrawn: bool = False
    answer: Mapping[str, Any] = field(default_factory=dict)
    refusal: RefusedCommand | None = None


class Mailbox:
    """A bounded queue of commands between two threads.

    Parameters
    ----------
    journal : callable
        Is told every command with who and why before it is carried out, and what came of it after.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: queue.Queue[_Ticket] = queue.Queue(MOST_WAITING)
        self._door = threading.Lock()
        self._is_over = False

    def ask(self, command: Command, timeout_s: float) -> Mapping[str, Any]:
        """Hand a command to the loop and return its answer; called by the control thread.

        A command that is not answered in time, and after which more risk may be taken, is withdrawn unless it is being carried
        out; others (`halt`, `flatten`, `pause`, `stop`) stand: late is better than never.

        Raises
        ------
        RefusedCommand
            With code ``busy``, ``timeout``, ``refused`` or ``failed``.
        """
        ticket = self._take_in(command)
        if not ticket.done.wait(timeout_s):
            self._give_up(ticket, timeout_s)
        if ticket.refusal is not None:
            raise ticket.refusal
        return ticket.answer

    def leave(self, command: Command) -> None:
        """Hand a command to the loop and wait for nothing; never called where the loop may be interrupted.

        Raises
        ------
        RefusedCommand
            With code ``busy`` or ``refused``.
        """
        self._take_in(command)

    def end(self, session: Operated) -> None:
        """Carry out what waits, and refuse whatever comes later; called by the loop when it is over."""
        with self._door:
            self._is_over = True
        self.serve(session)

    def _take_in(self, command: Command) -> _Ticket:
        ticket = _Ticket(command)
        with self._door:
            if self._is_over:
                raise RefusedCommand("refused", OVER)
            try:
                self._waiting.put_nowait(ticket)
            except queue.Full as exc:
                raise RefusedCommand("busy", f"{MOST_WAITING} commands are waiting already.") from exc
        return ticket

    def serve(self, session: Operated) -> int:
        """Carry out every command that waits, and return how many; called by the loop, and never waits."""
        count = 0
        while True:
            try:
                ticket = self._waiting.get_nowait()
            except queue.Empty:
                return count
            with ticket.lock:
                ticket.is_taken = not ticket.is_withdrawn
            if ticket.is_taken:
                self._carry_out(ticket, session)
                count += 1
            ticket.done.set()

    def redo(self, command: Command, session: Operated) -> None:
        """Carry out once more what was carried out before a restart; nobody waits for an answer."""
        self._carry_out(_Ticket(command), session)

    def _give_up(self, ticket: _Ticket, timeout_s: float) -> None:
        name = ticket.command.name
        with ticket.lock:
            if ticket.done.is_set():
                return
            ticket.is_withdrawn = not ticket.is_taken and (name in EASING or name is CommandName.STATUS)
        fate = "It was withdrawn." if ticket.is_withdrawn else "It stands, and is carried out when the session gets to it."
        raise RefusedCommand("timeout", f"the session did not answer '{name}' within {timeout_s:g} s. {fate}")

    def _carry_out(self, ticket: _Ticket, session: Operated) -> None:
        command = ticket.command
        unrecorded = self._record({"stage": "accepted", "command": command.to_dict()})
        if unrecorded is not None and command.name in EASING:
            ticket.refusal = RefusedCommand("failed", f"'{command.name}' could not be journalled: {unrecorded}")
            return
        try:
            ticket.answer = dict(getattr(session, command.name.value)(command))
        except FairleadError as exc:
            ticket.refusal = RefusedCommand("refused", str(exc))
        except Exception as exc:  # noqa: BLE001  a command that fails must not end the session
            ticket.refusal = RefusedCommand("failed", f"'{command.name}' failed: {type(exc).__name__}: {exc}")
        said = ticket.answer if ticket.refusal is None else {"code": ticket.refusal.code, "message": str(ticket.refusal)}
        ok = ticket.refusal is None
        late = self._record({"stage": "answered", "command": command.to_dict(), "ok": ok, "answer": said})
        if ok and (lost := unrecorded or late) is not None:
            ticket.answer = {**ticket.answer, "warning": f"carried out, but not journalled: {lost}"}

    def _record(self, record: Mapping[str, Any]) -> Exception | None:
        try:
            self._journal(record)
        except Exception as exc:  # noqa: BLE001  a full disk must not keep a session from being halted
            return exc
        return None
