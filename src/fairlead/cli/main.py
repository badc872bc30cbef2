"""The `fairlead` command: verbs, and what an error looks like."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from fairlead.cli.backtest import backtest
from fairlead.cli.broker import app as broker
from fairlead.cli.check import app as check
from fairlead.cli.compare import compare
from fairlead.cli.console import fail
from fairlead.cli.data import app as data
from fairlead.cli.demo import demo
from fairlead.cli.dev import app as dev
from fairlead.cli.doctor import doctor
from fairlead.cli.factory import app as factory
from fairlead.cli.features import app as features
from fairlead.cli.init import init
from fairlead.cli.journal import app as journal
from fairlead.cli.live import live
from fairlead.cli.logs import logs
from fairlead.cli.orders import app as orders
from fairlead.cli.paper import paper
from fairlead.cli.replay import replay
from fairlead.cli.report import report
from fairlead.cli.runs import app as runs
from fairlead.cli.session import app as session
from fairlead.cli.strategy import app as strategy
from fairlead.cli.sweep import sweep
from fairlead.cli.version import print_version, version
from fairlead.cli.walkforward import walkforward
from fairlead.core.errors import FairleadError, StorageError

app = typer.Typer(
    name="fairlead",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)
_UNWRITABLE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_START, _RUN, _STORE = "Start here", "Run and look", "Data, features and strategies"
app.command("demo", rich_help_panel=_START)(demo)
app.command("init", rich_help_panel=_START)(init)
app.command("doctor", rich_help_panel=_START)(doctor)
app.command("version", rich_help_panel=_START)(version)
app.command("backtest", rich_help_panel=_RUN)(backtest)
app.command("report", rich_help_panel=_RUN)(report)
app.command("paper", rich_help_panel=_RUN)(paper)
app.command("live", rich_help_panel=_RUN)(live)
app.command("replay", rich_help_panel=_RUN)(replay)
app.command("compare", rich_help_panel=_RUN)(compare)
app.command("logs", rich_help_panel=_RUN)(logs)
app.command("walkforward", rich_help_panel=_RUN)(walkforward)
app.command("sweep", rich_help_panel=_RUN)(sweep)
app.add_typer(runs, name="runs", rich_help_panel=_RUN)
app.add_typer(orders, name="orders", rich_help_panel=_RUN)
app.add_typer(factory, name="factory", rich_help_panel=_RUN)
app.add_typer(journal, name="journal", rich_help_panel=_RUN)
app.add_typer(session, name="session", rich_help_panel=_RUN)
app.add_typer(broker, name="broker", rich_help_panel=_RUN)
app.add_typer(check, name="check", rich_help_panel=_RUN)
app.add_typer(data, name="data", rich_help_panel=_STORE)
app.add_typer(features, name="features", rich_help_panel=_STORE)
app.add_typer(strategy, name="strategy", rich_help_panel=_STORE)
app.add_typer(dev, name="dev", rich_help_panel=_STORE)


def _version(asked: bool) -> None:
    if asked:
        print_version()
        raise typer.Exit


@app.callback()
def _fairlead(
    context: typer.Context,
    *,
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", metavar="", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Research, backtest, paper and live trading on one code path.

    New here? Run: fairlead demo
    """
    # So that 'my_features:NAME' is found here, as `python -m` finds it; at the end, to hide nothing that is installed.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
        context.call_on_close(lambda: sys.path.remove(here))


def main() -> None:
    """Run the command line; exit with 0 (ok), 1 (the run failed) or 2 (wrong use or bad input)."""
    try:
        app(prog_name="fairlead")
    except FairleadError as exc:
        sys.exit(fail(exc))
    except OSError as exc:
        # What was printed could not be written: a full disk behind `>`. Files of our own raise a StorageError.
        if exc.errno not in _UNWRITABLE or exc.filename is not None:
            raise
        reason = (exc.strerror or str(exc)).lower()
        sys.exit(fail(StorageError(f"cannot write the output: {reason}. Make room, or send it elsewhere.")))
    except KeyboardInterrupt:
        sys.exit(130)
