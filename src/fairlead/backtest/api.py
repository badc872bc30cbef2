"""`fairlead.backtest`: one call from a strategy and some prices to a `Result`."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from fairlead.backtest.result import Result
from fairlead.backtest.run import run_backtest
from fairlead.contracts.workspace import workspace_folder
from fairlead.core.errors import ConfigurationError, StrategyError
from fairlead.core.events import CorporateAction
from fairlead.core.instruments import Instrument
from fairlead.data.memory import source_from_frames
from fairlead.data.opening import open_source
from fairlead.data.settings import DataSettings
from fairlead.data.source import DataSource
from fairlead.engine.clock import WallClock
from fairlead.engine.session import Allocation, SessionPlan
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.simulated import ExecutionSettings
from fairlead.execution.slippage import SlippageSettings
from fairlead.sdk.limits import RiskLimits
from fairlead.sdk.registry import find_strategy
from fairlead.sdk.strategy import Strategy

Cost: TypeAlias = float | str | Mapping[str, Any] | SlippageSettings | CommissionSettings | None

# Nobody means a hundredth of a basis point; people do write 0.001 for 0.1 %.
_SMALLEST_BPS: Final = 0.01
_NAMES_OF_BUNDLED: Final = ("bundled", "us_equities")


def backtest(
    strategy: Strategy | type[Strategy] | str,
    data: Any,
    *,
    cash: float = 100_000.0,
    commission: Cost = None,
    slippage: Cost = None,
    params: Mapping[str, Any] | None = None,
    symbols: Sequence[str] = (),
    start: dt.date | str | None = None,
    end: dt.date | str | None = None,
    risk_limits: RiskLimits | Mapping[str, Any] | None = None,
    execution: ExecutionSettings | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    actions: Sequence[CorporateAction] = (),
    bar_size: str | None = None,
    calendar: str = "XNYS",
    seed: int = 42,
    title: str | None = None,
    workspace: str | Path | None = None,
    now: Callable[[], dt.datetime] | None = None,
) -> Result:
    """Run one strategy over history and return the `Result`. Nothing is written; call `Result.save` for that.

    Parameters
    ----------
    strategy : Strategy, Strategy subclass, or str
        An instance; a class, built with `params`; or a registered name or ``package.module:Class``.
    data : frame, dict of frames by symbol, str, or DataSource
        A pandas or polars frame with open, high, low, close and volume in any case and UTC stamps; a dataset's name in the
        workspace; or ``"bundled"`` for the prices that come with Fairlead.
    cash : float
        Starting capital in account currency.
    commission, slippage : number, str, mapping or settings, optional
        A number is basis points; a string names a model; a mapping is ``{"model": ..., "params": {...}}``. Default: those of
        `ExecutionSettings`, 2 bps and 1 bp.
    symbols, start, end : optional
        Choose from `data`; dates are sessions, both inclusive.
    risk_limits : RiskLimits or mapping, optional
        Tighten what the strategy declares.
    execution : ExecutionSettings, optional
        Everything else about the simulated venue.
    actions : sequence of CorporateAction
        Splits and dividends of frames passed in `data`; a dataset brings its own.
    bar_size, calendar : str
        Of frames passed in `data`; the bar size is inferred if not given.
    now : callable, optional
        Gives the instant after which the run is named; the wall clock if not given.

    Raises
    ------
    ConfigurationError, ContractError, DataError
        If an argument, or the data, is not as described.
    StrategyError
        If the strategy raised; the text names its line.

    Examples
    --------
    >>> import fairlead
    >>> result = fairlead.backtest("buy_and_hold", "bundled", params={"symbols": ("IBM",)}, cash=10_000)
    >>> result.stats["num_orders"]
    1
    """
    instance = _strategy(strategy, params)
    source = _source(data, symbols, start, end, actions, bar_size, calendar, workspace)
    settings = _execution(execution, commission, slippage)
    limits = RiskLimits.model_validate({"max_leverage": 20, **risk_limits}) if isinstance(risk_limits, Mapping) else risk_limits
    allocation = Allocation(name=instance.name, strategy=instance, capital=float(cash))
    if limits is not None:
        allocation = Allocation(name=instance.name, strategy=instance, capital=float(cash), limits=limits)
    plan = SessionPlan(
        run_id="",
        allocations=(allocation,),
        source=source,
        execution=settings,
        instruments=dict(instruments or {}),
        seed=seed,
    )
    config = {
        "mode": "backtest",
        "seed": seed,
        "data": {"dataset": source.name, "sha256": source.content_hash, "symbols": list(source.symbols)},
        "execution": settings.model_dump(mode="json"),
        "strategies": [
            {
                "name": instance.name,
                "strategy": f"{type(instance).__module__}:{type(instance).__qualname__}",
                "version": instance.version,
                "capital": float(cash),
                "params": instance.params,
                "risk_limits": allocation.limits.model_dump(mode="json"),
            }
        ],
    }
    created_at = (now or WallClock().now)()
    result = run_backtest(
        plan, title=title or instance.name, config=config, created_at=created_at, command="fairlead.backtest(...)"
    )
    if result.status == "stopped":
        raise StrategyError(f"strategy {instance.name!r} raised: {result.record.strategies[0].error}")
    return result


def _strategy(strategy: Strategy | type[Strategy] | str, params: Mapping[str, Any] | None) -> Strategy:
    if isinstance(strategy, Strategy):
        if params:
            raise ConfigurationError.of("params", "not be given with an instance", dict(params), "Pass the class instead.")
        return strategy
    cls: Any = find_strategy(strategy) if isinstance(strategy, str) else strategy
    if not (isinstance(cls, type) and issubclass(cls, Strategy)):
        raise ConfigurationError.of("strategy", "be a Strategy, a subclass of it, or a name", strategy)
    return cls(**(params or {}))


def _source(
    data: Any,
    symbols: Sequence[str],
    start: dt.date | str | None,
    end: dt.date | str | None,
    actions: Sequence[CorporateAction],
    bar_size: str | None,
    calendar: str,
    workspace: str | Path | None,
) -> DataSource:
    first, last = _date("start", start), _date("end", end)
    if isinstance(data, str):
        settings = (
            DataSettings(source="bundled", symbols=tuple(symbols))
            if data in _NAMES_OF_BUNDLED
            else DataSettings(source="store", dataset=data, symbols=tuple(symbols), bar_size=bar_size)
        )
        return open_source(settings, start=first, end=last, workspace=workspace_folder(os.environ, workspace))
    if hasattr(data, "blocks"):
        source: DataSource = data
        return source
    memory = source_from_frames(data, bar_size=bar_size, calendar=calendar, actions=actions)
    chooses = bool(symbols) or first is not None or last is not None
    return memory.select(symbols or None, first, last) if chooses else memory


def _date(name: str, value: dt.date | str | None) -> dt.date | None:
    if not isinstance(value, str):
        return value
    try:
        return dt.date.fromisoformat(value)
    except ValueError as exc:
        raise ConfigurationError.of(name, "be a date like 2024-01-31", value) from exc


def _execution(execution: ExecutionSettings | None, commission: Cost, slippage: Cost) -> ExecutionSettings:
    settings = execution or ExecutionSettings()
    changes: dict[str, Any] = {}
    if commission is not None:
        changes["commission"] = CommissionSettings.model_validate(_cost("commission", commission, "bps"))
    if slippage is not None:
        changes["slippage"] = SlippageSettings.model_validate(_cost("slippage", slippage, "fixed"))
    return settings.model_copy(update=changes)


def _cost(name: str, cost: Cost, model_of_number: str) -> Any:
    if isinstance(cost, str):
        return {"model": cost}
    if not isinstance(cost, (int, float)):
        return cost
    if 0 < cost < _SMALLEST_BPS:
        raise ConfigurationError.of(
            name, f"be in basis points, 0 or at least {_SMALLEST_BPS}", cost, f"Did you mean {cost * 1e4:g}?"
        )
    return {"model": model_of_number, "params": {"bps": float(cost)}} if cost else {"model": "none"}
