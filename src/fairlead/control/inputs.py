"""What comes into a session: on its tape before it has consequences, and taken in once more after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from fairlead.control.commands import Command, CommandName
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.live import FeedNotice, NoticeKind
from fairlead.data.live.gathering import Instant
from fairlead.execution.brokers.reports import BrokerReport
from fairlead.journal.tape import Input, Tape

INSTANT: Final = "instant"
NOTICE: Final = "notice"
COMMAND: Final = "command"
REPORT: Final = "report"
TICK: Final = "tick"
ENDING: Final = "ending"
RESUMED: Final = "resumed"
OVER: Final = "over"
FINISHED: Final = "finished"
RESUME: Final = "resume"
"""How the journal calls it that a session goes on."""
_SYNC_NS: Final = NS_PER_SECOND


class Retold(Protocol):
    """A session that takes in again what it took in before."""

    @property
    def is_ending(self) -> bool:
        """Whether it takes in nothing more."""
        ...

    def settle(self) -> None:
        """Write down what has happened since the last input."""

    def told(self, notice: FeedNotice) -> None:
        """Hear what the feed said of itself."""

    def carry_out(self, command: Command) -> None:
        """Carry out what an operator asked."""

    def reported(self, report: BrokerReport) -> None:
        """Hear what the broker, or the way to it, tells."""

    def ticked(self) -> None:
        """Go on with what is due by the clock."""

    def wind_up(self) -> None:
        """Take back what works at the broker: the session is about to be over."""

    def ended(self) -> None:
        """Take in nothing more: it was over before it could show what it did."""

    def left_behind(self) -> Mapping[str, Any]:
        """Return what came to be without this session, as plain data: at a restart it is an input like any other."""
        ...

    def resumed(self, facts: Mapping[str, Any]) -> None:
        """Begin anew with whatever a restart begins anew, and take in what was left behind."""

    def caught_up(self, ts_ns: int) -> None:
        """Go on with what comes now."""


class SessionInputs:
    """Writes what is taken on a tape, and gives what is on it already.

    Parameters
    ----------
    tape : Tape
    now_ns : callable
        The real time.
    began_ns : int
        When the session was begun.
    past : iterable of Input
        What the session took in before it was interrupted, without the header.
    """

    def __init__(self, tape: Tape, now_ns: Callable[[], int], began_ns: int, past: Iterable[Input] | None = None) -> None:
        self._tape = tape
        self._now_ns = now_ns
        self._past = past
        self.began_ns = self._stamp_ns = self._synced_ns = began_ns
        self._ticked_ns = 0
        self.is_past = past is not None
        """Whether it takes in again what it took in before."""
        self._is_over = False

    def acting_ns(self) -> int:
        """Return when the newest input was taken: the session's idea of now, the same when it is taken in again."""
        return self._stamp_ns

    @property
    def failure(self) -> str:
        """Why the tape takes nothing any more; empty as long as it does."""
        return self._tape.failure

    def instant(self, instant: Instant) -> None:
        """Take in the bars of an instant."""
        self._append(INSTANT, {"bars": [[column, *bar] for column, bar in instant.items()]})

    def notice(self, notice: FeedNotice) -> None:
        """Take in what the feed says of itself."""
        self._append(NOTICE, {"notice": list(notice)})

    def report(self, report: BrokerReport) -> None:
        """Take in what the broker, or the way to it, tells."""
        self._append(REPORT, report.to_dict())

    def is_tick_due(self, is_due: Callable[[int], bool]) -> bool:
        """Whether something is due by now, looked at once a second; the session's idea of now goes on then."""
        now_ns = self._now_ns()
        if self.is_past or abs(now_ns - self._ticked_ns) < _SYNC_NS:
            return False
        self._ticked_ns = now_ns
        if not is_due(now_ns):
            return False
        self._stamp_ns = now_ns
        return True

    def tick(self) -> None:
        """Take in that time has passed, where something is due by the clock."""
        self._append(TICK, {})

    def ending(self) -> None:
        """Take in that the session winds up."""
        self._append(ENDING, {})

    def noting(self, write: Callable[[int, Mapping[str, Any]], None]) -> Callable[[Mapping[str, Any]], None]:
        """Return what is told of every command: it takes in those that are accepted, and lets `write` journal all."""

        def note(record: Mapping[str, Any]) -> None:
            if record["stage"] == "accepted":
                self.command(record["command"])
            write(self._stamp_ns, record)

        return note

    def command(self, command: Mapping[str, Any]) -> None:
        """Take in what an operator asks; it is on the disk when this returns. A question changes nothing, and is not kept.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        if self.is_past:
            return
        self._stamp_ns = self._now_ns()
        if command["name"] != CommandName.STATUS and not self._is_over:
            self._tape.append(Input(COMMAND, self._stamp_ns, command))
            self._tape.sync()

    def secure(self) -> None:
        """Return when everything that was taken in is on the disk: to be called before anything that follows from it is.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        if not self.is_past:
            self._tape.sync()

    def give_up(self, reason: str) -> None:
        """Take nothing more onto the tape: the journal cannot follow."""
        self._tape.give_up(reason)

    def idle(self) -> None:
        """Put on the disk what nothing has followed from, when that is due.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        now_ns = self._now_ns()
        if now_ns - self._synced_ns >= _SYNC_NS and not self._tape.failure:
            self._synced_ns = now_ns
            self._tape.sync()

    def again(self, session: Retold) -> Iterator[Instant]:
        """Yield the instants of the past, and let the session hear what came between them; nothing if there is no past."""
        if self._past is None:
            return
        for taken in self._past:
            session.settle()
            self._stamp_ns = taken.ts_ns  # of the end too: what is judged then is judged at the same moment
            if taken.kind == OVER:
                session.ended()
            if session.is_ending:
                break
            if taken.kind == INSTANT:
                yield {int(column): Bar(*bar) for column, *bar in taken.data["bars"]}
            else:
                _tell(session, taken)
        session.settle()
        if not session.is_ending:  # of one that was over, the end itself is to come again
            self.go_on(session)

    def go_on(self, session: Retold) -> None:
        """Take in what comes now, if that has not begun yet."""
        if not self.is_past:
            return
        facts = session.left_behind()
        self._past, self.is_past = None, False
        self._append(RESUMED, facts)
        self._tape.sync()
        session.resumed(facts)
        session.caught_up(self._stamp_ns)

    def over(self) -> None:
        """Say that the session is over: what an operator asks from now on changes nothing in it."""
        self._append(OVER, {})
        self._is_over = True

    def finish(self) -> None:
        """Say that what the session has to show is kept: it is not to be gone on with."""
        self._append(FINISHED, {})
        self._is_over = True
        self._tape.sync()

    def close(self) -> None:
        """Let go of the tape."""
        self._tape.close()

    def _append(self, kind: str, data: Mapping[str, Any]) -> None:
        if self.is_past or self._is_over:
            return
        self._stamp_ns = self._now_ns()
        self._tape.append(Input(kind, self._stamp_ns, data))


def _tell(session: Retold, taken: Input) -> None:
    """Let a session hear of an input that brings no bars."""
    match taken.kind:
        case "notice":
            kind, known_ns, text = taken.data["notice"]
            session.told(FeedNotice(NoticeKind(kind), known_ns, text))
        case "command":
            session.carry_out(Command.of(taken.data))
        case "report":
            session.reported(BrokerReport.of(taken.data))
        case "tick":
            session.ticked()
        case "ending":
            session.wind_up()
        case "resumed":
            session.resumed(taken.data)
