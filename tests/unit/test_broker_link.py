"""The way to a broker, on a clock that passes at once: what is told to a session, and in which order."""

import asyncio
from decimal import Decimal
from itertools import pairwise

import pytest

from fairlead.core.errors import BrokerAccess
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderStatus, OrderType, Side
from fairlead.execution.brokers.calls import Cancel, Submit
from fairlead.execution.brokers.link import BrokerLink
from fairlead.execution.brokers.reports import BrokerReport, ReportKind
from fairlead.execution.brokers.settings import LinkSettings
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.simulated.broker import SimulatedBroker, SimulatedBrokerSettings
from fairlead.execution.brokers.words import LinkKind, LinkNotice, OrderRequest
from support_virtual import VirtualTime

AT_ONCE = SimulatedBrokerSettings.model_validate({"latency": {"mean_ms": 0, "std_ms": 0}, "answer_s": 2})


class World:
    """A link to a simulated broker, and all that it has told."""

    def __init__(self, **settings):
        self.time = VirtualTime()
        self.told: list[tuple[float, BrokerReport]] = []
        self.account = SimulatedAccount(
            "DU1", symbols=["A"], now_ns=self.time.now_ns, instruments={"A": Instrument(symbol="A", calendar="24/7")}
        )
        self.broker = SimulatedBroker(self.account, AT_ONCE, now_ns=self.time.now_ns)
        self.settings = LinkSettings.model_validate(settings)
        self.admit = lambda _account: None

    def play(self, script):
        """Let a script happen while the link is up."""

        async def played():
            self.link = BrokerLink(
                self.broker,
                self.settings,
                lambda report: self.told.append((self.time.monotonic(), report)),
                now_ns=self.time.now_ns,
                monotonic=self.time.monotonic,
                uniform=lambda: 1.0,
                admit=self.admit,
            )
            running = asyncio.ensure_future(self.link.run())
            try:
                await self.until(lambda: self.kinds("up") or running.done())
                if running.done():
                    await running
                await script(self)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

        self.time.run(played())
        return self

    async def until(self, holds, most_s=600.0):
        began = self.time.monotonic()
        while not holds():
            assert self.time.monotonic() - began < most_s, self.told
            await asyncio.sleep(0.01)

    def kinds(self, kind):
        return [report for _, report in self.told if report.kind is ReportKind.LINK and report.data["kind"] == kind]

    def of(self, kind):
        return [report.data for _, report in self.told if report.kind is kind]


def order(reference="one", units=10, *, reduce_only=False):
    return Submit(
        (
            OrderRequest(
                reference=reference,
                symbol="A",
                side=Side.BUY,
                quantity=Decimal(units),
                order_type=OrderType.LIMIT,
                limit_price=Decimal(90),
                reduce_only=reduce_only,
            ),
        )
    )


async def sent(world, submit=None):
    world.link.begin(submit or order())
    await world.until(lambda: any(one["status"] == OrderStatus.ACKNOWLEDGED for one in world.of(ReportKind.ORDER)))


def test_the_books_come_before_the_word_that_it_is_up():
    world = World().play(lambda _world: asyncio.sleep(0))
    first = [report.kind for _, report in world.told[:2]]
    assert first == [ReportKind.BOOKS, ReportKind.LINK]


def test_what_is_told_twice_is_told_once():
    async def script(world):
        world.broker.switches.repeats = 3
        await sent(world)
        (working,) = world.account.open_orders()
        world.account.execute(working.broker_id, 4.0, 90.0)
        await asyncio.sleep(1)

    world = World().play(script)
    assert [one["quantity"] for one in world.of(ReportKind.EXECUTION)] == [4.0]
    stands = [(one["status"], one["filled"]) for one in world.of(ReportKind.ORDER)]
    assert len(stands) <= 4  # of each the broker has told four


def test_attempts_back_off_and_what_was_missed_is_heard_before_it_is_up():
    async def script(world):
        await sent(world)
        (working,) = world.account.open_orders()
        world.broker.switches.is_silent = True
        world.broker.drop()
        await world.until(lambda: len(world.kinds("down")) >= 4)
        world.account.execute(working.broker_id, 10.0, 90.0)
        world.broker.switches.is_silent = False
        await world.until(lambda: len(world.kinds("up")) == 2)

    world = World().play(script)
    downs = [at for at, report in world.told if report.kind is ReportKind.LINK and report.data["kind"] == "down"]
    waits = [round(later - sooner - 2.0) for sooner, later in pairwise(downs[1:])]
    assert waits[:2] == [1, 2]  # 1 s, doubled, besides the two seconds that an attempt takes
    names = [report.kind if report.kind is not ReportKind.LINK else report.data["kind"] for _, report in world.told]
    again = names.index("down")
    later = names[again:]
    assert later.index(ReportKind.EXECUTION) < later.index(ReportKind.ORDER) < later.index(ReportKind.BOOKS) < later.index("up")
    assert world.of(ReportKind.ORDER)[-1]["status"] is OrderStatus.FILLED


