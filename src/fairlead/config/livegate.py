"""Who may trade at a broker: everything that says "live" or "paper" must say the same (domain rules 7.2 V13, 13.2, 14.3).

The rule is pure: what the configuration, the environment, the address, the account's id and the operator say goes in, and a
permission or every objection comes out. Before a session connects it is asked with what is known then, and again with the
account that the broker has shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fairlead.config.live import BrokerSettings
from fairlead.config.loading import LoadedConfig
from fairlead.core.errors import BrokerAccess, ConfigurationError, FairleadError
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, EndpointKind
from fairlead.execution.brokers.words import BrokerAccount

SWITCH: Final = "TR_MODE"
"""The variable of the environment that says for which kind of trading a machine is."""


class PermissionKind(StrEnum):
    """What is permitted."""

    LIVE = "live"
    """Real money moves."""
    PAPER = "paper"
    """An account of the broker's paper trading, or of a practice server."""
    REHEARSAL = "rehearsal"
    """Everything as live, against a practice server on this machine: no money moves."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What a session may do, and in words for whoever starts it; `account_id` is empty while the broker has not shown it."""

    kind: PermissionKind
    account_id: str
    text: str

    @property
    def is_live(self) -> bool:
        """Whether real money moves."""
        return self.kind is PermissionKind.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGate:
    """The rule, and what it is held to.

    Parameters
    ----------
    mode : str
        Of the configuration.
    switch : str
        What the environment says: the value of ``TR_MODE``, empty if it is not set.
    endpoint : Endpoint
        Where the adapter would connect to.
    account : str, optional
        The account that the configuration names.
    kind_of : callable
        From an account's id to what it says.
    confirmed : str, optional
        The account's id as the operator typed it; None if nobody did.
    """

    mode: str
    switch: str
    endpoint: Endpoint
    account: str | None
    kind_of: Callable[[str], AccountKind]
    confirmed: str | None = None

    @classmethod
    def of(cls, loaded: LoadedConfig, environ: Mapping[str, str], confirmed: str | None = None) -> LiveGate:
        """Return the gate of a configuration whose execution is a broker.

        Raises
        ------
        ConfigurationProblems
            If it is none, or there is no such broker; the text names file and line.
        """
        settings = loaded.settings.execution
        if not isinstance(settings, BrokerSettings):
            rule, remedy = "be 'broker' here", "Or name one: -o 'execution={type: broker, broker: alpaca}'."
            raise loaded.problem(("execution", "type"), ConfigurationError.of("execution.type", rule, settings.type, remedy))
        try:
            kind = settings.kind
        except FairleadError as exc:
            raise loaded.problem(("execution", "broker"), exc) from exc
        return cls(
            mode=loaded.settings.mode,
            switch=environ.get(SWITCH, "").strip(),
            endpoint=kind.endpoint(),
            account=settings.account,
            kind_of=kind.kind_of,
            confirmed=confirmed,
        )

    def check(self, shown: BrokerAccount | None = None, *, only_reduces: bool = False) -> Permission:
        """Return what is permitted.

        Parameters
        ----------
        shown : BrokerAccount, optional
            The account that the broker has shown; None before connecting.
        only_reduces : bool
            Of an operator who looks, cancels or closes: neither the environment's switch nor a confirmation is asked for.
            Configuration, address and account must agree all the same.

        Raises
        ------
        ConfigurationError
            If something does not agree before connecting; every objection is a line.
        BrokerAccess
            If the account that was shown is not the one, or not of the kind, that it must be.
        """
        objections = [*self._of_place(), *self._of_account(), *([] if only_reduces else self._of_operator())]
        if objections:
            raise ConfigurationError("\n".join([f"trading at {self.endpoint.address} is refused:", *objections]))
        if shown is not None and (found := self._of_shown(shown)):
            raise BrokerAccess("\n".join([f"trading in account {shown.account_id} is refused:", *found]))
        return self._permission(shown)

    def admit(self, shown: BrokerAccount) -> None:
        """Raise `BrokerAccess` if the account that a broker has shown is not the one: what a `BrokerLink` is given."""
        self.check(shown)

    @property
    def wants_confirmation(self) -> bool:
        """Whether somebody must type the account's id."""
        return self.mode == "live"

    def _of_place(self) -> list[str]:
        kind, address = self.endpoint
        if self.mode not in {"live", "paper"}:
            return [f"- configuration: 'mode' must be live or paper, was {self.mode!r}"]
        if kind is EndpointKind.UNKNOWN:
            return [f"- address: nothing says whether {address} is live or paper. Use the broker's own, or one on this machine"]
        if self.mode == "paper" and kind is EndpointKind.LIVE:
            return [f"- address: {address} is live, and the configuration is paper. Use the broker's paper address"]
        if self.mode == "live" and kind is EndpointKind.PAPER:
            text = f"- address: {address} is the broker's paper trading, and the configuration is live."
            return [f"{text} Write mode: paper, or use its live address"]
        return []

    def _of_account(self) -> list[str]:
        if self.account is None:
            return ["- account: mode live needs execution.account, was not given"] if self.mode == "live" else []
        return self._of_kind(self.account, self.kind_of(self.account))

    def _of_kind(self, account_id: str, kind: AccountKind) -> list[str]:
        wanted = AccountKind.LIVE if self._is_money else AccountKind.PAPER
        if kind in {wanted, AccountKind.UNKNOWN}:
            return []
        if self._is_money:
            return [f"- account: {account_id} is a paper account, and {self.endpoint.address} is live"]
        why = "the configuration is paper" if self.mode == "paper" else "a rehearsal takes a paper account"
        return [f"- account: {account_id} is a live account, and {why}"]

    def _of_operator(self) -> list[str]:
        found = []
        if self.mode == "paper":
            if self.switch not in {"", "paper"}:
                found.append(f"- environment: {SWITCH} must be paper or not set for a paper configuration, was {self.switch!r}")
            if self.confirmed is not None:
                found.append("- confirmation: an account was confirmed for live trading, and the configuration is paper")
        elif self.mode == "live":
            if self.switch != "live":
                found.append(f"- environment: {SWITCH} must be live, was {self.switch or 'not set'!r}. Set it: {SWITCH}=live")
            if self.confirmed is None:
                found.append("- confirmation: nobody has typed the account's id. Type it, or give --yes-live ACCOUNT")
            elif self.confirmed != self.account:
                found.append(f"- confirmation: account {self.account} is configured, and {self.confirmed!r} was typed")
        return found

    def _of_shown(self, shown: BrokerAccount) -> list[str]:
        if self.account is not None and shown.account_id != self.account:
            return [f"- account: {self.account} is configured, and the broker has shown {shown.account_id}"]
        if found := self._of_kind(shown.account_id, self.kind_of(shown.account_id)):
            return found
        if shown.is_paper == self._is_money:
            word, wanted = ("paper", "live") if shown.is_paper else ("live", "paper")
            return [f"- account: the broker says that {shown.account_id} is {word}, and it must be {wanted}"]
        return []

    @property
    def _is_money(self) -> bool:
        return self.mode == "live" and self.endpoint.kind is EndpointKind.LIVE

    def _permission(self, shown: BrokerAccount | None) -> Permission:
        account = shown.account_id if shown is not None else self.account or ""
        where = f"{f'account {account}' if account else 'the only account'} at {self.endpoint.address}"
        if self._is_money:
            return Permission(PermissionKind.LIVE, account, f"LIVE: real money, {where}")
        if self.mode == "live":
            text = f"REHEARSAL of live trading: no money moves, {where} on this machine"
            return Permission(PermissionKind.REHEARSAL, account, text)
        return Permission(PermissionKind.PAPER, account, f"paper trading: no money moves, {where}")
