"""What `fairlead.backtest` accepts, turned into what the engine needs."""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from fairlead.contracts.settings import build_settings
from fairlead.contracts.workspace import workspace_folder
from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.core.events import CorporateAction
from fairlead.data.bundled import BUNDLED_DATASET
from fairlead.data.memory import source_from_frames
from fairlead.data.opening import open_source
from fairlead.data.settings import DataSettings
from fairlead.data.source import DataSource
from fairlead.execution.commission import CommissionSettings, known_presets
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.slippage import SlippageSettings
from fairlead.features.settings import FeatureSettings
from fairlead.features.supply import FeatureSupply
from fairlead.risk.position import SizingRule
from fairlead.sdk.limits import RiskLimits
from fairlead.sdk.registry import find_strategy
from fairlead.sdk.strategy import Strategy

Cost: TypeAlias = float | str | Mapping[str, Any] | SlippageSettings | CommissionSettings | None

# Nobody means a tenth of a basis point; people do write 0.001 for 0.1 %.
SMALLEST_BPS: Final = 0.1
DEFAULT_CALENDAR: Final = "XNYS"
_UNLIMITED: Final = RiskLimits(max_leverage=20)


def strategy_of(strategy: Strategy | type[Strategy] | str, params: Mapping[str, Any] | None) -> Strategy:
    """Return an instance, a class built with `params`, or a registered name looked up and built.

    Raises
    ------
    ConfigurationError
        If it is none of these, or a parameter does not fit.
    """
    if isinstance(strategy, Strategy):
        if params:
            raise ConfigurationError.of("params", "not be given with an instance", dict(params), "Pass the class instead.")
        return strategy
    return class_of(strategy)(**(params or {}))


def class_of(strategy: type[Strategy] | str) -> type[Strategy]:
    """Return a class, or the one of that name; raise `ConfigurationError` if it is neither."""
    cls: Any = find_strategy(strategy) if isinstance(strategy, str) else strategy
    if not (isinstance(cls, type) and issubclass(cls, Strategy)):
        raise ConfigurationError.of("strategy", "be a Strategy, a subclass of it, or a name", strategy)
    return cls


def amount_of(name: str, value: Any) -> float:
    """Return an amount of currency as a float; raise `ConfigurationError` if it is no finite number above 0."""
    try:
        amount = float(value)
    except (TypeError, ValueError):
        amount = math.nan
    if not 0 < amount < math.inf:
        raise ConfigurationError.of(name, "be a finite amount above 0", value)
    return amount


def limits_of(limits: RiskLimits | Mapping[str, Any] | None) -> RiskLimits:
    """Return limits that tighten only what is given."""
    if limits is None:
        return _UNLIMITED
    if isinstance(limits, Mapping):
        limits = {"max_leverage": _UNLIMITED.max_leverage, **limits}
    return build_settings(RiskLimits, limits, "risk_limits")


def sizing_of(sizing: SizingRule | Mapping[str, Any] | None) -> SizingRule | None:
    """Return a rule of sizing; None if none is given."""
    return None if sizing is None else build_settings(SizingRule, sizing, "sizing")


def execution_of(execution: ExecutionSettings | None, commission: Cost, slippage: Cost) -> ExecutionSettings:
    """Return `execution`, with commission and slippage replaced where they are given."""
    settings = execution or ExecutionSettings()
    changes: dict[str, Any] = {}
    if commission is not None:
        changes["commission"] = build_settings(CommissionSettings, _cost("commission", commission, "bps"), "commission")
    if slippage is not None:
        changes["slippage"] = build_settings(SlippageSettings, _cost("slippage", slippage, "fixed"), "slippage")
    return settings.model_copy(update=changes)


