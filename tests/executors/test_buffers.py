"""Big buffers between processes: as they were sent, without needless copies, and nothing left behind."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import potok
from potok.links import parts
from potok.links.packing import Packed
from potok.remote import memory
from potok.remote.buffers import store

TESTED = potok.processes(preload=("pytest", "numpy"))
MIB = 1 << 20
PATIENCE = 20.0  # seconds; only a failing test waits that long


@pytest.fixture(autouse=True)
def nothing_in_use() -> Iterator[None]:
    """No test leaves a block in use: whoever had one has given it back."""
    yield
    eventually(lambda: not store._blocks._live)


def eventually(holds: Callable[[], object]) -> None:
    """What other processes do in their own time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        gc.collect()
        store._settle()
        time.sleep(0.01)


def refills(tx: potok.Sender[Any], n: int, size: int) -> None:
    """One array, filled and sent again and again."""
    array = np.empty(size // 8, np.int64)
    for number in range(n):
        array[:] = number
        tx.send(array)


@pytest.mark.parametrize("size", [1 << 15, 1 << 16, 1 << 17, MIB, 8 * MIB])
def test_what_is_sent_is_fixed_as_send_returns(size: int) -> None:
    """`array[:] = i; tx.send(array)` in a loop sends different values, whatever the size."""
    tx, rx = potok.channel(4)
    with potok.scope(on=TESTED) as s:
        s.start(refills, tx, 12, size)
        for number, array in enumerate(rx):
            assert array[0] == array[-1] == number
            assert array.flags.writeable == (size < 1 << 17)
    del array
    assert number == 11


def test_what_is_in_an_array_is_not_taken_for_its_class() -> None:
    """Only the pickle around its bytes is searched for `__main__`, whose classes would need cloudpickle."""
    array = np.frombuffer(b"__main__" * (1 << 13), np.int64)
    found = parts.dumped(array)
    assert found is not None
    pickled, beside = found
    assert not beside
    assert (Packed(pickled).open() == array).all()


@pytest.mark.stress
def test_a_receiver_that_keeps_all_sees_all(request: pytest.FixtureRequest) -> None:
    """No block is written again while a view of it is kept, also of a part of it, or by a second worker."""
    tx, rx = potok.channel(3)
    with potok.scope(on=TESTED) as s:
        keepers = [s.start(keeps, rx) for _ in range(2)]
        for number in range(60):
            tx.send(np.full(1 << 14, number))
        tx.close()
        got = sorted(number for keeper in keepers for number in keeper.result())
    assert got == list(range(60))


def keeps(rx: potok.Receiver[Any]) -> list[int]:
    chance = random.Random(7)
    kept = [array[100:200] if chance.random() < 0.7 else array.copy() for array in rx]
    assert all((array == array[0]).all() for array in kept)
    return [int(array[0]) for array in kept]


def echoes(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    "value",
    [bytes(MIB), bytearray(b"ab" * MIB), memoryview(b"abc" * MIB), {"a": [b"x" * MIB, 1]}, "ж" * MIB],
    ids=["bytes", "bytearray", "memoryview", "nested", "text"],
)
def test_they_need_no_numpy(value: Any) -> None:
    """Arguments and results, with the same type as they had."""
    with potok.scope(on=TESTED) as s:
        got = s.start(echoes, value).result()
    assert type(got) is type(value)
    assert got == value


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_keep_their_kind(order: Any) -> None:
    """Type, shape and order; a part that is not contiguous is copied."""
    array = np.arange(300_000, dtype="float32").reshape((300, 1000), order=order)
    with potok.scope(on=TESTED) as s:
        for sent in (array, array[::2, ::3]):
            got = s.start(echoes, sent).result()
            assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
            assert (got == sent).all()
        assert s.start(lambda: (array[5], array)).result()[1][5].sum() == array[5].sum()


def test_from_worker_to_worker_and_on() -> None:
    """Through the program, which maps nothing; and through a worker that passes on what it received."""
    mapped = len(store._mapped)
    first, second = potok.channel(2), potok.channel(2)
    with potok.scope(on=TESTED) as s:
        s.start(refills, first[0], 10, MIB)
        s.start(passes_on, first[1], second[0])
        assert s.start(sums, second[1]).result() == [number * MIB // 8 for number in range(10)]
    assert len(store._mapped) == mapped


def passes_on(rx: potok.Receiver[Any], tx: potok.Sender[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "place", None)  # nothing is copied
        for array in rx:
            tx.send(array)


def sums(rx: potok.Receiver[Any]) -> list[int]:
    return [int(array.sum()) for array in rx]


def test_every_subscriber_of_a_broadcast_sees_what_was_sent() -> None:
    """One block for all of them."""
    tx, subscribe = potok.broadcast(2)
    with potok.scope(on=TESTED) as s:
        tasks = [s.start(sums, subscribe()) for _ in range(3)]
        with tx:
            for number in range(20):
                tx.send(np.full(1 << 14, number))
        for task in tasks:
            assert task.result() == [number << 14 for number in range(20)]


def test_a_stray_write_faults_instead_of_changing_what_others_read() -> None:
    """Python refuses; what gets round Python is stopped by the hardware, in that worker alone."""
    array = np.arange(1 << 14)
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED, on_fail="collect") as s:
        with pytest.raises(ValueError, match="read-only"):
            s.start(overwrites, array, on=TESTED).result()
        s.start(scribbles, array, name="scribbler")
    refused, died = sorted(caught.value.exceptions, key=lambda error: isinstance(error, potok.WorkerDied))
    assert isinstance(refused, ValueError)
    assert isinstance(died, potok.WorkerDied)
    assert died.signal == signal.SIGSEGV


def overwrites(array: Any) -> None:
    array[0] = 1


def scribbles(array: Any) -> None:
    __import__("faulthandler").disable()
    ctypes.memset(array.ctypes.data, 7, 8)


def test_what_a_task_leaves_in_cycles_gives_its_memory_back() -> None:
    """An idle worker collects its garbage, where that holds memory of others; nobody waits for its next task."""
    with potok.scope(on=TESTED) as s:
        assert s.start(leaves_a_cycle, np.ones(MIB)).result() == MIB
    eventually(lambda: not store._blocks._live)


def leaves_a_cycle(array: Any) -> int:
    gc.disable()
    cycle: list[Any] = [array]
    cycle.append(cycle)
    return len(array)


def test_a_large_initializer_runs_once_in_a_worker() -> None:
    """However much it brings along."""
    large = np.ones(MIB)

    def begin() -> None:
        os.environ["POTOK_BEGUN"] = os.environ.get("POTOK_BEGUN", "") + str(int(large[0]))

    with potok.scope(on=potok.processes(initializer=begin)) as s:
        begun = {s.start(asked).result() for _ in range(5)}
    assert {told for _, told in begun} == {"1"}


def asked() -> tuple[int, str]:
    return os.getpid(), os.environ["POTOK_BEGUN"]


# ── loans ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_loan_goes_without_a_copy_and_can_not_be_written_any_more() -> None:
    """It says so; reading goes on; the next loan is other memory."""
    loan = potok.block((100, 1000), "float64")
    loan[:] = 2
    address, places = loan.ctypes.data, sum(len(arena.warm) for arena in store._blocks.arenas.values())
    with potok.scope(on=TESTED) as s:
        task = s.start(np.sum, loan)
        with pytest.raises(ValueError, match="read-only"):
            loan[0, 0] = 3
        following = potok.block((100, 1000), "float64")
        following[:] = 9
        assert following.ctypes.data != address
        assert task.result() == 200_000
    assert loan.sum() == 200_000
    assert (
        sum(len(arena.warm) for arena in store._blocks.arenas.values()) == places + 1
    )  # the following one's


@pytest.mark.parametrize("how", ["slice", "part", "view"])
def test_a_loan_that_others_could_write_is_copied(how: str) -> None:
    """A slice of it that is still about, or only a part that is sent: the loan goes on."""
    loan = potok.block(1 << 14, "int64")
    loan[:] = 5
    other = loan[3:9] if how == "slice" else None
    sent = {"slice": loan, "part": loan[: 1 << 13], "view": loan.view("uint64")}[how]
    with potok.scope(on=TESTED) as s:
        task = s.start(waits_then_sums, sent, rx := potok.Event())
        loan[:] = 6
        if other is not None:
            other[:] = 7
        rx.set()
        assert task.result() == 5 * sent.size


def waits_then_sums(array: Any, event: potok.Event) -> int:
    event.wait()
    return int(array.sum())


def test_a_loan_is_not_fixed_by_what_can_not_be_sent() -> None:
    """The culprit is named, and the loan may be written again."""
    loan = potok.block(MIB)
    with potok.scope(on=TESTED) as s, pytest.raises(potok.RemoteError, match="lock"):
        s.start(echoes, [loan, threading.Lock()])
    loan[0] = 1


def test_a_loan_that_was_sent_can_be_sent_again() -> None:
    """To several, and as a part."""
    loan = potok.block(MIB)
    loan[:] = 1
    with potok.scope(on=TESTED) as s:
        assert [s.start(np.sum, sent).result() for sent in (loan, loan, loan[5:])] == [MIB, MIB, MIB - 5]


def test_without_numpy_a_loan_is_a_memoryview(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of that shape and format; once sent it is released, and says so."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    loan = potok.block((100, 1000), float)
    loan[5, 5] = 2.5
    with potok.scope(on=TESTED) as s:
        assert s.start(element, loan, 5).result() == 2.5
    with pytest.raises(ValueError, match="released"):
        loan[5, 5]
    kept = potok.block(MIB, "B")
    part = kept[7:9]
    with potok.scope(on=TESTED) as s:
        s.start(len, kept).result()
    part[0] = 5  # it was copied, as there was another view
    assert kept[7] == 5


def element(array: Any, index: int) -> Any:
    return array[index, index]


# ── shared arrays ───────────────────────────────────────────────────────────────────────────────────────────


def fills(array: Any, index: int) -> bool:
    array[index] = index + 1
    return bool(array.flags.writeable)


@pytest.mark.parametrize("on", [TESTED, "threads", potok.threads(isolate=True), "coroutines"])
def test_a_shared_array_is_written_by_all(on: Any) -> None:
    """Each task a part of it; small or large; also through a slice, a closure or another worker."""
    for size in (10, 100_000):
        array = potok.shared_array(size, "int64")
        assert not array.any()
        with potok.scope(on=on) as s:
            assert all(s.start(fills, array, index).result() for index in range(4))
            s.start(fills, array[5:], 0)
            s.start(lambda: array.__setitem__(7, 77))  # noqa: B023 - it is over when the loop goes on
        assert array[:8].tolist() == [1, 2, 3, 4, 0, 1, 0, 77]


def test_a_shared_array_outlives_who_made_it() -> None:
    """As long as anybody has it; whoever gets it later shares it, too."""
    tx, rx = potok.channel(1)
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED) as s:
        s.start(makes_one_and_dies, tx)
        array = rx.recv()
        rx.recv()
    assert array[3] == 5
    with potok.scope(on=TESTED) as s:
        s.start(fills, array, 4)
    assert array[4] == 5


def makes_one_and_dies(tx: potok.Sender[Any]) -> None:
    array = potok.shared_array(1000)
    array[3] = 5
    tx.send(array)
    os.kill(os.getpid(), signal.SIGKILL)


def test_without_numpy_a_shared_array_is_a_memoryview(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    array = potok.shared_array((10, 20), "d")
    with potok.scope(on=TESTED) as s:
        s.start(sets, array)
    assert array[2, 3] == 4.5


def sets(array: Any) -> None:
    array[2, 3] = 4.5


@pytest.mark.parametrize("make", [potok.block, potok.shared_array])
def test_bad_shapes_and_types_are_refused(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the argument."""
    with pytest.raises(ValueError, match="shape must not be negative"):
        make(-1)
    with pytest.raises(TypeError, match="shape must be an int"):
        make(2.5)
    with pytest.raises(TypeError, match="Python objects"):
        make(10, object)
    assert make((0, 5), "int64").shape == (0, 5)
    assert make((), "int64").shape == ()
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ValueError, match="dtype must be a format"):
        make(10, "nonsense")
    assert make((2, 3), "float32").shape == (2, 3)


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────────────


def memfds() -> int:
    """How many descriptors of such memory this process and its children have open, all in all."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()) or _is_ours(process):
            for fd in _listed(process / "fd"):
                try:
                    found += "memfd:potok-memory" in str(fd.readlink())
                except OSError:
                    pass
    return found


def _is_ours(process: Path) -> bool:
    try:
        return f"PPid:\t{os.getpid()}\n" in (process / "status").read_text()
    except OSError:
        return False


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def streams(tx: potok.Sender[Any]) -> None:
    array = np.zeros(1 << 14, np.int64)
    while True:
        array += 1
        tx.send(array)


def swallows(rx: potok.Receiver[Any]) -> None:
    kept = None
    for array in rx:
        kept = array  # noqa: F841 - in use as it dies


@pytest.mark.parametrize("victim", ["sender", "receiver"])
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_left_of_who_is_killed(victim: str, seed: int) -> None:
    """In the middle of a stream: its blocks come back, what it had made goes with its last view here."""
    chance = random.Random(seed)
    tx, rx = potok.channel(3)
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED, on_fail="collect") as s:
        if victim == "sender":
            task = s.start(streams, tx)
            with pytest.raises(potok.ClosedError):
                for number, array in enumerate(rx):
                    assert array[0] == array[-1] == number + 1
                    if number == chance.randrange(3, 20) or number == 20:
                        os.kill(task.pid, signal.SIGKILL)
            del array
        else:
            task = s.start(swallows, rx)
            with pytest.raises(potok.ClosedError):
                for number in range(10_000):
                    tx.send(np.full(1 << 14, number))
                    if number == 5 + seed:
                        os.kill(task.pid, signal.SIGKILL)
    assert caught.group_contains(potok.WorkerDied)


def test_a_thousand_kills_leave_nothing() -> None:
    """No descriptor, no memory, no name in the system, here or in the processes that live on."""
    rounds = int(os.environ.get("POTOK_KILLS", "25"))
    shm = set(Path("/dev/shm").iterdir())  # noqa: S108 - to see that nothing is left there
    one_round(0)
    gc.collect()
    eventually(lambda: not store._blocks._live)
    fds, held = len(list(Path("/proc/self/fd").iterdir())), memfds()
    for number in range(rounds):
        one_round(number)
    gc.collect()
    eventually(lambda: not store._blocks._live)
    eventually(lambda: memfds() <= held + 2)
    eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= fds + 4)
    assert set(Path("/dev/shm").iterdir()) <= shm  # noqa: S108


def one_round(seed: int) -> None:
    """A stream through two workers, of whom one is killed."""
    chance = random.Random(seed)
    (tx, rx), (out, back) = potok.channel(2), potok.channel(2)
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        pids = [s.start(streams, tx).pid, s.start(forwards, rx, out).pid]
        moment = chance.randrange(2, 12)
        with pytest.raises(potok.ClosedError):
            for number, array in enumerate(back):
                assert array[0] == array[-1]
                if number == moment:
                    os.kill(pids[seed % 2], signal.SIGKILL)
        del array
        raise LookupError("whoever is left is to end")


def forwards(rx: potok.Receiver[Any], tx: potok.Sender[Any]) -> None:
    for array in rx:
        tx.send(array)


def test_a_value_that_can_not_be_mapped_is_an_error_of_who_receives_it() -> None:
    """Its block comes back, and the next value arrives."""
    tx, rx = potok.channel(2)
    with potok.scope(on=TESTED) as s:
        task = s.start(starves, rx)
        tx.send(np.ones(64 * MIB, np.uint8))
        tx.send("the next")
        error, following = task.result()
    assert "Cannot allocate memory" in error
    assert following == "the next"


def starves(rx: potok.Receiver[Any]) -> tuple[str, Any]:
    import resource

    was = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + 16 * MIB, was[1]))
    try:
        rx.recv()
        told = "it could be mapped"
    except potok.RemoteError as error:
        told = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, was)
    return told, rx.recv()