def test_a_silent_line_is_noticed_and_made_anew():
    async def script(world):
        world.broker.switches.is_silent = True
        silent_at = world.time.monotonic()
        await world.until(lambda: world.kinds("down"))
        world.noticed_s = world.time.monotonic() - silent_at
        world.broker.switches.is_silent = False
        await world.until(lambda: len(world.kinds("up")) == 2)

    world = World(silence_s=9).play(script)
    assert world.noticed_s <= 9 + 3 + 2 + 0.1  # the limit, a third of it until it is looked at, and the time of the question


def test_a_storm_of_refusals_backs_off_and_the_order_is_there_once():
    async def script(world):
        world.broker.switches.too_many = 1
        began = world.time.monotonic()
        await sent(world)
        assert world.time.monotonic() - began >= 5.0

    world = World().play(script)
    assert world.broker.switches.calls.count("submit") == 2
    assert len(world.account.orders()) == 1


def test_a_storm_that_lasts_refuses_what_adds_risk_and_not_what_closes():
    async def script(world):
        world.broker.switches.too_many = 4
        world.link.begin(order("adds"))
        await world.until(lambda: world.of(ReportKind.REFUSED))
        world.broker.switches.too_many = 4
        await sent(world, order("closes", reduce_only=True))

    world = World().play(script)
    assert [(one["reference"], one["wish"]) for one in world.of(ReportKind.REFUSED)] == [("adds", "submit")]
    assert [one.reference for one in world.account.orders()] == ["closes"]


def test_a_lost_answer_is_looked_up():
    async def script(world):
        world.broker.switches.holds_answers = True
        world.link.begin(order())
        await world.until(lambda: world.of(ReportKind.ORDER))

    world = World().play(script)
    assert world.broker.switches.calls.count("submit") == 1
    assert world.of(ReportKind.REFUSED) == []


def test_an_order_that_is_nowhere_is_refused_in_the_end():
    async def script(world):
        world.broker.switches.loses_orders = 1
        world.link.begin(order())
        await world.until(lambda: world.of(ReportKind.REFUSED))

    world = World().play(script)
    assert world.of(ReportKind.REFUSED)[0]["reason"] == "not_at_broker"
    assert world.broker.switches.calls.count("submit") == 1
    assert world.broker.switches.calls.count("find") >= 5


def test_wishes_of_one_order_keep_their_order():
    async def script(world):
        world.link.begin(order())
        world.link.begin(Cancel("one"))
        await world.until(lambda: "CANCELLED" in [one["status"] for one in world.of(ReportKind.ORDER)])

    world = World().play(script)
    assert world.of(ReportKind.REFUSED) == []


def test_what_is_wished_for_while_it_is_down_is_not_sent():
    async def script(world):
        world.broker.switches.is_silent = True
        world.broker.drop()
        await world.until(lambda: world.kinds("down"))
        world.link.begin(order())
        await world.until(lambda: world.of(ReportKind.REFUSED))

    world = World().play(script)
    assert world.of(ReportKind.REFUSED)[0]["reason"].startswith("not_connected")
    assert world.account.orders() == []


def test_an_account_that_is_not_the_one_ends_it():
    world = World()

    def refuse(account):
        raise BrokerAccess(f"account {account.account_id} is another.")

    world.admit = refuse
    with pytest.raises(BrokerAccess, match="DU1"):
        world.play(lambda _world: asyncio.sleep(0))
    assert len(world.kinds("refused")) == 1


def test_what_a_stream_has_lost_is_found_by_asking():
    async def script(world):
        await sent(world)
        (working,) = world.account.open_orders()
        world.broker.switches.is_silent = True
        world.account.execute(working.broker_id, 10.0, 90.0)  # told to nobody
        world.broker.switches.is_silent = False
        await world.until(lambda: world.of(ReportKind.EXECUTION), most_s=6.0)

    world = World().play(script)
    assert world.of(ReportKind.ORDER)[-1]["status"] is OrderStatus.FILLED


def test_a_fault_that_is_over_is_followed_by_the_books_and_no_loss():
    async def script(world):
        world.broker._tell(LinkNotice(LinkKind.DEGRADED, 0, "a farm is broken"))
        world.broker._tell(LinkNotice(LinkKind.RESTORED, 0, "it works again"))
        await world.until(lambda: len(world.of(ReportKind.BOOKS)) == 2)

    world = World().play(script)
    assert world.kinds("down") == []
    assert [one["why"] for one in world.of(ReportKind.BOOKS)] == ["start", "the broker is back"]


def test_what_has_become_of_an_order_that_is_sought_is_told_before_the_books():
    async def script(world):
        world.link.calls.look_up(["one"])
        world.link.ask_books("again")
        await world.until(lambda: len(world.of(ReportKind.BOOKS)) == 2)

    world = World()
    (old,) = world.account.submit(order().requests)
    world.account.acknowledge(old.broker_id)
    world.account.cancel(old.broker_id)
    world.play(script)
    kinds = [report.kind for _, report in world.told if report.kind is not ReportKind.LINK]
    assert kinds == [ReportKind.BOOKS, ReportKind.ORDER, ReportKind.BOOKS]
    assert world.of(ReportKind.ORDER)[0]["status"] is OrderStatus.CANCELLED
