"""How far a map is: told after each result, and once more at its end, however that comes about."""

import gc
import io
import itertools
import re
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

import potok
from potok.dataflow.bars import Bars
from potok.dataflow.progress import Cell, Meter, PlainLines, Progress, choose_display, worker_states
from potok.testing import wait_all_parked


def picky(x: int) -> int:
    if x == 1:
        raise ValueError(x)
    return x


def test_told_after_each_result_and_at_the_end(on: str) -> None:
    """Counts of results and failures, and the total where the input knows its length."""
    told: list[Progress] = []
    list(potok.map(picky, [0, 1, 2], on=on, on_error="return", progress=told.append))
    assert [(p.done, p.failed, p.total, p.over) for p in told] == [
        (1, 0, 3, False),
        (2, 1, 3, False),
        (3, 1, 3, False),
        (3, 1, 3, True),
    ]
    assert all(p.seconds >= 0 and p.rate >= 0 for p in told)


@pytest.mark.parametrize(
    ("iterables", "total"), [(([1], [1, 2]), 1), ((iter([1]), [1, 2]), None), (((),), 0)]
)
def test_total(iterables: tuple[list[int], ...], total: int | None) -> None:
    """The shortest input counts; one that can't tell leaves it open."""
    told: list[Progress] = []
    list(potok.map(lambda *_: None, *iterables, on="inline", progress=told.append))
    assert told[-1].total == total


def test_end_is_told_once_when_it_comes_early(on: str) -> None:
    """After an error, after `close`."""
    told: list[Progress] = []
    results = potok.map(picky, [0, 1, 2], on=on, progress=told.append)
    with pytest.raises(ValueError, match="1"):
        list(results)
    results.close()
    assert [(p.done, p.failed, p.over) for p in told] == [(1, 0, False), (2, 1, False), (2, 1, True)]


def test_plain_lines_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`progress=True` prints one line every now and then, and one at the end; nothing on stdout."""
    monkeypatch.setattr("potok.dataflow.progress.INTERVAL", 0.0)
    list(potok.map(picky, [0, 1], on="inline", on_error="return", progress=True))
    streams = capsys.readouterr()
    assert streams.out == ""
    first, second, last = streams.err.splitlines()
    assert re.fullmatch(r"potok\.map: 1/2 items, \d+\.\d s, [\d.]+ items/s, 0:00 left", first)
    assert re.fullmatch(r"potok\.map: 2/2 items, 1 failed, \d+\.\d s, [\d.]+ items/s, 0:00 left", second)
    assert last.startswith("potok.map: 2/2 items, 1 failed")


# ── what a snapshot says ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(0, 0, None, 0.0, over=False), "0 items, 0.0 s, 0 items/s"),
        (Progress(30, 2, 100, 10.0, False, 70 / 3), "30/100 items, 2 failed, 10.0 s, 3 items/s, 0:23 left"),
        (Progress(1, 0, 9000, 4.0, False, 35996.0), "1/9000 items, 4.0 s, 0.25 items/s, 9:59:56 left"),
        (Progress(100, 0, 100, 2.0, True, 0.0), "100/100 items, 2.0 s, 50 items/s"),
    ],
)
def test_text(progress: Progress, text: str) -> None:
    """Rates of slow items keep their digits; what is over has nothing left."""
    assert str(progress) == text


class Clock:
    """Stands in for the clock of a meter."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("potok.dataflow.progress.time", clock)
    return clock


def test_time_left_follows_the_pace_of_late(clock: Clock) -> None:
    """What a journal knew went a thousand times faster; after a while that no longer counts."""
    told: list[Progress] = []
    meter = Meter(told.append, 2000)
    for _ in range(1000):
        clock.now += 0.001
        meter.count(failed=False)
    assert told[-1].eta == pytest.approx(1.0)
    for _ in range(30):
        clock.now += 1.0
        meter.count(failed=False)
    assert told[-1].eta == pytest.approx(970.0)


def test_time_left_is_unknown_without_a_total() -> None:
    told: list[Progress] = []
    meter = Meter(told.append, None)
    meter.count(failed=False)
    assert told[-1].eta is None


def test_workers_are_looked_at_now_and_then(clock: Clock) -> None:
    """Not for every item, and not once it is over."""
    looks = itertools.count(1)
    told: list[Progress] = []
    meter = Meter(told.append, 4)
    meter.look_at(lambda: (f"look {next(looks)}",))
    for seconds in (0.1, 0.1, 0.6):
        clock.now += seconds
        meter.count(failed=False)
    meter.finish()
    assert [p.workers for p in told] == [("look 1",), ("look 1",), ("look 2",), ()]


def test_states_of_workers_of_a_map() -> None:
    """Each by its number, with what it waits for; the ones of other maps are not there."""
    gate = potok.Event()

    def wait(_: int) -> None:
        gate.wait()

    with potok.scope(on="threads") as scope:
        reader = scope.start(lambda: list(potok.map(wait, [1, 2], on="threads", workers=2)), name="reader")
        wait_all_parked()
        (name,) = {
            info.name.rpartition(".")[0] for info in potok.tasks() if info.name.startswith("map(wait)-")
        } - {""}
        states = worker_states(name)
        assert worker_states(name[:-1]) == ()
        gate.set()
        reader.result()
    assert [re.sub(r"\d+\.\d s", "0.0 s", state) for state in states] == [
        "1: waits for wait on event, 0.0 s",
        "2: waits for wait on event, 0.0 s",
    ]


# ── where it is shown ───────────────────────────────────────────────────────────────────────────────────────────


def test_last_line_can_be_left_to_others(capsys: pytest.CaptureFixture[str]) -> None:
    for last in (True, False):
        PlainLines("job", last=last)(Progress(2, 0, 2, 0.5, over=True))
    assert capsys.readouterr().err == "job: 2/2 items, 0.5 s, 4 items/s\n"


