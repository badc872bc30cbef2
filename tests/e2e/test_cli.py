"""Every verb of the command line, used as a stranger would: what it prints, what it writes, and how it exits."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import fairlead as package
from fairlead.cli import console
from fairlead.cli.main import app
from fairlead.cli.runs import short_names
from support_cli import DAYS, OURS, Terminal, bars_csv, fairlead, tree, write_desk

HEAVY = ("numpy", "pandas", "polars", "pyarrow", "pydantic", "matplotlib", "plotly", "rich")
PEEK = "block, row = context.historical_data._cursor.block, context.historical_data._cursor.row"
SYNTH = ("--symbols", "2", "--bar-size", "15min", "--start", "2024-01-02", "--end", "2024-02-02")


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with prices, a strategy and a configuration."""
    return write_desk(tmp_path / "desk")


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been opened in a browser."""
    opened: list[str] = []
    monkeypatch.setattr(typer, "launch", lambda url: opened.append(url) or 0)
    return opened


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo and a synthetic run were made; tests only read it."""
    folder = tmp_path_factory.mktemp("shown")
    demo = fairlead("demo", cwd=folder)
    assert demo.code == 0, demo.err
    (folder / "demo.txt").write_text(demo.out)
    assert fairlead("data", "synth", "toy", *SYNTH, cwd=folder).code == 0
    settings = {
        "mode": "backtest",
        "name": "Made up",
        "data": {"type": "historical", "source": "synthetic", "dataset": "toy"},
        "strategies": [{"name": "sma_crossover", "capital": 1e5, "params": {"fast": 5, "slow": 20}}],
        "report": {"plots": False},
    }
    (folder / "toy.json").write_text(json.dumps(settings))
    made = fairlead("backtest", "toy.json", cwd=folder)
    assert made.code == 0, made.err
    (folder / "toy.txt").write_text(made.out)
    return folder


# ---------------------------------------------------------------------------------------------------------------- first steps


def test_the_demo_prints_headlines_the_report_and_the_next_step(shown):
    """The first minute: a real result, where to look, and what to do next."""
    text = (shown / "demo.txt").read_text()
    report = re.search(r"report +(\S+)", text)
    assert report is not None
    assert (shown / report[1]).stat().st_size > 1_000_000
    assert "Total return" in text
    assert "fairlead init my-desk" in text
    assert "SYNTHETIC" not in text


def test_init_gives_a_project_whose_configuration_runs_and_whose_test_passes(tmp_path):
    """Nothing in the starter project needs mending."""
    made = fairlead("init", "desk", cwd=tmp_path)
    project = tmp_path / "desk"
    assert made.code == 0, made.err
    for path in sorted(p for p in project.rglob("*") if p.is_file()):
        assert str(path.relative_to(tmp_path)) in made.out
    assert "fairlead backtest configs/my_strategy.yaml" in made.out
    run = fairlead("backtest", "configs/my_strategy.yaml", "-o", "report.html=false", "--json", cwd=project)
    assert run.code == 0, run.err
    assert run.json["metrics"]["num_trades"] > 0
    assert fairlead("strategy", "check", "strategies/my_strategy.py", cwd=project).code == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    tests = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert tests.returncode == 0, tests.stdout
    assert "2 passed" in tests.stdout


def test_init_refuses_a_folder_with_something_in_it(desk):
    """Nobody's files are overwritten."""
    before = tree(desk)
    refused = fairlead("init", ".", cwd=desk)
    assert refused.code == 2
    assert "'folder' must be new or empty, was '.'" in refused.err
    assert tree(desk) == before


def test_init_takes_an_empty_folder_and_prints_json(tmp_path):
    """The folder one has just made will do."""
    (tmp_path / "new").mkdir()
    made = fairlead("init", "new", "--json", cwd=tmp_path)
    assert {Path(path).name for path in made.json["files"]} >= {"my_strategy.py", "test_my_strategy.py", "backtest.yaml"}


def test_version_is_the_package_version(tmp_path):
    """By verb, by option, and for machines."""
    assert fairlead("version", cwd=tmp_path).out.startswith(f"fairlead {package.__version__} (Python 3.")
    assert fairlead("--version", cwd=tmp_path).out == fairlead("version", cwd=tmp_path).out
    assert fairlead("version", "--json", cwd=tmp_path).json["fairlead"] == package.__version__


def test_doctor_tries_everything_and_exits_with_1_if_something_is_wrong(tmp_path):
    """A workspace that is a file fails, and the remedy says what to do."""
    well = fairlead("doctor", "--json", cwd=tmp_path)
    assert well.code == 0
    checks = {finding["check"]: finding for finding in well.json}
    assert checks["bundled prices"]["found"] == "12,154 daily bars, 95 splits and dividends"
    assert checks["calendar XNYS"]["found"] == "early close of 2024-11-29: 210 minutes"
    assert "All is well" in fairlead("doctor", cwd=tmp_path).out
    assert tree(tmp_path) == {}
    (tmp_path / "file").write_text("")
    ill = fairlead("doctor", "-w", "file", cwd=tmp_path)
    assert ill.code == 1
    assert re.search(r"FAIL +workspace +file is a file, not a folder +Make file writable, or set FAIRLEAD_HOME", ill.out)
    assert "1 of 14 checks failed" in ill.out


