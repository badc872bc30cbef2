"""Runs over the feature store: the same run wherever its features come from, and none on values that could lie."""

from __future__ import annotations

import datetime as dt
import importlib
import linecache
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fairlead
from fairlead.config.loading import load_settings
from fairlead.config.wire import WiredSession, wire
from fairlead.contracts.files import sha256_file
from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound, UnknownName
from fairlead.core.time import to_ns
from fairlead.data.bundled import ensure_bundled
from fairlead.data.facts import Facts
from fairlead.data.opening import store_of
from fairlead.engine.record import RunRecord
from fairlead.engine.session import prepare_features, run_session
from fairlead.evidence.lookahead import check_lookahead
from fairlead.features.feed import SideData
from fairlead.features.settings import FeatureSettings
from fairlead.features.store import FeatureStore
from fairlead.features.supply import FeatureSupply
from fairlead.sdk import OrderIntent, Strategy
from support_cli import fairlead as type_in
from support_feature_store import bundled
from support_sessions import plan

STRATEGY = """\
from fairlead.sdk import OrderIntent, Strategy


class Crossing(Strategy):
    features = {"slow": ("kept_features:kept", {"n": 40}), "fast": ("sma", {"n": 10})}

    def required_features(self):
        return self.features

    def generate_orders(self, context):
        fast, slow = context.features.get("fast", "IBM"), context.features.get("slow", "IBM")
        return [OrderIntent.target_weight("IBM", 0.5 if fast > slow else 0.0)]
"""
FEATURE = """\
from fairlead.features import Output, feature, lookback


@feature("kept", parameters={{"n": lookback(3)}}, state_size=lambda p: 1, outputs=(Output(unit="price"),), caching="disk")
def kept(state, params, inputs, outputs):
    state[0] = inputs[0] if state[0] == 0.0 else state[0] + (inputs[0] - state[0]) * {weight} / (params[0] + 1.0)
    outputs[0] = state[0]
"""
CONFIG = """\
mode: backtest
clock: {{type: historical, start_date: 2006-01-03, end_date: 2009-12-31}}
data: {{type: historical, source: bundled, symbols: [AAPL, IBM]}}
strategies:
  - name: crossing
    strategy: strategy.py
    capital: 100_000
features: {features}
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> Path:
    workspace = tmp_path_factory.mktemp("imported")
    ensure_bundled(store_of(workspace))
    return workspace


@pytest.fixture
def project(tmp_path, monkeypatch, imported) -> Path:
    """A project with one strategy, one feature of its own, and a workspace."""
    shutil.copytree(imported, tmp_path / "artifacts")
    (tmp_path / "strategy.py").write_text(STRATEGY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write_feature(tmp_path, monkeypatch, "2.0")
    return tmp_path


def write_feature(project: Path, monkeypatch, weight: str) -> None:
    """Write the project's feature, as if Python had just been started."""
    (project / "kept_features.py").write_text(FEATURE.format(weight=weight))
    monkeypatch.delitem(sys.modules, "kept_features", raising=False)
    importlib.invalidate_caches()
    linecache.clearcache()
    shutil.rmtree(project / "__pycache__", ignore_errors=True)


def wired(project: Path, features: str = "{}") -> WiredSession:
    (project / "run.yaml").write_text(CONFIG.format(features=features))
    return wire(load_settings(project / "run.yaml", environ={}), {}, project / "artifacts")


def run(project: Path, features: str = "{}") -> RunRecord:
    return run_session(wired(project, features).plan("r"))


def kept_in(project: Path) -> list[Path]:
    return sorted((project / "artifacts" / "features").glob("*/*/*/values.parquet"))


class Watching(Strategy):
    """Notes what every feature shows at every instant."""

    wanted: ClassVar[Mapping[str, Any]] = {
        "strength": "rsi",
        "bands": ("bollinger", {"n": 15}),
        "kept": "support_feature_store:kept_mean",
        "rank": "cross_rank",
    }

    def required_features(self):
        return self.wanted

    def on_start(self, context):
        self.seen = {}

    def generate_orders(self, context):
        view = context.features
        self.seen[context.current_time] = {
            "strength": view.row("strength"),
            "upper": view.row("bands", "upper"),
            "kept": view.row("kept"),
            "rank": view.row("rank"),
        }
        return []


