"""The line on which a server that is a process of its own is told to misbehave: a JSON object a line, each answered by one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from fairlead.core.errors import ConfigurationError, FairleadError
from fairlead.data.live.faults import Fault
from fairlead.practice.tws.server import TwsServer
from fairlead.practice.tws.wire import frame

_HIDDEN: Final = frozenset({"calls", "refusals"})


class ControlLine:
    """Obeys whoever connects; only to be opened where that is wanted.

    Parameters
    ----------
    server : TwsServer
    """

    def __init__(self, server: TwsServer) -> None:
        self._server = server
        self._listener: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()

    async def start(self) -> int:
        """Listen on a free port of the server's host, and return it."""
        self._listener = await asyncio.start_server(self._obey_all, self._server.host, 0)
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()
            for writer in list(self._lines):
                writer.transport.abort()
            await self._listener.wait_closed()

    async def _obey_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            pass  # gone, or a line without an end
        finally:
            self._lines.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            if not isinstance(asked, dict):
                raise ConfigurationError.of("command", 'be an object such as {"do": "state"}', asked)
            await obey(self._server, asked)
        except (FairleadError, KeyError, TypeError, ValueError) as exc:
            return {"error": f"missing {exc}" if isinstance(exc, KeyError) else str(exc)}
        return state(self._server)


def state(server: TwsServer) -> dict[str, Any]:
    """Return how everything stands, as plain data."""
    switches = {name: getattr(server.switches, name) for name in _switches(server)}
    return {
        "switches": switches,
        "clients": sorted(server.clients),
        "calls": len(server.switches.calls),
        "violations": server.violations + server.feeds.violations,
        "duplicates": server.book.duplicates,
        "open_orders": [held.reference for held in server.book.open()],
        "positions": {position.symbol: position.quantity for position in server.account.positions()},
    }


async def obey(server: TwsServer, asked: Mapping[str, Any]) -> None:
    """Do what is asked for: ``do`` names it, the rest says how; see `COMMANDS`.

    Raises
    ------
    FairleadError, KeyError, TypeError, ValueError
        If it cannot be done.
    """
    name = str(asked.get("do"))
    if name == "restart":
        await server.go_down(forgets_ids=bool(asked.get("forgets_ids", False)))
        await server.start()
        return
    command = COMMANDS.get(name)
    if command is None:
        raise ConfigurationError.of("do", f"be one of restart, {', '.join(sorted(COMMANDS))}", name)
    command(server, asked)
    server.settle()


def _switches(server: TwsServer) -> list[str]:
    fields = type(server.switches).__dataclass_fields__
    return sorted(name for name in fields if name not in _HIDDEN)


def _turn(server: TwsServer, asked: Mapping[str, Any]) -> None:
    wanted = {name: value for name, value in asked.items() if name != "do"}
    for name, value in wanted.items():
        if name not in _switches(server):
            raise ConfigurationError.of("switch", f"be one of {', '.join(_switches(server))}", name)
        old = getattr(server.switches, name)
        if type(value) is not type(old) and not (type(old) is float and type(value) is int):
            raise ConfigurationError.of(name, f"be like {old!r}", value)
    for name, value in wanted.items():
        setattr(server.switches, name, value)


def _refuse(server: TwsServer, asked: Mapping[str, Any]) -> None:
    count = int(asked.get("count", 1))
    server.switches.refusals += [(int(asked["code"]), str(asked.get("text", "")))] * count


def _fault(server: TwsServer, asked: Mapping[str, Any]) -> None:
    for client in server.clients.values():
        client.telling.order(Fault(asked["fault"]), int(asked.get("count", 1)))


def _execute(server: TwsServer, asked: Mapping[str, Any]) -> None:
    order_id = _broker_id(server, asked)
    server.account.execute(order_id, float(asked["quantity"]), float(asked["price"]), float(asked.get("commission", 0.0)))


def _correct(server: TwsServer, asked: Mapping[str, Any]) -> None:
    server.account.correct(_last(server, asked), float(asked["quantity"]), float(asked["price"]))


def _broker_id(server: TwsServer, asked: Mapping[str, Any]) -> str:
    held = server.book.find(str(asked["reference"]))
    if held is None or not held.broker_id:
        raise ConfigurationError.of("reference", "be that of an order that was sent", asked["reference"])
    return held.broker_id


def _last(server: TwsServer, asked: Mapping[str, Any]) -> str:
    broker_id = _broker_id(server, asked)
    told = [e for e in server.account.executions() if e.broker_id == broker_id]
    replaced = {execution.replaces for execution in told}
    counting = [e for e in told if e.execution_id not in replaced and not e.is_bust]
    if not counting:
        raise ConfigurationError.of("reference", "be that of an order with an execution", asked["reference"])
    return counting[-1].execution_id


def _step(server: TwsServer, asked: Mapping[str, Any]) -> None:
    if server.market is not None:
        server.market.step(int(asked.get("count", 1)))


COMMANDS: Final[Mapping[str, Callable[[TwsServer, Mapping[str, Any]], object]]] = {
    "state": lambda _server, _asked: None,
    "turn": _turn,
    "refuse": _refuse,
    "fault": _fault,
    "drop": lambda server, asked: server.drop(asked.get("client_id")),
    "lose_link": lambda server, _asked: server.lose_link(),
    "restore_link": lambda server, asked: server.restore_link(is_data_lost=bool(asked.get("is_data_lost", False))),
    "forget_ids": lambda server, _asked: server.book.forget_ids(),
    "notify": lambda server, asked: server.notify(int(asked["code"]), str(asked.get("text", ""))),
    "garbage": lambda server, _asked: server.send_raw(frame("garbage")),
    "oversized": lambda server, _asked: server.send_raw(b"\x7f\xff\xff\xff"),
    "execute": _execute,
    "correct": _correct,
    "bust": lambda server, asked: server.account.bust(_last(server, asked)),
    "reject": lambda server, asked: server.account.reject(_broker_id(server, asked), str(asked.get("reason", ""))),
    "step": _step,
}
"""What a server can be told beside ``restart``."""
