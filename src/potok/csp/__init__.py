"""The CSP vocabulary: processes that share nothing and talk by channels, in the words of PyCSP, over potok.

    from potok.csp import *                             # for: from pycsp.parallel import *

    @process
    def source(cout):
        for i in range(10):
            cout(i)
        retire(cout)

    @process
    def sink(cin):
        while True:
            print(cin())

    c = Channel()
    Parallel(source(-c), 3 * sink(+c))                  # on="coroutines", "threads", "processes"

Choose it for networks of processes that are retired or poisoned as a whole, and for programs that were written for
PyCSP. Choose `potok.scope` and `potok.channel` for everything else: these names say the same in other words.

Source: Hoare, "Communicating Sequential Processes" (1978); Bjørndalen, Vinter and Anshus, "PyCSP" (2007); Vinter,
Bjørndalen and Friborg, "PyCSP Revisited" (2009), for retiring by counted ends. We deviate where PyCSP would wait for
ever or lose data: a process that ends closes the ends it was given, one that fails or is killed does so with its error
and cancels the others of its `Parallel`; a retired end can't be used again; `Mux2` reads on while one input is left.

The rooms: `ending` (the errors), `channels`, `processes` (a function and its arguments), `running`, `guards`,
`selecting`, `blocking` (calls that block elsewhere), `plugnplay` (processes to build of), `configuration`.
"""

from potok.csp import plugnplay
from potok.csp.blocking import Io, io
from potok.csp.channels import Channel, poison, retire
from potok.csp.configuration import (
    PYCSP_HOST,
    PYCSP_PORT,
    SOCKETS_BIND_RETRY_DELAY,
    SOCKETS_BIND_TIMEOUT,
    SOCKETS_CONNECT_RETRY_DELAY,
    SOCKETS_CONNECT_TIMEOUT,
    SOCKETS_STRICT_MODE,
    Configuration,
    version,
)
from potok.csp.ending import ChannelPoisonException, ChannelRetireException, FatalException, InfoException
from potok.csp.guards import InputGuard, OutputGuard, Skip, SkipGuard, Timeout, TimeoutGuard, choice
from potok.csp.plugnplay import Delta2, Identity, Mux2, Pairs, Plus, Prefix, Successor, Tail
from potok.csp.processes import MultiProcess, Process, multiprocess, process
from potok.csp.running import Parallel, Sequence, Spawn, current_process_id, shutdown
from potok.csp.selecting import Alternation, AltSelect, FairSelect, PriSelect

plugNplay = plugnplay

__all__ = [
    "PYCSP_HOST",
    "PYCSP_PORT",
    "SOCKETS_BIND_RETRY_DELAY",
    "SOCKETS_BIND_TIMEOUT",
    "SOCKETS_CONNECT_RETRY_DELAY",
    "SOCKETS_CONNECT_TIMEOUT",
    "SOCKETS_STRICT_MODE",
    "AltSelect",
    "Alternation",
    "Channel",
    "ChannelPoisonException",
    "ChannelRetireException",
    "Configuration",
    "Delta2",
    "FairSelect",
    "FatalException",
    "Identity",
    "InfoException",
    "InputGuard",
    "Io",
    "MultiProcess",
    "Mux2",
    "OutputGuard",
    "Pairs",
    "Parallel",
    "Plus",
    "Prefix",
    "PriSelect",
    "Process",
    "Sequence",
    "Skip",
    "SkipGuard",
    "Spawn",
    "Successor",
    "Tail",
    "Timeout",
    "TimeoutGuard",
    "choice",
    "current_process_id",
    "io",
    "multiprocess",
    "poison",
    "process",
    "retire",
    "shutdown",
    "version",
]
