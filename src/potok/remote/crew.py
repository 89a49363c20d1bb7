"""The workers of this program: who is idle, who is given a task, and what becomes of those that die.

A worker tells that it begins a task before anything of the user's runs for it, and that is on its way before the task
is. So a worker that died without having told has not begun, and another is given the task: none begins twice.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from potok.errors import PotokError, WorkerDied
from potok.kernel.seam import Executor
from potok.links.packing import Carrying, Packed
from potok.links.wire import WireError
from potok.remote import desk
from potok.remote.board import board
from potok.remote.buffers import store
from potok.remote.calling import Slot, block_for
from potok.remote.home import Home, home
from potok.remote.lately import told_of
from potok.remote.link import Link
from potok.remote.page import send_page
from potok.remote.parties import Relay

__all__ = ["Assigned", "Crew", "Maker", "Options", "Worker", "dismiss", "kept", "kept_descriptors"]

IDLE_SECONDS = 10.0  # how long a worker without work is kept
TRIES = 3  # workers that may die before they begin a task, which fails with the last of them
SILENCE = 1.0  # seconds that a worker may be alive without its link
SETTLING = 0.05  # seconds after which a worker that is to go is looked at
GONE = "has gone"  # what the session says of a stream that has ended
GRACE = 5.0  # seconds that a cancelled task has to reach a park point, before its worker is killed


class Maker(Protocol):
    """What makes the workers of a crew, and tells how they end."""

    gone: bool
    """Whether nobody will tell any more how its workers have ended."""

    def make(self, worker: Worker, there: socket.socket) -> None:
        """Have a worker made that speaks over this socket. Does not wait for it."""

    def kill(self, worker: Worker) -> bool:
        """End the worker at once. False where that can't be: nobody will tell how it has ended."""

    def overdue(self, worker: Worker) -> None:
        """Its task was cancelled `GRACE` seconds ago, and still runs."""


class Options(Protocol):
    """What an executor that has workers was told, as it travels to wherever one is started. Can be a key."""

    @property
    def max_workers(self) -> int | None: ...

    @property
    def max_tasks_per_worker(self) -> int | None: ...

    @property
    def initializer(self) -> Packed | None: ...

    def executor(self) -> Executor:
        """The executor that has them."""

    def prepare(self) -> None:
        """In a worker, after the initializer and before the first task."""

    @property
    def bounds_memory(self) -> bool:
        """Whether a worker may be too big."""

    def is_too_big(self, pid: int) -> bool:
        """Whether that worker has more memory than it may."""

    def called(self, worker: Worker) -> str:
        """What people are told that this one is."""

    def begin(self) -> bool:
        """Have what makes them come up, if that takes time; whether `maker` is to be called soon."""

    def maker(self) -> Maker:
        """What makes workers that are as told."""


