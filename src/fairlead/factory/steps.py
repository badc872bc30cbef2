"""What each stage of the line did: rows in, rows out, how long, and counts of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

STAGES: Final = ("data", "candidates", "signals", "orders", "replay")

Progress = Callable[[str, int, int], None]
"""Told the stage, how much of it is done, and how much there is; 0 if that is not known."""


@dataclass(slots=True)
class Step:
    """One stage.

    Attributes
    ----------
    name : str
        One of `STAGES`.
    rows_in, rows_out : int
        What it was given and what it handed on.
    seconds : float
        How long it took; the only value that differs between equal runs.
    detail : dict
        Counts of its own.
    status : str
        ``ok``, or ``refused`` or ``failed`` for the stage at which the line stopped.
    """

    name: str
    rows_in: int = 0
    rows_out: int = 0
    seconds: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)
    status: str = "ok"

    def as_json(self, seq: int) -> Mapping[str, Any]:
        """Return the step as plain data."""
        return {
            "seq": seq,
            "step": self.name,
            "status": self.status,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "seconds": self.seconds,
            "detail": self.detail,
        }


@dataclass(slots=True)
class Steps:
    """The stages so far, and who is told of their progress."""

    progress: Progress | None = None
    done: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a stage and keep it, whether it ends well or not."""
        step = Step(name)
        self.done.append(step)
        self.tell(name, 0, 0)
        begin = time.perf_counter()
        try:
            yield step
        except BaseException:
            if step.status == "ok":
                step.status = "failed"
            raise
        finally:
            step.seconds = time.perf_counter() - begin

    def tell(self, name: str, done: int, total: int) -> None:
        """Pass on how much of a stage is done."""
        if self.progress is not None:
            self.progress(name, done, total)
