"""Live sessions at any broker of the house: a real adapter and its link, and in a thread a server of its protocol."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fairlead.backtest.result import Result
from fairlead.config.livebroker import SessionBroker, permitted
from fairlead.config.loading import load_settings
from fairlead.config.papering import wire_at_broker
from fairlead.config.realtime import RealtimeSession
from fairlead.control.brokerport import BrokerThread
from fairlead.core.errors import FairleadError
from fairlead.core.events import Bar
from fairlead.core.instruments import Instrument
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND, BarSize
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import BrokerOrder
from fairlead.practice.alpaca.server import AlpacaServer
from fairlead.practice.market import PracticeMarket
from fairlead.practice.tws import RunningTws, TwsServer, TwsSettings
from support_feeds import OPEN_NS
from support_live import CASH, FREE
from support_operated import WAIT_S, Operated, Told, written

ResultT = TypeVar("ResultT")
DAY = "2024-06-03"
LINK = "{attempt_s: 1, start_s: 1, silence_s: 600, looks_s: [0.05, 0.1, 0.3], reconnect: {base_s: 0.02, cap_s: 0.05}}"
ANSWER_S = 1.0


class Place(Protocol):
    """A broker's side: its account, and what can befall it. Time is the test's."""

    name: str
    account_id: str
    environ: dict[str, str]
    clock_ns: int

    def execution(self, link: str) -> str:
        """Return the section of a configuration whose orders go there."""

    def do(self, act: Callable[[SimulatedAccount], ResultT]) -> ResultT:
        """Do something to the account, where it lives, and have it told to whoever is connected."""

    def turn(self, **switches: Any) -> None:
        """Turn switches of misbehaviour."""

    @property
    def calls(self) -> list[str]:
        """What came so far, by name."""

    @property
    def sends(self) -> int:
        """How many orders came so far."""

    def drop(self) -> None:
        """Break the connections."""

    def down(self) -> None:
        """Break the connections, and listen no more."""

    def up(self) -> None:
        """Listen again, with all that there was."""

    def restart(self) -> None:
        """Be killed, and come back with what was written down."""


class Account:
    """What every place has: an account that fills as a paper session without costs does, and a clock."""

    account_id: str

    def __init__(self, symbols: Sequence[str]) -> None:
        self.clock_ns = OPEN_NS
        self.symbols = tuple(symbols)
        self.environ = {"TR_MODE": "live", "PRACTICE_KEY": "", "PRACTICE_SECRET": ""}
        self._account = SimulatedAccount(
            self.account_id,
            symbols=self.symbols,
            now_ns=lambda: self.clock_ns,
            cash=CASH,
            settings=FREE,
            instruments={name: Instrument(symbol=name, calendar="24/7") for name in self.symbols},
        )

    def seconds(self, seconds: float) -> None:
        """Let time pass."""
        self.clock_ns += round(seconds * NS_PER_SECOND)


class AlpacaPlace(Account):
    """A server of Alpaca's protocol."""

    name = "alpaca"

    def __init__(self, symbols: Sequence[str], *, account_id: str = "PA0001", **server: Any) -> None:
        self.account_id = account_id
        super().__init__(symbols)
        quiet = [Bar(name, OPEN_NS - NS_PER_MINUTE, OPEN_NS, 100.0, 100.0, 100.0, 100.0, 1e6) for name in self.symbols]
        market = PracticeMarket(quiet, bar_size=BarSize.M1, calendar="XNYS")
        given = {"calls_per_minute": 0, **server}
        self.server = AlpacaServer(market, self._account, now_ns=lambda: self.clock_ns, **given)
        self.environ |= {"PRACTICE_KEY": self.server.keys.key, "PRACTICE_SECRET": self.server.keys.secret}
        self.server.start()

    def execution(self, link: str, **params: Any) -> str:
        params = {"base_url": self.server.url, "timeout_s": ANSWER_S, "calls_per_minute": 100_000, "burst": 1_000, **params}
        keys = "api_key: '${PRACTICE_KEY}', api_secret: '${PRACTICE_SECRET}'"
        return (
            f"{{type: broker, broker: alpaca, account: {self.account_id}, {keys}, params: {json.dumps(params)}, link: {link}}}"
        )

    def do(self, act: Callable[[SimulatedAccount], ResultT]) -> ResultT:
        if self._is_down:
            return act(self._account)
        return self.server.do(lambda broker: act(broker.account))

    _is_down = False

    def turn(self, **switches: Any) -> None:
        self.server.do(lambda broker: [setattr(broker.switches, name, value) for name, value in switches.items()])

    @property
    def calls(self) -> list[str]:
        return self.server.do(lambda broker: list(broker.switches.calls))

    @property
    def sends(self) -> int:
        return self.calls.count("POST /v2/orders")

    def drop(self) -> None:
        self.server.drop()

    def down(self) -> None:
        self._account = self.server.do(lambda broker: broker.account)
        self.server.stop()
        self._is_down = True

    def up(self) -> None:
        self._is_down = False
        self.server.start()
        self.do(lambda account: None)  # it takes in what happened meanwhile

    def restart(self) -> None:
        self.server.restart()

    def close(self) -> None:
        self.server.stop()


