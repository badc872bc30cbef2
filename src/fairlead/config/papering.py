"""A configuration wired for paper: the session of a backtest, on a feed, with journal, kill switches and an operator."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from fairlead.backtest.result import Result
from fairlead.backtest.run import run_backtest
from fairlead.config.announced import announced_actions
from fairlead.config.keeping import Keeper
from fairlead.config.loading import LoadedConfig
from fairlead.config.wire import WiredSession, opened, wire_on
from fairlead.contracts.locking import held_alone
from fairlead.contracts.workspace import workspace_folder
from fairlead.control import SESSIONS, Command, CommandName, ControlServer, Mailbox, RefusedCommand
from fairlead.control.book import SessionBook
from fairlead.control.conductor import Conductor, ConductorSettings
from fairlead.control.gauges import SessionGauges
from fairlead.control.stopwatch import Stopwatch, TimedAttendant
from fairlead.core.errors import ConfigurationError, DataError, FairleadError
from fairlead.core.identity import slug
from fairlead.core.time import date_to_day
from fairlead.data.live import (
    EventQueue,
    FeedThread,
    LiveDataSettings,
    LiveFeed,
    Received,
    ReplayDataSettings,
    ReplayFeed,
    SessionRecorder,
    open_feed,
)
from fairlead.data.live.counts import feed_counts
from fairlead.data.live.opening import as_history
from fairlead.data.live.source import GRACE_S, FeedFacts, FeedSource
from fairlead.data.source import DataSource
from fairlead.engine.clock import ClockSettings
from fairlead.engine.session import Progress
from fairlead.journal import Journal, JournalSettings
from fairlead.risk.monitors import KillLatch, KillSwitchSettings
from fairlead.telemetry.logs import Log, Logs, LogSettings

JOURNAL: Final = "journal.db"
LATCH: Final = "latch.json"
LOG: Final = "session.log"
RECORDING: Final = "recording"
_MODE: Final = "paper"
_SYSTEM: Final = "the system"
HeardT = TypeVar("HeardT")


@dataclass(frozen=True, slots=True)
class PaperSession:
    """A session on paper that can be run once.

    Attributes
    ----------
    wired : WiredSession
        Its source has the feed's facts; what comes through the feed replaces it.
    facts : FeedFacts
    feed : callable
        Opens the feed.
    is_replay : bool
        Whether history is played again.
    """

    wired: WiredSession
    facts: FeedFacts
    feed: Callable[[], LiveFeed]
    is_replay: bool

    @property
    def workspace(self) -> Path:
        """Where results go."""
        return self.wired.workspace

    def run_id(self, now: dt.datetime) -> str:
        """Return ``paper_sim_{session_date}_{strategies}`` (domain rule 1.6)."""
        return f"{_MODE}_sim_{now:%Y-%m-%d}_{slug(self.wired.title)}"

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

    def _has_run(self, run_id: str) -> bool:
        if self.is_replay:
            return (self.folder(run_id) / JOURNAL).exists()
        name = re.compile(rf"{_MODE}_sim_\d{{4}}-\d{{2}}-\d{{2}}_{re.escape(slug(self.wired.title))}(_\d+)?")
        return any(name.fullmatch(path.parent.name) for path in (self.workspace / SESSIONS).glob(f"*/{JOURNAL}"))

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
        failed : callable, optional
            Told what ended the feed before its time, once there is a result; without it that is raised, and the result is lost.

        Raises
        ------
        ConfigurationError
            If a session of this name, or on live data of this title, runs already.
        FairleadError
            If it was stopped before it had any data.
        StorageError
            If journal or latch cannot be opened.
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
            journal = stack.enter_context(Journal.open(JournalSettings(url=str(folder / JOURNAL)), run_id, folder))
            logs = stack.enter_context(Logs(LogSettings(path=folder / LOG, console="off"), now_ns, self.wired.loaded.secrets))
            log = logs.logger("session", run_id=run_id, mode=_MODE)
            gauges = SessionGauges(self.wired.loaded.secrets) if metrics_port is not None else None
            if gauges is not None and metrics_port is not None:
                serving(stack.enter_context(gauges.endpoints(metrics_port)).url)
            stopwatch = Stopwatch(None if gauges is None else gauges.metrics, None if self.is_replay else now_ns)
            stack.callback(lambda: log.info("session_latency", message="in seconds", **stopwatch.report()))
            book = SessionBook(journal, stopwatch.heard if gauges is None else _in_turn(stopwatch.heard, gauges.heard))
            mailbox = Mailbox(lambda record: book.command(now_ns(), record))
            held = ConductorSettings(began_ns=now_ns(), now_ns=None if self.is_replay else now_ns)
            if armed is not None:
                held = replace(held, switches=armed.kill_switches, halt=armed.halt)
            conductor = Conductor(run_id, _MODE, book, latch, mailbox, log, held, gauges)
            stack.enter_context(ControlServer(folder, mailbox, lambda told: log.warning("command_refused", **told)))
            stack.callback(conductor.over)

            def idle() -> bool:
                if why := stop_asked():
                    with suppress(RefusedCommand):  # too many wait: it is asked again
                        mailbox.leave(Command(name=CommandName.STOP, who=_SYSTEM, why=why))
                return conductor.idle()

            source = stack.enter_context(self._running(conductor, stopwatch, idle, folder, log, now_ns, failed))
            plan = replace(self.wired.plan(run_id), source=source)
            return run_backtest(
                plan,
                title=self.wired.title,
                config=self.wired.loaded.effective,
                created_at=now,
                hashed=self.wired.loaded.hash,
                command=command,
                mode="paper",
                progress=progress,
                attendant=TimedAttendant(conductor, stopwatch),
            )

    def _take_place(self, stack: ExitStack, run_id: str) -> None:
        """Refuse a second session beside the same latch: each would overwrite what the other has halted."""
        latch = self.latch(run_id)
        if not stack.enter_context(held_alone(latch.with_name(f"{latch.name}.lock"))):
            name = run_id if self.is_replay else self.wired.title
            remedy = "Stop it first (fairlead session ls), or give this one another name."
            raise ConfigurationError(f"a session named {name!r} runs already in {self.workspace}. {remedy}")

    @contextmanager
    def _running(
        self,
        conductor: Conductor,
        stopwatch: Stopwatch,
        idle: Callable[[], bool],
        folder: Path,
        log: Log,
        now_ns: Callable[[], int],
        failed: Callable[[FairleadError], None] | None,
    ) -> Iterator[FeedSource]:
        queue = self._queue()
        feed = self.feed()
        thread = FeedThread([(feed, self.facts.symbols)], queue)
        with self._keeping(folder / RECORDING, log, now_ns) as keeper:

            def between() -> bool:
                stopwatch.idle()
                if keeper is not None:
                    keeper.idle()
                return idle()

            source = FeedSource(
                self.facts,
                queue,
                history=self.wired.source if self.is_replay else None,
                # Of stored bars none is lost, and one that is played late still belongs to its instant.
                grace_s=math.inf if self.is_replay else GRACE_S,
                idle=between,
                told=conductor.told,
                seen=stopwatch.seen if keeper is None else _in_turn(stopwatch.seen, keeper.take),
            )
            thread.start()
            try:
                yield source
            except DataError:
                # A session without a bar says so; why there was none is what the feed or an operator says.
                thread.stop()
                if thread.error is not None:
                    raise thread.error from None
                if conductor.stopped_before_data:
                    raise FairleadError("the session was stopped before it had any data; there is no run to write.") from None
                raise
            except BaseException:
                thread.stop()
                raise
        log.info("feed_counts", message="what came and what became of it", **feed_counts(feed, queue, source))
        if (error := _end_of(thread)) is not None:
            log.error("feed_failed", message=str(error))
            if failed is None:
                raise error
            failed(error)

    def _queue(self) -> EventQueue[Received]:
        data = self.wired.loaded.settings.data
        if isinstance(data, LiveDataSettings):
            return EventQueue(data.queue_size, conflate=data.conflate_quotes)
        return EventQueue(conflate=False)

    @contextmanager
    def _keeping(self, folder: Path, log: Log, now_ns: Callable[[], int]) -> Iterator[Keeper | None]:
        data = self.wired.loaded.settings.data
        if not (isinstance(data, LiveDataSettings) and data.record):
            yield None
            return
        recorder = SessionRecorder(folder, bar_size=self.facts.bar_size, calendar=self.facts.calendar)
        keeper = Keeper(recorder, log, now_ns)
        try:
            yield keeper
        finally:
            keeper.close()


def _in_turn(*hearers: Callable[[HeardT], None]) -> Callable[[HeardT], None]:
    def hear(heard: HeardT) -> None:
        for tell in hearers:
            tell(heard)

    return hear


def _end_of(thread: FeedThread) -> FairleadError | None:
    """Stop a feed whose session is over, and return what went wrong with it: it has cost data, and must not cost the result."""
    try:
        thread.stop()
    except DataError as exc:
        return exc
    error = thread.error
    if error is None or isinstance(error, FairleadError):
        return error
    return DataError(f"the feed failed: {type(error).__name__}: {error}.")


def wire_paper(
    loaded: LoadedConfig, environ: Mapping[str, str], now_ns: Callable[[], int], workspace: Path | str | None = None
) -> PaperSession:
    """Find the feed that a configuration asks for, and check that its strategies can run on it.

    Parameters
    ----------
    loaded : LoadedConfig
        Of mode paper.
    environ : mapping of str to str
    now_ns : callable
        The clock that stamps what a live feed brings.
    workspace : path, optional

    Raises
    ------
    ConfigurationError
        If the mode is another, or data and strategies do not fit; the text names file and line.
    """
    settings = loaded.settings
    folder = workspace_folder(environ, workspace if workspace is not None else settings.workspace)
    data, clock = settings.data, settings.clock
    if settings.mode != _MODE:
        remedy = "Or turn it into one: -o mode=paper -o data.type=replay."
        raise loaded.problem(("mode",), ConfigurationError.of("mode", "be paper here", settings.mode, remedy))
    if settings.armed is not None and settings.armed.kill_switches.graded_drawdown.enabled:
        text = "limits are not scaled on paper yet, so graded_drawdown would halve nothing. Leave it out."
        raise loaded.problem(("risk", "kill_switches", "graded_drawdown", "enabled"), ConfigurationError(text))
    if isinstance(data, LiveDataSettings):
        if data.aggregate is not None:
            text = "bars cannot be made of what a feed brings on paper yet. Leave it out, and ask the feed for bars."
            raise loaded.problem(("data", "aggregate"), ConfigurationError(text))
        symbols = tuple(sorted(data.symbols))
        actions = announced_actions(loaded, data, symbols)
        facts = FeedFacts(name=data.feed, symbols=symbols, bar_size=data.bar_size, calendar=data.calendar, actions=actions)
        wired = wire_on(loaded, FeedSource(facts, EventQueue()), folder)
        return PaperSession(wired, facts, lambda: open_feed(data, now_ns=now_ns), is_replay=False)
    if not (isinstance(data, ReplayDataSettings) and isinstance(clock, ClockSettings)):
        raise loaded.problem(("data", "type"), ConfigurationError.of("data.type", "be replay or live", data.type))
    if data.recording is not None:
        raise loaded.problem(("data", "recording"), ConfigurationError("recorded sessions cannot be replayed on paper yet."))
    source = opened(loaded, as_history(data), clock, folder)
    return PaperSession(
        wire_on(loaded, source, folder), FeedFacts.of(source), lambda: _replay(source, data, clock), is_replay=True
    )


def _replay(source: DataSource, data: ReplayDataSettings, clock: ClockSettings) -> LiveFeed:
    return ReplayFeed.of_source(source, speed=clock.speed, jitter_s=data.jitter_s, seed=data.jitter_seed)
