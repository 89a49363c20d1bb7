"""When to look, and what becomes of an exception that comes meanwhile."""

import json
import signal
import sys
import threading
from types import FrameType

import pytest

from potok.kernel import pulse, services
from potok.kernel.deadlock import proof


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had ever looked."""
    for name, value in (
        ("_failed", False),
        ("_not_before", 0.0),
        ("_begun", 0.0),
        ("_looking", threading.Lock()),
    ):
        monkeypatch.setattr(pulse, name, value)


@pytest.mark.usefixtures("fresh")
def test_exception_of_a_signal_handler_leaves_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """It bounds the wait in which there was a look; the next look may come."""

    class Late(Exception):  # noqa: N818 - as users name theirs
        pass

    def handler(number: int, frame: FrameType | None) -> None:
        raise Late

    monkeypatch.setattr(proof, "resolve", lambda here: signal.raise_signal(signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(Late):
            pulse._look(sys._getframe())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not pulse._failed
    assert not pulse._looking.locked()


@pytest.mark.usefixtures("fresh")
def test_failing_look_is_the_last(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong with it is told in the log, and not to who waits."""

    monkeypatch.setattr(proof, "resolve", json.loads)  # it takes no frame
    assert pulse._look(sys._getframe())
    monkeypatch.setattr(pulse, "_not_before", 0.0)
    assert not pulse._look(sys._getframe())
    assert [record.exc_text is not None for record in caplog.records] == [True]


def test_identifier_of_a_thread_that_has_ended_is_free() -> None:
    """The system gives it to the next thread, which may be anybody's."""
    thread = services.service_thread(lambda: None, "potok-test")
    thread.start()
    thread.join()
    assert thread.ident not in services.service_idents()
