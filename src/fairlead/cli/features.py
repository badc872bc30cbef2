"""`fairlead features`: what can be computed, what it is, whether it keeps its contract, and what is kept of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    WorkspaceOption,
    print_json,
    print_table,
    progress,
    say,
    stdout,
    workspace_of,
)
from fairlead.cli.feature_choice import ParamOption, params_by_feature
from fairlead.cli.feature_compute import compute
from fairlead.cli.feature_drift import drift

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from fairlead.features.checks import Check
    from fairlead.features.contract import FeatureCheck
    from fairlead.features.definition import Feature
    from fairlead.features.description import Dependency, Description

_ROOM: Final = 140  # columns of a terminal in which a whole row of the list is readable

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """List, show, compute and check features."""


@app.command("ls")
def ls(
    *,
    family: Annotated[
        str | None, typer.Option("--family", "-f", help="Only one family, such as trend.", metavar="NAME")
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """List the features by family: inputs, outputs, parameters, warm-up, and what the workspace keeps of them.

    Example: fairlead features ls --family momentum
    """
    from rich.text import Text

    from fairlead.features.description import describe, features_by_family

    groups = {name: [describe(feature.name) for feature in members] for name, members in features_by_family(family).items()}
    others, broken = _third_parties() if family is None else ([], {})
    kept = _kept(workspace_of(workspace))
    if json:
        found = [_listed(d, kept) for members in (*groups.values(), others) for d in members]
        print_json([*found, *({"name": name, "error": error} for name, error in broken.items())])
        return
    # In a narrow terminal the text matters more; `show` has the rest.
    wide = stdout().width >= _ROOM
    columns = ["Feature", *(["Inputs", "Outputs"] if wide else []), "Warm-up", "What it is, and its parameters"]
    columns += ["Kept"] if kept else []
    rows: list[Sequence[object]] = []
    if others or broken:
        groups["third parties"] = others
    for name, members in groups.items():
        rows.append((Text(name.replace("_", " "), "bold cyan"), *[""] * (len(columns) - 1)))
        rows += [_row(d, len(kept.get(d.name, ())) if kept else None, wide=wide) for d in members]
    rows += [
        (Text(f"  {name}", "bold"), *[""] * (3 if wide else 1), Text(error, "red"), *([""] if kept else []))
        for name, error in broken.items()
    ]
    print_table("", columns, rows, right=("Warm-up", "Kept"), whole=("Feature",))


@app.command("show")
def show(
    name: Annotated[
        str, typer.Argument(help="A name of the list, or package.module:NAME.", metavar="NAME", show_default=False)
    ],
    *,
    param: ParamOption = None,
    json: JsonFlag = False,
) -> None:
    """Show one feature: formula, parameters, outputs, what it depends on, and its code.

    Example: fairlead features show macd --param n_fast=8
    """
    from fairlead.features.description import describe

    found = describe(name, params_by_feature([name], param)[name])
    if json:
        print_json(found.to_dict())
        return
    _print_description(found)


@app.command("check")
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names, or package.module:NAME. Default: those of installed packages.", metavar="NAME..."),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Check every feature that is known.", metavar="")] = False,
    param: ParamOption = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Try whether features keep their contract: live equals history, no look-ahead, warm-up, range, units, gaps, version.

    Exit 1 if one does not.

    Example: fairlead features check my_features:range_share
    """
    from fairlead.features.contract import check_feature
    from fairlead.features.registry import find_feature

    chosen = _chosen(names or [], every=every)
    params = params_by_feature(chosen, param)
    folder = workspace_of(workspace) / "features"
    reports: dict[str, FeatureCheck] = {}
    with progress("check", len(chosen), quiet=json) as tell:
        for done, name in enumerate(chosen, 1):
            report = check_feature(name, params[name])
            version = _version_check(find_feature(name), folder)
            reports[name] = replace(report, checks=(*report.checks, version))
            tell(done)
    failed = [name for name, report in reports.items() if not report.passed]
    if json:
        print_json({"passed": not failed, "features": [report.to_dict() for report in reports.values()]})
    else:
        _print_checks(reports)
    if failed:
        raise typer.Exit(EXIT_RUN_FAILED)


