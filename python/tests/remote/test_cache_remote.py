"""The remote of stele.Cache: results that machines share, and that nobody needs."""

import asyncio
import json
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import fault_proxy as faults
import numpy as np
import pytest

import stele

package = os.path.dirname(os.path.dirname(stele.__file__))
LOG = []


def powers(n):
    LOG.append(n)
    return {"x": np.full(n, 0.5), "n": n, "name": ("a", None)}


def right(made, n):
    np.testing.assert_array_equal(made["x"], np.full(n, 0.5))
    return made["n"] == n and made["name"] == ("a", None)


@pytest.fixture
def machines(tmp_path):
    """Caches of several machines: each call has another folder."""
    LOG.clear()
    numbers = iter(range(100))

    def make(remote=tmp_path / "shared", **options):
        return stele.Cache(tmp_path / f"machine-{next(numbers)}", remote=remote, **options)

    return make


def test_two_machines_compute_each_result_once(machines):
    a, b = machines(), machines()
    f, g = (one.cache(powers, metadata={"by": "me"}) for one in (a, b))
    for n in 3, 100_000:
        assert right(f(n), n)
    assert a.flush()
    assert right(g(3), 3) and right(g(100_000), 100_000) and LOG == [3, 100_000]
    assert isinstance(g(100_000)["x"].base, object) and not g(100_000)["x"].flags.writeable  # mapped, as any large one
    stats = b.stats()
    assert stats["remote_hits"] == 2 and stats["misses"] == 0 and stats["stored"] == 0 and stats["remote_stored"] == 0
    assert a.stats()["remote_misses"] == 2 and a.stats()["remote_stored"] == 2 and a.stats()["remote_failed"] == 0
    entry = next(one for one in b.entries() if one["file"])
    ours = next(one for one in a.entries() if one["file"])
    assert entry["from_remote"] and not ours["from_remote"] and entry["metadata"] == {"by": "me"}
    assert all(entry[name] == ours[name] for name in ("key", "name", "version", "time", "duration", "bytes"))
    assert b.verify() == []


def test_checks_and_handles_ask_too(machines):
    a, b, c, d = (machines() for _ in range(4))
    handle = a.cache(powers).call_and_shelve(3)
    a.flush()
    assert b.cache(powers).check(3) and not b.cache(powers).check(4)
    assert right(c.cache(powers).call_and_shelve(3).get(), 3)
    assert right(d.cache(powers).result(3).get(), 3) and d.cache(powers).result(3).metadata["key"] == handle.key
    with pytest.raises(KeyError):
        d.cache(powers).result(4).get()
    assert LOG == [3]
    handle.clear()
    assert right(a.cache(powers)(3), 3) and LOG == [3]
    handle.clear(remote=True)
    assert right(a.cache(powers)(3), 3) and LOG == [3, 3]


def test_async_functions_share_too(machines):
    async def slow(n):
        LOG.append(n)
        await asyncio.sleep(0.01)
        return n + 1

    a, b = machines(), machines()

    async def some(cache):
        f = cache.cache(slow, version=1, key=lambda n: n)
        return await asyncio.gather(*(f(n % 3) for n in range(9)))

    assert asyncio.run(some(a)) == [1, 2, 3] * 3
    a.flush()
    assert asyncio.run(some(b)) == [1, 2, 3] * 3 and sorted(LOG) == [0, 1, 2]


def test_validation_and_read_only_caches(machines, tmp_path):
    a = machines()
    a.cache(powers)(3)
    a.cache(powers)(100_000)
    a.flush()
    b = machines()
    assert right(b.cache(powers, validate=lambda entry: entry["duration"] < -1)(3), 3) and LOG == [3, 100_000, 3]
    b.flush()
    assert b.stats()["remote_stored"] == 1  # what was computed anew is the result
    stele.Cache(tmp_path / "reader")
    reader = stele.Cache(tmp_path / "reader", remote=tmp_path / "shared", read_only=True)
    f = reader.cache(powers)
    before = sorted(os.walk(tmp_path / "shared"))
    assert right(f(3), 3) and right(f(100_000), 100_000) and right(f(5), 5) and LOG == [3, 100_000, 3, 5]
    assert reader.stats()["items"] == 0 and sorted(os.walk(tmp_path / "shared")) == before


