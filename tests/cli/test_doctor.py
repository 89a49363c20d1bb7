"""`potok doctor`: a report that is true on this machine, and a count of cores that is true on others."""

import json
import os
import platform
import sys
from pathlib import Path

import pytest
from terminal import on_a_terminal

from potok.cli import doctor
from potok.cli.main import main
from potok.cores import Cores, cgroup_quota, find_cores

ESCAPE = "\x1b"


def lay_out(root: Path, files: dict[str, str]) -> Path:
    """Write a fake cgroup file system."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "membership", "quota"),
    [
        pytest.param({"a/b/cpu.max": "150000 100000\n"}, "0::/a/b\n", 1.5, id="v2"),
        pytest.param({"a/b/cpu.max": "max 100000\n"}, "0::/a/b\n", None, id="v2 without limit"),
        pytest.param(
            {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "400000 100000\n"},
            "0::/a/b\n",
            2.0,
            id="v2, an ancestor is tighter",
        ),
        pytest.param({"cpu.max": "50000 100000\n"}, "0::/\n", 0.5, id="v2, own namespace"),
        pytest.param({"cpu.max": "300000 100000\n"}, "0::/docker/4f2\n", 3.0, id="v2, the host's path"),
        pytest.param({"other/cpu.max": "100000 100000\n"}, "0::/a\n", None, id="v2, not our group"),
        pytest.param({"unified/a/cpu.max": "100000 100000\n"}, "1:name=systemd:/\n0::/a\n", 1.0, id="hybrid"),
        pytest.param(
            {"cpu/a/cpu.cfs_quota_us": "250000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            "2:cpu:/a\n1:memory:/a\n",
            2.5,
            id="v1",
        ),
        pytest.param(
            {"cpu,cpuacct/cpu.cfs_quota_us": "100000\n", "cpu,cpuacct/cpu.cfs_period_us": "50000\n"},
            "4:cpu,cpuacct:/docker/4f2\n",
            2.0,
            id="v1, joined controllers, the host's path",
        ),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            "2:cpu:/\n",
            None,
            id="v1 without limit",
        ),
        pytest.param({"cpu/cpu.cfs_quota_us": "100000\n"}, "2:cpu:/\n", None, id="v1, half of it"),
        pytest.param({"cpu.max": "\n"}, "0::/\n", None, id="empty file"),
        pytest.param({"cpu.max": "1e5 ?\n"}, "0::/\n", None, id="not understood"),
        pytest.param({"cpu.max": "100000 0\n"}, "0::/\n", None, id="no period"),
        pytest.param({}, "0::/a/b\n", None, id="no files"),
        pytest.param({"cpu.max": "100000 100000\n"}, "", None, id="no membership"),
        pytest.param({"cpu.max": "100000 100000\n"}, "what is this\n", None, id="strange membership"),
    ],
)
def test_cgroup_quota(files: dict[str, str], membership: str, quota: float | None, tmp_path: Path) -> None:
    """The tightest limit of the process's groups holds; what is not understood is no limit and no error."""
    assert cgroup_quota(str(lay_out(tmp_path, files)), membership) == quota


@pytest.mark.parametrize(
    ("affinity", "quota", "usable"),
    [(4, None, 4), (4, 2.0, 2), (4, 1.5, 2), (4, 0.1, 1), (2, 8.0, 2)],
)
def test_usable_cores(affinity: int, quota: float | None, usable: int) -> None:
    """Neither affinity nor quota is exceeded, a fraction counts as a core, and one core is always left."""
    assert Cores(machine=8, affinity=affinity, quota=quota).usable == usable


def test_affinity_counts() -> None:
    """A process pinned to one core finds one, whatever the machine has."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this platform has no affinity")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert find_cores().affinity == 1
    finally:
        os.sched_setaffinity(0, before)


def test_json_is_versioned_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["version"] == 1
    parts = "version potok python platform cores start_methods executors dependencies extras"
    assert set(report) == set(parts.split())
    assert report["python"]["version"] == platform.python_version()
    assert report["cores"]["usable"] == find_cores().usable
    assert report["start_methods"]["default"] in report["start_methods"]["available"]
    assert set(report["dependencies"]) == {"cloudpickle", "greenlet", "rich"}
    assert "uvloop" in report["extras"]["uvloop"]


@pytest.mark.parametrize("name", ["inline", "coroutines", "threads", "processes", "simulated"])
def test_executors_that_are_built_are_available(name: str) -> None:
    assert doctor.examine()["executors"][name] == {"available": True, "reason": None}


def test_interpreters_are_available_or_the_report_says_what_they_need() -> None:
    entry = doctor.examine()["executors"]["interpreters"]
    if sys.version_info >= (3, 14):
        assert entry == {"available": True, "reason": None}
    else:
        assert not entry["available"]
        assert "needs Python 3.14" in entry["reason"]


def test_executor_that_fails_is_reported_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor is called available because a task ran on it, not because its module is there."""

    def fails(_: object, *, on: str) -> None:
        raise OSError(f"no {on} today\nand a second line")

    monkeypatch.setattr("potok.run", fails)
    entry = doctor.examine()["executors"]["threads"]
    assert entry == {"available": False, "reason": "OSError: no threads today"}


def test_free_threaded_build_with_the_gil_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The build and the GIL are two facts: an extension can switch the GIL on again."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    monkeypatch.setattr(doctor.sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)
    python = doctor.examine()["python"]
    assert (python["free_threaded_build"], python["gil"]) == (True, True)


def test_text_names_the_same_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    facts = (platform.python_version(), "GIL o", "usable cores", "processes", "interpreters", "greenlet")
    assert [fact for fact in facts if fact not in out] == []
    assert ESCAPE not in out


def test_colours_only_where_they_are_wanted() -> None:
    """A terminal gets colours unless NO_COLOR is set; then it gets no escape sequence at all."""
    assert ESCAPE in on_a_terminal("doctor")
    assert ESCAPE not in on_a_terminal("doctor", NO_COLOR="1")
