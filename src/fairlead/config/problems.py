"""What is wrong with a configuration, and where: one line for each mistake, all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from fairlead.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a value was written.

    Parameters
    ----------
    source, number : int
        Sort key: files (0, line) come before overrides (1, ordinal).
    place : str
        What a message says: ``run.yaml:12``, ``run.yaml:30 (profile 'fast')`` or ``override -o seed=7``.
    """

    source: int
    number: int
    place: str

    @classmethod
    def in_file(cls, file: str, line: int) -> Self:
        """Return the origin of a line, counted from 1."""
        return cls(0, line, f"{file}:{line}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake."""

    origin: Origin
    text: str

    def __str__(self) -> str:
        return f"{self.origin.place}: {self.text}"


class ConfigurationProblems(ConfigurationError):
    """Everything that is wrong with a configuration.

    Attributes
    ----------
    problems : tuple of str
        One line each, ``file:line: 'a.b.c' must <rule>, was <value>. <remedy>``, in file order.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    @classmethod
    def of_all(cls, problems: Iterable[Problem]) -> Self:
        """Return the error that lists `problems` in file order, each once."""
        ordered = sorted(problems, key=lambda problem: problem.origin)
        return cls(dict.fromkeys(str(problem) for problem in ordered))

    @classmethod
    def of_one(cls, origin: Origin, text: str) -> Self:
        """Return the error of a single mistake."""
        return cls.of_all([Problem(origin, text)])
