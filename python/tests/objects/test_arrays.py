"""NumPy's arrays and scalars: every dtype, order, stride and subclass; memory that arrays share."""

import numpy as np
import pytest

import stele

dtypes = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", "c8", "c16", "G", "M8[ns]", "M8[D]", "M8",
          "m8[s]", "m8[25ms]", "S5", "U4", ">f8", ">i4", ">U3", "V3", "O",
          [("a", "f4"), ("b", "i8")], [("x", "f4", (3,))], [("x", "f4", (3, 2))], [("s", "S3"), ("n", [("m", ">i2")])],
          np.dtype([("a", "i1"), ("b", "f8")], align=True), np.dtype({"names": ["a"], "formats": ["i4"], "offsets": [4],
                                                                      "itemsize": 16})]
shapes = [(), (0,), (1,), (3,), (2, 3), (0, 5), (70, 90), (2, 3, 4, 5)]


def filled(dtype, shape, order="C"):
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    if dtype.kind == "O":
        flat = np.array([[i, str(i), None][i % 3] for i in range(int(np.prod(shape)))] or [], object)
        return np.array(flat.reshape(shape), order=order)
    raw = (np.arange(size) * 7 % 120).astype(np.uint8)
    if dtype.kind == "U":
        made = np.full(shape, "ab", dtype)
    elif dtype.kind == "b":
        made = (raw % 2).astype(bool).reshape(shape)
    elif dtype.kind in "gG" or dtype.char in "gG":
        made = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    else:
        made = np.frombuffer(raw.tobytes(), dtype).reshape(shape) if size else np.zeros(shape, dtype)
    return np.array(made, order=order)


def assert_same(back, given):
    assert type(back) is type(given) and back.dtype == given.dtype and back.shape == given.shape
    if given.dtype.hasobject or given.dtype.names:  # the bytes between fields do not count
        assert repr(back.tolist()) == repr(given.tolist())
    else:
        assert back.tobytes() == given.tobytes()


@pytest.mark.parametrize("dtype", dtypes, ids=str)
@pytest.mark.parametrize("order", "CF")
def test_every_dtype(round_trip, dtype, order):
    for shape in shapes:
        given = filled(dtype, shape, order)
        for dump in ({}, {"codec": "zstd"}, {"codec": "gzip", "filter": "none"}):
            back = round_trip(given, dump=dump)
            assert_same(back, given)
            assert back.flags.f_contiguous == given.flags.f_contiguous
            assert back.flags.c_contiguous == given.flags.c_contiguous
            assert back.flags.writeable and back.flags.aligned == given.flags.aligned


@pytest.mark.parametrize("dtype", ["f8", "i2", ">f4", "S3", "c16", "g", [("a", "f4"), ("b", "i8")], "O"], ids=str)
def test_every_stride(round_trip, dtype):
    base = filled(dtype, (12, 14, 3))
    for view in (base[::2], base[::-1], base[:, ::3], base.T, base[1:5, 2:9, 1], base[..., ::-1], base[:, :, :1], base[3:3],
                 np.broadcast_to(base[0], (5, 14, 3)), base.transpose(1, 0, 2)):
        assert_same(round_trip(view), np.array(view) if not view.dtype.hasobject else view)


def test_scalars(round_trip):
    for scalar in (np.float32(1.5), np.int64(3), np.bool_(True), np.datetime64("2020-01-01", "ns"), np.datetime64("NaT"),
                   np.timedelta64(5, "s"), np.str_("abc"), np.bytes_(b"x"), np.longdouble("1.1"), np.clongdouble(1 + 2j),
                   np.complex64(1 + 2j), np.float16(2), np.uint64(2**64 - 1), np.float64("nan"), np.void(b"abc"),
                   filled([("a", "f4"), ("b", "i8")], (2,))[0]):
        back = round_trip(scalar)
        assert type(back) is type(scalar) and back.dtype == scalar.dtype
        assert back.tobytes() == scalar.tobytes()


def test_a_zero_dimensional_array_is_no_number(round_trip):
    for given in (np.array(1 + 2j), np.array(1.0), np.array(3)):
        assert_same(round_trip(given), given)
    assert type(round_trip(1 + 2j)) is complex


def test_dtypes_themselves(round_trip):
    for dtype in dtypes:
        assert round_trip(np.dtype(dtype)) == np.dtype(dtype)
    assert round_trip(np.dtype("f4")) is np.dtype("f4") or round_trip(np.dtype("f4")) == np.dtype("f4")


