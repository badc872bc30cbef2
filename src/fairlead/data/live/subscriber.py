"""One client of a market-data server: its subscription, the numbers of its events, and what can be asked for again."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from fairlead.contracts.market_messages import market_message
from fairlead.contracts.settings import Settings
from fairlead.core.time import BarSize, to_ns
from fairlead.data.live.faults import Fault, FaultPlan
from fairlead.data.live.feed import MarketEvent
from fairlead.data.live.protocol import (
    BACKFILL_MOST,
    Backfill,
    BackfillRequest,
    End,
    ErrorMessage,
    Heartbeat,
    Subscribe,
    Subscribed,
    text_of,
)


class Serving(Protocol):
    """What a client must know of its server."""

    events: Sequence[MarketEvent]
    symbols: tuple[str, ...]
    bar_size: BarSize
    producer_id: str
    source: str | None
    plan: FaultPlan
    history: int | None
    published: int
    is_over: bool


class Subscriber:
    """One connection to a market server: what it subscribed to, and how its events are numbered.

    Parameters
    ----------
    server : Serving
        Whose events they are.
    socket : ServerConnection
    """

    def __init__(self, server: Serving, socket: ServerConnection) -> None:
        self._server = server
        self._socket = socket
        # Eight bytes each: of a long session there are millions.
        self._positions = array("q")
        self._late: list[str] = []
        # An answer that names a number must leave before the event that has it.
        self._lock = asyncio.Lock()
        self.symbols: frozenset[str] = frozenset()
        self.knows_end = False

    async def send(self, message: Settings | str) -> None:
        """Send a message; a connection that is gone is noticed by whoever reads from it."""
        try:
            await self._socket.send(message if isinstance(message, str) else text_of(message))
        except ConnectionClosed:
            return

    async def subscribe(self, message: Subscribe) -> None:
        """Count the events of these symbols from the beginning of the session and go on from here."""
        server = self._server
        unknown = sorted(set(message.symbols) - set(server.symbols))
        if unknown:
            await self.send(ErrorMessage(code="unknown_symbol", message=f"no symbol named {', '.join(unknown)}"))
            return
        async with self._lock:
            self.symbols = frozenset(message.symbols)
            self._positions = array("q", (i for i in range(server.published) if server.events[i].symbol in self.symbols))
            self._late.clear()
            first = None if message.since is None else self._first_after(to_ns(message.since))
            names, count = tuple(sorted(self.symbols)), len(self._positions)
            await self.send(Subscribed(symbols=names, next_number=count, first_number=first))
            if server.is_over:
                await self._tell_end()

    async def publish(self, index: int, event: MarketEvent, faults: frozenset[Fault]) -> None:
        """Send an event, if it is subscribed to, or what a fault makes of it."""
        if event.symbol not in self.symbols:
            return
        async with self._lock:
            if self._positions and self._positions[-1] >= index:  # subscribed while the event was under way
                return
            self._positions.append(index)
            text = self._text(len(self._positions) - 1)
            if Fault.MALFORMED in faults:
                text = self._server.plan.garbage()
            if not faults & {Fault.SILENCE, Fault.GAP}:
                if Fault.REORDER in faults:
                    self._late.append(text)
                else:
                    await self._send_all(text, *([text] if Fault.DUPLICATE in faults else []))
            if Fault.DROP in faults:
                self._late.clear()
                self._socket.transport.abort()

    async def beat(self) -> None:
        """Say how far the numbers go."""
        if self.symbols:
            async with self._lock:
                await self._send_all()
                await self.send(Heartbeat(next_number=len(self._positions)))

    async def end(self) -> None:
        """Say that the session is over."""
        if self.symbols:
            async with self._lock:
                await self._send_all()
                await self._tell_end()

    async def backfill(self, request: BackfillRequest) -> None:
        """Answer with what has been published of the events asked for, or refuse."""
        count = len(self._positions)
        if not self.symbols:
            error = ErrorMessage(code="not_subscribed", message="subscribe first", request_id=request.request_id)
            await self.send(error)
            return
        history = self._server.history
        oldest = 0 if history is None else max(0, count - history)
        if not oldest <= request.first <= request.last < count:
            told = f"events {oldest} to {count - 1} can be had, {request.first} to {request.last} were asked for"
            error = ErrorMessage(code="unavailable", message=told, request_id=request.request_id, oldest_number=oldest)
            await self.send(error)
            return
        last = min(request.last, request.first + BACKFILL_MOST - 1)
        events = ",".join(self._text(number) for number in range(request.first, last + 1))
        head = text_of(Backfill(request_id=request.request_id, first=request.first, last=last, events=()))
        await self.send(head.replace('"events":[]', f'"events":[{events}]'))

    def _first_after(self, since_ns: int) -> int:
        events = self._server.events
        return bisect_right(self._positions, since_ns, key=lambda position: events[position].known_ns)

    def _text(self, number: int) -> str:
        server = self._server
        event = server.events[self._positions[number]]
        message = market_message(event, number, producer_id=server.producer_id, bar_size=server.bar_size, source=server.source)
        return text_of(message)

    async def _tell_end(self) -> None:
        await self.send(End(next_number=len(self._positions)))
        self.knows_end = True

    async def _send_all(self, *texts: str) -> None:
        """Send messages, then those that were held back."""
        late, self._late = self._late, []
        for text in (*texts, *late):
            await self.send(text)
