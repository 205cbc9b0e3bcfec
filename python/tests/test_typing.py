"""A program that uses the package passes mypy --strict."""

import subprocess
import sys

import pytest

import stele

program = """
from typing import Any

import numpy as np

import stele

stele.dump({"a": np.arange(3)}, "x.stele", codec="zstd", metadata={"n": 1})
value: Any = stele.load("x.stele", trusted=["package.*"], mmap_mode=None)
data: bytes = stele.dumps([1])
back: Any = stele.loads(data)
digest: str = stele.hash(back)
names: list[tuple[str, str, int]] = stele.types("x.stele")
with stele.open("x.stele") as file:
    keys = list(file.keys())
    rows: Any = file["a"][1:2]
    print(file.tree(), file.info.ratio)
with stele.writer("y.stele") as out:
    out["x"].append(np.zeros((2, 3)))
with stele.Store("folder") as store:
    store["a"] = 1
    size: int = len(store)
    for key, item in store.range():
        print(key, item)
counts = stele.TokenCounts()
counts.update(["a"])
total: int = counts.total
text: str = stele.to_text(np.arange(3))
try:
    stele.load("none")
except stele.UntrustedError as error:
    print(error.names, error.code)
except stele.Error as error:
    print(error.offset)
"""


def test_mypy(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text(program)
    import os

    environment = dict(os.environ, MYPYPATH=os.path.dirname(os.path.dirname(stele.__file__)))
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "program.py"], cwd=tmp_path,
                          capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
