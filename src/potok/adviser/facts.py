"""What is known of a function: between the probe, which measures, and the model, which judges."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Facts"]


class Facts(NamedTuple):
    """What was measured. Seconds and bytes are those of one item, on the average."""

    items: int
    """How many were called, the first one included."""
    wall: float
    spread: float
    """Standard deviation of `wall`, relative to it."""
    cpu: float
    """CPU time of the calling thread."""
    process_cpu: float
    """CPU time of all threads of the process."""
    gil_held: float | None
    """Share of the time in which the GIL was held; None where that was too short to tell, or there is no GIL."""
    waiting: float
    """Share of the time in which the thread neither computed nor was kept from it by other programs."""
    args_bytes: float
    results_bytes: float
    pickle: float
    """To pickle, and to unpickle, the arguments and the result, by samples; at least so much if they are large."""
    unpicklable: str | None
    """What can't go to another address space, and why."""
    mutates: str | None
    """What the function changes that outlives the call; see `state`."""
    hidden_threads: float
    """Cores that other threads of the process kept busy meanwhile: a BLAS does."""
    is_async: bool
    beats: int = 0
    """How many looks `gil_held` rests on."""
    weighed: int = 0
    """How many samples `pickle` and the bytes rest on."""
    queued: float = 0.0
    """Seconds in which the thread would have run, but its core had others to run."""
    unloadable: str | None = None
    """What it needs that is not known to load in a sub-interpreter."""
    first: float = 0.0
    """Seconds that the first item took beyond the others: imports, caches, connections. Each address space pays it."""
