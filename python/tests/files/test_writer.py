"""Files that grow: entries, batches, objects in a row; conversions."""

import io
import os
import socket
import threading

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


def test_what_a_writer_refuses(tmp_path):
    path = tmp_path / "x.stele"
    with stele.writer(path) as out:
        out["a"] = 1
        out["x"].append(np.zeros((2, 3), "i4"))
        out["x"].append([[1, 2, 3]])  # no array yet: becomes one of the dtype
        out["x"].append(np.ones((1, 3), ">i4"))
        assert "x" in out and "a" in out and "y" not in out and "3" not in out
        assert "4 rows of int32[3]" in repr(out["x"]) and "not begun" in repr(out["y"])
        for batch, kind, part in ((np.zeros((2, 3)), TypeError, "float64"), (np.zeros((2, 4), "i4"), ValueError, r"\(2, 4\)"),
                                  (5, ValueError, "shape"), (np.zeros(3, "i4"), ValueError, r"\(3,\)")):
            with pytest.raises(kind, match=part):
                out["x"].append(batch)
        out["y"].append(np.zeros(2))  # ends x
        with pytest.raises(ValueError, match="one after another"):
            out["x"].append(np.zeros((2, 3), "i4"))
        with pytest.raises(ValueError, match="written before"):
            out["a"] = 2
        with pytest.raises(TypeError, match="str"):
            out[3] = 2
        with pytest.raises(TypeError, match="object"):
            out["o"].append(np.array([None]))
        with pytest.raises(ValueError, match="dimension"):
            out["o"].append(3)
        out["o"] = "later"
    assert stele.load(path)["x"].tolist() == [[0, 0, 0], [0, 0, 0], [1, 2, 3], [1, 1, 1]]
    assert stele.load(path)["o"] == "later"
    with pytest.raises(ValueError, match="closed"):
        out["b"] = 1
    out.close()
    out.abandon()


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f4", "c8", "M8[us]", "S3", "U4", [("a", "i4"), ("b", "f8", (2,))]])
def test_every_dtype_grows(tmp_path, dtype):
    batch = np.zeros((50, 7), dtype) if isinstance(dtype, list) else np.arange(350).reshape(50, 7).astype(dtype)
    with stele.writer(tmp_path / "x.stele.zst") as out:
        for part in (batch, batch[::2], np.asfortranarray(batch), batch[:0]):
            out["x"].append(part)
    expected = np.concatenate([batch, batch[::2], batch])
    back = stele.open(tmp_path / "x.stele.zst")["x"]
    assert back.dtype == batch.dtype and np.array_equal(back[...], expected)


def test_entries_share_what_lies_in_one_object_only(tmp_path):
    base = np.arange(100_000)
    with stele.writer(tmp_path / "x.stele") as out:
        for i in range(50):  # objects that die at once, whose addresses come again
            out[f"{i}"] = {"i": [i], "a": np.full(1000, i), "view": np.full(2000, i)[::2]}
        out["both"] = [base, base[10:20], base]
    back = stele.load(tmp_path / "x.stele")
    for i in range(50):
        assert back[f"{i}"]["i"] == [i] and (back[f"{i}"]["a"] == i).all() and (back[f"{i}"]["view"] == i).all()
    assert back["both"][0] is back["both"][2] and np.shares_memory(back["both"][0], back["both"][1])


def test_to_memory_and_through_a_socket():
    buffer = io.BytesIO()
    with stele.writer(buffer, codec="lz4") as out:
        for i in range(50):
            out["x"].append(np.full((1000, 3), i))
    buffer.seek(0)
    assert [len(batch) for batch in stele.batches(buffer, "x", 20_000)] == [20_000, 20_000, 10_000]

    near, far = socket.socketpair()

    def send():
        with near, near.makefile("wb") as file, stele.writer(file, codec="zstd") as out:
            out["name"] = "x"
            for i in range(100):
                out["x"].append(np.full((1000, 30), i))

    thread = threading.Thread(target=send)
    thread.start()
    with far, far.makefile("rb") as file:
        rows = np.concatenate([batch[:, 0] for batch in stele.batches(file, "x", 7000)])
    thread.join()
    assert np.array_equal(rows, np.repeat(np.arange(100), 1000))


