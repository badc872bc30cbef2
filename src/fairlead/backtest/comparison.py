"""Two runs compared order by order: what one has and the other has not, and where they differ in size, price, timing or status.

Orders are matched by strategy, symbol, side, the instant of their decision and their ordinal among those that share all four.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import ConfigurationError
from fairlead.core.fills import Fill
from fairlead.core.orders import TERMINAL, Order
from fairlead.core.time import NS_PER_SECOND, format_utc
from fairlead.engine.record import EquityCurve, RunRecord

Kind: TypeAlias = Literal["missing", "extra", "differs"]
Aspect: TypeAlias = Literal["terms", "size", "price", "timing", "status", "cost"]
ASPECTS: Final[tuple[Aspect, ...]] = ("terms", "size", "price", "timing", "status", "cost")
_Value: TypeAlias = float | int | str | None

# Sums of float64 over a run agree to this; a real difference is a thousand times larger.
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far two runs may be apart and still count as equal.

    Parameters
    ----------
    price, size : float
        As a fraction of the larger value: prices, commission and equity; and quantities.
    time_s : float
        Seconds. Above 0, an order without a partner is also matched with one decided at most so much earlier or later.
    """

    price: float = ROUNDING
    size: float = ROUNDING
    time_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("price", "size", "time_s"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ConfigurationError.of(f"tolerance {name}", "be a finite number of 0 or more", value)


class FieldDifference(NamedTuple):
    """One value in which two matched orders differ; stamps are nanoseconds."""

    aspect: Aspect
    name: str
    a: _Value
    b: _Value

    def __str__(self) -> str:
        return f"{self.name} {_shown(self.name, self.a)} | {_shown(self.name, self.b)}"


@dataclass(frozen=True, slots=True)
class OrderDifference:
    """An order that only one run has (missing: A alone; extra: B alone), or that differs between them."""

    kind: Kind
    decided_ns: int
    strategy: str
    symbol: str
    side: str
    ordinal: int
    order_type: str
    quantity: float
    fields: tuple[FieldDifference, ...] = ()

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        """In which respects it differs, each once."""
        found = {field.aspect for field in self.fields}
        return tuple(aspect for aspect in ASPECTS if aspect in found)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data, stamps as text."""
        fields = [
            {"aspect": f.aspect, "field": f.name, "a": _plain(f.name, f.a), "b": _plain(f.name, f.b)} for f in self.fields
        ]
        return {
            **{name: value for name, value in asdict(self).items() if name not in ("decided_ns", "fields")},
            "decided_at": format_utc(self.decided_ns),
            "fields": fields,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What came of comparing run A with run B.

    Attributes
    ----------
    orders : tuple of int
        Of A and of B.
    fills : tuple of int
    digests : tuple of str
    matched : int
        Orders that have a partner.
    differences : list of OrderDifference
        By the instant of the decision.
    final_equity : tuple of float
    equity_difference : float
        Largest distance between the two equity curves at an instant that both have, in currency.
    equity_differs_ns : int or None
        The first instant at which they are further apart than the tolerance, or that only one of them has.
    tolerances : Tolerances
    """

    orders: tuple[int, int]
    fills: tuple[int, int]
    digests: tuple[str, str]
    matched: int
    differences: list[OrderDifference]
    final_equity: tuple[float, float]
    equity_difference: float
    equity_differs_ns: int | None
    tolerances: Tolerances

    @property
    def equal(self) -> bool:
        """Whether orders and equity agree within the tolerances."""
        return not self.differences and self.equity_differs_ns is None

    @property
    def counts(self) -> dict[str, int]:
        """Return how many orders are missing, extra and different, and how many of the latter in each respect."""
        kinds = Counter(difference.kind for difference in self.differences)
        aspects = Counter(aspect for difference in self.differences for aspect in difference.aspects)
        return {
            **{kind: kinds[kind] for kind in ("missing", "extra", "differs")},
            **{aspect: aspects[aspect] for aspect in ASPECTS},
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data, with every difference."""
        differs = self.equity_differs_ns
        return {
            "equal": self.equal,
            "digests_equal": self.digests[0] == self.digests[1],
            "digests": list(self.digests),
            "orders": list(self.orders),
            "fills": list(self.fills),
            "matched": self.matched,
            "counts": self.counts,
            "final_equity": list(self.final_equity),
            "equity_difference": self.equity_difference,
            "equity_differs_at": None if differs is None else format_utc(differs),
            "tolerances": asdict(self.tolerances),
            "differences": [difference.to_dict() for difference in self.differences],
        }


def compare_runs(a: RunRecord, b: RunRecord, tolerances: Tolerances | None = None) -> Comparison:
    """Compare run A with run B order by order, and their equity instant by instant.

    Identifiers do not count: they contain the run's own name.
    """
    allowed = tolerances or Tolerances()
    left, right = _Side.of(a), _Side.of(b)
    pairs = [(key, left.orders[key], right.orders[key]) for key in left.orders.keys() & right.orders.keys()]
    lonely_a = [key for key in left.orders if key not in right.orders]
    lonely_b = [key for key in right.orders if key not in left.orders]
    if allowed.time_s > 0:
        pairs += _near_pairs(left, right, lonely_a, lonely_b, int(allowed.time_s * NS_PER_SECOND))
    found = [_alone("missing", key, left.orders[key]) for key in lonely_a]
    found += [_alone("extra", key, right.orders[key]) for key in lonely_b]
    for key, one, other in pairs:
        fields = tuple(_differing(_values(left, one), _values(right, other), allowed))
        if fields:
            found.append(_difference("differs", key, one, fields))
    found.sort(key=lambda d: (d.decided_ns, d.strategy, d.symbol, d.side, d.ordinal, d.kind))
    largest, since = _equity_apart(a.account, b.account, allowed.price)
    return Comparison(
        orders=(len(a.orders), len(b.orders)),
        fills=(len(a.fills), len(b.fills)),
        digests=(a.digest, b.digest),
        matched=len(pairs),
        differences=found,
        final_equity=(_last(a), _last(b)),
        equity_difference=largest,
        equity_differs_ns=since,
        tolerances=allowed,
    )


def equity_gap(a: EquityCurve, b: EquityCurve) -> tuple[IntArray, FloatArray]:
    """Return the instants that both curves have, and the equity of B less that of A at each."""
    common, at_a, at_b = np.intersect1d(a.ts_ns, b.ts_ns, return_indices=True)
    return common, b.equity[at_b] - a.equity[at_a]


_Key: TypeAlias = tuple[int, str, str, str, int]


class _Side(NamedTuple):
    orders: dict[_Key, Order]
    fills: dict[str, list[Fill]]
    ends: dict[str, int]

    @classmethod
    def of(cls, record: RunRecord) -> _Side:
        seen: Counter[tuple[int, str, str, str]] = Counter()
        orders: dict[_Key, Order] = {}
        for order in record.orders:
            stem = (order.created_ns, order.strategy, order.decided_symbol or order.symbol, order.side.value)
            orders[(*stem, seen[stem])] = order
            seen[stem] += 1
        fills: dict[str, list[Fill]] = {}
        for fill in record.fills:
            fills.setdefault(fill.order_id, []).append(fill)
        return cls(orders, fills, {u.order_id: u.ts_ns for u in record.updates if u.status in TERMINAL})


def _near_pairs(
    left: _Side, right: _Side, lonely_a: list[_Key], lonely_b: list[_Key], reach_ns: int
) -> list[tuple[_Key, Order, Order]]:
    """Match what is left over with the nearest in time; both lists lose what was matched."""
    groups: dict[tuple[str, ...], list[_Key]] = {}
    for other in sorted(lonely_b):
        groups.setdefault(other[1:4], []).append(other)
    pairs: list[tuple[_Key, Order, Order]] = []
    taken: set[_Key] = set()
    for key in sorted(lonely_a):
        group = groups.get(key[1:4], [])
        first, end = (bisect_left(group, key[0] + reach, key=_decided) for reach in (-reach_ns, reach_ns + 1))
        near = [other for other in group[first:end] if other not in taken]
        if near:
            chosen = min(near, key=lambda other: (abs(other[0] - key[0]), other))
            taken.add(chosen)
            pairs.append((key, left.orders[key], right.orders[chosen]))
    matched = {key for key, _, _ in pairs}
    lonely_a[:] = [key for key in lonely_a if key not in matched]
    lonely_b[:] = [key for key in lonely_b if key not in taken]
    return pairs


def _decided(key: _Key) -> int:
    return key[0]


def _values(side: _Side, order: Order) -> dict[str, tuple[Aspect, _Value]]:
    values: dict[str, tuple[Aspect, _Value]] = {
        "order_type": ("terms", order.order_type.value),
        "time_in_force": ("terms", order.time_in_force.value),
        "tag": ("terms", order.tag),
        "quantity": ("size", order.quantity),
        "filled_quantity": ("size", order.filled_quantity),
        "limit_price": ("price", order.limit_price),
        "stop_price": ("price", order.stop_price),
        "average_price": ("price", order.average_price),
        "decided": ("timing", order.created_ns),
        "arrived": ("timing", order.arrives_ns),
        "expires": ("timing", order.expires_ns),
        "ended": ("timing", side.ends.get(order.order_id)),
        "status": ("status", order.status.value),
        "reason": ("status", order.reason),
        "commission": ("cost", order.commission),
    }
    fills = side.fills.get(order.order_id, [])
    values["fills"] = ("size", len(fills))
    for i, fill in enumerate(fills):
        values[f"fill {i + 1} quantity"] = ("size", fill.quantity)
        values[f"fill {i + 1} price"] = ("price", fill.price)
        values[f"fill {i + 1} price_ideal"] = ("price", fill.price_ideal)
        values[f"fill {i + 1} at"] = ("timing", fill.ts_ns)
    return values


def _differing(
    a: dict[str, tuple[Aspect, _Value]], b: dict[str, tuple[Aspect, _Value]], allowed: Tolerances
) -> Iterator[FieldDifference]:
    for name in dict.fromkeys([*a, *b]):
        # How many fills there are is said once; those that only one order has need no line each.
        if name in a and name in b:
            aspect, one = a[name]
            other = b[name][1]
            if not _agree(aspect, one, other, allowed):
                yield FieldDifference(aspect, name, one, other)


def _agree(aspect: Aspect, one: _Value, other: _Value, allowed: Tolerances) -> bool:
    if one == other:
        return True
    if not isinstance(one, float | int) or not isinstance(other, float | int):
        return False
    if aspect == "timing":
        return abs(one - other) <= allowed.time_s * NS_PER_SECOND
    share = allowed.size if aspect == "size" else allowed.price
    return abs(one - other) <= share * max(abs(one), abs(other))


def _alone(kind: Kind, key: _Key, order: Order) -> OrderDifference:
    return _difference(kind, key, order, ())


def _difference(kind: Kind, key: _Key, order: Order, fields: tuple[FieldDifference, ...]) -> OrderDifference:
    decided, strategy, symbol, side, ordinal = key
    return OrderDifference(kind, decided, strategy, symbol, side, ordinal, order.order_type.value, order.quantity, fields)


def _equity_apart(a: EquityCurve, b: EquityCurve, share: float) -> tuple[float, int | None]:
    common, gap = equity_gap(a, b)
    scale = np.maximum(np.abs(a.equity[np.isin(a.ts_ns, common)]), 1.0)
    # The tolerance of a difference of sums is that of the sums, not of what is left of them.
    wrong = common[~(np.abs(gap) <= share * scale)]
    firsts = [int(found[0]) for found in (wrong, _only(a.ts_ns, b.ts_ns), _only(b.ts_ns, a.ts_ns)) if len(found)]
    return float(np.abs(gap).max(initial=0.0)), min(firsts, default=None)


def _only(one: IntArray, other: IntArray) -> IntArray:
    return np.setdiff1d(one, other)


def _last(record: RunRecord) -> float:
    return float(record.account.equity[-1]) if len(record.account.equity) else record.initial_cash


def _is_stamp(name: str) -> bool:
    return name in ("decided", "arrived", "expires", "ended") or name.endswith(" at")


def _plain(name: str, value: _Value) -> _Value:
    return format_utc(value) if _is_stamp(name) and isinstance(value, int) else value


def _shown(name: str, value: _Value) -> str:
    if value is None or value == "":
        return "none"
    if _is_stamp(name) and isinstance(value, int):
        return format_utc(value)
    return f"{value:.10g}" if isinstance(value, float) else str(value)
