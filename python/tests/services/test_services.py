"""Counts, filters, sketches, feature stores and texts, beside plain models of Python."""

import base64
import collections
import doctest
import pickle
import threading
import zlib

import numpy as np
import pytest

import stele

words = [f"word{i % 300}" for i in range(3000)] + ["é", "", "x" * 100]


def round_trips(thing, tmp_path):
    """Through save and load, dump and load, pickle, copy."""
    path = tmp_path / "service.stele"
    thing.save(path)
    yield type(thing).load(path)
    yield type(thing).load(path, mmap_mode="r")
    yield stele.loads(stele.dumps({"in": [thing]}))["in"][0]
    yield pickle.loads(pickle.dumps(thing))
    yield thing.copy()


def test_examples_of_the_docstrings():
    for name in ("TokenCounts", "BloomFilter", "CountMin", "HyperLogLog", "FeatureStore", "to_text"):
        finder = doctest.DocTestFinder(recurse=False)
        for test in finder.find(getattr(stele, name), name, globs=dict(vars(stele))):
            assert test.examples
            result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
            assert result.failed == 0


def test_token_counts(tmp_path):
    model = collections.Counter(words)
    counts = stele.TokenCounts()
    counts.update(words)
    assert dict(counts.items()) == model and len(counts) == len(model) and counts.total == len(words)
    assert counts["word3"] == model["word3"] and counts["none"] == 0 and "é" in counts and "none" not in counts
    assert counts.count(["word3", "none", ""]).tolist() == [model["word3"], 0, 1]
    assert counts.count(np.array([["word3"], ["word4"]])).shape == (2, 1)
    assert sorted(counts) == sorted(model)
    assert [count for _, count in counts.most_common(3)] == sorted(model.values(), reverse=True)[:3]
    assert all(model[token] == count for token, count in counts.most_common(3))
    assert [token for token, _ in counts.items(sorted=True)] == sorted(model, key=str.encode)
    counts.update(["a", "b"], [5, 7])
    counts.update(np.array(["a", "c"]), 2)
    assert (counts["a"], counts["b"], counts["c"]) == (7, 7, 2)
    for back in round_trips(counts, tmp_path):
        assert back == counts and dict(back.items()) == dict(counts.items())
    other = stele.TokenCounts()
    other.update(words)
    counts.merge(other)
    assert counts["word3"] == 2 * model["word3"]
    assert counts.remove_below(10) > 0 and counts["c"] == 0
    with pytest.raises(TypeError):
        counts.add(5)
    with pytest.raises(TypeError):
        counts.update("one")


@pytest.mark.parametrize("keys, others", [
    (np.arange(5000), np.arange(5000, 15000)),
    (np.arange(250, dtype=np.uint8), np.arange(300, 400)),
    ([f"k{i}" for i in range(2000)], [f"o{i}" for i in range(2000)]),
    (np.array([f"k{i}" for i in range(2000)]), np.array([f"o{i}" for i in range(2000)])),
    ([b"a", "b", 3], [b"x", "y", 4]),
])
def test_filters(tmp_path, keys, others):
    for made in (stele.BloomFilter(len(keys), 0.01), stele.BloomFilter(len(keys), 0.01, blocked=True, seed=3)):
        made.update(keys)
        assert made.contains(keys).all() and made.contains(others).mean() < 0.05
        assert all(key in made for key in list(keys)[:20])
        assert abs(made.estimated_count - len(keys)) < 0.1 * len(keys) + 3
        for back in round_trips(made, tmp_path):
            assert back == made and back.contains(keys).all()
    for bits, rate in ((8, 0.02), (16, 0.001)):
        made = stele.BinaryFuse(keys, bits=bits)
        assert made.contains(keys).all() and made.contains(others).mean() <= rate + 0.5 * (len(others) < 10)
        assert len(made) == len(keys)
        back = stele.loads(stele.dumps(made))
        assert back == made and back.contains(keys).all()
        made.save(tmp_path / "fuse")
        assert stele.BinaryFuse.load(tmp_path / "fuse", bits=bits) == made


