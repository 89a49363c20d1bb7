"""Channels whose ends nobody has but the tasks that are stuck on them."""

from collections.abc import Iterator
from typing import Any

from catalogue import ENDS, bystander, stuck, work_on

import potok

THREADS, COROUTINES, PROCESSES = "threads", "coroutines", "processes"
RLOCK = "r?lock"  # how it is called elsewhere


def send_first(tx: potok.Sender[str], rx: potok.Receiver[str]) -> None:
    tx.send("mine")
    rx.recv()


def receive_first(rx: potok.Receiver[str], tx: potok.Sender[str]) -> None:
    item = rx.recv()
    tx.send(item)


def consume(rx: potok.Receiver[Any]) -> None:
    for _ in rx:
        pass


@stuck(ENDS, THREADS, COROUTINES, PROCESSES, left="send", right="send")
def both_send_first(on: str) -> None:
    """Two peers swap values over rendezvous channels; both send before they receive, so nobody receives."""
    to_right, from_left = potok.channel()
    to_left, from_right = potok.channel()
    with bystander(), potok.scope(on=on) as s:
        s.start(send_first, to_right, from_right, name="left")
        s.start(send_first, to_left, from_left, name="right")


@stuck(ENDS, THREADS, COROUTINES, PROCESSES, first="recv", second="recv", third="recv", spared=("busy",))
def ring_of_receivers(on: str) -> None:
    """A token ring into which nobody puts the token: each waits for the one before it. Somebody else is busy."""
    ring = [potok.channel() for _ in range(3)]
    with potok.scope(on=on) as s:
        s.start(work_on, name="busy")
        for index, name in enumerate(("first", "second", "third")):
            s.start(receive_first, ring[index][1], ring[(index + 1) % 3][0], name=name)


@stuck(ENDS, THREADS, COROUTINES, left="send", right="send")
def full_buffers_both_ways(on: str) -> None:
    """Each peer sends three items before it reads any; the buffers have room for two. With two items it had worked."""

    def peer(tx: potok.Sender[int], rx: potok.Receiver[int]) -> None:
        for item in range(3):
            tx.send(item)
        for _ in range(3):
            rx.recv()

    to_right, from_left = potok.channel(2)
    to_left, from_right = potok.channel(2)
    with bystander(), potok.scope(on=on) as s:
        s.start(peer, to_right, from_right, name="left")
        s.start(peer, to_left, from_left, name="right")


@stuck(ENDS, THREADS, COROUTINES, body="scope", consumer="recv")
def forgotten_clone(on: str) -> None:
    """The consumer iterates until the last sender closes; one more is in a local of the body, which waits for it."""
    tx, rx = potok.channel()
    spare = tx.clone()
    with bystander(), potok.scope(on=on) as s:
        s.start(consume, rx, name="consumer")
        s.start(tx.send, "only", name="producer").join()
        tx.close()
    spare.close()


@stuck(ENDS, THREADS, COROUTINES, body="scope", consumer="recv")
def forgotten_close_in_a_closure(on: str) -> None:
    """The producer is a closure, so its sender is the body's own: it does not close as the producer ends."""
    tx, rx = potok.channel()

    def produce() -> None:
        tx.send("only")

    with bystander(), potok.scope(on=on) as s:
        s.start(consume, rx, name="consumer")
        s.start(produce, name="producer")


@stuck(ENDS, THREADS, COROUTINES, PROCESSES, body="send", worker="send")
def all_jobs_before_any_result(on: str) -> None:
    """The body sends all jobs, then reads the results; the worker can't take a job before its result is taken."""

    def work(jobs: potok.Receiver[int], results: potok.Sender[int]) -> None:
        for job in jobs:
            results.send(job * job)

    jobs, todo = potok.channel()
    done, results = potok.channel()
    with bystander(), potok.scope(on=on) as s:
        s.start(work, todo, done, name="worker")
        with jobs:
            for job in range(3):
                jobs.send(job)
        assert sum(results) == 5


@stuck(ENDS, THREADS, COROUTINES, PROCESSES, body="recv", peer="recv")
def both_ends_of_a_pipe_receive(on: str) -> None:
    """A protocol in which each side thinks that the other one speaks first."""

    def peer(end: potok.Pipe[str]) -> None:
        name = end.recv()
        end.send(f"hello, {name}")

    ours, theirs = potok.pipe()
    with bystander(), potok.scope(on=on) as s:
        s.start(peer, theirs, name="peer")
        name = ours.recv()
        ours.send(f"hello, {name}")


