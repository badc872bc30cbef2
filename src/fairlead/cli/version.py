"""`fairlead version`."""

from __future__ import annotations

from fairlead.cli.console import JsonFlag, print_json, say


def version(*, json: JsonFlag = False) -> None:
    """Print the versions of Fairlead and Python.

    Example: fairlead version --json
    """
    print_version(json=json)


def print_version(*, json: bool = False) -> None:
    """Print the versions, for people or for machines."""
    import platform

    import fairlead

    if json:
        print_json({"fairlead": fairlead.__version__, "python": platform.python_version(), "platform": platform.platform()})
    else:
        say("fairlead {version} (Python {python})", version=fairlead.__version__, python=platform.python_version())
