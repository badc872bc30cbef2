"""Who writes down what happens in a session, and remembers when nothing can be written any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fairlead.control.book import SessionBook
from fairlead.control.gauges import SessionGauges
from fairlead.control.inputs import Retold, SessionInputs
from fairlead.core.errors import StorageError
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.data.live import FeedNotice
from fairlead.data.live.gathering import Instant
from fairlead.execution.brokers.reports import BrokerReport
from fairlead.journal import Entry
from fairlead.telemetry.logs import SILENT, Log


class Scribe:
    """Writes to tape, journal and log; what the disk refuses ends the record, and not the session.

    Parameters
    ----------
    book : SessionBook
    log : Log
    gauges : SessionGauges, optional

    Attributes
    ----------
    broken : str
        Why nothing can be written any more; empty as long as it can.
    """

    def __init__(self, book: SessionBook, log: Log, gauges: SessionGauges | None) -> None:
        self.broken = ""
        self._book, self._log, self._gauges = book, log, gauges
        self._inputs = book.inputs

    @property
    def log(self) -> Log:
        """The session's log. What comes again after a restart has been told once."""
        return SILENT if self._inputs is not None and self._inputs.is_past else self._log

    def collect(self, ts_ns: int, *, is_urgent: bool = True) -> None:
        """Journal what has happened to orders; if it is not urgent, before anything follows from it that leaves."""
        self._try(lambda: self._book.collect(ts_ns, is_urgent=is_urgent))

    def wishes(self, ts_ns: int, strategy: str, intents: Sequence[OrderIntent | CancelIntent | ReplaceIntent]) -> None:
        """Journal what a strategy wants, durably.

        Raises
        ------
        ContractError
            If it cannot be written down.
        """
        self._try(lambda: self._book.wishes(ts_ns, strategy, intents))

    def write(self, entry: Entry) -> None:
        """Journal anything else."""
        self._try(lambda: self._book.write(entry))

    def secure(self) -> None:
        """Put on the disk what was taken in, before something follows from it that is not in the journal."""
        self._try(self._book.secure)

    def instant(self, instant: Instant) -> None:
        """Put the bars of an instant on the tape."""
        self._take(lambda inputs: inputs.instant(instant))

    def notice(self, notice: FeedNotice) -> None:
        """Put what the feed says of itself on the tape."""
        self._take(lambda inputs: inputs.notice(notice))

    def report(self, report: BrokerReport) -> None:
        """Put what the broker tells on the tape."""
        self._take(lambda inputs: inputs.report(report))

    def tick(self, is_due: Callable[[int], bool]) -> bool:
        """Put on the tape that time has passed, if something is due by it, and return whether."""
        if self._inputs is None or not self._inputs.is_tick_due(is_due):
            return False
        self._take(SessionInputs.tick)
        return True

    def ending(self) -> None:
        """Put on the tape that the session winds up."""
        self._take(SessionInputs.ending)

    @property
    def is_past(self) -> bool:
        """Whether what was taken in before is gone through once more."""
        return self._inputs is not None and self._inputs.is_past

    def idle(self) -> None:
        """Put on the disk what nothing has followed from, when that is due."""
        self._take(SessionInputs.idle)

    def over(self) -> None:
        """Note that the session is over."""
        self._take(SessionInputs.over)

    def go_on(self, session: Retold) -> None:
        """Let what comes now be written down, if all so far has been written down before."""
        self._take(lambda inputs: inputs.go_on(session))

    def finish(self) -> None:
        """Note that there is nothing to be gone on with."""
        self._take(SessionInputs.finish)

    def caught_up(self) -> dict[str, Any]:
        """Write down everything from now on; return what came of going through the journal once more, if that was done.

        Raises
        ------
        Diverged
            If the journal holds more than has come again.
        """
        retraced = self._book.caught_up()
        return {} if retraced is None else dict(retraced.to_dict())

    def mend(self) -> None:
        """Try again after a restart."""
        self.broken = ""

    def _take(self, put: Callable[[SessionInputs], None]) -> None:
        inputs = self._inputs
        if inputs is not None and not inputs.failure:
            self._try(lambda: put(inputs))

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StorageError as exc:
            if self._inputs is not None and self._inputs.is_past:
                raise  # it could not go on from there: what is gone through once more has to be whole
            self._broke(exc)

    def _broke(self, exc: StorageError) -> None:
        if self.broken:
            return
        self.broken = str(exc)
        if self._inputs is not None:
            self._inputs.give_up(self.broken)
        if self._gauges is not None:
            self._gauges.failed("journal")
        self.log.critical("journal_failed", message=self.broken)
