"""Keys: never in the file that a configuration is, but where it says that they are (domain rule 16.4).

``${NAME}`` is a variable of the environment, ``file:PATH`` a file that only its owner may open, and ``keyring:SERVICE/NAME`` an
entry of the system's keyring.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fairlead.config.document import KeyPath, Node
from fairlead.config.loading import LoadedConfig
from fairlead.config.problems import ConfigurationProblems
from fairlead.config.translation import named_problem
from fairlead.config.writtenkeys import FILE, KEYRING, KEYS_IN, is_elsewhere
from fairlead.core.errors import ConfigurationError
from fairlead.core.redaction import REDACTED, is_secret

_LARGEST: Final = 65_536
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def unlocked(loaded: LoadedConfig) -> LoadedConfig:
    """Return a configuration with its keys in the place of what says where they are.

    They are secrets of it from then on: neither a message nor a log shows them. What is saved of it stays as it is.

    Raises
    ------
    ConfigurationProblems
        Naming every key that cannot be had, with its line and what to do.
    """
    root, problems = loaded.document, []
    settings = loaded.settings
    changed: dict[str, Any] = {}
    for section in KEYS_IN:
        values = getattr(settings, section).model_dump()
        for path, reference in list(_references(values, ())):
            whole = (section, *path)
            try:
                key = key_of(reference, base=loaded.path.parent)
            except ConfigurationError as exc:
                problems.append(named_problem(root, whole, str(exc)))
                continue
            values = _put(values, path, key)
            root = _with_secret(root, whole, key)
            changed[section] = type(getattr(settings, section)).model_validate(values)
    if problems:
        raise ConfigurationProblems.of_all(problems)
    return replace(loaded, settings=settings.model_copy(update=changed), document=root)


def key_of(reference: str, *, base: Path = Path(), environ: Mapping[str, str] | None = None) -> str:
    """Return the key that a reference leads to.

    Parameters
    ----------
    reference : str
        ``file:PATH``, ``keyring:SERVICE/NAME``, or ``${NAME}`` if there is an environment.
    base : Path
        What a relative path is relative to.
    environ : mapping of str to str, optional

    Raises
    ------
    ConfigurationError
        If there is none there, or others may read it too.
    """
    if reference == REDACTED:
        remedy = f"This is a saved copy, which has no keys. Set it: -o KEY={FILE}PATH, or use the file that it was saved from."
        raise ConfigurationError(f"the key was left out. {remedy}")
    if reference.startswith(FILE):
        return _of_file(_path_of(reference.removeprefix(FILE), base))
    if reference.startswith(KEYRING):
        return _of_keyring(reference.removeprefix(KEYRING))
    if environ is not None and reference.startswith("${") and reference.endswith("}"):
        name = reference[2:-1].removesuffix(":-")
        if not environ.get(name):
            raise ConfigurationError(f"the environment variable {name} is not set. Set it to the key.")
        return environ[name]
    remedy = f"Write ${{NAME}}, {FILE}PATH or {KEYRING}SERVICE/NAME."
    raise ConfigurationError(f"a key must be named by where it is, was {REDACTED}. {remedy}")


def _path_of(text: str, base: Path) -> Path:
    try:
        return base / Path(text).expanduser()
    except RuntimeError as exc:  # a user that is not known
        raise ConfigurationError(f"the file of a key cannot be found: {exc}.") from exc


def _of_file(path: Path) -> str:
    try:
        # What is opened is what is looked at: a path may lead elsewhere a moment later. A pipe is not waited for.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as exc:
        remedy = f"Make it, for yourself alone: install -m 600 /dev/null {path}"
        raise ConfigurationError(f"the file of a key {path} cannot be opened: {exc.strerror or exc}. {remedy}") from exc
    try:
        held = os.fstat(handle)
        if not stat.S_ISREG(held.st_mode):
            raise ConfigurationError(f"the file of a key must be a file, and {path} is none.")
        if os.name == "posix":
            _check_owner(path, held)
        data = os.read(handle, _LARGEST + 1)
    except OSError as exc:
        raise ConfigurationError(f"the file of a key {path} cannot be read: {exc.strerror or exc}.") from exc
    finally:
        os.close(handle)
    return _text_of(data, f"the file of a key {path}")


def _check_owner(path: Path, held: os.stat_result) -> None:
    if held.st_mode & _OTHERS:
        mode = f"{stat.S_IMODE(held.st_mode):04o}"
        raise ConfigurationError(
            f"the file of a key must be for its owner alone (0600), and {path} is {mode}. "
            f"Others may have read it: chmod 600 {path}, and ask for another key."
        )
    if held.st_uid not in {os.getuid(), 0}:
        raise ConfigurationError(
            f"the file of a key must be yours, and {path} belongs to user {held.st_uid}. Make one of your own."
        )


def _text_of(data: bytes, what: str) -> str:
    if len(data) > _LARGEST:
        raise ConfigurationError(f"{what} must hold one key and nothing else, and is larger than {_LARGEST} bytes.")
    try:
        text = data.decode().strip()
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{what} must be text, was not.") from exc
    if not text or not text.isprintable():
        raise ConfigurationError(f"{what} must hold one key in one line, and {'is empty' if not text else 'holds more'}.")
    return text


def _of_keyring(name: str) -> str:
    service, _, user = name.rpartition("/")
    if not service or not user:
        raise ConfigurationError(f"a keyring entry must be given as {KEYRING}SERVICE/NAME, was {KEYRING}{name}.")
    try:
        import keyring  # noqa: PLC0415  optional, and slow to load
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError as exc:
        remedy = "pip install 'fairlead[keyring]', or use ${NAME} or file:PATH."
        raise ConfigurationError(f"the system's keyring needs the library keyring, which is not installed. {remedy}") from exc
    try:
        key = keyring.get_password(service, user)
    except KeyringError as exc:
        reason = str(exc).partition("\n")[0] or type(exc).__name__
        remedy = "Unlock it or install a backend, or use ${NAME} or file:PATH."
        raise ConfigurationError(f"the system's keyring gives nothing: {reason}. {remedy}") from exc
    if key is None:
        remedy = f"Store it: keyring set {service} {user}"
        raise ConfigurationError(f"the system's keyring has no entry {user} of {service}. {remedy}")
    return _text_of(key.encode(), f"the keyring entry {service}/{user}")


def _references(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _references(item, (*path, key))
    elif isinstance(value, str) and is_secret(path) and (is_elsewhere(value) or value == REDACTED):
        yield path, value


def _put(values: Mapping[str, Any], path: KeyPath, key: str) -> dict[str, Any]:
    name, rest = str(path[0]), path[1:]
    return {**values, name: _put(values[name], rest, key) if rest else key}


def _with_secret(node: Node, path: KeyPath, key: str) -> Node:
    if not path:
        return replace(node, value=key, is_secret=True)
    child = node.child(path[0])
    if child is None:
        return node
    return replace(node, value={**node.mapping, str(path[0]): _with_secret(child, path[1:], key)})
