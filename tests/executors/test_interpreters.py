"""*interpreters*: what is not as on processes: one process, no kill, no greenlet, and what it leaves behind."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import potok
from potok.testing import wait_all_parked

if sys.version_info < (3, 14):
    pytest.skip("sub-interpreters need Python 3.14", allow_module_level=True)

import _interpreters

from potok.executors.interpreters import making
from potok.remote import crew

ON = potok.interpreters()
PATIENCE = 20.0  # seconds; only a failing test waits that long


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it becomes true: threads end, and tell nobody."""
    until = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


# ── one process ─────────────────────────────────────────────────────────────────────────────────────────────


def where_am_i() -> tuple[int, str, int]:
    return os.getpid(), str(Path.cwd()), _interpreters.get_current()[0]


def test_tasks_run_in_interpreters_of_this_process() -> None:
    """The pid is the program's, before and after they ended; the working folder, too; the interpreters are two."""
    barrier = potok.Barrier(2)

    def meet(barrier: potok.Barrier) -> tuple[int, str, int]:
        barrier.wait()
        return where_am_i()

    with potok.scope(on=ON) as s:
        tasks = [s.start(meet, barrier) for _ in range(2)]
        assert [task.pid for task in tasks] == [os.getpid()] * 2
        told = [task.result() for task in tasks]
    assert [task.pid for task in tasks] == [os.getpid()] * 2
    assert {place[:2] for place in told} == {(os.getpid(), str(Path.cwd()))}
    assert len({place[2] for place in told} | {_interpreters.get_current()[0]}) == 3


def test_modules_and_their_globals_are_each_interpreters_own() -> None:
    """What a task does to a module nobody sees outside of its interpreter; the way to find modules is the program's."""

    def spoil() -> list[str]:
        sys.spoilt = True  # type: ignore[attr-defined]
        return sys.path

    with potok.scope(on=ON) as s:
        assert s.start(spoil).result() == sys.path
    assert not hasattr(sys, "spoilt")


def test_idle_interpreter_is_used_again() -> None:
    """One after the other, tasks need one interpreter."""
    told = set()
    with potok.scope(on=potok.interpreters(max_workers=1)) as s:
        for _ in range(3):
            told.add(s.start(where_am_i).result())
    assert len(told) == 1


def test_start_beyond_max_workers_is_refused() -> None:
    """It names the option; the tasks that run go on."""
    with potok.scope(on=potok.interpreters(max_workers=1)) as s:
        tx, rx = potok.channel()
        s.start(rx.clone().recv)
        with pytest.raises(potok.PotokError, match="max_workers=1"):
            s.start(abs, -1)
        tx.send(None)


def starts_others(where: list[Any]) -> list[int]:
    with potok.scope(on=where[0]) as s:
        if where[1:]:
            return [os.getpid(), *s.start(starts_others, where[1:]).result()]
        return [os.getpid(), s.start(os.getpid).result()]


def test_tasks_of_interpreters_and_processes_start_each_other() -> None:
    """An interpreter's task starts one in a process, that one in an interpreter of the program, and so on."""
    here = os.getpid()
    with potok.scope(on=ON) as s:
        told = s.start(starts_others, ["processes", "interpreters", "processes", "threads"]).result()
    assert [pid == here for pid in told] == [True, False, True, False, False]


