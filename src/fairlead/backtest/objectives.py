"""What a search makes as large as possible: a metric by name, turned round where less is better, or a function of a trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from fairlead.backtest.trials import Trial
from fairlead.core.errors import ConfigurationError, UnknownName

Objective: TypeAlias = Callable[[Trial], float | None]
"""From a completed trial to what is to be as large as possible; None if it is not defined, which is worse than anything."""

HIGHER_IS_BETTER: Final = (
    "total_return", "annualised_return", "cagr", "sharpe", "sortino", "calmar", "recovery_factor", "final_cash", "net_pnl",
    "gross_pnl", "best_day", "worst_day", "best_month", "worst_month", "positive_days", "skew", "tail_ratio", "win_rate",
    "pnl_per_trade", "avg_trade", "avg_win", "avg_loss", "worst_trade", "best_trade", "profit_factor", "alpha",
    "information_ratio", "fill_rate", "num_trades",
)  # fmt: skip
LOWER_IS_BETTER: Final = (
    "annualised_vol", "max_drawdown", "max_drawdown_pct", "longest_drawdown_days", "ulcer_index", "var_95", "cvar_95",
    "kurtosis", "total_fees", "total_slippage", "cost_bps", "turnover", "max_leverage", "num_rejections",
)  # fmt: skip


def objective_of(objective: str | Objective) -> tuple[str, Objective]:
    """Return the name of an objective and its function.

    Parameters
    ----------
    objective : str or callable
        A metric that is better the higher, or the lower, it is; or a function, which is called after its name.

    Raises
    ------
    UnknownName
        If there is no such metric, or neither direction of it is better.
    """
    if callable(objective):
        return getattr(objective, "__name__", type(objective).__name__), objective
    if not isinstance(objective, str):
        raise ConfigurationError.of("objective", "be a metric's name or a function of a trial", objective)
    name = objective
    if name not in HIGHER_IS_BETTER + LOWER_IS_BETTER:
        raise UnknownName.among("objective", name, HIGHER_IS_BETTER + LOWER_IS_BETTER)
    sign = 1.0 if name in HIGHER_IS_BETTER else -1.0

    def judge(trial: Trial) -> float | None:
        value = trial.metrics.get(name)
        return None if value is None else sign * float(value)

    return name, judge


def natural(objective: str, value: float | None) -> float | None:
    """Return what an objective made of a metric as that metric again: a drawdown to be minimised is positive."""
    return -value if value is not None and objective in LOWER_IS_BETTER else value
