"""Files that fsspec and obstore reach: by URL, and as RemotePath."""

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import stele

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.dirfs import DirFileSystem  # noqa: E402
from fsspec.implementations.local import LocalFileSystem  # noqa: E402
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # noqa: E402

VALUE = {"x": np.arange(300_000.0).reshape(3000, 100), "small": np.arange(5), "layers": [{"name": "a"}, {"name": "b"}],
         "epoch": 3}


class Uploads(AbstractFileSystem):
    """As object stores have it: objects appear when they are closed, and uploads may be broken off."""

    protocol = "uploads"
    cachable = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.objects, self.pending, self.requests, self.changes = {}, {}, [], 0

    def info(self, path, **kwargs):
        self.requests.append(("info", path))
        content, etag = self.objects.get(path.strip("/"), (None, None))
        if content is None:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(content), "type": "file", "ETag": etag}

    def find(self, path, maxdepth=None, withdirs=False, detail=False, **kwargs):
        return {name: self.info(name) for name in sorted(self.objects) if name.startswith(path.strip("/"))}

    def cat_file(self, path, start=None, end=None, **kwargs):
        self.requests.append(("get", path, start, end))
        return self.objects[path.strip("/")][0][start:end]

    def rm_file(self, path):
        self.objects.pop(path.strip("/"), None)

    def put(self, path, content):
        self.changes += 1
        self.objects[path.strip("/")] = content, str(self.changes)

    def _open(self, path, mode="rb", block_size=None, autocommit=True, **kwargs):
        return Upload(self, path, mode, block_size=5 << 20, autocommit=autocommit)


class Upload(AbstractBufferedFile):
    def _initiate_upload(self):
        self.fs.pending[self.path] = b""

    def _upload_chunk(self, final=False):
        self.fs.pending[self.path] += self.buffer.getvalue()
        if final:
            self.fs.put(self.path, self.fs.pending.pop(self.path))
        return True

    def discard(self):
        self.fs.pending.pop(self.path, None)
        self.buffer = None


class OwnFiles(AbstractFileSystem):
    """Local files that are written in place, as sftp has them."""

    protocol = "ownfiles"
    cachable = False

    def _open(self, path, mode="rb", **kwargs):
        return open(path, mode)

    def makedirs(self, path, exist_ok=False):
        os.makedirs(path, exist_ok=exist_ok)

    def info(self, path, **kwargs):
        status = os.stat(path)
        return {"name": path, "size": status.st_size, "type": "file", "mtime": status.st_mtime_ns}

    def find(self, path, detail=False, **kwargs):
        return {os.path.join(path, name): self.info(os.path.join(path, name)) for name in os.listdir(path)}

    def cat_file(self, path, start=None, end=None, **kwargs):
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(end - start)

    def mv(self, one, two, **kwargs):
        os.replace(one, two)

    def rm_file(self, path):
        os.unlink(path)


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    return system


def obstore_of(kind, tmp_path):
    store = pytest.importorskip("obstore.store")
    return store.MemoryStore() if kind == "memory" else store.LocalStore(str(tmp_path / "o"), mkdir=True)


@pytest.fixture(params=["memory", "uploads", "own files", "local", "folder", "obstore memory", "obstore local"])
def place(request, tmp_path, memory):
    """A folder in each kind of system."""
    kind = request.param
    if kind == "memory":
        return stele.RemotePath(memory, "bucket/models")
    if kind == "uploads":
        return stele.RemotePath(Uploads(), "bucket/models")
    if kind == "own files":
        return stele.RemotePath(OwnFiles(), str(tmp_path / "f"))
    if kind == "local":
        return stele.RemotePath(LocalFileSystem(), str(tmp_path / "l"))
    if kind == "folder":
        return stele.RemotePath(DirFileSystem(str(tmp_path / "d"), LocalFileSystem()), "models")
    return stele.RemotePath(obstore_of(kind.split()[1], tmp_path), "models")


def names(place):
    from stele._urls import Folder
    return sorted(Folder(place).sizes())


