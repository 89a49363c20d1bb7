"""*interpreters* where there are none, and its options."""

import sys
from typing import Any

import pytest

import potok


def test_older_pythons_are_told_what_is_needed_and_what_to_take_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By name and as an object, before anything is started."""
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    for use in (potok.interpreters, lambda: potok.run(abs, -1, on=potok.interpreters())):
        with pytest.raises(
            potok.PotokError, match=r'needs Python 3.14 or newer.*on="processes".*on="threads"'
        ):
            use()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"workers": 0}, "workers"),
        ({"max_workers": 1.5}, "max_workers"),
        ({"max_tasks_per_worker": True}, "max_tasks_per_worker"),
        ({"initializer": 3}, "initializer"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], named: str) -> None:
    """The message names the option."""
    with pytest.raises((TypeError, ValueError), match=named):
        potok.interpreters(**options)
