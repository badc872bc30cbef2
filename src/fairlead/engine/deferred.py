"""Records of which some fields are computed when the first of them is read: a run does no work for what nobody looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from fairlead.engine.record import EquityCurve, RunRecord, SessionPrices

Make = Callable[[], Mapping[str, Any]]


class _Deferred:
    """Fills the slots that are empty when one of them is asked for.

    It stands before a frozen dataclass with slots. What is not there yet is no attribute, and Python asks `__getattr__`.
    """

    __slots__ = ()

    _make: Make
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def later(cls, make: Make, **known: Any) -> Self:
        """Return a record with the fields `known`; `make` gives the others."""
        record = object.__new__(cls)
        for name, value in {**known, "_make": make}.items():
            object.__setattr__(record, name, value)
        return record

    def __getattr__(self, name: str) -> Any:
        if name not in type(self).__dataclass_fields__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        for field, value in self._make().items():
            object.__setattr__(self, field, value)
        object.__setattr__(self, "_make", dict)  # nothing more to add, and what it was made of is let go
        return object.__getattribute__(self, name)


class DeferredCurve(_Deferred, EquityCurve):
    """An equity curve that is put together when it is read."""

    __slots__ = ("_make",)


class DeferredPrices(_Deferred, SessionPrices):
    """Prices of session ends that are put together when they are read."""

    __slots__ = ("_make",)


class DeferredRecord(_Deferred, RunRecord):
    """A run's record that is hashed when its digest is read."""

    __slots__ = ("_make",)
