"""What bounds a worker: how many tasks it runs, how much memory it keeps, how many threads its libraries start.

Libraries for numbers (BLAS, OpenMP) start a thread for each core, in every process: eight workers on eight cores would
run 64. So a worker's are limited such that workers x threads <= usable cores. These libraries read their limit as they
are loaded: it is in the environment before a forkserver or worker imports anything, and whatever workers start inherits
it. A limit that the user has set stays.

Source: joblib 1.x, "Avoiding over-subscription of CPU resources".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from potok.cores import find_cores

__all__ = ["HAS_RSS", "environment", "hold_threads", "peak_memory", "resident_bytes", "threads_for"]

GENERAL = "OMP_NUM_THREADS"
OWN = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Each takes precedence over the general one: where the user has set that, these may not go against it."""
APART = ("VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")

HAS_RSS = os.path.exists("/proc/self/statm")


def threads_for(workers: int | None, max_workers: int | None) -> int:
    """How many threads the libraries of each worker may have, if so many workers are busy."""
    usable = find_cores().usable
    busy = max(workers or 0, max_workers or 0) or usable
    return max(1, usable // busy)


def peak_memory(used: Any) -> int:
    """Bytes of memory that a process had at most, by what `wait4` tells of it."""
    return int(used.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def environment(threads: int, given: Mapping[str, str]) -> dict[str, str]:
    """This environment with the limit in it, where nobody has set one."""
    names = APART if GENERAL in given else (GENERAL, *OWN, *APART)
    return {name: str(threads) for name in names} | dict(given)


def hold_threads(threads: int) -> None:
    """In a worker: limit the libraries that are loaded already, if threadpoolctl is there to do it."""
    if GENERAL in os.environ and os.environ[GENERAL] != str(threads):
        return  # the user's
    if "threadpoolctl" not in sys.modules:
        from importlib.util import find_spec

        if find_spec("threadpoolctl") is None:
            return
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)


def resident_bytes(pid: int) -> int:
    """How much memory that process has at the moment; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            pages = file.read().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
