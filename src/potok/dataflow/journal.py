"""The journal of a map: what became of each item, on disk, so that a run that was killed goes on where it was.

    item ──key_of──▶ key ──look_up──▶ Recorded, or None: work on it
                      └────record───▶ one transaction for many outcomes

A file of SQLite in WAL mode. Append-only: a success that was recorded is never changed; a failure is replaced by what
becomes of the item next.

Invariants
    What `record` was given is in the file when it returns, also if the process is killed right then (SIGKILL): it is
        with the operating system. All of one call is there, or nothing of it.
    One run at a time has the file: SQLite's own lock is taken as it is opened (`locking_mode = EXCLUSIVE`) and belongs
        to the process, so that whatever ends that frees it. (A lock by `flock` lives on in whoever was forked.)
    Equal items have equal keys, in every process. Equal is: of the same type, with equal parts. 1, 1.0 and True are
        three items, as a function may tell them apart; so are 0.0 and -0.0.

A journal holds pickles: to open one that somebody else has written is to run that person's program.
"""

from __future__ import annotations

import functools
import logging
import os
import pickle
import sqlite3
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import potok
from potok.dataflow.keys import Key, key_of
from potok.dataflow.plan import shown

__all__ = ["Journal", "Key", "Recorded", "function_name", "key_of"]

SCHEMA: Final = 1
"""Version of the file. It grows when an older potok would misread a newer file."""

APPLICATION: Final = 0x504F544B  # "POTK", in the header of the file: it is a journal, and no other database


class Recorded(NamedTuple):
    """What became of an item in an earlier run, or earlier in this one."""

    ok: bool
    value: Any  # None of a failure
    error: BaseException | None
    attempts: int


class Journal:
    """An open journal. Used by one thread, or task, after another; not by another process, nor after a fork.

    It does not survive a power loss whole: transactions of the last moments may be gone then (SQLite's
    `synchronous = NORMAL`; to wait for the disk would cost milliseconds each). What is left is consistent, and what is
    gone is computed again.
    """

    def __init__(
        self, path: str, connection: sqlite3.Connection, function: str, *, retry_failed: bool
    ) -> None:
        self.path = path
        self.function = function
        self.retry_failed = retry_failed
        self._connection: sqlite3.Connection | None = connection
        self._owner = os.getpid()
        self._warned: set[str] = set()
        _opened.add(self)

    @classmethod
    def open(cls, path: str | os.PathLike[str], function: str, *, retry_failed: bool = True) -> Self:
        """Make a journal, or go on with the one that is there.

        Args:
            path: a file; another ends in "-wal" beside it as long as it is open.
            function: its name, which must be that of the journal.
            retry_failed: take recorded failures as if they were not recorded.

        Raises: PotokError that says what is wrong: no journal, of a newer potok, of another function, in use by another
            run (at once, without waiting), or in a place where nothing can be written. What is there is unchanged then.
        """
        where = os.path.abspath(path)  # noqa: PTH100 - of whatever kind of path, and unlike Path(":memory:") for SQLite
        if os.path.lexists(where) and not os.access(
            where, os.W_OK
        ):  # SQLite would say less clearly, and later
            raise potok.PotokError(f"the journal {where!r} may only be read here; choose another file")
        connection = None
        try:
            connection = sqlite3.connect(where, timeout=0, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # from here on locks are kept
            connection.execute("BEGIN EXCLUSIVE")
            _make_or_check(connection, where, function)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(
                "PRAGMA wal_autocheckpoint = 4000"
            )  # pages: each such moment waits for the disk
        except BaseException as error:
            if connection is not None:
                connection.close()  # rolls back
            if isinstance(error, sqlite3.Error):
                raise _told(error, where) from error
            raise
        return cls(where, connection, function, retry_failed=retry_failed)

    def look_up(self, item: Any) -> tuple[Key, Recorded | None]:
        """The key of an item, and what is recorded of it, if there is something to go by.

        A failure counts as nothing with `retry_failed`. A value that can't be unpickled any more neither: that is said
        once, through `logging`, and the item computed again.

        Raises: PotokError that names the item, if it has no key that would be the same in another run.
        """
        key = key_of(item)
        try:
            row = self._open().execute(_LOOK_UP, (key,)).fetchone()
        except sqlite3.Error as error:
            raise _told(error, self.path) from error
        if row is None or (self.retry_failed and not row[0]):
            return key, None
        ok, attempts, pickled = row
        try:
            value = pickle.loads(pickled)  # noqa: S301 - our own: see the head of this file
        except Exception as error:  # noqa: BLE001 - whatever the user's classes do, or no longer do
            self._warn("read", f"what was recorded of {shown(item)} can't be read: {error}")
            return key, None
        return key, Recorded(True, value, None, attempts) if ok else Recorded(False, None, value, attempts)

    def record(self, outcomes: Iterable[tuple[Key, bool, Any, int]]) -> None:
        """Add (key, whether it succeeded, its value or its error, attempts) of each item: all in one transaction.

        A value that can't be pickled is left out, which is said once through `logging`; an error is described then.

        Raises: PotokError if the file can't be written, as on a full disk: nothing was recorded then, and the journal
            can be used further.
        """
        rows = []
        for key, ok, outcome, attempts in outcomes:
            try:
                rows.append((key, ok, attempts, _pickled(outcome) if ok else _pickled_error(outcome)))
            except Exception as error:  # noqa: BLE001 - whatever the user's classes do
                self._warn("written", f"a {type(outcome).__name__} can't be pickled: {error}")
        connection = self._open()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_RECORD, rows)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:  # a full disk has ended it, an interrupt has not
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _told(error, self.path) from error

    def count(self) -> tuple[int, int]:
        """How many items have succeeded, and how many have failed."""
        try:
            done, failed = self._open().execute(_COUNT).fetchone()
        except sqlite3.Error as error:
            raise _told(error, self.path) from error
        return done, failed

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None and self._owner == os.getpid():
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._connection is None else "open"
        return f"<journal {self.path!r} of {self.function}, {state}>"

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise potok.PotokError(f"the journal {self.path!r} is closed")
        if self._owner != os.getpid():
            raise potok.PotokError(
                f"the journal {self.path!r} belongs to the process that opened it; a fork must not use it"
            )
        return self._connection

    def _warn(self, which: str, what: str) -> None:
        """Say the first of each sort: a thousand lines would say no more."""
        if which not in self._warned:
            self._warned.add(which)
            logging.getLogger("potok").warning(
                "journal %r: %s; it is computed again next time (said once)", self.path, what, stacklevel=3
            )


