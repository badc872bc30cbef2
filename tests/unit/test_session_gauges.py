"""A session's numbers, by hand: what is heard, marked, judged and tripped, as `/metrics` and `/ready` show it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.control.gauges import SessionGauges
from fairlead.core.fills import Fill
from fairlead.core.orders import Order, OrderStatus, OrderType, Side
from fairlead.core.portfolio import Portfolio
from fairlead.core.redaction import Secrets
from fairlead.data.live import FeedNotice, NoticeKind
from fairlead.engine.runner import StrategyRunner
from fairlead.execution.reconciliation import Difference, DifferenceKind
from fairlead.risk.monitors import HaltAction, Level, Reading, SwitchId
from fairlead.sdk.harness import StrategyHarness
from fairlead.strategies.buy_and_hold import BuyAndHold
from support_risk import MARKS, NOW, a_ledger


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.read().decode()


class Shown:
    """Gauges and the address where they are served."""

    def __init__(self, gauges: SessionGauges, url: str) -> None:
        self.gauges, self.url = gauges, url

    def __getitem__(self, key: tuple[str, ...]) -> float:
        """Return the value of a series: its name, then the values of its labels by the labels' names."""
        found = {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(get(f"{self.url}/metrics"))
            for sample in family.samples
        }
        return found[key]


@pytest.fixture
def shown() -> Iterator[Shown]:
    gauges = SessionGauges(Secrets(["hunter22"]))
    with gauges.endpoints(0) as served:
        yield Shown(gauges, served.url)


def an_order(order_id: str, side: Side = Side.BUY) -> Order:
    return Order(order_id, order_id, "g", "trend", "A", side, 5.0, OrderType.MARKET, NOW, NOW)


def test_what_happens_to_orders_is_counted(shown):
    hear = shown.gauges.heard
    ends = {
        "o1": (),
        "o2": ((OrderStatus.CANCELLED, ""),),
        "o3": ((OrderStatus.REJECTED, "G2 position above its limit"),),
        "o4": ((OrderStatus.REJECTED, "G2 position above its limit"),),
        "o5": ((OrderStatus.REJECTED, "V3 no price"),),
        "o6": ((OrderStatus.REJECTED, "insufficient cash: 5 short"),),
    }
    for order_id, moves in ends.items():
        order = an_order(order_id, Side.SELL if order_id == "o2" else Side.BUY)
        hear(order)
        hear(order.move_to(OrderStatus.SUBMITTED, NOW))
        for status, reason in moves:
            if status is OrderStatus.CANCELLED:
                hear(order.move_to(OrderStatus.ACKNOWLEDGED, NOW))
            hear(order.move_to(status, NOW, reason))
    for price, ideal in ((100.15, 100.0), (100.0, 0.0)):  # the second has no ideal price to be measured against
        hear(Fill("1", "o1", "trend", "A", Side.BUY, 5.0, ideal, price, 0.0, NOW, NOW))
    assert shown["orders_sent_total", "BUY", "trend"] == 5
    assert shown["orders_sent_total", "SELL", "trend"] == 1
    assert shown["cancels_total",] == 1
    assert shown["guard_rejections_total", "G2"] == 2
    assert shown["guard_rejections_total", "V3"] == 1
    assert shown["rejects_total", "insufficient cash"] == 1
    assert shown["fills_total",] == 2
    assert shown["slippage_bps_count",] == 1
    assert [shown["slippage_bps_bucket", bound] for bound in ("10.0", "20.0")] == [0, 1]  # 15 basis points


def runner(name: str, ledger: Portfolio) -> StrategyRunner:
    strategy = BuyAndHold()
    harness = StrategyHarness(strategy)
    return StrategyRunner(name, strategy, ledger, harness.context, strategy.risk_limits, submit=print, failed=print)


