"""Compiled runs: many parameter sets of a kernel strategy over one history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Final, TypeAlias

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.identity import random_stream
from fairlead.engine.compiled import layout as at
from fairlead.engine.compiled.history import LoadedHistory
from fairlead.engine.compiled.layout import Books
from fairlead.engine.session import SessionPlan, check_plan
from fairlead.execution.latency import Latency
from fairlead.features.feed import check_columns
from fairlead.features.plan import Request, make_plan
from fairlead.sdk.kernel_strategy import KernelStrategy

FEATURE_BYTES: Final = 256 * 2**20
"""Features of so many parameter sets are held at once as fit into this."""
_Key: TypeAlias = tuple[str, tuple[tuple[str, Any], ...], str]
"""A feature's name, its parameters, and which output."""
_ORDERS: Final = 1024
_SHARE: Final = 64
"""Runs of one call, at the most: progress is told between calls."""
_RAISED: Final = -1
_EVENTS_PER_ORDER: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRun:
    """The outcome of one parameter set.

    Attributes
    ----------
    counts, money : int64 and float64 arrays
        See `layout`.
    closes : float64 array of shape (sessions,)
        Equity at the last instant of each session, in currency.
    is_sure : bool
        False if the strategy raised, or wanted what is refused in words: the event loop has to run it, and says them.
    books : Books, optional
        With the tape, if one was to be kept.
    """

    counts: IntArray
    money: FloatArray
    closes: FloatArray
    is_sure: bool
    books: Books | None = None


_UNSURE: Final = CompiledRun(np.empty(0, np.int64), np.empty(0), np.empty(0), is_sure=False)


