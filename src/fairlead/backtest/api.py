"""`fairlead.backtest`: one call from a strategy and some prices to a `Result`."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from fairlead.backtest import arguments
from fairlead.backtest.info import plain
from fairlead.backtest.result import Result
from fairlead.backtest.run import run_backtest
from fairlead.backtest.trials import StrategyEntry, TrialSetup
from fairlead.contracts.enforcement import EnforcementSettings
from fairlead.contracts.settings import build_settings
from fairlead.core.errors import ConfigurationError, StrategyError, UnknownName
from fairlead.core.events import CorporateAction
from fairlead.core.instruments import Instrument
from fairlead.data.liquidity import Liquidity
from fairlead.data.universe import Universe
from fairlead.engine.clock import WallClock
from fairlead.engine.session import Allocation, SessionPlan
from fairlead.execution.settings import ExecutionSettings
from fairlead.features.settings import FeatureSettings
from fairlead.features.supply import FeatureSupply
from fairlead.risk.position import SizingRule
from fairlead.risk.settings import RiskSettings
from fairlead.sdk.limits import RiskLimits
from fairlead.sdk.strategy import Strategy


def backtest(
    strategy: Strategy | type[Strategy] | str,
    data: Any,
    *,
    cash: float = 100_000.0,
    commission: arguments.Cost = None,
    slippage: arguments.Cost = None,
    params: Mapping[str, Any] | None = None,
    symbols: Sequence[str] = (),
    start: dt.date | str | None = None,
    end: dt.date | str | None = None,
    risk_limits: RiskLimits | Mapping[str, Any] | None = None,
    risk: RiskSettings | Mapping[str, Any] | None = None,
    enforcement: EnforcementSettings | Mapping[str, Any] | None = None,
    sizing: SizingRule | Mapping[str, Any] | None = None,
    execution: ExecutionSettings | None = None,
    features: FeatureSettings | Mapping[str, Any] | None = None,
    universe: Universe | str | Path | None = None,
    liquidity: Liquidity | Mapping[str, Any] | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    actions: Sequence[CorporateAction] = (),
    bar_size: str | None = None,
    calendar: str | None = None,
    seed: int = 42,
    record: bool = False,
    title: str | None = None,
    workspace: str | Path | None = None,
    now: Callable[[], dt.datetime] | None = None,
) -> Result:
    """Run one strategy over history and return the `Result`, which is not written; call `Result.save` for that.

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
        A number is basis points; a string names a model or a broker's commission preset; a mapping is
        ``{"model": ..., "params": {...}}``. Default: those of `ExecutionSettings`, 2 bps and 1 bp.
    symbols, start, end : optional
        Choose from `data`; dates are sessions, both inclusive.
    risk_limits : RiskLimits or mapping, optional
        Tighten what the strategy declares.
    risk : RiskSettings or mapping, optional
        Guards and validator before every order, as in the section ``risk`` of a file; ``{}`` arms the defaults.
    enforcement : EnforcementSettings or mapping, optional
        What their refusals lead to: ``{"guards": "warn"}`` records them and lets the orders leave.
    sizing : SizingRule or mapping, optional
        Sizes the orders whose size the strategy leaves to the session; the defaults of the rule if not given.
    execution : ExecutionSettings, optional
        Everything else about the simulated venue.
    features : FeatureSettings or mapping, optional
        ``benchmark`` and ``facts`` for features that read them. With ``cache`` true, values that the workspace keeps are read,
        and those of features that ask for it are kept there; in a mapping it is false if it is not given.
    universe : Universe or path, optional
        The names that `context.universe` tells, session by session; by default every symbol.
    liquidity : Liquidity or mapping, optional
        What a symbol must have shown before a session to be among them.
    actions : sequence of CorporateAction
        Splits, dividends and other corporate actions of frames passed in `data`; a dataset brings its own.
    bar_size, calendar : str, optional
        Of frames passed in `data`: the bar size is inferred if not given, the calendar is XNYS. Of a dataset with several bar
        sizes, which one.
    record : bool
        Keep every event in the order in which it happened, what the strategy wished included.
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
    instance = arguments.strategy_of(strategy, params)
    shared = _shared(
        data,
        commission=commission,
        slippage=slippage,
        symbols=symbols,
        start=start,
        end=end,
        risk=risk,
        enforcement=enforcement,
        execution=execution,
        features=features,
        universe=universe,
        liquidity=liquidity,
        instruments=instruments,
        actions=actions,
        bar_size=bar_size,
        calendar=calendar,
        seed=seed,
        workspace=workspace,
    )
    capital, limits = arguments.amount_of("cash", cash), arguments.limits_of(risk_limits)
    rule = arguments.sizing_of(sizing)
    allocation = Allocation(name=instance.name, strategy=instance, capital=capital, limits=limits, sizing=rule)
    plan = replace(shared.plan, allocations=(allocation,), record=record)
    config = {**shared.config, "strategies": [_described(type(instance), capital, limits, rule, instance.params)]}
    created_at = (now or WallClock().now)()
    result = run_backtest(
        plan, title=title or instance.name, config=config, created_at=created_at, command="fairlead.backtest(...)"
    )
    if result.status == "stopped":
        raise StrategyError(f"strategy {instance.name!r} raised: {result.record.strategies[0].error}")
    return result


