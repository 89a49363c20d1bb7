"""Leave out, as tests are collected, what an executor can't offer: `pytest_plugins` of the suite names this module.

It is known then only for a `Target` that is a parameter of the fixture `executor`. What such a fixture makes when a
test already runs is skipped by `play` instead.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from potok.testing.conformance.target import HOSTS, Target, missing

__all__ = ["pytest_pycollect_makeitem"]


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Take from a test's combinations of host and executor those that can't be."""
    made = yield
    return [item for item in made if _can_be(item)] if isinstance(made, list) else made


def _can_be(item: object) -> bool:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    target, host = params.get("executor"), params.get("play")
    return not isinstance(target, Target) or host not in HOSTS or not missing(target, host, item.function)  # type: ignore[attr-defined]
