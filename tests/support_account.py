"""A broker of a third party, as a configuration names it: an account in a file, with a market that takes what comes."""

import asyncio
import contextlib
from pathlib import Path

from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, EndpointKind
from fairlead.execution.brokers.inspection import MARKET_DATA, Finding, Verdict
from fairlead.execution.brokers.simulated.broker import SimulatedBroker
from fairlead.execution.brokers.simulated.opening import SimulatedKind

CONFIG = """\
mode: {mode}
name: Desk
clock: {{type: realtime}}
data: {{type: live, feed: websocket, url: 'ws://127.0.0.1:9', symbols: [ACME, BOLT], calendar: 24/7}}
execution:
  type: broker
  broker: support_account:{kind}
  account: {account}
  api_key: ${{DESK_KEY:-}}
  params: {{symbols: [ACME, BOLT], state: {state}, trades: {trades}}}
  link: {{attempt_s: 2}}
strategies: [{{name: buy_and_hold, capital: 1000, params: {{symbols: [ACME]}}}}]
"""


class Traded(SimulatedBroker):
    """Fills every market order a moment after it came."""

    trades = True

    async def connect(self):
        first = not self._is_connected
        shown = await super().connect()
        if first and self.trades:
            self._market = asyncio.ensure_future(self._trade())
        return shown

    async def disconnect(self):
        await super().disconnect()
        if market := getattr(self, "_market", None):
            market.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await market

    async def _trade(self):
        while True:
            await asyncio.sleep(0.01)
            for order in self._account.open_orders():
                if order.limit_price is None:
                    self._account.execute(order.broker_id, order.quantity - order.filled, 100.0)


class Told(Traded):
    """Says more of itself."""

    drift_ns = 0

    async def inspect(self):
        return [Finding(MARKET_DATA, Verdict.WARNING, "delayed", "Subscribe.")]

    async def clock_ns(self):
        return self._now_ns() + self.drift_ns


class Kind(SimulatedKind):
    """A practice account; its ids say what they are as those of Interactive Brokers do."""

    trades: bool = True

    def endpoint(self):
        return Endpoint(EndpointKind.PRACTICE, "127.0.0.1:9")

    def kind_of(self, account_id):
        return AccountKind.PAPER if account_id.startswith("D") else AccountKind.LIVE

    def open(self, keys, now_ns, *, is_emergency=False):
        broker = self.broker(self.account(keys.account, now_ns), now_ns=now_ns)
        broker.trades = self.trades
        return broker

    @property
    def broker(self):
        return Traded


class LiveKind(Kind):
    """The same behind a live address."""

    def endpoint(self):
        return Endpoint(EndpointKind.LIVE, "live.example")


class ToldKind(Kind):
    """The same, of a broker that says more."""

    @property
    def broker(self):
        return Told


class LateKind(Kind):
    """The same, of a broker whose clock is ahead."""

    @property
    def broker(self):
        return type("Late", (Told,), {"drift_ns": 80_000_000})


def write_config(folder: Path, *, mode="paper", kind="Kind", account="DU1", trades=True) -> Path:
    path = folder / "desk.yaml"
    state = folder / "account.json"
    path.write_text(CONFIG.format(mode=mode, kind=kind, account=account, state=state, trades=str(trades).lower()))
    return path
