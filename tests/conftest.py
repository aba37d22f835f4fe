"""Fixtures: one running server a module for tests that need no options of their own."""

import pytest

from harness import serve, workers


def pytest_generate_tests(metafunc):
    """A test that takes `worker` runs with every interpreter that has one."""
    if "worker" in metafunc.fixturenames:
        found = workers()
        metafunc.parametrize("worker", found, ids=[w.name for w in found], scope="module")


@pytest.fixture(scope="module")
def basic():
    """`zq serve basic:app`, with two I/O threads so that sharing between threads shows."""
    with serve("basic:app", "--front-threads=2") as server:
        yield server
