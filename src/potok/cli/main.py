"""Dispatch `potok VERB …`: argparse, and no verb imported but the one that was asked for."""

import argparse
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from potok.cli import UsageError

OK, USAGE, INTERRUPTED, BROKEN_PIPE = 0, 2, 130, 141

VERBS = {
    "map": "apply a function to every input and write the results as JSON Lines",
    "compare": "measure a function on each executor against the plain loop, and say which one pays off",
    "lesson": "list the programs of a lecture on concurrency, or explain and run one",
    "completion": "print a script that completes potok's arguments in bash, zsh or fish",
    "doctor": "show what potok finds on this machine: Python, cores, executors, extras",
}
"""Each verb with its line in `potok --help`, which is shown without importing any verb's module."""

EXIT_CODES = "exit codes: 0 fine, 1 some items failed, 2 usage, 4 workers were lost for good, 130 interrupted"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code.

    Args:
        argv: the arguments after the program's name; by default those of this process.

    Raises:
        SystemExit: from argparse, after `--help` and `--version` (0) and on wrong arguments (2).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = arguments[0] if arguments and arguments[0] in VERBS else None
    module = importlib.import_module(f"potok.cli.{verb}") if verb else None
    parser = _parser(verb, module)
    args = parser.parse_args(arguments, argparse.Namespace(argv=arguments))  # as written, to be shown again
    if module is None:
        parser.print_help(sys.stderr)
        return USAGE
    return _guarded(f"{parser.prog} {verb}", module, args)


def _parser(verb: str | None, module: ModuleType | None) -> argparse.ArgumentParser:
    """Build the parser; only `verb`'s own arguments are known, the others are names with a line of help."""
    parser = argparse.ArgumentParser(
        prog="potok",
        description="Run concurrent Python on coroutines, threads or processes.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"potok {_version()}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    for name, summary in VERBS.items():
        sub = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == verb and module is not None:
            module.add_arguments(sub)
    return parser


def _version() -> str:
    try:
        return importlib.metadata.version("potok")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed: running from its sources)"


def _guarded(prog: str, module: ModuleType, args: argparse.Namespace) -> int:
    """Run the verb; turn the ways in which a user ends it into exit codes instead of tracebacks."""
    try:
        code: int = module.run(args)
        sys.stdout.flush()
    except UsageError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our stdout has gone, as `| head` does. What is still buffered must not be flushed
        # into the closed pipe when the interpreter exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code