class Worker:
    """A worker, as the program sees it."""

    __slots__ = (
        "asked",
        "assigned",
        "crew",
        "descriptors",
        "failure",
        "fault",
        "gone",
        "idle_since",
        "kit",
        "link",
        "logged",
        "maker",
        "memory",
        "pid",
        "retired",
        "run",
        "space",
        "status",
        "stopping",
        "task",
        "watched",
    )

    def __init__(self, crew: Crew, space: int, maker: Maker) -> None:
        self.crew = crew
        self.space = space
        self.maker = maker
        self.pid = 0  # until it has greeted, or the forkserver has told
        self.status: int | None = None  # the exit code; negative: the signal
        self.memory: int | None = None
        self.fault: WireError | None = None  # for which it was killed
        self.failure = ""  # what ended it, where there is no exit code
        self.descriptors: tuple[int, ...] = ()  # that it has open in this very process
        self.gone = False
        self.asked: deque[Slot] = deque()  # threads that wait to hear of the pid
        self.task = ""
        self.assigned: Assigned | None = None  # the task, until it has begun it
        self.run = 0  # how many tasks it was given
        self.stopping = 0  # the one that was cancelled
        self.watched = False  # for being idle too long
        self.retired = False  # it gets no more tasks
        self.logged = False  # how it has ended
        self.idle_since = 0.0
        self.kit: Any = None  # what it was last told to run tasks with
        self.link: Any = None  # until it is made

    def stop(self) -> None:
        """Its task was cancelled: it has a moment to end by itself."""
        if self.stopping != self.run:
            self.stopping = self.run
            board.later(GRACE, partial(self._tell_if_still, self.run))

    def _tell_if_still(self, run: int) -> None:
        if self.run == run and self.task and not self.gone:
            self.maker.overdue(self)

    def is_given(self, assigned: Assigned) -> None:
        """It is to run a task."""
        self.run += 1
        self.task = assigned.before[0]
        self.assigned = assigned
        self.link.last.append(("task", self.task))

    def has_begun(self) -> None:
        """It runs the task, or will not get to tell anything else."""
        assigned, self.assigned = self.assigned, None
        if assigned is not None:
            assigned.spare = None

    def done(self, fit: bool = True) -> None:
        """Its task has ended; whether it may have another."""
        if not self.link.is_open:
            return
        self.task = ""
        most = self.crew.options.max_tasks_per_worker
        if fit and (most is None or self.run < most):
            self.crew.take_back(self)
        else:
            self.crew.retire(self)

    def known_pid(self) -> int:
        """Blocks for the moment until it has greeted."""
        if not self.pid and not self.gone:
            block_for(self._tell_pid)
        return self.pid

    def _tell_pid(self, slot: Slot) -> None:
        self.asked.append(slot)
        if self.pid or self.gone:
            self._answer()

    def _answer(self) -> None:
        with suppress(IndexError):  # another thread may answer, too
            while True:
                self.asked.popleft().answered(True)

    def is_gone(self) -> None:
        """Nothing more will be heard of it here."""
        self.gone = True
        self._answer()

    def is_called(self, pid: int) -> None:
        news = pid and not self.pid
        self.pid = pid
        if news:
            desk.tell(self.space, pid, "%s was started", self.crew.options.called(self))
        self._answer()

    def _see_begun(self) -> None:
        """Whether it has begun the task stands in its page, for as long as that is there."""
        if self.link.page.runs[0] >= self.run > 0:
            self.has_begun()

    def explain(self, cause: WireError | None) -> WorkerDied:
        """What became of it, and of its task. Called before its link ends."""
        self._see_begun()
        self._log_end()
        how = "went away"
        if self.failure:
            how = self.failure
        elif self.status is not None and (self.fault is None or self.status != -signal.SIGKILL):
            how = self._ended_how(self.status)
        elif self.fault is not None and GONE in str(self.fault):
            how = f"closed its link (all its file descriptors, perhaps) and was killed, as {self.fault}"
        elif self.fault is not None or cause is not None:
            how = f"was stopped, as {self.fault or cause}"
        return WorkerDied(
            f"{self.crew.options.called(self)} {how}{self._ended_when()}{self._memory_told()}",
            exit_code=None if self.failure or self.status is None or self.status < 0 else self.status,
            signal=-self.status if self.status is not None and self.status < 0 else None,
            pid=self.pid,
            task=self.task,
            last_events=told_of(self.link),
            memory=self.memory,
        )

    @staticmethod
    def _ended_how(status: int) -> str:
        return f"was killed by {_signal_name(-status)}" if status < 0 else f"ended with exit code {status}"

    def _memory_told(self) -> str:
        """Where the system may have killed it for that."""
        if self.memory is None or self.status != -signal.SIGKILL:
            return ""
        return f"; it had {self.memory / 2**20:.0f} MiB of memory at most"

    def _ended_when(self) -> str:
        moment = "while it ran" if self.assigned is None else "before it began"
        return f" {moment} task {self.task}" if self.task else ""

    def ended(self, status: int, memory: int | None = None) -> None:
        """The process, or interpreter, is no more; so many bytes of memory it had at most, if that is known."""
        self.status, self.memory = status, memory
        self._see_begun()
        self.link.hang_up()
        self._log_end()

    def _log_end(self) -> None:
        """Once: after its last words, before anybody goes on who waited for it."""
        how = self.failure or ("" if self.status is None else self._ended_how(self.status))
        with _ending:
            if how and not self.logged:
                self.logged = True
                called = self.crew.options.called(self)
                desk.tell(self.space, self.pid, "%s %s%s", called, how, self._ended_when())


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Parting:
    """The question to a worker whether it may go; `stays` is called if it is the home of something."""

    __slots__ = ("stays", "worker")

    counts = False

    def __init__(self, worker: Worker, stays: Callable[[], object]) -> None:
        self.worker = worker
        self.stays = stays

    def answered(self, is_home: bool) -> None:
        if not self.worker.link.is_open:
            return
        if is_home:
            self.stays()
        else:
            self.worker.crew.let_go(self.worker)

    def failed(self, error: Any) -> None:
        """It has gone by itself."""


