"""Whatever is done to the practice Alpaca, what it says of orders, executions and positions agrees with its account."""

from __future__ import annotations

import json
import random

import pytest

from fairlead.core.errors import ConfigurationError, FairleadError
from fairlead.core.time import BarSize
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.practice.alpaca.broker import AlpacaBroker, Keys
from fairlead.practice.alpaca.http import Request
from fairlead.practice.alpaca.refusals import Refusal
from fairlead.practice.alpaca.server import AlpacaServer
from fairlead.practice.alpaca.trading import TradingApi
from fairlead.practice.market import PracticeMarket
from servers.alpaca import SYMBOLS, alpaca_server, flat_bars


class Bench:
    """A broker without a socket, to which anything may happen."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.market = PracticeMarket(flat_bars(count=380), bar_size=BarSize.M1, calendar="XNYS")
        self.names = 0
        self.refusals = 0
        self.told = []
        self.open(SimulatedAccount("PA1", symbols=SYMBOLS, now_ns=lambda: self.market.now_ns))
        # Not the method of today's broker: another takes its place at a restart.
        self.market.listen(lambda event: self.broker.heard(event))  # noqa: PLW0108
        self.market.step()

    def open(self, account):
        self.broker = AlpacaBroker(account, self.market, now_ns=lambda: self.market.now_ns, keys=Keys(), calls_per_minute=0)
        self.broker.stream.tell = lambda data: self.told.append((data["event"], data["order"]["id"]))
        self.api = TradingApi(self.broker)

    def ask(self, method, path, body=None, **query):
        try:
            response = self.api.answer(Request(method, f"/v2/{path}", query, {}, json.dumps(body).encode()))
        except Refusal:
            self.refusals += 1
            return None
        finally:
            self.broker.settle()
        return json.loads(response.body) if response.body else None

    def name(self):
        self.names += 1
        return f"n-{self.names}"

    def place(self):
        price = self.random.choice((99.4, 99.6, 100.0, 100.4, 100.6))
        order = {
            "symbol": self.random.choice(SYMBOLS),
            "qty": str(self.random.randint(1, 20)),
            "side": self.random.choice(("buy", "sell")),
            "type": "limit",
            "time_in_force": self.random.choice(("day", "gtc", "ioc")),
            "limit_price": str(price),
            "client_order_id": self.name(),
        }
        legs = {"take_profit": {"limit_price": str(price + 1)}, "stop_loss": {"stop_price": str(price - 1)}}
        if order["side"] == "sell":
            legs = {"take_profit": {"limit_price": str(price - 1)}, "stop_loss": {"stop_price": str(price + 1)}}
        if self.random.random() < 0.3 and order["time_in_force"] != "ioc":
            order.update(legs, order_class="bracket")
        self.ask("POST", "orders", order)

    def pair(self):
        held = self.ask("GET", "positions")
        if held:
            one = self.random.choice(held)
            sells = one["side"] == "long"
            low, high = ("99.2", "100.8")
            self.ask(
                "POST",
                "orders",
                {
                    "symbol": one["symbol"],
                    "qty": one["qty"].lstrip("-"),
                    "side": "sell" if sells else "buy",
                    "type": "limit",
                    "time_in_force": "gtc",
                    "order_class": "oco",
                    "take_profit": {"limit_price": high if sells else low},
                    "stop_loss": {"stop_price": low if sells else high},
                },
            )

    def any_order(self):
        records = self.broker.book.open_records()
        return self.random.choice(records) if records else None

    def cancel(self):
        record = self.any_order()
        if record:
            self.ask("DELETE", f"orders/{record.order_id}")

    def replace(self):
        record = self.any_order()
        if record:
            field = "limit_price" if record.limit_price else "stop_price"
            change = {field: str(self.random.choice((99.2, 99.5, 100.5, 100.8)))}
            if not record.order_class and self.random.random() < 0.5:
                change["qty"] = str(self.random.randint(1, 20))
            self.ask("PATCH", f"orders/{record.order_id}", change)

    def execute(self):
        record = self.any_order()
        if record and record.broker_id and record.quantity > record.filled:
            whole = int(record.quantity - record.filled)
            self.by_hand(lambda account: account.execute(record.broker_id, self.random.randint(1, whole), 100.0))

    def amend(self):
        told = [one for one in self.broker.account.executions() if not one.is_bust]
        if told:
            one = self.random.choice(told)
            if self.random.random() < 0.5:
                self.by_hand(lambda account: account.bust(one.execution_id))
            else:
                self.by_hand(lambda account: account.correct(one.execution_id, max(1.0, one.quantity - 1), 99.0))

    def by_hand(self, what):
        try:
            what(self.broker.account)
        except FairleadError:
            self.refusals += 1
        self.broker.settle()

    def close(self):
        self.ask("DELETE", "positions", cancel_orders="true")

    def hold(self):
        book = self.broker.book
        book.holds_cancels, book.holds_replaces = self.random.random() < 0.5, self.random.random() < 0.5

    def release(self):
        self.broker.book.release()
        self.broker.settle()

    def step(self):
        self.market.step(self.random.randint(1, 3))

    def restart(self):
        kept = json.loads(json.dumps(self.broker.to_dict()))
        self.open(SimulatedAccount.of(kept["account"], now_ns=lambda: self.market.now_ns))
        self.broker.restore(kept)

    def act(self):
        acts = [self.place] * 5 + [self.step, self.execute, self.replace, self.cancel] * 3
        acts += [self.pair, self.amend, self.release, self.hold, self.restart, self.close]
        self.random.choice(acts)()

    def check(self):
        orders = self.ask("GET", "orders", status="all", limit="500")
        rows, query = [], {"direction": "asc"}
        while page := self.ask("GET", "account/activities/FILL", **query):
            rows += page
            query["page_token"] = rows[-1]["id"]
        filled, held = {}, {}
        for row in rows:
            filled[row["order_id"]] = filled.get(row["order_id"], 0.0) + float(row["qty"])
            sign = 1 if row["side"] == "buy" else -1
            held[row["symbol"]] = held.get(row["symbol"], 0.0) + sign * float(row["qty"])
        positions = {one["symbol"]: float(one["qty"]) for one in self.ask("GET", "positions")}
        assert {symbol: units for symbol, units in held.items() if units} == positions
        assert all(self.broker.book.held(symbol) == positions.get(symbol, 0.0) for symbol in SYMBOLS)
        for order in orders:
            assert float(order["filled_qty"]) == filled.get(order["id"], 0.0)
        working = {one.broker_id for one in self.broker.account.open_orders()}
        listed = {record.broker_id for record in self.broker.book.open_records() if record.broker_id}
        assert listed == working
        assert len({order["id"] for order in orders}) == len({order["client_order_id"] for order in orders}) == len(orders)
        for order in orders:
            if order["replaced_by"]:
                assert self.broker.book.find(order["replaced_by"]).replaces == order["id"]


@pytest.mark.parametrize("seed", range(20))
def test_everything_agrees_whatever_happens(seed):
    bench = Bench(seed)
    for _ in range(120):
        bench.act()
        bench.check()
    assert len(bench.told) > 50
    assert len(bench.told) > bench.refusals


def test_a_port_that_is_taken_is_named():
    with alpaca_server() as server:
        other = AlpacaServer(server.market, server.do(lambda broker: broker.account), port=server.port)
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{server.port}"):
            other.start()
        with pytest.raises(ConfigurationError, match="has not been started"):
            other.step()
