"""Fills: executions, with the price before costs and the price that was paid."""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

from fairlead.core.identity import short_hash
from fairlead.core.orders import Side

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_BUY: Final = Side.BUY


class Fill(NamedTuple):
    """One execution.

    Parameters
    ----------
    execution_id : str
        The broker's id of the execution, or its ordinal within the order.
    quantity : float
        Unsigned units.
    price_ideal : float
        Price before slippage, inside the bar's range.
    price : float
        Price paid or received, slippage included.
    commission : float
        In currency; reduces cash at the fill.
    ts_ns : int
        When the execution became known.
    bar_ns : int
        Label of the bar in which it happened.
    """

    execution_id: str
    order_id: str
    strategy: str
    symbol: str
    side: Side
    quantity: float
    price_ideal: float
    price: float
    commission: float
    ts_ns: int
    bar_ns: int
    tag: str = ""

    @property
    def fill_id(self) -> str:
        """Identifier derived from the order and the execution (domain rule 1.6): a fill that is told twice is one fill."""
        return short_hash(self.order_id, self.execution_id)

    @property
    def signed_quantity(self) -> float:
        """Positive for a buy, negative for a sell."""
        return self.quantity if self.side is _BUY else -self.quantity

    @property
    def slippage(self) -> float:
        """Cost of slippage per unit, in currency; never negative in a simulation."""
        return (self.price - self.price_ideal) * self.side.sign


make_fill: Final = partial(tuple.__new__, Fill)
"""A `Fill` from a tuple of all its fields, made in C: the constructor of a named tuple is a Python function."""
