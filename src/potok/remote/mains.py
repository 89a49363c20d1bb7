"""The initializer of a worker, and what it has set in modules that are not imported here: `__main__`, notebooks.

A function of `__main__` travels by value, each time with globals of its own. So what an initializer of `__main__`
sets would be seen by nobody. Here the globals that it can see are kept as it has left them, and stand in the globals of
every function of that module that comes later, in place of what was sent along.

    initializer: `global conn; conn = connect()`   ──▶ kept: conn       (and whatever else it names)
    task: `def work(): conn.query()`               ──▶ its globals: conn as kept, all else as sent

Rejected: to run the main script again as `__mp_main__`, as multiprocessing does. What is not under `if __name__ ==
"__main__"` would happen in each worker; and a notebook has no script.

Invariants
    A global that the initializer does not name is as it was when the task was started.
    One that it names is this worker's: what the program assigns to it later is not seen here.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from potok.links.packing import Packed, set_loads

__all__ = ["initialize"]

_kept: dict[str, dict[str, Any]] = {}  # by module: globals as the initializer has left them
_seen: dict[int, dict[str, Any]] | None = None  # while it is unpickled: the globals of its functions


class _Unpickler(pickle.Unpickler):
    """Tells of the functions that come by value."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_function_setstate" and module == "cloudpickle.cloudpickle":
            return _fill_in
        return super().find_class(module, name)


def _fill_in(function: Any, state: Any) -> None:
    """What cloudpickle does to a new function, and then what is kept."""
    from cloudpickle import cloudpickle

    cloudpickle._function_setstate(function, state)
    names = function.__globals__
    if _seen is not None:
        _seen[id(names)] = names
    else:
        names.update(_kept.get(names.get("__name__"), {}))


def _loads(data: bytes) -> Any:
    return _Unpickler(io.BytesIO(data)).load()


def initialize(initializer: Packed) -> None:
    """Call it, and keep what it leaves. Raises what it raises."""
    global _seen
    seen: dict[int, dict[str, Any]] = {}
    _seen = seen
    former = set_loads(_loads)
    try:
        call = initializer.open()
    finally:
        _seen = None
        set_loads(former)
    call()
    for names in seen.values():
        kept = _kept.setdefault(names["__name__"], {}) if "__name__" in names else {}
        kept.update({name: value for name, value in names.items() if not name.startswith("__")})
    if _kept:
        set_loads(_loads)
