"""The stream of Alpaca's market data: who listens to what, and what is said when something is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from fairlead.core.events import Bar, Quote
from fairlead.data.live.feed import MarketEvent
from fairlead.practice.alpaca.codec import packed_stamp, read_message, write_message
from fairlead.practice.alpaca.prices import event_json, stamp_text
from fairlead.practice.alpaca.sockets import WebSocket
from fairlead.practice.faults import PracticeFaults, Telling

CHANNELS: Final = (
    "trades",
    "quotes",
    "bars",
    "updatedBars",
    "dailyBars",
    "statuses",
    "lulds",
    "corrections",
    "cancelErrors",
)
ERRORS: Final = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    500: "internal error",
}


@dataclass(slots=True, eq=False)
class _Listener:
    socket: WebSocket
    is_packed: bool
    feed: str
    is_authorized: bool = False
    channels: dict[str, set[str]] = field(default_factory=dict)

    def send(self, messages: list[dict[str, Any]]) -> None:
        self.socket.send(write_message(messages, is_packed=self.is_packed))

    def error(self, code: int) -> None:
        self.send([{"T": "error", "code": code, "msg": ERRORS[code]}])

    def hears(self, channel: str, symbol: str) -> bool:
        names = self.channels.get(channel)
        return names is not None and (symbol in names or "*" in names)


class DataStream:
    """Who listens to the market.

    Parameters
    ----------
    accepts : callable
        Whether a key and a secret are accepted.
    is_silent : callable
        Whether nothing is told, though connections stay open.

    Attributes
    ----------
    feeds : set of str
        Those that the account has paid for.
    most_connections : int
        At once; Alpaca allows one.
    most_symbols : int
        Names that one connection may listen to, of trades and quotes; 0 for any number.
    auth_s : float
        Seconds in which the keys must be shown.
    is_muted : bool
        Nothing is told on this stream, while the others go on.
    """

    def __init__(self, accepts: Callable[[object, object], bool], is_silent: Callable[[], bool]) -> None:
        self.feeds = {"iex", "sip"}
        self.most_connections = 1
        self.most_symbols = 0
        self.auth_s = 10.0
        self.is_muted = False
        self.telling: Telling[tuple[str, str, MarketEvent]] = Telling()
        self._accepts = accepts
        self._is_silent = is_silent
        self._listeners: list[_Listener] = []

    @property
    def listeners(self) -> int:
        """How many listen to anything."""
        return sum(any(listener.channels.values()) for listener in self._listeners)

    def misbehave(self, faults: PracticeFaults) -> None:
        """Let faults befall what is told from now on."""
        self.telling = Telling(faults)

    async def talk(self, socket: WebSocket, feed: str, *, is_packed: bool) -> None:
        """Serve one connection until it ends."""
        listener = _Listener(socket, is_packed, feed)
        late = asyncio.get_running_loop().call_later(self.auth_s, self._too_late, listener)
        self._listeners.append(listener)
        try:
            if not self._is_silent():
                listener.send([{"T": "success", "msg": "connected"}])
            async for message in socket.messages():
                asked = read_message(message, is_packed=is_packed)
                if not self._is_silent() and not self._answer(listener, asked):
                    return
        finally:
            late.cancel()
            self._listeners.remove(listener)

    def heard(self, event: MarketEvent) -> None:
        """Tell whoever listens of what has happened."""
        if self.is_muted or self._is_silent() or not self._listeners:
            return
        channel = "bars" if isinstance(event, Bar) else "quotes" if isinstance(event, Quote) else "trades"
        delivery = self.telling.deliver((channel, event.symbol, event))
        if delivery.delay_s:
            asyncio.get_running_loop().call_later(delivery.delay_s, self._send, delivery.messages)
        else:
            self._send(delivery.messages)
        if delivery.garbage:
            self.tell_raw(delivery.garbage.encode())
        if delivery.breaks:
            self.drop()

    def flush(self) -> None:
        """Send what was held back to come late."""
        self._send(self.telling.rest())

    def tell(self, messages: list[dict[str, Any]]) -> None:
        """Tell everybody whatever one likes."""
        for listener in tuple(self._listeners):
            listener.send(messages)

    def tell_raw(self, data: bytes) -> None:
        """Send everybody a frame with these bytes."""
        for listener in tuple(self._listeners):
            listener.socket.send(data if listener.is_packed else data.decode("latin-1"))

    def drop(self) -> None:
        """Break every connection without a word."""
        for listener in tuple(self._listeners):
            listener.socket.drop()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End every connection as it should be ended."""
        for listener in tuple(self._listeners):
            listener.socket.close(code, reason)

    def _send(self, messages: list[tuple[str, str, MarketEvent]]) -> None:
        kinds = {"bars": "b", "quotes": "q", "trades": "t"}
        for channel, symbol, event in messages:
            for listener in tuple(self._listeners):
                if listener.hears(channel, symbol):
                    stamp = packed_stamp if listener.is_packed else stamp_text
                    listener.send([{"T": kinds[channel], "S": symbol, **event_json(event, stamp)}])

    def _answer(self, listener: _Listener, asked: dict[str, Any] | None) -> bool:
        """Answer, and return whether the connection goes on."""
        action = None if asked is None else asked.get("action")
        if asked is None or action not in ("auth", "subscribe", "unsubscribe"):
            listener.error(400)
        elif action == "auth":
            return self._admit(listener, asked)
        elif not listener.is_authorized:
            listener.error(401)
        else:
            self._subscribe(listener, asked, adds=action == "subscribe")
        return True

    def _admit(self, listener: _Listener, asked: dict[str, Any]) -> bool:
        if listener.is_authorized:
            listener.error(403)
            return True
        if not self._accepts(asked.get("key"), asked.get("secret")):
            listener.error(402)
            return False
        if listener.feed not in self.feeds:
            listener.error(409)
            return False
        if sum(other.is_authorized for other in self._listeners) >= self.most_connections:
            listener.error(406)
            return False
        listener.is_authorized = True
        listener.send([{"T": "success", "msg": "authenticated"}])
        return True

    def _subscribe(self, listener: _Listener, asked: dict[str, Any], *, adds: bool) -> None:
        wanted = {name: value for name, value in asked.items() if name != "action"}
        if not all(name in CHANNELS and _are_names(value) for name, value in wanted.items()):
            listener.error(410 if all(_are_names(value) for value in wanted.values()) else 400)
            return
        after = {name: set(names) for name, names in listener.channels.items()}
        for name, names in wanted.items():
            had = after.setdefault(name, set())
            after[name] = had | set(names) if adds else had - set(names)
        counted = len(after.get("trades", ())) + len(after.get("quotes", ()))
        if self.most_symbols and counted > self.most_symbols:
            listener.error(405)
            return
        # With trades come what is said of them later.
        for name in ("corrections", "cancelErrors"):
            after[name] = set(after.get("trades", ()))
        listener.channels = after
        listener.send([{"T": "subscription", **{name: sorted(after.get(name, ())) for name in CHANNELS}}])

    def _too_late(self, listener: _Listener) -> None:
        if not listener.is_authorized and listener in self._listeners:
            listener.error(404)
            listener.socket.close()


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
