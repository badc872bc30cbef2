"""The stream on which Alpaca tells what becomes of orders, and the connections that listen to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

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
        self._sockets: dict[WebSocket, str] = {}
        self._listening: set[WebSocket] = set()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listening)

    def misbehave(self, faults: PracticeFaults) -> None:
        """Let faults befall what is told from now on."""
        self.telling = Telling(faults)

    async def talk(self, socket: WebSocket, codec: str) -> None:
        """Serve one connection until it ends.

        Parameters
        ----------
        socket : WebSocket
        codec : str
            ``json`` or ``msgpack``.
        """
        self._sockets[socket] = codec
        is_authorized = False
        try:
            async for message in socket.messages():
                asked = _read(message, codec)
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
                socket.send(_write(message, self._sockets[socket]))

    def _answer(self, socket: WebSocket, message: dict[str, Any]) -> None:
        if not self._is_silent():
            socket.send(_write(message, self._sockets[socket]))


def _authorization(action: str, *, is_authorized: bool) -> dict[str, Any]:
    status = "authorized" if is_authorized else "unauthorized"
    return {"stream": "authorization", "data": {"status": status, "action": action}}


def _read(message: str | bytes, codec: str) -> dict[str, Any]:
    try:
        if codec == "msgpack" and isinstance(message, bytes):
            import msgpack  # noqa: PLC0415  comes with the extra that its clients need

            asked = msgpack.unpackb(message)
        else:
            asked = json.loads(message)
    except (ValueError, RecursionError):  # msgpack's errors are ValueErrors
        return {}
    return asked if isinstance(asked, dict) else {}


def _write(message: dict[str, Any], codec: str) -> bytes:
    if codec == "msgpack":
        import msgpack  # noqa: PLC0415

        packed: bytes = msgpack.packb(message)
        return packed
    return json.dumps(message, separators=(",", ":")).encode()
