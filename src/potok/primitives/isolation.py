"""`isolate=True`: what another address space would do to a value, here: copy it."""

from __future__ import annotations

import pickle
from typing import Any

from potok.errors import PotokError

__all__ = ["copied"]


def copied(value: Any) -> Any:
    """A copy by pickling, cloudpickle where plain pickle can't. Raises PotokError that names the value."""
    try:
        return pickle.loads(pickle.dumps(value, 5))  # noqa: S301 - our own bytes
    except Exception:
        return _copied_by_cloudpickle(value)


def _copied_by_cloudpickle(value: Any) -> Any:
    import cloudpickle

    try:
        return pickle.loads(cloudpickle.dumps(value, 5))  # noqa: S301 - our own bytes
    except Exception as error:
        raise PotokError(
            f"{value!r:.200} can't be copied to another address space ({type(error).__name__}: {error}); "
            f"isolate=True asks for what processes would do"
        ) from error
