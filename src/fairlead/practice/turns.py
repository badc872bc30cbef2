"""Turns of an asyncio loop: what a server that stops leaves to it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

_TURNS: Final = 8
"""From a connection that is accepted to the task that serves it are four."""


async def take_turns() -> None:
    """Let a connection that was accepted a moment ago reach its task, and one that was closed be let go of."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def stop_listening(server: asyncio.Server) -> None:
    """Accept nothing more, let what was accepted reach its task, and close what it listened on.

    A server that is closed between the two (CPython 3.11) drops the connection: nobody serves it, and nobody closes it.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # of a loop that waits for connections otherwise
        for listener in server.sockets:
            loop.remove_reader(listener.fileno())
    await take_turns()
    server.close()
