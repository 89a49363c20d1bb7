"""What people read: numbers, the table, the verdict; each from made-up measurements, word by word."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from made_up import LOOP, PROCESSES, THREADS, comparison, curve, rich

from potok.adviser.agreement import Failure, first_difference, same
from potok.adviser.comparison import SCHEMA, Gil, Row
from potok.adviser.units import bytes_, duration, percent, ratio


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"), (0, "0 s"), (8e-7, "800 ns"), (2.8e-8, "28 ns"), (1.26e-6, "1.3 µs"), (4e-5, "40 µs"),
        (0.0031, "3.1 ms"), (0.99999, "1.0 s"), (0.31, "310 ms"), (1.72, "1.7 s"), (123.4, "123 s"),
        (1e-12, "0.0010 ns"),
    ],
)  # fmt: skip
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("unit", "number", "text"),
    [
        (bytes_, None, "–"), (bytes_, 120, "120 B"), (bytes_, 8192, "8.2 kB"), (bytes_, 25_400_000, "25 MB"),
        (bytes_, 3.21e9, "3.2 GB"), (bytes_, -5e6, "-5.0 MB"),
        (percent, 0.034, "3 %"), (percent, 0.002, "< 1 %"), (percent, 0, "0 %"), (percent, None, "–"),
        (ratio, 1.812, "1.81 ×"), (ratio, 0.0048, "0.0048 ×"), (ratio, 0.00001, "< 0.001 ×"), (ratio, 30.4, "30.4 ×"),
        (ratio, None, "–"),
    ],
)  # fmt: skip
def test_other_numbers(unit: Callable[[float | None], str], number: float | None, text: str) -> None:
    assert unit(number) == text


def test_more_digits_where_asked() -> None:
    assert (duration(0.0431, 3), duration(0.66, 3)) == ("43.1 ms", "660 ms")


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_table() -> None:
    """Figures to the right, in 80 columns; what could not be measured is said below, with the verdict last."""
    absent = Row("interpreters", 2, reason="needs Python 3.14", take="interpreters")
    made = comparison(THREADS, absent, PROCESSES, total=5000, cut=True, notes=("only the first",))
    assert str(made).splitlines() == [
        "mine.work over 1,000 of 5,000 items; 2 usable cores, Python 3.11.7",
        "",
        "executor            time  speed-up  effic.    CPU   GIL  pickling   start  memory",
        "plain loop   3.10 s ±3 %    1.00 ×       –  3.0 s  98 %         –       –  8.2 kB",
        "threads 6    3.20 s ±2 %    0.94 ×    16 %  3.2 s  90 %         –  200 µs  300 kB",
        "processes 2  1.70 s ±6 %    1.82 ×    91 %  3.2 s   3 %       1 %  180 ms   22 MB",
        "",
        "note: interpreters: not measured: needs Python 3.14",
        "note: only the first",
        str(made.verdict),
    ]
    assert str(made.verdict) == (
        "processes is 1.8 × the plain loop on 2 workers: each item takes 3.1 ms, sending it to a worker costs 40 µs; "
        "take on='processes'. Its start takes 180 ms: it pays from about 130 items on."
    )
    assert all(len(line) <= 82 for line in made.table())


def test_column_of_which_nothing_is_known_is_left_out() -> None:
    made = comparison(replace(THREADS, gil=None), loop=replace(LOOP, gil=None))
    assert "GIL" not in made.table()[0]
    assert "pickling" not in made.table()[0]


def test_one_run_has_no_spread() -> None:
    assert "3.00 s  " in comparison(loop=replace(LOOP, runs=(3.0,))).table()[1]


def test_fewer_items_than_workers_are_said() -> None:
    """Their speed-up is that of the sample, not of the executor."""
    assert comparison(THREADS, PROCESSES, items=4).remarks() == [
        "4 items can't keep all workers busy: threads (6)"
    ]
    assert comparison(THREADS, items=6).remarks() == []


def test_curve_without_a_fit_says_what_it_takes() -> None:
    made = comparison(PROCESSES, curves=(curve("processes", {1: 1.0, 2: 0.6}, 2),))
    assert made.remarks() == [
        "no Amdahl fit to the speed-up curves: it takes 3 numbers of workers within the usable cores (2 here)"
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (
            {1: 10.0, 2: 5.5, 4: 3.25},
            "p: serial fraction 10.0 ± 0.0 % (Amdahl): no number of workers gives more than 10 × one worker",
        ),
        ({1: 1.0, 2: 1.1, 4: 1.15}, "p: serial fraction 120.0 ± 0.0 % (Amdahl): more workers gain nothing"),
        (
            {1: 4.0, 2: 2.1, 4: 0.9},
            "p: serial fraction -1.2 ± 4.0 % (Amdahl): none that the measurement shows",
        ),
    ],
)
def test_fit_in_words(seconds: dict[int, float], told: str) -> None:
    assert curve("p", seconds, 4).told() == told


# ── the verdict ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_small_items_stay_in_the_loop() -> None:
    """With what an item takes, and what sending it costs."""
    loop = replace(LOOP, runs=(0.0008,) * 3, cpu_program=0.0008)
    row = replace(PROCESSES, runs=(0.004,) * 3, sending_seconds=3e-6)
    verdict = comparison(row, loop=loop).verdict
    assert verdict.take == "inline"
    assert str(verdict) == (
        "The plain loop is best: each item takes 800 ns, sending it to a worker costs 3.0 µs "
        "(processes: 0.2 × as fast)."
    )


def test_threads_that_take_turns() -> None:
    """Sending costs next to nothing, and it is the GIL."""
    assert str(comparison(THREADS).verdict) == (
        "The plain loop is best: each item takes 3.1 ms and holds the GIL 98 % of it, so threads take turns."
    )


def test_waiting_is_said() -> None:
    loop = replace(LOOP, waiting=0.98, gil=Gil(0.01, 0.0, 100))
    made = comparison(replace(THREADS, runs=(0.52, 0.51, 0.53)), PROCESSES, loop=loop)
    assert str(made.verdict) == (
        "threads is 6 × the plain loop on 6 workers: each item takes 3.1 ms, 98 % of it waiting, handing it over costs "
        "8.0 µs; take on='threads'."
    )


def test_what_asks_for_less_is_taken_when_it_is_about_as_fast() -> None:
    threads = replace(THREADS, runs=(1.62, 1.73, 1.82))
    assert comparison(PROCESSES, threads).verdict.take == "threads"
    assert comparison(PROCESSES, replace(threads, runs=(1.9, 1.9, 1.9))).verdict.take == "processes"


def test_luck_is_no_speedup() -> None:
    """Faster in the median by little, or not in most rounds: the loop stays."""
    loop = replace(LOOP, runs=(3.0,) * 4)
    for runs in ((2.9,) * 4, (2.0, 2.0, 3.1, 3.2)):
        assert comparison(replace(PROCESSES, runs=runs), loop=loop).verdict.take == "inline"
    assert comparison(replace(PROCESSES, runs=(2.0, 2.0, 2.0, 3.2)), loop=loop).verdict.take == "processes"


def test_other_results_are_never_taken() -> None:
    """However fast; and where they differ is said."""
    made = comparison(replace(PROCESSES, difference="item 3 (7): 8 instead of 9"))
    assert made.verdict.take == "inline"
    assert str(made.verdict) == (
        "The plain loop is best: each item takes 3.1 ms, sending it to a worker costs 40 µs; processes was 1.8 × as "
        "fast but gave other results. processes gave other results than the plain loop, first at item 3 (7): 8 instead "
        "of 9."
    )


def test_nothing_else_could_be_measured() -> None:
    made = comparison(Row("processes", 2, reason="broken", take="processes"))
    assert (
        str(made.verdict)
        == "The plain loop is best: each item takes 3.1 ms, and nothing else could be measured."
    )
    assert made.remarks() == ["processes: not measured: broken"]


def test_unsteady_and_failing_functions_are_said() -> None:
    loop = replace(LOOP, failures=tuple((n, "ValueError: no") for n in range(1000)))
    told = str(comparison(PROCESSES, loop=loop, steady=False).verdict)
    assert (
        "The plain loop itself gives other results the second time, so that they can't be compared." in told
    )
    assert "Every item failed: what was measured is how long that takes." in told


def test_busy_machine_makes_figures_doubtful() -> None:
    """Processes get more of it than one loop does: that is no speed-up on an idle one."""
    told = comparison(PROCESSES, busy=0.67).verdict.sentences[-1]
    assert told == (
        "The machine was busy: the plain loop waited 67 % of its time for a core; measure again when it is not."
    )
    assert "busy" not in str(comparison(PROCESSES, busy=0.05).verdict)


def test_threads_do_not_win_by_crowding_out_others() -> None:
    """Six threads get more of a busy machine than one loop; those that run at the same time gain more."""
    threads = replace(THREADS, runs=(1.6, 1.7, 1.8))
    made = comparison(threads, busy=0.5)
    assert made.verdict.take == "inline"
    assert "threads was 1.8 × as fast but only by getting more of a busy machine." in str(made.verdict)
    assert comparison(threads, busy=0.05).verdict.take == "threads"
    assert comparison(replace(threads, runs=(1.0, 1.0, 1.0)), busy=0.5).verdict.take == "threads"
    assert comparison(PROCESSES, busy=0.5).verdict.take == "processes"


def test_no_items() -> None:
    made = comparison(items=0, loop=Row("plain loop", 1))
    assert made.verdict.take is None
    assert (
        str(made) == "mine.work over 0 items; 2 usable cores, Python 3.11.7\nThere were no items to measure."
    )


def test_object_that_was_given_is_named_by_its_executor() -> None:
    assert comparison(replace(PROCESSES, take="")).verdict.take == "processes"


# ── the same results ────────────────────────────────────────────────────────────────────────────────────────────


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1, True), (1, 2, False), (1, 1.0, False), (float("nan"), float("nan"), True),
        ([1, {"a": (2,)}], [1, {"a": (2,)}], True), (Plain(1), Plain(1), True), (Plain(1), Plain(2), False),
        ([Plain("a" * 30)], [Plain("a" * 30)], True), (iter(()), iter([]), False),
        ((n for n in ()), (n for n in ()), True),
        (Failure("ValueError", "x"), Failure("ValueError", "x"), True), (Failure("ValueError", "x"), "x", False),
        (Failure("ValueError", "x"), ("ValueError", "x"), False),
    ],
)  # fmt: skip
def test_same(one: object, other: object, expected: bool) -> None:
    """Equal, or alike where equality is identity; an error only to an error."""
    assert same(one, other) is expected
    assert same(other, one) is expected


def test_arrays_are_compared_as_a_whole() -> None:
    numpy = pytest.importorskip("numpy")
    assert same(numpy.arange(3), numpy.arange(3))
    assert not same(numpy.arange(3), numpy.array([0, 1, 3]))
    assert not same(numpy.arange(3), numpy.arange(4))
    assert same((numpy.array([float("nan")]),), (numpy.array([float("nan")]),))


def test_first_difference_is_told() -> None:
    assert first_difference("abc", [1, 2, 3], [1, 2, 3]) is None
    assert first_difference("abc", [1, 2, 3], [1]) is None
    assert first_difference("abc", [1, 2, 3], [1, 5, 6]) == "item 1 ('b'): 5 instead of 2"
    failed = Failure.of(ValueError("no\nreally"))
    assert (
        first_difference("a", ["x" * 100], [failed])
        == f"item 0 ('a'): ValueError: no ... instead of {'x' * 100!r:.57}..."
    )


# ── for programs ────────────────────────────────────────────────────────────────────────────────────────────────


def test_to_dict_is_plain_and_versioned() -> None:
    """JSON holds it all, and names do not change without a new version."""
    import json

    told = rich().to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["version"] == SCHEMA == 1
    assert set(told) == {
        "version", "function", "async", "items", "total", "cut", "cores", "python", "budget", "seconds", "steady",
        "busy", "loop", "executors", "parcel", "curves", "notes", "verdict",
    }  # fmt: skip
    assert set(told["loop"]) == {
        "name", "workers", "seconds", "runs", "cold", "speedup", "efficiency", "cpu_program", "cpu_workers",
        "gil", "waiting", "sending_seconds", "pickling", "start_seconds", "memory_bytes", "failed", "first_failure",
        "difference", "reason",
    }  # fmt: skip
    assert told["verdict"]["take"] == "processes"
    assert told["executors"][1]["seconds"] is None
    assert told["curves"][1]["amdahl"]["serial"] == pytest.approx(0.05, abs=0.05)
