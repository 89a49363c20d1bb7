"""What the event stream costs when nobody listens, as a share of CommsTime.

An emitter asks `if events.sinks:` before it builds an event, so without a subscriber the price is that
question, as many times as a communication asks it. Both factors are measured: the questions are counted in a
run of CommsTime with a list of sinks that counts them, and one question is timed in a loop, less the empty
loop. Their product stands against CommsTime itself, measured without any of this.
"""

import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from types import ModuleType

import alternate
from alternate import Goal, Row, Table, size
from commstime import HOPS, WARM_UP, potok_async, potok_def

TIMES = size(1_000_000)


class CountingSinks(list[object]):
    """An empty list that counts how often it is asked whether it is empty."""

    asked = 0

    def __bool__(self) -> bool:
        """Count the question."""
        self.asked += 1
        return False

    def __len__(self) -> int:
        """Count the question, asked as len(sinks)."""
        self.asked += 1
        return 0


def _put_in_place(sinks: CountingSinks) -> None:
    """Let every module that emits events see `sinks`, under whatever name it imported the list."""
    from potok.kernel import events

    real = events.sinks
    emitters = [module for name, module in sys.modules.items() if name.split(".")[0] == "potok"]
    for module in emitters:
        for name in [name for name, value in vars(module).items() if value is real]:
            setattr(module, name, sinks)


def _counted(run: Callable[..., object], rounds: int, worth: float) -> None:
    """Count the questions of one communication, each worth so much, in a run of CommsTime."""
    import potok

    potok.run(lambda: None)  # what is imported late is imported now
    sinks = CountingSinks()
    _put_in_place(sinks)
    run(rounds, finish=lambda _: alternate.answer(sinks.asked / (rounds + WARM_UP) / HOPS * worth))


def _timed(question: Callable[[ModuleType, range], None], events: ModuleType) -> float:
    began = perf_counter()
    question(events, range(TIMES))
    return perf_counter() - began


def _ask(events: ModuleType, times: range) -> None:
    for _ in times:
        if events.sinks:
            raise RuntimeError("somebody listens")


def _ask_nothing(_events: ModuleType, times: range) -> None:
    for _ in times:
        pass


def one_question() -> float:
    """Time one question to the real list, in µs: the least of five, for the loop around it is taken away."""
    from potok.kernel import events

    asking, looping = (min(_timed(loop, events) for _ in range(5)) for loop in (_ask, _ask_nothing))
    return (asking - looping) / TIMES * 1e6


RUNS = {
    "coroutines, def": (partial(potok_def, "coroutines"), size(30_000)),
    "coroutines, async def": (potok_async, size(30_000)),
    "threads": (partial(potok_def, "threads"), size(2_500)),
}
ALONE, ASKING = "a communication", "its questions"


def _rows(run: Callable[..., object], rounds: int) -> list[Row]:
    return [
        Row(ALONE, lambda: run(rounds), modules=["potok"]),
        Row(ASKING, lambda: _counted(run, rounds, one_question()), modules=["potok"]),
    ]


def _count_row(name: str, run: Callable[..., object], rounds: int) -> Row:
    return Row(name, lambda: _counted(run, rounds, 1), modules=["potok"])


TABLES = [
    Table("number", "questions per communication", [_count_row(name, *run) for name, run in RUNS.items()]),
    *[Table(name, "µs per communication", _rows(*run)) for name, run in RUNS.items()],
]
GOALS = [Goal(f"{name}: {ASKING}", f"{name}: {ALONE}", at_most=0.03) for name in RUNS]

if __name__ == "__main__":
    alternate.main("Events: the price of asking whether somebody listens", TABLES, GOALS)
