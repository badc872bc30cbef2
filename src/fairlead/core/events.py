"""Events: immutable facts that the engine hands out.

What a run creates by the thousand is a tuple, which costs a quarter of a frozen dataclass; everything rarer is the latter.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple

from fairlead.core.errors import ContractError
from fairlead.core.instruments import check_symbol
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
    """The corporate actions that the engine applies; those of one symbol and session in the order of this list."""

    DIVIDEND = "dividend"
    SPLIT = "split"
    STOCK_DIVIDEND = "stock_dividend"
    SPIN_OFF = "spin_off"
    RENAME = "rename"
    MERGER = "merger"
    DELISTING = "delisting"


_RANK: Final = {kind: rank for rank, kind in enumerate(ActionKind)}
_PER_UNIT: Final = frozenset({ActionKind.DIVIDEND, ActionKind.SPLIT, ActionKind.STOCK_DIVIDEND, ActionKind.SPIN_OFF})
_PLAIN: Final = frozenset({ActionKind.DIVIDEND, ActionKind.SPLIT})
_WITH_CASH: Final = frozenset({ActionKind.MERGER, ActionKind.DELISTING})
_ENDS: Final = frozenset({ActionKind.RENAME, ActionKind.MERGER, ActionKind.DELISTING})
_UNKNOWN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """What a company does to its shares, effective at the open of its ex-session: the first session in which it shows.

    A dividend or a split is written in one line; for the other kinds there are short constructors: `stock_dividend`,
    `spin_off`, `rename`, `merger`, `delisting`.

    Parameters
    ----------
    symbol : str
    ex_session : int
        Session date in days since the epoch. Of a rename the first session under the new name; of a merger or a delisting the
        first session without the name.
    kind : ActionKind
    value : float
        Split: new shares per old share (2.0 for two-for-one). Dividend: cash per share, in currency. Stock dividend: shares
        added per share held (0.05 for five percent). Spin-off: shares of `other` per share. Merger: shares of `other` per
        share, 0 for cash alone. Rename and delisting: 0.
    other : str
        Spin-off: the child. Rename: the new name. Merger: the acquirer, unless it pays cash alone.
    cash : float, optional
        Currency per share. Merger: what is paid beside the shares, None for nothing. Delisting: what is paid out, 0 for
        worthless; None for the last price.
    basis : float, optional
        Spin-off: the fraction of the parent's cost that moves to the child, as the company announces it. None: in proportion
        to the two prices.

    Raises
    ------
    ContractError
        If a number or a name that the kind needs is missing or impossible, or one is given that it does not have.
    """

    symbol: str
    ex_session: int
    kind: ActionKind
    value: float = 0.0
    other: str = ""
    cash: float | None = None
    basis: float | None = None

    def __post_init__(self) -> None:
        kind, where = self.kind, f"{self.symbol} {self.kind}"
        if kind in _PER_UNIT:
            if not 0 < self.value < math.inf:
                raise ContractError.of(where, "have a finite value above 0", self.value)
        elif not (0 <= self.value < math.inf if kind is ActionKind.MERGER else self.value == 0):
            rule = "have a finite value of 0 or more, shares per share" if kind is ActionKind.MERGER else "have no value"
            raise ContractError.of(where, rule, self.value)
        if kind in _PLAIN and not (self.other or self.cash is not None or self.basis is not None):
            return
        self._check_others(where)

    def _check_others(self, where: str) -> None:
        kind = self.kind
        needs_other = kind in (ActionKind.SPIN_OFF, ActionKind.RENAME) or (kind is ActionKind.MERGER and self.value > 0)
        if needs_other != bool(self.other):
            rule = "name another symbol" if needs_other else "name no other symbol"
            raise ContractError.of(f"{where} other", rule, self.other)
        if needs_other and (check_symbol(self.other) != self.other or self.other == self.symbol):
            raise ContractError.of(f"{where} other", "be another symbol, in capitals", self.other)
        if self.cash is not None and not (kind in _WITH_CASH and 0 <= self.cash < math.inf):
            rule = "be a finite amount of 0 or more" if kind in _WITH_CASH else "not be given"
            raise ContractError.of(f"{where} cash", rule, self.cash)
        if kind is ActionKind.MERGER and not (self.value or self.cash):
            raise ContractError.of(
                where, "pay cash, or shares of an acquirer", self.cash, "One that pays nothing is a delisting."
            )
        if self.basis is not None and not (kind is ActionKind.SPIN_OFF and 0 < self.basis < 1):
            rule = "be a fraction between 0 and 1" if kind is ActionKind.SPIN_OFF else "not be given"
            raise ContractError.of(f"{where} basis", rule, self.basis)

    @classmethod
    def stock_dividend(cls, symbol: str, ex_session: int, shares: float) -> CorporateAction:
        """Return a dividend of `shares` new shares per share held."""
        return cls(symbol, ex_session, ActionKind.STOCK_DIVIDEND, shares)

    @classmethod
    def spin_off(
        cls, symbol: str, ex_session: int, child: str, shares: float, *, basis: float | None = None
    ) -> CorporateAction:
        """Return a hand-out of `shares` shares of `child` per share of `symbol`."""
        return cls(symbol, ex_session, ActionKind.SPIN_OFF, shares, child, basis=basis)

    @classmethod
    def rename(cls, symbol: str, ex_session: int, new: str) -> CorporateAction:
        """Return the change of the name `symbol` to `new`."""
        return cls(symbol, ex_session, ActionKind.RENAME, other=new)

    @classmethod
    def merger(
        cls, symbol: str, ex_session: int, *, cash: float | None = None, shares: float = 0.0, acquirer: str = ""
    ) -> CorporateAction:
        """Return the end of `symbol` for `cash`, for `shares` shares of `acquirer` per share, or for both."""
        return cls(symbol, ex_session, ActionKind.MERGER, shares, acquirer, cash)

    @classmethod
    def delisting(cls, symbol: str, ex_session: int, *, cash: float | None = None) -> CorporateAction:
        """Return the end of `symbol` for `cash` per share: None for the last price, 0 for worthless."""
        return cls(symbol, ex_session, ActionKind.DELISTING, cash=cash)

    @property
    def sort_key(self) -> tuple[int, str, int, str]:
        """What actions are ordered by: session, symbol, kind, other symbol."""
        return self.ex_session, self.symbol, _RANK[self.kind], self.other

    @property
    def facts(self) -> list[str | int | float | None]:
        """Everything it states, for hashes; the four fields of a dividend or split, then what the other kinds have."""
        plain: list[str | int | float | None] = [self.symbol, self.ex_session, self.kind.value, self.value]
        return plain if self.kind in _PLAIN else [*plain, self.other, self.cash, self.basis]

    @property
    def ends_symbol(self) -> bool:
        """Whether nothing of `symbol` can be held or traded afterwards."""
        return self.kind in _ENDS

    @property
    def share_factor(self) -> float:
        """Shares of `symbol` afterwards per share before; 1.0 unless it is a split or a stock dividend."""
        if self.kind is ActionKind.SPLIT:
            return self.value
        return 1.0 + self.value if self.kind is ActionKind.STOCK_DIVIDEND else 1.0

    def price_factor(self, close_before: float, other_price: float = _UNKNOWN) -> float:
        """Return what multiplies earlier prices to make them comparable with later ones (domain rule 2.7).

        Parameters
        ----------
        close_before : float
            Last raw close before the ex-session; NaN if there is none, which leaves a dividend without effect.
        other_price : float
            What a share of a spun-off child is worth, NaN if it has no price yet: the announced `basis` then stands for its
            part of the value, and without one the prices are left as they are.

        Returns
        -------
        float
            1 / new shares per old share; 1 - dividend / close; 1 - worth of the child's shares / close. What ends a symbol
            leaves no later prices of it: 1.
        """
        if self.kind is ActionKind.DIVIDEND:
            handed_out = self.value
        elif self.kind is ActionKind.SPIN_OFF:
            handed_out = self.value * other_price
            if handed_out != handed_out:
                return 1.0 if self.basis is None else 1.0 - self.basis
        else:
            return 1.0 / self.share_factor
        return 1.0 - handed_out / close_before if close_before > handed_out else 1.0


class PositionChange(NamedTuple):
    """What a fill or a corporate action did to a position."""

    symbol: str
    ts_ns: int
    quantity_before: float
    quantity_after: float
    average_price: float
    realised_pnl: float
    """Realised by this change, in currency, before commission."""


make_change: Final = partial(tuple.__new__, PositionChange)
"""A `PositionChange` from a tuple of all its fields, made in C: the constructor of a named tuple is a Python function."""


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