def study_setup(
    strategy: type[Strategy] | str,
    data: Any,
    *,
    params: Mapping[str, Any] | None = None,
    cash: float = 100_000.0,
    risk_limits: RiskLimits | Mapping[str, Any] | None = None,
    sizing: SizingRule | Mapping[str, Any] | None = None,
    title: str | None = None,
    **options: Any,
) -> TrialSetup:
    """Return what the trials of a sweep or a walk-forward share; each equals a call of `backtest` with its parameters.

    Parameters
    ----------
    strategy : Strategy subclass or str
        No instance: every trial builds its own.
    params : mapping, optional
        Parameters that do not vary.
    data, cash, risk_limits, sizing, title, options
        As `backtest`, but `record` and `now`.

    Raises
    ------
    ConfigurationError, ContractError, DataError
        As `backtest`.
    """
    if isinstance(strategy, Strategy):
        raise ConfigurationError.of("strategy", "be a class or a name, because every trial builds its own", strategy)
    cls = arguments.class_of(strategy)
    for name in options:
        if name not in _SHARED_OPTIONS:
            raise UnknownName.among(
                "option of a study", name, (*_SHARED_OPTIONS, "params", "cash", "risk_limits", "sizing", "title")
            )
    shared = _shared(data, **options)
    capital, limits = arguments.amount_of("cash", cash), arguments.limits_of(risk_limits)
    rule, given = arguments.sizing_of(sizing), dict(params or {})
    entry = StrategyEntry(name=cls.name, strategy=strategy, params=given, capital=capital, limits=limits, sizing=rule)
    config = {**shared.config, "strategies": [_described(cls, capital, limits, rule, given)]}
    return TrialSetup(title=title or cls.name, plan=shared.plan, entries=(entry,), config=config)


class _Shared(NamedTuple):
    """A plan and a configuration that lack nothing but strategies."""

    plan: SessionPlan
    config: dict[str, Any]


def _shared(
    data: Any,
    *,
    commission: arguments.Cost = None,
    slippage: arguments.Cost = None,
    symbols: Sequence[str] = (),
    start: dt.date | str | None = None,
    end: dt.date | str | None = None,
    risk: RiskSettings | Mapping[str, Any] | None = None,
    enforcement: EnforcementSettings | Mapping[str, Any] | None = None,
    execution: ExecutionSettings | None = None,
    features: FeatureSettings | Mapping[str, Any] | None = None,
    universe: Universe | str | Path | None = None,
    liquidity: Liquidity | Mapping[str, Any] | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    actions: Sequence[CorporateAction] = (),
    bar_size: str | None = None,
    calendar: str | None = None,
    seed: int = 42,
    workspace: str | Path | None = None,
) -> _Shared:
    selection = arguments.Selection(symbols, start, end, actions, bar_size, calendar)
    source = selection.source_of(data, workspace)
    settings = arguments.execution_of(execution, commission, slippage)
    feature_settings, supply = arguments.features_of(features, source, workspace)
    listed = universe if universe is None or isinstance(universe, Universe) else Universe.load(universe)
    rules = None if liquidity is None else build_settings(Liquidity, liquidity, "liquidity")
    armed = None if risk is None else build_settings(RiskSettings, risk, "risk")
    levels = build_settings(EnforcementSettings, enforcement or {}, "enforcement")
    plan = SessionPlan(
        run_id="",
        allocations=(),
        source=source,
        execution=settings,
        instruments=dict(instruments or {}),
        features=supply,
        universe=listed,
        liquidity=rules,
        seed=seed,
        risk=armed,
        guarded=levels.guards,
    )
    config = {
        "mode": "backtest",
        "seed": seed,
        "data": {
            **selection.stated(data),
            "dataset": source.name,
            "sha256": source.content_hash,
            "symbols": list(source.symbols),
        },
        "execution": settings.model_dump(mode="json"),
        "features": _recorded(feature_settings, supply),
        **_chosen_from(listed, rules),
        **_guarded_by(armed, levels),
        "instruments": {symbol: plain(asdict(item)) for symbol, item in sorted((instruments or {}).items())},
    }
    return _Shared(plan, config)


_SHARED_OPTIONS: Final = tuple(name for name in inspect.signature(_shared).parameters if name != "data")


def _described(
    cls: type[Strategy], capital: float, limits: RiskLimits, sizing: SizingRule | None, params: Mapping[str, Any]
) -> dict[str, Any]:
    # A rule that was not given is not stated: a configuration without one stays what it was.
    stated = {} if sizing is None else {"sizing": sizing.model_dump(mode="json")}
    return {
        "name": cls.name,
        "strategy": f"{cls.__module__}:{cls.__qualname__}",
        "version": cls.version,
        "capital": capital,
        "params": params,
        "risk_limits": limits.model_dump(mode="json"),
        **stated,
    }


def _guarded_by(armed: RiskSettings | None, levels: EnforcementSettings) -> dict[str, Any]:
    return {} if armed is None else {"risk": armed.model_dump(mode="json"), "enforcement": levels.model_dump(mode="json")}


def _chosen_from(listed: Universe | None, rules: Liquidity | None) -> dict[str, Any]:
    told = {} if rules is None else rules.model_dump(mode="json")
    told |= {} if listed is None else {"sha256": listed.content_hash}
    return {"universe": told} if told else {}


def _recorded(settings: FeatureSettings, supply: FeatureSupply) -> dict[str, Any]:
    # Where values were kept changes no number; what they were computed from does.
    facts = supply.side.facts
    return {"benchmark": settings.benchmark, "facts_sha256": None if facts is None else facts.content_hash}
