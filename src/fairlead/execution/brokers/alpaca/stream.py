"""The stream on which Alpaca tells what becomes of orders.

`alpaca-py` has a client for it that runs a loop of its own, seeks a lost connection by itself and says nothing of either, so
that nobody would know when to ask what was missed. This one speaks the same protocol and ends when the line does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from fairlead.core.errors import BrokerAccess, BrokerConnection, ContractError, PacingViolation
from fairlead.execution.brokers.alpaca.settings import AlpacaSettings

STREAM: Final = "trade_updates"
LARGEST: Final = 1 << 20
"""Bytes of a message that is still read; the largest order with legs has some thousands."""
_MOST: Final = 1 << 24
"""Bytes after which the line is cut, since whoever sends them would fill the memory."""
_CLOSE_S: Final = 1.0


class UpdateStream:
    """A connection to the stream.

    Parameters
    ----------
    socket : ClientConnection
        On which the stream was begun; see `open_stream`.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def messages(self) -> AsyncIterator[dict[str, Any] | ContractError]:
        """Yield each message, or what is wrong with it, until the line ends.

        Raises
        ------
        BrokerConnection
            When it does, whoever ended it.
        """
        try:
            async for text in self._socket:
                yield _read(text)
        except ConnectionClosed as exc:
            raise BrokerConnection(f"the stream of orders was cut off: {exc}.") from exc
        raise BrokerConnection("the stream of orders was closed by Alpaca.")

    async def close(self) -> None:
        """Close the connection; a second call does nothing."""
        try:
            await self._socket.close()
        finally:
            self.abort()  # for whoever has no patience for the farewell

    def abort(self) -> None:
        """Drop the connection at once."""
        self._socket.transport.abort()


async def open_stream(settings: AlpacaSettings) -> UpdateStream:
    """Connect, show the keys, and listen.

    Raises
    ------
    BrokerAccess
        If the keys are refused.
    PacingViolation
        If there were too many attempts.
    BrokerConnection
        If it cannot be reached, or does not answer as it must.
    """
    try:
        async with asyncio.timeout(settings.timeout_s):
            socket = await connect(
                settings.stream_url,
                compression=None,
                max_size=_MOST,
                open_timeout=None,
                close_timeout=_CLOSE_S,
                ping_interval=settings.ping_s,
                ping_timeout=2 * settings.ping_s,
                proxy=None,
            )
            try:
                await _begin(socket, settings)
            except BaseException:
                socket.transport.abort()
                raise
    except InvalidStatus as exc:
        status = exc.response.status_code
        if status in {401, 403}:
            raise BrokerAccess(f"Alpaca's stream refuses the keys: HTTP {status}.") from exc
        if status == 429:
            raise PacingViolation("Alpaca's stream was asked for too often: HTTP 429.") from exc
        raise BrokerConnection(f"Alpaca's stream answers with HTTP {status}.") from exc
    except (OSError, WebSocketException, TimeoutError) as exc:
        why = "no answer in time" if isinstance(exc, TimeoutError) else str(exc) or type(exc).__name__
        raise BrokerConnection(f"Alpaca's stream cannot be reached: {why}.") from exc
    return UpdateStream(socket)


async def _begin(socket: ClientConnection, settings: AlpacaSettings) -> None:
    keys = {"key_id": settings.api_key.get_secret_value(), "secret_key": settings.api_secret.get_secret_value()}
    await socket.send(json.dumps({"action": "authenticate", "data": keys}))
    answer = await _answer(socket, "authorization")
    if answer.get("status") != "authorized":
        raise BrokerAccess("Alpaca's stream refuses the keys. Check them, and that they are of this kind of account.")
    await socket.send(json.dumps({"action": "listen", "data": {"streams": [STREAM]}}))
    answer = await _answer(socket, "listening")
    if STREAM not in (answer.get("streams") or ()):
        raise BrokerConnection(f"Alpaca's stream does not tell {STREAM}.")


async def _answer(socket: ClientConnection, stream: str) -> dict[str, Any]:
    """Return the data of the answer that is waited for; whatever else comes before it is none of ours."""
    while True:
        message = _read(await socket.recv())
        if isinstance(message, dict) and message.get("stream") == stream:
            data = message.get("data")
            return data if isinstance(data, dict) else {}


def _read(text: str | bytes) -> dict[str, Any] | ContractError:
    if len(text) > LARGEST:
        return ContractError.of("message", f"have at most {LARGEST} bytes", len(text))
    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(text)
        if isinstance(message, dict):
            return message
    return ContractError.of("message", "be an object in JSON", text[:80])
