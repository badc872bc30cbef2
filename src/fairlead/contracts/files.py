"""Files and folders that are either whole or absent, and the one form of JSON (domain rule 1.7).

A file is written beside its target, flushed to the disk and renamed over it; a folder is filled beside its target and renamed
as a whole. Whatever goes wrong on the way, the target is what it was before and the unfinished copy is gone.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from fairlead.core.errors import ContractError, StorageError

_SET_ASIDE: Final = ".old-"
_REMEDIES: Final = {
    errno.ENOSPC: "the disk is full. Free some space and run it again",
    errno.EDQUOT: "the disk quota is used up. Free some space and run it again",
    errno.EFBIG: "the file is larger than this account may write. Raise the limit (ulimit -f) and run it again",
    errno.EROFS: "the disk is read-only. Choose a folder that can be written",
    errno.EACCES: "permission is denied. Choose a folder that you may write, or ask for access",
    errno.EPERM: "permission is denied. Choose a folder that you may write, or ask for access",
    errno.EEXIST: "a part of the path is a file, not a folder. Choose another path",
    errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another path",
    errno.ENOENT: "it does not exist. Check the path",
}


def atomic_write_bytes(path: str | Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write `data` so that `path` holds either its old content or all of the new.

    Missing parent folders are created. The file has `mode`, less the umask, before it has its content.

    Raises
    ------
    StorageError
        If the disk refuses; `path` is unchanged and no temporary file is left.
    """
    with atomic_file(path) as part, open(part, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as handle:
        handle.write(data)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield the path of a file to be written that becomes `path` when the block ends without an error.

    Missing parent folders are created. After any exception `path` is what it was.

    Raises
    ------
    StorageError
        If the disk refuses, inside the block too; `path` is unchanged and no temporary file is left.
    """
    target = Path(path)
    part = _sibling(target, "part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            _sync(part, os.O_RDWR)  # some systems flush only what may be written
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
    except OSError as exc:
        raise storage_error("write", target, exc) from exc


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 with its line ends as they are; see `atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode())


def write_json(path: str | Path, obj: object) -> None:
    """Write `obj` as readable JSON: sorted keys, NaN and infinities as null, shortest floats, one newline at the end.

    Raises
    ------
    ContractError
        If `obj` holds something that JSON cannot express (see `canonical_json`).
    StorageError
        If the disk refuses.
    """
    atomic_write_text(path, json.dumps(_plain(obj, "$"), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def canonical_json(obj: object) -> str:
    """Return the one-line JSON of `obj`: equal objects give equal text, so it can be hashed.

    Accepts None, bool, int, float, str, numpy scalars and arrays, lists, tuples and mappings with str or int keys.

    Raises
    ------
    ContractError
        If `obj` holds anything else, naming where.
    """
    return json.dumps(_plain(obj, "$"), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits.

    Raises
    ------
    StorageError
        If the file cannot be read.
    """
    try:
        with Path(path).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as exc:
        raise storage_error("read", Path(path), exc) from exc


@contextmanager
def atomic_directory(target: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty staging folder that becomes `target` when the block ends without an error.

    Files in it are flushed to the disk before the rename. After any exception the staging folder is removed and `target` is
    what it was. Its name starts with a dot; readers skip such names, since a power cut can leave one behind.

    Parameters
    ----------
    target : path
        The folder to create; missing parents are created.
    replace : bool
        Whether an existing `target` may be replaced. It is moved aside first and comes back if the rename fails.

    Raises
    ------
    StorageError
        If `target` exists and `replace` is false, or if the disk refuses, inside the block too.
    """
    goal = Path(target)
    staging = _sibling(goal, "staging")
    _refuse_existing(goal, replace=replace)
    try:
        staging.mkdir(parents=True)
        try:
            yield staging
            _sync_tree(staging)
            _refuse_existing(goal, replace=replace)
            _swap(staging, goal)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        sync_folder(goal.parent)
    except OSError as exc:
        raise storage_error("write", goal, exc) from exc


def recover_replaced(parent: str | Path) -> None:
    """Put back every folder in `parent` whose replacement was cut off between its two renames, by a power cut say.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    for old in sorted(Path(parent).glob(f".*{_SET_ASIDE}*")):
        goal = old.with_name(old.name[1:].rpartition(_SET_ASIDE)[0])
        if not goal.exists():
            try:
                old.rename(goal)
            except OSError as exc:
                raise storage_error("restore", goal, exc) from exc


def _swap(staging: Path, goal: Path) -> None:
    if not goal.exists():
        staging.rename(goal)
        return
    # Both copies are whole at every moment, but between the two renames only under names with a dot: `recover_replaced`.
    old = _sibling(goal, "old")
    goal.rename(old)
    try:
        staging.rename(goal)
    except BaseException:
        old.rename(goal)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _refuse_existing(goal: Path, *, replace: bool) -> None:
    if goal.exists() and not (replace and goal.is_dir()):
        kind = "a folder" if goal.is_dir() else "a file"
        raise StorageError(f"cannot write {goal}: {kind} with this name is already there. Choose another name, or replace it.")


def _sibling(target: Path, role: str) -> Path:
    # A random name, not tempfile: tempfile forces mode 0600, and others must be able to read the result.
    return target.with_name(f".{target.name}.{role}-{secrets.token_hex(6)}")


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            _sync(Path(root) / name, os.O_RDONLY)
        sync_folder(Path(root))


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    if os.name == "posix":  # elsewhere a folder cannot be opened, and a rename is durable by itself
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(verb: str, path: Path, exc: OSError) -> StorageError:
    """Return what the disk said as an error of ours: what could not be done, why, and the remedy."""
    number = exc.errno
    if number is None and "No space left" in str(exc):  # pyarrow loses the number on some paths
        number = errno.ENOSPC
    reason = _REMEDIES.get(number or 0, f"{exc.strerror or exc}. Check the path and the disk")
    return StorageError(f"cannot {verb} {path}: {reason}.")


def _plain(obj: Any, where: str) -> Any:
    if isinstance(obj, np.generic | np.ndarray):
        obj = obj.tolist()
    if obj is None or isinstance(obj, bool | int):
        return obj
    if isinstance(obj, str):
        return str(obj)
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if isinstance(obj, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(obj)]
    if isinstance(obj, Mapping):
        return _plain_mapping(obj, where)
    raise ContractError.of(where, "be something JSON can express", obj, "Convert it to text, a number, a list or a mapping.")


def _plain_mapping(obj: Mapping[Any, Any], where: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in obj.items():
        if not isinstance(key, str | int | np.integer) or isinstance(key, bool):
            raise ContractError.of(f"key of {where}", "be text or a whole number", key)
        name = str(key)
        if name in plain:
            raise ContractError.of(f"key of {where}", "be unique as text", key)
        plain[name] = _plain(value, f"{where}.{name}")
    return plain