# ------------------------------------------------------------------------------------------------------------------- backtest


def test_backtest_prints_json_and_nothing_else_with_the_same_digest_twice(desk):
    """What `fairlead backtest CONFIG --json | python -m json.tool` relies on."""
    first, second = (fairlead("backtest", "run.yaml", "--json", cwd=desk) for _ in range(2))
    assert (first.code, first.err) == (0, "")
    assert first.json["digest"] == second.json["digest"]
    assert first.json["run_id"] != second.json["run_id"]
    assert first.json["metrics"]["num_orders"] == 1
    assert json.loads((desk / first.json["path"] / "manifest.json").read_text())["result"]["digest"] == first.json["digest"]


def test_backtest_prints_a_summary_for_people(desk):
    """Headline numbers, warnings, the run and its folder."""
    run = fairlead("backtest", "run.yaml", cwd=desk)
    folder = next((desk / "artifacts" / "runs").iterdir())
    assert run.code == 0
    assert run.err == ""
    assert "Eight days" in run.out
    assert "ACME, 2024-01-02 to 2024-01-11, 8 bars of 1d" in run.out
    assert "No closed trades" in run.out
    assert re.search(rf"run +{folder.name}", run.out)
    assert re.search(r"Win rate +n/a", run.out)


def test_a_loss_that_rounds_to_nothing_is_not_shown_as_minus_zero(desk):
    """Flat prices cost only the commission: a thousandth of a percent."""
    rows = [f"{day},100,100,100,100,100000" for day in DAYS]
    (desk / "ACME.csv").write_text("\n".join([bars_csv(days=()).strip(), *rows]) + "\n")
    run = fairlead("backtest", "run.yaml", "-o", "strategies.buyer.capital=1e6", cwd=desk)
    assert re.search(r"Total return +\+0\.0% ", run.out), run.out
    assert "-0.0%" not in run.out


def test_overrides_and_profiles_change_the_run(desk):
    """In rising order: file, profile, override; the environment may name the profile."""

    def shares(*args: str, **environ: str) -> object:
        return fairlead("backtest", "run.yaml", "--json", *args, cwd=desk, **environ).json["strategies"][0]["params"]["shares"]

    assert shares() == 10
    assert shares("--profile", "bold") == 20
    assert shares(FAIRLEAD_PROFILE="bold") == 20
    assert shares("-o", "strategies.buyer.params.shares=30") == 30
    assert shares("-p", "bold", "-o", "strategies.0.params.shares=40", "-o", "seed=7") == 40


def test_the_workspace_is_the_option_else_the_environment_else_artifacts(desk):
    """Nothing is written anywhere else."""
    for args, environ, where in (
        (("-w", "mine"), {"FAIRLEAD_HOME": "home"}, "mine"),
        ((), {"FAIRLEAD_HOME": "home"}, "home"),
        (("-o", "workspace=own"), {"FAIRLEAD_HOME": "home"}, "own"),
        ((), {}, "artifacts"),
    ):
        before = tree(desk)
        path = fairlead("backtest", "run.yaml", "--json", *args, cwd=desk, **environ).json["path"]
        assert path.startswith(f"{where}/runs/bt_")
        assert all(name.startswith(f"{path}/") for name in tree(desk).keys() - before.keys())


def test_the_report_settings_decide_what_is_written_and_what_is_printed(desk, launched):
    """No path is printed to a report that was not written."""
    for html, plots in (("false", "false"), ("true", "false"), ("false", "true")):
        args = ("backtest", "run.yaml", "--open", "-o", f"report.html={html}", "-o", f"report.plots={plots}")
        run = fairlead(*args, "--json", cwd=desk)
        folder = desk / run.json["path"]
        names = {path.name for path in folder.iterdir()}
        assert ("report.html" in names) == (html == "true")
        assert ({"equity_curve.png", "drawdown_curve.png"} <= names) == (plots == "true")
        assert run.json["report"] == (f"{run.json['path']}/report.html" if html == "true" else None)
        listed = {item["name"] for item in json.loads((folder / "manifest.json").read_text())["artefacts"]}
        assert listed == names - {"manifest.json"}
        assert ("no report to open" in run.err) == (html == "false")
        assert ("report  " in fairlead(*args, cwd=desk).out) == (html == "true")
    assert all(path.endswith("report.html") for path in launched)
    assert len(launched) == 2


def test_a_strategy_that_raises_ends_the_run_with_1_and_a_record(tmp_path):
    """Exit code 1, not 2: the input was good. The error names strategy and line, and the run directory says ERROR."""
    desk = write_desk(tmp_path, fourth='raise ValueError("no [bold]idea[/]")')
    line = 1 + (desk / "buyer.py").read_text().splitlines().index('            raise ValueError("no [bold]idea[/]")')
    for args in ((), ("--json",)):
        run = fairlead("backtest", "run.yaml", *args, cwd=desk)
        assert run.code == 1
        assert "error: strategy 'buyer' was stopped: ValueError: no [bold]idea[/]" in run.err
        assert f"line {line}" in run.err
        assert len(run.err.splitlines()) == 1
    assert run.json["status"] == "stopped"
    manifest = json.loads((desk / run.json["path"] / "manifest.json").read_text())
    assert manifest["result"]["status"] == "ERROR"
    assert "no [bold]idea[/]" in manifest["result"]["reason"]
    assert "ERROR Eight days" in fairlead("runs", "ls", cwd=desk).out