def test_what_the_books_are_worth_is_shown(shown):
    long, short = a_ledger(100_000.0, A=300.0), a_ledger(50_000.0, B=-200.0)
    runners = [runner("long", long), runner("short", short)]
    shown.gauges.marked(runners, 150_000.0)
    assert shown["drawdown_current",] == 0.0
    long.charge(10_000.0)  # 160,000: the peak
    shown.gauges.marked(runners, 150_000.0)
    long.charge(-22_000.0)
    short.charge(2_000.0)  # 88,000 and 52,000
    shown.gauges.marked(runners, 155_000.0)
    assert shown["cycles_total",] == 3
    assert shown["portfolio_value",] == pytest.approx(140_000.0)
    assert shown["cash_balance",] == pytest.approx(140_000.0 - 300 * MARKS["A"] + 200 * MARKS["B"])
    assert shown["positions_count",] == 2
    assert shown["strategy_pnl", "long"] == pytest.approx(-12_000.0)
    assert shown["strategy_pnl", "short"] == pytest.approx(2_000.0)
    assert shown["pnl_current",] == pytest.approx(140 / 150 - 1)
    assert shown["daily_pnl",] == pytest.approx(-15_000.0)
    assert shown["drawdown_current",] == pytest.approx(0.125)
    assert shown["gross_exposure",] == pytest.approx(40 / 140)
    assert shown["net_exposure",] == pytest.approx(20 / 140)


def test_kill_switches_are_shown_and_halts_counted(shown):
    def judge(switch: SwitchId, level: Level, strategy: str = "") -> None:
        shown.gauges.judged(
            Reading(
                switch=switch,
                level=level,
                measured=5.0,
                warning=5.0,
                critical=10.0,
                action=HaltAction.HALT_AND_FLATTEN,
                strategy=strategy,
            )
        )

    for switch, level in zip(SwitchId, Level, strict=False):
        judge(switch, level)
        judge(switch, Level.CRITICAL, "trend")  # of one strategy: not the session's
    states = {Level.OK: 0, Level.WARNING: 1, Level.UNKNOWN: 1, Level.CRITICAL: 2}
    for switch, level in zip(SwitchId, Level, strict=False):
        assert shown["kill_switch_state", switch.value] == states[level]
    for switch in ("KS_DD", "KS_MANUAL", "KS_DD"):
        shown.gauges.tripped(switch)
    assert shown["kill_switch_triggered_total", "KS_DD"] == 2
    assert shown["kill_switch_triggered_total", "KS_MANUAL"] == 1


def test_no_secret_is_shown_to_who_asks_whether_it_is_ready(shown):
    shown.gauges.readiness.report("data_fresh", "the feed refuses the key hunter22")
    assert "hunter22" not in get(f"{shown.url}/ready")
    assert "the feed refuses the key (redacted)" in json.dumps(json.loads(get(f"{shown.url}/ready")))


def test_reports_that_came_again_and_differences_of_the_books_are_counted(shown):
    for total in (0, 3, 3, 5):
        shown.gauges.repeated(total)
    assert shown["order_duplicates_total",] == 5
    missed, cash = (
        Difference(kind, "trend", "A", "1", "2") for kind in (DifferenceKind.MISSED_FILL, DifferenceKind.CASH_MISMATCH)
    )
    shown.gauges.differed([missed, missed, cash])
    shown.gauges.differed([missed])
    assert shown["reconciliation_mismatch_total", "MISSED_FILL"] == 3
    assert shown["reconciliation_mismatch_total", "CASH_MISMATCH"] == 1


def test_what_a_feed_says_and_what_fails_is_counted(shown):
    for kind in (NoticeKind.CONNECTED, NoticeKind.GAP, NoticeKind.DISCONNECTED, NoticeKind.CONNECTED, NoticeKind.GAP):
        shown.gauges.noticed(FeedNotice(kind, NOW))
    for component in ("strategy", "journal", "strategy"):
        shown.gauges.failed(component)
    assert (shown["data_gaps_total",], shown["reconnects_total",]) == (2, 1)
    assert (shown["errors_total", "strategy"], shown["errors_total", "journal"]) == (2, 1)


def test_a_sign_of_life_says_how_the_checks_stand(shown):
    shown.gauges.alive(kill_latch=None, data_fresh="61 s old", state_loaded=None)
    asked = json.loads(get(f"{shown.url}/ready"))
    assert (asked["ready"], asked["failing"]) == (False, ["data_fresh"])
    for _ in range(2):
        shown.gauges.alive(kill_latch=None, data_fresh=None, state_loaded=None)
    assert json.loads(get(f"{shown.url}/ready"))["ready"]
    shown.gauges.alive(kill_latch="trading is halted", data_fresh=None, state_loaded=None)
    assert json.loads(get(f"{shown.url}/ready"))["failing"] == ["kill_latch"]
    assert json.loads(get(f"{shown.url}/health"))
