"""`isolate=True`: what another address space would do to a value, here: copy it.

Potok's own objects (ends, locks, queues, tasks) are handles: they go by reference, as they keep their home across
address spaces; and so does memory that all may write.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from potok.errors import PotokError
from potok.links.parts import is_shared

__all__ = ["copied"]


def copied(value: Any) -> Any:
    """A copy by pickling, by cloudpickle where plain pickle can't. Raises PotokError that names the value."""
    try:
        return _copy(value, pickle.Pickler)
    except Exception:
        return _copy_by_cloudpickle(value)


def _copy_by_cloudpickle(value: Any) -> Any:
    import cloudpickle

    try:
        return _copy(value, cloudpickle.Pickler)
    except Exception as error:
        raise PotokError(
            f"{value!r:.200} can't be copied to another address space ({type(error).__name__}: {error}); "
            f"isolate=True asks for what processes would do"
        ) from error


def _copy(value: Any, base: Any) -> Any:
    handles: list[Any] = []
    buffers: list[pickle.PickleBuffer] = []
    memory = io.BytesIO()

    def copy(buffer: pickle.PickleBuffer) -> bool:
        if not is_shared(buffer):
            return True
        buffers.append(buffer)
        return False

    class Pickler(base):  # type: ignore[misc]
        def persistent_id(self, thing: Any) -> int | None:
            if not _is_handle(thing):
                return None
            handles.append(thing)
            return len(handles) - 1

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, number: Any) -> Any:
            return handles[number]

    Pickler(memory, 5, buffer_callback=copy).dump(value)
    memory.seek(0)
    return Unpickler(memory, buffers=buffers).load()


def _is_handle(thing: Any) -> bool:
    kind = type(thing)
    return kind.__module__.startswith("potok.primitives.") or kind.__module__ == "potok.kernel.task"
