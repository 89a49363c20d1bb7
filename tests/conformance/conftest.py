"""The suite that potok ships, run on potok's own executors: one file each."""

import pytest

pytest.register_assert_rewrite("potok.testing.conformance")
