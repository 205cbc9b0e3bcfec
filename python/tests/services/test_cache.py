"""stele.Cache: what counts for a key, what comes back, many processes, joblib's names."""

import asyncio
import datetime
import functools
import json
import logging
import multiprocessing
import operator
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import stele


@pytest.fixture
def cache(tmp_path):
    return stele.Cache(tmp_path / "cache")


def test_each_way_to_write_a_call_has_one_key(cache):
    calls = []

    def f(x, y=2, *, z=3):
        calls.append((x, y, z))
        return x, y, z

    f = cache.cache(f, version=1)
    assert f(1) == (1, 2, 3)
    assert f(1, 2) == f(x=1) == f(y=2, x=1) == f(1, z=3) == f(1, y=2, z=3) == (1, 2, 3)
    assert len(calls) == 1
    assert f(2) == (2, 2, 3) and f(1, 3) == (1, 3, 3) and f(1, z=4) == (1, 2, 4)
    assert len(calls) == 4
    with pytest.raises(TypeError):
        f()


LOG = []


def logged(x, y=2, *rest, z=3, **more):
    LOG.append(1)
    return [x, y, rest, z, sorted(more.items())]


def test_variable_arguments(cache):
    f = cache.cache(logged)
    LOG.clear()
    assert f(1, 2, 3, 4, z=5, b=1, a=2) == [1, 2, (3, 4), 5, [("a", 2), ("b", 1)]]
    assert f(1, 2, 3, 4, a=2, b=1, z=5) == [1, 2, (3, 4), 5, [("a", 2), ("b", 1)]]
    assert len(LOG) == 1
    f(1, 2, (3, 4), z=5, b=1, a=2)
    f(1, 2, 3, 4, z=5, b=2, a=1)
    assert len(LOG) == 3


def total(x, n_jobs=1, verbose=0):
    LOG.append(1)
    return float(np.sum(x)) if not isinstance(x, (dict, set)) else sorted(x)


def test_equal_values_have_one_key(cache):
    f = cache.cache(total, ignore=["n_jobs", "verbose"])
    LOG.clear()
    x = np.arange(12.0).reshape(3, 4)
    assert f(x) == f(np.asfortranarray(x)) == f(np.arange(24.0)[::2].reshape(3, 4) / 2) == f(x, n_jobs=8) == 66
    assert len(LOG) == 1
    assert f({"a": 1, "b": 2}) == f({"b": 2, "a": 1}) and f({3, 1, 2}) == f({2, 3, 1})
    assert len(LOG) == 3
    f(x.astype(np.float32))
    f(x.T)
    f(x.tolist())
    assert len(LOG) == 6
    same = [1.5, 2.5]
    assert f([same, same]) == f([[1.5, 2.5], [1.5, 2.5]]) and len(LOG) == 7  # identity does not count
    with pytest.raises(ValueError, match="not defined"):
        cache.cache(total, ignore=["no_such"])


def test_keys_are_the_same_in_other_processes(cache, tmp_path):
    code = textwrap.dedent("""
        import sys; sys.path.insert(0, %r)
        import stele, numpy as np, test_cache
        c = stele.Cache(%r)
        f = c.cache(test_cache.total)
        print(f.check({"a": np.arange(5), "b": {1, 2, "x"}}), f.name, f.version)
    """ % (os.path.dirname(os.path.abspath(__file__)), cache.location))
    import test_cache

    f = cache.cache(test_cache.total)
    f({"b": {2, "x", 1}, "a": np.arange(5)})
    for seed in "1", "2":
        out = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
                             capture_output=True, text=True).stdout.split()
        assert out == ["True", f.name, f.version]


def test_source_counts_and_comments_do_not(cache, tmp_path):
    def version_of(source):
        path = tmp_path / f"module_{version_of.count}.py"
        version_of.count += 1
        path.write_text(source)
        space = {}
        exec(compile(source, str(path), "exec"), space)
        return cache.cache(space["f"]).version

    version_of.count = 0
    first = version_of("def f(x):\n    return x + 1\n")
    assert version_of("# comment\ndef f(x):\n\n    # more\n    return x  +  1\n") == first
    assert version_of("def f(x):\n    return x + 2\n") != first
    assert version_of("def f(x):\n    if x:\n        return 1\n    return 2\n") != version_of(
        "def f(x):\n    if x:\n        return 1\n        return 2\n")
    one, two = cache.cache(lambda x: x + 1), cache.cache(lambda x: x + 2)
    assert one(1) == 2 and two(1) == 3


