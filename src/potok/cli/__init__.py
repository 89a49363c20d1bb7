"""The command line: one file a verb, each imported only when its verb is used.

A verb's module has two functions, `add_arguments(parser)` and `run(args) -> int` (the exit code), and uses
potok's public names only, as any other client would. Results go to stdout, progress and log to stderr.
"""


class UsageError(Exception):
    """The arguments are well formed but cannot be meant: one clear line and exit code 2.

    For what only the verb can know (a function that is not there, an input that cannot be read);
    argparse itself reports what it can see from the arguments alone.
    """
