"""Where the runs of a study are made: the options that its verbs share."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-j",
        help="Processes (1); with ray, runs at a time (the CPUs of the cluster).",
        min=1,
        max=100_000,
        metavar="N",
        show_default=False,
    ),
]
BackendOption = Annotated[
    str, typer.Option("--backend", help="processes of this machine, or a cluster of ray.", metavar="KIND")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Of the Ray cluster: host:port or auto. Without it Ray is started here.",
        metavar="ADDR",
        show_default=False,
    ),
]
PROCESSES = "processes"


def apart() -> contextlib.AbstractContextManager[object]:
    """Keep standard output for results: what libraries print while runs are made goes to standard error.

    Ray prints there that a worker was lost.
    """
    return contextlib.redirect_stdout(sys.stderr)
