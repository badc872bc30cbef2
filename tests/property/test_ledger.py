"""The ledger under any sequence of fills, corporate actions and price moves, against books kept another way."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fairlead.core.fills import Fill
from fairlead.core.orders import Side
from fairlead.core.portfolio import Portfolio

MULTIPLIERS = {"AAPL": 1.0, "ES": 50.0, "BTC": 1.0}
STEPS = {"AAPL": 1.0, "ES": 1.0, "BTC": 0.001}
SYMBOLS = st.sampled_from(sorted(MULTIPLIERS))
PRICES = st.floats(min_value=0.01, max_value=1e4)


class Ledger(RuleBasedStateMachine):
    """The second set of books knows units and cash flows only: no average cost, no realised profit."""

    @initialize(cash=st.floats(min_value=0.0, max_value=1e7))
    def opened(self, cash):
        self.marks = dict.fromkeys(MULTIPLIERS, 100.0)
        self.ledger = Portfolio(cash, self.marks, MULTIPLIERS)
        self.initial = cash
        self.units = dict.fromkeys(MULTIPLIERS, 0.0)
        self.flows = [cash]
        self.commissions: list[float] = []
        self.dividends: list[float] = []

    @rule(symbol=SYMBOLS, lots=st.integers(-500, 500).filter(bool), price=PRICES, commission=st.floats(0, 100))
    def traded(self, symbol, lots, price, commission):
        signed = lots * STEPS[symbol]
        before = self.ledger.quantity(symbol)
        realised_before = self.ledger.realised_pnl
        fill = Fill("f", "o", "s", symbol, Side.of(signed), abs(signed), price, price, commission, 1, 0)
        change = self.ledger.apply(fill)
        self.units[symbol] += signed
        self.flows += [-signed * price * MULTIPLIERS[symbol], -commission]
        self.commissions.append(commission)
        assert change.quantity_before == before
        assert change.quantity_after == self.ledger.quantity(symbol)
        if before * signed >= 0:
            assert change.realised_pnl == 0.0, "opening and adding realise nothing"
            assert self.ledger.realised_pnl == realised_before
        elif abs(signed) > abs(before) + 1e-9:
            assert change.average_price == price, "the rest after crossing zero opens at the fill"

    @rule(symbol=SYMBOLS)
    def closed(self, symbol):
        held = self.ledger.quantity(symbol)
        if held == 0.0:
            return
        price = self.marks[symbol]
        self.ledger.apply(Fill("f", "o", "s", symbol, Side.of(-held), abs(held), price, price, 0.0, 1, 0))
        self.flows.append(held * price * MULTIPLIERS[symbol])
        self.units[symbol] = 0.0
        assert self.ledger.quantity(symbol) == 0.0
        assert self.ledger.positions[symbol].average_price == 0.0

    @rule(symbol=SYMBOLS, ratio=st.sampled_from([2.0, 4.0, 0.5, 0.1, 1.5]))
    def split(self, symbol, ratio):
        equity, unrealised = self.ledger.equity, self.ledger.unrealised_pnl
        change = self.ledger.apply_split(symbol, ratio, 1)
        assert (change is None) == (self.units[symbol] == 0.0 or abs(self.units[symbol]) < 1e-9)
        self.units[symbol] *= ratio
        self.marks[symbol] /= ratio
        assert math.isclose(self.ledger.equity, equity, rel_tol=1e-9, abs_tol=self._tolerance())
        assert math.isclose(self.ledger.unrealised_pnl, unrealised, rel_tol=1e-9, abs_tol=self._tolerance())

    @rule(symbol=SYMBOLS, cash_per_unit=st.floats(0.01, 10))
    def paid_a_dividend(self, symbol, cash_per_unit):
        amount = self.ledger.apply_dividend(symbol, cash_per_unit)
        expected = self.units[symbol] * cash_per_unit * MULTIPLIERS[symbol]
        assert math.isclose(amount, expected, rel_tol=1e-9, abs_tol=1e-6)
        self.flows.append(amount)
        self.dividends.append(amount)

    @rule(symbol=SYMBOLS, other=SYMBOLS, ratio=st.sampled_from([0.5, 1.0, 3.0]), fraction=st.sampled_from([0.1, 0.6]))
    def spun_off(self, symbol, other, ratio, fraction):
        if symbol == other:
            return
        cash = self.ledger.cash
        received = self.ledger.hand_out(symbol, other, ratio, fraction)
        assert math.isclose(received, self.units[symbol] * ratio, rel_tol=1e-9, abs_tol=1e-9)
        self.units[other] += received
        assert self.ledger.cash == cash, "shares, not money"

    @rule(
        symbol=SYMBOLS,
        other=SYMBOLS,
        ratio=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
        cash=st.sampled_from([0.0, 2.5, 40.0]),
        fraction=st.sampled_from([0.0, 0.3, 1.0]),
    )
    def ended(self, symbol, other, ratio, cash, fraction):
        """A merger, a new name or a delisting, whatever part of the cost goes along."""
        if symbol == other:
            return
        held = self.units[symbol]
        moved = fraction if ratio else 0.0
        amount, received = self.ledger.convert(symbol, other, ratio, cash, moved)
        assert math.isclose(amount, held * cash * MULTIPLIERS[symbol], rel_tol=1e-9, abs_tol=1e-6)
        assert self.ledger.quantity(symbol) == 0.0
        self.flows.append(amount)
        self.units[symbol] = 0.0
        self.units[other] += received

    @rule(symbol=SYMBOLS, units=st.sampled_from([-3.0, 5.0]), price=PRICES)
    def received(self, symbol, units, price):
        self.dividends.append(self.ledger.receive(symbol, units, price))
        assert math.isclose(self.dividends[-1], units * price * MULTIPLIERS[symbol])
        self.units[symbol] += units

    @rule(symbol=SYMBOLS, price=PRICES)
    def marked(self, symbol, price):
        self.marks[symbol] = price

    def _tolerance(self) -> float:
        """1e-9 of the largest sum that took part: what survives cancellation cannot be more exact."""
        return 1e-9 * max(1.0, sum(abs(flow) for flow in self.flows), self.ledger.gross_exposure)

    def _close(self, ours: float, books: float) -> bool:
        return abs(ours - books) <= self._tolerance()

    @invariant()
    def units_agree(self):
        for symbol, units in self.units.items():
            assert math.isclose(self.ledger.quantity(symbol), units, rel_tol=1e-9, abs_tol=1e-9)

    @invariant()
    def equity_is_cash_plus_positions(self):
        assert self._close(self.ledger.cash, math.fsum(self.flows))
        values = [self.units[s] * self.marks[s] * MULTIPLIERS[s] for s in MULTIPLIERS]
        assert self._close(self.ledger.equity, math.fsum([*self.flows, *values]))
        assert self._close(self.ledger.net_exposure, math.fsum(values))
        assert self._close(self.ledger.gross_exposure, math.fsum(map(abs, values)))

    @invariant()
    def equity_is_initial_plus_profit(self):
        ledger = self.ledger
        explained = self.initial + ledger.realised_pnl + ledger.unrealised_pnl + ledger.dividends - ledger.commissions
        assert self._close(ledger.equity, explained)

    @invariant()
    def the_accounts_add_up(self):
        ledger = self.ledger
        assert self._close(ledger.commissions, math.fsum(self.commissions))
        assert self._close(ledger.dividends, math.fsum(self.dividends))
        assert self._close(ledger.realised_pnl, math.fsum(p.realised_pnl for p in ledger.positions.values()))

    @invariant()
    def buying_power_is_never_negative(self):
        ledger = self.ledger
        power = ledger.buying_power(2.0, 10.0)
        assert power >= 0.0
        assert self._close(power, max(0.0, 2.0 * ledger.equity - ledger.gross_exposure - 10.0))


Ledger.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
test_ledger = Ledger.TestCase