def test_a_process_without_a_free_descriptor_says_so() -> None:
    """Memory comes that it can't take: that worker is stopped, with what is to be done; the program goes on."""
    program = """
import os, resource, numpy, potok

def waits(rx):
    rx.recv()
    return numpy.ones(1 << 20)

def main():
    tx, rx = potok.channel(1)
    try:
        with potok.scope(on="processes") as s:
            task = s.start(waits, rx)
            task.pid
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
            taken = []
            try:
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                tx.send(1)
            task.join()
    except* potok.WorkerDied as died:
        print(*died.exceptions)
    for fd in taken:
        os.close(fd)
    with potok.scope(on="processes") as s:
        print(s.start(len, "going on").result())

main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    told, length = done.stdout.splitlines()
    assert "RLIMIT_NOFILE" in told
    assert length == "8"


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
def test_where_there_is_no_such_memory_values_go_in_the_pickle(
    start_method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced at both sides: everything arrives as ever, only slower; a loan is ordinary memory."""
    monkeypatch.setattr(store, "in_band", True)
    options = potok.processes(start_method=start_method, initializer=do_without)
    array = np.arange(MIB)
    loan = potok.block(MIB)
    loan[:] = 3
    with potok.scope(on=options) as s:
        got = s.start(echoes, [array, b"x" * MIB, memoryview(b"y" * MIB)]).result()
        assert s.start(np.sum, loan).result() == 3 * MIB
    assert (got[0] == array).all()
    assert got[1:] == [b"x" * MIB, b"y" * MIB]
    assert not store._blocks._live
    with pytest.raises(potok.PotokError, match="no memory to be shared"):
        potok.shared_array(10)


def do_without() -> None:
    store.in_band = True


def test_memory_module_is_not_imported_for_small_things() -> None:
    """ctypes takes some milliseconds: who sends nothing big does not pay for it."""
    program = "import potok, sys; tx, rx = potok.channel(1); tx.send(1); assert 'ctypes' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert memory.ctypes() is ctypes
