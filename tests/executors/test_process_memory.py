"""*processes* that run out of memory: it is an error of the task, and of nobody else."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

import potok

MIB = 1 << 20
ROOM = 256 * MIB  # that a worker has beyond what it begins with


def narrow() -> None:
    """Let this worker have so much address space more, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


NARROW = potok.processes(initializer=narrow, preload=("pytest",))


def take_at_once() -> None:
    bytearray(4 * ROOM)


def take_bit_by_bit() -> None:
    taken = []
    while True:
        taken.append(bytearray(MIB // 4))


def give(size: int) -> bytes:
    return b"x" * size


class Growing:
    """What it is pickled as is far larger than itself."""

    def __reduce__(self) -> tuple[type, tuple[bytes]]:
        return bytes, (b"x" * (2 * ROOM),)


@pytest.mark.parametrize("take", [take_at_once, take_bit_by_bit])
def test_memory_error_is_one_of_its_task(take: object) -> None:
    """Its sibling goes on, and so does the worker, with its memory back."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=NARROW, on_fail="collect") as s:
        pid = s.start(os.getpid).result()
        tasks = [s.start(take) for _ in range(2)]  # type: ignore[arg-type]
        assert isinstance(tasks[0].exception(), MemoryError)
        assert isinstance(tasks[1].exception(), MemoryError)
        assert pid in {task.pid for task in tasks}
        assert len(s.start(give, ROOM // 8).result()) == ROOM // 8
    assert [type(error) for error in caught.value.exceptions] == [MemoryError, MemoryError]
    assert "take_" in caught.value.exceptions[0].__notes__[0]


@pytest.mark.parametrize("share", [0.2, 0.3, 0.45, 0.6, 0.7])
def test_result_that_is_too_large_is_an_error_of_its_task(share: float) -> None:
    """Wherever on its way there is no room for one more copy; the worker goes on."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=NARROW, on_fail="collect") as s:
        task = s.start(give, int(ROOM * share))
        error = task.exception()
        assert s.start(len, b"next").result() == 4
        if error is None:
            raise LookupError("there was room")
    assert isinstance(error, potok.RemoteError | MemoryError | None)
    assert error is None or "too large" in str(error)
    assert len(caught.value.exceptions) == 1


def test_value_that_grows_as_it_is_pickled(tmp_path: Path) -> None:
    """The same for arguments of a start and for items."""

    def send(tx: potok.Sender[object]) -> str:
        with pytest.raises(potok.RemoteError, match="too large"):
            tx.send(Growing())
        tx.send("fine")
        return "went on"

    tx, rx = potok.channel()
    with potok.scope(on=NARROW) as s:
        task = s.start(send, tx)
        assert rx.recv() == "fine"
        assert task.result() == "went on"


def test_result_that_is_too_large_for_the_program(printed: Callable[..., str]) -> None:
    """The error of that task says so; its worker is stopped, others go on."""
    told = printed(
        """
        import resource
        from pathlib import Path
        import potok

        def give(size):
            return b"x" * size

        try:
            with potok.scope(on="processes", on_fail="collect") as s:
                s.start(give, 1).result()
                pages = int(Path("/proc/self/statm").read_text().split()[0])
                limit = pages * resource.getpagesize() + (64 << 20)
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
                tx, rx = potok.channel()
                other = s.start(rx.recv)
                bad = s.start(give, 256 << 20)
                print(bad.exception())
                tx.send("fine")
                print(other.result(), s.start(give, 3).result())
        except* potok.WorkerDied as group:
            print(len(group.exceptions))
        """
    )
    error, *rest = told.splitlines()
    assert "was stopped, as a message is too large for the memory" in error
    assert rest == ["fine b'xxx'", "1"]
