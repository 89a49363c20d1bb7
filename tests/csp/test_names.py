"""The vocabulary as a whole: its names, and what means nothing here but is there."""

import subprocess
import sys

import pytest

import potok.csp
from potok import csp

VOCABULARY = """
    process multiprocess Parallel Sequence Spawn Channel retire poison ChannelRetireException ChannelPoisonException
    Alternation AltSelect FairSelect PriSelect InputGuard OutputGuard SkipGuard Skip TimeoutGuard Timeout choice io Io
    current_process_id Configuration version shutdown Identity Prefix Successor Delta2 Plus Tail Pairs Mux2
"""

BESIDES = """
    Process MultiProcess InfoException FatalException SOCKETS_CONNECT_TIMEOUT SOCKETS_CONNECT_RETRY_DELAY
    SOCKETS_BIND_TIMEOUT SOCKETS_BIND_RETRY_DELAY SOCKETS_STRICT_MODE PYCSP_PORT PYCSP_HOST
"""
"""What programs name in `isinstance`, `except` and `Configuration().set(...)`."""


def test_star_exports_the_vocabulary() -> None:
    """`from potok.csp import *` brings these names and no others."""
    names: dict[str, object] = {}
    exec("from potok.csp import *", names)  # noqa: S102 - it is what is tested
    names.pop("__builtins__")
    assert sorted(names) == sorted([*VOCABULARY.split(), *BESIDES.split()])
    assert len(set(csp.__all__)) == len(csp.__all__)


def test_import_potok_leaves_it_alone() -> None:
    """Who does not speak the vocabulary does not import it."""
    program = "import sys, potok; sys.exit('potok.csp' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_version_is_that_of_the_vocabulary() -> None:
    assert csp.version[:3] == (0, 9, 2)
    assert isinstance(csp.version[3], str)


def test_skip_and_timeout_are_short_for_their_guards() -> None:
    assert csp.Skip is csp.SkipGuard
    assert csp.Timeout is csp.TimeoutGuard


def test_plugnplay_by_its_old_name() -> None:
    """The processes to build of are a module, too."""
    assert csp.plugNplay.Identity is csp.Identity


def test_configuration_is_one_and_keeps_what_it_is_told() -> None:
    """There is one of it, with PyCSP's defaults; what is set is got again."""
    configuration = csp.Configuration()
    assert csp.Configuration() is configuration
    before = configuration.get(csp.SOCKETS_CONNECT_TIMEOUT)
    try:
        csp.Configuration().set(csp.SOCKETS_CONNECT_TIMEOUT, 200)
        assert configuration.get(csp.SOCKETS_CONNECT_TIMEOUT) == 200
    finally:
        configuration.set(csp.SOCKETS_CONNECT_TIMEOUT, before)
    assert configuration.get(csp.PYCSP_HOST) == ""


def test_configuration_refuses_what_is_no_setting() -> None:
    with pytest.raises(csp.InfoException, match="conf_id"):
        csp.Configuration().get("timeout")  # type: ignore[arg-type]


def test_shutdown_does_nothing() -> None:
    """Channels work on after it."""
    channel = csp.Channel(buffer=1)
    cout, cin = -channel, +channel
    csp.shutdown()
    cout(1)
    assert cin() == 1
    csp.retire(cout, cin)


def test_errors_are_potoks() -> None:
    """Who mixes the vocabularies catches an ended channel as ClosedError, and misuse as PotokError or TypeError."""
    assert issubclass(csp.ChannelRetireException, potok.ClosedError)
    assert issubclass(csp.ChannelPoisonException, potok.ClosedError)
    assert issubclass(csp.InfoException, potok.PotokError)
    assert issubclass(csp.InfoException, TypeError)
    assert str(csp.ChannelRetireException()) == "the channel is retired"
    assert str(csp.ChannelPoisonException()) == "the channel is poisoned"
