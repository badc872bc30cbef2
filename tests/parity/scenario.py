"""What a scenario is: bars, what is ordered on which bar, and what trading costs, in terms that every engine understands.

A scenario is plain data. Each engine gets it as JSON and answers with its fills, its last cash and its last equity.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar

Bar = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""

FIRST_SESSION = dt.date(2024, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """An order, decided on the close of a bar: it may meet the next bar at the earliest.

    Parameters
    ----------
    bar : int
        The bar on whose close it is decided.
    quantity : float
        Signed units.
    limit, stop : float, optional
        Prices; the kind of order follows from which are given.
    day : bool
        It lives for one session; otherwise until it is filled or cancelled.
    take_profit, stop_loss : float, optional
        Exits that come to life with its fill, of which one cancels the other.
    trail_percent : float, optional
        It is a stop that trails the best price by so much.
    at_close : bool
        It trades at the close of the next bar.
    name : str
        By which a later `Cancel` names it.
    oco : str
        Orders of one decision with an equal name: the first to fill cancels the others.
    """

    bar: int
    quantity: float
    symbol: str = "A"
    limit: float | None = None
    stop: float | None = None
    day: bool = False
    take_profit: float | None = None
    stop_loss: float | None = None
    trail_percent: float | None = None
    at_close: bool = False
    name: str = ""
    oco: str = ""


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """An order is taken back on the close of a bar."""

    bar: int
    name: str


@dataclass(frozen=True, kw_only=True)
class Weights:
    """On the close of a bar, trade to these shares of equity, valued at that close."""

    bar: int
    weights: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Crossover:
    """A rule that every engine works out for itself: long while the fast average of closes is above the slow, else short."""

    fast: int
    slow: int
    quantity: float


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One experiment.

    Parameters
    ----------
    name, shows : str
        What it is called, and what agreement on it shows.
    bars : mapping of symbol to list of Bar
        Daily bars, one for each session from `FIRST_SESSION` on.
    steps : tuple of Ask, Cancel, Weights
    rule : Crossover, optional
        Instead of steps.
    commission : mapping
        ``{"kind": "bps", "bps": ...}`` or ``{"kind": "per_share", "per_share": ..., "minimum": ...}``; empty for none.
    slippage_bps : float
        Adverse change of price on every fill.
    participation : float
        Share of a bar's volume that may be taken.
    touch_fills : bool
        A limit order fills when the price only touches it.
    lot : float
        Smallest step of a quantity.
    account : str
        ``simple`` or ``cash``: in a cash account Fairlead buys no more than what the cash pays for at the fill.
    settings : mapping of engine to mapping
        What an engine is asked to do otherwise than it usually is here.
    """

    name: str
    shows: str
    bars: Mapping[str, list[Bar]]
    steps: tuple[Ask | Cancel | Weights, ...] = ()
    rule: Crossover | None = None
    cash: float = 100_000.0
    commission: Mapping[str, Any] = field(default_factory=dict)
    slippage_bps: float = 0.0
    participation: float = 1.0
    touch_fills: bool = False
    lot: float = 1.0
    account: str = "simple"
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Number of bars."""
        return len(next(iter(self.bars.values())))

    def as_json(self) -> dict[str, Any]:
        """Return the scenario as an engine gets it: steps sorted by kind, bars with the dates of their sessions."""
        whole = asdict(self)
        whole["sessions"] = sessions(self.length)
        whole["asks"] = [asdict(step) for step in self.steps if isinstance(step, Ask)]
        whole["cancels"] = [asdict(step) for step in self.steps if isinstance(step, Cancel)]
        whole["weights"] = [asdict(step) for step in self.steps if isinstance(step, Weights)]
        # The kind of account is a setting of Fairlead; the others are as they are.
        del whole["account"]
        del whole["steps"], whole["shows"], whole["settings"]
        return whole

    def as_json_for(self, engine: str) -> dict[str, Any]:
        """Return the same with the settings of one engine."""
        return {**self.as_json(), "settings": dict(self.settings.get(engine, {}))}

    def sha256_for(self, engine: str) -> str:
        """Return the hash of what the engine gets: a recorded answer belongs to this question and no other."""
        return hashlib.sha256(json.dumps(self.as_json_for(engine), sort_keys=True).encode()).hexdigest()[:16]


def sessions(n: int) -> list[str]:
    """Return the dates of the first `n` sessions."""
    first = date_to_day(FIRST_SESSION)
    labels = ExchangeCalendar.get("XNYS").labels(first, first + 2 * n + 10, BarSize.D1)
    return [str(label)[:10] for label in labels[:n].astype("datetime64[ns]")]
