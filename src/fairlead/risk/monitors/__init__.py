"""Monitors and kill switches (domain rules 7.3, 7.4): when trading halts, how it stays halted, how a halt is carried out."""

from fairlead.risk.monitors.latch import LATCH_FILE, KillLatch
from fairlead.risk.monitors.latchfile import Rearm, Trip
from fairlead.risk.monitors.settings import HaltAction, KillSwitchSettings, SwitchId
from fairlead.risk.monitors.switches import (
    DrawdownGrade,
    Level,
    MonitorView,
    Reading,
    critical,
    drawdown_grade,
    evaluate,
    warnings,
)
from fairlead.risk.monitors.watch import EquityWatch

__all__ = [
    "LATCH_FILE",
    "DrawdownGrade",
    "EquityWatch",
    "HaltAction",
    "KillLatch",
    "KillSwitchSettings",
    "Level",
    "MonitorView",
    "Reading",
    "Rearm",
    "SwitchId",
    "Trip",
    "critical",
    "drawdown_grade",
    "evaluate",
    "warnings",
]
