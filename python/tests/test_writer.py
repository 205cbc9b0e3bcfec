"""Files that grow: entries, batches, objects in a row; conversions."""

import numpy as np
import pytest

import stele


@pytest.mark.parametrize("name", ["x.stele", "x.stele.zst"])
def test_entries_and_growing_arrays(tmp_path, name):
    path = tmp_path / name
    with stele.writer(path, metadata={"by": "test"}) as out:
        out["config"] = {"a": 1, "t": (1, 2)}
        for i in range(10):
            out["rows"].append(np.full((100, 5), i, np.float32))
        out["after"] = [1, 2]
    back = stele.load(path)
    assert back["config"] == {"a": 1, "t": (1, 2)} and back["after"] == [1, 2]
    assert back["rows"].shape == (1000, 5) and back["rows"].dtype == np.float32 and (back["rows"][950] == 9).all()
    with stele.open(path) as file:
        assert file.metadata["by"] == "test"
        assert sum(len(batch) for batch in file["rows"].batches(64)) == 1000
    assert np.array_equal(np.concatenate(list(stele.batches(path, "rows", 77))), back["rows"])


def test_an_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.stele"
    stele.dump([1], path)
    with pytest.raises(RuntimeError):
        with stele.writer(path) as out:
            out["a"] = 1
            raise RuntimeError
    assert stele.load(path) == [1] and len(list(tmp_path.iterdir())) == 1


def test_batches_that_do_not_fit(tmp_path):
    with stele.writer(tmp_path / "x.stele") as out:
        out["x"].append(np.zeros((2, 3)))
        with pytest.raises((ValueError, TypeError)):
            out["x"].append(np.zeros((2, 4)))
        out["x"].append(np.ones((1, 3)))
    assert stele.load(tmp_path / "x.stele")["x"].shape == (3, 3)


@pytest.mark.parametrize("name", ["x.stele", "x.stele.zst"])
def test_objects_in_a_row(tmp_path, name):
    path = tmp_path / name
    with stele.appender(path) as log:
        for i in range(20):
            log.append({"step": i, "a": np.arange(i)})
    with stele.appender(path) as log:
        log.append("more")
    found = list(stele.entries(path))
    assert len(found) == 21 and found[7]["step"] == 7 and found[20] == "more"


def test_verify_info_convert(tmp_path):
    source = tmp_path / "x.stele"
    stele.dump({"a": np.arange(100_000), "t": (1, {2})}, source, metadata={"epoch": 3})
    stele.verify(source)
    stele.convert(source, tmp_path / "y.stele.zst")
    assert stele.load(tmp_path / "y.stele.zst")["t"] == (1, {2})
    with stele.open(tmp_path / "y.stele.zst") as file:
        assert file.metadata == {"epoch": 3}
    assert stele.info(source)
    data = bytearray(source.read_bytes())
    data[300_000] ^= 1
    source.write_bytes(data)
    with pytest.raises(ValueError, match="a"):
        stele.verify(source)
