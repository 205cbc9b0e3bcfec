"""Objects of pandas, SciPy, scikit-learn, PyArrow and PyTorch, where they are installed."""

import contextlib
import pickle
import sys
import warnings

import numpy as np
import pytest

import stele


def frames(pd):
    index = pd.date_range("2020-01-01", periods=5, tz="UTC")
    frame = pd.DataFrame({
        "i": np.arange(5), "f": np.linspace(0, 1, 5), "s": ["a", "b", None, "d", "é"], "b": [True, False] * 2 + [True],
        "t": index, "c": pd.Categorical(list("xyxyx"), ordered=True), "n": pd.array([1, None, 3, 4, 5], dtype="Int64"),
        "d": pd.to_timedelta(np.arange(5), "h"), "o": [[1], (2,), {"k": 3}, None, "x"],
        "fn": pd.array([1.5, None, 2, 3, 4], dtype="Float32"), "bn": pd.array([True, None] * 2 + [False], dtype="boolean"),
        "p": pd.period_range("2020-01", periods=5, freq="M"), "iv": pd.interval_range(0, 5),
    })
    yield "frame", frame
    yield "empty frame", pd.DataFrame()
    yield "no rows", frame.iloc[:0]
    yield "sliced", frame.iloc[1:4, 1:6]
    yield "indexed", frame.set_index("t")
    yield "several levels", frame.set_index(["i", "s"])[["f", "b"]]
    yield "columns of numbers", pd.DataFrame(np.arange(12.0).reshape(3, 4))
    yield "columns twice", pd.DataFrame(np.arange(6).reshape(2, 3), columns=["a", "a", "b"])
    yield "series", frame["f"].rename("name")
    yield "text series", frame["s"]
    yield "categorical", frame["c"]
    yield "range index", pd.RangeIndex(3, 9, 2)
    yield "index", pd.Index(["a", "b"])
    yield "dates", index
    yield "multi index", pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", "y"])
    yield "sparse", pd.Series(pd.arrays.SparseArray([0, 0, 1, 2]))
    yield "timestamps", [pd.Timestamp("2020-01-01", tz="Europe/Paris"), pd.Timedelta("1h"), pd.NaT, pd.NA, pd.Period("2020", "Y"),
                         pd.Interval(0, 1)]


def same(a, b):
    import pandas as pd

    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b)
    elif isinstance(a, pd.Series):
        pd.testing.assert_series_equal(a, b)
    elif isinstance(a, pd.Index):
        pd.testing.assert_index_equal(a, b)
        assert type(a) is type(b)
    else:
        assert repr(a) == repr(b)


def test_pandas(round_trip):
    pd = pytest.importorskip("pandas")
    for name, thing in frames(pd):
        try:
            same(thing, round_trip(thing))
            same(thing, round_trip(thing, dump={"codec": "zstd"}))
        except (AssertionError, stele.Error, TypeError) as error:
            pytest.fail(f"{name}: {type(error).__name__}: {error}")


def test_pandas_through_pickle(tmp_path):
    pd = pytest.importorskip("pandas")
    for name, thing in frames(pd):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(thing, 5))
        try:
            same(thing, stele.load(tmp_path / "x.pkl"))
        except (AssertionError, stele.Error, TypeError) as error:
            pytest.fail(f"{name}: {type(error).__name__}: {error}")


