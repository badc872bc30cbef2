"""The effective configuration: what is in force after profile, overrides, environment and defaults; its hash and its text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import yaml

from fairlead.config.document import scalar_of


def hash_of(effective: Mapping[str, Any]) -> str:
    """Return the SHA-256 of `effective` as canonical JSON: neither the order of keys nor comments change it."""
    text = json.dumps(effective, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def dump_yaml(effective: Mapping[str, Any]) -> str:
    """Return `effective` as YAML that loads to the same values, whatever the environment then holds."""
    text = yaml.dump(_escaped(effective), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return str(text)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the signature of the base
        """Write a repeated value out in full."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # The reader's idea of what plain text is a number differs from the dumper's (YAML 1.2 against 1.1): the reader decides.
    # Control characters and unusual line ends survive only as escapes.
    style = '"' if not isinstance(scalar_of(text), str) or "${" in text or not text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _escaped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escaped(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value
