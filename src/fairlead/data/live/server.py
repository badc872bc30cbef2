"""A market-data server for tests and demos: a stored session over a websocket, at a speed, with faults on demand."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from fairlead.core.errors import ConfigurationError, ContractError, DataError
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.faults import Fault, FaultPlan, FaultSettings
from fairlead.data.live.feed import MarketEvent, Sleep
from fairlead.data.live.pacing import MAX_SPEED, Pace
from fairlead.data.live.protocol import BackfillRequest, Control, ErrorMessage, Subscribe, Welcome, read_client
from fairlead.data.live.settings import check_url
from fairlead.data.live.subscriber import Subscriber

_LOG: Final = logging.getLogger(__name__)
_LARGEST: Final = 1 << 20
_YIELD_EVERY: Final = 64
_CLOSE_S: Final = 1.0


class MarketServer:
    """Publishes the events of one session to all that subscribe. The session begins with the first subscription.

    At full speed the slowest client sets the pace, and a session goes on while none is there: who comes back finds a gap.

    Parameters
    ----------
    events : sequence of Bar, Quote or Trade
        Ordered by `known_ns`; any part can be asked for again, so they are held in memory, or made when they are looked up.
    bar_size : BarSize
    calendar : ExchangeCalendar
    speed : float
        Multiple of real time; 0 for as fast as clients read.
    faults : FaultSettings, optional
    host, port : str, int
        Where to listen; port 0 takes a free one.
    heartbeat_s : float
        Real seconds between heartbeats.
    history : int, optional
        How many events back a subscription is answered; None for all.
    allow_control : bool
        Whether clients may order faults.
    producer_id : str, optional
        Names the session; a server that is started again is another. Default: a name of its own.
    source : str, optional
        What messages say about where the data comes from (domain rule 12.1).
    symbols : sequence of str, optional
        Of the events, where to look through all of them would take long.
    sleep, elapsed : callable
        Wait for seconds, and count them; the pace of the session and its heartbeats.
    """

    def __init__(
        self,
        events: Sequence[MarketEvent],
        *,
        bar_size: BarSize,
        calendar: ExchangeCalendar,
        speed: float = MAX_SPEED,
        faults: FaultSettings | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        heartbeat_s: float = 1.0,
        history: int | None = None,
        allow_control: bool = False,
        producer_id: str | None = None,
        source: str | None = None,
        symbols: Sequence[str] | None = None,
        sleep: Sleep = asyncio.sleep,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        if not events:
            raise DataError("the session has no events to serve.")
        if not heartbeat_s > 0:
            raise ConfigurationError.of("heartbeat_s", "be above 0 seconds", heartbeat_s)
        self.events = events
        self.symbols = tuple(sorted(symbols if symbols is not None else {event.symbol for event in events}))
        self.bar_size = bar_size
        self.calendar = calendar
        self.producer_id = f"market-server-{secrets.token_hex(4)}" if producer_id is None else producer_id
        self.source = source
        self.plan = FaultPlan(FaultSettings() if faults is None else faults)
        self.history = history
        self.published = 0
        """How many events have become known."""
        self.is_over = False
        self.is_silent = False
        self._pace = Pace(speed, elapsed, calendar)
        self._host, self._port = host, port
        self._heartbeat_s = heartbeat_s
        self._allow_control = allow_control
        self._sleep = sleep
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: list[Subscriber] = []
        self._wanted = asyncio.Event()
        self._finished = asyncio.Event()
        self._left = asyncio.Event()

    @property
    def url(self) -> str:
        """Where clients connect.

        Raises
        ------
        DataError
            If it has not been started.
        """
        if self._server is None:
            raise DataError("the market server has not been started. Call start() first.")
        port = next(iter(self._server.sockets)).getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        return check_url(f"ws://{host}:{port}")

    async def start(self) -> None:
        """Listen; the session begins when the first client subscribes.

        Raises
        ------
        DataError
            If the address cannot be used.
        """
        try:
            self._server = await serve(
                self._serve, self._host, self._port, compression=None, max_size=_LARGEST, close_timeout=_CLOSE_S
            )
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise DataError(f"cannot listen on {self._host}:{self._port}: {reason}. Choose another host or port.") from exc
        self._tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._beat())]

    async def close(self) -> None:
        """Stop and close every connection; a second call does nothing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def finished(self) -> None:
        """Wait until every event has been published."""
        await self._finished.wait()

    async def left(self) -> None:
        """Wait until a client that was told of the session's end has left, and none is connected."""
        await self._left.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def order(self, fault: Fault | str, count: int = 1) -> None:
        """Let `fault` befall the next `count` events."""
        self.plan.order(Fault(fault), count)

    async def _publish(self) -> None:
        await self._wanted.wait()
        last = len(self.events) - 1
        for index, event in enumerate(self.events):
            due_ns = self.events[min(last, index + self.plan.held_back(index))].known_ns
            wait = self._pace.wait_s(due_ns)
            if wait > 0:
                await self._sleep(wait)
            elif index % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            faults = self.plan.decide(index)
            self.is_silent = Fault.SILENCE in faults
            self.published = index + 1
            for client in list(self._clients):
                await client.publish(index, event, faults)
        self.is_silent = False
        self.is_over = True
        for client in list(self._clients):
            await client.end()
        self._finished.set()

    async def _beat(self) -> None:
        while True:
            await self._sleep(self._heartbeat_s)
            if not self.is_silent:
                for client in list(self._clients):
                    await client.beat()

    async def _serve(self, socket: ServerConnection) -> None:
        client = Subscriber(self, socket)
        self._clients.append(client)
        try:
            await client.send(
                Welcome(
                    producer_id=self.producer_id,
                    bar_size=self.bar_size,
                    calendar=self.calendar.name,
                    symbols=self.symbols,
                )
            )
            async for text in socket:
                await self._answer(client, text)
        except ConnectionClosed:
            pass
        finally:
            self._clients.remove(client)
            if client.knows_end and not self._clients:
                self._left.set()

    async def _answer(self, client: Subscriber, text: str | bytes) -> None:
        try:
            message = read_client(text)
        except ContractError as exc:
            await client.send(ErrorMessage(code="bad_message", message=str(exc)))
            return
        match message:
            case Subscribe():
                await client.subscribe(message)
                if client.symbols:
                    self._wanted.set()
            case BackfillRequest():
                await client.backfill(message)
            case Control() if self._allow_control:
                self.order(message.fault, message.count)
            case Control():
                await client.send(ErrorMessage(code="forbidden", message="this server was not started with --allow-control"))
