"""Sweeps: one strategy over many parameter sets, every trial recorded, on as many processes as asked for."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fairlead.backtest.api import study_setup
from fairlead.backtest.info import plain
from fairlead.backtest.objectives import objective_of
from fairlead.backtest.pools.compiled import LEAN, CompiledPool
from fairlead.backtest.pools.opening import LOCAL, open_pool
from fairlead.backtest.resuming import check_recorded, study_to_resume
from fairlead.backtest.run import config_hash
from fairlead.backtest.search import Search, search_of
from fairlead.backtest.space import ParameterSpace
from fairlead.backtest.sweep_result import KIND, SweepResult
from fairlead.backtest.trials import TrialSetup
from fairlead.backtest.trialstore import Study, TrialStore
from fairlead.contracts.workspace import workspace_folder
from fairlead.core.errors import ConfigurationError
from fairlead.core.identity import slug
from fairlead.core.time import format_utc, to_ns
from fairlead.engine.clock import WallClock
from fairlead.sdk.strategy import Strategy

Progress = Callable[[int], None]

MAX_UNASKED: Final = 1_000
"""More trials than this have to be asked for in so many words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """How the parameter sets of a sweep are found.

    Parameters
    ----------
    space : ParameterSpace
    search : {'grid', 'random', 'optuna'}
    trials : int, optional
        How many parameter sets; not for a grid.
    seed : int
        Of the search, not of the runs.
    objective : str
        The metric that orders the trials, and that Optuna improves.
    """

    space: ParameterSpace
    search: str = "grid"
    trials: int | None = None
    seed: int = 42
    objective: str = "sharpe"

    def opened(self) -> Search:
        """Return the search at its beginning.

        Raises
        ------
        ConfigurationError
            If search, space, number of trials and objective do not fit together.
        """
        objective_of(self.objective)
        return search_of(self.search, self.space, trials=self.trials, seed=self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, from which `from_dict` makes it again."""
        return {
            "space": self.space.to_dict(),
            "search": self.search,
            "trials": self.trials,
            "seed": self.seed,
            "objective": self.objective,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SweepPlan:
        """Return the plan that `to_dict` described."""
        return cls(**{**data, "space": ParameterSpace.from_dict(data["space"])})


def sweep(
    strategy: type[Strategy] | str,
    data: Any,
    space: Mapping[str, Any] | None = None,
    *,
    search: str = "grid",
    trials: int | None = None,
    objective: str = "sharpe",
    search_seed: int = 42,
    workers: int | None = None,
    backend: str = LOCAL,
    address: str | None = None,
    max_trials: int = MAX_UNASKED,
    resume: str | None = None,
    workspace: str | Path | None = None,
    progress: Progress | None = None,
    now: Callable[[], dt.datetime] | None = None,
    **options: Any,
) -> SweepResult:
    """Run a strategy with many parameter sets and return what became of each.

    Every trial equals ``fairlead.backtest`` with its parameters, to the bit, whatever the number of processes. Each is recorded
    in ``registry.db`` of the workspace as it finishes. A set that the strategy's `validate` refuses is recorded as refused, a
    run that raises as failed; neither ends the sweep.

    Parameters
    ----------
    strategy : Strategy subclass or str
        No instance. Several processes need one that can be imported: it stands in a file.
    data
        As `fairlead.backtest`.
    space : mapping
        Values by parameter: a sequence, ``"5:50:5"`` (both ends included), ``"0.1:0.9"`` or ``"1e-4:1:log"``. May be left out
        with `resume`.
    search : {'grid', 'random', 'optuna'}
        Everything; `trials` random sets, none twice; or `trials` sets, each chosen in the light of those before.
    objective : str
        The metric that orders the trials.
    search_seed : int
        Of random and Optuna search; `seed` among the options is that of the runs.
    workers : int, optional
        Processes; this one alone if not given. Several need the usual ``if __name__ == "__main__":`` in a script. With Ray,
        trials at a time; as many as the cluster has CPUs if not given.
    backend : {'processes', 'ray'}
    address : str, optional
        Of a Ray cluster, ``host:port`` or ``auto``. Without it Ray is started on this machine.
    max_trials : int
        More than this is refused.
    resume : str, optional
        Id of a sweep that was interrupted, its beginning, or ``latest``: only what is missing runs. Strategy, data and options
        have to be the same.
    workspace : path, optional
    progress : callable, optional
        Told after every trial how many are done.
    now : callable, optional
        Gives the instant after which the sweep is named; the wall clock if not given.
    **options
        ``params`` that do not vary, ``cash``, ``commission`` and everything else of `fairlead.backtest`.

    Raises
    ------
    ConfigurationError, UnknownName
        If an argument is not as described, there are too many trials, or a sweep to resume was of something else.
    DataNotFound
        If there is no sweep to resume.

    Examples
    --------
    >>> import fairlead
    >>> found = fairlead.backtest.sweep("sma_crossover", "bundled", {"fast": "10:50:20", "slow": [100, 200]})  # doctest: +SKIP
    >>> found.frame[["fast", "slow", "sharpe"]]  # doctest: +SKIP
    """
    folder = workspace_folder(os.environ, workspace)
    setup = study_setup(strategy, data, workspace=workspace, **options)
    plan = None
    if resume is None or space is not None:
        given = ParameterSpace.of(space or {}, setup.strategy.parameters, setup.strategy.name)
        plan = SweepPlan(space=given, search=search, trials=trials, seed=search_seed, objective=objective)
        check_size(plan.opened().count, max_trials, "Pass max_trials if you mean it, take larger steps, or search at random.")
    created_at = (now or WallClock().now)()
    with TrialStore(folder) as store:
        return run_sweep(
            setup,
            plan,
            store,
            resume=resume,
            workers=workers,
            backend=backend,
            address=address,
            progress=progress,
            created_at=created_at,
            command="fairlead.backtest.sweep(...)",
        )


def check_size(count: int, limit: int, remedy: str) -> None:
    """Raise `ConfigurationError` with `remedy` if a sweep has more trials than `limit`."""
    if count > limit:
        raise ConfigurationError.of("number of trials", f"be at most {limit:,} unless more are asked for", count, remedy)


def run_sweep(
    setup: TrialSetup,
    plan: SweepPlan | None,
    store: TrialStore,
    *,
    created_at: dt.datetime,
    resume: str | None = None,
    workers: int | None = None,
    backend: str = LOCAL,
    address: str | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> SweepResult:
    """Run what a sweep has not run yet, and return all of it.

    Parameters
    ----------
    setup : TrialSetup
    plan : SweepPlan, optional
        May be left out with `resume`, whose plan is recorded.
    store : TrialStore
        Gets every trial as it finishes.
    created_at : datetime
        Aware; names a sweep that begins.
    workers, backend, address
        See `open_pool`.

    Raises
    ------
    ConfigurationError
        If plan and setup are not those of the sweep to resume.
    """
    resumed = None if resume is None else _resumed(setup, plan, store, resume)
    recorded = plan if resumed is None else resumed[1]
    setup = replace(setup, lean=recorded is not None and recorded.objective in LEAN)
    with open_pool(setup, workers=workers, backend=backend, address=address) as pool:
        # Once the workers are there: what cannot begin leaves nothing to go on with.
        study, plan = resumed or _begun(setup, plan, store, created_at, command)
        judge = objective_of(plan.objective)[1]
        search = plan.opened()
        done = store.trials(study.id)
        first = 0
        while batch := search.ask():
            asked = dict(enumerate(batch, start=first))
            first += len(batch)
            for ordinal in asked.keys() & done.keys():
                check_recorded(study.id, done[ordinal], asked[ordinal])
            missing = [task for task in asked.items() if task[0] not in done]
            for group in pool.groups(missing) if isinstance(pool, CompiledPool) else ([one] for one in pool.run(missing)):
                store.add(study.id, group)
                done.update(group)
                if progress is not None:
                    progress(len(done))
            search.tell([judge(done[ordinal]) if done[ordinal].completed else None for ordinal in asked])
    return SweepResult.of(study, done, store)


def _begun(
    setup: TrialSetup, plan: SweepPlan | None, store: TrialStore, created_at: dt.datetime, command: str
) -> tuple[Study, SweepPlan]:
    if plan is None:
        raise ConfigurationError.of("parameters", "name at least one", {}, "For example fast=5:50:5.")
    described = plan.to_dict()
    base = config_hash(setup.config)
    name = (
        f"sw_{created_at.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}_{slug(setup.title)}_{config_hash({'base': base, **described})[:8]}"
    )
    taken = {study.id for study in store.studies()}
    ordinal, free = 1, name
    while free in taken:  # two may begin in one second
        ordinal += 1
        free = f"{name}_{ordinal}"
    study = Study(
        id=free,
        kind=KIND,
        created_at=format_utc(to_ns(created_at)),
        title=setup.title,
        strategy=setup.strategy.name,
        version=setup.strategy.version,
        planned=plan.opened().count,
        plan=described,
        config=plain(dict(setup.config)),
        dataset=setup.source.name,
        synthetic=setup.source.is_synthetic,
        code_hash=setup.code_hash,
        config_hash=base,
        data_hash=setup.source.content_hash,
        command=command,
    )
    store.begin(study)
    return study, plan


def _resumed(setup: TrialSetup, plan: SweepPlan | None, store: TrialStore, name: str) -> tuple[Study, SweepPlan]:
    study = study_to_resume(setup, store, name, KIND)
    if plan is not None and plain(plan.to_dict()) != plain(study.plan):
        raise ConfigurationError.of("resume", "be given the parameters and the search of the sweep, or none", str(plan.space))
    return study, SweepPlan.from_dict(study.plan)
