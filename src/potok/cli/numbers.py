"""Numbers as arguments of several verbs, checked as argparse has it."""

import argparse

__all__ = ["count"]


def count(text: str) -> int:
    """A whole number that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"N must be a whole number >= 1, not {text!r}")
    return int(text)
