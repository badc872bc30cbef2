"""Every pool of workers gives, trial for trial and bit for bit, what one process gives, whatever is killed meanwhile."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from fairlead.backtest.api import study_setup
from fairlead.backtest.pools import raycluster, rayconnection
from fairlead.backtest.pools.contract import TrialPool
from fairlead.backtest.pools.opening import open_pool
from fairlead.backtest.pools.parcel import Parcel
from fairlead.backtest.pools.raycluster import RayPool
from fairlead.backtest.space import ParameterSpace
from fairlead.backtest.splitters import WalkForward
from fairlead.backtest.sweeps import sweep
from fairlead.backtest.trials import Trial, TrialSetup, run_trial
from fairlead.backtest.walkforward import walk_forward
from fairlead.core.errors import ConfigurationError, DataNotFound, UnknownName
from fairlead.data.memory import source_from_frames
from support_cluster import on_ray
from support_sweeps import (
    NOON,
    Above,
    Deadly,
    Gate,
    Gated,
    OpenedFrames,
    ended,
    prices,
    same,
)

GRID = [{"n": n, "wait": wait} for n in (5, 10, 13) for wait in (0, 5, 10)]
Open = Callable[..., TrialPool]

INLINE = pytest.param({}, id="inline")
PROCESSES = pytest.param({"workers": 2}, id="processes")
RAY = pytest.param({"backend": "ray"}, id="ray", marks=on_ray)

FILE = '''\
"""Buys, and raises in a line that its message quotes."""

from fairlead.sdk import OrderIntent, Strategy, parameter


class Quoted(Strategy):
    """Buy some shares once."""

    n: int = parameter(5, ge=1, le=50, doc="How many.")

    def generate_orders(self, context):
        assert self.n != 13, "unlucky"
        return [OrderIntent.market("ASSET", self.n)]
'''


@pytest.fixture
def opened(request) -> Open:
    """From a setup to a pool of the kind that the test is given."""
    options = dict(request.param)
    if options.get("backend") == "ray":
        options["address"] = request.getfixturevalue("cluster").address
    return lambda setup, **more: open_pool(setup, **{**options, **more})


every_pool = pytest.mark.parametrize("opened", [INLINE, PROCESSES, RAY], indirect=True)
every_pool_of_processes = pytest.mark.parametrize("opened", [PROCESSES, RAY], indirect=True)


def setup_of(strategy=Above, **params) -> TrialSetup:
    return study_setup(strategy, prices(), params=params)


def ran(pool: TrialPool, tasks) -> dict[int, Trial]:
    with pool:
        return dict(pool.run(enumerate(tasks)))


def assert_same(found: dict[int, Trial], expected: list[Trial]) -> None:
    assert sorted(found) == list(range(len(expected)))
    for place, trial in enumerate(expected):
        assert same(found[place], trial), (found[place], trial)


# --------------------------------------------------------------------------------------------------------- what every pool does


@every_pool
def test_outcomes_are_those_of_the_trials_alone(opened):
    """Completed, refused and failed ones; none ends the others."""
    setup = setup_of(share=0.4)
    expected = [run_trial(setup, params) for params in GRID]
    assert {trial.status for trial in expected} == {"completed", "refused", "failed"}
    assert_same(ran(opened(setup), GRID), expected)


@every_pool
def test_the_order_of_tasks_changes_no_outcome(opened):
    setup = setup_of()
    places = [5, 0, 7, 2, 8, 1, 6, 3, 4]
    with opened(setup) as pool:
        forth = dict(pool.run([(place, GRID[place]) for place in places]))
        back = dict(pool.run(reversed([(place, GRID[place]) for place in places])))
        assert dict(pool.run([])) == {}
    assert sorted(forth) == sorted(back) == list(range(9))
    assert all(same(forth[place], back[place]) for place in forth)


@every_pool
def test_a_file_of_strategies_is_what_it_was_when_the_pool_was_opened(opened, tmp_path):
    """It need not be there any more, as on another machine; messages still name its lines."""
    path = tmp_path / "quoted.py"
    path.write_text(FILE)
    setup = setup_of(f"{path}:Quoted")
    expected = [run_trial(setup, {"n": n}) for n in (5, 13)]
    assert 'assert self.n != 13, "unlucky"' in expected[1].reason
    pool = opened(setup)
    path.unlink()
    assert_same(ran(pool, [{"n": 5}, {"n": 13}]), expected)


@every_pool_of_processes
def test_a_study_is_opened_once_per_worker(opened, tmp_path):
    frames = source_from_frames(prices())
    frames.__class__ = OpenedFrames
    frames.folder = str(tmp_path)
    found = ran(opened(study_setup(Above, frames)), [{"n": n} for n in range(14, 26)])
    assert len(found) == 12
    openings = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert 1 <= len(openings) <= 2
    assert len(set(openings)) == len(openings)


@every_pool_of_processes
def test_a_killed_worker_loses_no_trial(opened, tmp_path):
    tasks = [{"n": n, "once": str(tmp_path / "killed")} for n in (5, 6, 7, 8, 9, 10)]
    setup = setup_of(Deadly)
    found = ran(opened(setup), tasks)
    assert (tmp_path / "killed").exists()
    assert_same(found, [run_trial(setup, task) for task in tasks])


@every_pool_of_processes
def test_a_trial_that_ends_every_process_is_the_only_one_to_fail(opened):
    tasks = [{"n": n} for n in (5, 6, 7, 8)]
    setup = setup_of(Deadly)
    found = ran(opened(setup), tasks)
    deadly = found.pop(2)
    assert (deadly.status, deadly.params) == ("failed", {"n": 7})
    assert deadly.reason == "the process that ran it died, and died again when it was run alone"
    assert (deadly.code_hash, deadly.data_hash) == (setup.code_hash, setup.source.content_hash)
    assert all(same(found[place], run_trial(setup, tasks[place])) for place in (0, 1, 3))


@every_pool
def test_what_is_left_early_can_be_gone_on_with_elsewhere(opened, tmp_path):
    """Ctrl-C in the middle of a sweep; the rest runs in this process, and nothing shows it."""
    probe = opened(setup_of())
    with probe:
        next(probe.run(enumerate(GRID)))
    space = {"n": [5, 10, 13], "wait": [0, 5, 10]}

    def stop(done):
        if done == 4:
            raise KeyboardInterrupt

    options = {"workers": 2} if not isinstance(probe, RayPool) else {"backend": "ray"}
    with pytest.raises(KeyboardInterrupt):
        sweep(Above, prices(), space, workspace=tmp_path, now=lambda: NOON, progress=stop, **options)
    told: list[int] = []
    resumed = sweep(Above, prices(), workspace=tmp_path, resume="latest", progress=told.append)
    assert told == [5, 6, 7, 8, 9]
    setup = setup_of()
    assert_same(resumed.trials, [run_trial(setup, params) for params in GRID])


@every_pool_of_processes
def test_what_cannot_be_sent_is_refused_before_anything_runs(opened):
    class Local(Above):
        """Stands in a function, where no other process finds it."""

    with pytest.raises(ConfigurationError, match=r"'study' must be such that other processes can be given it, .* Put the"):
        opened(setup_of(Local))


class Unfindable(Above):
    """Stands in a test module, which other processes cannot import."""


@every_pool_of_processes
def test_a_class_that_workers_cannot_import_is_told(opened, monkeypatch):
    monkeypatch.setattr(Unfindable, "__module__", "nowhere_to_be_found")
    monkeypatch.setitem(sys.modules, "nowhere_to_be_found", sys.modules[__name__])
    with pytest.raises(ConfigurationError, match=r"another process cannot load the study: No module named 'nowhere_to_be_fo"):
        ran(opened(setup_of(Unfindable)), GRID)


@every_pool_of_processes
def test_workers_that_run_other_code_are_refused(opened, monkeypatch):
    setup = setup_of()
    monkeypatch.setitem(setup.__dict__, "code_hash", "0" * 64)
    with pytest.raises(ConfigurationError, match="another process runs other code than the one that started the study"):
        ran(opened(setup), GRID)


@every_pool
@pytest.mark.parametrize("workers", [0, -1])
def test_there_is_at_least_one_worker(opened, workers):
    with pytest.raises(ConfigurationError, match="'workers' must be at least 1, was "):
        opened(setup_of(), workers=workers)


# --------------------------------------------------------------------------------------------------------------------- the seam


def test_a_backend_is_one_of_those_there_are():
    with pytest.raises(UnknownName, match="no backend named 'rya'; did you mean 'ray'"):
        open_pool(setup_of(), backend="rya")
    with pytest.raises(ConfigurationError, match="'address' must be left out unless the backend is ray, was 'auto'"):
        open_pool(setup_of(), address="auto")


def test_a_parcel_holds_the_file_of_a_strategy_and_not_its_place(tmp_path):
    path = tmp_path / "quoted.py"
    path.write_text(FILE)
    setup = setup_of(str(path))
    parcel = Parcel.of(setup, "do without")
    path.write_text("raise ValueError('edited meanwhile')")
    found = parcel.opened("do without")
    assert found.code_hash == setup.code_hash == parcel.code_hash
    assert same(run_trial(found, {"n": 5}), run_trial(setup, {"n": 5}))


def test_ray_is_imported_by_those_alone_who_ask_for_it(tmp_path):
    script = "import sys, fairlead, fairlead.cli.main, fairlead.backtest.sweeps; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False).returncode == 0


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r'Install the extra: pip install "fairlead\[cluster\]"'):
        open_pool(setup_of(), backend="ray")


# ------------------------------------------------------------------------------------------------------------------ the cluster


@on_ray
def test_a_killed_node_loses_no_trial(cluster, tmp_path):
    """A trial runs on each node when one of them is killed; the one under way there runs again on the other."""
    setup = setup_of(Gated)
    gone: list[bool] = []
    with Gate(tmp_path / "gate") as gate:

        def kill() -> None:
            pids = gate.next_pid(), gate.next_pid()
            cluster.kill_second()
            gone.append(ended(*pids))
            gate.open()

        tasks = [{"n": n, "gate": str(gate.folder)} for n in (7, 8, 5, 6, 10, 11, 12, 14)]
        killer = threading.Thread(target=kill)
        killer.start()
        found = ran(RayPool(setup, address=cluster.address), tasks)
        killer.join()
        cluster.replace_second()
        assert gone == [True]
        assert gate.starts(7) + gate.starts(8) == 3
    assert_same(found, [run_trial(setup, task) for task in tasks])
    assert all(trial.completed for trial in found.values())


@on_ray
def test_closing_ends_what_is_under_way(cluster, tmp_path):
    """A trial that never ends is under way when the pool is closed."""
    with Gate(tmp_path / "gate") as gate:
        with RayPool(setup_of(Gated, gate=str(gate.folder)), address=cluster.address) as pool:
            next(pool.run(enumerate([{"n": 9}, {"n": 5}, {"n": 6}])))
            pid = gate.next_pid()
        assert ended(pid)
        assert gate.starts(9) == 1


@on_ray
def test_a_walk_forward_is_the_same_there(cluster):
    setup = setup_of(share=0.4)
    space = ParameterSpace.of({"n": [5, 10, 13]}, setup.strategy.parameters, "above")
    here, there = (
        walk_forward(setup, space, WalkForward(train=40, test=20), **where)
        for where in ({}, {"backend": "ray", "address": cluster.address})
    )
    assert there.returns.tobytes() == here.returns.tobytes()
    for a, b in zip(there.folds, here.folds, strict=True):
        assert a.chosen is not None
        assert all(same(x, y) for x, y in zip((*a.trials, a.chosen, a.test), (*b.trials, b.chosen, b.test), strict=True))
    assert all(same(x, y) for x, y in zip(there.hindsight, here.hindsight, strict=True))


@on_ray
def test_workers_bound_what_is_under_way(cluster):
    with RayPool(setup_of(), 1, address=cluster.address) as pool:
        assert [len(pool._running) for _ in pool.run(enumerate(GRID[:3]))] == [1, 1, 0]
    with RayPool(setup_of(), address=cluster.address) as pool:
        assert [len(pool._running) for _ in pool.run(enumerate(GRID[:4]))] == [2, 2, 1, 0]


@on_ray
def test_a_small_dataset_is_sent_along(cluster, tmp_path):
    """As if each node had a disk of its own: what the setup was made from is gone when trials run."""
    options = {"symbols": ["IBM"], "start": "2010-01-04", "end": "2010-12-31", "workspace": tmp_path / "desk"}
    setup = study_setup("buy_and_hold", "bundled", **options)
    expected = [run_trial(setup, {})]
    pool = RayPool(setup, address=cluster.address)
    shutil.rmtree(tmp_path / "desk")
    assert_same(ran(pool, [{}]), expected)


@on_ray
def test_a_large_dataset_has_to_be_on_every_node(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(raycluster, "CARRIED_BYTES", 1_000)
    setup = study_setup("buy_and_hold", "bundled", symbols=["IBM"], start="2012-01-03", workspace=tmp_path / "desk")
    assert_same(ran(RayPool(setup, address=cluster.address), [{}]), [run_trial(setup, {})])
    pool = RayPool(setup, address=cluster.address)
    shutil.rmtree(tmp_path / "desk")
    told = r"the node \S+ of the cluster has no .*us_equities.*\. Put it into a folder that all nodes share under one path"
    with pytest.raises(DataNotFound, match=told):
        ran(pool, [{}])


@on_ray
def test_a_class_of_the_script_itself_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(Above, "__module__", "__main__")
    with pytest.raises(
        ConfigurationError, match=r"'strategy Above' must be importable on the nodes of a cluster, .* by its file"
    ):
        RayPool(setup_of(), address=cluster.address)


@on_ray
def test_a_process_is_connected_to_one_cluster(cluster):
    told = rf"'address' must be {cluster.address}, to which this process is connected, was '127.0.0.1:1'"
    with pytest.raises(ConfigurationError, match=told):
        open_pool(setup_of(), backend="ray", address="127.0.0.1:1")


# ---------------------------------------------------------------------------------------------------------------- the way there


@pytest.mark.parametrize("address", ["nonsense", "ray://host:1", ":6379", "host:", "host:port", "a/b:1"])
def test_an_address_is_a_host_and_a_port(address):
    with pytest.raises(ConfigurationError, match=f"'address' must be host:port or auto, was '{address}'"):
        open_pool(setup_of(), backend="ray", address=address)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\n"], ids=["closed", "hangs up", "no Ray"])
def test_an_address_without_ray_is_told(answer, monkeypatch):
    """At once: Ray itself would ask again for ever."""
    pytest.importorskip("ray")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1] if answer is not None else closed_port()

        def reply() -> None:
            met, _ = other.accept()
            with met:
                met.recv(100)
                met.sendall(answer)

        if answer is not None:
            other.listen()
            replier = threading.Thread(target=reply)
            replier.start()
        with pytest.raises(ConfigurationError, match=rf"no Ray cluster answers at 127.0.0.1:{port}\. Is the cluster up\?"):
            rayconnection.check_answer("127.0.0.1", port)
        if answer is not None:
            replier.join()


def test_an_address_that_says_nothing_is_told(monkeypatch):
    monkeypatch.setattr(rayconnection, "_ANSWER_S", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ConfigurationError, match=r"no Ray cluster answers at 127\.0\.0\.1:"):
            rayconnection.check_answer("127.0.0.1", silent.getsockname()[1])