def test_ended_interpreters_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle for long enough, they go: their threads, descriptors and memory with them."""
    monkeypatch.setattr(crew, "IDLE_SECONDS", 0.02)
    crew.dismiss()  # those of other tests, which have longer

    def parked(tx: potok.Sender[int]) -> None:
        with potok.scope(on="threads") as s:  # so that it has threads of its own to end
            s.start(tx.clone().send, 1)

    def round_of_four() -> None:
        with potok.scope(on=ON) as s:
            tx, rx = potok.channel(4)
            tasks = [s.start(parked, tx.clone()) for _ in range(4)]
            for task in tasks:
                task.result()
            assert [rx.recv() for _ in range(4)] == [1] * 4
        assert eventually(lambda: not making.maker.living)

    round_of_four()
    before = held()
    for _ in range(3):
        round_of_four()
    assert all(now <= then for now, then in zip(held(), before, strict=True))


def held() -> tuple[int, int, int]:
    """How many threads and descriptors this process has, and how many interpreters."""
    threads = len([*Path("/proc/self/task").iterdir()])
    return threads, len([*Path("/proc/self/fd").iterdir()]), len(_interpreters.list_all())


@pytest.mark.stress
def test_many_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreters that are let go while others start: every task has its result."""
    monkeypatch.setattr(crew, "IDLE_SECONDS", 0.001)
    for _ in range(3):
        with potok.scope(on=ON) as s:
            tasks = [s.start(abs, -n) for n in range(4)]
            assert [task.result() for task in tasks] == [0, 1, 2, 3]


def test_runtime_needs_nothing_that_does_not_load() -> None:
    """Neither greenlet nor numpy, nor what needs them; nor the program's side of things."""
    never = ("greenlet", "numpy", "potok.kernel.hub", "potok.remote.crew")
    loaded = f"[name for name in {never} if name in __import__('sys').modules]"
    with potok.scope(on=potok.interpreters(workers=3)) as s:  # a fresh one: no other test has imported there
        assert s.start(eval, loaded).result() == []


def square(n: int) -> int:
    return n * n


def test_map_runs_on_interpreters() -> None:
    """In batches, as on processes; an item's error is its own."""
    on = potok.interpreters(workers=2)
    assert list(potok.map(square, range(500), on=on)) == [n * n for n in range(500)]
    got = list(potok.map(square, [1, "x", 3], on=on, on_error="return"))
    assert [got[0], type(got[1]), got[2]] == [1, potok.BadItem, 9]


def test_interpreter_is_retired_after_so_many_tasks() -> None:
    """`max_tasks_per_worker` bounds what leaks in one."""
    with potok.scope(on=potok.interpreters(max_tasks_per_worker=2)) as s:
        told = [s.start(where_am_i).result()[2] for _ in range(4)]
    assert told[0] == told[1] != told[2] == told[3]


# ── what does not load ──────────────────────────────────────────────────────────────────────────────────────


def imports_greenlet() -> None:
    import greenlet  # noqa: F401 - it fails


class OfGreenlet:
    """Can be unpickled only where greenlet loads."""

    def __reduce__(self) -> Any:
        return __import__, ("greenlet",)


def test_module_that_does_not_load_is_named_with_what_to_take_instead() -> None:
    """Where the function imports it, and where its arguments do."""
    for fn, args in ((imports_greenlet, ()), (repr, (OfGreenlet(),))):
        with pytest.raises(
            potok.RemoteError, match=r'greenlet.*does not load.*on="processes" or on="threads"'
        ):
            potok.run(fn, *args, on=ON)


def catches_it() -> str:
    try:
        imports_greenlet()
    except ImportError as error:
        return str(error)
    return ""


def test_import_error_can_be_caught_in_the_task() -> None:
    """There it is the ImportError that Python raises."""
    assert "greenlet" in potok.run(catches_it, on=ON)


async def double(n: int) -> int:
    await potok.asleep(0)
    return 2 * n


def plain_on_coroutines() -> str:
    with potok.scope(on="coroutines") as s, pytest.raises(potok.PotokError, match="greenlet") as caught:
        s.start(abs, -1)
    return str(caught.value)


def asyncs_on_coroutines() -> list[int]:
    tx, rx = potok.channel()

    async def send(tx: potok.Sender[int]) -> None:
        for item in range(3):
            await tx.asend(item)

    with potok.scope(on="coroutines") as s:
        s.start(send, tx)
        tasks = [s.start(double, n) for n in range(3)]
        return [*rx, *(task.result() for task in tasks), potok.await_(double(5))]


