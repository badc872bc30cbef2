"""``-o a.b=c``: one value set from the command line, over the file and its profile."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from fairlead.config.document import Node, parse_yaml
from fairlead.config.problems import ConfigurationProblems, Origin
from fairlead.config.redaction import shown
from fairlead.core.errors import UnknownName
from fairlead.core.redaction import REDACTED, is_secret

# A part may be quoted, because a symbol may hold a dot: instruments."BRK.B".tick_size=0.01
_PART: Final = re.compile(r"\"([^\"]+)\"|'([^']+)'|([^.=\"']+)")


@dataclass(frozen=True, slots=True)
class Override:
    """A path into the document, and the value to put there.

    Parameters
    ----------
    path : tuple of str
        Keys from the root; an item of a list is named by its index or by the value of its key ``name``.
    value : Node
        The new value; a mapping replaces what stood there, it is not merged.
    """

    path: tuple[str, ...]
    value: Node

    @classmethod
    def parse(cls, text: str, ordinal: int = 0) -> Self:
        """Return the override that ``a.b=value`` stands for; the value is YAML.

        Raises
        ------
        ConfigurationProblems
            If there is no path, no ``=``, or the value is not YAML.
        """
        path, rest = _split(text)
        if path is None:
            # Without a path nobody can tell which part of the text is the secret.
            problem = "an override must have the form path.to.key=value, e.g. -o clock.speed=max."
            raise ConfigurationProblems.of_one(
                Origin(1, ordinal, "override -o" if is_secret((text,)) else f"override -o {text}"), problem
            )
        label = f"{text[: len(text) - len(rest)]}{REDACTED}" if is_secret(path) else text
        origin = Origin(1, ordinal, f"override -o {label}")
        return cls(path, parse_yaml(rest, lambda _line: origin))


def apply_overrides(root: Node, texts: Sequence[str]) -> Node:
    """Return `root` with every override of `texts` applied in turn; the last of two for one path wins.

    Raises
    ------
    ConfigurationProblems
        Naming every override that is malformed or leads into nothing.
    """
    failed: list[str] = []
    for ordinal, text in enumerate(texts):
        try:
            override = Override.parse(text, ordinal)
            root = _put(root, override.path, (), override.value)
        except ConfigurationProblems as exc:
            failed.extend(exc.problems)
    if failed:
        raise ConfigurationProblems(failed)
    return root


def _split(text: str) -> tuple[tuple[str, ...] | None, str]:
    path: list[str] = []
    at = 0
    while match := _PART.match(text, at):
        path.append((match[1] or match[2] or match[3]).strip())
        at = match.end()
        if text[at : at + 1] == "=":
            return (tuple(path) if all(path) else None), text[at + 1 :]
        if text[at : at + 1] != ".":
            break
        at += 1
    return None, text


def _put(node: Node, path: tuple[str, ...], above: tuple[str, ...], value: Node) -> Node:
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(node.value, list):
        index = _index(node.value, key, above, value.origin)
        items = list(node.value)
        items[index] = _put(items[index], rest, (*above, key), value)
        return replace(node, value=items)
    if node.value is not None and not isinstance(node.value, dict):
        problem = (
            f"'{'.'.join(above)}' must be a mapping or a list to hold '{key}', was {shown(node, above)} at {node.origin.place}."
        )
        raise ConfigurationProblems.of_one(value.origin, problem)
    child = node.mapping.get(key, Node(None, value.origin))
    return replace(node, value={**node.mapping, key: _put(child, rest, (*above, key), value)})


def _index(items: list[Node], key: str, above: tuple[str, ...], origin: Origin) -> int:
    names = [str(item.mapping["name"].value) if "name" in item.mapping else None for item in items]
    if key in names:
        return names.index(key)
    if key.isdecimal() and int(key) < len(items):
        return int(key)
    where = ".".join(above)
    if key.isdecimal():
        problem = f"'{where}' must have an item {key}, was a list of {len(items)}. Items count from 0."
        raise ConfigurationProblems.of_one(origin, problem)
    unknown = UnknownName.among(f"item of '{where}'", key, [name for name in names if name is not None])
    raise ConfigurationProblems.of_one(origin, f"{unknown} Or give its index, from 0.") from unknown
