"""Who attends a session that runs in real time: between its events, before anything leaves, and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fairlead.core.bars import Cursor
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.engine.desk import OrderDesk
from fairlead.engine.funding import Funding
from fairlead.engine.reportline import ReportLine
from fairlead.engine.runner import StrategyRunner, Submit
from fairlead.risk.guards import LimitScale


class SessionParts(NamedTuple):
    """What an attendant may look at, and act through, between two events."""

    cursor: Cursor
    desk: OrderDesk
    runners: Sequence[StrategyRunner]
    funding: Funding


class Attendant(Protocol):
    """Is called by the session's own thread, and never while a strategy decides."""

    @property
    def line(self) -> ReportLine:
        """The way that reports take from the venue to the desk."""

    def begin(self, parts: SessionParts) -> None:
        """Take in the session, before its strategies start."""

    def instant(self, row: int) -> None:
        """Look at what the market has done to the orders, before the strategies see its bars."""

    def wanted(
        self, runner: StrategyRunner, intents: Sequence[OrderIntent | CancelIntent | ReplaceIntent]
    ) -> Sequence[OrderIntent | CancelIntent | ReplaceIntent]:
        """Return what may be acted on of what a strategy wants; it is durable when this returns."""

    def acted(self, runner: StrategyRunner) -> None:
        """Take note that what a strategy wanted, as far as it was let through, has been acted on."""

    def veto(self, strategy: str, *, only_reduces: bool) -> str | None:
        """Return why no order of a strategy may leave, or None."""

    def scale(self, strategy: str) -> LimitScale:
        """Return what the guards' limits on how much may be held are multiplied with, for orders of a strategy."""

    def end(self) -> None:
        """Write down what the end of the session brought with it."""


def attended(take: Submit, attendant: Attendant) -> Submit:
    """Return `take` behind an attendant."""

    def submit(runner: StrategyRunner, intents: Sequence[OrderIntent | CancelIntent | ReplaceIntent]) -> None:
        allowed = attendant.wanted(runner, intents)
        if allowed:
            take(runner, allowed)
            attendant.acted(runner)

    return submit
