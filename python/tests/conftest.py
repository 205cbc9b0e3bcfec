import os

import pytest

import stele
from stele import __main__ as command_line


@pytest.fixture
def round_trip():
    """The object that comes back from memory; `load` has arguments of stele.loads."""

    def run(thing, dump=None, **load):
        return stele.loads(stele.dumps(thing, **(dump or {})), **load)

    return run


@pytest.fixture
def environment():
    """The environment in which `python -m stele` finds the command line."""
    made = dict(os.environ)
    given = made.get("STELE_BIN")
    if given:  # of a build tree
        made["PATH"] = os.path.dirname(given) + os.pathsep + made.get("PATH", "")
    elif command_line.executable() is None:
        pytest.skip("no command line beside the module")
    return made
