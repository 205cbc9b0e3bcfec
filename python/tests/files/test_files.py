"""Paths, file objects, streams, other programs' files, errors, interruption."""

import _thread
import bz2
import gzip
import io
import lzma
import os
import pathlib
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pytest

import stele

thing = {"a": np.arange(50_000.0), "b": ["x", 1, None], "c": {"d": (1, 2)}}


def check(back):
    assert (back["a"] == thing["a"]).all() and back["b"] == thing["b"] and back["c"] == thing["c"]


@pytest.mark.parametrize("name", ["x.stele", "x", "x.zst", "x.gz", "x.lz4", "x.xz", "x.bz2", "x.z", "x.lzma"])
def test_extensions_choose_the_codec(tmp_path, name):
    for path in (tmp_path / name, str(tmp_path / name), os.fsencode(tmp_path / name)):
        stele.dump(thing, path)
        check(stele.load(path))
    renamed = tmp_path / "other"
    os.rename(tmp_path / name, renamed)
    check(stele.load(renamed))


def test_codec_level_filter_threads_metadata(tmp_path):
    path = tmp_path / "x.bin"
    for codec in ("plain", "zstd", "gzip", "lz4", "xz", "bzip2", "zlib", "lzma"):
        stele.dump(thing, path, codec=codec, threads=2, metadata={"epoch": 3, "loss": 0.5, "name": "é", "best": True})
        check(stele.load(path, threads=1))
    stele.dump(thing, path, codec="zstd", level=1, filter="none")
    large = path.stat().st_size
    stele.dump(thing, path, codec="zstd", level=19)
    assert path.stat().st_size < large
    with pytest.raises(ValueError):
        stele.dump(thing, path, codec="nope")
    with pytest.raises(ValueError):
        stele.dump(thing, path, codec="zstd", level=1000)
    with pytest.raises(ValueError):
        stele.dump(thing, path, sync="often")
    for level in ("9", 1.5, True):
        with pytest.raises(TypeError):
            stele.dump(thing, path, codec="zstd", level=level)
    with pytest.raises(TypeError):
        stele.dump(thing, path, metadata={"x": [1]})
    with pytest.raises(TypeError):
        stele.dump(thing, 5)
    check(stele.load(path))


@pytest.mark.parametrize("codec", ["plain", "zstd", "gzip", "xz"])
def test_file_objects(tmp_path, codec):
    path = tmp_path / "x"
    with open(path, "wb") as file:
        file.write(b"head")
        stele.dump(thing, file, codec=codec)
        stele.dump([1], file, codec=codec)
        file.write(b"tail")
    with open(path, "rb") as file:
        assert file.read(4) == b"head"
        check(stele.load(file))
        assert stele.load(file) == [1]
        assert file.read() == b"tail"
    check(stele.load(path, offset=4))
    memory = io.BytesIO()
    memory.write(b"head")
    stele.dump(thing, memory, codec=codec)
    stele.dump([1], memory, codec=codec)
    memory.write(b"tail")
    memory.seek(4)
    check(stele.load(memory))
    assert stele.load(memory) == [1] and memory.read() == b"tail"
    memory.write(b"can grow again" * 1000)
    if codec == "plain":
        stele.dump(thing, path)
        with open(path, "rb") as file:
            assert not stele.load(file, mmap_mode="r")["a"].flags.writeable
    with pytest.raises(ValueError, match="path"):
        stele.load(io.BytesIO(stele.dumps([1])), mmap_mode="r")
    with tempfile.TemporaryFile() as file:
        stele.dump(thing, file, codec=codec)
        file.seek(0)
        check(stele.load(file))


def test_streams_of_python(tmp_path):
    for module in (gzip, bz2, lzma):
        with module.open(tmp_path / "x", "wb") as file:
            stele.dump(thing, file)
        with module.open(tmp_path / "x", "rb") as file:
            check(stele.load(file))
        check(stele.load(tmp_path / "x"))  # it is an archive in that format
    stele.dump(thing, tmp_path / "y.gz")
    with gzip.open(tmp_path / "y.gz") as file:
        check(stele.load(file))

    class OneByte(io.RawIOBase):
        def __init__(self, data):
            self.data, self.at = data, 0

        def readable(self):
            return True

        def read(self, size=-1):
            self.at += 1
            return self.data[self.at - 1:self.at]

    small = {"x": [1, "two", 3.0]}
    assert stele.load(OneByte(stele.dumps(small))) == small


