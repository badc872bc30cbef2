"""The tape of a session's inputs: what was taken comes back bit for bit, a torn end is cut off, damage is told."""

from __future__ import annotations

import json
import math
import os
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.errors import DataNotFound, StorageError
from fairlead.journal.tape import HEADER, Input, Tape, read_tape

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
inputs = st.lists(st.tuples(st.text(), st.integers(0, 2**62), st.dictionaries(st.text(), plain, max_size=3)), max_size=6)


def same(one: object, other: object) -> bool:
    """Whether plain data is the same to the bit: NaN is itself, and 0.0 is not -0.0."""
    return json.dumps(one) == json.dumps(other)


def written(path, *taken: Input) -> None:
    with Tape.create(path, 1, {"began": "now"}) as tape:
        for one in taken:
            tape.append(one)


def one(number: int) -> Input:
    return Input("instant", number, {"n": number})


@given(taken=inputs)
def test_what_was_taken_comes_back(tmp_path_factory, taken):
    path = tmp_path_factory.mktemp("tape") / "inputs.tape"
    written(path, *(Input(*fields) for fields in taken))
    header, *found = read_tape(path)
    assert (header.kind, header.ts_ns, header.data["began"]) == (HEADER, 1, "now")
    assert same([list(f) for f in found], [list(f) for f in taken])


def test_prices_come_back_to_the_bit(tmp_path):
    price = 0.1 + 0.2
    written(tmp_path / "t", Input("instant", 1, {"bars": [price, math.nan, -0.0, 5e-324]}))
    found = list(read_tape(tmp_path / "t"))[1].data["bars"]
    assert [x.hex() for x in found] == [price.hex(), "nan", "-0x0.0p+0", (5e-324).hex()]


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_a_torn_end_is_left_out_and_cut_off(tmp_path, cut):
    path = tmp_path / "t"
    written(path, one(1), one(2))
    os.truncate(path, path.stat().st_size - cut)
    assert [taken.data.get("n") for taken in read_tape(path)] == [None, 1]
    with Tape.reopen(path) as tape:
        tape.append(one(3))
    assert [taken.data.get("n") for taken in read_tape(path)] == [None, 1, 3]


def test_damage_before_the_end_is_told_and_nothing_is_cut_off(tmp_path):
    path = tmp_path / "t"
    written(path, one(1), one(2), one(3))
    data = path.read_bytes().replace(b'{"n":2}', b'{"n":7}')
    path.write_bytes(data)
    for read in (lambda: list(read_tape(path)), lambda: Tape.reopen(path)):
        with pytest.raises(StorageError, match=r"t is damaged at line 3, and goes on after it. Put it back from a backup"):
            read()
    assert path.read_bytes() == data


def test_a_line_that_is_missing_is_damage(tmp_path):
    path = tmp_path / "t"
    written(path, one(1), one(2), one(3))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(StorageError, match="damaged at line 3"):
        list(read_tape(path))


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "t"
    with Tape.create(path, 1, {"version": 2}):
        pass
    with pytest.raises(StorageError, match=r"is no tape of version 1. Update Fairlead"):
        list(read_tape(path))


def test_where_there_is_none(tmp_path):
    with pytest.raises(DataNotFound, match="there is no tape"):
        list(read_tape(tmp_path / "t"))
    (tmp_path / "t").touch()
    with pytest.raises(DataNotFound, match="its session ended before it began"):
        list(read_tape(tmp_path / "t"))


def test_one_that_is_there_is_not_begun_again(tmp_path):
    written(tmp_path / "t", one(1))
    with pytest.raises(StorageError, match="cannot write"):
        Tape.create(tmp_path / "t", 1, {})
    assert len(list(read_tape(tmp_path / "t"))) == 2


def test_a_write_that_fails_is_the_last(tmp_path):
    tape = Tape.create(tmp_path / "t", 1, {})
    tape.append(one(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "t").stat().st_size + 10, hard))
    try:
        with pytest.raises(StorageError):
            tape.append(one(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for call in (lambda: tape.append(one(3)), tape.sync):
        with pytest.raises(StorageError, match="takes nothing since a write failed"):
            call()
    assert "disk is full" in tape.failure
    tape.close()
    assert [taken.data.get("n") for taken in read_tape(tmp_path / "t")] == [None, 1]
    tape.close()
    with pytest.raises(StorageError, match="takes nothing"):
        tape.append(one(4))


def test_one_that_was_given_up_or_closed_takes_nothing(tmp_path):
    tape = Tape.create(tmp_path / "t", 1, {})
    tape.give_up("the journal is gone")
    with pytest.raises(StorageError, match="the journal is gone"):
        tape.append(one(1))
    tape.close()
    other = Tape.reopen(tmp_path / "t")
    other.close()
    with pytest.raises(StorageError, match="is closed"):
        other.append(one(1))
