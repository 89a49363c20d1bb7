"""Find the function that the command line names: `package.module:function` or `path/to/file.py:function`."""

import builtins
import difflib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from potok.cli import UsageError

__all__ = ["find_function"]

SHOWN = 8  # names of functions, at most


def find_function(spec: str) -> Callable[..., Any]:
    """Import what stands before the last colon and get what stands behind it, dots included (`module:Class.method`).

    Modules are looked for in the current folder first, as `python -m` does. A file is imported under its own name, with
    its folder on `sys.path`, as if it were run.

    Raises: UsageError that says which part was not found, and what there is instead.
    """
    module_name, colon, path = spec.rpartition(":")
    file = spec.removesuffix(":")
    if file.endswith(".py") and (not colon or not path):
        raise _unnamed(file)
    if not colon or not module_name or not path:
        raise UsageError(
            f"FUNCTION is written package.module:function or path/to/file.py:function, not {spec!r}"
            + (
                f"; is it {spec.rpartition('.')[0]}:{spec.rpartition('.')[2]}?"
                if "." in spec.strip(".")
                else ""
            )
        )
    is_file = module_name.endswith(".py")
    module = _import_file(Path(module_name)) if is_file else _import_module(module_name)
    found = _get(module, module_name, path)
    if not callable(found):
        raise UsageError(f"{spec} is no function but an object of type {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _unnamed(file: str) -> UsageError:
    """A file, and no word on which of its functions is meant: say which there are."""
    module = _import_file(Path(file))
    own = [
        name
        for name, found in vars(module).items()
        if not name.startswith("_")
        and callable(found)
        and not isinstance(found, type)
        and getattr(found, "__module__", None) == module.__name__
    ]
    if not own:
        return UsageError(f"name the function: {file}:NAME; but {file} has no function of its own")
    shown = ", ".join(own[:SHOWN]) + (", ..." if len(own) > SHOWN else "")
    return UsageError(f"name the function: {file}:NAME; it has {shown}")


def _import_module(name: str) -> ModuleType:
    if sys.path[0] not in ("", str(Path.cwd())):
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise _broken(name, error) from error
        hint = f"; what Python has built in is written builtins:{name}..." if hasattr(builtins, name) else ""
        raise UsageError(f"no module named {error.name!r} here or on sys.path{hint}") from None
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"no such file: {str(path)!r}")
    sys.path.insert(0, str(path.resolve().parent))
    name = path.stem if path.stem not in sys.modules else f"potok_map_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _broken(str(path), error) from error
    return module


def _broken(what: str, error: BaseException) -> UsageError:
    """The user's module failed as it was imported: say how, and where."""
    told = f"importing {what} failed: {type(error).__name__}: {error}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    if not isinstance(error, SyntaxError) and len(frames) > 1:
        told += f" ({frames[-1].filename}, line {frames[-1].lineno})"
    return UsageError(told)


def _get(module: ModuleType, module_name: str, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            public = [
                known for known in dir(found) if not known.startswith("_") and callable(getattr(found, known))
            ]
            near = difflib.get_close_matches(name, public, n=3) or public[:SHOWN]
            hint = f"; it has {', '.join(near)}" if near else ""
            raise UsageError(f"no function {path!r} in {module_name}{hint}") from None
    return found
