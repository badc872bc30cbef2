"""A configuration file as a tree of values, each of which knows the line it came from.

Scalars follow the YAML 1.2 core schema. Under YAML 1.1 the symbol ``ON`` would be a boolean, ``0700`` an octal number and
``9:30`` a count of seconds; here they are text, as their author meant. Dates stay text until a settings class asks for a date.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from fairlead.config.problems import ConfigurationProblems, Origin

Scalar = str | int | float | bool | None
KeyPath = tuple[str | int, ...]

_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = "plain"
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE: Final = r"(?:0|[1-9][0-9]*(?:_[0-9]+)*)"
_INT: Final = re.compile(rf"[-+]?{_WHOLE}")
_BASED: Final = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT: Final = re.compile(rf"[-+]?(?:{_WHOLE}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
# Aliases of aliases can name 10^9 values in ten lines; no honest configuration comes near this.
_LARGEST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a document.

    Parameters
    ----------
    value : scalar, dict of str to Node, or list of Node
        What stands there.
    origin : Origin
        The line of its key, or of the item in a list.
    is_literal : bool
        Whether it was written in single quotes or as ``!!str``: text that stays text whatever is inserted into it.
    is_secret : bool
        Whether it holds the value of an environment variable whose name says that it is secret.
    is_reference : bool
        Whether all of it is the value of an environment variable: nothing of it was written down.
    """

    value: Scalar | dict[str, Node] | list[Node]
    origin: Origin
    is_literal: bool = False
    is_secret: bool = False
    is_reference: bool = False

    @property
    def mapping(self) -> dict[str, Node]:
        """The entries if this is a mapping, else none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The items if this is a list, else none."""
        return self.value if isinstance(self.value, list) else []

    def child(self, key: str | int) -> Node | None:
        """Return the entry or item under `key`, or None."""
        if isinstance(key, int):
            return self.items[key] if 0 <= key < len(self.items) else None
        return self.mapping.get(key)

    def plain(self) -> object:
        """Return the value as ordinary dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_document(path: Path) -> Node:
    """Return the tree of the YAML or JSON file at `path`.

    Raises
    ------
    ConfigurationProblems
        If the file cannot be read, is not UTF-8, not YAML (or JSON, for ``.json``), empty, or not a mapping.
    """
    origin = Origin.in_file(str(path), 1)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise ConfigurationProblems.of_one(
            origin, f"the file must be readable, was not: {exc.strerror or exc}. Check the path and its permissions."
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationProblems.of_one(origin, "the file must be UTF-8 text, was not. Save it as UTF-8.") from exc
    if path.suffix.lower() == ".json":
        text = _checked_json(text, str(path))
    root = parse_yaml(text, lambda line: Origin.in_file(str(path), line))
    if not isinstance(root.value, dict):
        found = {type(None): "empty", list: "a list"}.get(type(root.value), "a single value")
        problem = f"the file must be a mapping of keys to values, was {found}. Start it with 'mode: backtest'."
        raise ConfigurationProblems.of_one(root.origin, problem)
    return root


def parse_yaml(text: str, origin_at: Callable[[int], Origin]) -> Node:
    """Return the tree of `text`; a text without any value gives a null.

    Parameters
    ----------
    text : str
        One YAML document.
    origin_at : callable
        From a line number, counted from 1, to the origin of what stands there.

    Raises
    ------
    ConfigurationProblems
        If it is not YAML, repeats a key, or uses a tag that a configuration has no use for.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        return Node(None, origin_at(1)) if root is None else _Builder(origin_at).build(root, origin_at(_line(root)), ())
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        what = ", ".join(part for part in (exc.context, exc.problem) if part)
        raise ConfigurationProblems.of_one(origin_at(mark.line + 1 if mark else 1), _syntax(what)) from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise ConfigurationProblems.of_one(origin_at(line), _syntax(f"character {exc.character!r} is not allowed")) from exc
    except RecursionError as exc:
        raise ConfigurationProblems.of_one(origin_at(1), "the file must not nest this deep.") from exc


