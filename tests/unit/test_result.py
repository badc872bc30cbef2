"""`Result` in a notebook."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fairlead.backtest.info import RunInfo
from fairlead.backtest.plots import to_png
from fairlead.backtest.result import Result
from fairlead.core.errors import ContractError, UnknownName
from fairlead.core.orders import OrderStatus
from support_records import Ask, Market, constant_market, info_for, simulate, weekdays


def result_of(asks=(), market=None, sim=None, **info):
    record = simulate(market or constant_market(), asks, **(sim or {}))
    return Result(record, info_for(record, **info))


def moving(count=8):
    return Market({"AAA": np.linspace(100, 120, count), "BBB": np.linspace(50, 40, count)}, weekdays("2020-01-02", count))


def test_stats_are_every_metric_in_reading_order():
    """Start and end first; undefined is NaN; counts stay whole."""
    result = result_of([Ask(0, "AAA", 10)])
    assert list(result.stats.index) == ["start", "end", *result.metrics]
    assert result.stats["num_orders"] == 1
    assert isinstance(result.stats["num_orders"], int)
    assert np.isnan(result.stats["profit_factor"])
    assert result.stats["start"] == pd.Timestamp("2020-01-02 21:00", tz="UTC")


def test_equity_is_indexed_by_utc_instants():
    """Columns and zone are part of the contract."""
    equity = result_of([Ask(0, "AAA", 100), Ask(1, "BBB", -50)], moving()).equity
    assert list(equity.columns) == ["equity", "cash", "gross", "net", "drawdown", "drawdown_pct"]
    assert str(equity.index.tz) == "UTC"
    assert (equity["gross"] >= equity["net"]).all()
    assert equity["equity"].to_numpy() == pytest.approx((equity["cash"] + equity["net"]).to_numpy())


def test_trades_orders_and_fills_are_frames():
    """One row each, with aware stamps and text for enumerations."""
    result = result_of([Ask(0, "AAA", 100), Ask(2, "AAA", -40, tag="trim")], moving())
    assert result.trades["status"].tolist() == ["closed", "open"]
    assert result.trades["side"].tolist() == ["BUY", "BUY"]
    assert str(result.trades["entry_ts"].dt.tz) == "UTC"
    assert result.orders["status"].tolist() == ["FILLED", "FILLED"]
    assert result.orders["limit_price"].isna().all()
    assert result.fills["tag"].tolist() == ["", "trim"]
    assert (result.fills["slippage"] > 0).all()
    assert len(result.benchmark) == 8
    assert result.benchmark.iloc[0] == 100_000.0


def test_frames_of_a_run_without_trades_are_empty_with_their_columns():
    """A notebook cell does not fail on an idle strategy."""
    result = result_of()
    assert len(result.trades) == len(result.orders) == len(result.fills) == 0
    assert {"net_pnl", "entry_ts"} <= set(result.trades.columns)


def test_summary_is_json_and_names_what_a_reader_must_know():
    """Undefined metrics are null; warnings come with the numbers."""
    asks = [Ask(0, "AAA", 100), Ask(1, "AAA", 1, ends=OrderStatus.REJECTED, reason="no_funds")]
    stopped = {"outcomes": {"alpha": {"status": "stopped", "error": "ZeroDivisionError at line 3", "params": {"when": object}}}}
    result = result_of(asks, moving(), stopped, synthetic=True)
    summary = json.loads(json.dumps(result.summary(), allow_nan=False))
    assert summary["status"] == "stopped"
    assert summary["digest"] == result.record.digest
    assert summary["metrics"]["profit_factor"] is None
    text = " ".join(summary["warnings"])
    for part in (
        "'alpha' was stopped: ZeroDivisionError",
        "synthetic",
        "1 of 2 orders were rejected",
        "1 position is",
        "No closed trades",
    ):
        assert part in text


def test_an_equity_that_trades_do_not_explain_is_a_warning():
    """A ledger that does not add up must not pass in silence."""
    result = result_of([Ask(0, "AAA", 100)])
    assert result.ledger_error < 1e-12
    result = result_of([Ask(0, "AAA", 100)])
    result.record.account.equity[-1] += 1.0
    assert result.ledger_error == pytest.approx(1e-5, rel=1e-3)
    assert any("does not add up" in note for note in result.warnings)


@pytest.mark.parametrize("kind", ["equity", "drawdown", "returns"])
def test_plots_are_figures_without_global_state(kind):
    """Drawing twice gives the same bytes, and pyplot knows nothing of it."""
    import matplotlib.pyplot as plt

    result = result_of([Ask(0, "AAA", 100)], moving(), title="Costs $5 to $6", synthetic=True)
    figure = result.plot(kind)
    assert isinstance(figure, Figure)
    assert to_png(figure).startswith(b"\x89PNG")
    assert to_png(result.plot(kind)) == to_png(result.plot(kind))
    assert plt.get_fignums() == []


def test_an_unknown_plot_is_answered_with_those_there_are():
    """With the nearest match."""
    with pytest.raises(UnknownName, match=r"no plot named 'equty'; did you mean 'equity'\? Known: drawdown, equity, returns"):
        result_of().plot("equty")


def test_it_reads_well_and_escapes_what_it_shows():
    """In the terminal and in a notebook."""
    result = result_of(title="<b>bold</b>", synthetic=True)
    assert "Sharpe" in repr(result)
    assert "n/a" in repr(result)
    assert "SYNTHETIC DATA" in repr(result)
    assert "&lt;b&gt;bold" in result._repr_html_()
    assert "<b>bold" not in result._repr_html_()


def test_the_report_is_text_or_a_file(tmp_path):
    """Both are the same page."""
    result = result_of()
    path = result.to_html(tmp_path / "deep" / "report.html")
    assert path.read_text() == result.to_html()


def test_looking_at_numbers_does_not_load_frames_or_plots():
    """Metrics and summary are for scripts that must start fast."""
    code = (
        "import sys; sys.path.insert(0, 'tests'); from support_records import *; from fairlead.backtest.result import Result;"
        "r = simulate(constant_market(), []); Result(r, info_for(r)).summary();"
        "sys.exit(' '.join({'pandas', 'matplotlib', 'polars', 'plotly', 'pyarrow'} & set(sys.modules)) or 0)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_info_survives_a_round_trip_and_refuses_other_keys():
    """A manifest of another version is not half understood."""
    info = result_of().info
    assert RunInfo.from_dict(info.to_dict()) == info
    with pytest.raises(ContractError, match=r"run info.*have exactly the keys.*colour"):
        RunInfo.from_dict({**info.to_dict(), "colour": "red"})
