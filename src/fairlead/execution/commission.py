"""Commission: what the broker takes for an execution (domain rules 6.9, 6.13)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from pydantic import Field

from fairlead.contracts.plugins import PartSettings
from fairlead.contracts.settings import Settings


class CommissionModel(Settings, ABC):
    """Base of every commission model; its fields are its settings."""

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


class NoCommission(CommissionModel):
    """Free trading: for tests and for closed-form comparisons."""

    def charge(  # noqa: D102  described by the base
        self,
        quantity: float,  # noqa: ARG002  the seam's signature
        price: float,  # noqa: ARG002
        multiplier: float,  # noqa: ARG002
        filled_before: float,  # noqa: ARG002
        charged_before: float,  # noqa: ARG002
    ) -> float:
        return 0.0


class BpsCommission(CommissionModel):
    """A share of the traded value.

    Parameters
    ----------
    bps : float
        Basis points of quantity * price * multiplier.
    """

    bps: float = Field(default=2.0, ge=0, le=1000)

    def charge(  # noqa: D102  described by the base
        self,
        quantity: float,
        price: float,
        multiplier: float,
        filled_before: float,  # noqa: ARG002  no minimum to keep
        charged_before: float,  # noqa: ARG002
    ) -> float:
        return quantity * price * multiplier * (self.bps / 1e4)


class PerShareCommission(CommissionModel):
    """So much a unit, with a minimum per order and a cap.

    Parameters
    ----------
    per_share : float
        Currency per unit.
    minimum : float
        Least charge of an order, in currency.
    max_frac : float
        Most an execution may cost as a fraction of its value; it overrides the minimum, as brokers do.
    """

    per_share: float = Field(default=0.005, ge=0, le=100)
    minimum: float = Field(default=1.0, ge=0, le=1000)
    max_frac: float = Field(default=0.01, gt=0, le=1)

    def charge(  # noqa: D102  described by the base
        self, quantity: float, price: float, multiplier: float, filled_before: float, charged_before: float
    ) -> float:
        due = max(self.minimum, self.per_share * (filled_before + quantity)) - charged_before
        return min(max(0.0, due), quantity * price * multiplier * self.max_frac)


class PerOrderCommission(CommissionModel):
    """One charge per order, at its first execution.

    Parameters
    ----------
    amount : float
        Currency per order.
    """

    amount: float = Field(default=1.0, ge=0, le=1000)

    def charge(  # noqa: D102  described by the base
        self,
        quantity: float,  # noqa: ARG002  the size does not matter
        price: float,  # noqa: ARG002
        multiplier: float,  # noqa: ARG002
        filled_before: float,
        charged_before: float,  # noqa: ARG002
    ) -> float:
        return self.amount if filled_before == 0.0 else 0.0


COMMISSION_MODELS: Final[Mapping[str, type[CommissionModel]]] = MappingProxyType(
    {"none": NoCommission, "bps": BpsCommission, "per_share": PerShareCommission, "per_order": PerOrderCommission}
)


class CommissionSettings(PartSettings[CommissionModel]):
    """Which commission model, and its settings: ``none``, ``bps``, ``per_share`` or ``per_order``, or a third party's."""

    kind: ClassVar[str] = "commission model"
    group: ClassVar[str] = "fairlead.commission"
    base: ClassVar[type[Any]] = CommissionModel
    shipped: ClassVar[Mapping[str, type[Any]]] = COMMISSION_MODELS

    model: str = "bps"
