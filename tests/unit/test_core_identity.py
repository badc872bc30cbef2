"""Identifiers that are the same on every machine, and streams of randomness that are seeded by name."""

from __future__ import annotations

import datetime as dt
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.errors import ContractError
from fairlead.core.identity import group_id, idempotency_key, order_id, random_stream, short_hash, slug
from fairlead.core.time import to_ns


@pytest.mark.parametrize(
    ("side", "group", "key"),
    [
        ("BUY", "AAPL_20250106_144000", "5aca441485f9d1f9"),
        ("SELL", "AAPL_20250106_144000", "4776f00f8ae47e50"),
        ("BUY", "", "a5ef029234da0b3e"),
    ],
)
def test_idempotency_keys_equal_the_published_ones(side, group, key):
    """The golden values of domain rule 4.2."""
    assert idempotency_key("bt_demo", "insidebar", "1.0.0", "AAPL", side, group) == key


def test_order_ids_are_name_based_uuids():
    made = uuid.UUID(order_id("5aca441485f9d1f9"))
    assert made == uuid.uuid5(uuid.NAMESPACE_URL, "order|5aca441485f9d1f9")
    assert made.version == 5


@given(st.text(alphabet="0123456789abcdef", min_size=16, max_size=16))
def test_every_order_id_is_the_one_the_library_gives(key):
    assert order_id(key) == str(uuid.uuid5(uuid.NAMESPACE_URL, f"order|{key}"))


def test_a_separator_inside_a_field_is_refused():
    """("a|b", "c") and ("a", "b|c") would otherwise be one and the same."""
    with pytest.raises(ContractError, match=r"'identifier fields?' must not contain '\|', was .*'a\|b'"):
        short_hash("a|b", "c")


def test_fields_are_not_run_together():
    assert short_hash("ab", "c") != short_hash("a", "bc")


def test_groups_of_one_instant_differ():
    ts = to_ns(dt.datetime(2025, 1, 6, 14, 40, tzinfo=dt.UTC))
    assert group_id("AAPL", ts) == "AAPL_20250106_144000"
    assert group_id("AAPL", ts, 3) == "AAPL_20250106_144000_3"


@pytest.mark.parametrize(
    ("text", "expected"), [("SMA Cross!", "sma_cross"), ("  a--b ", "a_b"), ("", "run"), ("---", "run"), ("x1", "x1")]
)
def test_slugs(text, expected):
    assert slug(text) == expected


def test_a_stream_is_repeated_by_its_root_and_name():
    assert random_stream(42, "latency").random(8).tolist() == random_stream(42, "latency").random(8).tolist()


def test_a_stream_is_the_one_of_the_rule():
    """Domain 1.7: SeedSequence([root, crc32(name)]) and PCG64. crc32 of "123456789" is the published check value."""
    expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence([42, 0xCBF43926])))
    assert random_stream(42, "123456789").random(4).tolist() == expected.random(4).tolist()


@pytest.mark.parametrize(("root", "name"), [(43, "latency"), (42, "slippage")])
def test_another_root_or_name_is_an_independent_stream(root, name):
    ours, other = random_stream(42, "latency").standard_normal(10_000), random_stream(root, name).standard_normal(10_000)
    assert abs(np.corrcoef(ours, other)[0, 1]) < 0.05


def test_drawing_from_one_stream_leaves_the_others_alone():
    first, second = random_stream(42, "a"), random_stream(42, "b")
    first.random(1000)
    assert second.random() == random_stream(42, "b").random()
