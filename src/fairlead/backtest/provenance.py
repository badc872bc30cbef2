"""What code ran: versions, and a hash over every source that could have changed the outcome."""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import fairlead
from fairlead.sdk.strategy import Strategy


def code_version() -> str:
    """Return the version of Fairlead."""
    return fairlead.__version__


def python_version() -> str:
    """Return the version of Python."""
    return platform.python_version()


def code_hash(strategies: Iterable[type[Strategy]]) -> str:
    """Return the SHA-256 of Fairlead's own source and of the files that define `strategies`.

    A strategy typed into a shell or a notebook has no file; its source text stands in, or its name if that is gone too.
    """
    hasher = hashlib.sha256(_package_hash().encode())
    for cls in sorted(strategies, key=lambda c: f"{c.__module__}.{c.__qualname__}"):
        hasher.update(f"{cls.__qualname__}\n".encode())
        hasher.update(_source_of(cls))
    return hasher.hexdigest()


def _source_of(cls: type[Strategy]) -> bytes:
    try:
        return Path(inspect.getfile(cls)).read_bytes()
    except (OSError, TypeError):
        pass
    try:
        return inspect.getsource(cls).encode()
    except (OSError, TypeError):
        return b""


@lru_cache(maxsize=1)
def _package_hash() -> str:
    root = Path(fairlead.__file__).parent
    hasher = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        hasher.update(path.relative_to(root).as_posix().encode())
        hasher.update(path.read_bytes())
    return hasher.hexdigest()
