"""Settings of the simulated venue: every assumption is a field."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.financing import FinancingSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.margin import AccountSettings
from fairlead.execution.slippage import SlippageSettings


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
