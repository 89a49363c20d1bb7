"""What `select` costs over 2, 10 and 100 receivers, beside a plain receive of the same items.

Two situations, for they are two paths through a select:

- *ready*: an item waits already, in the buffer of one arm. The select looks, takes it and is done.
- *parked*: nothing is there yet. The select is queued on every arm, one sender wakes it, and it is withdrawn
  from all the others.

The items come on the channels in turn. The plain receiver knows the turn and reads the right channel, the
select is over all of them, so the difference is the price of not knowing. A parked select has to visit each
of its arms, so its cost grows linearly; it must not grow faster.

What was found: a buffered receive is one call of 0.18 µs. A select that finds an item needs 0.75 µs for three calls, a
look at each arm and the result object, and 0.25 for the fair choice when both are ready (`pri_select` saves that).
"""

from collections.abc import Callable, Sequence
from itertools import cycle, islice, pairwise
from time import perf_counter
from typing import Any

import alternate
from alternate import Goal, Row, Table, size

ARMS = (2, 10, 100)
EXECUTORS = ("coroutines", "threads")
COUNT = {"ready": size(20_000), "parked": size(4_000)}


def receive_plainly(receivers: Sequence[Any], count: int) -> float:
    """Receive `count` items, each from the channel whose turn it is; return µs an item."""
    began = perf_counter()
    for rx in islice(cycle(receivers), count):
        rx.recv()
    return (perf_counter() - began) / count * 1e6


def receive_selecting(receivers: Sequence[Any], count: int) -> float:
    """Receive `count` items, each by a select over all channels; return µs an item."""
    from potok import select

    began = perf_counter()
    for _ in range(count):
        select(*receivers)
    return (perf_counter() - began) / count * 1e6


def send_in_turn(senders: Sequence[Any], count: int) -> None:
    """Send `count` items, one channel after the other."""
    for number, tx in enumerate(islice(cycle(senders), count)):
        tx.send(number)


def cost(executor: str, situation: str, arms: int, receive: Callable[..., float]) -> float:
    """Measure one way to receive in one situation, on an executor of potok."""
    import potok

    count = max(COUNT[situation] // arms, 1) * arms

    def ready() -> float:
        ends = [potok.channel(count // arms) for _ in range(arms)]
        send_in_turn([tx for tx, _ in ends], count)
        return receive([rx for _, rx in ends], count)

    def parked() -> float:
        ends = [potok.channel() for _ in range(arms)]
        with potok.scope() as scope:
            scope.start(send_in_turn, [tx for tx, _ in ends], count)
            return receive([rx for _, rx in ends], count)

    return potok.run(ready if situation == "ready" else parked, on=executor)


def _table(executor: str, situation: str) -> Table:
    def row(name: str, arms: int, receive: Callable[..., float]) -> Row:
        return Row(name, lambda: cost(executor, situation, arms, receive), modules=["potok"])

    plain = row("receive", 2, receive_plainly)
    rows = [plain] + [row(f"select over {arms}", arms, receive_selecting) for arms in ARMS]
    return Table(f"{executor}, {situation}", "µs an item (less is better)", rows)


def _goals(table: Table) -> list[Goal]:
    """Three receives for two arms; from there on at most linear growth."""
    name = table.title
    growth = [
        Goal(f"{name}: select over {more}", f"{name}: select over {fewer}", at_most=more / fewer)
        for fewer, more in pairwise(ARMS)
    ]
    return [Goal(f"{name}: select over 2", f"{name}: receive", at_most=3), *growth]


TABLES = [_table(executor, situation) for executor in EXECUTORS for situation in COUNT]
GOALS = [goal for table in TABLES for goal in _goals(table)]

if __name__ == "__main__":
    alternate.main("select: the price of not knowing which channel is next", TABLES, GOALS)
