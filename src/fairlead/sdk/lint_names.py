"""What a name in a strategy's source stands for: import aliases, builtins, and what shadows them."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def is_never_run(node: ast.If) -> bool:
    """Return whether the body runs neither in an engine nor on import by one."""
    test = node.test
    if isinstance(test, ast.Compare):
        return isinstance(test.left, ast.Name) and test.left.id == "__name__" and isinstance(test.ops[0], ast.Eq)
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def walk_run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below `node`, without the bodies that never run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_never_run(child):
            for other in child.orelse:
                yield other
                yield from walk_run(other)
        else:
            yield child
            yield from walk_run(child)


class Names:
    """Resolves names of one module to dotted paths.

    Parameters
    ----------
    tree : ast.Module
    """

    def __init__(self, tree: ast.Module) -> None:
        self.aliases: dict[str, str] = {}
        for node in walk_run(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    root = alias.name.split(".")[0]
                    self.aliases[alias.asname or root] = alias.name if alias.asname else root
            elif isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                for alias in node.names:
                    self.aliases[alias.asname or alias.name] = f"{module}.{alias.name}"
        self.module_names = set(_bound_by(tree.body))
        self._shadows: list[set[str]] = []

    @contextmanager
    def inside(self, function: Function) -> Iterator[None]:
        """Let the parameters and local variables of `function` shadow outer names."""
        args = function.args
        given = [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]
        body = [function.body] if isinstance(function, ast.Lambda) else function.body
        outer = {name for n in _walk(body) if isinstance(n, (ast.Global, ast.Nonlocal)) for name in n.names}
        self._shadows.append({a.arg for a in given} | (set(_bound_by(body)) - outer))
        try:
            yield
        finally:
            self._shadows.pop()

    def is_local(self, name: str) -> bool:
        """Return whether a parameter or local variable hides the module's `name` here."""
        return any(name in shadow for shadow in self._shadows)

    def is_module_name(self, name: str) -> bool:
        """Return whether `name` means something that this module assigns or defines."""
        return name in self.module_names and name not in self.aliases and not self.is_local(name)

    def is_imported(self, node: ast.AST) -> bool:
        """Return whether the root of a name or attribute chain is an import."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.aliases and not self.is_local(node.id)

    def dotted(self, node: ast.AST) -> str | None:
        """Return the dotted path that a name or attribute chain stands for; None if it is no import and no builtin."""
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return None if owner is None else f"{owner}.{node.attr}"
        if not isinstance(node, ast.Name) or self.is_local(node.id):
            return None
        if node.id in self.aliases:
            return self.aliases[node.id]
        if node.id in self.module_names or not hasattr(builtins, node.id):
            return None
        return f"builtin.{node.id}"


def _walk(body: list[ast.stmt] | list[ast.expr]) -> Iterator[ast.AST]:
    for node in body:
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _walk(list(ast.iter_child_nodes(node)))  # type: ignore[arg-type]  # any node is walked alike


def _bound_by(body: list[ast.stmt] | list[ast.expr]) -> Iterator[str]:
    for node in _walk(body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
