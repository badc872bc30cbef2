"""Seeing what runs: logs, metrics, health, and how long orders take (domain section 16).

A session opens one of each and hands them to those who use them; nothing here is global, and each name loads what it needs when
it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fairlead.telemetry.endpoints import Endpoints, EndpointSettings
    from fairlead.telemetry.health import READY_CHECKS, Heartbeat, Readiness
    from fairlead.telemetry.latency import OrderLatency
    from fairlead.telemetry.logs import Log, Logs, LogSettings
    from fairlead.telemetry.metrics import Metrics
    from fairlead.telemetry.quantiles import QuantileSummary, Summary
    from fairlead.telemetry.timers import StageTimers

__all__ = [
    "READY_CHECKS",
    "EndpointSettings",
    "Endpoints",
    "Heartbeat",
    "Log",
    "LogSettings",
    "Logs",
    "Metrics",
    "OrderLatency",
    "QuantileSummary",
    "Readiness",
    "StageTimers",
    "Summary",
]

_HOME: Final = {
    "READY_CHECKS": "health",
    "EndpointSettings": "endpoints",
    "Endpoints": "endpoints",
    "Heartbeat": "health",
    "Log": "logs",
    "LogSettings": "logs",
    "Logs": "logs",
    "Metrics": "metrics",
    "OrderLatency": "latency",
    "QuantileSummary": "quantiles",
    "Readiness": "health",
    "StageTimers": "timers",
    "Summary": "quantiles",
}


def __getattr__(name: str) -> Any:
    # A backtest times its stages and needs neither structlog nor Prometheus, a tenth of a second each.
    if name in _HOME:
        return getattr(import_module(f"fairlead.telemetry.{_HOME[name]}"), name)
    raise AttributeError(f"module 'fairlead.telemetry' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
