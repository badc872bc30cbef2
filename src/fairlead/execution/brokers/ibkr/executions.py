"""Executions as Interactive Brokers tells them: without their commission, repeatedly, and corrected under a new number.

The number of a correction differs from that of what it corrects behind the last dot alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fairlead.data.vendors.ibkr.messages import CommissionTold, ExecutionTold
from fairlead.execution.brokers.ibkr.mapping import side_of
from fairlead.execution.brokers.words import Execution

_WITH_COMMISSION = "/commission"
_VOID = "/void"


class ExecutionDesk:
    """Brings executions and their commissions together. It owns no clock.

    Parameters
    ----------
    reference_of : callable
        The reference that an execution is told under.
    symbol_of : callable
        Our name of what the broker calls so.
    """

    def __init__(
        self, reference_of: Callable[[ExecutionTold], str], symbol_of: Callable[[str], str] = lambda symbol: symbol
    ) -> None:
        self._reference_of, self._symbol_of = reference_of, symbol_of
        self._commissions: dict[str, float] = {}
        self._waiting: dict[str, ExecutionTold] = {}
        self._told: dict[str, list[Execution]] = {}
        self._chains: dict[str, list[str]] = {}
        self._asked_for: set[str] = set()

    @property
    def waiting(self) -> tuple[str, ...]:
        """The executions that wait for their commissions."""
        return tuple(self._waiting)

    def is_correction(self, told: ExecutionTold) -> bool:
        """Return whether an execution corrects another."""
        return bool(_before(told.execution_id, self._chains.get(_prefix(told.execution_id), ())))

    def take(self, told: ExecutionTold, *, is_answer: bool = False) -> list[Execution]:
        """Take in an execution and return what is to be told now: nothing while its commission is to come.

        Parameters
        ----------
        told : ExecutionTold
        is_answer : bool
            Whether it was asked for: it may have been told before this process began.
        """
        name = told.execution_id
        if name in self._told or name in self._waiting:
            return []
        chain = self._chains.setdefault(_prefix(name), [])
        if name not in chain:
            chain.append(name)
            chain.sort(key=_ordinal)
        if is_answer:
            self._asked_for.add(name)
        if name in self._commissions or not told.quantity:
            return self._tell(told)
        self._waiting[name] = told
        return []

    def take_commission(self, told: CommissionTold) -> list[Execution]:
        """Take in a commission and return what is to be told now."""
        name = told.execution_id
        before, self._commissions[name] = self._commissions.get(name), told.commission
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            return self._tell(waiting)
        said = self._told.get(name)
        if not said or before is not None or self._is_corrected(name) or said[0].commission == told.commission:
            return []
        late = said[0]._replace(execution_id=name + _WITH_COMMISSION, commission=told.commission, replaces=name)
        said.append(late)
        return [late]

    def give_up(self, name: str) -> list[Execution]:
        """Return an execution that has waited long enough, without its commission; nothing if it is not waiting any more."""
        waiting = self._waiting.pop(name, None)
        return [] if waiting is None else self._tell(waiting)

    def said(self, told: ExecutionTold) -> list[Execution]:
        """Return what an execution was told as; nothing if it has not been."""
        return list(self._told.get(told.execution_id, ()))

    def _tell(self, told: ExecutionTold) -> list[Execution]:
        name = told.execution_id
        if self._is_corrected(name):  # what corrects it was told before it: it never counts
            self._told[name] = []
            return []
        chain = self._chains[_prefix(name)]
        replaced = _before(name, [other for other in chain if self._told.get(other)])
        standing = [said for said in self._told.get(replaced, ()) if not said.execution_id.endswith(_VOID)]
        execution = Execution(
            execution_id=name,
            reference=self._reference_of(told),
            broker_id=str(told.perm_id),
            symbol=self._symbol_of(told.symbol),
            side=side_of(told.side),
            quantity=told.quantity,
            price=told.price,
            commission=self._commissions.get(name, 0.0),
            ts_ns=told.ts_ns,
            replaces=standing[-1].execution_id if standing else replaced,
            is_bust=bool(replaced) and not told.quantity,
        )
        said = self._told[name] = [execution]
        if replaced in self._asked_for and len(standing) == 1:
            # Who was told of it before this process began may have been told of its commission apart.
            late = replaced + _WITH_COMMISSION
            said.append(execution._replace(execution_id=late + _VOID, replaces=late, quantity=0.0, is_bust=True))
        return list(said)

    def _is_corrected(self, name: str) -> bool:
        chain = self._chains[_prefix(name)]
        return any(self._told.get(later) for later in chain if _ordinal(later) > _ordinal(name))


def _prefix(name: str) -> str:
    return name.rpartition(".")[0] or name


def _ordinal(name: str) -> tuple[int, str]:
    last = name.rpartition(".")[2]
    return (int(last) if last.isdigit() else 0, name)


def _before(name: str, chain: Sequence[str]) -> str:
    """Return the number of what an execution corrects; empty if it is the first of its chain."""
    known = [other for other in chain if _ordinal(other) < _ordinal(name)]
    if known:
        return known[-1]
    prefix, dot, last = name.rpartition(".")
    if dot and last.isdigit() and int(last) > 1:
        return f"{prefix}.{int(last) - 1:0{len(last)}d}"
    return ""
