"""Live sessions of a market that is none of the tidy kind, recorded as they go on, and what is to be made of the recording."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from fairlead.backtest.result import Result
from fairlead.config.papering import wire_paper
from fairlead.core.events import Quote
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.live import FeedNotice, NoticeKind, Received
from fairlead.data.live.feed import FeedBook, FeedState, MarketEvent
from support_operated import GUARDS
from support_paper import backtest, jittered, loaded, now_ns, run_paper

RISK = f"risk={{guards: {{{GUARDS}}}, kill_switches: {{disabled: [KS_PNL, KS_DD, KS_PSR]}}}}"
"""What is in force alike in a session and in a backtest."""
CLOCK = "clock={type: historical, speed: max}"
ID = "paper_live"


class ScriptFeed:
    """A feed that brings what is written, stamped as it is written."""

    def __init__(self, script: Sequence[Received]) -> None:
        self._script = script
        self._book = FeedBook()
        self.asked: list[int | None] = []

    @property
    def state(self) -> FeedState:
        return self._book.snapshot()

    async def connect(self) -> None:
        self._book.connected = True

    async def subscribe(self, symbols: Sequence[str], since_ns: int | None = None) -> None:
        self.asked.append(since_ns)

    async def __aiter__(self) -> AsyncIterator[Received]:
        for received in self._script:
            yield received

    async def close(self) -> None:
        self._book.connected = False


def untidy(events: Sequence[MarketEvent], seed: int, *, rare: str = "") -> list[Received]:
    """Let a market come as a poor feed brings it.

    Bars are missing, come twice within their instant, come when a later one has come, and come seconds after the others of
    their instant; `rare` has every second bar. Quotes come between. Every event is stamped when it is received.
    """
    random = np.random.default_rng(seed)
    script: list[Received] = [Received(FeedNotice(NoticeKind.CONNECTED, 0, "a script"), 0)]
    held: list[Received] = []
    for number, (_, together) in enumerate(groupby(events, key=lambda event: event.known_ns)):
        chosen = [bar for bar in together if (bar.symbol != rare or number % 2) and random.random() > 0.04]
        brought = _brought(chosen, random)
        script += brought[:1]
        # What was held back comes when something of a later instant has come.
        script += (late._replace(received_ns=script[-1].received_ns) for late in held if brought)
        held = [] if brought else held
        script += brought[1:]
        if len(brought) > 1 and random.random() < 0.08:
            held.append(script.pop())
    last_ns = script[-1].received_ns
    return [*script, Received(FeedNotice(NoticeKind.ENDED, last_ns, "the script is over"), last_ns)]


def _brought(bars: Sequence[Any], random: np.random.Generator) -> list[Received]:
    """What a feed brings of one instant: bars one after the other, some late, some twice, and quotes."""
    found = []
    now_ns = bars[0].known_ns if bars else 0
    for bar in bars:
        now_ns += int(random.integers(0, 400_000_000))
        if random.random() < 0.05:
            now_ns += 3 * NS_PER_SECOND  # longer than a session waits for the rest of an instant
        if random.random() < 0.05:
            found.append(Received(bar._replace(volume=bar.volume / 2), now_ns))
        found.append(Received(bar, now_ns))
        if random.random() < 0.3:
            stamp = bar.known_ns + NS_PER_SECOND
            found.append(Received(Quote(bar.symbol, stamp, bar.close - 0.01, bar.close + 0.01, 100.0, 100.0), now_ns))
    return found


def recorded(
    config: Path, workspace: Path, script: Sequence[Received], *overrides: str, bar_size: str, symbols: Sequence[str]
) -> tuple[Result, Path]:
    """Run a live session on a feed that brings the script; return its result and where it was recorded."""
    data = f"data={{type: live, feed: a_script, symbols: [{', '.join(symbols)}], bar_size: {bar_size}}}"
    live = ("mode=paper", "clock={type: realtime}", data, *overrides)
    session = wire_paper(loaded(config, *live), {}, now_ns, workspace)
    session = dataclasses.replace(session, feed=lambda: ScriptFeed(script))
    return run_paper(session, ID), session.folder(ID) / "recording"


def backtest_of(config: Path, workspace: Path, recording: Path, *overrides: str) -> Result:
    """Run a backtest over a recording."""
    return backtest(config, workspace, CLOCK, f"data={{type: historical, recording: '{recording}'}}", *overrides)


def replay_of_it(
    config: Path,
    workspace: Path,
    recording: Path,
    *overrides: str,
    jitter_s: float | None = None,
    waits: list[float] | None = None,
) -> Result:
    """Run a paper session over a recording, at once, or at 60x and late; `waits` are told how long was waited."""
    data = f"data={{type: replay, recording: '{recording}'}}"
    given = loaded(config, "mode=paper", CLOCK, data, *overrides)
    session = wire_paper(given, {}, now_ns, workspace)
    if jitter_s is None:
        return run_paper(session, "paper_again")
    return run_paper(jittered(session, speed=60.0, jitter_s=jitter_s, waits=waits if waits is not None else []), "paper_late")


def notes_of(workspace: Path, run_id: str) -> list[str]:
    """What a session logged of its feed."""
    lines = (workspace / "sessions" / run_id / "session.log").read_text().splitlines()
    return [line["message"] for line in map(json.loads, lines) if line["event"] == "feed_notice"]
