"""The stream on which Alpaca tells what becomes of orders, and the connections that listen to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from fairlead.practice.alpaca.codec import read_message, write_message
from fairlead.practice.alpaca.sockets import WebSocket
from fairlead.practice.faults import PracticeFaults, Telling

STREAM: Final = "trade_updates"
_AUTHENTICATE: Final = ("authenticate", "auth")


class TradeStream:
    """Who listens to what becomes of orders. What is sent goes in binary frames, JSON or MessagePack as the client asked.

    Parameters
    ----------
    accepts : callable
        Whether a key and a secret are accepted.
    is_silent : callable
        Whether nothing is told, though connections stay open.
    """

    def __init__(self, accepts: Callable[[object, object], bool], is_silent: Callable[[], bool]) -> None:
        self._accepts = accepts
        self._is_silent = is_silent
        self.telling: Telling[dict[str, Any]] = Telling()
        self._sockets: dict[WebSocket, bool] = {}
        self._listening: set[WebSocket] = set()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listening)

    def misbehave(self, faults: PracticeFaults) -> None:
        """Let faults befall what is told from now on."""
        self.telling = Telling(faults)

    async def talk(self, socket: WebSocket, *, is_packed: bool) -> None:
        """Serve one connection until it ends.

        Parameters
        ----------
        socket : WebSocket
        is_packed : bool
            It speaks MessagePack.
        """
        self._sockets[socket] = is_packed
        is_authorized = False
        try:
            async for message in socket.messages():
                asked = read_message(message, is_packed=is_packed) or {}
                action, data = asked.get("action"), asked.get("data")
                data = data if isinstance(data, dict) else {}
                if action in _AUTHENTICATE:
                    key = data.get("key_id", asked.get("key"))
                    is_authorized = self._accepts(key, data.get("secret_key", asked.get("secret")))
                    self._answer(socket, _authorization(action, is_authorized=is_authorized))
                elif action == "listen" and is_authorized:
                    wanted = data.get("streams")
                    streams = [STREAM] if isinstance(wanted, list) and STREAM in wanted else []
                    (self._listening.add if streams else self._listening.discard)(socket)
                    self._answer(socket, {"stream": "listening", "data": {"streams": streams}})
                elif action == "listen":
                    self._answer(socket, _authorization(action, is_authorized=False))
                else:
                    self._answer(socket, {"stream": "error", "data": {"error": f"unknown action {action!r}"[:200]}})
        finally:
            del self._sockets[socket]
            self._listening.discard(socket)

    def tell(self, data: dict[str, Any]) -> None:
        """Tell everybody who listens of one event; what befalls it befalls it for all."""
        if self._is_silent():
            return
        delivery = self.telling.deliver({"stream": STREAM, "data": data})
        if delivery.delay_s:
            asyncio.get_running_loop().call_later(delivery.delay_s, self._send, delivery.messages)
        else:
            self._send(delivery.messages)
        if delivery.garbage:
            self.tell_raw(delivery.garbage.encode())
        if delivery.breaks:
            self.drop()

    def tell_raw(self, data: bytes) -> None:
        """Send everybody who listens a frame with these bytes."""
        for socket in tuple(self._listening):
            socket.send(data)

    def send_raw(self, data: bytes) -> None:
        """Send everybody who listens bytes that need be no frame."""
        for socket in tuple(self._listening):
            socket.send_raw(data)

    def flush(self) -> None:
        """Send what was held back to come late."""
        self._send(self.telling.rest())

    def drop(self) -> None:
        """Break every connection without a word."""
        for socket in tuple(self._sockets):
            socket.drop()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End every connection as it should be ended."""
        for socket in tuple(self._sockets):
            socket.close(code, reason)

    def _send(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            for socket in tuple(self._listening):
                socket.send(_write(message, is_packed=self._sockets[socket]))

    def _answer(self, socket: WebSocket, message: dict[str, Any]) -> None:
        if not self._is_silent():
            socket.send(_write(message, is_packed=self._sockets[socket]))


def _authorization(action: str, *, is_authorized: bool) -> dict[str, Any]:
    status = "authorized" if is_authorized else "unauthorized"
    return {"stream": "authorization", "data": {"status": status, "action": action}}


def _write(message: dict[str, Any], *, is_packed: bool) -> bytes:
    """Return a message for a binary frame, as Alpaca sends them here whatever is in it."""
    written = write_message(message, is_packed=is_packed)
    return written.encode() if isinstance(written, str) else written
