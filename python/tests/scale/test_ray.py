"""stele.ray: archives and stores as datasets of Ray."""

import os

import numpy as np
import pytest

import stele

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

from stele.ray import ArchiveSource, read_archive, read_store  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def cluster():
    package = os.path.dirname(os.path.dirname(stele.__file__))
    here = os.path.dirname(os.path.abspath(__file__))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
             runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([package, here])}})
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def columns(dataset):
    batches = list(dataset.iter_batches(batch_size=None))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize("name", ["m.stele", "m.stele.zst"])
def test_an_archive(tmp_path, name):
    x, y = np.arange(1000 * 8, dtype=np.float32).reshape(1000, 8), np.arange(1000)
    stele.dump({"x": x, "y": y, "inner": {"z": x[:, 0]}, "epoch": 3}, tmp_path / name)
    dataset = read_archive(tmp_path / name, override_num_blocks=7)
    found = columns(dataset.sort("y"))
    assert sorted(found) == ["x", "y"] and (found["x"] == x).all() and (found["y"] == y).all()
    assert found["x"].dtype == np.float32 and dataset.count() == 1000
    assert read_archive(tmp_path / name, "inner/z").sum("inner/z") == x[:, 0].sum()
    assert len(ArchiveSource(tmp_path / name).get_read_tasks(7)) == 7


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    stele.dump({"x": np.arange(3), "y": np.arange(4), "n": 1}, tmp_path / "m.stele")
    with pytest.raises(ValueError, match="one number of rows"):
        read_archive(tmp_path / "m.stele")
    with pytest.raises(TypeError, match="no array"):
        read_archive(tmp_path / "m.stele", "n")
    with pytest.raises(KeyError):
        read_archive(tmp_path / "m.stele", "z")


def test_a_file_that_is_replaced_is_an_error(tmp_path):
    stele.dump({"x": np.arange(1000)}, tmp_path / "m.stele")
    dataset = read_archive(tmp_path / "m.stele")
    stele.dump({"x": np.arange(1000) + 1}, tmp_path / "m.stele")
    with pytest.raises(Exception, match="replaced"):
        dataset.sum("x")


def test_a_store(tmp_path):
    with stele.Store(tmp_path / "s") as store:
        store.put_many((f"train/{i:03}", {"x": np.full(5, i), "label": i % 3}) for i in range(100))
        store.put_many((f"other/{i}", ["text", i]) for i in range(5))
    found = read_store(tmp_path / "s", "train/", override_num_blocks=4).take_all()
    assert sorted(row["key"] for row in found) == [f"train/{i:03}" for i in range(100)]
    assert all(row["label"] == int(row["key"][6:]) % 3 and (np.asarray(row["x"]) == int(row["key"][6:])).all() for row in found)
    others = read_store(tmp_path / "s", "other/").take_all()
    assert sorted((row["key"], list(row["value"])) for row in others) == [(f"other/{i}", ["text", i]) for i in range(5)]
