"""Two runs compared: every kind of difference planted, and nothing found where there is none."""

import copy
import dataclasses
import json

import pytest

from fairlead.backtest.comparison import Tolerances, compare_runs, equity_gap
from fairlead.contracts.files import canonical_json
from fairlead.core.errors import ConfigurationError
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import OrderStatus, TimeInForce
from fairlead.core.time import NS_PER_SECOND
from support_sessions import Scripted, days, flat, run, steady

SCRIPT = {
    0: [OrderIntent.market("A", 10, tag="first"), OrderIntent.market("A", 5, tag="second")],
    1: [OrderIntent.limit("A", 4, 50.0)],
    2: [OrderIntent.market("A", -15)],
}
LATER = 1_704_315_601_000_000_000
"""A second after the first fill."""


def made(script=None, bars=None, **changes):
    """A run of four orders, three of which fill."""
    return run(days({"A": bars or steady(5, 100.0, 1.0)}), Scripted(script or SCRIPT), **changes)


@pytest.fixture
def pair():
    """The same run twice; a test breaks the second."""
    record = made()
    return record, copy.deepcopy(record)


def only(a, b, **tolerances):
    """The one difference between two runs."""
    (difference,) = compare_runs(a, b, Tolerances(**tolerances)).differences
    return difference


def replaced(record, at, **changes):
    """The record with one fill changed."""
    fills = list(record.fills)
    fills[at] = fills[at]._replace(**changes)
    return dataclasses.replace(record, fills=fills)


def test_a_run_equals_itself_under_another_name():
    """Identifiers contain the run's own name and do not count."""
    found = compare_runs(made(), made(run_id="bt_another"))
    assert found.equal
    assert (found.matched, found.orders, found.fills) == (4, (4, 4), (3, 3))
    assert found.digests[0] == found.digests[1]
    assert set(found.counts.values()) == {0}
    assert (found.equity_difference, found.equity_differs_ns) == (0.0, None)


def test_an_order_that_only_one_run_has_is_missing_or_extra():
    """Seen from A: what B lacks is missing, what B has more is extra."""
    less = {**SCRIPT, 1: []}
    missing, extra = only(made(), made(less)), only(made(less), made())
    assert (missing.kind, extra.kind) == ("missing", "extra")
    assert (missing.symbol, missing.side, missing.order_type, missing.quantity) == ("A", "BUY", "LIMIT", 4)
    assert missing.fields == ()
    assert compare_runs(made(), made(less)).counts["missing"] == 1
    assert not compare_runs(made(), made(less)).equal


def test_orders_of_one_instant_are_matched_by_their_place():
    """The second buy of an instant is compared with the second, not with the first."""
    first = {**SCRIPT, 0: [SCRIPT[0][0], OrderIntent.market("A", 6, tag="second")]}
    difference = only(made(), made({**first, 2: [OrderIntent.market("A", -15)]}))
    assert difference.ordinal == 1
    assert [field.name for field in difference.fields] == ["quantity", "filled_quantity", "fill 1 quantity"]
    assert difference.aspects == ("size",)


@pytest.mark.parametrize(
    ("name", "value", "aspect"),
    [
        ("quantity", 11.0, "size"),
        ("filled_quantity", 9.0, "size"),
        ("limit_price", 99.0, "price"),
        ("stop_price", 99.0, "price"),
        ("average_price", 101.01, "price"),
        ("arrives_ns", 1, "timing"),
        ("expires_ns", 1, "timing"),
        ("status", OrderStatus.CANCELLED, "status"),
        ("reason", "because", "status"),
        ("commission", 1.0, "cost"),
        ("time_in_force", TimeInForce.GTC, "terms"),
        ("tag", "other", "terms"),
    ],
)
def test_each_value_of_an_order_is_compared(pair, name, value, aspect):
    """And named with what it was in A and in B."""
    setattr(pair[1].orders[0], name, value)
    difference = only(*pair)
    assert difference.kind == "differs"
    assert difference.aspects == (aspect,)
    assert len(difference.fields) == 1
    found = compare_runs(*pair)
    assert found.counts[aspect] == found.counts["differs"] == 1


@pytest.mark.parametrize(
    ("changes", "aspect", "text"),
    [
        ({"quantity": 9.0}, "size", "fill 1 quantity 10 | 9"),
        ({"price": 101.5}, "price", "fill 1 price 101 | 101.5"),
        ({"price_ideal": 100.5}, "price", "fill 1 price_ideal 101 | 100.5"),
        ({"ts_ns": LATER}, "timing", "fill 1 at 2024-01-03T21:00:00.000000Z | 2024-01-03T21:00:01.000000Z"),
    ],
)
def test_each_value_of_a_fill_is_compared(pair, changes, aspect, text):
    """An order that filled at another price or time differs, whatever it says of itself."""
    difference = only(pair[0], replaced(pair[1], 0, **changes))
    assert difference.aspects == (aspect,)
    assert str(difference.fields[0]) == text


def test_a_fill_that_is_not_there_is_a_difference_of_size(pair):
    """Even if the order claims to be filled."""
    difference = only(pair[0], dataclasses.replace(pair[1], fills=pair[1].fills[1:]))
    assert [str(field) for field in difference.fields] == ["fills 1 | 0"]