class Crew:
    """Workers that are alike, idle ones last used first."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.workers: set[Worker] = set()
        self.idle: list[Worker] = []

    def take(self) -> Worker:
        """An idle worker, or a new one. Never waits for it."""
        while True:
            try:
                worker = self.idle.pop()
            except IndexError:
                return self._hire()
            if self.options.is_too_big(worker.pid):
                self.retire(worker)
            elif worker.link.is_open and not worker.gone and worker.link.is_alive():
                return worker

    def take_back(self, worker: Worker) -> None:
        worker.idle_since = time.monotonic()
        self.idle.append(worker)
        if not worker.watched:
            worker.watched = True
            board.later(IDLE_SECONDS, partial(self._let_go_if_idle, worker))
        if self.options.bounds_memory:  # a moment later: it drops just now what its task left
            board.later(SETTLING, partial(self._retire_if_too_big, worker))

    def retire(self, worker: Worker) -> None:
        """Give it no more tasks, and let it go; but not before nothing that lives there is referred to."""
        worker.retired = True
        try:
            self._ask(worker, lambda: board.later(SETTLING, partial(self.retire, worker)))
        except PotokError:  # it has gone by itself
            pass

    def _ask(self, worker: Worker, stays: Callable[[], object]) -> None:
        worker.link.call((worker.space, 0, "is_home", False, ()), Parting(worker, stays))

    def _retire_if_too_big(self, worker: Worker) -> None:
        if not worker.task and self.options.is_too_big(worker.pid) and self._take_out(worker):
            self.retire(worker)

    def _take_out(self, worker: Worker) -> bool:
        """It is idle no more. False: it was taken just now, or is gone."""
        try:
            self.idle.remove(worker)
        except ValueError:
            return False
        return True

    def _let_go_if_idle(self, worker: Worker) -> None:
        """Unless it had work meanwhile, or is the home of something that is still referred to."""
        rest = worker.idle_since + IDLE_SECONDS - time.monotonic()
        if worker.task or rest > 0 or home.refers_to(worker.space):
            board.later(max(rest, IDLE_SECONDS / 2), partial(self._let_go_if_idle, worker))
            return
        worker.watched = False
        if self._take_out(worker):
            try:
                self._ask(
                    worker, partial(self._put_back, worker)
                )  # what is in a result that nobody has opened yet
            except PotokError:  # it has gone by itself
                pass

    def _put_back(self, worker: Worker) -> None:
        """It stays, among those that were used longest ago."""
        self.idle.insert(0, worker)
        worker.watched = True
        board.later(IDLE_SECONDS / 2, partial(self._let_go_if_idle, worker))

    def let_go(self, worker: Worker) -> None:
        worker.link.let_go()
        board.later(GRACE, partial(self._kill_if_not_gone, worker))

    def _kill_if_not_gone(self, worker: Worker) -> None:
        """It was let go, and something keeps it from ending."""
        if worker.status is None and not worker.maker.gone:
            worker.maker.kill(worker)

    def dismiss(self, worker: Worker) -> None:
        """Let it go, if it is idle."""
        if self._take_out(worker):
            worker.link.let_go()

    def _hire(self) -> Worker:
        limit = self.options.max_workers
        if limit is not None and sum(not (w.gone or w.retired) for w in list(self.workers)) >= limit:
            raise PotokError(
                f"all {limit} workers of max_workers={limit} are busy, and `start` never queues; "
                f"give a greater max_workers, or bound the work with potok.map(workers=...)"
            )
        maker = self.options.maker()  # first: where there can be none, nothing is to be undone
        worker = Worker(self, next(_spaces), maker)
        here, there = socket.socketpair()
        with there:
            link = worker.link = self._link_to(worker, here)
            self.workers.add(worker)
            try:
                maker.make(worker, there)  # last: it may end before this returns
            except BaseException:
                link.let_go()
                raise
        return worker

    def _link_to(self, worker: Worker, here: socket.socket) -> Link:
        try:
            page = send_page(here)
            link = Link(here, worker.space, home, {"space": worker.space})
        except BaseException:
            here.close()
            raise
        link.page = page
        link.explain = partial(_explain, worker)
        home.links[worker.space] = link
        _by_link[link] = worker
        desk.greet(link)
        return link


def _explain(worker: Worker, cause: WireError | None) -> WorkerDied | None:
    """Why the link has ended; None: it is not known yet, but will be told."""
    worker.is_gone()
    if worker.link.dismissed:  # how it ends is of no interest
        return None
    if worker.status is not None or cause is None or worker.maker.gone:
        return worker.explain(cause)
    if GONE in str(cause):  # by its death, most likely, of which we shall hear
        board.later(SILENCE, partial(_stop_late, worker, cause))
        return None
    return None if _stop_for(worker, cause) else worker.explain(cause)  # it has written what is no message


def _stop_for(worker: Worker, cause: WireError) -> bool:
    """It can't be spoken with any more, if it still lives. Whether its end will be told."""
    if worker.status is not None or not worker.pid or worker.maker.gone:
        return True
    worker.fault = cause
    return worker.maker.kill(worker)


