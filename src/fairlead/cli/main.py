"""The `fairlead` command: verbs, and what an error looks like."""

from __future__ import annotations

import sys

import typer

from fairlead.cli.backtest import backtest
from fairlead.cli.check import app as check
from fairlead.cli.console import fail
from fairlead.cli.data import app as data
from fairlead.cli.demo import demo
from fairlead.cli.doctor import doctor
from fairlead.cli.init import init
from fairlead.cli.report import report
from fairlead.cli.runs import app as runs
from fairlead.cli.strategy import app as strategy
from fairlead.cli.version import version
from fairlead.core.errors import FairleadError

app = typer.Typer(
    name="fairlead",
    help="Research, backtest, paper and live trading on one code path.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demo)
app.command("init")(init)
app.command("backtest")(backtest)
app.command("report")(report)
app.add_typer(data, name="data")
app.add_typer(runs, name="runs")
app.add_typer(strategy, name="strategy")
app.add_typer(check, name="check")
app.command("doctor")(doctor)
app.command("version")(version)


def main() -> None:
    """Run the command line; exit with 0 (ok), 1 (the run failed) or 2 (wrong use or bad input)."""
    try:
        app()
    except FairleadError as exc:
        sys.exit(fail(exc))
    except KeyboardInterrupt:
        sys.exit(130)
