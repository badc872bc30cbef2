"""What a server does wrong; every switch can be turned while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from fairlead.practice.faults import Switches


@dataclass(slots=True)
class TwsSwitches(Switches):
    """How a server misbehaves: as any broker may, and in the ways of this one.

    Of those that all share, `refuses_keys` is an API that is read only, `too_many` answers with 100, and `refuses_orders` with
    201. What is held back by `is_silent` or `holds_answers` comes when they are turned off, to whoever is still connected.

    Attributes
    ----------
    is_read_only : bool
        Orders, and questions about them, are refused with 321.
    is_cut_off : bool
        It cannot reach the broker's own servers: orders wait, and what happens to them is not told.
    is_deaf : bool
        It answers nothing that it is asked, but tells what happens.
    holds_commissions : bool
        Executions are told, what they cost is not.
    market_data_error : int
        The code with which market data are refused, such as 354; 0 for none.
    history_error : str
        Why history is refused (162); empty if it is not.
    fills_in_cancel : float
        How much of an order is executed before the next cancel of one is heard.
    refusals : list of (int, str)
        Codes and texts with which the next orders are refused, first come, first served.
    unknown_status : str
        A status that nobody knows, told in the place of Submitted.
    """

    is_read_only: bool = False
    is_cut_off: bool = False
    is_deaf: bool = False
    holds_commissions: bool = False
    market_data_error: int = 0
    history_error: str = ""
    fills_in_cancel: float = 0.0
    refusals: list[tuple[int, str]] = field(default_factory=list)
    unknown_status: str = ""
