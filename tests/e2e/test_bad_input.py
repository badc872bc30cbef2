"""Bad input: one clear error on standard error, exit code 2, and nothing half-written.

Each case runs in a folder with good prices, strategy and configuration, one dataset and one finished run. What a case breaks
is all that differs, and afterwards every file below that folder is what it was.
"""

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support_cli import DAYS, HEADER, Outcome, bars_csv, fairlead, tree, write_desk

IMPORT = ("data", "import", "bad.csv", "-d", "bad", "-b", "1d", "-s", "ACME")
MINUTES = ("data", "import", "bad.csv", "-d", "bad", "-b", "1min", "-s", "ACME")
RUN = ("backtest", "run.yaml")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything is good, and has been used."""
    folder = write_desk(tmp_path_factory.mktemp("used"))
    for args in (("data", "import", "ACME.csv", "-d", "prices", "-b", "1d"), RUN):
        done = fairlead(*args, cwd=folder)
        assert done.code == 0, done.err
    return folder


@pytest.fixture
def desk(used: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to break."""
    return Path(shutil.copytree(used, tmp_path / "desk"))


@dataclass(frozen=True)
class Case:
    """What is broken, what is called, and what the error must say."""

    args: tuple[str, ...]
    error: str
    file: str = "bad.csv"
    content: str | bytes | None = None
    change: tuple[str, str] | None = None
    """In run.yaml: what is replaced by what."""


def row(values: str, day: str = "2024-01-04") -> str:
    """Good daily bars with the row of one day replaced."""
    return re.sub(rf"^{day},.*$", f"{day},{values}", bars_csv(), flags=re.MULTILINE)


def minutes(*stamps: str) -> str:
    """Good one-minute bars at these stamps."""
    return "\n".join([HEADER, *(f"{stamp},10,11,9,10,100" for stamp in stamps)]) + "\n"


OPEN = ("2024-01-02T14:30:00Z", "2024-01-02T14:31:00Z", "2024-01-02T14:32:00Z")