def _stop_late(worker: Worker, cause: WireError) -> None:
    if not _stop_for(worker, cause):
        worker.failure = worker.failure or "closed its link (all file descriptors, perhaps), and lives on"
        worker.link.hang_up()


_spaces = itertools.count(1)
_by_link: dict[Link, Worker] = {}
_crews: dict[tuple[type, Options], Crew] = {}  # options of two executors may be equal
_founding = threading.Lock()
_ending = threading.Lock()  # who finds that the end of a worker is logged, may rely on it

kept: list[Callable[[list[Worker]], set[int]]] = []
"""Tell which file descriptors the makers keep open for the sake of these idle workers, and for their own."""


def crew_of(options: Options) -> Crew:
    """The crew whose workers are like that."""
    key = type(options), options
    crew = _crews.get(key)
    if crew is None:
        with _founding:
            crew = _crews.setdefault(key, Crew(options))
    return crew


def dismiss() -> None:
    """Let all idle workers go."""
    for crew in list(_crews.values()):
        while crew.idle:
            crew.idle.pop().link.let_go()


def kept_descriptors() -> set[int]:
    """The file descriptors that stay open though no task runs: of idle workers, their makers and the switchboard."""
    idle = [w for crew in list(_crews.values()) for w in list(crew.idle) if w.link.is_open]
    told = board.descriptors() | store.descriptors()
    told = told.union(*((worker.link.descriptor, *worker.descriptors) for worker in idle))
    told |= set().union(*(worker.link.page.descriptors() for worker in idle))
    return told.union(*(tell(idle) for tell in kept))