@stuck(ENDS, THREADS, COROUTINES, chooser="select", giver="recv")
def select_among_channels_of_the_stuck(on: str) -> None:
    """One waits for either of two channels, the other has the senders of both and waits for what it would be told."""

    def choose(one: potok.Receiver[int], two: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        got = potok.select(one, two)
        tx.send(got.value)

    def give(rx: potok.Receiver[int], one: potok.Sender[int], two: potok.Sender[int]) -> None:
        item = rx.recv()
        one.send(item)
        two.send(item)

    (tx_one, one), (tx_two, two), (tx, rx) = potok.channel(), potok.channel(), potok.channel()
    with bystander(), potok.scope(on=on) as s:
        s.start(choose, one, two, tx, name="chooser")
        s.start(give, rx, tx_one, tx_two, name="giver")


@stuck(ENDS, THREADS, COROUTINES, left="select", right="select")
def selects_that_only_send(on: str) -> None:
    """Two peers offer by select whatever they have; neither of them ever offers to receive."""

    def offer(tx: potok.Sender[int], rx: potok.Receiver[int]) -> None:
        potok.select(tx.sending(1), tx.sending(2))
        rx.recv()

    to_right, from_left = potok.channel()
    to_left, from_right = potok.channel()
    with bystander(), potok.scope(on=on) as s:
        s.start(offer, to_right, from_right, name="left")
        s.start(offer, to_left, from_left, name="right")


@stuck(ENDS, THREADS, COROUTINES, body="scope", asked="send")
def answer_that_nobody_takes(on: str) -> None:
    """The body has gone on without the answer, as it had taken too long; the task can't get rid of it.

    The receiver is not gone: the body still has it, and waits for the task.
    """
    tx, rx = potok.channel()

    def answer(wanted: potok.Event) -> None:
        wanted.wait()
        tx.send("at last")

    given_up = potok.Event()
    with bystander(), potok.scope(on=on) as s:
        s.start(answer, given_up, name="asked")
        try:
            rx.recv(timeout=0.01)
        except TimeoutError:
            given_up.set()


@stuck(ENDS, THREADS, COROUTINES, PROCESSES, body="scope", caller="send")
def second_answer_of_two(on: str) -> None:
    """The task reports its error and, as a `return` is missing, its value too; the body takes one of them."""

    def call(tx: potok.Sender[str]) -> None:
        tx.send("error")
        tx.send("value")

    tx, rx = potok.channel()
    with bystander(), potok.scope(on=on) as s:
        s.start(call, tx, name="caller")
        assert rx.recv() == "error"


@stuck(ENDS, THREADS, COROUTINES, body="join|end of", producer="send")
def joined_before_it_was_drained(on: str) -> None:
    """The body waits for the producer's end before it takes what that one produces."""

    def produce(tx: potok.Sender[int]) -> None:
        for item in range(3):
            tx.send(item)

    tx, rx = potok.channel()
    with bystander(), potok.scope(on=on) as s:
        s.start(produce, tx, name="producer").join()
        assert list(rx) == [0, 1, 2]


@stuck(ENDS, THREADS, COROUTINES, publisher="send")
def own_subscriber_unread(on: str) -> None:
    """The publisher subscribed to its own broadcast and never reads: it is the slowest, for which it waits itself."""

    def publish() -> None:
        tx, subscribe = potok.broadcast(2)
        mine = subscribe()
        with tx, mine:
            for item in range(3):
                tx.send(item)

    with bystander(), potok.scope(on=on) as s:
        s.start(publish, name="publisher")


@stuck(ENDS, THREADS, COROUTINES, reader="recv")
def generator_with_both_ends(on: str) -> None:
    """A generator reads from the channel whose only sender it keeps itself, to be closed at its end."""

    def items() -> Iterator[int]:
        tx, rx = potok.channel(1)
        tx.send(0)
        for item in rx:
            yield item + 1
        tx.close()

    def read() -> None:
        for item in items():
            assert item == 1

    with bystander(), potok.scope(on=on) as s:
        s.start(read, name="reader")


@stuck(ENDS, THREADS, COROUTINES, left="recv", right="recv")
def received_and_sent_in_one_expression(on: str) -> None:
    """Two forward to each other what they receive, and nobody begins; `tx` is half-way into a call meanwhile."""

    def forward(rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        while True:
            tx.send(rx.recv() + 1)

    to_right, from_left = potok.channel()
    to_left, from_right = potok.channel()
    with bystander(), potok.scope(on=on) as s:
        s.start(forward, from_right, to_right, name="left")
        s.start(forward, from_left, to_left, name="right")


@stuck(ENDS, THREADS, COROUTINES, left="recv", right="recv")
def ends_in_closures(on: str) -> None:
    """Nothing is handed over: both peers are closures over all four ends, and both receive first."""
    to_right, from_left = potok.channel()
    to_left, from_right = potok.channel()

    def left() -> None:
        from_right.recv()
        to_right.send("mine")

    def right() -> None:
        from_left.recv()
        to_left.send("mine")

    with bystander(), potok.scope(on=on) as s:
        s.start(left, name="left")
        s.start(right, name="right")


@stuck(ENDS, THREADS, COROUTINES, left="recv", right="recv")
def ends_in_objects(on: str) -> None:
    """Two actors, each an object with its mailbox and its peer's address, are asked to wait for each other's mail."""

    class Actor:
        def __init__(self) -> None:
            self.address, self._mail = potok.channel(1)
            self.peers: list[potok.Sender[Any]] = []

        def run(self) -> None:
            mail = self._mail.recv()
            for peer in self.peers:
                peer.send(mail)

    def play() -> None:
        left, right = Actor(), Actor()
        left.peers.append(right.address)
        right.peers.append(left.address)
        with potok.scope() as s:
            s.start(left.run, name="left")
            s.start(right.run, name="right")

    with bystander(), potok.scope(on=on) as s:
        s.start(play, name="play")


@stuck(ENDS, THREADS, COROUTINES, outer="recv", inner="recv", spared=("busy",))
def nested_scopes(on: str) -> None:
    """A task waits for what the member of its own scope would send, which waits for what that task would send."""

    def outer() -> None:
        to_inner, from_outer = potok.channel()
        to_outer, from_inner = potok.channel()
        with potok.scope() as s:
            s.start(receive_first, from_outer, to_outer, name="inner")
            from_inner.recv()
            to_inner.send("go")

    with potok.scope(on=on) as s:
        s.start(work_on, name="busy")
        s.start(outer, name="outer")


@stuck(ENDS, THREADS, COROUTINES, sender="send", receiver=RLOCK, spared=("busy",))
def channel_and_rlock(on: str) -> None:
    """One sends inside the lock that the other takes before it receives. Somebody else is busy."""

    def send_inside(lock: potok.RLock, tx: potok.Sender[int], held: potok.Event) -> None:
        with lock:
            held.set()
            tx.send(1)

    def receive_inside(lock: potok.RLock, rx: potok.Receiver[int], held: potok.Event) -> None:
        held.wait()
        with lock:
            rx.recv()

    tx, rx = potok.channel()
    lock, held = potok.RLock(), potok.Event()
    with potok.scope(on=on) as s:
        s.start(work_on, name="busy")
        s.start(send_inside, lock, tx, held, name="sender")
        s.start(receive_inside, lock, rx, held, name="receiver")


@stuck(ENDS, PROCESSES, left="send", right="send", spared=("busy",))
def two_workers_beside_a_third(on: str) -> None:
    """Two worker processes have all ends of two channels between them; a third worker computes."""
    to_right, from_left = potok.channel()
    to_left, from_right = potok.channel()
    with potok.scope(on=on) as s:
        s.start(work_on, name="busy")
        s.start(send_first, to_right, from_right, name="left")
        s.start(send_first, to_left, from_left, name="right")


@stuck(ENDS, left="recv", right="recv")
def ends_between_a_worker_and_a_coroutine() -> None:
    """The same between a worker process and a coroutine of the program."""
    to_right, from_left = potok.channel()
    to_left, from_right = potok.channel()
    with bystander(), potok.scope(on=COROUTINES) as s:
        s.start(receive_first, from_right, to_right, name="left")
        s.start(receive_first, from_left, to_left, on=PROCESSES, name="right")
