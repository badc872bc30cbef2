"""Asking a vendor: at its pace, again after a failure, and not at all for a while after many of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from fairlead.core.errors import BrokerConnection, FairleadError, PacingViolation
from fairlead.data.live.backoff import Backoff
from fairlead.data.live.settings import ReconnectSettings
from fairlead.data.vendors.breaker import HISTORY_BREAKER, BreakerSettings, CircuitBreaker
from fairlead.data.vendors.history import HistorySource, PageRequest
from fairlead.data.vendors.pace import Pace
from fairlead.data.vendors.planning import AskFor

_LONGEST_PAUSE_S: Final = 900.0
_METHODS: Final = {AskFor.BARS: "page", AskFor.ACTIONS: "actions"}


class Surroundings(NamedTuple):
    """What a pull takes from the world around it, so that a test can give it another.

    Attributes
    ----------
    now_ns : callable
        The time of day, nanoseconds since the epoch.
    elapsed_s : callable
        Seconds on a counter that never goes back.
    sleep : callable
        Waits that many seconds.
    uniform : callable
        Uniform random numbers in [0, 1).
    """

    now_ns: Callable[[], int]
    elapsed_s: Callable[[], float]
    sleep: Callable[[float], None]
    uniform: Callable[[], float]


class Asker:
    """Sends the requests of a pull to one vendor, one after the other. A context manager: it closes the vendor at its end.

    Parameters
    ----------
    source : HistorySource
    around : Surroundings
    breaker, retry : BreakerSettings, ReconnectSettings, optional
    """

    def __init__(
        self,
        source: HistorySource,
        around: Surroundings,
        breaker: BreakerSettings = HISTORY_BREAKER,
        retry: ReconnectSettings | None = None,
    ) -> None:
        self._source = source
        self._around = around
        self._pace = Pace(source.traits.limits)
        self._breaker = CircuitBreaker(breaker)
        self._backoff = Backoff(retry or ReconnectSettings(), around.uniform)
        self._runner = asyncio.Runner()
        self.requests = 0
        """Requests sent, those that failed included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._finished(self._source.close())
        finally:
            self._runner.close()

    def ask(self, kind: AskFor, request: PageRequest) -> Any:
        """Return what the vendor answers: a `HistoryPage`, or corporate actions.

        A failure of the way to it is followed by the next attempt, until the breaker has opened and the attempt after that has
        failed too.

        Raises
        ------
        BrokerConnection, PacingViolation
            The last failure.
        FairleadError
            What the vendor says for good.
        """
        while True:
            self._wait(self._breaker.wait_s(self._around.elapsed_s()))
            is_last = not self._breaker.is_closed
            self._keep_pace(kind, request)
            self._breaker.admit(self._around.elapsed_s())
            try:
                answer = self._finished(getattr(self._source, _METHODS[kind])(request))
            except (BrokerConnection, PacingViolation) as exc:
                self._breaker.fail(self._around.elapsed_s())
                if is_last:
                    raise
                self._wait(max(self._backoff.fail(), _asked_for_s(exc)))
            except FairleadError:
                self._breaker.succeed()  # it answers, whatever it says
                raise
            else:
                self._breaker.succeed()
                self._backoff.succeed()
                return answer

    def _keep_pace(self, kind: AskFor, request: PageRequest) -> None:
        key = (kind, request)
        while (wait := self._pace.wait_s(self._around.elapsed_s(), request.symbol, key)) > 0:
            self._wait(wait)
        self._pace.note(self._around.elapsed_s(), request.symbol, key)
        self.requests += 1

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._around.sleep(seconds)

    def _finished(self, answer: Any) -> Any:
        return self._runner.run(_await(answer)) if inspect.isawaitable(answer) else answer


async def _await(answer: Awaitable[Any]) -> Any:
    return await answer


def _asked_for_s(exc: FairleadError) -> float:
    """Return for how long the vendor wants to be left alone; 0 if it did not say."""
    return min(float(getattr(exc, "retry_after_s", 0.0)), _LONGEST_PAUSE_S)
