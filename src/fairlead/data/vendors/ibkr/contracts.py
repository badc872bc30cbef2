"""Which contract a symbol stands for: asked once, and remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fairlead.core.errors import UnknownName
from fairlead.data.vendors.ibkr.codes import CodeAction, rule_of
from fairlead.data.vendors.ibkr.endpoint import ContractSettings, contract_fields
from fairlead.data.vendors.ibkr.messages import Contract
from fairlead.data.vendors.ibkr.wire import BadAnswer, Wire

_SMART: Final = "SMART"


class UnknownContract(UnknownName):
    """A symbol that stands for no contract, or for more than one.

    Attributes
    ----------
    is_final : bool
        Whether the gateway itself says that there is none.
    """

    is_final = True


class Contracts:
    """The contracts of symbols.

    Parameters
    ----------
    settings : mapping of symbol to ContractSettings
        Of symbols that are not the plain US stock of that name.
    """

    def __init__(self, settings: Mapping[str, ContractSettings]) -> None:
        self._settings = settings
        self._ours = {given.symbol.replace(" ", "."): ours for ours, given in settings.items() if given.symbol}
        self._known: dict[str, Contract] = {}

    @property
    def known(self) -> tuple[str, ...]:
        """The symbols that have been found."""
        return tuple(self._known)

    def ours(self, symbol: str) -> str:
        """Return our name of what the gateway calls so."""
        return self._ours.get(symbol, symbol)

    async def of(self, wire: Wire, symbol: str) -> Contract:
        """Return the contract that a symbol stands for.

        Raises
        ------
        UnknownContract
            If there is none, or more than one.
        BrokerConnection, PacingViolation
            If it cannot be asked for.
        """
        found = self._known.get(symbol)
        if found is not None:
            return found
        try:
            there = await wire.contracts(contract_fields(symbol, self._settings.get(symbol)))
        except BadAnswer as exc:
            if rule_of(exc.code).action is not CodeAction.DISABLE:
                raise
            there = []
        distinct = {contract.con_id: contract for contract in there}
        if not distinct:
            raise UnknownContract.among("contract", symbol, self._known, "No security definition has been found (code 200).")
        if len(distinct) > 1:
            shown = ", ".join(f"{c.con_id} ({c.primary_exchange or c.exchange}, {c.currency})" for c in distinct.values())
            raise UnknownContract(
                f"{symbol} stands for {len(distinct)} contracts: {shown}. Say which one: contracts.{symbol}.con_id."
            )
        contract = next(iter(distinct.values()))
        self._known[symbol] = contract
        return contract
