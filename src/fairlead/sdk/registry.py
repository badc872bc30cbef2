"""Finding strategies: by registered name, by ``package.module:Class``, or by ``path/to/file.py:Class``.

Third parties register a strategy in their own ``pyproject.toml``::

    [project.entry-points."fairlead.strategies"]
    my_strategy = "my_package.my_module:MyStrategy"

Nothing is imported but what is asked for.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import linecache
import re
import sys
import traceback
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.sdk.strategy import Strategy

GROUP: Final = "fairlead.strategies"

_VERSIONED: Final = re.compile(r"^(?P<target>.+)@(?P<version>\d[\w.+\-]*)$")
_FILE: Final = re.compile(r"^(?P<path>.+\.py)(?::(?P<name>\w+))?$")
_FORMS: Final = "Pick one of these, or give 'package.module:Class' or 'path/to/file.py:Class'."


@dataclass(frozen=True, slots=True)
class StrategyEntry:
    """What is known of one registered strategy.

    Parameters
    ----------
    target : str
        Where it is: ``package.module:Class``.
    summary : str
        First line of its docstring.
    schema : dict
        JSON Schema of its parameters.
    error : str
        Empty, or why it cannot be used; version, summary and schema are then empty.
    """

    name: str
    target: str
    version: str = ""
    summary: str = ""
    schema: dict[str, object] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class StrategyFile:
    """A file of strategies as it was read: all that a machine needs to have the same class without having the file.

    Parameters
    ----------
    given : str
        Its path as it was named.
    path : str
        Its absolute path where it was read.
    content : bytes
    class_name : str, optional
        Which class is meant; may be left out if there is one.
    """

    given: str
    path: str
    content: bytes
    class_name: str | None = None

    @classmethod
    def named_in(cls, ref: str) -> StrategyFile | None:
        """Return the file that a reference names, read now; None if it names something else.

        Raises
        ------
        ConfigurationError
            If it cannot be read.
        """
        versioned = _VERSIONED.match(ref.strip())
        file = _FILE.match(versioned["target"] if versioned else ref.strip())
        if file is None:
            return None
        path = Path(file["path"])
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise ConfigurationError(f"the strategy file {path} cannot be read: {exc.strerror}. Check the path.") from exc
        return cls(str(path), str(path.resolve()), content, file["name"])

    def strategy(self) -> type[Strategy]:
        """Return the class, from what was read and not from the disk.

        Raises
        ------
        UnknownName
            If the file has no such class.
        ConfigurationError
            If it cannot be imported, or what is named is not a `Strategy`.
        """
        module = _load_file(self)
        if self.class_name is not None:
            return _class_of(module, self.class_name, f"{self.given}:{self.class_name}")
        own = {name for name, value in vars(module).items() if _is_strategy(value) and value.__module__ == module.__name__}
        if len(own) != 1:
            found = ", ".join(sorted(own)) or "(none)"
            raise ConfigurationError(
                f"{self.given} must define exactly one strategy, has: {found}. Name one: '{self.given}:Class'."
            )
        return _class_of(module, own.pop(), self.given)


def content_of(cls: type[Strategy]) -> bytes | None:
    """Return the file that a strategy was loaded from by `find_strategy`, as it was then; None if it came otherwise."""
    loader = getattr(sys.modules.get(cls.__module__), "__loader__", None)
    return loader.content if isinstance(loader, _HeldLoader) else None


def find_strategy(ref: str) -> type[Strategy]:
    """Return the strategy class that `ref` names.

    Parameters
    ----------
    ref : str
        A registered name, ``package.module:Class``, or ``path/to/file.py:Class``; in a file with one strategy the class may be
        left out. ``@version`` at the end demands that version.

    Raises
    ------
    UnknownName
        If nothing has that name.
    ConfigurationError
        If the module cannot be imported, what is named is not a `Strategy`, the version differs, or two packages register
        the name.
    """
    versioned = _VERSIONED.match(ref.strip())
    target, wanted = (versioned["target"], versioned["version"]) if versioned else (ref.strip(), None)
    file = StrategyFile.named_in(target)
    if file is not None:
        cls = file.strategy()
    elif ":" in target:
        cls = _from_module(target)
    else:
        cls = _from_registry(target)
    if wanted is not None and wanted != cls.version:
        raise ConfigurationError.of(
            f"strategy {target}", f"be of version {wanted}", cls.version, "Ask for the version you have."
        )
    return cls


def known_strategies() -> dict[str, StrategyEntry]:
    """Return every registered strategy by name, in sorted order; one that cannot be loaded is listed with its error."""
    return {name: _describe(name, found) for name, found in sorted(_registered().items())}


def _registered() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        # One package seen twice on the path is no conflict; two targets under one name are.
        if all(other.value != entry.value for other in found.setdefault(entry.name, [])):
            found[entry.name].append(entry)
    return found


def _describe(name: str, found: list[EntryPoint]) -> StrategyEntry:
    target = ", ".join(sorted(entry.value for entry in found))
    try:
        cls = _load(name, found)
    except ConfigurationError as exc:
        return StrategyEntry(name, target, error=str(exc))
    summary = (cls.__doc__ or "").strip().partition("\n")[0].strip()
    return StrategyEntry(name, target, cls.version, summary, cls.schema())


def _from_registry(name: str) -> type[Strategy]:
    registered = _registered()
    if name not in registered:
        raise UnknownName.among("strategy", name, registered, _FORMS)
    return _load(name, registered[name])


def _load(name: str, found: list[EntryPoint]) -> type[Strategy]:
    if len(found) > 1:
        targets = sorted(entry.value for entry in found)
        raise ConfigurationError.of(
            f"strategy {name}", "be registered once", targets, "Uninstall one of the packages, or give 'package.module:Class'."
        )
    return _from_module(found[0].value)


def _from_module(target: str) -> type[Strategy]:
    module_name, _, class_name = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        missing = exc.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            text = f"no module named {missing!r}, which strategy {target!r} needs. Install it, or correct the name."
            raise ConfigurationError(text) from exc
        raise _broken(target, exc) from exc
    except (Exception, SystemExit) as exc:  # the module is the user's: whatever it raises is reported with its line
        raise _broken(target, exc) from exc
    return _class_of(module, class_name, target)


def _class_of(module: ModuleType, class_name: str, target: str) -> type[Strategy]:
    value = getattr(module, class_name, None)
    if value is None:
        classes = [name for name, other in vars(module).items() if _is_strategy(other)]
        raise UnknownName.among("strategy", class_name, classes, f"It was looked for in {target!r}.")
    if not _is_strategy(value):
        raise ConfigurationError.of(f"strategy {target}", "be a subclass of fairlead.sdk.Strategy", value)
    cls: type[Strategy] = value
    return cls


def _is_strategy(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Strategy) and value is not Strategy


class _HeldLoader(SourceFileLoader):
    """Compiles what was read, whatever the disk holds by then, and leaves no bytecode beside it."""

    def __init__(self, fullname: str, path: str, content: bytes) -> None:
        super().__init__(fullname, path)
        self.content = content

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  the loader protocol names it
        code: CodeType = self.source_to_code(self.content, self.path)
        return code

    def get_data(self, path: str) -> bytes:
        return self.content if path == self.path else super().get_data(path)


def _load_file(file: StrategyFile) -> ModuleType:
    # The same content is the same module, so that its classes stay identical; an edited file is a new one.
    name = f"fairlead_file_{hashlib.sha256(file.path.encode() + b'|' + file.content).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    loader = _HeldLoader(name, file.path, file.content)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None, "a spec is always made from a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and inspect look their module up here
    try:
        loader.exec_module(module)
        # Messages quote lines: of what runs, whatever the disk holds. Without a time of change nobody looks there.
        lines = importlib.util.decode_source(file.content).splitlines(keepends=True)
        linecache.cache[file.path] = (len(file.content), None, lines, file.path)
    except (Exception, SystemExit) as exc:  # as above
        del sys.modules[name]
        raise _broken(file.given, exc) from exc
    return module


def _broken(target: str, exc: BaseException) -> ConfigurationError:
    if isinstance(exc, SyntaxError):
        where = f"{exc.filename}:{exc.lineno}"
    else:
        # The last frame of the import is the line that raised, unless it lies in the import system itself.
        frames = [f for f in traceback.extract_tb(exc.__traceback__) if not f.filename.startswith("<frozen")]
        frames = [f for f in frames if f.filename not in (__file__, importlib.__file__)]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else target
    return ConfigurationError(f"strategy {target!r} cannot be imported: {where}: {type(exc).__name__}: {exc}")
