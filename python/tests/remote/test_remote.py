"""Objects of S3 stores, by their URLs."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import fault_proxy as faults
import numpy as np
import object_servers
import pytest

import stele

MIB = 1 << 20
generator = np.random.default_rng(0)


def of_size(size):
    """A plain archive's content, of about this size: archives end at multiples of 64 bytes."""
    return generator.bytes(size - 256)


@contextlib.contextmanager
def error(code, *words):
    with pytest.raises(stele.Error) as caught:
        yield caught
    assert caught.value.code == code, caught.value
    for word in words:
        assert word in str(caught.value)


# --- Round trips ---

@pytest.mark.parametrize("size", [200, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 40 * MIB])
def test_sizes_around_those_of_parts(s3, size):
    array = np.frombuffer(generator.bytes(size - 128), np.uint8)
    stele.dump(array, s3.url + "/x.npy")
    assert s3.size("x.npy") == size and s3.uploads() == []
    np.testing.assert_array_equal(stele.load(s3.url + "/x.npy"), array)
    thing = array.tobytes()
    stele.dump(thing, s3.url + "/x.stele")
    assert s3.get("x.stele") == stele.dumps(thing) and s3.uploads() == []
    assert stele.load(s3.url + "/x.stele") == thing
    stele.verify(s3.url + "/x.stele")


@pytest.mark.parametrize("codec", ["plain", "zstd", "gzip", "lz4", "xz", "bzip2", "zlib", "lzma"])
def test_codecs(s3, codec):
    thing = {"weights": np.arange(300_000, dtype=np.float32).reshape(600, 500), "name": "a", "noise": generator.bytes(999)}
    url = s3.url + "/x"
    stele.dump(thing, url, codec=codec, level=None if codec == "plain" else 1)
    loaded = stele.load(url)
    np.testing.assert_array_equal(loaded["weights"], thing["weights"])
    assert loaded["noise"] == thing["noise"] and stele.info(url).codec == codec
    with stele.open(url) as file:
        np.testing.assert_array_equal(file["weights"][50:60, ::7], thing["weights"][50:60, ::7])
        assert file["name"] == "a" and list(file.keys()) == list(thing)
        file.verify()
    assert s3.keys() == ["x"]


def test_the_extension_chooses_the_codec(s3):
    stele.dump(np.zeros(100_000), s3.url + "/x.stele.zst")
    assert stele.info(s3.url + "/x.stele.zst").codec == "zstd" and s3.size("x.stele.zst") < 10_000


@pytest.mark.parametrize("extension", ["npz", "safetensors", "npy", "pkl", "joblib"])
def test_other_programs_files(s3, extension):
    thing = np.arange(3000.0).reshape(30, 100)
    url = f"{s3.url}/x.{extension}"
    stele.dump(thing if extension == "npy" else {"w": thing}, url)
    loaded = stele.load(url)
    np.testing.assert_array_equal(loaded if extension == "npy" else loaded["w"], thing)


@pytest.mark.parametrize("key", ["a b", "a+b", "a%b", "a%20b", "a?b", "a#b", "a=b&c", "ünï/日本 語", "a:b@c", "(a)!*'$,;", "a~b",
                                 'a"b', "a\\b", "é" * 100, "x.stele?versionId=1", "[a]", "a{1}|^`<>"])
def test_keys(s3, key):
    url = f"{s3.url}/{key}"
    stele.dump({"a": [key]}, url)
    assert s3.keys() == [key]
    assert stele.load(url) == {"a": [key]}
    with stele.open(url) as file:
        assert file["a/0"] == key
    assert stele.dumps({"a": [key]}) == s3.get(key)


def test_an_object_is_replaced(s3):
    for thing in ([1] * 1000, [2], of_size(9 * MIB), [3]):
        stele.dump(thing, s3.url + "/x.stele")
        assert stele.load(s3.url + "/x.stele") == thing


def test_writers_and_entries(s3):
    rows = generator.random((300_000, 5))
    with stele.writer(s3.url + "/w.stele.zst") as w:
        for begin in range(0, len(rows), 50_000):
            w["rows"].append(rows[begin:begin + 50_000])
        w["name"] = "x"
        assert s3.keys() == []  # not before it is closed
    np.testing.assert_array_equal(stele.load(s3.url + "/w.stele.zst")["rows"], rows)
    found = np.concatenate(list(stele.batches(s3.url + "/w.stele.zst", "rows", 70_000)))
    np.testing.assert_array_equal(found, rows)


