"""Manifests: what a dataset on disk says about itself, so that it can be checked before it is used."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import BarSize, date_to_day, day_to_date

BAR_MANIFEST_VERSION: Final = "1.1"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class BarFile(Settings):
    """One month of bars.

    Parameters
    ----------
    path : str
        Relative to the manifest, with forward slashes.
    rows : int
        Bars.
    instants : int
        Distinct closing instants.
    sha256 : str
        Of the file's bytes: shows tampering.
    content_sha256 : str
        Of the bars themselves, whatever wrote them: equal data has an equal hash.
    """

    path: str
    rows: Count
    instants: Count
    first_session: dt.date
    last_session: dt.date
    sha256: Sha256
    content_sha256: Sha256


class SymbolSpan(Settings):
    """How much of one symbol a dataset holds."""

    symbol: str
    rows: Count
    first_session: dt.date
    last_session: dt.date


class BarManifest(Settings):
    """The manifest of one dataset at one bar size.

    Parameters
    ----------
    schema_version : str
        Of this manifest and of the table's columns. Readers refuse another major version.
    timezone : str
        IANA zone of the exchange.
    adjustment : str
        Prices are stored raw; corporate actions stand beside them.
    synthetic, seed : bool, int or None
        Whether the prices were generated, and from which seed.
    source : str
        Where the prices came from, in words.
    first_label, last_label : datetime
        Opening instants of the first and the last bar.
    content_sha256 : str
        Of all bars and corporate actions.
    actions_sha256 : str
        Of the bytes of ``actions.json``.
    quarantined : int
        Rows that were refused at import and kept in ``quarantine.csv``.
    """

    schema_version: str
    dataset: str
    bar_size: BarSize
    calendar: str
    timezone: str
    adjustment: Literal["none"] = "none"
    synthetic: bool = False
    seed: int | None = None
    source: str = ""
    rows: Count
    symbols: tuple[SymbolSpan, ...]
    first_label: AwareDatetime
    last_label: AwareDatetime
    files: tuple[BarFile, ...]
    content_sha256: Sha256
    actions: Count = 0
    actions_sha256: Sha256
    quarantined: Count = 0


class ActionRecord(Settings):
    """A corporate action as it stands in ``actions.json``; see `CorporateAction` for the meaning of its numbers.

    Version 1.0 of the manifest knew dividends and splits, which have a value and nothing else; they are written as ever.
    """

    symbol: str
    ex_session: dt.date
    kind: ActionKind
    value: float = 0.0
    other: str = ""
    cash: float | None = None
    basis: float | None = None

    @model_validator(mode="after")
    def _states_an_action(self) -> Self:
        self.action()
        return self

    @classmethod
    def of(cls, action: CorporateAction) -> ActionRecord:
        """Return the record of `action`."""
        return cls(
            symbol=action.symbol,
            ex_session=day_to_date(action.ex_session),
            kind=action.kind,
            value=action.value,
            other=action.other,
            cash=action.cash,
            basis=action.basis,
        )

    def action(self) -> CorporateAction:
        """Return the action that this record states.

        Raises
        ------
        ContractError
            If it states none: see `CorporateAction`.
        """
        day = date_to_day(self.ex_session)
        return CorporateAction(self.symbol, day, self.kind, self.value, self.other, self.cash, self.basis)

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain data; what does not apply to its kind is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)