def test_another_end_is_a_difference_of_timing(pair):
    """The instant at which an order became final is compared too."""
    last = pair[1].updates[-1]
    pair[1].updates[-1] = last._replace(ts_ns=last.ts_ns + 1)
    difference = only(*pair)
    assert [field.name for field in difference.fields] == ["ended"]


def test_tolerances_forgive_what_they_say_and_no_more(pair):
    """Prices and sizes as fractions of the larger value, times in seconds."""
    pair[1].orders[0].average_price *= 1 + 5e-5
    assert only(*pair).aspects == ("price",)
    assert compare_runs(*pair, Tolerances(price=1e-4)).equal
    assert not compare_runs(*pair, Tolerances(price=1e-5)).equal
    assert not compare_runs(*pair, Tolerances(size=1.0, time_s=1e6)).equal
    pair[1].orders[1].quantity += 0.5
    assert [d.aspects for d in compare_runs(*pair, Tolerances(price=1e-4)).differences] == [("size",)]
    assert compare_runs(*pair, Tolerances(price=1e-4, size=0.1)).equal


def test_the_rounding_of_sums_is_no_difference(pair):
    """The last bit of a price may fall otherwise on another machine."""
    pair[1].orders[0].average_price *= 1 + 1e-12
    assert compare_runs(*pair).equal
    assert not compare_runs(*pair, Tolerances(price=0.0)).equal


def test_with_a_tolerance_of_time_a_late_decision_is_matched_with_the_one_it_stands_for(pair):
    """Otherwise it is one order missing and one extra."""
    late = pair[1].orders[2]
    late.created_ns += 30 * NS_PER_SECOND
    assert sorted(d.kind for d in compare_runs(*pair).differences) == ["extra", "missing"]
    found = compare_runs(*pair, Tolerances(time_s=60))
    assert found.equal
    assert found.matched == 4
    assert sorted(d.kind for d in compare_runs(*pair, Tolerances(time_s=29)).differences) == ["extra", "missing"]


def test_of_several_late_decisions_each_finds_the_nearest_and_no_order_is_matched_twice():
    """Two orders against three: the one that is left over is extra."""
    bars = steady(8, 100.0, 1.0)
    day = 86_400
    a = made({0: [OrderIntent.market("A", 1)], 4: [OrderIntent.market("A", 2)]}, bars)
    b = made({n: [OrderIntent.market("A", q)] for n, q in ((1, 1), (3, 9), (5, 2))}, bars)
    found = compare_runs(a, b, Tolerances(time_s=day, price=1.0))
    assert found.matched == 2
    assert [(d.kind, d.quantity) for d in found.differences] == [("differs", 2), ("extra", 2)]
    assert str(found.differences[0].fields[0]) == "quantity 2 | 9"


def test_equity_counts_though_every_order_agrees(pair):
    """Interest, or a dividend, moves money without an order."""
    account = pair[1].account
    equity = account.equity.copy()
    equity[3:] += 7.0
    found = compare_runs(pair[0], dataclasses.replace(pair[1], account=dataclasses.replace(account, equity=equity)))
    assert found.differences == []
    assert not found.equal
    assert found.equity_difference == pytest.approx(7.0)
    assert found.equity_differs_ns == int(account.ts_ns[3])
    instants, gap = equity_gap(account, dataclasses.replace(account, equity=equity))
    assert gap.tolist() == pytest.approx([0, 0, 0, 7, 7])
    assert instants.tolist() == account.ts_ns.tolist()


def test_instants_that_only_one_run_has_are_a_difference():
    """A run on less data is not the same run, though all its orders agree."""
    quiet = {0: [OrderIntent.market("A", 10)]}
    shorter = made(quiet, steady(4, 100.0, 1.0))
    found = compare_runs(made(quiet), shorter)
    assert found.differences == []
    assert found.equity_differs_ns == int(made().account.ts_ns[4])
    assert not found.equal


def test_runs_that_share_nothing_are_compared_too():
    """No order, no instant in common."""
    found = compare_runs(made(), run(days({"A": [flat(1.0)]}, first_day=10), Scripted()))
    assert found.counts["missing"] == 4
    assert found.equity_difference == 0.0
    assert not found.equal


def test_it_is_plain_data(pair):
    """For other programs: every difference, stamps as text."""
    pair[1].orders[0].arrives_ns += NS_PER_SECOND
    data = json.loads(canonical_json(compare_runs(*pair).to_dict()))
    assert data["equal"] is False
    assert data["digests_equal"] is True
    (difference,) = data["differences"]
    assert difference["decided_at"] == "2024-01-02T21:00:00.000000Z"
    assert difference["fields"] == [
        {
            "aspect": "timing",
            "field": "arrived",
            "a": "2024-01-02T21:00:00.000000Z",
            "b": "2024-01-02T21:00:01.000000Z",
        }
    ]


@pytest.mark.parametrize("name", ["price", "size", "time_s"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_must_be_a_number(name, value):
    """A nonsense tolerance would make everything equal."""
    with pytest.raises(ConfigurationError, match=f"'tolerance {name}' must be a finite number of 0 or more"):
        Tolerances(**{name: value})