def test_converting_between_places(s3, tmp_path):
    thing = {"w": np.arange(1000.0)}
    stele.dump(thing, tmp_path / "x.stele")
    stele.convert(tmp_path / "x.stele", s3.url + "/x.stele.zst")
    stele.convert(s3.url + "/x.stele.zst", s3.url + "/y.npz")
    stele.convert(s3.url + "/y.npz", tmp_path / "y.stele")
    np.testing.assert_array_equal(stele.load(tmp_path / "y.stele")["w"], thing["w"])


def test_appending_is_refused(s3):
    with error("unsupported"):
        stele.appender(s3.url + "/log.stele")


def test_mapping_and_writing_in_place_are_refused(s3):
    stele.dump(np.arange(10.0), s3.url + "/x.stele")
    with error("not_mappable"):
        stele.load(s3.url + "/x.stele", mmap_mode="r")
    with error("unsupported"):
        stele.dump([1], s3.url + "/x.stele", in_place=True)
    assert s3.keys() == ["x.stele"]


# --- Appears only when complete ---

def test_an_exception_leaves_the_old_object(s3):
    stele.dump("old", s3.url + "/x.stele")
    for name in ("x.stele", "new.stele"):
        with pytest.raises(ZeroDivisionError):
            with stele.writer(f"{s3.url}/{name}") as w:
                for _ in range(12):
                    w["rows"].append(generator.random((125_000, 2)))  # 24 MB: some parts are there already
                1 / 0
    assert s3.proxy.count("POST") > 0  # parts were under way
    assert s3.keys() == ["x.stele"] and stele.load(s3.url + "/x.stele") == "old"
    assert s3.uploads() == []


def test_an_object_that_cannot_be_saved_leaves_the_old_one(s3):
    stele.dump("old", s3.url + "/x.stele")
    with pytest.raises(TypeError):
        stele.dump({"large": generator.bytes(20 * MIB), "function": lambda: 0}, s3.url + "/x.stele")
    assert stele.load(s3.url + "/x.stele") == "old" and s3.keys() == ["x.stele"] and s3.uploads() == []


def test_a_killed_writer_leaves_the_old_object(s3):
    stele.dump("old", s3.url + "/x.stele")
    s3.proxy.clear()
    s3.proxy.inject(faults.hang(), method="PUT", query="partNumber", after=2, times=100)
    writer = subprocess.Popen([sys.executable, "-B", "-c", f"import stele; stele.dump(bytes(60_000_000), {s3.url!r} + '/x.stele')"])
    try:
        wait_for(lambda: s3.proxy.injected)
    finally:
        writer.kill()
        writer.wait()
    s3.proxy.clear()
    assert stele.load(s3.url + "/x.stele") == "old" and s3.keys() == ["x.stele"]
    stele.dump("new", s3.url + "/x.stele")
    assert stele.load(s3.url + "/x.stele") == "new"


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- What is not there, not allowed, no archive ---

@pytest.mark.parametrize("read", [stele.load, stele.open, stele.verify, stele.info], ids=lambda read: read.__name__)
def test_no_such_key_or_bucket(s3, read):
    with error("not_found", s3.url + "/none.stele") as caught:
        read(s3.url + "/none.stele")
    assert isinstance(caught.value, FileNotFoundError)
    with error("not_found", "s3://no-bucket/x.stele"):
        read("s3://no-bucket/x.stele")
    assert len(s3.proxy.log) <= 4


def test_no_bucket_to_write_to(s3):
    for thing in ([1], generator.bytes(20 * MIB)):
        with error("not_found", "s3://no-bucket/x.stele"):
            stele.dump(thing, "s3://no-bucket/x.stele")


