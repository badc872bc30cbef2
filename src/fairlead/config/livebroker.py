"""The broker that a live session may trade with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from fairlead.config.live import BrokerSettings
from fairlead.config.livegate import LiveGate, Permission
from fairlead.config.loading import LoadedConfig
from fairlead.config.secrets import unlocked
from fairlead.control.brokerport import BrokerThread
from fairlead.control.inputs import SessionInputs
from fairlead.data.live import EventQueue, Queued
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.settings import LinkSettings
from fairlead.execution.brokers.words import BrokerAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBroker:
    """A broker, and what must hold of the account that it shows.

    Parameters
    ----------
    account : str
        Part of the session's name.
    open : callable
        Opens the broker, without connecting.
    admit : callable
        Given the account after every connection; raises `BrokerAccess` if no order may go there.
    settings : LinkSettings
    """

    account: str
    open: Callable[[], Broker]
    admit: Callable[[BrokerAccount], None]
    settings: LinkSettings = field(default_factory=LinkSettings)

    def opened(
        self,
        queue: EventQueue[Queued],
        now_ns: Callable[[], int],
        inputs: SessionInputs,
        sent: Callable[[Sequence[str]], None],
        stack: ExitStack,
    ) -> BrokerThread:
        """Return the way to the broker, not connected yet; it is closed with the stack."""
        thread = BrokerThread(
            self.open(),
            queue,
            self.settings,
            now_ns=now_ns,
            is_muted=lambda: inputs.is_past,
            admit=self.admit,
            since_ns=inputs.began_ns,
            sent=sent,
        )
        stack.callback(thread.stop)
        return thread


def permitted(
    loaded: LoadedConfig,
    environ: Mapping[str, str],
    now_ns: Callable[[], int],
    confirmed: str | None = None,
) -> tuple[SessionBroker, Permission, LoadedConfig]:
    """Return the broker of a configuration, what may be done there, and the configuration with its keys.

    Parameters
    ----------
    confirmed : str, optional
        The account's id as the operator typed it.

    Raises
    ------
    ConfigurationError
        If configuration, environment, address, account and confirmation do not agree, or a key cannot be had.
    """
    gate = LiveGate.of(loaded, environ, confirmed)
    permission = gate.check()
    opened = unlocked(loaded)
    settings = opened.settings.execution
    assert isinstance(settings, BrokerSettings)
    broker = SessionBroker(
        account=settings.account or settings.broker,
        open=lambda: settings.kind.open(settings.keys, now_ns),
        admit=gate.admit,
        settings=settings.link,
    )
    return broker, permission, opened