DATA = {
    "NaN price": Case(IMPORT, r"D06 .*bad\.csv line 4 \(ACME 2024-01-04\)", content=row("100,101,99,NaN,5")),
    "empty price": Case(IMPORT, r"D06 .*bad\.csv line 4 \(ACME 2024-01-04\)", content=row("100,101,99,,5")),
    "negative price": Case(IMPORT, r"D07 .*bad\.csv line 4", content=row("100,101,-99,100,5")),
    "high below low": Case(IMPORT, r"D09 .*bad\.csv line 4", content=row("100,98,99,98.5,5")),
    "negative volume": Case(IMPORT, r"D08 .*bad\.csv line 4", content=row("100,101,99,100,-5")),
    "text for a price": Case(IMPORT, r"D10 .*bad\.csv line 4", content=row("100,101,99,ten,5")),
    "duplicate stamps": Case(IMPORT, r"D05 .*bad\.csv line 5", content=bars_csv().replace("2024-01-05", "2024-01-04")),
    "unsorted stamps": Case(IMPORT, r"D04 .*bad\.csv line 10", content=bars_csv(days=(*DAYS[1:], "2024-01-12", DAYS[0]))),
    "day without session": Case(
        IMPORT, r"D11 .*bad\.csv line 2 \(ACME 2024-01-01\)", content=bars_csv(days=("2024-01-01", *DAYS))
    ),
    "unreadable stamp": Case(IMPORT, r"D02 .*bad\.csv line 4", content=bars_csv().replace("2024-01-04", "the 4th")),
    "naive time zone": Case(
        MINUTES, r"time zone.*--timezone|time zone.*[Dd]eclare", content=minutes("2024-01-02 09:30:00", "2024-01-02 09:31:00")
    ),
    "bar outside the session": Case(MINUTES, r"I02 .*bad\.csv line 5", content=minutes(*OPEN, "2024-01-02T23:30:00Z")),
    "bar off the grid": Case(MINUTES, r"I01 .*bad\.csv line 5", content=minutes(*OPEN, "2024-01-02T14:33:30Z")),
    "other bar size": Case(
        (*MINUTES[:-4], "-b", "5min", "-s", "ACME"), r"I0[13] ", content=minutes(*OPEN, "2024-01-02T14:33:00Z")
    ),
    "missing column": Case(IMPORT, r"bad\.csv.*'?close'?", content=bars_csv(header=HEADER.replace("close", "colour"))),
    "empty file": Case(IMPORT, r"bad\.csv is empty", content=""),
    "only a header": Case(IMPORT, r"bad\.csv is empty: it has a header but no row", content=HEADER + "\n"),
    "binary junk as CSV": Case(IMPORT, r"bad\.csv cannot be read as CSV", content=b"\x00\xff\x80PK\x03\x04" * 50),
    "junk bytes as CSV": Case(IMPORT, r"bad\.csv cannot be read as CSV", content=b"\xff\xfe\x80\x81" * 50),
    "junk as Parquet": Case(
        ("data", "import", "bad.parquet", "-d", "bad", "-b", "1d"),
        r"bad\.parquet cannot be read as Parquet",
        file="bad.parquet",
        content=b"PAR1" + b"\x99" * 64,
    ),
    "folder without files": Case(
        ("data", "import", "empty", "-d", "bad", "-b", "1d"),
        r"folder empty holds no file named \*\.csv",
        file="empty/note.txt",
        content="x",
    ),
    "missing file": Case(("data", "import", "gone.csv", "-d", "bad", "-b", "1d"), r"no file or folder named gone\.csv"),
    "wrong suffix": Case(
        ("data", "import", "bad.xls", "-d", "bad", "-b", "1d"), r"must end in one of \.csv", file="bad.xls", content="x"
    ),
    "other prices than stored": Case(
        ("data", "import", "bad.csv", "-d", "prices", "-b", "1d", "-s", "ACME"), r"--replace", content=row("100,104,99,103,5")
    ),
    "bad dataset name": Case(
        ("data", "import", "ACME.csv", "-d", "../up", "-b", "1d"), r"'--dataset' must be up to 64 letters"
    ),
    "bad bar size": Case(("data", "import", "ACME.csv", "-d", "x", "-b", "3min"), r"must be one of 1min, 5min"),
    "unknown calendar": Case(
        ("data", "import", "ACME.csv", "-d", "x", "-b", "1d", "--calendar", "XNYSE"),
        r"no exchange calendar named 'XNYSE'; did you mean 'XNYS'",
    ),
    "unknown time zone": Case(
        ("data", "import", "ACME.csv", "-d", "x", "-b", "1d", "-t", "America/New_Yrok"), r"America/New_York"
    ),
    "unknown dataset": Case(("data", "check", "price"), r"no dataset named 'price'; did you mean 'prices'"),
    "unknown dataset to pack": Case(("data", "pack", "price"), r"no dataset named 'price'; did you mean 'prices'"),
    "unknown bar size to pack": Case(("data", "pack", "prices", "-b", "1h"), r"no bar size in dataset 'prices' named '1h'"),
    "no symbols": Case(("data", "synth", "x", "-n", "0"), r"'--symbols' must be a count from 1, or names"),
    "too many symbols": Case(("data", "synth", "x", "-n", "20000"), r"'--symbols' must be <= 10000, was 20000"),
    "bad symbol": Case(("data", "synth", "x", "-n", "A B,C"), r"'symbol' must match"),
    "synthetic end before start": Case(
        ("data", "synth", "x", "--start", "2024-02-01", "--end", "2024-01-02"), r"'end' must not be before start \(2024-02-01\)"
    ),
    "no date": Case(("data", "synth", "x", "--start", "soon"), r"'--start' must be a date like 2024-01-31, was 'soon'"),
    "span without session": Case(
        ("data", "synth", "x", "--start", "2024-01-06", "--end", "2024-01-07"), r"no session|holds no"
    ),
    "synthetic into real": Case(("data", "synth", "prices", "-b", "1d"), r"prices"),
}

