"""Files of web servers, by their URLs."""

import contextlib
import urllib.parse

import fault_proxy as faults
import numpy as np
import pytest

import stele

generator = np.random.default_rng(0)
THING = {"first": generator.random(2_000_000), "second": np.arange(1000.0), "name": "x"}  # 16 MB


def equal(left, right):
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in right)


@contextlib.contextmanager
def error(*codes):
    with pytest.raises(stele.Error) as caught:
        yield caught
    assert caught.value.code in codes, caught.value


@pytest.fixture
def files(web):
    for codec in ("plain", "zstd", "gzip"):
        web.files[f"x.{codec}"] = stele.dumps(THING, codec=codec, level=None if codec == "plain" else 1)
    return web


def all_reads(url):
    assert equal(stele.load(url), THING)
    with stele.open(url) as file:
        assert file["name"] == "x"
        np.testing.assert_array_equal(file["second"][10:20], THING["second"][10:20])
        np.testing.assert_array_equal(file["first"][()], THING["first"])
    stele.verify(url)


@pytest.mark.parametrize("codec", ["plain", "zstd", "gzip"])
def test_reading(files, codec):
    all_reads(f"{files.url}/x.{codec}")


@pytest.mark.parametrize("switches", [
    {"etag": "weak"}, {"etag": None}, {"ranges": False}, {"ranges": False, "etag": None}, {"head": False},
    {"head": False, "ranges": False}, {"compressed": True}, {"compressed": True, "ranges": False},
    {"ranges": False, "lengths": False}, {"lengths": False, "compressed": True}], ids=str)
@pytest.mark.parametrize("codec", ["plain", "zstd"])
def test_servers_that_can_less(files, switches, codec):
    for name, value in switches.items():
        setattr(files, name, value)
    url = f"{files.url}/x.{codec}"
    try:
        all_reads(url)
    except stele.Error as error:
        assert error.code == "unsupported" and not files.ranges and url in str(error)


def test_redirects(files):
    files.redirects = {"moved": files.url + "/x.zstd", "twice": files.url + "/moved", "relative": "/x.zstd",
                       "round": files.url + "/round"}
    for name in ("moved", "twice", "relative"):
        assert equal(stele.load(f"{files.url}/{name}"), THING)
    with error("io"):
        stele.load(files.url + "/round")


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(files, tmp_path):
    stele.dump([1], tmp_path / "secret.stele")
    files.redirects = {"trap": f"file://{tmp_path}/secret.stele"}
    with error("io", "unsupported"):
        stele.load(files.url + "/trap")


@pytest.mark.parametrize("wrong", ["bytes 0-9/10", "bytes 5-14/16000", "bytes */16000", "lines 1-2/3", "bytes -5-3/7", "",
                                   "bytes 0-99999999999999999999/99999999999999999999"])
def test_wrong_ranges_are_no_data(files, patience, wrong):
    patience(attempts=2)
    files.content_range = wrong
    with error("io", "damaged", "truncated", "malformed", "changed", "unsupported"):
        stele.load(files.url + "/x.plain")
    with error("io", "damaged", "truncated", "malformed", "changed", "unsupported"):
        with stele.open(files.url + "/x.plain") as file:
            file["first"][()]


def test_what_is_no_archive(files):
    files.files.update({"empty": b"", "one": b"x", "page": b"<html>hello</html>" * 100})
    for name in ("empty", "one", "page"):
        for read in (stele.load, stele.open, stele.verify):
            with error("not_an_archive", "truncated"):
                read(f"{files.url}/{name}")
    for read in (stele.load, stele.open, stele.verify):
        with error("not_found") as caught:
            read(files.url + "/none")
        assert files.url + "/none" in str(caught.value)


@pytest.mark.parametrize("etag", ["strong", "weak", None])
def test_a_file_that_is_replaced_is_not_mixed_with_the_new_one(files, etag):
    files.etag = etag
    old, new = ({"a": np.full(2_000_000, float(i)), "b": np.full(1000, float(i))} for i in range(2))
    files.files["y"] = stele.dumps(old)
    with stele.open(files.url + "/y") as file:
        assert file["b"][0] == 0
        files.files["y"] = stele.dumps(new)
        with error("changed", *(() if etag else ("damaged",))):
            file["a"][()]
    with faults.FaultProxy(files.url) as proxy:
        for at in range(4):
            files.files["y"] = stele.dumps(old)
            proxy.clear()
            proxy.inject(faults.first(lambda: files.files.update(y=stele.dumps(new))), after=at)
            try:
                loaded = stele.load(proxy.endpoint + "/y")
            except stele.Error as failure:
                assert failure.code in ("changed", "damaged")
            else:
                assert loaded["a"].min() == loaded["a"].max() == loaded["b"].min()


@pytest.mark.parametrize("name", ["a b", "a+b", "a%b", "ünï/日本", "a?b", "a#b"])
def test_names_are_percent_encoded(files, name):
    files.files[name] = stele.dumps([name])
    assert stele.load(f"{files.url}/{urllib.parse.quote(name)}") == [name]


def test_a_space_or_an_umlaut_may_stand_as_it_is(files):
    files.files["ä b"] = stele.dumps("x")
    assert stele.load(f"{files.url}/ä b") == "x"


def test_writing_is_refused(files):
    for call in (lambda: stele.dump([1], files.url + "/new"), lambda: stele.writer(files.url + "/new"),
                 lambda: stele.convert(files.url + "/x.zstd", files.url + "/new")):
        with error("unsupported"):
            call()
    assert "new" not in files.files


def test_links_that_are_signed_for_get(s3):
    stele.dump(THING, s3.url + "/a b.stele.zst")
    link = s3.server.client.generate_presigned_url(
        "get_object", Params={"Bucket": s3.server.bucket, "Key": f"{s3.name}/a b.stele.zst"}, ExpiresIn=300)
    all_reads(link)
    with error("denied") as caught:
        stele.load(link[:-3] + "000")
    assert link.partition("Signature=")[2] not in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "http:///x", "http://127.0.0.1:1", "http://127.0.0.1:99999/x", "http://a b/x"])
def test_what_is_no_url(url):
    with error("invalid_argument", "io"):
        stele.load(url)


@pytest.mark.parametrize("fault", [faults.status(503), faults.reset, faults.cut(1000), faults.cut(0, faults.Exchange.reset)],
                         ids=["503", "reset", "cut", "cut by a reset"])
def test_faults(files, fault):
    with faults.FaultProxy(files.url) as proxy:
        for ranges in (True, False):
            files.ranges = ranges
            proxy.clear()
            proxy.inject(fault, times=2)
            try:
                loaded = stele.load(proxy.endpoint + "/x.zstd")
            except stele.Error as failure:
                assert not ranges and failure.code == "unsupported"
            else:
                assert equal(loaded, THING) and proxy.injected == 2


def test_opening_reads_little(files):
    with faults.FaultProxy(files.url) as proxy:
        with stele.open(proxy.endpoint + "/x.plain") as file:
            np.testing.assert_array_equal(file["second"][()], THING["second"])
        assert len(proxy.log) <= 4 and proxy.bytes_sent() < 600_000
