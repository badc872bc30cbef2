"""A walk-forward as a study of the workspace: planned, recorded run by run, and gone on with where it stopped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fairlead.backtest.info import plain
from fairlead.backtest.objectives import objective_of
from fairlead.backtest.pools.opening import LOCAL
from fairlead.backtest.resuming import study_to_resume
from fairlead.backtest.rundir import RUNS, WALK_FORWARD
from fairlead.backtest.space import ParameterSpace
from fairlead.backtest.splitters import WalkForward
from fairlead.backtest.trials import TrialSetup
from fairlead.backtest.trialstore import Study, TrialStore
from fairlead.backtest.walkforward import Progress, WalkForwardResult, candidates_of, run_count, walk_forward
from fairlead.backtest.walkforward_files import study_of
from fairlead.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardPlan:
    """How folds and parameter sets of a walk-forward are found.

    Parameters
    ----------
    space : ParameterSpace
    splitter : WalkForward
    search : {'grid', 'random'}
    trials : int, optional
        How many parameter sets a random search draws.
    seed : int
        Of the search.
    objective : str
        The metric to choose by.

    Raises
    ------
    UnknownName
        If there is no such objective.
    """

    space: ParameterSpace
    splitter: WalkForward
    search: str = "grid"
    trials: int | None = None
    seed: int = 42
    objective: str = "sharpe"

    def __post_init__(self) -> None:
        objective_of(self.objective)

    def runs(self, setup: TrialSetup) -> int:
        """Return how many runs it takes over the history of `setup`.

        Raises
        ------
        ConfigurationError
            As `walk_forward`.
        """
        days = [block.session[block.start :] for block in setup.source.blocks(carry=0)]
        folds = self.splitter.get_n_splits(np.unique(np.concatenate(days)))
        candidates, _ = candidates_of(setup, self.space, search=self.search, trials=self.trials, seed=self.seed)
        return run_count(int(folds), len(candidates))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, from which `from_dict` makes it again."""
        found = {"search": self.search, "trials": self.trials, "seed": self.seed, "objective": self.objective}
        return {"space": self.space.to_dict(), **found, **asdict(self.splitter)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WalkForwardPlan:
        """Return the plan that `to_dict` described."""
        own = {name: data[name] for name in ("search", "trials", "seed", "objective")}
        windows = {name: value for name, value in data.items() if name not in own and name != "space"}
        return cls(space=ParameterSpace.from_dict(data["space"]), splitter=WalkForward(**windows), **own)


def run_walk_forward(
    setup: TrialSetup,
    plan: WalkForwardPlan | None,
    store: TrialStore,
    *,
    created_at: dt.datetime,
    planned: int | None = None,
    resume: str | None = None,
    workers: int | None = None,
    backend: str = LOCAL,
    address: str | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> tuple[Study, WalkForwardResult]:
    """Run what a walk-forward has not run yet, and return all of it.

    Parameters
    ----------
    setup : TrialSetup
    plan : WalkForwardPlan, optional
        May be left out with `resume`, whose plan is recorded.
    store : TrialStore
        Gets every run as it finishes.
    created_at : datetime
        Aware; names a walk-forward that begins.
    planned : int, optional
        What `plan.runs` gave, if that was asked for already.
    resume : str, optional
        Id of a walk-forward that was interrupted, its beginning, or ``latest``: only what is missing runs.
    workers, backend, address
        See `open_pool`.
    progress : callable, optional
        Told how many runs are done.
    command : str
        What started it.

    Raises
    ------
    DataNotFound
        If there is no walk-forward to resume.
    ConfigurationError, StrategyError
        As `walk_forward`, or if plan and setup are not those of the walk-forward to resume.
    """
    if resume is None:
        study, plan = _prepared(setup, plan, store, created_at, command, planned)
    else:
        study, plan = _resumed(setup, plan, store, resume)
    result = walk_forward(
        setup,
        plan.space,
        plan.splitter,
        objective=plan.objective,
        search=plan.search,
        trials=plan.trials,
        seed=plan.seed,
        workers=workers,
        backend=backend,
        address=address,
        recorded=store.trials(study.id),
        begin=(lambda: store.begin(study)) if resume is None else None,
        record=lambda place, trial: store.add(study.id, [(place, trial)]),
        progress=progress,
    )
    return study, result


def _prepared(
    setup: TrialSetup,
    plan: WalkForwardPlan | None,
    store: TrialStore,
    created_at: dt.datetime,
    command: str,
    planned: int | None,
) -> tuple[Study, WalkForwardPlan]:
    if plan is None:
        raise ConfigurationError.of("parameters", "name at least one", {}, "For example fast=5:50:5.")
    there = {path.name for path in (store.path.parent / RUNS).glob("wf_*")}
    taken = there | {study.id for study in store.studies()}
    study = study_of(
        setup, plan.to_dict(), planned=planned or plan.runs(setup), created_at=created_at, command=command, taken=taken
    )
    return study, plan


def _resumed(setup: TrialSetup, plan: WalkForwardPlan | None, store: TrialStore, name: str) -> tuple[Study, WalkForwardPlan]:
    study = study_to_resume(setup, store, name, WALK_FORWARD)
    if plan is not None and plain(plan.to_dict()) != plain(study.plan):
        rule = "be given the parameters, windows and search of the walk-forward, or no parameters"
        raise ConfigurationError.of("resume", rule, str(plan.space))
    return study, WalkForwardPlan.from_dict(study.plan)
