"""Trials on a Ray cluster: the study in its object store once, opened once per worker, no trial lost to a killed node.

Ray is an extra, and is imported when a pool is made. Its tasks are sent without retries of its own, so that a trial that takes
its worker with it is counted here: it is run again a few times, on whatever node, and then recorded as failed.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from fairlead.backtest.pools.contract import Task, check_workers, died
from fairlead.backtest.pools.parcel import Parcel
from fairlead.backtest.pools.rayconnection import Connection
from fairlead.backtest.trials import Trial, TrialSetup
from fairlead.core.errors import ConfigurationError, DataNotFound, FairleadError
from fairlead.data.dataset import StoredSource

CARRIED_BYTES: Final = 64 * 2**20
"""A stored dataset up to this size is sent along; a larger one has to be on every node."""
_ATTEMPTS: Final = 3
_REMEDY: Final = "name it by its file, 'path/to/file.py:Class', which is sent along; or install its package on every node"
_LEAVE_S: Final = 30.0


class RayPool:
    """A `TrialPool` of the workers of a Ray cluster.

    Parameters
    ----------
    setup : TrialSetup
        Put into the object store once, and opened once per worker.
    workers : int, optional
        How many trials are under way at a time; as many as the cluster has CPUs if not given.
    address : str, optional
        ``host:port`` or ``auto``; Ray is started on this machine if not given.

    Raises
    ------
    ConfigurationError
        If the setup cannot be sent to other machines, Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, setup: TrialSetup, workers: int | None = None, *, address: str | None = None) -> None:
        for cls in setup.classes:
            if cls.__module__ == "__main__":
                remedy = f"Put it into a file of its own and {_REMEDY}."
                raise ConfigurationError.of(f"strategy {cls.__name__}", "be importable on the nodes of a cluster", cls, remedy)
        sent = _carrying(setup)
        load = _Load(
            Parcel.of(sent, _REMEDY),
            folder=str(Path.cwd()),
            path=tuple(str(Path(part).absolute()) for part in sys.path),
            needed=_needed(setup, carried=sent is not setup),
        )
        packed = pickle.dumps(load)
        self._setup = setup
        self._connection = Connection.open(address, cpus=workers)
        self._ray = ray = self._connection.ray
        try:
            self._workers = check_workers(workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
            self._load = ray.put(packed)
            self._task = ray.remote(num_cpus=1, max_retries=0)(_run)
        except BaseException:
            self._connection.close()
            raise
        self._running: dict[Any, tuple[Task, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        left = list(self._running)
        try:
            for ref in left:
                self._ray.cancel(ref, force=True)
            if left:
                self._ray.wait(left, num_returns=len(left), timeout=_LEAVE_S)
        finally:
            self._running.clear()
            del self._load
            self._connection.close()

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Trial]]:
        """Yield the place and outcome of every task as it finishes, in any order."""
        waiting = iter(tasks)
        for task in islice(waiting, self._workers):
            self._send(task)
        while self._running:
            (done,), _ = self._ray.wait(list(self._running))
            task, attempt = self._running.pop(done)
            trial = self._outcome(done, task, attempt)
            if trial is None:
                self._send(task, attempt + 1)
                continue
            # The next first: what is done with the outcome takes time, in which a worker would wait.
            for following in islice(waiting, 1):
                self._send(following)
            yield task[0], trial

    def _send(self, task: Task, attempt: int = 1) -> None:
        # In a tuple, which leaves the study in the store: an argument by itself would be unpacked for every trial.
        self._running[self._task.remote((self._load,), dict(task[1]))] = task, attempt

    def _outcome(self, ref: Any, task: Task, attempt: int) -> Trial | None:
        """Return what became of a task; None if it is to be run again."""
        errors = self._ray.exceptions
        try:
            trial = pickle.loads(self._ray.get(ref))  # noqa: S301  written by `_run`
        except errors.RayTaskError as exc:
            if isinstance(exc.cause, FairleadError):
                raise exc.cause from None
            last = str(exc).strip().splitlines()[-1]
            remedy = "Every node needs the same versions of Fairlead, Ray and Python."
            raise ConfigurationError(f"a worker of the cluster cannot run trials: {last}. {remedy}") from exc
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError, errors.ObjectLostError):
            return None if attempt < _ATTEMPTS else died(self._setup, task[1])
        assert isinstance(trial, Trial)
        return trial


@dataclass(frozen=True, slots=True)
class _Load:
    """A study, where modules and files are looked for on the machine that sent it, and which of these must be there."""

    parcel: Parcel
    folder: str
    path: tuple[str, ...]
    needed: tuple[str, ...]


def _run(load: tuple[Any], params: Mapping[str, Any]) -> bytes:
    # Packed by ourselves: arrays that Ray unpacks lie in its store, and may be read only while it runs.
    return pickle.dumps(_opened(load[0]).run(params))


@lru_cache(maxsize=1)
def _opened(ref: Any) -> TrialSetup:
    import ray  # noqa: PLC0415  a worker of Ray has it

    load = pickle.loads(ray.get(ref))  # noqa: S301  written by the pool, in the store of its own cluster
    assert isinstance(load, _Load)
    # Where a folder is shared, or all nodes are one machine, names mean what they mean there.
    sys.path.extend(part for part in load.path if part not in sys.path and Path(part).is_dir())
    if Path(load.folder).is_dir():
        os.chdir(load.folder)
    for needed in load.needed:
        # Else each trial would fail, for no fault of its own.
        if not Path(needed).exists():
            remedy = "Put it into a folder that all nodes share under one path."
            raise DataNotFound(f"the node {socket.gethostname()} of the cluster has no {needed}. {remedy}")
    return load.parcel.opened(_REMEDY)


def _carrying(setup: TrialSetup) -> TrialSetup:
    """Return the study with the files of a small dataset in it."""
    source = setup.source
    carried = source.carried(CARRIED_BYTES) if isinstance(source, StoredSource) else None
    return setup if carried is None else setup.on(carried)


def _needed(setup: TrialSetup, *, carried: bool) -> tuple[str, ...]:
    """Return which files and folders the trials read on every node."""
    source, ticks = setup.source, setup.plan.execution.ticks
    paths = [source.folder] if isinstance(source, StoredSource) and not carried else []
    if ticks is not None:
        paths.append(Path(ticks))
    return tuple(str(path.absolute()) for path in paths)
