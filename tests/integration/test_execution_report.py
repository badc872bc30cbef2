"""The report's section on execution: the numbers of `Result.execution`, for a run that has them and for one that has not."""

import dataclasses
import json
import re
from html import unescape

import numpy as np
import pytest

from fairlead.backtest.report.execution import MOST_ROWS, execution_figure, execution_section
from fairlead.backtest.report.page import render
from fairlead.backtest.result import Result
from fairlead.core.intents import OrderIntent
from fairlead.execution.slippage import SlippageSettings
from support_records import info_for
from support_sessions import Scripted, allocate, days, free, random_bars, run

COSTS = {"slippage": SlippageSettings(model="fixed", params={"bps": 10})}


def result_of(symbols=("A", "B"), **changes):
    """Two strategies that trade every symbol, with a limit that is missed and an order that is refused."""
    random = np.random.default_rng(3)
    bars = {symbol: random_bars(random, 20, volume=20_000.0) for symbol in symbols}
    script = {
        1: [OrderIntent.market(symbol, 10) for symbol in symbols],
        3: [OrderIntent.limit(symbols[0], 10, 1.0)],
        5: [OrderIntent.market(symbols[0], 10_000_000)],
    }
    record = run(days(bars), allocate(Scripted(script), "<one>"), allocate(Scripted(script), "two"), execution=free(**COSTS))
    record = dataclasses.replace(record, **changes)
    return Result(record, info_for(record))


@pytest.fixture(scope="module")
def result():
    return result_of()


def cells(html):
    """Every cell of the tables, as text."""
    return [unescape(cell) for cell in re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", html)]


def test_the_picture_is_the_shortfall_in_its_parts(result):
    """One bar a symbol, the dearest on top; its parts add up to the shortfall."""
    figure = execution_figure(result)
    assert [trace["name"] for trace in figure["data"]] == ["Delay", "Slippage", "Commission", "Not filled"]
    ranked = figure["data"][0]["y"]
    shortfall = {name: s.shortfall.total for name, s in result.execution.by_symbol.items()}
    assert ranked == sorted(shortfall, key=shortfall.get, reverse=True)
    for i, name in enumerate(ranked):
        assert sum(trace["x"][i] for trace in figure["data"]) == pytest.approx(shortfall[name], abs=0.03)


def test_the_tables_hold_facts_reasons_strategies_and_symbols(result):
    """As numbers for people; a strategy's name is text, whatever it looks like."""
    html = execution_section(result)
    assert "<one>" not in html
    texts = cells(html)
    assert texts[texts.index("Rejected: insufficient_buying_power") + 1] == "2"
    assert texts[texts.index("Expired: day_end") + 1] == "2"
    total = result.execution.total
    assert texts[texts.index("Charged by the model") + 1] == f"{total.costs.slippage:,.0f} · 10.0 bps"
    assert texts[texts.index("Against mid") + 1] == "n/a"
    assert {"<one>", "two", "A", "B"} <= set(texts)
    assert "Financing" not in texts


def test_of_many_symbols_the_dearest_are_shown():
    """The rest is counted."""
    result = result_of(tuple(f"S{i:02}" for i in range(20)))
    assert len(execution_figure(result)["data"][0]["y"]) == MOST_ROWS
    html = execution_section(result)
    assert f"The {MOST_ROWS} dearest of 20 symbols." in html
    dearest = max(result.execution.by_symbol, key=lambda name: result.execution.by_symbol[name].shortfall.total)
    assert dearest in cells(html)


def test_financing_has_a_column_where_there_is_any(result):
    """A cost of a strategy; what was not charged is not 0."""
    from fairlead.engine.record import FinancingCharge

    texts = cells(execution_section(result_of(financing=[FinancingCharge(0, "two", 0.0, -12.0)])))
    head = texts.index("Financing") - texts.index("Strategy")
    assert texts[texts.index("two") + head] == "12"
    assert texts[texts.index("<one>") + head] == "n/a"


def test_a_run_of_an_earlier_version_has_a_report():
    """Without the prices of its decisions there is no picture, and the tables say n/a."""
    result = result_of(execution_prices=None)
    assert execution_figure(result) == {}
    texts = cells(execution_section(result))
    assert texts[texts.index("Against the decision") + 1] == "n/a"
    page = render(result)
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert "execution" not in data["figures"]


def test_a_run_without_orders_says_so():
    """Instead of empty tables."""
    record = run(days({"A": [(1, 1, 1, 1)] * 3}), Scripted())
    assert "sent no order" in execution_section(Result(record, info_for(record)))


def test_the_page_has_the_section(result):
    """The template names its place, and the chart is drawn."""
    page = render(result)
    assert '<div class="chart" id="execution"' in page
    assert '"costs", "execution"].forEach' in page
