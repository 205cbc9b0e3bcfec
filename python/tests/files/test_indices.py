"""Indices of arrays in files, of every kind that NumPy has, beside NumPy."""

import itertools
import random

import numpy as np
import pytest

import stele

shapes = [(), (1,), (7,), (1000,), (20000,), (0,), (5, 0, 3), (13, 7), (300, 40), (6, 5, 4), (40, 30, 20), (3, 4, 2, 5)]
dtypes = ["f8", "f4", "i2", "u1", "?", "c8", "M8[s]", "U3", "S5", [("a", "i4"), ("b", "f8", (2,))]]


def make(generator, shape, dtype):
    numbers = generator.integers(0, 999, shape)
    if isinstance(dtype, list):
        made = np.zeros(shape, dtype)
        made["a"] = numbers
        made["b"] = generator.random((*shape, 2))
        return made
    return np.asarray(numbers % 2 == 0 if dtype == "?" else numbers.astype(dtype))


def random_slice(choose, extent):
    end = lambda: choose.choice([None, choose.randint(-extent - 3, extent + 3)])  # noqa: E731
    return slice(end(), end(), choose.choice([None, 1, 1, 2, 3, -1, -2, -7, extent + 2, -extent - 2]))


def random_index(choose, generator, shape):
    items = []
    axis = 0
    has_ellipsis = False
    while axis < choose.randint(0, len(shape)):
        kind, extent = choose.random(), shape[axis]
        if kind < 0.3:
            too_far = choose.random() < 0.05
            items.append(choose.randint(-extent - too_far, extent - 1 + too_far) if extent else 0)
            axis += 1
        elif kind < 0.65:
            items.append(random_slice(choose, extent))
            axis += 1
        elif kind < 0.72:
            items.append(None)
        elif kind < 0.85:
            size = choose.choice([(), (choose.randint(0, 5),), (2, 3)])
            if extent:
                rows = generator.integers(-extent, extent, size)
                items.append(rows.tolist() if size and choose.random() < 0.3 else rows)
            axis += 1
        elif kind < 0.95:
            axes = choose.randint(1, len(shape) - axis)
            mask = generator.random(shape[axis:axis + axes]) < choose.choice([0, 0.3, 1])
            items.append(mask.tolist() if axes == 1 and choose.random() < 0.2 else mask)
            axis += axes
        else:
            items.append(choose.choice([True, False, np.True_]))
        if not has_ellipsis and choose.random() < 0.1:
            items.append(...)
            has_ellipsis = True
    return items[0] if len(items) == 1 and choose.random() < 0.5 else tuple(items)


@pytest.mark.parametrize("name", ["x.stele", "x.stele.zst", "x.stele.gz", "mapped"])
def test_every_index_is_numpys(tmp_path, name):
    choose, generator = random.Random(name), np.random.default_rng(5)
    arrays = {}
    for number, (shape, dtype) in enumerate(itertools.product(shapes, dtypes)):
        array = make(generator, shape, dtype)
        arrays[str(number)] = np.asfortranarray(array) if number % 3 == 1 else array
    path = tmp_path / ("x.stele" if name == "mapped" else name)
    stele.dump(arrays, path, filter="none" if name.endswith(".gz") else "auto")
    file = stele.open(path, mmap_mode="r" if name == "mapped" else None)
    refused = 0
    for key, array in arrays.items():
        lazy = file[key]
        assert (lazy.shape, lazy.dtype, lazy.nbytes) == (array.shape, array.dtype, array.nbytes)
        for _ in range(25):
            index = random_index(choose, generator, array.shape)
            try:
                expected = array[index]
            except Exception as error:
                refused += 1
                with pytest.raises(type(error)):
                    lazy[index]
                continue
            found = lazy[index]
            assert type(found) is type(expected) and found.dtype == expected.dtype, (key, index)
            assert found.shape == expected.shape and np.array_equal(found, expected), (key, index)
    assert refused > 10


def test_messages_are_numpys(tmp_path):
    array = np.arange(6000).reshape(60, 100)
    stele.dump({"x": array}, tmp_path / "x.stele")
    lazy = stele.open(tmp_path / "x.stele")["x"]
    for index in (60, (0, 100), (0, 0, 0), 1.5, [61], (..., ...), np.ones(3, bool), "field"):
        with pytest.raises(IndexError) as expected:
            array[index]
        with pytest.raises(IndexError) as found:
            lazy[index]
        assert str(found.value) == str(expected.value)


def test_read_into(tmp_path):
    array = np.arange(60_000, dtype=np.float32).reshape(600, 100)
    stele.dump({"x": array}, tmp_path / "x.stele.zst")
    lazy = stele.open(tmp_path / "x.stele.zst")["x"]
    for index in (..., np.s_[5:500:7], np.s_[::-1, 3:9], 7, np.s_[:, 4], [5, 1, 5], np.s_[3, ...]):
        for dtype in ("f4", "f8"):
            out = np.zeros(array[index].shape, dtype)
            lazy.read_into(out, index)
            assert np.array_equal(out, array[index])
            wide = np.zeros((*array[index].shape[:-1], array[index].shape[-1] * 2), dtype)
            lazy.read_into(wide[..., ::2], index)
            assert np.array_equal(wide[..., ::2], array[index])
    with pytest.raises(ValueError, match="shape"):
        lazy.read_into(np.zeros((3, 3), "f4"))
    with pytest.raises(TypeError):
        lazy.read_into(np.zeros(array.shape, "i2"))
    with pytest.raises(TypeError):
        lazy.read_into([1, 2])
    still = np.zeros(array.shape, "f4")
    still.flags.writeable = False
    with pytest.raises(ValueError, match="written"):
        lazy.read_into(still)


def test_what_numpy_asks(tmp_path):
    array = np.arange(5000.0)
    stele.dump({"x": array, "number": 1 + 2j, "point": np.array(2 + 3j, "c8")}, tmp_path / "x.stele.zst")
    file = stele.open(tmp_path / "x.stele.zst")
    lazy = file["x"]
    assert float(np.mean(lazy)) == array.mean() and np.array_equal(lazy == 3, array == 3)
    with pytest.raises(ValueError, match="copy"):
        lazy.__array__(copy=False)
    assert lazy.__array__(np.float32).dtype == np.float32
    assert 4999.0 in lazy and -1 not in lazy and list(lazy)[:2] == [0, 1]
    with pytest.raises(TypeError):
        lazy[3] = 1
    with pytest.raises(ValueError):
        lazy.batches(0)
    assert file["number"] == 1 + 2j and file["point"][()] == 2 + 3j
    with pytest.raises(TypeError):
        len(file["point"])


def test_mapped_arrays_are_views(tmp_path):
    array = np.arange(5000.0)
    stele.dump({"x": array}, tmp_path / "x.stele")
    lazy = stele.open(tmp_path / "x.stele", mmap_mode="r")["x"]
    part = lazy[10:20]
    assert not part.flags.owndata and not part.flags.writeable and np.asarray(lazy).base is not None
    with pytest.raises(ValueError):
        lazy[3] = 1
    private = stele.open(tmp_path / "x.stele", mmap_mode="c")["x"]
    private[3] = 99
    assert private[3] == 99 and stele.load(tmp_path / "x.stele")["x"][3] == 3
    with stele.open(tmp_path / "x.stele", mmap_mode="r+") as file:
        file["x"][3] = 77
        file.flush()
    assert stele.load(tmp_path / "x.stele")["x"][3] == 77
