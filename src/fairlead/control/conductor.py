"""The conductor of a session in real time: where journal, monitors, kill switches and operator meet its loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlead.control.book import SessionBook
from fairlead.control.brokerbooks import BrokerBooks
from fairlead.control.brokerside import BrokerSide
from fairlead.control.capital import change_capital
from fairlead.control.closing import Closings
from fairlead.control.commands import Command, RefusedCommand
from fairlead.control.feedword import FeedWord
from fairlead.control.gauges import SessionGauges
from fairlead.control.inputs import RESUME
from fairlead.control.limits import SessionLimits
from fairlead.control.mailbox import OVER, Mailbox
from fairlead.control.monitors import BookMonitors
from fairlead.control.reconciling import Reconciler, tell
from fairlead.control.scribe import Scribe
from fairlead.control.settings import ConductorSettings
from fairlead.control.standing import Standing, checkpoint_of, equity_of, held_by, measures_of
from fairlead.core.errors import ContractError
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND
from fairlead.data.live import FeedNotice, NoticeKind
from fairlead.data.live.gathering import Instant
from fairlead.engine.attendance import SessionParts
from fairlead.engine.reportline import ReportLine
from fairlead.engine.runner import StrategyRunner, describe_failure
from fairlead.execution.brokers.reports import BrokerReport
from fairlead.execution.reconciliation import Difference, Reconciliation
from fairlead.journal import entries
from fairlead.risk.guards import LimitScale
from fairlead.risk.monitors import (
    HaltAction,
    KillLatch,
    Level,
    Reading,
    SwitchId,
    Trip,
)
from fairlead.telemetry.logs import Log

CHECKPOINT_EVERY: Final = 1_000
"""Instants from one checkpoint to the next."""
WIND_UP_NS: Final = 30 * NS_PER_SECOND
"""How long a broker's word is waited for when a session ends."""
_FLATTEN: Final = HaltAction.HALT_AND_FLATTEN
Wishes = Sequence[OrderIntent | CancelIntent | ReplaceIntent]


