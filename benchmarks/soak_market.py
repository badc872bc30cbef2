"""The market of the soak, in a process of its own: minutes of many symbols over the project's websocket, as fast as is asked.

`python benchmarks/soak_market.py --symbols N --instants N --speed X [--burst-every N --burst N]` prints its address as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import overload

import numpy as np

from fairlead.contracts.sessions import grid_labels
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_DAY, BarSize, date_to_day, to_datetime, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.faults import FaultPlan, FaultSettings
from fairlead.data.live.server import MarketServer
from fairlead.data.synthetic import SyntheticSettings, generate_bars
from fairlead.engine.clock import WallClock

CALENDAR = "XNYS"
SIZE = BarSize.M1
DAYS_PER_SESSION = 1.6
FIELDS = ("open", "high", "low", "close", "volume")


class RepeatedSession(Sequence[Bar]):
    """A session's bars on all the sessions that follow, made when they are looked up: a year of them would not fit.

    To and fro, so that no price jumps: what was an opening is a close on the way back.

    Parameters
    ----------
    symbols : int
    instants : int
        Minutes of trading.
    after_ns : int
        The first session is the one after that day, so that no clock finds the bars old, whatever their speed.
    seed : int
    """

    def __init__(self, symbols: int, instants: int, after_ns: int, seed: int = 42) -> None:
        calendar = ExchangeCalendar.get(CALENDAR)
        today = date_to_day(to_datetime(after_ns).date())
        days = calendar.sessions(today + 1, today + 10 + round(DAYS_PER_SESSION * (1 + instants // 200)))
        starts = days.astype(np.int64) * NS_PER_DAY
        labels, _ = grid_labels(calendar.segments_between(int(starts[0]), int(starts[-1])), SIZE.ns)
        self.labels: list[int] = labels[labels >= starts[0]][:instants].tolist()
        first = to_datetime(self.labels[0]).date()
        settings = SyntheticSettings(symbols=symbols, bar_size=SIZE, start=first, end=first, seed=seed)
        self.symbols = tuple(sorted(settings.names))
        table = generate_bars(settings, calendar)
        # Sorted by instant and symbol, as the events are.
        bars = list(zip(*(table.column(name).to_pylist() for name in FIELDS), strict=True))
        width = len(self.symbols)
        there = [bars[i : i + width] for i in range(0, len(bars), width)]
        back = [[(c, h, low, o, volume) for o, h, low, c, volume in row] for row in reversed(there)]
        self._rows = there + back

    def __len__(self) -> int:
        return len(self.labels) * len(self.symbols)

    @overload
    def __getitem__(self, index: int) -> Bar: ...
    @overload
    def __getitem__(self, index: slice) -> list[Bar]: ...
    def __getitem__(self, index: int | slice) -> Bar | list[Bar]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        instant, column = divmod(range(len(self))[index], len(self.symbols))
        label = self.labels[instant]
        return Bar(self.symbols[column], label, label + SIZE.ns, *self._rows[instant % len(self._rows)][column])


class LateBursts(FaultPlan):
    """Bursts in the middle of their stretches: a session has begun when the first of them comes."""

    def __init__(self, every: int, size: int) -> None:
        super().__init__(FaultSettings(burst_every=every, burst_size=size))
        self._shift = every // 2

    def held_back(self, index: int) -> int:
        """Return how many events after number `index` must be due before it is sent."""
        return super().held_back(index + self._shift)


def server_of(events: RepeatedSession, speed: float, burst_every: int, burst: int) -> MarketServer:
    """Return the server of a market.

    Parameters
    ----------
    speed : float
        Minutes of the session in a minute.
    burst_every, burst : int
        In every so many instants, so many come at once; 0 for never.
    """
    server = MarketServer(
        events,
        bar_size=SIZE,
        calendar=ExchangeCalendar.get(CALENDAR),
        speed=speed,
        source="synthetic",
        symbols=events.symbols,
    )
    if burst_every:
        width = len(events.symbols)
        server.plan = LateBursts(burst_every * width, burst * width)
    return server


async def serve(server: MarketServer) -> None:
    """Serve until the session is over and its client has left."""
    async with server:
        print(json.dumps({"url": server.url, "symbols": server.symbols, "events": len(server.events)}), flush=True)
        await server.left()


def main() -> None:
    """Make the market and serve it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, required=True)
    parser.add_argument("--instants", type=int, required=True)
    parser.add_argument("--speed", type=float, required=True)
    parser.add_argument("--burst-every", type=int, default=0)
    parser.add_argument("--burst", type=int, default=20)
    given = parser.parse_args()
    events = RepeatedSession(given.symbols, given.instants, to_ns(WallClock().now()))
    asyncio.run(serve(server_of(events, given.speed, given.burst_every, given.burst)))


if __name__ == "__main__":
    main()