# ----------------------------------------------------------------------------------------------------------------------- data


def test_importing_twice_changes_nothing_and_more_rows_are_added(desk):
    """The store is idempotent; new days are added to the old."""
    args = ("data", "import", "ACME.csv", "-d", "prices", "-b", "1d", "--json")
    first = fairlead(*args, cwd=desk)
    assert (first.code, first.err) == (0, "")
    assert (first.json["rows"], first.json["rows_in"], first.json["symbols"]) == (8, 8, ["ACME"])
    before = tree(desk)
    assert fairlead(*args, cwd=desk).json == first.json
    assert tree(desk) == before
    (desk / "ACME.csv").write_text(bars_csv(days=(*DAYS, "2024-01-12")))
    assert fairlead(*args, cwd=desk).json["rows"] == 9


def test_quarantine_puts_bad_rows_aside_with_file_line_and_reason(desk):
    """One bad row does not stop a thousand good ones, if that is what one asks for; none is lost."""
    (desk / "ACME.csv").write_text(bars_csv().replace("2024-01-04,102,104", "2024-01-04,[102],104"))
    args = ("data", "import", "ACME.csv", "-d", "prices", "-b", "1d")
    refused = fairlead(*args, cwd=desk)
    assert refused.code == 2
    assert "ACME.csv line 4 (ACME 2024-01-04)" in refused.err
    assert refused.err.endswith("put them aside and import the rest: --quarantine.\n")
    taken = fairlead(*args, "--quarantine", cwd=desk)
    assert taken.code == 0
    assert "7 of 8 rows into dataset prices" in taken.out
    assert "! 1 row put aside: D10 dtype" in taken.out
    assert "      ACME.csv:4 (ACME 2024-01-04)\n" in taken.out
    with (desk / "artifacts/data/bars/prices/1d/quarantine.csv").open(newline="") as handle:
        assert [(row["origin"], row["line"], row["code"]) for row in csv.DictReader(handle)] == [("ACME.csv", "4", "D10")]
    assert "Put aside" in fairlead("data", "ls", cwd=desk).out


def test_a_long_quarantine_is_one_paragraph_per_reason(desk):
    """Many rows of one kind are one reason, three places and a count: no second reason is buried under them."""
    faulty = [f"2024-01-{day:02},1,1,1,1,-1" for day in (2, 3, 4, 5, 8, 9)]
    (desk / "ACME.csv").write_text(
        "\n".join([bars_csv(days=()).strip(), *faulty, "2024-01-10,0,1,0,1,1", "2024-01-11,1,1,1,1,1"])
    )
    taken = fairlead("data", "import", "ACME.csv", "-d", "prices", "-b", "1d", "--quarantine", cwd=desk)
    assert re.findall(r"! (\d+ rows?) put aside: (D\d\d)", taken.out) == [("6 rows", "D08"), ("1 row", "D07")]
    assert re.findall(r"^ {6}(\S.*)$", taken.out, re.MULTILINE) == [
        *(f"ACME.csv:{line} (ACME 2024-01-{line:02})" for line in (2, 3, 4)),
        "... and 3 more",
        "ACME.csv:8 (ACME 2024-01-10)",
    ]
    assert "artifacts/data/bars/prices/1d/quarantine.csv" in taken.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("day_first.csv", "-b", "1d"), "such as --stamp-format '%d.%m.%Y' or '%m/%d/%Y %H:%M'."),
        (
            ("day_first.csv", "-b", "1d", "--stamp-format", "dd.mm.yyyy"),
            "'dd.mm.yyyy' does not fit; write it like --stamp-format",
        ),
        (("local.csv", "-b", "1min", "-s", "ACME"), "e.g. --timezone America/New_York."),
        (("local.csv", "-b", "1min", "-t", "EST5"), "'--timezone' must be an IANA time zone"),
        (("ACME.csv", "-b", "2d"), "'--bar-size' must be one of 1min,"),
        (("tickers.csv", "-b", "1d", "-s", "IBM"), "Leave --symbol out."),
        (("my_export.csv", "-b", "1d"), "Say which symbol it is: --symbol, or a column of that name."),
        (("newest.csv", "-b", "1d"), "Sort the file by its stamps, the oldest first."),
        (("commas.csv", "-b", "1d"), "Write numbers like 1234.5: a point before the decimals"),
        (("local.csv", "-b", "5min", "-s", "ACME", "-t", "America/New_York"), "Say how long the bars are: --bar-size."),
    ],
)
def test_import_refuses_in_the_words_of_the_command_line(args, says, desk):
    """Each of the usual vendors' surprises is answered with the option, or the change of the file, that helps."""
    head, *rows = bars_csv().splitlines()
    day_first = [f"{row[8:10]}.{row[5:7]}.{row[:4]}{row[10:]}" for row in rows]
    local = [f"2024-01-02 09:{30 + i}:00{row[10:]}" for i, row in enumerate(rows)]
    for name, lines in {
        "day_first.csv": [head, *day_first],
        "local.csv": [head, *local],
        "tickers.csv": [f"ticker,{head}", *(f"ACME,{row}" for row in rows)],
        "my_export.csv": [head, *rows],
        "newest.csv": [head, *reversed(rows)],
        "commas.csv": [head, *(row.rpartition(",")[0] + ',"100,000"' for row in rows)],
    }.items():
        (desk / name).write_text("\n".join(lines) + "\n")
    refused = fairlead("data", "import", *args, "-d", "prices", cwd=desk)
    assert refused.code == 2
    assert says in refused.err
    assert "='" not in refused.err


