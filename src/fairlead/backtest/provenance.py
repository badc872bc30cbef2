"""What code ran: versions, and a hash over every source that could have changed the outcome."""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType

import fairlead
from fairlead.sdk.registry import content_of
from fairlead.sdk.strategy import Strategy


def code_version() -> str:
    """Return the version of Fairlead."""
    return fairlead.__version__


def python_version() -> str:
    """Return the version of Python."""
    return platform.python_version()


def code_hash(strategies: Iterable[type[Strategy]]) -> str:
    """Return the SHA-256 of Fairlead's own source and of the files that define `strategies` and what they derive from.

    A class typed into a shell or a notebook has no file; the compiled code of its methods stands in. Modules that a strategy
    imports are not followed: the lint keeps strategies to the SDK, and numeric libraries have versions.
    """
    hasher = hashlib.sha256(_package_hash().encode())
    classes = {base for cls in strategies for base in cls.__mro__ if issubclass(base, Strategy) and base is not Strategy}
    # By name and content: the name of a module may depend on where its file lies.
    for name, source in sorted((cls.__qualname__, _source_of(cls)) for cls in classes):
        hasher.update(f"{name}\n".encode())
        hasher.update(source)
    return hasher.hexdigest()


def _source_of(cls: type[Strategy]) -> bytes:
    held = content_of(cls)
    if held is not None:
        return held
    try:
        return Path(inspect.getfile(cls)).read_bytes()
    except (OSError, TypeError):
        members = sorted((name, member) for name, member in vars(cls).items() if isinstance(member, FunctionType))
        return b"".join(name.encode() + _code_of(member.__code__) for name, member in members)


def _code_of(code: CodeType) -> bytes:
    # Nested functions are constants too; their repr holds an address, so they are hashed in turn.
    plain = [repr(const).encode() for const in code.co_consts if not isinstance(const, CodeType)]
    nested = [_code_of(const) for const in code.co_consts if isinstance(const, CodeType)]
    return b"|".join([code.co_code, repr(code.co_names).encode(), *plain, *nested])


@lru_cache(maxsize=1)
def _package_hash() -> str:
    root = Path(fairlead.__file__).parent
    hasher = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        hasher.update(path.relative_to(root).as_posix().encode())
        hasher.update(path.read_bytes())
    return hasher.hexdigest()
