"""`fairlead dev`: what developers of feeds, brokers and strategies run beside Fairlead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.console import SYNTHETIC, JsonFlag, WorkspaceOption, date_option, print_json, say, workspace_of
from fairlead.cli.data import validated
from fairlead.cli.dev_broker import broker_server
from fairlead.cli.dev_session import chosen_session, to_the_present

if TYPE_CHECKING:
    from fairlead.data.live.server import MarketServer

DEFAULT_PORT: Final = 8765
_FAULTS: Final = "Faults"

app = typer.Typer(no_args_is_help=True)
app.command("broker-server")(broker_server)


def _rate(name: str, help_: str) -> Any:
    return typer.Option(name, help=help_, metavar="SHARE", rich_help_panel=_FAULTS)


@app.callback()
def _group() -> None:
    """Run servers for tests and demos."""


@app.command("market-server")
def market_server(
    dataset: Annotated[
        str | None, typer.Argument(help="A dataset of the workspace. Without one: synthetic prices.", metavar="DATASET")
    ] = None,
    *,
    recording: Annotated[
        Path | None, typer.Option("--recording", help="A recorded session instead.", metavar="DIR", show_default=False)
    ] = None,
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
    host: Annotated[str, typer.Option("--host", help="Where to listen.", metavar="HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.", min=0, max=65535, metavar="PORT")] = DEFAULT_PORT,
    heartbeat: Annotated[float, typer.Option("--heartbeat", help="Seconds between heartbeats.", metavar="SECONDS")] = 1.0,
    history: Annotated[
        int | None, typer.Option("--history", help="Events that can be asked for again; all by default.", min=0, metavar="N")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when the session is over.", metavar="")] = False,
    drop_every: Annotated[
        int | None, typer.Option("--drop-every", help="Break the socket.", metavar="N", rich_help_panel=_FAULTS)
    ] = None,
    gap_rate: Annotated[float, _rate("--gap-rate", "Events that are not sent.")] = 0.0,
    duplicate_rate: Annotated[float, _rate("--duplicate-rate", "Sent twice.")] = 0.0,
    reorder_rate: Annotated[float, _rate("--reorder-rate", "Sent after the next.")] = 0.0,
    malformed_rate: Annotated[float, _rate("--malformed-rate", "Sent as garbage.")] = 0.0,
    silence_after: Annotated[
        int | None, typer.Option("--silence-after", help="Fall silent after so many.", metavar="N", rich_help_panel=_FAULTS)
    ] = None,
    silence_events: Annotated[
        int, typer.Option("--silence-events", help="For so many.", min=0, metavar="N", rich_help_panel=_FAULTS)
    ] = 0,
    burst_every: Annotated[
        int | None, typer.Option("--burst-every", help="Hold back, then send at once.", metavar="N", rich_help_panel=_FAULTS)
    ] = None,
    burst_size: Annotated[
        int, typer.Option("--burst-size", help="So many at once.", min=1, metavar="N", rich_help_panel=_FAULTS)
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Of faults and synthetic prices.", min=0, metavar="N")] = 42,
    allow_control: Annotated[
        bool, typer.Option("--allow-control", help="Clients may order faults.", metavar="", rich_help_panel=_FAULTS)
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Serve a session of market data over a websocket: for tests, demos, and trying what a broken feed does.

    Example: fairlead dev market-server --symbols ACME,TGT --quotes --speed 60x
    """
    import asyncio

    from fairlead.data.live.faults import FaultSettings
    from fairlead.data.live.server import MarketServer
    from fairlead.engine.clock import ClockSettings

    faults = validated(
        FaultSettings,
        drop_every=drop_every,
        gap_rate=gap_rate,
        duplicate_rate=duplicate_rate,
        reorder_rate=reorder_rate,
        malformed_rate=malformed_rate,
        silence_after=silence_after,
        silence_events=silence_events,
        burst_every=burst_every,
        burst_size=burst_size,
        seed=seed,
    )
    pace = validated(ClockSettings, speed=speed).speed
    names = tuple(name.strip() for name in (symbols or "").split(",") if name.strip())
    days = tuple(None if text is None else date_option(option, text) for option, text in (("--start", start), ("--end", end)))
    events, size, calendar, synthetic = chosen_session(
        dataset, recording, names, bar_size, days, quotes=quotes, seed=seed, workspace=workspace_of(workspace)
    )
    if from_now:
        events, calendar = to_the_present(events, size)
    server = MarketServer(
        events,
        bar_size=size,
        calendar=calendar,
        speed=pace,
        faults=faults,
        host=host,
        port=port,
        heartbeat_s=heartbeat,
        history=history,
        allow_control=allow_control,
        source="synthetic" if synthetic else "cache",
    )
    asyncio.run(_serve(server, once=once, json=json, synthetic=synthetic))


async def _serve(server: MarketServer, *, once: bool, json: bool, synthetic: bool) -> None:
    import asyncio

    async with server:
        facts: dict[str, Any] = {
            "url": server.url,
            "symbols": list(server.symbols),
            "events": len(server.events),
            "bar_size": server.bar_size.value,
            "calendar": server.calendar.name,
        }
        if json:
            print_json(facts)
        else:
            label = f"{SYNTHETIC} " if synthetic else ""
            count, names = f"{len(server.events):,}", f"{len(server.symbols)} symbol{'s' if len(server.symbols) > 1 else ''}"
            say(label + "{count} events of {names} at [bold]{url}[/]", count=count, names=names, url=server.url)
            text = "data: {{type: live, feed: websocket, url: '{url}', symbols: [{first}], bar_size: {size}, calendar: {cal}}}"
            first, size, cal = server.symbols[0], server.bar_size.value, server.calendar.name
            say(f"  Use it: [bold]{text}[/]", url=server.url, first=first, size=size, cal=cal)
        if once:
            await server.left()
        else:
            await asyncio.Event().wait()
