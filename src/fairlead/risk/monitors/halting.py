"""How a halt is carried out (domain rule 7.4): a machine that is told what happens and the time, and says what to do next.

It reaches nothing itself. Positions are what the broker says, never what was expected of a fill, and an answer counts only if
it was asked for after the last thing that happened to its symbol.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from fairlead.core.orders import OrderStatus, Side
from fairlead.core.time import NS_PER_SECOND
from fairlead.risk.monitors.haltbook import NOTHING, HaltBook, Question, SymbolState
from fairlead.risk.monitors.haltsteps import (
    AskOrders,
    AskPositions,
    CancelOrders,
    Disconnect,
    HaltPhase,
    HaltSettings,
    HaltStep,
    OpenOrder,
    RaiseAlert,
    SubmitFlatten,
)
from fairlead.risk.monitors.settings import HaltAction

_ENDED: Final = frozenset({HaltPhase.DONE, HaltPhase.HELD})
_SHOWN: Final = 10


class HaltPlan:
    """Cancels, waits, assesses, flattens and verifies, and never turns a position round.

    Of a symbol at most one order to flatten works at a time, for no more than the broker's position. Until `assess_s` every
    other order must be final first. One whose cancel is not confirmed by then is taken to fill yet: what it could still take
    off a position is left for it, and the rest is closed.

    Parameters
    ----------
    halt_id : str
        Begins the ids of its orders; another for every halt and every restart.
    action : HaltAction
    started_ns : int
        When the switch tripped.
    orders : iterable of OpenOrder
        What is known to work. The broker is asked too, and what it adds is cancelled as well.
    settings : HaltSettings
    """

    def __init__(
        self,
        halt_id: str,
        action: HaltAction,
        started_ns: int,
        orders: Iterable[OpenOrder] = (),
        settings: HaltSettings | None = None,
    ) -> None:
        self.halt_id, self.action, self.started_ns = halt_id, action, started_ns
        self.phase = HaltPhase.CANCEL
        self.reached: dict[HaltPhase, float] = {HaltPhase.CANCEL: 0.0}
        """Seconds from the trip at which each phase was first reached: the measured clock of the halt."""
        self._settings = settings or HaltSettings()
        self._retry_ns = round(self._settings.retry_s * NS_PER_SECOND)
        self._book = HaltBook(started_ns, round(self._settings.arrival_s * NS_PER_SECOND))
        self._cancel_sent: dict[str, int] = {}
        self._orders, self._positions = Question(), Question()
        self._tickets = 0
        self._alerted: set[str] = set()
        self._closed: frozenset[str] = frozenset()
        for order in orders:
            self._book.learn(order)

    def on_open_orders(self, ticket: int, orders: Iterable[OpenOrder]) -> None:
        """Take in the broker's answer to `AskOrders`: all that works there, ours included.

        An order that is not in it, and had reached the broker when it was asked, is final.
        """
        if (asked := self._orders.answer(ticket)) is not None:
            self._book.listing(*asked, orders)

    def on_order_update(self, order_id: str, status: OrderStatus, remaining: float, order: OpenOrder | None = None) -> None:
        """Take in what the broker says of one order; repeated and late news do no harm.

        Parameters
        ----------
        remaining : float
            Unsigned units that may still fill.
        order : OpenOrder, optional
            The order itself, if it may be one that is not known here. News of an unknown one makes every position old.
        """
        self._book.update(order_id, status, remaining, order)

    def on_positions(self, ticket: int, positions: Mapping[str, float]) -> None:
        """Take in the broker's answer to `AskPositions`: signed units of every symbol that is not flat.

        Raises
        ------
        ContractError
            If one is not a number.
        """
        if (asked := self._positions.answer(ticket)) is not None:
            self._book.place(asked[0], positions)

    def next(self, now_ns: int, closed: Collection[str] = ()) -> list[HaltStep]:
        """Return what is to be done now; to be called after everything that happens, and at least once a second.

        Parameters
        ----------
        closed : collection of str
            Symbols whose market is closed or halted: their orders wait for its opening, and an alert is raised.
        """
        if self.phase in _ENDED:
            return []
        self._closed = frozenset(closed)
        steps = self._cancels(now_ns)
        self._advance(now_ns)
        if self.phase is HaltPhase.DISCONNECT:
            self._reach(HaltPhase.DONE, now_ns)
            return [*steps, Disconnect()]
        if self.phase is HaltPhase.FLATTEN:
            steps += self._flattens(now_ns)
        return [*steps, *self._questions(now_ns), *self._late(now_ns)]

    @property
    def residual(self) -> dict[str, float]:
        """Signed units of what is not flat, by symbol, as the broker last said."""
        return {name: held.position for name, held in sorted(self._book.symbols.items()) if held.is_held}

    @property
    def queued(self) -> tuple[str, ...]:
        """Symbols that wait for their market to open."""
        return tuple(name for name in self.residual if name in self._closed)

    @property
    def working(self) -> tuple[str, ...]:
        """Ids of orders that are to end and have not yet, those that flatten among them."""
        keeps = self.action is HaltAction.HALT_AND_INVESTIGATE
        orders = self._book.orders.values()
        return tuple(sorted(o.order_id for o in orders if not o.is_final and not (keeps and o.is_protective)))

    def _cancels(self, now_ns: int) -> list[HaltStep]:
        due = [order_id for order_id in self.working if self._cancel_is_due(order_id, now_ns)]
        self._cancel_sent.update(dict.fromkeys(due, now_ns))
        return [CancelOrders(tuple(due))] if due else []

    def _cancel_is_due(self, order_id: str, now_ns: int) -> bool:
        sent = self._cancel_sent.get(order_id)
        if order_id in self._book.ours and sent is None:
            sent = self._book.symbol(self._book.orders[order_id].symbol).sent_ns  # a market order gets its time to fill
        return sent is None or now_ns - sent >= self._retry_ns

    def _advance(self, now_ns: int) -> None:
        late, flattens = self._elapsed(now_ns) >= self._settings.assess_s, self.action is HaltAction.HALT_AND_FLATTEN
        if self.phase is HaltPhase.CANCEL and self._orders.answered_at >= 0 and (not self.working or late):
            self._reach(HaltPhase.ASSESS, now_ns)
        is_told = self._positions.answered_at >= 0 and (self._book.is_fresh or late)
        if self.phase is HaltPhase.ASSESS and is_told and (flattens or not self.working):
            self._reach(HaltPhase.FLATTEN if flattens else HaltPhase.HELD, now_ns)
        is_flat = not self.residual and not self.working and self._book.is_fresh
        if self.phase is HaltPhase.VERIFY and (self.residual or self.working):
            self._reach(HaltPhase.FLATTEN, now_ns)
        elif self.phase is HaltPhase.VERIFY and is_flat and self._is_confirmed():
            self._reach(HaltPhase.DISCONNECT, now_ns)
        elif self.phase is HaltPhase.FLATTEN and is_flat:
            self._reach(HaltPhase.VERIFY, now_ns)
            self._book.happened_to_all()  # both answers must be asked for after this instant

    def _is_confirmed(self) -> bool:
        return min(self._orders.answered_at, self._positions.answered_at) >= self._book.events

    def _flattens(self, now_ns: int) -> list[HaltStep]:
        steps: list[HaltStep] = []
        for name, held in sorted(self._book.symbols.items()):
            if not held.is_held or not held.is_fresh or name in self._closed or self._is_flattening(held, now_ns):
                continue
            side = Side.of(-held.position)
            quantity = abs(held.position) - self._book.may_take(name, side)
            if quantity > NOTHING:
                steps.append(self._flatten(name, held, side, quantity, now_ns))
        return steps

    def _is_flattening(self, held: SymbolState, now_ns: int) -> bool:
        if not held.ordinal:
            return False
        return not self._book.orders[held.flatten_id].is_final or now_ns - held.sent_ns < self._retry_ns

    def _flatten(self, name: str, held: SymbolState, side: Side, quantity: float, now_ns: int) -> SubmitFlatten:
        held.ordinal += 1
        held.sent_ns, held.flatten_id = now_ns, f"{self.halt_id}-{name}-{held.ordinal}"
        self._book.ours.add(held.flatten_id)
        status = OrderStatus.SUBMITTED
        self._book.learn(OpenOrder(order_id=held.flatten_id, symbol=name, side=side, remaining=quantity, status=status))
        return SubmitFlatten(held.flatten_id, name, side, quantity)

    def _questions(self, now_ns: int) -> list[HaltStep]:
        steps: list[HaltStep] = []
        events, verifies = self._book.events, self.phase is HaltPhase.VERIFY
        wants_orders = self._orders.answered_at < 0 or verifies or bool(self.working)
        if wants_orders and self._orders.is_due(events, now_ns, self._retry_ns, is_repeated=True):
            steps.append(AskOrders(self._ask(self._orders, now_ns)))
        wants_positions = self._positions.answered_at < 0 or verifies or not self._book.is_fresh
        if wants_positions and self._positions.is_due(events, now_ns, self._retry_ns):
            steps.append(AskPositions(self._ask(self._positions, now_ns)))
        return steps

    def _ask(self, question: Question, now_ns: int) -> int:
        self._tickets += 1
        question.ask(self._tickets, self._book.events, now_ns)
        return self._tickets

    def _late(self, now_ns: int) -> list[HaltStep]:
        """Return the alerts that are due, each once."""
        limits, elapsed, working = self._settings, self._elapsed(now_ns), self.working
        stuck = ", ".join([name for name in working if name not in self._book.ours][:_SHOWN])
        left = ", ".join(f"{name} {units:g}" for name, units in list(self.residual.items())[:_SHOWN]) or "not known"
        flattens = self.action is HaltAction.HALT_AND_FLATTEN
        is_told = self._positions.answered_at >= 0
        due = [
            (f"closed:{name}", f"{name} waits for its market to open: {self.residual[name]:g} units", flattens and is_told)
            for name in self.queued
        ]
        if elapsed > limits.cancel_s and self._orders.answered_at < 0:
            due.append(("orders", f"the broker did not tell its orders within {limits.cancel_s:g} s", True))
        if elapsed > limits.assess_s:
            due.append(("stuck", f"not confirmed as cancelled within {limits.assess_s:g} s: {stuck}", bool(stuck)))
            due.append(("assess", f"the broker did not tell positions within {limits.assess_s:g} s", not is_told))
        if elapsed > limits.flat_s:
            is_open = flattens and HaltPhase.VERIFY not in self.reached
            due.append(("flat", f"not flat within {limits.flat_s:g} s: {left}", is_open))
        if elapsed > limits.verify_s:
            due.append(("verify", f"not verified as flat within {limits.verify_s:g} s: {left}", flattens))
        new = [RaiseAlert(rule, text) for rule, text, holds in due if holds and rule not in self._alerted]
        self._alerted.update(alert.rule for alert in new)
        return list(new)

    def _reach(self, phase: HaltPhase, now_ns: int) -> None:
        self.phase = phase
        self.reached.setdefault(phase, self._elapsed(now_ns))

    def _elapsed(self, now_ns: int) -> float:
        return (now_ns - self.started_ns) / NS_PER_SECOND
