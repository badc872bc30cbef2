"""`fairlead features`: every verb as a stranger would use it, what it writes, how it exits, and what it says to bad input."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from fairlead.data.bundled import bundled_bars
from fairlead.features import compute
from fairlead.features.registry import FAMILIES, shipped_features
from support_cli import bars_csv, fairlead, tree

PNG = b"\x89PNG\r\n\x1a\n"
OWN = '''\
from fairlead.features import Output, feature, lookback


@feature(
    "{name}",
    parameters={{"n": lookback(3)}},
    outputs=(Output(low=0.0, unit="price"),),
    warm_up=lambda p: p["n"] - {early},
    state_size=lambda _: 2,
    formula="mean of the first n closes",
)
def own(state, params, inputs, outputs):
    """Mean of the first closes."""
    if state[0] < params[0]:
        state[0] += 1.0
        state[1] += (inputs[0] - state[1]) / state[0]
    if state[0] >= params[0]:
        outputs[0] = {factor} * state[1]
'''
WINDOWS = ("--reference", "2005-01-01:2008-12-31", "--current", "2010-01-01:2012-12-31")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundled prices already in its workspace; tests write nothing but new files of their own into it."""
    folder = tmp_path_factory.mktemp("features")
    done = fairlead("features", "compute", "rsi", "--tail", "0", cwd=folder)
    assert done.code == 0, done.err
    return folder


def own_feature(folder: Path, module: str, *, name: str = "", early: int = 1, factor: float = 1.0) -> str:
    """Write a feature of one's own as a module of the folder; return how it is named."""
    (folder / f"{module}.py").write_text(OWN.format(name=name or module, early=early, factor=factor))
    return f"{module}:own"


# ------------------------------------------------------------------------------------------------------------------ ls and show


def test_ls_has_every_feature_under_its_family(desk):
    listed = fairlead("features", "ls", cwd=desk)
    assert listed.code == 0, listed.err
    for name in shipped_features():
        assert re.search(rf"^  {name} ", listed.out, re.MULTILINE), name
    rows = [line.rstrip() for line in listed.out.splitlines()]
    for family in FAMILIES:
        assert family.replace("_", " ") in rows
    assert re.search(r"^  macd +ema\(n=n_fast\), ema\(n=n_slow\) +macd, signal, histogram +33 ", listed.out, re.MULTILINE)
    assert "n_fast=12  n_slow=26  n_signal=9" in listed.out


def test_ls_is_readable_in_a_narrow_terminal(desk):
    """Two words to a line are no text: what has no room there is left to `show`."""
    listed = fairlead("features", "ls", "--family", "trend", cwd=desk, COLUMNS="80")
    assert re.search(r"^  donchian +19  Channel of the highest high and the lowest low\. *\n +n=20 *", listed.out, re.MULTILINE)
    assert max(map(len, listed.out.splitlines())) <= 80


def test_ls_of_one_family_and_for_machines(desk):
    one = fairlead("features", "ls", "--family", "volume", "--json", cwd=desk)
    assert [entry["name"] for entry in one.json] == sorted(entry["name"] for entry in one.json)
    assert {entry["family"] for entry in one.json} == {"volume"}
    ratio = next(entry for entry in one.json if entry["name"] == "volume_ratio")
    assert ratio["parameters"][0]["default"] == 20
    assert ratio["warm_up"] == 19
    assert {entry["name"] for entry in fairlead("features", "ls", "--json", cwd=desk).json} >= set(shipped_features())


def test_show_has_formula_tree_and_kernel_at_these_parameters(desk):
    shown = fairlead("features", "show", "macd", "--param", "n_fast=8", cwd=desk)
    assert shown.code == 0, shown.err
    assert "macd = EMA(n_fast) - EMA(n_slow)" in shown.out
    assert "macd(n_fast=8, n_slow=26, n_signal=9)\n├── ema(n=8)\n│   └── close\n└── ema(n=26)\n    └── close\n" in shown.out
    assert "def macd(state: FloatArray" in shown.out
    assert re.search(r"^n_fast +8 +12 +\[1, 100000\]", shown.out, re.MULTILINE)
    machine = fairlead("features", "show", "macd", "-p", "n_fast=8", "--json", cwd=desk).json
    assert machine["tree"]["inputs"][0]["label"] == "ema(n=8)"
    assert machine["identity"] in shown.out
    assert machine["identity"] != fairlead("features", "show", "macd", "--json", cwd=desk).json["identity"]


