"""A paper session that a test drives: bars one by one, strategies that do as they are told, and its real control socket."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import queue
import shutil
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fairlead.backtest.result import Result
from fairlead.config.papering import wire_paper
from fairlead.config.realtime import LATCH, RealtimeSession
from fairlead.control import ControlClient
from fairlead.control.inputs import INSTANT
from fairlead.core.errors import FairleadError
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND
from fairlead.data.live import FeedNotice, NoticeKind, Received
from fairlead.data.live.feed import FeedBook, FeedState, MarketEvent
from fairlead.journal import Record, open_store, verify
from fairlead.journal.settings import FILE
from fairlead.sdk import OrderIntent, Strategy, parameter
from support_feeds import OPEN_NS
from support_paper import NOW, loaded

RUN = "paper_sim_2024-06-03_operated"
WAIT_S = 20.0
GUARDS = "disabled: [G1, G2, G3, G4, G5, G6, G7, G8, G9, G10, G11, G12]"
CONFIG = """\
mode: paper
name: operated
clock: {{type: realtime}}
data: {{type: live, feed: by_hand, symbols: [{symbols}], bar_size: 1min, calendar: 24/7, record: {record}}}
execution: {{slippage: {{model: none}}, commission: {{model: none}}, latency: {{mean_ms: 0, std_ms: 0}}, account: {account}}}
risk:
  guards: {{{guards}}}
  kill_switches: {switches}
reconciliation: {reconciliation}
report: {{html: false, plots: false}}
strategies:
"""
PLANNED = "  - {{name: {name}, capital: 100_000, strategy: 'support_operated:Planned', params: {{key: {name}}}}}\n"
ENTRY = "  - {{name: {name}, capital: 100_000, strategy: 'support_operated:Told', params: {{key: {name}}}}}\n"


class Told(Strategy):
    """Wants what a test told it to, once."""

    key: str = parameter("alpha", doc="Which of them it is.")
    wishes: ClassVar[dict[str, Any]] = {}

    def generate_orders(self, context):
        wanted = self.wishes.pop(self.key, [])
        return wanted(context) if callable(wanted) else wanted


class Planned(Strategy):
    """Wants what is planned for a minute, for it alone or for all, in every life of a session."""

    key: str = parameter("alpha", doc="Which of them it is.")
    plan: ClassVar[dict[int | tuple[str, int], Any]] = {}

    def on_market_event(self, event, context):
        self.minute = (event.label_ns - OPEN_NS) // NS_PER_MINUTE

    def generate_orders(self, context):
        wanted = self.plan.get((self.key, self.minute)) or self.plan.get(self.minute, [])
        return wanted(context) if callable(wanted) else wanted


class HandFeed:
    """A feed whose events come when a test says so."""

    def __init__(self) -> None:
        self._book = FeedBook()
        self._waiting: asyncio.Queue[Received | Exception | None] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.connected = threading.Event()

    @property
    def state(self) -> FeedState:
        return self._book.snapshot()

    async def connect(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.connected.set()

    async def subscribe(self, symbols: Sequence[str], since_ns: int | None = None) -> None:
        self.since_ns = since_ns

    async def __aiter__(self) -> AsyncIterator[Received]:
        while (received := await self._waiting.get()) is not None:
            if isinstance(received, Exception):
                raise received
            yield received

    async def close(self) -> None:
        pass

    def fail(self, error: Exception) -> None:
        """Break off for good; called by the test's thread."""
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, error)

    def put(self, event: MarketEvent | FeedNotice | None) -> None:
        """Deliver an event, or end without a word; called by the test's thread."""
        assert self.connected.wait(WAIT_S)
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, event and Received(event, event.known_ns))


