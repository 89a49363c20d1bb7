"""Log records of tasks in other address spaces, in the handlers of this one."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["Logs", "logs"]


class Logs:
    """Made by `potok.logs`: in effect from then on, until `close` or the end of its `with` block."""

    __slots__ = ("_level", "_token")

    def __init__(self, level: int) -> None:
        from potok.remote.desk import begin

        self._level = level
        self._token: Any = begin(level)

    def close(self) -> None:
        """Have workers log as they did before. Idempotent.

        Blocks for the moment until what they have logged is handled; a handler that is busy for more than some seconds
        is not waited for.
        """
        token, self._token = self._token, None
        if token is not None:
            from potok.remote.desk import end

            end(token)

    def __enter__(self) -> Self:
        if self._token is None:
            raise ValueError("these logs were closed; make new ones with potok.logs()")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Logs from level {self._level} on{'' if self._token is not None else ', closed'}>"


def logs(level: int | str = "INFO") -> Logs:
    """Have the `logging` records of tasks in worker processes and interpreters handled here: whole, and in order.

    A plain call holds for the rest of the program; `with potok.logs("INFO"):` until its end, when what was logged
    before is handled. In the workers, and only there, the root logger gets this level and a handler that ships; tasks
    that run already log here from now on. A record that was logged is not lost when its worker dies next. Here it goes
    to the logger of its name, whose level, filters and handlers apply, in a thread of its own: a handler may be slow or
    raise. Tasks in this process log here anyway, so that a program need not know where its tasks run.

    Lines of the workers' life are logged at INFO by "potok.workers": a worker was started, a task starts, has ended or
    failed, a worker has ended with its exit code, or was killed by its signal.

    Records have `taskName`, the name of the task (also those of tasks in this process), `process`, the pid, and
    `processName`, "worker-1" and so on. Tracebacks are text already (`exc_text`), and so are messages whose arguments
    are no plain numbers or strings. Extra attributes come along as they are if pickle can do it, else as text.

    Args:
        level: a level of logging's, or its name; where several are in effect, the lowest. Called in a worker: for all
            workers of the program.

    Raises: ValueError for what is no level.
    """
    return Logs(_checked(level))


def _checked(level: object) -> int:
    if isinstance(level, str):
        import logging

        known = logging.getLevelNamesMapping().get(level.upper())
        if known is not None:
            return known
    elif isinstance(level, int) and not isinstance(level, bool) and level >= 0:
        return level
    raise ValueError(f'level must be a level of logging, as 20 or "INFO", not {level!r}')
