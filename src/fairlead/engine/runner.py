"""One strategy in its own failure boundary, with its own capital and its own view of the account."""

from __future__ import annotations

import traceback
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from types import FunctionType
from typing import Any, Final, Literal

import numpy as np

from fairlead.core.bars import BarBlock, BarSlice, Cursor
from fairlead.core.errors import StrategyError
from fairlead.core.events import Bar, CorporateAction
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import Order
from fairlead.core.portfolio import Portfolio
from fairlead.engine.record import StrategyOutcome
from fairlead.risk.position import RuleSizer, SizingRule
from fairlead.sdk.context import Context
from fairlead.sdk.limits import RiskLimits
from fairlead.sdk.strategy import Strategy

# Bars are made in C, straight from the columns' scalars: a Python-level constructor would cost more than the strategy.
_new_bar: Final[Any] = tuple.__new__
_make_bar: Final = partial(tuple.__new__, Bar)
_SEQUENCES: Final = (tuple, list)
_INTENTS: Final = (OrderIntent, CancelIntent, ReplaceIntent)
# Columns are copied in blocks of this many rows, so that memory stays small and the cache warm.
_SCALAR_ROWS: Final = 4096

Submit = Callable[["StrategyRunner", Sequence[OrderIntent | CancelIntent | ReplaceIntent]], None]
Failed = Callable[["StrategyRunner"], None]


class StrategyRunner:
    """Drives one strategy and keeps its exceptions from touching the others.

    Parameters
    ----------
    name : str
        Unique in the session.
    strategy : Strategy
    ledger : Portfolio
        Its own capital and positions.
    context : Context
    limits : RiskLimits
        Those in force: the strategy's own, tightened by the configuration.
    submit : callable
        Takes its intents.
    failed : callable
        Told when it raised.
    sizing : SizingRule, optional
        What an intent that leaves its size to the session gets; the defaults of the rule if not given.
    """

    def __init__(
        self,
        name: str,
        strategy: Strategy,
        ledger: Portfolio,
        context: Context,
        limits: RiskLimits,
        *,
        submit: Submit,
        failed: Failed,
        sizing: SizingRule | None = None,
    ) -> None:
        self.name = name
        self.strategy = strategy
        self.ledger = ledger
        self.context = context
        self.limits = limits
        self.sizer = RuleSizer(sizing or SizingRule())
        self.error: BaseException | None = None
        self.step: Callable[[int], None] = _no_step
        self._bars: Iterator[Bar] | None = None
        self._submit = submit
        self._failed = failed
        self.hears_updates = type(strategy).on_order_update is not Strategy.on_order_update

    @property
    def is_running(self) -> bool:
        """Whether it still takes part."""
        return self.error is None

    def start(self) -> None:
        """Call `on_start`."""
        self._guarded(self.strategy.on_start, self.context)

    def stop(self) -> None:
        """Call `on_stop`, unless it failed before."""
        if self.is_running:
            self._guarded(self.strategy.on_stop, self.context)

    def close(self) -> None:
        """Let go of the last block, and of where in it the strategy failed."""
        self._bars = None
        self.step = _no_step
        if self.error is not None:
            self.error = self.error.with_traceback(None)

    def tell(self, order: Order) -> None:
        """Let it hear of a change to one of its orders."""
        if self.hears_updates and self.is_running:
            self._guarded(self.strategy.on_order_update, order, self.context)

    def tell_action(self, action: CorporateAction) -> None:
        """Let it hear of a corporate action."""
        if self.is_running:
            self._guarded(self.strategy.on_corporate_action, action, self.context)

    def enter(self, block: BarBlock) -> None:
        """Prepare `step` for the rows of a block."""
        self._bars = None
        if not self.is_running:
            self.step = _no_step
        elif self.strategy.event_type is BarSlice:
            self.step = self._slice_step(block)
        elif len(block.symbols) == 1 and not np.isnan(block.close[block.start :]).any():
            self._bars = _bars_of_one(block)
            self.step = self._single_step(self._bars)
        else:
            self.step = self._many_step(block)

    @property
    def can_walk(self) -> bool:
        """Whether it runs and gets one bar with every row of the block, so that `walk` may stand in for `step`."""
        return self._bars is not None and self.is_running

    def walk(
        self,
        rows: Iterable[int],
        cursor: Cursor,
        working: Collection[object],
        changed: Collection[object],
        meet: Callable[[int], None],
    ) -> None:
        """Do what `step` does for one row after the other, until they end or the strategy fails.

        Parameters
        ----------
        rows : iterable of int
            The next rows of the block. Where the strategy fails the later ones are left in it.
        cursor : Cursor
            Moved to each row.
        working, changed : collection
            Unless both are empty, something comes before the strategy.
        meet : callable
            Called with the row for that.
        """
        on_event, generate = self.strategy.on_market_event, self.strategy.generate_orders
        context, take, fail = self.context, self._take, self._fail
        # Only what is done here gives the venue work, or changes a ledger: most rows need not ask.
        is_busy = bool(working or changed)
        for row, bar in zip(rows, self._bars or (), strict=False):
            cursor.row = row
            if is_busy:
                meet(row)
                if self.error is not None:
                    return
                is_busy = bool(working or changed)
            try:
                on_event(bar, context)
                intents = generate(context)
                if not intents:
                    continue
            except Exception as exc:  # noqa: BLE001  the boundary of the strategy
                fail(exc)
                return
            take(intents)
            if self.error is not None:
                return
            is_busy = bool(working or changed)

    def outcome(self, capital: float) -> StrategyOutcome:
        """Return what it was and how it ended."""
        status: Literal["completed", "stopped"] = "completed" if self.error is None else "stopped"
        return StrategyOutcome(
            self.name,
            type(self.strategy).version,
            self.strategy.params,
            capital,
            status,
            describe_failure(self.error, self.strategy) if self.error is not None else "",
        )

    def _guarded(self, hook: Callable[..., object], *args: Any) -> None:
        try:
            hook(*args)
        except Exception as exc:  # noqa: BLE001  the boundary of the strategy: whatever it raises stops it alone
            self._fail(exc)

    def halt(self, exc: Exception) -> None:
        """Stop it for a reason that is not its own code's."""
        if self.is_running:
            self._fail(exc)

    def _fail(self, exc: Exception) -> None:
        self.error = exc
        self.step = _no_step
        self._failed(self)

    def _take(self, intents: Any) -> None:
        try:
            wanted = _wanted(intents)
        except Exception as exc:  # noqa: BLE001  a generator runs the strategy's code: still its boundary
            self._fail(exc)
            return
        submit = self._submit
        submit(self, wanted)

    # The three steps below are closures over locals: they run once per instant, and attribute look-ups would be a third
    # of their cost.

    def _single_step(self, bars: Iterator[Bar]) -> Callable[[int], None]:
        next_bar = bars.__next__
        on_event, generate = self.strategy.on_market_event, self.strategy.generate_orders
        context, take, fail = self.context, self._take, self._fail

        def step(_row: int) -> None:
            try:
                on_event(next_bar(), context)
                intents = generate(context)
                if not intents:
                    return
            except Exception as exc:  # noqa: BLE001  the boundary of the strategy
                fail(exc)
                return
            take(intents)

        return step

    def _many_step(self, block: BarBlock) -> Callable[[int], None]:
        on_event, generate = self.strategy.on_market_event, self.strategy.generate_orders
        context, take, fail = self.context, self._take, self._fail
        symbols, labels, knowns = block.symbols, block.label_ns, block.known_ns
        columns = (block.open, block.high, block.low, block.close, block.volume)

        def step(row: int) -> None:
            cells = (column[row].tolist() for column in columns)
            try:
                for bar in map(
                    _make_bar, zip(symbols, repeat(int(labels[row])), repeat(int(knowns[row])), *cells, strict=False)
                ):
                    if bar[6] == bar[6]:
                        on_event(bar, context)
                intents = generate(context)
                if not intents:
                    return
            except Exception as exc:  # noqa: BLE001  the boundary of the strategy
                fail(exc)
                return
            take(intents)

        return step

    def _slice_step(self, block: BarBlock) -> Callable[[int], None]:
        on_event, generate = self.strategy.on_market_event, self.strategy.generate_orders
        context, take, fail = self.context, self._take, self._fail

        def step(row: int) -> None:
            try:
                on_event(BarSlice(block, row), context)
                intents = generate(context)
                if not intents:
                    return
            except Exception as exc:  # noqa: BLE001  the boundary of the strategy
                fail(exc)
                return
            take(intents)

        return step