class Operated:
    """One running session."""

    def __init__(self, workspace: Path, config: Path, run_id: str = RUN, *, goes_on: bool = False, **changes: Any) -> None:
        self.feed, self.now = HandFeed(), OPEN_NS
        self.clock_ns = OPEN_NS
        self._goes_on = goes_on
        self.stop_asked = ""
        self.failures: list[FairleadError] = []
        session = self._wired(config, workspace)
        self._session = dataclasses.replace(session, feed=lambda: self.feed, **changes)
        self.folder = self._session.folder(run_id)
        self.client = ControlClient(self.folder, WAIT_S)
        self._run_id = run_id
        self._done: queue.Queue[int | None] = queue.Queue()
        self.result: Result | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self.feed.connected.wait(WAIT_S)
        if self.error is not None:
            self._thread.join(WAIT_S)
            raise self.error

    def _wired(self, config: Path, workspace: Path) -> RealtimeSession:
        return wire_paper(loaded(config), {}, self._now_ns, workspace)

    def _run(self) -> None:
        try:
            self.before = self._session.interrupted() if self._goes_on else None
        except FairleadError as exc:
            self.error = exc
            self.feed.connected.set()
            return
        self._instants = 0 if self.before is None else sum(taken.kind == INSTANT for taken in self.before.past())
        given = {"now": NOW, "now_ns": self._now_ns, "command": "", "progress": self._done.put}
        given |= {"stop_asked": lambda: self.stop_asked, "failed": self.failures.append, "before": self.before}
        try:
            self.result = self._session.run(self._run_id, **given)
        except BaseException as exc:  # noqa: BLE001  told to the test's thread
            self.error = exc
        finally:
            self._done.put(None)
            self.feed.connected.set()

    def _now_ns(self) -> int:
        return self.clock_ns

    def passes(self, hours: float) -> None:
        """Let real time go on, with no bar."""
        self.clock_ns += round(hours * 3600) * NS_PER_SECOND

    def bar(self, price: float, symbol: str) -> None:
        """Let a bar of the minute that is to pass next come."""
        self.feed.put(Bar(symbol, self.now, self.now + NS_PER_MINUTE, price, price, price, price, 1e6))

    def minute(self, price: float, low: float | None = None, **wishes: Any) -> None:
        """Let a minute pass, and return when the strategies have decided on its bar."""
        Told.wishes.update(wishes)
        label, self.now = self.now, self.now + NS_PER_MINUTE
        self.clock_ns = max(self.clock_ns, self.now)
        self.feed.put(Bar("A", label, self.now, price, price, low or price, price, 1e6))
        self._instants += 1
        while (done := self._done.get(timeout=WAIT_S)) is not None and done < self._instants:
            pass  # of before a crash
        assert done is not None, self.error

    def night(self) -> None:
        """Let the rest of the day pass, and the night."""
        self.now += NS_PER_DAY

    def notice(self, kind: NoticeKind, text: str = "") -> None:
        """Let the feed say something of itself before the next minute."""
        self.feed.put(FeedNotice(kind, self.now, text))

    def ask(self, command: str, why: str = "a test", **args: Any) -> dict[str, Any]:
        """Ask it over its socket."""
        return self.client.ask(command, who="ann", why=why, args=args)

    @property
    def status(self) -> dict[str, Any]:
        return self.ask("status")

    def held(self, name: str = "alpha") -> float:
        """Units that a strategy holds."""
        (found,) = [one for one in self.status["strategies"] if one["name"] == name]
        return found["positions"].get("A", 0.0)

    @property
    def latch(self) -> dict[str, Any]:
        """What is latched on the disk."""
        return json.loads(self.latch_file.read_text())

    @property
    def latch_file(self) -> Path:
        """Where that is kept: one place for all sessions of the title."""
        return self.folder.parent / f"operated.{LATCH}"

    def left_by_a_crash(self, folder: Path) -> Path:
        """Return a copy of what is on the disk now: what is left if the process dies at this instant."""
        assert self.status["run_id"]  # whatever it did last is over
        return shutil.copytree(self.folder.parent.parent, folder, ignore=shutil.ignore_patterns("control.*"))

    def end(self) -> Result:
        """Let the feed end, and return what the session did."""
        with contextlib.suppress(RuntimeError):  # it has ended already
            self.notice(NoticeKind.ENDED)
        return self.ended()

    def ended(self) -> Result:
        """Wait for the end that something has caused."""
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.result

    def abandon(self) -> None:
        """End it whatever became of it."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self.feed.put(None)
            self._thread.join(WAIT_S)


@contextlib.contextmanager
def operated(
    folder: Path,
    *names: str,
    switches: str = "{}",
    guards: str = GUARDS,
    account: str = "{}",
    record: str = "false",
    more: str = "",
    reconciliation: str = "{}",
    run_id: str = RUN,
    strategy: str = "Told",
    symbols: str = "A",
    **changes: Any,
) -> Iterator[Operated]:
    """Run a session of such strategies, all told by their names."""
    config = written(
        folder,
        names,
        switches=switches,
        guards=guards,
        account=account,
        record=record,
        more=more,
        reconciliation=reconciliation,
        strategy=strategy,
        symbols=symbols,
    )
    Told.wishes.clear()
    session = Operated(folder, config, run_id, **changes)
    try:
        yield session
    finally:
        session.abandon()


def journal_of(folder: Path) -> list[Record]:
    """The records of a session's journal, which holds together."""
    store = open_store(folder / FILE)
    try:
        records = list(store.read())
        verdict = verify(store)
    finally:
        store.close()
    assert verdict.fault is None, verdict
    assert verdict.records == len(records) > 0
    return records


def of_kind(records: list[Record], kind: str) -> list[dict[str, Any]]:
    """The data of records of one kind."""
    return [record.data for record in records if record.kind == kind]


def buy(units: float = 100) -> list[OrderIntent]:
    return [OrderIntent.market("A", units)]


def sell(units: float = 100) -> list[OrderIntent]:
    return [OrderIntent.market("A", -units)]


def orders_of(result: Result) -> list[tuple[str, float, str, str]]:
    """Of each order its side, quantity, status and the reason."""
    return [(str(o.side), o.quantity, str(o.status), o.reason) for o in result.record.orders]


def written(
    folder: Path,
    names: Sequence[str] = ("alpha",),
    *,
    switches: str = "{}",
    guards: str = GUARDS,
    account: str = "{}",
    record: str = "false",
    more: str = "",
    reconciliation: str = "{}",
    strategy: str = "Told",
    symbols: str = "A",
) -> Path:
    """Write the configuration of such a session."""
    config = folder / "operated.yaml"
    entries = [(ENTRY if strategy == "Told" else PLANNED).format(name=name) for name in names or ("alpha",)]
    sections = {"switches": switches, "guards": guards, "account": account, "record": record, "reconciliation": reconciliation}
    sections["symbols"] = symbols
    config.write_text(more + CONFIG.format(**sections) + "".join(entries))
    return config
