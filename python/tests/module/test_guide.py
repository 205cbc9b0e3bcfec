"""The examples of the guide and of the README run, in their order, in an empty folder."""

import os
import pathlib
import re

import pytest

root = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("page, needs", [
    ("docs/guide/python.md", ""), ("README.md", ""), ("python/README.md", ""), ("docs/guide/python-urls.md", "fsspec"),
    ("docs/guide/dask.md", "dask xarray"), ("docs/guide/torch.md", "torch")])
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_examples(page, needs, tmp_path, monkeypatch):
    for package in needs.split():
        pytest.importorskip(package)
    file = root / page
    if not file.exists():
        pytest.skip("not in this tree")
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"^```python\n(.*?)^```", file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), names)  # noqa: S102
