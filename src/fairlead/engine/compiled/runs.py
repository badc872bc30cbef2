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
            planned = make_plan(strategy.required_features())
            check_columns(planned, self.plan.source.symbols, self.plan.features.side)
            for label, output in strategy.arguments().features:
                planned.asked[label].feature.output_index(output)
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

        def one(strategy: KernelStrategy) -> CompiledRun:
            return self._one(strategy, features, places, tape=tape)

        if threads == 1 or len(batch) == 1:
            yield from map(one, batch)
        else:
            with ThreadPoolExecutor(threads) as pool:
                yield from pool.map(one, batch)

    def _one(self, strategy: KernelStrategy, features: FloatArray, places: Mapping[_Key, int], *, tape: bool) -> CompiledRun:
        from fairlead.engine.compiled.loop import compiled_run  # noqa: PLC0415  numba is for those who compile

        allocation = self.plan.allocations[0]
        h = self.history.ruled(allocation.capital, strategy.risk_limits.tightened_by(allocation.limits))
        chosen = np.array([places[key] for key in _keys(strategy)], np.int64)
        scan, numbers = strategy.scan(), strategy.numbers()
        while True:
            books = self._books(tape=tape)
            closes = np.empty(len(h.last_rows))
            states = np.zeros((len(self.history.symbols), strategy.state_size))
            try:
                code = compiled_run()(scan, h, books, features, chosen, numbers, states, self._delays.first(self._room), closes)
            except Exception:  # noqa: BLE001  the author's code: whatever it raises, the event loop tells where
                code = at.UNSURE
            if code in (at.FINE, at.UNSURE):
                sure = code == at.FINE
                if tape:
                    return CompiledRun(books.counts, books.money, closes, sure, books)
                done = CompiledRun(books.counts.copy(), books.money.copy(), closes, sure)
                self._spare.put(books)
                return done
            # It needs more room than it was given: the same once more, with four times as much; so do those that follow.
            self._room = max(self._room, 4 * (len(books.ints) if code != at.NEEDS_DELAYS else self._room))

    def _books(self, *, tape: bool) -> Books:
        # Fresh memory for every run would cost as much as a short run.
        orders = self._room
        try:
            books = None if tape else self._spare.get_nowait()
        except Empty:
            books = None
        if books is None or len(books.ints) < orders:
            return Books.new(self.history.multipliers, orders, orders * _EVENTS_PER_ORDER if tape else 0)
        books.begin(self.history.multipliers)
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


class _Delays:
    """The latency of a strategy's orders, in the order in which they leave."""

    def __init__(self, plan: SessionPlan, name: str) -> None:
        self._latency = Latency(plan.execution.latency, lambda of: random_stream(plan.seed, f"execution.latency.{of}"))
        self._name = name
        self._lock = Lock()
        self._drawn: IntArray = np.empty(0, np.int64)

    def first(self, count: int) -> IntArray:
        """Return the first `count` delays, in nanoseconds."""
        with self._lock:  # two threads would draw in turn
            missing = count - len(self._drawn)
            if missing > 0:
                more = [self._latency.draw_ns(self._name) for _ in range(missing)]
                self._drawn = np.concatenate([self._drawn, np.array(more, np.int64)])
            return self._drawn


def _keys(strategy: KernelStrategy) -> list[_Key]:
    """Return which output of which feature each value is that a strategy reads."""
    requests = strategy.required_features()
    return [(*_named(requests[label]), output) for label, output in strategy.arguments().features]


def _named(request: Request) -> tuple[str, tuple[tuple[str, Any], ...]]:
    name, params = (request, {}) if isinstance(request, str) else request
    return name, tuple(sorted(params.items()))
