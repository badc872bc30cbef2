"""Trials in several processes of this machine: data opened once in each, results as they come."""

from __future__ import annotations

import multiprocessing as mp
import os
import pickle
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from fairlead.backtest.pools.contract import Task, check_workers, died
from fairlead.backtest.pools.parcel import Parcel
from fairlead.backtest.trials import Trial, TrialSetup
from fairlead.core.errors import ConfigurationError

_IN_FLIGHT: Final = 2
_REMEDY: Final = "use workers=1"


class ProcessPool:
    """A `TrialPool` of processes that are started for it.

    When one dies, all that were under way are run again, one by one.

    Parameters
    ----------
    setup : TrialSetup
        Opened once per worker.
    workers : int

    Raises
    ------
    ConfigurationError
        If the setup cannot be sent to other processes.
    """

    def __init__(self, setup: TrialSetup, workers: int) -> None:
        self._setup, self._workers = setup, check_workers(workers)
        self._pool: ProcessPoolExecutor | None = None
        main = sys.modules.get("__main__")
        for cls in setup.classes:
            if cls.__module__ == "__main__" and not hasattr(main, "__file__"):
                remedy = f"Put the strategy in a file, or {_REMEDY}."
                raise ConfigurationError.of(f"strategy {cls.__name__}", "be importable to run in other processes", cls, remedy)
        packed = pickle.dumps(Parcel.of(setup, _REMEDY))
        self._folder = tempfile.TemporaryDirectory(prefix="fairlead-")
        path = Path(self._folder.name) / "setup.pickle"
        path.write_bytes(packed)
        self._path = str(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._close()
        self._folder.cleanup()

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Trial]]:
        """Yield the place and outcome of every task as it finishes, in any order."""
        waiting = deque(tasks)
        while waiting:
            suspects: list[Task] = []
            yield from self._until_broken(waiting, suspects)
            for ordinal, params in suspects:
                yield ordinal, self._alone(params)

    def _until_broken(self, waiting: deque[Task], suspects: list[Task]) -> Iterator[tuple[int, Trial]]:
        """Run tasks until none is left, or a process dies; `suspects` gets those that were under way then."""
        if self._pool is None:
            self._pool = _open(self._workers)
        running: dict[Future[Trial], Task] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self._workers * _IN_FLIGHT:
                    running[self._pool.submit(_run, self._path, dict(waiting[0][1]))] = waiting[0]
                    waiting.popleft()
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=lambda f: running[f][0]):
                    trial = future.result()
                    yield running.pop(future)[0], trial
        except BrokenProcessPool:
            self._close()
            for future, task in running.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    yield task[0], future.result()
                else:
                    suspects.append(task)

    def _alone(self, params: Mapping[str, Any]) -> Trial:
        pool = _open(1)
        try:
            return pool.submit(_run, self._path, dict(params)).result()
        except BrokenProcessPool:
            return died(self._setup, params)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _open(workers: int) -> ProcessPoolExecutor:
    # Spawned, on every system: a fork would copy the locks of libraries that run threads of their own.
    return ProcessPoolExecutor(workers, mp_context=mp.get_context("spawn"), initializer=_prepare)


def _prepare() -> None:
    # Ctrl-C is for the parent, which ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    # A worker waits at a pipe of which it holds both ends, so it would wait forever for a parent that was killed.
    parent = mp.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _run(path: str, params: dict[str, Any]) -> Trial:
    return _opened(path).run(params)


@lru_cache(maxsize=1)
def _opened(path: str) -> TrialSetup:
    parcel = pickle.loads(Path(path).read_bytes())  # noqa: S301  written by the parent, in a folder that only we may read
    assert isinstance(parcel, Parcel)
    return parcel.opened(_REMEDY)
