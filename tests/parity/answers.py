"""Answers: the fills of a run and the money at its end, in a form in which two engines can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

# What must agree, and how closely: prices and quantities absolutely, money to the cent.
EXACT = 1e-8
CENT = 0.005


class Trade(NamedTuple):
    """What was bought or sold at one price in one bar."""

    bar: int
    symbol: str
    quantity: float
    """Signed units."""
    price: float

    def __str__(self) -> str:
        verb = "buys" if self.quantity > 0 else "sells"
        return f"bar {self.bar}: {verb} {abs(self.quantity):g} {self.symbol} at {self.price:.10g}"


@dataclass(frozen=True)
class Answer:
    """What an engine made of a scenario."""

    trades: tuple[Trade, ...]
    cash: float
    equity: float

    def as_json(self) -> dict[str, Any]:
        """Return the answer as it is recorded."""
        return {"fills": [list(trade) for trade in self.trades], "cash": self.cash, "equity": self.equity}


def answer_of(fills: Iterable[tuple[int, str, float, float]], *, cash: float, equity: float) -> Answer:
    """Return an answer whose fills are in one order, those at one price in one bar added up.

    Engines cut an execution differently: one order that crosses zero is two trades to some.
    """
    summed: dict[tuple[int, str, bool, float], list[float]] = {}
    for bar, symbol, quantity, price in fills:
        entry = summed.setdefault((bar, symbol, quantity < 0, round(price, 7)), [0.0, price])
        entry[0] += quantity
    trades = tuple(Trade(bar, symbol, *summed[bar, symbol, sells, at]) for bar, symbol, sells, at in sorted(summed))
    return Answer(trades, cash, equity)


def differences(left: Answer, right: Answer) -> list[str]:
    """Return in which points two answers differ; nothing if they are equal."""
    found = []
    for i in range(max(len(left.trades), len(right.trades))):
        a = left.trades[i] if i < len(left.trades) else None
        b = right.trades[i] if i < len(right.trades) else None
        if a is None or b is None or not _same_trade(a, b):
            found.append(f"{a or 'nothing'}, against {b or 'nothing'}")
    for name in ("cash", "equity"):
        x, y = getattr(left, name), getattr(right, name)
        if not abs(x - y) < CENT:
            found.append(f"{name} {x:.4f}, against {y:.4f}")
    return found


def _same_trade(a: Trade, b: Trade) -> bool:
    return a[:2] == b[:2] and abs(a.quantity - b.quantity) <= EXACT and abs(a.price - b.price) <= EXACT
