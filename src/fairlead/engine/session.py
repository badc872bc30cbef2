"""A session: the parts of a run, put together and driven from the first instant to the last."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fairlead.contracts.enforcement import Enforcement
from fairlead.core.bars import BarBlock, Cursor, CursorMarks, prelude
from fairlead.core.errors import ConfigurationError, DataNotFound, UnknownName
from fairlead.core.identity import random_stream
from fairlead.core.instruments import Instrument
from fairlead.core.portfolio import Portfolio
from fairlead.data.closing import session_closes, session_hours
from fairlead.data.liquidity import Liquidity
from fairlead.data.source import DataSource
from fairlead.engine.accounts import Accounts
from fairlead.engine.actions import check_actions
from fairlead.engine.attendance import Attendant, SessionParts, attended
from fairlead.engine.clock import ClockSettings, HistoricalClock
from fairlead.engine.deferred import DeferredRecord
from fairlead.engine.desk import OpenVenue, OrderDesk
from fairlead.engine.digest import run_digest
from fairlead.engine.equity import CurveRecorder
from fairlead.engine.features import RunFeatures
from fairlead.engine.funding import Funding
from fairlead.engine.gate import OrderGate
from fairlead.engine.loop import EventLoop
from fairlead.engine.notes import PriceNotes
from fairlead.engine.record import RunRecord
from fairlead.engine.recorder import RecordedStages, Recorder, Watch
from fairlead.engine.runner import StrategyRunner, Submit
from fairlead.engine.universe import RunUniverse
from fairlead.execution.fidelity import ticks_of
from fairlead.execution.latency import Latency
from fairlead.execution.settings import ExecutionSettings
from fairlead.features.supply import FeatureSupply
from fairlead.risk.position import SizingRule
from fairlead.risk.settings import RiskSettings
from fairlead.sdk.context import Context, PortfolioView
from fairlead.sdk.history import MIN_HISTORY, HistoricalData
from fairlead.sdk.limits import RiskLimits
from fairlead.sdk.strategy import Strategy
from fairlead.telemetry.timers import StageTimers

if TYPE_CHECKING:
    from fairlead.data.universe import Universe

Progress = Callable[[int], None]

_RARE_COLLECTIONS: Final = (100_000, 50, 100)
_MODE: Final = "backtest"
"""Where the orders of a session on history may go, whether it is run for the first time or again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """A strategy and the capital it may use.

    Parameters
    ----------
    name : str
        Unique in the session.
    capital : float
        Starting cash of its own ledger, in account currency.
    limits : RiskLimits
        They tighten those the strategy declares.
    sizing : SizingRule, optional
        Sizes what the strategy leaves to the session; the defaults of the rule if not given.
    """

    name: str
    strategy: Strategy
    capital: float
    limits: RiskLimits = field(default_factory=lambda: RiskLimits(max_leverage=20))
    sizing: SizingRule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """Everything that decides what a run does.

    Parameters
    ----------
    run_id : str
        Part of every order's identity; not of the digest.
    instruments : mapping of str to Instrument
        Those that differ from the default: a US equity on the dataset's calendar.
    features : FeatureSupply
        What features may read beside the bars, and whether their values are read and kept.
    universe : Universe, optional
        What `context.universe` says belongs; None: every symbol.
    liquidity : Liquidity, optional
        What it must have shown besides.
    seed : int
        Root of every random stream.
    profile : bool
        Time the stages of the loop.
    record : bool
        Keep every event in the order in which it happened, intents included, so that a replay can be held against it.
    risk : RiskSettings, optional
        Validator and guards before every order; None: none are armed.
    guarded : Enforcement
        What their refusals lead to.
    venue : callable, optional
        Opens where orders go instead of the simulated venue that `execution` describes.
    """

    run_id: str
    allocations: Sequence[Allocation]
    source: DataSource
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    features: FeatureSupply = field(default_factory=FeatureSupply)
    universe: Universe | None = None
    liquidity: Liquidity | None = None
    seed: int = 42
    profile: bool = False
    record: bool = False
    risk: RiskSettings | None = None
    guarded: Enforcement = Enforcement.ENFORCE
    venue: OpenVenue | None = None

    @property
    def is_guarded(self) -> bool:
        """Whether validator and guards are asked."""
        return self.risk is not None and self.guarded is not Enforcement.OFF


def prepare_features(plan: SessionPlan, progress: Progress | None = None) -> None:
    """Compute the features of a run that are to be kept on disk; `run_session` does it too, and shows no progress then.

    Parameters
    ----------
    plan : SessionPlan
    progress : callable, optional
        Told after every block how many instants are done.
    """
    requests = [request for a in plan.allocations for request in a.strategy.required_features().values()]
    plan.features.prepare(requests, plan.source, progress)


def run_session(
    plan: SessionPlan, progress: Progress | None = None, watch: Watch | None = None, attendant: Attendant | None = None
) -> RunRecord:
    """Run a session to its end and return its record.

    Parameters
    ----------
    plan : SessionPlan
    progress : callable, optional
        Told after every block how many instants have passed.
    watch : callable, optional
        Shown every instant once it is over, before the next begins. What it raises ends the run and is passed on.
    attendant : Attendant, optional
        Of a session in real time.

    Raises
    ------
    ConfigurationError
        If the plan does not hold together: no strategy, a name twice, a symbol that the data does not have.
    DataNotFound
        If the source holds no bar.
    """
    check_plan(plan)
    carry = max(MIN_HISTORY, *(a.strategy.lookback() for a in plan.allocations)) + 1
    blocks = iter(plan.source.blocks(carry=carry))
    first = next(blocks, None)
    if first is None:
        raise DataNotFound(f"dataset {plan.source.name!r} holds no bar in the chosen dates.")
    session = _Session(plan, first, carry, watch, attendant)
    with _rare_collections():
        try:
            session.start()
            block: BarBlock | None = first
            done = 0
            while block is not None:
                session.run_block(block)
                done += len(block) - block.start
                if progress is not None:
                    progress(done)
                block = next(blocks, None)
            return session.finish()
        finally:
            session.close()


@contextmanager
def _rare_collections() -> Iterator[None]:
    # A run keeps what it records and leaves no cycles, so the collector would walk a growing pile again and again for nothing.
    # Rarely is not never: a strategy's own cycles are still found.
    before = gc.get_threshold()
    gc.set_threshold(*_RARE_COLLECTIONS)
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            # What a run leaves is old at once. Elsewhere the collector would walk all of it to find that out.
            gc.freeze()
            gc.unfreeze()
        gc.set_threshold(*before)


