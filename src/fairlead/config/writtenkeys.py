"""Keys that were written into a configuration itself, where whoever has the file has them: refused, each at its line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fairlead.config.document import KeyPath, Node
from fairlead.config.problems import Problem
from fairlead.config.translation import dotted
from fairlead.core.redaction import REDACTED, is_secret

FILE: Final = "file:"
KEYRING: Final = "keyring:"
KEYS_IN: Final = ("data", "execution")
"""The sections whose keys open something."""


def is_elsewhere(text: str) -> bool:
    """Whether a text says where a key is, and is none itself."""
    return text.startswith((FILE, KEYRING))


def written_keys(root: Node) -> list[Problem]:
    """Return a problem for every key of a document that was written down, in the file or on the command line.

    Parameters
    ----------
    root : Node
        With references to the environment replaced.
    """
    remedy = "Take it out, as others may have read it, and ask for another. "
    remedy += f"Then write ${{NAME}}, {FILE}PATH or {KEYRING}SERVICE/NAME."
    rule = f"name where the key is, and not be the key, was {REDACTED}. {remedy}"
    return [
        Problem(node.origin, f"'{dotted(path)}' must {rule}")
        for section in KEYS_IN
        if (child := root.child(section)) is not None
        for path, node in _keys(child, (section,))
        if not (node.is_reference or is_elsewhere(str(node.value)) or node.value == REDACTED)
    ]


def _keys(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, Node]]:
    for key, child in node.mapping.items() if node.mapping else enumerate(node.items):
        yield from _keys(child, (*path, key))
    # Nothing, a switch and what is empty hold no key; what a saved copy shows in its place is none either.
    if isinstance(node.value, str | int | float) and not isinstance(node.value, bool) and node.value != "" and is_secret(path):
        yield path, node
