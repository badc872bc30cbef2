"""The report: one page, complete, harmless, small."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from fairlead.backtest.report import wording
from fairlead.backtest.report.figures import ROLLING_SESSIONS, build_figures
from fairlead.backtest.report.page import fill, render, script_safe
from fairlead.backtest.report.pricechart import price_charts
from fairlead.backtest.report.sections import METRIC_GROUPS
from fairlead.backtest.result import Result
from fairlead.core.errors import ContractError
from fairlead.engine.record import EquityCurve, RunRecord, SessionPrices, StrategyOutcome
from support_records import Ask, Market, constant_market, info_for, simulate, sma_run, split, weekdays


class Page(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text, self._script = [], [], [], False
        self.scripts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag == "script":
            self.scripts.append("")
            self._script = True

    def handle_endtag(self, tag):
        if tag == "script":
            self._script = False

    def handle_data(self, data):
        if self._script:
            self.scripts[-1] += data
        else:
            self.text.append(data)


def page_of(record, **info):
    return Page(render(Result(record, info_for(record, **info))))


def text_of(page):
    return " ".join(" ".join(page.text).split())


@pytest.fixture(scope="module")
def real():
    record = sma_run(("AAPL", "MSFT"))
    return Result(record, info_for(record, title="Crossover", config={"a": {"b": [1, 2]}, "s": [{"x": 1.5}]}))


@pytest.fixture(scope="module")
def real_page(real):
    return Page(render(real))


def test_the_page_loads_nothing(real_page):
    """No source, no link, no style sheet from elsewhere."""
    assert real_page.links == []
    assert "link" not in real_page.tags
    assert "img" not in real_page.tags
    assert len(real_page.scripts) == 3


def test_the_page_holds_everything_that_was_promised(real, real_page):
    """Every section, every metric, and the provenance."""
    text = text_of(real_page)
    for heading in ("Equity", "Drawdown", "Monthly returns", "Rolling Sharpe", "Exposure", "Trades on the price", "Costs",
                    "Returns per session", "All metrics", "Strategies", "Trades", "Parameters", "Provenance"):  # fmt: skip
        assert heading in text, heading
    for value in (
        real.run_id,
        real.digest,
        real.info.config_hash,
        real.info.dataset_hash,
        real.info.code_hash,
        real.info.command,
    ):
        assert value in text, value
    assert "fast = 20, slow = 50" in text
    assert "a.b [1, 2]" in text
    assert "s[0].x 1.5" in text
    assert "SYNTHETIC" not in text.upper()
    assert {"Best", "Worst"} <= set(real_page.text)


def test_every_metric_is_shown(real):
    """A metric that is added to the scorecard must find its place in the report; one is of runs with cash flows alone."""
    shown = {key for _, entries in METRIC_GROUPS for key, _, _ in entries}
    assert {*real.metrics, "cash_flows"} == shown


def test_charts_are_valid_data(real_page):
    """The embedded JSON parses and has all charts, with the split marked and prices continuous across it."""
    data = json.loads(real_page.scripts[0])
    assert set(data["figures"]) == {"equity", "drawdown", "rolling", "exposure", "distribution", "costs"}
    assert data["figures"]["equity"]["log"] is True
    chart = data["prices"]["charts"]["AAPL"]
    assert [label for _, label in chart["splits"]] == ["2:1 split", "2:1 split"]
    assert [label for *_, label in chart["dividends"]] == ["Dividend 2.65 per share"]
    for stamp, _ in chart["splits"]:
        row = int(np.searchsorted(chart["x"], stamp))
        assert abs(np.log(chart["y"][row] / chart["y"][row - 1])) < 0.2
    assert len(chart["buys"]["x"]) > 10


def test_fills_are_adjusted_like_the_prices():
    """Bought at 100 before a 2:1 split: the marker stands at 50 and the text says 100."""
    days = weekdays("2024-01-02", 5)
    record = simulate(
        Market({"AAA": [100, 100, 100, 50, 50]}, days, actions=(split("AAA", days[3], 2.0),)),
        [Ask(0, "AAA", 1), Ask(2, "AAA", -2)],
        slippage_bps=0,
    )
    chart = price_charts(Result(record, info_for(record)))["charts"]["AAA"]
    assert chart["y"] == [50.0] * 5
    assert chart["buys"]["y"] == [50.0]
    assert chart["buys"]["text"] == ["Buy 1 at 100.0000 (raw)"]
    assert chart["sells"]["y"] == [50.0]


def test_nothing_from_outside_becomes_markup():
    """Tags, titles, errors, parameters and symbols' texts are shown, not run."""
    evil = "</script><script>alert(1)</script>"
    record = simulate(
        constant_market(),
        [Ask(0, "AAA", 10, tag=evil), Ask(1, "AAA", -10, tag=evil)],
        outcomes={"alpha": {"status": "stopped", "error": evil, "params": {"<i>": evil}}},
    )
    page = page_of(record, title=evil, dataset=evil, command=evil, config={evil: evil}, costs={"k": evil}, synthetic=True)
    assert len(page.scripts) == 3
    assert "i" not in page.tags
    assert text_of(page).count("alert(1)") >= 8
    json.loads(page.scripts[0])


