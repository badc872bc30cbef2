"""The server: Alpaca's addresses on one port of this machine, in a thread of its own, to be started, broken and restarted."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Self, TypeVar

from fairlead.core.errors import ConfigurationError
from fairlead.core.events import CorporateAction
from fairlead.data.live.feed import MarketEvent
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.practice.alpaca.broker import AlpacaBroker, Keys
from fairlead.practice.alpaca.gate import Gate
from fairlead.practice.alpaca.http import HttpServer, Request, Response
from fairlead.practice.alpaca.sockets import WebSocket
from fairlead.practice.market import PracticeMarket
from fairlead.practice.turns import take_turns

ResultT = TypeVar("ResultT")
_LOG: Final = logging.getLogger(__name__)
_PATIENCE_S: Final = 30.0
_SOON_S: Final = 0.05


class AlpacaServer:
    """An Alpaca on this machine, inside a ``with`` or from `start` to `stop`. Every method may be called from any thread.

    Parameters
    ----------
    market : PracticeMarket
    account : SimulatedAccount
    now_ns : callable
        The clock that stamps what is told; by default the session's own.
    keys : Keys, optional
    port : int
        0 for any that is free.
    calls_per_minute : int
        0 for as many as come.
    runs : bool
        The session goes on by itself, at its pace, from the first time that anybody asks for anything; otherwise by `step`.
    actions : sequence of CorporateAction
        What companies did to their shares, for those who ask.
    obeys : bool
        Whoever asks at ``/practice`` may order it to misbehave.

    Attributes
    ----------
    finished : threading.Event
        Set when a session that runs by itself is over.
    """

    def __init__(
        self,
        market: PracticeMarket,
        account: SimulatedAccount,
        *,
        now_ns: Callable[[], int] | None = None,
        keys: Keys | None = None,
        port: int = 0,
        calls_per_minute: int = 200,
        runs: bool = False,
        actions: Sequence[CorporateAction] = (),
        obeys: bool = False,
    ) -> None:
        self.market = market
        self.keys = Keys() if keys is None else keys
        self.port = port
        self._now_ns = now_ns or (lambda: market.now_ns)
        self._calls_per_minute = calls_per_minute
        self._runs = runs
        self._obeys = obeys
        self._actions = tuple(actions)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listening: HttpServer | None = None
        self._session: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted = asyncio.Event()
        self.finished = threading.Event()
        self._state = self._made(account)
        self._gate = self._door()
        market.listen(self._heard)

    @property
    def url(self) -> str:
        """Where trading is asked for: the ``url_override`` of a `TradingClient`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_url(self) -> str:
        """Where market data is asked for: the ``url_override`` of a `StockHistoricalDataClient`."""
        return self.url

    @property
    def stream_url(self) -> str:
        """Where orders are told: the ``url_override`` of a `TradingStream`."""
        return f"ws://127.0.0.1:{self.port}/stream"

    def data_stream_url(self, feed: str = "iex") -> str:
        """Return where market data is told: the ``url_override`` of a `StockDataStream`."""
        return f"ws://127.0.0.1:{self.port}/v2/{feed}"

    def start(self) -> None:
        """Listen, in a thread of its own.

        Raises
        ------
        ConfigurationError
            If the port cannot be used.
        """
        if self._thread is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="practice-alpaca", daemon=True)
        self._thread.start()
        try:
            self._await(self._open())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop as a process does that is killed; a second call does nothing."""
        if self._thread is None or self._loop is None:
            return
        self._await(self._close())
        self._await(take_turns())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._thread = self._loop = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def do(self, what: Callable[[AlpacaBroker], ResultT]) -> ResultT:
        """Do something with the broker in the server's thread, let it settle, and return what came of it."""

        async def done() -> ResultT:
            try:
                return what(self._state)
            finally:
                self._state.settle()

        return self._await(done())

    def step(self, count: int = 1) -> bool:
        """Let so many instants of the session happen, and return whether there are more."""
        return self.do(lambda broker: broker.market.step(count))

    def drop(self) -> None:
        """Break every connection, those of REST too, and go on listening."""

        async def dropped() -> None:
            if self._listening is not None:
                self._listening.drop()

        self._await(dropped())

    def restart(self, *, empty: bool = False, reuses_ids: bool = False, down_s: float = 0.0) -> None:
        """Be killed and come back on the same port.

        Parameters
        ----------
        empty : bool
            Everything is forgotten, as if it were another account; otherwise what survives goes through JSON.
        reuses_ids : bool
            What comes after everything was forgotten is called as what was forgotten.
        down_s : float
            How many seconds nobody listens.
        """
        self._await(self._restarted(empty=empty, reuses_ids=reuses_ids, down_s=down_s))

    # Inside.

    def _made(self, account: SimulatedAccount) -> AlpacaBroker:
        return AlpacaBroker(
            account,
            self.market,
            now_ns=self._now_ns,
            keys=self.keys,
            calls_per_minute=self._calls_per_minute,
            elapsed=time.monotonic,
        )

    def _heard(self, event: MarketEvent) -> None:
        self._state.heard(event)

    def _door(self) -> Gate:
        return Gate(self._state, self._actions, restart=self._restart_soon if self._obeys else None)

    def _restart_soon(self, *, empty: bool) -> None:
        # After the answer to whoever asked for it, whose connection it breaks.
        loop = asyncio.get_running_loop()
        loop.call_later(_SOON_S, lambda: self._tasks.append(loop.create_task(self._restarted(empty=empty))))

    async def _restarted(self, *, empty: bool, reuses_ids: bool = False, down_s: float = 0.0) -> None:
        await self._close()
        self._state.settle()  # whoever was being answered may have been cut off between an order's end and its record
        kept = json.loads(json.dumps(self._state.to_dict()))
        if empty:
            serial = self._state.account.serial + (0 if reuses_ids else 1)
            kept["account"].update(serial=serial, **_FORGOTTEN)
        self._state = self._made(SimulatedAccount.of(kept["account"], now_ns=self._now_ns))
        if not empty:
            self._state.restore(kept)
        self._gate = self._door()
        if down_s:
            await asyncio.sleep(down_s)
        await self._open()

    async def _answer(self, request: Request) -> Response | None:
        self._wanted.set()
        return await self._gate.answer(request)

    async def _talk(self, socket: WebSocket, request: Request) -> None:
        self._wanted.set()
        await self._gate.talk(socket, request)

    async def _play(self) -> None:
        await self._wanted.wait()
        try:
            await self.market.run()
        except Exception:  # noqa: BLE001  told, and the server goes on without a market
            _LOG.exception("the session of the practice server broke off")
        self.finished.set()

    async def _open(self) -> None:
        self._listening = HttpServer(self._answer, self._talk, lambda: self._state.switches.stream_status)
        try:
            self.port = await self._listening.start("127.0.0.1", self.port)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise ConfigurationError(f"cannot listen on 127.0.0.1:{self.port}: {reason}. Choose another port, or 0.") from exc
        if self._runs:
            self._session = asyncio.get_running_loop().create_task(self._play())

    async def _close(self) -> None:
        if self._session is not None:
            self._session.cancel()
            await asyncio.gather(self._session, return_exceptions=True)
            self._session = None
        if self._listening is not None:
            await self._listening.close()
            self._listening = None

    def _await(self, what: Coroutine[Any, Any, ResultT]) -> ResultT:
        if self._loop is None:
            what.close()
            raise ConfigurationError("the practice server has not been started. Call start() first.")
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_PATIENCE_S)


_FORGOTTEN: Final[dict[str, Any]] = {"orders": [], "executions": [], "changed_ns": {}}