def same(found):
    assert (found["x"] == VALUE["x"]).all() and (found["small"] == VALUE["small"]).all()
    assert found["layers"] == VALUE["layers"] and found["epoch"] == 3


@pytest.mark.parametrize("name", ["m.stele", "m.stele.zst", "m.stele.gz"])
def test_all_ways_to_read(place, name):
    at = place / name
    stele.dump(VALUE, at, metadata={"n": 1})
    same(stele.load(at))
    with stele.open(at) as file:
        assert (file["x"][1000:1010, 5] == VALUE["x"][1000:1010, 5]).all() and file["epoch"] == 3
        assert (file["x"][[5, 2000]] == VALUE["x"][[5, 2000]]).all()
        assert file["layers"].load() == VALUE["layers"] and file["layers/1/name"] == "b" and list(file) == list(VALUE)
        assert file.metadata == {"n": 1} and "x" in str(file.tree())
        file.verify()
        assert sum(len(batch) for batch in file["x"].batches(700)) == 3000
    stele.verify(at)
    assert stele.info(at).metadata == {"n": 1}
    stele.convert(at, place / ("other-" + name))
    same(stele.load(place / ("other-" + name)))
    assert sum(len(batch) for batch in stele.batches(at, "x", 700)) == 3000
    assert names(place) == sorted([name, "other-" + name])


def test_a_store_in_one_file(place, tmp_path):
    at = place / "words.store"
    with stele.Store(tmp_path / "s") as store:
        store.update({f"key {i}": {"i": i, "x": np.full(2000, i, np.float32)} for i in range(300)})
        store.compact_to(tmp_path / "one")
    stele.convert(tmp_path / "one", at)
    with stele.Store(at, "r") as store:
        assert len(store) == 300 and "key 299" in store and "none" not in store
        value = store["key 17"]
        assert value["i"] == 17 and (value["x"] == 17).all() and not value["x"].flags.writeable
        assert [key for key, _ in store.prefix("key 29")] == ["key 29"] + [f"key 29{i}" for i in range(10)]
        assert [one["i"] for one in store.get_many([f"key {i}" for i in range(0, 300, 7)])] == list(range(0, 300, 7))
        assert sum(one["i"] for one in store.values()) == 300 * 299 // 2
        assert store.check()["problem_count"] == 0
        with pytest.raises(KeyError):
            store["none"]
        with pytest.raises(stele.Error):
            store["a"] = 1
        if isinstance(place.system, (LocalFileSystem, DirFileSystem)):
            assert pickle.loads(pickle.dumps(store))["key 3"]["i"] == 3
    assert value["x"][1999] == 17
    with pytest.raises(stele.Error) as caught:
        stele.Store(at)
    assert caught.value.code == "unsupported" and "compact_to" in str(caught.value)
    with pytest.raises(FileNotFoundError):
        stele.Store(place / "none.store", "r")


def test_a_writer_and_its_entries(place):
    with stele.writer(place / "w.stele.zst") as out:
        for batch in range(5):
            out["rows"].append(np.full((1000, 20), batch))
    assert stele.open(place / "w.stele.zst")["rows"][4500, 3] == 4
    counts = stele.TokenCounts()
    counts.update(["a", "b", "a"])
    counts.save(place / "c.stele")
    assert stele.TokenCounts.load(place / "c.stele") == counts


class Bad:
    def __reduce__(self):
        raise RuntimeError("cannot be taken apart")


@pytest.mark.parametrize("codec", ["plain", "zstd"])
def test_what_is_not_complete_does_not_appear(place, codec):
    at = place / "m.stele"
    noise = np.random.default_rng(1).integers(0, 256, 12 << 20, np.uint8)
    for old in (None, VALUE):
        if old is not None:
            stele.dump(old, at)
        before = names(place)
        with pytest.raises(RuntimeError, match="taken apart"):
            with stele.writer(at, codec=codec) as out:
                out["noise"] = noise
                raise RuntimeError("cannot be taken apart")
        with pytest.raises(RuntimeError, match="taken apart"):
            stele.dump({"noise": noise, "bad": Bad()}, at, codec=codec)
        gc.collect()
        assert names(place) == before
        if old is not None:
            same(stele.load(at))
        elif isinstance(place.system, Uploads):
            assert not place.system.pending and not place.system.objects
    stele.dump({"noise": noise}, at, codec=codec)
    assert (stele.load(at)["noise"] == noise).all()


