"""A websocket on a connection that a server already has, and what can be done to it that no library does by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

MOST_MESSAGE: Final = 1 << 20
MOST_WAITING: Final = 8 << 20
"""How many bytes may wait for a client that does not read, before it is dropped."""
_CHUNK: Final = 65_536
_MESSAGES: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.CLOSE})


class WebSocket:
    """The server's end of a websocket. It belongs to one asyncio loop; sending never waits.

    Parameters
    ----------
    reader, writer : StreamReader, StreamWriter
    head : bytes
        The request that asks for it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol(max_size=MOST_MESSAGE)
        self._protocol.receive_data(head)

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return self._protocol.state is OPEN and not self._writer.is_closing()

    async def accept(self, refusal: int = 0) -> bool:
        """Answer the request; return whether it is a websocket now.

        Parameters
        ----------
        refusal : int
            A status of HTTP to refuse it with; 0 to take it.
        """
        for event in self._protocol.events_received():
            if isinstance(event, Handshake):
                response = self._protocol.reject(refusal, "") if refusal else self._protocol.accept(event)
                self._protocol.send_response(response)
                self._flush()
                return response.status_code == HTTPStatus.SWITCHING_PROTOCOLS
        self._flush()
        return False

    def send(self, message: str | bytes) -> None:
        """Send a message, as text or in binary; nothing if it is closed."""
        if not self.is_open:
            return
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._flush()
        if self._writer.transport.get_write_buffer_size() > MOST_WAITING:
            self.drop()

    def send_raw(self, data: bytes) -> None:
        """Send bytes that need be no frame of a websocket."""
        if self.is_open:
            self._writer.write(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say farewell; a second call does nothing."""
        if self.is_open:
            self._protocol.send_close(code, reason)
            self._flush()

    def drop(self) -> None:
        """Break the connection without a word."""
        self._writer.transport.abort()

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield what the client sends, put together, until it is closed or lost."""
        parts: list[bytes] = []
        is_text = False
        while True:
            try:
                data = await self._reader.read(_CHUNK)
            except OSError:
                return
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            frames = self._protocol.events_received()
            self._flush()
            for frame in frames:
                if not isinstance(frame, Frame) or frame.opcode not in _MESSAGES:
                    continue
                if frame.opcode is Opcode.CLOSE:
                    return
                if frame.opcode is not Opcode.CONT:
                    parts, is_text = [], frame.opcode is Opcode.TEXT
                parts.append(bytes(frame.data))
                if frame.fin:
                    whole = b"".join(parts)
                    # What is no text of a text frame is for the one who reads it to refuse.
                    yield whole.decode(errors="replace") if is_text else whole
            if not data or self._protocol.close_expected():
                return

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self._writer.is_closing():
                self._writer.write(data)
