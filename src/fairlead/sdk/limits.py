"""The risk limits a strategy declares for itself, and an operator may tighten."""

from __future__ import annotations

from pydantic import Field

from fairlead.contracts.settings import Settings


class RiskLimits(Settings):
    """Limits on one strategy's orders, as fractions of its own equity.

    Parameters
    ----------
    max_position_size : float or None
        Largest |position value| in one symbol as a fraction of equity; None for no limit. Targets are clipped to it, orders
        with an explicit quantity that exceed it are rejected.
    max_leverage : float
        Largest gross exposure as a multiple of equity, working orders included.
    """

    max_position_size: float | None = Field(default=None, gt=0, le=10)
    max_leverage: float = Field(default=1.0, gt=0, le=20)

    def tightened_by(self, other: RiskLimits) -> RiskLimits:
        """Return the stricter of both, limit by limit."""
        sizes = [size for size in (self.max_position_size, other.max_position_size) if size is not None]
        return RiskLimits(
            max_position_size=min(sizes) if sizes else None,
            max_leverage=min(self.max_leverage, other.max_leverage),
        )
