"""Events: immutable facts that the engine hands out.

What a run creates by the thousand is a tuple, which costs a quarter of a frozen dataclass; everything rarer is the latter.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from fairlead.core.errors import ContractError
from fairlead.core.time import to_datetime


class Bar(NamedTuple):
    """One bar of one symbol: prices in currency, volume in units."""

    symbol: str
    label_ns: int
    """Opening instant, nanoseconds; a daily bar's is its session date at 00:00 UTC."""
    known_ns: int
    """Closing instant, nanoseconds: when the bar became known."""
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def label(self) -> dt.datetime:
        """Opening instant."""
        return to_datetime(self.label_ns)

    @property
    def timestamp(self) -> dt.datetime:
        """Closing instant: when the bar became known."""
        return to_datetime(self.known_ns)


class Quote(NamedTuple):
    """Best bid and offer of one symbol."""

    symbol: str
    known_ns: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float

    @property
    def timestamp(self) -> dt.datetime:
        """When the quote became known."""
        return to_datetime(self.known_ns)

    @property
    def mid(self) -> float:
        """Middle of bid and ask."""
        return 0.5 * (self.bid + self.ask)


class Trade(NamedTuple):
    """One print."""

    symbol: str
    known_ns: int
    price: float
    size: float

    @property
    def timestamp(self) -> dt.datetime:
        """When the print became known."""
        return to_datetime(self.known_ns)


class ActionKind(StrEnum):
    """The corporate actions that the engine applies."""

    DIVIDEND = "dividend"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """A split or a cash dividend, effective at the open of its ex-session.

    Parameters
    ----------
    ex_session : int
        Session date in days since the epoch.
    value : float
        Split: new shares per old share (2.0 for two-for-one). Dividend: cash per share, in currency.
    """

    symbol: str
    ex_session: int
    kind: ActionKind
    value: float

    def __post_init__(self) -> None:
        if not 0 < self.value < float("inf"):
            raise ContractError.of(f"{self.symbol} {self.kind}", "have a finite value above 0", self.value)

    def price_factor(self, close_before: float) -> float:
        """Return what multiplies earlier prices to make them comparable with later ones (domain rule 2.7).

        Parameters
        ----------
        close_before : float
            Last raw close before the ex-session; NaN if there is none, which leaves a dividend without effect.
        """
        if self.kind is ActionKind.SPLIT:
            return 1.0 / self.value
        if not close_before > self.value:
            return 1.0
        return 1.0 - self.value / close_before


class PositionChange(NamedTuple):
    """What a fill or a corporate action did to a position."""

    symbol: str
    ts_ns: int
    quantity_before: float
    quantity_after: float
    average_price: float
    realised_pnl: float
    """Realised by this change, in currency, before commission."""


class CommandKind(StrEnum):
    """What an operator may ask of a running session."""

    PAUSE = "pause"
    RESUME = "resume"
    FLATTEN = "flatten"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Command:
    """An operator's instruction to a running session."""

    kind: CommandKind
    ts_ns: int
    strategy: str = ""
    """The strategy it concerns; empty for all."""
    reason: str = ""
