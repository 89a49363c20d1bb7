"""Shared state between processes: operations a second on one value that another process holds.

Four questions:

- *get*, *set*: an item of a shared dict, read and written by one worker.
- *method*: a method of it, which is called where the dict is.
- *increments*: `x += 1` by one worker and by two at once. potok's is one `atomic` call, of a function that only
  computes, or (*at home*) of one that calls something; a Manager's is a read and a write, which loses increments (the
  share lost stands in a table of its own), or the same under a Manager's Lock.

What was found: an operation that goes home is a message and its answer: two switches of processes, and the Python on
both ways, 160 calls for the worker and as many at home. Of 53 µs for a set, 15 were spent by the worker until it had
sent (5 of them on asking, twice, whether a signal handler might raise), 19 at home, 10 by the worker once the answer
was there, and 4 to 5 on each way. A Manager needs 35 to 40 in all: one blocking socket, one thread for each client, and
nothing to cancel, forward or count. So three times its speed was not to be had by messages. What has got there does
without: a worker keeps what it has read, and a number in shared memory says whether that is still the newest; and the
only one that writes to an object writes in shared memory itself, where the home finds it as soon as anybody looks. A
get takes 1 µs then, a set 3.5, an increment 5. That is with nobody else at it: each time somebody is, it is a message
again. (Two that write at once take turns at some ten operations, so they are not slower.) What can't be done so costs
what it did: methods, functions that call something, values that may change, dicts of more than 16 items as they are
written. `atomic` runs these at home, by a thread of its own, as it may take long or wait, and whoever reads the links
must do neither; that thread reads the links itself as long as errands keep coming (97 of 100 cost no change of threads
then). A function of `__main__` goes by value, through cloudpickle, for 30 µs: one that refers to nothing outside of
itself is packed and opened once.
"""

import multiprocessing
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any

import alternate
from alternate import Goal, Row, Table, size

STEPS = size(10_000)

forkserver = multiprocessing.get_context("forkserver")


# ---------------------------------------------------------------- what workers do


def get_items(shared: Any, n: int) -> float:
    """Read an item n times; the seconds it took."""
    began = perf_counter()
    for _ in range(n):
        shared["x"]
    return perf_counter() - began


def set_items(shared: Any, n: int) -> float:
    """Write it."""
    began = perf_counter()
    for number in range(n):
        shared["x"] = number
    return perf_counter() - began


def call_method(shared: Any, n: int) -> float:
    """Call a method of it."""
    began = perf_counter()
    for _ in range(n):
        shared.setdefault("x", 0)
    return perf_counter() - began


def add(counts: dict[str, int]) -> None:
    """One increment."""
    counts["x"] += 1


def add_by_call(counts: dict[str, int]) -> None:
    """One that runs at home."""
    counts.update(x=counts["x"] + 1)


def increment(shared: Any, n: int) -> float:
    """Increment it, nothing lost."""
    began = perf_counter()
    for _ in range(n):
        shared.atomic(add)
    return perf_counter() - began


def increment_at_home(shared: Any, n: int) -> float:
    """The same, where the dict is."""
    began = perf_counter()
    for _ in range(n):
        shared.atomic(add_by_call)
    return perf_counter() - began


def increment_by_steps(shared: Any, n: int, lock: AbstractContextManager[Any] | None = None) -> float:
    """Increment it by a read and a write, under the lock if there is one."""
    guard = nullcontext() if lock is None else lock
    began = perf_counter()
    for _ in range(n):
        with guard:
            shared["x"] += 1
    return perf_counter() - began


# ---------------------------------------------------------------- potok


