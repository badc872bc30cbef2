"""The gate: the one place just before an order leaves, where the validator and then the guards are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from fairlead.contracts.enforcement import Enforcement
from fairlead.core.bars import Cursor
from fairlead.core.errors import ContractError
from fairlead.core.exits import Exits
from fairlead.core.fills import Fill
from fairlead.core.instruments import Instrument
from fairlead.core.intents import ReplaceIntent
from fairlead.core.orders import Order, OrderRole
from fairlead.engine.marketviews import MarketViews
from fairlead.engine.record import OrderChecks
from fairlead.engine.runner import StrategyRunner
from fairlead.execution.pricing import prices_on_tick
from fairlead.risk.guards import (
    FULL,
    CheckResult,
    GuardRegistry,
    LimitScale,
    OrderView,
    PortfolioView,
    RiskTracker,
    order_view,
)
from fairlead.risk.pretrade import ProjectedExposure
from fairlead.risk.rejection import Rejection
from fairlead.risk.settings import RiskSettings
from fairlead.risk.validator import AccountFacts, OrderValidator

Outcome = Literal["accepted", "warned", "rejected"]
_NOT_NEW: Final = ("G11", "G12", "G13")
"""They ask about orders that are new."""
_ABOUT_PRICES: Final = ("G6", "G7", "G8")
_UNKNOWN: Final = float("nan")
_NO_EXIT: Final = CheckResult("V3 PriceGrid", "price_not_above_0")


class OrderGate:
    """Asks about every order that a strategy sends. Exits of brackets and margin calls, which can only reduce, pass beside it.

    Parameters
    ----------
    settings : RiskSettings
    level : Enforcement
        At ``warn`` a refusal is recorded, and the order leaves.
    mode : str
        Of the session: where its orders may go.
    cursor : Cursor
        Where the run stands.
    instruments : mapping of symbol to Instrument
    bar_ns : int
        Length of a bar.
    keep : bool
        Whether what was measured of accepted orders is kept too.

    Attributes
    ----------
    checks : list of OrderChecks
        What was found, in order.
    tracker : RiskTracker
        What the guards must remember.
    scale : callable
        Strategy -> what the limits on how much may be held are multiplied with.
    scales : bool
        Whether orders are held to a limit on gross exposure, so that to scale it has an effect.
    """

    def __init__(
        self,
        settings: RiskSettings,
        level: Enforcement,
        mode: str,
        cursor: Cursor,
        instruments: Mapping[str, Instrument],
        bar_ns: int,
        *,
        keep: bool = False,
    ) -> None:
        self.checks: list[OrderChecks] = []
        self.tracker = RiskTracker(_UNKNOWN)
        self.scale: Callable[[str], LimitScale] = _unscaled
        self._level = level
        self._mode = mode
        self._cursor = cursor
        self._instruments = instruments
        self._keep = keep
        self._validator = OrderValidator(settings.validator)
        self._guards = GuardRegistry.of(settings.guards)
        self.scales = level is Enforcement.ENFORCE and bool(self._guards.only("G1").guards)
        self._of_additions = self._guards.without(*_NOT_NEW)
        self._of_prices = self._guards.only(*_ABOUT_PRICES)
        self._views = MarketViews(cursor, instruments, bar_ns)
        self._runners: Sequence[StrategyRunner] = ()
        self._exposure_of: Callable[[StrategyRunner], ProjectedExposure] | None = None
        self._cools = bool(self._guards.only("G13").guards)
        self._working: Callable[[str], Sequence[Order]] = _none_works

    def enlist(
        self,
        runners: Sequence[StrategyRunner],
        exposure_of: Callable[[StrategyRunner], ProjectedExposure],
        working: Callable[[str], Sequence[Order]],
    ) -> None:
        """Take in the strategies of the account, and what tells of the exposure of one of them and of its working orders."""
        self._runners, self._exposure_of, self._working = runners, exposure_of, working
        self.tracker = RiskTracker(sum(runner.ledger.initial_cash for runner in runners))

    def close(self) -> None:
        """Let go of the strategies after the end of a run."""
        self._runners, self._exposure_of, self._working, self.scale = (), None, _none_works, _unscaled

    def mark(self, _row: int) -> None:
        """Take in what the account is worth at the cursor."""
        self.tracker.mark(self._session, sum(runner.ledger.equity for runner in self._runners))

    def filled(self, runner: StrategyRunner, fill: Fill, realised: float) -> None:
        """Count an execution that has been booked."""
        left, change = runner.ledger.quantity(fill.symbol), fill.signed_quantity
        before = left - change
        closes = min(abs(before), fill.quantity) if before * change < 0.0 else 0.0
        self.tracker.filled(
            self._session,
            runner.name,
            fill.symbol,
            closed=closes / fill.quantity,
            left=left,
            realised=realised,
            commission=fill.commission,
        )

    def refuses(
        self, runner: StrategyRunner, order: Order, exposure: ProjectedExposure, exits: Sequence[Order] = ()
    ) -> Rejection | None:
        """Return why a new order must not leave, or None; it then counts as one that has left.

        Parameters
        ----------
        exposure : ProjectedExposure
            Of its strategy, without it.
        exits : sequence of Order
            Of its bracket, as they will work.
        """
        try:
            bracket = _bracket(exits)
        except ContractError:
            # On the tick of a price below a cent, a stop may be at nothing.
            return self._judged(order, (_NO_EXIT,))
        asked = replace(order_view(order), exits=bracket, mode=self._mode)
        market, account = self._views.of(order.symbol), self._portfolio(runner, asked, exposure)
        results = self._validator.check_all(asked, account, market, self._facts(runner))
        if not results[-1].reason:
            results += self._guards.check_all_detailed(asked, account, market)
        rejection = self._judged(order, results)
        if rejection is None:
            self.tracker.sent(order.strategy, order.symbol, order.idempotency_key, order.created_ns)
        return rejection

    def refuses_change(
        self, runner: StrategyRunner, order: Order, change: ReplaceIntent, more: float, exposure: ProjectedExposure
    ) -> Rejection | None:
        """Return why a working order must not be changed, or None.

        Parameters
        ----------
        more : float
            Signed units that the change adds; 0.0 if it adds none, and then only its prices are looked at.
        exposure : ProjectedExposure
            Of its strategy, with the order as it works.
        """
        limit = order.limit_price if change.limit_price is None else change.limit_price
        stop = order.stop_price if change.stop_price is None else change.stop_price
        limit, stop = prices_on_tick(self._instruments[order.symbol], order.side, limit, stop)
        if not more and (limit, stop) == (order.limit_price, order.stop_price):
            return None
        sign, rests = order.side.sign, order.side.sign * order.remaining
        asked = replace(order_view(order), limit_price=limit, stop_price=stop, oco_id="", key="", mode=self._mode)
        account, market = self._portfolio(runner, asked, exposure), self._views.of(order.symbol)
        if not more:
            # Of what works already, and is counted, only the prices are new.
            reduces = order.reduce_only or exposure.rests_within(order.symbol, sign)
            asked = replace(asked, signed_quantity=rests, reduce_only=reduces)
            return self._judged(order, self._of_prices.check_all_detailed(asked, account, market))
        added, whole = replace(asked, signed_quantity=more), replace(asked, signed_quantity=rests + more)
        results = self._validator.check_change(added, whole, account, market, self._facts(runner))
        if not results[-1].reason:
            results += self._of_additions.check_all_detailed(added, account, market)
        return self._judged(order, results)

    def rearm(self) -> None:
        """Begin anew after an operator has looked; see `RiskTracker.rearm`."""
        self.tracker.rearm()

    def _facts(self, runner: StrategyRunner) -> AccountFacts:
        return AccountFacts(mode=self._mode, is_enabled=runner.is_running, limits=runner.limits)

    def _judged(self, order: Order, results: tuple[CheckResult, ...]) -> Rejection | None:
        rejection = next((found.rejection for found in results if found.reason), None)
        outcome: Outcome = "accepted"
        if rejection is not None:
            outcome = "warned" if self._level is Enforcement.WARN else "rejected"
        if self._keep or rejection is not None:
            reason = "" if rejection is None else str(rejection)
            now = self._cursor.known_ns
            self.checks.append(OrderChecks(order.order_id, order.strategy, order.symbol, now, outcome, reason, results))
        return rejection if outcome == "rejected" else None

    def _portfolio(self, runner: StrategyRunner, order: OrderView, exposure: ProjectedExposure) -> PortfolioView:
        exposure_of, others = self._exposure_of, [other for other in self._runners if other is not runner]
        counters = self.tracker.counters(order.strategy, order.symbol, self._cursor.known_ns)
        if self._cools:  # all others do without
            counters = counters.while_working(self._working(runner.name))
        return PortfolioView(
            own=exposure,
            others=tuple(exposure_of(other) for other in others) if exposure_of is not None else (),
            counters=counters,
            scale=self.scale(order.strategy),
        )

    @property
    def _session(self) -> int:
        return int(self._cursor.block.session[self._cursor.row])


def _none_works(_strategy: str) -> Sequence[Order]:
    return ()


def _unscaled(_strategy: str) -> LimitScale:
    return FULL


def _bracket(exits: Sequence[Order]) -> Exits | None:
    """Return what the orders of a bracket say, as an intent would have stated it."""
    if not exits:
        return None
    stop = next((order for order in exits if order.role is OrderRole.STOP_LOSS), None)
    target = next((order for order in exits if order.role is OrderRole.TAKE_PROFIT), None)
    return Exits(
        target.limit_price if target is not None else None,
        stop.stop_price if stop is not None else None,
        stop.trail_amount if stop is not None else None,
        stop.trail_percent if stop is not None else None,
    )
