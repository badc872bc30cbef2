"""What a paper session shows Prometheus and whoever asks after its health, over a real socket."""

from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.core.orders import OrderStatus
from support_paper import NOW, now_ns, paper_session
from support_reports import Losing, Scrambled

CONFIG = """\
mode: backtest
name: counted
data: {source: bundled, symbols: [AAPL, IBM]}
strategies: [{name: sma_crossover, capital: 100_000, params: {fast: 20, slow: 50}}]
"""


def get(url: str) -> tuple[int, str]:
    """Return status and body."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


@pytest.fixture
def asked(tmp_path):
    """Run a session and ask it at every thousandth instant; return its result and the last answers."""
    config = tmp_path / "counted.yaml"
    config.write_text(CONFIG)
    session, urls, answers = paper_session(config, tmp_path / "work"), [], {}

    def progress(done: int) -> None:
        if done % 1000 == 0:
            answers.update({name: get(f"{urls[0]}/{name}") for name in ("metrics", "health", "ready")})

    result = session.run("paper_counted", now=NOW, now_ns=now_ns, progress=progress, metrics_port=0, serving=urls.append)
    return result, answers, urls[0]


def test_numbers_and_health_while_it_runs(asked):
    result, answers, url = asked
    assert answers["health"][0] == 200
    status, body = answers["ready"]
    assert (status, json.loads(body)["ready"]) == (200, True)
    shown = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answers["metrics"][1])
        for sample in family.samples
    }
    instant = len(result.record.account.ts_ns) // 1000 * 1000 - 1
    # It was asked when the instant was over, and the books were marked before the strategies of that instant decided.
    assert shown["portfolio_value",] == pytest.approx(float(result.record.account.equity[instant]), rel=1e-12)
    assert shown["cycles_total",] == instant + 1
    assert 0 < shown["fills_total",] <= len(result.record.fills)
    sent = [shown["orders_sent_total", side, "sma_crossover"] for side in ("BUY", "SELL")]
    assert min(sent) > 0
    assert sum(sent) <= len(result.record.orders)
    assert 0.0 <= shown["drawdown_current",] < 1.0
    assert shown["strategy_pnl", "sma_crossover"] == pytest.approx(shown["portfolio_value",] - 100_000.0)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/health", timeout=2)


@pytest.mark.parametrize("loses", [False, True], ids=["scrambled", "losing"])
def test_what_comes_again_and_what_is_missing_is_counted(tmp_path, loses):
    config = tmp_path / "counted.yaml"
    config.write_text(CONFIG)
    lost = Losing(lambda report: report.update.status is OrderStatus.FILLED and not lost.lost)
    channel = lost if loses else Scrambled(7)
    session = dataclasses.replace(paper_session(config, tmp_path / "work"), channel=lambda: channel)
    urls, answers = [], []

    def progress(done: int) -> None:
        if done % 1000 == 0:
            answers.append(get(f"{urls[0]}/metrics")[1])

    session.run("paper_counted", now=NOW, now_ns=now_ns, progress=progress, metrics_port=0, serving=urls.append)
    shown = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answers[-1])
        for sample in family.samples
    }
    if loses:
        assert shown["order_duplicates_total",] == 0
        assert shown["reconciliation_mismatch_total", "MISSED_FILL"] == 1
    else:
        assert 0 < shown["order_duplicates_total",] <= channel.again
        assert not [name for name, *_ in shown if name == "reconciliation_mismatch_total"]


def test_without_a_port_nothing_listens(tmp_path):
    config = tmp_path / "counted.yaml"
    config.write_text(CONFIG)
    urls = []
    result = paper_session(config, tmp_path / "work").run("paper_quiet", now=NOW, now_ns=now_ns, serving=urls.append)
    assert urls == []
    assert result.info.mode == "paper"
