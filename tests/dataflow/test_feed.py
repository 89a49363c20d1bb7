"""An input that can be waited for beside the results: no map holds one back while the other is still to come."""

from typing import Any

import pytest

import potok
from potok.dataflow.intake import Feed


class Letters(Feed):
    """What comes through a channel, until it is closed."""

    def __init__(self, receiver: potok.Receiver[Any]) -> None:
        self.receiver = receiver
        self._brought: list[Any] = []
        self._over = False

    def look(self) -> bool:
        if not self._brought and not self._over:
            try:
                self.bring(self.receiver.recv_nowait())
            except potok.WouldBlock:
                return False
        return True

    def bring(self, message: Any) -> None:
        if message is None:
            self._over = True
        else:
            self._brought.append(message)

    def __next__(self) -> Any:
        if not self.look():
            self.bring(self.receiver.recv())
        if self._brought:
            return self._brought.pop()
        raise StopIteration


def same(x: int) -> int:
    return x


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.stress
def test_question_and_answer(on: str, ordered: bool) -> None:
    """The next item is sent when the result of this one has come, however large the window and the batches."""
    tx, rx = potok.channel(1)
    results = potok.map(same, Letters(rx), on=on, ordered=ordered, window=50)
    for x in range(1, 200):
        tx.send(x)
        assert next(results) == x
    tx.send(None)
    assert list(results) == []
    tx.close()
    rx.close()


@pytest.mark.stress
def test_question_and_answer_in_async_def(pooled: str) -> None:
    async def main() -> None:
        results = potok.map(same, Letters(rx), on=pooled, window=50)
        for x in range(1, 200):
            await tx.asend(x)
            assert await anext(results) == x
        await tx.asend(None)
        assert [result async for result in results] == []

    tx, rx = potok.channel(1)
    potok.run(main)
    tx.close()
    rx.close()


def test_results_with_the_numbers_of_their_items(on: str) -> None:
    """In whatever order they come; those that failed, too."""

    def pick(x: int) -> int:
        return 1 // (x - 3)

    results = potok.map(pick, range(6), on=on, ordered=False, on_error="return").numbered()
    got = dict(results)
    assert sorted(got) == list(range(6))
    assert got[3].index == 3
    assert [got[x] for x in (0, 1, 2, 4, 5)] == [-1, -1, -1, 1, 0]