def test_import_reads_stamps_of_a_declared_form(desk):
    """04.01.2024 is the fourth of January if one says so."""
    head, *rows = bars_csv().splitlines()
    (desk / "ACME.csv").write_text("\n".join([head, *(f"{row[8:10]}.{row[5:7]}.{row[:4]}{row[10:]}" for row in rows)]) + "\n")
    taken = fairlead("data", "import", "ACME.csv", "-d", "prices", "-b", "1d", "--stamp-format", "%d.%m.%Y", "--json", cwd=desk)
    assert taken.json["first_label"].startswith("2024-01-02")
    assert taken.json["last_label"].startswith("2024-01-11")


def test_data_check_passes_good_files_and_refuses_changed_ones(desk):
    """A file that differs from its hash is an error; a bar that breaks a rule is a finding."""
    fairlead("data", "import", "ACME.csv", "-d", "prices", "-b", "1d", cwd=desk)
    good = fairlead("data", "check", "prices", cwd=desk)
    assert good.code == 0
    assert good.out.startswith("ok 1 files match their hashes, 8 bars pass every rule.\n")
    assert fairlead("data", "check", "prices", "--json", cwd=desk).json["passed"] is True
    file = desk / "artifacts/data/bars/prices/1d/year=2024/month=01/bars.parquet"
    file.write_bytes(file.read_bytes() + b"x")
    changed = fairlead("data", "check", "prices", cwd=desk)
    assert changed.code == 2
    assert "SHA-256" in changed.err


def test_data_pack_gives_a_dataset_another_form_and_takes_it_away(desk):
    """A run of a packed dataset is the same run; packing again changes nothing; check looks at the packed form too."""
    fairlead("data", "import", "ACME.csv", "-d", "prices", "-b", "1d", cwd=desk)
    plain = fairlead("features", "compute", "sma", "--param", "n=3", "--dataset", "prices", "--json", cwd=desk)
    packed = fairlead("data", "pack", "prices", cwd=desk)
    assert packed.code == 0, packed.err
    assert re.fullmatch(r"ok prices: 1 months packed now, 0 before; 0\.0 MB beside the Parquet files\.\n", packed.out)
    file = desk / "artifacts/data/bars/prices/1d/year=2024/month=01/wide.arrow"
    size = file.stat().st_size
    facts = {"dataset": "prices", "bar_size": "1d"}
    again = fairlead("data", "pack", "prices", "--json", cwd=desk)
    assert again.json == {**facts, "made": 0, "kept": 1, "unfit": [], "bytes": size}
    assert fairlead("features", "compute", "sma", "--param", "n=3", "--dataset", "prices", "--json", cwd=desk).out == plain.out
    assert fairlead("data", "check", "prices", cwd=desk).code == 0
    file.write_bytes(file.read_bytes()[:-20])
    for verb in (("data", "check", "prices"), ("features", "compute", "sma", "--dataset", "prices")):
        damaged = fairlead(*verb, cwd=desk)
        assert damaged.code == 2
        assert "wide.arrow cannot be used" in damaged.err
        assert "make it again with fairlead data pack, or delete it" in damaged.err
    assert fairlead("data", "pack", "prices", "--json", cwd=desk).json["made"] == 1
    assert fairlead("data", "pack", "prices", "--remove", "--json", cwd=desk).json == {**facts, "freed_bytes": size}
    assert not file.exists()
    assert "is read from its Parquet files" in fairlead("data", "pack", "prices", "--remove", cwd=desk).out