class Assigned:
    """A task that some worker is to run; `asker` is told how it ended."""

    __slots__ = (
        "asker",
        "before",
        "crew",
        "kit",
        "number",
        "reason",
        "spare",
        "tries",
        "until",
        "why",
        "worker",
    )

    def __init__(self, request: tuple[Any, ...], asker: Any = None) -> None:
        *self.before, work, rest, self.reason, options, setting = request
        self.kit = (options, setting)
        self.asker = asker
        self.crew = crew_of(options)
        self.until = None if rest is None else time.monotonic() + rest
        self.tries = TRIES
        self.why: Any = None  # a 1-tuple, once it was cancelled
        self.spare: Packed | None = work  # what another worker would be given
        self.worker: Any = None
        self.number = 0

    def send(self) -> None:
        """Give it to a worker, idle or new. Raises why there is none."""
        while True:
            self.tries -= 1
            worker = self.worker = self.crew.take()
            work, self.spare = self.spare, _once_more(self.spare)
            rest = None if self.until is None else max(0.0, self.until - time.monotonic())
            news = None if worker.kit == self.kit else self.kit  # mostly it is what it was for the last task
            request = (*self.before, work, rest, self.reason, news)
            worker.is_given(self)
            worker.kit = self.kit  # before it can have answered, and be given another task
            try:
                self.number = worker.link.call((worker.space, 0, "run", True, request), self)
                break
            except PotokError:  # it has died since
                if self.spare is None or not self.tries:
                    if worker.failure:  # the link is only about to tell
                        raise worker.explain(None) from None
                    raise
        if self.why is not None:  # meanwhile
            self.recall(*self.why)

    def recall(self, why: Any) -> None:
        """It is cancelled, or nobody is left to be told how it ends."""
        self.why = (why,)
        self.worker.link.recall(self.number, why)
        self.worker.stop()

    def known_pid(self) -> int:
        """See `Worker`."""
        return self.worker.known_pid()  # type: ignore[no-any-return]

    # ── how it ended: called by the thread that leads ───────────────────────────────────────────────────────

    def answered(self, value: Any) -> None:
        self.worker.has_begun()
        self.worker.done(value[0] != "unfit")
        self.asker.answered(value)

    def failed(self, error: Any) -> None:
        if not self.worker.link.is_open and self.spare is not None and self.tries and self.why is None:
            try:
                self.send()
                return
            except Exception as failure:
                error = failure
        self.spare = None
        self.worker.done(fit=False)  # it may not even have got the task, nor what to run it with
        self.asker.failed(error)


def _once_more(work: Packed | None) -> Packed | None:
    """The same again, with references of its own; None if there is none, or a home has gone."""
    try:
        return work.again() if isinstance(work, Carrying) else work
    except PotokError:
        return None


# ── on behalf of workers ────────────────────────────────────────────────────────────────────────────────────


class StartRelay(Relay):
    """A task that one worker starts and another runs."""

    __slots__ = ()

    def recall(self, why: Any = None) -> None:
        self.forward.recall(why)


def _run_for_another(link: Link, number: int, request: tuple[Any, ...]) -> None:
    assigned = Assigned(request)
    link.serving[number] = assigned.asker = StartRelay(link, number, assigned)
    assigned.send()


def _serve_pid(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """In which process does the task run that the other side has started by this call?"""
    relay = link.serving.get(args[0])
    link.answer(number, relay.forward.known_pid() if isinstance(relay, StartRelay) else 0)


def _begun(link: Link) -> None:
    worker = _by_link.get(link)
    if worker is not None:
        worker.has_begun()


def _greeted(link: Link, about: Any) -> None:
    worker = _by_link.get(link)
    if worker is not None:
        worker.descriptors = about.get("descriptors", ())
        if not worker.pid:
            worker.is_called(about["pid"])


def _lost(link: Link, error: BaseException) -> None:
    desk.lose(link.space)
    worker = _by_link.pop(link, None)
    if worker is not None:
        worker.is_gone()
        worker.crew.workers.discard(worker)


if not home.space:  # a worker that happens to import this has others
    home.run = _run_for_another
    home.about = _greeted
    home.lost = _lost
    home.space_ops["pid"] = _serve_pid
    home.note_ops["begun"] = _begun


def _forget_all() -> None:
    """In a forked child: workers and what is said to them are the parent's."""
    why = "this process is a fork of the one that has the workers; start a program of its own to have some"
    home.reset(why)
    _crews.clear()
    _by_link.clear()


if hasattr(os, "register_at_fork") and not home.space:
    os.register_at_fork(after_in_child=_forget_all)