def scalar_of(text: str) -> Scalar:
    """Return the value that the unquoted scalar `text` stands for; what is not finite stays text, as no setting may hold it."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    try:
        if _INT.fullmatch(text):
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
    except ValueError:  # more digits than Python converts: no number that a setting could hold
        return text
    return text


class _Loader(yaml.SafeLoader):
    # Nothing is resolved while composing, so that "written plainly" and "tagged !!str" can be told apart afterwards.
    # The stubs call final what the library means to be set by a subclass.
    DEFAULT_SCALAR_TAG = _PLAIN  # type: ignore[misc]
    yaml_implicit_resolvers = {}  # noqa: RUF012  declared without ClassVar by the base class


class _Builder:
    def __init__(self, origin_at: Callable[[int], Origin]) -> None:
        self._origin_at = origin_at
        self._count = 0

    def build(self, node: yaml.Node, origin: Origin, above: tuple[yaml.Node, ...]) -> Node:
        self._count += 1
        if self._count > _LARGEST:
            raise ConfigurationProblems.of_one(origin, f"the file must hold at most {_LARGEST} values, aliases included.")
        if node in above:
            raise ConfigurationProblems.of_one(origin, "an alias must not contain itself.")
        above = (*above, node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, origin)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return Node(self._entries(node, above), origin)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return Node([self.build(item, self._origin_at(_line(item)), above) for item in node.value], origin)
        raise self._refused_tag(node, origin)

    def _entries(self, node: yaml.MappingNode, above: tuple[yaml.Node, ...]) -> dict[str, Node]:
        own: dict[str, Node] = {}
        inherited: dict[str, Node] = {}
        for key, value in node.value:
            origin = self._origin_at(_line(key))
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigurationProblems.of_one(origin, "a key must be text, was a mapping or a list.")
            if key.value == "<<" and key.style is None:
                # The first of several merged mappings wins, and the mapping's own keys win over all of them.
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if not isinstance(source, yaml.MappingNode):
                        raise ConfigurationProblems.of_one(origin, "'<<' must merge a mapping. Give it an alias of one.")
                    if source in above:
                        raise ConfigurationProblems.of_one(origin, "an alias must not contain itself.")
                    inherited = {**self._entries(source, (*above, source)), **inherited}
            elif key.value in own:
                first = own[key.value].origin
                problem = f"'{key.value}' must be given once, was also given at {first.place}. Remove one of the two."
                raise ConfigurationProblems.of_one(origin, problem)
            else:
                own[key.value] = self.build(value, origin, above)
        return {**{name: item for name, item in inherited.items() if name not in own}, **own}

    def _scalar(self, node: yaml.ScalarNode, origin: Origin) -> Node:
        text: str = node.value
        if node.tag == _PLAIN:
            return Node(scalar_of(text) if node.style is None else text, origin, is_literal=node.style == "'")
        if node.tag == f"{_TAG}str":
            return Node(text, origin, is_literal=True)
        value = scalar_of(text)
        wanted = {f"{_TAG}int": int, f"{_TAG}float": float, f"{_TAG}bool": bool, f"{_TAG}null": type(None)}.get(node.tag)
        if wanted is float and type(value) is int:
            value = float(value)
        if wanted is None or type(value) is not wanted:
            raise self._refused_tag(node, origin)
        return Node(value, origin)

    @staticmethod
    def _refused_tag(node: yaml.Node, origin: Origin) -> ConfigurationProblems:
        tag = node.tag.replace(_TAG, "!!")
        return ConfigurationProblems.of_one(origin, f"a value must be plain YAML, was tagged {tag!r}. Remove the tag.")


def _checked_json(text: str, file: str) -> str:
    try:
        if text.strip():
            json.loads(text)
    except json.JSONDecodeError as exc:
        problem = f"the file must be valid JSON, was broken at column {exc.colno}: {exc.msg}."
        raise ConfigurationProblems.of_one(Origin.in_file(file, exc.lineno), problem) from exc
    except RecursionError as exc:
        raise ConfigurationProblems.of_one(Origin.in_file(file, 1), "the file must not nest this deep.") from exc
    # JSON may be indented with tabs and YAML may not; a tab inside a JSON string is always escaped.
    return text.replace("\t", " ")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _syntax(what: str) -> str:
    remedy = "Check indentation, quotes and brackets here and on the line above."
    if "'\\t'" in what:
        remedy = "Indent with spaces."
    if "got '{'" in what:
        remedy = 'Within {...} or [...] a reference needs quotes: "${NAME}".'
    return f"the file must be valid YAML, was broken: {what}. {remedy}"
