"""What the SDK offers, found by reflection: every name that a strategy author can reach, as one flat set of texts.

A name is `Context.current_time`, `OrderType.LIMIT`, `HistoricalData.values(adjusted)` for an argument that may be left out, or
`find_strategy` for what stands in `fairlead.sdk` itself.
"""

from __future__ import annotations

import ast
import enum
import inspect
import sys
import textwrap
import typing
from collections.abc import Iterable, Iterator
from typing import Any, Final

from fairlead import sdk

HOUSE: Final = "fairlead"
ROOTS: Final = ("Context", "Bar", "BarSlice", "Order", "CorporateAction", "OrderIntent", "CancelIntent", "ReplaceIntent")
"""What a strategy is given and gives: what these hand out in turn is part of the surface, wherever it is defined."""

_PROTOCOL: Final = frozenset({"__contains__", "__getitem__", "__iter__", "__len__", "__call__"})
_FOREIGN: Final = frozenset({"builtins", "typing", "enum", "pydantic", "abc"})


def surface() -> set[str]:
    """Return every public name."""
    offered = {name: getattr(sdk, name) for name in sdk.__all__}
    classes = [found for found in offered.values() if inspect.isclass(found) and _is_ours(found)]
    names = set(offered)
    for cls in {*classes, *_reached(offered[name] for name in ROOTS)}:
        for member in _members(cls):
            names |= {f"{cls.__name__}.{member}", *_options(f"{cls.__name__}.{member}", _plain(cls, member))}
    for name, found in offered.items():
        if not inspect.isclass(found):
            names |= _options(name, found)
    return names


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == HOUSE


def _members(cls: type) -> set[str]:
    """The public names that our own classes define; what a base class of ours defines is listed with that."""
    inherited = [base for base in cls.__mro__[1:] if _is_ours(base) and base.__name__ in sdk.__all__]
    known = {name for base in inherited for name in _members(base)}
    own = [base for base in cls.__mro__ if base.__module__.partition(".")[0] not in _FOREIGN]
    found = {
        name
        for base in own
        for name in (*vars(base), *vars(base).get("__annotations__", {}), *getattr(base, "model_fields", {}), *_assigned(base))
    }
    return {name for name in found if not name.startswith("_") or name in _PROTOCOL} - known


def _assigned(cls: type) -> set[str]:
    """The attributes that a class sets on itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def _plain(cls: type, member: str) -> Any:
    found = inspect.getattr_static(cls, member, None)
    return found.__func__ if isinstance(found, classmethod | staticmethod) else found


def _options(name: str, found: Any) -> set[str]:
    """The arguments of a function that may be left out."""
    if not inspect.isfunction(found):
        return set()
    return {
        f"{name}({p.name})"
        for p in inspect.signature(found).parameters.values()
        if p.default is not p.empty and not p.name.startswith("_")
    }


def _reached(roots: Iterable[type]) -> Iterator[type]:
    """Yield the classes of ours that lie behind attributes, properties and results, and those behind them."""
    seen: set[type] = set()
    waiting = list(roots)
    while waiting:
        cls = waiting.pop()
        if cls in seen:
            continue
        seen.add(cls)
        yield cls
        if not issubclass(cls, enum.Enum):
            waiting += [found for hint in _hints(cls) for found in _classes(hint)]


def _hints(cls: type) -> Iterator[Any]:
    public = _members(cls)
    # An attribute that only a constructor sets has the type of its argument.
    fields = _hints_of(cls) | _hints_of(vars(cls).get("__init__"))
    yield from (hint for name, hint in fields.items() if name in public)
    for name in public:
        found = _plain(cls, name)
        found = found.fget if isinstance(found, property) else found
        if inspect.isfunction(found):
            yield _hints_of(found).get("return")


def _hints_of(found: Any) -> dict[str, Any]:
    if found is None or not hasattr(found, "__annotations__"):
        return {}
    scope = vars(sys.modules[found.__module__])
    return typing.get_type_hints(found, {**vars(sdk), **scope})


def _classes(hint: Any) -> Iterator[type]:
    if inspect.isclass(hint) and not typing.get_args(hint):
        if _is_ours(hint):
            yield hint
        return
    for part in typing.get_args(hint):
        yield from _classes(part)
