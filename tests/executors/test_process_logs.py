"""`potok.logs`: what tasks log in worker processes arrives here, whole and in order, the last words included."""

import logging
import os
import signal
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import potok

LOGGED = potok.processes(preload=("pytest", "logging"))
PATIENCE = 20.0  # seconds; only a failing test waits that long

app = logging.getLogger("app")
life = logging.getLogger("potok.workers")


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Everything from INFO on is captured; nothing of potok's is left at the program's loggers."""
    root = logging.getLogger()
    caplog.set_level(logging.INFO)
    before = (list(root.handlers), root.level, logging.getLogRecordFactory())
    yield
    assert (root.handlers, root.level, logging.getLogRecordFactory()) == before


def said(caplog: pytest.LogCaptureFixture, name: str = "app") -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == name]


def count_to(n: int, who: str) -> None:
    for number in range(n):
        app.info("%s %d %s", who, number, "x" * (number % 50))


@pytest.mark.parametrize("on", [LOGGED, potok.processes(start_method="spawn")], ids=["forked", "spawned"])
def test_records_of_each_worker_arrive_in_order(caplog: pytest.LogCaptureFixture, on: Any) -> None:
    """All of them, once each, with the name of the task and the process that has logged."""
    with potok.logs("INFO"):
        with potok.scope(on=on) as s:
            tasks = {who: s.start(count_to, 100, who, name=f"task {who}") for who in "abcd"}
        pids = {who: task.pid for who, task in tasks.items()}
    got = defaultdict(list)
    for record in caplog.records:
        if record.name == "app":
            who, number, rest = record.getMessage().split(" ")
            assert len(rest) == int(number) % 50
            assert (record.taskName, record.process) == (f"task {who}", pids[who])
            assert (record.levelname, record.filename, record.funcName) == (
                "INFO",
                "test_process_logs.py",
                "count_to",
            )
            got[who].append(int(number))
    assert got == {who: list(range(100)) for who in "abcd"}


def count_and_die(n: int, size: int) -> None:
    for number in range(n):
        app.info("%d %s", number, "x" * size)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.stress
@pytest.mark.parametrize(("n", "size"), [(1, 0), (50, 100), (20, 100_000), (3, 1_000_000)])
def test_last_words_of_a_killed_worker_arrive(caplog: pytest.LogCaptureFixture, n: int, size: int) -> None:
    """A record is out of the worker's memory when `logger.info` returns, however full the socket was."""
    with potok.logs("INFO"), pytest.raises(ExceptionGroup), potok.scope(on=LOGGED) as s:
        s.start(count_and_die, n, size)
    assert said(caplog) == [f"{number} {'x' * size}" for number in range(n)]


def test_lines_of_the_workers_life(caplog: pytest.LogCaptureFixture) -> None:
    """Started, task by task, and how it ended: by itself, or killed."""

    def fail() -> None:
        raise ValueError("on purpose")

    def leave() -> None:
        os._exit(3)

    on = potok.processes(preload=("logging", "string"))
    with potok.logs("INFO"):
        with pytest.raises(ExceptionGroup), potok.scope(on=on, on_fail="collect") as s:
            first = s.start(count_to, 1, "a", name="one")
            first.join()
            s.start(fail, name="two").join()
            s.start(leave, name="three").join()
            last = s.start(count_and_die, 0, 0, name="four")
            last.join()
        pids = first.pid, last.pid
    lines = [record for record in caplog.records if record.name == life.name and record.process in pids]
    assert [line.getMessage() for line in lines] == [
        f"worker process {pids[0]} was started",
        "task one starts",
        "task one has ended",
        "task two starts",
        "task two has failed: ValueError: on purpose",
        "task three starts",
        f"worker process {pids[0]} ended with exit code 3 while it ran task three",
        f"worker process {pids[1]} was started",
        "task four starts",
        f"worker process {pids[1]} was killed by SIGKILL while it ran task four",
    ]
    assert [line.process for line in lines] == [pids[0]] * 7 + [pids[1]] * 3


