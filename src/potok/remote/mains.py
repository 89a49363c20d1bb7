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
    What is kept does not leave: tasks that are started from here get what the program has sent.
"""

from __future__ import annotations

import functools
import io
import pickle
from types import FunctionType
from typing import Any

from potok.links.packing import Packed, set_pickling
from potok.links.parts import clouded, of_views

__all__ = ["initialize"]

Globals = dict[str, dict[str, Any]]
"""By module: some of its names."""

_kept: Globals = {}  # as the initializer has left them
_sent: Globals = {}  # as they came with it


class _Unpickler(pickle.Unpickler):
    """Fills in what is kept; or else, notes down the globals of functions that come by value."""

    def __init__(self, data: Any, buffers: Any = None, seen: dict[int, dict[str, Any]] | None = None) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._seen = seen

    def find_class(self, module: str, name: str) -> Any:
        if name == "_function_setstate" and module == "cloudpickle.cloudpickle":
            return self._fill_in
        return super().find_class(module, name)

    def _fill_in(self, function: Any, state: Any) -> None:
        from cloudpickle import cloudpickle

        cloudpickle._function_setstate(function, state)
        names = function.__globals__
        if self._seen is not None:
            self._seen[id(names)] = names
        else:
            names.update(_kept.get(names.get("__name__"), {}))


def _loads(data: Any, buffers: Any = None) -> Any:
    return _Unpickler(data, buffers).load()


@functools.cache
def _pickler() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Sends what was sent, in place of what is kept."""

        def reducer_override(self, thing: Any) -> Any:
            reduced = super().reducer_override(thing)
            if isinstance(thing, FunctionType) and reduced is not NotImplemented:
                _put_back(thing.__globals__.get("__name__", ""), reduced[2][1]["__globals__"])
            return reduced

    return of_views(Pickler)


def _put_back(module: str, names: dict[str, Any]) -> None:
    sent = _sent.get(module, {})
    for name in _kept.get(module, {}).keys() & names.keys():
        if name in sent:
            names[name] = sent[name]
        else:
            del names[name]


def initialize(initializer: Packed) -> None:
    """Call it, and keep what it leaves. Raises what it raises."""
    seen: dict[int, dict[str, Any]] = {}
    set_pickling(lambda data, buffers=None: _Unpickler(data, buffers, seen).load(), clouded)
    try:
        call = initializer.open()
    finally:
        set_pickling(pickle.loads, clouded)
    call()
    _kept.update(_by_module(seen))
    if _kept:
        seen.clear()
        _Unpickler(initializer.data, None, seen).load()  # once more: what it has changed in place, too
        _sent.update(_by_module(seen))
        set_pickling(_loads, _pickler)


def _by_module(seen: dict[int, dict[str, Any]]) -> Globals:
    found: Globals = {}
    for names in seen.values():
        mine = {name: value for name, value in names.items() if not name.startswith("__")}
        found.setdefault(names.get("__name__", ""), {}).update(mine)
    return found
