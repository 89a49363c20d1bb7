"""Memory without a name: made by the kernel, reached by whoever was passed its file descriptor, mapped by who looks.

An arena is `size` bytes cut into places of `place` bytes each. Its owner maps it to write; others map it read-only, so
that a stray write of theirs faults instead of changing what somebody else reads. The kernel frees it as the last
descriptor and mapping go, whoever is killed.

Sealed against growing and shrinking: a receiver can rely on the mapping. Not sealed against writing: the owner writes
there again and again, and gives pages back (a sealed file takes no holes). A worker that means harm can map the
descriptor anew and write: workers are this program's own.

ctypes, as Python lets nobody know when the last view of an `mmap` has died, nor where a buffer lies; and a mapping by
`mmap.mmap` costs a second descriptor before Python 3.13.

Addresses may be scarcer than memory (`ulimit -v`, RLIMIT_AS), and then what is mapped is missed by everybody else in
the process. So nothing here needs a mapping: without, bytes are written and read through the descriptor.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import resource
from errno import EIO
from functools import cache
from typing import Any, Final

from potok.links.blocks import Hold, Named

__all__ = ["Arena", "address_of", "is_limited", "make_descriptor"]

SEALS: Final = 0x0001 | 0x0002 | 0x0004  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW
PROT_READ: Final = 1
PROT_WRITE: Final = 2
MAP_SHARED: Final = 1
PUNCH_HOLE: Final = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE
MOMENT: Final = 1 << 20  # bytes that are copied before another thread notices


def is_limited() -> bool:
    """Whether this process may have only so many addresses."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def make_descriptor(size: int) -> int:
    """So many bytes of fresh memory. Raises OSError where there are none, or no such memory."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("potok-memory", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        fd = _unlinked_descriptor()
    try:
        os.ftruncate(fd, size)
        if hasattr(os, "memfd_create"):
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _unlinked_descriptor() -> int:
    """POSIX shared memory, whose name is gone before anybody could be killed with it (but for this very moment)."""
    try:
        import _posixshmem  # type: ignore[import-not-found]
    except ImportError as error:
        raise OSError("this system has no memory that can be passed on") from error
    name = f"/potok-{os.urandom(8).hex()}"
    fd: int = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
    _posixshmem.shm_unlink(name)
    return fd


class Arena:
    """A piece of memory, as one process knows it. What the accounting needs is `name`, `uses`, `leaving`, `origin`."""

    __slots__ = (
        "_memory",
        "address",
        "fd",
        "leaving",
        "name",
        "origin",
        "place",
        "shared",
        "size",
        "uses",
        "warm",
    )

    def __init__(self, name: Named, size: int, place: int, shared: bool, fd: int) -> None:
        self.name = name
        self.size = size
        self.place = place
        self.shared = shared  # all may write
        self.fd = fd
        self.uses = 0
        self.leaving = False
        self.origin: Any = None  # the link over which it was introduced; None: it is ours
        self.warm: set[int] = set()  # the places that have pages
        self.address = 0  # where it lies here, once somebody has looked
        self._memory: Any = None

    def map(self) -> None:
        """Have an address. Raises OSError."""
        writable = self.shared or self.origin is None
        self.address = _map(self.fd, self.size, PROT_READ | (PROT_WRITE if writable else 0))
        self._memory = pickle.PickleBuffer((ctypes().c_ubyte * self.size).from_address(self.address)).raw()

    def view(self, start: int, size: int, hold: Hold, writable: bool) -> memoryview:
        """Some bytes of it, which is mapped. Whatever is made of the view keeps the hold alive."""
        exporter = (ctypes().c_ubyte * size).from_address(self.address + start)
        exporter.hold = hold
        view: memoryview = pickle.PickleBuffer(exporter).raw()
        return view if writable else view.toreadonly()

    def write(self, offset: int, pieces: list[Any]) -> None:
        """Put these buffers there, one after the other. Raises OSError.

        Fresh pages are written through the descriptor: less than half the price of faulting them in one by one, and
        an error instead of a deadly signal where there is no memory. So are all where nothing is mapped.
        """
        through = offset not in self.warm or not self.address
        start = offset
        self.warm.add(offset)
        for piece in pieces:
            with memoryview(piece) as view:  # which keeps it where it is: no thread may resize it now
                size = view.nbytes
                if through:
                    _write_all(self.fd, view.cast("B"), start)
                elif size <= MOMENT:
                    self._memory[start : start + size] = view
                else:  # without the GIL
                    ctypes().memmove(self.address + start, address_of(view)[0], size)
                start += size

    def read(self, start: int, size: int) -> memoryview:
        """A copy of some bytes, for who can't have it mapped. Raises OSError, MemoryError."""
        copy = bytearray(size)
        done = 0
        with memoryview(copy) as rest:
            while done < size:
                got = os.preadv(self.fd, [rest[done:]], start + done)
                if not got:
                    raise OSError(EIO, "there is less of it than was told")
                done += got
        return memoryview(copy).toreadonly()

    def cool(self, offset: int) -> None:
        """Give the pages of that place back, where the system can."""
        self.warm.discard(offset)
        punch = getattr(_libc(), "fallocate", None)
        if punch is not None:
            punch(self.fd, PUNCH_HOLE, offset, self.place)

    def close(self) -> None:
        """Nobody here looks at it any more."""
        self.leave()
        self.unmap()

    def unmap(self) -> None:
        """Have no address, until somebody looks again. Nobody does now."""
        address, self.address, self._memory = self.address, 0, None
        if address:
            _libc().munmap(address, self.size)

    def leave(self) -> None:
        """Let the descriptor go; what is mapped stays."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _write_all(fd: int, view: memoryview, start: int) -> None:
    done = 0
    while done < len(view):  # the kernel takes 2 GiB at most in one call
        done += os.pwrite(fd, view[done:], start + done)


# ── what Python does not have ───────────────────────────────────────────────────────────────────────────────


@cache
def ctypes() -> Any:
    """It takes some milliseconds to import, and only who sends or opens big buffers needs it."""
    import ctypes

    return ctypes


@cache
def _libc() -> Any:
    c = ctypes()
    libc = c.CDLL(None, use_errno=True)
    libc.mmap.restype = c.c_void_p
    libc.mmap.argtypes = [c.c_void_p, c.c_size_t, c.c_int, c.c_int, c.c_int, c.c_ssize_t]
    libc.munmap.argtypes = [c.c_void_p, c.c_size_t]
    if hasattr(libc, "fallocate"):
        libc.fallocate.argtypes = [c.c_int, c.c_int, c.c_ssize_t, c.c_ssize_t]
    return libc


def _map(fd: int, size: int, protection: int) -> int:
    address = _libc().mmap(None, size, protection, MAP_SHARED, fd, 0)
    if address == ctypes().c_void_p(-1).value:
        code = ctypes().get_errno()
        raise OSError(code, os.strerror(code))
    return int(address)


@cache
def _buffers() -> tuple[Any, Any, Any]:
    c = ctypes()

    class Buffer(c.Structure):  # type: ignore[misc, name-defined]
        """`Py_buffer`: part of the stable interface since 3.11."""

        _fields_ = (
            ("buf", c.c_void_p),
            ("obj", c.py_object),
            ("len", c.c_ssize_t),
            ("itemsize", c.c_ssize_t),
            ("readonly", c.c_int),
            ("ndim", c.c_int),
            ("format", c.c_char_p),
            ("shape", c.c_void_p),
            ("strides", c.c_void_p),
            ("suboffsets", c.c_void_p),
            ("internal", c.c_void_p),
        )

    take = c.pythonapi.PyObject_GetBuffer
    take.argtypes = [c.py_object, c.POINTER(Buffer), c.c_int]
    leave = c.pythonapi.PyBuffer_Release
    leave.argtypes = [c.POINTER(Buffer)]
    leave.restype = None
    return Buffer, take, leave


def address_of(thing: Any) -> tuple[int, int]:
    """Where the memory of a contiguous buffer lies, and how long it is."""
    make, take, leave = _buffers()
    buffer = make()
    where = ctypes().byref(buffer)
    take(thing, where, 0)
    try:
        return buffer.buf or 0, buffer.len
    finally:
        leave(where)
