"""Settings of PyCSP's sockets. There are no sockets here: they are kept, and mean nothing."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from potok.csp.ending import InfoException

__all__ = [
    "PYCSP_HOST",
    "PYCSP_PORT",
    "SOCKETS_BIND_RETRY_DELAY",
    "SOCKETS_BIND_TIMEOUT",
    "SOCKETS_CONNECT_RETRY_DELAY",
    "SOCKETS_CONNECT_TIMEOUT",
    "SOCKETS_STRICT_MODE",
    "Configuration",
    "version",
]

version = (0, 9, 2, "potok")
"""The version of PyCSP whose vocabulary this is, and who speaks it."""

SOCKETS_CONNECT_TIMEOUT, SOCKETS_CONNECT_RETRY_DELAY, SOCKETS_BIND_TIMEOUT, SOCKETS_BIND_RETRY_DELAY = range(
    4
)
SOCKETS_STRICT_MODE, PYCSP_PORT, PYCSP_HOST = range(4, 7)


class Configuration:
    """The settings of the program: `Configuration()` is always the same object."""

    _only: ClassVar[Any] = None
    _settings: ClassVar[dict[int, Any]] = {
        SOCKETS_CONNECT_TIMEOUT: 2,
        SOCKETS_CONNECT_RETRY_DELAY: 0.2,
        SOCKETS_BIND_TIMEOUT: 2,
        SOCKETS_BIND_RETRY_DELAY: 0.2,
        SOCKETS_STRICT_MODE: False,
        PYCSP_PORT: 0,
        PYCSP_HOST: "",
    }

    def __new__(cls) -> Self:
        """The one there is."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        only: Self = cls._only
        return only

    def get(self, conf_id: int) -> Any:
        """What a setting was set to."""
        return self._settings[_known(conf_id)]

    def set(self, conf_id: int, value: Any) -> None:
        """Keep a value for a setting."""
        self._settings[_known(conf_id)] = value


def _known(conf_id: Any) -> int:
    if conf_id not in range(7):
        raise InfoException(
            f"conf_id must be a setting's constant, as SOCKETS_CONNECT_TIMEOUT, not {conf_id!r}"
        )
    return int(conf_id)
