"""A halt carried out at the simulated venue: what `HaltPlan` says is done, and what comes of it is told to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fairlead.core.orders import Order, OrderRole
from fairlead.engine.desk import OrderDesk
from fairlead.engine.runner import StrategyRunner
from fairlead.risk.monitors import (
    AskOrders,
    AskPositions,
    CancelOrders,
    Disconnect,
    HaltAction,
    HaltPhase,
    HaltPlan,
    HaltSettings,
    HaltStep,
    OpenOrder,
    RaiseAlert,
    SubmitFlatten,
)

_ENDED: Final = frozenset({HaltPhase.DONE, HaltPhase.HELD})
# A plan that is answered at once comes to an end in a few rounds.
_ROUNDS: Final = 20


class Closing:
    """Closes the book of one strategy.

    Parameters
    ----------
    halt_id : str
        Another for every halt.
    action : HaltAction
    started_ns : int
    runner : StrategyRunner
    desk : OrderDesk
    alert : callable
        Told what people must hear of.
    settings : HaltSettings, optional
    """

    def __init__(
        self,
        halt_id: str,
        action: HaltAction,
        started_ns: int,
        runner: StrategyRunner,
        desk: OrderDesk,
        alert: Callable[[str], None],
        settings: HaltSettings | None = None,
    ) -> None:
        self.strategy = runner.name
        self._runner, self._desk, self._alert = runner, desk, alert
        self._ours: dict[str, Order] = {}
        self.plan = HaltPlan(halt_id, action, started_ns, self._open_orders(), settings)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done."""
        return self.plan.phase in _ENDED

    def step(self, now_ns: int) -> None:
        """Do what is due now."""
        for order_id, order in self._ours.items():
            self.plan.on_order_update(order_id, order.status, order.remaining)
        for _ in range(_ROUNDS):
            steps = self.plan.next(now_ns)
            if not steps:
                return
            for step in steps:
                self._do(step, now_ns)

    def _do(self, step: HaltStep, now_ns: int) -> None:
        if isinstance(step, CancelOrders):
            self._cancel(step.order_ids, now_ns)
        elif isinstance(step, AskOrders):
            self.plan.on_open_orders(step.ticket, self._open_orders())
        elif isinstance(step, AskPositions):
            self.plan.on_positions(step.ticket, self._desk.held(self._runner.name))
        elif isinstance(step, SubmitFlatten):
            units = step.side.sign * step.quantity
            self._ours[step.order_id] = self._desk.liquidate(self._runner, step.symbol, units, tag=step.order_id)
        elif isinstance(step, RaiseAlert):
            self._alert(f"{self.strategy}: {step.text}")
        elif isinstance(step, Disconnect):
            self._alert(f"{self.strategy}: flat and verified, {self.plan.reached[HaltPhase.DISCONNECT]:.1f} s after the halt")

    def _cancel(self, order_ids: tuple[str, ...], now_ns: int) -> None:
        for name in order_ids:
            order = self._ours.get(name) or self._desk.execution.working.get(name)
            if order is not None and not order.is_terminal:
                self._desk.execution.cancel(order.order_id, now_ns, "halted")
            if order is not None:
                self.plan.on_order_update(name, order.status, order.remaining)

    def _open_orders(self) -> list[OpenOrder]:
        names = {order.order_id: name for name, order in self._ours.items()}
        return [
            OpenOrder(
                order_id=names.get(order.order_id, order.order_id),
                symbol=order.symbol,
                side=order.side,
                remaining=order.remaining,
                status=order.status,
                is_protective=order.reduce_only or order.role in {OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT},
            )
            for order in self._desk.working(self._runner.name)
        ]


class Closings:
    """All that is being closed in a session.

    Parameters
    ----------
    settings : HaltSettings
    alert : callable
        Told what people must hear of.
    """

    def __init__(self, settings: HaltSettings, alert: Callable[[str], None]) -> None:
        self._settings, self._alert = settings, alert
        self._running: list[Closing] = []
        self._begun = 0

    def begin(self, action: HaltAction, now_ns: int, runners: Sequence[StrategyRunner], desk: OrderDesk) -> None:
        """Begin to close the books of some strategies."""
        self._begun += 1
        for runner in runners:
            halt_id = f"halt-{now_ns}-{self._begun}-{runner.name}"
            self._running.append(Closing(halt_id, action, now_ns, runner, desk, self._alert, self._settings))

    @property
    def is_under_way(self) -> bool:
        """Whether something is being closed."""
        return bool(self._running)

    def step(self, now_ns: int) -> bool:
        """Do what is due now, and return whether nothing is left to be done."""
        for closing in self._running:
            closing.step(now_ns)
        self._running = [closing for closing in self._running if not closing.is_over]
        return not self._running
