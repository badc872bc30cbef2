"""A run on the screen, instant by instant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Literal

from fairlead.cli.console import note, say

if TYPE_CHECKING:
    from fairlead.engine.recorder import Instant

_FEW: Final = 6
_HELP: Final = "Enter: next instant with an event. n: next instant. c: run to the end. q: quit."


class Quit(Exception):
    """Whoever watched has seen enough; the text is the instant."""


class Stepper:
    """Prints what happened at each instant, and asks how to go on.

    Parameters
    ----------
    asks : bool
        Whether to wait for a line of standard input after each instant. At the end of the input the run goes on by itself.
    """

    def __init__(self, *, asks: bool) -> None:
        self._asks = asks
        self._until: Literal["event", "instant", "end"] = "event"

    def __call__(self, instant: Instant) -> None:
        """Print `instant`, if it is one to stop at.

        Raises
        ------
        Quit
            If the answer is q.
        """
        if self._until == "end" or (self._until == "event" and not instant.events):
            return
        self._print(instant)
        if self._asks and not instant.is_end:
            self._ask(instant)

    def _print(self, instant: Instant) -> None:
        from fairlead.backtest.eventrows import fact_row
        from fairlead.backtest.eventtext import EventWords
        from fairlead.core.time import format_utc

        equity = sum(ledger.equity for ledger in instant.ledgers.values())
        when = "end of the run" if instant.is_end else format_utc(instant.ts_ns)
        say("[bold]{when}[/]  [dim]equity[/] {equity}{prices}", when=when, equity=f"{equity:,.2f}", prices=_prices(instant))
        words = EventWords(instant.orders)
        for event in instant.events:
            stage, strategy = event.stage.name.lower().replace("_", " "), event.strategy
            say(
                "  [dim]{stage}[/]{strategy}{text}",
                stage=f"{stage:<17}",
                strategy=f"{strategy}  " if strategy and len(instant.ledgers) > 1 else "",
                text=words(fact_row(event)),
            )

    def _ask(self, instant: Instant) -> None:
        from fairlead.core.time import format_utc

        while True:
            if sys.stdin.isatty():
                note("[dim]{help}[/]", help=_HELP)
            line = sys.stdin.readline()
            answer = line.strip().lower()
            if not line or answer == "c":
                self._until = "end"
            elif answer == "q":
                raise Quit(format_utc(instant.ts_ns))
            elif answer in ("", "n"):
                self._until = "instant" if answer else "event"
            else:
                note("[yellow]![/] {answer} is not understood. {help}", answer=answer, help=_HELP)
                continue
            return


def _prices(instant: Instant) -> str:
    """Return the closes of the symbols in which something happened; of all, if they are few."""
    concerned = {str(getattr(event.fact, "symbol", "")) for event in instant.events}
    shown = [bar for bar in instant.bars if bar.symbol in concerned or len(instant.bars) <= _FEW]
    return "".join(f"  {bar.symbol} {bar.close:,.10g}" for bar in shown[:_FEW])
