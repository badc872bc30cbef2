"""What a test turns while a practice Alpaca runs, beside what every broker's server has."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.practice.faults import Switches


@dataclass(slots=True)
class AlpacaSwitches(Switches):
    """What goes wrong with calls by REST.

    Attributes
    ----------
    fails : int
        So many calls are answered with `fail_status`, and nothing is done.
    fails_after : int
        So many orders, changes and cancels are done, and then answered with `fail_status`.
    fail_status : int
        Of HTTP.
    garbles : int
        So many calls are done, and answered with what is no JSON.
    """

    fails: int = 0
    fails_after: int = 0
    fail_status: int = 500
    garbles: int = 0
