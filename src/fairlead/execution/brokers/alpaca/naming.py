"""What our orders are called at Alpaca: the one thing of ours that it keeps.

An order's `client_order_id` is its reference. Two linked exits are one order at Alpaca, with one such name and a leg that gets
a name of Alpaca's: so it is made of both references, and after a restart the leg is found by its parent's name. What replaces
an order needs a name that was never used: the same, with a number behind it.
"""

from __future__ import annotations

import uuid
from typing import Final, NamedTuple

from fairlead.core.errors import OrderRejected

_PAIR: Final = "+"
_AGAIN: Final = "~"
LONGEST: Final = 128
_RANDOM: Final = 4
_UUID_LENGTH: Final = 36
_ROOM: Final = 5
"""What the number of a replacement may need."""


class Name(NamedTuple):
    """What a name says.

    Parameters
    ----------
    reference : str
        Of the order that bears it.
    leg : str
        Of its leg; empty if it has none that is ours.
    number : int
        How many times it was replaced by us.
    """

    reference: str
    leg: str = ""
    number: int = 0


def read_name(text: str) -> Name:
    """Return what a `client_order_id` says."""
    whole, _, number = text.rpartition(_AGAIN)
    if not whole or not number.isdecimal():
        whole, number = text, "0"
    reference, _, leg = whole.partition(_PAIR)
    return Name(reference, leg, int(number))


def first_name(text: str) -> str:
    """Return the name that an order was sent under before it was replaced by us."""
    return text.rpartition(_AGAIN)[0] if read_name(text).number else text


def is_alpacas(text: str) -> bool:
    """Whether a name is one that Alpaca gives to orders that come without: a random UUID, which references never are."""
    try:
        return uuid.UUID(text).version == _RANDOM and len(text) == _UUID_LENGTH
    except ValueError:
        return False


def write_name(name: Name) -> str:
    """Return the `client_order_id` that says so.

    Raises
    ------
    OrderRejected
        If Alpaca would not take it, or it would say something else.
    """
    whole = f"{name.reference}{_PAIR}{name.leg}" if name.leg else name.reference
    for part in filter(None, name):
        if isinstance(part, str) and (_PAIR in part or _AGAIN in part):
            raise OrderRejected(f"the reference {part!r} has a {_PAIR!r} or {_AGAIN!r}, with which names are put together.")
    if not 0 < len(whole) <= LONGEST - _ROOM:
        raise OrderRejected(f"the name {whole!r} must have 1 to {LONGEST - _ROOM} characters for Alpaca, was {len(whole)}.")
    return f"{whole}{_AGAIN}{name.number}" if name.number else whole
