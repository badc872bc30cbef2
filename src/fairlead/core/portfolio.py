"""Positions and the ledger: average cost, realised and unrealised profit, leverage, buying power (domain rule 6.14)."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.core.accounting import execute
from fairlead.core.errors import DataError
from fairlead.core.events import PositionChange, make_change
from fairlead.core.fills import Fill


class Position:
    """A signed holding of one symbol at average cost.

    Attributes
    ----------
    quantity : float
        Signed units.
    average_price : float
        Average cost per unit in currency; 0.0 when flat.
    realised_pnl : float
        In currency, before commission, since the start.
    """

    __slots__ = ("_largest", "average_price", "multiplier", "quantity", "realised_pnl", "symbol")

    def __init__(self, symbol: str, multiplier: float = 1.0) -> None:
        self.symbol = symbol
        self.multiplier = multiplier
        self.quantity = 0.0
        self.average_price = 0.0
        self.realised_pnl = 0.0
        self._largest = 0.0

    def trade(self, signed_quantity: float, price: float) -> float:
        """Apply an execution and return the profit it realised, in currency.

        Crossing zero closes fully, then opens the rest at `price`.
        """
        self.quantity, self.average_price, self._largest, realised = execute(
            self.quantity, self.average_price, self._largest, signed_quantity, price, self.multiplier
        )
        self.realised_pnl += realised
        return realised

    def split(self, ratio: float) -> None:
        """Scale quantity up and average cost down by `ratio`, new shares per old share."""
        self.quantity *= ratio
        self._largest *= ratio
        self.average_price /= ratio

    def market_value(self, mark: float) -> float:
        """Signed value at `mark`, in currency."""
        return self.quantity * mark * self.multiplier

    def unrealised_pnl(self, mark: float) -> float:
        """Profit if closed at `mark`, in currency, before costs."""
        return (mark - self.average_price) * self.quantity * self.multiplier

    def __repr__(self) -> str:
        return f"Position({self.symbol!r}, quantity={self.quantity}, average_price={self.average_price})"


class Portfolio:
    """Cash and positions of one strategy's capital, marked by whatever `marks` says now.

    Parameters
    ----------
    cash : float
        Starting capital in account currency.
    marks : mapping of symbol to price
        Read at every valuation, so it may be a live view.
    multipliers : mapping of symbol to float, optional
        Currency value of one unit at price 1; 1.0 where absent.

    Notes
    -----
    The ledger identity holds at every moment: equity = cash + sum of quantity * mark * multiplier, and equity = capital
    + realised + unrealised + dividends + financing - commissions.

    Attributes
    ----------
    capital : float
        The initial cash, and what was paid in since less what was taken out, in currency.
    """

    __slots__ = (
        "capital",
        "cash",
        "commissions",
        "dividends",
        "financing",
        "initial_cash",
        "marks",
        "multipliers",
        "positions",
        "realised_pnl",
    )

    def __init__(self, cash: float, marks: Mapping[str, float], multipliers: Mapping[str, float] | None = None) -> None:
        self.initial_cash = cash
        self.capital = cash
        self.cash = cash
        self.marks = marks
        self.multipliers = multipliers or {}
        self.positions: dict[str, Position] = {}
        self.realised_pnl = 0.0
        self.commissions = 0.0
        self.dividends = 0.0
        self.financing = 0.0

    def apply(self, fill: Fill) -> PositionChange:
        """Book an execution and return what it did to the position."""
        symbol = fill.symbol
        before = self.quantity(symbol)
        realised = self.book(symbol, fill.signed_quantity, fill.price, fill.commission)
        position = self.positions[symbol]
        return make_change((symbol, fill.ts_ns, before, position.quantity, position.average_price, realised))

    def book(self, symbol: str, signed_quantity: float, price: float, commission: float) -> float:
        """Book an execution: cash, position, realised profit and commission move together.

        Returns
        -------
        float
            Realised profit, in currency.
        """
        position = self.positions.get(symbol)
        if position is None:
            position = self.positions[symbol] = Position(symbol, self.multipliers.get(symbol, 1.0))
        realised = position.trade(signed_quantity, price)
        self.cash -= signed_quantity * price * position.multiplier + commission
        self.realised_pnl += realised
        self.commissions += commission
        return realised

    def set_capital(self, amount: float) -> float:
        """Pay in, or take out, what leads to a capital of `amount`; return it, in currency: below 0 if it was taken out.

        Cash changes and positions do not: it is no profit and no loss.
        """
        paid = amount - self.capital
        self.cash += paid
        self.capital = amount
        return paid

    def apply_split(self, symbol: str, ratio: float, ts_ns: int) -> PositionChange | None:
        """Scale a position by a split; None if there is no position."""
        position = self.positions.get(symbol)
        if position is None or position.quantity == 0.0:
            return None
        before = position.quantity
        position.split(ratio)
        return PositionChange(symbol, ts_ns, before, position.quantity, position.average_price, 0.0)

    def apply_dividend(self, symbol: str, cash_per_unit: float) -> float:
        """Credit a long and debit a short; return the cash, in currency."""
        position = self.positions.get(symbol)
        if position is None or position.quantity == 0.0:
            return 0.0
        amount = position.quantity * cash_per_unit * position.multiplier
        self.cash += amount
        self.dividends += amount
        return amount

    def hand_out(self, symbol: str, other: str, ratio: float, fraction: float) -> float:
        """Book a spin-off: `ratio` units of `other` per unit held, and with them a `fraction` of the cost.

        A short owes the units. Nothing is realised, unless they meet a position of the other sign.

        Returns
        -------
        float
            Signed units of `other`; 0.0 if there is no position.
        """
        position = self.positions.get(symbol)
        if position is None or position.quantity == 0.0:
            return 0.0
        received = position.quantity * ratio
        cost = position.average_price * fraction
        position.average_price -= cost
        self._book(other, received, self._unit_cost(position, other, cost, ratio))
        return received

    def convert(self, symbol: str, other: str, ratio: float, cash_per_unit: float, fraction: float) -> tuple[float, float]:
        """Book the end of a symbol: its units become `ratio` units of `other`, or cash, or both.

        Parameters
        ----------
        symbol, other : str
            `other` may be empty if `ratio` is 0.
        ratio, cash_per_unit : float
            Per unit of `symbol`; the cash in currency, paid by a short.
        fraction : float
            The part of the cost that moves to `other`; against the rest the cash realises a profit. 1 without cash: a new name
            or a merger for shares realises nothing, unless the units meet a position of the other sign.

        Returns
        -------
        tuple of float
            Cash in currency and signed units of `other`; both 0.0 if there is no position.
        """
        position = self.positions.get(symbol)
        if position is None or position.quantity == 0.0:
            return 0.0, 0.0
        held, average = position.quantity, position.average_price
        amount = held * cash_per_unit * position.multiplier
        kept = average * fraction
        # Closed at what is paid plus the cost that moves on, so that the profit is that of the part that was paid.
        self.realised_pnl += position.trade(-held, cash_per_unit + kept)
        self.cash += amount
        if ratio:
            self._book(other, held * ratio, self._unit_cost(position, other, kept, ratio))
        return amount, held * ratio

    def receive(self, symbol: str, quantity: float, price: float) -> float:
        """Book units that arrive without payment as a dividend in kind at `price`; return their value, in currency."""
        multiplier = self._book(symbol, quantity, price).multiplier
        amount = quantity * price * multiplier
        self.dividends += amount
        return amount

    def _book(self, symbol: str, quantity: float, price: float) -> Position:
        position = self.positions.get(symbol)
        if position is None:
            position = self.positions[symbol] = Position(symbol, self.multipliers.get(symbol, 1.0))
        self.realised_pnl += position.trade(quantity, price)
        return position

    def _unit_cost(self, position: Position, other: str, cost: float, ratio: float) -> float:
        return cost * position.multiplier / (ratio * self.multipliers.get(other, 1.0))

    def charge(self, amount: float) -> None:
        """Add interest, and take off what holding has cost, in currency."""
        self.cash += amount
        self.financing += amount

    def quantity(self, symbol: str) -> float:
        """Signed units held of `symbol`; 0.0 if none."""
        position = self.positions.get(symbol)
        return 0.0 if position is None else position.quantity

    def exposures(self) -> tuple[float, float]:
        """Return (net, gross): the sums of signed and of absolute market values, in currency."""
        net = gross = 0.0
        for position in self.positions.values():
            quantity = position.quantity
            if quantity:
                # Written out: this is asked before every order.
                value = quantity * self._mark(position) * position.multiplier
                net += value
                gross += abs(value)
        return net, gross

    @property
    def equity(self) -> float:
        """Cash plus the market value of every position, in currency."""
        return self.cash + self.exposures()[0]

    @property
    def net_exposure(self) -> float:
        """Sum of signed market values, in currency."""
        return self.exposures()[0]

    @property
    def gross_exposure(self) -> float:
        """Sum of absolute market values, in currency."""
        return self.exposures()[1]

    @property
    def unrealised_pnl(self) -> float:
        """Profit of open positions at their marks, in currency."""
        return sum((p.unrealised_pnl(self._mark(p)) for p in self.positions.values() if p.quantity), 0.0)

    @property
    def leverage(self) -> float:
        """Gross exposure divided by equity; infinite once equity is gone while positions remain."""
        gross = self.gross_exposure
        if gross == 0.0:
            return 0.0
        equity = self.equity
        return gross / equity if equity > 0 else float("inf")

    def buying_power(self, max_leverage: float = 1.0, working_notional: float = 0.0) -> float:
        """Currency still available for new positions: max_leverage * equity - gross - working, at least 0."""
        return max(0.0, max_leverage * self.equity - self.gross_exposure - working_notional)

    def _mark(self, position: Position) -> float:
        mark = self.marks[position.symbol]
        if mark != mark:
            raise DataError(f"no price for {position.symbol!r}, of which {position.quantity} units are held.")
        return mark

    def __repr__(self) -> str:
        held = sum(1 for p in self.positions.values() if p.quantity)
        return f"Portfolio(cash={self.cash:.2f}, positions={held})"
