"""Loading: the shape that must load, what is in force, its hash, its text."""

import datetime as dt
import json
from pathlib import Path

import pytest
import yaml

from fairlead.config.effective import dump_yaml, hash_of
from fairlead.config.loading import load_settings
from fairlead.core.errors import UnknownName
from fairlead.execution.slippage import SlippageContext
from fairlead.sdk import Strategy, parameter

SHAPE = """\
mode: backtest
clock:
  type: historical
  start_date: 2010-01-01
  end_date: 2012-12-31
  speed: max
data:
  type: historical
  source: parquet
  path: data/bars
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
  - name: plain
    enabled: true
    capital: 100000
    risk_limits:
      max_position_size: 0.1
      max_leverage: 1.0
features:
  cache: true
  compute_on_demand: true
"""


class Plain(Strategy):
    """A strategy with one of each kind of parameter."""

    window: int = parameter(20)
    level: float = parameter(0.5)
    symbols: tuple[str, ...] = parameter(("IBM",))


def find(ref):
    if ref == "plain":
        return Plain
    raise UnknownName.among("strategy", ref, ["plain"])


@pytest.fixture
def load(tmp_path):
    def load_text(text, name="run.yaml", environ=None, **more):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return load_settings(path, environ=environ or {}, find=find, **more)

    return load_text


def test_the_promised_shape_loads_as_it_is(load):
    """The golden: every key of the shape reaches its setting."""
    settings = load(SHAPE).settings
    assert settings.mode == "backtest"
    assert (settings.clock.start_date, settings.clock.end_date) == (dt.date(2010, 1, 1), dt.date(2012, 12, 31))
    assert (settings.data.type, settings.data.source, settings.data.path) == ("historical", "parquet", "data/bars")
    assert settings.execution.slippage.model == "volume_based"
    assert settings.execution.slippage.build().fraction(SlippageContext(10.0, 1000.0, 50.0)) == pytest.approx(
        0.0005 + 0.1 * 0.01
    )
    assert (settings.execution.latency.mean_ms, settings.execution.latency.std_ms) == (10.0, 5.0)
    (strategy,) = settings.strategies
    assert (strategy.name, strategy.reference, strategy.enabled, strategy.capital) == ("plain", "plain", True, 100_000.0)
    assert (strategy.risk_limits.max_position_size, strategy.risk_limits.max_leverage) == (0.1, 1.0)
    assert (settings.features.cache, settings.features.compute_on_demand) == (True, True)
    assert (settings.seed, settings.report.html, settings.report.plots, settings.workspace) == (42, True, True, None)


def test_the_same_file_as_json_has_the_same_hash(load):
    assert load(json.dumps(yaml.safe_load(SHAPE), default=str), "run.json").hash == load(SHAPE).hash


def test_order_of_keys_and_comments_do_not_change_the_hash(load):
    data = yaml.safe_load(SHAPE)
    turned = dict(reversed([(k, dict(reversed(v.items())) if isinstance(v, dict) else v) for k, v in data.items()]))
    assert load("# a comment\n" + yaml.safe_dump(turned, sort_keys=False)).hash == load(SHAPE).hash


def test_every_value_changes_the_hash(load):
    base = load(SHAPE).hash
    changes = ["seed=43", "clock.speed=1x", "strategies.plain.params.window=21", "report.plots=false", "name=x"]
    changed = [load(SHAPE, overrides=[change]).hash for change in changes]
    assert len({base, *changed}) == len(changes) + 1


def test_the_hash_of_a_default_is_the_hash_of_no_value(load):
    """Effective means after defaults: stating one changes nothing."""
    assert load(SHAPE, overrides=["seed=42", "strategies.plain.params={window: 20}", "report="]).hash == load(SHAPE).hash


def test_the_golden_hash():
    """Canonical JSON: sorted keys, no spaces, ASCII."""
    assert hash_of({"b": [1, 2.5, None], "a": "é"}) == hash_of({"a": "é", "b": [1, 2.5, None]})
    # printf '{"a":"\\u00e9"}' | sha256sum
    assert hash_of({"a": "é"}) == "57e512a1ff02f75e939e93d2196b8d29ad3721b70ce25a601402d26410f453a2"


