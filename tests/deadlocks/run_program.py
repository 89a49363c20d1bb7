"""Runs programs, one after another, in the main thread of this interpreter: `python run_program.py NAME…`.

A line of JSON for each, as it has ended: its name and "outcome", which is "fine", "deadlock" (with what DeadlockError
says, each text once) or "error" (with the traceback). One that hangs keeps all that come after it: whoever started this
interpreter has a limit, and calls it "hang" (see `batches`).

An interpreter of its own, as pytest's threads and its handler of SIGALRM might wake somebody for all that one knows: no
deadlock there is total.
"""

import faulthandler
import json
import resource
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = str(Path(__file__).parent / "programs")
if PROGRAMS not in sys.path:
    sys.path.insert(0, PROGRAMS)

from catalogue import Program, load  # noqa: E402

import potok  # noqa: E402 - catalogue is found from here on


def outcome(program: Program) -> dict[str, str]:
    """Run it, and say how it has ended."""
    try:
        program.run()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the outcome
        leaves = list(_leaves(error))
        messages = dict.fromkeys(str(leaf) for leaf in leaves if isinstance(leaf, potok.DeadlockError))
        if messages and all(map(_is_deadlock, leaves)):
            return {"outcome": "deadlock", "message": "\n".join(messages)}
        return {"outcome": "error", "message": "".join(traceback.format_exception(error))}
    return {"outcome": "fine", "message": ""}


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _is_deadlock(error: BaseException | None) -> bool:
    """Whether it is one, or tells that a peer has ended with one: a channel that was closed with that cause."""
    while error is not None:
        if isinstance(error, potok.DeadlockError):
            return True
        error = error.__cause__
    return False


def main() -> None:
    faulthandler.enable()  # on SIGABRT, by which one that hangs is ended
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    programs = load()
    for name in sys.argv[1:]:
        told = {"name": name, **outcome(programs[name])}
        print(json.dumps(told), flush=True)  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    main()