@pytest.mark.parametrize("codec", ["plain", "zstd"])
def test_sockets_and_pipes(codec):
    left, right = socket.socketpair()

    def send():
        with left.makefile("wb") as file:
            for _ in range(3):
                stele.dump(thing, file, codec=codec)
        left.close()

    sender = threading.Thread(target=send)
    sender.start()
    with right.makefile("rb") as file:
        for _ in range(3):
            check(stele.load(file))
        with pytest.raises(stele.Error):
            stele.load(file)
    sender.join()
    right.close()


def test_a_file_object_that_fails():
    class Full(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        stele.dump(thing, Full())

    class Broken:
        def read(self, size):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        stele.load(Broken())

    class Text:
        def read(self, size):
            return "text"

    with pytest.raises(TypeError):
        stele.load(Text())


def test_errors_are_pythons_too(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        stele.load(tmp_path / "none")
    assert isinstance(caught.value, stele.Error) and caught.value.code == "not_found" and "none" in str(caught.value)
    with pytest.raises(OSError):
        stele.dump(thing, tmp_path / "no" / "folder" / "x")
    with pytest.raises(OSError):
        stele.load(tmp_path)
    path = tmp_path / "x.stele"
    stele.dump(thing, path)
    data = bytearray(path.read_bytes())
    data[200_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        stele.load(path)
    assert caught.value.code == "damaged" and caught.value.path == "a" and caught.value.offset is not None
    path.write_bytes(data[:1000])
    with pytest.raises(ValueError) as caught:
        stele.load(path)
    assert caught.value.code == "truncated"
    path.write_bytes(b"hello, this is no archive")
    with pytest.raises(stele.Error) as caught:
        stele.load(path)
    assert caught.value.code == "not_an_archive" and caught.value.file == str(path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.code == "not_an_archive" and str(again) == str(caught.value)
    with pytest.raises(stele.Error):
        stele.loads(b"")
    with pytest.raises(ValueError):
        stele.load(path, mmap_mode="w+")
    with pytest.raises(ValueError):
        stele.load(path, limits={"deep": 3})


def test_every_truncation_and_flip_is_an_error_or_equal():
    saved = stele.dumps({"t": (1, "x"), "s": {1, 2}, "a": np.arange(5), "o": pathlib.Path("x"), "n": [None, 2**70, 1j]})
    expected = stele.loads(saved)
    for end in range(len(saved)):
        with pytest.raises(stele.Error):
            stele.loads(saved[:end])
    for at in range(len(saved)):
        for bit in (1, 16, 128):
            data = bytearray(saved)
            data[at] ^= bit
            with pytest.raises(stele.Error):
                stele.loads(bytes(data))
    assert repr(expected) == repr(stele.loads(saved))


class InOrder(io.RawIOBase):
    """A file of bytes that cannot seek."""

    def __init__(self, data):
        self.inner = io.BytesIO(data)

    def readable(self):
        return True

    def read(self, size=-1):
        return self.inner.read(size)


@pytest.mark.parametrize("codec", ["plain", "zstd", "gzip"])
def test_every_way_to_read_the_same_bytes_agrees(tmp_path, codec):
    path = tmp_path / "x.stele"
    given = {"a": np.arange(3000.0), "o": pathlib.PurePosixPath("x"), "t": (1, {2}), "s": ["x", 2.5, None] * 50, "c": 1j}
    saved = stele.dumps(given, codec=codec)
    ways = {
        "path": lambda data: stele.load(path),
        "one thread": lambda data: stele.load(path, threads=1),
        "bytes": stele.loads,
        "memory": lambda data: stele.load(io.BytesIO(data)),
        "in order": lambda data: stele.load(InOrder(data)),
        "parts": lambda data: stele.open(path, verify="full").load(),
    }
    if codec == "plain":
        ways["mapped"] = lambda data: stele.load(path, mmap_mode="r", verify="full")
    for at in (None, *range(0, len(saved), max(1, len(saved) // 70))):
        data = bytearray(saved)
        if at is not None:
            data[at] ^= 0x41
        path.write_bytes(data)
        verdicts = {}
        for way, read in ways.items():
            try:
                verdicts[way] = repr(read(bytes(data)))
            except stele.Error:
                verdicts[way] = "error"
        assert len(set(verdicts.values())) == 1, (at, verdicts)
        if at is None:
            assert verdicts["path"] == repr(given)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.safetensors", "x.pkl", "x.joblib", "x.npy.gz"])
def test_other_programs_files(tmp_path, name):
    path = tmp_path / name
    array = np.arange(12.0).reshape(3, 4)
    given = array if ".npy" in name else {"x": array, "y": array[0]}
    stele.dump(given, path)
    back = stele.load(path)
    if ".npy" in name:
        assert (back == array).all()
    else:
        assert (back["x"] == array).all() and (back["y"] == array[0]).all()
    if name == "x.npy":
        assert (np.load(path) == array).all()
    if name == "x.npz":
        assert (np.load(path)["x"] == array).all()
    if name == "x.pkl":
        assert (pickle.loads(path.read_bytes())["x"] == array).all()


def test_an_object_of_its_own_in_a_pickle(tmp_path):
    given = {"t": (1, {2}), "p": pathlib.PurePosixPath("a"), "c": 1 + 2j, "a": np.ma.masked_array([1, 2], [0, 1])}
    stele.dump(given, tmp_path / "x.pkl")
    back = pickle.loads((tmp_path / "x.pkl").read_bytes())
    assert back["t"] == (1, {2}) and back["p"] == given["p"] and back["c"] == 1 + 2j
    assert (back["a"] == given["a"]).all()


def test_progress(tmp_path):
    path = tmp_path / "x.stele.zst"
    large = np.random.default_rng(0).random(3_000_000)
    for target in (path, tmp_path / "x.stele"):
        seen = []
        stele.dump(large, target, progress=seen.append)
        assert seen == sorted(seen) and seen[-1] == target.stat().st_size
        seen = []
        assert (stele.load(target, progress=seen.append) == large).all()
        assert seen == sorted(seen) and seen[-1] > 0
    def stop(done):
        raise KeyboardInterrupt

    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        stele.dump(large, path, progress=stop)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 2
    stele.dump(large, path, progress=True)
    assert (stele.load(path, progress=True) == large).all()


def test_nothing_is_printed(tmp_path, capfd):
    stele.dump(thing, tmp_path / "x.stele.zst")
    stele.load(tmp_path / "x.stele.zst")
    out, err = capfd.readouterr()
    assert not out and not err


def test_ctrl_c_ends_a_long_dump(tmp_path):
    path = tmp_path / "x.stele.xz"
    large = np.random.default_rng(0).random(8_000_000)
    timer = threading.Timer(0.7, _thread.interrupt_main)
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        stele.dump(large, path, level=9, filter="none")
        time.sleep(5)
    assert not path.exists() and not list(tmp_path.iterdir())


def test_many_threads_at_once(tmp_path):
    errors = []

    def work(number):
        try:
            path = tmp_path / f"{number}.stele.zst"
            for _ in range(20):
                stele.dump(thing, path)
                check(stele.load(path))
                check(stele.loads(stele.dumps(thing)))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_the_gil_is_released(tmp_path):
    large = np.random.default_rng(0).random(6_000_000)
    beats = []
    over = threading.Event()

    def beat():
        while not over.is_set():
            beats.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        stele.dump(large, tmp_path / "x.zst", level=9)
        stele.load(tmp_path / "x.zst")
    finally:
        over.set()
        thread.join()
    assert len(beats) > 20


def test_after_fork(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    program = """
import os, sys, numpy as np, stele
thing = np.arange(2_000_000.0)
stele.dump(thing, "before.zst")
pid = os.fork()
if pid == 0:
    stele.dump(thing, "child.zst")
    assert (stele.load("child.zst") == thing).all()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert (stele.load("child.zst") == thing).all()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
