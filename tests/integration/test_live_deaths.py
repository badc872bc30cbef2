"""A live session that is killed, at a broker that is killed too, ends with the broker's ledger and has sent nothing twice.

Every seed is a session of two strategies over the real adapter at a server of the broker's protocol: executions in part, while
an order is taken back, or while nobody listens; answers that are lost or held, storms of "too much", a stream that repeats,
reorders, delays and drops. Our process is killed at any call or return of a function, up to three times, and started again
with the same command; the server is killed up to twice, and comes back with what it kept. FAIRLEAD_LIVE_DEATH_RUNS asks for
more seeds of each broker than the suite has; FAIRLEAD_LIVE_DEATH_SEED=n runs that of a failure again: all choices are the
same, while the order in which two processes get their turns is the machine's.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fairlead.core.events import Bar
from fairlead.core.identity import short_hash
from fairlead.core.time import NS_PER_MINUTE
from fairlead.journal import Kind, entries, open_store, verify
from servers.tws import wall_ns
from support_feeds import OPEN_NS
from support_live_deaths import CAPITAL, CONFIG, ERROR, FACTS
from support_live_servers import WORLDS, Undo, World

RUNS = int(os.environ.get("FAIRLEAD_LIVE_DEATH_RUNS", "3"))
ONLY = os.environ.get("FAIRLEAD_LIVE_DEATH_SEED")
FIRST = int(os.environ.get("FAIRLEAD_LIVE_DEATH_FIRST", "0"))
SEEDS = [int(ONLY)] if ONLY else range(FIRST, FIRST + RUNS)
SYMBOLS = ("AAA", "BBB")
KILLED = -9
PATIENCE_S = 60.0
MANY = 400_000
TEXT = """\
mode: paper
name: mortal
seed: {seed}
clock: {{type: realtime}}
data: {{type: live, feed: wire, symbols: [AAA, BBB], bar_size: 1min, calendar: XNYS, record: false, max_age_s: 3600}}
execution:
  type: broker
  link:
    {{attempt_s: 2, silence_s: 1.5, looks_s: [0.05, 0.1, 0.2, 0.4], back_off_s: 0.1, reconnect: {{base_s: 0.02, cap_s: 0.1}}}}
  {execution}
risk:
  guards:
    {{max_daily_loss: 900_000, max_drawdown: 900_000, max_gross_exposure: 9_000_000, max_symbol_qty: 2_000, max_pos_pct: 50,
     disabled: [G1, G2, G3, G4, G5, G6, G7, G8, G9, G10, G11, G12]}}
  kill_switches: {{connection: {{warning: 900, critical: 900}}}}
reconciliation: {{every: {every}}}
report: {{html: false, plots: false}}
strategies:
  - {{name: busy, capital: {busy}, strategy: 'support_live_deaths:Mortal', params: {{every: {often}}}}}
  - {{name: other, capital: {other}, strategy: 'support_live_deaths:Mortal', params: {{every: 4}}}}
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")


def bars_of(rng: random.Random, count: int) -> list[Bar]:
    """A morning that goes up and down."""
    bars, prices = [], dict.fromkeys(SYMBOLS, 100.0)
    for minute in range(count):
        label = OPEN_NS + minute * NS_PER_MINUTE
        for symbol in SYMBOLS:
            first = prices[symbol]
            last = round(first * (1 + rng.gauss(0, 0.002)), 2)
            high, low = max(first, last) + rng.randint(0, 20) / 100, min(first, last) - rng.randint(0, 20) / 100
            prices[symbol] = last
            bars.append(Bar(symbol, label, label + NS_PER_MINUTE, first, round(high, 2), round(low, 2), last, 10_000.0))
    return bars