# ---------------------------------------------------------------------------------------------------------------------- compute


def test_compute_prints_the_last_rows_and_what_is_missing(desk):
    done = fairlead("features", "compute", "rsi,macd", "-s", "IBM,FB", "--start", "2012-06-01", "--tail", "2", cwd=desk)
    assert done.code == 0, done.err
    assert "us_equities 187 bars of 1d, 2 symbols, 2012-06-01 to 2013-03-01" in done.out
    assert re.search(r"^FB +2013-02-28 .*\n +2013-03-01 .*\nIBM +2013-02-28 ", done.out, re.MULTILINE)
    assert re.search(r"^macd.signal +374 +6\.42% ", done.out, re.MULTILINE)


def test_compute_gives_what_python_gives(desk):
    """No split or dividend in between: the command and the function agree to the last bit."""
    done = fairlead("features", "compute", "rsi", "-p", "n=5", "-s", "GOOG", "--tail", "300", "--json", cwd=desk)
    bars = bundled_bars()[0].to_pandas().query("symbol == 'GOOG'")
    expected = compute("rsi", bars, n=5).to_numpy()[-300:]
    np.testing.assert_array_equal([row["rsi"] for row in done.json["tail"]], expected)
    assert done.json["features"]["rsi"]["params"] == {"n": 5}
    assert done.json["values"]["rsi"]["missing"] == 5
    assert done.json["tail"][-1]["known"] == "2013-03-01T21:00:00Z"


def test_compute_warms_up_on_what_came_before_the_first_day(desk):
    whole = fairlead("features", "compute", "ema", "-s", "IBM", "--tail", "3", "--json", cwd=desk).json
    late = fairlead("features", "compute", "ema", "-s", "IBM", "--start", "2013-02-25", "--tail", "3", "--json", cwd=desk).json
    assert late["tail"] == whole["tail"]
    assert late["values"]["ema"]["missing"] == 0