class Touching:
    """An object that makes a file when it is rebuilt."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_of_the_remote_is_executed_unless_it_is_trusted(machines, tmp_path):
    path = str(tmp_path / "touched")

    def make(n):
        LOG.append(n)
        return Touching(path)

    a, b = machines(), machines()
    assert isinstance(a.cache(make, version=1, key=lambda n: n)(1), Touching)
    a.flush()
    f = b.cache(make, version=1, key=lambda n: n)
    for _ in range(2):  # from the remote, and then from the folder
        with pytest.raises(stele.UntrustedError):
            f(1)
    # One that knows of no remote decides by where the result is from.
    with pytest.raises(stele.UntrustedError):
        stele.Cache(b.location).cache(make, version=1, key=lambda n: n)(1)
    assert not os.path.exists(path) and LOG == [1]
    f(2)
    f(2).close()  # what is computed here may be rebuilt: the folder is this user's
    assert os.path.exists(path) and LOG == [1, 2]
    os.remove(path)
    stele.Cache(b.location, trusted=True).cache(make, version=1, key=lambda n: n)(1).close()
    assert os.path.exists(path)


def test_without_the_remote_results_are_right(machines, tmp_path, caplog):
    (tmp_path / "file").write_text("a file where the folder should be")
    cache = machines(tmp_path / "file")
    f = cache.cache(powers)
    with caplog.at_level(logging.WARNING, "stele.cache"):
        for n in range(20):
            assert right(f(n), n) and right(f(n), n)
        assert not cache.flush()
    assert LOG == list(range(20)) and len(caplog.records) == 2  # reading is none; once for each way
    assert cache.stats()["remote_failed"] >= 1


def test_a_url_is_no_folder_and_pickles_keep_the_remote(machines, tmp_path):
    with pytest.raises(stele.Error, match="a cache is a local folder"):
        stele.Cache("s3://bucket/x")
    with pytest.raises(stele.Error, match="no remote|unknown://|there is no storage|not known|rotocol"):
        machines("unknown-scheme://x")
    cache = machines()
    cache.cache(powers)(3)
    cache.flush()
    again = pickle.loads(pickle.dumps(cache))
    again.clear()
    assert right(again.cache(powers)(3), 3) and LOG == [3]
    assert stele.Cache(None, remote=tmp_path / "x").cache(powers)(4)["n"] == 4 and stele.Cache(None).flush()


def run(program, *arguments, **options):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)], capture_output=True, text=True,
                          env=dict(os.environ, PYTHONPATH=package), timeout=100, **options)


PROGRAM = """
    import sys, stele, multiprocessing
    def f(n):
        return [n] * 100_000
    def work(n):
        return len(cache.cache(f, version=1)(n))
    if __name__ == "__main__":
        cache = stele.Cache(sys.argv[1], remote=sys.argv[2])
        assert work(1) == 100_000
        if sys.argv[3:]:
            child = multiprocessing.get_context("fork").Process(target=work, args=(2,))
            child.start()
            child.join()
            assert child.exitcode == 0
