"""*processes*: selects whose arms have several homes. They meet wherever they can, and exactly once."""

import os
import random
import signal
from collections.abc import Iterator
from typing import Any

import pytest

import potok
from potok.testing import wait_all_parked

TESTED = potok.processes(preload=("pytest",))
ROUNDS = 200
TASKS = 3

Ends = tuple[potok.Sender[Any], potok.Receiver[Any]]


def home_of(made: potok.Sender[Ends], over: potok.Event) -> None:
    """Be the home of a channel."""
    made.send(potok.channel())
    over.wait()


@pytest.fixture
def homes() -> Iterator[list[Ends]]:
    """Channels with three homes: this process and two workers."""
    over, (made, got) = potok.Event(), potok.channel()
    tasks = [potok.start(home_of, made.clone(), over, on=TESTED) for _ in range(2)]
    ends = [potok.channel(), got.recv(), got.recv()]
    yield ends
    over.set()
    for task in tasks:
        task.result()
    for tx, rx in [*ends, (made, got)]:
        tx.close()
        rx.close()


def offers(tx: potok.Sender[Any], item: object, *others: potok.Receiver[Any]) -> int:
    own_tx, own = potok.channel()
    with own_tx, own:
        return int(potok.select(tx.sending(item), own, *others).index)


def takes(rx: potok.Receiver[Any], *others: potok.Receiver[Any]) -> object:
    own_tx, own = potok.channel()
    with own_tx, own:
        got = potok.select(own, *others, rx)
        return got.value


@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize("first", ["sender", "receiver"])
def test_two_selects_meet_at_a_third_home(homes: list[Ends], where: int, first: str) -> None:
    """Each has arms at two homes or three, and what they can meet at is neither's: they do, whoever comes first."""
    tx, rx = homes[where]
    others = [rx for at, (_, rx) in enumerate(homes) if at != where]
    with potok.scope(on=TESTED) as s:
        if first == "sender":
            sender = s.start(offers, tx, {"an": "item"}, *others)
            wait_all_parked()
            receiver = s.start(takes, rx, *others)
        else:
            receiver = s.start(takes, rx, *others)
            wait_all_parked()
            sender = s.start(offers, tx, {"an": "item"}, *others)
        assert receiver.result() == {"an": "item"}
        assert sender.result() == 0


@pytest.mark.parametrize("where", range(3))
def test_who_stands_there_for_real_meets_an_offer(homes: list[Ends], where: int) -> None:
    """A plain send or receive, and a select that is made at the channel's home, meet selects with arms elsewhere."""
    tx, rx = homes[where]
    others = [rx for at, (_, rx) in enumerate(homes) if at != where]
    with potok.scope(on=TESTED) as s:
        receiver = s.start(takes, rx.clone(), *others)
        wait_all_parked()
        tx.send("plain")
        assert receiver.result() == "plain"
        sender = s.start(offers, tx.clone(), "taken", *others)
        wait_all_parked()
        assert potok.select(rx, timeout=20).value == "taken"
        assert sender.result() == 0


def both_sides(tx: potok.Sender[Any], rx: potok.Receiver[Any], number: int) -> tuple[int, object]:
    own_tx, own = potok.channel()
    with own_tx, own:
        got = potok.select(own, tx.sending(number), rx)
        return got.index, got.value


@pytest.mark.parametrize("where", range(3))
def test_offers_on_both_sides_meet_in_one_way(homes: list[Ends], where: int) -> None:
    """Two selects, each of which would send or receive: one does this, the other that; nobody meets itself."""
    tx, rx = homes[where]
    with potok.scope(on=TESTED) as s:
        alone = s.start(both_sides, tx.clone(), rx.clone(), 1)
        wait_all_parked()
        assert not alone.done()
        other = s.start(both_sides, tx.clone(), rx.clone(), 2)
        outcomes = sorted([alone.result(), other.result()])
    assert outcomes in ([(1, None), (2, 1)], [(1, None), (2, 2)])


def test_offer_that_is_withdrawn_meets_nobody(homes: list[Ends]) -> None:
    """After a time-out, or a cancellation, nothing of it is left at any home."""
    with potok.scope(on=TESTED) as s:
        for tx, rx in homes:
            with pytest.raises(TimeoutError):
                potok.select(*[each for _, each in homes], timeout=0.05)
            victim = s.start(takes, *[each.clone() for _, each in homes])
            wait_all_parked()
            victim.cancel()
            victim.join()
            with pytest.raises(potok.WouldBlock):
                tx.send_nowait("nobody is there")
            with pytest.raises(potok.WouldBlock):
                rx.recv_nowait()


