# ruff: noqa: E501  one row per mistake, with the whole message, reads best
"""Every mistake is named at its line, with rule, value and remedy."""

from pathlib import Path

import pytest

from fairlead.config.loading import load_settings
from fairlead.config.problems import ConfigurationProblems
from fairlead.core.errors import ConfigurationError, DataNotFound, UnknownName
from fairlead.sdk import Strategy, parameter

GOOD = """\
mode: backtest
seed: 42
clock: {type: historical, start_date: 2010-01-01, end_date: 2013-01-01, speed: max}
data: {type: historical, source: bundled}
execution:
  type: simulated
  slippage:
    model: volume_based
    params:
      base_bps: 5
  latency: {mean_ms: 10, std_ms: 5}
strategies:
  - name: cross
    capital: 1000
    params:
      fast: 3
    risk_limits: {max_leverage: 1.0}
instruments:
  IBM: {tick_size: 0.01}
"""


class Cross(Strategy):
    """Two windows; the second must be longer."""

    fast: int = parameter(20, ge=2, le=500, doc="Bars in the fast average.")
    slow: int = parameter(50, ge=3, le=500)
    symbols: tuple[str, ...] = parameter(("IBM",))

    def __init__(self, **params):
        super().__init__(**params)
        if self.fast >= self.slow:
            raise ConfigurationError.of("slow", f"be above fast ({self.fast})", self.slow)


def find(ref):
    """Know one strategy."""
    if ref == "cross":
        return Cross
    raise UnknownName.among("strategy", ref, ["cross"])


def load(text, environ=None, **more):
    Path("run.yaml").write_text(text, encoding="utf-8")
    return load_settings("run.yaml", environ=environ or {}, find=find, **more)


