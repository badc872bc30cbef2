"""What a conductor holds to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fairlead.control.brokerport import SessionPort
from fairlead.control.hours import MarketHours
from fairlead.engine.reportline import Channel, StraightChannel
from fairlead.execution.reconciliation import ReconciliationSettings
from fairlead.risk.monitors import HaltSettings, KillSwitchSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductorSettings:
    """What a conductor holds to.

    Parameters
    ----------
    switches : KillSwitchSettings, optional
        None: only an operator halts.
    halt : HaltSettings
    began_ns : int
        When the session was started: the time until its first data.
    now_ns : callable, optional
        The real time, where data comes as it happens: halts, locks and cool-offs run on it, as they run on when no bar comes.
        None where history is played again: they run on its bars then.
    market : MarketHours, optional
        Of a session that keeps the market's hours.
    oldest_ns : int
        How old a bar may be, by real time, after a restart for more risk to be taken on it; 0: as old as it will.
    reconciliation : ReconciliationSettings
    channel : callable
        Opens what carries the venue's reports.
    broker : SessionPort, optional
        Where orders leave for a broker; None on paper.
    """

    switches: KillSwitchSettings | None = None
    halt: HaltSettings = field(default_factory=HaltSettings)
    began_ns: int = 0
    now_ns: Callable[[], int] | None = None
    market: MarketHours | None = None
    oldest_ns: int = 0
    reconciliation: ReconciliationSettings = field(default_factory=ReconciliationSettings)
    channel: Callable[[], Channel] = StraightChannel
    broker: SessionPort | None = None