def test_versions_live_side_by_side(cache):
    f1, f2 = cache.cache(total, version=1), cache.cache(total, version="two")
    LOG.clear()
    for _ in range(3):
        assert f1([1, 2]) == f2([1, 2]) == 3
    assert len(LOG) == 2
    f1.clear(warn=False)
    assert not f1.check([1, 2]) and f2.check([1, 2])
    f2.clear(all_versions=True)
    assert not f2.check([1, 2])


def test_closures_count(cache):
    def adder(n):
        def add(x):
            return x + n
        return cache.cache(add)

    assert [adder(n)(10) for n in (1, 2, 1)] == [11, 12, 11]
    assert cache.stats()["misses"] == 2


def test_variables_that_get_their_value_later_count(cache):
    def run(factor):
        @cache.cache
        def scaled(x):
            return helper(x)

        def helper(x):  # not yet there when scaled was decorated
            return x * factor

        values = [scaled(1)]
        factor = 10 * factor
        return [*values, scaled(1)]

    assert run(1) == [1, 10] and run(2) == [2, 20] and run(1) == [1, 10]
    assert cache.stats()["misses"] == 4


def test_what_a_function_assigns_itself_does_not_make_it_new_each_time(cache):
    calls = 0
    seen = []

    @cache.cache
    def square(x):
        nonlocal calls
        calls += 1
        seen.append(x)
        return x * x

    assert [square(3), square(3), square(4), square(3)] == [9, 9, 16, 9]
    assert calls == 2 and seen == [3, 4]


def _plus(a, b=0):
    return a + b


def _times(a, b=1):
    return a * b


class _Scale:
    def __init__(self, factor):
        self.factor = factor

    def of(self, x):
        return self.factor * x

    @classmethod
    def name(cls, x):
        return cls.__name__ * x

    def __call__(self, x):
        return self.factor + x


class _Other(_Scale):
    pass