@app.command("invalidate")
def invalidate(
    name: Annotated[
        str | None, typer.Argument(help="Name of a feature. Default: all.", metavar="NAME", show_default=False)
    ] = None,
    *,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Forget what the workspace keeps of a feature, or of all, and which kernels their versions had.

    Nothing is lost but time: what is forgotten is computed again.

    Example: fairlead features invalidate rsi
    """
    from fairlead.core.errors import UnknownName
    from fairlead.features.locking import LOCK_FILE
    from fairlead.features.registry import find_feature, known_features
    from fairlead.features.store import forget

    folder = workspace_of(workspace) / "features"
    # Values are kept under the name that the declaration gives.
    own = find_feature(name).name if name is not None and ":" in name else name
    if own is not None:
        known = {*known_features(), *_kept(folder.parent)}
        lock = folder / LOCK_FILE
        if own not in known and not (lock.is_file() and f'"{own}"' in lock.read_text(encoding="utf-8", errors="replace")):
            raise UnknownName.among("feature", own, known)
    removed = forget(folder, own)
    if json:
        print_json({"feature": own, "removed": removed})
    else:
        say(
            f"[green]ok[/] {removed} kept {'table' if removed == 1 else 'tables'} of {{what}} removed",
            what=own or "all features",
        )


app.command("compute")(compute)
app.command("drift")(drift)


def _third_parties() -> tuple[list[Description], dict[str, str]]:
    from fairlead.core.errors import FairleadError
    from fairlead.features.description import describe
    from fairlead.features.registry import known_features, shipped_features

    found, broken = [], {}
    for name in known_features():
        if name not in shipped_features():
            try:
                found.append(describe(name))
            except FairleadError as exc:
                broken[name] = str(exc)
    return found, broken


def _kept(workspace: Path) -> dict[str, list[dict[str, Any]]]:
    from fairlead.features.caching import FeatureCache

    found: dict[str, list[dict[str, Any]]] = {}
    for entry in FeatureCache(workspace / "features").kept():
        m = entry.manifest
        found.setdefault(m.feature, []).append(
            {
                "dataset": m.dataset,
                "bar_size": m.bar_size.value,
                "params": m.params,
                "symbols": list(m.symbols),
                "rows": m.rows,
                "bytes": entry.size,
                "folder": str(entry.folder),
            }
        )
    return found


def _listed(d: Description, kept: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    entry = d.to_dict()
    for long in ("source", "tree", "helpers"):
        del entry[long]
    return {**entry, "summary": d.summary, "kept": kept.get(d.name, [])}


def _row(d: Description, kept: int | None, *, wide: bool) -> Sequence[object]:
    from rich.text import Text

    given = "  ".join(f"{p.name}={p.default}" for p in d.parameters)
    what = Text.assemble(d.summary, "\n" if given else "", (given, "dim"))
    outputs = "" if len(d.outputs) == 1 else ", ".join(output.name for output in d.outputs)
    row = [Text(f"  {d.name}", "bold"), *([", ".join(d.inputs), outputs] if wide else []), d.warm_up, what]
    return row if kept is None else [*row, kept or ""]


def _print_description(d: Description) -> None:
    from rich.syntax import Syntax

    where = f"{d.family} family, ships with Fairlead" if d.ships else f"module {d.family}"
    say("[bold]{name}[/] [dim]version {version}, {where}[/]", name=d.name, version=d.version, where=where)
    say("{doc}\n", doc=d.doc)
    facts = {
        "formula": d.formula or "none given",
        "reference": d.reference or "none given",
        "identity": d.identity,
        "warm-up": f"{d.warm_up} bars without a value before the first one",
        "kept": {"memory": "while a store lives", "disk": "in the workspace", "never": "never"}[d.caching],
        "runs": f"{'as machine code' if d.compiled else 'as plain Python'}"
        f"{', on all symbols of an instant' if d.cross_section else ', on each symbol by itself'}",
    }
    print_table("", ("What", "Value"), facts.items(), whole=("What",))
    say()
    if d.parameters:
        rows = [(p.name, p.value, p.default, p.allowed, p.doc) for p in d.parameters]
        print_table("Parameters", ("Name", "Value", "Default", "Range", "Meaning"), rows, right=("Value", "Default"))
        say()
    print_table("Outputs", ("Name", "Range", "Unit"), [(o.name, o.range or "any", o.unit) for o in d.outputs])
    say("\n[bold]Depends on[/]")
    console = stdout()
    console.print(_tree(d.tree))
    say("\n[bold]Kernel[/]{helpers}", helpers=f" (with {', '.join(d.helpers)} of its file)" if d.helpers else "")
    if console.is_terminal:
        console.print(Syntax(d.source, "python", theme="ansi_dark", background_color="default"))
    else:
        sys.stdout.write(d.source)


def _tree(root: Dependency) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    def grow(branch: Tree, inputs: tuple[Dependency, ...]) -> None:
        for item in inputs:
            grow(branch.add(Text(item.label, "" if item.inputs else "cyan"), guide_style="dim"), item.inputs)

    tree = Tree(Text(root.label, "bold"), guide_style="dim")
    grow(tree, root.inputs)
    return tree


def _chosen(names: list[str], *, every: bool) -> list[str]:
    from fairlead.core.errors import ConfigurationError
    from fairlead.features.registry import find_feature, known_features, shipped_features

    if every and names:
        raise ConfigurationError("give names or --all, not both.")
    chosen = list(dict.fromkeys(names)) or [n for n in known_features() if every or n not in shipped_features()]
    if not chosen:
        raise ConfigurationError(
            "no installed package brings a feature. Name one, such as my_features:NAME, or check all: --all."
        )
    for name in chosen:
        find_feature(name)
    return chosen


def _version_check(feature: Feature, folder: Path) -> Check:
    from fairlead.core.errors import ContractError
    from fairlead.features.checks import Check
    from fairlead.features.locking import KernelLock
    from fairlead.features.registry import shipped_features
    from fairlead.features.versions import check_versions, read_lock

    try:
        if any(shipped is feature for shipped in shipped_features().values()):
            check_versions([feature], read_lock())
        KernelLock(folder).check([feature])
    except ContractError as exc:
        return Check("version", False, str(exc))
    return Check("version", True, f"version {feature.version} has the kernel that it had before")


def _print_checks(reports: Mapping[str, FeatureCheck]) -> None:
    if len(reports) == 1:
        report = next(iter(reports.values()))
        rows = [(_mark(c.passed), c.name, c.detail) for c in report.checks]
        print_table(report.feature, ("", "Check", "What was seen"), rows, whole=("Check",))
    else:
        lines = [
            (_mark(r.passed), name, f"{sum(c.passed for c in r.checks)} of {len(r.checks)}", "\n".join(_faults(r)))
            for name, r in reports.items()
        ]
        print_table("", ("", "Feature", "Passed", "What failed"), lines, right=("Passed",), whole=("Feature",))
    failed = sum(not report.passed for report in reports.values())
    say()
    if failed:
        say("[bold red]failed[/] {failed} of {all} features break their contract.", failed=failed, all=len(reports))
    else:
        say(
            "[green]passed[/] {all}",
            all="the feature keeps its contract." if len(reports) == 1 else f"{len(reports)} features keep their contract.",
        )


def _faults(report: FeatureCheck) -> Iterator[str]:
    for check in report.failures:
        yield f"{check.name}: {check.detail}"


def _mark(passed: bool) -> Text:
    from rich.text import Text

    return Text("ok", "green") if passed else Text("FAIL", "bold red")