@pytest.mark.parametrize("start", [None, dt.date(2007, 5, 1)])
@pytest.mark.parametrize("materialised", [False, True])
def test_a_run_sees_what_the_store_says(tmp_path, start, materialised):
    """At every instant, symbol by symbol and bit by bit; a run that starts later sees the same numbers."""
    source = bundled().select(None, start)
    folder = tmp_path / "features"
    store = FeatureStore(source, folder=folder)
    if materialised:
        store.materialise(Watching.wanted)
    strategy = Watching()
    supply = FeatureSupply(folder=folder, compute_on_demand=not materialised)
    record = run_session(plan(source, strategy, features=supply))
    assert record.strategies[0].error == ""
    expected = {
        "strength": FeatureStore(source).get_range("rsi"),
        "upper": FeatureStore(source).get_range("bollinger", n=15).xs("upper", axis=1, level="output"),
        "kept": FeatureStore(source).get_range("support_feature_store:kept_mean"),
        "rank": FeatureStore(source).get_range("cross_rank"),
    }
    assert len(strategy.seen) == source.expected_rows
    for name, frame in expected.items():
        seen = np.array([strategy.seen[instant.to_pydatetime()][name] for instant in frame.index[-len(strategy.seen) :]])
        np.testing.assert_array_equal(seen, frame.to_numpy()[-len(seen) :])


def test_the_cache_changes_no_run(project):
    """Off, filled by the run, read by the next, and with nothing computed: the same orders and the same equity."""
    digests = [run(project, features).digest for features in ("{cache: false}", "{}", "{}")]
    assert len(set(digests)) == 1
    assert len(kept_in(project)) == 1  # of the feature that asks for it
    source = wired(project).source
    FeatureStore(source, folder=project / "artifacts" / "features").materialise([("sma", {"n": 10})])
    record = run(project, "{compute_on_demand: false}")
    assert record.digest == digests[0]
    assert len(record.orders) > 10


def test_nothing_is_computed_where_that_is_forbidden_and_the_remedy_works(project):
    """The error has a command for each feature that is missing; typed as they stand they make the run possible."""
    with pytest.raises(DataNotFound) as caught:
        run(project, "{compute_on_demand: false}")
    assert kept_in(project) == []
    typed = re.findall(r"Run: fairlead (.*)", str(caught.value))
    assert [line.split()[2] for line in typed] == ["kept_features:kept", "sma"]
    for line in typed:
        done = type_in(*line.split(), "--workspace", str(project / "artifacts"), cwd=project)
        assert done.code == 0, done.err
    assert run(project, "{compute_on_demand: false}").digest == run(project, "{cache: false}").digest


def test_what_is_to_be_kept_is_materialised_with_progress(project):
    """Before the run, over all of history; the run itself then computes none of it."""
    told = []
    prepare_features(wired(project).plan("r"), told.append)
    assert told == [3270]
    prepare_features(wired(project).plan("r"), told.append)
    prepare_features(wired(project, "{cache: false}").plan("r"), told.append)
    assert told == [3270]
    assert len(kept_in(project)) == 1


def test_a_run_with_a_changed_kernel_is_refused(project, monkeypatch):
    before = run(project).digest
    write_feature(project, monkeypatch, "1.0")
    with pytest.raises(ContractError, match=r"feature 'kept' has another kernel than version 1 .*Raise its version to 2; or"):
        run(project)
    FeatureStore(wired(project).source, folder=project / "artifacts" / "features").invalidate("kept")
    assert run(project).digest != before
    write_feature(project, monkeypatch, "2.0")
    with pytest.raises(ContractError, match="feature 'kept'"):
        run(project)


def test_the_lookahead_check_proves_what_is_kept_and_leaves_nothing_behind(project):
    """Truncated runs compute their values themselves: what is kept of the whole must agree with them."""
    session = wired(project)
    assert check_lookahead(lambda: session.plan("r"), cuts=4).passed
    assert len(kept_in(project)) == 1
    source = session.source
    FeatureStore(source, folder=project / "artifacts" / "features").materialise([("sma", {"n": 10})])
    strict = wired(project, "{compute_on_demand: false}")
    assert check_lookahead(lambda: strict.plan("r"), cuts=2).passed


def test_the_lookahead_check_sees_kept_values_that_knew_the_future(project):
    """Values of tomorrow under the key of today, as if a feature had peeked when they were materialised: it is found out."""
    session = wired(project)
    folder = project / "artifacts" / "features"
    store = FeatureStore(session.source, folder=folder)
    store.materialise([("sma", {"n": 10})])
    (path,) = folder.glob("us_equities/1d/sma-*/values.parquet")
    table = pq.read_table(path)
    values = table.column("value").to_numpy().reshape(-1, 2)
    values = np.roll(values, -1, axis=0).reshape(-1)
    pq.write_table(table.set_column(3, table.schema.field("value"), pa.array(values)), path)
    manifest = path.with_name("manifest.json")
    manifest.write_text(manifest.read_text().replace(store.materialised()[0].manifest.sha256, sha256_file(path)))
    report = check_lookahead(lambda: session.plan("r"), cuts=12)
    assert not report.passed


