"""Faults on demand: what a market-data server does to its events so that a client can be tried."""

from __future__ import annotations

import random
from collections import Counter
from enum import StrEnum
from typing import Final

from pydantic import Field

from fairlead.contracts.settings import Settings


class Fault(StrEnum):
    """What can befall an event."""

    DROP = "drop"
    """The socket breaks after it."""
    GAP = "gap"
    """It is not sent."""
    DUPLICATE = "duplicate"
    """It is sent twice."""
    REORDER = "reorder"
    """It is sent after the next one."""
    MALFORMED = "malformed"
    """What is sent in its place cannot be read."""
    SILENCE = "silence"
    """Neither it nor a heartbeat is sent, while the socket stays open."""


class FaultSettings(Settings):
    """Which faults, how often.

    Parameters
    ----------
    drop_every : int, optional
        The socket breaks after every so many events.
    gap_rate, duplicate_rate, reorder_rate, malformed_rate : float
        Share of events that are left out, sent twice, sent late, or sent as garbage.
    silence_after, silence_events : int, optional
        After so many events, so many are not sent.
    burst_every, burst_size : int
        Every so many events, so many are held back and come at once when the last of them is due.
    seed : int
        Of all that is left to chance.
    """

    drop_every: int | None = Field(default=None, ge=1)
    gap_rate: float = Field(default=0.0, ge=0, lt=1)
    duplicate_rate: float = Field(default=0.0, ge=0, lt=1)
    reorder_rate: float = Field(default=0.0, ge=0, lt=1)
    malformed_rate: float = Field(default=0.0, ge=0, lt=1)
    silence_after: int | None = Field(default=None, ge=0)
    silence_events: int = Field(default=0, ge=0)
    burst_every: int | None = Field(default=None, ge=1)
    burst_size: int = Field(default=20, ge=1, le=100_000)
    seed: int = Field(default=42, ge=0, lt=2**63)


_GARBAGE: Final = (
    "{",
    "not json",
    "[1, 2, 3]",
    "null",
    '{"type":"heartbeat","next_number":-1}',
    '{"event_type":"bar_event","symbol":"a b","timestamp":"2024-01-02T15:00:00.000000Z"}',
    '{"event_type":"tick_event","tick_type":"TRADE","symbol":"A","timestamp":"yesterday","price":1,"size":1}',
    '{"event_type":"tick_event","tick_type":"TRADE","symbol":"A","timestamp":"2024-01-02T15:00:00Z","price":NaN,"size":1}',
    '{"event_type":"surprise","symbol":"A"}',
)


class FaultPlan:
    """Decides what befalls each event of a session; the same seed decides alike.

    Parameters
    ----------
    settings : FaultSettings
    """

    def __init__(self, settings: FaultSettings) -> None:
        self._settings = settings
        self._random = random.Random(settings.seed)  # noqa: S311  a test's faults, not a secret
        self._ordered: Counter[Fault] = Counter()

    def order(self, fault: Fault, count: int) -> None:
        """Let `fault` befall the next `count` events."""
        self._ordered[fault] += count

    def decide(self, index: int) -> frozenset[Fault]:
        """Return what befalls event number `index` of the session; to be asked once for each, in order."""
        settings = self._settings
        found = {fault for fault in Fault if self._ordered[fault] > 0}
        self._ordered.subtract(found)
        rates = (
            (Fault.GAP, settings.gap_rate),
            (Fault.DUPLICATE, settings.duplicate_rate),
            (Fault.REORDER, settings.reorder_rate),
            (Fault.MALFORMED, settings.malformed_rate),
        )
        found |= {fault for fault, rate in rates if self._random.random() < rate}
        if settings.drop_every is not None and (index + 1) % settings.drop_every == 0:
            found.add(Fault.DROP)
        after = settings.silence_after
        if after is not None and after <= index < after + settings.silence_events:
            found.add(Fault.SILENCE)
        return frozenset(found)

    def held_back(self, index: int) -> int:
        """Return how many events after number `index` must be due before it is sent."""
        settings = self._settings
        if settings.burst_every is None:
            return 0
        place = index % settings.burst_every
        # The first events of every stretch are the burst: all of them wait for its last.
        return max(0, min(settings.burst_size, settings.burst_every) - 1 - place)

    def garbage(self) -> str:
        """Return something that is no message of the protocol."""
        return self._random.choice(_GARBAGE)