SETTINGS = {
    "unknown key": Case(
        RUN, r"^error: run\.yaml:14: 'reprt' must be a known key.*Did you mean 'report'\?", change=("report:", "reprt:")
    ),
    "value out of range": Case(
        RUN, r"^error: run\.yaml:12: 'strategies\.0\.capital' must be in \(0, .*was -1", change=("10_000", "-1")
    ),
    "wrong type": Case(
        RUN, r"^error: run\.yaml:12: 'strategies\.0\.capital' must be a number, was 'much'", change=("10_000", "much")
    ),
    "unknown strategy": Case(
        RUN,
        r"^error: run\.yaml:11: .*no strategy named 'sma_crosover'; did you mean 'sma_crossover'\?",
        change=("buyer.py", "sma_crosover"),
    ),
    "missing strategy file": Case(RUN, r"^error: run\.yaml:11: .*buyr\.py cannot be read", change=("buyer.py", "buyr.py")),
    "strategy that does not compile": Case(RUN, r"buyer\.py:1: SyntaxError", file="buyer.py", content="class Buyer(:\n"),
    "strategy that fails on import": Case(RUN, r"buyer\.py:2: ZeroDivisionError", file="buyer.py", content="\n1 / 0\n"),
    "unknown parameter": Case(
        RUN, r"^error: run\.yaml:13: .*'?shars'?.*[Dd]id you mean 'shares'\?", change=("{shares: 10}", "{shars: 10}")
    ),
    "parameter out of range": Case(
        RUN,
        r"^error: run\.yaml:13: 'strategies\.0\.params\.shares' must be >= 1, was 0",
        change=("{shares: 10}", "{shares: 0}"),
    ),
    "unknown symbol in data": Case(
        RUN,
        r"^error: run\.yaml:\d+: 'data\.symbols': no symbol in dataset 'ACME' named 'ACNE'; did you mean 'ACME'\?",
        change=("bar_size: 1d", "bar_size: 1d\n  symbols: [ACNE]"),
    ),
    "unknown symbol in parameters": Case(
        RUN,
        r"^error: run\.yaml:13: .*no symbol in dataset 'ACME' named 'ACM'; did you mean 'ACME'\?",
        change=("{shares: 10}", "{symbol: ACM}"),
    ),
    "unknown dataset": Case(
        RUN,
        r"no dataset named 'price'; did you mean 'prices'\?",
        change=("source: csv\n  path: ACME.csv\n  bar_size: 1d", "source: store\n  dataset: price"),
    ),
    "missing data file": Case(
        RUN,
        r"^error: run\.yaml:6: 'data\.path': ACMY\.csv does not exist\..* holds: ACME\.csv",
        change=("ACME.csv", "ACMY.csv"),
    ),
    "local times in the data file": Case(
        RUN,
        r"^error: run\.yaml:\d+: 'data': ACME\.csv: stamps must carry a time zone.* e\.g\. data\.timezone: America/New_York\.",
        change=("bar_size: 1d", "bar_size: 1min"),
        file="ACME.csv",
        content=minutes("2024-01-02 09:30:00", "2024-01-02 09:31:00"),
    ),
    "another form of dates in the data file": Case(
        RUN,
        r"^error: run\.yaml:\d+: 'data': ACME\.csv: stamp must be .* Import it first: fairlead data import FILE --stamp-format",
        file="ACME.csv",
        content=bars_csv().replace("2024-01-", "01/2024/"),
    ),
    "mistyped dataset": Case(
        RUN,
        r"^error: run\.yaml:5: 'data\.dataset': no dataset named 'pricey'; did you mean 'prices'",
        change=("source: csv\n  path: ACME.csv", "dataset: pricey"),
    ),
    "unknown calendar of the data": Case(
        RUN, r"'data\.calendar': no exchange calendar named 'nyse'", change=("bar_size: 1d", "bar_size: 1d\n  calendar: nyse")
    ),
    "unknown time zone of the data": Case(
        RUN, r"'data\.timezone' must be an IANA time zone", change=("bar_size: 1d", "bar_size: 1d\n  timezone: EST5")
    ),
    "bad prices in the data file": Case(RUN, r"D06 .*ACME\.csv line 4", file="ACME.csv", content=row("100,101,99,NaN,5")),
    "dates without data": Case(
        (*RUN, "-o", "clock.start_date=2025-01-01"),
        r"has no bars of ACME from 2025-01-01.* It (has them from|holds) 2024-01-02 to 2024-01-11",
    ),
    "start after end": Case(
        (*RUN, "-o", "clock.start_date=2024-02-01", "-o", "clock.end_date=2024-01-05"),
        r"end_date' must not be before start_date \(2024-02-01\), was '2024-01-05'",
    ),
    "bad override": Case((*RUN, "-o", "seed"), r"override -o seed: an override must have the form path\.to\.key=value"),
    "override of an unknown key": Case((*RUN, "-o", "sed=1"), r"'sed' must be a known key.*Did you mean 'seed'\?"),
    "unknown profile": Case((*RUN, "-p", "bald"), r"no profile named 'bald'; did you mean 'bold'\?"),
    "missing configuration": Case(
        ("backtest", "rum.yaml"), r"^error: there is no configuration file rum\.yaml\. Did you mean run\.yaml\?"
    ),
    "missing folder": Case(
        ("backtest", "no/where.yaml"), r"there is no configuration file no/where\.yaml\. .*fairlead init DIR"
    ),
    "folder as configuration": Case(("backtest", "."), r"\. is a folder, not a configuration file"),
    "YAML syntax error": Case(RUN, r"^error: run\.yaml:\d+: ", change=("{shares: 10}", "{shares: 10")),
    "tabs in YAML": Case(RUN, r"^error: run\.yaml:2: ", file="run.yaml", content="mode: backtest\n\tname: x\n"),
    "empty YAML": Case(RUN, r"^error: run\.yaml:1: ", file="run.yaml", content=""),
    "YAML that is a list": Case(RUN, r"^error: run\.yaml:1: ", file="run.yaml", content="- mode: backtest\n"),
    "binary configuration": Case(RUN, r"^error: run\.yaml", file="run.yaml", content=b"\x00\xff\x80" * 20),
    "paper": Case(
        ("backtest", "desk.yaml"),
        r"^error: desk\.yaml:1: 'mode' must be backtest here, was 'paper'",
        file="desk.yaml",
        content="mode: paper\nclock: {type: realtime}\ndata: {type: live, feed: x, symbols: [ACME]}\n"
        "strategies: [{name: rsi, capital: 1000}]\n",
    ),
    "actions of a live session that are not there": Case(
        ("paper", "desk.yaml"),
        r"^error: desk\.yaml:3: .*there is no file named none\.csv",
        file="desk.yaml",
        content="mode: paper\nclock: {type: realtime}\ndata: {type: live, feed: x, symbols: [ACME], actions: none.csv}\n"
        "strategies: [{name: rsi, capital: 1000}]\n",
    ),
    "live": Case(
        ("backtest", "desk.yaml"),
        r"^error: desk\.yaml:1: 'mode' must be backtest here, was 'live'",
        file="desk.yaml",
        content="mode: live\nclock: {type: realtime}\ndata: {type: live, feed: x, symbols: [ACME]}\n"
        "execution: {type: broker, broker: x}\nstrategies: [{name: rsi, capital: 1000}]\n",
    ),
    "several mistakes": Case(
        RUN,
        r"^error: run\.yaml:1: .*\n       run\.yaml:2: .*\n       run\.yaml:3: ",
        change=("name: Eight days\ndata:", "nam: x\ndta:"),
    ),
    "workspace that is a file": Case((*RUN, "-w", "run.yaml"), r"'workspace' must be a folder, was 'run\.yaml'"),
    "workspace inside a file": Case((*RUN, "-w", "run.yaml/x"), r"a part of the path is a file, not a folder"),
    "look-ahead check of nothing": Case(("check", "lookahead", "rum.yaml"), r"Did you mean run\.yaml\?"),
}

