"""A market server in a thread of its own, so that a paper session in the test's thread can be its client."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from fairlead.data.live import MarketServer
from fairlead.data.live.feed import MarketEvent
from support_feeds import LONGEST_S, Gate, server_of


class Served:
    """A server that runs elsewhere."""

    def __init__(self, server: MarketServer, gate: Gate | None, loop: asyncio.AbstractEventLoop) -> None:
        self.server, self.url = server, server.url
        self._gate, self._loop = gate, loop

    def let(self, count: int) -> None:
        """Let so many events through, of a server that waits to be told."""
        assert self._gate is not None
        self._loop.call_soon_threadsafe(self._gate.let, count)


@contextlib.contextmanager
def served(events: Sequence[MarketEvent], *, is_told: bool = False, **options: Any) -> Iterator[Served]:
    """Serve a session until the block ends; `is_told`: each event when it is let through, and else as fast as it is read."""
    begun: queue.Queue[Served | BaseException] = queue.Queue()
    over: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        gate = Gate() if is_told else None
        # A client in another thread takes its time to answer: the beats of a second are its measure of patience.
        given: dict[str, Any] = {"heartbeat_s": 1.0}
        if gate is not None:
            given = {"speed": 1.0, "sleep": gate.sleep, "elapsed": gate.elapsed}
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        over.append((loop, done))
        async with server_of(events, **given, **options) as server:
            begun.put(Served(server, gate, loop))
            await done.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as exc:  # noqa: BLE001  told to the test's thread
            begun.put(exc)

    thread = threading.Thread(target=work)
    thread.start()
    found = begun.get(timeout=LONGEST_S)
    try:
        if isinstance(found, BaseException):
            raise found
        yield found
    finally:
        loop, done = over[0]
        with contextlib.suppress(RuntimeError):  # it has ended already
            loop.call_soon_threadsafe(done.set)
        thread.join(LONGEST_S)
        assert not thread.is_alive()
