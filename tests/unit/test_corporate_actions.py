"""Every kind of corporate action, worked out by hand: position, cost, cash, resting orders, history, features and trades."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fairlead.backtest.benchmark import buy_and_hold
from fairlead.backtest.trades import ledger_of
from fairlead.core.errors import ConfigurationError, ContractError, DataError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import Order, OrderType, Side, TimeInForce
from fairlead.execution.corporate import orders_to_cancel, orders_to_move, rename_order, rescale_order
from support_sessions import FIRST_DAY, Scripted, allocate, days, dividend, flat, minutes, random_bars, run, split, steady

GTC = TimeInForce.GTC
market = OrderIntent.market


def on(day: int) -> int:
    return FIRST_DAY + day


def gone_after(day: int, *, price: float = 50.0, n: int = 8) -> list:
    """Bars of a name that ends."""
    return [flat(price) if i < day else None for i in range(n)]


def from_day(day: int, *, price: float = 20.0, n: int = 8) -> list:
    """Bars of a name that begins late."""
    return [None if i < day else flat(price) for i in range(n)]


class Diary(Scripted):
    """Notes its ledger, its closes and its features after every instant."""

    def __init__(self, script=None, *, look=(), features=None):
        super().__init__(script)
        self.look = look
        self.wanted = features or {}
        self.held: list[dict[str, tuple[float, float]]] = []
        self.closes: list[dict[str, list[float]]] = []
        self.values: list[dict[str, float]] = []

    def required_features(self):
        return self.wanted

    def generate_orders(self, context):
        self.held.append({s: (p.quantity, p.average_price) for s, p in context.portfolio.positions.items()})
        self.closes.append({s: context.historical_data.closes(s, 50).tolist() for s in self.look})
        self.values.append({s: context.features.get(name, s) for s in self.look for name in self.wanted})
        return super().generate_orders(context)


def outcomes(record):
    return [(o.symbol, str(o.status), o.reason) for o in record.orders]


def explained(record, multipliers=None) -> bool:
    gained = float(record.account.equity[-1]) - record.initial_cash
    return math.isclose(ledger_of(record, multipliers).total_pnl, gained, rel_tol=1e-9, abs_tol=1e-6)


# ----------------------------------------------------------------------------------------------------- what they state


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CorporateAction("A", 1, ActionKind.SPLIT, 0.0), "'A split' must have a finite value above 0"),
        (lambda: CorporateAction("A", 1, ActionKind.SPLIT, 2.0, "B"), "'A split other' must name no other symbol, was 'B'"),
        (lambda: CorporateAction("A", 1, ActionKind.DIVIDEND, 2.0, cash=1.0), "'A dividend cash' must not be given"),
        (lambda: CorporateAction.stock_dividend("A", 1, math.inf), "'A stock_dividend' must have a finite value above 0"),
        (lambda: CorporateAction.spin_off("A", 1, "", 1.0), "'A spin_off other' must name another symbol"),
        (
            lambda: CorporateAction.spin_off("A", 1, "B", 1.0, basis=1.0),
            "'A spin_off basis' must be a fraction between 0 and 1",
        ),
        (lambda: CorporateAction.rename("A", 1, "A"), "'A rename other' must be another symbol"),
        (lambda: CorporateAction.rename("A", 1, "b"), "'A rename other' must be another symbol, in capitals, was 'b'"),
        (lambda: CorporateAction("A", 1, ActionKind.RENAME, 2.0, "B"), "'A rename' must have no value, was 2.0"),
        (lambda: CorporateAction.merger("A", 1), "'A merger' must pay cash, or shares of an acquirer.* is a delisting"),
        (lambda: CorporateAction.merger("A", 1, shares=1.0), "'A merger other' must name another symbol"),
        (lambda: CorporateAction.merger("A", 1, cash=1.0, acquirer="B"), "'A merger other' must name no other symbol"),
        (lambda: CorporateAction.merger("A", 1, cash=1.0, shares=-1.0), "'A merger' must have a finite value of 0 or more"),
        (lambda: CorporateAction.delisting("A", 1, cash=-1.0), "'A delisting cash' must be a finite amount of 0 or more"),
        (lambda: CorporateAction("A", 1, ActionKind.DELISTING, basis=0.5), "'A delisting basis' must not be given"),
    ],
)
def test_an_impossible_action_is_refused(make, text):
    with pytest.raises(ContractError, match=text):
        make()


@pytest.mark.parametrize(
    ("action", "close", "other", "factor"),
    [
        (CorporateAction("A", 1, ActionKind.SPLIT, 4.0), 100.0, math.nan, 0.25),
        (CorporateAction("A", 1, ActionKind.DIVIDEND, 2.0), 100.0, math.nan, 0.98),
        (CorporateAction("A", 1, ActionKind.DIVIDEND, 2.0), math.nan, math.nan, 1.0),
        (CorporateAction.stock_dividend("A", 1, 0.25), 100.0, math.nan, 0.8),
        (CorporateAction.spin_off("A", 1, "B", 0.5), 100.0, 40.0, 0.8),
        (CorporateAction.spin_off("A", 1, "B", 0.5, basis=0.3), 100.0, 40.0, 0.8),
        (CorporateAction.spin_off("A", 1, "B", 0.5, basis=0.3), 100.0, math.nan, 0.7),
        (CorporateAction.spin_off("A", 1, "B", 0.5), 100.0, math.nan, 1.0),
        (CorporateAction.spin_off("A", 1, "B", 0.5), 10.0, 40.0, 1.0),
        (CorporateAction.merger("A", 1, cash=3.0), 100.0, math.nan, 1.0),
        (CorporateAction.rename("A", 1, "B"), 100.0, 40.0, 1.0),
        (CorporateAction.delisting("A", 1), 100.0, math.nan, 1.0),
    ],
)
def test_price_factors(action, close, other, factor):
    """Domain rule 2.7; a factor that is not above 0 cannot be meant, and is left out."""
    assert action.price_factor(close, other) == pytest.approx(factor)


def test_actions_of_one_session_come_in_an_order_that_makes_sense():
    """What is paid comes before what ends: a dividend of the last day is paid to whoever held the name."""
    found = [CorporateAction.delisting("A", 1), CorporateAction.stock_dividend("A", 1, 0.1), dividend("A", 1 - FIRST_DAY, 1.0)]
    assert [str(a.kind) for a in sorted(found, key=lambda a: a.sort_key)] == ["dividend", "stock_dividend", "delisting"]


# ----------------------------------------------------------------------------------------------------- stock dividends


def test_a_stock_dividend_adds_shares_and_thins_the_cost():
    """105 shares for 100, cost 100 -> 95.24; nothing is paid, and history is not a fall."""
    bars = [*steady(4, 105.0), *steady(4, 100.0)]
    diary = Diary({0: [market("A", 100)]}, look="A", features={"mean": ("sma", {"n": 3})})
    record = run(days({"A": bars}, actions=[CorporateAction.stock_dividend("A", on(4), 0.05)]), diary)
    assert diary.held[4]["A"] == (105.0, pytest.approx(100.0))
    np.testing.assert_allclose(record.account.equity, 100_000, rtol=1e-12)
    assert diary.closes[4]["A"] == pytest.approx([100.0] * 5)
    assert diary.values[3]["A"] == pytest.approx(105.0)
    assert diary.values[4]["A"] == pytest.approx(100.0)
    assert explained(record)
    assert record.applied_actions[0].cash == 0.0


def test_a_stock_dividend_scales_resting_orders():
    bars = [*steady(4, 110.0), *steady(4, 100.0)]
    script = {1: [OrderIntent.limit("A", 100, 55.0, time_in_force=GTC)]}
    record = run(days({"A": bars}, actions=[CorporateAction.stock_dividend("A", on(4), 0.1)]), Scripted(script))
    (order,) = record.orders
    assert (order.quantity, order.limit_price, order.decision) == (pytest.approx(110.0), 50.0, (100.0, 55.0, None))


# ----------------------------------------------------------------------------------------------------- spin-offs


def spun(basis=None, *, child_from=4, units=100.0, script=None, look=("P",), parent=(100.0, 80.0)):
    bars = {"P": [*steady(4, parent[0]), *steady(4, parent[1])], "C": from_day(child_from, price=40.0)}
    diary = Diary({0: [market("P", units)], **(script or {})}, look=look, features={"mean": ("sma", {"n": 3})})
    record = run(days(bars, actions=[CorporateAction.spin_off("P", on(4), "C", 0.5, basis=basis)]), diary)
    assert not record.strategies[0].error
    return record, diary


@pytest.mark.parametrize("units", [100.0, -100.0])
def test_a_spin_off_hands_out_shares_and_splits_the_cost(units):
    """100 at 100 become 100 at 80 and 50 at 40: worth the same, and the cost goes with the prices of the day, 80 : 20."""
    record, diary = spun(units=units)
    assert diary.held[3] == {"P": (units, 100.0)}
    assert diary.held[4] == {"P": (units, pytest.approx(80.0)), "C": (units / 2, pytest.approx(40.0))}
    np.testing.assert_allclose(record.account.equity, 100_000, rtol=1e-12)
    (applied,) = record.applied_actions
    assert (applied.quantity_after, applied.other_quantity, applied.cash) == (units, units / 2, 0.0)
    assert applied.cost_fraction == pytest.approx(0.2)
    assert explained(record)


def test_the_announced_basis_splits_the_cost():
    """The worth is the same, the profit is told otherwise: 100 * 0.3 of cost go to half a share."""
    record, diary = spun(basis=0.3)
    assert diary.held[4] == {"P": (100.0, pytest.approx(70.0)), "C": (50.0, pytest.approx(60.0))}
    np.testing.assert_allclose(record.account.equity, 100_000, rtol=1e-12)
    assert explained(record)


def test_a_spin_off_is_no_fall_in_history_and_features():
    record, diary = spun()
    assert diary.closes[4]["P"] == pytest.approx([80.0] * 5)
    assert diary.values[4]["P"] == pytest.approx(80.0)
    assert diary.closes[3]["P"] == [100.0] * 4, "nobody knew before"
    assert record.fills


def test_the_trades_of_a_spin_off_keep_the_entry():
    """Both parts are sold at their price: no profit, and both trades began with the one purchase."""
    record, _ = spun(script={4: [market("P", -100), market("C", -50)]})
    trades = ledger_of(record).closed
    assert [(t.symbol, t.qty, t.entry_price, t.exit_price) for t in trades] == [
        ("P", 100.0, pytest.approx(80.0), 80.0),
        ("C", 50.0, pytest.approx(40.0), 40.0),
    ]
    assert len({t.entry_ns for t in trades}) == 1
    assert len({t.trade_id for t in trades}) == 2
    assert [t.net_pnl for t in trades] == pytest.approx([0.0, 0.0])


def test_a_child_without_a_price_comes_later_as_a_dividend_in_kind():
    """The parent falls on the day; two sessions later the child trades, and its worth is what had been missing."""
    record, diary = spun(child_from=6)
    assert diary.held[5] == {"P": (100.0, 100.0)}
    assert diary.held[6] == {"P": (100.0, 100.0), "C": (50.0, 40.0)}
    equity = record.account.equity
    assert (equity[3], equity[5], equity[6]) == (100_000.0, 98_000.0, 100_000.0)
    (applied,) = record.applied_actions
    assert (applied.cash, applied.in_kind, applied.other_quantity) == (0.0, 2_000.0, 50.0)
    assert [d.cash for d in ledger_of(record).dividends] == [2_000.0]
    assert explained(record)
    assert diary.closes[4]["P"] == [100.0] * 4 + [80.0], "without a price of the child the history is left as it is"


def test_whoever_sold_the_parent_after_the_day_still_gets_the_child():
    record, diary = spun(child_from=6, script={4: [market("P", -100)]})
    assert diary.held[6] == {"C": (50.0, 40.0)}
    assert explained(record)


# ----------------------------------------------------------------------------------------------------- renames


def renamed(script, **kwargs):
    bars = {"OLD": gone_after(4), "NEW": from_day(4, price=50.0), "X": steady(8, 10.0)}
    diary = Diary(script, **kwargs)
    record = run(days(bars, actions=[CorporateAction.rename("OLD", on(4), "NEW")]), diary)
    assert not record.strategies[0].error
    return record, diary


def test_a_position_goes_on_under_the_new_name():
    record, diary = renamed({0: [market("OLD", 100)], 5: [market("NEW", -100)]})
    assert diary.held[3] == {"OLD": (100.0, 50.0)}
    assert diary.held[4] == {"NEW": (100.0, 50.0)}
    np.testing.assert_allclose(record.account.equity, 100_000, rtol=1e-12)
    (trade,) = ledger_of(record).trades
    assert (trade.symbol, trade.qty, trade.entry_price, trade.status) == ("NEW", 100.0, 50.0, "closed")
    assert trade.entry_ns == record.fills[0].ts_ns
    assert ("action", "OLD", "rename") in diary.heard


def test_resting_orders_go_on_under_the_new_name():
    """The buy limit was sent for the old name and fills under the new one."""
    bars = {"OLD": gone_after(4), "NEW": [*from_day(4, price=50.0, n=6), (50.0, 50.0, 44.0, 45.0), flat(45.0)]}
    script = {1: [OrderIntent.limit("OLD", 10, 46.0, time_in_force=GTC)]}
    record = run(days(bars, actions=[CorporateAction.rename("OLD", on(4), "NEW")]), Scripted(script))
    assert outcomes(record) == [("NEW", "FILLED", "")]
    assert [(f.symbol, f.price) for f in record.fills] == [("NEW", 46.0)]


def test_orders_in_the_old_name_are_refused_with_a_reason():
    record, _ = renamed({3: [market("OLD", 1)], 4: [market("OLD", 1), market("NEW", 1)]})
    assert outcomes(record) == [
        ("NEW", "EXPIRED", "day_end"),
        ("OLD", "REJECTED", "renamed"),
        ("NEW", "FILLED", ""),
    ] or outcomes(record) == [("NEW", "FILLED", ""), ("OLD", "REJECTED", "renamed"), ("NEW", "FILLED", "")]


@pytest.mark.parametrize("rows", [None, 1, 3])
def test_history_and_features_go_on_under_the_new_name(rows):
    """A split of the old name before, a dividend of the new one after: one series, and the features never start again."""
    rng = np.random.default_rng(3)
    series = random_bars(rng, 30)
    one = {"A": series, "X": steady(30)}
    two = {"A": [*series[:18], *[None] * 12], "B": [*[None] * 18, *series[18:]], "X": steady(30)}
    wanted = {"rsi": ("rsi", {"n": 4}), "mean": ("sma", {"n": 6}), "ema": ("ema", {"n": 5}), "obv": "obv"}
    later = [(10, 2.0), (24, 0.5)]

    def source(bars, actions):
        return days(bars, actions=actions, rows=rows)

    class Looks(Scripted):
        def __init__(self, name_of):
            super().__init__()
            self.name_of, self.seen, self.features = name_of, [], {}

        def required_features(self):
            return wanted

        def generate_orders(self, context):
            self.instant += 1
            name, past = self.name_of(self.instant), context.historical_data
            self.seen.append([context.features.get(label, name) for label in wanted])
            fields = ("open", "high", "low", "close", "volume")
            self.seen.append(
                [past.values(name, n, f, adjusted=a).tolist() for n in (3, 25) for f in fields for a in (True, False)]
            )
            self.seen.append([bar[2:] for bar in past.bars(name, 20)])
            column = context.symbols.index(name)
            self.seen.append(np.nan_to_num(past.panel(20)[:, column]).tolist())
            return []

    whole = Looks(lambda _: "A")
    run(source(one, [split("A", day, ratio) for day, ratio in later]), whole)
    parts = Looks(lambda i: "A" if i < 18 else "B")
    actions = [split("A", 10, 2.0), split("B", 24, 0.5), CorporateAction.rename("A", on(18), "B")]
    record = run(source(two, actions), parts)
    assert not record.strategies[0].error
    np.testing.assert_array_equal(np.array(parts.seen[::4]), np.array(whole.seen[::4]))
    assert parts.seen == whole.seen or str(parts.seen) == str(whole.seen)


def test_a_split_on_the_day_of_the_rename_counts_under_either_name():
    bars = {"OLD": gone_after(4), "NEW": from_day(4, price=25.0)}
    for name in ("OLD", "NEW"):
        diary = Diary({0: [market("OLD", 100)]}, look=("NEW",), features={"mean": ("sma", {"n": 3})})
        record = run(days(bars, actions=[split(name, 4, 2.0), CorporateAction.rename("OLD", on(4), "NEW")]), diary)
        if name == "OLD":
            assert diary.held[4] == {"NEW": (200.0, 25.0)}
            np.testing.assert_allclose(record.account.equity, 100_000, rtol=1e-12)
        assert diary.closes[4]["NEW"] == [25.0] * 5
        assert diary.values[4]["NEW"] == 25.0


def test_a_new_name_that_traded_before_is_refused():
    bars = {"OLD": gone_after(4), "NEW": steady(8, 50.0)}
    with pytest.raises(DataError, match=r"'NEW, the new name of OLD from 2024-01-06 on' must have no earlier bar, was 50.0"):
        run(days(bars, actions=[CorporateAction.rename("OLD", on(4), "NEW")]), Scripted())


# ----------------------------------------------------------------------------------------------------- mergers


def merged(action, script=None, *, units=100.0, acquirer=20.0, look=()):
    bars = {"T": gone_after(4), "Q": steady(8, acquirer)}
    diary = Diary({0: [market("T", units)], **(script or {})}, look=look)
    record = run(days(bars, actions=[action]), diary)
    assert not record.strategies[0].error
    return record, diary


@pytest.mark.parametrize(("units", "gain"), [(100.0, 500.0), (-100.0, -500.0)])
def test_a_cash_merger_closes_the_position(units, gain):
    """Bought at 50, paid 55; a short pays."""
    record, diary = merged(CorporateAction.merger("T", on(4), cash=55.0), units=units)
    assert diary.held[3] == {"T": (units, 50.0)}
    assert diary.held[4] == {}
    assert record.account.cash[-1] == 100_000 + gain
    assert record.account.equity[4] == 100_000 + gain
    (trade,) = ledger_of(record).closed
    assert (trade.exit_price, trade.net_pnl, trade.exit_reason, trade.exit_order_id) == (55.0, gain, "corporate_action", "")
    assert (record.applied_actions[0].cash, record.applied_actions[0].quantity_after) == (units * 55.0, 0.0)
    assert explained(record)


def test_a_merger_for_shares_keeps_the_cost():
    """100 at 50 become 250 at 20; no money moves, nothing is realised."""
    record, diary = merged(CorporateAction.merger("T", on(4), shares=2.5, acquirer="Q"))
    assert diary.held[4] == {"Q": (250.0, 20.0)}
    np.testing.assert_allclose(record.account.equity, 100_000, rtol=1e-12)
    (trade,) = ledger_of(record).trades
    assert (trade.symbol, trade.qty, trade.entry_price, trade.status) == ("Q", 250.0, 20.0, "open")
    assert trade.entry_ns == record.fills[0].ts_ns


def test_a_merger_for_cash_and_shares_realises_the_part_that_was_paid():
    """30 in cash and one share of 20 for what cost 40: 60 % of the cost, 24, stand against the cash, 16 go along."""
    bars = {"T": [flat(40.0), flat(40.0), flat(50.0), flat(50.0), *[None] * 4], "Q": steady(8, 20.0)}
    diary = Diary({0: [market("T", 100)]})
    action = CorporateAction.merger("T", on(4), cash=30.0, shares=1.0, acquirer="Q")
    record = run(days(bars, actions=[action]), diary)
    assert diary.held[4] == {"Q": (100.0, pytest.approx(16.0))}
    assert record.account.equity[4] == pytest.approx(101_000.0)
    closed, still = ledger_of(record).trades
    assert (closed.net_pnl, closed.entry_price, closed.exit_price) == (
        pytest.approx(600.0),
        pytest.approx(24.0),
        pytest.approx(30.0),
    )
    assert still.net_pnl == pytest.approx(400.0)
    assert explained(record)


def test_shares_that_meet_a_short_of_the_acquirer_close_it():
    """The trade of a merger arbitrage: long the target at 50, short 2.5 acquirers at 20."""
    script = {0: [market("T", 100), market("Q", -250)]}
    record, diary = merged(CorporateAction.merger("T", on(4), shares=2.5, acquirer="Q"), script)
    assert diary.held[4] == {}
    np.testing.assert_allclose(record.account.equity, 100_000, rtol=1e-12)
    (trade,) = ledger_of(record).closed
    assert (trade.symbol, trade.side, trade.exit_reason) == ("Q", Side.SELL, "corporate_action")
    assert explained(record)


def test_a_multiplier_is_paid_along():
    bars = {"T": gone_after(4), "Q": steady(8, 20.0)}
    instruments = {"T": Instrument(symbol="T", multiplier=10.0)}
    action = CorporateAction.merger("T", on(4), cash=10.0, shares=20.0, acquirer="Q")
    diary = Diary({0: [market("T", 10)]})
    record = run(days(bars, actions=[action]), diary, instruments=instruments)
    assert diary.held[4]["Q"][0] == 200.0
    assert record.account.cash[4] == 100_000 - 10 * 50 * 10 + 10 * 10 * 10
    assert explained(record, {"T": 10.0})


def test_a_merger_for_shares_waits_for_a_price_of_the_acquirer():
    bars = {"T": gone_after(4), "Q": [flat(20.0)] * 4 + [None, None] + [flat(21.0)] * 2}
    diary = Diary({0: [market("T", 100)]})
    record = run(days({**bars, "X": steady(8)}, actions=[CorporateAction.merger("T", on(4), shares=2.0, acquirer="Q")]), diary)
    assert diary.held[5] == {"T": (100.0, 50.0)}
    assert diary.held[6] == {"Q": (200.0, 25.0)}
    assert explained(record)


# ----------------------------------------------------------------------------------------------------- delistings


@pytest.mark.parametrize(("cash", "worth"), [(None, 50.0), (12.0, 12.0), (0.0, 0.0)])
@pytest.mark.parametrize("units", [100.0, -100.0])
def test_a_delisting_pays_out_and_closes(cash, worth, units):
    bars = {"D": gone_after(4), "X": steady(8)}
    diary = Diary({0: [market("D", units)]})
    record = run(days(bars, actions=[CorporateAction.delisting("D", on(4), cash=cash)]), diary)
    assert diary.held[3] == {"D": (units, 50.0)}
    assert diary.held[4] == {}
    assert record.account.equity[4:].tolist() == [100_000 + units * (worth - 50.0)] * 4
    (trade,) = ledger_of(record).closed
    assert (trade.exit_price, trade.net_pnl) == (worth, units * (worth - 50.0))
    assert explained(record)


def test_a_name_can_be_traded_until_it_is_gone_and_not_afterwards():
    """On the last day a purchase fills; what rests is taken back with a reason; what comes later is refused with it."""
    bars = {"D": gone_after(4), "X": steady(8)}
    script = {
        1: [OrderIntent.limit("D", 10, 1.0, time_in_force=GTC), OrderIntent.limit("X", 10, 1.0, time_in_force=GTC)],
        2: [market("D", 5)],
        4: [market("D", 1), OrderIntent.target_weight("D", 0.5)],
    }
    strategy = Scripted(script)
    record = run(days(bars, actions=[CorporateAction.delisting("D", on(4))]), strategy)
    assert outcomes(record) == [
        ("D", "CANCELLED", "delisted"),
        ("X", "CANCELLED", "end_of_run"),
        ("D", "FILLED", ""),
        ("D", "REJECTED", "delisted"),
        ("D", "REJECTED", "delisted"),
    ]
    assert ("order", "D", "CANCELLED", 0.0) in strategy.heard


def test_a_merger_takes_resting_orders_back():
    script = {1: [OrderIntent.stop("T", -100, 30.0, time_in_force=GTC)], 5: [market("T", 1)]}
    record, _ = merged(CorporateAction.merger("T", on(4), cash=55.0), script)
    assert outcomes(record)[1:] == [("T", "CANCELLED", "merged"), ("T", "REJECTED", "merged")]


def test_the_last_dividend_and_the_last_split_of_a_name_are_not_lost():
    """Halted before both: the holder gets the cash, and 200 new shares are paid out at half of the last price."""
    bars = {"D": gone_after(2), "X": steady(8)}
    actions = [dividend("D", 3, 2.0), split("D", 4, 2.0), CorporateAction.delisting("D", on(5))]
    diary = Diary({0: [market("D", 100)]})
    record = run(days(bars, actions=actions), diary)
    assert diary.held[4] == {"D": (100.0, 50.0)}
    assert diary.held[5] == {}
    assert record.account.equity[-1] == 100_000 + 200
    assert [str(a.action.kind) for a in record.applied_actions] == ["dividend", "split", "delisting"]
    assert explained(record)


# ----------------------------------------------------------------------------------------------------- failures of others


def test_a_split_between_decision_and_fill():
    """100 shares were asked for at 100; what fills after the split are 200 at 50: the same money."""
    bars = [*steady(3, 100.0), *steady(3, 50.0)]
    record = run(days({"A": bars}, actions=[split("A", 3, 2.0)]), Scripted({2: [market("A", 100)]}))
    assert [(f.quantity, f.price) for f in record.fills] == [(200.0, 50.0)]
    assert record.orders[0].decision == (100.0, None, None)


def test_a_short_pays_the_dividend():
    bars = [*steady(3, 100.0), *steady(3, 99.0)]
    record = run(days({"A": bars}, actions=[dividend("A", 3, 1.0)]), Scripted({0: [market("A", -100)]}))
    assert record.applied_actions[0].cash == -100.0
    np.testing.assert_allclose(record.account.equity, 100_000)


@pytest.mark.parametrize("ratio", [4.0, 0.1])
def test_a_gtc_order_across_a_split(ratio):
    """A protective stop at 90 on a price of 100 is one at 22.50 on 25: it neither fires at once nor never."""
    after = 100.0 / ratio
    bars = [*steady(3, 100.0), *steady(2, after), (after, after, 0.88 * after, 0.89 * after), flat(0.89 * after)]
    script = {0: [market("A", 100)], 1: [OrderIntent.stop("A", -100, 90.0, time_in_force=GTC)]}
    record = run(days({"A": bars}, actions=[split("A", 3, ratio)]), Scripted(script))
    assert [(f.quantity, f.price) for f in record.fills[1:]] == [(100.0 * ratio, pytest.approx(90.0 / ratio))]
    assert (record.fills[1].ts_ns - record.fills[0].ts_ns) // (24 * 3600 * 10**9) == 4


def test_intraday_actions_come_with_the_first_bar_of_the_session():
    bars = {"D": [*steady(6, 50.0), *[None] * 6], "X": steady(12)}
    record = run(
        minutes(bars, per_session=3, actions=[CorporateAction.delisting("D", on(2))]), Scripted({0: [market("D", 10)]})
    )
    assert record.applied_actions[0].ts_ns == record.account.ts_ns[6]


# ----------------------------------------------------------------------------------------------------- orders, as pure rules


def an_order(**fields):
    given = {
        "quantity": 100.0,
        "side": Side.SELL,
        "order_type": OrderType.STOP_LIMIT,
        "limit_price": 10.01,
        "stop_price": 10.03,
    }
    names = dict.fromkeys(("order_id", "idempotency_key", "group_id", "strategy"), "o")
    return Order(**names, symbol="A", created_ns=0, arrives_ns=0, **{**given, **fields})


def test_a_rescaled_order_keeps_its_money_and_goes_away_from_a_better_fill():
    """A sale: its limit up, its stop down to the tick."""
    order = an_order(filled_quantity=25.0, average_price=9.0)
    assert rescale_order(order, 2.0, Instrument(symbol="A"))
    assert (order.quantity, order.filled_quantity, order.average_price) == (200.0, 50.0, 4.5)
    assert (order.limit_price, order.stop_price) == (5.01, 5.01)
    assert order.decision == (100.0, 10.01, 10.03)


def test_an_order_of_which_nothing_is_left_says_so():
    assert not rescale_order(an_order(quantity=5.0), 0.1, Instrument(symbol="A"))


def test_an_order_that_waits_for_its_quantity_goes_on_waiting():
    """The exit of a bracket whose entry has not filled."""
    assert rescale_order(an_order(quantity=0.0), 0.1, Instrument(symbol="A"))


def test_a_trailing_distance_in_currency_is_rescaled_and_one_in_percent_is_not():
    order = an_order(trail_amount=3.0, trail_percent=None)
    rescale_order(order, 2.0, Instrument(symbol="A"))
    assert order.trail_amount == 1.5
    order = an_order(trail_percent=5.0)
    rescale_order(order, 2.0, Instrument(symbol="A"))
    assert order.trail_percent == 5.0


def test_which_orders_end_and_which_move():
    own, other = an_order(), an_order()
    other.symbol = "B"
    delisting, rename = CorporateAction.delisting("A", 1), CorporateAction.rename("A", 1, "C")
    assert orders_to_cancel([own, other], delisting) == [own]
    assert orders_to_cancel([own, other], rename) == []
    assert orders_to_move([own, other], rename) == [own]
    assert orders_to_move([own, other], delisting) == []
    rename_order(own, rename)
    assert (own.symbol, own.quantity, own.decided_symbol) == ("C", 100.0, "A")


# ----------------------------------------------------------------------------------------------------- around them


@pytest.mark.parametrize(
    "action",
    [
        CorporateAction.rename("A", on(2), "B"),
        CorporateAction.spin_off("A", on(2), "B", 1.0),
        CorporateAction.merger("A", on(2), shares=1.0, acquirer="B"),
    ],
    ids=lambda a: str(a.kind),
)
def test_a_run_without_the_other_symbol_is_refused(action):
    with pytest.raises(ConfigurationError, match=f"A {action.kind} on 2024-01-04.*'B'"):
        run(days({"A": steady(5)}, actions=[action]), Scripted())


def test_what_waits_for_a_child_follows_its_name_and_ends_with_it():
    """The parent pauses over its spin-off. Meanwhile the child is renamed: the shares are of the new name. Or it is delisted
    with a price: they are paid out. Or it never had one: there is nothing to hand out."""
    parent = [*steady(3, 100.0), None, None, None, *steady(2, 80.0)]
    spin_off = CorporateAction.spin_off("P", on(3), "C", 0.5, basis=0.2)
    named = {"P": parent, "C": gone_after(4, price=40.0), "N": from_day(4, price=40.0), "X": steady(8)}
    diary = Diary({0: [market("P", 100)]})
    run(days(named, actions=[spin_off, CorporateAction.rename("C", on(4), "N")]), diary)
    assert diary.held[6] == {"P": (100.0, pytest.approx(80.0)), "N": (50.0, pytest.approx(40.0))}
    paid = {"P": parent, "C": gone_after(4, price=40.0), "X": steady(8)}
    record = run(days(paid, actions=[spin_off, CorporateAction.delisting("C", on(4))]), Scripted({0: [market("P", 100)]}))
    assert record.account.cash[-1] == 100_000 - 10_000 + 2_000
    assert explained(record)
    never = {"P": parent, "C": [None] * 7 + [flat(1.0)], "X": steady(8)}
    record = run(days(never, actions=[spin_off, CorporateAction.delisting("C", on(4))]), Scripted({0: [market("P", 100)]}))
    assert record.applied_actions == []


def test_shares_of_what_is_no_more_are_refused():
    bars = {"A": steady(8), "B": gone_after(3)}
    actions = [CorporateAction.delisting("B", on(3)), CorporateAction.merger("A", on(5), shares=1.0, acquirer="B")]
    bars["B"][6] = flat(3.0)
    with pytest.raises(DataError, match="must hand out shares that can be held, was 'B, delisted before'"):
        run(days(bars, actions=actions), allocate(Scripted()))


@pytest.mark.parametrize(
    ("action", "worth"),
    [
        (CorporateAction.delisting("A", on(4)), [50.0, 50.0]),
        (CorporateAction.delisting("A", on(4), cash=0.0), [0.0, 0.0]),
        (CorporateAction.merger("A", on(4), cash=55.0), [55.0, 55.0]),
        (CorporateAction.merger("A", on(4), cash=10.0, shares=2.0, acquirer="B"), [50.0, 50.0]),
    ],
)
def test_the_benchmark_holds_what_an_end_pays(action, worth):
    bars = {"A": gone_after(4), "B": [flat(20.0)] * 5 + [flat(25.0)] * 3}
    record = run(days(bars, actions=[action]), Scripted())
    held = buy_and_hold(record.prices, record.market_actions, 100.0)
    np.testing.assert_allclose(held[[4, 7]], [worth[0] + 50.0, worth[1] + 62.5])


def test_the_benchmark_follows_a_new_name_and_reinvests_a_spin_off():
    bars = {"OLD": gone_after(4), "NEW": [*from_day(4, price=50.0, n=7), flat(100.0)]}
    record = run(days(bars, actions=[CorporateAction.rename("OLD", on(4), "NEW")]), Scripted())
    np.testing.assert_allclose(buy_and_hold(record.prices, record.market_actions, 100.0), [100.0] * 7 + [200.0])
    bars = {"P": [*steady(4, 100.0), *steady(4, 80.0)], "C": from_day(4, price=40.0)}
    record = run(days(bars, actions=[CorporateAction.spin_off("P", on(4), "C", 0.5)]), Scripted())
    np.testing.assert_allclose(buy_and_hold(record.prices, record.market_actions, 100.0), 100.0)
