"""Paper sessions that die: run as a program it is a nursery, which forks one life of a session for every line it reads.

A life ends by itself, or by SIGKILL at a chosen call or return of a function, those of the system and of the database
included, or after so many instructions of the database's machine. Or the disk is full from a chosen size of its files on.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fairlead.config.loading import load_settings
from fairlead.config.papering import wire_paper
from fairlead.config.realtime import RealtimeSession
from fairlead.config.restarting import TAPE
from fairlead.core.errors import StorageError
from fairlead.core.events import Bar
from fairlead.core.identity import short_hash
from fairlead.core.time import NS_PER_MINUTE, to_ns
from fairlead.data.live import FeedNotice, NoticeKind, ReplayFeed, session_events
from fairlead.engine.reportline import StraightChannel
from fairlead.journal.sqlite import SqliteStore
from fairlead.sdk import CancelIntent, OrderIntent, ReplaceIntent, Strategy, parameter
from support_reports import Scrambled

NOW = dt.datetime(2024, 6, 3, 12, tzinfo=dt.UTC)
FULL = 3
CONFIG = """\
mode: paper
name: mortal
seed: {seed}
clock: {{type: historical, start_date: 2024-01-02, end_date: 2024-01-02, speed: max}}
data: {{type: replay, source: store, dataset: toy}}
execution:
  type: simulated
  account: {{type: {account}}}
  max_bar_participation: {participation}
  latency: {{mean_ms: {latency}, std_ms: 0}}
risk:
  guards:
    {{max_daily_loss: 900_000, max_drawdown: 900_000, max_gross_exposure: 9_000_000, max_symbol_qty: 2_000, max_pos_pct: 50,
     disabled: [G10]}}
  kill_switches: {{pnl: {{warning_pct: {warning}, critical_pct: {critical}}}, connection: {{warning: 900, critical: 900}}}}
report: {{html: false, plots: false}}
strategies:
  - {{name: busy, capital: 100_000, strategy: 'support_deaths:Busy', params: {{every: {every}}}}}
  - {{name: other, capital: 50_000, strategy: 'support_deaths:Busy', params: {{every: 5}}}}
  - {{name: raiser, capital: 10_000, strategy: 'support_deaths:Raiser'}}