@pytest.mark.parametrize("codec", ["plain", "zstd"])
def test_a_change_between_two_reads_is_an_error(place, codec):
    at = place / "m.stele"
    first = np.random.default_rng(1).random((3000, 100))
    stele.dump({**VALUE, "x": first}, at, codec=codec)
    file = stele.open(at)
    assert file["epoch"] == 3
    stele.dump({**VALUE, "x": first + 1}, at, codec=codec)
    with pytest.raises(stele.Error) as caught:
        file["x"].load()
    assert caught.value.code == "changed" and isinstance(caught.value, OSError)
    assert (stele.open(at)["x"][0] == first[0] + 1).all()


def test_what_is_not_there(place):
    with pytest.raises(FileNotFoundError) as caught:
        stele.load(place / "none.stele")
    assert caught.value.code == "not_found"
    with pytest.raises(FileNotFoundError):
        stele.open(place / "none.stele")
    with pytest.raises(stele.Error, match="cannot map"):
        stele.dump(VALUE, place / "m.stele")
        stele.load(place / "m.stele", mmap_mode="r")


def test_few_requests():
    system = Uploads()
    at = stele.RemotePath(system, "b/m.stele")
    arrays = {f"w{i}": np.full(1_000_000, i, np.float32) for i in range(50)}
    stele.dump(arrays, at)
    system.requests.clear()
    with stele.open(at) as file:
        assert (file["w30"][...] == 30).all()
    gets = [request for request in system.requests if request[0] == "get"]
    assert len(gets) <= 4
    assert sum(end - start for _, _, start, end in gets) < 4_000_000 + 3 * 65536 + (1 << 20)


def test_urls(memory):
    same_url = "memory://m.stele.zst"
    stele.dump(VALUE, same_url)
    same(stele.load(same_url))
    same(stele.load(b"memory://m.stele.zst"))
    assert list(memory.store) == ["/m.stele.zst"]
    with stele.open(same_url) as file:
        assert file.path == same_url and repr(file["x"]).startswith("<stele.LazyArray x")
        again = pickle.loads(pickle.dumps(file))
        assert again["epoch"] == 3
        assert pickle.loads(pickle.dumps(file["x"]))[5, 5] == VALUE["x"][5, 5]


def test_chained_urls(memory, tmp_path):
    stele.dump(VALUE, "memory://b/m.stele.zst")
    url = "simplecache::memory://b/m.stele.zst"
    same(stele.load(url))
    with stele.open(url) as file:
        assert file["epoch"] == 3 and file["x"][7, 7] == VALUE["x"][7, 7]


def test_other_formats(memory):
    stele.dump({"a": VALUE["x"]}, "memory://b/a.npz")
    stele.dump({"a": VALUE["x"]}, "memory://b/a.safetensors")
    for name in ("a.npz", "a.safetensors"):
        assert (stele.load(f"memory://b/{name}")["a"] == VALUE["x"]).all()
        assert stele.open(f"memory://b/{name}")["a"][3, 3] == VALUE["x"][3, 3]


def test_a_path_is_no_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("memory:")
    stele.dump(1, "./memory://x.stele")
    assert os.listdir("memory:") == ["x.stele"]
    stele.dump(2, f"file://{tmp_path}/y.stele")
    assert stele.load(tmp_path / "y.stele") == 2


