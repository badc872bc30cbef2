"""However a broker's reports come, each is given out once, and those of an order in their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fairlead.core.fills import Fill
from fairlead.core.orders import Order, OrderStatus, OrderType, Side
from fairlead.execution.reports import Report, ReportInlet

S = OrderStatus
ENDS = (S.FILLED, S.CANCELLED, S.EXPIRED)


def life(order_id: str, parts: tuple[int, ...], end: OrderStatus) -> list[Report]:
    """The reports of an order from its sending to its end, as a venue makes them."""
    quantity = float(sum(parts) + (end is not S.FILLED))
    order = Order(order_id, order_id, "g", "alpha", "A", Side.BUY, quantity, OrderType.MARKET, 0, 0)
    reports = [Report(order, order.move_to(status, 0)) for status in (S.SUBMITTED, S.ACKNOWLEDGED)]
    for part in parts:
        update = order.record_fill(float(part), 10.0, 0.0, 1)
        fill = Fill(str(update.seq), order_id, "alpha", "A", Side.BUY, float(part), 10.0, 10.0, 0.0, 1, 0)
        reports.append(Report(order, update, fill))
    if end is not S.FILLED:
        reports.append(Report(order, order.move_to(end, 2)))
    return reports


@st.composite
def streams(draw):
    """The reports of several orders, as they happened."""
    return [
        report
        for number in range(draw(st.integers(1, 4)))
        for report in life(
            f"o{number}", tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))), draw(st.sampled_from(ENDS))
        )
    ]


def told_of(reports) -> dict[str, list[Report]]:
    told: dict[str, list[Report]] = {}
    for report in reports:
        told.setdefault(report.order.order_id, []).append(report)
    return told


@given(stream=streams(), data=st.data())
def test_any_repetition_in_any_order_gives_the_same_of_each_order(stream, data):
    copies = [data.draw(st.integers(1, 3)) for _ in stream]
    arrivals = data.draw(st.permutations([r for report, n in zip(stream, copies, strict=True) for r in [report] * n]))
    inlet = ReportInlet()
    passed = [given_out for report in arrivals for given_out in inlet.take(report)]
    assert told_of(passed) == told_of(stream)
    assert inlet.duplicates == len(arrivals) - len(stream)
    assert inlet.waiting == {}


@given(stream=streams(), data=st.data())
def test_what_is_lost_holds_back_what_follows_of_its_order_alone(stream, data):
    lost = data.draw(st.sets(st.integers(0, len(stream) - 1)))
    inlet = ReportInlet()
    came = [report for i, report in enumerate(stream) if i not in lost]
    passed = [given_out for report in data.draw(st.permutations(came)) for given_out in inlet.take(report)]
    missed = {}
    for i in sorted(lost, reverse=True):
        missed[stream[i].order.order_id] = stream[i].update.seq
    assert told_of(passed) == told_of(r for r in stream if r.update.seq < missed.get(r.order.order_id, 99))
    held = [report for report in came if report not in passed]
    assert inlet.waiting == {report.order.order_id: missed[report.order.order_id] for report in held}
    assert all(inlet.holds(*report.key) for report in held)
    # When they come after all, nothing is missing.
    passed += [given_out for i in sorted(lost) for given_out in inlet.take(stream[i])]
    assert told_of(passed) == told_of(stream)
    assert (inlet.waiting, inlet.duplicates) == ({}, 0)


@given(stream=streams(), data=st.data())
def test_who_acts_on_a_report_may_cause_others(stream, data):
    """Hearing of one takes the next in before the walk over what a closed gap has brought goes on."""
    waiting = data.draw(st.permutations(stream))
    inlet, passed = ReportInlet(), []

    def take():
        for report in inlet.take(waiting.pop()):
            passed.append(report)
            if waiting and data.draw(st.booleans()):
                take()

    while waiting:
        take()
    assert told_of(passed) == told_of(stream)


@given(stream=streams())
def test_an_execution_that_is_told_under_another_number_is_booked_once(stream):
    inlet, passed, again = ReportInlet(), [], 0
    for report in stream:
        shift = sum(r.fill is not None for r in passed if r.order is report.order)
        moved = report._replace(update=report.update._replace(seq=report.update.seq + shift))
        passed += inlet.take(moved)
        if report.fill is not None:
            again += 1
            passed += inlet.take(moved._replace(update=moved.update._replace(seq=moved.update.seq + 1)))
    fills = [report.fill for report in passed if report.fill is not None]
    assert fills == [report.fill for report in stream if report.fill is not None]
    assert inlet.duplicates == again


class Inlet(RuleBasedStateMachine):
    """Sends reports of orders that live on while they are told, against a model that remembers everything."""

    def __init__(self):
        super().__init__()
        self.inlet = ReportInlet()
        self.lives = {f"o{i}": life(f"o{i}", (1,) * i, ENDS[i % 3]) for i in range(1, 5)}
        self.sent: set[tuple[str, int]] = set()
        self.passed: list[Report] = []
        self.arrivals = 0

    @rule(name=st.sampled_from(["o1", "o2", "o3", "o4"]), at=st.integers(0, 7))
    def arrives(self, name, at):
        reports = self.lives[name]
        report = reports[at % len(reports)]
        self.sent.add(report.key)
        self.arrivals += 1
        self.passed += self.inlet.take(report)

    @precondition(lambda self: self.sent)
    @invariant()
    def each_once_and_in_order(self):
        told = told_of(self.passed)
        waiting = {}
        for name, reports in self.lives.items():
            came = [report for report in reports if report.key in self.sent]
            whole = next((i for i, report in enumerate(reports) if report.key not in self.sent), len(reports))
            assert told.get(name, []) == reports[:whole]
            if len(came) > whole:
                waiting[name] = whole + 1
        assert self.inlet.waiting == waiting
        assert self.inlet.duplicates == self.arrivals - len(self.sent)


TestInlet = Inlet.TestCase