def test_batches_that_are_not_there(tmp_path):
    stele.dump({"x": np.arange(10), "s": np.array(1.5), "t": "text"}, tmp_path / "x.stele")
    with pytest.raises(KeyError):
        stele.batches(tmp_path / "x.stele", "y", 5)
    for path in "st":
        with pytest.raises(TypeError):
            stele.batches(tmp_path / "x.stele", path, 5)
    with pytest.raises(ValueError):
        stele.batches(tmp_path / "x.stele", "x", 0)
    for batch in stele.batches(tmp_path / "x.stele", "x", 3):
        break  # a loop may end early


def test_an_appender_alone_commits(tmp_path):
    path = tmp_path / "x.stele.zst"
    with pytest.raises(RuntimeError):
        with stele.appender(path) as log:
            log.append(1)
            log.commit()
            log.append(2)
            assert (log.entries, log.pending) == (1, 1)
            assert list(stele.entries(path)) == [1]  # read while it is written
            with pytest.raises(stele.Error) as caught:
                stele.appender(path)
            assert caught.value.code == "busy"
            raise RuntimeError
    assert list(stele.entries(path)) == [1]
    with stele.appender(path, commit_every=2) as log:
        for i in range(5):
            log.append(i)
        assert log.entries == 5 and log.pending == 1
    with pytest.raises(ValueError, match="closed"):
        log.append(1)
    assert list(stele.entries(path, start=4)) == [3, 4] and list(stele.entries(path, start=6)) == []
    with open(path, "ab") as file:
        file.write(b"\x28\xb5")  # a torn commit
    with stele.appender(path) as log:
        assert log.cut_bytes == 2 and log.entries == 6


def test_objects_of_several_dumps_in_a_row(tmp_path):
    with open(tmp_path / "x.stele", "wb") as file:
        for i in range(4):
            stele.dump({"i": i, "a": np.arange(2000)}, file)
    for given in (tmp_path / "x.stele", os.fspath(tmp_path / "x.stele")):
        assert [one["i"] for one in stele.entries(given)] == [0, 1, 2, 3]
        assert [one["i"] for one in stele.entries(given, start=3)] == [3]
    with open(tmp_path / "x.stele", "rb") as file:
        assert [one["i"] for one in stele.entries(file)] == [0, 1, 2, 3]
    stele.verify(tmp_path / "x.stele")
    stele.convert(tmp_path / "x.stele", tmp_path / "y.stele.gz")
    assert [one["i"] for one in stele.entries(tmp_path / "y.stele.gz")] == [0, 1, 2, 3]


def test_objects_that_use_the_writer_while_they_are_written(tmp_path):
    class Meddler:
        def __reduce__(self):
            out["other"] = 1
            return int, (1,)

    with pytest.raises(RuntimeError, match="in use"):
        with stele.writer(tmp_path / "x.stele") as out:
            out["a"] = Meddler()
    assert not (tmp_path / "x.stele").exists()


def test_conversions_of_formats(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(3000), b=np.ones((3, 4)))
    stele.convert(tmp_path / "x.npz", tmp_path / "x.stele.zst", level=1, metadata={"from": "npz"})
    with stele.open(tmp_path / "x.stele.zst") as file:
        assert file.metadata == {"from": "npz"} and np.array_equal(file["a"][...], np.arange(3000))
    stele.convert(tmp_path / "x.stele.zst", tmp_path / "y.npz")
    assert np.array_equal(np.load(tmp_path / "y.npz")["b"], np.ones((3, 4)))
    with pytest.raises(FileNotFoundError):
        stele.convert(tmp_path / "none", tmp_path / "z.stele")
    with pytest.raises(TypeError, match="colour"):
        stele.convert(tmp_path / "x.npz", tmp_path / "z.stele", colour="red")
    assert not (tmp_path / "z.stele").exists()
