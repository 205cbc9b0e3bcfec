"""stele.dask: arrays and bags of Dask, written and read by many workers."""

import collections
import json
import os
import random
import signal
import subprocess
import time

import numpy as np
import pytest

import stele

dask = pytest.importorskip("dask")
array = pytest.importorskip("dask.array")
bag = pytest.importorskip("dask.bag")

from stele.dask import count_tokens, features, from_stele, to_stele  # noqa: E402

WHOLE = np.arange(600 * 70, dtype=np.float32).reshape(600, 70)


@pytest.fixture(autouse=True)
def threads():
    with dask.config.set(scheduler="threads", num_workers=4):
        yield


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None,
                                  silence_logs=50) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.mark.parametrize("chunks", [(100, 70), (130, 40), (600, 70), ((1, 599), (69, 1))])
@pytest.mark.parametrize("codec", [None, "zstd"])
def test_an_array(tmp_path, chunks, codec):
    made = array.from_array(WHOLE, chunks=chunks) * 2
    assert to_stele(made, tmp_path / "a", codec=codec) is None
    found = from_stele(tmp_path / "a")
    assert found.chunks == made.chunks and found.dtype == made.dtype
    assert (found.compute() == WHOLE * 2).all()
    # It is an archive like any other.
    with stele.open(tmp_path / "a") as file:
        assert (file["data"][50:170, 3] == WHOLE[50:170, 3] * 2).all() and list(file) == ["data"]


@pytest.mark.parametrize("chunks", [(7, 70), (600, 1), -1, "auto", (250, (30, 40))])
def test_other_chunks(tmp_path, chunks):
    to_stele(array.from_array(WHOLE, chunks=(130, 40)), tmp_path / "a", path="x/y")
    found = from_stele(tmp_path / "a", path="x/y", chunks=chunks)
    assert (found.compute() == WHOLE).all() and (found[37:411:5, ::-3].compute() == WHOLE[37:411:5, ::-3]).all()
    assert float(found[5].sum().compute()) == WHOLE[5].sum()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "complex128", ">f4", "M8[ns]"])
def test_types(tmp_path, dtype):
    whole = (np.arange(24) % 2).reshape(4, 6).astype(dtype)
    to_stele(array.from_array(whole, chunks=(3, 4)), tmp_path / "a")
    found = from_stele(tmp_path / "a").compute()
    assert (found == whole).all() and found.dtype == whole.dtype.newbyteorder("=")


@pytest.mark.parametrize("shape, chunks", [((), ()), ((0,), (0,)), ((0, 5), (0, 3)), ((5, 0), (2, 0)), ((1, 1, 1, 2), 1)])
def test_shapes(tmp_path, shape, chunks):
    whole = np.arange(np.prod(shape, dtype=int), dtype="i4").reshape(shape)
    to_stele(array.from_array(whole, chunks=chunks), tmp_path / "a")
    found = from_stele(tmp_path / "a")
    assert found.shape == shape and (np.asarray(found.compute()) == whole).all()


def test_several_arrays(tmp_path):
    made = {"model/w": array.from_array(WHOLE, chunks=(200, 70)), "model/b": array.arange(70, chunks=30)}
    to_stele(made, tmp_path / "a")
    found = from_stele(tmp_path / "a")
    assert list(found) == list(made) and (found["model/w"].compute() == WHOLE).all()
    assert found["model/b"].chunks == made["model/b"].chunks and found["model/b"].compute().tolist() == list(range(70))
    assert (from_stele(tmp_path / "a", path="model/w").compute() == WHOLE).all()


def test_later(tmp_path):
    done = to_stele(array.from_array(WHOLE, chunks=(200, 70)), tmp_path / "a", compute=False)
    assert not os.path.exists(tmp_path / "a")
    dask.compute(done)
    assert (from_stele(tmp_path / "a").compute() == WHOLE).all()
    with pytest.raises(ValueError, match="computed before"):
        done.compute()


