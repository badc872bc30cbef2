"""Sections that stand in a file of their own: ``risk: risk.yml``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from fairlead.config.document import Node, read_document

SECTIONS: Final = ("risk",)
"""What may be the path of a file, relative to the one that names it."""


def include(root: Node, base: Path, read: Callable[[Path], Node] = read_document) -> Node:
    """Return `root` with every section that names a file replaced by what the file holds.

    Lines in messages are those of that file. A path that refers to the environment is left for when that is known.

    Parameters
    ----------
    root : Node
        The document.
    base : Path
        The folder of the file that it came from.
    read : callable
        From a path to the tree of the file.

    Raises
    ------
    ConfigurationProblems
        If a file cannot be read.
    """
    entries = root.mapping
    found = {name: entries[name] for name in SECTIONS if name in entries}
    named = {name: node.value for name, node in found.items() if isinstance(node.value, str) and "${" not in node.value}
    if not named:
        return root
    return replace(root, value={**entries, **{name: read(base / path) for name, path in named.items()}})