class CompiledRuns:
    """Runs of kernel strategies over one history.

    Parameters
    ----------
    plan : SessionPlan
        `unfit` has nothing against it.
    """

    def __init__(self, plan: SessionPlan) -> None:
        check_plan(plan)
        self.plan = plan
        self.history = LoadedHistory(plan, list(plan.source.blocks(carry=0)))
        self._delays = _Delays(plan, plan.allocations[0].name)
        self._room = _ORDERS
        self._known: set[_Key] = set()
        self._spare: SimpleQueue[Books] = SimpleQueue()

    def run(
        self, strategies: Sequence[KernelStrategy], *, tape: bool = False, threads: int = 1
    ) -> Iterator[tuple[int, CompiledRun]]:
        """Yield the place of each strategy and its outcome; first those of which the event loop has to tell what is wrong.

        Parameters
        ----------
        strategies : sequence of KernelStrategy
            Of one class; they differ in their parameters.
        tape : bool
            Keep what happened, to be played back.
        threads : int
        """
        sound = [place for place, strategy in enumerate(strategies) if self._holds(strategy)]
        yield from ((place, _UNSURE) for place in sorted({*range(len(strategies))}.difference(sound)))
        for batch in self._batches([strategies[place] for place in sound]):
            places, sound = sound[: len(batch)], sound[len(batch) :]
            yield from zip(places, self._batch(batch, tape=tape, threads=threads), strict=True)

    def _holds(self, strategy: KernelStrategy) -> bool:
        """Whether what a strategy declares, and with these parameters perhaps it alone, can be had."""
        try:
            read = dict(strategy.arguments().features)
            for label, request in strategy.required_features().items():
                # The event loop computes what nobody reads, too.
                key = (*_named(request), read.get(label, ""))
                if key not in self._known:
                    planned = make_plan({label: request})
                    check_columns(planned, self.plan.source.symbols, self.plan.features.side)
                    planned.asked[label].feature.output_index(key[2])
                    self._known.add(key)
            strategy.numbers()
            strategy.risk_limits.tightened_by(self.plan.allocations[0].limits)
        except Exception:  # noqa: BLE001  partly the author's code
            return False
        return True

    def _batch(self, batch: Sequence[KernelStrategy], *, tape: bool, threads: int) -> Iterator[CompiledRun]:
        try:
            features, places = self._features(batch, threads)
        except Exception:  # noqa: BLE001  a feature may be a third party's, and raise anything
            # Which one it was, and of whom, shows when each is alone.
            alone = (self._batch([strategy], tape=tape, threads=threads) for strategy in batch)
            yield from chain.from_iterable(alone) if len(batch) > 1 else (_UNSURE,)
            return
        shares = _shares(batch, 1 if tape else max(1, min(_SHARE, -(-len(batch) // (4 * threads)))))

        def some(share: list[KernelStrategy]) -> list[CompiledRun]:
            return self._some(share, features, places, tape=tape)

        if threads == 1 or len(shares) == 1:
            yield from chain.from_iterable(map(some, shares))
        else:
            with ThreadPoolExecutor(threads) as pool:
                yield from chain.from_iterable(pool.map(some, shares))

    def _some(
        self, strategies: list[KernelStrategy], features: FloatArray, places: Mapping[_Key, int], *, tape: bool
    ) -> list[CompiledRun]:
        """Run strategies of one share in one call; those that need more room, or of a call that raised, one by one."""
        books, counts, money, closes = self._call(strategies, features, places, tape=tape)
        runs: list[CompiledRun] = []
        for i, strategy in enumerate(strategies):
            code = int(counts[i, at.PROBLEM])
            if code in (at.FINE, at.UNSURE) or (code == _RAISED and len(strategies) == 1):
                runs.append(CompiledRun(counts[i], money[i], closes[i], code == at.FINE, books if tape else None))
                continue
            if code != _RAISED:
                # The same once more, with four times as much room; so do those that follow.
                self._room = max(self._room, 4 * len(books.ints))
            runs += self._some([strategy], features, places, tape=tape)
        if not tape:
            self._spare.put(books)
        return runs

    def _call(
        self, strategies: list[KernelStrategy], features: FloatArray, places: Mapping[_Key, int], *, tape: bool
    ) -> tuple[Books, IntArray, FloatArray, FloatArray]:
        from fairlead.engine.compiled.loop import compiled_runs  # noqa: PLC0415  numba is for those who compile

        first, allocation, count = strategies[0], self.plan.allocations[0], len(strategies)
        h = self.history.ruled(allocation.capital, first.risk_limits.tightened_by(allocation.limits))
        chosen = np.array([[places[key] for key in _keys(strategy)] for strategy in strategies], np.int64).reshape(count, -1)
        numbers = np.array([strategy.numbers() for strategy in strategies]).reshape(count, -1)
        states = np.empty((len(self.history.symbols), first.state_size))
        counts, money = np.zeros((count, at.COUNTS), np.int64), np.zeros((count, at.MONEY))
        closes = np.empty((count, len(h.last_rows)))
        books = self._books(tape=tape)
        delays = self._delays.first(len(books.ints))
        try:
            compiled_runs()(first.scan(), h, books, features, chosen, numbers, states, delays, closes, counts, money)
        except Exception:  # noqa: BLE001  the author's code: whatever it raises, the event loop tells where
            counts[:, at.PROBLEM] = _RAISED
        return books, counts, money, closes

    def _books(self, *, tape: bool) -> Books:
        # Fresh memory for every run would cost as much as a short run.
        try:
            books = None if tape else self._spare.get_nowait()
        except Empty:
            books = None
        if books is None or len(books.ints) < self._room:
            books = Books.new(len(self.history.symbols), self._room, self._room * _EVENTS_PER_ORDER if tape else 0)
        return books

    def _batches(self, strategies: Sequence[KernelStrategy]) -> Iterator[list[KernelStrategy]]:
        rows, width = self.history.arrays.market.shape[:2]
        most = max(1, FEATURE_BYTES // (rows * width * 8))
        batch: list[KernelStrategy] = []
        wanted: set[_Key] = set()
        for strategy in strategies:
            keys = set(_keys(strategy))
            if batch and len(wanted | keys) > most:
                yield batch
                batch, wanted = [], set()
            batch.append(strategy)
            wanted |= keys
        if batch:
            yield batch

    def _features(self, strategies: Sequence[KernelStrategy], threads: int) -> tuple[FloatArray, dict[_Key, int]]:
        """Compute every feature that one of the strategies reads once; return them and where each stands."""
        wanted = dict.fromkeys(key for strategy in strategies for key in _keys(strategy))
        places = {key: i for i, key in enumerate(wanted)}
        rows, width = self.history.arrays.market.shape[:2]
        values = np.empty((len(wanted), rows, width))
        requests: dict[str, Request] = {repr(key[:2]): (key[0], dict(key[1])) for key in wanted}
        names = list(requests)
        shares = [names[i::threads] for i in range(threads) if names[i::threads]]

        def compute(share: list[str]) -> None:
            feed = self.plan.features.open({name: requests[name] for name in share}, self.plan.source, self.history.blocks[0])
            done = 0
            own = [(place, repr(key[:2]), key[2]) for key, place in places.items() if repr(key[:2]) in share]
            for block in self.history.blocks:
                feed.take(block)
                count = len(block) - block.start
                for place, name, output in own:
                    index = feed.plan.asked[name].feature.output_index(output)
                    values[place, done : done + count] = feed.values(name)[index]
                done += count

        if len(shares) <= 1:
            for share in shares:
                compute(share)
        else:
            with ThreadPoolExecutor(len(shares)) as pool:
                list(pool.map(compute, shares))
        return values, places


def _shares(strategies: Sequence[KernelStrategy], most: int) -> list[list[KernelStrategy]]:
    """Return runs of strategies that one call can take: of one class, with the same limits and the same arguments."""
    shares: list[list[KernelStrategy]] = []
    for strategy in strategies:
        last = shares[-1] if shares else []
        if last and len(last) < most and _alike(last[-1], strategy):
            last.append(strategy)
        else:
            shares.append([strategy])
    return shares


def _alike(one: KernelStrategy, other: KernelStrategy) -> bool:
    return (
        type(one) is type(other)
        and one.risk_limits == other.risk_limits
        and one.state_size == other.state_size
        and one.arguments() is other.arguments()
    )


class _Delays:
    """The latency of a strategy's orders, in the order in which they leave."""

    def __init__(self, plan: SessionPlan, name: str) -> None:
        self._latency = Latency(plan.execution.latency, lambda of: random_stream(plan.seed, f"execution.latency.{of}"))
        self._name = name
        self._drawn: IntArray = np.empty(0, np.int64)
        self._lock = Lock()

    def first(self, count: int) -> IntArray:
        """Return the first `count` delays, in nanoseconds."""
        with self._lock:  # two threads that draw at once would share out one stream
            missing = count - len(self._drawn)
            if missing > 0:
                more = [self._latency.draw_ns(self._name) for _ in range(missing)]
                self._drawn = np.concatenate([self._drawn, np.array(more, np.int64)])
            return self._drawn[:count]


def _keys(strategy: KernelStrategy) -> list[_Key]:
    """Return which output of which feature each value is that a strategy reads."""
    requests = strategy.required_features()
    return [(*_named(requests[label]), output) for label, output in strategy.arguments().features]


def _named(request: Request) -> tuple[str, tuple[tuple[str, Any], ...]]:
    name, params = (request, {}) if isinstance(request, str) else request
    return name, tuple(sorted(params.items()))
