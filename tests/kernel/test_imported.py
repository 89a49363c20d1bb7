"""Modules that are used only where somebody has imported them."""

import sys
import threading
from pathlib import Path

import pytest

from potok.kernel.imported import imported


def test_module_that_another_thread_is_just_importing_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_way.py").write_text("import sys\nsys.begun.set()\nsys.go_on.wait(20)\nwhole = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    begun, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "begun", begun, raising=False)
    monkeypatch.setattr(sys, "go_on", go_on, raising=False)
    assert imported("half_way") is None
    importer = threading.Thread(target=__import__, args=("half_way",))
    importer.start()
    try:
        assert begun.wait(20)
        assert "half_way" in sys.modules
        assert imported("half_way") is None
    finally:
        go_on.set()
        importer.join()
    assert imported("half_way").whole
    del sys.modules["half_way"]
