"""Accounts that are watched: what orders may spend, what nights cost, and what a margin call sells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fairlead.core.bars import Cursor
from fairlead.core.fills import Fill
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, Side
from fairlead.core.portfolio import Portfolio
from fairlead.core.time import day_to_date
from fairlead.engine.record import FinancingCharge
from fairlead.engine.runner import StrategyRunner
from fairlead.execution.financing import FinancingSettings, accrue, borrowable
from fairlead.execution.holdings import holdings_of, opening_value, together
from fairlead.execution.margin import (
    AccountSettings,
    Holding,
    Liquidation,
    Settlement,
    liquidations,
    margin_state,
    refusal,
    withdrawable,
)

Charge = Callable[[float], float]
"""Units -> the commission of executing them now, in currency."""
# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_SELL: Final = Side.SELL
_MARKET: Final = OrderType.MARKET
# A limit is not breached by the last bit of a sum of floats.
_ROUNDING: Final = 1e-9


class Accounts:
    """The accounts of a run's strategies, each on its own capital. A run in which nothing is watched has none of this.

    Parameters
    ----------
    account : AccountSettings
    financing : FinancingSettings
    cursor : Cursor
        Where the run stands.

    Attributes
    ----------
    charges : list of FinancingCharge
        Interest and loan fees, in order.
    lots : mapping of str to float
        Lot by symbol: what a margin call sells in.
    """

    def __init__(self, account: AccountSettings, financing: FinancingSettings, cursor: Cursor) -> None:
        self.charges: list[FinancingCharge] = []
        self.lots: Mapping[str, float] = {}
        self._account = account
        self._financing = financing
        self._cursor = cursor
        self._settlements: dict[str, Settlement] = {}
        self._session: int | None = None

    @classmethod
    def watched(cls, account: AccountSettings, financing: FinancingSettings, cursor: Cursor) -> Accounts | None:
        """Return the accounts of a run, None if no setting asks for them."""
        limits = bool(financing.not_borrowable or financing.borrowable_units)
        if not (account.is_watched or financing.charges or limits):
            return None
        return cls(account, financing, cursor)

    def refuses(
        self,
        runner: StrategyRunner,
        instrument: Instrument,
        signed_quantity: float,
        price: float,
        working: Sequence[Order],
        *,
        oco_id: str = "",
        after: Order | None = None,
    ) -> str | None:
        """Return why the account does not allow an order, or None.

        Parameters
        ----------
        price : float
            Last known, in currency.
        working : sequence of Order
            The strategy's orders that are not final.
        oco_id : str
            The set of the order: of its members one fills.
        after : Order, optional
            What the order follows: it is judged as if that had been filled.
        """
        symbol, side = instrument.symbol, Side.of(signed_quantity)
        assumed = {} if after is None else {after.symbol: after.side.sign * after.remaining}
        held = runner.ledger.quantity(symbol) + assumed.get(symbol, 0.0)
        same_side = [o for o in working if o.symbol == symbol and o.side is side and not o.reduce_only]
        resting = together([o for o in same_side if not (oco_id and o.oco_id == oco_id)])
        if held * signed_quantity < 0.0:
            # What the others will have closed is not there to be closed once more.
            assumed[symbol] = assumed.get(symbol, 0.0) + side.sign * resting
            working = [o for o in working if o not in same_side]
            held += side.sign * resting
            resting = 0.0
        short, already = -min(0.0, held + signed_quantity), -min(0.0, held)
        if short > already and short - already > borrowable(symbol, already + resting, self._financing) * (1 + _ROUNDING):
            return "not_borrowable"
        if not self._account.is_watched:
            return None
        cash, holdings = _as_if(runner, assumed)
        return refusal(
            Holding(symbol, signed_quantity, price, instrument.multiplier),
            cash,
            holdings,
            self._account,
            working=opening_value(runner.ledger, working),
            unsettled=self._unsettled(runner.name) - self._coming(runner, working),
        )

    def _coming(self, runner: StrategyRunner, working: Sequence[Order]) -> float:
        # Sales are under way before purchases; if they bring less than they were taken for, the fill buys less.
        if self._account.type != "cash" or self._account.settlement_days:
            return 0.0
        ledger, coming = runner.ledger, 0.0
        for order in working:
            if order.side is _SELL and order.order_type is _MARKET:
                units = min(order.remaining, max(0.0, ledger.quantity(order.symbol)))
                coming += units * ledger.marks[order.symbol] * ledger.multipliers.get(order.symbol, 1.0)
        return coming

    def affordable(
        self,
        runner: StrategyRunner,
        order: Order,
        quantity: float,
        price: float,
        lot: float,
        charge: Charge,
        ahead: Sequence[Fill] = (),
    ) -> float:
        """Return how much of an execution the cash of a cash account pays for, or how much of a sale is there or is lent.

        What was so when the order was decided need not be so any more: an exit may have sold the position before.

        Parameters
        ----------
        ahead : sequence of Fill
            Of the strategy, that count though they are not in its ledger yet.
        """
        if order.side is _SELL:
            held = runner.ledger.quantity(order.symbol)
            if ahead:
                held += sum(fill.signed_quantity for fill in ahead if fill.symbol == order.symbol)
            lent = 0.0 if self._account.type == "cash" else borrowable(order.symbol, max(0.0, -held), self._financing)
            return min(quantity, max(0.0, held) + lent)
        if self._account.type != "cash":
            return quantity
        unit = price * runner.ledger.multipliers.get(order.symbol, 1.0)
        spendable = runner.ledger.cash - self._unsettled(runner.name)
        if ahead:
            spendable += self._paid_ahead(runner, ahead)
        while quantity > 0.0:
            missing = quantity * unit + charge(quantity) - spendable
            if missing <= 0.0:
                break
            quantity -= max(1.0, -(-missing // (unit * lot))) * lot
        return max(0.0, quantity)

    def withdrawable(self, runner: StrategyRunner, working: Sequence[Order]) -> float:
        """Return what can be taken out of a strategy's account now, in currency; infinite where no rule of it says how much.

        Parameters
        ----------
        working : sequence of Order
            The strategy's orders that are not final.
        """
        if not self._account.is_watched:
            return math.inf
        working_value, unsettled = opening_value(runner.ledger, working), self._unsettled(runner.name)
        return withdrawable(
            runner.ledger.cash, holdings_of(runner.ledger), self._account, working=working_value, unsettled=unsettled
        )

    def _paid_ahead(self, runner: StrategyRunner, ahead: Sequence[Fill]) -> float:
        # Proceeds that have to settle first are no more to be spent than those that are booked.
        counts = [fill for fill in ahead if not (self._account.settlement_days and fill.side is _SELL)]
        multipliers = runner.ledger.multipliers
        paid = (fill.signed_quantity * fill.price * multipliers.get(fill.symbol, 1.0) + fill.commission for fill in counts)
        return -sum(paid)

    def book(self, runner: StrategyRunner, fill: Fill) -> None:
        """Count the proceeds of a sale that cannot be spent yet."""
        if self._account.settlement_days and fill.side is _SELL:
            multiplier = runner.ledger.multipliers.get(fill.symbol, 1.0)
            proceeds = fill.quantity * fill.price * multiplier - fill.commission
            self._settlement(runner.name).sold(self._today, proceeds)

    def pass_nights(self, runners: Sequence[StrategyRunner], changed: Callable[[str], None]) -> None:
        """Charge what the days since the last session have cost, if a new one begins at the cursor."""
        today, before = self._today, self._session
        self._session = today
        if before is None or today == before or not self._financing.charges:
            return
        for runner in runners:
            ledger = runner.ledger
            accrual = accrue(ledger.cash, self._values_before(ledger), today - before, self._financing)
            if accrual.total:
                ledger.charge(accrual.total)
                changed(runner.name)
                fees = sum(accrual.borrow_fees.values())
                self.charges.append(FinancingCharge(self._cursor.known_ns, runner.name, accrual.interest, fees))

    def calls(self, runner: StrategyRunner) -> list[Liquidation]:
        """Return what a margin call closes now; empty if there is none."""
        holdings = holdings_of(runner.ledger)
        if not self._account.is_watched or not holdings:
            return []
        return liquidations(runner.ledger.cash, holdings, self._account, self.lots)

    @property
    def stops_on_call(self) -> bool:
        """Whether a margin call ends a strategy's run instead of selling."""
        return self._account.margin_call == "stop"

    def describe(self, runner: StrategyRunner) -> str:
        """Return the text of a margin call."""
        state = margin_state(runner.ledger.cash, holdings_of(runner.ledger), self._account)
        day = day_to_date(self._today)
        return f"margin call on {day}: equity {state.equity:.2f}, maintenance margin {state.maintenance:.2f}"

    def _values_before(self, ledger: Portfolio) -> dict[str, float]:
        # At the close before: the price of now is not what the night was for, and may be that of split shares.
        block, row = self._cursor.block, self._cursor.row - 1
        return {
            p.symbol: p.quantity * float(block.mark[row, block.columns[p.symbol]]) * p.multiplier
            for p in ledger.positions.values()
            if p.quantity
        }

    @property
    def _today(self) -> int:
        return int(self._cursor.block.session[self._cursor.row])

    def _settlement(self, name: str) -> Settlement:
        return self._settlements.setdefault(name, Settlement(self._account.settlement_days))

    def _unsettled(self, name: str) -> float:
        return self._settlement(name).unsettled(self._today) if self._account.settlement_days else 0.0


def _as_if(runner: StrategyRunner, assumed: Mapping[str, float]) -> tuple[float, list[Holding]]:
    """Return cash and holdings as they would be if signed units had been traded at the last known prices."""
    ledger, held = runner.ledger, {h.symbol: h for h in holdings_of(runner.ledger)}
    cash = ledger.cash
    for symbol, quantity in assumed.items():
        price, multiplier = ledger.marks[symbol], ledger.multipliers.get(symbol, 1.0)
        cash -= quantity * price * multiplier
        held[symbol] = Holding(symbol, ledger.quantity(symbol) + quantity, price, multiplier)
    return cash, list(held.values())
