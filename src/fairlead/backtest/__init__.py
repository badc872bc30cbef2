"""From a record to a judgement: results, metrics, trades, reports and run directories.

The package can be called: ``fairlead.backtest(strategy, data)`` is `fairlead.backtest.api.backtest`, and
``fairlead.backtest.sweep(strategy, data, space)`` is `fairlead.backtest.sweeps.sweep`. A name that is both a
room of the house and its most used verb would otherwise depend on the order of imports (ADR 0007).
`simulate_insidebar_from_orders` replays an order file; see `fairlead.backtest.replay`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fairlead.backtest.replay import ReplayResult, simulate_insidebar_from_orders
    from fairlead.backtest.result import Result
    from fairlead.backtest.sweep_result import SweepResult


__all__ = ["ReplayResult", "simulate_insidebar_from_orders"]

_REPLAY: Final = ("ReplayResult", "simulate_insidebar_from_orders")


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        from fairlead.backtest.api import backtest  # noqa: PLC0415  importing the package must not load the engine

        return backtest(*args, **kwargs)

    def sweep(self, *args: Any, **kwargs: Any) -> SweepResult:
        """Run a strategy with many parameter sets; see `fairlead.backtest.sweeps.sweep`."""
        from fairlead.backtest.sweeps import sweep  # noqa: PLC0415  as in `__call__`

        return sweep(*args, **kwargs)


def __getattr__(name: str) -> Any:
    if name in _REPLAY:
        from fairlead.backtest import replay  # noqa: PLC0415  importing the package must not load the bars

        return getattr(replay, name)
    raise AttributeError(f"module 'fairlead.backtest' has no attribute {name!r}")


sys.modules[__name__].__class__ = _CallablePackage