def test_a_truncated_run_has_neither_the_disk_nor_later_facts():
    columns = ["symbol", "field", "value", "period_end", "published"]
    rows = [
        ("IBM", "eps", 4.0, "2004-12-31", "2005-02-01T00:00:00Z"),
        ("IBM", "eps", 5.0, "2010-12-31", "2011-02-01T00:00:00Z"),
    ]
    side = SideData("IBM", Facts.from_frame(pd.DataFrame(rows, columns=columns)))
    supply = FeatureSupply(side=side, folder=Path("nowhere"), compute_on_demand=False)
    cut = supply.until(to_ns(dt.datetime(2010, 1, 1, tzinfo=dt.UTC)))
    assert (cut.folder, cut.cache, cut.compute_on_demand, cut.side.benchmark) == (None, False, True, "IBM")
    assert cut.side.facts is not None
    assert len(cut.side.facts) == 1


def test_a_workspace_that_cannot_be_written_stops_no_run(project, caplog):
    (project / "artifacts" / "features").write_text("a file where the folder should be")
    assert run(project).digest == run(project, "{cache: false}").digest
    assert "features are computed and not kept" in caplog.text


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("{benchmark: SPY}", r"run\.yaml:8: 'features\.benchmark'.*no symbol in dataset 'us_equities' named 'SPY'"),
        ("{facts: nowhere.csv}", r"run\.yaml:8: 'features\.facts'.*there is no file named nowhere\.csv"),
        (
            "{cache: false, compute_on_demand: false}",
            r"run\.yaml:8: 'features\.compute_on_demand' must be true where cache is false",
        ),
        ("{benchmarks: IBM}", r"run\.yaml:8: 'features\.benchmarks' must be a known key.*Did you mean 'benchmark'"),
    ],
)
def test_a_mistake_is_named_at_its_line(project, features, message):
    with pytest.raises(ConfigurationError, match=message):
        wired(project, features)


class Reading(Strategy):
    """Holds IBM while its earnings yield is above a tenth of a percent and its beta is known."""

    def required_features(self):
        return {"beta": ("beta", {"n": 30}), "yield": "earnings_yield"}

    def generate_orders(self, context):
        known = context.features.get("beta", "IBM") == context.features.get("beta", "IBM")
        return [OrderIntent.target_weight("IBM", 0.5 if known and context.features.get("yield", "IBM") > 0.001 else 0.0)]


def test_a_call_from_python_takes_settings_and_leaves_no_trace(tmp_path, monkeypatch):
    """Benchmark and facts reach the features; nothing is written unless the cache is asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAIRLEAD_HOME", raising=False)
    frame = pd.DataFrame(
        [("IBM", "eps", 4.0, "2004-12-31", "2005-01-18T21:30:00Z")],
        columns=["symbol", "field", "value", "period_end", "published"],
    )
    frame.to_csv("facts.csv", index=False)
    source = bundled()
    options = {"benchmark": "MSFT", "facts": "facts.csv"}
    result = fairlead.backtest(Reading, source, features=options)
    first = result.record.orders[0]
    assert (
        to_ns(dt.datetime(2005, 1, 18, 21, 30, tzinfo=dt.UTC))
        <= first.created_ns
        < to_ns(dt.datetime(2005, 1, 21, tzinfo=dt.UTC))
    )
    assert result.info.config["features"]["benchmark"] == "MSFT"
    assert len(result.info.config["features"]["facts_sha256"]) == 64
    assert [path.name for path in tmp_path.iterdir()] == ["facts.csv"]
    kept = fairlead.backtest(Reading, source, features=FeatureSettings(**options), workspace=tmp_path / "desk")
    assert kept.record.digest == result.record.digest
    assert kept.info.config_hash == result.info.config_hash
    assert [path.name for path in (tmp_path / "desk").rglob("*") if path.is_file()] == ["kernels.json"]


def test_a_call_from_python_refuses_what_does_not_fit():
    source = bundled()
    with pytest.raises(UnknownName, match="no benchmark symbol of this run named 'SPY'"):
        fairlead.backtest(Reading, source, features={"benchmark": "SPY"})
    with pytest.raises(ConfigurationError, match="features: 'benchmarks': Extra inputs are not permitted"):
        fairlead.backtest(Reading, source, features={"benchmarks": "IBM"})
    with pytest.raises(ConfigurationError, match="'compute_on_demand' must be true where cache is false"):
        fairlead.backtest(Reading, source, features={"compute_on_demand": False})
    with pytest.raises(DataNotFound, match=r"there is no file named nowhere\.csv"):
        fairlead.backtest(Reading, source, features={"facts": "nowhere.csv"})