def with_potok(work: Any, writers: int) -> tuple[float, int]:
    """Operations a second, and what the item holds then."""
    import potok

    shared = potok.share({"x": 0})
    with potok.scope(on="processes") as scope:
        for task in [scope.start(int) for _ in range(writers)]:
            task.result()  # warm workers
        tasks = [scope.start(work, shared, STEPS // writers) for _ in range(writers)]
        took = max(task.result() for task in tasks)
    return STEPS // writers * writers / took, shared["x"]


def potok_get() -> float:
    """An item of a shared dict."""
    return with_potok(get_items, 1)[0]


def potok_set() -> float:
    """The same, written."""
    return with_potok(set_items, 1)[0]


def potok_method() -> float:
    """A method of it."""
    return with_potok(call_method, 1)[0]


def potok_increment(writers: int, work: Any = increment) -> float:
    """`atomic`."""
    speed, total = with_potok(work, writers)
    assert total == STEPS // writers * writers, "potok lost increments"
    return speed


# ---------------------------------------------------------------- multiprocessing.Manager


def run_and_tell(work: Any, start: Any, told: Any, *args: Any) -> None:
    """What a process of multiprocessing runs."""
    start.wait()
    told.put(work(*args))


def with_manager(work: Any, writers: int, locks: bool = False) -> tuple[float, int]:
    """The same with a Manager's dict, and its Lock."""
    with forkserver.Manager() as manager:
        shared, told = manager.dict(x=0), forkserver.Queue()
        start = forkserver.Barrier(writers)
        extra = (manager.Lock(),) if locks else ()
        processes = [
            forkserver.Process(
                target=run_and_tell, args=(work, start, told, shared, STEPS // writers, *extra)
            )
            for _ in range(writers)
        ]
        for process in processes:
            process.start()
        took = max(told.get() for _ in processes)
        for process in processes:
            process.join()
        return STEPS // writers * writers / took, shared["x"]


def manager_get() -> float:
    """Manager.dict."""
    return with_manager(get_items, 1)[0]


def manager_set() -> float:
    """The same, written."""
    return with_manager(set_items, 1)[0]


def manager_method() -> float:
    """A method of it."""
    return with_manager(call_method, 1)[0]


def manager_increment(writers: int) -> float:
    """A read and a write; two writers lose some."""
    return with_manager(increment_by_steps, writers)[0]


def manager_locked_increment(writers: int) -> float:
    """The same under a Manager's Lock."""
    speed, total = with_manager(increment_by_steps, writers, locks=True)
    assert total == STEPS // writers * writers, "a Manager's Lock lost increments"
    return speed


def manager_lost() -> float:
    """The share of two writers' increments that a Manager loses."""
    _, total = with_manager(increment_by_steps, 2)
    return 100 * (1 - total / (STEPS // 2 * 2))


# ---------------------------------------------------------------- Ray


def with_ray(name: str, writers: int) -> float:
    """An actor that holds the dict, called by tasks."""
    import ray

    ray.init(num_cpus=writers + 1, logging_level="ERROR", include_dashboard=False)

    class Holder:
        def __init__(self) -> None:
            self.content = {"x": 0}

        def get(self) -> int:
            return self.content["x"]

        def set(self) -> None:
            self.content["x"] = 1

        def add(self) -> None:
            self.content["x"] += 1

    def work(holder: Any, n: int) -> float:
        began = perf_counter()
        for _ in range(n):
            ray.get(getattr(holder, name).remote())
        return perf_counter() - began

    holder, task = ray.remote(Holder).remote(), ray.remote(work)
    ray.get([task.remote(holder, 10) for _ in range(writers)])
    took = max(ray.get([task.remote(holder, STEPS // writers) for _ in range(writers)]))
    alternate.answer(STEPS // writers * writers / took)


# ---------------------------------------------------------------- Redis


def redis_work(path: str, command: str, n: int) -> float:
    """So many commands over one connection."""
    import redis

    client = redis.Redis(unix_socket_path=path)
    call = {
        "get": lambda: client.get("x"),
        "set": lambda: client.set("x", 1),
        "add": lambda: client.incr("x"),
    }[command]
    began = perf_counter()
    for _ in range(n):
        call()
    return perf_counter() - began


def with_redis(command: str, writers: int) -> float:
    """A server of its own, on a socket in a folder of its own."""
    import subprocess
    import tempfile
    import time
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "redis.sock")
        options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--daemonize", "no"]
        server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL, cwd=folder)
        try:
            while not path.exists():
                time.sleep(0.01)
            redis_work(str(path), "set", 1)
            start, told = forkserver.Barrier(writers), forkserver.Queue()
            args = (redis_work, start, told, str(path), command, STEPS // writers)
            processes = [forkserver.Process(target=run_and_tell, args=args) for _ in range(writers)]
            for process in processes:
                process.start()
            took = max(told.get() for _ in processes)
            for process in processes:
                process.join()
            return STEPS // writers * writers / took
        finally:
            server.terminate()
            server.wait()


# ---------------------------------------------------------------- tables


def peers(ray: str, redis: str, writers: int = 1) -> list[Row]:
    """Ray and Redis, where they are installed."""
    return [
        Row("Ray actor", lambda: with_ray(ray, writers), modules=["ray"], time_limit=120),
        Row("Redis", lambda: with_redis(redis, writers), modules=["redis"], tool="redis-server"),
    ]


def increments(writers: int) -> list[Row]:
    """Who increments how."""
    return [
        Row("potok atomic", lambda: potok_increment(writers)),
        Row("potok atomic, at home", lambda: potok_increment(writers, increment_at_home)),
        Row("Manager", lambda: manager_increment(writers)),
        Row("Manager with Lock", lambda: manager_locked_increment(writers)),
        *peers("add", "add", writers),
    ]


TABLES = [
    Table(
        "get", "operations/s", [Row("potok", potok_get), Row("Manager", manager_get), *peers("get", "get")]
    ),
    Table(
        "set", "operations/s", [Row("potok", potok_set), Row("Manager", manager_set), *peers("set", "set")]
    ),
    Table("method", "calls/s", [Row("potok", potok_method), Row("Manager", manager_method)]),
    Table("increments, one writer", "increments/s", increments(1)),
    Table("increments, two writers", "increments/s", increments(2)),
    Table("increments lost, two writers", "%", [Row("Manager", manager_lost)]),
]

GOALS = [
    Goal("get: potok", "get: Manager", at_least=3),
    Goal("set: potok", "set: Manager", at_least=3),
    Goal("increments, one writer: potok atomic", "increments, one writer: Manager", at_least=3),
    Goal("increments, two writers: potok atomic", "increments, two writers: Manager", at_least=3),
    Goal("increments, one writer: potok atomic", "increments, one writer: Manager with Lock", at_least=3),
    Goal("increments, two writers: potok atomic", "increments, two writers: Manager with Lock", at_least=3),
]

if __name__ == "__main__":
    alternate.main("Shared state between processes", TABLES, GOALS)
