"""Files and folders are whole or absent, and JSON has one form."""

import errno
import json
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from fairlead.contracts.files import (
    atomic_directory,
    atomic_write_bytes,
    atomic_write_text,
    canonical_json,
    sha256_bytes,
    sha256_file,
    write_json,
)
from fairlead.core.errors import ContractError, StorageError


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that accepts bytes into its cache and refuses to keep them, as a full one does."""

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_and_raise(target: Path, error: BaseException) -> None:
    with atomic_directory(target, replace=True) as staging:
        (staging / "new.txt").write_text("x")
        raise error


def test_bytes_are_written_with_missing_parents_and_nothing_else(tmp_path):
    atomic_write_bytes(tmp_path / "a" / "b.bin", b"\x00\x01")
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"\x00\x01"
    assert names(tmp_path / "a") == ["b.bin"]


def test_a_second_write_replaces_the_first(tmp_path):
    atomic_write_text(tmp_path / "a.txt", "old and longer")
    atomic_write_text(tmp_path / "a.txt", "né\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "né\r\n".encode()


def test_written_files_can_be_read_by_others(tmp_path):
    """The mode follows the umask; a temporary file's private mode would lock out everyone else."""
    (tmp_path / "plain").touch()
    atomic_write_text(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.usefixtures("full_disk")
def test_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(StorageError, match=r"cannot write .*a\.txt: the disk is full\. Free some space"):
        atomic_write_text(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_file_where_a_folder_should_be_is_named_with_the_remedy(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(StorageError, match="a part of the path is a file, not a folder"):
        atomic_write_text(tmp_path / "a" / "b.txt", "x")


def test_a_file_beyond_the_allowed_size_is_refused_without_a_trace(tmp_path):
    """A real refusal by the operating system, half-way through the write."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StorageError, match="larger than this account may write"):
            atomic_write_bytes(tmp_path / "big", bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


def test_directory_appears_whole_at_the_end_of_the_block(tmp_path):
    target = tmp_path / "deep" / "run"
    with atomic_directory(target) as staging:
        (staging / "inner").mkdir()
        (staging / "inner" / "a.txt").write_text("x")
        assert not target.exists()
    assert (target / "inner" / "a.txt").read_text() == "x"
    assert names(tmp_path / "deep") == ["run"]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_directory_vanishes_after_any_error_and_the_error_passes_through(tmp_path, error):
    with pytest.raises(type(error)):
        write_and_raise(tmp_path / "run", error)
    assert names(tmp_path) == []


def test_directory_keeps_the_old_one_after_an_error(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old.txt").write_text("old")
    with pytest.raises(ValueError, match="mine"):
        write_and_raise(tmp_path / "run", ValueError("mine"))
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["old.txt"]


def test_directory_refuses_an_existing_target_before_any_work(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(StorageError, match="a folder with this name is already there"), atomic_directory(tmp_path / "run"):
        pytest.fail("the block must not run")


def test_directory_never_replaces_a_file(tmp_path):
    (tmp_path / "run").write_text("precious")
    with pytest.raises(StorageError, match="a file with this name"), atomic_directory(tmp_path / "run", replace=True):
        pytest.fail("the block must not run")
    assert (tmp_path / "run").read_text() == "precious"


def test_directory_refuses_a_target_that_appeared_meanwhile(tmp_path):
    with pytest.raises(StorageError, match="already there"), atomic_directory(tmp_path / "run"):
        (tmp_path / "run").mkdir()
    assert names(tmp_path) == ["run"]


def test_directory_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old.txt").write_text("old")
    with atomic_directory(tmp_path / "run", replace=True) as staging:
        (staging / "new.txt").write_text("new")
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["new.txt"]


def test_directory_comes_back_if_the_last_rename_fails(tmp_path, monkeypatch):
    """Between the two renames the target is gone; a refusal there must bring it back."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old.txt").write_text("old")
    rename = Path.rename

    def refuse_staging(self, target):
        if ".staging-" in self.name:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_staging)
    with pytest.raises(StorageError, match="permission is denied"), atomic_directory(tmp_path / "run", replace=True):
        pass
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["old.txt"]


@pytest.mark.usefixtures("full_disk")
def test_directory_on_a_full_disk_is_removed(tmp_path):
    with (
        pytest.raises(StorageError, match=r"cannot write .*run: the disk is full"),
        atomic_directory(tmp_path / "run") as staging,
    ):
        (staging / "a.txt").write_text("x")
    assert names(tmp_path) == []


def test_a_writer_that_hides_the_error_number_is_understood(tmp_path):
    with pytest.raises(StorageError, match="the disk is full"), atomic_directory(tmp_path / "run"):
        raise OSError("Error writing bytes to file. Detail: No space left on device")


def test_json_has_sorted_keys_nulls_for_what_is_not_finite_and_shortest_floats(tmp_path):
    write_json(tmp_path / "a.json", {"b": [0.1, float("nan"), np.float64("inf")], "a": (np.int64(3), np.bool_(True), None)})
    text = (tmp_path / "a.json").read_text()
    assert text.endswith("}\n")
    assert text.index('"a"') < text.index('"b"')
    assert json.loads(text) == {"a": [3, True, None], "b": [0.1, None, None]}
    assert "0.1," in text


def test_canonical_json_is_one_line_and_the_same_for_equal_objects():
    left = canonical_json({"z": np.array([1.0, 2.5]), "a": {2: "é", 10: "x"}})
    assert left == '{"a":{"10":"x","2":"é"},"z":[1.0,2.5]}'
    assert canonical_json({"a": {"10": "x", "2": "é"}, "z": [1.0, 2.5]}) == left


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, Decimal(1)]}, r"'\$\.a\[1\]' must be something JSON can express"),
        ({"a": {1.5: 0}}, r"key of \$\.a"),
        ({"1": 0, 1: 0}, "be unique as text"),
        ({True: 0}, "be text or a whole number"),
    ],
)
def test_json_names_the_place_of_what_it_cannot_express(value, message):
    with pytest.raises(ContractError, match=message):
        canonical_json(value)


def test_a_refused_json_writes_nothing(tmp_path):
    with pytest.raises(ContractError):
        write_json(tmp_path / "a.json", {"a": {1, 2}})
    assert names(tmp_path) == []


def test_hashes_agree_with_the_known_value_and_with_each_other(tmp_path):
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_bytes(b"abc") == known
    assert sha256_file(tmp_path / "a") == known


def test_hash_of_a_missing_file_names_it(tmp_path):
    with pytest.raises(StorageError, match=r"cannot read .*nothing: it does not exist"):
        sha256_file(tmp_path / "nothing")
