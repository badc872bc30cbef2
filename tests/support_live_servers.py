"""The brokers at which mortal sessions trade: servers that are killed, come back with what they kept, and misbehave."""

from __future__ import annotations

import json
import random
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fairlead.core.errors import FairleadError
from fairlead.core.events import Bar
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderStatus
from fairlead.core.time import BarSize
from fairlead.execution.brokers.alpaca.naming import read_name
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.settings import ExecutionSettings
from fairlead.practice.alpaca.server import AlpacaServer
from fairlead.practice.faults import PracticeFaults
from fairlead.practice.market import PracticeMarket
from fairlead.practice.tws import RunningTws, TwsServer, TwsSettings

ResultT = TypeVar("ResultT")
CASH = 1_000_000.0
Undo = Callable[[], None]


def free_port() -> int:
    """Return a port that no outgoing connection takes: else nobody could listen there again after a pause."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("there is no free port")


class World(ABC):
    """A broker over a session of bars that is stepped by hand.

    Parameters
    ----------
    bars : sequence of Bar
    now_ns : callable
    rng : Random
        Decides how the stream misbehaves all the time.
    """

    account_id: str
    tells_busts: bool
    """Whether one that was told while nobody listened can be heard of later."""

    def __init__(self, bars: Sequence[Bar], now_ns: Callable[[], int], rng: random.Random) -> None:
        self.now_ns = now_ns
        self.market = PracticeMarket(list(bars), bar_size=BarSize.M1, calendar="XNYS")
        self.participation = rng.choice([0.001, 0.01, 0.1])
        self.faults = self._faults(rng)
        self.duplicates = 0

    def _account(self) -> SimulatedAccount:
        rules = {
            "slippage": {"model": "none"},
            "latency": {"mean_ms": 0, "std_ms": 0},
            "max_bar_participation": self.participation,
            **self._costs(),
        }
        return SimulatedAccount(
            self.account_id,
            symbols=self.market.symbols,
            now_ns=self.now_ns,
            cash=CASH,
            settings=ExecutionSettings.model_validate(rules),
            instruments={symbol: Instrument(symbol=symbol, calendar="XNYS") for symbol in self.market.symbols},
        )

    def _costs(self) -> dict[str, Any]:
        return {"commission": {"model": "none"}}

    def _faults(self, rng: random.Random) -> PracticeFaults:
        def rate(*among: float) -> float:
            return rng.choice(among)

        return PracticeFaults(
            duplicate_rate=rate(0, 0.3),
            reorder_rate=rate(0, 0.3),
            delay_rate=rate(0, 0.3),
            delay_s=0.05,
            seed=rng.getrandbits(32),
        )

    @property
    @abstractmethod
    def execution(self) -> str:
        """The section of a configuration that reaches it."""

    @property
    def environ(self) -> dict[str, str]:
        """What the configuration takes from the environment."""
        return {}

    @abstractmethod
    def start(self) -> None:
        """Begin to listen."""

    @abstractmethod
    def stop(self) -> None:
        """End."""

    @abstractmethod
    def restart(self) -> None:
        """Be killed, and come back with what is kept, on the same port."""

    @abstractmethod
    def act(self, what: Callable[[SimulatedAccount], ResultT]) -> ResultT:
        """Do something with the account in the server's thread, and let it be told."""

    @abstractmethod
    def step(self) -> None:
        """Let an instant happen."""

    @abstractmethod
    def mischief(self) -> list[Callable[[random.Random], Undo | None]]:
        """What may go wrong, each with how it is mended."""

    @abstractmethod
    def calm(self) -> None:
        """Mend everything."""

    @abstractmethod
    def filled(self) -> dict[str, float]:
        """What each order of ours has filled, by our reference."""

    @abstractmethod
    def _reference(self, order_reference: str) -> str:
        """Return our reference for what the account has an order under."""

    # What may go wrong at any broker.

    def execute_some(self, rng: random.Random) -> None:
        """Execute part of an order that works, or all of it, at a price of nobody's liking."""

        def act(account: SimulatedAccount) -> None:
            orders = [order for order in account.open_orders() if order.status is not OrderStatus.SUBMITTED]
            if orders:
                order = rng.choice(orders)
                left = round(order.quantity - order.filled)
                mark = account.marks.get(order.symbol) or 100.0
                account.execute(order.broker_id, float(rng.randint(1, left)), round(order.limit_price or mark, 2))

        self.act(act)

    def amend_some(self, rng: random.Random) -> None:
        """Correct an execution, or take one back."""

        def act(account: SimulatedAccount) -> None:
            told = account.executions()
            gone = {one.replaces for one in told}
            counting = [one for one in told if one.execution_id not in gone and not one.is_bust]
            if counting:
                one = rng.choice(counting)
                try:
                    if self.tells_busts and rng.random() < 0.3:
                        account.bust(one.execution_id)
                    else:
                        account.correct(one.execution_id, one.quantity, round(one.price + 0.01, 2))
                except FairleadError:
                    return  # of an order that stands otherwise by now

        self.act(act)

    def positions(self) -> dict[str, float]:
        """What is held, by symbol."""
        return self.act(lambda account: {one.symbol: one.quantity for one in account.positions()})

    def cash(self) -> float:
        """What has come in or gone out."""
        return self.act(lambda account: account.account().cash) - CASH

    def working(self) -> list[str]:
        """What works."""
        return self.act(lambda account: [order.reference for order in account.open_orders()])

    def executions(self) -> list[tuple[Any, ...]]:
        """What counts of all that was executed: reference, symbol, side, units and price."""

        def act(account: SimulatedAccount) -> list[tuple[Any, ...]]:
            told = account.executions()
            gone = {one.replaces for one in told}
            return sorted(
                (self._reference(one.reference), one.symbol, str(one.side), one.quantity, round(one.price, 6))
                for one in told
                if one.execution_id not in gone and not one.is_bust
            )

        return self.act(act)