def problems(text, **more):
    with pytest.raises(ConfigurationProblems) as caught:
        load(text, **more)
    return caught.value.problems


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_file_of_these_tests_is_good():
    assert load(GOOD).settings.strategies[0].params["slow"] == 50


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mode: backtest\n", "mode: bactest\n", "1: 'mode' must be one of 'backtest', 'replay', 'paper', 'live', was 'bactest'. Did you mean 'backtest'?"),
        ("mode: backtest\n", "mode:\n", "1: 'mode' must be one of 'backtest', 'replay', 'paper', 'live', was empty."),
        ("mode: backtest\n", "", "1: 'mode' must be given, was missing. Write mode: backtest."),
        ("seed: 42", "seed: 4.5", "2: 'seed' must be a whole number, was 4.5."),
        ("seed: 42", "seed: -1", "2: 'seed' must be in [0, 9223372036854775808), was -1."),
        ("seed: 42", "seed: true", "2: 'seed' must be a number, was true."),
        ("seed: 42", "seed: [1]", "2: 'seed' must be a whole number, was a list of 1."),
        ("seed: 42", "name: 42", "2: 'name' must be text, was 42. Put it in quotes."),
        ("seed: 42", "name: ''", "2: 'name' must have at least 1 characters, was ''."),
        ("seed: 42", "sede: 42", "2: 'sede' must be a known key, was unknown. Did you mean 'seed'? Known: clock, data, enforcement, execution, features, instruments, journal, mode, name, reconciliation, record, report, risk, seed, strategies, universe, workspace."),
        ("seed: 42", "report: {html: perhaps}", "2: 'report.html' must be true or false, was 'perhaps'."),
        ("seed: 42", "reconciliation: {mode: stirct}", "2: 'reconciliation.mode' must be one of 'strict', 'warn', 'auto_sync', was 'stirct'. Did you mean 'strict'?"),
        ("seed: 42", "reconciliation: {evry: 5}", "2: 'reconciliation.evry' must be a known key, was unknown. Did you mean 'every'? Known: cash_tolerance, every, mode, quantity_tolerance, stands_s."),
        ("seed: 42", "reconciliation: {every: 0}", "2: 'reconciliation.every' must be in [1, 100000], was 0."),
        ("seed: 42", "reconciliation: {every: true}", "2: 'reconciliation.every' must be a number, was true."),
        ("seed: 42", "report: [html]", "2: 'report' must be a mapping of keys to values, was a list of 1."),
        ("2010-01-01", "2010-13-01", "3: 'clock.start_date' must be a date such as 2020-01-31, was '2010-13-01'."),
        ("type: historical, start", "type: historicl, start", "3: 'clock.type' must be one of 'historical', 'realtime', was 'historicl'. Did you mean 'historical'?"),
        ("type: historical, start_date: 2010-01-01, end_date: 2013-01-01, speed: max", "type: realtime", "3: 'clock.type' must be 'historical' in mode backtest, was 'realtime'"),
        ("speed: max", "sped: max", "3: 'clock.sped' must be a known key, was unknown. Did you mean 'speed'? Known: end_date, hours, speed, start_date, type."),
        ("source: bundled", "source: bundle", "4: 'data.source' must be one of 'parquet', 'csv', 'bundled', 'synthetic', 'store', was 'bundle'. Did you mean 'bundled'?"),
        ("data: {type: historical, source: bundled}\n", "", "1: 'data' must be given, was missing."),
        ("type: simulated", "type: simulatd", "6: 'execution.type' must be one of 'simulated', 'broker', was 'simulatd'. Did you mean 'simulated'?"),
        ("type: simulated", "type: simulated\n  max_bar_participation: 20", "7: 'execution.max_bar_participation' must be in (0, 1], was 20. It is a fraction: did you mean 0.2?"),
        ("model: volume_based", "model: volum_based", "8: 'execution.slippage.model': no slippage model named 'volum_based'; did you mean 'volume_based'?"),
        ("base_bps: 5", "base_bps: -5", "10: 'execution.slippage.params.base_bps' must be in [0, 1000], was -5."),
        ("base_bps: 5", "base_pbs: 5", "10: 'execution.slippage.params.base_pbs' must be a known key, was unknown. Did you mean 'base_bps'? Known: base_bps, volume_factor."),
        ("mean_ms: 10", "mean_ms: ten", "11: 'execution.latency.mean_ms' must be a number, was 'ten'."),
        ("mean_ms: 10", "mean_ms: 1e999", "11: 'execution.latency.mean_ms' must be a finite number, was '1e999'."),
        ("name: cross", "name: crosss", "13: 'strategies.0.name': no strategy named 'crosss'; did you mean 'cross'? Known: cross."),
        ("name: cross", "name: x\n    strategy: crosss", "14: 'strategies.0.strategy': no strategy named 'crosss'; did you mean 'cross'?"),
        ("    capital: 1000\n", "", "13: 'strategies.0.capital' must be given, was missing. Give its starting capital, such as 100_000."),
        ("capital: 1000", "capital: 0", "14: 'strategies.0.capital' must be in (0, 1e+12], was 0."),
        ("fast: 3", "fast: 1", "16: 'strategies.0.params.fast' must be >= 2, was 1. Bars in the fast average."),
        ("fast: 3", "fast: 3.5", "16: 'strategies.0.params.fast' must be of type int, was 3.5. Bars in the fast average."),
        ("fast: 3", "fats: 3", "16: 'strategies.0.params.fats' must be a parameter of cross, was unknown. Did you mean 'fast'? Known: fast, slow, symbols."),
        ("fast: 3", "fast: 60", "15: 'strategies.0.params.slow' must be above fast (60), was 50"),
        ("max_leverage: 1.0", "max_leverage: 100", "17: 'strategies.0.risk_limits.max_leverage' must be in (0, 20], was 100."),
        ("max_leverage: 1.0", "max_leverage: yes", "17: 'strategies.0.risk_limits.max_leverage' must be a number, was 'yes'."),
        ("max_leverage: 1.0", "max_leverage: false", "17: 'strategies.0.risk_limits.max_leverage' must be a number, was false."),
        ("IBM: {", "I B: {", r"19: 'instruments.I B' must match ^[A-Z0-9][A-Z0-9.\-]{0,19}$, was 'I B'"),
        ("tick_size: 0.01", "tick_size: 0", "19: 'instruments.IBM.tick_size' must be in (0, 1000000], was 0."),
        ("tick_size: 0.01", "currency: usd", "19: 'instruments.IBM.currency' must match ^[A-Z]{3}$, was 'usd'."),
    ],
)  # fmt: skip
def test_one_mistake_gives_one_line(old, new, message):
    """File, line, name, rule, value and remedy."""
    assert GOOD.count(old) == 1
    found = problems(GOOD.replace(old, new))
    assert len(found) == 1
    assert found[0].startswith(f"run.yaml:{message}")
    if "Known" not in message and "no s" not in message:
        assert found[0] == f"run.yaml:{message}"


def test_all_mistakes_come_at_once_in_file_order():
    """Whether pydantic, a plug-in's settings, the strategy's parameters or this package found them."""
    text = GOOD.replace("seed: 42", "seed: x").replace("base_bps: 5", "base_bps: x").replace("mean_ms: 10", "mean_ms: true")
    text = text.replace("fast: 3", "fast: x").replace("tick_size: 0.01", "tick: 1")
    lines = [problem.split(":")[1] for problem in problems(text)]
    assert lines == ["2", "10", "11", "16", "19"]


def test_the_message_is_one_line_per_problem():
    with pytest.raises(ConfigurationError) as caught:
        load(GOOD.replace("seed: 42", "seed: x").replace("capital: 1000", "capital: x"))
    assert str(caught.value) == (
        "run.yaml:2: 'seed' must be a whole number, was 'x'.\nrun.yaml:14: 'strategies.0.capital' must be a number, was 'x'."
    )


def test_names_must_be_unique():
    text = GOOD.replace("strategies:\n", "strategies:\n  - {name: cross, capital: 1}\n")
    assert problems(text) == ("run.yaml:14: 'strategies.1.name' must be unique, was 'cross'. Name one of the two otherwise.",)