def test_params_are_complete_and_typed(load):
    config = load(SHAPE, overrides=["strategies.plain.params={level: 2, symbols: [A, B]}"])
    assert config.settings.strategies[0].params == {"window": 20, "level": 2.0, "symbols": ("A", "B")}
    assert config.effective["strategies"][0]["params"] == {"window": 20, "level": 2.0, "symbols": ["A", "B"]}
    assert isinstance(config.settings.strategies[0].params["level"], float)


def test_precedence(load):
    """Defaults, file, profile, overrides; the environment is read last, and only for what is left."""
    text = SHAPE + "seed: ${NOT_SET}\nname: ${TITLE:-untitled}\nprofiles: {p: {seed: 5, name: from profile}}\n"
    assert load(text, overrides=["seed=1"]).settings.name == "untitled"
    assert load(text, overrides=["seed=1"], environ={"TITLE": "t"}).settings.name == "t"
    assert load(text, profile="p").settings.seed == 5
    assert load(text, environ={"FAIRLEAD_PROFILE": "p"}).settings.seed == 5
    assert load(text, profile="p", overrides=["seed=${N}"], environ={"N": "6"}).settings.seed == 6
    both = text + "  \n".replace("  \n", "")
    assert load(both.replace("{p:", "{q: {seed: 9}, p:"), profile="q", environ={"FAIRLEAD_PROFILE": "p"}).settings.seed == 9


def test_risk_limits_tighten_only_what_they_name(load):
    """The default leverage of `RiskLimits` must not tighten a strategy that is designed for more."""
    widest = load(SHAPE, overrides=["strategies.plain.risk_limits={max_position_size: 0.2}"]).settings.strategies[0].risk_limits
    assert (widest.max_position_size, widest.max_leverage) == (0.2, 20.0)
    assert load(SHAPE, overrides=["strategies.plain.risk_limits="]).settings.strategies[0].risk_limits.max_leverage == 20.0


def test_instruments(load):
    config = load(SHAPE + "instruments: {brk.b: {tick_size: 0.05, multiplier: 10, shortable: no}}\n")
    instrument = config.settings.instruments["BRK.B"].instrument("BRK.B")
    assert (instrument.tick_size, instrument.multiplier, instrument.shortable, instrument.lot_step) == (0.05, 10.0, False, 1.0)


def test_replay_takes_recorded_sessions(load):
    assert load(SHAPE, overrides=["mode=replay", "data.type=replay"]).settings.data.type == "replay"


LIVE = """\
mode: live
clock: {type: realtime}
data: {type: live, feed: f, symbols: [IBM], api_key: "${FEED_KEY}"}
execution: {type: broker, broker: b, account: "${ACCOUNT_PASSWORD}"}
strategies: [{name: plain, capital: 1}]
"""


def test_secrets_are_in_force_and_nowhere_else(load):
    config = load(LIVE, environ={"ACCOUNT_PASSWORD": "hunter2", "FEED_KEY": "abc123"})
    assert (config.settings.data.api_key, config.settings.execution.account) == ("abc123", "hunter2")
    assert config.effective["data"]["api_key"] == "(redacted)"
    assert config.effective["data"]["api_secret"] is None
    assert config.effective["execution"]["account"] == "(redacted)"
    assert config.hash == load(LIVE, environ={"ACCOUNT_PASSWORD": "another", "FEED_KEY": "1e5"}).hash


def test_the_saved_text_means_the_same(load):
    """What the run directory holds can be loaded again, whatever the environment holds then."""
    text = SHAPE.replace("path: data/bars", "path: 'a $${X} 1e5'") + "name: '0o7'\n"
    config = load(text)
    assert config.settings.data.path == "a ${X} 1e5"
    again = load(dump_yaml(config.effective), environ={"X": "no"})
    assert again.hash == config.hash
    assert again.settings == config.settings


def test_the_path_may_be_text(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(SHAPE, encoding="utf-8")
    assert load_settings(str(path), environ={}, find=find).path == Path(path)
