"""`fairlead doctor`: tell whether this machine is fit to run."""

from __future__ import annotations

import typer

from fairlead.cli.console import EXIT_RUN_FAILED, JsonFlag, WorkspaceOption, environ, print_json, print_table, say


def doctor(*, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """Check this machine, and say what to do where something is wrong.

    Tries Python, the libraries, the exchange calendar, the bundled prices and the workspace.

    Example: fairlead doctor
    """
    from rich.text import Text

    from fairlead.config.checkup import examine
    from fairlead.contracts.workspace import workspace_folder

    findings = examine(workspace_folder(environ(), workspace))
    wrong = [f for f in findings if not f.ok]
    if json:
        print_json([{"check": f.check, "ok": f.ok, "found": f.found, "remedy": f.remedy} for f in findings])
    else:
        marks = {True: Text("ok", "green"), False: Text("FAIL", "bold red")}
        rows = [(marks[f.ok], f.check, f.found, *([f.remedy] if wrong else [])) for f in findings]
        print_table("", ("", "Check", "Found", *(["What to do"] if wrong else [])), rows)
        if wrong:
            say("\n[bold red]{count} of {all}[/] checks failed.", count=len(wrong), all=len(findings))
        else:
            say("\n[green]All is well.[/] A first run: [bold]fairlead demo[/]")
    if wrong:
        raise typer.Exit(EXIT_RUN_FAILED)