class TwsPlace(Account):
    """A server of TWS's protocol."""

    name = "ibkr"

    def __init__(self, symbols: Sequence[str], *, account_id: str = "DU1234567", **settings: Any) -> None:
        self.account_id = account_id
        super().__init__(symbols)
        self._settings = {"messages_per_s": 0, **settings}
        self.running = self._run(0, None)

    def _run(self, port: int, kept: Any) -> RunningTws:
        def make() -> TwsServer:
            settings = TwsSettings(port=port, **self._settings)
            if kept is not None:
                return TwsServer.of(kept, settings, now_ns=lambda: self.clock_ns)
            return TwsServer(self._account, settings, now_ns=lambda: self.clock_ns)

        return RunningTws(make).__enter__()

    def execution(self, link: str, **params: Any) -> str:
        given = {"port": self.running.port, "kind": "paper", "reset": None}
        params = {**given, "answer_s": ANSWER_S, "acknowledge_s": ANSWER_S, "commission_s": ANSWER_S, **params}
        return f"{{type: broker, broker: ibkr, account: {self.account_id}, params: {json.dumps(params)}, link: {link}}}"

    def do(self, act: Callable[[SimulatedAccount], ResultT]) -> ResultT:
        return self.running.call(lambda server: act(server.account))

    def turn(self, **switches: Any) -> None:
        self.running.call(lambda server: [setattr(server.switches, name, value) for name, value in switches.items()])

    @property
    def calls(self) -> list[str]:
        return self.running.call(lambda server: list(server.switches.calls))

    @property
    def sends(self) -> int:
        return self.calls.count("place_order")

    def drop(self) -> None:
        self.running.call(lambda server: server.drop())

    def down(self) -> None:
        self.running.go_down()

    def up(self) -> None:
        self.running.come_back()

    def restart(self) -> None:
        kept = json.loads(json.dumps(self.running.call(lambda server: server.to_dict())))
        port = self.running.port
        self.close()
        self.running = self._run(port, kept)

    def close(self) -> None:
        self.running.__exit__(None, None, None)


PLACES: dict[str, type[Any]] = {"alpaca": AlpacaPlace, "ibkr": TwsPlace}


@contextlib.contextmanager
def place_of(name: str, symbols: str = "A", **options: Any) -> Iterator[Any]:
    """Run a broker's server."""
    place = PLACES[name](symbols.split(","), **options)
    try:
        yield place
    finally:
        place.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught(SessionBroker):
    """The broker of a session, and the thread in which it is spoken with."""

    threads: list[BrokerThread]

    def opened(self, *args: Any) -> BrokerThread:
        thread = SessionBroker.opened(self, *args)
        self.threads.append(thread)
        return thread


