"""A walk-forward that was interrupted goes on where it stopped, and only if it is still the same one."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from fairlead.backtest.api import study_setup
from fairlead.backtest.space import ParameterSpace
from fairlead.backtest.splitters import WalkForward
from fairlead.backtest.sweeps import SweepPlan, run_sweep
from fairlead.backtest.trials import TrialSetup
from fairlead.backtest.trialstore import TrialStore
from fairlead.backtest.walkforward_files import digest, summary
from fairlead.backtest.walkforward_study import WalkForwardPlan, run_walk_forward
from fairlead.core.errors import ConfigurationError, DataError, DataNotFound, UnknownName
from support_sweeps import NOON, Above, prices, same

LATER = NOON + dt.timedelta(hours=1)
SPLIT = WalkForward(train=40, test=20)
# Four folds of three candidates in training, three runs in hindsight, four tests.
TRAINING, HINDSIGHT, ALL = 15, 18, 23


def setup_of(**options) -> TrialSetup:
    return study_setup(Above, prices(), **options)


def plan_of(setup: TrialSetup, n=(5, 10, 13), **changes) -> WalkForwardPlan:
    space = ParameterSpace.of({"n": list(n)}, setup.strategy.parameters, setup.strategy.name)
    return replace(WalkForwardPlan(space=space, splitter=SPLIT, objective="total_return"), **changes)


def stop_at(count: int):
    def tell(done: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return tell


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study and the result of a walk-forward without interruption, and its trials by place."""
    setup = setup_of()
    with TrialStore(tmp_path_factory.mktemp("whole")) as store:
        study, result = run_walk_forward(setup, plan_of(setup), store, created_at=NOON)
        return study, result, store.trials(study.id)


def test_the_plan_says_how_many_runs_there_are(whole):
    study, result, trials = whole
    assert study.planned == plan_of(setup_of()).runs(setup_of()) == len(trials) == ALL
    assert len(result.folds) * 3 == TRAINING
    assert sorted(trials) == list(range(ALL))


def test_a_plan_comes_back_from_its_record():
    plan = plan_of(setup_of(), splitter=WalkForward(train=30, test=10, anchored=True, purge=2, embargo=1), seed=7)
    assert WalkForwardPlan.from_dict(plan.to_dict()) == plan
    with pytest.raises(UnknownName, match="no objective named 'sharp'"):
        plan_of(setup_of(), objective="sharp")


@pytest.mark.parametrize("stopped", [1, 7, TRAINING, TRAINING + 1, HINDSIGHT, HINDSIGHT + 1, ALL - 1])
@pytest.mark.parametrize("given", [False, True], ids=["plan from the record", "plan given again"])
def test_what_is_missing_runs_and_nothing_else(whole, tmp_path, stopped, given):
    """Stopped in training, in hindsight and in the tests."""
    study, result, trials = whole
    setup, told = setup_of(), []
    with TrialStore(tmp_path) as store:
        with pytest.raises(KeyboardInterrupt):
            run_walk_forward(setup, plan_of(setup), store, created_at=NOON, progress=stop_at(stopped))
        assert store.count() == stopped
        plan = plan_of(setup) if given else None
        resumed, again = run_walk_forward(setup, plan, store, created_at=LATER, resume="latest", progress=told.append)
        found = store.trials(resumed.id)
        assert [s.id for s in store.studies()] == [study.id] == [resumed.id]
    assert told == list(range(stopped + 1, ALL + 1))
    assert list(found) == list(trials)
    assert all(same(found[place], trials[place]) for place in trials)
    assert digest(again) == digest(result)
    assert summary(again, resumed) == summary(result, study)
    assert again.returns.tobytes() == result.returns.tobytes()


def test_a_finished_one_runs_nothing_and_says_the_same(whole, tmp_path):
    setup, told = setup_of(), []
    with TrialStore(tmp_path) as store:
        run_walk_forward(setup, plan_of(setup), store, created_at=NOON)
        _, again = run_walk_forward(setup, None, store, created_at=LATER, resume="wf_2024", progress=told.append)
    assert told == []
    assert digest(again) == digest(whole[1])


def test_a_walk_forward_of_something_else_is_not_resumed(tmp_path):
    setup = setup_of()
    with TrialStore(tmp_path) as store:
        study, _ = run_walk_forward(setup, plan_of(setup), store, created_at=NOON)

        def resume(changed: TrialSetup, plan: WalkForwardPlan | None = None) -> None:
            run_walk_forward(changed, plan, store, created_at=LATER, resume="latest")

        with pytest.raises(ConfigurationError, match=f"walkforward {study.id} cannot be resumed: configuration changed since"):
            resume(setup_of(cash=1_000))
        with pytest.raises(ConfigurationError, match=r"configuration and data changed since\. Trials of one walkforward must"):
            resume(study_setup(Above, prices(seed=2)))
        other = setup_of()
        other.__dict__["code_hash"] = "0" * 64
        with pytest.raises(ConfigurationError, match="cannot be resumed: code changed since"):
            resume(other)
        for plan in (plan_of(setup, n=(5, 10)), plan_of(setup, splitter=WalkForward(train=40, test=10))):
            with pytest.raises(
                ConfigurationError, match="'resume' must be given the parameters, windows and search of the walk"
            ):
                resume(setup, plan)
        with pytest.raises(ConfigurationError, match="'parameters' must name at least one"):
            run_walk_forward(setup, None, store, created_at=LATER)
        assert store.count() == ALL


def test_the_latest_is_the_latest_of_its_kind(tmp_path):
    """A sweep that began later is none, nor the other way round."""
    setup = setup_of()
    space = plan_of(setup).space
    with TrialStore(tmp_path) as store:
        with pytest.raises(DataNotFound, match="no walkforward named 'latest'"):
            run_walk_forward(setup, None, store, created_at=NOON, resume="latest")
        walked, _ = run_walk_forward(setup, plan_of(setup), store, created_at=NOON)
        swept = run_sweep(setup, SweepPlan(space=space), store, created_at=LATER)
        again, _ = run_walk_forward(setup, None, store, created_at=LATER, resume="latest")
        assert again.id == walked.id
        later, _ = run_walk_forward(setup, plan_of(setup), store, created_at=LATER + dt.timedelta(hours=1))
        assert store.study("latest").id == later.id
        assert run_sweep(setup, None, store, created_at=LATER, resume="latest").id == swept.id
        with pytest.raises(DataNotFound, match=f"no walkforward named '{swept.id}'"):
            run_walk_forward(setup, None, store, created_at=LATER, resume=swept.id)


def test_a_record_of_other_parameters_is_found_out(tmp_path, whole):
    study, _, trials = whole
    setup = setup_of()
    with TrialStore(tmp_path) as store:
        store.begin(study)
        store.add(study.id, [(0, trials[1])])
        with pytest.raises(DataError, match=r"the registry holds \{'n': 10\} where \{'n': 5\} belongs"):
            run_walk_forward(setup, None, store, created_at=LATER, resume=study.id)


def test_two_may_begin_in_one_second(tmp_path: Path):
    setup = setup_of()
    with TrialStore(tmp_path) as store:
        first, _ = run_walk_forward(setup, plan_of(setup), store, created_at=NOON)
        second, _ = run_walk_forward(setup, plan_of(setup), store, created_at=NOON)
    assert second.id == f"{first.id}_2"
