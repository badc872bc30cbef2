"""Settings of the simulated venue: every assumption is a field."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.financing import FinancingSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.margin import AccountSettings
from fairlead.execution.slippage import SlippageSettings

Fidelity: TypeAlias = Literal["bars", "quotes", "trades"]


class ExecutionSettings(Settings):
    """How the simulated venue treats orders. Every assumption is a field.

    Parameters
    ----------
    slippage, commission, latency : settings of the cost models
    account : AccountSettings
        The kind of account: what may be bought, and when a margin call comes.
    financing : FinancingSettings
        Interest, loan fees, and what can be borrowed.
    max_bar_participation : float
        Largest share of a bar's volume that all orders together may take; the rest keeps working.
    limit_fill_on_touch : bool
        Fill limits that are only touched. Off: the price must trade through.
    slippage_on_limits : bool
        Charge slippage on limit fills too, as a cost. Off: a limit fill is at its price.
    allow_same_bar_exit : bool
        Let the exits of a bracket meet the bar of its entry, as far as it must have come after the entry; a stop is taken to.
    oco_same_bar : {'pessimistic', 'no_fill'}
        When two stops of a one-cancels-other set lie in one bar: the one nearer to the open fills, or neither and both end.
    arrival_grace_ms : float
        An intraday order that arrives later than this after a bar's opening was not there at the open: it meets the close.
    fidelity : {'bars', 'quotes', 'trades'}
        What orders meet between two bars: the bar itself; best bids and offers; or prints, and the quotes among them.
    ticks : str, optional
        A CSV or Parquet file of quotes or trades, or a folder of them; needed by, and only by, the last two. Relative to the
        current folder.
    quotes_replenish : bool
        Every quote offers its whole size. Off: one that repeats a price offers what it shows beyond what was taken there.
    """

    type: Literal["simulated"] = "simulated"
    slippage: SlippageSettings = SlippageSettings()
    commission: CommissionSettings = CommissionSettings()
    latency: LatencySettings = LatencySettings()
    account: AccountSettings = AccountSettings()
    financing: FinancingSettings = FinancingSettings()
    max_bar_participation: float = Field(default=0.10, gt=0, le=1)
    limit_fill_on_touch: bool = False
    slippage_on_limits: bool = True
    allow_same_bar_exit: bool = True
    oco_same_bar: Literal["pessimistic", "no_fill"] = "pessimistic"
    arrival_grace_ms: float = Field(default=1000.0, ge=0)
    fidelity: Fidelity = "bars"
    ticks: str | None = Field(default=None, min_length=1)
    quotes_replenish: bool = False

    @model_validator(mode="after")
    def _ticks_fit_the_fidelity(self) -> Self:
        if self.ticks is None and self.fidelity != "bars":
            remedy = "Name a CSV or Parquet file, or a folder of them."
            raise ConfigurationError.of("ticks", f"be given with fidelity: {self.fidelity}", self.ticks, remedy)
        if self.ticks is not None and self.fidelity == "bars":
            remedy = "Choose fidelity: quotes or fidelity: trades, or leave ticks out."
            raise ConfigurationError.of("ticks", "not be given with fidelity: bars, which reads none", self.ticks, remedy)
        return self