async def asyncs_beside_each_other() -> tuple[list[int], list[str]]:
    told: list[str] = []

    async def fail() -> None:
        raise LookupError("on purpose")

    async def wait() -> None:
        try:
            await potok.asleep(PATIENCE)
        except potok.Cancelled as cancelled:
            told.append(cancelled.reason)
            raise

    async def blocks() -> None:
        with pytest.raises(potok.BlockingCallError):
            potok.sleep(0)
        assert potok.current_task().executor == "coroutines"

    async with potok.scope(on="coroutines") as s:
        results = [await s.start(double, n) for n in range(3)]
        await s.start(blocks)
    with pytest.raises(ExceptionGroup) as caught:
        async with potok.scope(on="coroutines") as s:
            s.start(wait)
            await potok.asleep(0.01)
            s.start(fail)
    assert caught.group_contains(LookupError)
    return results, told


def no_loop() -> Any:
    raise OSError("no more descriptors")


def coroutines_without_a_loop() -> list[str]:
    on = potok.coroutines(loop_factory=no_loop)
    with pytest.raises(OSError, match="descriptors") as of_scope, potok.scope(on=on):
        pass
    with pytest.raises(OSError, match="descriptors") as of_start:
        potok.start(double, 1, on=on).result()
    with pytest.raises(TypeError, match="loop_factory must be callable"):
        potok.coroutines(loop_factory=3)  # type: ignore[arg-type]
    return [str(of_scope.value), str(of_start.value)]


def test_loop_that_can_not_be_made_is_told_to_who_asks_for_it() -> None:
    assert potok.run(coroutines_without_a_loop, on=ON) == ["no more descriptors"] * 2


def test_coroutines_inside_take_async_def_tasks_alone() -> None:
    """A `def` task there is refused, with what to take instead; `async def` ones, and `await_`, do as everywhere."""
    assert 'on="threads"' in potok.run(plain_on_coroutines, on=ON)
    assert potok.run(asyncs_on_coroutines, on=ON) == [0, 1, 2, 0, 2, 4, 10]
    results, told = potok.run(asyncs_beside_each_other, on=ON)
    assert results == [0, 2, 4]
    assert len(told) == 1
    assert "on purpose" in told[0]


# ── how tasks and interpreters end ──────────────────────────────────────────────────────────────────────────


def exits(code: int) -> None:
    sys.exit(code)


def test_system_exit_is_the_tasks_outcome() -> None:
    """As on processes: it leaves the scope bare, and the interpreter serves the next task."""
    with pytest.raises(SystemExit) as caught, potok.scope(on=ON) as s:
        s.start(exits, 3)
    assert caught.value.code == 3
    assert potok.run(abs, -1, on=ON) == 1


def forks() -> str:
    with pytest.raises(RuntimeError, match="fork") as caught:
        os.fork()
    return str(caught.value)


def test_fork_in_an_interpreter_is_pythons_error() -> None:
    """It names what is not allowed."""
    assert "fork" in potok.run(forks, on=ON)


def test_interpreter_that_does_not_come_up_is_the_death_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """WorkerDied says what went wrong; others are as before; no descriptor is left."""
    monkeypatch.setattr(making, "WORKER", "potok.not_there")
    with pytest.raises(
        potok.WorkerDied, match=r"interpreter \d+ could not begin: .*not_there.* before it began task abs-"
    ):
        potok.run(abs, -1, on=potok.interpreters(workers=7))
    monkeypatch.undo()
    assert potok.run(abs, -1, on=ON) == 1


