"""An operator's verbs against a server that speaks Alpaca's protocol, as they are typed."""

import threading
from decimal import Decimal

import pytest

from fairlead.core.events import Bar
from fairlead.core.orders import OrderType, Side
from fairlead.core.time import NS_PER_MINUTE, BarSize, to_ns
from fairlead.engine.clock import WallClock
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import OrderRequest
from fairlead.practice.alpaca.broker import Keys
from fairlead.practice.alpaca.server import AlpacaServer
from fairlead.practice.market import PracticeMarket
from support_brokers import SESSIONS_NS
from support_cli import fairlead

CONFIG = """\
mode: paper
name: Desk
clock: {{type: realtime}}
data: {{type: live, feed: websocket, url: 'ws://127.0.0.1:9', symbols: [AAPL], calendar: 24/7}}
execution:
  type: broker
  broker: alpaca
  account: {account}
  api_key: ${{DESK_KEY}}
  api_secret: file:secret.key
  params: {{base_url: {url}}}
strategies: [{{name: buy_and_hold, capital: 1000, params: {{symbols: [AAPL]}}}}]
"""


def now_ns():
    return to_ns(WallClock().now())


@pytest.fixture
def desk(tmp_path):
    """A server with a long and a short position, an order that rests, and a market that takes market orders."""
    pytest.importorskip("alpaca")
    account = SimulatedAccount("PA1", symbols=["AAPL", "IBM"], now_ns=now_ns)
    for i, (name, side, quantity) in enumerate((("AAPL", Side.BUY, 100), ("IBM", Side.SELL, 40))):
        request = OrderRequest(
            reference=f"o{i}", symbol=name, side=side, quantity=Decimal(quantity), order_type=OrderType.MARKET
        )
        account.execute(account.submit([request])[0].broker_id, quantity, 100.0)
    first = SESSIONS_NS[0]
    quiet = [Bar(name, first, first + NS_PER_MINUTE, 100.0, 100.0, 100.0, 100.0, 1000.0) for name in account.symbols]
    market = PracticeMarket(quiet, bar_size=BarSize.M1, calendar="XNYS")
    server = AlpacaServer(market, account, now_ns=now_ns, keys=Keys("practice-key", "practice-secret"), calls_per_minute=0)
    server.start()
    over = threading.Event()

    def fill(_broker):
        for order in account.open_orders():
            if order.limit_price is None:
                account.execute(order.broker_id, order.quantity - order.filled, 100.0)

    def trade():
        while not over.wait(0.05):
            server.do(fill)

    trading = threading.Thread(target=trade)
    trading.start()
    secret = tmp_path / "secret.key"
    secret.write_text("practice-secret\n")
    secret.chmod(0o600)
    (tmp_path / "desk.yaml").write_text(CONFIG.format(url=server.url, account=account.account_id))
    yield tmp_path
    over.set()
    trading.join()
    server.stop()


def test_look_close_and_verify(desk):
    def verb(*args):
        return fairlead("broker", *args, "--config", "desk.yaml", "-w", desk, cwd=desk, DESK_KEY="practice-key")

    shown = verb("positions", "--json")
    assert shown.code == 0, shown.err
    held = shown.json["positions"]
    assert [(one["symbol"], one["quantity"]) for one in held] == [("AAPL", 100.0), ("IBM", -40.0)]
    done = verb("flatten", "--why", "end of the trial", "--json")
    assert done.code == 0, done.err
    assert (done.json["is_done"], done.json["orders"], done.json["alerts"]) == (True, 2, [])
    assert done.json["reached"]["DONE"] < 5
    assert verb("verify", "--json").json["is_flat"]
    told = fairlead("doctor", "--broker", "desk.yaml", "--json", cwd=desk, DESK_KEY="practice-key").json
    assert {one["check"]: one["verdict"] for one in told}["clock"] in {"ok", "unknown", "warning"}
    assert "practice-secret" not in str(told)