def test_filters_merge_and_keys_of_all_forms_agree():
    one, two = stele.BloomFilter(100, 0.001), stele.BloomFilter(100, 0.001)
    one.add(5)
    two.add("five")
    one.merge(two)
    assert 5 in one and "five" in one and np.int64(5) in one and np.str_("five") in one
    assert one.contains(np.array([5], np.int32))[0] and one.contains(np.array([5], np.uint64))[0]
    assert one.contains(np.array(["five"]))[0] and one.contains(np.array(["five"], object))[0]
    with pytest.raises(stele.Error):
        one.merge(stele.BloomFilter(5000, 0.001))
    with pytest.raises(TypeError):
        one.add(1.5)
    with pytest.raises(TypeError):
        one.update(np.array([1.5]))
    with pytest.raises(ValueError):
        stele.BloomFilter(10, 2.0)


def test_sketches(tmp_path):
    generator = np.random.default_rng(0)
    keys = generator.zipf(1.5, 20_000) % 5000
    exact = collections.Counter(keys.tolist())
    sketch = stele.CountMin(0.001, 0.01, conservative=True)
    sketch.update(keys)
    unique = np.array(sorted(exact))
    estimates = sketch.estimate(unique)
    truth = np.array([exact[key] for key in unique.tolist()])
    assert (estimates >= truth).all() and (estimates <= truth + 0.002 * len(keys)).mean() > 0.98
    assert sketch.total == len(keys) and sketch[int(unique[0])] == estimates[0]
    for back in round_trips(sketch, tmp_path):
        assert (back.estimate(unique) == estimates).all()
    distinct = stele.HyperLogLog(12)
    distinct.update(keys)
    assert abs(distinct.estimate() - len(exact)) < 0.1 * len(exact)
    for back in round_trips(distinct, tmp_path):
        assert back.estimate() == distinct.estimate()
    again = stele.HyperLogLog(12)
    again.update(keys)
    again.merge(distinct)
    assert again == distinct


def test_feature_store(tmp_path):
    generator = np.random.default_rng(0)
    model = collections.defaultdict(set)
    entities = [f"user{i}" for i in generator.integers(0, 50, 2000)]
    features = [f"f{i}" for i in generator.integers(0, 80, 2000)]
    for entity, feature in zip(entities, features):
        model[entity].add(feature)
    store = stele.FeatureStore(2000, level=0)
    store.update(entities, features)
    assert store.contains(entities, features).all()
    for entity in list(model)[:10]:
        assert model[entity] <= set(store.features(entity))
        assert len(store.features(entity)) <= len(model[entity]) + 3
    assert sorted(store.known()) == sorted(set(features))
    assert store.contains("user1", features[:5]).dtype == bool and store.contains(entities[0], features[0]) is True
    for back in round_trips(store, tmp_path):
        assert back.contains(entities, features).all() and back == store
    with pytest.raises(ValueError):
        store.update(["a", "b"], ["x"])
    numbers = stele.FeatureStore(100)
    numbers.update(7, np.arange(10))
    assert set(range(10)) <= set(numbers.features(7))


def test_text():
    counters = np.random.default_rng(0).poisson(3, 3000)
    for dtype in ("i1", "u1", "i4", "u8", "i8"):
        text = stele.to_text(counters.astype(dtype))
        assert (stele.from_text(text, dtype=dtype) == counters).all()
        assert (stele.from_text(text) == counters).all()
    for thing in ({"a": [1, 2.5, None], "t": (1, {2})}, [], 5, "x", np.arange(6.0).reshape(2, 3)):
        back = stele.from_text(stele.to_text(thing))
        assert repr(back) == repr(thing)
    bare = stele.to_text(counters, bare=True, item="u1", max=255, min=0)
    assert zlib.decompress(base64.b64decode(bare)) == bytes(counters.astype(np.uint8))
    made = base64.b64encode(zlib.compress(bytes(counters.astype(np.uint8)))).decode()
    assert (stele.from_text(made, bare=True, item="u1") == counters).all()
    assert (stele.from_text(stele.to_text(counters * 100, max=255), dtype="i8") == np.minimum(counters * 100, 255)).all()
    assert stele.from_texts(stele.to_texts([{"a": 1}, {"a": 2}])) == [{"a": 1}, {"a": 2}]
    with pytest.raises(stele.Error):
        stele.from_text(text[:-8])
    with pytest.raises(stele.Error):
        stele.from_text(text, dtype="i8", max_bytes=10)
    import argparse

    with pytest.raises(stele.UntrustedError):
        stele.from_text(stele.to_text(argparse.Namespace(a=1)))


