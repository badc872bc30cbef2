"""Trials on several processes: data opened once in each, results as they come, no trial lost to a killed process."""

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
from typing import Any, Final, Self, TypeAlias

from fairlead.backtest.info import plain
from fairlead.backtest.kept import KeptSource
from fairlead.backtest.trials import Trial, TrialSetup
from fairlead.core.errors import ConfigurationError

Task: TypeAlias = tuple[int, Mapping[str, Any]]
"""A trial's place in its study, and its parameters."""

_IN_FLIGHT: Final = 2
_DIED: Final = "the process that ran it died, and died again when it was run alone"


class TrialPool:
    """Workers for the trials of one study. Use it in a ``with`` statement.

    With one worker the trials run in this process. A worker that is killed takes no trial with it: those that were under way
    are run again, one by one, and only a trial that ends a process of its own is recorded as failed.

    Parameters
    ----------
    setup : TrialSetup
        Opened once per worker.
    workers : int

    Raises
    ------
    ConfigurationError
        If there are to be several workers and the setup cannot be sent to them.
    """

    def __init__(self, setup: TrialSetup, workers: int = 1) -> None:
        if workers < 1:
            raise ConfigurationError.of("workers", "be at least 1", workers)
        self._setup, self._workers = setup, workers
        self._kept = setup.on(KeptSource(setup.source)) if workers == 1 else setup
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._path = ""
        self._pool: ProcessPoolExecutor | None = None
        if workers > 1:
            packed = _packed(setup)
            self._folder = tempfile.TemporaryDirectory(prefix="fairlead-")
            path = Path(self._folder.name) / "setup.pickle"
            path.write_bytes(packed)
            self._path = str(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._close()
        if self._folder is not None:
            self._folder.cleanup()

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Trial]]:
        """Yield the place and outcome of every task as it finishes, in any order."""
        if self._folder is None:
            for ordinal, params in tasks:
                yield ordinal, self._kept.run(params)
            return
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


def died(setup: TrialSetup, params: Mapping[str, Any]) -> Trial:
    """Return the outcome of a trial that ended its process."""
    return Trial(
        params=plain(dict(params)),
        status="failed",
        reason=_DIED,
        strategy=setup.strategy.name,
        version=setup.strategy.version,
        code_hash=setup.code_hash,
        data_hash=setup.source.content_hash,
    )


def _packed(setup: TrialSetup) -> bytes:
    main = sys.modules.get("__main__")
    for cls in setup.classes:
        if cls.__module__ == "__main__" and not hasattr(main, "__file__"):
            remedy = "Put the strategy in a file, or use workers=1."
            raise ConfigurationError.of(f"strategy {cls.__name__}", "be importable to run in other processes", cls, remedy)
    try:
        return pickle.dumps(setup)
    except (pickle.PicklingError, AttributeError, TypeError) as exc:
        remedy = "Put the strategy at the top level of a file, or use workers=1."
        raise ConfigurationError.of("study", "be such that other processes can be given it", str(exc), remedy) from exc


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
    try:
        setup = pickle.loads(Path(path).read_bytes())  # noqa: S301  written by the parent, in a folder that only we may read
    except (ImportError, AttributeError) as exc:
        remedy = "Put the strategy at the top level of a file that can be imported, or use workers=1."
        raise ConfigurationError(f"another process cannot load the study: {exc}. {remedy}") from exc
    assert isinstance(setup, TrialSetup)
    return setup.on(KeptSource(setup.source))
