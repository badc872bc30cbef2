"""The conductor of a session in real time: where journal, monitors, kill switches and operator meet its loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fairlead.control.book import SessionBook
from fairlead.control.capital import change_capital
from fairlead.control.closing import Closing
from fairlead.control.commands import Command, RefusedCommand
from fairlead.control.feedword import FeedWord
from fairlead.control.gauges import SessionGauges
from fairlead.control.inputs import RESUME, SessionInputs
from fairlead.control.limits import SessionLimits
from fairlead.control.mailbox import OVER, Mailbox
from fairlead.control.reconciling import Reconciler, tell
from fairlead.control.standing import Standing, checkpoint_of, equity_of, held_by, measures_of
from fairlead.core.errors import ContractError, StorageError
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND
from fairlead.data.live import FeedNotice, NoticeKind
from fairlead.data.live.gathering import Instant
from fairlead.engine.attendance import SessionParts
from fairlead.engine.reportline import Channel, ReportLine, StraightChannel
from fairlead.engine.runner import StrategyRunner, describe_failure
from fairlead.execution.reconciliation import Difference, Reconciliation, ReconciliationSettings
from fairlead.journal import entries
from fairlead.risk.guards import LimitScale
from fairlead.risk.monitors import (
    EquityWatch,
    HaltAction,
    HaltSettings,
    KillLatch,
    KillSwitchSettings,
    Level,
    Reading,
    SwitchId,
    critical,
    evaluate,
)
from fairlead.telemetry.logs import SILENT, Log

CHECKPOINT_EVERY: Final = 1_000
"""Instants from one checkpoint to the next."""
_FLATTEN: Final = HaltAction.HALT_AND_FLATTEN
Wishes = Sequence[OrderIntent | CancelIntent | ReplaceIntent]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductorSettings:
    """What a conductor holds to.

    Parameters
    ----------
    switches : KillSwitchSettings, optional
        None: only an operator halts.
    halt : HaltSettings
    began_ns : int
        When the session was started: the time until its first data.
    now_ns : callable, optional
        The real time, where data comes as it happens: halts, locks and cool-offs run on it, as they run on when no bar comes.
        None where history is played again: they run on its bars then.
    oldest_ns : int
        How old a bar may be, by real time, after a restart for more risk to be taken on it; 0: as old as it will.
    reconciliation : ReconciliationSettings
    channel : callable
        Opens what carries the venue's reports.
    """

    switches: KillSwitchSettings | None = None
    halt: HaltSettings = field(default_factory=HaltSettings)
    began_ns: int = 0
    now_ns: Callable[[], int] | None = None
    oldest_ns: int = 0
    reconciliation: ReconciliationSettings = field(default_factory=ReconciliationSettings)
    channel: Callable[[], Channel] = StraightChannel


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
        self._gauges, self._inputs = gauges, book.inputs
        self._book, self._latch, self._mailbox, self._said = book, latch, mailbox, log
        self._settings = settings
        self.line = ReportLine(settings.channel())
        self._reconciler = Reconciler(self.line, settings.reconciliation, self._reconciled)
        self._parts: SessionParts | None = None
        self._watches: dict[str, EquityWatch] = {}
        self._levels: dict[tuple[SwitchId, str], Level] = {}
        self._limits = SessionLimits(latch, settings.switches)
        self._paused: set[str] = set()
        self._failed: set[str] = set()
        self._closings: list[Closing] = []
        self._halts = 0
        self._feed = FeedWord()
        self._failures: list[int] = []
        self._broken = ""
        self._stopping = self._stops_when_flat = self._is_over = False
        self._last_ns = settings.began_ns
        self._instants = 0
        self._is_behind = False

    # What the session tells.

    def begin(self, parts: SessionParts) -> None:
        """Take in the session; a halt that is latched holds from the first event on."""
        self._parts = parts
        self._book.follow(parts.desk)
        runners = parts.runners
        self._watches[""] = EquityWatch(sum(runner.ledger.initial_cash for runner in runners))
        switches = self._settings.switches
        for runner in runners:
            if switches is not None and runner.name in switches.watched_strategies:
                self._watches[runner.name] = EquityWatch(runner.ledger.initial_cash, runner.name)
        for failed_ns in self._failures:
            self._watches[""].connection_failed(failed_ns)
        names = [runner.name for runner in runners]
        self._write(entries.session(self._now, "start", {"mode": self.mode, "strategies": names}))
        self._log.info("session_started", message=f"{len(names)} strategies", strategies=names)
        self._reconciler.begin(parts.desk, self._now)

    def instant(self, row: int) -> None:
        """Journal what the market did to the orders, look at the kill switches, and go on with what is being closed."""
        parts = self._session
        self._reconciler.instant(parts, self._now)
        self._collect()
        self._instants += 1
        self._is_behind = self._is_behind and self._acting_ns - self._now > self._settings.oldest_ns
        if self._instants % CHECKPOINT_EVERY == 0:
            self._write(entries.session(self._now, "checkpoint", checkpoint_of(parts, self._instants)))
        session = int(parts.cursor.block.session[row])
        self._mark(session)
        self._judge(session)
        self._close()

    def wanted(self, runner: StrategyRunner, intents: Wishes) -> Wishes:
        """Journal what a strategy wants, durably, and let it through unless the strategy is paused."""
        try:
            self._book.wishes(self._now, runner.name, intents)
        except StorageError as exc:
            self.broke(exc)
        except ContractError as exc:
            # What cannot be written down cannot be durable, so none of it leaves.
            runner.halt(exc)
            return ()
        if runner.name in self._paused:
            return [intent for intent in intents if isinstance(intent, CancelIntent)]
        return intents

    def veto(self, strategy: str, *, only_reduces: bool) -> str | None:
        """Return why no order of a strategy may leave; what only reduces always may."""
        if only_reduces:
            return None
        if self._broken:
            return f"the journal takes nothing: {self._broken}"
        if self._is_behind:
            age_s = (self._acting_ns - self._now) / NS_PER_SECOND
            return f"this bar is {age_s:.0f} s old: what was missed is only caught up on"
        if self._feed.problem:
            return f"market data is not to be relied on: {self._feed.problem}"
        unknown = [
            name.value for (name, whose), level in self._levels.items() if level is Level.UNKNOWN and whose in {"", strategy}
        ]
        if unknown:
            return f"kill switches cannot be measured: {', '.join(unknown)}"
        is_scaled = self._parts is not None and self._parts.desk.scales_limits
        return self._latch.refusal(only_reduces=False, now_ns=self._acting_ns, strategy=strategy, is_scaled=is_scaled)

    def scale(self, strategy: str) -> LimitScale:
        """Return what limits are multiplied with: they grow back after a re-arm, and a drawdown halves one of them."""
        return self._limits.scale(strategy, self._acting_ns)

    def end(self) -> None:
        """Journal how the session ended, and whether its books were the venue's then."""
        self._take(SessionInputs.over)
        self._reconciler.end(self._session.desk, self._now)
        self._collect()
        self._judge(self._day)
        self._tell_failures()
        self._write(entries.session(self._now, "stop", {"equity": equity_of(self._session)}))
        self._take(lambda inputs: inputs.go_on(self))
        self._log.info("session_ended", message="the session is over")

    def over(self) -> None:
        """Answer what still waits, and nothing after it: whatever ended the loop, a halt that was asked for is latched."""
        self._last_ns, self._parts, self._is_over = self._now, None, True
        self._mailbox.end(self)
        self._latch.save()

    def gave_up(self) -> None:
        """Hear that no data comes: without any, there is nothing to be gone on with."""
        if self._parts is None:
            self._take(SessionInputs.finish)

    @property
    def stopped_before_data(self) -> bool:
        """Whether an operator ended it before it had any."""
        return self._stopping and self._parts is None and not self._is_over

    def idle(self) -> bool:
        """Do what is due between two events, and return whether the session is to end."""
        self.settle()
        self._take(SessionInputs.idle)
        self._latch.save()
        self._mailbox.serve(self)
        if self._gauges is not None:
            self._gauges.heartbeat.beat()
            self._gauges.readiness.report("kill_latch", "trading is halted" if self._latch.is_latched() else None)
            self._gauges.readiness.report("data_fresh", self._feed.problem or None)
            self._gauges.readiness.report("state_loaded", None if self._parts is not None else "no data yet")
        return self._stopping

    def settle(self) -> None:
        """Journal what has happened since the last input."""
        if self._parts is not None:
            self._collect()

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

    def resumed(self) -> None:
        """Forget what a restart mends: the feed's troubles and the journal's."""
        self._feed, self._broken = FeedWord(), ""
        self._is_behind = self._settings.oldest_ns > 0
        self._reconciler.reconnected()

    def caught_up(self, ts_ns: int) -> None:
        """Go on with what comes now."""
        self.resumed()
        retraced = self._book.caught_up()
        self._latch.catch_up()
        facts = {} if retraced is None else retraced.to_dict()
        self._write(entries.session(ts_ns, RESUME, facts))
        self._log.info("session_resumed", message="all that was decided before has come again", **facts)

    def taken(self, instant: Instant) -> None:
        """Put the bars of an instant on the tape, before anything follows from them."""
        self._take(lambda inputs: inputs.instant(instant))

    def told(self, notice: FeedNotice) -> None:
        """Hear what the feed says of itself: while its data is stale or gone, nothing takes on more risk."""
        self._take(lambda inputs: inputs.notice(notice))
        level = self._log.info if self._feed.hear(notice) else self._log.warning
        level("feed_notice", message=notice.text or notice.kind.value, kind=notice.kind.value)
        if self._parts is not None:
            self._write(entries.note(notice.known_ns, f"feed {notice.kind.value}: {notice.text}"))
        if notice.kind is NoticeKind.DISCONNECTED:
            self._connection_failed(notice.known_ns)
        elif notice.kind is NoticeKind.CONNECTED:
            self._reconciler.reconnected()

    # What an operator asks.

    def status(self, command: Command) -> Mapping[str, Any]:  # noqa: ARG002  the seam's signature
        """Tell how things stand."""
        told = {"run_id": self.run_id, "mode": self.mode, **self._standing.to_dict()}
        if self._parts is not None:
            told |= {"feed": self._feed.problem or "ok", "journal": self._broken or "ok"}
            told |= self._limits.describe([runner.name for runner in self._session.runners], self._acting_ns)
            told |= {"reconciliation": self._reconciler.to_dict()}
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
        self._secure()
        self._latch.rearm(
            who=command.who, reason=command.why, now_ns=now_ns, session=self._day, is_reconciled=agrees, strategy=name
        )
        if name in self._watches:
            self._watches[name].rearm()
        if not name and self._parts is not None:
            self._parts.desk.rearm()
        payload = {"who": command.who, "why": command.why}
        self._write(entries.switch(now_ns, "latch", "armed", payload, strategy=name))
        return {"state": self._standing.state}

    def set_capital(self, command: Command) -> Mapping[str, Any]:
        """Pay in, or take out, what leads to another capital of a strategy."""
        parts, chosen = self._session, self._chosen(command)
        (runner,) = [runner for runner in parts.runners if runner.name in chosen]
        change = change_capital(parts.funding, self._latch, runner, command.args["amount"])
        if change.paid:
            for name in {"", runner.name} & self._watches.keys():
                self._watches[name].cash_flow(change.paid)
            if self._gauges is not None:
                self._gauges.cash_flow(change.paid)
            self._write(change.entry(self._acting_ns, command))
            self._log.info("capital_changed", message=f"{change.before:g} to {change.after:g}", strategy=runner.name)
        return change.to_dict()

    # What follows from both.

    @property
    def _log(self) -> Log:
        # What comes again has been told once.
        return SILENT if self._inputs is not None and self._inputs.is_past else self._said

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

    def _mark(self, session: int) -> None:
        for name, watch in self._watches.items():
            books = [r.ledger for r in self._session.runners if name in {"", r.name}]
            watch.mark(session, sum(book.equity for book in books))
        if self._gauges is not None:
            self._gauges.marked(self._session.runners, self._watches[""].session_start)
            self._gauges.repeated(self.line.inlet.duplicates)

    def _judge(self, session: int) -> None:
        switches = self._settings.switches
        if switches is None:
            return
        books = self._reconciler
        views = [w.view(self._now, mismatches=books.mismatches, is_strict=books.is_strict) for w in self._watches.values()]
        for entry in self._limits.judge(views, self._now):
            self._write(entry)
        readings = [reading for view in views for reading in evaluate(view, switches)]
        for reading in readings:
            self._note_level(reading)
            if self._gauges is not None:
                self._gauges.judged(reading)
        for reading in critical(readings):
            self._trip(reading, session)

    def _note_level(self, reading: Reading) -> None:
        key = (reading.switch, reading.strategy)
        before, self._levels[key] = self._levels.get(key, Level.OK), reading.level
        if reading.level in {before, Level.OK}:
            return
        self._write(entries.switch(self._now, reading.switch.value, reading.level.value.lower(), measures_of(reading)))
        self._log.warning("kill_switch_level", message=reading.text, strategy=reading.strategy)

    def _trip(self, reading: Reading, session: int, reason: str = "") -> None:
        now_ns = self._acting_ns
        self._secure()
        trip = self._latch.trip(reading, now_ns=now_ns, session=max(session, self._day), reason=reason)
        if trip is None:
            return
        if self._gauges is not None:
            self._gauges.tripped(trip.switch)
        payload = {**measures_of(reading), "action": trip.action.value, "reason": trip.reason}
        self._write(entries.switch(now_ns, trip.switch, "tripped", payload, strategy=trip.strategy))
        self._log.critical("kill_switch_tripped", message=trip.reason, strategy=trip.strategy)
        self._begin_closing(trip.action, trip.strategy)

    def _connection_failed(self, failed_ns: int) -> None:
        # On paper the feed is all that there is to be connected to. No bar may come any more: it is judged now.
        if self._parts is None:
            self._failures.append(failed_ns)
            return
        self._watches[""].connection_failed(failed_ns)
        self._judge(self._day)
        self._close()

    def _reconciled(self, found: Reconciliation, fresh: Sequence[Difference]) -> None:
        tell(found, fresh, self._write, self._log, self._gauges)

    def _begin_closing(self, action: HaltAction, strategy: str = "") -> None:
        parts = self._parts
        if parts is None:
            return  # nothing is held or works yet, and what is latched stays so
        self._halts += 1
        for runner in parts.runners:
            if strategy in {"", runner.name}:
                halt_id = f"halt-{self._now}-{self._halts}-{runner.name}"
                self._closings.append(Closing(halt_id, action, self._now, runner, parts.desk, self._alert, self._settings.halt))

    def _close(self) -> None:
        for closing in self._closings:
            closing.step(self._now)
        self._closings = [closing for closing in self._closings if not closing.is_over]
        if self._stops_when_flat and not self._closings:
            self._stopping = True

    def _tell_failures(self) -> None:
        for runner in self._session.runners:
            if runner.error is not None and runner.name not in self._failed:
                self._failed.add(runner.name)
                text = describe_failure(runner.error, runner.strategy)
                self._write(entries.note(self._now, f"strategy failed: {text}", strategy=runner.name))
                self._log.error("strategy_failed", message=text, strategy=runner.name)

    def _alert(self, text: str) -> None:
        self._write(entries.note(self._now, text))
        self._log.critical("halt", message=text)

    def _collect(self) -> None:
        try:
            self._book.collect(self._now)
        except StorageError as exc:
            self.broke(exc)

    def _write(self, entry: Any) -> None:
        try:
            self._book.write(entry)
        except StorageError as exc:
            self.broke(exc)

    def _take(self, put: Callable[[SessionInputs], None]) -> None:
        if self._inputs is None or self._inputs.failure:
            return
        try:
            put(self._inputs)
        except StorageError as exc:
            self.broke(exc)

    def _secure(self) -> None:
        try:
            self._book.secure()
        except StorageError as exc:
            self.broke(exc)

    def broke(self, exc: StorageError) -> None:
        """Take on no more risk: nothing can be written down any more."""
        if not self._broken:
            self._broken = str(exc)
            if self._inputs is not None:
                self._inputs.give_up(self._broken)
            self._log.critical("journal_failed", message=self._broken)
