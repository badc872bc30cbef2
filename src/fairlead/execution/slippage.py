"""Slippage: how much worse than the ideal price an execution is (domain rule 6.13)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from pydantic import Field

from fairlead.contracts.plugins import PartSettings
from fairlead.contracts.settings import Settings


class SlippageModel(Settings, ABC):
    """Base of every slippage model; its fields are its settings."""

    @abstractmethod
    def fraction(self, quantity: float, bar_volume: float) -> float | None:
        """Return the adverse price change as a fraction of the ideal price.

        Parameters
        ----------
        quantity : float
            Units to execute in this bar; above 0, within the participation cap.
        bar_volume : float
            Units that traded in the bar; may be 0.

        Returns
        -------
        float or None
            At least 0; None if the bar cannot fill the order at all.
        """


class NoSlippage(SlippageModel):
    """Fills at the ideal price: for tests and for closed-form comparisons."""

    def fraction(self, quantity: float, bar_volume: float) -> float | None:  # noqa: ARG002  the seam's signature
        """Return 0."""
        return 0.0


class FixedSlippage(SlippageModel):
    """The same share of price on every fill.

    Parameters
    ----------
    bps : float
        Adverse price change in basis points.
    """

    bps: float = Field(default=1.0, ge=0, le=1000)

    def fraction(self, quantity: float, bar_volume: float) -> float | None:  # noqa: ARG002  the seam's signature
        """Return bps / 1e4."""
        return self.bps / 1e4


class VolumeSlippage(SlippageModel):
    """A base cost plus a share of the order's part of the bar's volume.

    Parameters
    ----------
    base_bps : float
        Adverse price change of the smallest order, in basis points.
    volume_factor : float
        Added fraction of price per unit of participation: 0.1 costs 1 % of price at 10 % of the volume.
    """

    base_bps: float = Field(default=5.0, ge=0, le=1000)
    volume_factor: float = Field(default=0.1, ge=0, le=10)

    def fraction(self, quantity: float, bar_volume: float) -> float | None:
        """Return base_bps / 1e4 + volume_factor * quantity / bar_volume; None if nothing traded."""
        if not bar_volume > 0:
            return None
        return self.base_bps / 1e4 + self.volume_factor * quantity / bar_volume


SLIPPAGE_MODELS: Final[Mapping[str, type[SlippageModel]]] = MappingProxyType(
    {"none": NoSlippage, "fixed": FixedSlippage, "volume_based": VolumeSlippage}
)


class SlippageSettings(PartSettings[SlippageModel]):
    """Which slippage model, and its settings: ``none``, ``fixed`` or ``volume_based``, or a third party's."""

    kind: ClassVar[str] = "slippage model"
    group: ClassVar[str] = "fairlead.slippage"
    base: ClassVar[type[Any]] = SlippageModel
    shipped: ClassVar[Mapping[str, type[Any]]] = SLIPPAGE_MODELS

    model: str = "fixed"
