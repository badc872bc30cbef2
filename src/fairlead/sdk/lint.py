"""A lint for strategies: what must not stand in their source, with the line and the remedy.

It reads names, and resolves import aliases, module by module. It is not a sandbox: a determined author gets around it, and
what an imported helper module does is not followed. It catches the honest mistakes that make a backtest unrepeatable or
different from live trading. The bodies of ``if __name__ == "__main__":`` and ``if TYPE_CHECKING:`` never run inside an
engine and are not read.

======  ==================================================================
code    refuses
======  ==================================================================
FL000   source that cannot be parsed
FL001   the wall clock
FL002   sockets, HTTP, databases
FL003   files
FL004   processes and threads
FL005   randomness without the run's seed
FL006   module-level mutable state, ``global``, mutable default arguments
FL007   class-level mutable state on a strategy
FL008   brokers, and parts of Fairlead other than the SDK
FL009   names this lint cannot follow: eval, importlib, star imports
FL010   inputs that no run records: environment, command line
======  ==================================================================
"""

from __future__ import annotations

import ast
import inspect
import os
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.core.errors import ConfigurationError
from fairlead.sdk import lint_rules as rules
from fairlead.sdk.lint_names import Function, Names, is_never_run
from fairlead.sdk.lint_rules import Rule, module_rule_for, rule_for
from fairlead.sdk.lint_state import state_findings
from fairlead.sdk.strategy import Strategy


@dataclass(frozen=True, slots=True, order=True)
class LintFinding:
    """One thing that must not stand in a strategy.

    Parameters
    ----------
    line, column : int
        Where, both from 1.
    code : str
        ``FL000`` to ``FL010``.
    message : str
        What is wrong.
    remedy : str
        What to write instead.
    filename : str
        The file, as it was given.
    """

    line: int
    column: int
    code: str
    message: str
    remedy: str
    filename: str = ""

    def __str__(self) -> str:
        return f"{self.filename}:{self.line}:{self.column}: {self.code} {self.message}. {self.remedy}"


def lint_source(source: str, filename: str = "<strategy>") -> list[LintFinding]:
    """Return what must not stand in `source`, ordered by line.

    Parameters
    ----------
    source : str
        A whole module: imports outside it cannot be resolved.
    filename : str
        Shown in the findings.
    """
    try:
        tree = ast.parse(source, filename)
    except (SyntaxError, ValueError) as exc:  # ValueError: null bytes
        line, column = getattr(exc, "lineno", None) or 1, getattr(exc, "offset", None) or 1
        text = f"the source {rules.SYNTAX.what}: {getattr(exc, 'msg', exc)}"
        return [LintFinding(line, max(column, 1), rules.SYNTAX.code, text, rules.SYNTAX.remedy, filename)]
    names = Names(tree)
    found = {(node.lineno, node.col_offset + 1, rule, name) for node, rule, name in _every_finding(tree, names)}
    return sorted(
        LintFinding(line, column, rule.code, f"{name} {rule.what}", rule.remedy, filename) for line, column, rule, name in found
    )


def lint_strategy(strategy: type[Strategy] | str | os.PathLike[str]) -> list[LintFinding]:
    """Return what must not stand in the file of a strategy class, and in those of the strategies it derives from.

    Parameters
    ----------
    strategy : type or path
        A `Strategy` subclass, or the path of a Python file.

    Raises
    ------
    ConfigurationError
        If the source cannot be read.
    """
    if not isinstance(strategy, type):
        return lint_source(_read(Path(strategy)), str(strategy))
    files: dict[str, None] = {}
    for cls in strategy.__mro__:
        if issubclass(cls, Strategy) and cls is not Strategy:
            try:
                files[inspect.getsourcefile(cls) or ""] = None
            except (TypeError, OSError) as exc:
                raise _no_source(cls.__name__, str(exc)) from exc
    return [finding for file in files for finding in lint_source(_read(Path(file)), file)]


def _read(path: Path) -> str:
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as exc:
        raise _no_source(str(path), str(exc)) from exc


def _no_source(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"the source of {name} cannot be read: {why}. Put the strategy into a file of its own.")


