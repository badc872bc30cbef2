"""What can go wrong on the way to a broker, to be turned on and off while something runs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Switches:
    """What a test turns while a broker runs; a protocol server and the simulated broker each have one.

    Attributes
    ----------
    is_silent : bool
        Connections stay open, and nothing is told or answered.
    refuses_keys : bool
        Keys and accounts are not accepted, from the next call on.
    holds_answers : bool
        Orders are taken and worked on, and nobody is answered until it is turned off.
    loses_answers : int
        So many orders are taken, and the connection breaks before the answer.
    loses_orders : int
        So many orders are not taken, and the connection breaks.
    too_many : int
        So many calls are answered with "too much".
    repeats : int
        So many times more everything is told.
    refuses_orders : str
        Why every new order is refused; empty for not.
    calls : list of str
        Names of the calls that came, so that a test can tell what was sent, and how often.
    """

    is_silent: bool = False
    refuses_keys: bool = False
    holds_answers: bool = False
    loses_answers: int = 0
    loses_orders: int = 0
    too_many: int = 0
    repeats: int = 0
    refuses_orders: str = ""
    calls: list[str] = field(default_factory=list)

    def take(self, name: str) -> bool:
        """Return whether one of the counted switches is on, and count it down."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0