NAMES = {
    "unknown run": Case(("runs", "show", "nope"), r"no run named 'nope' in artifacts/runs\. Newest: bt_"),
    "run to open": Case(("runs", "open", "nope"), r"no run named 'nope'"),
    "run to report": Case(("report", "nope"), r"no run named 'nope'"),
    "report into a file": Case(("report", "latest", "-O", "run.yaml/x.html"), r"a part of the path is a file"),
    "unknown strategy": Case(("strategy", "check", "rsj"), r"no strategy named 'rsj'; did you mean 'rsi'\?"),
    "missing strategy file": Case(("strategy", "check", "buyr.py"), r"no strategy file buyr\.py\. Did you mean buyer\.py\?"),
    "strategy name": Case(("strategy", "new", "9 lives"), r"'strategy name' must start with a letter"),
    "folder in use": Case(("init", "."), r"'folder' must be new or empty, was '\.'"),
    "file as folder": Case(("init", "run.yaml"), r"'folder' must be new or empty, was 'run\.yaml'"),
    "workspace that is a file": Case(("runs", "ls", "-w", "run.yaml"), r"'workspace' must be a folder"),
}
CASES = {
    f"{group}: {name}": case
    for group, cases in (("data", DATA), ("settings", SETTINGS), ("names", NAMES))
    for name, case in cases.items()
}


def prepare(case: Case, desk: Path) -> None:
    """Break what the case breaks."""
    if case.content is not None:
        path = desk / case.file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    if case.change is not None:
        text = (desk / "run.yaml").read_text()
        assert case.change[0] in text
        (desk / "run.yaml").write_text(text.replace(*case.change, 1))


