"""Live sessions that die: run as a program it is a nursery, which forks one life of a session for every line it reads.

A life is a session at a broker over its real adapter, on a feed that another process tells over a socket. It ends by itself,
or by SIGKILL so many calls or returns of functions, of any of its threads, after the bars of a chosen instant have come.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from fairlead.config.livebroker import permitted
from fairlead.config.loading import load_settings
from fairlead.config.papering import PaperSession, wire_at_broker
from fairlead.core.events import Bar
from fairlead.core.time import to_ns
from fairlead.data.live import FeedNotice, NoticeKind, Received
from fairlead.data.live.feed import FeedBook, FeedState
from fairlead.engine.clock import WallClock
from fairlead.sdk import CancelIntent, OrderIntent, ReplaceIntent, Strategy, parameter

CONFIG: Final = "mortal.yaml"
FACTS: Final = "facts.json"
ERROR: Final = "error.txt"
MODULES: Final = "modules.txt"
CAPITAL: Final = {"busy": 400_000, "other": 200_000}
_OFFERED: Final = ("fairlead.execution.brokers.alpaca.broker", "fairlead.execution.brokers.ibkr.broker")


class Mortal(Strategy):
    """Does a bit of everything at random, and changes its mind; from what it is told alone."""

    every: int = parameter(2, ge=1, le=50, doc="Instants between two decisions, about.")

    def on_start(self, context):
        self.prices: dict[str, float] = {}

    def on_market_event(self, event, context):
        self.prices[event.symbol] = event.close

    def generate_orders(self, context):
        rng = context.random
        if rng.integers(self.every) or not self.prices:
            return []
        symbol = sorted(self.prices)[int(rng.integers(len(self.prices)))]
        price, units = self.prices[symbol], float(rng.integers(1, 100))
        sign, near = (1 if rng.random() < 0.6 else -1), round(price * (1 + 0.002 * float(rng.normal())), 2)
        resting = [order for order in context.open_orders if order.symbol == symbol and order.parent_id is None]
        if resting and rng.random() < 0.5:
            order = resting[0]
            if order.limit_price is not None and rng.random() < 0.6:
                return [ReplaceIntent(order.order_id, limit_price=near)]
            return [CancelIntent(order.order_id)]
        held = context.portfolio.quantity(symbol)
        if held and rng.random() < 0.3:
            return [OrderIntent.market(symbol, -held)]
        match int(rng.integers(4)):
            case 0:
                return [OrderIntent.limit(symbol, sign * units, near)]
            case 1:
                return [OrderIntent.stop(symbol, sign * units, round(price * (1 + 0.001 * sign), 2))]
            case 2 if not held:
                exits = {"stop_loss": round(price * (1 - 0.003 * sign), 2), "take_profit": round(price * (1 + 0.003 * sign), 2)}
                return [OrderIntent.market(symbol, sign * units).with_exits(**exits)]
            case _:
                return [OrderIntent.market(symbol, sign * units)]


class Wire:
    """A feed that another process tells over a socket, a line for each instant.

    Parameters
    ----------
    port : int
    death : Death, optional
        Begins to count when the bars of its instant come.
    """

    def __init__(self, port: int, death: Death | None) -> None:
        self._port, self._death = port, death
        self._book = FeedBook()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def state(self) -> FeedState:
        return self._book.snapshot()

    async def connect(self) -> None:
        self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        self._book.connected = True

    async def subscribe(self, symbols: Sequence[str], since_ns: int | None = None) -> None:
        assert self._streams is not None
        self._streams[1].write(f"{since_ns or 0}\n".encode())

    async def __aiter__(self) -> AsyncIterator[Received]:
        assert self._streams is not None
        yield self._book.note_notice(FeedNotice(NoticeKind.CONNECTED, 0, "told over a socket"), 0)
        while line := await self._streams[0].readline():
            told = json.loads(line)
            if not told["bars"]:
                yield self._book.note_notice(FeedNotice(NoticeKind.ENDED, told["known_ns"], "it is over"), 0)
                return
            if self._death is not None:
                self._death.come(told["number"])
            for bar in told["bars"]:
                yield self._book.note(Bar(*bar), 0)

    async def close(self) -> None:
        self._book.connected = False
        if self._streams is not None:
            self._streams[1].close()


class Death:
    """Kills this process so many calls and returns after an instant has come.

    Parameters
    ----------
    instant : int
        0 for the beginning of this life.
    left : int
    """

    def __init__(self, instant: int, left: int) -> None:
        self.instant, self.left = instant, left
        self._counts = False

    def arm(self) -> None:
        """Count in all threads that are to come."""
        self.come(0)
        threading.setprofile(self.count)
        sys.setprofile(self.count)

    def come(self, instant: int) -> None:
        """Begin to count, if it is time."""
        self._counts = self._counts or instant >= self.instant

    def count(self, *_: object) -> None:
        """Count one."""
        if self._counts:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def session_of(workspace: Path, environ: dict[str, str], now_ns: Any) -> PaperSession:
    """Wire the session of a workspace, as the command line does."""
    loaded = load_settings(workspace / CONFIG, environ=environ, overrides=())
    broker, _, opened = permitted(loaded, environ, now_ns)
    return wire_at_broker(opened, environ, now_ns, broker, workspace)


def live(asked: dict[str, Any]) -> None:
    """Live once: begin, or go on, to the end; leave what it came to."""
    workspace, shift_ns = Path(asked["workspace"]), asked["shift_ns"]

    def now_ns() -> int:
        return to_ns(WallClock().now()) - shift_ns

    death = None if asked["death"] is None else Death(*asked["death"])
    session = session_of(workspace, asked["environ"], now_ns)
    if death is not None:
        death.arm()
    session = dataclasses.replace(session, feed=lambda: Wire(asked["feed"], death))
    before = session.interrupted()
    now = dt.datetime.fromtimestamp(now_ns() / 1e9, dt.UTC)
    run_id = session.run_id(now) if before is None else before.run_id
    result = session.run(
        run_id,
        now=now if before is None else before.began,
        now_ns=now_ns,
        before=before,
        progress=lambda count: say(f"instant {count}"),
    )
    record = result.record
    facts = {
        "run_id": run_id,
        "orders": [[o.order_id, o.symbol, str(o.side), o.quantity, str(o.status), o.filled_quantity] for o in record.orders],
        "fills": [[f.order_id, f.execution_id, f.symbol, str(f.side), f.quantity, f.price, f.commission] for f in record.fills],
        "failed": [f"{outcome.name}: {outcome.error}" for outcome in record.strategies if outcome.error],
    }
    (workspace / FACTS).write_text(json.dumps(facts))
    session.finish(run_id, now_ns())
    sys.setprofile(None)
    (workspace / MODULES).write_text("\n".join(sorted(sys.modules)))


def say(text: str) -> None:
    """Tell whoever watches; a line of this length is never torn."""
    os.write(1, f"{text}\n".encode())


def nursery() -> None:
    """Fork a life for every line, and say how each ended."""
    # Modules are loaded once, and before the first fork: a life is to die in the session and not in its imports.
    for name in _OFFERED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            code = 1
            try:
                live(asked)
                code = 0
            except BaseException as exc:  # noqa: BLE001  told to whoever watches
                sys.setprofile(None)
                (Path(asked["workspace"]) / ERROR).write_text("".join(traceback.format_exception(exc)))
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        prepare(Path(asked["workspace"]) / MODULES)
        say(f"ended {os.waitstatus_to_exitcode(status)}")


def prepare(names: Path) -> None:
    """Import what a life that came to its end has needed: the next are to be quick, and to die in the session."""
    for name in names.read_text().split() if names.exists() else ():
        if name not in sys.modules and name != "__main__":
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


if __name__ == "__main__":
    nursery()
