"""`fairlead dev broker-server`: a broker on this machine behind a real one's protocol, to try live trading with no account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from fairlead.cli.console import SYNTHETIC, JsonFlag, WorkspaceOption, date_option, print_json, say, workspace_of
from fairlead.cli.data import validated
from fairlead.cli.dev_session import chosen_session, to_the_present
from fairlead.core.errors import ConfigurationError, UnknownName

if TYPE_CHECKING:
    from fairlead.execution.brokers.simulated.account import SimulatedAccount
    from fairlead.practice.market import PracticeMarket


class Serving(NamedTuple):
    """A server that listens.

    Parameters
    ----------
    facts : dict
        What ``--json`` prints of it.
    lines : list of str
        What else a person is told: how to use it.
    finished : threading.Event
        Set when its session is over.
    """

    facts: dict[str, Any]
    lines: list[str]
    finished: threading.Event


class Wanted(NamedTuple):
    """What a server is to be."""

    market: PracticeMarket
    account: SimulatedAccount
    now_ns: Callable[[], int]
    port: int
    obeys: bool


def _alpaca(wanted: Wanted) -> AbstractContextManager[Serving]:
    from contextlib import contextmanager

    from fairlead.practice.alpaca.server import AlpacaServer

    @contextmanager
    def serving() -> Any:
        server = AlpacaServer(
            wanted.market, wanted.account, now_ns=wanted.now_ns, port=wanted.port, runs=True, obeys=wanted.obeys
        )
        with server:
            facts = {
                "url": server.url,
                "stream_url": server.stream_url,
                "data_url": server.data_url,
                "data_stream_url": server.data_stream_url(),
                "api_key": server.keys.key,
                "api_secret": server.keys.secret,
            }
            keys = "api_key: '${ALPACA_KEY}', api_secret: '${ALPACA_SECRET}'"
            market, account = wanted.market, wanted.account.account_id
            stream = server.data_stream_url().removesuffix("/v2/iex")
            bars = f"symbols: [{market.symbols[0]}], bar_size: {market.bar_size.value}, calendar: {market.calendar}"
            trading = f"base_url: '{server.url}'"
            both = f"{trading}, data_url: '{server.data_url}'"
            lines = [
                f"  export ALPACA_KEY={server.keys.key} ALPACA_SECRET={server.keys.secret}",
                f"  data: {{type: live, feed: alpaca, url: '{stream}', {bars}, {keys}, params: {{{both}}}}}",
                f"  execution: {{type: broker, broker: alpaca, account: {account}, {keys}, params: {{{trading}}}}}",
            ]
            if wanted.obeys:
                lines.append(f"  Faults are ordered at {server.url}/practice.")
            yield Serving(facts, lines, server.finished)

    return serving()


def _ibkr(wanted: Wanted) -> AbstractContextManager[Serving]:
    from contextlib import contextmanager

    from fairlead.practice.tws import RunningTws, TwsServer, TwsSettings

    settings = validated(TwsSettings, port=wanted.port)

    def make() -> TwsServer:
        return TwsServer(wanted.account, settings, now_ns=wanted.now_ns, market=wanted.market)

    @contextmanager
    def serving() -> Any:
        with RunningTws(make, runs=True, obeys=wanted.obeys) as running:
            facts: dict[str, Any] = {"url": f"{running.host}:{running.port}", "host": running.host, "port": running.port}
            lines = [f"  Connect a client of TWS to it, as {wanted.account.account_id}; any client id will do."]
            if wanted.obeys:
                facts["control_port"] = running.control_port
                lines.append(f"  Faults are ordered at {running.host}:{running.control_port}, one JSON object a line.")
            yield Serving(facts, lines, running.finished)

    return serving()


SERVERS: Final[Mapping[str, Callable[[Wanted], AbstractContextManager[Serving]]]] = {"alpaca": _alpaca, "ibkr": _ibkr}
"""What can be run, by name."""
_ACCOUNTS: Final = {"alpaca": "PA0000000001", "ibkr": "DU0000001"}
_PORTS: Final = {"alpaca": 8770, "ibkr": 8771}


def broker_server(
    broker: Annotated[str, typer.Argument(help=f"Whose protocol it speaks: {', '.join(SERVERS)}.", metavar="BROKER")],
    dataset: Annotated[
        str | None, typer.Argument(help="A dataset of the workspace. Without one: synthetic prices.", metavar="DATASET")
    ] = None,
    *,
    symbols: Annotated[
        str | None, typer.Option("--symbols", "-n", help="Names separated by commas.", metavar="NAMES", show_default=False)
    ] = None,
    bar_size: Annotated[str | None, typer.Option("--bar-size", "-b", help="If it is not clear.", metavar="SIZE")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First day.", metavar="DATE", show_default=False)] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last day.", metavar="DATE", show_default=False)] = None,
    quotes: Annotated[bool, typer.Option("--quotes", help="Quotes beside synthetic bars.", metavar="")] = False,
    from_now: Annotated[
        bool, typer.Option("--from-now", help="Move the stamps to the present; the calendar is then 24/7.", metavar="")
    ] = False,
    speed: Annotated[str, typer.Option("--speed", help="max, or a multiple of real time.", metavar="SPEED")] = "1x",
    port: Annotated[
        int | None,
        typer.Option("--port", help="0 takes a free one.", min=0, max=65535, metavar="PORT", show_default=False),
    ] = None,
    cash: Annotated[float, typer.Option("--cash", help="That the account begins with.", metavar="USD")] = 100_000.0,
    once: Annotated[bool, typer.Option("--once", help="Stop when the session is over.", metavar="")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of synthetic prices.", min=0, metavar="N")] = 42,
    allow_control: Annotated[bool, typer.Option("--allow-control", help="Whoever asks may order faults.", metavar="")] = False,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Run a broker to practise on: an account, orders and market data behind a real broker's protocol, on this machine alone.

    Its session begins when a client first asks for something.

    Example: fairlead dev broker-server alpaca --symbols ACME,TGT --from-now
    """
    from fairlead.core.time import to_ns
    from fairlead.engine.clock import ClockSettings, WallClock
    from fairlead.execution.brokers.simulated.account import SimulatedAccount
    from fairlead.practice.market import PracticeMarket

    if broker not in SERVERS:
        raise UnknownName.among("broker server", broker, SERVERS)
    if not 0 < cash < float("inf"):
        raise ConfigurationError.of("--cash", "be above 0", cash)
    pace = validated(ClockSettings, speed=speed).speed
    names = tuple(name.strip() for name in (symbols or "").split(",") if name.strip())
    days = tuple(None if text is None else date_option(option, text) for option, text in (("--start", start), ("--end", end)))
    events, size, calendar, synthetic = chosen_session(
        dataset, None, names, bar_size, days, quotes=quotes, seed=seed, workspace=workspace_of(workspace)
    )
    if from_now:
        events, calendar = to_the_present(events, size)
    market = PracticeMarket(events, bar_size=size, calendar=calendar.name, speed=pace)
    # At the pace of the world its clock stamps what happens; at another one that of the session does.
    now_ns = (lambda: to_ns(WallClock().now())) if from_now and pace == 1 else (lambda: market.now_ns)
    account = SimulatedAccount(
        _ACCOUNTS[broker], symbols=market.symbols, now_ns=now_ns, cash=cash, calendar=calendar.name, bar_size=size
    )
    chosen_port = _PORTS[broker] if port is None else port
    with SERVERS[broker](Wanted(market, account, now_ns, chosen_port, allow_control)) as serving:
        facts = {
            "broker": broker,
            "account": account.account_id,
            "symbols": list(market.symbols),
            "events": len(events),
            "bar_size": size.value,
            "calendar": calendar.name,
            **serving.facts,
        }
        if json:
            print_json(facts)
        else:
            label = f"{SYNTHETIC} " if synthetic else ""
            text = label + "{broker} with account [bold]{account}[/] and {count} events at [bold]{url}[/]"
            say(text, broker=broker, account=account.account_id, count=f"{len(events):,}", url=serving.facts["url"])
            for line in serving.lines:
                say("{line}", line=line)
        (serving.finished if once else threading.Event()).wait()
