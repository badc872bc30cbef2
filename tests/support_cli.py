"""The command line as a test meets it: called in this process, with what it prints and leaves behind."""

import contextlib
import hashlib
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fairlead.cli.main import main

STRATEGY = '''\
"""Buys at the first bar, and does what a test asks for at the fourth."""

from fairlead.sdk import Context, OrderIntent, Strategy, parameter


class Buyer(Strategy):
    """Buy some shares once."""

    symbol: str = parameter("ACME", doc="What to trade.")
    shares: int = parameter(10, ge=1, le=1000, doc="How many.")

    def required_symbols(self) -> tuple[str, ...]:
        return (self.symbol,)

    def on_start(self, context: Context) -> None:
        self.bars = 0

    def generate_orders(self, context: Context) -> list[OrderIntent]:
        self.bars += 1
        if self.bars == 4:
            {fourth}
        return [OrderIntent.market(self.symbol, self.shares)] if self.bars == 1 else []
'''
CONFIG = """\
mode: backtest
name: {name}
data:
  type: historical
  source: csv
  path: ACME.csv
  bar_size: 1d
execution: {{type: simulated}}
strategies:
  - name: buyer
    strategy: buyer.py
    capital: 10_000
    params: {{shares: 10}}
report: {{html: false, plots: false}}
profiles:
  bold:
    strategies: [{{name: buyer, params: {{shares: 20}}}}]
"""
DAYS = ("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11")
OURS = ("FAIRLEAD", "COLUMNS", "FORCE_COLOR", "NO_COLOR")
HEADER = "timestamp,open,high,low,close,volume"


@dataclass(frozen=True)
class Outcome:
    """How one call ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed, as JSON: fails if anything else is printed too."""
        return json.loads(self.out)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def fairlead(*args: object, cwd: Path, err: io.StringIO | None = None, **environ: str) -> Outcome:
    """Call `fairlead ARGS` in the folder `cwd`."""
    out, err = io.StringIO(), err or io.StringIO()
    argv = ["fairlead", *map(str, args)]
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        # In place: the terminal library has kept the mapping itself.
        for name in [name for name in os.environ if name.startswith(OURS)]:
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", argv)
        try:
            main()
            code = 0
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    return Outcome(code, out.getvalue(), err.getvalue())


def bars_csv(*, days: tuple[str, ...] = DAYS, header: str = HEADER) -> str:
    """Daily bars of a stock that rises by one a day."""
    rows = [f"{day},{100 + i},{102 + i},{99 + i},{101 + i},{100_000}" for i, day in enumerate(days)]
    return "\n".join([header, *rows]) + "\n"


def write_desk(folder: Path, *, name: str = "Eight days", fourth: str = "pass") -> Path:
    """Write prices, a strategy and a configuration that runs in a blink; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ACME.csv").write_text(bars_csv())
    (folder / "buyer.py").write_text(STRATEGY.format(fourth=fourth))
    (folder / "run.yaml").write_text(CONFIG.format(name=name))
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Every file below `folder`, hidden ones too, with the hash of its content."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