class Told:
    """What happens on the market, told to whoever comes, from the instant on after which it asks."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, bytes]] = []
        self._news = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def tell(self, number: int, known_ns: int, bars: list[Bar]) -> None:
        """Tell an instant; one without bars is the end."""
        line = json.dumps({"number": number, "known_ns": known_ns, "bars": [list(bar) for bar in bars]})
        with self._news:
            self._lines.append((known_ns, f"{line}\n".encode()))
            self._news.notify_all()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as asked:
            try:
                since_ns, place = int(asked.readline() or 0), 0
                while True:
                    with self._news:
                        while place == len(self._lines):
                            self._news.wait()
                        known_ns, line = self._lines[place]
                    place += 1
                    if known_ns > since_ns:
                        sock.sendall(line)
            except OSError:
                return


class Nursery:
    """Sends a session through its lives, one at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._told: queue.Queue[str] = queue.Queue()
        self.count = 0
        self.end: int | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._told.put(line)

    def live(self, asked: dict[str, Any]) -> None:
        """Begin a life."""
        self.count, self.end = 0, None
        self._process.stdin.write(json.dumps(asked) + "\n")

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds or the life has ended; return whether one of them is so."""
        end = time.monotonic() + seconds
        while not holds() and self.end is None:
            try:
                word, number = self._told.get(timeout=max(0.0, end - time.monotonic())).split()
            except queue.Empty:
                return False
            if word == "instant":
                self.count = int(number)
            else:
                self.end = int(number)
        return True


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([sys.executable, "-m", "support_live_deaths"], env=environ, **pipes) as process:
        yield Nursery(process)
        process.stdin.close()


@dataclasses.dataclass
class Course:
    """What befalls a session, as a seed has it."""

    instants: int
    rng: random.Random
    deaths: list[tuple[int, int]]
    restarts: set[int]

    @classmethod
    def of(cls, seed: int, broker: str) -> Course:
        rng = random.Random(short_hash(broker, str(seed)))
        instants = rng.randint(25, 45)
        # Soon after some bars, or anywhere from the beginning of a life on.
        deaths = [
            (rng.randint(1, instants), rng.randint(1, 30_000)) if rng.random() < 0.7 else (0, rng.randint(1, MANY))
            for _ in range(rng.randint(1, 3))
        ]
        restarts = set(rng.sample(range(2, instants), rng.randint(0, 2)))
        return cls(instants, rng, sorted(deaths), restarts)


class Session:
    """One seed at one broker."""

    def __init__(self, nursery: Nursery, broker: str, seed: int, workspace: Path) -> None:
        self.course = Course.of(seed, broker)
        self.workspace, self.nursery = workspace, nursery
        self.shift_ns = wall_ns() - (OPEN_NS + 60 * NS_PER_MINUTE)
        bars = bars_of(self.course.rng, self.course.instants)
        self.world: World = WORLDS[broker](bars, lambda: wall_ns() - self.shift_ns, self.course.rng)
        self.bars = [bars[i : i + len(SYMBOLS)] for i in range(0, len(bars), len(SYMBOLS))]
        self.told = Told()
        self.lives = 0
        self.events: list[str] = []
        self._undo: list[Undo] = []
        self._seed, self._began = seed, time.monotonic()

    def run(self) -> None:
        """Let it happen, to the end of the last life."""
        self.world.start()
        rng = self.course.rng
        text = TEXT.format(
            seed=self._seed,
            execution="\n  ".join(f"{name}" for name in split(self.world.execution)),
            every=rng.choice([3, 10, 100]),
            often=rng.choice([1, 2]),
            **CAPITAL,
        )
        (self.workspace / CONFIG).write_text(text)
        self._live()
        absent = 0
        for number, bars in enumerate(self.bars, 1):
            absent = self._revive(absent)
            self._befall(number)
            self.world.step()
            self.told.tell(number, bars[0].known_ns, bars)
            self.nursery.wait(lambda number=number: self.nursery.count >= number, 0.4 if self._undo else 2.0)
            if rng.random() < 0.5:
                self.nursery.wait(lambda: False, rng.random() * 0.03)
        self.note("the end")
        self._mend()
        self.world.calm()
        self.told.tell(0, self.bars[-1][0].known_ns + 1, [])
        while True:
            assert self.nursery.wait(lambda: False, PATIENCE_S), "it does not end"
            if self.nursery.end != KILLED:
                break
            self._live()
        assert self.nursery.end == 0, self.error

    def note(self, text: str) -> None:
        """Remember what happened, and when."""
        self.events.append(f"{time.monotonic() - self._began:.2f} {text}")

    def close(self) -> None:
        """End the server; a life that is left over ends with its patience."""
        self.told.close()
        self.world.stop()

    @property
    def error(self) -> str:
        """What ended a life that was not killed."""
        path = self.workspace / ERROR
        return path.read_text() if path.exists() else ""

    @property
    def told_loudly(self) -> list[str]:
        """The last warnings and errors of the session's log."""
        (path,) = self.workspace.glob("sessions/*/session.log")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [f"{line['ts']} {line['event']} {line['message']}" for line in lines if line["level"] != "INFO"][-12:]

    def _live(self) -> None:
        death = self.course.deaths[self.lives] if self.lives < len(self.course.deaths) else None
        self.lives += 1
        self.note(f"life {self.lives} until {death}")
        self.nursery.live(
            {
                "workspace": str(self.workspace),
                "shift_ns": self.shift_ns,
                "environ": self.world.environ,
                "feed": self.told.port,
                "death": death,
            }
        )

    def _revive(self, absent: int) -> int:
        """Start it again when it has been dead for as long as it should."""
        if self.nursery.end is None:
            return self.course.rng.choice([0, 0, 1, 3])
        assert self.nursery.end == KILLED, self.error
        if absent:
            self.world.execute_some(self.course.rng)
            return absent - 1
        self._live()
        return 0

    def _befall(self, number: int) -> None:
        rng = self.course.rng
        if self._undo and rng.random() < 0.6:
            self._mend()
        if number in self.course.restarts:
            self._mend()
            self.note(f"{number}: restart")
            self.world.restart()
        chance = rng.random()
        if chance < 0.2 and not self._undo:
            among = self.world.mischief()
            place = rng.randrange(len(among))
            self.note(f"{number}: mischief {place}")
            undo = among[place](rng)
            if undo is not None:
                self._undo.append(undo)
        elif chance < 0.5:
            self.world.execute_some(rng)
        elif chance < 0.54:
            self.note(f"{number}: amended")
            self.world.amend_some(rng)

    def _mend(self) -> None:
        while self._undo:
            self._undo.pop()()


