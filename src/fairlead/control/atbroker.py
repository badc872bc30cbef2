"""The conductor of a session whose orders go to a broker: what happens between its bars, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fairlead.control.book import SessionBook
from fairlead.control.brokerport import SessionPort
from fairlead.control.brokerside import BrokerSide
from fairlead.control.commands import Command
from fairlead.control.conductor import Conductor
from fairlead.control.gauges import SessionGauges
from fairlead.control.mailbox import Mailbox
from fairlead.control.settings import ConductorSettings
from fairlead.core.time import NS_PER_SECOND
from fairlead.engine.attendance import SessionParts
from fairlead.execution.brokers.reports import BrokerReport
from fairlead.risk.monitors import KillLatch
from fairlead.telemetry.logs import Log

WIND_UP_S: Final = 30
"""How long a broker's word is waited for when a session ends, in seconds."""


class BrokerConductor(Conductor):
    """A conductor that hears a broker too. Parameters are those of `Conductor`, and where wishes leave.

    What the broker reports comes into the session as bars do, and is on its tape before anything follows from it.

    Attributes
    ----------
    broker : BrokerSide
    """

    def __init__(
        self,
        run_id: str,
        mode: str,
        book: SessionBook,
        latch: KillLatch,
        mailbox: Mailbox,
        log: Log,
        settings: ConductorSettings,
        gauges: SessionGauges | None = None,
        *,
        port: SessionPort,
    ) -> None:
        super().__init__(run_id, mode, book, latch, mailbox, log, settings, gauges)
        self.broker = BrokerSide(port, settings.reconciliation, self._reconciled, self._scribe, lambda: self._clock_ns)
        self._winding_ns = 0

    def begin(self, parts: SessionParts) -> None:
        """Take in the session, and what the broker told before it had any data."""
        super().begin(parts)
        for report in self.broker.begin(parts):
            self._hear(report)

    def instant(self, row: int) -> None:
        """As on paper; the broker is asked for its books now and then."""
        self.broker.books.instant()
        super().instant(row)

    def veto(self, strategy: str, *, only_reduces: bool) -> str | None:
        """Return why no order of a strategy may leave; what only reduces always may."""
        if not only_reduces and (refused := self.broker.veto()):
            return refused
        return super().veto(strategy, only_reduces=only_reduces)

    def idle(self) -> bool:
        """Do what is due between two events, and return whether the session is to end."""
        is_over = super().idle()
        if self._parts is not None and self._scribe.tick(self._is_due):
            self.ticked()
        return is_over or self.is_ending

    def resumed(self, facts: Mapping[str, Any]) -> None:
        """Forget what a restart mends: the way to the broker is made anew."""
        super().resumed(facts)
        self.broker.resumed()

    def caught_up(self, ts_ns: int) -> None:
        """Go on with what comes now; the broker is asked for what nobody was there to hear."""
        super().caught_up(ts_ns)
        self.broker.caught_up()

    def status(self, command: Command) -> Mapping[str, Any]:
        """Tell how things stand, at the broker too."""
        told = dict(super().status(command))
        if self._parts is not None:
            told |= {"broker": self.broker.veto() or "ok", "broker_books": self.broker.books.to_dict()}
        return told

    # What the broker tells, and what is due by the clock.

    def reported(self, report: BrokerReport) -> None:
        """Hear what the broker, or the way to it, tells."""
        self.settle()
        self._scribe.report(report)
        if self._parts is None:
            self.broker.hold(report)
        else:
            self._hear(report)

    def ticked(self) -> None:
        """Go on with what is due by the clock: at a broker things happen between two bars."""
        self.broker.venue.pass_time(self._acting_ns)
        self.broker.books.pass_time(self._clock_ns)
        self._close()

    def _is_due(self, now_ns: int) -> bool:
        if self._closings.is_under_way or self._winding_ns > 0:
            return True
        return self.broker.venue.is_due(max(now_ns, self._now)) or self.broker.books.is_due(now_ns)

    def _hear(self, report: BrokerReport) -> None:
        if self.broker.take(report):
            self._connection_failed(self._acting_ns)
        else:
            self._judge(self._day)
            self._close()

    # The end.

    def wind_up(self) -> None:
        """Take back what works at the broker: the session is about to be over."""
        parts = self._session
        self._winding_ns = self._clock_ns
        self._paused |= {runner.name for runner in parts.runners}
        for runner in parts.runners:
            parts.desk.cancel_all(runner.name, "end_of_run")

    def lingers(self) -> bool:
        """Whether something is waited for after the last bar: the broker's word on what was taken back, and its books."""
        if self._parts is None or self._is_over:
            return False
        if not self._winding_ns:
            self.settle()
            self._scribe.ending()
            self.wind_up()
        self.idle()
        works = self._parts.desk.execution.working
        waits = bool(works) or self.broker.books.is_last_awaited()
        if waits and self._clock_ns - self._winding_ns > WIND_UP_S * NS_PER_SECOND:
            self._alert(f"the broker has not answered within {WIND_UP_S} s: {', '.join(works) or 'its books'}")
            return False
        return waits

    @property
    def _clock_ns(self) -> int:
        # Not of the bars: those of a market that is practised on may be ahead of the clock that the broker's answers come by.
        now_ns = self._settings.now_ns
        return self._acting_ns if now_ns is None else now_ns()

    @property
    def _closing_ns(self) -> int:
        return self._clock_ns

    def _agrees(self) -> bool:
        return self.broker.books.agrees() and super()._agrees()

    def _differences(self) -> tuple[int, bool]:
        mismatches, is_strict = super()._differences()
        books = self.broker.books
        halts = (is_strict and bool(mismatches)) or (books.is_strict and bool(books.mismatches))
        return mismatches + books.mismatches, halts