def test_what_cannot_be_written_is_refused(tmp_path):
    unknown = array.from_array(WHOLE, chunks=(200, 70))
    unknown = unknown[unknown[:, 0] > 5000]
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        to_stele(unknown, tmp_path / "a")
    to_stele(unknown.compute_chunk_sizes(), tmp_path / "known")
    assert (from_stele(tmp_path / "known").compute() == WHOLE[WHOLE[:, 0] > 5000]).all()
    with pytest.raises(TypeError, match="Python objects"):
        to_stele(array.from_array(np.array([1, "a", None], object), chunks=2), tmp_path / "a")
    with pytest.raises(TypeError, match="mask"):
        to_stele(array.ma.masked_greater(array.from_array(WHOLE, chunks=300), 3), tmp_path / "a")
    wrong = array.from_array(WHOLE, chunks=300).map_blocks(lambda block: block[:-1], dtype=WHOLE.dtype)
    with pytest.raises(ValueError, match="the array says"):
        to_stele(wrong, tmp_path / "a")
    other = array.from_array(WHOLE, chunks=300).map_blocks(lambda block: block.astype("f8"), dtype="f4",
                                                           meta=np.empty((0, 0), "f4"))
    with pytest.raises(ValueError, match="the array says"):
        to_stele(other, tmp_path / "a")
    for thing in (WHOLE, 3, "x", {"x": 3}):
        with pytest.raises(TypeError, match="of Dask"):
            to_stele(thing, tmp_path / "a")
    with pytest.raises(ValueError, match="nothing"):
        to_stele({}, tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        from_stele(tmp_path / "a")


def fail_late(block):
    if block[0, 0] > 30_000:
        raise RuntimeError("a block fails")
    return block


def test_what_is_not_complete_does_not_exist(tmp_path):
    failing = array.from_array(WHOLE, chunks=(100, 70)).map_blocks(fail_late, dtype=WHOLE.dtype)
    with pytest.raises(RuntimeError, match="a block fails"):
        to_stele(failing, tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        from_stele(tmp_path / "a")
    to_stele(array.from_array(WHOLE, chunks=(100, 70)), tmp_path / "a")
    with pytest.raises(RuntimeError, match="a block fails"):
        to_stele(failing, tmp_path / "a")
    assert (from_stele(tmp_path / "a").compute() == WHOLE).all()
    to_stele(array.from_array(WHOLE + 1, chunks=(150, 70)), tmp_path / "a")
    assert (from_stele(tmp_path / "a").compute() == WHOLE + 1).all()


@pytest.mark.parametrize("name", ["m.stele", "m.stele.zst", "m.npz"])
def test_an_ordinary_file(tmp_path, name):
    stele.dump({"x": WHOLE, "y": np.arange(5)}, tmp_path / name)
    found = from_stele(tmp_path / name, path="x", chunks=(90, -1))
    assert found.numblocks == (7, 1) and (found.compute() == WHOLE).all()
    with dask.config.set({"array.chunk-size": "32KiB"}):
        found = from_stele(tmp_path / name, path="x")
    assert found.numblocks[0] > 3 and found.numblocks[1] == 1 and (found.mean(axis=0).compute() == WHOLE.mean(axis=0)).all()
    with pytest.raises(KeyError, match="no value at the path z"):
        from_stele(tmp_path / name, path="z")
    with pytest.raises(TypeError, match="no array"):
        from_stele(tmp_path / name)


def test_an_array_alone(tmp_path):
    stele.dump(WHOLE, tmp_path / "x.stele")
    assert (from_stele(tmp_path / "x.stele").compute() == WHOLE).all()


def test_a_file_that_is_replaced_is_an_error(tmp_path):
    stele.dump({"x": WHOLE}, tmp_path / "m.stele")
    found = from_stele(tmp_path / "m.stele", path="x", chunks=(100, 70))
    stele.dump({"x": WHOLE + 1, "y": 1}, tmp_path / "m.stele")
    with pytest.raises(stele.Error, match="replaced"):
        found.compute(scheduler="processes", num_workers=1)


def test_a_memory_file_system():
    pytest.importorskip("fsspec")
    to_stele(array.from_array(WHOLE, chunks=(130, 40)), "memory://dask/a")
    assert (from_stele("memory://dask/a").compute() == WHOLE).all()
    stele.dump({"x": WHOLE}, "memory://dask/m.stele.zst")
    assert (from_stele("memory://dask/m.stele.zst", path="x", chunks=(130, -1)).compute() == WHOLE).all()


# --- Bags ---

ITEMS = [{"id": i, "text": "word " * (i % 5), "tags": ("a", i), "x": np.arange(i % 3)} for i in range(100)]


def as_text(items):
    return [json.dumps({**item, "x": item["x"].tolist()}) for item in items]


def test_a_bag(tmp_path):
    to_stele(bag.from_sequence(ITEMS, npartitions=7), tmp_path / "b", codec="zstd")
    found = from_stele(tmp_path / "b")
    assert found.npartitions == 7 and as_text(found.compute()) == as_text(ITEMS)
    assert found.compute()[3]["tags"] == ("a", 3)
    assert found.pluck("id").sum().compute() == sum(range(100))


class Point:
    def __init__(self, x):
        self.x = x


def test_objects_in_a_bag_need_trust(tmp_path):
    to_stele(bag.from_sequence([Point(1), Point(2)], npartitions=2), tmp_path / "b")
    with pytest.raises(stele.UntrustedError):
        from_stele(tmp_path / "b").compute()
    assert [point.x for point in from_stele(tmp_path / "b", trusted=[Point]).compute()] == [1, 2]


# --- A cluster ---


def test_a_cluster(tmp_path, cluster):
    made = array.random.default_rng(1).random((2000, 300), chunks=(137, 100))
    expected = made.compute(scheduler="threads")
    to_stele(made, tmp_path / "a", scheduler=cluster)
    found = from_stele(tmp_path / "a")
    assert (cluster.compute(found).result() == expected).all()
    assert (cluster.compute(from_stele(tmp_path / "a", chunks=(2000, 10))).result() == expected).all()
    items = bag.from_sequence(ITEMS, npartitions=7)
    to_stele(items, tmp_path / "b", scheduler=cluster)
    assert as_text(cluster.compute(from_stele(tmp_path / "b")).result()) == as_text(ITEMS)


def slow(block):
    time.sleep(0.05)
    return block


def test_a_worker_that_dies(tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None,
                                  silence_logs=60) as cluster, distributed.Client(cluster) as client:
        made = array.from_array(WHOLE, chunks=(10, 70)).map_blocks(slow, dtype=WHOLE.dtype)
        running = client.compute(to_stele(made, tmp_path / "a", compute=False))
        time.sleep(0.7)
        worker = random.Random(1).choice(list(client.run(os.getpid).values()))
        os.kill(worker, signal.SIGKILL)
        running.result(timeout=120)
        assert (client.compute(from_stele(tmp_path / "a")).result() == WHOLE).all()


# --- xarray ---


def test_xarray(tmp_path):
    xarray = pytest.importorskip("xarray")
    data = xarray.Dataset({"t": (("time", "x"), array.from_array(WHOLE, chunks=(100, 70))),
                           "p": (("x",), array.arange(70, chunks=35))}, coords={"x": np.arange(70) * 0.5})
    to_stele({name: variable.data for name, variable in data.items()}, tmp_path / "a")
    found = from_stele(tmp_path / "a")
    again = xarray.Dataset({name: (data[name].dims, found[name]) for name in found}, coords=data.coords)
    assert again.identical(data) and again.t.chunks == data.t.chunks
    assert (again.t.mean("time").compute() == data.t.mean("time").compute()).all()


# --- Counting ---

rng = random.Random(7)
WORDS = [f"w{int(rng.paretovariate(0.7)) % 5000}" for _ in range(20_000)] + ["x" * 100, "naïve"]


def alone(words):
    counts = stele.TokenCounts()
    counts.update(words)
    return counts


@pytest.mark.parametrize("partitions", [1, 3, 40])
def test_tokens_counted_by_many_are_those_of_one(tmp_path, partitions):
    found = count_tokens(bag.from_sequence(WORDS, npartitions=partitions), split_every=3).compute()
    assert found == alone(WORDS) and dict(found.items()) == dict(collections.Counter(WORDS))
    found.save(tmp_path / "c.stele")
    assert stele.TokenCounts.load(tmp_path / "c.stele", mmap_mode="r") == found


def test_tokens_on_a_cluster(cluster):
    assert cluster.compute(count_tokens(bag.from_sequence(WORDS, npartitions=9))).result() == alone(WORDS)


PAIRS = [(f"user{rng.randrange(500)}", f"word{rng.randrange(300)}") for _ in range(20_000)]


@pytest.mark.parametrize("partitions", [1, 5, 17])
def test_features_of_many_are_those_of_one(tmp_path, partitions):
    one = stele.FeatureStore(20_000, level=2)
    one.update([entity for entity, _ in PAIRS], [feature for _, feature in PAIRS])
    found = features(bag.from_sequence(PAIRS, npartitions=partitions), capacity=20_000, level=2).compute()
    assert found == one and found.report() == one.report()
    assert all(found.contains(entity, feature) for entity, feature in PAIRS[:1000])
    found.save(tmp_path / "f.stele")
    assert stele.FeatureStore.load(tmp_path / "f.stele", mmap_mode="r").features("user3") == one.features("user3")


def test_features_on_a_cluster(cluster):
    one = stele.FeatureStore(20_000)
    one.update([entity for entity, _ in PAIRS], [feature for _, feature in PAIRS])
    assert cluster.compute(features(bag.from_sequence(PAIRS, npartitions=6), capacity=20_000)).result() == one