def test_data_pack_names_the_months_that_it_cannot_pack(desk):
    """Two names whose bars of one instant belong to different sessions."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from fairlead.data.ingest import import_bars
    from fairlead.data.opening import store_of

    table = import_bars(desk / "ACME.csv", bar_size="1d").table
    other = table.set_column(1, table.schema.field("symbol"), pa.array(["ZED"] * 8))
    label = table.schema.get_field_index("label")
    shifted = other.set_column(label, table.schema.field("label"), pc.add(table["label"], np.timedelta64(1, "ns")))
    both = pa.concat_tables([table, shifted]).sort_by([("known", "ascending"), ("symbol", "ascending")])
    store_of(desk / "artifacts").write("odd", both, bar_size="1d", calendar="XNYS")
    found = fairlead("data", "pack", "odd", cwd=desk)
    assert found.code == 0
    assert "year=2024/month=01/bars.parquet cannot be packed and is read as it is" in found.err
    assert fairlead("data", "pack", "odd", "--json", cwd=desk).json["unfit"] == ["year=2024/month=01/bars.parquet"]


def test_data_check_lists_the_rules_that_stored_bars_break(desk):
    """Bars that came past the door some other way are found, with symbol, month and rule; exit code 1."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from fairlead.data.ingest import import_bars
    from fairlead.data.opening import store_of

    table = import_bars(desk / "ACME.csv", bar_size="1d").table
    low = table.schema.get_field_index("low")
    broken = table.set_column(low, table.schema.field(low), pc.multiply(table["low"], 2.0))
    store_of(desk / "artifacts").write("prices", broken, bar_size="1d", calendar="XNYS")
    found = fairlead("data", "check", "prices", cwd=desk)
    assert found.code == 1
    assert re.search(r"ACME +2024-01 +D\d\d +8 ", found.out)
    report = fairlead("data", "check", "prices", "--json", cwd=desk)
    assert report.code == 1
    assert report.json["passed"] is False
    assert report.json["violations"][0]["count"] == 8
    assert pq.read_table(desk / "artifacts/data/bars/prices/1d/year=2024/month=01/bars.parquet").num_rows == 8


def test_synthetic_data_is_reproducible_and_of_one_seed(tmp_path):
    """The same seed gives the same prices; generating again touches no content; another seed needs --replace."""
    said = fairlead("data", "synth", "toy", *SYNTH, cwd=tmp_path, COLUMNS="200")
    assert "bars of SYN001, SYN002 in dataset toy" in said.out
    first = fairlead("data", "synth", "toy", *SYNTH, "--json", cwd=tmp_path)
    assert first.code == 0, first.err
    assert first.json["synthetic"] is True
    before = tree(tmp_path)
    months = sorted(path.parent.name for path in tmp_path.rglob("bars.parquet"))
    assert months == ["month=01", "month=02"]
    assert fairlead("data", "synth", "toy", *SYNTH, "--json", cwd=tmp_path).json == first.json
    assert tree(tmp_path) == before
    other = fairlead("data", "synth", "toy", *SYNTH, "--seed", "3", cwd=tmp_path)
    assert other.code == 2
    assert "'seed of dataset toy' must be 42 as in the stored data, was 3" in other.err
    assert tree(tmp_path) == before
    replaced = fairlead("data", "synth", "toy", *SYNTH, "--seed", "3", "--replace", "--json", cwd=tmp_path)
    assert replaced.json["content_sha256"] != first.json["content_sha256"]
    elsewhere = fairlead("data", "synth", "toy", *SYNTH, "--json", "-w", "other", cwd=tmp_path)
    assert elsewhere.json["content_sha256"] == first.json["content_sha256"]


def test_a_later_end_adds_months_to_a_synthetic_dataset(tmp_path):
    """What was there stays, and the new span is the same as if it had been generated at once."""
    fairlead("data", "synth", "toy", *SYNTH, cwd=tmp_path)
    january = next(tmp_path.rglob("month=01/bars.parquet")).read_bytes()
    longer = (*SYNTH[:-1], "2024-03-05", "--json")
    extended = fairlead("data", "synth", "toy", *longer, cwd=tmp_path)
    assert extended.code == 0, extended.err
    assert next(tmp_path.rglob("month=01/bars.parquet")).read_bytes() == january
    assert (
        extended.json["content_sha256"]
        == fairlead("data", "synth", "toy", *longer, "-w", "w", cwd=tmp_path).json["content_sha256"]
    )


def test_synthetic_is_said_everywhere(shown):
    """Made-up prices never pass for evidence: in lists, summaries, the run itself and its report."""
    assert "SYNTHETIC DATA" in (shown / "toy.txt").read_text()
    assert "nothing here is evidence about a market" in (shown / "toy.txt").read_text()
    assert re.search(r"SYNTHETIC toy +15min", fairlead("data", "ls", cwd=shown).out)
    assert fairlead("data", "check", "toy", cwd=shown).out.strip().startswith("SYNTHETIC")
    assert "SYNTHETIC Made up" in fairlead("runs", "ls", cwd=shown).out
    assert fairlead("runs", "show", "latest", cwd=shown).out.strip().startswith("SYNTHETIC")
    assert "SYNTHETIC SMA" not in fairlead("runs", "ls", cwd=shown).out
    assert {m["dataset"]: m["synthetic"] for m in fairlead("data", "ls", "--json", cwd=shown).json} == {
        "toy": True,
        "us_equities": False,
    }
    made = fairlead("report", "latest", "-O", "out/made.html", cwd=shown)
    assert made.out == "out/made.html\n"
    assert "SYNTHETIC" in made.err
    assert "SYNTHETIC" in (shown / "out/made.html").read_text().upper()


# ------------------------------------------------------------------------------------------------------------ runs and reports