def test_wrong_credentials(s3, monkeypatch):
    stele.dump([1], s3.url + "/x.stele")
    for name, value in (("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "nobody")):
        with monkeypatch.context() as other:
            other.setenv(name, value)
            for call in (lambda: stele.load(s3.url + "/x.stele"), lambda: stele.dump([2], s3.url + "/x.stele"),
                         lambda: stele.dump(generator.bytes(20 * MIB), s3.url + "/x.stele")):
                s3.proxy.clear()
                with error("denied", s3.url + "/x.stele") as caught:
                    call()
                assert "wrong" not in str(caught.value) and len(s3.proxy.log) <= 3
    assert stele.load(s3.url + "/x.stele") == [1]


def test_without_credentials_requests_are_not_signed(s3, monkeypatch, tmp_path):
    stele.dump([1], s3.url + "/x.stele")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3.proxy.clear()
    with error("denied"):
        stele.load(s3.url + "/x.stele")
    assert "authorization" not in s3.proxy.log[0].headers


def test_credentials_and_endpoint_of_files(s3, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    credentials, config = tmp_path / "credentials", tmp_path / "config"
    credentials.write_text("# comment\n[default]\naws_access_key_id = nobody\naws_secret_access_key = none\n\n"
                           f"[other]\naws_access_key_id={object_servers.USER}\n"
                           f"aws_secret_access_key = {object_servers.SECRET}\n")
    config.write_text(f"[profile other]\nregion = us-east-1\nendpoint_url = {s3.proxy.endpoint}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "other")
    stele.dump([1], s3.url + "/x.stele")
    assert stele.load(s3.url + "/x.stele") == [1] and len(s3.proxy.log) >= 2
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(stele.Error, match="none"):
        stele.load(s3.url + "/x.stele")


def test_a_session_token_is_sent_and_signed(s3, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the token")
    with error("denied"):  # the gateway knows no such session
        stele.load(s3.url + "/x.stele")
    headers = s3.proxy.log[0].headers
    assert headers["x-amz-security-token"] == "the token" and "x-amz-security-token" in headers["authorization"]
    assert object_servers.SECRET not in str(headers)


def test_what_is_no_archive(s3):
    for name, content in (("empty", b""), ("one", b"x"), ("text", b"what is this?\n" * 1000)):
        s3.put(name, content)
        for read in (stele.load, stele.open, stele.verify):
            with pytest.raises(stele.Error) as caught:
                read(f"{s3.url}/{name}")
            assert caught.value.code in ("not_an_archive", "truncated") and f"{s3.url}/{name}" in str(caught.value)


def test_damaged_and_shortened_archives(s3):
    thing = {"w": generator.random(300_000)}
    for codec in ("plain", "zstd"):
        whole = bytearray(stele.dumps(thing, codec=codec))
        damaged = whole[:]
        damaged[1_000_000] ^= 1
        for name, content in (("damaged", damaged), ("short", whole[:-1000]), ("shorter", whole[:1_000_000])):
            s3.put(name, bytes(content))
            for read in (stele.load, stele.verify):
                with pytest.raises(stele.Error) as caught:
                    read(f"{s3.url}/{name}")
                assert caught.value.code in ("damaged", "truncated", "malformed")


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "s3://bucket", "s3://bucket/a//b",
                                 "s3://bucket/../b"])
def test_what_is_no_url_of_an_object(s3, url):
    for call in (lambda: stele.load(url), lambda: stele.dump([1], url)):
        with error("invalid_argument", url.rpartition("/")[0]):
            call()
    assert s3.proxy.log == []


# --- How much is asked for ---

@pytest.mark.parametrize("codec", ["plain", "zstd"])
def test_one_array_of_many_costs_few_requests_and_its_bytes(s3, codec):
    arrays = {f"layer{i}": generator.random((750, 500)) for i in range(30)}  # 3 MB each
    url = s3.url + "/x.stele"
    stele.dump(arrays, url, codec=codec)
    size = s3.size("x.stele")
    s3.proxy.clear()
    with stele.open(url) as file:
        np.testing.assert_array_equal(file["layer20"][()], arrays["layer20"])
    assert len(s3.proxy.log) <= 4, [request.target for request in s3.proxy.log]
    # Both ends of the file, and of a compressed one the blocks that the array shares with others.
    around = 600_000 if codec == "plain" else 2_800_000
    assert s3.proxy.bytes_sent() <= 1.01 * size / 30 + around


@pytest.mark.parametrize("codec", ["plain", "zstd"])
def test_a_load_reads_each_byte_about_once(s3, codec):
    thing = {"w": generator.random(3_000_000), "many": list(range(10_000))}
    stele.dump(thing, s3.url + "/x.stele", codec=codec)
    size = s3.size("x.stele")
    s3.proxy.clear()
    np.testing.assert_array_equal(stele.load(s3.url + "/x.stele")["w"], thing["w"])
    assert s3.proxy.bytes_sent() <= 1.05 * size + 100_000 and len(s3.proxy.log) <= 3 + size // (4 * MIB)


def test_a_small_object_is_one_request_to_save_and_to_load(s3):
    stele.dump({"a": 1}, s3.url + "/x.stele")
    assert [request.method for request in s3.proxy.log] == ["PUT"]
    s3.proxy.clear()
    assert stele.load(s3.url + "/x.stele") == {"a": 1}
    assert len(s3.proxy.log) <= 2 and s3.proxy.bytes_sent() <= 2 * s3.size("x.stele")


# --- Threads, processes, signals ---

def test_threads_share_an_open_file(s3):
    arrays = {f"w{i}": generator.random(50_000) for i in range(16)}
    stele.dump(arrays, s3.url + "/x.stele.zst")
    wrong = []

    def read(number, file):
        try:
            for i in range(number, number + 16):
                name = f"w{i % 16}"
                if not (file[name][()] == arrays[name]).all():
                    wrong.append(name)
            if not (stele.load(s3.url + "/x.stele.zst")[name] == arrays[name]).all():
                wrong.append("load")
            stele.dump(number, f"{s3.url}/of {number}")
        except BaseException as failure:
            wrong.append(failure)

    with stele.open(s3.url + "/x.stele.zst") as file:
        threads = [threading.Thread(target=read, args=(number, file)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert sorted(stele.load(f"{s3.url}/of {number}") for number in range(12)) == list(range(12))


def in_child(file, url, answers):
    answers.put(float(file["w"][7]))
    answers.put(stele.load(url)["name"])
    stele.dump("child", url + ".child")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_read_what_the_parent_has_opened(s3, method):
    url = s3.url + "/x.stele"
    stele.dump({"w": np.arange(1_000_000.0), "name": "x"}, url)
    context = multiprocessing.get_context(method)
    with stele.open(url) as file:
        assert file["w"][3] == 3
        answers = context.Queue()
        children = [context.Process(target=in_child, args=(file, url, answers)) for _ in range(2)]
        for child in children:
            child.start()
        assert file["w"][4] == 4
        found = [answers.get(timeout=60) for _ in range(4)]
        for child in children:
            child.join(60)
            assert child.exitcode == 0
        assert sorted(map(str, found)) == ["7.0", "7.0", "x", "x"]
        assert file["w"][999_999] == 999_999
    assert stele.load(url + ".child") == "child"


def test_a_file_is_pickled_by_its_url(s3):
    import pickle

    stele.dump({"w": np.arange(10.0)}, s3.url + "/x.stele")
    with stele.open(s3.url + "/x.stele") as file:
        assert file.path == s3.url + "/x.stele"
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(file))["w"][()], np.arange(10.0))


@pytest.mark.parametrize("call", ["load", "open", "dump", "dump of parts", "load, within a body"])
def test_ctrl_c_ends_a_hanging_transfer(s3, call):
    url = s3.url + "/x.stele"
    stele.dump(generator.bytes(3 * MIB), url)
    s3.proxy.clear()
    s3.proxy.inject(faults.hang(bytes_sent=1000 if "body" in call else None), times=100, method="GET")
    s3.proxy.inject(faults.hang(), times=100, method="PUT")
    work = {"load": lambda: stele.load(url), "open": lambda: stele.open(url), "dump": lambda: stele.dump([1], url),
            "dump of parts": lambda: stele.dump(generator.bytes(40 * MIB), url),
            "load, within a body": lambda: stele.load(url)}[call]
    sent = []

    def interrupt():
        wait_for(lambda: s3.proxy.injected)
        time.sleep(0.2)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        work()
    seconds = time.monotonic() - sent[0]
    thread.join()
    s3.proxy.clear()
    assert seconds < 1
    assert len(stele.load(url)) == 3 * MIB and s3.uploads() == []


# --- The command line ---

@pytest.fixture
def command(environment):
    def run(*arguments, code=0):
        environment.update({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
        done = subprocess.run([sys.executable, "-m", "stele", *arguments], capture_output=True, text=True, env=environment,
                              timeout=60)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    return run


def test_the_command_line(s3, command, tmp_path):
    url = s3.url + "/a b.stele"
    stele.dump({"layers": [np.arange(5000.0)], "name": "x"}, url, metadata={"epoch": 3})
    assert "float64[5000]" in command("ls", url)
    assert "4.999e+03" in command("show", url, "layers/0")
    assert "epoch" in command("info", url)
    command("verify", url)
    command("convert", url, s3.url + "/y.stele.zst", "--codec", "zstd")
    assert stele.load(s3.url + "/y.stele.zst")["name"] == "x"
    command("extract", url, "layers/0", "-o", str(tmp_path / "z.stele"))
    command("extract", url, "layers/0", "-o", s3.url + "/z.stele")
    for place in (str(tmp_path / "z.stele"), s3.url + "/z.stele"):
        np.testing.assert_array_equal(stele.load(place), np.arange(5000.0))
    said = command("ls", s3.url + "/none.stele", code=3)
    assert s3.url + "/none.stele" in said
    s3.put("text", b"no archive" * 100)
    command("verify", s3.url + "/text", code=1)


def store_at(url, tmp_path, count=2000, shift=0):
    with stele.Store(tmp_path / f"made {shift}") as store:
        store.update({i: f"value {i + shift} " + "x" * 1000 for i in range(count)})
        store.compact_to(tmp_path / "one")
    stele.convert(tmp_path / "one", url)


def test_a_store_in_one_file(s3, tmp_path):
    url = s3.url + "/words.store"
    store_at(url, tmp_path)
    s3.proxy.clear()
    store = stele.Store(url, "r")
    assert store.path == url and len(store) == 2000
    assert len(s3.proxy.log) <= 3
    s3.proxy.clear()
    assert store[1234].startswith("value 1234 ")
    assert len(s3.proxy.log) <= 2
    assert list(store.keys()) == list(range(2000)) and store.get_many([5, 1999, 2000])[::2] == [store[5], None]
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(store[777][:10] != "value 777 "))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    with error("read_only"):
        store[1] = 2
    with error("unsupported", "compact_to"):
        stele.Store(url)
    with error("unsupported", "local file"):
        store.compact_to(s3.url + "/other.store")
    copy = stele.Store(tmp_path / "copy")
    assert copy.import_from(url)["items"] == 2000 and copy[1999] == store[1999]


def test_a_store_that_is_replaced(s3, tmp_path):
    url = s3.url + "/words.store"
    store_at(url, tmp_path)
    store = stele.Store(url, "r")
    assert store[0].startswith("value 0 ")
    store_at(url, tmp_path, shift=1)
    with error("changed"):
        list(store.values())
    assert stele.Store(url, "r")[0].startswith("value 1 ")


def test_the_command_line_reads_stores(s3, command, tmp_path):
    url = s3.url + "/words.store"
    store_at(url, tmp_path, 50)
    assert command("store", "get", url, "7", "--int").startswith("value 7 ")
    assert command("store", "ls", url).split() == [str(i) for i in range(50)]
    assert "50" in command("store", "stat", url)
    assert "ok" in command("store", "verify", url)
    command("store", "export", url, str(tmp_path / "out.jsonl"))
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 50
    command("store", "compact", url, str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == (tmp_path / "one").read_bytes()
    assert "50 items" in command("store", "import", str(tmp_path / "new"), url)
    assert "compact_to" in command("store", "put", url, "a", "--text", "b", code=5)
    assert "local" in command("store", "compact", str(tmp_path / "new"), s3.url + "/x.store", code=5)


def test_ctrl_c_ends_the_command_line(s3, environment):
    stele.dump(generator.bytes(3 * MIB), s3.url + "/x.stele")
    s3.proxy.clear()
    s3.proxy.inject(faults.hang(), times=100)
    environment.update({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
    process = subprocess.Popen([environment.get("STELE_BIN", "stele"), "verify", s3.url + "/x.stele"], env=environment,
                               stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: s3.proxy.injected)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=1) != 0
    finally:
        process.kill()
        process.wait()
