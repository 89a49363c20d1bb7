"""What a select keeps."""

import gc
import weakref
from typing import Any

import pytest

import potok
from potok.testing import wait_all_parked


class Thing:
    pass


@pytest.mark.parametrize("awaiting", [False, True])
@pytest.mark.parametrize("on", ["coroutines", "threads"])
def test_what_was_received_is_not_kept_by_the_arms_that_lost(on: str, awaiting: bool) -> None:
    """They may stay in the queues of channels where nothing comes, for as long as that."""

    def take(rxs: list[Any]) -> Any:
        return weakref.ref(potok.select(*rxs).value)

    async def atake(rxs: list[Any]) -> Any:
        return weakref.ref((await potok.aselect(*rxs)).value)

    tx, rx = potok.channel()
    quiet_tx, quiet = potok.channel()
    gc.disable()
    try:
        with potok.scope(on=on) as scope:
            taken = scope.start(atake if awaiting else take, [rx, quiet])
            wait_all_parked()
            tx.send(Thing())
            assert taken.result()() is None
    finally:
        gc.enable()
    for end in (tx, rx, quiet_tx, quiet):
        end.close()
