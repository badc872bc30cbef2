"""`fairlead version`."""

from __future__ import annotations

from fairlead.cli.console import JsonFlag, print_json, stdout


def version(*, json: JsonFlag = False) -> None:
    """Print the versions of Fairlead and Python."""
    import platform

    import fairlead

    if json:
        print_json({"fairlead": fairlead.__version__, "python": platform.python_version(), "platform": platform.platform()})
    else:
        stdout().print(f"fairlead {fairlead.__version__} (Python {platform.python_version()})")