"""


@pytest.mark.parametrize("workers", [[], ["workers"]])
def test_the_end_of_a_program_waits_for_what_is_written(tmp_path, workers):
    done = run(PROGRAM, tmp_path / "c", tmp_path / "shared", *workers)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    objects = [name for _, _, names in os.walk(tmp_path / "shared") for name in names if name.endswith(".result")]
    assert len(objects) == 1 + len(workers)


@pytest.mark.skipif(not os.environ.get("STELE_BIN"), reason="STELE_BIN names no command line")
def test_the_command_line(tmp_path):
    def command(*arguments, code=0):
        done = subprocess.run([os.environ["STELE_BIN"], "cache", *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    LOG.clear()
    cache = stele.Cache(tmp_path / "c")
    for n in 3, 100_000:
        cache.cache(powers)(n)
    assert "remote" not in command("stat", tmp_path / "c")
    assert json.loads(command("push", tmp_path / "c", tmp_path / "shared", "--json"))["written"] == 2
    assert "0 results written" in command("push", tmp_path / "c", tmp_path / "shared")
    assert json.loads(command("stat", tmp_path / "c", "--json"))["remote_stored"] == 2
    assert "remote stored" in command("stat", tmp_path / "c")
    other = stele.Cache(tmp_path / "d", remote=tmp_path / "shared")
    assert right(other.cache(powers)(3), 3) and LOG == [3, 100_000]
    listed = json.loads(command("ls", tmp_path / "d", "--json"))["results"]
    assert [one["from_remote"] for one in listed] == [True]
    assert "there is no cache" in command("push", tmp_path / "none", tmp_path / "shared", code=3)


def test_file_systems_of_python(machines):
    pytest.importorskip("fsspec")
    a, b = (machines("memory://test-cache-remote/results") for _ in range(2))
    assert right(a.cache(powers)(3), 3) and right(a.cache(powers)(100_000), 100_000)
    assert a.flush()
    assert right(b.cache(powers)(3), 3) and right(b.cache(powers)(100_000), 100_000) and LOG == [3, 100_000]


# --- Object stores ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["s3", "moto"])
def test_object_stores(request, server, machines):
    store = request.getfixturevalue(server)
    a, b = machines(store.url), machines(store.url)
    for n in 3, 100_000, 1_500_000:
        assert right(a.cache(powers)(n), n)
    assert a.flush() and a.stats()["remote_stored"] == 3 and store.uploads() == []
    assert all(key.startswith("results/1/") for key in store.keys()) and len(store.keys()) == 3
    store.proxy.clear()
    for n in 3, 100_000:
        assert right(b.cache(powers)(n), n)
        assert right(b.cache(powers)(n), n)
    assert [one.method for one in store.proxy.log] == ["GET", "GET", "GET"]  # the large one's end, and what is before it
    assert right(b.cache(powers)(1_500_000), 1_500_000)
    b.cache(powers)(5)
    assert b.flush() and len(store.keys()) == 4
    assert LOG == [3, 100_000, 1_500_000, 5]


def test_an_outage_costs_one_look_up(s3, machines, patience, caplog):
    patience(attempts=1)
    cache = machines(s3.url)
    f = cache.cache(powers)
    f(1)
    assert cache.flush()
    s3.proxy.clear()
    s3.proxy.inject(faults.status(503, "SlowDown"), times=1000)
    with caplog.at_level(logging.WARNING, "stele.cache"):
        for n in range(20):
            assert right(f(n), n)
        assert not cache.flush()
    assert len(s3.proxy.log) <= 8 and len(caplog.records) == 2  # a round of writing tries two results
    s3.proxy.clear()
    assert cache.flush() and len(s3.keys()) == 20


def test_refused_credentials_cost_no_result(s3, machines, monkeypatch, caplog):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    cache = machines(s3.url)
    with caplog.at_level(logging.WARNING, "stele.cache"):
        assert right(cache.cache(powers)(3), 3) and right(cache.cache(powers)(3), 3)
        assert not cache.flush()
    assert LOG == [3] and caplog.text.count("403") == 2


def test_damaged_objects_are_misses(s3, machines, caplog):
    machines(s3.url).cache(powers)(100_000)
    while not s3.keys():
        time.sleep(0.01)
    key = s3.keys()[0]
    content = bytearray(s3.get(key))
    content[400_000] ^= 1
    s3.put(key, bytes(content))
    b = machines(s3.url)
    with caplog.at_level(logging.WARNING, "stele.cache"):
        assert right(b.cache(powers)(100_000), 100_000)
    assert LOG == [100_000] * 2 and b.stats()["damaged"] == 1 and "checksum" in caplog.text
    assert b.flush()
    assert right(machines(s3.url).cache(powers)(100_000), 100_000) and LOG == [100_000] * 2


def test_ctrl_c_ends_waiting_for_the_remote(s3, machines):
    cache = machines(s3.url, remote_wait=0.5)
    s3.proxy.inject(faults.hang(60), times=1000)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cache.cache(powers)(3)
    assert time.monotonic() - start < 10 and LOG == []
    cache._held.put("f", "1", b"0" * 16, 1.0, 5, 0.0, None, False)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        cache.flush()
    assert time.monotonic() - start < 20
    ticks = []
    over = threading.Event()
    thread = threading.Thread(target=lambda: [ticks.append(over.wait(0.005)) for _ in range(2000) if not over.is_set()])
    thread.start()
    before = len(ticks)
    cache._held.close()  # waits for what hangs, and for no longer than allowed
    assert len(ticks) - before > 20  # others run meanwhile
    over.set()
    thread.join()
    assert time.monotonic() - start < 30