def test_runs_are_listed_newest_first_under_names_that_work(shown):
    """Every name that the list prints can be given to the other verbs."""
    listed = fairlead("runs", "ls", "--json", cwd=shown).json
    assert [run["title"] for run in listed] == ["Made up", "SMA crossover on five US stocks"]
    text = fairlead("runs", "ls", cwd=shown).out
    names = re.findall(r"^(bt_\S+)", text, re.MULTILINE)
    for name, run in zip(names, listed, strict=True):
        assert fairlead("runs", "show", name, "--json", cwd=shown).json["run_id"] == run["run_id"]
    assert fairlead("runs", "show", "latest", "--json", cwd=shown).json["run_id"] == listed[0]["run_id"]
    assert fairlead("runs", "show", listed[1]["path"], "--json", cwd=shown).json["run_id"] == listed[1]["run_id"]


def test_short_names_are_whole_where_the_beginning_fits_several():
    """Two runs of one second must be told apart."""
    assert short_names(["bt_2Z_b_1", "bt_1Z_a_1", "bt_1Z_a_1_2"]) == ["bt_2Z", "bt_1Z_a_1", "bt_1Z_a_1_2"]
    assert short_names([]) == []


def test_runs_show_prints_every_metric_and_where_the_run_came_from(shown):
    """A person reads the same numbers that a machine gets."""
    run = fairlead("runs", "ls", "--json", cwd=shown).json[1]
    text = fairlead("runs", "show", run["run_id"], cwd=shown).out
    report = fairlead("runs", "show", run["run_id"], "--json", cwd=shown).json
    assert f"{report['metrics']['final_cash']:,.2f}" in text
    assert f"{report['metrics']['sharpe']:.2f}" in text
    assert all(f"{name} " in text for name in ("Calmar", "Tail ratio", "Rejected", "Information ratio"))
    for key in ("config_hash", "code_hash", "dataset_hash"):
        assert report["info"][key] in text
    assert report["digest"] in text
    assert "fast=50, slow=200, weight=0.95" in text


def test_open_and_report_launch_a_browser_only_when_asked(shown, tmp_path, launched):
    """`runs open` opens the run's own report; `report` writes one anywhere and opens it with --open."""
    run = fairlead("runs", "ls", "--json", cwd=shown).json[0]
    opened = fairlead("runs", "open", "latest", cwd=shown)
    assert opened.out == f"{run['path']}/report.html\n"
    assert launched == [str(shown / run["path"] / "report.html")]
    assert fairlead("runs", "open", "latest", "--json", cwd=shown).json == {"report": f"{run['path']}/report.html"}
    workspace = shown / "artifacts"
    written = fairlead("report", "latest", "-w", workspace, "--json", cwd=tmp_path)
    assert written.json["report"] == f"{run['run_id']}.html"
    assert (tmp_path / written.json["report"]).read_bytes() == (shown / run["path"] / "report.html").read_bytes()
    assert len(launched) == 2
    fairlead("report", "latest", "-w", workspace, "-O", tmp_path, "--open", cwd=tmp_path)
    assert launched[2:] == [str(tmp_path / f"{run['run_id']}.html")]


def test_a_machine_without_a_browser_is_told_where_the_report_is(shown, monkeypatch):
    """Opening is a convenience: that it fails is no error."""
    monkeypatch.setattr(typer, "launch", lambda _: 3)
    opened = fairlead("runs", "open", "latest", cwd=shown)
    assert opened.code == 0
    assert "Open it yourself" in opened.err


def test_empty_workspaces_say_what_to_do_next(tmp_path):
    """A list of nothing is not an error, and leaves nothing behind."""
    assert "No runs yet in artifacts. Make one: fairlead demo" in fairlead("runs", "ls", cwd=tmp_path).out
    assert "No datasets yet in artifacts. Make one: fairlead data import" in fairlead("data", "ls", cwd=tmp_path).out
    assert fairlead("runs", "ls", "--json", cwd=tmp_path).json == []
    assert fairlead("data", "ls", "--json", cwd=tmp_path).json == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_report_says_how_to_make_one(desk, launched):
    """The remedy works."""
    fairlead("backtest", "run.yaml", cwd=desk)
    missing = fairlead("runs", "open", "latest", cwd=desk)
    assert missing.code == 2
    assert "Make one: fairlead report latest" in missing.err
    assert launched == []
    assert fairlead("report", "latest", cwd=desk).code == 0


# ----------------------------------------------------------------------------------------------------- strategies and checks


def test_strategy_ls_names_what_ships_with_its_parameters(tmp_path):
    """Enough to write a configuration."""
    text = fairlead("strategy", "ls", cwd=tmp_path).out
    assert "fast=50  slow=200  weight=0.95" in text
    assert "symbols=[AAPL, IBM]  weights=[0.6, 0.4]" in text
    listed = fairlead("strategy", "ls", "--json", cwd=tmp_path).json
    assert set(listed) >= {"buy_and_hold", "fixed_weights", "mean_reversion", "momentum", "rsi", "sma_crossover"}
    assert listed["rsi"]["schema"]["properties"]["window"]["default"] == 14


