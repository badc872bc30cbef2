"""A live session that a test drives: its bars come by hand, and its orders go to a simulated broker in a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from fairlead.config.livebroker import SessionBroker
from fairlead.config.papering import wire_at_broker
from fairlead.config.realtime import RealtimeSession
from fairlead.core.errors import BrokerAccess, FairleadError
from fairlead.core.events import Bar
from fairlead.core.instruments import Instrument
from fairlead.core.time import NS_PER_MINUTE
from fairlead.execution.brokers.settings import LinkSettings
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.simulated.broker import SimulatedBroker, SimulatedBrokerSettings
from fairlead.execution.brokers.words import BrokerAccount
from fairlead.execution.settings import ExecutionSettings
from support_feeds import OPEN_NS
from support_operated import WAIT_S, Operated, Told, written
from support_paper import loaded

LIVE_RUN = "live_du1_2024-06-03_operated"
CASH = 1_000_000.0
FREE = ExecutionSettings.model_validate(
    {"slippage": {"model": "none"}, "commission": {"model": "none"}, "latency": {"mean_ms": 0, "std_ms": 0}}
)
AT_ONCE = SimulatedBrokerSettings.model_validate({"latency": {"mean_ms": 0, "std_ms": 0}, "answer_s": 0.2})
QUICK = LinkSettings.model_validate(
    {
        "attempt_s": 2,
        "start_s": 1,
        "silence_s": 600,
        "looks_s": [0.05, 0.1, 0.2],
        "reconnect": {"base_s": 0.01, "cap_s": 0.02},
    }
)
ResultT = TypeVar("ResultT")


class Here(SimulatedBroker):
    """A simulated broker that knows in which loop it lives."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.reached = threading.Event()

    async def connect(self) -> BrokerAccount:
        self.loop = asyncio.get_running_loop()
        account = await super().connect()
        self.reached.set()
        return account


def account_of(symbols: str = "A", clock: Callable[[], int] = lambda: OPEN_NS, **options: Any) -> SimulatedAccount:
    """A fresh account that fills as a paper session without costs does."""
    names = symbols.split(",")
    traded = {name: Instrument(symbol=name, calendar="24/7") for name in names}
    return SimulatedAccount("DU1", symbols=names, now_ns=clock, cash=CASH, settings=FREE, instruments=traded, **options)


class Live(Operated):
    """One running live session."""

    def __init__(self, workspace: Path, config: Path, account: SimulatedAccount | None, run_id: str, **options: Any) -> None:
        self.clock_ns = 0
        self.account = account or account_of(clock=lambda: self.clock_ns)
        self.broker = Here(self.account, AT_ONCE, now_ns=lambda: self.clock_ns)
        super().__init__(workspace, config, run_id, **options)

    def _wired(self, config: Path, workspace: Path) -> RealtimeSession:
        def admit(shown: BrokerAccount) -> None:
            if shown.account_id != "DU1":
                raise BrokerAccess(f"'account' must be 'DU1', was {shown.account_id!r}.")

        at = SessionBroker(account="DU1", open=lambda: self.broker, admit=admit, settings=QUICK)
        return wire_at_broker(loaded(config), {}, self._now_ns, at, workspace)

    def at_broker(self, act: Callable[[], ResultT]) -> ResultT:
        """Do something where the broker lives, and return when the session's queue has what came of it."""
        assert self.broker.reached.wait(WAIT_S)

        async def acted() -> ResultT:
            done = act()
            for _ in range(50):  # what was told walks through two queues of the loop
                await asyncio.sleep(0)
            return done

        return asyncio.run_coroutine_threadsafe(acted(), self.broker.loop).result(WAIT_S)

    def minute(self, price: float, low: float | None = None, **wishes: Any) -> None:
        """Let a minute pass: the orders at the broker meet its bar, and then the strategies decide on it."""
        bar = Bar("A", self.now, self.now + NS_PER_MINUTE, price, price, low or price, price, 1e6)
        self.clock_ns = max(self.clock_ns, self.now + NS_PER_MINUTE)
        self.at_broker(lambda: self.account.step({"A": bar}))
        super().minute(price, low, **wishes)
        self.at_broker(lambda: None)

    @property
    def status(self) -> dict[str, Any]:
        try:
            return super().status
        except FairleadError:
            self._thread.join(1.0)
            raise self.error or AssertionError("the session does not answer") from None

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask how things stand until something holds."""
        for _ in range(2_000):
            status = self.status
            if holds(status):
                return status
            threading.Event().wait(0.005)
        raise AssertionError(status)


@contextlib.contextmanager
def live(
    folder: Path,
    *names: str,
    account: SimulatedAccount | None = None,
    run_id: str = LIVE_RUN,
    goes_on: bool = False,
    more: str = "",
    **sections: str,
) -> Iterator[Live]:
    """Run a live session of such strategies, all told by their names."""
    config = written(folder, names or ("alpha",), **sections)
    text = config.read_text()
    given = next(line for line in text.splitlines() if line.startswith("execution:"))
    text = text.replace("mode: paper", "mode: live").replace(given, "execution: {type: broker, broker: simulated}")
    config.write_text(more + text)
    Told.wishes.clear()
    session = Live(folder, config, account, run_id, goes_on=goes_on)
    try:
        yield session
    finally:
        session.abandon()
