"""The same strategy on the same market: what is decided live, against a broker, is what is decided on paper."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest

from fairlead.core.orders import OrderStatus
from fairlead.core.time import BarSize
from fairlead.data.bundled import ensure_bundled
from fairlead.data.live import FeedNotice, NoticeKind, Received, session_events
from fairlead.data.memory import MemorySource
from fairlead.data.opening import store_of
from fairlead.data.synthetic import SyntheticSettings, generate_bars
from fairlead.sdk.registry import known_strategies
from support_feeds import XNYS
from support_live_counterparts import PATIENCE_NS, traded_at
from support_live_parity import decisions_of, executed, traded_live
from support_paper import CONFIGS
from support_recordings import RISK, recorded

DAILY = ("buy_and_hold", "fixed_weights", "mean_reversion", "momentum", "rsi", "sma_crossover")
OWN = {"buy_and_hold": ("strategies.buy_and_hold.params.weight=0.9",)}
MINUTES = SyntheticSettings(
    symbols=("AAA", "BBB"), bar_size=BarSize.M5, start=dt.date(2024, 1, 2), end=dt.date(2024, 1, 12), seed=42
)
PATIENT = """\
mode: backtest
name: patient
clock: {type: historical, speed: max}
data: {type: historical, source: bundled, symbols: [AAPL]}
execution: {slippage: {model: none}, commission: {model: none}}
strategies: [{name: patient, capital: 100_000, strategy: 'support_live_counterparts:Patient'}]
"""
AT_ONCE = "execution.latency={mean_ms: 0, std_ms: 0}"


def on_paper(config, folder, events, *overrides, **options):
    script = [Received(FeedNotice(NoticeKind.CONNECTED, 0, "tidy"), 0), *(Received(bar, bar.known_ns) for bar in events)]
    script.append(Received(FeedNotice(NoticeKind.ENDED, events[-1].known_ns, "it is over"), events[-1].known_ns))
    result, _ = recorded(config, folder, script, AT_ONCE, *overrides, **options)
    return result


def both(config, folder, events, *overrides, **options):
    paper = on_paper(config, folder / "paper", events, *overrides, **options)
    live = traded_live(config, folder / "live", events, *overrides, calendar="XNYS", **options)
    assert decisions_of(live) == decisions_of(paper)
    assert executed(live) == executed(paper)
    return live, paper


def test_every_shipped_strategy_is_here():
    assert {*DAILY, "insidebar"} == set(known_strategies())


@pytest.mark.parametrize("name", DAILY)
def test_a_daily_strategy(tmp_path, name):
    source = ensure_bundled(store_of(tmp_path)).select(("AAPL", "IBM"), dt.date(2004, 5, 3), dt.date(2005, 6, 30))
    given = (RISK, *OWN.get(name, ()))
    live, paper = both(
        CONFIGS / f"{name}.yaml", tmp_path, list(session_events(source)), *given, bar_size="1d", symbols=("AAPL", "IBM")
    )
    assert live.record.fills
    assert live.record.account.equity.tolist() == paper.record.account.equity.tolist()


def test_an_intraday_strategy(tmp_path):
    market = list(session_events(MemorySource(generate_bars(MINUTES, XNYS), bar_size=BarSize.M5)))
    # The exits of a bracket leave when its entry has been told, after the bar: one that paper fills in the same bar, a broker
    # fills in the next, here at the same stop. So the curves of the two differ for that bar.
    live, _ = both(CONFIGS / "insidebar.yaml", tmp_path, market, RISK, bar_size="5min", symbols=("AAA", "BBB"))
    assert len(live.record.fills) > 10


NO_COSTS = ("execution.slippage={model: none}", "execution.commission={model: none}")


@pytest.mark.parametrize("broker", ["alpaca", "ibkr"])
@pytest.mark.parametrize("name", ["momentum", "rsi"])
def test_a_strategy_at_a_brokers_protocol(tmp_path, name, broker):
    pytest.importorskip("alpaca" if broker == "alpaca" else "ib_async")
    source = ensure_bundled(store_of(tmp_path)).select(("AAPL", "IBM"), dt.date(2004, 5, 3), dt.date(2005, 2, 28))
    market, config = list(session_events(source)), CONFIGS / f"{name}.yaml"
    options = {"bar_size": "1d", "symbols": ("AAPL", "IBM")}
    paper = on_paper(config, tmp_path / "paper", market, *NO_COSTS, RISK, **options)
    live = traded_at(broker, config, tmp_path / "live", market, RISK, **options)
    assert decisions_of(live) == decisions_of(paper)
    assert executed_of(live) == executed_of(paper)
    assert live.record.fills


def executed_of(result):
    """What was filled: orders of one instant are on their way to a broker at once, and arrive there in any order."""
    decided = {order.order_id: order.created_ns for order in result.record.orders}
    told = zip(result.record.fills, executed(result), strict=True)
    return [done for _, done in sorted(told, key=lambda each: (decided[each[0].order_id], each[0].symbol, each[0].ts_ns))]


@pytest.mark.parametrize("broker", ["alpaca", "ibkr"])
def test_an_intraday_strategy_at_a_brokers_protocol(tmp_path, broker):
    pytest.importorskip("alpaca" if broker == "alpaca" else "ib_async")
    market = list(session_events(MemorySource(generate_bars(MINUTES, XNYS), bar_size=BarSize.M5)))
    config, options = CONFIGS / "insidebar.yaml", {"bar_size": "5min", "symbols": ("AAA", "BBB")}
    paper = on_paper(config, tmp_path / "paper", market, *NO_COSTS, RISK, **options)
    live = traded_at(broker, config, tmp_path / "live", market, RISK, **options)
    assert executed_of(live) == executed_of(paper)
    assert [as_linked(order) for order in decisions_of(live)] == [as_linked(order) for order in decisions_of(paper)]
    assert len(live.record.fills) > 10


def as_linked(order):
    """Leave out why what closes was taken back, and how much of an exit was left: a broker cancels before it tells of the fill.

    At Alpaca, where exits hold the units, they make way for an order for the closing auction when that has to be sent.
    """
    if not order["reduce_only"] or order["status"] is not OrderStatus.CANCELLED:
        return order
    return {**order, "reason": "", "quantity": 0.0}


@pytest.mark.parametrize("broker", ["alpaca", "ibkr"])
def test_an_order_ends_in_time_whether_its_broker_keeps_times_or_not(tmp_path, broker):
    pytest.importorskip("alpaca" if broker == "alpaca" else "ib_async")
    market = list(session_events(MemorySource(generate_bars(MINUTES, XNYS), bar_size=BarSize.M5)))[:200]
    config = tmp_path / "patient.yaml"
    config.write_text(PATIENT)
    options = {"bar_size": "5min", "symbols": ("AAA", "BBB")}
    paper = on_paper(config, tmp_path / "paper", market, *NO_COSTS, RISK, **options)
    live = traded_at(broker, config, tmp_path / "live", market, RISK, **options, patience_ns=PATIENCE_NS)
    assert executed_of(live) == executed_of(paper)
    assert decisions_of(live) == decisions_of(paper)
    ends = Counter(order.status for order in live.record.orders)
    assert ends[OrderStatus.EXPIRED] > 5
    assert ends[OrderStatus.FILLED] > 5
