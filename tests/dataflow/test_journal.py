"""The journal of a map: what is in it stays, whatever kills the run; equal items find it again, in any process."""

import enum
import itertools
import logging
import math
import os
import pickle
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import potok
from potok.dataflow.journal import Journal, Recorded, key_of

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals, limits and forks are POSIX's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


def record(journal: Journal, item: Any, value: Any, attempts: int = 1) -> None:
    """Record one item: an exception is a failure."""
    key, _ = journal.look_up(item)
    journal.record([(key, not isinstance(value, BaseException), value, attempts)])


def found(journal: Journal, item: Any) -> Recorded | None:
    return journal.look_up(item)[1]


def python(
    program: str, *arguments: object, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program with a journal's names at hand."""
    names = "import os, sys\nimport potok\nfrom potok.dataflow.journal import Journal, key_of\n"
    command = [sys.executable, "-c", names + program, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_recorded_is_found_again(file: Path) -> None:
    """In the same run, and in the next one; what was not is None."""
    with Journal.open(file, "f") as journal:
        assert found(journal, "a") is None
        record(journal, "a", {"x": [1, None]}, attempts=3)
        assert found(journal, "a") == Recorded(True, {"x": [1, None]}, None, 3)
    with Journal.open(str(file), "f") as journal:
        assert found(journal, "a") == Recorded(True, {"x": [1, None]}, None, 3)
        assert found(journal, "b") is None
        assert journal.count() == (1, 0)


def test_failures_are_found_or_tried_again(file: Path) -> None:
    """As `retry_failed` says; what then becomes of the item takes the failure's place."""
    with Journal.open(file, "f") as journal:
        record(journal, "a", ValueError("no", 1), attempts=2)
        assert found(journal, "a") is None
    with Journal.open(file, "f", retry_failed=False) as journal:
        recorded = found(journal, "a")
        assert recorded is not None
        assert (recorded.ok, recorded.value, recorded.attempts) == (False, None, 2)
        assert type(recorded.error) is ValueError
        assert recorded.error.args == ("no", 1)
        assert journal.count() == (0, 1)
        record(journal, "a", "done")
        assert found(journal, "a") == Recorded(True, "done", None, 1)
        assert journal.count() == (1, 0)


def test_success_is_never_changed(file: Path) -> None:
    """An item that comes twice may succeed once and fail once, in any order."""
    with Journal.open(file, "f", retry_failed=False) as journal:
        record(journal, "a", 1)
        record(journal, "a", ValueError())
        record(journal, "a", 2)
        assert found(journal, "a") == Recorded(True, 1, None, 1)


def test_transaction_that_fails_leaves_nothing(file: Path) -> None:
    """And the next one is not kept from succeeding."""
    with Journal.open(file, "f") as journal:
        key, other = journal.look_up("a")[0], journal.look_up("b")[0]
        with pytest.raises(potok.PotokError):
            journal.record([(key, True, 1, 1), (other, True, 2, object())])  # type: ignore[list-item]
        assert journal.count() == (0, 0)
        record(journal, "b", 2)
        assert journal.count() == (1, 0)


def test_value_that_cannot_be_pickled_is_left_out_and_said_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others of its transaction are recorded; cloudpickle takes what pickle can't."""
    with Journal.open(file, "f") as journal, caplog.at_level(logging.WARNING, "potok"):
        keys = [journal.look_up(item)[0] for item in range(4)]
        values = [threading.Lock(), 1, threading.Lock(), lambda: 3]
        journal.record([(key, True, value, 1) for key, value in zip(keys, values, strict=True)])
        assert [found(journal, item) is not None for item in range(4)] == [False, True, False, True]
        lambda_found = found(journal, 3)
        assert lambda_found is not None
        assert lambda_found.value() == 3
    (told,) = caplog.messages
    assert "a lock can't be pickled" in told
    assert str(file) in told


class DemandingError(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def test_error_that_cannot_be_pickled_is_described(file: Path) -> None:
    with Journal.open(file, "f", retry_failed=False) as journal:
        record(journal, "a", DemandingError(3, "far too much"))
        recorded = found(journal, "a")
    assert recorded is not None
    assert isinstance(recorded.error, potok.RemoteError)
    assert str(recorded.error) == "DemandingError: far too much"


def test_value_that_cannot_be_read_any_more_is_computed_again(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that has gone from its module, for one. Said once, with the item."""
    gone = type("Gone", (), {"__module__": __name__})
    monkeypatch.setattr(sys.modules[__name__], "Gone", gone, raising=False)
    with Journal.open(file, "f") as journal, caplog.at_level(logging.WARNING, "potok"):
        record(journal, "a", gone())
        record(journal, "b", gone())
        monkeypatch.delattr(sys.modules[__name__], "Gone")
        assert found(journal, "a") is None
        assert found(journal, "b") is None
    (told,) = caplog.messages
    assert "what was recorded of 'a' can't be read" in told


def test_one_thread_after_another_may_use_it(file: Path) -> None:
    journal = Journal.open(file, "f")
    for step in (partial(record, journal, "a", 1), partial(record, journal, "b", 2), journal.close):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    with Journal.open(file, "f") as journal:
        assert journal.count() == (2, 0)


def test_closed_one_says_so(file: Path) -> None:
    journal = Journal.open(file, "f")
    journal.close()
    journal.close()
    with pytest.raises(potok.PotokError, match="is closed"):
        journal.look_up(1)
    with pytest.raises(potok.PotokError, match="is closed"):
        journal.record([])


# ── what is no journal of ours ──────────────────────────────────────────────────────────────────────────────────


def test_journal_of_another_function_is_refused(file: Path) -> None:
    Journal.open(file, "tools.f").close()
    with pytest.raises(potok.PotokError, match=r"of the function tools\.f, not of tools\.g"):
        Journal.open(file, "tools.g")
    Journal.open(file, "tools.f").close()


def test_other_files_are_refused_and_left_alone(file: Path) -> None:
    """A text, another program's database, a folder, a folder that is not there."""
    file.write_text("important\n" * 100, encoding="utf-8")
    with pytest.raises(potok.PotokError, match="is no journal of potok"):
        Journal.open(file, "f")
    assert file.read_text(encoding="utf-8") == "important\n" * 100
    file.unlink()
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE accounts (name)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(potok.PotokError, match="is a database, but no journal of potok"):
        Journal.open(file, "f")
    assert file.read_bytes() == before
    for where in (file.parent, file.parent / "no" / "folder"):
        with pytest.raises(potok.PotokError, match="can't be opened: is its folder there"):
            Journal.open(where, "f")


def test_newer_journal_is_refused(file: Path) -> None:
    Journal.open(file, "f").close()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(potok.PotokError, match="was written by a newer potok"):
        Journal.open(file, "f")


def test_damaged_journal_is_named(file: Path) -> None:
    with Journal.open(file, "f") as journal:
        record(journal, "a", "x" * 100_000)
    content = bytearray(file.read_bytes())
    content[200:] = b"\xff" * (len(content) - 200)
    file.write_bytes(content)
    with pytest.raises(potok.PotokError, match="is damaged"), Journal.open(file, "f") as journal:
        found(journal, "a")


def test_memory_is_no_special_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite would keep ":memory:" nowhere."""
    monkeypatch.chdir(tmp_path)
    with Journal.open(":memory:", "f") as journal:
        record(journal, "a", 1)
    assert (tmp_path / ":memory:").is_file()


# ── other runs, deaths, disks ───────────────────────────────────────────────────────────────────────────────────


def test_second_run_is_refused_at_once(file: Path) -> None:
    """In this process as in another; and the first goes on unharmed."""
    with Journal.open(file, "f") as journal:
        with pytest.raises(potok.PotokError, match="is in use by another run"):
            Journal.open(file, "f")
        done = python("Journal.open(sys.argv[1], 'f')", file)
        assert "is in use by another run" in done.stderr
        record(journal, "a", 1)
    with Journal.open(file, "f") as journal:
        assert journal.count() == (1, 0)


WRITER = """
import itertools
from potok.dataflow.journal import Journal
import sys
journal = Journal.open(sys.argv[1], "f")
print("open", flush=True)
for batch in itertools.count():
    items = [(batch, n) for n in range(20)]
    journal.record([(journal.look_up(item)[0], True, [item] * 100, 1) for item in items])
    print(batch, flush=True)
"""


@POSIX
@pytest.mark.parametrize("reports", [0, 1, *random.sample(range(2, 400), 4)])
def test_killed_writer_loses_nothing_that_it_reported(file: Path, reports: int) -> None:
    """SIGKILL at any moment: what `record` returned from is there, nothing is there by half, and the lock is free."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    with writer:
        for _ in range(reports):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().count(b"\n")
    reported = max(0, reports + rest - 1)  # the first line says that it is open
    with Journal.open(file, "f") as journal:
        for batch in range(reported + 3):
            answers = [(item, found(journal, item)) for item in itertools.product([batch], range(20))]
            there = [recorded is not None for _, recorded in answers]
            assert all(there) or (batch >= reported and not any(there))
            assert all(recorded is None or recorded.value == [item] * 100 for item, recorded in answers)


@POSIX
def test_fork_may_end_without_harm_but_not_use_it(file: Path) -> None:
    """A child that ends as Python programs do, closing what it inherited."""
    program = """
journal = Journal.open(sys.argv[1], "f")
journal.record([(journal.look_up(n)[0], True, n, 1) for n in range(10)])
child = os.fork()
if child == 0:
    try:
        journal.look_up(1)
    except potok.PotokError as error:
        print(error, flush=True)
    journal.close()
    sys.exit(0)
os.waitpid(child, 0)
journal.record([(journal.look_up(n)[0], True, n, 1) for n in range(10, 20)])
os.kill(os.getpid(), 9)
"""
    done = python(program, file)
    assert done.returncode == -signal.SIGKILL
    assert "belongs to the process that opened it" in done.stdout
    with Journal.open(file, "f") as journal:
        assert journal.count() == (20, 0)


@POSIX
def test_lock_is_free_when_the_run_is_killed_though_its_fork_lives(file: Path) -> None:
    program = """
import os, sys
from potok.dataflow.journal import Journal
journal = Journal.open(sys.argv[1], "f")
if os.fork() == 0:
    os.read(0, 1)
    os._exit(0)
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", program, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as run:
        assert run.wait() == -signal.SIGKILL
        Journal.open(file, "f").close()  # the child ends with this block, which closes its standard input


@POSIX
def test_full_disk_is_an_error_that_can_be_got_over(file: Path) -> None:
    """What was recorded before stays, the transaction that failed left nothing, and with room again it goes on."""
    program = """
import resource
journal = Journal.open(sys.argv[1], "f")
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    for n in range(1000):
        journal.record([(journal.look_up((n, half))[0], True, b"x" * 10_000, 1) for half in (0, 1)])
except potok.PotokError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(n, journal.count()[0])
journal.record([(journal.look_up((n, half))[0], True, b"x" * 10_000, 1) for half in (0, 1)])
print(n + 1, journal.count()[0])
"""
    done = python(program, file)
    assert done.stderr == ""
    told, before, after = done.stdout.splitlines()
    assert "can't be written" in told
    assert "is there room on the disk" in told
    for line in (before, after):
        batches, items = map(int, line.split())
        assert items == 2 * batches > 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@POSIX
def test_place_where_nothing_can_be_written_is_named(open_folder: Path) -> None:
    """A file that may only be read, and a folder in which none may be made."""
    file = open_folder / "old.journal"
    Journal.open(file, "f").close()
    file.chmod(0o444)
    open_folder.chmod(0o555)
    program = """
for name in ("old.journal", "new.journal"):
    try:
        if os.getuid() == 0:
            os.setuid(65534)  # root may write everywhere
        Journal.open(os.path.join(sys.argv[1], name), "f")
    except potok.PotokError as error:
        print(error)
"""
    done = python(program, open_folder)
    open_folder.chmod(0o755)
    assert done.stderr == ""
    old, new = done.stdout.splitlines()
    assert "may only be read here" in old
    assert "can't be opened: is its folder there and may it be written?" in new


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Level(enum.IntEnum):
    LOW = 1


Point = namedtuple("Point", "x y")  # noqa: PYI024 - the untyped one is what is tested


@dataclass(frozen=True)
class Place:
    name: Any
    tags: Any = field(default=(), compare=False)


@dataclass
class Slotted:
    __slots__ = ("x",)
    x: Any


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Words(set[str]):
    pass


class Order(str):
    __slots__ = ()


UTC = timezone.utc  # noqa: UP017 - a timezone object with a name of its own
# fmt: off
DIFFERENT = [
    None, ..., True, False, 0, 1, -1, 0.0, -0.0, 1.0, math.nan, math.inf, 1j, complex(1), 10**5000, "", "1",
    b"", b"1", bytearray(b"1"), (), [], {}, set(), frozenset(), ("",), [""], {""}, frozenset([""]), {"": ""},
    {"": None}, (1, 2), (12,), ("1", "2"), ("12",), ("1,2",), ((1,), 2), ((1, 2),), [(1, 2)], [1, 2], {1: 2},
    {"1": 2}, {1.0: 2}, {"a": 1, "b": 2}, {"a": 2, "b": 1}, {1, 2}, {12}, {(1, 2)}, "\udcff", "ÿ", Path("a/b"),
    Path("a"), PurePosixPath("a/b"), "a/b", Decimal("1.0"), Decimal("1.00"), Fraction(1), date(2024, 1, 1),
    datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), timedelta(1), UUID(int=1), Colour.RED, Colour.GREEN,  # noqa: DTZ001
    Level.LOW, Point(1, 2), Point(2, 1), Place("a"), Place("a", [1]), Place("b"), Slotted(1), Slotted(2),
    Plain(x=1), Plain(y=1), Plain(), Words("ab"), Words("a"), {"a", "b"}, Order("1"), Counter("ab"),
    Counter("aab"), OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), defaultdict(int, a=1, b=2), defaultdict(list,
    a=1, b=2), deque([1, 2]), deque([1, 2], 5), range(3), slice(3), int, len, str.upper, "".join, partial(int,
    base=2), partial(int), key_of, np.array([1, 2]), np.array([1.0, 2.0]), np.array([1, 2], "i4"), np.array([[1,
    2]]), np.array([[1], [2]]), np.int64(1), np.float64(1), np.array([None, 2]), np.array([(1, 2.0)], "i4,f8"),
    np.datetime64("2024-01-01"), np.array(["a", "b"]),
]
# fmt: on


def test_different_items_have_different_keys() -> None:
    """Those that look alike above all: to some functions each of them is another argument."""
    keys = [key_of(item) for item in DIFFERENT]
    twins = [
        (DIFFERENT[i], DIFFERENT[j])
        for i, j in itertools.combinations(range(len(keys)), 2)
        if keys[i] == keys[j]
    ]
    assert twins == []


@dataclass
class Caching:
    name: str

    @property
    def upper(self) -> str:
        return self.__dict__.setdefault("_upper", self.name.upper())


def used() -> Caching:
    caching = Caching("a")
    assert caching.upper == "A"
    return caching


GAPS = np.dtype({"names": ["a", "b"], "formats": ["i1", "i8"], "offsets": [0, 8]})


def gapped(filling: int) -> Any:
    array = np.full(16, filling, "u1").view(GAPS)
    array["a"], array["b"] = 1, 2
    return array


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: 1, "b": 2}, {"b": 2, 1: 1}),
        ({1: {2: {3, 4}}, 5: 6}, {5: 6, 1: {2: {4, 3}}}),
        (defaultdict(int, a=1, b=2), defaultdict(int, b=2, a=1)),
        (Counter("ab"), Counter("ba")),
        (("abc", "abc"), ("abc", str(b"abc", "ascii"))),  # one object twice, two objects
        (math.nan, float("-nan")),
        (Path("a/b"), Path("a", "b")),
        (Caching("a"), used()),
        (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
        (np.arange(10)[::2], np.array([0, 2, 4, 6, 8])),
        (np.array([{1, 2}]), np.array([{2, 1}])),
        (gapped(0), gapped(255)),
    ],
)
def test_equal_items_have_equal_keys(one: Any, other: Any) -> None:
    """However they were made."""
    assert key_of(one) == key_of(other)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary()
)
hashables = st.recursive(
    scalars | st.dates() | st.uuids() | st.sampled_from(Colour),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner) | st.builds(Place, inner),
    max_leaves=10,
)
items = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.sets(hashables)
        | st.dictionaries(hashables, inner)
        | st.sets(st.text()).map(Words)
        | st.builds(lambda x: Plain(x=x), inner)
    ),
    max_leaves=20,
)

OTHER = """
import importlib.util, pickle, sys
name, path = sys.argv[1:]
spec = importlib.util.spec_from_file_location(name, path)
sys.modules[name] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
while True:
    try:
        item = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    sys.stdout.buffer.write(module.key_of(item))
    sys.stdout.buffer.flush()
"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Any]:
    """`key_of` in a process that hashes strings differently."""
    command = [sys.executable, "-c", OTHER, __name__, __file__]
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:

        def ask(item: Any) -> bytes:
            assert process.stdin is not None
            assert process.stdout is not None
            pickle.dump(item, process.stdin)
            process.stdin.flush()
            return process.stdout.read(16)

        yield ask


@given(item=items)
def test_keys_are_the_same_in_every_process(elsewhere: Any, item: Any) -> None:
    """Sets are walked in another order there, and nothing is the same object."""
    assert elsewhere(item) == key_of(item)


def test_keys_of_everything_are_the_same_in_every_process(elsewhere: Any) -> None:
    assert [elsewhere(item) for item in DIFFERENT] == [key_of(item) for item in DIFFERENT]


def same(one: Any, other: Any) -> bool:  # noqa: PLR0911 - one for each kind
    """Equal, and of equal types all through; written another way than keys are."""
    if type(one) is not type(other):
        return False
    match one:
        case float():
            return repr(one) == repr(other)
        case complex():
            return same((one.real, one.imag), (other.real, other.imag))
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case set() | frozenset():
            return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
        case dict():
            return len(one) == len(other) and all(any(same(a, b) for b in other.items()) for a in one.items())
        case Place() | Plain():
            return same(vars(one), vars(other))
        case _:
            return bool(one == other)


@given(one=items, other=items)
def test_keys_are_equal_just_when_items_are(one: Any, other: Any) -> None:
    assert (key_of(one) == key_of(other)) == same(one, other)


def circle() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (lambda: None, r"<lambda> is not to be found"),
        ((1, threading.Lock()), "cannot pickle '_thread.lock' object"),
        (circle(), "it contains itself"),
        ({"rows": (row for row in ())}, "cannot pickle 'generator' object"),
    ],
)
def test_item_without_a_key_is_named(file: Path, item: Any, why: str) -> None:
    """With the reason, and what to map over instead."""
    with Journal.open(file, "f") as journal, pytest.raises(potok.PotokError, match=why) as caught:
        journal.look_up(item)
    assert f"the item {repr(item)[:150]}" in str(caught.value)
    assert "Map over what identifies it" in str(caught.value)