def test_what_is_missing_is_named():
    with pytest.raises(stele.Error, match="no file system|Protocol not known") as caught:
        stele.load("nothing://bucket/key")
    assert caught.value.code == "unsupported"
    program = """
import sys
sys.modules["fsspec"] = None
import stele
try:
    stele.load("gs://bucket/key")
except stele.Error as error:
    print(error.code, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=python_environment())
    assert done.stdout.startswith("unsupported") and "pip install fsspec gcsfs" in done.stdout, done


def python_environment():
    return dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(stele.__file__)))


def test_nothing_is_imported_early():
    program = "import sys, stele; print([m for m in ('fsspec', 'obstore', 'torch', 'dask', 'ray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=python_environment())
    assert done.stdout.strip() == "[]", done


def test_a_remote_path():
    system = Uploads()
    at = stele.RemotePath(system, "/a/") / "b"
    assert at.path == "/a/b" and at == stele.RemotePath(system, "/a/b") and os.fspath(at) == os.fspath(at)
    assert at != stele.RemotePath(Uploads(), "a/b")
    with pytest.raises(TypeError, match="fsspec"):
        stele.RemotePath(3, "x")


def read_there(at, queue):
    queue.put(float(stele.load(at)["x"][3, 4]))


def test_another_process_takes_a_remote_path(tmp_path):
    at = stele.RemotePath(LocalFileSystem(), str(tmp_path)) / "m.stele"
    stele.dump(VALUE, at)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=read_there, args=(at, queue))
    process.start()
    assert queue.get(timeout=60) == VALUE["x"][3, 4]
    process.join()


def test_many_threads(memory):
    stele.dump(VALUE, "memory://t.stele.zst")
    file = stele.open("memory://t.stele.zst")
    failures = []

    def work(number):
        for row in range(number, 3000, 97):
            if not (file["x"][row] == VALUE["x"][row]).all() or file["layers/0/name"] != "a":
                failures.append(row)
            if row % 5 == 0:
                same(stele.load("memory://t.stele.zst"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


class SlowUploads(Uploads):
    failing = False

    def cat_file(self, path, start=None, end=None, **kwargs):
        if self.failing:
            time.sleep(0.001)
            raise ConnectionResetError("reset by peer")
        return super().cat_file(path, start, end, **kwargs)


def test_a_file_is_closed_while_blocks_are_read_ahead():
    system = SlowUploads()
    at = stele.RemotePath(system, "b/m.stele.zst")
    stele.dump({"x": np.random.default_rng(1).random((3000, 500))}, at)
    for turn in range(40):
        system.failing = False
        file = stele.open(at, threads=4)
        system.failing = True
        with pytest.raises(OSError, match="reset by peer"):
            file["x"].load()
        file.close() if turn % 2 else None
        del file


def test_a_short_answer_is_an_error():
    system = Uploads()
    at = stele.RemotePath(system, "b/m.stele")
    stele.dump(VALUE, at)
    file = stele.open(at)
    system.cat_file = lambda path, start=None, end=None, **kwargs: system.objects[path][0][start:end - 1]
    with pytest.raises(stele.Error) as caught:
        file["x"].load()
    assert caught.value.code == "truncated"


def test_errors_of_the_engine_keep_their_words():
    system = Uploads()
    at = stele.RemotePath(system, "b/m.stele")
    stele.dump(VALUE, at)
    file = stele.open(at)

    def refused(*args, **kwargs):
        raise PermissionError("expired token")

    def broken(*args, **kwargs):
        raise ConnectionResetError("reset by peer")

    system.cat_file = refused
    with pytest.raises(PermissionError, match="expired token") as caught:
        file["x"].load()
    assert caught.value.code == "denied"
    system.cat_file = broken
    with pytest.raises(OSError, match="reset by peer") as caught:
        file["x"].load()
    assert caught.value.code == "io"
    system._open = broken
    with pytest.raises(OSError, match="reset by peer"):
        stele.dump(VALUE, at)


@pytest.fixture(scope="module")
def s3():
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    system = fsspec.filesystem("s3", key="k", secret="s", skip_instance_cache=True,
                               endpoint_url="http://127.0.0.1:%d" % server.get_host_and_port()[1])
    system.mkdir("bucket")
    yield system
    server.stop()


def test_s3fs(s3):
    at = stele.RemotePath(s3, "bucket/models/m.stele")
    noise = np.random.default_rng(1).integers(0, 256, 60 << 20, np.uint8)  # more than a piece of an upload
    with pytest.raises(RuntimeError, match="taken apart"):
        stele.dump({"noise": noise, "bad": Bad()}, at, codec="plain")
    gc.collect()
    assert not s3.exists("bucket/models/m.stele") and s3.list_multipart_uploads("bucket") == []
    stele.dump({"noise": noise, **VALUE}, at, codec="plain")
    same(stele.load(at))
    assert names(stele.RemotePath(s3, "bucket/models")) == ["m.stele"]
    file = stele.open(at)
    assert (file["noise"][...] == noise).all() and file["layers"].load() == VALUE["layers"]
    stele.dump(VALUE, at, codec="plain")
    with pytest.raises(stele.Error) as caught:
        file["x"].load()
    assert caught.value.code == "changed"
    with pytest.raises(FileNotFoundError):
        stele.open(stele.RemotePath(s3, "bucket/none"))
    with pytest.raises(stele.Error):
        stele.dump(1, stele.RemotePath(s3, "no-such-bucket/x"))


def test_store_of_obstore_in_s3(s3):
    store = pytest.importorskip("obstore.store")
    bucket = store.S3Store("bucket", endpoint=s3.client_kwargs.get("endpoint_url") or s3.endpoint_url, access_key_id="k",
                           secret_access_key="s", region="us-east-1", client_options={"allow_http": True})
    at = stele.RemotePath(bucket, "o/m.stele.zst")
    stele.dump(VALUE, at)
    same(stele.load(at))
    assert names(stele.RemotePath(bucket, "o")) == ["m.stele.zst"]
    noise = np.random.default_rng(1).integers(0, 256, 30 << 20, np.uint8)
    with pytest.raises(RuntimeError, match="taken apart"):
        stele.dump({"noise": noise, "bad": Bad()}, at, codec="plain")
    gc.collect()
    same(stele.load(at))
    stele.dump({"x": noise}, at)
    file = stele.open(at)
    stele.dump({"x": 1}, at)
    with pytest.raises(stele.Error) as caught:
        file["x"].load()
    assert caught.value.code == "changed"


def test_s3_through_the_core(monkeypatch):
    if not hasattr(stele._core, "remote_options"):
        pytest.skip("a build without libcurl")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        address = "http://127.0.0.1:%d" % server.get_host_and_port()[1]
        for name, value in (("ENDPOINT_URL", address), ("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"),
                            ("DEFAULT_REGION", "us-east-1")):
            monkeypatch.setenv("AWS_" + name, value)
        pytest.importorskip("boto3").client("s3").create_bucket(Bucket="core-bucket")
        stele.dump(VALUE, "s3://core-bucket/m.stele.zst")
        same(stele.load("s3://core-bucket/m.stele.zst"))
        assert pickle.loads(pickle.dumps(stele.open("s3://core-bucket/m.stele.zst")))["x"][3, 3] == VALUE["x"][3, 3]
        assert names("s3://core-bucket") == ["m.stele.zst"]
        da = pytest.importorskip("dask.array")
        from stele.dask import from_stele, to_stele
        to_stele(da.arange(1000, chunks=300), "s3://core-bucket/d", scheduler="threads")
        assert from_stele("s3://core-bucket/d").compute(scheduler="threads").tolist() == list(range(1000))
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["s3://bucket/run", "memory://run", "simplecache::memory://run"])
def test_what_must_be_local_refuses_urls(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for open_it in (stele.Store, stele.Cache, stele.Checkpoints):
        with pytest.raises(stele.Error) as caught:
            open_it(url)
        assert caught.value.code == "unsupported" and "local folder" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_names_with_colons_are_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stele.dump([1, 2], "a::b.stele")
    assert os.listdir(tmp_path) == ["a::b.stele"] and stele.load("a::b.stele") == [1, 2]
    assert stele.open("a::b.stele").load() == [1, 2]