"""


class Busy(Strategy):
    """Does a bit of everything at random, and changes its mind."""

    every: int = parameter(3, ge=1, le=50, doc="Instants between two decisions, about.")

    def on_start(self, context):
        self.prices: dict[str, float] = {}

    def on_market_event(self, event, context):
        self.prices[event.symbol] = event.close

    def on_order_update(self, order, context):
        context.metadata[order.order_id] = str(order.status)

    def generate_orders(self, context):
        rng = context.random
        if rng.integers(self.every) or not self.prices:
            return []
        symbol = sorted(self.prices)[int(rng.integers(len(self.prices)))]
        price, units = self.prices[symbol], float(rng.integers(1, 200))
        sign, near = (1 if rng.random() < 0.6 else -1), price * (1 + 0.002 * float(rng.normal()))
        resting = [order for order in context.open_orders if order.symbol == symbol and order.parent_id is None]
        if resting and rng.random() < 0.5:
            order = resting[0]
            if order.limit_price is not None and rng.random() < 0.5:
                return [ReplaceIntent(order.order_id, limit_price=near)]
            return [CancelIntent(order.order_id)]
        held = context.portfolio.quantity(symbol)
        if held and rng.random() < 0.3:
            return [OrderIntent.market(symbol, -held)]
        match int(rng.integers(4)):
            case 0:
                return [OrderIntent.limit(symbol, sign * units, near)]
            case 1:
                return [OrderIntent.stop(symbol, sign * units, price * (1 + 0.001 * sign))]
            case 2 if not held:
                exits = {"stop_loss": price * (1 - 0.003 * sign), "take_profit": price * (1 + 0.003 * sign)}
                return [OrderIntent.market(symbol, sign * units).with_exits(**exits)]
            case _:
                return [OrderIntent.market(symbol, sign * units)]


class Raiser(Strategy):
    """Fails at its third bar."""

    def on_start(self, context):
        self.left = 3

    def on_market_event(self, event, context):
        self.left -= 1
        if not self.left:
            raise ValueError("on purpose")


def config_of(seed: int) -> str:
    """What a seed trades under."""
    rng = random.Random(seed)
    return CONFIG.format(
        seed=seed,
        account=rng.choice(["simple", "cash", "reg_t"]),
        participation=rng.choice([0.001, 0.01, 0.1]),
        latency=rng.choice([0, 50, 61_000]),
        every=rng.choice([1, 2, 4]),
        **dict(zip(("warning", "critical"), rng.choice([(0.2, 0.3), (3, 5)]), strict=True)),
    )


def troubled(events: Iterator[Any], rng: random.Random) -> Iterator[Any]:
    """The same market over a feed that breaks off, and then tells again what it has told."""
    told: list[Bar] = []
    for event in events:
        yield event
        told = [*told[-3:], event]
        if rng.random() < 0.01:
            yield FeedNotice(NoticeKind.DISCONNECTED, event.known_ns, "on purpose")
            yield FeedNotice(NoticeKind.CONNECTED, event.known_ns, "again")
            yield from [bar for bar in told if bar.known_ns == event.known_ns]


def session_of(workspace: Path, seed: int, trouble: random.Random | None, *, scrambled: bool) -> RealtimeSession:
    """Wire the session of a seed."""
    config = workspace / "mortal.yaml"
    if not config.exists():
        config.write_text(config_of(seed))
    loaded = load_settings(config, environ={}, overrides=())
    session = wire_paper(loaded, {}, lambda: to_ns(NOW), workspace)
    source = session.wired.source

    def feed() -> ReplayFeed:
        def events() -> Iterator[Any]:
            course = session_events(source)
            return course if trouble is None else troubled(course, trouble)

        return ReplayFeed(events, source.symbols)

    # Of one seed: what a session takes in once more comes by the same way.
    channel = partial(Scrambled, seed) if scrambled else StraightChannel
    return dataclasses.replace(session, feed=feed, channel=channel)


def live(workspace: Path, seed: int, trouble: random.Random | None, way: str, at: int, *, scrambled: bool = False) -> None:
    """Live once: begin, or go on, to the end; leave what it came to."""
    session = session_of(workspace, seed, trouble, scrambled=scrambled)
    before = session.interrupted()
    death = arm(way, at, workspace)
    ticks = iter(range(10**9))

    def now_ns() -> int:
        return to_ns(NOW) + next(ticks) * NS_PER_MINUTE

    run_id = session.run_id(NOW)
    result = session.run(run_id, now=NOW if before is None else before.began, now_ns=now_ns, before=before)
    record = result.record
    facts = {
        "digest": record.digest,
        "orders": [
            [o.order_id, o.symbol, str(o.side), o.quantity, str(o.status), o.filled_quantity, o.reason] for o in record.orders
        ],
        "fills": [[f.order_id, f.fill_id, f.symbol, str(f.side), f.quantity, f.price] for f in record.fills],
        "equity": record.account.equity.tolist(),
        "cash": record.account.cash.tolist(),
        "failed": [outcome.name for outcome in record.strategies if outcome.error],
    }
    (workspace / "facts.json").write_text(json.dumps(facts))
    session.finish(run_id, now_ns())
    sys.setprofile(None)
    if death is not None:
        (workspace / "calls").write_text(str(at - death.left))


class Death:
    """Kills this process at the n-th event."""

    def __init__(self, left: int) -> None:
        self.left = left

    def count(self, *_: object) -> int:
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0


def arm(way: str, at: int, workspace: Path) -> Death | None:
    """Prepare how a life is to end."""
    if way == "calls":
        death = Death(at)
        sys.setprofile(death.count)
        return death
    if way == "database":
        prepare = SqliteStore._prepare

        def armed(self: SqliteStore, writer: Any) -> None:
            writer.connection.driver_connection.set_progress_handler(Death(at).count, 1)
            prepare(self, writer)

        SqliteStore._prepare = armed
    elif way == "full":
        sizes = [path.stat().st_size for path in workspace.glob(f"sessions/*/{TAPE}")]
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes, default=0) + at, resource.RLIM_INFINITY))
    return None


def nursery() -> None:
    """Fork a life for every line, and say how each ended."""
    # Modules are loaded once, and before the first fork: a life is to die in the session and not in its imports.
    live(Path(sys.argv[1]), 0, None, "none", 0)
    for line in sys.stdin:
        asked = json.loads(line)
        workspace, seed = Path(asked["workspace"]), asked["seed"]
        pid = os.fork()
        if not pid:
            code = 1
            try:
                trouble = random.Random(short_hash(str(seed), str(asked["life"]))) if asked["life"] else None
                live(workspace, seed, trouble, asked["way"], asked["at"], scrambled=asked["scrambled"])
                code = 0
            except BaseException as exc:  # noqa: BLE001  told to whoever watches
                sys.setprofile(None)
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
                code = FULL if isinstance(exc, StorageError) else 1
                (workspace / "error.txt").write_text("".join(traceback.format_exception(exc)))
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    nursery()
