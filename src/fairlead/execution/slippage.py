"""Slippage: how much worse than the ideal price an execution is (domain rules 6.13, 8.7)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, NamedTuple

from pydantic import Field

from fairlead.contracts.plugins import PartSettings
from fairlead.contracts.settings import Settings
from fairlead.execution.cost_kernels import BPS, volume_slippage

_UNKNOWN: Final = float("nan")


class SlippageContext(NamedTuple):
    """What is known of an execution when its price is made."""

    quantity: float
    """Units to execute now; above 0, within the participation cap."""
    bar_volume: float
    """Units that traded in the bar; may be 0."""
    price: float
    """The ideal price, in currency."""
    sigma_daily: float = _UNKNOWN
    """Standard deviation of daily log returns, from completed sessions; NaN if it is not known."""
    adv: float = _UNKNOWN
    """Average daily volume in units, from completed sessions; NaN if it is not known."""
    duration_frac: float = 1.0
    """Share of a session that the execution takes: that of the bar. Measured for models that need history, else 1.0."""
    side: int = 1
    """+1 for a buy, -1 for a sell."""
    filled_before: float = 0.0
    """Units that the same order has executed so far, in units of today."""
    symbol: str = ""


class SlippageModel(Settings, ABC):
    """Base of every slippage model; its fields are its settings.

    A subclass that reads `sigma_daily`, `adv` or `duration_frac` of its context says so with `needs_history`; otherwise they
    are not measured.
    """

    needs_history: ClassVar[bool] = False

    @abstractmethod
    def fraction(self, trade: SlippageContext) -> float | None:
        """Return the adverse price change as a fraction of the ideal price.

        Returns
        -------
        float or None
            At least 0; None if the bar cannot fill the order at all.
        """


class NoSlippage(SlippageModel):
    """Fills at the ideal price: for tests and for closed-form comparisons."""

    def fraction(self, trade: SlippageContext) -> float | None:  # noqa: ARG002  the seam's signature
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

    def fraction(self, trade: SlippageContext) -> float | None:  # noqa: ARG002  the seam's signature
        """Return bps / 1e4."""
        return self.bps / BPS


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

    def fraction(self, trade: SlippageContext) -> float | None:
        """Return base_bps / 1e4 + volume_factor * quantity / bar_volume; None if nothing traded."""
        if not trade.bar_volume > 0:
            return None
        return volume_slippage(self.base_bps, self.volume_factor, trade.quantity, trade.bar_volume)


class ImpactSlippage(SlippageModel):
    """Base of the models that turn volatility and daily volume into impact.

    Parameters
    ----------
    half_spread_bps : float
        Half of the bid-ask spread, in basis points: what the smallest order pays.
    unknown_bps : float
        Stands for the impact while volatility or daily volume is not known, in basis points: at the start of a history, and
        of a newly listed symbol. Unknown is not free.

    Notes
    -----
    The quantity of an order that fills in parts counts as a whole: each part costs what it adds, so a patient order is not
    cheaper than an impatient one merely because its parts are small.
    """

    needs_history: ClassVar[bool] = True

    half_spread_bps: float = Field(default=5.0, ge=0, le=1000)
    unknown_bps: float = Field(default=50.0, ge=0, le=10_000)

    def fraction(self, trade: SlippageContext) -> float | None:
        """Return half of the spread plus the impact."""
        known = trade.adv > 0 and trade.sigma_daily >= 0
        impact = trade.sigma_daily * self.impact_in_sigma(trade) if known else self.unknown_bps / BPS
        return self.half_spread_bps / BPS + impact

    @abstractmethod
    def impact_in_sigma(self, trade: SlippageContext) -> float:
        """Return the impact in daily standard deviations; volatility and daily volume are known."""


class SquareRootSlippage(ImpactSlippage):
    """Half of the spread plus impact that grows with the square root of the order's share of a day's volume.

    Parameters
    ----------
    impact_factor : float
        Y in Y * sigma_daily * sqrt(quantity / adv): daily standard deviations that an order of a whole day's volume costs.

    Notes
    -----
    Grinold and Kahn 2000, "Active Portfolio Management"; Tóth et al. 2011, Physical Review X 1.
    """

    impact_factor: float = Field(default=1.0, ge=0, le=100)

    def impact_in_sigma(self, trade: SlippageContext) -> float:
        """Return impact_factor * sqrt(share of a day's volume); the share counts as 1 at most."""
        before, quantity = trade.filled_before, trade.quantity
        if not before > 0:
            return self.impact_factor * _root(quantity / trade.adv)
        after = before + quantity
        added = after * _root(after / trade.adv) - before * _root(before / trade.adv)
        return self.impact_factor * added / quantity


class AlmgrenSlippage(ImpactSlippage):
    """Permanent and temporary impact as measured on US stocks, plus half of the spread.

    Parameters
    ----------
    gamma, eta : float
        Coefficients of the permanent and of the temporary impact.
    beta : float
        Exponent of the temporary impact in the trade rate.
    shares_outstanding : mapping of str to float
        By symbol.
    inverse_turnover : float
        Shares outstanding over daily volume, in days, of a symbol that `shares_outstanding` does not name. The default, a
        company whose shares change hands once a year, is near that of IBM in the paper (263); the impact moves with its fourth
        root only.

    Notes
    -----
    Almgren, Thum, Hauptmann and Li 2005, "Direct estimation of equity market impact", Risk 18(7). With X units traded over a
    share T of a day of volume V, and shares outstanding Theta::

        I = gamma * sigma * X / V * (Theta / V) ** (1 / 4)        permanent
        K = eta * sigma * (X / (V * T)) ** (3 / 5)                temporary
        J = I / 2 + K                                             paid

    An order that fills over several bars pays, in each, half of the permanent impact of that part and all of the earlier
    parts', which recorded prices do not show: over the order that is I / 2. The share X / V counts as 1 at most.
    """

    gamma: float = Field(default=0.314, ge=0, le=10)
    eta: float = Field(default=0.142, ge=0, le=10)
    beta: float = Field(default=0.6, gt=0, le=1)
    shares_outstanding: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    inverse_turnover: float = Field(default=252.0, gt=0, le=1e6)

    def impact_in_sigma(self, trade: SlippageContext) -> float:
        """Return (I / 2 + K) / sigma."""
        share = min(1.0, trade.quantity / trade.adv)
        mean_share = min(1.0, (trade.filled_before + 0.5 * trade.quantity) / trade.adv)
        shares = self.shares_outstanding.get(trade.symbol)
        turnover = self.inverse_turnover if shares is None else shares / trade.adv
        permanent: float = self.gamma * mean_share * turnover**0.25
        temporary: float = self.eta * (share / trade.duration_frac) ** self.beta
        return permanent + temporary


def _root(share: float) -> float:
    return math.sqrt(min(1.0, share))


SLIPPAGE_MODELS: Final[Mapping[str, type[SlippageModel]]] = MappingProxyType(
    {
        "none": NoSlippage,
        "fixed": FixedSlippage,
        "volume_based": VolumeSlippage,
        "square_root": SquareRootSlippage,
        "almgren2005": AlmgrenSlippage,
    }
)


class SlippageSettings(PartSettings[SlippageModel]):
    """Which slippage model, and its settings: one of `SLIPPAGE_MODELS`, or a third party's."""

    kind: ClassVar[str] = "slippage model"
    group: ClassVar[str] = "fairlead.slippage"
    base: ClassVar[type[Any]] = SlippageModel
    shipped: ClassVar[Mapping[str, type[Any]]] = SLIPPAGE_MODELS

    model: str = "fixed"