def test_dictionaries():
    states = [{"name": "a long common name", "values": list(range(50)), "n": i} for i in range(300)]
    dictionary = stele.train_dictionary(states)
    with_it = stele.to_text(states[7], dictionary=dictionary)
    assert len(with_it) < len(stele.to_text(states[7])) and stele.from_text(with_it, dictionary=dictionary) == states[7]
    with pytest.raises(stele.Error):
        stele.from_text(with_it)


def test_threads():
    counts, seen = stele.TokenCounts(), stele.BloomFilter(100_000, 0.01)
    errors = []

    def work(number):
        try:
            for i in range(50):
                counts.update([f"t{j}" for j in range(100)])
                seen.update(np.arange(number * 1000, number * 1000 + 100))
                counts.count(["t1", "t2"])
                seen.contains(np.arange(1000))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and counts["t5"] == 400 and seen.contains(np.arange(7000, 7100)).all()


def integer_hash(values):
    """As include/stele/filters/key_hash.hpp has it."""
    x = np.asarray(values).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


def test_keys_have_the_hashes_of_the_file_format():
    hashes = stele._core.key_hashes
    for dtype in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", "?"):
        keys = np.array([0, 1, 100, 127], "i8").astype(dtype)
        assert (hashes(keys) == integer_hash(keys)).all()
        assert (hashes(list(keys.tolist())) == integer_hash(keys)).all()
    assert (hashes([-1, 2**64 - 1, np.int8(-1)]) == integer_hash(np.array([-1] * 3))).all()
    # XXH3-64 of "", "a" and "abc", from its reference implementation.
    expected = [0x2D06800538D394C2, 0xE6C632B61E964E1F, 0x78AF5F94892F3950]
    texts = ["", "a", "abc"]
    for keys in (texts, [text.encode() for text in texts], np.array(texts), np.array(texts, "S"), np.array(texts, object),
                 [np.str_(text) for text in texts], iter(texts)):
        assert hashes(keys).tolist() == expected
    if hasattr(np.dtypes, "StringDType"):
        assert hashes(np.array(texts, np.dtypes.StringDType())).tolist() == expected
    wide = np.array(["é", "日本", "🦀", "a\0b"])
    assert (hashes(wide) == hashes(wide.tolist())).all() and (hashes(wide[::-1]) == hashes(wide)[::-1]).all()
    assert hashes(np.arange(6).reshape(2, 3).T).shape == (3, 2)
    assert (hashes(np.arange(6).reshape(2, 3).T) == integer_hash(np.arange(6).reshape(2, 3).T)).all()
    for keys, error in (([1.5], TypeError), ([None], TypeError), ([2**64], OverflowError), ([-(2**63) - 1], OverflowError),
                        (["\ud800"], ValueError), (np.array(["\ud800"]), ValueError), (np.ones(2), TypeError), ("one", TypeError),
                        (5, TypeError)):
        with pytest.raises(error):
            hashes(keys)


def test_files_are_those_of_cpp(tmp_path):
    """The record that C++ declares, without a name of Python's."""
    seen = stele.BloomFilter(100, 0.01, seed=3)
    seen.update(["a", 5])
    seen.save(tmp_path / "f")
    record = stele.load(tmp_path / "f")
    assert list(record) == ["@version", "capacity", "hashes", "blocked", "seed", "words"] and record["seed"] == 3
    assert record["words"].dtype == np.uint64 and not stele.types(tmp_path / "f")
    with pytest.raises(stele.Error):
        stele.CountMin.load(tmp_path / "f")
    with pytest.raises(FileNotFoundError):
        stele.BloomFilter.load(tmp_path / "none")


def test_states_that_contradict_themselves():
    seen = stele.BloomFilter(100, 0.01)
    state = seen.__getstate__()
    for change in ({"hashes": 0}, {"words": np.zeros(3)}, {"words": "text"}, {"blocked": 7}):
        with pytest.raises(stele.Error):
            stele.BloomFilter.__new__(stele.BloomFilter).__setstate__({**state, **change})
    with pytest.raises(AttributeError):
        stele.BloomFilter.__new__(stele.BloomFilter).add(1)


def test_merging_in_circles_ends():
    one, two = stele.HyperLogLog(), stele.HyperLogLog()
    one.update(np.arange(1000))
    threads = [threading.Thread(target=lambda a=a, b=b: [a.merge(b) for _ in range(200)])
               for a, b in ((one, two), (two, one), (one, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert one == two and 950 < one.estimate() < 1050