def test_strategy_new_writes_one_that_passes_its_check_and_never_overwrites(tmp_path):
    """Camel case becomes a file name as Python writes them."""
    made = fairlead("strategy", "new", "DipBuyer", cwd=tmp_path)
    assert made.code == 0, made.err
    assert set(tree(tmp_path)) == {"strategies/dip_buyer.py", "tests/test_dip_buyer.py"}
    assert "fairlead strategy check strategies/dip_buyer.py" in made.out
    checked = fairlead("strategy", "check", "strategies/dip_buyer.py:DipBuyer", cwd=tmp_path)
    assert (checked.code, checked.out) == (0, "ok strategies/dip_buyer.py:DipBuyer\n")
    before = tree(tmp_path)
    again = fairlead("strategy", "new", "dip_buyer", cwd=tmp_path)
    assert again.code == 2
    assert "'name' must be new, was 'dip_buyer'. strategies/dip_buyer.py exists; choose another name." in again.err
    assert tree(tmp_path) == before
    other = fairlead("strategy", "new", "other", "--folder", "desk", "--json", cwd=tmp_path)
    assert other.json["files"] == ["desk/strategies/other.py", "desk/tests/test_other.py"]


def test_strategy_check_names_line_and_remedy_and_does_not_run_the_file(tmp_path):
    """What the lint refuses must not run first."""
    (tmp_path / "bad.py").write_text(
        "import time\nfrom pathlib import Path\nfrom fairlead.sdk import Strategy\nPath('ran').touch()\n\n\n"
        "class Bad(Strategy):\n    def generate_orders(self, context):\n        return [] if time.time() else []\n"
    )
    found = fairlead("strategy", "check", "bad.py", cwd=tmp_path)
    assert found.code == 1
    assert "bad.py:9:" in found.out
    assert set(tree(tmp_path)) == {"bad.py"}
    lines = {finding["line"] for finding in fairlead("strategy", "check", "bad.py", "--json", cwd=tmp_path).json}
    assert 9 in lines
    assert fairlead("strategy", "check", "rsi", "--json", cwd=tmp_path).json == []


def test_check_lookahead_passes_an_honest_strategy(desk):
    """And writes nothing."""
    before = tree(desk)
    text = fairlead("check", "lookahead", "run.yaml", "--cuts", "3", cwd=desk)
    assert text.code == 0
    assert text.out.startswith("passed ")
    report = fairlead("check", "lookahead", "run.yaml", "--cuts", "3", "--json", cwd=desk)
    assert report.json["passed"] is True
    assert report.json["orders_compared"] > 0
    assert tree(desk) == before


def test_check_lookahead_fails_a_strategy_that_reads_the_next_bar(tmp_path):
    """Exit code 1, and the first decision that changed."""
    cheat = f"{PEEK}\n            return [OrderIntent.market(self.symbol, 1 + (len(block.close) > row + 1))]"
    desk = write_desk(tmp_path, fourth=cheat)
    text = fairlead("check", "lookahead", "run.yaml", cwd=desk)
    assert text.code == 1
    assert "changed the past" in text.out
    assert "2024-01-05" in text.out
    report = fairlead("check", "lookahead", "run.yaml", "--json", cwd=desk)
    assert report.code == 1
    assert report.json["passed"] is False
    assert "order 2 differs" in report.json["divergences"][0]


def test_check_lookahead_says_when_it_proves_little(desk):
    """A strategy that never trades passes, which is no proof."""
    (desk / "buyer.py").write_text(
        (desk / "buyer.py").read_text().replace("if self.bars == 1 else []", "if self.bars == 99 else []")
    )
    assert "no order was compared" in fairlead("check", "lookahead", "run.yaml", cwd=desk).out


# -------------------------------------------------------------------------------------------------------------------- manners


def commands(group: typer.main.Typer = app) -> list[tuple[str, ...]]:
    """Every verb, as the words that one types."""
    plain = [(command.name or command.callback.__name__,) for command in group.registered_commands]
    nested = [(sub.name, *words) for sub in group.registered_groups for words in commands(sub.typer_instance)]
    return [*plain, *nested]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_verb_explains_itself_with_an_example_that_parses(words, tmp_path):
    """`--help` tells what the verb does and shows one line that can be typed."""
    text = " ".join(fairlead(*words, "--help", cwd=tmp_path, COLUMNS="120").out.split())
    example = re.search(rf"Example: fairlead ({' '.join(words)}[^│╭]*)", text)
    assert example is not None, text
    known = set(re.findall(r"--[a-z-]+|(?<= )-[a-zA-Z](?= )", text.split("Options", 1)[1]))
    assert set(re.findall(r"(?<= )--?[a-zA-Z-]+", example[1])) <= known


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("bactest", "x.yaml"), "Did you mean 'backtest'?"),
        (("data", "imprt"), "Did you mean 'import'?"),
        (("backtest",), "Missing argument"),
        (("backtest", "run.yaml", "--profil", "x"), "No such option"),
        (("check", "lookahead", "run.yaml", "--cuts", "0"), "greater than or equal to 1"),
    ],
)
def test_wrong_use_exits_with_2_and_points_to_help(args, text, desk):
    """Mistyped verbs and options are answered with what was meant."""
    wrong = fairlead(*args, cwd=desk)
    assert wrong.code == 2
    assert text in " ".join(wrong.err.replace("│", "").split())
    assert "--help" in wrong.err
    assert wrong.out == ""


