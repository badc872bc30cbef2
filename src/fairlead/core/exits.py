"""The exits of a bracket: what protects what an order opens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from fairlead.core.errors import ContractError
from fairlead.core.orders import OrderType

_TRAILING: Final = OrderType.TRAILING_STOP


@dataclass(frozen=True, slots=True)
class Exits:
    """The protection of a bracket; see `OrderIntent.with_exits`."""

    take_profit: float | None = None
    stop_loss: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None

    def __post_init__(self) -> None:
        given = (self.take_profit, self.stop_loss, self.trail_amount, self.trail_percent)
        if all(price is None for price in given):
            raise ContractError.of("exits", "have a take_profit, a stop_loss or a trail", None)
        for name, price in zip(("take_profit", "stop_loss"), given, strict=False):
            if price is not None and not (math.isfinite(price) and price > 0):
                raise ContractError.of(name, "be a finite price above 0", price)
        if self.trail_amount is not None or self.trail_percent is not None:
            check_trail("exits", _TRAILING, self.trail_amount, self.trail_percent)

    def check(self, symbol: str, sign: int, entry: float | None) -> None:
        """Refuse exits on the wrong side of each other or of the entry (domain rule 4.1).

        Parameters
        ----------
        sign : int
            +1 for a buy, -1 for a sell.
        entry : float, optional
            Stop or limit price of the entry; None for a market order.
        """
        stop, target = self.stop_loss, self.take_profit
        levels = [level for level in (stop, entry, target) if level is not None]
        if any((b - a) * sign <= 0 for a, b in pairwise(levels)):
            rule = "have stop_loss < entry < take_profit" if sign > 0 else "have take_profit < entry < stop_loss"
            raise ContractError.of(f"{symbol} exits", rule, (stop, entry, target))


def check_trail(where: str, kind: OrderType, amount: float | None, percent: float | None) -> None:
    """Refuse a trail that is none, or on an order that is no trailing stop.

    Parameters
    ----------
    where : str
        What has it, for the message.
    amount, percent : float, optional
        In currency, or in percent of the best price.
    """
    if kind is not _TRAILING:
        raise ContractError.of(where, "have a trail only as a trailing stop", (amount, percent))
    if (amount is None) == (percent is None):
        raise ContractError.of(where, "have a trail in currency or in percent, one of them", (amount, percent))
    distance = amount if amount is not None else percent
    if distance is None or not (math.isfinite(distance) and distance > 0) or (percent is not None and percent >= 100):
        raise ContractError.of(where, "have a trail above 0, and below 100 in percent", distance)