class Trading(Operated):
    """One running live session, and the place where it trades."""

    def __init__(self, workspace: Path, config: Path, place: Any, run_id: str, **options: Any) -> None:
        self.place = place
        self._hurries, self._ahead_ns = False, 0
        self._threads: list[BrokerThread] = []
        super().__init__(workspace, config, run_id, **options)

    def _now_ns(self) -> int:
        self._ahead_ns += NS_PER_SECOND if self._hurries else 0
        return self.clock_ns + self._ahead_ns

    @property
    def clock_ns(self) -> int:
        return self.place.clock_ns

    @clock_ns.setter
    def clock_ns(self, value: int) -> None:
        self.place.clock_ns = max(self.place.clock_ns, value)

    def _wired(self, config: Path, workspace: Path) -> RealtimeSession:
        environ = self.place.environ
        quiet = ("report.html=false", "report.plots=false")
        read = load_settings(config, environ=environ, overrides=quiet)
        at, _, opened = permitted(read, environ, self._now_ns, self.place.account_id)
        caught = Caught(account=at.account, open=at.open, admit=at.admit, settings=at.settings, threads=self._threads)
        return wire_at_broker(opened, environ, self._now_ns, caught, workspace)

    def ready(self, price: float = 100.0) -> None:
        """Let the first minute pass, and wait until orders may leave."""
        self.minute(price)
        self.until(lambda status: status["broker"] == "ok")

    def meet(self, price: float, low: float | None = None) -> None:
        """Let the orders at the broker meet the bar of the minute that comes next; the strategies do not see it yet."""
        end_ns = self.now + NS_PER_MINUTE
        self.clock_ns = end_ns
        bars = {name: Bar(name, self.now, end_ns, price, price, low or price, price, 1e6) for name in self.place.symbols}
        self.place.do(lambda account: account.step(bars))

    @property
    def status(self) -> dict[str, Any]:
        try:
            return super().status
        except FairleadError:
            self._thread.join(1.0)
            raise self.error or AssertionError("the session does not answer") from None

    def until(self, holds: Callable[[dict[str, Any]], bool], seconds: float = 15.0) -> dict[str, Any]:
        """Ask how things stand until something holds."""
        ends = time.monotonic() + seconds
        while not holds(status := self.status):
            assert time.monotonic() < ends, status
            threading.Event().wait(0.01)
        return status

    def until_held(self, units: float, name: str = "alpha") -> dict[str, Any]:
        """Wait until a strategy holds so much."""
        return self.until(lambda status: held_by(status, name) == units)

    def until_working(self, count: int) -> dict[str, Any]:
        """Wait until so many orders work in the session's books, and all of them at the broker."""
        self.until(lambda status: status["working_orders"] == count)
        return self.until(lambda _: len(self.place.do(lambda account: account.open_orders())) == count)

    def agrees(self, price: float = 100.0) -> dict[str, Any]:
        """Let a minute pass, and wait until the broker's books have been compared anew and agree."""
        before = self.status["broker_books"]["at"]
        self.now += NS_PER_MINUTE  # of this one the broker may have seen the bar
        self.minute(price)
        return self.until(lambda s: s["broker_books"]["at"] != before and not s["broker_books"]["differences"])

    def end_alone(self) -> Result:
        """Let the feed end where the broker answers nobody: what is waited for has its limit, and that passes quickly."""
        self._hurries = True
        return self.end()

    def die(self, folder: Path) -> Path:
        """End as a process does that is killed, and return a copy of what it has left behind."""
        left = self.left_by_a_crash(folder)
        (thread,) = self._threads
        thread.stop()
        # What is still there of it has nobody to speak with, and gives up soon: its own clock hurries.
        self._hurries = True
        self.feed.put(None)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return left

    @property
    def log(self) -> str:
        """What the session's log says."""
        return (self.folder / "session.log").read_text()


def held_by(status: dict[str, Any], name: str = "alpha") -> float:
    """Units that a strategy holds."""
    (found,) = [one for one in status["strategies"] if one["name"] == name]
    return float(found["positions"].get("A", 0.0))


def at_place(place: Any) -> float:
    """Units that the account holds."""
    return float(sum(position.quantity for position in place.do(lambda account: account.positions())))


def orders_at(place: Any) -> list[BrokerOrder]:
    """All orders that the account ever had."""
    found: list[BrokerOrder] = place.do(lambda account: account.orders())
    return found


@contextlib.contextmanager
def trading(
    folder: Path,
    place: Any,
    *names: str,
    goes_on: bool = False,
    link: str = LINK,
    params: dict[str, Any] | None = None,
    **sections: str,
) -> Iterator[Trading]:
    """Run a live session of such strategies, all told by their names."""
    given = {"symbols": ", ".join(place.symbols), "reconciliation": "{every: 1}", "switches": "{disabled: [KS_CONN]}"}
    config = written(folder, names or ("alpha",), **{**given, **sections})
    text = config.read_text()
    simulated = next(line for line in text.splitlines() if line.startswith("execution:"))
    text = text.replace("mode: paper", "mode: live")
    config.write_text(text.replace(simulated, f"execution: {place.execution(link, **(params or {}))}"))
    Told.wishes.clear()
    session = Trading(folder, config, place, f"live_{place.account_id.lower()}_{DAY}_operated", goes_on=goes_on)
    try:
        yield session
    finally:
        session.abandon()
