"""How many cores this process may really use.

`os.cpu_count()` counts the machine's cores. A process may be pinned to some of them (affinity), and a
container usually gets a share of time rather than cores (a cgroup's CPU quota): eight workers under a quota
of two cores are throttled together, which is slower than two workers and shows nowhere.

Source: Linux `Documentation/admin-guide/cgroup-v2.rst` (cpu.max), `scheduler/sched-bwc.rst` (cfs_quota_us).
"""

import math
import os
from collections.abc import Iterator
from typing import NamedTuple


class Cores(NamedTuple):
    """The three numbers that bound each other, and what is left.

    `quota` is in cores and may be a fraction; None means that there is no limit.
    """

    machine: int
    affinity: int
    quota: float | None

    @property
    def usable(self) -> int:
        """Cores that are worth a busy worker each.

        A fraction is rounded up: with one worker too few its time would stay unused, with one too many it is
        shared.
        """
        if self.quota is None:
            return self.affinity
        return max(1, min(self.affinity, math.ceil(self.quota)))


def find_cores() -> Cores:
    """Ask the operating system; nothing is cached, as all three may change while we run."""
    machine = os.cpu_count() or 1
    return Cores(machine, _affinity(machine), cgroup_quota("/sys/fs/cgroup", _own_cgroups()))


def cgroup_quota(root: str, membership: str) -> float | None:
    """Return the tightest CPU quota that holds for a process, in cores, or None without one.

    Every ancestor's limit holds as well, so all of them are read. Files that are not there or not understood
    count as no limit: this is an estimate for choosing a number of workers, and must never fail.

    Args:
        root: where the cgroup file systems are mounted, `/sys/fs/cgroup`.
        membership: the text of `/proc/self/cgroup`.
    """
    quotas = [quota for folder in _cgroup_folders(root, membership) for quota in _quotas_in(folder)]
    return min(quotas, default=None)


def _affinity(machine: int) -> int:
    if hasattr(os, "process_cpu_count"):  # 3.13: also knows -X cpu_count and PYTHON_CPU_COUNT
        return os.process_cpu_count() or machine
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return machine


def _own_cgroups() -> str:
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            return file.read()
    except OSError:  # not Linux, or /proc is not mounted
        return ""


def _cgroup_folders(root: str, membership: str) -> Iterator[str]:
    """Yield the folders of the process's CPU cgroups and of all their ancestors.

    A line of `membership` is `id:controllers:path`. Version 2 has no controllers and is mounted at the root,
    or at `unified` beside version 1. In a container the path is often the host's and not visible; the mount's
    own root then is the container's group, which is why the ancestors include it.
    """
    for line in membership.splitlines():
        match line.split(":", 2):
            case [_, "", path]:
                mounts = [root, f"{root}/unified"]
            case [_, controllers, path] if "cpu" in controllers.split(","):
                mounts = [f"{root}/{controllers}", f"{root}/cpu"]
            case _:
                continue
        parts = [part for part in path.split("/") if part]
        for mount in mounts:
            yield from ("/".join([mount, *parts[:depth]]) for depth in range(len(parts), -1, -1))


def _quotas_in(folder: str) -> Iterator[float]:
    """Yield the limits that the files of one cgroup set: `cpu.max` in version 2, two files in version 1."""
    for limit in (
        _words(f"{folder}/cpu.max"),
        _words(f"{folder}/cpu.cfs_quota_us") + _words(f"{folder}/cpu.cfs_period_us"),
    ):
        match limit:
            case [quota, period] if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
                yield int(quota) / int(period)
            case _:  # "max 100000", "-1", or no such file: no limit here
                continue


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except (OSError, UnicodeDecodeError):
        return []
