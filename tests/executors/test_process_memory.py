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
    """It is that task's failure, also in the eyes of its scope, whether anybody asks for it or not; others go on."""
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
                s.start(give, 256 << 20).join()
                bad = s.start(give, 256 << 20)
                print(bad.exception())
                print(bad.exception() is bad.exception(), bad.state())
                tx.send("fine")
                print(other.result(), s.start(give, 3).result())
        except* potok.RemoteError as group:
            print(len(group.exceptions), bad.exception() in group.exceptions)
        """
    )
    error, *rest = told.splitlines()
    assert "it is too large for the memory of this process" in error
    assert rest == ["True failed", "fine b'xxx'", "2 True"]


class Reluctant:
    """It can't be made anew in the program."""

    def __init__(self, home: int) -> None:
        self.home = home

    def __setstate__(self, state: dict[str, int]) -> None:
        if os.getpid() == state["home"]:
            raise LookupError("not here")


@pytest.mark.parametrize("on_fail", ["cancel", "collect"])
def test_result_that_can_not_be_opened_is_the_failure_of_its_task(on_fail: str) -> None:
    """Whoever asks first finds it out, and the scope hears of it; once, however often it is asked."""
    pid = os.getpid()
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on="processes", on_fail=on_fail) as s:
        task = s.start(Reluctant, pid)
        error = task.exception()
        assert isinstance(error, potok.RemoteError)
        assert s.cancelled == (on_fail == "cancel")
        if on_fail == "cancel":
            with pytest.raises(potok.Cancelled, match="not here"):
                potok.checkpoint()
        assert task.state() == "failed"
    assert list(caught.value.exceptions) == [error]
    with pytest.raises(potok.RemoteError, match="LookupError: not here") as raised:
        task.result()
    assert raised.value is error


@pytest.mark.parametrize("on_fail", ["cancel", "collect"])
def test_result_that_can_not_be_opened_leaves_the_scope_once(on_fail: str) -> None:
    """Raised in the body and known as the task's failure: one error, not two."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on="processes", on_fail=on_fail) as s:
        s.start(Reluctant, os.getpid()).result()
    assert [type(error) for error in caught.value.exceptions] == [potok.RemoteError]


def test_result_that_can_not_be_opened_after_the_scope() -> None:
    """The scope has gone without it: who asks is told."""
    with potok.scope(on="processes") as s:
        task = s.start(Reluctant, os.getpid())
    assert isinstance(task.exception(), potok.RemoteError)
    assert task.exception() is task.exception()
    with pytest.raises(potok.RemoteError, match="not here"):
        potok.run(Reluctant, os.getpid(), on="processes")


def test_idle_memory_is_not_missed_where_addresses_are_few() -> None:
    """What came and went leaves the worker its room: its own results, and arguments of its tasks."""
    with potok.scope(on=NARROW) as s:
        pid = s.start(os.getpid).result()
        for _ in range(3):
            assert len(s.start(give, int(ROOM * 0.3)).result()) == int(ROOM * 0.3)
            assert s.start(len, memoryview(bytes(ROOM // 4))).result() == ROOM // 4
        assert s.start(have, int(ROOM * 0.6)).result() == pid


def have(size: int) -> int:
    bytearray(size)
    return os.getpid()
