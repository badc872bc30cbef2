"""The rollback of a halt, measured: several positions, a market that gives little, a venue that refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fairlead.control.closing import Closing
from fairlead.core.orders import Order, OrderStatus
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND
from fairlead.execution.simulated import SimulatedExecution
from fairlead.execution.ticking import TickExecution
from fairlead.execution.venue import Venue
from fairlead.journal import Kind
from fairlead.risk.monitors import HaltPhase
from fairlead.sdk import OrderIntent
from support_feeds import OPEN_NS
from support_operated import Planned, journal_of, of_kind, operated
from support_ticks import quote, write_ticks

PNL = "{pnl: {warning_pct: 1, critical_pct: 2}, disabled: [KS_DD, KS_PSR]}"
FLAT_S, VERIFIED_S = 120.0, 180.0
"""What a halt may take (domain rule 7.4)."""
OPENED = {
    "alpha": [OrderIntent.market("A", 300), OrderIntent.market("B", -200)],
    "beta": [OrderIntent.market("A", -100), OrderIntent.market("C", 400)],
}
RESTING = {
    "alpha": [OrderIntent.limit("A", 50, 40.0), OrderIntent.stop("A", -300, 30.0), OrderIntent.limit("B", -25, 150.0)],
    "beta": [OrderIntent.limit("C", 70, 20.0), OrderIntent.limit("A", -5, 190.0)],
}
HELD = {"alpha": {"A": 300.0, "B": -200.0}, "beta": {"A": -100.0, "C": 400.0}}
PRICES = {"A": 100.0, "B": 100.0, "C": 100.0}
FALLEN = {**PRICES, "A": 60.0}
"""Of two times 100,000: 300 - 100 shares have lost 8,000, which is 4 %."""


def refusing(kind: type[Venue], symbol: str) -> type[Venue]:
    """Return a venue that refuses the first order of a halt in a symbol, as one does whose trading is interrupted."""

    class Refusing(kind):
        _has_refused = False

        def submit(self, order: Order, children: Sequence[Order] = ()) -> None:
            super().submit(order, children)
            if order.symbol == symbol and order.tag.startswith("halt-") and not self._has_refused:
                self._has_refused = True
                self._end(order, OrderStatus.REJECTED, order.created_ns, "trading_interrupted")

    return Refusing


@pytest.fixture
def closings(monkeypatch) -> list[Closing]:
    """Those that carry out the halt, with their plans."""
    found: list[Closing] = []
    plain = Closing.step

    def step(self, now_ns):
        if self not in found:
            found.append(self)
        plain(self, now_ns)

    monkeypatch.setattr(Closing, "step", step)
    return found


@pytest.fixture(autouse=True)
def plan():
    Planned.plan.clear()
    yield Planned.plan
    Planned.plan.clear()


def planned(plan, opens: int, rests: int) -> None:
    """Let both strategies take positions on both sides in one minute, and leave orders resting in another."""
    plan.update({(name, opens): wanted for name, wanted in OPENED.items()})
    plan.update({(name, rests): wanted for name, wanted in RESTING.items()})


def pass_minutes(session, prices, count=1):
    for _ in range(count):
        for symbol in "BC":
            session.bar(prices[symbol], symbol)
        session.minute(prices["A"])


def positions(session):
    return {one["name"]: one["positions"] for one in session.status["strategies"]}


def seconds(ns: int, since_ns: int) -> float:
    return (ns - since_ns) / NS_PER_SECOND


def what_became(session, result) -> tuple[list[tuple[float, str, str, float]], float]:
    """Hold the halt against what it must never do, and return its fills with their seconds from the trip."""
    (trip,) = [r for r in journal_of(session.folder) if r.kind == Kind.SWITCH and r.data["state"] == "tripped"]
    ours = {order.order_id for order in result.record.orders if order.tag.startswith("halt-")}
    # First everything that rests is taken back, then a position is closed.
    updates = [u for u in result.record.updates if u.ts_ns >= trip.ts_ns]
    cancelled = [i for i, u in enumerate(updates) if u.status is OrderStatus.CANCELLED and u.order_id not in ours]
    sent = {name: next(i for i, u in enumerate(updates) if u.order_id in of) for name, of in by_strategy(result, ours).items()}
    theirs = {o.order_id: o.strategy for o in result.record.orders}
    assert len(cancelled) == 5
    assert all(i < sent[theirs[updates[i].order_id]] for i in cancelled)
    assert all(seconds(updates[i].ts_ns, trip.ts_ns) <= 10.0 for i in cancelled)
    # Nothing grows and nothing is turned round.
    held = {(name, symbol): units for name, book in HELD.items() for symbol, units in book.items()}
    fills = [fill for fill in result.record.fills if fill.ts_ns > trip.ts_ns]
    for fill in fills:
        before = held[fill.strategy, fill.symbol]
        held[fill.strategy, fill.symbol] = after = before + fill.signed_quantity
        assert fill.order_id in ours
        assert before * after >= 0.0
        assert abs(after) < abs(before)
    assert set(held.values()) == {0.0}
    told = [(seconds(fill.ts_ns, trip.ts_ns), fill.strategy, fill.symbol, fill.signed_quantity) for fill in fills]
    return told, max(at for at, *_ in told)


def by_strategy(result, ours: set[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for order in result.record.orders:
        if order.order_id in ours:
            found.setdefault(order.strategy, set()).add(order.order_id)
    return found


def clocks(closings) -> dict[str, dict[HaltPhase, float]]:
    return {closing.strategy: closing.plan.reached for closing in closings}


def late(session) -> list[str]:
    """The alerts that something took too long."""
    return [data["text"] for data in of_kind(journal_of(session.folder), Kind.NOTE) if " within " in data["text"]]


def quoted(folder: Path, minutes: int = 8, every_s: int = 2, size: float = 40.0) -> str:
    """Return the setting of quotes that show little of each symbol, at the prices of its bars."""
    ticks: list[Any] = []
    for second in range(1, minutes * 60, every_s):
        prices = PRICES if second < 3 * 60 else FALLEN
        # What is shown at an unchanged price has been taken: new offers come at another.
        moved = 0.01 * (len(ticks) % 2)
        for name in sorted(prices):
            bid = prices[name] - 0.01 + moved
            ticks.append(quote(OPEN_NS + second * NS_PER_SECOND, bid, bid + 0.02, size, size, name))
    return f"{{}}, fidelity: quotes, ticks: '{write_ticks(folder / 'quotes.parquet', ticks)}'"


def halted(folder, **given):
    return operated(folder, "alpha", "beta", strategy="Planned", switches=PNL, symbols="A, B, C", **given)


def falls(session, calm: int, fallen: int) -> None:
    """Let the market be calm until positions are taken, and then fall."""
    pass_minutes(session, PRICES, calm)
    assert positions(session) == HELD
    assert session.status["working_orders"] == 5
    pass_minutes(session, FALLEN, fallen)


def test_on_quotes_that_show_little_it_takes_twenty_seconds_and_is_known_a_bar_later(tmp_path, plan, closings):
    planned(plan, 0, 1)
    with halted(tmp_path, account=quoted(tmp_path)) as session:
        falls(session, 3, 3)
        assert positions(session) == {"alpha": {}, "beta": {}}
        assert session.status["working_orders"] == 0
        result = session.end()
    fills, last_s = what_became(session, result)
    # No quote shows all that is to be closed, of any of the four positions.
    assert min(Counter((name, symbol) for _, name, symbol, _ in fills).values()) >= 3
    assert last_s == 19.0
    for reached in clocks(closings).values():
        assert reached[HaltPhase.ASSESS] <= 30.0
        assert reached[HaltPhase.VERIFY] == 60.0 < FLAT_S
        assert reached[HaltPhase.DISCONNECT] == 60.0 < VERIFIED_S
    assert not late(session)


def test_a_venue_that_refuses_costs_a_minute(tmp_path, plan, monkeypatch, closings):
    monkeypatch.setattr("fairlead.execution.fidelity.TickExecution", refusing(TickExecution, "C"))
    planned(plan, 0, 1)
    with halted(tmp_path, account=quoted(tmp_path)) as session:
        falls(session, 3, 4)
        result = session.end()
    fills, last_s = what_became(session, result)
    refused = [(o.symbol, o.reason) for o in result.record.orders if o.status is OrderStatus.REJECTED]
    assert refused == [("C", "trading_interrupted")]
    # Refused at once; a session on bars hears of it, and may ask again, with the next.
    assert min(at for at, _, symbol, _ in fills if symbol == "C") == 61.0
    assert last_s == 79.0 < FLAT_S
    assert {name: reached[HaltPhase.VERIFY] for name, reached in clocks(closings).items()} == {"alpha": 60.0, "beta": 120.0}
    assert max(reached[HaltPhase.DISCONNECT] for reached in clocks(closings).values()) == 120.0 < VERIFIED_S
    assert not late(session)


def test_a_crash_while_positions_are_closed_changes_nothing(tmp_path, plan, monkeypatch, closings):
    monkeypatch.setattr("fairlead.execution.fidelity.TickExecution", refusing(TickExecution, "C"))
    planned(plan, 0, 1)
    (tmp_path / "first").mkdir()
    account = quoted(tmp_path)
    with halted(tmp_path / "first", account=account) as session:
        falls(session, 3, 2)
        assert positions(session) == {"alpha": {}, "beta": {"C": 400.0}}
        home = session.left_by_a_crash(tmp_path / "second")
        pass_minutes(session, FALLEN, 2)
        expected, _ = what_became(session, session.end())
    closings.clear()
    with halted(home, account=account, goes_on=True) as session:
        session.now += 5 * NS_PER_MINUTE
        session.clock_ns = session.now
        pass_minutes(session, FALLEN, 2)
        result = session.end()
    assert what_became(session, result)[0] == expected
    assert {name: reached[HaltPhase.VERIFY] for name, reached in clocks(closings).items()} == {"alpha": 60.0, "beta": 120.0}


@pytest.mark.parametrize(
    ("share", "refuses", "flat_s", "is_late"),
    [
        ("0.01", "", 60.0, False),
        ("0.01", "B", 120.0, False),
        ("0.0002", "", 120.0, False),
        ("0.0002", "B", 120.0, False),
        ("0.0001", "", 240.0, True),
    ],
    ids=["all at once", "refused", "in parts", "in parts and refused", "too thin"],
)
def test_on_bars_it_is_known_at_their_ends(tmp_path, plan, monkeypatch, closings, share, refuses, flat_s, is_late):
    """Bars of a million units, of which so much may be ours."""
    monkeypatch.setattr("fairlead.execution.fidelity.SimulatedExecution", refusing(SimulatedExecution, refuses))
    planned(plan, 0, 8)
    with halted(tmp_path, account=f"{{}}, max_bar_participation: {share}") as session:
        falls(session, 10, 6)
        result = session.end()
    _, last_s = what_became(session, result)
    reached = clocks(closings)
    assert last_s == max(found[HaltPhase.VERIFY] for found in reached.values()) == flat_s
    assert max(found[HaltPhase.DISCONNECT] for found in reached.values()) == flat_s
    assert bool(late(session)) == is_late
    assert not is_late or any("not flat within 120 s: " in text for text in late(session))
