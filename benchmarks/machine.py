"""The machine that a measurement was made on, without names or paths that identify it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

LIBRARIES = ("fairlead", "numpy", "pandas", "polars", "pyarrow", "pydantic", "exchange-calendars", "numba")


def describe_machine() -> dict[str, object]:
    """Return processor, cores, memory, operating system, Python and library versions."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_gb": memory_gb(),
        "os": operating_system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {name: version for name in LIBRARIES if (version := library_version(name))},
    }


def cpu_model() -> str:
    """Return the processor's model, or its architecture where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_gb() -> float | None:
    """Return the physical memory in GiB, to one decimal; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None


def operating_system() -> str:
    """Return the system's name and version."""
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']} ({platform.system()}, {platform.machine()})"
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()} ({platform.machine()})"


def library_version(name: str) -> str | None:
    """Return the installed version of a library; None if it is absent."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
