"""Turns of an asyncio loop: what a server that stops leaves to it."""

from __future__ import annotations

import asyncio
from typing import Final

_TURNS: Final = 8
"""From a connection that is accepted to the task that serves it are four."""


async def take_turns() -> None:
    """Let a connection that was accepted a moment ago reach its task, and one that was closed be let go of."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