@pytest.mark.parametrize("where", range(3))
def test_offer_is_told_of_the_end_of_its_channel(homes: list[Ends], where: int) -> None:
    """The last end of the other side closes, at its home or elsewhere."""
    tx, rx = homes[where]
    others = [each for at, (_, each) in enumerate(homes) if at != where]
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED, on_fail="collect") as s:
        task = s.start(takes, rx, *others)
        wait_all_parked()
        tx.close()
        task.join()
    assert caught.group_contains(potok.ClosedError)


def mingle(
    number: int, homes: list[Ends], stop: potok.Event, done: potok.Sender[int]
) -> tuple[list[Any], list[Any]]:
    """Meet anybody anywhere, by whatever arms; what was sent, and what was received."""
    chance = random.Random(number)
    sent, got = [], []
    while True:
        item = number, len(sent)
        arms: list[Any] = [rx for _, rx in homes] + [tx.sending(item) for tx, _ in homes]
        arms = chance.sample(arms, chance.randint(1, len(arms)))
        if chance.random() < 0.3:
            arms.append(potok.after(chance.choice([0.0, 0.001, 0.01])))
        else:
            arms = [rx for _, rx in homes] + [tx.sending(item) for tx, _ in homes]
        chosen = potok.select(stop, *arms)
        if chosen.arm is stop:
            return sent, got
        if isinstance(chosen.arm, potok.Receiver):
            got.append(chosen.value)
            done.send(number)
        elif not isinstance(chosen.arm, type(potok.after(0))):
            sent.append(item)


@pytest.mark.stress
def test_nothing_is_lost_or_doubled_among_many(homes: list[Ends]) -> None:
    """Selects with arms of three homes, from all of them and from elsewhere: what was sent came once."""
    stop, (done, heard) = potok.Event(), potok.channel(potok.UNBOUNDED)
    with potok.scope(on=TESTED) as s:
        tasks = [s.start(mingle, n, homes, stop, done.clone()) for n in range(TASKS)]
        tasks.append(s.start(mingle, TASKS, homes, stop, done.clone(), on="threads"))
        for _ in range(ROUNDS):
            heard.recv()
        stop.set()
        told = [task.result() for task in tasks]
    sent = sorted(item for each, _ in told for item in each)
    got = sorted(item for _, each in told for item in each)
    assert got == sent
    assert len(set(got)) == len(got) >= ROUNDS
    done.close()
    heard.close()


def mingle_until_told(
    number: int, homes: list[Ends], stop: potok.Event, done: potok.Sender[int]
) -> tuple[Any, Any]:
    """As `mingle`, until it is told to stop, or that a home has gone."""
    sent, got = [], []
    while True:
        item = number, len(sent)
        arms = [rx for _, rx in homes] + [tx.sending(item) for tx, _ in homes]
        try:
            chosen = potok.select(stop, *arms)
        except potok.PotokError:
            return sent, got
        if chosen.arm is stop:
            return sent, got
        if isinstance(chosen.arm, potok.Receiver):
            got.append(chosen.value)
            done.send(number)
        else:
            sent.append(item)


def home_with_a_pid(made: potok.Sender[Any]) -> None:
    made.send((os.getpid(), potok.channel()))
    potok.sleep(60)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(5))
def test_death_of_a_home_is_told_to_both_or_to_none(seed: int) -> None:
    """It is killed while selects meet there: whatever it had told one side, it had told the other."""
    stop, (done, heard), (made, got) = potok.Event(), potok.channel(potok.UNBOUNDED), potok.channel()
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED, on_fail="collect") as s:
        keepers = [s.start(home_with_a_pid, made.clone()) for _ in range(2)]
        (victim, one), (_, other) = got.recv(), got.recv()
        keeper = next(each for each in keepers if each.pid == victim)
        homes = [potok.channel(), one, other]
        tasks = [s.start(mingle_until_told, n, homes, stop, done.clone()) for n in range(TASKS)]
        for _ in range(5 + 3 * seed):
            heard.recv()
        os.kill(victim, signal.SIGKILL)
        stop.set()
        told = [task.result() for task in tasks]
        keeper.join()
        s.cancel()
    assert caught.group_contains(potok.WorkerDied)
    sent = sorted(item for each, _ in told for item in each)
    received = sorted(item for _, each in told for item in each)
    assert received == sent
    for end in (done, heard, made, got):
        end.close()