class _Session:
    """The wired parts of one run."""

    def __init__(
        self, plan: SessionPlan, first: BarBlock, carry: int, watch: Watch | None, attendant: Attendant | None = None
    ) -> None:
        self._plan = plan
        self._block = first
        self._attendant = attendant
        self._timers = StageTimers(enabled=plan.profile)
        cursor = Cursor(prelude(first))
        instruments = {
            symbol: plan.instruments.get(symbol) or Instrument(symbol=symbol, calendar=plan.source.calendar)
            for symbol in plan.source.symbols
        }
        multipliers = {symbol: i.multiplier for symbol, i in instruments.items() if i.multiplier != 1.0}
        ledgers = {a.name: Portfolio(a.capital, CursorMarks(cursor), multipliers) for a in plan.allocations}
        self._curves = CurveRecorder(ledgers)
        self._notes = PriceNotes()
        recorder = Recorder(cursor, ledgers, keep=plan.record, watch=watch) if plan.record or watch is not None else None
        self._recorder = recorder
        self._clock = HistoricalClock(cursor, plan.clock, between=None if recorder is None else recorder.instant_done)
        latency = Latency(plan.execution.latency, lambda name: random_stream(plan.seed, f"execution.latency.{name}"))
        self._accounts = Accounts.watched(plan.execution.account, plan.execution.financing, cursor)
        self._gate = (
            OrderGate(plan.risk, plan.guarded, _MODE, cursor, instruments, plan.source.bar_size.ns, keep=plan.record)
            if plan.risk is not None and plan.is_guarded
            else None
        )
        self._desk = OrderDesk(
            plan.run_id,
            cursor,
            instruments,
            plan.execution,
            latency,
            self._curves.changed.add,
            one_bar_sessions=not plan.source.bar_size.is_intraday,
            session_close=session_closes(plan.source.calendar),
            accounts=self._accounts,
            ticks=ticks_of(plan.execution, plan.source.symbols),
            gate=self._gate,
            line=None if attendant is None else attendant.line,
            open_venue=plan.venue,
        )
        self._features = RunFeatures(
            {a.name: a.strategy.required_features() for a in plan.allocations},
            cursor,
            lambda requests: plan.features.open(requests, plan.source, first),
        )
        self._session_hours = session_hours(plan.source.calendar)
        self._universe = RunUniverse.of(plan.source, first, cursor, plan.universe, plan.liquidity)
        stages = self._timers if recorder is None else RecordedStages(self._timers, recorder)
        attends = () if attendant is None else (attendant.instant,)
        monitors = (*attends, *(() if self._gate is None else (self._gate.mark,)))
        self.loop = EventLoop(
            cursor, self._clock, self._desk, self._curves, stages, self._features.enter, self._accounts, monitors
        )
        if recorder is not None:
            recorder.follow(self._desk, self.loop)
        history = HistoricalData(cursor, carry - 1)
        self._runners = [self._runner(a, ledgers[a.name], history, cursor) for a in plan.allocations]
        self._desk.enlist(self._runners)
        self.loop.enlist(self._runners)
        self._funding = Funding(cursor, self._desk, self._curves, self._accounts, self._gate)
        if attendant is not None:
            self._desk.veto = attendant.veto
            if self._gate is not None:
                self._gate.scale = attendant.scale
            attendant.begin(SessionParts(cursor, self._desk, self._runners, self._funding))

    def _submit(self) -> Submit:
        take: Submit = self._desk.take if self._recorder is None else self._recorder.submit(self._desk.take)
        return take if self._attendant is None else attended(take, self._attendant)

    def _runner(self, allocation: Allocation, ledger: Portfolio, history: HistoricalData, cursor: Cursor) -> StrategyRunner:
        limits = allocation.strategy.risk_limits.tightened_by(allocation.limits)
        context = Context(
            portfolio=PortfolioView(ledger),
            historical_data=history,
            now_ns=lambda: cursor.known_ns,
            symbols=self._plan.source.symbols,
            risk_limits=limits,
            random=random_stream(self._plan.seed, f"strategy.{allocation.name}"),
            open_orders=lambda: self._desk.working(allocation.name),
            features=self._features.view(allocation.name),
            universe=self._universe.members,
            session_hours=self._session_hours,
        )
        return StrategyRunner(
            allocation.name,
            allocation.strategy,
            ledger,
            context,
            limits,
            submit=self._submit(),
            failed=self.loop.strategy_failed,
            sizing=allocation.sizing,
        )

    def start(self) -> None:
        """Let every strategy prepare."""
        for runner in self._runners:
            runner.start()

    def run_block(self, block: BarBlock) -> None:
        """Deliver a block, and note the prices of what happened in it."""
        self._block = block
        self._universe.enter(block)
        self.loop.run_block(block)
        self._notes.take(block, self._desk.orders, self._desk.fills)

    def finish(self) -> RunRecord:
        """Take the orders back, stop the strategies and return the record."""
        plan = self._plan
        self._clock.finish()
        for runner in self._runners:
            self._desk.cancel_all(runner.name, "end_of_run")
            runner.stop()
        if self._recorder is not None:
            self._recorder.finish()
        if self._attendant is not None:
            self._attendant.end()
            # A broker tells of fills after the last bar too.
            self._notes.take(self._block, self._desk.orders, self._desk.fills)
            self._curves.finish(self._block)
        account, by_strategy = self._curves.curves()
        capital = {a.name: a.capital for a in plan.allocations}
        orders, updates, fills = self._desk.orders, self._desk.updates, self._desk.fills
        return DeferredRecord.later(
            lambda: {"digest": run_digest(orders, updates, fills)},
            run_id=plan.run_id,
            initial_cash=sum(capital.values()),
            strategies=tuple(runner.outcome(capital[runner.name]) for runner in self._runners),
            account=account,
            by_strategy=by_strategy,
            prices=self._curves.prices(),
            orders=orders,
            updates=updates,
            fills=fills,
            applied_actions=self.loop.applied_actions,
            market_actions=self.loop.market_actions,
            bars=self.loop.bars,
            stage_seconds=self._timers.seconds,
            execution_prices=self._notes.prices(self._desk.execution.mids),
            financing=self._accounts.charges if self._accounts is not None else [],
            order_checks=self._gate.checks if self._gate is not None else [],
            cash_flows=self._funding.flows,
            events=self._recorder.events if self._recorder is not None and plan.record else None,
        )

    def close(self) -> None:
        """Take apart what refers to itself, so that it is gone with the run and not when the collector comes to it."""
        self.loop.close()
        self._desk.close()
        if self._recorder is not None:
            self._recorder.close()
        self._runners = []


def check_plan(plan: SessionPlan) -> None:
    """Refuse a plan that does not hold together.

    Raises
    ------
    ConfigurationError
        If there is no strategy, a name twice, or a symbol or corporate action that does not fit the data.
    """
    if not plan.allocations:
        raise ConfigurationError.of("strategies", "hold at least one enabled strategy", [])
    _check_names(plan.run_id, [a.name for a in plan.allocations])
    for allocation in plan.allocations:
        if not 0 < allocation.capital < float("inf"):
            raise ConfigurationError.of(f"{allocation.name} capital", "be a finite amount above 0", allocation.capital)
        for symbol in allocation.strategy.required_symbols():
            if symbol not in plan.source.symbols:
                raise UnknownName.among(
                    f"symbol for strategy {allocation.name!r} in dataset {plan.source.name!r}", symbol, plan.source.symbols
                )
    check_actions(plan.source.actions, plan.source.symbols)
    for symbol in plan.instruments:
        if plan.instruments[symbol].currency != "USD":
            raise ConfigurationError.of(
                f"instruments.{symbol}.currency", "be USD", plan.instruments[symbol].currency, "There is no FX rate to convert."
            )


def _check_names(run_id: str, names: Sequence[str]) -> None:
    for kind, text in [("run_id", run_id), *(("strategies", name) for name in names)]:
        if "|" in text:
            raise ConfigurationError.of(kind, "not contain '|', which separates the fields of an order's identity", text)
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError.of("strategies", "have unique names", name, "Give one of them another name.")
