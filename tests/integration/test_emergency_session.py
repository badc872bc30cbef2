"""The emergency session at a simulated broker: everything taken back, closed and verified, on a clock that is measured."""

import asyncio
import random
from decimal import Decimal

import pytest

from fairlead.control.emergency import Emergency, EmergencySettings
from fairlead.core.errors import BrokerAccess
from fairlead.core.orders import TERMINAL, OrderStatus, OrderType, Side
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.simulated.broker import SimulatedBroker
from fairlead.execution.brokers.words import OrderRequest
from fairlead.risk.monitors import HaltAction
from support_virtual import VirtualTime

SYMBOLS = tuple(f"S{i:02d}" for i in range(50))
HALT = "halt-1"


class Street:
    """A market behind an account, as thin and as moody as a test wants."""

    def __init__(self, time: VirtualTime, seed: int = 0, symbols: tuple[str, ...] = SYMBOLS) -> None:
        self.time, self.chance = time, random.Random(seed)
        self.account = SimulatedAccount("DU1", symbols=symbols, now_ns=time.now_ns, cash=100_000_000.0)
        self.broker = SimulatedBroker(self.account, now_ns=time.now_ns)
        self.refused: set[str] = set()
        self.largest: dict[str, float] = {}
        self._ids = 0

    def order(self, symbol: str, side: Side, quantity: int, *, reference: str | None = None, limit: str | None = None) -> str:
        self._ids += 1
        request = OrderRequest(
            reference=f"before-{self._ids}" if reference is None else reference,
            symbol=symbol,
            side=side,
            quantity=Decimal(quantity),
            order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
            limit_price=None if limit is None else Decimal(limit),
        )
        return self.account.submit([request])[0].broker_id

    def hold(self, symbol: str, units: int) -> None:
        """Let the account hold so many."""
        self.account.execute(self.order(symbol, Side.of(units), abs(units)), abs(units), 100.0)

    def held(self) -> dict[str, float]:
        return {one.symbol: one.quantity for one in self.account.positions()}

    async def trade(self, every_s: float = 0.5, *, part: float = 1.0, refuses: float = 0.0) -> None:
        """Fill what works, in parts, and refuse some; no position may ever grow or change its side."""
        before = self.held()
        while True:
            await asyncio.sleep(every_s)
            for order in self.account.open_orders():
                if not order.reference.startswith(HALT):
                    continue
                if order.filled == 0 and self.chance.random() < refuses:
                    self.refused.add(order.reference)
                    self.account.reject(order.broker_id, "no locate")
                    continue
                left = order.quantity - order.filled
                self.account.execute(order.broker_id, max(1.0, min(left, order.quantity * part // 1)), 100.0)
            now = self.held()
            for symbol, units in now.items():
                assert abs(units) <= abs(before[symbol]), f"{symbol} grew"
                assert units * before[symbol] > 0, f"{symbol} was turned round"
            before = {**dict.fromkeys(before, 0.0), **now}


def emergency(street: Street, *, alerts=None, admit=lambda _account: None, **settings) -> Emergency:
    chance = random.Random(1)
    return Emergency(
        street.broker,
        HALT,
        EmergencySettings(**settings),
        now_ns=street.time.now_ns,
        monotonic=street.time.monotonic,
        uniform=chance.random,
        admit=admit,
        alert=(alerts if alerts is not None else []).append,
    )


def carry_out(street: Street, session: Emergency, **trades):
    """Run a session while its market trades."""

    async def main():
        market = asyncio.ensure_future(street.trade(**trades))
        try:
            return await session.run()
        finally:
            market.cancel()
            failed = (await asyncio.gather(market, return_exceptions=True))[0]
            if not isinstance(failed, asyncio.CancelledError):
                raise failed

    return street.time.run(main())


@pytest.mark.parametrize("seed", range(8))
def test_fifty_positions_with_rejects_and_partial_fills_are_flat_within_two_minutes(seed):
    """Domain rule 7.4: everything that worked is taken back within 10 s, and everything is closed within 2 minutes."""
    street = Street(VirtualTime(), seed)
    for i, symbol in enumerate(SYMBOLS):
        street.hold(symbol, (100 + 7 * i) * (-1) ** i)
        street.order(symbol, Side.SELL if i % 2 == 0 else Side.BUY, 10, limit="120.00" if i % 2 == 0 else "80.00")
    alerts = []
    session = emergency(street, alerts=alerts)
    outcome = carry_out(street, session, part=0.4, refuses=0.25)
    assert outcome.is_done
    assert (street.held(), street.account.open_orders()) == ({}, [])
    assert outcome.reached["ASSESS"] <= 10
    assert outcome.reached["DONE"] < 120
    assert outcome.rejects == len(street.refused) >= 5
    assert outcome.orders >= 50 + outcome.rejects
    assert (outcome.residual, outcome.working, outcome.account.account_id) == ({}, (), "DU1")
    assert all("was refused: no locate" in text for text in alerts)


def test_nothing_is_flattened_before_all_is_taken_back():
    """A resting order that fills while it is being taken back: the position closed is the one that is there then."""
    street = Street(VirtualTime())
    street.hold("S00", 100)
    resting = street.order("S00", Side.SELL, 40, limit="120.00")
    taken = street.account.cancel

    def fill_first(broker_id, reason=""):
        if street.account.order(broker_id).status not in TERMINAL:
            street.account.execute(broker_id, 15, 120.0)
        return taken(broker_id, reason)

    street.account.cancel = fill_first
    outcome = carry_out(street, emergency(street))
    sent = [order for order in street.account.orders() if order.reference.startswith(HALT)]
    assert outcome.is_done
    assert [(order.side, order.quantity) for order in sent] == [(Side.SELL, 85.0)]
    assert street.account.order(resting).status is OrderStatus.CANCELLED
    assert street.held() == {}


def test_only_to_take_back_leaves_positions():
    street = Street(VirtualTime())
    street.hold("S00", 100)
    street.order("S00", Side.SELL, 40, limit="120.00")
    outcome = carry_out(street, emergency(street, action=HaltAction.HALT_AND_INVESTIGATE))
    assert (outcome.is_done, outcome.orders, outcome.cancels) == (True, 0, 1)
    assert (street.held(), street.account.open_orders()) == ({"S00": 100.0}, [])


def test_it_is_idempotent():
    """A second one finds nothing to do, sends nothing, and verifies that."""
    street = Street(VirtualTime())
    street.hold("S00", 100)
    assert carry_out(street, emergency(street)).orders == 1
    again = carry_out(street, emergency(street))
    assert (again.is_done, again.orders, again.cancels) == (True, 0, 0)


def test_a_line_that_is_lost_in_the_middle():
    """It connects again, asks what has become of everything, and no order is sent twice."""
    street = Street(VirtualTime())
    for i, symbol in enumerate(SYMBOLS[:10]):
        street.hold(symbol, 100 + i)

    async def main():
        session = emergency(street)
        market = asyncio.ensure_future(street.trade(every_s=1.0, part=0.5))
        running = asyncio.ensure_future(session.run())
        await asyncio.sleep(1.2)
        street.broker.drop()
        street.broker.switches.loses_answers = 2
        outcome = await running
        market.cancel()
        await asyncio.gather(market, return_exceptions=True)
        return outcome

    outcome = street.time.run(main())
    sent = [order.reference for order in street.account.orders() if order.reference.startswith(HALT)]
    assert outcome.is_done
    assert outcome.reached["DONE"] < 120
    assert (street.held(), len(sent)) == ({}, len(set(sent)))
    assert sum(order.filled for order in street.account.orders() if order.reference in sent) == sum(100 + i for i in range(10))
    assert any("the broker cannot be reached" in text for text in outcome.alerts)


def test_a_market_that_takes_nothing_is_told_and_ends_in_time():
    """Nobody waits for ever: what is left is in the outcome, and the alerts of the plan were raised."""
    street = Street(VirtualTime())
    street.hold("S00", 100)
    outcome = street.time.run(emergency(street, limit_s=200.0).run())
    assert (outcome.is_done, outcome.residual) == (False, {"S00": 100.0})
    assert "not flat within 120 s: S00 100" in outcome.alerts
    assert 200 <= outcome.seconds < 202


def test_an_account_that_is_not_the_one_is_not_touched():
    street = Street(VirtualTime())
    street.hold("S00", 100)

    def refuse(account):
        raise BrokerAccess(f"account {account.account_id} is another")

    with pytest.raises(BrokerAccess, match="DU1 is another"):
        street.time.run(emergency(street, admit=refuse).run())
    assert (street.held(), street.broker.switches.calls) == ({"S00": 100.0}, [])


class Shared(SimulatedBroker):
    """A broker at which what others sent can be taken back."""

    async def cancel_others(self, broker_ids):
        for broker_id in broker_ids:
            self._account.cancel(broker_id)


@pytest.mark.parametrize("can", [True, False])
def test_orders_of_others(can):
    """They are taken back where the broker lets us; elsewhere they are named, and what they may yet fill is left for them."""
    street = Street(VirtualTime())
    street.hold("S00", 100)
    foreign = street.order("S00", Side.SELL, 30, reference="", limit="120.00")
    if can:
        street.broker = Shared(street.account, now_ns=street.time.now_ns)
    outcome = carry_out(street, emergency(street, limit_s=60.0))
    if can:
        assert (outcome.is_done, street.held()) == (True, {})
        return
    assert (outcome.is_done, street.held(), outcome.working) == (False, {"S00": 30.0}, (f"broker:{foreign}",))
    assert f"simulated lets nobody take back what others sent. Take back there: {foreign}" in outcome.alerts
