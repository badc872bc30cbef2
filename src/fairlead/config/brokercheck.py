"""The check-up of an account before anyone trades in it: keys, address, account, clock, permissions, market data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from fairlead.config.brokering import BrokerOperator, operator_of
from fairlead.config.livegate import SWITCH
from fairlead.config.loading import LoadedConfig
from fairlead.control.looking import look
from fairlead.core.errors import BrokerAccess, BrokerError, FairleadError
from fairlead.execution.brokers.inspection import (
    CLOCK,
    MARKET_DATA,
    READ_ONLY,
    SHORTING,
    TRADING,
    Finding,
    Inspectable,
    Timed,
    Verdict,
)
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.words import BrokerAccount

MOST_DRIFT_MS: Final = 50.0
"""Of our clock against the broker's (domain rule 16.2)."""
_ASKED_OF_ADAPTERS: Final = (TRADING, SHORTING, MARKET_DATA, READ_ONLY)
_NS_PER_MS: Final = 1_000_000
_TRIES: Final = 5


def examine_broker(
    loaded: LoadedConfig,
    environ: Mapping[str, str],
    now_ns: Callable[[], int],
    workspace: Path | str | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Finding]:
    """Return every finding about the account that a configuration trades in. Nothing is sent but questions.

    Parameters
    ----------
    loaded : LoadedConfig
        Of which the execution is a broker; what is wrong with it is a finding.
    environ, now_ns, workspace
        As `operator_of`.
    monotonic : callable
        Seconds, to measure how long an answer takes.
    """
    try:
        operator = operator_of(loaded, environ, now_ns, workspace)
        broker = operator.open()
    except FairleadError as exc:
        return [Finding("configuration and keys", Verdict.FAILED, str(exc), "Mend that first: nothing else was looked at.")]
    findings = [_endpoint(operator), _switch(operator), _keys(operator)]

    async def ask(asked: Broker, account: BrokerAccount) -> list[Finding]:
        return [_account(account), *await _rights(asked, account), await _clock(asked, now_ns, monotonic)]

    try:
        findings += asyncio.run(look(broker, operator.admit, ask, attempt_s=operator.settings.link.attempt_s))
    except BrokerAccess as exc:
        remedy = "Check keys, account and address: those of paper open no live account, nor the other way round."
        findings.append(Finding("account", Verdict.FAILED, str(exc), remedy))
    except (BrokerError, OSError) as exc:
        findings.append(Finding("connection", Verdict.FAILED, str(exc), "Is it running, and is the address right?"))
    return findings


def _endpoint(operator: BrokerOperator) -> Finding:
    kind, address = operator.gate.endpoint
    return Finding("address", Verdict.OK, f"{kind}: {address}; {operator.permission.text}")


def _switch(operator: BrokerOperator) -> Finding:
    gate = operator.gate
    found = f"{SWITCH}={gate.switch}" if gate.switch else f"{SWITCH} is not set"
    wanted = {"live": {"live"}, "paper": {"", "paper"}}[gate.mode]
    if gate.switch in wanted:
        return Finding("environment", Verdict.OK, found)
    remedy = f"A session will be refused: set {SWITCH}={gate.mode}."
    return Finding("environment", Verdict.WARNING, f"{found}, and the configuration is {gate.mode}", remedy)


def _keys(operator: BrokerOperator) -> Finding:
    keys = operator.settings.keys
    given = [name for name, key in (("api_key", keys.api_key), ("api_secret", keys.api_secret)) if key]
    return Finding("keys", Verdict.OK, f"found: {' and '.join(given)}" if given else "none given, and none asked for")


def _account(account: BrokerAccount) -> Finding:
    kind = "paper" if account.is_paper else "live"
    money = f"{account.nav:,.2f} {account.currency}, buying power {account.buying_power:,.2f}"
    if not account.buying_power > 0:
        return Finding(
            "account", Verdict.WARNING, f"{account.account_id}, {kind}: {money}", "It can buy nothing: pay in first."
        )
    return Finding("account", Verdict.OK, f"{account.account_id}, {kind}: {money}")


async def _rights(broker: Broker, account: BrokerAccount) -> list[Finding]:
    """Return what the account may do; what an adapter says of it goes before what the seam says."""
    told: Sequence[Finding] = await broker.inspect() if isinstance(broker, Inspectable) else ()
    named = {finding.check for finding in told}
    own = []
    if account.is_blocked:
        found, remedy = account.reason or "the account takes no orders", "Ask the broker why, and have it lifted."
        own.append(Finding(TRADING, Verdict.FAILED, found, remedy))
    elif TRADING not in named:
        own.append(Finding(TRADING, Verdict.OK, "the account takes orders"))
    if SHORTING not in named:
        remedy = "" if account.can_short else "Strategies that sell short will be refused; ask for a margin account."
        verdict = Verdict.OK if account.can_short else Verdict.WARNING
        own.append(Finding(SHORTING, verdict, "allowed" if account.can_short else "not allowed", remedy))
    known = named | {finding.check for finding in own}
    text = f"{broker.name} does not say"
    return [*own, *told, *(Finding(check, Verdict.UNKNOWN, text) for check in _ASKED_OF_ADAPTERS if check not in known)]


async def _clock(broker: Broker, now_ns: Callable[[], int], monotonic: Callable[[], float]) -> Finding:
    """Return how far our clock is from the broker's: the answer that was quickest says it most exactly."""
    if not isinstance(broker, Timed):
        return Finding(CLOCK, Verdict.UNKNOWN, f"{broker.name} does not tell its time", "Keep this machine's by NTP.")
    best: tuple[float, float] | None = None
    for _ in range(_TRIES):
        asked_ns, began = now_ns(), monotonic()
        theirs_ns = await broker.clock_ns()
        took_ms = (monotonic() - began) * 1_000
        # Somewhere between question and answer: half of that time is how wrong this can be.
        drift_ms = (asked_ns - theirs_ns) / _NS_PER_MS + took_ms / 2
        best = min(best or (took_ms, drift_ms), (took_ms, drift_ms))
    assert best is not None
    took_ms, drift_ms = best
    found = f"{drift_ms:+.0f} ms against the broker's, to within {took_ms / 2:.0f} ms"
    if abs(drift_ms) - took_ms / 2 > MOST_DRIFT_MS:
        return Finding(CLOCK, Verdict.WARNING, found, f"Set it by NTP: more than {MOST_DRIFT_MS:g} ms is too much.")
    if abs(drift_ms) + took_ms / 2 > MOST_DRIFT_MS:
        return Finding(CLOCK, Verdict.UNKNOWN, f"{found}: whether it is within {MOST_DRIFT_MS:g} ms cannot be told")
    return Finding(CLOCK, Verdict.OK, found)
