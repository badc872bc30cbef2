"""Another capital for a strategy of a running session: who may have it, and what is told of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from fairlead.control.commands import Command
from fairlead.core.errors import RiskLimitError
from fairlead.engine.funding import Funding
from fairlead.engine.runner import StrategyRunner
from fairlead.journal import Entry, entries
from fairlead.risk.monitors import KillLatch


class CapitalChange(NamedTuple):
    """What a change of capital has done, in currency; `paid` is below 0 if money was taken out."""

    strategy: str
    before: float
    after: float
    paid: float
    cash: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for an operator."""
        return self._asdict()

    def entry(self, ts_ns: int, command: Command) -> Entry:
        """Return it for the journal, with who asked for it and why."""
        who, why = command.who, command.why
        return entries.config_change(ts_ns, "capital", self.before, self.after, who=who, reason=why, strategy=self.strategy)


def change_capital(funding: Funding, latch: KillLatch, runner: StrategyRunner, amount: float) -> CapitalChange:
    """Pay in, or take out, what leads to a capital of `amount`.

    Raises
    ------
    RiskLimitError
        If the strategy is halted and would have more, and as `Funding.set_capital`.
    ContractError
        As `Funding.set_capital`.
    """
    name, before = runner.name, runner.ledger.capital
    if amount > before and latch.is_latched(name):
        remedy = "Lift the halt first: fairlead session rearm."
        raise RiskLimitError.of(f"capital of {name}", f"not grow beyond {before:,.2f} while trading is halted", amount, remedy)
    paid = funding.set_capital(runner, amount)
    return CapitalChange(name, before, runner.ledger.capital, paid, runner.ledger.cash)
