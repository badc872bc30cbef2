"""Monitors and kill switches (domain rules 7.3, 7.4): when trading halts, how it stays halted, how a halt is carried out."""

from fairlead.risk.monitors.halting import HaltPlan
from fairlead.risk.monitors.haltsteps import (
    AskOrders,
    AskPositions,
    CancelOrders,
    Disconnect,
    HaltPhase,
    HaltSettings,
    HaltStep,
    OpenOrder,
    RaiseAlert,
    SubmitFlatten,
)
from fairlead.risk.monitors.latch import LATCH_FILE, KillLatch
from fairlead.risk.monitors.latchfile import LatchState, Rearm, Trip
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
    "AskOrders",
    "AskPositions",
    "CancelOrders",
    "Disconnect",
    "DrawdownGrade",
    "EquityWatch",
    "HaltAction",
    "HaltPhase",
    "HaltPlan",
    "HaltSettings",
    "HaltStep",
    "KillLatch",
    "KillSwitchSettings",
    "LatchState",
    "Level",
    "MonitorView",
    "OpenOrder",
    "RaiseAlert",
    "Reading",
    "Rearm",
    "SubmitFlatten",
    "SwitchId",
    "Trip",
    "critical",
    "drawdown_grade",
    "evaluate",
    "warnings",
]
