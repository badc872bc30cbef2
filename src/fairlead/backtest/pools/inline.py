"""Trials in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from fairlead.backtest.kept import KeptSource
from fairlead.backtest.pools.contract import Task
from fairlead.backtest.trials import Trial, TrialSetup


class InlinePool:
    """A `TrialPool` without workers: what ends the process ends the study.

    Parameters
    ----------
    setup : TrialSetup
        Need not be such that other processes can be given it.
    """

    def __init__(self, setup: TrialSetup) -> None:
        self._kept = setup.with_classes(setup.classes).on(KeptSource(setup.source))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Trial]]:
        """Yield the place and outcome of every task, in order."""
        for ordinal, params in tasks:
            yield ordinal, self._kept.run(params)
