"""One guest for all tests of this folder; a machine that cannot boot one fails them (KJAX_TEST_GUEST=0 skips)."""

import os
import signal

import pytest

from kjax.runtime.guest import Guest, GuestEnvironment


def pytest_configure(config):
    config.addinivalue_line("markers", "xdist_group(name): tests that one worker runs (pytest-xdist)")


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/guest/" in str(item.path):
            item.add_marker(pytest.mark.guest)
            item.add_marker(pytest.mark.xdist_group("guest"))  # with --dist loadgroup: one worker, one guest
            if os.environ.get("KJAX_TEST_GUEST") == "0":
                item.add_marker(pytest.mark.skip(reason="KJAX_TEST_GUEST=0"))


@pytest.fixture(scope="session")
def bare():
    """A guest without kjax.ko: what the agent can do."""
    guest = Guest(load=False)
    yield guest
    guest.stop()


@pytest.fixture(scope="session")
def guest():
    """A guest with kjax.ko."""
    guest = Guest()
    yield guest
    guest.stop()


@pytest.fixture
def environment(guest):
    with GuestEnvironment(guest=guest) as environment:
        yield environment
        assert "BUG:" not in environment.kernel().port.dmesg()


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, also in a background job of a shell, which starts those with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
