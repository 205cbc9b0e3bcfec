"""The examples in the docstrings of the package run."""

import doctest

import pytest

import stele


@pytest.mark.parametrize("name", stele.__all__)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing = getattr(stele, name)
    if not getattr(thing, "__module__", "").startswith("stele"):
        pytest.skip("not of Python")
    for test in doctest.DocTestFinder().find(thing, name, globs=dict(vars(stele))):
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test)
        assert result.failed == 0


def test_everything_public_says_what_it_is():
    for name in stele.__all__:
        assert getattr(stele, name).__doc__, name
