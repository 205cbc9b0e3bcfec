import pytest

import stele


@pytest.fixture
def round_trip():
    """The object that comes back from memory; `load` has arguments of stele.loads."""

    def run(thing, dump=None, **load):
        return stele.loads(stele.dumps(thing, **(dump or {})), **load)

    return run
