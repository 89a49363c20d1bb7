"""`--halt`: stop a run in which too many items fail, as GNU parallel does.

3           as soon,3
soon,3      after 3 failures begin no more items; what runs may end
now,3       after 3 failures cancel what runs
now,3%      when 3 of 100 items have failed; not before so many have been worked on that one failure is no more
            than that share (here 34), or the first item to fail would always be the end
"""

import argparse
import math
import re
from typing import NamedTuple

__all__ = ["Halt", "read_halt"]


class Halt(NamedTuple):
    """When to stop, and how."""

    now: bool
    failures: float  # so many, or the share of all
    is_share: bool

    def is_due(self, done: int, failed: int) -> bool:
        """Whether so many failures are too many."""
        if not self.is_share:
            return failed >= self.failures
        return done >= math.ceil(1 / self.failures) and failed >= self.failures * done


def read_halt(text: str) -> Halt:
    """Read the argument of `--halt`."""
    match = re.fullmatch(r"(?:(now|soon),)?(\d+(?:\.\d+)?)(%?)", text.strip())
    if match is None or not _is_sensible(float(match[2]), bool(match[3])):
        raise argparse.ArgumentTypeError(
            f"write a number of failures or a share of the items (3 or 3%), with soon, or now, before it "
            f"(now,3%), not {text!r}"
        )
    number = float(match[2])
    return Halt(match[1] == "now", number / 100 if match[3] else number, bool(match[3]))


def _is_sensible(number: float, is_share: bool) -> bool:
    return 0 < number <= 100 if is_share else number >= 1 and number.is_integer()