class AlpacaWorld(World):
    """Alpaca's protocol."""

    account_id = "PA0001"
    tells_busts = False

    def __init__(self, bars: Sequence[Bar], now_ns: Callable[[], int], rng: random.Random) -> None:
        super().__init__(bars, now_ns, rng)
        self.server = AlpacaServer(self.market, self._account(), now_ns=now_ns, port=free_port(), calls_per_minute=0)

    def _faults(self, rng: random.Random) -> PracticeFaults:
        return super()._faults(rng).model_copy(update={"gap_rate": rng.choice([0, 0.1])})

    @property
    def execution(self) -> str:
        url = self.server.url
        quick = "timeout_s: 1, connect_s: 1, ping_s: 1, poll_s: 0.3, calls_per_minute: 60_000, burst: 500"
        return (
            f"broker: alpaca, account: {self.account_id}, api_key: '${{KEY}}', api_secret: '${{SECRET}}', "
            f"params: {{base_url: '{url}', data_url: '{url}', {quick}}}"
        )

    @property
    def environ(self) -> dict[str, str]:
        return {"KEY": self.server.keys.key, "SECRET": self.server.keys.secret}

    def start(self) -> None:
        self.server.start()
        self._misbehave()

    def stop(self) -> None:
        self.server.stop()

    def restart(self) -> None:
        self.duplicates += self.server.do(lambda broker: broker.book.duplicates)
        self.server.restart(down_s=0.05)
        self._misbehave()

    def _misbehave(self) -> None:
        self.server.do(lambda broker: broker.stream.misbehave(self.faults))

    def act(self, what: Callable[[SimulatedAccount], ResultT]) -> ResultT:
        return self.server.do(lambda broker: what(broker.account))

    def step(self) -> None:
        self.server.step()
        self.server.do(lambda broker: broker.stream.flush())

    def mischief(self) -> list[Callable[[random.Random], Undo | None]]:
        def count(name: str, most: int) -> Callable[[random.Random], Undo]:
            def begin(rng: random.Random) -> Undo:
                self._turn(name, rng.randint(1, most))
                return lambda: self._turn(name, 0)

            return begin

        def turn(name: str) -> Callable[[random.Random], Undo]:
            def begin(_rng: random.Random) -> Undo:
                self._turn(name, True)
                return lambda: self._turn(name, False)

            return begin

        def hold(name: str) -> Callable[[random.Random], Undo]:
            def begin(_rng: random.Random) -> Undo:
                self.server.do(lambda broker: setattr(broker.book, name, True))
                return self._release

            return begin

        counted = [("too_many", 4), ("loses_answers", 1), ("loses_orders", 1), ("fails", 3), ("fails_after", 1), ("garbles", 2)]
        return [
            *(count(*one) for one in counted),
            *(turn(name) for name in ("holds_answers", "is_silent")),
            *(hold(name) for name in ("holds_cancels", "holds_replaces")),
            lambda _rng: self.server.drop(),
            lambda _rng: self.server.do(lambda broker: broker.stream.drop()),
        ]

    def _turn(self, name: str, value: int | bool) -> None:
        self.server.do(lambda broker: setattr(broker.switches, name, value))

    def _release(self) -> None:
        def release(broker: Any) -> None:
            broker.book.holds_cancels = broker.book.holds_replaces = False
            broker.book.release()

        self.server.do(release)

    def calm(self) -> None:
        for name in ("too_many", "loses_answers", "loses_orders", "fails", "fails_after", "garbles"):
            self._turn(name, 0)
        for name in ("holds_answers", "is_silent"):
            self._turn(name, False)
        self._release()

    def filled(self) -> dict[str, float]:
        def read(broker: Any) -> dict[str, float]:
            sums: dict[str, float] = {}
            for record in broker.book.records.values():
                if record.status != "rejected":
                    ours = self._of_record(broker, record)
                    sums[ours] = sums.get(ours, 0.0) + record.filled
            return sums

        self.duplicates += self.server.do(lambda broker: broker.book.duplicates)
        return self.server.do(read)

    def _of_record(self, broker: Any, record: Any) -> str:
        name = read_name(record.client_order_id)
        if record.parent_id and not name.number:
            return read_name(broker.book.records[record.parent_id].client_order_id).leg
        return name.reference

    def _reference(self, order_reference: str) -> str:
        broker = self.server._state
        return self._of_record(broker, broker.book.named(order_reference))