def test_progress_is_shown_on_a_terminal_and_cleared_and_silent_elsewhere(desk, monkeypatch):
    """Scripts get no control characters; --json is silent even on a terminal."""
    monkeypatch.setattr(console, "PROGRESS_AFTER_S", -1.0)
    assert fairlead("backtest", "run.yaml", cwd=desk).err == ""
    shown = fairlead("check", "lookahead", "run.yaml", "--cuts", "4", cwd=desk, err=Terminal(), TERM="xterm-256color")
    assert "look-ahead check" in shown.err
    assert "4/4" in shown.err
    assert "\x1b[2K" in shown.err
    silent = fairlead("backtest", "run.yaml", "--json", cwd=desk, err=Terminal(), TERM="xterm-256color")
    assert silent.err == ""


def test_errors_are_folded_at_words_on_a_terminal_and_not_at_all_elsewhere(desk):
    """A path in an error can be copied whole, and a log has one line for one mistake."""
    args = ("backtest", "run.yaml", "-o", "sed=1")
    long = fairlead(*args, cwd=desk).err
    assert len(long.splitlines()) == 1
    folded = re.sub(r"\x1b\[\d*m", "", fairlead(*args, cwd=desk, err=Terminal(), TERM="xterm", NO_COLOR="1", COLUMNS="60").err)
    assert all(len(line) <= 60 for line in folded.splitlines())
    assert all(line.startswith("       ") for line in folded.splitlines()[1:])
    assert folded.split() == long.split()


def test_short_work_shows_no_progress(desk, monkeypatch):
    """A bar that flashes for half a second is noise."""
    monkeypatch.setattr(console, "PROGRESS_AFTER_S", 120.0)
    assert fairlead("backtest", "run.yaml", cwd=desk, err=Terminal(), TERM="xterm-256color").err == ""


def test_brackets_and_colons_in_names_are_printed_as_they_are(tmp_path):
    """Neither markup nor emoji codes of the terminal library reach the text."""
    desk = write_desk(tmp_path / "[bold]x[/] :key:", name="'[red]A[/] :key: b'")
    assert fairlead("backtest", "run.yaml", "--json", cwd=desk).code == 0
    assert "[red]A[/] :key: b" in fairlead("backtest", "run.yaml", cwd=desk).out
    assert "[red]A[/] :key: b" in fairlead("runs", "ls", cwd=desk).out
    assert "[red]A[/] :key: b" in fairlead("runs", "show", "latest", cwd=desk).out
    missing = fairlead("backtest", desk / "nothing.yaml", cwd=tmp_path)
    assert "[bold]x[/] :key:/nothing.yaml" in missing.err


def test_an_interrupt_is_no_traceback(desk, monkeypatch):
    """Ctrl-C ends with the code that shells expect."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fairlead.backtest.run.run_backtest", interrupted)
    stopped = fairlead("backtest", "run.yaml", cwd=desk)
    assert stopped.code == 130
    assert "Traceback" not in stopped.err


@pytest.mark.parametrize("code", ["import fairlead", "import fairlead.cli.main"])
def test_the_door_and_the_command_line_import_nothing_heavy(code):
    """`import fairlead` and `fairlead --help` answer at once."""
    probe = f"{code}; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_imports_nothing_heavy():
    """The texts of all verbs come without numpy."""
    probe = (
        "import sys; from fairlead.cli.main import main; sys.argv = ['fairlead', '--help']\n"
        "try:\n    main()\nexcept SystemExit as exc:\n"
        f"    print([m for m in {HEAVY[:-1]!r} if m in sys.modules], exc.code)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[] 0")


def test_the_installed_command_works_as_a_process(desk):
    """Pipes, exit codes and the console script itself."""
    command = shutil.which("fairlead", path=str(Path(sys.executable).parent))
    assert command is not None, "the package is not installed beside this Python"
    environ = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([command, *args], cwd=desk, env=environ, capture_output=True, text=True, check=False)

    good = call("backtest", "run.yaml", "--json")
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["status"] == "completed"
    bad = call("backtest", "run.yaml", "-o", "seed=-1")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "error: override -o seed=-1: 'seed' must be in [0, 9223372036854775808), was -1.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("verb", [("runs", "ls", "--json"), ("strategy", "ls")])
def test_a_full_disk_behind_the_output_is_one_line(verb, tmp_path):
    """`fairlead ... > file` on a full disk says so, without a traceback."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fairlead", *verb], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write the output: no space left on device.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", [("strategy", "ls"), ("strategy", "ls", "--json"), ("--help",)])
def test_a_closed_pipe_is_no_traceback(verb, tmp_path):
    """`fairlead ... | head` ends quietly when head has seen enough."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", *verb], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.stderr == ""


def test_the_package_can_be_run():
    """`python -m fairlead` is the same command."""
    done = subprocess.run([sys.executable, "-m", "fairlead", "version", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["fairlead"] == package.__version__
