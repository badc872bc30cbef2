"""Pictures of features: what is drawn over the price, what below it, and what the drift picture says."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from fairlead.core.errors import ConfigurationError
from fairlead.core.time import date_to_day
from fairlead.data.memory import source_from_frames
from fairlead.features.drift import detect_drift
from fairlead.features.panel import compute_panel, write_panel
from fairlead.research.feature_plots import drift_figure, feature_figure


def bars(*, intraday: bool = False, seed: int = 3001) -> pd.DataFrame:
    """Seventy-eight sessions, or two of them in bars of 15 minutes."""
    days = pd.bdate_range("2024-02-20", periods=80, tz="UTC").drop(["2024-03-29", "2024-05-27"])  # no sessions
    openings = [pd.date_range(f"2024-02-{day} 14:30", periods=26, freq="15min", tz="UTC") for day in (20, 21)]
    index = openings[0].append(openings[1]) if intraday else days
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, len(index))))
    return pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 100.0}, index=index)


def lines(axes) -> set[str]:
    return {str(line.get_label()) for line in axes.get_lines() if not str(line.get_label()).startswith("_")}


def test_levels_lie_over_the_price_and_differences_below_it():
    """MACD and ATR have the unit of prices and are no prices: on the price's axis they would flatten it."""
    requests = {"sma": ("sma", {"n": 5}), "macd": "macd", "atr": ("atr", {"n": 5}), "rsi": ("rsi", {"n": 5})}
    panel = compute_panel(requests, source_from_frames({"AAA": bars(), "BBB": bars(seed=3002)}))
    axes = feature_figure(panel, ["AAA", "BBB"]).axes
    assert [one.get_title(loc="left") for one in axes] == ["AAA", "", "", "", "BBB", "", "", ""]
    assert [one.get_ylabel() for one in axes[:4]] == ["Price", "macd", "atr", "rsi"]
    assert lines(axes[0]) == {"close", "sma"}
    assert lines(axes[1]) == {"macd", "signal"}
    low, high = axes[3].get_ylim()
    assert low < 0
    assert high > 100
    np.testing.assert_array_equal(axes[4].get_lines()[0].get_ydata(), panel.close[:, 1])


def test_bands_are_filled_and_their_share_stands_below():
    panel = compute_panel({"bollinger": ("bollinger", {"n": 5})}, source_from_frames(bars(), symbol="AAA"))
    price, below = feature_figure(panel, ["AAA"], note="SYNTHETIC DATA").axes
    assert len(price.collections) == 1
    assert price.get_title(loc="right") == "SYNTHETIC DATA"
    assert below.get_ylabel() == "percent_b"


def test_bars_within_the_day_stand_side_by_side():
    """The night takes no room."""
    panel = compute_panel({"vwap": "session_vwap"}, source_from_frames(bars(intraday=True), symbol="AAA"))
    (price,) = feature_figure(panel, ["AAA"]).axes
    np.testing.assert_array_equal(price.get_lines()[0].get_xdata(), np.arange(52))
    assert [(t, label.get_text()) for t, label in zip(price.get_xticks(), price.get_xticklabels(), strict=True)] == [
        (0, "2024-02-20"),
        (26, "2024-02-21"),
    ]


def test_the_drift_picture_has_a_panel_per_feature_with_its_verdict():
    rng = np.random.default_rng(3003)
    then = {"calm": rng.normal(size=500), "moved": rng.normal(size=500)}
    now = {"calm": rng.normal(size=500), "moved": rng.normal(2.0, 1.0, size=500)}
    axes = drift_figure(detect_drift(then, now), then, now).axes
    assert [one.get_title(loc="left") for one in axes] == ["calm", "moved"]
    assert axes[0].get_title(loc="right").endswith("stable")
    assert axes[1].get_title(loc="right").endswith("drifted")


def test_a_panel_leaves_out_the_warm_up_of_each_symbol_from_its_own_first_bar():
    late = bars()
    panel = compute_panel({"sma": ("sma", {"n": 5})}, source_from_frames({"AAA": bars(), "BBB": late.iloc[30:]}))
    first, last = (date_to_day(dt.date.fromisoformat(day)) for day in ("2024-01-01", "2025-01-01"))
    assert np.isnan(panel.pooled(first, last)["sma"]).sum() == 8
    kept = panel.pooled(first, last, leave_out=panel.warm_up)["sma"]
    assert np.isfinite(kept).all()
    assert len(kept) == 2 * len(late) - 30 - 8


def test_a_panel_is_written_in_known_forms_only(tmp_path):
    panel = compute_panel({"sma": ("sma", {"n": 5})}, source_from_frames(bars(), symbol="AAA"))
    with pytest.raises(ConfigurationError, match=r"'file' must end in \.csv or \.parquet, was"):
        write_panel(panel, tmp_path / "rows.txt")
    assert list(tmp_path.iterdir()) == []
