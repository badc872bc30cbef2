"""What every pool of workers for trials keeps to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias

from fairlead.backtest.info import plain
from fairlead.backtest.trials import Trial, TrialSetup
from fairlead.core.errors import ConfigurationError

Task: TypeAlias = tuple[int, Mapping[str, Any]]
"""A trial's place in its study, and its parameters."""

_DIED: Final = "the process that ran it died, and died again when it was run alone"


class TrialPool(Protocol):
    """Workers for the trials of one study. Use it in a ``with`` statement; nothing runs on after it.

    The setup is opened once per worker. A worker that is killed takes no trial with it: what it had under way is run again, and
    only a trial that ends a process of its own is recorded as failed. Which pool runs a trial shows in nothing but its
    `seconds`.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None, /) -> None: ...

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Trial]]:
        """Yield the place and outcome of every task as it finishes, in any order.

        Raises
        ------
        ConfigurationError
            If the workers cannot open the setup.
        """
        ...


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


def check_workers(workers: int) -> int:
    """Return a number of workers.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    if workers < 1:
        raise ConfigurationError.of("workers", "be at least 1", workers)
    return workers