class Conductor:
    """Attends a session, and is what an operator reaches of it.

    Parameters
    ----------
    run_id, mode : str
    book : SessionBook
    latch : KillLatch
    mailbox : Mailbox
        Served between events.
    log : Log
    settings : ConductorSettings
    gauges : SessionGauges, optional
        Shown what happens.

    Attributes
    ----------
    line : ReportLine
        The way that reports take from the venue to the desk.
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
    ) -> None:
        self.run_id, self.mode = run_id, mode
        self._gauges, self._latch, self._mailbox = gauges, latch, mailbox
        self._book, self._settings = book, settings
        self._scribe = Scribe(book, log, gauges)
        self._limits = SessionLimits(latch, settings.switches)
        self._monitors = BookMonitors(settings.switches, self._limits, self._scribe, gauges)
        self.line = ReportLine(settings.channel())
        self._reconciler = Reconciler(self.line, settings.reconciliation, self._reconciled)
        self.broker = (
            None
            if settings.broker is None
            else BrokerSide(settings.broker, settings.reconciliation, self._reconciled, self._scribe, lambda: self._acting_ns)
        )
        self._parts: SessionParts | None = None
        self._paused: set[str] = set()
        self._failed: set[str] = set()
        self._closings = Closings(settings.halt, self._alert)
        self._feed = FeedWord()
        self._stopping = self._stops_when_flat = self._is_over = False
        self._last_ns = settings.began_ns
        self._instants = 0
        self._is_behind = False
        self._winding_ns = 0

    # What the session tells.

    def begin(self, parts: SessionParts) -> None:
        """Take in the session; a halt that is latched holds from the first event on."""
        self._parts = parts
        self._book.follow(parts.desk)
        self._monitors.begin(parts.runners)
        names = [runner.name for runner in parts.runners]
        self._scribe.write(entries.session(self._now, "start", {"mode": self.mode, "strategies": names}))
        self._scribe.log.info("session_started", message=f"{len(names)} strategies", strategies=names)
        self._reconciler.begin(parts.desk, self._now)
        if self.broker is not None:
            for report in self.broker.begin(parts, self._settings.began_ns):
                self._hear_broker(report)

    def instant(self, row: int) -> None:
        """Journal what the market did to the orders, look at the kill switches, and go on with what is being closed."""
        parts = self._session
        self._reconciler.instant(parts, self._now)
        if self.broker is not None:
            self.broker.books.instant()
        # On the disk with the wishes that follow from it, or when the instant is over: a decision does not wait for that.
        self._scribe.collect(self._now, is_urgent=False)
        self._instants += 1
        self._is_behind = self._is_behind and self._acting_ns - self._now > self._settings.oldest_ns
        if self._instants % CHECKPOINT_EVERY == 0:
            self._scribe.write(entries.session(self._now, "checkpoint", checkpoint_of(parts, self._instants)))
        session = int(parts.cursor.block.session[row])
        self._monitors.mark(session)
        if self._gauges is not None:
            self._gauges.repeated(self.line.inlet.duplicates)
        self._judge(session)
        self._close()

    def wanted(self, runner: StrategyRunner, intents: Wishes) -> Wishes:
        """Journal what a strategy wants, durably, and let it through unless the strategy is paused."""
        try:
            self._scribe.wishes(self._now, runner.name, intents)
        except ContractError as exc:
            # What cannot be written down cannot be durable, so none of it leaves.
            runner.halt(exc)
            return ()
        if runner.name in self._paused:
            return [intent for intent in intents if isinstance(intent, CancelIntent)]
        return intents

    def acted(self, runner: StrategyRunner) -> None:
        """Leave what came of a decision to `instant` and `idle`, which journal it."""

    def veto(self, strategy: str, *, only_reduces: bool) -> str | None:
        """Return why no order of a strategy may leave; what only reduces always may."""
        if only_reduces:
            return None
        if self._scribe.broken:
            return f"the journal takes nothing: {self._scribe.broken}"
        if self._is_behind:
            age_s = (self._acting_ns - self._now) / NS_PER_SECOND
            return f"this bar is {age_s:.0f} s old: what was missed is only caught up on"
        if self._feed.problem:
            return f"market data is not to be relied on: {self._feed.problem}"
        if self.broker is not None and (refused := self.broker.veto()):
            return refused
        if unknown := self._monitors.unknown(strategy):
            return f"kill switches cannot be measured: {', '.join(unknown)}"
        is_scaled = self._parts is not None and self._parts.desk.scales_limits
        return self._latch.refusal(only_reduces=False, now_ns=self._acting_ns, strategy=strategy, is_scaled=is_scaled)

    def scale(self, strategy: str) -> LimitScale:
        """Return what limits are multiplied with: they grow back after a re-arm, and a drawdown halves one of them."""
        return self._limits.scale(strategy, self._acting_ns)

    def end(self) -> None:
        """Journal how the session ended, and whether its books were the venue's then."""
        self._scribe.over()
        self._reconciler.end(self._session.desk, self._now)
        self._scribe.collect(self._now)
        self._judge(self._day)
        self._tell_failures()
        self._scribe.write(entries.session(self._now, "stop", {"equity": equity_of(self._session)}))
        self._scribe.go_on(self)
        self._scribe.log.info("session_ended", message="the session is over")

    def over(self) -> None:
        """Answer what still waits, and nothing after it: whatever ended the loop, a halt that was asked for is latched."""
        self._last_ns, self._parts, self._is_over = self._now, None, True
        self._mailbox.end(self)
        self._latch.save()

    def gave_up(self) -> None:
        """Hear that no data comes: without any, there is nothing to be gone on with."""
        if self._parts is None:
            self._scribe.finish()

    @property
    def stopped_before_data(self) -> bool:
        """Whether an operator ended it before it had any."""
        return self._stopping and self._parts is None and not self._is_over

    def idle(self) -> bool:
        """Do what is due between two events, and return whether the session is to end."""
        self.settle()
        self._scribe.idle()
        if self._settings.market is not None and (change := self._settings.market.change()):
            self._scribe.log.info(change, message=self._settings.market.text)
        self._latch.save()
        self._mailbox.serve(self)
        self._go_on_by_the_clock()
        if self._gauges is not None:
            self._gauges.alive(
                kill_latch="trading is halted" if self._latch.is_latched() else None,
                data_fresh=self._feed.problem or None,
                state_loaded=None if self._parts is not None else "no data yet",
            )
        return self._stopping

    def settle(self) -> None:
        """Journal what has happened since the last input: before the next one, so that a restart finds it as it was."""
        if self._parts is not None:
            self._scribe.collect(self._now)

    @property
    def is_ending(self) -> bool:
        """Whether nothing more is taken in."""
        return self._stopping

    def carry_out(self, command: Command) -> None:
        """Do again what an operator asked."""
        self._mailbox.redo(command, self)

    def ended(self) -> None:
        """Take in nothing more."""
        self._stopping = True

    def left_behind(self) -> Mapping[str, Any]:
        """Return the halts that the latch holds and that this session has not come by."""
        return {"trips": [trip.to_dict() for trip in self._latch.foreign]}

    def resumed(self, facts: Mapping[str, Any]) -> None:
        """Forget what a restart mends, the feed's troubles and the journal's, and hold what was halted meanwhile."""
        self._latch.take_over(Trip.of(held) for held in facts["trips"])
        self._feed = FeedWord()
        self._scribe.mend()
        self._is_behind = self._settings.oldest_ns > 0
        self._reconciler.reconnected()
        if self.broker is not None:
            self.broker.resumed()

    def caught_up(self, ts_ns: int) -> None:
        """Go on with what comes now."""
        facts = self._scribe.caught_up()
        self._latch.catch_up()
        self._scribe.write(entries.session(ts_ns, RESUME, facts))
        self._scribe.log.info("session_resumed", message="all that was decided before has come again", **facts)
        if self.broker is not None:
            self.broker.caught_up()

    def taken(self, instant: Instant) -> None:
        """Put the bars of an instant on the tape, before anything follows from them."""
        self.settle()
        self._scribe.instant(instant)

    def told(self, notice: FeedNotice) -> None:
        """Hear what the feed says of itself: while its data is stale or gone, nothing takes on more risk."""
        self.settle()
        self._scribe.notice(notice)
        if self._gauges is not None:
            self._gauges.noticed(notice)
        level = self._scribe.log.info if self._feed.hear(notice) else self._scribe.log.warning
        level("feed_notice", message=notice.text or notice.kind.value, kind=notice.kind.value)
        if self._parts is not None:
            self._scribe.write(entries.note(notice.known_ns, f"feed {notice.kind.value}: {notice.text}"))
        if notice.kind is NoticeKind.DISCONNECTED:
            self._connection_failed(notice.known_ns)
        elif notice.kind is NoticeKind.CONNECTED:
            self._reconciler.reconnected()

    # What the broker tells.

    def reported(self, report: BrokerReport) -> None:
        """Hear what the broker, or the way to it, tells."""
        self.settle()
        self._scribe.report(report)
        if self.broker is not None and self._parts is None:
            self.broker.hold(report)
        else:
            self._hear_broker(report)

    def _hear_broker(self, report: BrokerReport) -> None:
        broker = self.broker
        if broker is None:
            return
        if broker.take(report):
            self._connection_failed(self._acting_ns)
        else:
            self._judge(self._day)
            self._close()

    def _go_on_by_the_clock(self) -> None:
        """Go on with what is being closed: at a broker things happen between two bars."""
        if self.broker is None or self._parts is None or not (self._closings.is_under_way or self._winding_ns):
            return
        before = self._acting_ns
        self._scribe.tick()
        if self._acting_ns > before:
            self.ticked()

    def ticked(self) -> None:
        """Go on with what is due by the clock."""
        self._close()

    def wind_up(self) -> None:
        """Take back what works at the broker: the session is about to be over."""
        parts = self._session
        self._winding_ns = self._acting_ns
        self._paused |= {runner.name for runner in parts.runners}
        for runner in parts.runners:
            parts.desk.cancel_all(runner.name, "end_of_run")

    def lingers(self) -> bool:
        """Whether something is waited for after the last bar: the broker's word on what was taken back, and its books."""
        broker = self.broker
        if broker is None or self._parts is None or self._is_over:
            return False
        if not self._winding_ns:
            self.settle()
            self._scribe.ending()
            self.wind_up()
        self.idle()
        works = bool(self._parts.desk.execution.working)
        waits = works or broker.books.is_last_awaited()
        if waits and self._acting_ns - self._winding_ns > WIND_UP_NS:
            left = ", ".join(self._parts.desk.execution.working) or "its books"
            self._alert(f"the broker has not answered within {WIND_UP_NS // NS_PER_SECOND} s: {left}")
            return False
        return waits

    # What an operator asks.

    def status(self, command: Command) -> Mapping[str, Any]:  # noqa: ARG002  the seam's signature
        """Tell how things stand."""
        told = {"run_id": self.run_id, "mode": self.mode, **self._standing.to_dict()}
        if self._parts is not None:
            told |= {"feed": self._feed.problem or "ok", "journal": self._scribe.broken or "ok"}
            if self._settings.market is not None:
                told["market"] = self._settings.market.text
            told |= self._limits.describe([runner.name for runner in self._session.runners], self._acting_ns)
            told |= {"reconciliation": self._reconciler.to_dict()}
            if self.broker is not None:
                told |= {"broker": self.broker.veto() or "ok", "broker_books": self.broker.books.to_dict()}
        return told

    def pause(self, command: Command) -> Mapping[str, Any]:
        """Let strategies decide nothing more."""
        chosen = self._chosen(command)
        self._paused |= chosen
        return {"paused": sorted(self._paused)}

    def resume(self, command: Command) -> Mapping[str, Any]:
        """Let paused strategies decide again."""
        self._paused -= self._chosen(command)
        return {"paused": sorted(self._paused)}

    def stop(self, command: Command) -> Mapping[str, Any]:
        """End the session, at once or when everything is closed."""
        if command.args.get("flatten") and (self._parts is not None or self._is_over):
            self._paused |= {runner.name for runner in self._session.runners}
            self._begin_closing(_FLATTEN)
            self._stops_when_flat = True
            self._close()
        else:
            self._stopping = True
        return {"state": self._standing.state}

    def flatten(self, command: Command) -> Mapping[str, Any]:
        """Cancel what works, close every position, and pause the strategies."""
        self._paused |= self._chosen(command)
        self._begin_closing(_FLATTEN)
        self._close()
        return {"paused": sorted(self._paused), "positions": sum(len(held_by(r)) for r in self._session.runners)}

    def halt(self, command: Command) -> Mapping[str, Any]:
        """Trip the manual kill switch."""
        action = _FLATTEN if command.args.get("flatten") else HaltAction.HALT_AND_INVESTIGATE
        reading = Reading(
            switch=SwitchId.KS_MANUAL, level=Level.CRITICAL, measured=None, warning=None, critical=None, action=action
        )
        self._trip(reading, self._day, reason=f"{command.who}: {command.why}")
        self._close()
        return {"state": self._standing.state, "halted_by": [trip.switch for trip in self._latch.trips]}

    def rearm(self, command: Command) -> Mapping[str, Any]:
        """Lift a halt, if the books are the broker's."""
        name = command.strategy
        now_ns = self._acting_ns
        agrees = self._reconciler.agrees(None if self._parts is None else self._parts.desk, self._now)
        if self.broker is not None:
            agrees = self.broker.books.agrees() and agrees
        self._scribe.secure()
        self._latch.rearm(
            who=command.who, reason=command.why, now_ns=now_ns, session=self._day, is_reconciled=agrees, strategy=name
        )
        self._monitors.rearm(name)
        if not name and self._parts is not None:
            self._parts.desk.rearm()
        payload = {"who": command.who, "why": command.why}
        self._scribe.write(entries.switch(now_ns, "latch", "armed", payload, strategy=name))
        return {"state": self._standing.state}

    def set_capital(self, command: Command) -> Mapping[str, Any]:
        """Pay in, or take out, what leads to another capital of a strategy."""
        parts, chosen = self._session, self._chosen(command)
        (runner,) = [runner for runner in parts.runners if runner.name in chosen]
        change = change_capital(parts.funding, self._latch, runner, command.args["amount"])
        if change.paid:
            self._monitors.cash_flow(runner.name, change.paid)
            self._scribe.write(change.entry(self._acting_ns, command))
            self._scribe.log.info("capital_changed", message=f"{change.before:g} to {change.after:g}", strategy=runner.name)
        return change.to_dict()

    # What follows from both.

    @property
    def _session(self) -> SessionParts:
        if self._is_over:
            raise RefusedCommand("refused", OVER)
        if self._parts is None:
            raise RefusedCommand("refused", "the session waits for its first data.")
        return self._parts

    @property
    def _now(self) -> int:
        return self._last_ns if self._parts is None else self._parts.cursor.known_ns

    @property
    def _acting_ns(self) -> int:
        now_ns = self._settings.now_ns
        return self._now if now_ns is None else max(now_ns(), self._now)

    @property
    def _closing_ns(self) -> int:
        # A broker acts between two bars, a simulated venue on them.
        return self._now if self.broker is None else self._acting_ns

    @property
    def _day(self) -> int:
        # Where nothing is traded the date stands for the session, which a daily halt must outlast.
        today = self._acting_ns // NS_PER_DAY
        if self._parts is None:
            return today
        cursor = self._parts.cursor
        session = int(cursor.block.session[cursor.row])
        return session if self._settings.now_ns is None else max(session, today)

    @property
    def _standing(self) -> Standing:
        return Standing(
            parts=self._parts,
            latch=self._latch,
            paused=self._paused,
            is_stopping=self._stopping or self._stops_when_flat,
            is_over=self._is_over,
        )

    def _chosen(self, command: Command) -> set[str]:
        names = {runner.name for runner in self._session.runners}
        if not command.strategy:
            return names
        if command.strategy not in names:
            raise RefusedCommand("refused", f"no strategy named {command.strategy!r}. Known: {', '.join(sorted(names))}.")
        return {command.strategy}

    def _judge(self, session: int) -> None:
        books: list[Reconciler | BrokerBooks] = [self._reconciler, *([] if self.broker is None else [self.broker.books])]
        mismatches = sum(book.mismatches for book in books)
        is_strict = any(book.is_strict for book in books if book.mismatches)
        for reading in self._monitors.judge(self._now, mismatches, is_strict=is_strict):
            self._trip(reading, session)

    def _trip(self, reading: Reading, session: int, reason: str = "") -> None:
        now_ns = self._acting_ns
        self._scribe.secure()
        trip = self._latch.trip(reading, now_ns=now_ns, session=max(session, self._day), reason=reason)
        if trip is None:
            return
        if self._gauges is not None:
            self._gauges.tripped(trip.switch)
        payload = {**measures_of(reading), "action": trip.action.value, "reason": trip.reason}
        self._scribe.write(entries.switch(now_ns, trip.switch, "tripped", payload, strategy=trip.strategy))
        self._scribe.log.critical("kill_switch_tripped", message=trip.reason, strategy=trip.strategy)
        self._begin_closing(trip.action, trip.strategy)

    def _connection_failed(self, failed_ns: int) -> None:
        # On paper the feed is all that there is to be connected to. No bar may come any more: it is judged now.
        self._monitors.connection_failed(failed_ns)
        if self._parts is not None:
            self._judge(self._day)
            self._close()

    def _reconciled(self, found: Reconciliation, fresh: Sequence[Difference]) -> None:
        tell(found, fresh, self._scribe.write, self._scribe.log, self._gauges)

    def _begin_closing(self, action: HaltAction, strategy: str = "") -> None:
        parts = self._parts
        if parts is None:
            return  # nothing is held or works yet, and what is latched stays so
        self._closings.begin(action, self._closing_ns, [r for r in parts.runners if strategy in {"", r.name}], parts.desk)

    def _close(self) -> None:
        if self._closings.step(self._closing_ns) and self._stops_when_flat:
            self._stopping = True

    def _tell_failures(self) -> None:
        for runner in self._session.runners:
            if runner.error is not None and runner.name not in self._failed:
                self._failed.add(runner.name)
                if self._gauges is not None:
                    self._gauges.failed("strategy")
                text = describe_failure(runner.error, runner.strategy)
                self._scribe.write(entries.note(self._now, f"strategy failed: {text}", strategy=runner.name))
                self._scribe.log.error("strategy_failed", message=text, strategy=runner.name)

    def _alert(self, text: str) -> None:
        self._scribe.write(entries.note(self._now, text))
        self._scribe.log.critical("halt", message=text)
