"""Run the peers of a benchmark in alternation, and judge their ratios against goals.

A noisy machine makes a single number worthless, and a ratio of two numbers taken at different times hardly
better. So the order is: repetition 1 of every peer, repetition 2 of every peer, and so on, each in a process
of its own (no peer inherits another's heap, threads or imports), each under a time limit. What is printed is
the median with the smallest and the largest run; a goal is judged by the ratio of two medians, and shows the
spread of the ratios of runs taken in the same repetition.

    parent                                 child (one peer, one repetition)
    for each repetition
        for each peer: start a child ----> measure() -> one number -> answer file -> os._exit
    medians, ratios, goals

A benchmark says what it compares in tables of rows and in goals, then calls `main`:

    TABLES = [Table("switching", "µs a switch", [Row("greenlet", by_greenlet, modules=["greenlet"]), ...])]
    GOALS = [Goal("switching: greenlet", "switching: asyncio", at_most=0.5)]

A row whose modules or tool are not installed is listed as absent. A child that fails or exceeds its limit
loses that run, and a peer that does so twice is given up. Only a parent that cannot run at all exits with an
error.

How much is measured is said through `size`, so that --quick can try every row in a moment.
"""

import argparse
import contextlib
import functools
import importlib.util
import json
import math
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

REPETITIONS = 5
GIVE_UP_AFTER = 2
_ANSWER = "BENCHMARK_ANSWER"  # the environment variable that names a child's answer file
_QUICK = "BENCHMARK_QUICK"  # the one that is set in the children of a --quick run


@dataclass(frozen=True)
class Row:
    """One peer of a table: `measure` returns a number in the table's unit, or calls `answer` with it."""

    name: str
    measure: Callable[[], float | None]
    modules: Sequence[str] = ()
    tool: str = ""
    time_limit: float = 60.0

    def absence(self) -> str:
        """Say what is missing for this row to run here; empty when nothing is."""
        missing = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if self.tool and shutil.which(self.tool) is None:
            missing.append(f"the program {self.tool}")
        return ", ".join(missing)


@dataclass(frozen=True)
class Table:
    """Rows that measure the same thing, in the same unit."""

    title: str
    unit: str
    rows: Sequence[Row]

    def key(self, row: Row) -> str:
        """Name a row uniquely within its benchmark."""
        return f"{self.title}: {row.name}"


@dataclass(frozen=True)
class Goal:
    """A bound on the ratio of the medians of two rows, `ours` / `theirs`; without one, the ratio is shown only."""

    ours: str
    theirs: str
    at_most: float = math.inf
    at_least: float = 0.0

    @property
    def is_bounded(self) -> bool:
        """Whether there is a bound to judge by."""
        return self.at_most < math.inf or self.at_least > 0

    def bound(self) -> str:
        """Put the bound into words."""
        if not self.is_bounded:
            return "no goal"
        return f"at most {self.at_most:g}" if self.at_most < math.inf else f"at least {self.at_least:g}"

    def met_by(self, ratio: float) -> bool:
        """Tell whether a ratio keeps within the bound."""
        return self.at_least <= ratio <= self.at_most


@dataclass
class Runs:
    """What the runs of one row gave."""

    numbers: dict[int, float] = field(default_factory=dict)  # by repetition
    failures: list[str] = field(default_factory=list)
    absent: str = ""

    @property
    def given_up(self) -> bool:
        """Whether there is no point in another run."""
        return bool(self.absent) or len(self.failures) >= GIVE_UP_AFTER

    @property
    def median(self) -> float:
        """The median of the runs; there must be one."""
        return statistics.median(self.numbers.values())


# ---------------------------------------------------------------- the child's side


def size(full: int) -> int:
    """Return how much a measurement should do: `full`, or a hundredth of it in a --quick run."""
    return max(full // 100, 10) if os.environ.get(_QUICK) else full


def answer(number: float) -> NoReturn:
    """Hand the number to the parent and end this process at once.

    A measurement may call it itself, from any thread, when its peer is known to hang while it shuts down.
    """
    path = Path(os.environ[_ANSWER])
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(number))
    draft.rename(path)
    os._exit(0)


def _be_the_child(tables: Sequence[Table], key: str) -> None:
    """Measure the row that `key` names, and answer."""
    (row,) = [row for table in tables for row in table.rows if table.key(row) == key]
    number = row.measure()
    if number is None:
        raise RuntimeError(f"{key} ended without a number")
    answer(number)


