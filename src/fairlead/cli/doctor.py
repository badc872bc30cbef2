"""`fairlead doctor`: tell whether this machine is fit to run."""

from __future__ import annotations

import typer

from fairlead.cli.console import EXIT_RUN_FAILED, JsonFlag, WorkspaceOption, print_json, print_table, workspace_of


def doctor(*, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """Check Python, libraries, calendar, bundled prices and the workspace; say what to do where something is wrong."""
    from fairlead.config.checkup import examine

    findings = examine(workspace_of(workspace))
    if json:
        print_json([{"check": f.check, "ok": f.ok, "found": f.found, "remedy": f.remedy} for f in findings])
    else:
        rows = [("ok" if f.ok else "FAIL", f.check, f.found, f.remedy) for f in findings]
        print_table("", ("", "Check", "Found", "What to do"), rows)
    if not all(f.ok for f in findings):
        raise typer.Exit(EXIT_RUN_FAILED)
