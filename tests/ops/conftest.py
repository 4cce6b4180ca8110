"""Each test of this folder that takes ``cpu`` runs once for every cpu table that this machine can execute."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tables  # noqa: E402


def pytest_generate_tests(metafunc):
    if "cpu" in metafunc.fixturenames:
        metafunc.parametrize("cpu", tables.usable())
