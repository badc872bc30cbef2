"""``${NAME}`` and ``${NAME:-default}``: values from the environment, which is handed in and never read here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from fairlead.config.document import Node, scalar_of
from fairlead.config.problems import ConfigurationProblems, Problem
from fairlead.core.redaction import is_secret

_REFERENCE: Final = re.compile(r"\$(?P<escaped>\$)?\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\})?")


def interpolate(root: Node, environ: Mapping[str, str]) -> Node:
    """Return `root` with every reference replaced.

    As in a shell, ``:-`` also covers a variable that is set and empty. What results is read as a YAML scalar again, so that
    ``${SEED:-42}`` is a number; text in single quotes stays text. ``$${`` stands for a literal ``${``.

    Parameters
    ----------
    root : Node
    environ : mapping of str to str
        The environment variables.

    Raises
    ------
    ConfigurationProblems
        Naming every variable that is not set and has no default, and every malformed reference.
    """
    problems: list[Problem] = []
    result = _walk(root, (), environ, problems)
    if problems:
        raise ConfigurationProblems.of_all(problems)
    return result


def _walk(node: Node, path: tuple[str | int, ...], environ: Mapping[str, str], problems: list[Problem]) -> Node:
    if isinstance(node.value, dict):
        return replace(node, value={k: _walk(child, (*path, k), environ, problems) for k, child in node.value.items()})
    if isinstance(node.value, list):
        return replace(node, value=[_walk(child, (*path, i), environ, problems) for i, child in enumerate(node.value)])
    if not (isinstance(node.value, str) and "${" in node.value):
        return node
    secret = node.is_secret
    used = False

    def insert(match: re.Match[str]) -> str:
        nonlocal secret, used
        if match["escaped"]:
            # "$${NAME}" is consumed whole; only its first dollar goes.
            return match[0][1:]
        used = True
        name, default = match["name"], match["default"]
        where = f"'{'.'.join(map(str, path))}'"
        if name is None:
            rule = f"{where} must refer to the environment as ${{NAME}} or ${{NAME:-default}}. Write $${{ for a literal ${{."
            problems.append(Problem(node.origin, rule))
            return ""
        secret = secret or is_secret((name,))
        value = environ.get(name)
        if value is None and default is None:
            remedy = f"Set {name}, or give a default: ${{{name}:-value}}."
            problems.append(Problem(node.origin, f"{where} needs the environment variable {name}, which is not set. {remedy}"))
        return (value or default) if default is not None else (value or "")

    text = _REFERENCE.sub(insert, node.value)
    # A key that looks like a number is text all the same; one that is empty is none.
    is_text = node.is_literal or not used or (bool(text) and is_secret(path))
    whole = _REFERENCE.fullmatch(node.value)
    # A default that is not empty was written down.
    is_reference = whole is not None and whole["name"] is not None and not (whole["escaped"] or whole["default"])
    return replace(node, value=text if is_text else scalar_of(text), is_secret=secret, is_reference=is_reference)