class Sealed:
    """Refuses to be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("sealed")

    def __repr__(self) -> str:
        return "<Sealed>"


def log_what_cannot_travel() -> None:
    app.info("%s and %r", Sealed(), [1])
    app.info(Sealed())
    app.info("%(a)s of %(b)d", {"a": "one", "b": 2})
    app.info("extra", extra={"sealed": Sealed(), "items": [1, 2], "plain": 7})
    app.info("100 %% sure", stack_info=True)
    app.info("one argument too many", 1)
    try:
        {}["over there"]
    except LookupError:
        app.exception("failed")


def test_records_keep_what_can_travel(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Arguments and tracebacks are formatted there, if they must; extra attributes stay, as text if they must."""
    with potok.logs("INFO"), potok.scope(on=LOGGED) as s:
        s.start(log_what_cannot_travel)
    records = [record for record in caplog.records if record.name == "app"]
    assert [record.msg if "many" in record.msg else record.getMessage() for record in records] == [
        "<Sealed> and [1]",
        "<Sealed>",
        "one of 2",
        "extra",
        "100 %% sure",
        "one argument too many",
        "failed",
    ]
    assert (records[3].sealed, records[3].items, records[3].plain) == ("<Sealed>", [1, 2], 7)  # type: ignore[attr-defined]
    assert "log_what_cannot_travel" in str(records[4].stack_info)
    assert "KeyError: 'over there'" in str(records[6].exc_text)
    assert "over there" in logging.Formatter().format(records[6])


class Chatty:
    """Logs while it is looked at."""

    def __init__(self) -> None:
        self.asked = 0

    def __str__(self) -> str:
        app.info("asked for its text")
        return "chatty"

    def __reduce__(self) -> Any:
        if self.asked:
            raise TypeError("once only")
        self.asked += 1
        app.info("asked for its pickle")
        return Chatty, ()


def log_chatty() -> None:
    app.info("this is %s", Chatty(), extra={"chatty": Chatty()})


def test_logging_within_logging_comes_to_an_end(caplog: pytest.LogCaptureFixture) -> None:
    """What is logged while a record is made ready is a record, too."""
    with potok.logs("INFO"), potok.scope(on=LOGGED) as s:
        s.start(log_chatty)
    assert sorted(said(caplog)) == ["asked for its pickle", "asked for its text", "this is chatty"]