def test_synthetic_data_has_a_banner():
    """Clear, and once."""
    page = page_of(simulate(constant_market(), []), synthetic=True)
    assert "Synthetic data." in page.text
    assert text_of(page).count("evidence about a market") == 1


@pytest.mark.parametrize("count", [1, 2, 40])
def test_runs_without_trades_have_a_report(count):
    """With words in the place of charts that have nothing to show."""
    record = simulate(constant_market(count=count), [])
    page = page_of(record)
    data = json.loads(page.scripts[0])
    assert "costs" not in data["figures"]
    assert "rolling" not in data["figures"]
    assert "The run made no trade." in text_of(page)
    assert ("distribution" in data["figures"]) is (count > 1)


def test_a_ruined_account_has_a_report():
    """Equity below zero: no log scale, undefined months, no NaN in the data."""
    market = Market({"AAA": [10.0, 10.0, 1.0, 1.5, 2.0]}, weekdays("2024-01-30", 5))
    record = simulate(market, [Ask(0, "AAA", 200)], cash=1000.0)
    page = page_of(record)
    data = json.loads(page.scripts[0])
    assert data["figures"]["equity"]["log"] is False
    assert "n/a" in text_of(page)
    assert "NaN" not in page.scripts[0]


def test_several_strategies_and_many_symbols():
    """Costs beyond fifteen symbols are gathered; the price chart has the twelve most traded."""
    names = [f"S{i:02d}" for i in range(20)]
    market = Market({name: [10.0 + i] * 6 for i, name in enumerate(names)}, weekdays("2024-01-02", 6))
    asks = [Ask(0, name, 10.0, "beta" if i % 2 else "alpha") for i, name in enumerate(names)] + [Ask(1, "S19", -4.0, "beta")]
    record = simulate(market, asks, strategies=("alpha", "beta"))
    result = Result(record, info_for(record))
    bars = build_figures(result)["costs"]["data"]
    assert len(bars[0]["y"]) == 16
    assert bars[0]["y"][-1] == "5 others"
    assert sum(bars[0]["x"]) == pytest.approx(result.metrics["total_fees"], abs=0.1)
    charts = price_charts(result)
    assert charts["symbols"][0] == "S19"
    assert len(charts["charts"]) == 12
    assert "12 most traded of 20" in charts["note"]
    assert "Strategy Symbol Side" in text_of(page_of(record))


