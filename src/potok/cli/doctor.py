"""`potok doctor`: what potok finds on this machine, and what it cannot do here and why.

The first thing to read in a bug report, and the first thing to look at when a program is slower than
expected: a container with half a core, a GIL that an extension switched on again, an extra that is missing.
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from potok.cores import find_cores

SCHEMA = 1
"""Version of the `--json` document. It grows when a reader of the old one would misread the new one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `potok doctor`."""
    parser.add_argument("--json", action="store_true", help="write the report as JSON, for programs")


def run(args: argparse.Namespace) -> int:
    """Print the report on stdout; the exit code is 0 whatever it says, as nothing in it is an error."""
    report = examine()
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        _show(report)
    return 0


def examine() -> dict[str, Any]:
    """Return the report as plain data, in the shape of the `--json` document."""
    cores = find_cores()
    return {
        "version": SCHEMA,
        "potok": _installed_version("potok"),
        "python": _python(),
        "platform": platform.platform(),
        "cores": {
            "machine": cores.machine,
            "affinity": cores.affinity,
            "quota": cores.quota,
            "usable": cores.usable,
        },
        "start_methods": _start_methods(),
        "executors": _executors(),
        "dependencies": {name: _installed_version(name) for name, extra in _requirements() if not extra},
        "extras": _extras(),
    }


def _python() -> dict[str, Any]:
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "build": " ".join(platform.python_build()),
        "compiler": platform.python_compiler(),
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        # A free-threaded build runs with the GIL when an extension asks for it, so the build says not enough.
        "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
    }


def _start_methods() -> dict[str, Any]:
    """Name multiprocessing's start methods without settling which one this process uses."""
    available = multiprocessing.get_all_start_methods()
    return {"default": available[0], "available": available}


def _executors() -> dict[str, dict[str, Any]]:
    """Say of every executor whether it works here, by running a task on it."""
    from potok.adviser.here import why_not

    names = ("inline", "coroutines", "threads", "interpreters", "processes", "simulated")
    reasons = {name: why_not(name, trying=True) for name in names}
    return {name: {"available": reason is None, "reason": reason} for name, reason in reasons.items()}


def _extras() -> dict[str, dict[str, str | None]]:
    """Return the optional packages by extra, each with its version or None when it is not installed."""
    extras: dict[str, dict[str, str | None]] = {}
    for name, extra in _requirements():
        if extra and name != "potok":
            extras.setdefault(extra, {})[name] = _installed_version(name)
    return extras


def _requirements() -> Iterator[tuple[str, str | None]]:
    """Yield the name of every requirement of the installed potok, with the extra that it belongs to."""
    try:
        lines = importlib.metadata.requires("potok") or []
    except importlib.metadata.PackageNotFoundError:  # running from its sources
        return
    for line in lines:  # "greenlet>=3.1", "uvloop>=0.21; sys_platform != 'win32' and extra == 'uvloop'"
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)""", line)
        if name:
            yield name.group(), extra.group(1) if extra else None


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _show(report: Mapping[str, Any]) -> None:
    """Print the report for people: a title in the first column, one fact a line."""
    from rich.console import Console
    from rich.text import Text

    # NO_COLOR takes the colours away in rich, but leaves bold: a log should get no escape sequence at all.
    color_system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(highlight=False, soft_wrap=True, color_system=color_system)
    for title, lines in _sections(report):
        for number, (line, style) in enumerate(lines):
            heading = Text(f"{title if number == 0 else '':<14}", style="bold")
            console.print(heading + Text(line, style=style))


def _sections(report: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the title and the (line, style) pairs of each part of the report."""
    python, cores, start = report["python"], report["cores"], report["start_methods"]
    gil = "on" if python["gil"] else "off"
    build = "free-threaded build" if python["free_threaded_build"] else "build with a GIL"
    yield "potok", [(report["potok"] or "not installed, running from its sources", "")]
    version = f"{python['implementation']} {python['version']} ({python['build']}, {python['compiler']})"
    yield "Python", [(version, ""), (f"GIL {gil} ({build})", "")]
    yield "platform", [(report["platform"], "")]
    yield "usable cores", [(f"{cores['usable']} ({_bounds(cores)})", "")]
    yield "start methods", [(f"{', '.join(start['available'])} (default: {start['default']})", "")]
    yield "executors", [_executor(*item) for item in report["executors"].items()]
    yield "depends on", [(_package(*item), "") for item in report["dependencies"].items()]
    for extra, packages in report["extras"].items():
        yield f"[{extra}]", [(_package(*item), "" if item[1] else "dim") for item in packages.items()]


def _bounds(cores: Mapping[str, Any]) -> str:
    quota = "no cgroup quota" if cores["quota"] is None else f"cgroup quota {cores['quota']:g}"
    return f"machine {cores['machine']}, affinity {cores['affinity']}, {quota}"


def _executor(name: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    return f"{name:<14}{entry['reason'] or 'available'}", "green" if entry["available"] else "yellow"


def _package(name: str, version: str | None) -> str:
    return f"{name:<18}{version or 'not installed'}"
