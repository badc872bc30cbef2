"""Profiles: named variations of one file, merged over it when chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fairlead.config.document import Node
from fairlead.config.problems import ConfigurationProblems
from fairlead.core.errors import UnknownName

SECTION: Final = "profiles"
# A section that becomes another kind of thing keeps nothing of the old one: its keys would not fit.
_KINDS: Final = ("type", "model", "preset")
_PRESET: Final = "preset"


def apply_profile(root: Node, name: str | None) -> Node:
    """Return `root` without its section ``profiles``, and with profile `name` merged over it.

    Mappings are merged key by key, except one whose ``type``, ``model`` or ``preset`` changes: that is replaced. Lists whose
    items all have a ``name`` are merged item by item, new items last; any other list, and every scalar, is replaced.

    Parameters
    ----------
    root : Node
        The document.
    name : str or None
        The profile; None for the document alone.

    Raises
    ------
    ConfigurationProblems
        If there is no such profile, or the section is not a mapping of mappings.
    """
    section = root.mapping.get(SECTION)
    base = replace(root, value={key: node for key, node in root.mapping.items() if key != SECTION})
    if section is not None and section.value is not None and not isinstance(section.value, dict):
        raise ConfigurationProblems.of_one(section.origin, f"'{SECTION}' must be a mapping of names to sections of this file.")
    if name is None:
        return base
    profiles = section.mapping if section is not None else {}
    if name not in profiles:
        unknown = UnknownName.among("profile", name, profiles, f"Profiles stand under '{SECTION}:' in the file.")
        raise ConfigurationProblems.of_one((section or root).origin, str(unknown)) from unknown
    profile = profiles[name]
    if profile.value is not None and not isinstance(profile.value, dict):
        raise ConfigurationProblems.of_one(profile.origin, f"'{SECTION}.{name}' must be a mapping of keys to values.")
    if profile.value is None:
        return base
    return replace(_merged(base, _labelled(profile, f" (profile {name!r})")), origin=root.origin)


def _labelled(node: Node, label: str) -> Node:
    origin = replace(node.origin, place=node.origin.place + label)
    if isinstance(node.value, dict):
        return replace(node, origin=origin, value={key: _labelled(child, label) for key, child in node.value.items()})
    if isinstance(node.value, list):
        return replace(node, origin=origin, value=[_labelled(child, label) for child in node.value])
    return replace(node, origin=origin)


def _merged(base: Node, over: Node) -> Node:
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        if any(_differs(base, over, kind) for kind in _KINDS) or _trades_preset(base, over):
            return over
        joined = {key: _merged(node, over.value[key]) if key in over.value else node for key, node in base.value.items()}
        return replace(over, value={**joined, **{key: node for key, node in over.value.items() if key not in base.value}})
    names = _names(base), _names(over)
    if names[0] is not None and names[1] is not None:
        new = dict(zip(names[1], over.items, strict=True))
        joined_items = [
            _merged(item, new.pop(item_name)) if item_name in new else item
            for item_name, item in zip(names[0], base.items, strict=True)
        ]
        return replace(over, value=[*joined_items, *new.values()])
    return over


def _differs(base: Node, over: Node, kind: str) -> bool:
    old, new = base.mapping.get(kind), over.mapping.get(kind)
    return old is not None and new is not None and old.plain() != new.plain()


def _trades_preset(base: Node, over: Node) -> bool:
    # A preset and a model are two ways to say the same thing: the later one is meant.
    asked = _PRESET in over.mapping or "model" in over.mapping
    return asked and (_PRESET in over.mapping) != (_PRESET in base.mapping)


def _names(node: Node) -> list[str] | None:
    # Two items of one name cannot be told apart: such a list is replaced, and its duplicate reported by validation.
    names = [str(item.mapping["name"].value) for item in node.items if "name" in item.mapping]
    return names if names and len(names) == len(node.items) == len(set(names)) else None