def _every_finding(tree: ast.Module, names: Names) -> list[tuple[ast.expr | ast.stmt, Rule, str]]:
    reading = _Reading(names)
    reading.visit(tree)
    return [*reading.found, *state_findings(tree, names)]


class _Reading(ast.NodeVisitor):
    """Finds what is imported, read and called."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.found: list[tuple[ast.expr | ast.stmt, Rule, str]] = []
        self._reported: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if is_never_run(node):
            self._visit_all(node.orelse)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._imported(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or node.module is None:
            return
        for alias in node.names:
            if alias.name != "*":
                self._imported(node, f"{node.module}.{alias.name}")
            elif not node.module.startswith("fairlead.sdk"):
                self._add(node, rules.HIDDEN, f"from {node.module} import *")

    def visit_Name(self, node: ast.Name) -> None:
        self._read(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self.names.dotted(node) is None:
            self.generic_visit(node)
        else:
            self._read(node)

    def visit_Call(self, node: ast.Call) -> None:
        dotted = self.names.dotted(node.func)
        is_seeded = dotted in rules.SEEDED and _gives_a_value(node)
        if dotted is not None and not is_seeded:
            self._called(node, dotted)
        elif isinstance(node.func, ast.Attribute) and dotted is None:
            self._method_called(node, node.func)
        if not is_seeded:
            self.visit(node.func)
        self._visit_all(node.args)
        self._visit_all(keyword.value for keyword in node.keywords)

    def _called(self, node: ast.Call, dotted: str) -> None:
        first = node.args[0] if node.args else None
        if dotted in rules.NOW_TEXT and isinstance(first, ast.Constant) and first.value in ("now", "today"):
            self._add(node, rules.CLOCK, f"{dotted}({first.value!r})")
        if dotted == "builtin.getattr" and first is not None and len(node.args) > 1:
            owner, attribute = self.names.dotted(first), node.args[1]
            if owner is None or not self.names.is_imported(first):
                return
            if isinstance(attribute, ast.Constant) and isinstance(attribute.value, str):
                self._refuse(node, f"{owner}.{attribute.value}")
            else:
                self._add(node, rules.HIDDEN, f"getattr({owner}, ...)")

    def _method_called(self, node: ast.Call, func: ast.Attribute) -> None:
        if isinstance(func.value, ast.Name) and func.value.id in ("self", "cls"):
            return  # a method of the strategy itself, whose body is read anyway
        rule = rules.METHODS.get(func.attr)
        if func.attr in rules.WRITERS and (node.args or node.keywords):
            rule = rules.FILES
        if func.attr == "rvs" and not any(keyword.arg == "random_state" for keyword in node.keywords):
            rule = rules.RANDOM
        if rule is not None:
            self._add(node, rule, f".{func.attr}()")

    def _imported(self, node: ast.stmt, dotted: str) -> None:
        match = module_rule_for(dotted)
        if match is not None:
            head, rule = match
            self._reported.add(head)
            self._add(node, rule, f"import of {head}")

    def _read(self, node: ast.Name | ast.Attribute) -> None:
        dotted = self.names.dotted(node)
        if dotted is not None and isinstance(node.ctx, ast.Load):
            self._refuse(node, dotted)

    def _refuse(self, node: ast.expr, dotted: str) -> None:
        match = module_rule_for(dotted)
        rule = rule_for(dotted)
        # What was refused at its import is not refused again at each use.
        if rule is not None and (match is None or match[0] not in self._reported):
            self._add(node, rule, dotted.removeprefix("builtin."))

    def _add(self, node: ast.expr | ast.stmt, rule: Rule, name: str) -> None:
        self.found.append((node, rule, name))

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node, node.body, node.decorator_list)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node, node.body, node.decorator_list)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node, [node.body], [])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def _function(self, node: Function, body: Sequence[ast.AST], decorators: Sequence[ast.AST]) -> None:
        # Annotations name types and run nothing: they are left out, here and in `visit_AnnAssign`.
        self._visit_all([*decorators, *node.args.defaults, *filter(None, node.args.kw_defaults)])
        with self.names.inside(node):
            self._visit_all(body)


def _gives_a_value(node: ast.Call) -> bool:
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    return bool(given) and not (isinstance(given[0], ast.Constant) and given[0].value is None)
