"""What is asked of an order before it leaves: the limits, whoever may veto, account and gate; the first no is the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from fairlead.core.instruments import Instrument
from fairlead.core.intents import ReplaceIntent
from fairlead.core.orders import Order, OrderType, Side
from fairlead.engine.accounts import Accounts
from fairlead.engine.gate import OrderGate
from fairlead.engine.runner import StrategyRunner
from fairlead.risk.pretrade import ProjectedExposure, check_order
from fairlead.risk.rejection import Rejection

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_BUY: Final = Side.BUY
_UNKNOWN: Final = float("nan")
_REPLACE_REJECTED: Final = "replace_rejected"


class Veto(Protocol):
    """Says why no order of a strategy may leave."""

    def __call__(self, strategy: str, *, only_reduces: bool) -> str | None:
        """Return why not, or None."""


class Admission:
    """Decides whether orders, followers and changes may leave.

    Parameters
    ----------
    instruments : mapping of symbol to Instrument
    gone : mapping of symbol to str
        Symbols that have ended, and why orders in them are refused.
    working : callable
        The working orders of a strategy.
    accounts : Accounts, optional
    gate : OrderGate, optional
        Validator and guards.

    Attributes
    ----------
    veto : Veto, optional
        Asked before account and gate.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        gone: Mapping[str, str],
        working: Callable[[str], list[Order]],
        accounts: Accounts | None,
        gate: OrderGate | None,
    ) -> None:
        self.veto: Veto | None = None
        self._instruments = instruments
        self._gone = gone
        self._working = working
        self._accounts = accounts
        self._gate = gate

    def close(self) -> None:
        """Let go of whose orders were asked about, after the end of a run."""
        self.veto = None
        self._working = lambda _name: []

    def within_limits(
        self,
        runner: StrategyRunner,
        symbol: str,
        quantity: float,
        order_type: OrderType,
        exposure: ProjectedExposure,
        oco_id: str = "",
    ) -> Rejection | None:
        """Return why a strategy's own limits refuse signed units of a symbol, or None; of a set, what exceeds it counts."""
        if oco_id:
            quantity = exposure.beyond_set(symbol, quantity, oco_id)
            if quantity == 0.0:
                return None
        price = exposure.price(symbol) if symbol in self._instruments else _UNKNOWN
        return check_order(
            symbol,
            quantity,
            order_type,
            exposure=exposure,
            limits=runner.limits,
            instruments=self._instruments,
            price=price,
        )

    def refuses(
        self, runner: StrategyRunner, order: Order, exposure: ProjectedExposure, exits: Sequence[Order] = ()
    ) -> Rejection | None:
        """Return why an order that is within its limits must not leave, or None.

        Parameters
        ----------
        exposure : ProjectedExposure
            Of its strategy, without it.
        exits : sequence of Order
            Of its bracket.
        """
        rejection = self._vetoed(order, exposure)
        if rejection is None and self._accounts is not None and not order.reduce_only:
            price, limit = exposure.price(order.symbol), order.limit_price
            if order.side is _BUY and limit is not None:
                price = min(price, limit)  # it pays no more
            units = order.side.sign * order.quantity
            rejection = self._ask_account(self._accounts, runner, order, units, price, self._working(runner.name))
        if rejection is None and self._gate is not None:
            rejection = self._gate.refuses(runner, order, exposure, exits)
        return rejection

    def refuses_follower(
        self,
        runner: StrategyRunner,
        parent: Order,
        order: Order,
        quantity: float,
        exposure: ProjectedExposure,
        siblings: Sequence[Order],
    ) -> Rejection | None:
        """Return why what follows `parent` must not be ordered, or None.

        Parameters
        ----------
        quantity : float
            Signed units; 0.0 if they are less than the smallest order.
        exposure : ProjectedExposure
            As if the parent were filled.
        siblings : sequence of Order
            What follows it besides.
        """
        if order.symbol in self._gone:
            return Rejection(self._gone[order.symbol])
        if quantity == 0.0:
            return Rejection("below_min_qty")
        rejection = None
        if not order.reduce_only:
            rejection = self.within_limits(runner, order.symbol, quantity, order.order_type, exposure, order.oco_id)
        if rejection is None and self._accounts is not None and not order.reduce_only:
            working, price = [*self._working(runner.name), *siblings], exposure.price(order.symbol)
            rejection = self._ask_account(self._accounts, runner, order, quantity, price, working, parent)
        if rejection is None:
            rejection = self._vetoed(order, exposure)
        if rejection is None and self._gate is not None:
            rejection = self._gate.refuses(runner, order, exposure)
        return rejection

    def refuses_change(
        self, runner: StrategyRunner, order: Order, change: ReplaceIntent, exposure_of: Callable[[], ProjectedExposure]
    ) -> str:
        """Return why a working order must not be changed; empty if it may. What a change adds is asked like an order.

        Parameters
        ----------
        exposure_of : callable
            Of its strategy, with the order as it works; called if it is needed.
        """
        instrument = self._instruments[order.symbol]
        more = 0.0 if change.quantity is None else instrument.floor_quantity(change.quantity) - order.quantity
        adds = more > 0.0 and not order.reduce_only
        if not adds and self._gate is None:
            return ""
        if adds and self.veto is not None and (reason := self.veto(runner.name, only_reduces=False)) is not None:
            return f"{_REPLACE_REJECTED}: {reason}"
        exposure, added = exposure_of(), order.side.sign * more if adds else 0.0
        if adds and self.within_limits(runner, order.symbol, added, order.order_type, exposure) is not None:
            return _REPLACE_REJECTED
        if adds and self._accounts is not None:
            working, price = self._working(runner.name), exposure.price(order.symbol)
            if self._accounts.refuses(runner, instrument, added, price, working) is not None:
                return _REPLACE_REJECTED
        rejection = None if self._gate is None else self._gate.refuses_change(runner, order, change, added, exposure)
        return "" if rejection is None else f"{_REPLACE_REJECTED}: {rejection}"

    def _vetoed(self, order: Order, exposure: ProjectedExposure) -> Rejection | None:
        if self.veto is None:
            return None
        units = order.side.sign * order.quantity
        reduces = order.reduce_only or exposure.surely_exits(order.symbol, units, order.order_type)
        reason = self.veto(order.strategy, only_reduces=reduces)
        return None if reason is None else Rejection(reason)

    def _ask_account(
        self,
        accounts: Accounts,
        runner: StrategyRunner,
        order: Order,
        quantity: float,
        price: float,
        working: Sequence[Order],
        after: Order | None = None,
    ) -> Rejection | None:
        instrument = self._instruments[order.symbol]
        refused = accounts.refuses(runner, instrument, quantity, price, working, oco_id=order.oco_id, after=after)
        return Rejection(refused) if refused is not None else None
