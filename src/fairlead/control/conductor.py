"""The conductor of a session in real time: where journal, monitors, kill switches and operator meet its loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fairlead.control.book import SessionBook
from fairlead.control.closing import Closing
from fairlead.control.commands import Command, RefusedCommand
from fairlead.control.feedword import FeedWord
from fairlead.control.gauges import SessionGauges
from fairlead.control.mailbox import OVER, Mailbox
from fairlead.control.standing import Standing, equity_of, held_by, measures_of
from fairlead.core.errors import ContractError, StorageError
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.time import NS_PER_DAY
from fairlead.data.live import FeedNotice
from fairlead.engine.attendance import SessionParts
from fairlead.engine.runner import StrategyRunner, describe_failure
from fairlead.journal import entries
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
from fairlead.telemetry.logs import Log

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
    """

    switches: KillSwitchSettings | None = None
    halt: HaltSettings = field(default_factory=HaltSettings)
    began_ns: int = 0
    now_ns: Callable[[], int] | None = None


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
        self._gauges = gauges
        self._book, self._latch, self._mailbox, self._log = book, latch, mailbox, log
        self._settings = settings
        self._parts: SessionParts | None = None
        self._watches: dict[str, EquityWatch] = {}
        self._levels: dict[tuple[SwitchId, str], Level] = {}
        self._paused: set[str] = set()
        self._failed: set[str] = set()
        self._closings: list[Closing] = []
        self._halts = 0
        self._feed = FeedWord()
        self._broken = ""
        self._stopping = self._stops_when_flat = self._is_over = False
        self._last_ns = settings.began_ns

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
        names = [runner.name for runner in runners]
        self._write(entries.session(self._now, "start", {"mode": self.mode, "strategies": names}))
        self._log.info("session_started", message=f"{len(names)} strategies", strategies=names)

    def instant(self, row: int) -> None:
        """Journal what the market did to the orders, look at the kill switches, and go on with what is being closed."""
        parts = self._session
        self._collect()
        session = int(parts.cursor.block.session[row])
        self._mark(session)
        self._judge(session)
        self._close()

    def wanted(self, runner: StrategyRunner, intents: Wishes) -> Wishes:
        """Journal what a strategy wants, durably, and let it through unless the strategy is paused."""
        try:
            self._book.wishes(self._now, runner.name, intents)
        except StorageError as exc:
            self._break(exc)
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
        if self._broken:
            return f"the journal takes nothing: {self._broken}"
        if self._feed.problem:
            return f"market data is not to be relied on: {self._feed.problem}"
        unknown = [
            name.value for (name, whose), level in self._levels.items() if level is Level.UNKNOWN and whose in {"", strategy}
        ]
        if unknown:
            return f"kill switches cannot be measured: {', '.join(unknown)}"
        return self._latch.refusal(only_reduces=False, now_ns=self._acting_ns, strategy=strategy)

    def end(self) -> None:
        """Journal how the session ended."""
        self._collect()
        self._tell_failures()
        self._write(entries.session(self._now, "stop", {"equity": equity_of(self._session)}))
        self._log.info("session_ended", message="the session is over")

    def over(self) -> None:
        """Answer what still waits, and nothing after it: whatever ended the loop, a halt that was asked for is latched."""
        self._last_ns, self._parts, self._is_over = self._now, None, True
        self._mailbox.end(self)
        self._latch.save()

    @property
    def stopped_before_data(self) -> bool:
        """Whether an operator ended it before it had any."""
        return self._stopping and self._parts is None and not self._is_over

    def idle(self) -> bool:
        """Do what is due between two events, and return whether the session is to end."""
        if self._parts is not None:
            self._collect()
        self._latch.save()
        self._mailbox.serve(self)
        if self._gauges is not None:
            self._gauges.alive(
                kill_latch="trading is halted" if self._latch.is_latched() else None,
                data_fresh=self._feed.problem or None,
                state_loaded=None if self._parts is not None else "no data yet",
            )
        return self._stopping

    def told(self, notice: FeedNotice) -> None:
        """Hear what the feed says of itself: while its data is stale or gone, nothing takes on more risk."""
        if self._gauges is not None:
            self._gauges.noticed(notice)
        level = self._log.info if self._feed.hear(notice) else self._log.warning
        level("feed_notice", message=notice.text or notice.kind.value, kind=notice.kind.value)
        if self._parts is not None:
            self._write(entries.note(notice.known_ns, f"feed {notice.kind.value}: {notice.text}"))

    # What an operator asks.

    def status(self, command: Command) -> Mapping[str, Any]:  # noqa: ARG002  the seam's signature
        """Tell how things stand."""
        told = {"run_id": self.run_id, "mode": self.mode, **self._standing.to_dict()}
        if self._parts is not None:
            told |= {"feed": self._feed.problem or "ok", "journal": self._broken or "ok"}
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
        """Lift a halt; at a simulated venue the books are the broker's."""
        name = command.strategy
        now_ns = self._acting_ns
        self._latch.rearm(
            who=command.who, reason=command.why, now_ns=now_ns, session=self._day, is_reconciled=True, strategy=name
        )
        if name in self._watches:
            self._watches[name].rearm()
        if not name and self._parts is not None:
            self._parts.desk.rearm()
        payload = {"who": command.who, "why": command.why}
        self._write(entries.switch(now_ns, "latch", "armed", payload, strategy=name))
        return {"state": self._standing.state}

    def set_capital(self, command: Command) -> Mapping[str, Any]:
        """Refuse: what a strategy has is what its run began with."""
        raise RefusedCommand("refused", f"the capital of {command.strategy} cannot be changed while this session runs.")

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
            start = self._watches[""].view(self._now).session_start_equity
            self._gauges.marked(self._session.runners, start)

    def _judge(self, session: int) -> None:
        switches = self._settings.switches
        if switches is None:
            return
        readings = [r for watch in self._watches.values() for r in evaluate(watch.view(self._now), switches)]
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
        trip = self._latch.trip(reading, now_ns=now_ns, session=max(session, self._day), reason=reason)
        if trip is None:
            return
        if self._gauges is not None:
            self._gauges.tripped(trip.switch)
        payload = {**measures_of(reading), "action": trip.action.value, "reason": trip.reason}
        self._write(entries.switch(now_ns, trip.switch, "tripped", payload, strategy=trip.strategy))
        self._log.critical("kill_switch_tripped", message=trip.reason, strategy=trip.strategy)
        self._begin_closing(trip.action, trip.strategy)

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
                if self._gauges is not None:
                    self._gauges.failed("strategy")
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
            self._break(exc)

    def _write(self, entry: Any) -> None:
        try:
            self._book.write(entry)
        except StorageError as exc:
            self._break(exc)

    def _break(self, exc: StorageError) -> None:
        if not self._broken:
            self._broken = str(exc)
            if self._gauges is not None:
                self._gauges.failed("journal")
            self._log.critical("journal_failed", message=self._broken)
