"""Strategies that other processes can import, and prices to sweep them over."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import select
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd

from fairlead.backtest.trials import Trial
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.memory import MemorySource
from fairlead.sdk import ConfigurationError, OrderIntent, Strategy, parameter

FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 6, 28)
NOON = dt.datetime(2024, 7, 1, 12, 0, 0, tzinfo=dt.UTC)


def prices(seed: int = 1) -> pd.DataFrame:
    """Half a year of daily bars."""
    labels = ExchangeCalendar.get("XNYS").labels(date_to_day(FIRST), date_to_day(LAST), BarSize.D1)
    close = 50 + np.random.default_rng(seed).normal(0, 1, len(labels)).cumsum()
    columns = {"open": close - 0.1, "high": close + 1, "low": close - 1, "close": close, "volume": 1e6}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(labels, tz="UTC"))


class Above(Strategy):
    """Long while the close is above its own mean of `n` bars; `n` and `wait` may not be equal; 13 is unlucky."""

    n: int = parameter(5, ge=2, le=50, doc="Bars in the mean.")
    wait: int = parameter(0, ge=0, le=50, doc="Bars to wait at the start.")
    share: float = parameter(0.5, gt=0, le=1, doc="Share of equity.")

    def validate(self):
        if self.n == self.wait:
            raise ConfigurationError.of("wait", f"differ from n ({self.n})", self.wait)

    def on_start(self, context):
        self.bars = 0

    def generate_orders(self, context):
        self.bars += 1
        if self.n == 13 and self.bars == 20:
            raise ValueError("thirteen")
        closes = context.historical_data.closes("ASSET", self.n)
        if len(closes) < self.n or self.bars <= self.wait:
            return []
        wanted = self.share if closes[-1] > closes.mean() else 0.0
        return [OrderIntent.target_weight("ASSET", wanted)]


class Deadly(Above):
    """Ends its process at `n` 7: each time, or only while there is no file `once`."""

    once: str = parameter("", doc="File that is left behind.")

    def on_start(self, context):
        super().on_start(context)
        if self.n == 7 and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Gated(Above):
    """At `n` 7 and 8 says that it began, and the first time waits at a gate; at 9 it says so too, and never ends."""

    gate: str = parameter("", doc="Folder with the pipes `began` and `gate`.")

    def on_start(self, context):
        super().on_start(context)
        if self.n in (7, 8, 9):
            told = Path(self.gate, f"began-{self.n}")
            again = told.exists()
            with told.open("a") as file:
                file.write(f"{os.getpid()}\n")
            if not again:
                Path(self.gate, "bell").write_text(f"{os.getpid()}\n")
            if self.n != 9 and not again:
                Path(self.gate, "gate").read_bytes()

    def generate_orders(self, context):
        while self.n == 9:
            pass
        return super().generate_orders(context)


class Gate:
    """The folder that `Gated` is given, seen from outside. Use it in a ``with`` statement."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        for name in ("bell", "gate"):
            os.mkfifo(folder / name)

    def __enter__(self):
        # Open for writing too: what is written is kept while nobody else has it open.
        self._bell = os.open(self.folder / "bell", os.O_RDWR)
        self._unread = b""
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._bell)

    def next_pid(self) -> int:
        """Wait for a process to say that it began."""
        while b"\n" not in self._unread:
            self._unread += os.read(self._bell, 100)
        line, _, self._unread = self._unread.partition(b"\n")
        return int(line)

    def open(self) -> None:
        """Let pass who waits."""
        (self.folder / "gate").write_bytes(b"")

    def starts(self, n: int) -> int:
        """How often the trial of `n` was begun."""
        return len((self.folder / f"began-{n}").read_text().splitlines())


def ended(*pids: int) -> bool:
    """Wait until one of these processes, which may be no children of this one, is gone; False if none is after 30 seconds."""
    with contextlib.ExitStack() as stack:
        watched = []
        for pid in pids:
            try:
                watched.append(os.pidfd_open(pid))
            except ProcessLookupError:
                return True
            stack.callback(os.close, watched[-1])
        return bool(select.select(watched, [], [], 30)[0])


class OpenedFrames(MemorySource):
    """Leaves a file behind in each process that unpacks it."""

    folder = ""

    def __setstate__(self, state):
        self.__dict__.update(state)
        Path(self.folder, f"{os.getpid()}-{time.perf_counter_ns()}").touch()


def same(a: Trial, b: Trial) -> bool:
    """Whether two trials agree in everything but the time they took."""
    plain = ("params", "status", "reason", "strategy", "version", "metrics", "code_hash", "config_hash", "data_hash", "digest")
    return (
        all(getattr(a, name) == getattr(b, name) for name in plain)
        and a.days.tobytes() == b.days.tobytes()
        and a.returns.tobytes() == b.returns.tobytes()
    )
