"""Two books of one account held against each other: ours, and the broker's (domain rules 8.14, 14.6). It books nothing.

Nothing here knows where a book comes from: a simulated venue, or what a broker answers when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.core.fills import Fill
from fairlead.core.time import format_utc
from fairlead.execution.tally import Books, Holding, WorkingOrder

Mode: TypeAlias = Literal["strict", "warn", "auto_sync"]
FRACTIONAL_TOLERANCE: Final = 0.01
_PRICE_TOLERANCE: Final = 0.01
_TWICE: Final = 2
# Sums of the same fills in another order differ in their last bits.
_ROUNDING: Final = 1e-9


class ReconciliationSettings(Settings):
    """How often our books are held against the broker's, and what follows from a difference.

    Parameters
    ----------
    mode : {'strict', 'warn', 'auto_sync'}
        A difference halts; or is a warning unless it is there at the start, or twice in a row; or the broker is believed: fills
        that were missed are booked, and what differs then halts.
    stands_s : float
        How long a position must have differed before a real broker is believed, in seconds: the execution behind it may only
        be told later. Before anything was ordered, and at the end, it is believed at once.
    every : int
        Instants from one to the next. It is done at the start, after the feed was gone, before a re-arm and at the end too.
    quantity_tolerance : float, optional
        Units; None: 0 where every symbol trades in whole units, 0.01 otherwise.
    cash_tolerance : float
        In currency.
    """

    mode: Mode = "strict"
    stands_s: float = Field(default=60.0, ge=0, le=3_600)
    every: int = Field(default=100, ge=1, le=100_000)
    quantity_tolerance: float | None = Field(default=None, ge=0, le=1_000_000)
    cash_tolerance: float = Field(default=1.0, ge=0, le=1_000_000)


class DifferenceKind(StrEnum):
    """In what two books differ; the last one halts nobody."""

    QUANTITY_MISMATCH = "QUANTITY_MISMATCH"
    MISSING_LOCAL = "MISSING_LOCAL"
    """The broker holds a position, and we none."""
    MISSING_BROKER = "MISSING_BROKER"
    """We hold a position, and the broker none."""
    CASH_MISMATCH = "CASH_MISMATCH"
    MISSED_FILL = "MISSED_FILL"
    """The broker has executed what is not booked."""
    UNKNOWN_FILL = "UNKNOWN_FILL"
    """An execution is booked that the broker does not know."""
    FILL_MISMATCH = "FILL_MISMATCH"
    """An execution is booked with other units or at another price."""
    ORPHAN_ORDER = "ORPHAN_ORDER"
    """It works at the broker, and not in our books."""
    LOST_ORDER = "LOST_ORDER"
    """It works in our books, and not at the broker."""
    ORDER_MISMATCH = "ORDER_MISMATCH"
    """It works in both, and asks for, or has filled, something else."""
    PRICE_MISMATCH = "PRICE_MISMATCH"
    """The position is the same, and its average price is not: for information."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two books do not agree on; `ours` and `theirs` are what each of them says, for people."""

    kind: DifferenceKind
    strategy: str
    symbol: str
    ours: str
    theirs: str
    subject: str = ""

    @property
    def text(self) -> str:
        """A line: ``QUANTITY_MISMATCH alpha A: 100 in our books, 150 at the broker``."""
        whose = " ".join(filter(None, (self.kind.value, self.strategy, self.symbol, self.subject)))
        return f"{whose}: {self.ours} in our books, {self.theirs} at the broker"

    def to_dict(self) -> dict[str, str]:
        """Return it as plain data."""
        whose = {"strategy": self.strategy, "symbol": self.symbol, "subject": self.subject}
        return {"type": self.kind.value, **whose, "ours": self.ours, "theirs": self.theirs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was found when two books were held against each other, and what was done about it.

    Parameters
    ----------
    ts_ns : int
    why : str
        What it was made for.
    mode : {'strict', 'warn', 'auto_sync'}
    differences : tuple of Difference
        What is left of them.
    in_a_row : int
        How many, this one included, have found some.
    is_strict : bool
        Whether a difference halts.
    waiting : mapping of str to int
        Orders of which a later report has come, and the number of the one that has not.
    settled : tuple of Difference
        What was there before the broker was believed.
    """

    ts_ns: int
    why: str
    mode: Mode
    differences: tuple[Difference, ...] = ()
    in_a_row: int = 0
    is_strict: bool = True
    waiting: Mapping[str, int] = field(default_factory=dict)
    settled: tuple[Difference, ...] = ()

    @property
    def mismatches(self) -> int:
        """Differences that are more than information."""
        return sum(difference.kind is not DifferenceKind.PRICE_MISMATCH for difference in self.differences)

    @property
    def is_clean(self) -> bool:
        """Whether the books agree."""
        return not self.mismatches

    def lines(self) -> list[str]:
        """Return it for people to act on, a line for each thing."""
        return [
            *(f"settled by the broker's word: {difference.text}" for difference in self.settled),
            *(difference.text for difference in self.differences),
            *(f"order {order_id} waits for its report {number}" for order_id, number in self.waiting.items()),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for a journal or an operator."""
        made = {"at": format_utc(self.ts_ns), "why": self.why, "mode": self.mode}
        strictness = {"is_strict": self.is_strict, "in_a_row": self.in_a_row}
        kinds = {"differences": self.differences, "settled": self.settled}
        found = {name: [difference.to_dict() for difference in those] for name, those in kinds.items()}
        return {**made, **strictness, **found, "waiting": dict(self.waiting)}


def is_strict(mode: Mode, in_a_row: int, *, at_start: bool = False) -> bool:
    """Return whether a difference halts that so many reconciliations in a row have found."""
    return mode != "warn" or at_start or in_a_row >= _TWICE


def compare(ours: Books, theirs: Books, *, quantity_tolerance: float, cash_tolerance: float) -> tuple[Difference, ...]:
    """Return in what two books differ: positions, cash, orders and fills, each in the order of their names.

    What is on its way between the two must have arrived: an order that was sent and not heard of yet would be a difference.

    Parameters
    ----------
    quantity_tolerance : float
        Units.
    cash_tolerance : float
        In currency.
    """
    orders = _orders(ours, theirs, quantity_tolerance)
    return (*_positions(ours, theirs, quantity_tolerance), *_cash(ours, theirs, cash_tolerance), *orders, *_fills(ours, theirs))


def _differ(one: float, other: float, tolerance: float) -> bool:
    # Written so that what is not a number differs from everything.
    return not abs(one - other) <= tolerance + _ROUNDING * max(1.0, abs(one), abs(other))


def _positions(ours: Books, theirs: Books, tolerance: float) -> Iterator[Difference]:
    nothing = Holding(0.0, 0.0)
    for key in sorted({*ours.positions, *theirs.positions}):
        one, other = ours.positions.get(key, nothing), theirs.positions.get(key, nothing)
        if _differ(one.quantity, other.quantity, tolerance):
            kind = DifferenceKind.QUANTITY_MISMATCH
            if not _differ(one.quantity, 0.0, tolerance):
                kind = DifferenceKind.MISSING_LOCAL
            elif not _differ(other.quantity, 0.0, tolerance):
                kind = DifferenceKind.MISSING_BROKER
            yield Difference(kind, *key, _shown(one.quantity), _shown(other.quantity))
        elif one.quantity and _differ(one.average_price, other.average_price, _PRICE_TOLERANCE):
            yield Difference(DifferenceKind.PRICE_MISMATCH, *key, _shown(one.average_price), _shown(other.average_price))


def _cash(ours: Books, theirs: Books, tolerance: float) -> Iterator[Difference]:
    for strategy in sorted({*ours.cash, *theirs.cash}):
        one, other = ours.cash.get(strategy, 0.0), theirs.cash.get(strategy, 0.0)
        if _differ(one, other, tolerance):
            yield Difference(DifferenceKind.CASH_MISMATCH, strategy, "", f"{one:.2f}", f"{other:.2f}")


def _orders(ours: Books, theirs: Books, tolerance: float) -> Iterator[Difference]:
    for order_id in sorted({*ours.orders, *theirs.orders}):
        one, other = ours.orders.get(order_id), theirs.orders.get(order_id)
        if one is None:
            kind, known = DifferenceKind.ORPHAN_ORDER, theirs.orders[order_id]
        elif other is None:
            kind, known = DifferenceKind.LOST_ORDER, one
        elif _orders_differ(one, other, tolerance):
            kind, known = DifferenceKind.ORDER_MISMATCH, one
        else:
            continue
        ours_says, theirs_says = ("not working" if order is None else str(order) for order in (one, other))
        yield Difference(kind, known.strategy, known.symbol, ours_says, theirs_says, f"order {order_id}")


def _orders_differ(one: WorkingOrder, other: WorkingOrder, tolerance: float) -> bool:
    if _differ(one.quantity, other.quantity, tolerance) or _differ(one.filled, other.filled, tolerance):
        return True
    return one._replace(strategy="", quantity=0.0, filled=0.0) != other._replace(strategy="", quantity=0.0, filled=0.0)


def _fills(ours: Books, theirs: Books) -> Iterator[Difference]:
    for fill_id in sorted({*ours.fills, *theirs.fills}):
        one, other = ours.fills.get(fill_id), theirs.fills.get(fill_id)
        if one is None:
            kind, known = DifferenceKind.MISSED_FILL, theirs.fills[fill_id]
        elif other is None:
            kind, known = DifferenceKind.UNKNOWN_FILL, one
        elif (one.symbol, one.side, one.quantity, one.price) != (other.symbol, other.side, other.quantity, other.price):
            kind, known = DifferenceKind.FILL_MISMATCH, one
        else:
            continue
        which = f"fill {fill_id} of order {known.order_id}"
        yield Difference(kind, known.strategy, known.symbol, _execution(one), _execution(other), which)


def _execution(fill: Fill | None) -> str:
    if fill is None:
        return "nothing"
    return f"{fill.side} {_shown(fill.quantity)} at {_shown(fill.price)}, {format_utc(fill.ts_ns)}"


def _shown(number: float) -> str:
    return f"{number:.12g}"