def test_a_run_of_half_a_million_bars_gives_a_small_report():
    """Curves are thinned to 3,000 points without losing the extremes."""
    count = 500_000
    session = np.repeat(np.arange(18_000, 18_000 + count // 390 + 1), 390)[:count].astype(np.int32)
    stamps = session.astype(np.int64) * 86_400_000_000_000 + np.tile(np.arange(390), count // 390 + 1)[:count] * 60_000_000_000
    equity = 1e5 * np.exp(np.cumsum(np.random.default_rng(3000).normal(0, 2e-4, count)))
    curve = EquityCurve(stamps, session, equity, equity * 0.4, equity * 0.6, equity * 0.6)
    last = np.append(np.flatnonzero(np.diff(session)), count - 1)
    prices = SessionPrices(("AAA",), session[last], stamps[last], equity[last][:, None].copy())
    outcome = StrategyOutcome("alpha", "1.0.0", {}, 1e5, "completed")
    record = RunRecord("bt_big", 1e5, (outcome,), curve, {"alpha": curve}, prices, [], [], [], [], [], count, "e" * 64)
    result = Result(record, info_for(record, bar_size="1min"))
    text = render(result)
    assert len(text.encode()) < 8_000_000
    drawn = build_figures(result)["equity"]["data"][1]["y"]
    assert len(drawn) <= 3000
    assert max(drawn) == pytest.approx(equity.max(), abs=0.01)
    assert min(drawn) == pytest.approx(equity.min(), abs=0.01)


def test_rolling_sharpe_ends_with_the_last_session(real):
    """Stamps and values have one length and the last stamp is the last session."""
    line = build_figures(real)["rolling"]["data"][1]
    assert len(line["x"]) == len(line["y"])
    assert line["x"][-1] == int(real.sessions.days[-1]) * 86_400_000
    assert len(real.sessions.returns) > ROLLING_SESSIONS


def test_monthly_table_chains_to_the_total_return(real, real_page):
    """The product of the yearly totals is the total return, to the rounding of the table."""
    html = render(real)
    years = re.findall(r'class="num total[^"]*">([^<]+)%<', html)
    product = np.prod([1 + float(text.replace("\N{MINUS SIGN}", "-").replace(",", "")) / 100 for text in years])
    assert product - 1 == pytest.approx(real.metrics["total_return"], abs=0.01)


def test_a_template_and_its_values_must_agree():
    """A place without a value, or a value without a place, is an error; values are not expanded again."""
    assert fill("<{{a}}>", {"a": "{{b}}"}) == "<{{b}}>"
    with pytest.raises(ContractError, match="report template"):
        fill("{{a}}", {"a": "1", "b": "2"})
    with pytest.raises(ContractError, match="report template"):
        fill("{{a}}{{c}}", {"a": "1"})


def test_script_data_cannot_end_its_script():
    """And still reads back as itself."""
    text = json.dumps({"a": "</script><!-- & \u2028"}, ensure_ascii=False)
    assert "<" not in script_safe(text)
    assert json.loads(script_safe(text)) == json.loads(text)


def test_wording():
    """Numbers as people read them."""
    assert wording.percent(-0.1234, 1) == "\N{MINUS SIGN}12.3%"
    assert wording.percent(0.05, 1, signed=True) == "+5.0%"
    assert wording.percent(-0.00001, 1, signed=True) == "0.0%"
    assert wording.money(-1234.5, 0) == "\N{MINUS SIGN}1,234"
    assert wording.percent(None) == wording.days(None) == wording.minutes(None) == "n/a"
    assert (wording.minutes(90), wording.minutes(300), wording.minutes(14_400)) == ("90 min", "5.0 h", "10.0 d")
    assert (wording.tone(1.0), wording.tone(-1.0), wording.tone(0.0), wording.tone(None)) == ("gain", "loss", "", "")


def test_intraday_the_price_line_goes_through_the_fills(real):
    """A run keeps one price per session; a marker must not float beside the line."""
    daily = price_charts(real)["charts"]["AAPL"]
    chart = price_charts(Result(real.record, info_for(real.record, bar_size="1min")))["charts"]["AAPL"]
    assert len(chart["x"]) == len(daily["x"]) + len(daily["buys"]["x"]) + len(daily["sells"]["x"])
    assert chart["x"] == sorted(chart["x"])
    assert set(chart["buys"]["x"]) <= set(chart["x"])