def test_plain_lines_tell_of_workers(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the first ones."""
    workers = tuple(f"{n}: running" for n in range(1, 11))
    PlainLines()(Progress(1, 0, None, 2.0, False, None, workers))
    err = capsys.readouterr().err
    assert "[1: running; 2: running;" in err
    assert err.endswith("8: running; and 2 more]\n")


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def take_terminal(monkeypatch: pytest.MonkeyPatch) -> FakeTerminal:
    """Make stderr what rich and we take for a terminal of 100 columns; in the test, as pytest takes it first."""
    terminal = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "100"), ("LINES", "25")):
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return terminal


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_terminal_gets_a_bar_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """With counts, failures and workers; over at the end of the map, notes above it."""
    terminal = take_terminal(monkeypatch)
    display = choose_display()
    assert type(display).__name__ == "Bars"
    display(Progress(1, 1, 4, 0.5, False, 1.5, ("1: running [x]", "2: waits")))
    display.note("[bold]careful")
    display(Progress(4, 1, 4, 2.0, over=True))
    shown = plain(terminal.getvalue())
    assert "potok.map: [bold]careful" in shown
    last = [line.strip() for line in shown.splitlines() if line.strip()][-1]
    assert re.fullmatch(r"potok\.map ━+ 4/4 2 items/s, 1 failed 0:00:00", last)
    assert terminal.getvalue().endswith("\x1b[?25h")  # the cursor is back


def test_bar_shows_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are, whatever looks like rich's own markup in them."""
    terminal = take_terminal(monkeypatch)
    display = Bars(last=False)
    display(Progress(1, 0, 4, 0.5, False, 1.5, ("1: running [red]", "2: waits")))
    display(Progress(2, 0, 4, 0.6, False, 1.5, ("1: running [red]", "2: waits")))
    display._picture.refresh()
    shown = plain(terminal.getvalue())
    assert "2/4 3.3 items/s, 0:02 left" in shown
    assert "  1: running [red]" in shown
    assert "  2: waits" in shown
    display.close()
    display.close()


def test_bar_goes_with_a_map_that_nobody_refers_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread ends (the leak check would tell), and the cursor is back."""
    terminal = take_terminal(monkeypatch)
    results = potok.map(picky, [0, 2, 3], on="inline", progress=choose_display())
    next(results)
    del results
    gc.collect()
    assert terminal.getvalue().endswith("\x1b[?25h")


def test_bar_leaves_output_that_goes_elsewhere_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the loop prints into a file is not drawn above the bar instead."""
    take_terminal(monkeypatch)
    for result in potok.map(picky, [0, 2], on="inline", progress=choose_display()):
        print(result)  # noqa: T201 - as a user's loop would
    assert capsys.readouterr().out == "0\n2\n"


def test_plain_lines_where_no_bar_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rich, a dumb terminal, a terminal where other things are printed, no terminal."""
    take_terminal(monkeypatch)
    assert isinstance(choose_display(lines=True), PlainLines)
    with monkeypatch.context() as patch:
        patch.setenv("TERM", "dumb")
        assert isinstance(choose_display(), PlainLines)
    with monkeypatch.context() as patch:
        for name in ("potok.dataflow.bars", "rich.console"):
            patch.setitem(sys.modules, name, None)
        assert isinstance(choose_display(), PlainLines)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(choose_display(), PlainLines)


def test_rich_is_imported_for_bars_only() -> None:
    program = "import potok, sys; list(potok.map(str, [1], progress=True)); sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


class FakeHTML:
    def __init__(self, data: str) -> None:
        self.data = data


class FakeNotebook:
    """IPython as a kernel has it."""

    def __init__(self, kernel: object) -> None:
        self.kernel = kernel
        self.pictures: list[str] = []
        self.displayed = 0

    def display(self, picture: FakeHTML, *, display_id: bool) -> "FakeNotebook":
        assert display_id
        self.displayed += 1
        self.update(picture)
        return self

    def update(self, picture: FakeHTML) -> None:
        self.pictures.append(picture.data)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "FakeNotebook":
        shell = SimpleNamespace(kernel=self.kernel)
        monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
        monkeypatch.setattr("IPython.get_ipython", lambda: shell, raising=False)
        inner = ModuleType("IPython.display")
        vars(inner).update(display=self.display, HTML=FakeHTML)
        monkeypatch.setitem(sys.modules, "IPython.display", inner)
        return self


def test_notebook_gets_one_output_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every item; the last state always; markup in names is text."""
    notebook = FakeNotebook(kernel=object()).install(monkeypatch)
    display = choose_display("<job>")
    assert isinstance(display, Cell)
    for n in range(1, 100):
        display(Progress(n, 0, 100, n / 100, False, 0.5, ("1: <running>",)))
    display(Progress(100, 1, 100, 1.0, over=True))
    assert notebook.displayed == 1
    assert 3 <= len(notebook.pictures) <= 8
    first, last = notebook.pictures[0], notebook.pictures[-1]
    assert '<progress value="1" max="100"></progress>' in first
    assert "1: &lt;running&gt;" in first
    assert '<progress value="100" max="100">' in last
    assert "&lt;job&gt;: 100/100 items, 1 failed, 1.0 s, 100 items/s" in last


def test_notebook_without_a_total_shows_that_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar without a value moves to and fro; at the end it is full."""
    notebook = FakeNotebook(kernel=object()).install(monkeypatch)
    results = potok.map(picky, iter([0, 2]), on="inline", progress=choose_display())
    list(results)
    assert "<progress max=" in notebook.pictures[0]
    assert '<progress value="2" max="2">' in notebook.pictures[-1]


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeNotebook(kernel=None).install(monkeypatch)
    assert isinstance(choose_display(lines=True), PlainLines)