# ---------------------------------------------------------------- the parent's side


def _run_child(script: str, key: str, time_limit: float, *, quick: bool) -> float:
    """Measure one row in a fresh process; raise RuntimeError with the reason if no number comes back."""
    with tempfile.TemporaryDirectory() as folder:
        path, errors = Path(folder, "answer"), Path(folder, "stderr")
        with errors.open("wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-W", "ignore", script, "--measure", key],
                env=_environment() | {_ANSWER: str(path), _QUICK: "1" if quick else ""},
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
            in_time = _wait_and_sweep(child, time_limit)
        if path.exists():
            return float(json.loads(path.read_text()))
        if not in_time:
            raise RuntimeError(f"no answer in {time_limit:g} s")
        lines = errors.read_text(errors="replace").strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"exit code {child.returncode}, no message")


@functools.cache
def _compiled() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="potok-benchmarks-")


def _environment() -> dict[str, str]:
    """The children's: what they import is compiled in the first repetition, as if installed, whatever holds here."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": _compiled().name}


def _wait_and_sweep(child: subprocess.Popen[bytes], time_limit: float) -> bool:
    """Wait for the child, then end it and whatever it has started; tell whether it ended by itself."""
    try:
        child.wait(time_limit)
    except subprocess.TimeoutExpired:
        return False
    else:
        return True
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def calibrate() -> float:
    """Time a fixed piece of work, in ms: its spread over a run is the noise of the machine."""
    began = time.perf_counter()
    total = 0
    for number in range(300_000):
        total += number
    return (time.perf_counter() - began) * 1e3


@dataclass
class Session:
    """One run of a benchmark: which rows, how often, and what came out."""

    script: str
    tables: Sequence[Table]
    goals: Sequence[Goal]
    only: re.Pattern[str]
    quick: bool = False
    runs: dict[str, Runs] = field(default_factory=dict)
    calibration: list[float] = field(default_factory=list)

    def chosen(self) -> list[tuple[Table, Row]]:
        """List the rows that --only leaves, in order."""
        return [(t, row) for t in self.tables for row in t.rows if self.only.search(t.key(row))]

    def measure(self, repetitions: int) -> None:
        """Run every chosen row `repetitions` times, in alternation."""
        for table, row in self.chosen():
            self.runs[table.key(row)] = Runs(absent=row.absence())
        for repetition in range(repetitions):
            for table, row in self.chosen():
                self._measure_once(table.key(row), row, repetition)

    def _measure_once(self, key: str, row: Row, repetition: int) -> None:
        runs = self.runs[key]
        if runs.given_up:
            return
        self.calibration.append(calibrate())
        _progress(f"repetition {repetition + 1}: {key}")
        try:
            runs.numbers[repetition] = _run_child(self.script, key, row.time_limit, quick=self.quick)
        except RuntimeError as error:
            runs.failures.append(str(error))

    def ratio(self, goal: Goal) -> tuple[float, float, float] | None:
        """Return the ratio of medians, and the least and greatest of the paired runs; None without both."""
        ours, theirs = self.runs.get(goal.ours), self.runs.get(goal.theirs)
        if ours is None or theirs is None or not ours.numbers or not theirs.numbers:
            return None
        paired = [ours.numbers[i] / theirs.numbers[i] for i in ours.numbers.keys() & theirs.numbers.keys()]
        median = ours.median / theirs.median
        return median, min(paired, default=median), max(paired, default=median)

    def met(self, goal: Goal) -> bool | None:
        """Tell whether a goal was met; None where that is not to be told."""
        ratio = self.ratio(goal)
        if ratio is None or self.quick or not goal.is_bounded:
            return None
        return goal.met_by(ratio[0])

    def to_dict(self) -> dict[str, object]:
        """Return everything that was measured, for --json."""
        return {
            "benchmark": Path(self.script).stem,
            "quick": self.quick,
            "machine": machine(self.calibration),
            "units": {table.key(row): table.unit for table, row in self.chosen()},
            "runs": {
                key: {"numbers": list(r.numbers.values()), "failures": r.failures, "absent": r.absent}
                for key, r in self.runs.items()
            },
            "goals": [self._goal_to_dict(goal) for goal in self.goals],
        }

    def _goal_to_dict(self, goal: Goal) -> dict[str, object]:
        ratio = self.ratio(goal)
        met = self.met(goal)
        return {"ours": goal.ours, "theirs": goal.theirs, "bound": goal.bound(), "ratio": ratio, "met": met}


def machine(calibration: Sequence[float]) -> dict[str, object]:
    """Describe where this ran, and how much it wavered."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0],
        "calibration_ms": [statistics.median(calibration), min(calibration), max(calibration)],
    }