def function_name(fn: Callable[..., Any]) -> str:
    """The name by which a journal knows its function: `package.module.function`."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    return f"{getattr(fn, '__module__', None) or 'builtins'}.{name}"


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────

_LOOK_UP = "SELECT ok, attempts, outcome FROM outcomes WHERE key = ?"
_RECORD = (
    "INSERT INTO outcomes (key, ok, attempts, outcome) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
    "SET ok = excluded.ok, attempts = excluded.attempts, outcome = excluded.outcome WHERE NOT outcomes.ok"
)
_COUNT = "SELECT count(*) FILTER (WHERE ok), count(*) FILTER (WHERE NOT ok) FROM outcomes"


def _make_or_check(connection: sqlite3.Connection, path: str, function: str) -> None:
    """Within a transaction that excludes everybody else."""
    ((application,),) = connection.execute("PRAGMA application_id")
    ((schema,),) = connection.execute("PRAGMA user_version")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if not (application or schema or tables):
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("CREATE TABLE run (function TEXT NOT NULL)")
        connection.execute("INSERT INTO run VALUES (?)", (function,))
        connection.execute(
            "CREATE TABLE outcomes (key BLOB PRIMARY KEY, ok INTEGER NOT NULL, attempts INTEGER NOT NULL, "
            "outcome BLOB NOT NULL)"
        )
        return
    if application != APPLICATION:
        raise potok.PotokError(f"{path!r} is a database, but no journal of potok; choose another file")
    if schema > SCHEMA:
        raise potok.PotokError(
            f"the journal {path!r} was written by a newer potok (its version is {schema}, ours {SCHEMA}); "
            f"use that one, or another file"
        )
    ((recorded,),) = connection.execute("SELECT function FROM run")
    if recorded != function:
        raise potok.PotokError(
            f"the journal {path!r} is of the function {recorded}, not of {function}; choose another file"
        )


def _told(error: sqlite3.Error, path: str) -> potok.PotokError:
    """What SQLite says, in terms of what the user did."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_BUSY"):
        return potok.PotokError(
            f"the journal {path!r} is in use by another run; wait for its end, or choose another file"
        )
    if name.startswith("SQLITE_NOTADB"):
        return potok.PotokError(f"{path!r} is no journal of potok; choose another file")
    if name.startswith("SQLITE_CORRUPT"):
        return potok.PotokError(f"the journal {path!r} is damaged ({error}); choose another file")
    if name.startswith("SQLITE_CANTOPEN"):
        return potok.PotokError(
            f"the journal {path!r} can't be opened: is its folder there and may it be written? ({error})"
        )
    return potok.PotokError(
        f"the journal {path!r} can't be written ({error}): is there room on the disk, and may the file be written?"
    )


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - cloudpickle may do better, or says what is wrong
        import cloudpickle

        pickled: bytes = cloudpickle.dumps(value)
        return pickled


def _pickled_error(error: BaseException) -> bytes:
    """An error that can be read again as what it is, or else its description (many can be pickled but not read)."""
    try:
        pickled = _pickled(error)
        if type(pickle.loads(pickled)) is type(error):  # noqa: S301 - made in the line above
            return pickled
    except Exception:  # noqa: BLE001, S110 - whatever its class does
        pass
    return pickle.dumps(potok.RemoteError(f"{type(error).__qualname__}: {error}"))


# ── forks ───────────────────────────────────────────────────────────────────────────────────────────────────────

_opened: weakref.WeakSet[Journal] = weakref.WeakSet()


def _disown() -> None:
    """In a forked child: never close what it inherited. SQLite would take the parent's log away as it did."""
    for journal in list(_opened):
        if journal._connection is not None:  # noqa: SLF001 - the other half of Journal
            import ctypes

            # No module is a safe place to keep it: all are cleared as the child ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(journal._connection))  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown)