def columns_frame(pd, rows=4000):
    """A frame with columns of all kinds, in blocks of one and of several."""
    times = pd.date_range("2020-01-01", periods=rows, freq="h")
    return pd.DataFrame({
        "price": np.arange(rows) / 7, "count": np.arange(rows), "cost": -np.arange(rows) / 3, "flag": np.arange(rows) % 3 == 0,
        "half": np.arange(rows).astype("f2"), "time": times, "zone": times.tz_localize("UTC").tz_convert("Europe/Paris"),
        "span": times - times[0], "text": [f"text {i % 10}" for i in range(rows)], "kind": pd.Categorical(["a", "b"] * (rows // 2)),
        "null": pd.array([1, None] * (rows // 2), dtype="Int64"), "objects": [[i] for i in range(rows)], 7: 1.5, "a/b": 2.5,
        "attrs": 3.5, "_mgr": 4.5,
    }, index=pd.Index(np.arange(rows) * 2, name="row"))


@pytest.mark.parametrize("codec", ["plain", "zstd"])
def test_columns_of_a_frame_are_found_by_name(tmp_path, codec):
    pd = pytest.importorskip("pandas")
    frame = columns_frame(pd)
    frame.attrs["source"] = "test"
    stele.dump({"df": frame, "price": frame["price"]}, tmp_path / "x.stele", codec=codec)
    with stele.open(tmp_path / "x.stele") as file:
        node = file["df"]
        for name in ("price", "count", "cost", "flag", "half", "time", "span", 7, "a/b"):
            column = node[name]
            assert isinstance(column, stele.LazyArray), name
            assert column.dtype == frame[name].dtype and column.shape == frame[name].shape
            assert np.array_equal(column[10:20], frame[name].to_numpy()[10:20]) and np.array_equal(column[[3, 1]], frame[name].to_numpy()[[3, 1]])
        assert np.array_equal(node["zone"][...], frame["zone"].dt.tz_convert(None).to_numpy(), equal_nan=True)
        assert np.array_equal(file["df/price"][-3:], frame["price"].to_numpy()[-3:])
        assert np.array_equal(file["df/entries/attrs"][:], frame["attrs"]) and node["attrs"]["source"] == "test"
        for name in ("text", "kind", "null"):
            pd.testing.assert_extension_array_equal(node[name].load(), frame[name].array)
        assert "objects" not in node and "price" in node and 7 in node
        pd.testing.assert_frame_equal(node.load(), frame)


def test_frames_come_back_equal(tmp_path, round_trip):
    pd = pytest.importorskip("pandas")
    frame = columns_frame(pd)
    dated = frame[["price", "count"]].set_index(pd.date_range("2020", periods=len(frame), freq="D", name="day"))
    levels = pd.DataFrame(np.arange(12.0).reshape(3, 4), columns=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", "y"]))

    class Own(pd.DataFrame):
        _metadata = ["unit"]

        @property
        def _constructor(self):
            return Own

    Own.__qualname__ = "Own"
    globals()["Own"] = Own
    own = Own({"a": np.arange(5)})
    own.unit = "m"
    for name, thing in {
        "all": frame, "row slice": frame.iloc[100:200], "every third": frame.iloc[::3], "reversed": frame.iloc[::-1],
        "column slice": frame.iloc[:, 1:5], "dated": dated, "dated slice": dated.iloc[::7], "levels": levels, "of Fortran's order":
        pd.DataFrame(np.asfortranarray(np.arange(12.0).reshape(3, 4))), "transposed": pd.DataFrame(np.arange(6).reshape(2, 3)).T,
        "no columns": pd.DataFrame(index=[1, 2]), "no rows": frame.iloc[:0], "one name of two columns":
        pd.DataFrame(np.arange(6).reshape(2, 3), columns=["a", "a", "b"]), "other names": pd.DataFrame({None: [1], (1, 2): [2], 2.5: [3]}),
        "wide": pd.DataFrame(np.arange(9000.0).reshape(1, -1)), "long double": pd.DataFrame({"x": np.arange(3, dtype="longdouble")}),
        "big-endian": pd.DataFrame({"x": np.arange(3, dtype=">i4")}), "no duplicates": frame[["price"]].set_flags(allows_duplicate_labels=False),
        "own class": own,
    }.items():
        back = round_trip([thing, 1], trusted=[Own])[0]
        assert type(back) is type(thing), name
        pd.testing.assert_frame_equal(back, thing, check_freq=True, obj=name)
        assert back.flags == thing.flags and back.attrs == thing.attrs and list(back.columns.names) == list(thing.columns.names)
        if len(thing) > 1 and len(thing.columns):  # it can be changed
            back.iloc[0, 0] = back.iloc[1, 0]
            assert back.iloc[0, 0] == thing.iloc[1, 0]
        stele.dump(thing, tmp_path / "x.stele")
        if name != "own class":
            pd.testing.assert_frame_equal(stele.load(tmp_path / "x.stele", mmap_mode="r"), thing, obj=name)
            with open(tmp_path / "x.stele", "rb") as file:
                pd.testing.assert_frame_equal(stele.load(file), thing, obj=name)
    assert round_trip(own, trusted=[Own]).unit == "m"
    del globals()["Own"]


def test_frames_for_pickle(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = columns_frame(pd, 40)
    stele.dump(frame, tmp_path / "x.stele.zst")
    stele.dump(frame, tmp_path / "x.pkl")
    stele.convert(tmp_path / "x.stele.zst", tmp_path / "y.pkl")
    stele.convert(tmp_path / "x.pkl", tmp_path / "y.stele")
    for name in ("x.pkl", "y.pkl"):
        with open(tmp_path / name, "rb") as file:
            pd.testing.assert_frame_equal(pickle.load(file), frame)
        pd.testing.assert_frame_equal(stele.load(tmp_path / name), frame)
    pd.testing.assert_frame_equal(stele.load(tmp_path / "y.stele"), frame)


def test_columns_are_stored_once(round_trip):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({f"c{i}": np.random.rand(10_000) for i in range(10)})
    assert len(stele.dumps(frame)) < 810_000 and len(stele.dumps(frame.copy().T)) < 1_000_000
    frame["text"] = "some text"
    assert len(stele.dumps(frame)) < 1_000_000
    assert len(stele.dumps(frame.iloc[::1000, :10])) < 10_000
    back = round_trip([frame, frame, {"again": frame}])
    assert back[0] is back[1] is back[2]["again"]


def test_text_of_arrow_is_checked():
    pa = pytest.importorskip("pyarrow")
    from stele._make import _check_arrow

    def text(offsets, data, nulls=None, count=-1, kind=pa.large_string()):
        width = "i8" if kind == pa.large_string() else "i4"
        buffers = [None if nulls is None else pa.py_buffer(bytes([nulls])), pa.py_buffer(np.array(offsets, width)), pa.py_buffer(data)]
        return pa.Array.from_buffers(kind, len(offsets) - 1, buffers, count)

    for kind in (pa.large_string(), pa.string()):
        _check_arrow(text([0, 2, 3], b"abc", kind=kind))
        _check_arrow(text([0, 2, 3], "\u00e9a".encode(), kind=kind))
        _check_arrow(text([0, 2, 2], b"abc", nulls=1, count=1, kind=kind))
        _check_arrow(pa.chunked_array([text([0, 2, 3], b"abc", kind=kind), text([0], b"", kind=kind)]))
        for wrong in (([0, 5, 3], b"abc"), ([0, 2, 9], b"abc"), ([-1, 2, 3], b"abc"), ([0, 1, 3], "\u00e9a".encode()),
                      ([0, 2, 3], b"ab\xff"), ([0, 2, 3], b"abc", 1, 2)):
            with pytest.raises(pa.ArrowInvalid):
                _check_arrow(text(*wrong, kind=kind))
            with pytest.raises(pa.ArrowInvalid):
                _check_arrow(pa.chunked_array([text(*wrong, kind=kind)]))


def test_scipy_sparse(round_trip):
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.zeros((20, 30))
    dense[::3, ::4] = 1.5
    for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"):
        for suffix in ("array", "matrix"):
            given = getattr(sparse, f"{kind}_{suffix}")(dense)
            back = round_trip(given)
            assert type(back) is type(given) and back.shape == given.shape and (back.toarray() == dense).all()


def estimators():
    from sklearn.utils import all_estimators

    return all_estimators()


def made(class_):
    """An estimator with small settings, or None where it needs what this test does not give."""
    from sklearn.linear_model import LogisticRegression, Ridge

    try:
        return class_()
    except TypeError:
        for attempt in ({"estimator": LogisticRegression()}, {"estimators": [("a", LogisticRegression())]}, {"estimator": Ridge()},
                        {"transformers": [("a", "passthrough", [0])]}, {"transformer_list": [("a", LogisticRegression())]},
                        {"steps": [("a", LogisticRegression())]}):
            try:
                return class_(**attempt)
            except TypeError:
                continue
    return None


hearing = []


def hear(event, args):
    if hearing and event in ("import", "exec", "compile", "open", "os.system", "subprocess.Popen", "pickle.find_class",
                             "ctypes.dlopen"):
        hearing[-1].append((event, args))


sys.addaudithook(hear)  # for good


@contextlib.contextmanager
def nothing_run():
    """Fails where something is imported, compiled or opened."""
    hearing.append([])
    try:
        yield
        assert not hearing[-1]
    finally:
        hearing.clear()


def test_every_estimator_of_scikit_learn():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    x = rng.random((40, 4)) + 0.1
    targets = [(x[:, 0] > 0.6).astype(int), x[:, 0] * 2, rng.random((40, 2)), (rng.random((40, 3)) > 0.5).astype(int)]
    fitted = 0
    refused = set()
    for name, class_ in estimators():
        estimator = made(class_)
        if estimator is None:
            continue
        for parameter, value in (("n_estimators", 3), ("max_iter", 5), ("n_jobs", None), ("random_state", 0)):
            if parameter in estimator.get_params(deep=False):
                estimator.set_params(**{parameter: value})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for y in targets:
                try:
                    estimator.fit(x, y)
                    break
                except Exception:  # noqa: BLE001 - needs another kind of data
                    continue
            else:
                continue
            fitted += 1
            saved = stele.dumps(estimator)
            back = stele.loads(saved, trusted=True)
            for method in ("predict", "transform", "predict_proba", "decision_function"):
                if hasattr(estimator, method):
                    try:
                        expected = getattr(estimator, method)(x)
                    except Exception:  # noqa: BLE001
                        continue
                    got = getattr(back, method)(x)
                    as_array = (lambda a: a.toarray() if hasattr(a, "toarray") else np.asarray(a))
                    np.testing.assert_allclose(as_array(got), as_array(expected), rtol=1e-9, atol=1e-12, err_msg=name)
            with nothing_run():
                try:
                    stele.loads(saved)
                except stele.UntrustedError as error:
                    names = error.names
                else:
                    pytest.fail(f"{name} was loaded without trust")
                inert = stele.loads(saved, untrusted="inert")
            assert inert.stele_name == f"{class_.__module__}.{class_.__qualname__}"
            assert set(inert.stele_state) - {"_sklearn_version"} <= set(dir(inert))
            stele.loads(saved, trusted=names)
            try:
                stele.loads(saved, trusted=["sklearn.*"])
            except stele.UntrustedError as error:
                refused.update(error.names)
    assert fitted > 150, fitted
    assert not any(name.startswith(("numpy.random", "numpy._core", "scipy.sparse")) for name in refused), refused


def test_the_files_of_joblibs_own_tests():
    joblib = pytest.importorskip("joblib")
    import pathlib

    folder = pathlib.Path(joblib.__file__).parent / "test" / "data"
    files = [file for file in folder.glob("joblib_*_py*") if ".npy" not in file.name and ".py" not in file.suffixes[-1:]]
    if not files:
        pytest.skip("joblib was installed without its tests")
    for file in files:
        back = stele.load(file)
        assert len(back) >= 3 if isinstance(back, list) else back is not None, file
        if isinstance(back, list) and len(back) > 3:
            assert back[0].tolist() == [0, 1, 2, 3, 4] and back[1].dtype == np.float64
            assert back[2].tolist() == [1, "abc", {"a": 1, "b": 2}], file


def test_a_pipeline_is_a_normal_archive(tmp_path):
    pytest.importorskip("sklearn")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).random((300, 20))
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)).fit(x, x[:, 0] > 0.5)
    path = tmp_path / "p.stele.zst"
    stele.dump(pipeline, path)
    back = stele.load(path, trusted=["sklearn.*"])
    assert (back.predict(x) == pipeline.predict(x)).all()
    inert = stele.load(path, untrusted="inert")
    assert (inert.steps[0][1].mean_ == pipeline.steps[0][1].mean_).all()
    names = [name for name, risk, _ in stele.types(path)]
    assert any("RandomForestClassifier" in name for name in names)
    import joblib

    joblib.dump(pipeline, tmp_path / "p.joblib")
    back = stele.load(tmp_path / "p.joblib", trusted=["sklearn.*"])
    assert (back.predict(x) == pipeline.predict(x)).all()
    stele.dump(stele.load(tmp_path / "p.joblib", untrusted="inert"), tmp_path / "q.stele")
    back = stele.load(tmp_path / "q.stele", trusted=["sklearn.*"])
    assert (back.predict(x) == pipeline.predict(x)).all()


def test_arrow(round_trip):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, 2, None], "s": ["x", None, "z"], "l": [[1], [], None], "d": pa.array(["u", "v", "u"]).dictionary_encode()})
    for thing in (table, table.to_batches()[0], table.schema, pa.array([1, 2]), pa.chunked_array([[1], [2]])):
        back = round_trip(thing)
        assert type(back) is type(thing) and back.equals(thing)


def test_torch(round_trip):
    torch = pytest.importorskip("torch")
    base = torch.arange(1000.0)
    thing = {"w": torch.nn.Parameter(torch.rand(3, 4)), "h": torch.rand(3, dtype=torch.float16), "b": torch.rand(3).bfloat16(),
             "i": torch.arange(5), "x": base, "v": base[::2], "e": torch.empty(0, 3), "s": torch.tensor(2.5)}
    back = round_trip(thing)
    for name, tensor in thing.items():
        assert torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype
        assert back[name].requires_grad == tensor.requires_grad and type(back[name]) is type(tensor)
    back["x"][0] = 7
    assert back["v"][0] == 7
