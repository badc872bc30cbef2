"""Ways through a parameter space: grid, random and Optuna.

A search is asked for the next batch of parameter sets and told how each ended. The size of a batch never depends on how many
processes work on it, so neither does the outcome; and because a search is a pure function of its seed and of what it was told,
a study that was interrupted is resumed by asking again from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

import numpy as np

from fairlead.backtest.space import Interval, ParameterSpace, Values
from fairlead.contracts.files import canonical_json
from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.core.identity import random_stream

Params: TypeAlias = dict[str, Any]
SearchKind: TypeAlias = Literal["grid", "random", "optuna"]
SEARCHES: Final[tuple[SearchKind, ...]] = get_args(SearchKind)

BATCH: Final = 512
"""Parameter sets asked for at once where an answer does not depend on the results."""
OPTUNA_BATCH: Final = 8
"""Parameter sets that Optuna proposes before it is told how they did; enough to keep some processes busy."""
_ATTEMPTS: Final = 200


class Search(Protocol):
    """Proposes parameter sets."""

    @property
    def count(self) -> int:
        """How many parameter sets it will propose; fewer if a space without end gives no new ones."""

    def ask(self) -> list[Params]:
        """Return the next batch; empty when there is no more."""

    def tell(self, values: Sequence[float | None]) -> None:
        """Take the objective of each parameter set of the last batch, larger is better; None where there is none."""


def search_of(kind: str, space: ParameterSpace, *, trials: int | None, seed: int) -> Search:
    """Return the search of that name.

    Parameters
    ----------
    kind : {'grid', 'random', 'optuna'}
    trials : int, optional
        How many parameter sets; the grid has as many as the space, the others need a number.
    seed : int

    Raises
    ------
    UnknownName
        If there is no such search.
    ConfigurationError
        If the search does not fit the space, or its library is not installed.
    """
    if kind == "grid":
        if trials is not None:
            raise ConfigurationError.of("trials", "not be given with a grid, which tries everything", trials, "Search: random.")
        return GridSearch(space)
    if kind not in SEARCHES:
        raise UnknownName.among("search", kind, SEARCHES)
    if trials is None:
        raise ConfigurationError.of("trials", f"be given with a {kind} search", None, "For example --trials 200.")
    if trials < 1:
        raise ConfigurationError.of("trials", "be at least 1", trials)
    return RandomSearch(space, trials, seed) if kind == "random" else OptunaSearch(space, trials, seed)


class GridSearch:
    """Every parameter set of a finite space, in order.

    Raises
    ------
    ConfigurationError
        If an axis has no end of values.
    """

    def __init__(self, space: ParameterSpace) -> None:
        for name, axis in space.axes.items():
            if isinstance(axis, Interval) and (axis.log or not axis.whole):
                remedy = f"Give a step, {name}=lo:hi:step, or search at random."
                raise ConfigurationError.of(name, "have a finite list of values in a grid", str(axis), remedy)
        size = space.size
        assert size is not None
        self._space, self.count, self._next = space, size, 0

    def ask(self) -> list[Params]:
        """Return the next batch."""
        first, self._next = self._next, min(self._next + BATCH, self.count)
        return [self._space.at(index) for index in range(first, self._next)]

    def tell(self, values: Sequence[float | None]) -> None:
        """Take the results, which change nothing."""


class RandomSearch:
    """Random parameter sets, none twice."""

    def __init__(self, space: ParameterSpace, trials: int, seed: int) -> None:
        self.count = trials if space.size is None else min(trials, space.size)
        random = random_stream(seed, "sweep.random")
        is_small = space.size is not None and not _is_weighted(space) and space.size <= 1_000_000
        self._draws = islice(_shuffled(space, random) if is_small else _new_draws(space, random), self.count)

    def ask(self) -> list[Params]:
        """Return the next batch."""
        return list(islice(self._draws, BATCH))

    def tell(self, values: Sequence[float | None]) -> None:
        """Take the results, which change nothing."""


class OptunaSearch:
    """Optuna's tree-structured Parzen estimator, seeded, in batches of `OPTUNA_BATCH`.

    A parameter set that it proposes again is not run again: it is told the old result.

    Raises
    ------
    ConfigurationError
        If Optuna is not installed.
    """

    def __init__(self, space: ParameterSpace, trials: int, seed: int) -> None:
        try:
            import optuna  # noqa: PLC0415  an extra
        except ImportError as exc:
            remedy = 'Install the extra: pip install "fairlead[ml]".'
            raise ConfigurationError.of("search", "be grid or random without the library Optuna", "optuna", remedy) from exc
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.count = trials if space.size is None else min(trials, space.size)
        # Its generator takes 32 bits; ours, 63.
        sampler = optuna.samplers.TPESampler(seed=int(random_stream(seed, "sweep.optuna").integers(2**31)))
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._pruned = optuna.trial.TrialState.FAIL
        self._space = space
        self._asked: list[tuple[Any, str]] = []
        self._known: dict[str, float | None] = {}
        self._given = 0

    def ask(self) -> list[Params]:
        """Return the next batch; a space that gives nothing new ends the search."""
        batch: list[Params] = []
        self._asked = []
        wanted = min(OPTUNA_BATCH, self.count - self._given)
        for _ in range(_ATTEMPTS):
            if len(batch) == wanted:
                break
            trial = self._study.ask()
            params = {name: _suggested(trial, name, axis) for name, axis in self._space.axes.items()}
            key = canonical_json(params)
            if key in self._known:
                self._answer(trial, self._known[key])
            elif all(key != other for _, other in self._asked):
                self._asked.append((trial, key))
                batch.append(params)
            else:
                self._study.tell(trial, state=self._pruned)
        self._given += len(batch)
        return batch

    def tell(self, values: Sequence[float | None]) -> None:
        """Tell Optuna the results of the last batch, in the order in which it proposed them."""
        for (trial, key), value in zip(self._asked, values, strict=True):
            self._known[key] = value
            self._answer(trial, value)

    def _answer(self, trial: Any, value: float | None) -> None:
        if value is None:
            self._study.tell(trial, state=self._pruned)
        else:
            self._study.tell(trial, value)


def _suggested(trial: Any, name: str, axis: Values | Interval) -> Any:
    if isinstance(axis, Interval):
        if axis.whole:
            return trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
        return trial.suggest_float(name, axis.low, axis.high, log=axis.log)
    numbers = [v for v in axis.values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == len(axis) and numbers == sorted(numbers):
        # The place in an ordered list has neighbours, which a choice has not: the search may learn from them.
        return axis.values[trial.suggest_int(name, 0, len(axis) - 1)]
    return axis.values[trial.suggest_categorical(name, list(range(len(axis))))]


def _is_weighted(space: ParameterSpace) -> bool:
    return any(isinstance(axis, Interval) and axis.log for axis in space.axes.values())


def _shuffled(space: ParameterSpace, random: np.random.Generator) -> Iterator[Params]:
    assert space.size is not None
    for index in random.permutation(space.size).tolist():
        yield space.at(index)


def _new_draws(space: ParameterSpace, random: np.random.Generator) -> Iterator[Params]:
    seen: set[str] = set()
    misses = 0
    while misses < _ATTEMPTS * 50:
        params = space.draw(random)
        key = canonical_json(params)
        misses = misses + 1 if key in seen else 0
        if key not in seen:
            seen.add(key)
            yield params