def test_compute_writes_the_same_rows_as_csv_and_parquet(desk):
    args = ("features", "compute", "atr,bollinger", "-s", "IBM,MSFT", "--start", "2013-01-02")
    for name in ("rows.csv", "rows.parquet"):
        done = fairlead(*args, "--out", name, cwd=desk)
        assert done.code == 0, done.err
        assert f"+ {name}" in done.out
    with (desk / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(desk / "rows.parquet").to_pylist()
    assert list(rows[0]) == list(table[0])
    assert list(rows[0])[:4] == ["symbol", "ts", "known", "atr"]
    assert rows[0]["known"] == "2013-01-02T21:00:00Z"
    assert [(r["symbol"], float(r["atr"]), float(r["bollinger.upper"])) for r in rows] == [
        (r["symbol"], r["atr"], r["bollinger.upper"]) for r in table
    ]
    assert [r["symbol"] for r in rows] == ["IBM"] * 41 + ["MSFT"] * 41


def test_compute_draws_a_picture_and_overwrites_only_when_told(desk):
    args = ("features", "compute", "bollinger,rsi", "-s", "AAPL", "--start", "2012-01-03", "--plot", "picture.png")
    assert fairlead(*args, cwd=desk).code == 0
    first = (desk / "picture.png").read_bytes()
    assert first.startswith(PNG)
    refused = fairlead(*args, cwd=desk)
    assert (refused.code, refused.out) == (2, "")
    assert "'--plot' must be a new file, was 'picture.png'. Choose another name, or overwrite it: --replace." in refused.err
    assert fairlead(*args, "--replace", cwd=desk).code == 0
    assert (desk / "picture.png").read_bytes() == first


def test_compute_reads_a_file_and_a_module_of_this_folder(tmp_path):
    """The shortest way from an idea to numbers: a CSV file, a feature, one command."""
    (tmp_path / "ACME.csv").write_text(bars_csv())
    name = own_feature(tmp_path, "own_of_a_folder")
    done = fairlead("features", "compute", name, "--data", "ACME.csv", "-p", "n=2", "--tail", "8", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert [row[name] for row in done.json["tail"]] == [None, *[101.5] * 7]
    assert done.json["symbols"] == ["ACME"]


def test_synthetic_bars_say_so(tmp_path):
    synth = ("--symbols", "2", "--bar-size", "15min", "--start", "2024-01-02", "--end", "2024-01-12")
    assert fairlead("data", "synth", "toy", *synth, cwd=tmp_path).code == 0
    done = fairlead("features", "compute", "session_vwap", "-d", "toy", "--plot", "toy.png", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out.startswith(" SYNTHETIC  toy 234 bars of 15min")
    assert re.search(r"^SYN001 +2024-01-12 \d\d:\d\d ", done.out, re.MULTILINE)
    assert (tmp_path / "toy.png").read_bytes().startswith(PNG)


# ----------------------------------------------------------------------------------------------------- what the workspace keeps


def test_materialised_values_are_listed_used_and_forgotten(tmp_path):
    args = ("features", "compute", "sma", "-s", "IBM", "--json")
    fresh = fairlead(*args, cwd=tmp_path).json
    kept = fairlead(*args, "--materialise", cwd=tmp_path)
    assert kept.code == 0, kept.err
    (folder,) = kept.json["kept"]
    assert (tmp_path / folder / "values.parquet").is_file()
    again = fairlead(*args, cwd=tmp_path).json
    assert again["tail"] == kept.json["tail"] == fresh["tail"]
    listed = {e["name"]: e["kept"] for e in fairlead("features", "ls", "-f", "trend", "--json", cwd=tmp_path).json}
    assert [(k["dataset"], k["params"], k["symbols"]) for k in listed["sma"]] == [("us_equities", {"n": 20}, ["IBM"])]
    assert listed["ema"] == []
    assert re.search(r"^  sma .* 1 *$", fairlead("features", "ls", cwd=tmp_path).out, re.MULTILINE)
    assert fairlead("features", "invalidate", "ema", "--json", cwd=tmp_path).json == {"feature": "ema", "removed": 0}
    assert fairlead("features", "invalidate", "sma", "--json", cwd=tmp_path).json == {"feature": "sma", "removed": 1}
    assert not (tmp_path / folder).exists()
    assert "0 kept tables of all features removed" in fairlead("features", "invalidate", cwd=tmp_path).out


def test_a_kernel_that_changed_under_its_version_is_refused_until_it_is_forgotten(tmp_path):
    """What is kept is never mixed with what another kernel gives; the error says how to go on, and that works."""
    (tmp_path / "ACME.csv").write_text(bars_csv())

    def last(name: str) -> object:
        done = fairlead("features", "compute", name, "--data", "ACME.csv", "--materialise", "--json", cwd=tmp_path)
        return done.json["tail"][-1][name] if done.code == 0 else done.err

    first = own_feature(tmp_path, "own_as_it_was", name="own_and_locked")
    second = own_feature(tmp_path, "own_as_it_is", name="own_and_locked", factor=2.0)
    assert last(first) == 102.0
    refused = str(last(second))
    assert "Raise its version to 2" in refused
    assert "fairlead features invalidate own_and_locked" in refused
    assert re.search(r"^FAIL +version ", fairlead("features", "check", second, cwd=tmp_path).out, re.MULTILINE)
    assert fairlead("features", "invalidate", "own_and_locked", "--json", cwd=tmp_path).json["removed"] == 1
    assert last(second) == 204.0


# ------------------------------------------------------------------------------------------------------------------------ check


def test_check_passes_what_keeps_its_contract(tmp_path):
    name = own_feature(tmp_path, "own_and_good")
    done = fairlead("features", "check", name, cwd=tmp_path)
    assert done.code == 0, done.out + done.err
    for check in ("batch equals streaming", "truncation", "warm-up", "range", "units", "gaps", "version"):
        assert re.search(rf"^ok +{check} ", done.out, re.MULTILINE), check
    assert "passed the feature keeps its contract." in done.out


def test_check_fails_what_breaks_it_and_names_the_check(tmp_path):
    """A warm-up that is declared too long is found, beside a feature that is fine."""
    name = own_feature(tmp_path, "own_and_late", early=0)
    done = fairlead("features", "check", name, "rsi", cwd=tmp_path)
    assert done.code == 1
    assert re.search(
        rf"^FAIL +{name} .*warm-up: value: declared 3 bars without a value, and bar 2 has one", done.out, re.MULTILINE
    )
    assert re.search(r"^ok +rsi ", done.out, re.MULTILINE)
    assert "failed 1 of 2 features break their contract." in done.out
    machine = fairlead("features", "check", name, "--json", cwd=tmp_path)
    assert machine.code == 1
    assert machine.json["passed"] is False
    assert [c["name"] for c in machine.json["features"][0]["checks"] if not c["passed"]] == ["warm-up"]


# ------------------------------------------------------------------------------------------------------------------------ drift


def test_drift_of_what_follows_the_price_fails(desk):
    """Apple in two decades: its price is another one, its relative strength is not."""
    args = ("features", "drift", "sma,rsi", *WINDOWS, "-s", "AAPL", "--thin", "20")
    done = fairlead(*args, "--textfile", "drift.prom", "--plot", "drift.png", cwd=desk)
    assert done.code == 1
    assert re.search(r"^sma +\d+\.\d+ .* drifted", done.out, re.MULTILINE)
    assert re.search(r"^rsi +0\.\d+ .* stable", done.out, re.MULTILINE)
    assert (desk / "drift.png").read_bytes().startswith(PNG)
    gauge = dict(re.findall(r'^feature_drift_psi\{feature="(\w+)"\} (\S+)$', (desk / "drift.prom").read_text(), re.MULTILINE))
    machine = fairlead(*args, "--json", cwd=desk).json
    assert machine["status"] == "drifted"
    assert {row["feature"]: row["psi"] for row in machine["features"]} == {k: float(v) for k, v in gauge.items()}
    assert machine["windows"]["current"] == ["2010-01-01", "2012-12-31"]


def test_drift_thresholds_decide_and_the_gauge_is_overwritten(desk):
    (desk / "again.prom").write_text("old\n")
    done = fairlead("features", "drift", "rsi", *WINDOWS, "--thin", "20", "--textfile", "again.prom", cwd=desk)
    assert done.code == 0, done.out
    assert done.out.splitlines()[-2:] == ["stable", "  + again.prom"]
    assert "old" not in (desk / "again.prom").read_text()
    strict = fairlead("features", "drift", "rsi", *WINDOWS, "--thin", "20", "--psi", "0.0001", cwd=desk)
    assert strict.code == 1
    assert "is above 0.0001" in strict.out


def test_a_warm_up_is_no_missing_value_and_too_few_values_are_no_all_clear(desk):
    """Facebook came in May 2012: its first bars count neither way, and a window of days is not enough to tell."""
    late = ("--reference", "2012-05-01:2012-10-31", "--current", "2012-11-01:2013-03-01", "-s", "FB")
    rows = fairlead("features", "drift", "rsi", *late, "--min-values", "50", "--json", cwd=desk).json["features"]
    assert [(row["nan_reference"], row["nan_current"]) for row in rows] == [(0, 0)]
    few = fairlead("features", "drift", "rsi", *WINDOWS[:2], "--current", "2012-01-03:2012-01-06", "-s", "IBM", cwd=desk)
    assert few.code == 1
    assert few.out.splitlines()[-1] == "not available"


# -------------------------------------------------------------------------------------------------------------------- bad input

BAD = {
    "unknown feature": (("compute", "rsii"), "no feature named 'rsii'; did you mean 'rsi'?"),
    "no feature": (("compute", ","), "name a feature, such as rsi."),
    "unknown family": (("ls", "-f", "tend"), "no family of features named 'tend'; did you mean 'trend'?"),
    "missing module": (("show", "no_such_module:x"), "feature 'no_such_module:x' cannot be imported: No module named"),
    "unknown parameter": (("compute", "rsi", "-p", "m=3"), "no parameter of feature 'rsi' named 'm'. Known: n."),
    "parameter of none": (("compute", "rsi,obv", "-p", "m=3"), "no parameter of these features named 'm'. Known: n."),
    "parameter of another": (("compute", "rsi", "-p", "sma.n=3"), "no feature in this command named 'sma'"),
    "parameter out of range": (("show", "rsi", "-p", "n=0"), "'n' must be >= 1, was 0"),
    "no assignment": (("compute", "rsi", "-p", "n"), "'--param' must be an assignment like n=20, was 'n'"),
    "no number": (("compute", "rsi", "-p", "n=ten"), "'--param n' must be a number, true or false, was 'ten'"),
    "unknown dataset": (("compute", "rsi", "-d", "us_equity"), "no dataset named 'us_equity'; did you mean 'us_equities'?"),
    "unknown symbol": (
        ("compute", "rsi", "-s", "AAPLE"),
        "no symbol in dataset 'us_equities' named 'AAPLE'; did you mean 'AAPL'?",
    ),
    "two sources": (("compute", "rsi", "-d", "x", "--data", "y.csv"), "give --dataset or --data, not both."),
    "missing file": (("compute", "rsi", "--data", "no.csv"), "there is no data file no.csv."),
    "no date": (("compute", "rsi", "--start", "2012-13-01"), "'--start' must be a date like 2024-01-31, was '2012-13-01'"),
    "no bars": (("compute", "rsi", "--start", "2020-01-01"), "has no bars of the 5 selected symbols from 2020-01-01"),
    "wrong ending": (("compute", "rsi", "--out", "a.xlsx"), "'--out' must end in .csv or .parquet, was 'a.xlsx'"),
    "quotes": (("compute", "spread"), "a feature reads 'bid', and bars have no quotes."),
    "no benchmark": (("compute", "beta"), "and none is named. Name one of the symbols: --benchmark SYMBOL."),
    "wrong benchmark": (("compute", "beta", "--benchmark", "SPY"), "no benchmark among the symbols named 'SPY'."),
    "no facts": (("compute", "eps"), "and there are no facts. Give a file of them: --facts FILE."),
    "nothing to check": (("check",), "no installed package brings a feature."),
    "names and all": (("check", "rsi", "--all"), "give names or --all, not both."),
    "no window": (("drift", "rsi", "-r", "2005", "-c", "2006-01-01:2006-12-31"), "'--reference' must be two days like"),
    "backward window": (
        ("drift", "rsi", "-r", "2005-02-01:2005-01-01", "-c", "2006-01-01:2006-12-31"),
        "'--reference' must not end before it begins",
    ),
    "empty window": (
        ("drift", "rsi", "-r", "1990-01-01:1990-12-31", "-c", "2006-01-01:2006-12-31"),
        "there are no bars in --reference 1990-01-01:1990-12-31 after the warm-up of 14.",
    ),
    "threshold": (("drift", "rsi", *WINDOWS, "--ks-p", "2"), "'--ks-p' must be in (0, 1), was 2.0."),
    "no textfile": (("drift", "rsi", *WINDOWS, "--textfile", "x.txt"), "'--textfile' must end in .prom, was 'x.txt'"),
    "unknown to forget": (("invalidate", "rssi"), "no feature named 'rssi'; did you mean 'rsi'?"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_error_with_code_2(case, desk):
    args, text = BAD[case]
    before = tree(desk)
    done = fairlead("features", *args, cwd=desk)
    assert (done.code, done.out) == (2, ""), done.err
    assert done.err.startswith("error: ")
    assert done.err.count("error:") == 1
    assert text in done.err
    assert tree(desk) == before


def test_a_terminal_gets_the_kernel_in_colour(desk):
    """Escape codes on a terminal, none in a pipe."""
    assert "\x1b[" not in fairlead("features", "show", "rsi", cwd=desk).out
    assert "\x1b[" in fairlead("features", "show", "rsi", cwd=desk, FORCE_COLOR="1").out


def test_what_is_printed_for_machines_is_json_alone(desk):
    for args in (("ls",), ("show", "rsi"), ("compute", "rsi", "-s", "IBM"), ("check", "rsi")):
        done = fairlead("features", *args, "--json", cwd=desk)
        assert (done.code, done.err) == (0, ""), args
        json.loads(done.out)


def test_a_long_panel_is_cut_with_a_word(tmp_path):
    """Ten symbols are shown, the rest is counted."""
    days = pd.bdate_range("2024-01-02", periods=12)
    rows = [(f"S{i:02d}", day.date(), 10.0 + i, 11.0 + i, 9.0 + i, 10.5 + i, 100) for i in range(12) for day in days]
    columns = ["symbol", "timestamp", "open", "high", "low", "close", "volume"]
    frame = pd.DataFrame(rows, columns=columns)
    frame[frame.timestamp != pd.Timestamp("2024-01-15").date()].to_csv(tmp_path / "many.csv", index=False)
    done = fairlead(
        "features", "compute", "sma", "-p", "n=2", "--data", "many.csv", "--bar-size", "1d", "--tail", "1", cwd=tmp_path
    )
    assert done.code == 0, done.err
    assert "S09" in done.out
    assert "S10" not in done.out
    assert "... and 2 more symbols; --out writes all" in done.out
