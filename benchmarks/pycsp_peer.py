"""Load PyCSP 0.9.2 on a Python that it was not written for.

It uses `collections.Callable`, gone since Python 3.10, and looks its own host name up, which fails where that
name has no address. Both are put right in this process only; the package itself is left as it is.
"""

import collections
import collections.abc
import importlib
import os
from types import ModuleType


def load(flavour: str) -> ModuleType:
    """Import `pycsp.greenlets` or `pycsp.parallel`."""
    os.environ.setdefault("PYCSP_HOST", "127.0.0.1")
    if not hasattr(collections, "Callable"):
        collections.Callable = collections.abc.Callable  # type: ignore[attr-defined]
    return importlib.import_module(f"pycsp.{flavour}")