def refused(outcome: Outcome) -> str:
    """Check that the outcome is one clear error, and return it."""
    assert outcome.code == 2, outcome.out + outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    lines = outcome.err.splitlines()
    assert lines[0].startswith("error: ")
    assert all(line.startswith("  ") for line in lines[1:]), "more than one error"
    return outcome.err


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gives_one_error_and_leaves_everything_as_it_was(name, desk):
    """Exit code 2, no traceback, no output, no file."""
    case = CASES[name]
    prepare(case, desk)
    before = tree(desk)
    error = refused(fairlead(*case.args, cwd=desk))
    assert re.search(case.error, error, re.DOTALL), error
    assert tree(desk) == before


@pytest.mark.parametrize("name", CASES)
def test_bad_input_prints_nothing_on_standard_output_for_machines_either(name, desk):
    """A program that asked for JSON gets none, and the same exit code."""
    case = CASES[name]
    prepare(case, desk)
    refused(fairlead(*case.args, "--json", cwd=desk))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize(
    ("file", "args"), [("ACME.csv", ("data", "import", "ACME.csv", "-d", "x", "-b", "1d")), ("run.yaml", RUN)]
)
def test_a_file_that_may_not_be_read_is_an_error(file, args, desk):
    """Permission denied is said as such."""
    before = tree(desk)
    (desk / file).chmod(0)
    try:
        assert "ermission" in refused(fairlead(*args, cwd=desk))
    finally:
        (desk / file).chmod(0o644)
    assert tree(desk) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("args", [("data", "import", "ACME.csv", "-d", "new", "-b", "1d"), RUN])
def test_a_workspace_that_may_not_be_written_is_an_error(args, desk):
    """Permission denied is said as such."""
    before = tree(desk)
    folders = [path for path in (desk / "artifacts").rglob("*") if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert "ermission" in refused(fairlead(*args, cwd=desk))
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert tree(desk) == before


# ------------------------------------------------------------------------------------------------------------------ disk full

WRITES = {
    "import of a new dataset": ("data", "import", "ACME.csv", "-d", "new", "-b", "1d"),
    "import into a dataset": ("data", "import", "more.csv", "-d", "prices", "-b", "1d", "-s", "ACME"),
    "replacement of a dataset": ("data", "import", "more.csv", "-d", "prices", "-b", "1d", "-s", "ACME", "--replace"),
    "synthetic months": ("data", "synth", "toy", "-n", "1", "-b", "1h", "--start", "2024-01-02", "--end", "2024-03-28"),
    "run directory": RUN,
    "run directory with report": (*RUN, "-o", "report.html=true"),
    "report": ("report", "latest"),
    "report over another": ("report", "latest", "-O", "old.html"),
    "starter project": ("init", "project"),
    "new strategy": ("strategy", "new", "dip_buyer"),
}


def filled_after(writes: int) -> Callable[[int], None]:
    """Return an fsync that finds the disk full after some files were flushed; a folder's entry needs no new block."""
    done = 0

    def fsync(descriptor: int) -> None:
        nonlocal done
        done += stat.S_ISREG(os.fstat(descriptor).st_mode)
        if done > writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fsync


@pytest.mark.parametrize("args", WRITES.values(), ids=WRITES)
def test_a_full_disk_is_one_error_and_leaves_everything_as_it_was(args, desk, monkeypatch):
    """Whether the first flush fails or a later one: no half dataset, run, report or project, and the old ones are whole."""
    (desk / "more.csv").write_text(bars_csv(days=(*DAYS, "2024-02-01")))
    (desk / "old.html").write_text("old")
    before = tree(desk)
    for writes in (0, 1, 2, 5, 9):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", filled_after(writes))
            outcome = fairlead(*args, cwd=desk)
        if outcome.code == 0:
            # So few flushes are needed; the disk was not yet full.
            assert writes > 0
            break
        assert "the disk is full. Free some space" in refused(outcome)
        assert tree(desk) == before
        assert not [path for path in desk.rglob(".*") if path.is_dir()]
    assert fairlead(*args, cwd=desk).code == 0 or args[0] in {"init", "strategy"}


def test_a_disk_that_fills_up_while_bars_are_written_leaves_the_dataset_whole(desk, monkeypatch):
    """Not only flushes fail: the Parquet writer meets the full disk too."""
    import pyarrow.parquet as pq

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (desk / "more.csv").write_text(bars_csv(days=(*DAYS, "2024-02-01")))
    before = tree(desk)
    monkeypatch.setattr(pq, "write_table", full)
    error = refused(fairlead("data", "import", "more.csv", "-d", "prices", "-b", "1d", "-s", "ACME", cwd=desk))
    assert "the disk is full" in error
    assert tree(desk) == before
