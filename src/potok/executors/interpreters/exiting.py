"""The end of a program that has interpreters: those that are idle end, one that is still busy is reported and cut off.

Python ends what interpreters it finds as it finalizes, busy ones too: their threads stop at the next instruction. Two
things would keep it: a thread that gives up its interpreter's GIL no more (a long loop in C), and threads of the user's
own in there, which Python joins. So the interpreter is asked first, and where it does not answer, or has such threads,
the process ends here and now.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import time
import warnings
from typing import TYPE_CHECKING, NoReturn

from potok.kernel.exiting import end_root

if TYPE_CHECKING:
    from potok.executors.interpreters.making import Maker

__all__ = ["watch_exit"]

GRACE = 1.0  # seconds in which tasks may still end
ENDING = 20.0  # seconds in which interpreters without a task have to end, which takes them some milliseconds

_watching = False


def watch_exit(maker: Maker) -> None:
    """Called before the first interpreter is made."""
    global _watching
    if not _watching:
        _watching = True
        atexit.register(end_interpreters, maker)


def end_interpreters(maker: Maker) -> None:
    """Let go who is idle, and see what becomes of the others."""
    end_root()
    begun = time.monotonic()
    while living := list(maker.living):
        idle = maker.idle()
        if time.monotonic() - begun > (ENDING if idle else GRACE):
            break
        for made in idle:
            made.worker.crew.dismiss(made.worker)
        living[0].thread.join(0.01)
    if maker.living:
        _cut_off(maker)


def _cut_off(maker: Maker) -> None:
    """Report the busy ones, and let Python end them if it can."""
    from potok.executors.interpreters.making import UNANSWERED, whereabouts

    harmless = True
    for made in list(maker.living):
        worker = made.worker
        place = whereabouts(worker) if worker.link.is_open else None
        harmless = harmless and place is not None and not place[1]
        what = f"task {worker.task}" if worker.task else "a thread"
        print(
            f"potok: {what} still runs in {worker.crew.options.called(worker)} as the program exits, and is cut off.",
            f"Its stack:\n{place[0]}" if place is not None else UNANSWERED if worker.task else "",
            file=sys.stderr,
        )
    if not harmless:
        _leave()
    warnings.filterwarnings("ignore", "remaining subinterpreters", RuntimeWarning)


def _leave() -> NoReturn:
    """End the process as it would have ended, as far as that can be known: what `sys.exit` was given can't."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # there is none; it was closed, or nobody reads it
            pass
    if isinstance(getattr(sys, "last_exc", None), KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(1)
