"""One trial: one run of one parameter set, judged and hashed, without the record of what happened in it.

A `TrialSetup` is everything that the trials of a study share. It can be sent to another process: strategies stand in it by name
or class and are built anew for every trial, so that no trial sees what another left behind.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np

from fairlead.backtest.info import plain
from fairlead.backtest.metrics import Metric
from fairlead.backtest.provenance import code_hash
from fairlead.backtest.run import config_hash, run_backtest
from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.errors import ConfigurationError, FairleadError
from fairlead.core.identity import short_hash
from fairlead.data.source import DataSource
from fairlead.engine.session import Allocation, SessionPlan
from fairlead.risk.position import SizingRule
from fairlead.sdk.limits import RiskLimits
from fairlead.sdk.registry import find_strategy
from fairlead.sdk.strategy import Strategy

if TYPE_CHECKING:
    from fairlead.backtest.pools.compiled import CompiledPool

TrialStatus: TypeAlias = Literal["completed", "failed", "refused"]
STATUSES: Final[tuple[TrialStatus, ...]] = get_args(TrialStatus)

# A trial has no instant of its own: the clock must not reach what is compared between trials.
_NO_INSTANT: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyEntry:
    """A strategy that every trial builds anew.

    Parameters
    ----------
    name : str
        Of the allocation; unique in the session.
    strategy : str or Strategy subclass
        A reference that `find_strategy` understands, or the class. Only what can be imported can go to another process.
    params : mapping
        Parameters that do not vary; what is not given has its default.
    capital : float
    limits : RiskLimits
    sizing : SizingRule, optional
        Sizes what the strategy leaves to the session.
    """

    name: str
    strategy: str | type[Strategy]
    params: Mapping[str, Any] = field(default_factory=dict)
    capital: float = 100_000.0
    limits: RiskLimits = field(default_factory=lambda: RiskLimits(max_leverage=20))
    sizing: SizingRule | None = None


@dataclass(frozen=True, kw_only=True)
class TrialSetup:
    """What the trials of one study share.

    Parameters
    ----------
    title : str
        What a person calls the study.
    plan : SessionPlan
        Data, venue and everything else; its allocations are not used.
    entries : tuple of StrategyEntry
        The strategies of each trial.
    config : mapping
        Effective configuration as plain data, as a single run would save it; ``strategies`` is a list.
    varied : int
        Which of `entries` gets the parameters of a trial.
    position : int
        Which item of ``config["strategies"]`` describes that entry: a file may hold strategies that are switched off.
    lean : bool
        Whether trials may leave out the metrics that need round trips: those of kernel strategies then do.
    """

    title: str
    plan: SessionPlan
    entries: tuple[StrategyEntry, ...]
    config: Mapping[str, Any]
    varied: int = 0
    position: int = 0
    lean: bool = False

    def __getstate__(self) -> dict[str, Any]:
        # Without what was looked up or built: a class from a file of strategies cannot be sent, and its name can.
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**state, "plan": replace(self.plan, allocations=())}

    @property
    def source(self) -> DataSource:
        """The history of the trials."""
        return self.plan.source

    @property
    def entry(self) -> StrategyEntry:
        """The strategy whose parameters vary."""
        return self.entries[self.varied]

    @cached_property
    def classes(self) -> tuple[type[Strategy], ...]:
        """The class of each entry, looked up once: a file of strategies is not read again for every trial."""
        return tuple(find_strategy(e.strategy) if isinstance(e.strategy, str) else e.strategy for e in self.entries)

    @property
    def strategy(self) -> type[Strategy]:
        """The class whose parameters vary."""
        return self.classes[self.varied]

    @cached_property
    def code_hash(self) -> str:
        """SHA-256 of the code that runs in every trial."""
        return code_hash(self.classes)

    def run(self, params: Mapping[str, Any]) -> Trial:
        """Run one parameter set; what a worker calls, here or elsewhere. A study over windows of history overrides it."""
        if self._compiled is None:
            return run_trial(self, params)
        ((_, trial),) = self._compiled.run([(0, params)])
        return trial

    @cached_property
    def _compiled(self) -> CompiledPool | None:
        from fairlead.backtest.pools.compiled import CompiledPool  # noqa: PLC0415  it is made of trials

        return CompiledPool(self) if CompiledPool.fits(self) else None

    def on(self, source: DataSource) -> TrialSetup:
        """Return the same study over other history, a fold for instance.

        What the configuration says of the data stays: `Trial.data_hash` tells which history a trial ran on.
        """
        return replace(self, plan=replace(self.plan, source=source))

    def with_classes(self, classes: tuple[type[Strategy], ...]) -> TrialSetup:
        """Return the same study with the class of each entry in place of its name: nothing is looked up any more."""
        entries = tuple(replace(entry, strategy=cls) for entry, cls in zip(self.entries, classes, strict=True))
        return replace(self, entries=entries)

    def build(self, params: Mapping[str, Any]) -> tuple[Strategy, ...]:
        """Return fresh strategies, the varied one with `params` over its fixed ones.

        Raises
        ------
        ConfigurationError
            If a strategy refuses its parameters.
        """
        return tuple(
            cls(**{**entry.params, **(params if i == self.varied else {})})
            for i, (cls, entry) in enumerate(zip(self.classes, self.entries, strict=True))
        )

    def plan_of(self, strategies: tuple[Strategy, ...], run_id: str) -> SessionPlan:
        """Return the plan of one trial, with the strategies that `build` returned."""
        allocations = tuple(
            Allocation(name=entry.name, strategy=strategy, capital=entry.capital, limits=entry.limits, sizing=entry.sizing)
            for entry, strategy in zip(self.entries, strategies, strict=True)
        )
        return replace(self.plan, run_id=run_id, allocations=allocations, profile=False, record=False)

    def config_of(self, params: Mapping[str, Any], strategy: Strategy) -> dict[str, Any]:
        """Return the effective configuration that a single run with `params` would save."""
        described = list(self.config["strategies"])
        entry = described[self.position]
        # What does not vary stays as it is written: a secret in it is redacted there.
        kept = {name: value for name, value in entry.get("params", {}).items() if name not in params}
        described[self.position] = {**entry, "params": {**strategy.params, **kept}}
        return {**self.config, "strategies": described}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Trial:
    """The outcome of one parameter set.

    Attributes
    ----------
    params : dict
        The parameters that vary, as plain data.
    status : {'completed', 'failed', 'refused'}
        ``refused``: the strategy does not accept this combination. ``failed``: the run raised.
    reason : str
        Why it did not complete; empty if it did.
    strategy, version : str
        What ran.
    metrics : dict
        As those of a `Result`; empty unless completed.
    days, returns : arrays of shape (s,)
        Session dates in days since the epoch, and the simple return of each session; empty unless completed.
    code_hash, config_hash, data_hash : str
        SHA-256 of the code, of the effective configuration with these parameters, and of the data; a parameter set that was
        refused has no configuration.
    digest : str
        Of decisions, orders and fills: equal to that of a single backtest.
    seconds : float
        How long it took; the one thing that differs when it is repeated.
    """

    params: dict[str, Any]
    status: TrialStatus
    reason: str = ""
    strategy: str
    version: str
    metrics: dict[str, Metric] = field(default_factory=dict)
    days: DayArray = field(default_factory=lambda: np.empty(0, np.int32))
    returns: FloatArray = field(default_factory=lambda: np.empty(0))
    code_hash: str
    config_hash: str = ""
    data_hash: str
    digest: str = ""
    seconds: float = 0.0

    @property
    def completed(self) -> bool:
        """Whether there are metrics."""
        return self.status == "completed"


def run_trial(setup: TrialSetup, params: Mapping[str, Any], *, source: DataSource | None = None) -> Trial:
    """Run one parameter set and return what is worth keeping. Never raises for what the strategy does: that is an outcome.

    Parameters
    ----------
    setup : TrialSetup
    params : mapping of str to value
        Parameters of the varied strategy; they replace those of its entry.
    source : DataSource, optional
        Other history than the setup's.

    Examples
    --------
    >>> trial = run_trial(setup, {"fast": 20, "slow": 100})  # doctest: +SKIP
    >>> trial.metrics["sharpe"]  # doctest: +SKIP
    0.61
    """
    began = time.perf_counter()
    setup = setup if source is None else setup.on(source)
    given = dict(params)
    known = plain(given)
    about = {
        "params": known,
        "strategy": setup.strategy.name,
        "version": setup.strategy.version,
        "code_hash": setup.code_hash,
        "data_hash": setup.source.content_hash,
    }
    hashed = ""

    def ended(status: TrialStatus, reason: str) -> Trial:
        return Trial(**about, status=status, reason=reason, config_hash=hashed, seconds=time.perf_counter() - began)

    try:
        strategies = setup.build(given)
    except ConfigurationError as exc:
        return ended("refused", str(exc))
    except Exception as exc:  # noqa: BLE001  the constructor is the author's code
        return ended("failed", _told(exc))
    try:
        config = setup.config_of(given, strategies[setup.varied])
        hashed = config_hash(config)
        plan = setup.plan_of(strategies, f"trial_{short_hash(setup.title.replace('|', ' '), hashed)}")
        result = run_backtest(plan, title=setup.title, config=config, created_at=_NO_INSTANT, hashed=hashed)
        if result.status == "stopped":
            return ended("failed", "; ".join(s.error or "" for s in result.record.strategies if s.status == "stopped"))
        return Trial(
            **about,
            status="completed",
            metrics=dict(result.metrics),
            days=result.sessions.days,
            returns=result.sessions.returns,
            config_hash=hashed,
            digest=result.digest,
            seconds=time.perf_counter() - began,
        )
    except Exception as exc:  # noqa: BLE001  one trial that raises must not end the others
        return ended("failed", _told(exc))


def _told(exc: Exception) -> str:
    return str(exc) if isinstance(exc, FairleadError) else f"{type(exc).__name__}: {exc}"