class TwsWorld(World):
    """TWS's protocol."""

    account_id = "DU1234567"
    tells_busts = True

    def __init__(self, bars: Sequence[Bar], now_ns: Callable[[], int], rng: random.Random) -> None:
        super().__init__(bars, now_ns, rng)
        port = free_port()
        self.running = RunningTws(lambda: TwsServer(self._account(), self._settings(port), **self._more()))

    def _costs(self) -> dict[str, Any]:
        return {}

    def _settings(self, port: int) -> TwsSettings:
        return TwsSettings(port=port, messages_per_s=0)

    def _more(self) -> dict[str, Any]:
        return {"now_ns": self.now_ns, "market": self.market, "faults": self.faults}

    @property
    def execution(self) -> str:
        quick = "answer_s: 1, acknowledge_s: 1, commission_s: 0.5, reset: null"
        return f"broker: ibkr, account: {self.account_id}, params: {{port: {self.running.port}, kind: paper, {quick}}}"

    def start(self) -> None:
        self.running.__enter__()

    def stop(self) -> None:
        self.running.__exit__()

    def restart(self) -> None:
        server, port = self.running.server, self.running.port
        self.running.__exit__()
        self.duplicates += server.book.duplicates
        kept = json.loads(json.dumps(server.to_dict()))
        self.running = RunningTws(lambda: TwsServer.of(kept, self._settings(port), **self._more()))
        self.running.__enter__()

    def act(self, what: Callable[[SimulatedAccount], ResultT]) -> ResultT:
        return self.running.call(lambda server: what(server.account))

    def step(self) -> None:
        self.running.call(lambda _server: self.market.step())

    def mischief(self) -> list[Callable[[random.Random], Undo | None]]:
        def count(name: str, most: int) -> Callable[[random.Random], Undo]:
            def begin(rng: random.Random) -> Undo:
                self._turn(name, rng.randint(1, most))
                return lambda: self._turn(name, 0)

            return begin

        def turn(name: str) -> Callable[[random.Random], Undo]:
            def begin(_rng: random.Random) -> Undo:
                self._turn(name, True)
                return lambda: self._turn(name, False)

            return begin

        def cut(rng: random.Random) -> Undo:
            self.running.call(lambda server: server.lose_link())
            lost = rng.random() < 0.5
            return lambda: self.running.call(lambda server: server.restore_link(is_data_lost=lost))

        def night(_rng: random.Random) -> Undo:
            self.running.go_down()
            return self.running.come_back

        def fill_in_cancel(rng: random.Random) -> Undo:
            self._turn("fills_in_cancel", float(rng.randint(1, 50)))
            return lambda: None

        return [
            *(count(*one) for one in (("too_many", 4), ("loses_answers", 1), ("loses_orders", 1))),
            *(turn(name) for name in ("holds_answers", "is_silent", "holds_commissions", "is_deaf")),
            fill_in_cancel,
            fill_in_cancel,
            cut,
            cut,
            night,
            lambda _rng: self.running.call(lambda server: server.drop()),
        ]

    def _turn(self, name: str, value: float | bool) -> None:
        self.running.call(lambda server: setattr(server.switches, name, value))

    def calm(self) -> None:
        for name in ("too_many", "loses_answers", "loses_orders"):
            self._turn(name, 0)
        for name in ("holds_answers", "is_silent", "holds_commissions", "is_deaf"):
            self._turn(name, False)
        self._turn("fills_in_cancel", 0.0)

    def filled(self) -> dict[str, float]:
        self.duplicates += self.running.call(lambda server: server.book.duplicates)
        return self.running.call(lambda server: {held.reference: held.filled for held in server.book})

    def _reference(self, order_reference: str) -> str:
        return order_reference


WORLDS: dict[str, type[World]] = {"alpaca": AlpacaWorld, "ibkr": TwsWorld}
