"""Every error that Fairlead raises, in one tree.

::

    FairleadError
    ├── ConfigurationError (also ValueError)   a setting, parameter or argument is wrong
    │   └── UnknownName                        a name that nothing is registered under
    ├── ContractError (also ValueError)        data breaks the rules of a border
    ├── DataError                              data is missing, unreadable or unusable
    │   ├── DataNotFound                       no such dataset, symbol or date range
    │   ├── StaleData                          data is older than it may be
    │   ├── DataGap                            expected rows are missing
    │   └── StorageError                       the disk refused (full, read-only, ...)
    ├── StrategyError                          a strategy raised or broke its contract
    ├── LookaheadError                         something reached beyond its clock
    ├── InvalidTransition                      an order status change the table does not allow
    ├── ModelError                             a model artefact cannot be used
    ├── BrokerError                            a broker refused or failed
    │   ├── OrderRejected
    │   ├── OrderUnresolved                    nobody knows whether the broker has it
    │   ├── BrokerConnection
    │   ├── BrokerAccess                       keys or account are not accepted
    │   ├── PacingViolation
    │   └── InsufficientFunds
    ├── GateError                              a promotion gate cannot open
    ├── RiskLimitError                         a risk limit was breached
    │   ├── DailyLossLimit
    │   ├── DrawdownLimit
    │   └── PositionLimit
    └── KillSwitchTriggered                    trading was halted

A message gives name, rule, value and remedy; `FairleadError.of` writes it from those parts. Errors of other libraries are
translated at the seam where they arise, with the original as ``__cause__``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self


class FairleadError(Exception):
    """Base of the tree; catch it to catch everything that Fairlead raises on purpose."""

    @classmethod
    def of(cls, name: str, rule: str, value: object, remedy: str = "") -> Self:
        """Return an error whose text is built from its four parts.

        Parameters
        ----------
        name : str
            What is wrong: a setting's path, a parameter, a column.
        rule : str
            The rule it broke, phrased to follow "must", e.g. ``"be in (0, 1]"``.
        value : object
            What was found instead.
        remedy : str, optional
            A sentence that tells the reader what to do.
        """
        text = f"'{name}' must {rule}, was {value!r}"
        return cls(f"{text}. {remedy}" if remedy else text)


class ConfigurationError(FairleadError, ValueError):
    """A setting, parameter or argument is wrong."""


class UnknownName(ConfigurationError):
    """A name that nothing is registered under."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], remedy: str = "") -> Self:
        """Return the error for `name`, listing what is known and the nearest match."""
        names = sorted(known)
        near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1)
        guess = next((n for n in names if near and n.lower() == near[0]), None)
        text = f"no {kind} named {name!r}"
        text += f"; did you mean {guess!r}?" if guess is not None else "."
        text += f" Known: {', '.join(names) if names else '(none)'}."
        return cls(f"{text} {remedy}".rstrip())


class ContractError(FairleadError, ValueError):
    """Data breaks the rules of a border."""


class DataError(FairleadError):
    """Data is missing, unreadable or unusable."""


class DataNotFound(DataError):
    """No such dataset, symbol or date range."""


class StaleData(DataError):
    """Data is older than it may be."""


class DataGap(DataError):
    """Rows that must be there are missing."""


class StorageError(DataError):
    """The disk refused a write or a read."""


class StrategyError(FairleadError):
    """A strategy raised, or broke the contract of the SDK."""


class LookaheadError(FairleadError):
    """Something reached beyond what was known at its clock."""


class InvalidTransition(FairleadError):
    """An order status change that the transition table does not allow."""


class ModelError(FairleadError):
    """A model artefact cannot be used."""


class BrokerError(FairleadError):
    """A broker refused or failed."""


class OrderRejected(BrokerError):
    """The broker rejected an order."""


class OrderUnresolved(BrokerError):
    """Something was sent, and it is not known whether the broker has it: it must be looked up, and not sent again."""


class BrokerAccess(BrokerError):
    """The broker does not accept the keys, or the account is not the one that it must be."""


class BrokerConnection(BrokerError):
    """The link to the broker is down."""


class PacingViolation(BrokerError):
    """Too many messages in too short a time."""


class InsufficientFunds(BrokerError):
    """The account cannot pay for the order."""


class GateError(FairleadError):
    """A promotion gate cannot open."""


class RiskLimitError(FairleadError):
    """A risk limit was breached."""


class DailyLossLimit(RiskLimitError):
    """The session's loss is beyond its limit."""


class DrawdownLimit(RiskLimitError):
    """The drawdown is beyond its limit."""


class PositionLimit(RiskLimitError):
    """A position is beyond its limit."""


class KillSwitchTriggered(FairleadError):
    """Trading was halted by a kill switch."""
