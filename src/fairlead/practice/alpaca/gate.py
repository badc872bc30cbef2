"""The door of the server: who may come in, how often, and what goes wrong before and after an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, Protocol

from fairlead.core.events import CorporateAction
from fairlead.core.time import NS_PER_SECOND
from fairlead.practice.alpaca.broker import AlpacaBroker
from fairlead.practice.alpaca.codec import wants_packed
from fairlead.practice.alpaca.control import PATH, obey, state_json
from fairlead.practice.alpaca.history import DataApi
from fairlead.practice.alpaca.http import Request, Response
from fairlead.practice.alpaca.pacing import RateLimit, too_many
from fairlead.practice.alpaca.refusals import INTERNAL, Refusal, not_found, unauthorized
from fairlead.practice.alpaca.sockets import WebSocket
from fairlead.practice.alpaca.trading import TradingApi, read_body

_LOG: Final = logging.getLogger(__name__)
_POLL_S: Final = 0.005
_CHANGING: Final = frozenset({"POST", "PATCH", "DELETE"})


class Restart(Protocol):
    """Kills the server soon, and lets it come back."""

    def __call__(self, *, empty: bool) -> None:
        """Do so, with everything that survives or with nothing."""


class Gate:
    """Answers requests, and hands connections to whom they are for.

    Parameters
    ----------
    broker : AlpacaBroker
    actions : sequence of CorporateAction
        What companies did to their shares, for those who ask.
    restart : callable, optional
        Kills the server and lets it come back, empty or not; if it is given, whoever asks may order the server to misbehave.
    """

    def __init__(
        self, broker: AlpacaBroker, actions: Sequence[CorporateAction] = (), *, restart: Restart | None = None
    ) -> None:
        self._restart = restart
        self._broker = broker
        self._trading = TradingApi(broker)
        self._data = DataApi(broker, actions)

    async def answer(self, request: Request) -> Response | None:
        """Return the answer to a request; None if the connection breaks instead."""
        broker, switches = self._broker, self._broker.switches
        switches.calls.append(f"{request.method} {request.path}")
        if request.path == PATH and self._restart is not None:
            return self._obeyed(request, self._restart)
        while switches.is_silent:  # noqa: ASYNC110  a plain attribute that a test turns
            await asyncio.sleep(_POLL_S)
        changes = request.method in _CHANGING
        if changes and switches.take("loses_orders"):
            return None
        if switches.take("fails"):
            return _failed(switches.fail_status)
        response = self._answered(request)
        if changes:
            if switches.take("loses_answers"):
                return None
            if switches.take("fails_after"):
                return _failed(switches.fail_status)
            while switches.holds_answers:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
        if switches.take("garbles"):
            return Response(response.status, b'{"id": "')
        headers = self._limit(request).headers(broker.now_ns() / NS_PER_SECOND)
        return response._replace(headers={**response.headers, **headers})

    async def talk(self, socket: WebSocket, request: Request) -> None:
        """Talk over a websocket until it ends."""
        is_packed = wants_packed(request.headers.get("content-type", ""))
        if request.path == "/stream":
            await self._broker.stream.talk(socket, is_packed=is_packed)
        elif request.path in ("/v2/iex", "/v2/sip"):
            await self._broker.feed.talk(socket, request.path.removeprefix("/v2/"), is_packed=is_packed)
        socket.close()

    def _answered(self, request: Request) -> Response:
        broker = self._broker
        try:
            self._admit(request)
            return self._room(request)
        except Refusal as exc:
            return exc.response()
        except Exception:  # noqa: BLE001  a fault of ours is told as a server tells it, and it goes on
            _LOG.exception("%s %s failed", request.method, request.path)
            return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL, "internal server error occurred").response()
        finally:
            broker.settle()

    def _obeyed(self, request: Request, restart: Restart) -> Response:
        try:
            if request.method == "GET":
                return Response.of(state_json(self._broker))
            asked = read_body(request)
            if isinstance(asked, dict) and asked.get("do") == "restart":
                restart(empty=bool(asked.get("empty")))
                return Response.of({"restarts": True}, HTTPStatus.ACCEPTED)
            return Response.of(obey(self._broker, asked))
        except Refusal as exc:
            return exc.response()

    def _admit(self, request: Request) -> None:
        if not self._broker.accepts(*_keys(request)):
            raise Refusal(HTTPStatus.FORBIDDEN, 0, "forbidden.") if _is_data(request) else unauthorized()
        if self._broker.switches.take("too_many") or not self._limit(request).take():
            raise too_many()

    def _limit(self, request: Request) -> RateLimit:
        return self._broker.data_limit if _is_data(request) else self._broker.limit

    def _room(self, request: Request) -> Response:
        if _is_data(request):
            return self._data.answer(request)
        if request.path.startswith("/v2/"):
            return self._trading.answer(request)
        raise not_found("endpoint not found")


def _failed(status: int) -> Response:
    code = INTERNAL if status == HTTPStatus.INTERNAL_SERVER_ERROR else status * 100_000
    return Refusal(status, code, "internal server error occurred").response()


def _is_data(request: Request) -> bool:
    return request.path.startswith(("/v2/stocks/", "/v1/corporate-actions"))


def _keys(request: Request) -> tuple[str | None, str | None]:
    return request.headers.get("apca-api-key-id"), request.headers.get("apca-api-secret-key")
