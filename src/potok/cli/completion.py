"""`potok completion SHELL`: a script that completes potok's arguments, made from the parsers of its verbs.

    eval "$(potok completion bash)"                             in ~/.bashrc
    eval "$(potok completion zsh)"                              in ~/.zshrc, after compinit
    potok completion fish > ~/.config/fish/completions/potok.fish

The script is static: it asks nobody as it completes. Verbs, options and what has choices are completed by their
words; everything else by names of files.
"""

import argparse
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

__all__ = ["add_arguments", "run"]


class Option(NamedTuple):
    """One option of a verb."""

    names: Sequence[str]
    help: str
    value: str | None  # "word", "file", or None: it takes none
    choices: Sequence[str] = ()


class Verb(NamedTuple):
    """One verb, as far as completion goes."""

    help: str
    options: Sequence[Option]
    words: Sequence[str]  # what its first argument may be; files if empty


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `potok completion`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (__doc__ or "").partition("\n\n")[2]
    parser.add_argument("shell", metavar="SHELL", choices=sorted(SCRIPTS), help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print("\n".join(SCRIPTS[args.shell](_verbs())))
    return 0


def _verbs() -> dict[str, Verb]:
    from potok.cli.main import VERBS

    found = {}
    for name, summary in VERBS.items():
        parser = argparse.ArgumentParser(prog=name)
        importlib.import_module(f"potok.cli.{name}").add_arguments(parser)
        actions = parser._actions  # noqa: SLF001 - argparse tells nobody else what it knows
        options = [_option(action) for action in actions if action.option_strings]
        words = [
            str(word)
            for action in actions
            if not action.option_strings
            for word in action.choices or getattr(action.type, "choices", None) or ()
        ]
        found[name] = Verb(summary, options, words)
    return found


def _option(action: argparse.Action) -> Option:
    value = None if action.nargs == 0 else "file" if action.metavar == "FILE" else "word"
    told = " ".join((action.help or "").replace("%%", "%").split())
    several = getattr(action.type, "choices", ())  # of an argument that is a list of them
    return Option(action.option_strings, told, value, [str(choice) for choice in action.choices or several])


def _bash(verbs: Mapping[str, Verb]) -> Iterator[str]:
    yield "# bash completion for potok; made by: potok completion bash"
    yield "_potok() {"
    yield "    local IFS=$' \\t\\n' cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=''"
    yield "    COMPREPLY=()"
    yield "    if ((COMP_CWORD == 1)); then"
    yield f"        COMPREPLY=($(compgen -W '{' '.join(verbs)} --help --version' -- \"$cur\"))"
    yield "        return"
    yield "    fi"
    yield '    case "${COMP_WORDS[1]} $prev" in'
    for name, verb in verbs.items():
        for option in verb.options:
            if option.value == "word":
                pattern = "|".join(f"'{name} {spelled}'" for spelled in option.names)
                reply = (
                    f"COMPREPLY=($(compgen -W '{' '.join(option.choices)}' -- \"$cur\")); "
                    if option.choices
                    else ""
                )
                yield f"        {pattern}) {reply}return ;;"
    yield "    esac"
    yield '    case "${COMP_WORDS[1]} $cur" in'
    for name, verb in verbs.items():
        spelled = " ".join(name for option in verb.options for name in option.names)
        yield f"        '{name} -'*) words='{spelled}' ;;"
        if verb.words:
            yield f"        '{name} '*) words='{' '.join(verb.words)}' ;;"
    yield "    esac"
    yield '    if [[ -n $words ]]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); return; fi'
    yield "    IFS=$'\\n'"
    yield '    COMPREPLY=($(compgen -f -- "$cur"))'
    yield "}"
    yield "complete -o filenames -F _potok potok"


def _zsh(verbs: Mapping[str, Verb]) -> Iterator[str]:
    yield "#compdef potok"
    yield "# zsh completion for potok; made by: potok completion zsh"
    yield "_potok() {"
    yield "    local -a verbs"
    yield "    verbs=("
    for name, verb in verbs.items():
        yield f"        {_quoted(f'{name}:{verb.help}')}"
    yield "    )"
    yield "    if (( CURRENT == 2 )); then"
    yield "        _describe verb verbs"
    yield "        return"
    yield "    fi"
    yield "    local verb=$words[2]"
    yield "    shift words"
    yield "    (( CURRENT-- ))"
    yield "    case $verb in"
    for name, verb in verbs.items():
        yield f"        {name})"
        yield "            _arguments -s \\"
        for option in verb.options:
            for spelled in option.names:
                yield f"                {_quoted(_zsh_option(option, spelled))} \\"
        words = f"({' '.join(verb.words)})" if verb.words else "_files"
        yield f"                {_quoted(f'*:argument:{words}')}"
        yield "            ;;"
    yield "    esac"
    yield "}"
    yield 'if [[ $funcstack[1] == _potok ]]; then _potok "$@"; else compdef _potok potok; fi'


def _zsh_option(option: Option, spelled: str) -> str:
    others = f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    told = option.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    values = f"({' '.join(option.choices)})" if option.choices else "_files" if option.value == "file" else ""
    return f"{others}{spelled}[{told}]" + (f":value:{values}" if option.value else "")


def _fish(verbs: Mapping[str, Verb]) -> Iterator[str]:
    yield "# fish completion for potok; made by: potok completion fish"
    yield "complete -c potok -n __fish_use_subcommand -f"
    for name, verb in verbs.items():
        yield f"complete -c potok -n __fish_use_subcommand -a {name} -d {_quoted(verb.help)}"
    for name, verb in verbs.items():
        inside = f"complete -c potok -n '__fish_seen_subcommand_from {name}'"
        if verb.words:
            yield f"{inside} -f -a {_quoted(' '.join(verb.words))}"
        for option in verb.options:
            yield f"{inside} {_fish_option(option)}"


def _fish_option(option: Option) -> str:
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    value = " -r -F" if option.value == "file" else " -x" if option.value else ""
    choices = f" -a {_quoted(' '.join(option.choices))}" if option.choices else ""
    return f"{' '.join(names)}{value}{choices} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    """For zsh and fish alike: an apostrophe ends the quotes, is escaped, and begins them again."""
    return "'" + text.replace("'", "'\\''") + "'"


SCRIPTS: Mapping[str, Callable[[Mapping[str, Verb]], Iterator[str]]] = {
    "bash": _bash,
    "fish": _fish,
    "zsh": _zsh,
}
