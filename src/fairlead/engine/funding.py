"""Money paid into the books of strategies, and taken out of them, while their session runs."""

from __future__ import annotations

import math
from typing import Final

from fairlead.core.bars import Cursor
from fairlead.core.errors import ContractError, RiskLimitError
from fairlead.engine.accounts import Accounts
from fairlead.engine.desk import OrderDesk
from fairlead.engine.equity import CurveRecorder
from fairlead.engine.gate import OrderGate
from fairlead.engine.record import CashFlow
from fairlead.engine.runner import StrategyRunner

# A limit is not breached by the last bit of a sum of floats.
_ROUNDING: Final = 1e-9


class Funding:
    """Changes the capital of strategies between two instants of a session that is attended.

    Parameters
    ----------
    cursor : Cursor
        Where the session stands.
    desk : OrderDesk
        Knows what works.
    curves : CurveRecorder
    accounts : Accounts, optional
        Where they are watched: they say how much may be taken out.
    gate : OrderGate, optional
        Whose guards must take no cash flow for a profit or a loss.

    Attributes
    ----------
    flows : list of CashFlow
        What was paid in and taken out, in order.
    """

    def __init__(
        self, cursor: Cursor, desk: OrderDesk, curves: CurveRecorder, accounts: Accounts | None, gate: OrderGate | None
    ) -> None:
        self.flows: list[CashFlow] = []
        self._cursor = cursor
        self._desk = desk
        self._curves = curves
        self._accounts = accounts
        self._gate = gate

    def set_capital(self, runner: StrategyRunner, amount: float) -> float:
        """Pay in, or take out, what leads to a capital of `amount`; return it, in currency: below 0 if it was taken out.

        Parameters
        ----------
        amount : float
            In currency: what the strategy began with, and was paid in since less what was taken out.

        Raises
        ------
        ContractError
            If it is not a finite amount of 0 or more.
        RiskLimitError
            If the strategy has stopped, or more would be taken out than the leverage that it may have, and its account, allow.
        """
        name, before = runner.name, runner.ledger.capital
        if not (math.isfinite(amount) and amount >= 0.0):
            raise ContractError.of(f"capital of {name}", "be a finite amount of at least 0, in currency", amount)
        if not runner.is_running:
            remedy = "It failed, and decides nothing more: what is held can be closed (fairlead session flatten)."
            raise RiskLimitError.of(f"capital of {name}", f"stay {before:,.2f}, as the strategy has stopped", amount, remedy)
        if amount < before:
            self._check_spare(runner, before - amount, amount)
        paid = runner.ledger.set_capital(amount)
        if paid:
            self._curves.paid(name, paid)
            if self._gate is not None:
                self._gate.tracker.cash_flow(paid)
            self.flows.append(CashFlow(self._cursor.known_ns, name, paid))
        return paid

    def _check_spare(self, runner: StrategyRunner, wanted: float, amount: float) -> None:
        leverage = runner.limits.max_leverage
        # What is held and works must stay within the limits of the strategy and of its account, as if it were ordered now.
        spare = self._desk.exposure(runner).buying_power(leverage) / leverage
        if self._accounts is not None:
            spare = min(spare, self._accounts.withdrawable(runner, self._desk.working(runner.name)))
        if wanted <= spare + _ROUNDING * max(1.0, abs(runner.ledger.capital)):
            return
        # To whole cents, upwards: what the text says must be accepted.
        least = math.ceil(round(100.0 * (runner.ledger.capital - spare), 6)) / 100.0
        rule = f"be at least {least:,.2f}, as no more than {spare:,.2f} can be taken out"
        remedy = "The rest is held, bound by working orders or not settled yet. Take out less, or close positions first."
        raise RiskLimitError.of(f"capital of {runner.name}", rule, amount, remedy)