def _more(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + 1
    return wrapper


def _much_more(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + 2
    return wrapper


@pytest.mark.parametrize("functions, args, results", [
    ([functools.partial(_plus, 3), functools.partial(_times, 3), functools.partial(_plus, 5),
      functools.partial(_plus, b=7)], (4,), [7, 12, 9, 11]),
    ([_Scale(2).of, _Scale(3).of], (5,), [10, 15]),
    ([_Scale(2), _Scale(3)], (5,), [7, 8]),
    ([_Scale.name, _Other.name], (2,), ["_Scale_Scale", "_Other_Other"]),
    (["-".join, "+".join], (["a", "b"],), ["a-b", "a+b"]),
    ([operator.itemgetter(0), operator.itemgetter(1)], ([5, 6],), [5, 6]),
    ([np.add, np.multiply], (3, 4), [7, 12]),
    ([np.vectorize(_plus), np.vectorize(_times)], (3, 4), [7, 12]),
    ([functools.lru_cache(_plus), functools.lru_cache(_times)], (3, 4), [7, 12]),
    ([_plus, _more(_plus), _much_more(_plus)], (1, 1), [2, 3, 4]),
    ([int, float, str.upper, str.lower], ("1",), [1, 1.0, "1", "1"]),
], ids=["partial", "method", "callable object", "classmethod", "method of a built-in object", "itemgetter", "ufunc",
        "vectorize", "lru_cache", "wraps", "types"])
@pytest.mark.parametrize("version", [None, 1])
def test_each_callable_has_results_of_its_own(cache, functions, args, results, version):
    for _ in range(2):
        assert [cache.cache(function, version=version)(*args) for function in functions] == results
    assert cache.stats()["misses"] == cache.stats()["hits"] == len(functions)


def test_lambdas_of_one_version_differ(cache):
    assert [cache.cache(f, version=1)(5) for f in (lambda x: x + 1, lambda x: x + 2)] == [6, 7]


def test_functions_among_the_variables_count_with_theirs(cache):
    def outer(k, default=0):
        def helper(x, more=default):
            return x + k + more

        return cache.cache(lambda x: helper(x))

    assert [outer(1)(1), outer(2)(1), outer(1, 5)(1)] == [2, 3, 7]


def test_a_wrong_call_fails_as_it_does_without_a_cache(cache):
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        cache.cache(_plus)(b=1)


def test_results_are_equal_and_of_the_same_type(cache):
    import pandas as pd

    values = [None, 1, 2.5, "text", b"bytes", (1, 2), [1, {"a": (3,)}], {1, 2}, np.float32(3), np.arange(10),
              np.zeros((300, 100)), pd.DataFrame({"a": [1, 2], "b": ["x", None]}), datetime.date(2020, 1, 2), {"k": np.ones(20_000)}]
    f = cache.cache(lambda i: values[i], key=lambda i: i, version=1)
    for i, value in enumerate(values):
        for _ in range(2):
            got = f(i)
            if isinstance(value, pd.DataFrame):
                pd.testing.assert_frame_equal(got, value)
            elif isinstance(value, np.ndarray):
                np.testing.assert_array_equal(got, value)
                assert got.dtype == value.dtype
            elif isinstance(value, dict) and "k" in value:
                np.testing.assert_array_equal(got["k"], value["k"])
            else:
                assert got == value and type(got) is type(value)
    assert cache.stats()["misses"] == len(values)


def test_mapped_results_cannot_change_the_cache(tmp_path):
    for mode in "r", "c", None:
        cache = stele.Cache(tmp_path / str(mode), mmap_mode=mode)
        f = cache.cache(lambda: np.zeros(100_000), version=1)
        first, second = f(), f()
        assert isinstance(first, np.ndarray)
        if mode == "r":
            assert not first.flags.writeable and not second.flags.writeable
        else:
            first[0] = second[1] = 5
            assert f()[0] == 0 and f()[1] == 0
    with pytest.raises(ValueError, match="cannot be changed"):
        stele.Cache(tmp_path / "r", mmap_mode="r+")


class Model:
    def __init__(self, n):
        self.n = n
        self.weights = np.full(n, 2.0)
        self.calls = 0

    def __eq__(self, other):
        return self.n == other.n and np.array_equal(self.weights, other.weights)


def fit(n):
    LOG.append(1)
    return Model(n)


def test_objects_of_ones_own_folder_are_trusted(tmp_path, caplog):
    cache = stele.Cache(tmp_path / "c")
    f = cache.cache(fit)
    LOG.clear()
    assert f(3) == f(3) == Model(3) and len(LOG) == 1
    os.chmod(tmp_path / "c", 0o777)
    with pytest.raises(stele.UntrustedError):
        stele.Cache(tmp_path / "c").cache(fit)(3)
    assert stele.Cache(tmp_path / "c", trusted=["test_cache.*", Model]).cache(fit)(3) == Model(3)


class Changing:
    fails = False

    def __setstate__(self, state):
        if Changing.fails:
            raise RuntimeError("other fields now")
        self.__dict__.update(state)


def changing():
    LOG.append(1)
    made = Changing()
    made.x = 1
    return made


def test_what_cannot_be_rebuilt_is_computed_anew(cache, caplog):
    f = cache.cache(changing)
    LOG.clear()
    assert f().x == f().x == 1 and len(LOG) == 1
    Changing.fails = True
    try:
        with caplog.at_level(logging.WARNING, "stele.cache"):
            assert f().x == 1 and len(LOG) == 2
        assert "other fields now" in caplog.text
    finally:
        Changing.fails = False
    assert f().x == 1 and len(LOG) == 2


def test_methods(cache):
    class Counter:
        calls = 0

        def __init__(self, base):
            self.base = base

        @cache.cache(version=1, key=lambda self, x: (self.base, x))
        def add(self, x):
            type(self).calls += 1
            return self.base + x

    a, b = Counter(1), Counter(10)
    assert [a.add(5), a.add(5), b.add(5), a.add(6)] == [6, 6, 15, 7]
    assert Counter.calls == 3
    assert a.add.check(5) and not a.add.check(7)
    assert a.add.call_and_shelve(5).get() == 6


def test_async(cache):
    calls = []

    @cache.cache(version=1, key=lambda x: x)
    async def slow(x):
        calls.append(x)
        await asyncio.sleep(0.05)
        if x < 0:
            raise ValueError("negative")
        return x * 2

    async def main():
        assert await asyncio.gather(*(slow(i % 3) for i in range(12))) == [i % 3 * 2 for i in range(12)]
        with pytest.raises(ValueError):
            await slow(-1)
        shelved = await slow.call_and_shelve(7)
        assert shelved.get() == 14 and (await slow.call_and_shelve(7)) == shelved
        assert (await slow.call(2))[0] == 4
        return await slow(1)

    assert asyncio.run(main()) == 2
    assert sorted(calls) == [-1, 0, 1, 2, 2, 7]


def test_async_calls_of_several_event_loops(cache):
    calls, found = [], []

    @cache.cache(version=1, key=lambda x: x)
    async def slow(x):
        calls.append(x)
        await asyncio.sleep(0.2)
        return x

    threads = [threading.Thread(target=lambda: found.append(asyncio.run(slow(7)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [7, 7, 7] and calls == [7]


def test_async_waiting_does_not_keep_the_threads_from_those_who_compute(tmp_path):
    """Two caches that each hold what the other waits for, with functions that run in the loop's few threads."""
    names = [f"result {n}" for n in range(80)]

    def work(order):
        cache = stele.Cache(tmp_path / "cache")

        @cache.cache(version=1)
        async def slow(name):
            await asyncio.to_thread(time.sleep, 0.005)
            return name

        async def main():
            return await asyncio.wait_for(asyncio.gather(*(slow(name) for name in order)), 60)

        found.append(sorted(asyncio.run(main())))

    found = []
    threads = [threading.Thread(target=work, args=(order,)) for order in (names, names[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert found == [sorted(names)] * 2


def test_an_async_call_inside_of_the_same_call(cache):
    depth = 0

    @cache.cache(version=1)
    async def nested():
        nonlocal depth
        depth += 1
        return 7 if depth == 3 else (await asyncio.gather(nested()))[0]

    async def main():
        return await asyncio.wait_for(nested(), 30)

    assert asyncio.run(main()) == 7 and depth == 3


def test_async_waiting_ends_in_time(tmp_path):
    cache = stele.Cache(tmp_path / "cache", wait=0.2)

    @cache.cache(version=1)
    async def slow():
        await asyncio.sleep(1.5)
        return 1

    async def main():
        first = asyncio.create_task(slow())
        await asyncio.sleep(0.05)
        begin = time.monotonic()
        assert await slow() == 1  # computed here too
        assert time.monotonic() - begin > 1.5
        first.cancel()
        return await slow()

    assert asyncio.run(main()) == 1
    assert cache.stats()["misses"] == 2


def test_other_code_is_another_version(cache):
    def one(x):
        return x + 1

    f = cache.cache(one)
    assert f(1) == 2
    one.__code__ = (lambda x: x + 5).__code__
    assert f(1) == 6 and f(1) == 6
    for seconds in (-1, float("nan")):
        with pytest.raises(ValueError, match="expires_after"):
            cache.cache(one, expires_after=seconds)
        with pytest.raises(stele.Error, match="out of its range"):
            stele.Cache(cache.location, age_limit=seconds)
    for wrong in ("no", True, False):
        with pytest.raises(ValueError, match="callable"):
            cache.cache(cache_validation_callback=wrong)


def test_exceptions_are_not_cached(cache):
    attempts = []
    f = cache.cache(lambda: attempts.append(1) or 1 // (len(attempts) - 1), version=1, key=lambda: 0)
    with pytest.raises(ZeroDivisionError):
        f()
    assert f() == 1 and f() == 1 and len(attempts) == 2


def test_shelved_results(cache):
    f = cache.cache(total)
    LOG.clear()
    shelved = f.call_and_shelve([1, 2, 3])
    assert f.call_and_shelve([1, 2, 3]) == shelved and len(LOG) == 1
    assert shelved.get() == 6 and pickle.loads(pickle.dumps(shelved)).get() == 6
    assert shelved.metadata["name"] == f.name and shelved.metadata["duration"] >= 0
    assert f.check([1, 2, 3]) and f.check_call_in_cache([1, 2, 3])
    shelved.clear()
    assert not f.check([1, 2, 3])
    with pytest.raises(KeyError):
        shelved.get()
    assert f.call([1, 2, 3])[0] == 6 and f.call([1, 2, 3])[1]["name"] == f.name and len(LOG) == 3


def test_expiry_and_validation(tmp_path):
    cache = stele.Cache(tmp_path)
    f = cache.cache(total, version=1, expires_after=datetime.timedelta(seconds=3))
    LOG.clear()
    f([1]), f([1])
    time.sleep(3.2)
    f([1])
    assert len(LOG) == 2
    seen = []
    g = cache.cache(total, version=2, cache_validation_callback=lambda entry: seen.append(entry) or entry["duration"] < 0,
                    metadata={"rows": 3})
    g([1]), g([1])
    assert len(LOG) == 4 and seen[0]["metadata"] == {"rows": 3} and abs(seen[0]["time"] - time.time()) < 60


def test_limits(tmp_path):
    cache = stele.Cache(tmp_path, bytes_limit="1M")
    f = cache.cache(lambda i: np.full(10_000, i), version=1)
    for i in range(60):
        assert f(i)[0] == i
        assert cache.stats()["bytes"] <= 1 << 20
    assert cache.stats()["evicted"] > 0 and f.check(59) and not f.check(0)
    assert cache.reduce_size(items_limit=3) > 0 and cache.stats()["items"] == 3
    cache.reduce_size(bytes_limit="10K")
    assert cache.stats()["bytes"] <= 10 << 10
    f(1)
    time.sleep(1.1)
    cache.reduce_size(age_limit=datetime.timedelta(seconds=0))
    assert cache.stats()["items"] == 0
    key = f.call_and_shelve(5).key
    assert cache.pin(key) and [e["pinned"] for e in cache.entries()] == [True]
    assert not cache.pin("xxh3-128:" + "0" * 32)


def test_progress_of_pruning_and_verifying(cache):
    f = cache.cache(lambda x: x, version=1)
    for i in range(50):
        f(i)
    seen = []
    assert cache.verify(progress=lambda done, total: seen.append((done, total))) == []
    assert seen[0] == (1, 50) and seen[-1] == (50, 50)
    assert cache.reduce_size(items_limit=20, progress=lambda done, total: False) == 0
    assert cache.reduce_size(items_limit=20, progress=lambda done, total: seen.append((done, total))) == 30
    assert seen[-1] == (30, 50)
    with pytest.raises(ZeroDivisionError):
        cache.verify(progress=lambda done, total: 1 // 0)
    assert cache.verify(progress=True) == [] and cache.reduce_size(progress=True) == 0


def test_failures_to_store(tmp_path, caplog):
    make = lambda: (lambda: 1)  # noqa: E731 - a lambda cannot be stored
    with caplog.at_level(logging.WARNING, "stele.cache"):
        assert stele.Cache(tmp_path).cache(make, version=1)()() == 1
    assert "is not stored" in caplog.text
    caplog.clear()
    assert stele.Cache(tmp_path, on_failure="ignore").cache(make, version=1)()() == 1
    assert not caplog.records
    with pytest.raises(TypeError):
        stele.Cache(tmp_path, on_failure="raise").cache(make, version=1)()


def test_damage_is_a_miss(tmp_path, caplog):
    cache = stele.Cache(tmp_path / "c", verify="full")
    f = cache.cache(lambda i: np.full(20_000, i) if i % 2 else [i] * 10, version=1)
    for i in range(20):
        f(i)
    for entry in cache.entries():
        if entry["file"]:
            with open(entry["file"], "r+b") as file:
                file.seek(50_000)
                file.write(b"damage")
    assert len(cache.verify()) == 10
    with caplog.at_level(logging.WARNING, "stele.cache"):
        for i in range(20):
            assert (f(i) == (np.full(20_000, i) if i % 2 else [i] * 10)).all() if i % 2 else f(i) == [i] * 10
    assert cache.stats()["damaged"] == 10 and cache.verify() == [] and "cannot be used" in caplog.text


def test_no_folder():
    cache = stele.Cache(None)
    LOG.clear()
    f = cache.cache(total)
    assert f([1]) == f([1]) == 1 and len(LOG) == 2
    assert f.call_and_shelve([1]).get() == 1 and not f.check([1]) and cache.reduce_size() == 0
    f.clear()
    cache.clear()


def test_decorators_and_pickling(tmp_path):
    module = tmp_path / "with_cache.py"
    module.write_text(textwrap.dedent("""
        import numpy as np
        import stele
        cache = stele.Cache(%r)

        @cache.cache
        def twice(x):
            "Doubles."
            return helper(x) * 2

        @cache.cache(follow=True)
        def followed(x):
            return helper(x)

        def helper(x):
            return x + offset[0]

        offset = np.zeros(3)
    """ % str(tmp_path / "c")))
    sys.path.insert(0, str(tmp_path))
    try:
        import with_cache

        assert with_cache.twice(2) == 4 and with_cache.twice.__doc__ == "Doubles." and with_cache.twice.__name__ == "twice"
        assert pickle.loads(pickle.dumps(with_cache.twice)) is with_cache.twice
        again = pickle.loads(pickle.dumps(with_cache.cache.cache(with_cache.helper)))
        assert again(3) == 3
        copied = pickle.loads(pickle.dumps(with_cache.cache))
        assert copied.location == with_cache.cache.location
        before = with_cache.followed.version
        source = module.read_text().replace("return x + offset[0]", "return x + 1")
        module.write_text(source)
        os.utime(module, (1, 1))
        import importlib
        import linecache

        linecache.clearcache()
        importlib.invalidate_caches()
        twice = with_cache.twice.version
        with_cache = importlib.reload(with_cache)
        assert with_cache.followed.version != before and with_cache.twice.version == twice
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["with_cache"]


def work(location, log, seed):
    cache = stele.Cache(location)

    def compute(n):
        with open(log, "ab", buffering=0) as file:
            file.write(b"%d\n" % n)
        return np.full(9_000 if n % 10 == 0 else 10, n)

    f = cache.cache(compute, version=1, key=lambda n: n)
    for i in range(500):
        n = (i * 7 + seed * 13) % 100
        assert (f(n) == n).all()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_compute_each_result_once(tmp_path, method):
    context = multiprocessing.get_context(method)
    parent = stele.Cache(tmp_path / "c")  # open before the fork
    parent.cache(total)([1])
    children = [context.Process(target=work, args=(str(tmp_path / "c"), str(tmp_path / "log"), seed)) for seed in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    lines = (tmp_path / "log").read_text().split()
    assert sorted(map(int, lines)) == list(range(100))
    assert parent.verify() == []


def test_a_cache_is_used_on_in_a_child_of_fork(tmp_path):
    cache = stele.Cache(tmp_path)
    f = cache.cache(total)
    f([1])
    child = os.fork()
    if child == 0:
        os._exit(0 if f([1]) == 1 and f([2]) == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    LOG.clear()
    assert f([2]) == 2 and not LOG


def test_ctrl_c_ends_waiting(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=hold_named, args=(str(tmp_path), ready))
    child.start()
    assert ready.wait(30)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        stele.Cache(tmp_path).cache(held, version=1)(0)
    assert time.monotonic() - start < 20
    child.kill()
    child.join()
    assert stele.Cache(tmp_path).cache(held, version=1)(0) == 1  # at once


READY = None


def held(n):
    if READY is not None:
        READY.set()
        time.sleep(60)
    return 1


def hold_named(location, ready):
    global READY
    READY = ready
    stele.Cache(location).cache(held, version=1)(0)


def test_threads(cache):
    calls = []

    def slow(n):
        calls.append(n)
        time.sleep(0.01)
        return n

    f = cache.cache(slow, version=1, key=lambda n: n)
    threads = [threading.Thread(target=lambda t=t: [f((i + t) % 20) for i in range(100)]) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(calls) == list(range(20))


def test_compress_as_joblib_has_it(tmp_path):
    sizes = []
    for compress in (False, True, 9):
        cache = stele.Cache(tmp_path / str(compress), compress=compress)
        f = cache.cache(lambda n: np.zeros(n), version=1)
        assert not f(100_000).any() and not f(100_000).any() and cache.stats()["hits"] > 0
        sizes.append(cache.stats()["bytes"])
    assert sizes[0] > 100 * sizes[1]
    with pytest.raises(ValueError, match="stands for"):
        stele.Cache(tmp_path / "other", codec="zstd", compress=True)


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_folder_that_is_removed_meanwhile_is_an_empty_cache(tmp_path, size):
    calls = []
    cache = stele.Cache(tmp_path / "cache")

    @cache.cache(version=1)
    def ones(n):
        calls.append(n)
        return np.ones(n)

    for round in (1, 2, 3):
        assert ones(size).sum() == size and ones(size).sum() == size
        assert len(calls) == round
        assert stele.Cache(tmp_path / "cache").stats()["items"] == 1
        shutil.rmtree(tmp_path / "cache")


def test_a_killed_holder_is_replaced_though_its_child_lives(tmp_path):
    program = textwrap.dedent("""
        import os, sys, time, stele
        def slow():
            if sys.argv[2] == "dies":
                if os.fork() == 0:
                    print("forked", flush=True)
                time.sleep(60)
            return 7
        print(stele.Cache(sys.argv[1]).cache(slow, version=1)())
        """)
    command = [sys.executable, "-c", program, str(tmp_path / "cache")]
    with subprocess.Popen([*command, "dies"], stdout=subprocess.PIPE, text=True, start_new_session=True) as holder:
        try:
            assert holder.stdout.readline() == "forked\n"
            holder.kill()
            found = subprocess.run([*command, "lives"], capture_output=True, text=True, timeout=30)
            assert found.stdout == "7\n", found.stderr
        finally:
            os.killpg(holder.pid, signal.SIGKILL)


def test_takes_the_place_of_memory(tmp_path):
    """The lines of joblib's documentation, with Cache for Memory."""
    memory = stele.Cache(tmp_path, verbose=0)

    def compute_statistics(x):
        return np.mean(x, axis=0), np.std(x, axis=0)

    x = np.vander(np.arange(4)).astype(float)
    square = memory.cache(np.square)
    np.testing.assert_array_equal(square(x), np.square(x))
    mean, std = memory.cache(compute_statistics)(x)
    np.testing.assert_array_equal(mean, x.mean(axis=0))
    assert memory.eval(compute_statistics, x)[1].tolist() == std.tolist()
    memory.cache(compute_statistics, ignore=["x"], verbose=0, mmap_mode=None)(x)
    result = memory.cache(compute_statistics).call_and_shelve(x)
    assert result.get()[0].tolist() == mean.tolist()
    memory.reduce_size(bytes_limit=10**9, items_limit=100, age_limit=datetime.timedelta(days=1))
    memory.clear(warn=False)
    assert memory.stats()["items"] == 0


@pytest.mark.skipif(not os.environ.get("STELE_BIN"), reason="STELE_BIN names no command line")
def test_the_command_line(tmp_path):
    def command(*arguments, code=0):
        done = subprocess.run([os.environ["STELE_BIN"], "cache", *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    folder = tmp_path / "c"
    assert "there is no cache" in command("ls", folder, code=3) and not folder.exists()
    (tmp_path / "other").mkdir()
    for name in "stat", "prune", "clear", "verify":  # makes no cache of another folder
        command(name, tmp_path / "other", code=3)
    assert os.listdir(tmp_path / "other") == []

    cache = stele.Cache(folder)
    f = cache.cache(total, version=1)
    for size in 10, 50_000, 20_000:
        f(np.ones(size))
    g = cache.cache(fit, version=2)
    g(30_000)
    g(30_000)
    listed = json.loads(command("ls", folder, "--sort", "size", "--json"))["results"]
    assert [one["name"] for one in listed] == [g.name] + [f.name] * 3 and listed[0]["hits"] >= 1
    assert listed[0]["file"] and listed[0]["bytes"] > 240_000 and listed[0]["metadata"] == {}
    assert command("ls", folder, "--name", f.name, "--limit", 2).count("\n") == 3
    assert json.loads(command("stat", folder, "--json"))["results"] == 4 and "hits" in command("stat", folder)
    assert "ok (4 results" in command("verify", folder)
    with open(listed[0]["file"], "r+b") as file:
        file.seek(10_000)
        file.write(b"damage")
    assert "damaged" in command("verify", folder, code=1)
    assert "1 results removed, 3 left" in command("prune", folder, "--items", 3)
    removed = json.loads(command("clear", folder, "--name", f.name, "--function-version", 1, "--json"))["removed"]
    assert removed == 2  # the one used least recently went before
    command("clear", folder)
    assert json.loads(command("stat", folder, "--json"))["results"] == 0 and cache.stats()["items"] == 0
    assert "--bytes" in command("prune", folder, "--bytes", "x", code=2)
