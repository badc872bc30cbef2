"""The lint's rules on state: nothing may outlive or be shared by a strategy's instances (FL006, FL007)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fairlead.sdk.lint_names import Function, Names, is_never_run
from fairlead.sdk.lint_rules import CLASS_STATE, MODULE_STATE, MUTABLE_CALLS, MUTATORS, Rule

_DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def state_findings(tree: ast.Module, names: Names) -> list[tuple[ast.expr | ast.stmt, Rule, str]]:
    """Return where `tree` keeps state outside of instances: the place, the rule, and what to call it."""
    state = _StateRules(tree, names)
    state.visit(tree)
    return list(state.findings())


class _StateRules(ast.NodeVisitor):
    """Finds mutable state of modules and strategy classes, and whatever changes it."""

    def __init__(self, tree: ast.Module, names: Names) -> None:
        self.names = names
        self._found: list[tuple[ast.expr | ast.stmt, Rule, str]] = []
        self._mutables: dict[str, ast.stmt] = {}
        self._changed: dict[str, ast.expr | ast.stmt] = {}
        self._class_mutables: dict[str, ast.stmt] = {}
        self._class_changed: dict[str, int] = {}
        self._strategies = _strategy_classes(tree, names)
        self._collect_module(tree.body)
        for cls in self._strategies.values():
            self._class_mutables.update((name, node) for name, node in self._assigned(cls.body))

    def findings(self) -> Iterator[tuple[ast.expr | ast.stmt, Rule, str]]:
        yield from self._found
        for name, node in self._mutables.items():
            if name in self._changed:
                yield node, MODULE_STATE, f"module-level '{name}', changed in line {self._changed[name].lineno},"
            elif not name.isupper():
                yield node, MODULE_STATE, f"module-level mutable '{name}'"
        for name, change in self._changed.items():
            if name not in self._mutables:
                yield change, MODULE_STATE, f"module-level '{name}', changed here,"
        for name, node in self._class_mutables.items():
            if name in self._class_changed:
                yield node, CLASS_STATE, f"class-level '{name}', changed in line {self._class_changed[name]},"
            elif not name.isupper():
                yield node, CLASS_STATE, f"class-level mutable '{name}'"

    def visit_If(self, node: ast.If) -> None:
        for child in node.orelse if is_never_run(node) else [node.test, *node.body, *node.orelse]:
            self.visit(child)

    def visit_Global(self, node: ast.Global) -> None:
        self._found.append((node, MODULE_STATE, f"global {', '.join(node.names)}"))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node.value, node)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name) and node.target.id in self._mutables:
            self._change(node.target, node)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            if self._is_class(node.value):
                self._found.append((node, CLASS_STATE, f"class attribute '{node.attr}', written here,"))
            else:
                self._change(node.value, node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr in MUTATORS and not self.names.is_imported(func.value):
            self._change(func.value, node)
        self.generic_visit(node)

    def _function(self, node: Function) -> None:
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            if self._is_mutable(default):
                self._found.append((default, MODULE_STATE, "mutable default argument"))
        with self.names.inside(node):
            self.generic_visit(node)

    def _change(self, target: ast.expr, where: ast.expr | ast.stmt) -> None:
        if isinstance(target, ast.Name):
            is_import = self.names.is_imported(target)
            if (is_import or self.names.is_module_name(target.id)) and target.id not in self._strategies:
                self._changed.setdefault(target.id, where)
        elif isinstance(target, ast.Attribute) and (self._is_class(target.value) or _is_self(target.value)):
            self._class_changed.setdefault(target.attr, where.lineno)
        elif isinstance(target, ast.Attribute) and self.names.is_imported(target):
            self._changed.setdefault(ast.unparse(target), where)

    def _is_class(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return (node.id == "cls" and self.names.is_local("cls")) or (
                node.id in self._strategies and not self.names.is_local(node.id)
            )
        if isinstance(node, ast.Attribute):
            return node.attr == "__class__"
        return isinstance(node, ast.Call) and self.names.dotted(node.func) == "builtin.type" and len(node.args) == 1

    def _is_mutable(self, value: ast.expr | None) -> bool:
        if isinstance(value, ast.Call):
            return self.names.dotted(value.func) in MUTABLE_CALLS
        return isinstance(value, _DISPLAYS)

    def _assigned(self, body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
        for node in body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            if targets and self._is_mutable(node.value):  # type: ignore[attr-defined]  # only assignments have targets
                for target in targets:
                    if isinstance(target, ast.Name) and not (target.id.startswith("__") and target.id.endswith("__")):
                        yield target.id, node

    def _collect_module(self, body: list[ast.stmt]) -> None:
        self._mutables.update(self._assigned(body))
        for node in body:
            if isinstance(node, ast.If):
                self._collect_module(node.orelse if is_never_run(node) else [*node.body, *node.orelse])
            elif isinstance(node, (ast.Try, ast.With, ast.For, ast.While)):
                handlers = [line for handler in getattr(node, "handlers", []) for line in handler.body]
                self._collect_module([*node.body, *handlers, *getattr(node, "orelse", [])])


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _strategy_classes(tree: ast.Module, names: Names) -> dict[str, ast.ClassDef]:
    found: dict[str, ast.ClassDef] = {}
    for node in ast.walk(tree):  # in file order at module level, where bases stand before what derives from them
        if isinstance(node, ast.ClassDef) and any(_is_strategy(base, names, found) for base in node.bases):
            found[node.name] = node
    return found


def _is_strategy(base: ast.expr, names: Names, known: dict[str, ast.ClassDef]) -> bool:
    dotted = names.dotted(base) or (base.id if isinstance(base, ast.Name) else "")
    return dotted.endswith("Strategy") or dotted.startswith("fairlead.strategies.") or dotted in known