# ---------------------------------------------------------------- what is printed


def _progress(text: str) -> None:
    """Show what is running, on a terminal only."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:<{width}}", end="", file=sys.stderr, flush=True)


def short(number: float) -> str:
    """Write a number with three significant digits, thousands as k and M.

    >>> [short(x) for x in (0.0123, 1.234, 123.4, 4567, 978_000, 1_234_567)]
    ['0.0123', '1.23', '123', '4.57 k', '978 k', '1.23 M']
    """
    for scale, suffix in ((1e6, " M"), (1e3, " k")):
        if abs(number) >= scale:
            return f"{number / scale:#.3g}".rstrip(".") + suffix
    return f"{number:#.3g}".rstrip(".")


def _print_table(session: Session, table: Table) -> None:
    rows = [row for chosen, row in session.chosen() if chosen is table]
    if not rows:
        return
    print(f"\n{table.title}, {table.unit}")
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"  {row.name:<{width}}  {_summary(session.runs[table.key(row)])}")


def _summary(runs: Runs) -> str:
    if runs.absent:
        return f"absent (needs {runs.absent})"
    lost = f"  {len(runs.failures)} failed: {runs.failures[-1]}" if runs.failures else ""
    if not runs.numbers:
        return lost.strip()
    numbers = runs.numbers.values()
    spread = f"{short(min(numbers))} - {short(max(numbers))}"
    return f"{short(runs.median):>8}  {spread:<18}  {len(numbers)} run{'s' if len(numbers) > 1 else ''}{lost}"


def _print_goals(session: Session) -> None:
    goals = [goal for goal in session.goals if goal.ours in session.runs or goal.theirs in session.runs]
    if not goals:
        return
    print("\nRatios of medians, least and greatest ratio within a repetition, goals")
    for goal in goals:
        print(f"  {_judged(session, goal)}  {_pair(goal)}")


def _judged(session: Session, goal: Goal) -> str:
    ratio = session.ratio(goal)
    if ratio is None:
        return f"{'-':>8}  {'':<20}  {goal.bound():<13}  not measured"
    median, least, greatest = ratio
    verdict = {True: "met", False: "NOT met", None: ""}[session.met(goal)]
    spread = f"{short(least)} - {short(greatest)}"
    return f"{short(median):>8}  {spread:<20}  {goal.bound():<13}  {verdict:<12}"


def _pair(goal: Goal) -> str:
    """Name the two rows, the title of their table once if it is the same."""
    title, _, name = goal.theirs.partition(": ")
    return f"{goal.ours} / {name if goal.ours.startswith(title + ': ') else goal.theirs}"


def _print_machine(calibration: Sequence[float]) -> None:
    facts = machine(calibration)
    median, least, greatest = facts.pop("calibration_ms")
    print("\nMachine: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"Noise: the same loop took {median:.1f} ms, between {least:.1f} and {greatest:.1f}")


def main(title: str, tables: Sequence[Table], goals: Sequence[Goal]) -> None:
    """Run the benchmark that the command line asks for; the caller is the script itself."""
    options = _parse(title)
    if options.measure:
        _be_the_child(tables, options.measure)
    session = Session(
        str(Path(sys.argv[0]).resolve()), tables, goals, re.compile(options.only), options.quick
    )
    if not session.chosen():
        names = "\n".join(table.key(row) for table in tables for row in table.rows)
        sys.exit(f"no row matches {options.only!r}; there are:\n{names}")
    session.measure(options.reps or (1 if options.quick else REPETITIONS))
    _progress("")
    print(title)
    if options.quick:
        print("(--quick: this shows that it runs; the numbers mean nothing)")
    for table in tables:
        _print_table(session, table)
    _print_goals(session)
    _print_machine(session.calibration or [calibrate()])
    if options.json:
        options.json.write_text(json.dumps(session.to_dict(), indent=1) + "\n")


def _parse(title: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--reps", type=int, help=f"runs of each row (default: {REPETITIONS}; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the work: does everything run?")
    parser.add_argument("--only", default="", metavar="REGEX", help="only rows whose 'table: name' matches")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there, too")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # what a child is told
    return parser.parse_args()
