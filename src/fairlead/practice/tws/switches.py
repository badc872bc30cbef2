"""What a server does wrong; every switch can be turned while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Switches:
    """How a server misbehaves.

    Parameters
    ----------
    is_silent : bool
        It takes everything and says nothing. What it would have said comes when the switch is turned back.
    is_read_only : bool
        Orders are refused with 321, as by an API that was set to be read only.
    is_cut_off : bool
        It cannot reach the broker's own servers: orders wait, and what happens to them is not told.
    loses_orders : bool
        An order is taken off the socket, and nothing comes of it.
    is_deaf : bool
        It answers nothing that it is asked, but tells what happens.
    holds_commissions : bool
        Executions are told, their costs are not.
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

    is_silent: bool = False
    is_read_only: bool = False
    is_cut_off: bool = False
    loses_orders: bool = False
    is_deaf: bool = False
    holds_commissions: bool = False
    market_data_error: int = 0
    history_error: str = ""
    fills_in_cancel: float = 0.0
    refusals: list[tuple[int, str]] = field(default_factory=list)
    unknown_status: str = ""