def _bars_of_one(block: BarBlock) -> Iterator[Bar]:
    return chain.from_iterable(_make_bars(block, first) for first in range(block.start, len(block), _SCALAR_ROWS))


def _make_bars(block: BarBlock, first: int) -> Iterator[Bar]:
    # Arrays of the standard library make their numbers one by one, each when it is asked for: lists of them would have left
    # the cache before they are read.
    rows = slice(first, first + _SCALAR_ROWS)
    stamps = (array("q", column[rows].tobytes()) for column in (block.label_ns, block.known_ns))
    prices = (
        array("d", column[rows, 0].tobytes()) for column in (block.open, block.high, block.low, block.close, block.volume)
    )
    cells = zip(repeat(block.symbols[0]), *stamps, *prices, strict=False)
    return map(_new_bar, repeat(Bar), cells)


def _no_step(_row: int) -> None:
    """Stand in for the step of a strategy that has stopped."""


def _wanted(intents: Any) -> list[OrderIntent | CancelIntent | ReplaceIntent]:
    # Inside the boundary: a generator runs the strategy's code, and what is not an intent is the strategy's fault.
    # The usual types are known without asking the abstract class, which takes longer than all the rest.
    wanted: list[Any] = list(intents) if type(intents) in _SEQUENCES or isinstance(intents, Iterable) else [None]
    for intent in wanted:
        if not isinstance(intent, _INTENTS):
            raise StrategyError.of("generate_orders", "return a list of OrderIntent, CancelIntent and ReplaceIntent", intents)
    return wanted


def describe_failure(exc: BaseException, strategy: Strategy) -> str:
    """Return the exception's text with the last line of the strategy's own code that led to it."""
    frames = traceback.extract_tb(exc.__traceback__)
    own = {
        member.__code__.co_filename
        for cls in type(strategy).__mro__
        if cls is not Strategy
        for member in vars(cls).values()
        if isinstance(member, FunctionType)
    }
    at = next((frame for frame in reversed(frames) if frame.filename in own), None)
    where = f" ({at.name}, line {at.lineno}: {at.line})" if at is not None else ""
    return f"{type(exc).__name__}: {exc}{where}"