def test_interpreter_that_can_not_be_made_is_the_death_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where Python has no more of them."""

    def refuse(*_: Any, **__: Any) -> int:
        raise RuntimeError("no more of them")

    monkeypatch.setattr(_interpreters, "create", refuse)
    with pytest.raises(potok.WorkerDied, match="could not be made: no more of them"):
        potok.run(abs, -1, on=potok.interpreters(workers=8))


def test_why_one_could_not_be_made_is_logged_word_by_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What Python says may hold signs that mean something to logging; and it is logged when that is told."""

    def refuse(*_: Any, **__: Any) -> int:
        raise RuntimeError("100% of them are taken, %s")

    monkeypatch.setattr(_interpreters, "create", refuse)
    caplog.set_level("INFO")
    with potok.logs("INFO"), pytest.raises(potok.WorkerDied) as caught:
        potok.run(abs, -1, on=potok.interpreters(workers=9))
    death = str(caught.value).removesuffix(f" before it began task {caught.value.task}")
    assert death.endswith("could not be made: 100% of them are taken, %s")
    assert any(line.startswith(death) for line in caplog.messages)


def sends_garbage() -> None:
    """Write on the link what is no message."""
    from potok.remote.home import home

    os.write(home.links[0].descriptor, b"garbage" * 100)
    potok.sleep(PATIENCE)


def test_interpreter_that_writes_garbage_is_left() -> None:
    """It fails its own task, and nobody else's; what runs in it is cancelled."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=ON, on_fail="collect") as s:
        bad, good = s.start(sends_garbage), s.start(abs, -1)
        bad.join()
        assert good.result() == 1
        assert s.start(abs, -2).result() == 2
    assert caught.group_contains(potok.WorkerDied)


def initialize() -> None:
    sys.initialized = getattr(sys, "initialized", 0) + 1  # type: ignore[attr-defined]


def fail_to_initialize() -> None:
    raise LookupError("no such thing")


def initialized() -> int:
    return sys.initialized  # type: ignore[attr-defined,no-any-return]


def test_initializer_runs_once_in_each_interpreter() -> None:
    """Before the first task; its failure is the failure of the task."""
    with potok.scope(on=potok.interpreters(initializer=initialize)) as s:
        assert [s.start(initialized).result() for _ in range(3)] == [1, 1, 1]
    assert not hasattr(sys, "initialized")
    with pytest.raises(Exception, match="no such thing"):
        potok.run(abs, -1, on=potok.interpreters(initializer=fail_to_initialize))


def spins(name: str, ready: potok.Event) -> None:
    ready.set()
    while not os.path.exists(name):  # noqa: PTH110 - it only wants to be busy
        pass


def test_busy_interpreter_is_named_with_its_stack(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    """Cancelled, and at no park point after the grace: it can't be killed, so it is waited for, and named."""
    monkeypatch.setattr(crew, "GRACE", 0.05)
    ready = potok.Event()
    with potok.scope(on=ON) as s:
        task = s.start(spins, str(tmp_path / "enough"), ready, name="busy")
        ready.wait()
        s.cancel("enough")
        assert eventually(lambda: "busy" in caplog.text)
        (tmp_path / "enough").touch()
    assert isinstance(task.exception(), potok.TaskCancelled | type(None))
    assert "can't be killed" in caplog.text
    assert "in spins" in caplog.text


@pytest.mark.stress
def test_four_tasks_meet_on_two_cores() -> None:
    """`start` never queues: each has an interpreter to itself."""
    barrier = potok.Barrier(4)
    with potok.scope(on=ON) as s:
        tasks = [s.start(barrier.wait) for _ in range(4)]
        assert sorted(task.result() for task in tasks) == [0, 1, 2, 3]


def test_parked_tasks_are_seen_and_cancelled() -> None:
    """As on every executor: they park, a reason reaches them, the scope ends."""

    def wait(rx: potok.Receiver[int]) -> str:
        try:
            rx.recv()
        except potok.Cancelled as cancelled:
            return str(cancelled.reason)
        return ""

    tx, rx = potok.channel()
    with tx, potok.scope(on=ON) as s:
        task = s.start(wait, rx)
        wait_all_parked()
        s.cancel("enough")
    assert task.result() == "enough"


@pytest.fixture(autouse=True)
def signals_are_left_alone() -> Iterator[None]:
    """No interpreter changes what the process does on a signal."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    main = threading.main_thread()
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert threading.main_thread() is main
