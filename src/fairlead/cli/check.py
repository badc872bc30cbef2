"""`fairlead check`: proofs about a configuration."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlead.cli.backtest import ConfigArgument, OverrideOption, ProfileOption, load_session
from fairlead.cli.console import EXIT_RUN_FAILED, JsonFlag, WorkspaceOption, print_json, progress, say

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Prove things about a configuration."""


@app.command("lookahead")
def lookahead(
    config: ConfigArgument,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    workspace: WorkspaceOption = None,
    cuts: Annotated[int, typer.Option("--cuts", help="How many truncated runs.", min=1, max=1000, metavar="N")] = 12,
    json: JsonFlag = False,
) -> None:
    """Run on truncated data and prove that no earlier decision changes; exit 1 if one does.

    Example: fairlead check lookahead configs/environments/backtest.yaml --cuts 24
    """
    from fairlead.core.time import format_utc
    from fairlead.evidence.lookahead import check_lookahead

    session = load_session(config, profile, override, workspace)
    with progress("look-ahead check", cuts, quiet=json) as tell:
        report = check_lookahead(lambda: session.plan("lookahead"), cuts=cuts, progress=tell)
    if json:
        print_json(
            {
                "passed": report.passed,
                "cuts": [format_utc(cut) for cut in report.cuts],
                "orders_compared": report.orders,
                "fills_compared": report.fills,
                "divergences": [str(d) for d in report.divergences],
            }
        )
    elif report.passed:
        say(
            "[green]passed[/] no decision changed when the future was taken away\n"
            f"  {len(report.cuts)} cuts, {report.orders:,} orders and {report.fills:,} fills compared"
        )
        if report.orders == 0:
            say("  [yellow]![/] no order was compared, so this proves little: the strategy traded too late, or not at all.")
    else:
        say(f"[bold red]failed[/] {len(report.divergences)} of {len(report.cuts)} cuts changed the past:")
        for divergence in report.divergences[:10]:
            say("  - {divergence}", divergence=divergence)
        if len(report.divergences) > 10:
            say(f"  ... and {len(report.divergences) - 10} more; --json lists them all")
    if not report.passed:
        raise typer.Exit(EXIT_RUN_FAILED)