def test_names_must_be_unique_as_results_write_them():
    text = GOOD.replace("strategies:\n", "strategies:\n  - {name: a b, strategy: cross, capital: 1}\n").replace(
        "name: cross", "strategy: cross\n    name: A_b"
    )
    (found,) = problems(text)
    assert found.startswith("run.yaml:15: 'strategies.1.name' must be unique, was 'A_b'.")


def test_what_is_no_strategy_entry_is_passed_over_by_the_parameter_check():
    head = GOOD.partition("strategies:")[0]
    assert problems(head + "strategies: [{name: cross, capital: 1, params: 3}, {name: [], capital: 1}, 4]\n") == (
        "run.yaml:12: 'strategies.0.params' must be a mapping of keys to values, was 3.",
        "run.yaml:12: 'strategies.1.name' must be text, was an empty list.",
        "run.yaml:12: 'strategies.2' must be a mapping of keys to values, was 4.",
    )


def test_at_least_one_strategy_must_be_there_and_enabled():
    head = GOOD.partition("strategies:")[0]
    assert problems(head + "strategies: []\n") == ("run.yaml:12: 'strategies' must hold at least 1 item, was an empty list.",)
    assert problems(head + "strategies: 3\n") == ("run.yaml:12: 'strategies' must be a list, was 3.",)
    assert problems(head + "strategies: {name: cross}\n") == (
        "run.yaml:12: 'strategies' must be a list, was a mapping. Begin each item with a dash.",
    )
    assert problems(head + "strategies: cross\n") == ("run.yaml:12: 'strategies' must be a list, was 'cross'. Write [cross].",)
    assert problems(head + "strategies: [{name: cross, capital: 1, enabled: false}]\n") == (
        "run.yaml:12: 'strategies': at least one strategy must be enabled. Set enabled: true on one.",
    )


def test_items_that_are_refused_are_not_counted_as_absent():
    """Pydantic counts valid items only, and would add that the list is too short."""
    assert len(problems(GOOD.replace("capital: 1000", "capital: 0"))) == 1


def test_an_error_names_its_profile_or_override():
    text = GOOD + "profiles:\n  fast:\n    clock: {speed: max, houres: market}\n"
    (found,) = problems(text, environ={"FAIRLEAD_PROFILE": "fast"})
    assert found.startswith("run.yaml:22 (profile 'fast'): 'clock.houres' must be a known key, was unknown.")
    (found,) = problems(GOOD, overrides=["seed=-1"])
    assert found == "override -o seed=-1: 'seed' must be in [0, 9223372036854775808), was -1."


def test_overrides_are_reported_after_the_file():
    found = problems(GOOD.replace("fast: 3", "fast: 1"), overrides=["seed=x"])
    assert [problem.partition(":")[0] for problem in found] == ["run.yaml", "override -o seed=x"]


def test_secrets_are_not_shown():
    """Neither by the name of their key, nor if they came out of a secret variable."""
    live = "mode: live\nclock: {type: realtime}\ndata: {type: live, feed: f, symbols: [IBM]}\n"
    live += "execution: {type: broker, broker: b, api_key: [hunter2], account: %s}\nstrategies: [{name: cross, capital: 1}]\n"
    found = "\n".join(problems(live % "{x: hunter2}"))
    assert "'execution.api_key' must be text, was a list of 1." in found
    assert "hunter2" not in found
    found = "\n".join(problems(live.replace("[hunter2]", "1234567") % '["${MY_TOKEN}"]', environ={"MY_TOKEN": "7654321"}))
    assert "run.yaml:4: 'execution.api_key' must be text, was (redacted)." in found
    assert "run.yaml:4: 'execution.account' must be text, was a list of 1." in found
    assert "1234567" not in found
    assert "7654321" not in found


def test_errors_found_after_loading_get_their_line():
    """For the wiring: an unknown symbol, dates without data."""
    config = load(GOOD)
    error = DataNotFound("no bars between 2010-01-01 and 2013-01-01.")
    assert config.problem(("clock", "start_date"), error).problems == (
        "run.yaml:3: 'clock.start_date': no bars between 2010-01-01 and 2013-01-01.",
    )
    error = ConfigurationError.of("path", "be given", None)
    assert config.problem(("data",), error, ("path",)).problems == ("run.yaml:4: 'data.path' must be given, was None",)
    assert config.where("strategies", 0, "params", "slow") == "run.yaml:15"


@pytest.mark.parametrize("part", ["clock", "data", "execution"])
def test_a_part_of_another_mode_is_refused(part):
    types = {"clock": "type: realtime", "data": "type: live, feed: f, symbols: [IBM]", "execution": "type: broker, broker: b"}
    backtest = {"clock": "type: historical", "data": "type: historical", "execution": "type: simulated"}
    parts = backtest | {part: types[part]}
    text = "mode: backtest\n" + "".join(f"{name}: {{{body}}}\n" for name, body in parts.items())
    (found,) = problems(text + "strategies: [{name: cross, capital: 1}]\n")
    assert f"'{part}.type' must be '{backtest[part][6:]}' in mode backtest" in found
