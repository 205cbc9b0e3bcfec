"""A program that uses the package passes mypy and pyright, both strict."""

import json
import os
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
    first: Any = store.dataset(prefix="a")[0]
    stream = store.stream(batch_size=8, seed=1)
    for batch in stream:
        state: dict[str, Any] = stream.state_dict(1)
    stream.load_state_dict({})
with stele.Checkpoints("runs", keep_best=[("loss", "min", 2), ("accuracy", "max")], keep_age=3600) as kept:
    kept.save(1, {"a": np.zeros(3)}, {"loss": 0.5}, asynchronous=True)
    steps: list[int] = kept.steps()
    newest: int | None = kept.latest()
    restored: Any = kept.restore(into={"a": np.zeros(3)}, rename={"a": "b"}, strict=False)
    infos: list[stele.CheckpointInfo] = kept.list()
    for change in kept.diff(1, 2):
        print(change.path, change.relative)
    with kept.save_on_signal(), kept.open() as file:
        print(kept.stop_requested, file["a"])
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
    environment = dict(os.environ, MYPYPATH=os.path.dirname(os.path.dirname(stele.__file__)))
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "program.py"], cwd=tmp_path,
                          capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright(tmp_path):
    pytest.importorskip("pyright")
    try:  # it may have to fetch itself
        subprocess.run([sys.executable, "-m", "pyright", "--version"], capture_output=True, check=True, timeout=60)
    except subprocess.SubprocessError:
        pytest.skip("pyright does not start")
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({
        "typeCheckingMode": "strict", "include": ["program.py"],
        "extraPaths": [os.path.dirname(os.path.dirname(os.path.realpath(stele.__file__)))]}))
    done = subprocess.run([sys.executable, "-m", "pyright", "--pythonpath", sys.executable], cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
