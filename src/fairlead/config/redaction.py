"""What a configuration shows of itself: in messages, and in the copy that is saved with a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from fairlead.config.document import Node
from fairlead.core.redaction import REDACTED, Secrets, is_secret

_BY_SHAPE: Final = Secrets()


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
    return _BY_SHAPE.leaf(path, data, known=written is not None and written.is_secret)


def secrets_of(root: Node) -> Secrets:
    """Return the secrets that a document holds, so that nobody else shows them."""
    return Secrets(_secret_values(root, ()))


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
    return {True: "true", False: "false"}[node.value] if isinstance(node.value, bool) else _BY_SHAPE.hide(repr(node.value))


def _secret_values(node: Node, path: tuple[str | int, ...]) -> Iterator[object]:
    children: Iterable[tuple[str | int, Node]] = node.mapping.items() if node.mapping else enumerate(node.items)
    for key, child in children:
        yield from _secret_values(child, (*path, key))
    if not isinstance(node.value, (dict, list)) and (node.is_secret or is_secret(path)):
        yield node.value
