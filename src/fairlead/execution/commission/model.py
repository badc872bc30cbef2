"""The seam of every commission model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from fairlead.contracts.settings import Settings


class CommissionContext(NamedTuple):
    """An execution, and what has been before it."""

    quantity: float
    """Units executed now."""
    price: float
    """Execution price, slippage included."""
    multiplier: float
    """Currency value of one unit at price 1."""
    filled_before: float = 0.0
    """Units that the same order has executed, as they were then."""
    charged_before: float = 0.0
    """What the same order has been charged, in currency."""
    side: int = 1
    """+1 for a buy, -1 for a sale, a short sale among them."""
    value_before: float = 0.0
    """What the same order has executed, in currency."""
    month_volume: float = 0.0
    """Units that the strategy has executed in the calendar month, those of this order among them."""


class CommissionModel(Settings, ABC):
    """Base of every commission model; its fields are its settings.

    A subclass that needs more than `charge` is told says so with `needs_context` and overrides `charge_in`.
    """

    needs_context: ClassVar[bool] = False

    @abstractmethod
    def charge(self, quantity: float, price: float, multiplier: float, filled_before: float, charged_before: float) -> float:
        """Return the commission of one execution, in currency, at least 0.

        Parameters
        ----------
        quantity : float
            Units executed now.
        price : float
            Execution price, slippage included.
        multiplier : float
            Currency value of one unit at price 1.
        filled_before, charged_before : float
            What the same order has executed and been charged so far, so that minimums hold per order. Units count as they were
            when they were executed: a split since then multiplies nothing.
        """

    def charge_in(self, trade: CommissionContext) -> float:
        """Return the commission of one execution, in currency, at least 0; called instead of `charge` if `needs_context`."""
        return self.charge(trade.quantity, trade.price, trade.multiplier, trade.filled_before, trade.charged_before)
