"""``/metrics``, ``/health`` and ``/ready`` over HTTP, from a thread beside the loop (domain rule 16.3).

The standard library's server takes a thread for each client and has no limit on how long one may take; this one serves all in a
single thread, and a client that is slow, silent or talks nonsense costs a bounded time and no more.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

from fairlead.core.errors import ConfigurationError
from fairlead.telemetry.families import ERRORS
from fairlead.telemetry.health import Heartbeat, Readiness
from fairlead.telemetry.metrics import CONTENT_TYPE, Metrics

_JSON: Final = "application/json"
_PLAIN: Final = "text/plain; charset=utf-8"
_MAX_REQUEST: Final = 8_192
_METHODS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """Where to listen.

    Parameters
    ----------
    host : str
        An address of this machine. Only loopback is safe without a firewall: whoever can connect can read.
    port : int
        0 for any that is free.
    timeout_s : float
        How long a client may take, from connecting to having read the answer.
    max_clients : int
        How many are served at once; the next is told to come again.
    """

    host: str = "127.0.0.1"
    port: int = 9464
    timeout_s: float = 5.0
    max_clients: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigurationError.of("endpoints.port", "be from 0 to 65535", self.port)
        if not 0 < self.timeout_s <= 60:
            raise ConfigurationError.of("endpoints.timeout_s", "be in (0, 60]", self.timeout_s)
        if not 1 <= self.max_clients <= 1_000:
            raise ConfigurationError.of("endpoints.max_clients", "be from 1 to 1000", self.max_clients)
        try:
            ipaddress.ip_address(self.host)
        except ValueError as exc:
            remedy = "Give 127.0.0.1 for this machine alone, 0.0.0.0 for all its addresses."
            raise ConfigurationError.of("endpoints.host", "be an IP address", self.host, remedy) from exc


class Endpoints:
    """The server; it listens from `start` to `close`, or inside a ``with``.

    Parameters
    ----------
    settings : EndpointSettings
    metrics : Metrics
    heartbeat : Heartbeat
    readiness : Readiness
    """

    def __init__(self, settings: EndpointSettings, metrics: Metrics, heartbeat: Heartbeat, readiness: Readiness) -> None:
        self._settings = settings
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._readiness = readiness
        self._errors = metrics.counter(ERRORS).labels("telemetry")
        self._clients: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._listening = threading.Event()
        self._port = settings.port

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._port

    @property
    def clients(self) -> int:
        """How many are being served."""
        return len(self._clients)

    @property
    def url(self) -> str:
        """Where it is found, without a path."""
        host = self._settings.host
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def start(self) -> None:
        """Listen.

        Raises
        ------
        ConfigurationError
            If the address cannot be listened on, because another process does, say, or no file can be opened any more.
        """
        if self._thread is not None:
            return
        host, port = self._settings.host, self._settings.port
        with ExitStack() as undo:
            try:
                # Here and not in the thread: a process that may open no more files hears of it from `start`.
                loop = asyncio.new_event_loop()
                undo.callback(loop.close)
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                listener = socket.create_server((host, port), family=family)
            except OSError as exc:
                remedy = "Choose another port, or 0 for any that is free."
                reason = os.strerror(exc.errno or 0)
                raise ConfigurationError(f"cannot listen on {host} port {port}: {reason}. {remedy}") from exc
            undo.pop_all()
        self._port = int(listener.getsockname()[1])
        self._listening.clear()
        self._thread = threading.Thread(target=self._run, args=(loop, listener), name="fairlead-endpoints", daemon=True)
        self._thread.start()
        self._listening.wait()

    def close(self) -> None:
        """Stop listening, and drop whoever is still connected."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        try:
            with listener, asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._listen(listener))
        finally:
            self._listening.set()

    async def _listen(self, listener: socket.socket) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda _loop, _context: self._errors.inc())
        server = await asyncio.start_server(self._serve, sock=listener, limit=_MAX_REQUEST)
        self._listening.set()
        await self._stop.wait()
        server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        assert client is not None
        self._clients.add(client)
        # `drain` then waits until the client has taken all of it, within the time that it has.
        writer.transport.set_write_buffer_limits(0)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                writer.write(await self._reply(reader))
                await writer.drain()
                writer.close()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # Cancelled by ourselves alone, at the end: nothing is left to be done but to hang up.
            writer.transport.abort()
        finally:
            self._clients.discard(client)

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        if len(self._clients) > self._settings.max_clients:
            return _response(HTTPStatus.SERVICE_UNAVAILABLE, _PLAIN, b"too many clients; come again\n")
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _PLAIN, b"the request is too long\n")
        method, path = _parse(head)
        if not method:
            return _response(HTTPStatus.BAD_REQUEST, _PLAIN, b"this is no HTTP request\n")
        if method not in _METHODS:
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, _PLAIN, b"only GET and HEAD\n", f"Allow: {', '.join(_METHODS)}\r\n")
        try:
            status, kind, body = self._answer(path)
        except Exception:  # noqa: BLE001  a collector of others may raise; the server goes on
            self._errors.inc()
            status, kind, body = HTTPStatus.INTERNAL_SERVER_ERROR, _PLAIN, b"the answer could not be made\n"
        return _response(status, kind, body, with_body=method == "GET")

    def _answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, self._metrics.render()
        if path == "/health":
            age, limit = self._heartbeat.age_s, self._heartbeat.limit_s
            alive = age < limit
            state = {"status": "alive" if alive else "stalled", "heartbeat_age_s": round(age, 3), "heartbeat_limit_s": limit}
            return _status(passes=alive), _JSON, _json(state)
        if path == "/ready":
            results = self._readiness.results()
            failing = [name for name, problem in results.items() if problem is not None]
            checks = {name: "ok" if problem is None else problem for name, problem in results.items()}
            return _status(passes=not failing), _JSON, _json({"ready": not failing, "failing": failing, "checks": checks})
        return HTTPStatus.NOT_FOUND, _PLAIN, b"there are /metrics, /health and /ready\n"


def _parse(head: bytes) -> tuple[str, str]:
    """Return method and path of a request, without its query; empty if it is none."""
    parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(parts) != 3 or not parts[0].isalpha() or not parts[1].startswith("/") or not parts[2].startswith("HTTP/1."):
        return "", ""
    return parts[0], parts[1].partition("?")[0]


def _status(*, passes: bool) -> HTTPStatus:
    return HTTPStatus.OK if passes else HTTPStatus.SERVICE_UNAVAILABLE


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _response(status: HTTPStatus, kind: str, body: bytes, more: str = "", *, with_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
