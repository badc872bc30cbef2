"""Commission by value, by unit or by order."""

from __future__ import annotations

from pydantic import Field

from fairlead.execution import cost_kernels as kernels
from fairlead.execution.commission.model import CommissionModel


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
        return kernels.bps_commission(self.bps, quantity, price, multiplier)


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
        return kernels.per_share_commission(
            self.per_share, self.minimum, self.max_frac, quantity, price, multiplier, filled_before, charged_before
        )


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
        return kernels.per_order_commission(self.amount, filled_before)