def split(section: str) -> list[str]:
    """Write the entries of a flat mapping on lines of their own."""
    first, _, params = section.partition(", params: ")
    return [*first.split(", "), f"params: {params}"]


def journalled(workspace: Path) -> dict[str, list[Any]]:
    """What a journal says of money and halts, once it has been found whole."""
    (path,) = workspace.glob("sessions/*/journal.db")
    with closing(open_store(path)) as store:
        verdict = verify(store)
        assert verdict.whole, verdict.text
        records = list(store.read())
    made = [order for r in records if r.kind == Kind.ORDER and (order := entries.order_of(r)) is not None]
    return {
        "orders": sorted(order.order_id for order in made),
        "fills": [entries.fill_of(r) for r in records if r.kind == Kind.FILL],
        "switches": [(r.data["switch"], r.data["state"], r.data) for r in records if r.kind == Kind.SWITCH],
        "differences": [r.data for r in records if r.kind == Kind.RECONCILIATION and r.data["differences"]],
    }


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("broker", sorted(WORLDS))
def test_it_ends_as_the_broker_has_it(nursery, tmp_path, broker, seed):
    session = Session(nursery, broker, seed, tmp_path)
    try:
        session.run()
        session.note("over")
        where = f"{broker}, seed {seed}: {'; '.join(session.events)}; told: {session.told_loudly}"
        facts, journal, world = json.loads((tmp_path / FACTS).read_text()), journalled(tmp_path), session.world
        assert facts["failed"] == [], where
        assert not journal["switches"], f"{journal['switches']}; {journal['differences']}; {where}"
        assert world.working() == [], where
        # Executions, one by one; what was corrected or taken back is not among them.
        ours: Counter[tuple[Any, ...]] = Counter()
        positions: dict[str, float] = {}
        cash = 0.0
        booked: dict[str, list[Any]] = {}
        for order_id, name, symbol, side, quantity, price, commission in facts["fills"]:
            sign = 1 if side == "BUY" else -1
            positions[symbol] = positions.get(symbol, 0.0) + sign * quantity
            cash -= sign * quantity * price + commission
            if name.endswith("/bust"):
                del booked[name.removesuffix("/bust")]
            else:
                assert name not in booked, f"{name} is booked twice; {where}"
                booked[name] = [order_id, symbol, side, quantity, round(price, 6)]
        ours.update(tuple(one) for one in booked.values())
        assert sorted(ours.elements()) == world.executions(), where
        assert {symbol: units for symbol, units in positions.items() if units} == world.positions(), where
        assert cash == pytest.approx(world.cash(), abs=0.01), where
        known = {order_id: filled for order_id, _, _, _, _, filled in facts["orders"]}
        at_broker = world.filled()
        assert set(at_broker) <= set(known), where
        assert {name: known[name] for name in at_broker} == at_broker, where
        assert all(name in at_broker for name, filled in known.items() if filled), where
        assert world.duplicates == 0, where
        ended = {"FILLED", "CANCELLED", "REJECTED", "EXPIRED"}
        left = [(order, at_broker.get(order[0])) for order in facts["orders"] if order[4] not in ended]
        assert left == [], where
        assert journal["orders"] == sorted(known), where
        assert [[f.order_id, f.execution_id] for f in journal["fills"]] == [fill[:2] for fill in facts["fills"]], where
    finally:
        session.close()
