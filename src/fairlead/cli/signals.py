"""Signals that ask a process to end, turned into a question that its loop asks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], str]]:
    """Give what tells which signal (SIGTERM, SIGINT) has asked the process to end; empty as long as none has.

    A second one of the same kind does what it did before. Outside the main thread no signal is heard.
    """
    heard: list[str] = []
    before: dict[signal.Signals, Any] = {}

    def hear(number: int, _frame: FrameType | None) -> None:
        # Nothing else: whatever was interrupted may hold a lock.
        heard.append(signal.Signals(number).name)
        signal.signal(number, before[signal.Signals(number)])

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, hear) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: heard[0] if heard else ""
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
