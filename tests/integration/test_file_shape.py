"""The shape of a configuration file that other systems write loads as it is, and runs."""

import json

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.data.bundled import ensure_bundled
from fairlead.data.opening import store_of

SHAPE = """\
mode: backtest
clock:
  type: historical
  start_date: 2005-01-03
  end_date: 2012-12-31
  speed: max
data:
  type: historical
  source: parquet
  path: {path}
execution:
  type: simulated
  slippage:
    model: volume_based
    params:
      base_bps: 5
      volume_factor: 0.1
  latency:
    mean_ms: 10
    std_ms: 5
strategies:
  - name: {name}
    enabled: true
    capital: 100000
    risk_limits:
      max_position_size: 0.1
      max_leverage: 1.0
features:
  cache: true
  compute_on_demand: true
"""


@pytest.mark.parametrize("name", ["buy_and_hold", "sma_crossover", "momentum"])
def test_the_shape_runs_and_its_limits_hold(tmp_path, monkeypatch, name):
    """Not a line changed; no position is bought beyond a tenth of equity, and nothing trades outside the dates."""
    monkeypatch.chdir(tmp_path)
    folder = ensure_bundled(store_of(tmp_path / "desk")).folder
    (tmp_path / "run.yaml").write_text(SHAPE.format(path=folder, name=name), encoding="utf-8")
    done = CliRunner().invoke(app, ["backtest", "run.yaml", "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["status"] == "completed"
    assert summary["metrics"]["num_fills"] > 0
    assert summary["metrics"]["num_rejections"] == 0
    from fairlead.backtest.result import Result

    result = Result.load(summary["path"])
    assert (result.info.start, result.info.end) == ("2005-01-03", "2012-12-31")
    slips = {round(1e4 * f.slippage / f.price_ideal, 1) for f in result.record.fills}
    assert min(slips) >= 5.0
    first = result.record.fills[0]
    assert first.quantity * first.price_ideal <= 0.1 * 100_000 * 1.05
