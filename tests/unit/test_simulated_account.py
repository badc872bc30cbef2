"""An account at a broker in memory: it fills as paper does, keeps its books, and survives a restart."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal

import numpy as np
import pytest

from fairlead.core.errors import ContractError, DataError, InvalidTransition, OrderRejected
from fairlead.core.events import Bar
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderRole, OrderStatus, OrderType, Side, TimeInForce
from fairlead.core.time import NS_PER_MINUTE, BarSize
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import BrokerOrder, ChangeRequest, Execution, OrderRequest
from fairlead.execution.latency import LatencySettings
from fairlead.execution.settings import ExecutionSettings
from support_sessions import Random, days, minutes, random_bars, run, steady

BUY, SELL = Side.BUY, Side.SELL
MARKET, LIMIT, STOP, TRAILING = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.TRAILING_STOP
GTC = TimeInForce.GTC
FIRST_NS = 1_704_205_800_000_000_000
FREE = {"slippage": {"model": "none"}, "commission": {"model": "none"}, "account": {"type": "reg_t"}}


class Held:
    """An account, a minute at a time, and what it told."""

    def __init__(self, account=None, **changes):
        terms = {"symbols": ("A", "B"), "cash": 100_000.0, "settings": ExecutionSettings.model_validate(FREE), **changes}
        self.now_ns = FIRST_NS
        self.account = account or SimulatedAccount("DU1", now_ns=lambda: self.now_ns, **terms)
        self.told = []
        self.account.listen(self.told.append)
        self.count = 0

    def minute(self, *prices, volume=10_000.0, symbol="A"):
        label = max(self.now_ns, self.account.market_ns)
        self.now_ns = label + NS_PER_MINUTE
        self.account.step({symbol: Bar(symbol, label, self.now_ns, *(prices if len(prices) == 4 else prices * 4), volume)})

    def request(self, side=BUY, quantity=10, kind=MARKET, **terms):
        self.count += 1
        prices = {n: Decimal(str(terms.pop(n))) for n in ("limit_price", "stop_price", "trail_amount") if n in terms}
        named = {"reference": f"r{self.count}", "symbol": "A", "time_in_force": GTC, **terms}
        return OrderRequest(side=side, quantity=Decimal(str(quantity)), order_type=kind, **prices, **named)

    def send(self, *args, **terms):
        return self.account.submit([self.request(*args, **terms)])[0]

    def status(self, reference):
        return str(self.account.find(reference).status)


@pytest.fixture
def held():
    found = Held()
    found.minute(100.0)
    found.told.clear()
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("make", [minutes, days])
def test_its_fills_are_those_of_paper_bit_for_bit(make, seed):
    """The orders of a session, sent to an account bar by bar, fill at the same instants, prices and commissions."""
    random = np.random.default_rng(seed)
    names = ("A", "B")
    n = 500 if make is minutes else 4
    source = make({name: random_bars(random, n, gaps=0.1 if make is minutes else 0.0) for name in names})
    settings = ExecutionSettings(latency=LatencySettings(mean_ms=0, std_ms=0))
    record = run(source, Random(), execution=settings, seed=seed)
    account = SimulatedAccount(
        "DU1", symbols=names, now_ns=lambda: account.market_ns, settings=settings, bar_size=source.bar_size, cash=100_000.0
    )
    fills = []
    account.listen(lambda news: fills.append(news) if isinstance(news, Execution) else None)
    orders, cancels = defaultdict(list), defaultdict(list)
    for order in record.orders:
        if order.status is not OrderStatus.REJECTED:
            orders[order.created_ns].append(order)
    for update in record.updates:
        if update.reason == "cancelled_by_strategy":
            cancels[update.ts_ns].append(update.order_id)
    for block in source.blocks(carry=0):
        for row in range(block.start, len(block)):
            bars = {name: bar for i, name in enumerate(names) if (bar := block.bar(row, i)) is not None}
            if bars:
                account.step(bars)
            now = int(block.known_ns[row])
            for reference in cancels[now]:
                account.cancel(account.find(reference).broker_id)
            for order in orders[now]:
                account.submit([_asked(order)])
    ours = [(e.reference, e.side, e.quantity, e.price, e.commission, e.ts_ns) for e in fills]
    theirs = [(f.order_id, f.side, f.quantity, f.price, f.commission, f.ts_ns) for f in record.fills]
    assert make is days or len(theirs) > 50
    assert ours == theirs
    ended = {o.order_id: o.status for o in record.orders if o.reason not in {"end_of_run", ""}}
    assert {r: account.find(r).status for r, s in ended.items() if s is not OrderStatus.REJECTED} == {
        r: s for r, s in ended.items() if s is not OrderStatus.REJECTED
    }


def _asked(order):
    quantity, limit, stop = order.decision
    return OrderRequest(
        reference=order.order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=Decimal(repr(quantity)),
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        limit_price=None if limit is None else Decimal(repr(limit)),
        stop_price=None if stop is None else Decimal(repr(stop)),
        reduce_only=order.reduce_only,
    )


def test_an_execution_is_told_before_the_order_that_it_changes(held):
    held.send(quantity=10)
    held.minute(101.0)
    assert [type(news) for news in held.told] == [BrokerOrder, BrokerOrder, Execution, BrokerOrder]
    assert [str(n.status) for n in held.told if isinstance(n, BrokerOrder)] == ["SUBMITTED", "ACKNOWLEDGED", "FILLED"]


def test_an_order_that_is_held_is_out_of_the_market(held):
    held.account.holds_acknowledgements = True
    order = held.send(quantity=10)
    assert order.status is OrderStatus.SUBMITTED
    held.minute(101.0)
    assert held.account.executions() == []
    held.account.acknowledge(order.broker_id)
    held.account.acknowledge(order.broker_id)
    held.minute(102.0)
    assert [e.price for e in held.account.executions()] == [102.0]


def test_an_order_that_is_held_can_be_changed_taken_back_and_executed(held):
    held.account.holds_acknowledgements = True
    first, second, third = (held.send(kind=LIMIT, limit_price=90.0) for _ in range(3))
    changed = held.account.replace(first.broker_id, ChangeRequest(reference="r1", limit_price=Decimal(91), quantity=Decimal(5)))
    assert (changed.limit_price, changed.quantity, changed.status) == (91.0, 5.0, OrderStatus.SUBMITTED)
    assert held.account.cancel(second.broker_id).status is OrderStatus.CANCELLED
    held.account.execute(third.broker_id, 10, 90.0)
    assert held.status("r3") == "FILLED"


def test_exits_share_their_quantity(held):
    held.send(quantity=10)
    held.minute(100.0)
    exits = [
        held.request(SELL, 10, LIMIT, limit_price=105.0, role=OrderRole.TAKE_PROFIT, reduce_only=True),
        held.request(SELL, 10, STOP, stop_price=95.0, role=OrderRole.STOP_LOSS, reduce_only=True),
    ]
    target, stop = held.account.submit(exits)
    held.account.execute(target.broker_id, 4, 105.0)
    twin = held.account.order(stop.broker_id)
    assert (twin.quantity, twin.status) == (6.0, OrderStatus.ACKNOWLEDGED)
    assert [n.quantity for n in held.told if isinstance(n, BrokerOrder) and n.reference == stop.reference][-1] == 6.0
    held.minute(94.0)
    assert held.account.order(target.broker_id).status is OrderStatus.CANCELLED
    assert held.account.positions() == []


def test_the_quantity_of_an_exit_can_be_changed(held):
    held.send(quantity=10)
    held.minute(100.0)
    target = held.send(SELL, 10, LIMIT, limit_price=105.0, role=OrderRole.TAKE_PROFIT, reduce_only=True)
    change = ChangeRequest(reference=target.reference, quantity=Decimal(7))
    assert held.account.replace(target.broker_id, change).quantity == 7.0
    both = ChangeRequest(reference=target.reference, quantity=Decimal(8), limit_price=Decimal(104))
    changed = held.account.replace(target.broker_id, both)
    assert (changed.quantity, changed.limit_price) == (8.0, 104.0)


def test_exits_stay_when_the_position_is_closed_by_another_order(held):
    """No broker knows which position an order belongs to; an exit that may only reduce opens nothing all the same."""
    held.send(quantity=10)
    held.minute(100.0)
    stop = held.send(SELL, 10, STOP, stop_price=95.0, role=OrderRole.STOP_LOSS, reduce_only=True)
    held.send(SELL, 10)
    held.minute(100.0)
    assert held.account.order(stop.broker_id).status is OrderStatus.ACKNOWLEDGED
    held.minute(94.0)
    ended = held.account.order(stop.broker_id)
    assert (ended.status, ended.reason) == (OrderStatus.CANCELLED, "nothing_to_reduce")


@pytest.mark.parametrize(
    ("terms", "match"),
    [
        ({"symbol": "Z"}, "no symbol 'Z'"),
        ({"quantity": "0.5"}, "at least 1"),
        ({"quantity": "1.5"}, "multiple of 1"),
        ({"kind": LIMIT}, "limit_price"),
        ({"limit_price": 90.0}, "limit_price"),
        ({"kind": STOP}, "stop_price"),
        ({"kind": LIMIT, "limit_price": "90.005"}, "multiple of 0.01"),
        ({"kind": LIMIT, "limit_price": -1}, "above 0"),
        ({"kind": TRAILING}, "trail"),
        ({"trail_amount": 1}, "trail"),
        ({"time_in_force": TimeInForce.GTD}, "expires_ns"),
        ({"quantity": 3_000}, "insufficient_margin"),
    ],
)
def test_what_is_no_order_is_refused(held, terms, match):
    with pytest.raises(OrderRejected, match=match):
        held.send(**terms)
    assert held.account.orders() == []
    assert held.told == []


def test_of_two_orders_that_belong_together_none_is_taken_if_one_is_refused(held):
    exits = [
        held.request(SELL, 10, LIMIT, limit_price=105.0, role=OrderRole.TAKE_PROFIT),
        held.request(SELL, 10, STOP, role=OrderRole.STOP_LOSS),
    ]
    with pytest.raises(OrderRejected):
        held.account.submit(exits)
    assert held.account.orders() == []


def test_orders_in_work_take_from_the_buying_power(held):
    held.send(quantity=1_500, kind=LIMIT, limit_price=90.0)
    assert held.account.account().buying_power == pytest.approx(50_000.0)
    with pytest.raises(OrderRejected, match=r"buying power is 50,000\.00"):
        held.send(quantity=600)
    more = held.send(quantity=400, kind=LIMIT, limit_price=90.0)
    with pytest.raises(OrderRejected, match="insufficient_margin"):
        held.account.replace(more.broker_id, ChangeRequest(reference=more.reference, quantity=Decimal(900)))


def test_shares_are_sold_once_where_no_short_sale_is_allowed():
    held = Held(can_short=False)
    held.minute(100.0)
    held.send(quantity=10)
    held.minute(100.0)
    held.send(SELL, 6, LIMIT, limit_price=110.0)
    with pytest.raises(OrderRejected, match=r"4 are free.*short_not_allowed"):
        held.send(SELL, 5)
    held.send(SELL, 4)
    unshortable = Held(instruments={"A": Instrument(symbol="A", shortable=False)})
    with pytest.raises(OrderRejected, match="short_not_allowed"):
        unshortable.send(SELL, 1)


def test_a_blocked_account_takes_no_orders(held):
    held.account.blocked = "a margin call"
    assert held.account.account().is_blocked
    with pytest.raises(OrderRejected, match="a margin call"):
        held.send()


def test_no_more_is_executed_than_was_ordered(held):
    order = held.send(kind=LIMIT, limit_price=90.0)
    held.account.execute(order.broker_id, 4, 90.0)
    with pytest.raises(InvalidTransition):
        held.account.execute(order.broker_id, 7, 90.0)
    with pytest.raises(OrderRejected, match="no order '99'"):
        held.account.execute("99", 1, 90.0)
    held.account.cancel(order.broker_id)
    with pytest.raises(OrderRejected, match="CANCELLED and cannot be executed"):
        held.account.execute(order.broker_id, 1, 90.0)


def test_corrections_and_busts_leave_the_books_as_if_nothing_else_had_been(held):
    """After a correction cash and positions are those of an account in which it was so from the beginning."""
    order = held.send(quantity=100, kind=LIMIT, limit_price=90.0)
    first = held.account.execute(order.broker_id, 40, 90.0, commission=1.0)
    held.account.execute(order.broker_id, 60, 89.0, commission=1.0)
    sold = held.send(SELL, 30, LIMIT, limit_price=110.0)
    wrong = held.account.execute(sold.broker_id, 30, 110.0, commission=1.0)
    corrected = held.account.correct(first.execution_id, 30, 88.0)
    held.account.bust(wrong.execution_id)
    other = Held()
    other.minute(100.0)
    again = other.send(quantity=100, kind=LIMIT, limit_price=90.0)
    other.account.execute(again.broker_id, 30, 88.0, commission=1.0)
    other.account.execute(again.broker_id, 60, 89.0, commission=1.0)
    assert held.account.positions() == other.account.positions()
    ours, theirs = held.account.account(), other.account.account()
    assert (ours.cash, ours.nav, ours.maintenance_margin) == (theirs.cash, theirs.nav, theirs.maintenance_margin)
    assert (held.account.order(order.broker_id).filled, held.account.order(sold.broker_id).filled) == (90.0, 0.0)
    assert [e.replaces for e in held.account.executions()][-2:] == [first.execution_id, wrong.execution_id]
    with pytest.raises(OrderRejected, match="no execution"):
        held.account.correct(first.execution_id, 20, 88.0)
    with pytest.raises(OrderRejected, match="no execution"):
        held.account.bust(wrong.execution_id)
    with pytest.raises(OrderRejected, match=r"in \(0, 100\]"):
        held.account.correct(corrected.execution_id, 50, 88.0)


def test_a_bust_of_a_working_order_gives_back_what_it_took(held):
    order = held.send(quantity=100, kind=LIMIT, limit_price=90.0)
    execution = held.account.execute(order.broker_id, 40, 90.0)
    held.account.bust(execution.execution_id)
    held.minute(89.0)
    assert held.account.order(order.broker_id).filled == 100.0


def test_an_account_that_was_kept_goes_on_as_if_it_had_never_stopped():
    """Two accounts, one of them kept as JSON and taken up again at every step: they tell the same."""

    def lived(*, restarts):
        held = Held()
        told = held.told

        def again():
            if restarts:
                data = json.loads(json.dumps(held.account.to_dict()))
                held.account = SimulatedAccount.of(data, now_ns=lambda: held.now_ns)
                assert held.account.to_dict() == data
                held.account.listen(told.append)

        held.minute(100.0)
        held.send(quantity=10)
        held.send(quantity=10, kind=LIMIT, limit_price=98.0, time_in_force=TimeInForce.DAY)
        again()
        held.minute(100.0)
        held.account.submit(
            [
                held.request(SELL, 10, LIMIT, limit_price=104.0, role=OrderRole.TAKE_PROFIT, reduce_only=True),
                held.request(SELL, 10, TRAILING, trail_amount=3, role=OrderRole.STOP_LOSS, reduce_only=True),
            ]
        )
        held.account.submit([held.request(BUY, 5, STOP, stop_price=103.0, oco_id="set")])
        held.account.submit([held.request(BUY, 5, LIMIT, limit_price=90.0, oco_id="set")])
        again()
        held.minute(100.0, 103.5, 100.0, 103.0)
        again()
        held.minute(103.0, 103.0, 99.0, 99.5)
        again()
        held.account.bust(held.account.executions()[0].execution_id)
        again()
        return told, held.account.to_dict()

    assert lived(restarts=True) == lived(restarts=False)


def test_ids_do_not_come_again_in_an_account_of_a_higher_serial(held):
    other = Held(serial=1)
    other.minute(100.0)
    ids = []
    for one in (held, other):
        order = one.send(quantity=10)
        one.minute(100.0)
        ids.append((order.broker_id, one.account.executions()[0].execution_id))
    assert ids[0][0] != ids[1][0]
    assert ids[0][1] != ids[1][1]


def test_bars_come_in_order_and_where_the_calendar_has_them(held):
    bar = Bar("A", FIRST_NS, FIRST_NS + NS_PER_MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0)
    with pytest.raises(DataError, match="one instant"):
        held.account.step({"A": bar})
    later = bar._replace(label_ns=FIRST_NS + 10 * NS_PER_MINUTE, known_ns=FIRST_NS + 11 * NS_PER_MINUTE)
    with pytest.raises(DataError, match="one instant"):
        held.account.step({"A": later, "B": later._replace(symbol="B", known_ns=later.known_ns + 1)})
    night = 12 * 60 * NS_PER_MINUTE
    with pytest.raises(ContractError, match="inside a session"):
        held.account.step({"A": bar._replace(label_ns=FIRST_NS + night, known_ns=FIRST_NS + night + NS_PER_MINUTE)})


def test_bars_of_other_symbols_are_let_pass(held):
    held.minute(5.0, symbol="Z")
    assert held.account.account().nav == 100_000.0


def test_daily_orders_end_with_their_day():
    source = days({"A": steady(2)})
    account = SimulatedAccount("DU1", symbols=("A",), now_ns=lambda: account.market_ns, bar_size=BarSize.D1)
    (block,) = source.blocks(carry=0)
    account.step({"A": block.bar(0, 0)})
    request = OrderRequest(reference="r", symbol="A", side=BUY, quantity=Decimal(1), order_type=LIMIT, limit_price=Decimal(1))
    account.submit([request])
    account.step({"A": block.bar(1, 0)})
    found = account.find("r")
    assert (found.status, found.reason) == (OrderStatus.EXPIRED, "day_end")
