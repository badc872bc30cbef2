"""A small, strict HTTP/1.1 server for one machine: bounded requests, kept connections, and websockets on the same port.

The websockets library answers GET alone, and a web framework would be a heavy dependency for a server that only practises.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from fairlead.practice.alpaca.sockets import WebSocket
from fairlead.practice.turns import stop_listening

MOST_HEAD: Final = 16_384
MOST_BODY: Final = 1 << 20
MOST_CLIENTS: Final = 256
_METHODS: Final = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})


class Request(NamedTuple):
    """What a client asks for.

    Parameters
    ----------
    query : mapping of str
        The last value of each name counts.
    headers : mapping of str
        By names in lower case.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


class Response(NamedTuple):
    """What it is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}

    @classmethod
    def of(cls, value: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
        """Return an answer with a value as JSON."""
        return cls(status, json.dumps(value, separators=(",", ":")).encode(), {} if headers is None else headers)

    def encoded(self, *, closes: bool) -> bytes:
        """Return the bytes of it."""
        phrase = HTTPStatus(self.status).phrase
        lines = [f"HTTP/1.1 {int(self.status)} {phrase}", f"Content-Length: {len(self.body)}"]
        if self.body:
            lines.append("Content-Type: application/json; charset=UTF-8")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"Connection: {'close' if closes else 'keep-alive'}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


Answer: TypeAlias = Callable[[Request], Awaitable[Response | None]]
"""Answers a request; None hangs up without a word."""
Talk: TypeAlias = Callable[[WebSocket, Request], Awaitable[None]]
"""Talks over a websocket until it ends."""


class BadRequest(Exception):
    """Something that is no request that this server takes.

    Parameters
    ----------
    status : int
    text : str
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def parse_head(head: bytes) -> tuple[Request, int]:
    """Return a request without its body, and how many bytes that has.

    Raises
    ------
    BadRequest
        If it is no request of HTTP/1.1, or one that this server does not take.
    """
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[1].startswith("/") or parts[2] != "HTTP/1.1":
        raise BadRequest(HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1 request")
    method, target, _ = parts
    if method not in _METHODS:
        raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, f"method {method} is not served")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a header cannot be read")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise BadRequest(HTTPStatus.NOT_IMPLEMENTED, "only bodies of a stated length are taken")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the content length is no number")
    if int(length) > MOST_BODY:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {MOST_BODY} bytes")
    address = urlsplit(target)
    query = dict(parse_qsl(address.query, keep_blank_values=True))
    return Request(method, unquote(address.path), query, headers), int(length)


class HttpServer:
    """Listens, and hands what comes to two callables. It belongs to one asyncio loop.

    Parameters
    ----------
    answer : callable
    talk : callable
    refusal : callable
        The status of HTTP that websockets are refused with; 0 for none.
    """

    def __init__(self, answer: Answer, talk: Talk, refusal: Callable[[], int] = lambda: 0) -> None:
        self._refusal = refusal
        self._answer = answer
        self._talk = talk
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port.

        Raises
        ------
        OSError
            If the address cannot be used.
        """
        self._server = await asyncio.start_server(self._serve, host, port, limit=MOST_HEAD)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop as a process does that is killed: nobody is told."""
        server, self._server = self._server, None
        if server is not None:
            await stop_listening(server)
        clients = dict(self._clients)
        for task, writer in clients.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    def drop(self) -> None:
        """Break every connection there is, and go on listening."""
        for writer in self._clients.values():
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has left, or we are closing: nothing is left to be said
        finally:
            del self._clients[task]
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = await _read_head(reader, is_full=len(self._clients) > MOST_CLIENTS)
            request, length = parse_head(head)
        except BadRequest as exc:
            writer.write(Response.of({"code": exc.status * 100_000, "message": str(exc)}, exc.status).encoded(closes=True))
            await writer.drain()
            return False
        if request.headers.get("upgrade", "").lower() == "websocket":
            socket = WebSocket(reader, writer, head)
            if await socket.accept(self._refusal()):
                await self._talk(socket, request)
            return False
        request = request._replace(body=await reader.readexactly(length))
        response = await self._answer(request)
        if response is None:
            writer.transport.abort()
            return False
        closes = request.headers.get("connection", "").lower() == "close"
        writer.write(response.encoded(closes=closes))
        await writer.drain()
        return not closes


async def _read_head(reader: asyncio.StreamReader, *, is_full: bool) -> bytes:
    if is_full:
        raise BadRequest(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients")
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as exc:
        text = f"the head of a request may have {MOST_HEAD} bytes"
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text) from exc
