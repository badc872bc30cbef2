"""Compiled runs: many parameter sets of a kernel strategy over one history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from fairlead.contracts.files import canonical_json
from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.identity import random_stream
from fairlead.engine.compiled import layout as at
from fairlead.engine.compiled.history import LoadedHistory
from fairlead.engine.compiled.layout import Books
from fairlead.engine.session import SessionPlan, check_plan
from fairlead.execution.latency import Latency
from fairlead.features.plan import Request
from fairlead.sdk.kernel_strategy import KernelStrategy

FEATURE_BYTES: Final = 256 * 2**20
"""Features of so many parameter sets are held at once as fit into this."""
_ORDERS: Final = 1024
_EVENTS_PER_ORDER: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRun:
    """The outcome of one parameter set.

    Attributes
    ----------
    books : Books
    closes : float64 array of shape (sessions,)
        Equity at the last instant of each session, in currency.
    is_sure : bool
        False if the strategy wanted what the event loop refuses in words of its own: it has to run it.
    """

    books: Books
    closes: FloatArray
    is_sure: bool

    def count(self, which: int) -> int:
        """Return one of the counts of `layout`."""
        return int(self.books.counts[which])

    def money(self, which: int) -> float:
        """Return one of the sums of `layout`, in currency."""
        return float(self.books.money[which])


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

    def run(
        self, strategies: Sequence[KernelStrategy], *, tape: bool = False, threads: int = 1
    ) -> Iterator[tuple[int, CompiledRun]]:
        """Yield the place of each strategy and its outcome, in order.

        Parameters
        ----------
        strategies : sequence of KernelStrategy
            Of one class; they differ in their parameters.
        tape : bool
            Keep what happened, to be played back.
        threads : int
        """
        done = 0
        for batch in self._batches(strategies):
            features, places = self._features(batch, threads)

            def one(
                strategy: KernelStrategy, features: FloatArray = features, places: Mapping[str, int] = places
            ) -> CompiledRun:
                return self._one(strategy, features, places, tape=tape)

            if threads == 1 or len(batch) == 1:
                yield from enumerate(map(one, batch), start=done)
            else:
                with ThreadPoolExecutor(threads) as pool:
                    yield from enumerate(pool.map(one, batch), start=done)
            done += len(batch)

    def _one(self, strategy: KernelStrategy, features: FloatArray, places: Mapping[str, int], *, tape: bool) -> CompiledRun:
        from fairlead.engine.compiled.loop import compiled_run  # noqa: PLC0415  numba is for those who compile

        allocation = self.plan.allocations[0]
        h = self.history.ruled(allocation.capital, strategy.risk_limits.tightened_by(allocation.limits))
        chosen = np.array([places[key] for key in _keys(strategy)], np.int64)
        scan, numbers = strategy.scan(), strategy.numbers()
        while True:
            orders = self._room
            books = Books.new(self.history.multipliers, orders, orders * _EVENTS_PER_ORDER if tape else 0)
            closes = np.empty(len(h.last_rows))
            states = np.zeros((len(self.history.symbols), strategy.state_size))
            delays = self._delays.first(orders)
            code = compiled_run()(scan, h, books, features, chosen, numbers, states, delays, closes)
            if code in (at.FINE, at.UNSURE):
                return CompiledRun(books, closes, code == at.FINE)
            # It needs more room than it was given: the same once more, with four times as much; so do those that follow.
            self._room = max(self._room, 4 * orders)

    def _batches(self, strategies: Sequence[KernelStrategy]) -> Iterator[list[KernelStrategy]]:
        rows, width = self.history.arrays.market.shape[1:]
        most = max(1, FEATURE_BYTES // (rows * width * 8))
        batch: list[KernelStrategy] = []
        wanted: set[str] = set()
        for strategy in strategies:
            keys = set(_keys(strategy))
            if batch and len(wanted | keys) > most:
                yield batch
                batch, wanted = [], set()
            batch.append(strategy)
            wanted |= keys
        if batch:
            yield batch

    def _features(self, strategies: Sequence[KernelStrategy], threads: int) -> tuple[FloatArray, dict[str, int]]:
        """Compute every feature that one of the strategies reads once; return them and where each stands."""
        wanted: dict[str, tuple[str, Request, str]] = {}
        for strategy in strategies:
            requests = strategy.required_features()
            for (label, output), key in zip(strategy.arguments().features, _keys(strategy), strict=True):
                wanted.setdefault(key, (_request_key(requests[label]), requests[label], output))
        places = {key: i for i, key in enumerate(wanted)}
        rows, width = self.history.arrays.market.shape[1:]
        values = np.empty((len(wanted), rows, width))
        requests_of: dict[str, Request] = {name: request for name, request, _ in wanted.values()}
        names = list(requests_of)
        shares = [names[i::threads] for i in range(threads) if names[i::threads]]

        def compute(share: list[str]) -> None:
            feed = self.plan.features.open(
                {name: requests_of[name] for name in share}, self.plan.source, self.history.blocks[0]
            )
            done = 0
            own = [(place, *wanted[key]) for key, place in places.items() if wanted[key][0] in share]
            for block in self.history.blocks:
                feed.take(block)
                count = len(block) - block.start
                for place, name, _, output in own:
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
        self._drawn: IntArray = np.empty(0, np.int64)

    def first(self, count: int) -> IntArray:
        """Return the first `count` delays, in nanoseconds."""
        missing = count - len(self._drawn)
        if missing > 0:
            more = [self._latency.draw_ns(self._name) for _ in range(missing)]
            self._drawn = np.concatenate([self._drawn, np.array(more, np.int64)])
        return self._drawn


def _request_key(request: Request) -> str:
    name, params = (request, {}) if isinstance(request, str) else request
    return canonical_json([name, dict(params)])


def _keys(strategy: KernelStrategy) -> list[str]:
    requests = strategy.required_features()
    return [f"{_request_key(requests[label])}|{output}" for label, output in strategy.arguments().features]
