"""Validation errors of pydantic, translated into problems at the lines that caused them."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, get_origin

from pydantic import BaseModel, ValidationError

from fairlead.config.document import KeyPath, Node
from fairlead.config.problems import Origin, Problem
from fairlead.config.redaction import shown
from fairlead.config.rules import did_you_mean, rule_of
from fairlead.config.shape import Place, place_of
from fairlead.contracts.settings import Settings
from fairlead.core.redaction import REDACTED, is_secret

# The text that `FairleadError.of` writes; its name is relative to the settings class that raised it.
_NAMED: Final = re.compile(r"'(?P<name>[^']+)' must (?P<rule>.+)", re.DOTALL)


def problems_of(
    error: ValidationError,
    model: type[BaseModel] | None,
    root: Node,
    above: KeyPath = (),
    known: Container[KeyPath] = (),
) -> list[Problem]:
    """Return every mistake that `error` reports, with its line.

    Parameters
    ----------
    error : ValidationError
    model : class or None
        What was validated, for field names and ranges; None if it is not known.
    root : Node
        The document that was validated.
    above : tuple of str or int
        Where in `root` the validated part stands.
    known : container of paths
        Places whose mistake is reported already.
    """
    found: dict[tuple[KeyPath, str], list[_Finding]] = {}
    problems: list[Problem] = []
    for item in error.errors(include_url=False):
        place = place_of(model, item["loc"])
        path = _written(root, (*above, *place.path), str(item["type"]))
        if item["type"] in ("value_error", "assertion_error"):
            problems.extend(_of_exception(item["ctx"]["error"], path, root, place.keys))
        elif path not in known and not (item["type"] == "too_short" and _counts_only_valid_items(item, node_at(root, path))):
            finding = _Finding(path, dict(item), place, place_of(model, item["loc"][:-1]).keys, root)
            found.setdefault((path, finding.value), []).append(finding)
    problems.extend(_joined(findings) for findings in found.values())
    return problems


def switches_for_numbers(model: type[BaseModel], root: Node) -> dict[KeyPath, Problem]:
    """Return a problem for every ``true`` or ``false`` that stands where only a number may, by its path.

    pydantic reads ``max_leverage: true`` as 1.0: a boolean is a number to Python, and never to a reader.
    """
    problems = {}
    for path, node in _leaves(root, ()):
        if not isinstance(node.value, bool):
            continue
        options = place_of(model, path, has_tags=False).options
        takes_switch = any(option in (bool, Any) or get_origin(option) is Literal for option in options)
        if not takes_switch and any(option in (int, float) for option in options):
            problems[path] = Problem(node.origin, f"'{dotted(path)}' must be a number, was {shown(node, path)}.")
    return problems


def named_problem(root: Node, path: KeyPath, text: str, fields: Collection[str] = ()) -> Problem:
    """Return the problem that the error text `text`, raised about the value at `path`, describes.

    A text of the form ``'name' must ...`` is about the child `name` of `path` if there is one, or if `name` is one of `fields`,
    the keys that may stand there; otherwise it is about `path` itself.
    """
    match = _NAMED.fullmatch(text)
    if match is None:
        first = text.partition(" ")[0]
        path = (*path, first) if first in fields else path
        return Problem(origin_of(root, path), f"'{dotted(path)}': {text}" if path else text)
    child = (*path, *_parts(match["name"]))
    if node_at(root, child) is None and match["name"].partition(".")[0] not in fields:
        child = path
    rule = match["rule"]
    if is_secret(child) or _holds_secret(root, child):
        rule = re.sub(r", was .*", f", was {REDACTED}.", rule, flags=re.DOTALL)
    return Problem(origin_of(root, child), f"'{dotted(child)}' must {rule}")


def node_at(root: Node, path: KeyPath) -> Node | None:
    """Return the node at `path`, or None."""
    node: Node | None = root
    for part in path:
        node = node.child(part) if node is not None else None
    return node


def origin_of(root: Node, path: KeyPath) -> Origin:
    """Return the origin of `path`, or of the nearest node above it that was written down."""
    node = root
    for part in path:
        child = node.child(part)
        if child is None:
            break
        node = child
    return node.origin


def dotted(path: KeyPath) -> str:
    """Return ``a.0.b``, the form that overrides take too."""
    return ".".join(f'"{part}"' if isinstance(part, str) and "." in part else str(part) for part in path)


class _Finding:
    def __init__(self, path: KeyPath, item: dict[str, Any], place: Place, siblings: tuple[str, ...], root: Node) -> None:
        self.path = path
        self.origin = origin_of(root, path)
        self.value = shown(node_at(root, path), path)
        if item["type"] == "extra_forbidden":
            self.rule, self.value = "be a known key", "unknown"
            guess = did_you_mean(str(path[-1]), siblings)
            self.remedy = " ".join(part for part in (guess, f"Known: {', '.join(siblings)}." if siblings else "") if part)
            return
        self.rule, self.remedy = rule_of(item, place.field)
        if item["type"] == "missing" and place.field is not None and place.field.description:
            self.remedy = place.field.description


def _joined(findings: list[_Finding]) -> Problem:
    # A union reports each of its members; the reader needs the alternatives in one sentence.
    first = findings[0]
    rules = list(dict.fromkeys(finding.rule for finding in findings))
    rule = rules[0] + "".join(f" or {other.removeprefix('be ')}" for other in rules[1:])
    remedy = next((finding.remedy for finding in findings if finding.remedy), "")
    text = f"'{dotted(first.path)}' must {rule}, was {first.value}."
    return Problem(first.origin, f"{text} {remedy}".rstrip())


def _counts_only_valid_items(item: Mapping[str, Any], node: Node | None) -> bool:
    # pydantic leaves out the items that it refused before it counts; they are reported on their own.
    return node is not None and len(node.items) >= int(item["ctx"]["min_length"])


def _of_exception(exc: Exception, path: KeyPath, root: Node, fields: Collection[str]) -> Iterator[Problem]:
    # A part with settings of its own (a slippage model) reports what its settings class found: go to those lines.
    if isinstance(exc.__cause__, ValidationError):
        yield from problems_of(exc.__cause__, _settings_named(exc.__cause__.title), root, path)
    else:
        yield named_problem(root, path, str(exc), fields)


def _settings_named(title: str) -> type[BaseModel] | None:
    # The error knows only the name of the class; a name that two classes share answers nothing.
    pending, named = [Settings], []
    while pending:
        cls = pending.pop()
        pending.extend(cls.__subclasses__())
        if cls.__name__ == title:
            named.append(cls)
    return named[0] if len(named) == 1 else None


def _written(root: Node, path: KeyPath, kind: str) -> KeyPath:
    """Return the part of `path` that the document has: what remains names the member of a plain union, or a key's own check."""
    node: Node | None = root
    parts: list[str | int] = []
    for part in path:
        node = node.child(part) if node is not None else None
        if node is None:
            break
        parts.append(part)
    if kind in ("missing", "extra_forbidden") and len(parts) == len(path) - 1:
        parts.append(path[-1])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        parts.append("type")
    return tuple(parts)


def _leaves(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, Node]]:
    children: Iterable[tuple[str | int, Node]] = node.mapping.items() if node.mapping else enumerate(node.items)
    for key, child in children:
        yield from _leaves(child, (*path, key))
    if not isinstance(node.value, (dict, list)):
        yield path, node


def _parts(name: str) -> KeyPath:
    return tuple(int(part) if part.isdecimal() else part for part in name.split("."))


def _holds_secret(root: Node, path: KeyPath) -> bool:
    node = node_at(root, path)
    return node is not None and node.is_secret
