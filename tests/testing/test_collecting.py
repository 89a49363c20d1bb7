"""What the conformance suite makes of what an executor can't offer, in a test file of a third party."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import potok

TAKES_OVER = "import pytest\nfrom potok.testing.conformance import *\n"

KNOWN_AT_COLLECTION = """
@pytest.fixture(params=[Target("inline", lacks={"parking"}, hosts={"def", "async"})])
def executor(request): return request.param
"""

KNOWN_LATER = """
@pytest.fixture
def executor(): return Target("inline", lacks={"parking"}, hosts={"def", "async"})
"""

NAMED = """
@pytest.fixture(params=["threads", "coroutines"])
def executor(request): return request.param
"""


@pytest.mark.parametrize(
    ("declared", "passed", "skipped"),
    [
        (KNOWN_AT_COLLECTION, 2, 0),  # of one test that waits and one that does not, each for four hosts
        (KNOWN_LATER, 2, 6),
        (NAMED, 16, 0),
    ],
)
def test_what_an_executor_lacks_is_left_out_or_skipped(
    tmp_path: Path, declared: str, passed: int, skipped: int
) -> None:
    """Not collected where the executor is a parameter; skipped where a fixture makes it."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\nmarkers = stress: none here\n")
    (tmp_path / "test_mine.py").write_text(TAKES_OVER + declared)
    tests = "test_rendezvous_ping_pong or test_rendezvous_nowait_without_a_peer_would_block"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", tests, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(potok.__file__).parents[1]), "PYTEST_ADDOPTS": ""},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    last = run.stdout.splitlines()[-1]
    assert f"{passed} passed" in last
    assert f"{skipped} skipped" in last or (skipped == 0 and "skipped" not in last)
