"""A session in real time: a backtest's, on a feed, with journal, kill switches and an operator, on paper or at a broker."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from fairlead.backtest.result import Result
from fairlead.backtest.run import run_backtest
from fairlead.config.feeding import queue_of
from fairlead.config.live import RealtimeClockSettings
from fairlead.config.livebroker import SessionBroker
from fairlead.config.restarting import (
    Circumstances,
    Interrupted,
    begin_inputs,
    find_interrupted,
    finish_inputs,
    resume_inputs,
    traces_of,
)
from fairlead.config.running import RunningFeed, in_turn
from fairlead.config.wire import WiredSession
from fairlead.contracts.locking import held_alone
from fairlead.control import SESSIONS, Command, CommandName, ControlServer, Mailbox, RefusedCommand
from fairlead.control.atbroker import BrokerConductor
from fairlead.control.book import SessionBook
from fairlead.control.brokerport import BrokerThread
from fairlead.control.conductor import Conductor
from fairlead.control.gauges import SessionGauges
from fairlead.control.hours import MarketHours
from fairlead.control.inputs import SessionInputs
from fairlead.control.settings import ConductorSettings
from fairlead.control.stopwatch import Stopwatch, TimedAttendant
from fairlead.core.errors import ConfigurationError, FairleadError, StorageError
from fairlead.core.identity import slug
from fairlead.core.time import date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live import LiveDataSettings, LiveFeed
from fairlead.data.live.age import oldest_ns
from fairlead.data.live.recorded import RECORDING
from fairlead.data.live.source import FeedFacts
from fairlead.engine.reportline import Channel, StraightChannel
from fairlead.engine.session import Progress
from fairlead.journal import Journal
from fairlead.risk.monitors import KillLatch, KillSwitchSettings
from fairlead.telemetry.logs import Logs, LogSettings

LATCH: Final = "latch.json"
LOG: Final = "session.log"
_SYSTEM: Final = "the system"
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class RealtimeSession:
    """A session on paper or at a broker that can be run once.

    Attributes
    ----------
    wired : WiredSession
        Its source has the feed's facts; what comes through the feed replaces it.
    facts : FeedFacts
    feed : callable
        Opens the feed.
    is_replay : bool
        Whether history is played again.
    channel : callable
        Opens what carries the venue's reports.
    broker : SessionBroker, optional
        Where its orders go; None for the simulated venue.
    """

    wired: WiredSession
    facts: FeedFacts
    feed: Callable[[], LiveFeed]
    is_replay: bool
    channel: Callable[[], Channel] = StraightChannel
    broker: SessionBroker | None = None

    @property
    def mode(self) -> Literal["paper", "live"]:
        """Whether real money may move; a broker's paper trading is paper."""
        return "live" if self.wired.loaded.settings.mode == "live" else "paper"

    @property
    def _begins_with(self) -> str:
        return f"{self.mode}_{'sim' if self.broker is None else slug(self.broker.account)}"

    @property
    def workspace(self) -> Path:
        """Where results go."""
        return self.wired.workspace

    def run_id(self, now: dt.datetime) -> str:
        """Return ``paper_sim_{session_date}_{strategies}``, or ``live_{account}_...`` (domain rule 1.6)."""
        return f"{self._begins_with}_{now:%Y-%m-%d}_{slug(self.wired.title)}"

    def folder(self, run_id: str) -> Path:
        """Return where the session keeps its journal, latch, log and door."""
        return self.workspace / SESSIONS / run_id

    def latch(self, run_id: str) -> Path:
        """Return where it is kept what halts trading: for sessions on live data, one place for all that have this title.

        A halt is lifted by an operator, and not by starting another session on another day.
        """
        if self.is_replay:
            return self.folder(run_id) / LATCH
        return self.workspace / SESSIONS / f"{slug(self.wired.title)}.{LATCH}"

    @property
    def _circumstances(self) -> Circumstances:
        loaded = self.wired.loaded
        return Circumstances.of(loaded.hash, self.facts, loaded.settings.journal)

    @property
    def _named(self) -> re.Pattern[str]:
        return re.compile(rf"{re.escape(self._begins_with)}_\d{{4}}-\d{{2}}-\d{{2}}_{re.escape(slug(self.wired.title))}(_\d+)?")

    def _has_run(self, run_id: str) -> bool:
        if self.is_replay:
            return traces_of(self.folder(run_id))
        return any(traces_of(path) for path in (self.workspace / SESSIONS).glob("*") if self._named.fullmatch(path.name))

    def interrupted(self) -> Interrupted | None:
        """Return the newest session of this title, if it was interrupted and can be gone on with.

        Raises
        ------
        ConfigurationError
            If it was, and had another configuration or history.
        StorageError
            If what it took in is damaged.
        """
        found = find_interrupted(self.workspace, self._named)
        if found is not None:
            found.check(self._circumstances)
        return found

    def run(
        self,
        run_id: str,
        *,
        now: dt.datetime,
        now_ns: Callable[[], int],
        command: str = "",
        progress: Progress | None = None,
        metrics_port: int | None = None,
        serving: Callable[[str], None] = lambda _url: None,
        stop_asked: Callable[[], str] = lambda: "",
        failed: Callable[[FairleadError], None] | None = None,
        before: Interrupted | None = None,
    ) -> Result:
        """Run the session to the end of its feed, or until an operator stops it.

        Parameters
        ----------
        run_id : str
        now : datetime
            When it begins.
        now_ns : callable
            The real time.
        command : str
            What made the run.
        progress : callable, optional
            Told how many instants have passed.
        metrics_port : int, optional
            Where ``/metrics``, ``/health`` and ``/ready`` are served on this machine, 0 for any free port; None for nowhere.
        serving : callable
            Told the address.
        stop_asked : callable
            Asked between events why this process is to end, a signal's name say, and the session with it; empty if it is not.
        before : Interrupted, optional
            The session of this name that is gone on with; `now` is when that one began.
        failed : callable, optional
            Told what ended the feed before its time, once there is a result; without it that is raised, and the result is lost.

        Raises
        ------
        ConfigurationError
            If a session of this name, or on live data of this title, runs already.
        FairleadError
            If it was stopped before it had any data.
        StorageError
            If journal, tape or latch cannot be opened, or took nothing from some point on: what was done then is on no record.
        Diverged
            If the session that is gone on with does something else than it did.
        DataError
            If the feed fails before its time.
        """
        folder, settings = self.folder(run_id), self.wired.loaded.settings
        armed = settings.armed
        switches = KillSwitchSettings() if armed is None else armed.kill_switches
        with ExitStack() as stack:
            self._take_place(stack, run_id)
            # Before the journal: where there is one, there must be a latch.
            latch = KillLatch(
                self.latch(run_id),
                switches,
                now_ns=now_ns(),
                session=date_to_day(now.date()),
                is_expected=self._has_run(run_id),
            )
            home = self.workspace if settings.journal.url else folder
            journal = stack.enter_context(Journal.open(settings.journal, run_id, home))
            logs = stack.enter_context(Logs(LogSettings(path=folder / LOG, console="off"), now_ns, self.wired.loaded.secrets))
            log = logs.logger("session", run_id=run_id, mode=self.mode)
            gauges = SessionGauges(self.wired.loaded.secrets) if metrics_port is not None else None
            if gauges is not None and metrics_port is not None:
                serving(stack.enter_context(gauges.endpoints(metrics_port)).url)
            inputs = self._inputs(run_id, now, now_ns, latch, journal, before)
            stack.callback(inputs.close)
            kept = journal if before is None else before.retraced(journal)
            metrics = None if gauges is None else gauges.metrics
            timed_ns = None if self.is_replay else now_ns
            stopwatch = Stopwatch(metrics, timed_ns, waits_for_answers=self.broker is not None)
            stack.callback(lambda: log.info("session_latency", message="in seconds", **stopwatch.report()))
            book = SessionBook(kept, stopwatch.heard if gauges is None else in_turn(stopwatch.heard, gauges.heard), inputs)
            mailbox = Mailbox(inputs.noting(book.command))
            held = self._held_to(inputs, now_ns)
            queue = queue_of(settings.data)
            parts = (run_id, self.mode, book, latch, mailbox, log, held, gauges)
            broker = None if self.broker is None else self.broker.opened(queue, now_ns, inputs, stopwatch.sent, stack)
            conductor = Conductor(*parts) if broker is None else BrokerConductor(*parts, port=broker)
            open_venue = conductor.broker.open_venue if isinstance(conductor, BrokerConductor) else None
            stack.enter_context(ControlServer(folder, mailbox, lambda told: log.warning("command_refused", **told)))
            stack.callback(conductor.over)

            def idle() -> bool:
                if why := stop_asked():
                    with suppress(RefusedCommand):  # too many wait: it is asked again
                        mailbox.leave(Command(name=CommandName.STOP, who=_SYSTEM, why=why))
                return conductor.idle()

            running = RunningFeed(
                facts=self.facts,
                feed=self.feed(),
                queue=queue,
                is_shared=broker is not None,
                data=settings.data,
                history=self.wired.source if self.is_replay else None,
                folder=folder / RECORDING,
                log=log,
                now_ns=now_ns,
                conductor=conductor,
                stopwatch=stopwatch,
                idle=idle,
                past=inputs.again(conductor),
                since_ns=None if before is None else self._since_ns(before),
                failed=failed,
            )
            if broker is not None and self.broker is not None:
                broker.start()
                _wait_for(broker, self.broker.settings.start_s, stop_asked)
            source = stack.enter_context(running.opened())
            plan = replace(self.wired.plan(run_id), source=source, venue=open_venue)
            result = run_backtest(
                plan,
                title=self.wired.title,
                config=self.wired.loaded.effective,
                created_at=now,
                hashed=self.wired.loaded.hash,
                command=command,
                mode=self.mode,
                progress=progress,
                attendant=TimedAttendant(conductor, stopwatch),
            )
            if inputs.failure:
                remedy = "Mend that and give the same command again: it goes on from where its record ends."
                raise StorageError(f"the session could not be written down to its end: {inputs.failure} {remedy}")
            return result

    def _held_to(self, inputs: SessionInputs, now_ns: Callable[[], int]) -> ConductorSettings:
        settings = self.wired.loaded.settings
        held = ConductorSettings(
            began_ns=inputs.began_ns,
            now_ns=None if self.is_replay else inputs.acting_ns,
            channel=self.channel,
            reconciliation=settings.reconciliation,
            oldest_ns=_oldest_ns(settings.data),
        )
        if isinstance(settings.clock, RealtimeClockSettings) and settings.clock.hours == "market":
            held = replace(held, market=MarketHours(ExchangeCalendar.get(self.facts.calendar), now_ns))
        if settings.armed is not None:
            held = replace(held, switches=settings.armed.kill_switches, halt=settings.armed.halt)
        return held

    def finish(self, run_id: str, now_ns: int) -> None:
        """Say that what a session has to show is kept, so that nobody goes on with it.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        finish_inputs(self.folder(run_id), now_ns)

    def _since_ns(self, before: Interrupted) -> int | None:
        """Return the instant after which the feed is asked for what was missed."""
        if not before.last_instant_ns:
            return None
        # What is stamped with the end of a bar is part of the next, where bars are made.
        return before.last_instant_ns - (1 if self.facts.aggregate is not None else 0)

    def _inputs(
        self,
        run_id: str,
        now: dt.datetime,
        now_ns: Callable[[], int],
        latch: KillLatch,
        journal: Journal,
        before: Interrupted | None,
    ) -> SessionInputs:
        if before is None:
            return begin_inputs(self.folder(run_id), now_ns, now, latch.state, journal, self._circumstances)
        latch.go_back(before.latch)
        return resume_inputs(before, now_ns)

    def _take_place(self, stack: ExitStack, run_id: str) -> None:
        """Refuse a second session beside the same latch: each would overwrite what the other has halted."""
        latch = self.latch(run_id)
        if not stack.enter_context(held_alone(latch.with_name(f"{latch.name}.lock"))):
            name = run_id if self.is_replay else self.wired.title
            remedy = "Stop it first (fairlead session ls), or give this one another name."
            raise ConfigurationError(f"a session named {name!r} runs already in {self.workspace}. {remedy}")


def _oldest_ns(data: object) -> int:
    return oldest_ns(data.bar_size, data.max_age_s) if isinstance(data, LiveDataSettings) else 0


def _wait_for(broker: BrokerThread, seconds: float, stop_asked: Callable[[], str]) -> None:
    """Wait until the broker was reached: what is decided before could not leave."""
    for _ in range(math.ceil(seconds / _LOOK_S)):
        if broker.wait(_LOOK_S) or stop_asked():
            return