def log_in_threads(n: int) -> None:
    threads = [threading.Thread(target=count_to, args=(n, str(who))) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.stress
def test_threads_of_a_worker_log_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each one's records are in order."""
    with potok.logs("INFO"), potok.scope(on=LOGGED) as s:
        s.start(log_in_threads, 40)
    numbers = [line.split(" ")[:2] for line in said(caplog)]
    assert all([n for who, n in numbers if who == me] == [str(n) for n in range(40)] for me in "012345")


# ── here ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("on", ["inline", "coroutines", "threads", LOGGED], ids=str)
def test_same_program_logs_once_wherever_it_runs(caplog: pytest.LogCaptureFixture, on: Any) -> None:
    """No record is doubled; each names its task."""
    with potok.logs("INFO"), potok.scope(on=on) as s:
        for who in "ab":
            s.start(count_to, 3, who, name=who)
    assert sorted(said(caplog)) == [f"{who} {n} {'x' * n}" for who in "ab" for n in range(3)]
    assert all(r.taskName == r.getMessage()[0] for r in caplog.records if r.name == "app")


def log_two() -> None:
    app.info("quiet")
    app.warning("loud")
    app.warning("secret")


def test_levels_and_filters_here_apply(caplog: pytest.LogCaptureFixture) -> None:
    """As if the record had been logged here."""

    def keep(record: logging.LogRecord) -> bool:
        return "secret" not in record.getMessage()

    app.setLevel(logging.WARNING)
    app.addFilter(keep)
    try:
        with potok.logs("DEBUG"), potok.scope(on=LOGGED) as s:
            s.start(log_two)
    finally:
        app.removeFilter(keep)
        app.setLevel(logging.NOTSET)
    assert said(caplog) == ["loud"]


class Blocked(logging.Handler):
    """Waits until it may go on, and raises then."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go = threading.Event(), threading.Event()

    def handle(self, record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("stop"):
            self.reached.set()
            assert self.go.wait(PATIENCE)
            if "raise" in record.getMessage():
                raise LookupError("a broken handler")
        return True


def echo(rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
    app.info("stop and raise")
    for item in rx:
        app.info("%d", item)
        tx.send(item)


def test_handler_that_waits_or_raises_holds_up_nobody(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Items cross the same link meanwhile; the records after it are handled."""
    handler = Blocked()
    logging.getLogger().addHandler(handler)
    try:
        with potok.logs("INFO"):
            there, back = potok.channel(), potok.channel()
            with potok.scope(on=LOGGED) as s:
                s.start(echo, there[1], back[0])
                assert handler.reached.wait(PATIENCE)
                for item in range(10):
                    there[0].send(item)
                    assert back[1].recv() == item
                there[0].close()
            handler.go.set()
    finally:
        logging.getLogger().removeHandler(handler)
    assert said(caplog) == ["stop and raise", *map(str, range(10))]
    assert "a broken handler" in capsys.readouterr().err


def test_handler_that_never_returns_does_not_keep_the_block(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is given up after a while, and that is told."""
    from potok.remote import desk

    monkeypatch.setattr(desk, "PATIENCE", 0.2)
    handler = Blocked()
    logging.getLogger().addHandler(handler)
    try:
        with potok.logs("INFO"), potok.scope(on=LOGGED) as s:
            s.start(app.info, "stop here")
        assert "handler has been busy" in capsys.readouterr().err
    finally:
        logging.getLogger().removeHandler(handler)
        handler.go.set()


def how_it_is_configured() -> tuple[int, int]:
    root = logging.getLogger()
    return root.level, len([handler for handler in root.handlers if "potok" in type(handler).__module__])


def test_workers_are_left_as_they_were() -> None:
    """Level and handlers of their root logger; the lowest level counts while several are in effect."""
    with potok.scope(on=potok.processes(preload=("logging", "json"))) as s:

        def now() -> tuple[int, int]:
            return s.start(how_it_is_configured).result()

        before = now()
        assert before[1] == 0
        with potok.logs("INFO"):
            assert now() == (logging.INFO, 1)
            with potok.logs(logging.DEBUG):
                assert now() == (logging.DEBUG, 1)
            with potok.logs("ERROR"):
                assert now() == (logging.INFO, 1)
            assert now() == (logging.INFO, 1)
        assert now() == before


@pytest.mark.stress
def test_several_threads_want_records_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """Workers know in the end what is wanted, whoever came and went meanwhile; nobody misses what it wanted."""

    def want(s: Any, who: str) -> None:
        for number in range(10):
            with potok.logs("DEBUG" if number % 2 else "INFO"):
                s.start(count_to, 1, f"{who}{number}").join()

    with potok.scope(on=LOGGED) as s:
        threads = [threading.Thread(target=want, args=(s, who)) for who in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        configured = [s.start(how_it_is_configured) for _ in range(4)]
    assert sorted(said(caplog)) == sorted(f"{who}{number} 0 " for who in "abcd" for number in range(10))
    assert {task.result()[1] for task in configured} == {0}


def log_on_demand(rx: potok.Receiver[str], tx: potok.Sender[None]) -> None:
    for line in rx:
        app.info(line)
        tx.send(None)


def test_plain_call_holds_until_it_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    """From now on for a task that runs already, too; closing twice is no error."""
    ask, asked = potok.channel()
    told, tell = potok.channel()
    with potok.scope(on=LOGGED) as s:
        s.start(log_on_demand, asked, told)
        ask.send("not wanted yet")
        tell.recv()
        wanted = potok.logs(logging.INFO)
        with potok.scope(on=LOGGED) as inner:
            inner.start(count_to, 1, "other").join()
        line = 0
        while (
            "wanted 0" not in said(caplog) and line < 10_000
        ):  # it is told while it runs: no start waits for it
            ask.send(f"wanted {line}" if line == 0 or "wanted 0" in said(caplog) else "wanted 0")
            tell.recv()
            line += 1
        wanted.close()
        wanted.close()
        ask.send("not wanted any more")
        tell.recv()
        ask.close()
    lines = said(caplog)
    assert "other 0 " in lines
    assert "wanted 0" in lines
    assert not [line for line in lines if line.startswith("not wanted")]
    with pytest.raises(ValueError, match="closed"):
        wanted.__enter__()


def log_of_others() -> None:
    with potok.logs("INFO"), potok.scope(on=LOGGED) as s:
        s.start(count_to, 2, "grandchild")


def test_worker_may_want_records(caplog: pytest.LogCaptureFixture) -> None:
    """They go to the program's handlers; a worker that dies wants nothing any more."""
    from potok.remote.desk import desk

    def die() -> None:
        potok.logs("DEBUG")
        os._exit(1)

    with potok.logs("CRITICAL"), potok.scope(on=LOGGED) as s:
        s.start(log_of_others)
    assert said(caplog) == ["grandchild 0 ", "grandchild 1 x"]
    with pytest.raises(ExceptionGroup), potok.scope(on=LOGGED) as s:
        s.start(die)
    with potok.scope(on=LOGGED) as s:
        s.start(abs, -1)  # by now its end has been dealt with
    assert desk.level is None


@pytest.mark.parametrize("level", ["LOUD", -1, None, True, 1.5])
def test_what_is_no_level_is_refused(level: Any) -> None:
    """With nothing changed."""
    with pytest.raises(ValueError, match="level"):
        potok.logs(level)


def test_factory_that_was_put_over_ours_stays(caplog: pytest.LogCaptureFixture) -> None:
    """Ours does nothing below it once records are not wanted any more."""
    before = logging.getLogRecordFactory()
    try:
        with potok.logs():
            ours = logging.getLogRecordFactory()

            def mine(*args: Any, **kwargs: Any) -> logging.LogRecord:
                return ours(*args, **kwargs)

            logging.setLogRecordFactory(mine)
        assert logging.getLogRecordFactory() is mine
        app.info("fine")
        assert said(caplog) == ["fine"]
        assert getattr(caplog.records[-1], "taskName", None) is None
        with potok.logs():
            app.info("again")
        assert caplog.records[-1].taskName == potok.current_task().name  # type: ignore[attr-defined]
        assert logging.getLogRecordFactory() is mine
    finally:
        logging.setLogRecordFactory(before)


def test_last_events_tell_what_a_dead_worker_did() -> None:
    """In words: what it was given, called and logged, the latest last."""

    def busy(tx: potok.Sender[int]) -> None:
        tx.send(1)
        app.info("on the %s", "way")
        os.kill(os.getpid(), signal.SIGKILL)

    tx, rx = potok.channel(3)
    with potok.logs("INFO"), pytest.raises(ExceptionGroup) as caught, potok.scope(on=LOGGED) as s:
        s.start(busy, tx, name="victim")
        assert rx.recv() == 1
    (error,) = [error for error in caught.value.exceptions if isinstance(error, potok.WorkerDied)]
    events = "\n".join(error.last_events)
    assert 0 < len(error.last_events) <= 8
    assert "was given task victim" in events
    assert "send on channel(3)" in events
    assert error.last_events[-1] == "logged INFO:app:on the way"


def test_program_that_just_ends_has_handled_all(
    program: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """A plain call needs no close; a copy that the program forks leaves the records to it."""
    done = program(
        """
        import logging, os, time, warnings
        import potok

        class Slow(logging.StreamHandler):
            def emit(self, record):
                time.sleep(0.02)
                super().emit(record)

        def work(n):
            for number in range(n):
                logging.getLogger("app").info("line %d", number)

        if __name__ == "__main__":
            warnings.simplefilter("ignore", DeprecationWarning)
            logging.basicConfig(level=logging.INFO, handlers=[Slow()], format="%(message)s")
            logs = potok.logs("INFO")
            with potok.scope(on="processes") as s:
                s.start(work, 1).join()
                if not os.fork():
                    logs.close()
                    os._exit(0)
                os.wait()
                s.start(work, 20)
        """
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("line")]
    assert lines == ["line 0", *(f"line {number}" for number in range(20))]
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr
