"""Clocks: where "now" comes from. Nothing else in the engine knows the time."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.bars import BarBlock, Cursor
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_SECOND, to_datetime

MAX_SPEED: Final = 0.0
_SPEED_RULE: Final = "be 'max' or a multiple of real time such as '1x' or '10x'"


class Clock(Protocol):
    """What the engine asks of a clock."""

    @property
    def current_time(self) -> dt.datetime:
        """The current instant, UTC."""

    @property
    def is_done(self) -> bool:
        """Whether the last instant has passed."""

    def advance(self, to_ns: int, session: int) -> None:
        """Move to an instant, waiting if this clock waits."""


def _parse_speed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if text == "max":
        return MAX_SPEED
    try:
        return float(text.removesuffix("x"))
    except ValueError as exc:
        raise ConfigurationError.of("speed", _SPEED_RULE, value) from exc


def _check_speed(value: float) -> float:
    if value != MAX_SPEED and not 0 < value <= 1_000_000:
        raise ConfigurationError.of("speed", _SPEED_RULE, value)
    return value


def _speed_text(value: float) -> str:
    return "max" if value == MAX_SPEED else f"{value:g}x"


class ClockSettings(Settings):
    """Which clock, over which dates.

    Parameters
    ----------
    start_date, end_date : date, optional
        First and last session, inclusive; None for all there is.
    speed : str or number
        ``max``, or a multiple of real time: ``1x``, ``10x``.
    hours : {'market', '24/7'}
        At a paced speed: skip the time between sessions, or sit it out.
    """

    type: Literal["historical"] = "historical"
    start_date: dt.date | None = None
    end_date: dt.date | None = None
    speed: Annotated[
        float, BeforeValidator(_parse_speed), AfterValidator(_check_speed), PlainSerializer(_speed_text, return_type=str)
    ] = MAX_SPEED
    hours: Literal["market", "24/7"] = "market"

    @model_validator(mode="after")
    def _ordered(self) -> ClockSettings:
        if self.start_date and self.end_date and self.start_date > self.end_date:
            raise ConfigurationError.of("end_date", f"not be before start_date ({self.start_date})", str(self.end_date))
        return self


class HistoricalClock:
    """Moves along the rows of history, at once or at a multiple of real time.

    Parameters
    ----------
    cursor : Cursor
        Where the run stands; `current_time` reads it.
    settings : ClockSettings
    sleep : callable
        Waits for a number of seconds; injected so that tests do not.
    between : callable, optional
        Called after every instant, before the next; a run without one pays nothing for it.
    """

    def __init__(
        self,
        cursor: Cursor,
        settings: ClockSettings,
        sleep: Callable[[float], None] = time.sleep,
        between: Callable[[], None] | None = None,
    ) -> None:
        self._cursor = cursor
        self._between = between
        self._speed = settings.speed
        self._skips_closed_hours = settings.hours == "market"
        self._sleep = sleep
        self._previous: tuple[int, int] | None = None
        self.is_done = False

    @property
    def current_ns(self) -> int:
        """The current instant in nanoseconds."""
        return self._cursor.known_ns

    @property
    def current_time(self) -> dt.datetime:
        """The current instant, UTC."""
        return to_datetime(self._cursor.known_ns)

    def advance(self, to_ns: int, session: int) -> None:
        """Wait as long as the speed says lies between the previous instant and `to_ns`."""
        previous, self._previous = self._previous, (to_ns, session)
        if self._speed == MAX_SPEED or previous is None:
            return
        if self._skips_closed_hours and session != previous[1]:
            return
        self._sleep((to_ns - previous[0]) / NS_PER_SECOND / self._speed)

    def rows(self, block: BarBlock) -> Iterable[int]:
        """Return the rows of `block` to deliver, each one when its time has come.

        At full speed this is a bare range, so that a backtest pays nothing for the clock.
        """
        rows = range(block.start, len(block))
        return rows if self._speed == MAX_SPEED and self._between is None else self._paced(block, rows)

    def finish(self) -> None:
        """Declare the last instant passed."""
        self.is_done = True

    def _paced(self, block: BarBlock, rows: range) -> Iterator[int]:
        for row in rows:
            self.advance(int(block.known_ns[row]), int(block.session[row]))
            yield row
            if self._between is not None:
                self._between()


class WallClock:
    """The real time: for naming runs and, later, for paper and live sessions. The one place that reads it."""

    def now(self) -> dt.datetime:
        """Return the current instant, UTC."""
        return dt.datetime.now(dt.UTC)  # noqa: TID251  this is the injected clock that everything else is told to use
