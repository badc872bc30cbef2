"""Misbehaviour on demand: what a server does to what it tells, and to what it is asked, so that a client can be tried."""

from __future__ import annotations

import random
from typing import Generic, NamedTuple, TypeVar

from pydantic import Field

from fairlead.data.live.faults import Fault, FaultPlan, FaultSettings
from fairlead.execution.brokers.simulated.switches import Switches

MessageT = TypeVar("MessageT")
__all__ = ["Delivery", "PracticeFaults", "Switches", "Telling"]


class PracticeFaults(FaultSettings):
    """Which faults befall what a broker tells, how often; those of market data, and delays.

    Parameters
    ----------
    delay_rate : float
        Share of messages that are told late.
    delay_s : float
        By up to so many seconds.
    """

    delay_rate: float = Field(default=0.0, ge=0, lt=1)
    delay_s: float = Field(default=0.05, ge=0, le=60)


class Delivery(NamedTuple, Generic[MessageT]):
    """What becomes of a message.

    Parameters
    ----------
    messages : list
        What is sent now, in order: nothing, the message, twice, or with those that were held back.
    delay_s : float
        How many seconds later.
    garbage : str
        What is sent in its place and cannot be read; empty for none.
    breaks : bool
        Whether the connection breaks after it.
    """

    messages: list[MessageT]
    delay_s: float = 0.0
    garbage: str = ""
    breaks: bool = False


class Telling(Generic[MessageT]):
    """What one connection is told, and what befalls it; the same seed decides alike.

    Parameters
    ----------
    settings : PracticeFaults
    """

    def __init__(self, settings: PracticeFaults | None = None) -> None:
        self._settings = PracticeFaults() if settings is None else settings
        self._plan = FaultPlan(self._settings)
        # A stream of its own: delays change nothing of the faults that a seed decides.
        self._random = random.Random(self._settings.seed + 1)  # noqa: S311  a test's faults, not a secret
        self._count = 0
        self._late: list[MessageT] = []

    def order(self, fault: Fault | str, count: int = 1) -> None:
        """Let a fault befall the next `count` messages."""
        self._plan.order(Fault(fault), count)

    def deliver(self, message: MessageT) -> Delivery[MessageT]:
        """Return what becomes of the next message."""
        faults = self._plan.decide(self._count)
        self._count += 1
        breaks = Fault.DROP in faults
        if faults & {Fault.SILENCE, Fault.GAP}:
            return Delivery([], breaks=breaks)
        if Fault.MALFORMED in faults:
            return Delivery([], garbage=self._plan.garbage(), breaks=breaks)
        if Fault.REORDER in faults and not breaks:
            self._late.append(message)
            return Delivery([])
        delay_s = self._delay_s()
        return Delivery([message, *([message] if Fault.DUPLICATE in faults else []), *self.rest()], delay_s, breaks=breaks)

    def rest(self) -> list[MessageT]:
        """Return, and let go of, what is held back: at a pause, so that the last message is not late for ever."""
        late, self._late = self._late, []
        return late

    def _delay_s(self) -> float:
        settings = self._settings
        if not settings.delay_rate or self._random.random() >= settings.delay_rate:
            return 0.0
        return self._random.random() * settings.delay_s