def test_arrays_of_strings_of_any_length(round_trip):
    if not hasattr(np, "dtypes") or not hasattr(np.dtypes, "StringDType"):
        pytest.skip("NumPy 2 has these")
    given = np.array(["a", "bcd" * 100, ""], np.dtypes.StringDType())
    back = round_trip(given)
    assert back.dtype == given.dtype and back.tolist() == given.tolist()


def test_arrays_that_share_memory_share_it_again(round_trip):
    base = np.arange(10_000.0)
    given = {"a": base, "b": base, "every other": base[::2], "turned": base.reshape(100, 100).T}
    saved = stele.dumps(given)
    assert len(saved) < 81_000
    back = stele.loads(saved)
    assert back["a"] is back["b"]
    back["a"][0] = 7
    assert back["every other"][0] == 7 and back["turned"][0, 0] == 7
    views = {"x": base[:6000], "y": base[3000:]}
    back = round_trip(views)
    back["x"][3000] = -1
    assert back["y"][0] == -1
    alone = round_trip({"x": base[:100]})
    assert alone["x"].nbytes == 800 and len(stele.dumps({"x": base[:100]})) < 2000


def test_masked_arrays_matrices_and_records(round_trip):
    masked = np.ma.masked_array([1.0, 2, 3], [0, 1, 0], fill_value=9)
    back = round_trip(masked)
    assert type(back) is np.ma.MaskedArray and back.fill_value == 9
    assert (back.mask == masked.mask).all() and (back.data == masked.data).all()
    back = round_trip(np.ma.masked_array([1, 2]))
    assert not back.mask.any() and back.dtype == np.array([1, 2]).dtype
    matrix = np.matrix([[1, 2], [3, 4]])
    assert_same(round_trip(matrix), matrix)
    records = np.rec.array([(1, 2.0), (3, 4.0)], dtype=[("a", "i4"), ("b", "f8")])
    back = round_trip(records)
    assert type(back) is np.recarray and (back.a == [1, 3]).all()


def test_object_arrays_keep_identity_and_cycles(round_trip):
    item = [1]
    given = np.array([item, item, None], object)
    given[2] = given
    back = round_trip(given)
    assert back[0] is back[1] and back[2] is back


def test_random_states_are_data(round_trip):
    for state in (np.random.RandomState(3), np.random.default_rng(3)):
        expected = state.random(5) if hasattr(state, "random") else None
        state = type(state)(3) if isinstance(state, np.random.RandomState) else np.random.default_rng(3)
        assert (round_trip(state).random(5) == expected).all()


def test_ml_dtypes(round_trip):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        given = np.arange(10).astype(getattr(ml_dtypes, name))
        assert_same(round_trip(given), given)


def test_a_subclass_of_the_user(round_trip):
    given = np.arange(6.0).reshape(2, 3).view(Marked)
    given.mark = "x"
    with pytest.raises(stele.UntrustedError):
        round_trip(given)
    back = round_trip(given, trusted=[Marked])
    assert type(back) is Marked and (back == given).all()


class Marked(np.ndarray):
    pass


@pytest.mark.parametrize("mode", [None, "r", "r+", "c"])
def test_mapping(tmp_path, mode):
    path = tmp_path / "x.stele"
    given = {"big": np.arange(100_000.0).reshape(100, 1000), "small": np.arange(3), "text": "x"}
    stele.dump(given, path)
    back = stele.load(path, mmap_mode=mode)
    assert (back["big"] == given["big"]).all() and back["text"] == "x"
    assert back["big"].flags.writeable == (mode != "r")
    if mode != "r":
        back["big"][0, 0] = 5
    big = back["big"]
    del back  # the mapping lives as long as the array
    assert big[99, 999] == 99_999
    del big
    assert stele.load(path)["big"][0, 0] == (5 if mode == "r+" else 0)


def test_mapping_a_compressed_file_is_refused(tmp_path):
    stele.dump(np.arange(10_000), tmp_path / "x.stele.zst")
    with pytest.raises(ValueError, match="map"):
        stele.load(tmp_path / "x.stele.zst", mmap_mode="r")


def test_no_copy_when_loading(tmp_path):
    import tracemalloc

    given = np.arange(1_000_000.0)
    stele.dump(given, tmp_path / "x.stele")
    tracemalloc.start()
    back = stele.load(tmp_path / "x.stele")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000  # the elements lie in the library's memory, once
    tracemalloc.stop()
    assert (back == given).all()
