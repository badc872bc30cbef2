"""Secrets: which keys hold them, and what stands in their place wherever a configuration is shown or saved."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from fairlead.config.document import Node

REDACTED: Final = "(redacted)"
_SECRET: Final = re.compile(r"password|secret|token|api_?key", re.IGNORECASE)


def is_secret(names: Iterable[str | int]) -> bool:
    """Return whether any of `names`, the parts of a key path or an environment variable's name, says "secret"."""
    return any(isinstance(name, str) and _SECRET.search(name) for name in names)


def redacted(data: object, written: Node | None = None, path: tuple[str | int, ...] = ()) -> object:
    """Return a copy of `data` without its secrets.

    Parameters
    ----------
    data : object
        Dicts, lists and scalars.
    written : Node, optional
        The document that `data` came from; it knows which values came out of secret environment variables.
    path : tuple of str or int, optional
        Where `data` stands in the whole.
    """
    if isinstance(data, dict):
        return {key: redacted(value, written.child(key) if written else None, (*path, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [redacted(value, written.child(i) if written else None, (*path, i)) for i, value in enumerate(data)]
    hidden = is_secret(path) or (written is not None and written.is_secret)
    # "Not given" and switches reveal nothing.
    return REDACTED if hidden and data is not None and not isinstance(data, bool) else data


def shown(node: Node | None, path: Iterable[str | int]) -> str:
    """Return how a message writes the value of `node`, which stands at `path`."""
    if node is None:
        return "missing"
    if isinstance(node.value, dict):
        return "a mapping" if node.value else "an empty mapping"
    if isinstance(node.value, list):
        return f"a list of {len(node.value)}" if node.value else "an empty list"
    if node.is_secret or is_secret(path):
        return REDACTED
    if node.value is None:
        return "empty"
    return {True: "true", False: "false"}[node.value] if isinstance(node.value, bool) else repr(node.value)
