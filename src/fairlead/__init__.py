"""Fairlead takes a trading strategy from research to live trading on one code path, and keeps the evidence that it ran true.

Doors: ``fairlead.backtest(strategy, data, ...)`` runs a backtest, ``fairlead.Result`` is what it gives back, and all that a
strategy author needs is in `fairlead.sdk`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead import backtest
    from fairlead.backtest.result import Result

__version__ = "0.1.0"
__all__ = ["Result", "__version__", "backtest"]


def __getattr__(name: str) -> Any:
    # The door opens when someone walks through it: importing fairlead must not load numpy and pandas.
    if name == "backtest":
        return import_module("fairlead.backtest")
    if name == "Result":
        return import_module("fairlead.backtest.result").Result
    raise AttributeError(f"module 'fairlead' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
