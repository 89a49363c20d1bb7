"""How many items make a lot, and how many of them are worked on in one go."""

from potok.dataflow.mapping import Options, _plan
from potok.dataflow.plan import Plan, unheard
from potok.dataflow.sizing import GROWTH, SENDING, TARGET, Sizing


def plan_of(workers: int = 2) -> Plan:
    """A map's plan."""
    options = Options("processes", workers, True, "auto", "auto", 0, None, None, "raise", None)
    return _plan(abs, False, options, "map")


def test_nothing_is_known_before_the_first_answer() -> None:
    """So each worker gets one item, and none gets a second one, behind which it might wait for long."""
    sizing = Sizing(plan_of())
    assert not sizing.sends_ahead
    sizing.sent(0.0001)
    assert sizing.size == 1
    assert sizing.of_the_last(100) == 1
    assert not sizing.sends_ahead
    sizing.heard(1e-6)
    assert sizing.size == int(SENDING / 0.0001)
    assert sizing.sends_ahead


def test_sizes_follow_what_takes_longer() -> None:
    sizing = Sizing(plan_of())
    sizing.heard(1e-6)
    assert sizing.size == GROWTH
    sizing.heard(0.0001)
    assert sizing.size == int(TARGET / 0.0001)
    sizing.heard(TARGET)
    assert sizing.size == 1
    assert sizing.sends_ahead
    sizing.heard(10 * TARGET)
    assert not sizing.sends_ahead


def test_a_lot_is_soon_sent() -> None:
    """Though its items are big: so there are few in memory. That sending was interrupted once does no harm."""
    sizing = Sizing(plan_of())
    sizing.sent(0.001)
    sizing.heard(1e-6)
    assert sizing.size == int(SENDING / 0.001)
    sizing.sent(0.0001)
    assert sizing.size == int(SENDING / 0.0001)
    sizing.sent(SENDING)
    assert sizing.size == int(SENDING / 0.0002)


def test_the_last_items_are_shared_out() -> None:
    """However quick a few before them were: no worker gets more than its share of what is left."""
    sizing = Sizing(plan_of())
    sizing.heard(0.000001)
    assert sizing.size == GROWTH
    assert [sizing.of_the_last(left) for left in (100, 20, 10, 3, 2, 1)] == [50, 10, 5, 2, 1, 1]
    sizing.heard(0.000001, 1000)
    assert sizing.of_the_last(100) == 100 + 25


def test_a_lot_is_looked_up_from_after_its_first_item() -> None:
    """Then after ever more of them: the first ones tell whether they take longer than was thought."""
    lengths = [len(values) for _, values, _, _ in plan_of().work((0, list(range(100)), 0), unheard)]
    assert lengths == [1, 2, 4, 8, 16, 16, 16, 16, 16, 5]
    longer = [len(values) for _, values, _, _ in plan_of().work((0, list(range(3200)), 0), unheard)]
    assert max(longer) == 200
    assert sum(longer) == 3200
