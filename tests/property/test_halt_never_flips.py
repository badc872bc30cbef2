"""Whatever a broker does and in whatever order its news come, a halt closes positions and turns none round."""

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fairlead.core.orders import OrderStatus, Side
from fairlead.core.time import NS_PER_SECOND
from fairlead.risk.monitors import HaltAction, HaltPhase, HaltPlan
from support_halt import SlowBroker, order, run_to_end

SYMBOLS = ("AAA", "BBB")
AT = st.integers(0, 10**6)


class Halting(RuleBasedStateMachine):
    """The plan against a broker that fills late, rejects, ignores cancels, reorders and repeats."""

    @initialize(
        held=st.lists(st.integers(-20, 20), min_size=2, max_size=2),
        working=st.lists(
            st.tuples(
                st.sampled_from(SYMBOLS),
                st.sampled_from(list(Side)),
                st.integers(1, 15),
                st.sampled_from([OrderStatus.ACKNOWLEDGED, OrderStatus.PENDING]),
            ),
            max_size=4,
        ),
        known=st.booleans(),
    )
    def begin(self, held, working, known):
        orders = [
            order(f"s{i}", name, side, float(units), status=status) for i, (name, side, units, status) in enumerate(working)
        ]
        self.broker = SlowBroker({name: float(units) for name, units in zip(SYMBOLS, held, strict=True)}, orders)
        # What is on its way to the broker is known to who sent it; what rests there may be another's.
        told = [o for o in orders if known or o.status is OrderStatus.PENDING]
        self.plan = HaltPlan("h", HaltAction.HALT_AND_FLATTEN, 0, told)
        self.now = 0.0
        self.on_its_way: dict[str, float] = {}
        self.step()

    def step(self):
        self.broker.do(self.plan.next(round(self.now * NS_PER_SECOND)))

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 6.0, 30.0]))
    def time_passes(self, seconds):
        # Nothing is on its way for ten seconds: after that an order that the broker does not know is taken for gone.
        self.on_its_way = {o.order_id: self.on_its_way.get(o.order_id, 0.0) + seconds for o in self.broker.arriving}
        for at in reversed(range(len(self.broker.arriving))):
            if self.on_its_way[self.broker.arriving[at].order_id] > 9.0:
                self.broker.arrive(at)
        self.now += seconds
        self.step()

    @precondition(lambda self: self.broker.arriving)
    @rule(at=AT, refused=st.booleans())
    def order_arrives(self, at, refused):
        at %= len(self.broker.arriving)
        self.broker.refuse(at) if refused else self.broker.arrive(at)

    @precondition(lambda self: self.broker.working)
    @rule(at=AT, units=st.integers(1, 15))
    def fill(self, at, units):
        working = self.broker.working
        self.broker.fill(working[at % len(working)], float(units))

    @precondition(lambda self: self.broker.cancels)
    @rule(at=AT, ignore=st.booleans())
    def cancel(self, at, ignore):
        self.broker.cancel(at % len(self.broker.cancels), ignore=ignore)

    @precondition(lambda self: self.broker.asked)
    @rule(at=AT)
    def look(self, at):
        self.broker.look(at % len(self.broker.asked))

    @precondition(lambda self: self.broker.news)
    @rule(at=AT, keep=st.booleans())
    def deliver(self, at, keep):
        self.broker.deliver(self.plan, at % len(self.broker.news), keep=keep)
        self.step()

    @precondition(lambda self: self.broker.news)
    @rule(at=AT)
    def news_is_lost(self, at):
        self.broker.news.pop(at % len(self.broker.news))

    @invariant()
    def holds(self):
        self.broker.check()
        if self.broker.disconnected:
            assert not any(self.broker.positions.values()), "disconnected with a position"
            assert not [*self.broker.working, *self.broker.arriving], "disconnected with orders"

    def teardown(self):
        if not hasattr(self, "plan"):
            return
        end = run_to_end(self.plan, self.broker, self.now, limit_s=self.now + 600, chance=random.Random(7))
        assert self.plan.phase is HaltPhase.DONE, (end, self.plan.phase, self.plan.residual, self.plan.working)
        assert self.broker.disconnected
        assert not any(self.broker.positions.values())
        self.broker.check()


TestHalting = Halting.TestCase
TestHalting.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("seed", range(40))
def test_flat_within_two_minutes(seed):
    """Partial fills, rejects, ignored cancels and late fills: every position is closed in time, the clock is measured."""
    chance = random.Random(seed)
    positions = {f"S{i}": float(chance.randint(-500, 500)) for i in range(8)}
    orders = [
        order(f"s{i}", f"S{chance.randrange(8)}", chance.choice(list(Side)), float(chance.randint(1, 300))) for i in range(12)
    ]
    broker = SlowBroker(positions, orders)
    plan = HaltPlan("h", HaltAction.HALT_AND_FLATTEN, 0, orders[:6])
    run_to_end(plan, broker, 0.0, limit_s=180.0, chance=chance)
    assert plan.phase is HaltPhase.DONE
    assert not any(broker.positions.values())
    assert plan.reached[HaltPhase.ASSESS] <= 30.0
    assert plan.reached[HaltPhase.VERIFY] < 120.0
    assert plan.reached[HaltPhase.DONE] < 180.0
    assert [alert.rule for alert in broker.alerts] == []
