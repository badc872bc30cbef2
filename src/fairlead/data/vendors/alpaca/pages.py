"""Alpaca's history by REST: pages of bars, quotes and trades, with the errors of the tree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from fairlead.core.errors import BrokerAccess, BrokerConnection, DataError, FairleadError, PacingViolation
from fairlead.data.vendors.alpaca.rest import FailureKind, Rest, RestFailure
from fairlead.data.vendors.alpaca.settings import AlpacaData

_PAGE: Final = 10_000


class AlpacaPages:
    """Asks for history.

    Parameters
    ----------
    settings : AlpacaData
    api_key, api_secret : str
    """

    def __init__(self, settings: AlpacaData, api_key: str, api_secret: str) -> None:
        self._settings = settings
        self._keys = api_key, api_secret
        self._data: Rest | None = None
        self._trading: Rest | None = None

    async def page(self, kind: str, symbols: Sequence[str], fields: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Return the rows of one page by symbol, and what to ask for the next with; empty if there is none.

        Parameters
        ----------
        kind : {'bars', 'quotes', 'trades'}
        symbols : sequence of str
        fields : mapping
            ``start``, ``end``, ``timeframe``, ``page_token``, ... as Alpaca has them.

        Raises
        ------
        BrokerAccess
            If the keys are not accepted, or do not cover this data.
        PacingViolation, BrokerConnection
        DataError
            If the answer cannot be understood, or the question was not.
        """
        query = {"symbols": ",".join(symbols), "feed": self._settings.source, "limit": _PAGE, "sort": "asc", **fields}
        answer = await self._ask(self._of_data(), f"/stocks/{kind}", query)
        rows = answer.get(kind) or {}
        if not isinstance(rows, dict):
            raise DataError(f"Alpaca's answer has no {kind}: {str(rows)[:80]!r}.")
        return rows, str(answer.get("next_page_token") or "")

    async def rows(self, kind: str, symbols: Sequence[str], fields: Mapping[str, Any]) -> AsyncIterator[tuple[str, Any]]:
        """Yield symbol and row of all pages; raises as `page`."""
        token = ""
        while True:
            found, token = await self.page(kind, symbols, {**fields, **({"page_token": token} if token else {})})
            for symbol, rows in found.items():
                for row in rows or ():
                    yield symbol, row
            if not token:
                return

    async def symbols(self) -> frozenset[str]:
        """Return the names of everything that is traded; raises as `page`."""
        rows = await self._ask(self._of_trading(), "/assets", {"status": "active", "asset_class": "us_equity"}, form=list)
        return frozenset(str(row.get("symbol")) for row in rows if isinstance(row, Mapping))

    def close(self) -> None:
        """Close the connections; the next question opens them again."""
        for rest in (self._data, self._trading):
            if rest is not None:
                rest.close()
        self._data = self._trading = None

    def _of_data(self) -> Rest:
        if self._data is None:
            self._data = self._opened(self._settings.data_url)
        return self._data

    def _of_trading(self) -> Rest:
        if self._trading is None:
            self._trading = self._opened(self._settings.base_url)
        return self._trading

    def _opened(self, url: str) -> Rest:
        return Rest(url, *self._keys, timeout_s=self._settings.timeout_s, workers=1)

    async def _ask(self, rest: Rest, path: str, query: Mapping[str, Any], *, form: type[Any] = dict) -> Any:
        try:
            answer = await rest.ask("GET", path, query)
        except RestFailure as exc:
            raise _told(exc, path) from exc
        if not isinstance(answer, form):
            raise DataError(f"Alpaca's answer to {path} cannot be understood: {str(answer)[:80]!r}.")
        return answer


def _told(exc: RestFailure, path: str) -> FairleadError:
    match exc.kind:
        case FailureKind.NOT_SENT | FailureKind.UNANSWERED:
            return BrokerConnection(f"Alpaca does not answer {path}: {exc.text}.")
        case FailureKind.PACING:
            return PacingViolation(f"Alpaca says that too much was asked: {exc.text}.")
        case FailureKind.ACCESS:
            return BrokerAccess(f"Alpaca does not accept the keys: {exc.text}. Check them, and what they are for.")
    if "subscription" in exc.text.lower():
        return BrokerAccess(f"the keys do not cover this data: {exc.text}. Ask for source iex, or pay for sip.")
    return DataError(f"Alpaca refuses {path}: {exc.text}.")
