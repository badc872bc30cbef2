"""A server in a thread of its own, so that whoever is its client need not share a loop with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Self, TypeVar

from fairlead.practice.turns import take_turns
from fairlead.practice.tws.control import ControlLine
from fairlead.practice.tws.server import TwsServer

_T = TypeVar("_T")
_LONGEST_S: Final = 10.0


class RunningTws:
    """Runs a server until the block ends; what its control is told is done in its thread, and told to clients.

    Parameters
    ----------
    make : callable
        Makes the server, in the thread in which it will run.
    runs : bool
        Whether the session of its market begins by itself, when a first client has come.
    obeys : bool
        Whether there is a `ControlLine`.

    Attributes
    ----------
    finished : threading.Event
        Set when a session that began by itself is over.
    control_port : int
        Of the line of control; 0 if there is none.
    """

    def __init__(self, make: Callable[[], TwsServer], *, runs: bool = False, obeys: bool = False) -> None:
        self.finished = threading.Event()
        self.control_port = 0
        self._make, self._runs, self._obeys = make, runs, obeys
        self._control: ControlLine | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fairlead-tws", daemon=True)
        self._begun: Future[TwsServer] = Future()
        self.server: TwsServer
        """Only to be touched by `call`."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.server = self._begun.result(_LONGEST_S)
        if self._obeys:
            self._control = ControlLine(self.server)
            self.control_port = self._wait_for(self._control.start())
        if self._runs:
            asyncio.run_coroutine_threadsafe(self._play_when_wanted(), self._loop)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._control is not None:
            self._wait_for(self._control.stop())
        self._wait_for(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LONGEST_S)

    @property
    def host(self) -> str:
        """Where it listens."""
        return self.server.host

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    def go_down(self, *, forgets_ids: bool = False) -> None:
        """Go down for the night; see `TwsServer.go_down`."""
        self._wait_for(self.server.go_down(forgets_ids=forgets_ids))

    def come_back(self) -> None:
        """Listen again, where it did."""
        self._wait_for(self.server.start())

    def call(self, action: Callable[[TwsServer], _T]) -> _T:
        """Do something with the server in its own thread, let clients be told, and return what came of it.

        Raises
        ------
        Exception
            What `action` raises.
        """

        async def do() -> _T:
            result = action(self.server)
            self.server.settle()
            return result

        return self._wait_for(do())

    async def _play_when_wanted(self) -> None:
        await self.server.has_begun.wait()
        if self.server.market is not None:
            await self.server.market.run()
        self.finished.set()

    def _wait_for(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_LONGEST_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._make()
            self._loop.run_until_complete(server.start())
        except BaseException as exc:  # noqa: BLE001  told to the thread that waits for it
            self._begun.set_exception(exc)
            self._loop.close()
            return
        self._begun.set_result(server)
        self._loop.run_forever()
        self._loop.run_until_complete(take_turns())
        self._loop.close()