def features_of(
    features: FeatureSettings | Mapping[str, Any] | None, source: DataSource, workspace: str | Path | None
) -> tuple[FeatureSettings, FeatureSupply]:
    """Return the settings of a run's features, and where they come from.

    A call from Python leaves no trace on the disk: what is not a `FeatureSettings` has the cache off unless it says otherwise.

    Raises
    ------
    ConfigurationError
        If a setting does not fit, or the benchmark is no symbol of the run.
    DataNotFound, DataError, ContractError
        If the facts cannot be read.
    """
    if features is None or isinstance(features, Mapping):
        features = {"cache": False, **(features or {})}
    settings = build_settings(FeatureSettings, features, "features")
    if settings.benchmark is not None and settings.benchmark not in source.symbols:
        raise UnknownName.among("benchmark symbol of this run", settings.benchmark, source.symbols)
    return settings, FeatureSupply.of(settings, workspace_folder(os.environ, workspace))


def _cost(name: str, cost: Cost, model_of_number: str) -> Any:
    if isinstance(cost, str):
        return {"preset": cost} if name == "commission" and cost in known_presets() else {"model": cost}
    if not isinstance(cost, (int, float)):
        return cost
    if 0 < cost < SMALLEST_BPS:
        rule = f"be in basis points, 0 or at least {SMALLEST_BPS}"
        raise ConfigurationError.of(name, rule, cost, f"Did you mean {cost * 1e4:g}?")
    return {"model": model_of_number, "params": {"bps": float(cost)}} if cost else {"model": "none"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the data to run on, and what frames cannot say of themselves."""

    symbols: Sequence[str] = ()
    start: dt.date | str | None = None
    end: dt.date | str | None = None
    actions: Sequence[CorporateAction] = ()
    bar_size: str | None = None
    calendar: str | None = None

    def source_of(self, data: Any, workspace: str | Path | None) -> DataSource:
        """Return frames, a dataset's name or a `DataSource` as the source of a run.

        Raises
        ------
        ConfigurationError
            If an argument does not apply to this kind of data: ignoring it would run on something else than was asked for.
        """
        if isinstance(self.symbols, str):
            raise ConfigurationError.of("symbols", "be a sequence of names", self.symbols, f"Write [{self.symbols!r}].")
        first, last = _date("start", self.start), _date("end", self.end)
        symbols = tuple(self.symbols)
        if isinstance(data, str):
            is_bundled = data in ("bundled", BUNDLED_DATASET)
            self._refuse("a dataset", "actions", "calendar", *(("bar_size",) if is_bundled else ()))
            settings = (
                DataSettings(source="bundled", symbols=symbols)
                if is_bundled
                else DataSettings(source="store", dataset=data, symbols=symbols, bar_size=self.bar_size)
            )
            return open_source(settings, start=first, end=last, workspace=workspace_folder(os.environ, workspace))
        if hasattr(data, "blocks"):
            self._refuse("a DataSource", "symbols", "start", "end", "actions", "bar_size", "calendar")
            source: DataSource = data
            return source
        calendar = self.calendar or DEFAULT_CALENDAR
        memory = source_from_frames(data, bar_size=self.bar_size, calendar=calendar, actions=self.actions)
        chooses = bool(symbols) or first is not None or last is not None
        return memory.select(symbols or None, first, last) if chooses else memory

    def stated(self, data: Any) -> dict[str, Any]:
        """Return what was asked for as plain data, so that the same data can be found again."""
        source = "memory"
        if isinstance(data, str):
            source = "bundled" if data in ("bundled", BUNDLED_DATASET) else "store"
        bounds = {"start": _date("start", self.start), "end": _date("end", self.end)}
        asked = {name: None if bound is None else bound.isoformat() for name, bound in bounds.items()}
        return {"source": source, "bar_size": self.bar_size, **asked}

    def _refuse(self, kind: str, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and value != ():
                raise ConfigurationError.of(name, f"not be given with {kind}, which brings its own", value)


def _date(name: str, value: dt.date | str | None) -> dt.date | None:
    if not isinstance(value, str):
        return value
    try:
        return dt.date.fromisoformat(value)
    except ValueError as exc:
        raise ConfigurationError.of(name, "be a date like 2024-01-31", value) from exc
