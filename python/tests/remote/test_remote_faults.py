"""Stores and networks that fail: the right data or an error, and nothing half visible."""

import contextlib
import time

import fault_proxy as faults
import numpy as np
import pytest

import stele

MIB = 1 << 20
generator = np.random.default_rng(0)
LARGE = {"first": generator.random(2_000_000), "second": np.arange(1_000_000.0), "name": "x"}  # 24 MB
SMALL = {"name": "x", "w": np.arange(1000.0)}


def equal(left, right):
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in right)


@contextlib.contextmanager
def within(seconds):
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


# What passes, as another try helps.
PASSING = {
    "500": faults.status(500, "InternalError"),
    "500 without words": faults.status(500),
    "502": faults.status(502),
    "503": faults.status(503, "SlowDown"),
    "503, wait": faults.status(503, "SlowDown", retry_after=1),
    "504": faults.status(504),
    "429": faults.status(429),
    "429, wait": faults.status(429, "TooManyRequests", retry_after=1),
    "400, a slow request": faults.status(400, "RequestTimeout"),
    "reset": faults.reset,
    "closed": faults.Exchange.close,
    "lost answer": faults.lose_response,
}
# What only bodies can meet.
PASSING_OF_BODIES = {
    "closed before the body": faults.cut(0),
    "closed in the body": faults.cut(1000),
    "reset in the body": faults.cut(1000, faults.Exchange.reset),
}


# --- Reading ---

@pytest.mark.parametrize("name", [*PASSING, *PASSING_OF_BODIES])
@pytest.mark.parametrize("thing", [SMALL, LARGE], ids=["small", "large"])
def test_reading_tries_again(s3, name, thing):
    url = s3.url + "/x.stele"
    stele.dump(thing, url)
    s3.proxy.clear()
    fault = {**PASSING, **PASSING_OF_BODIES}[name]
    s3.proxy.inject(fault, method="GET", times=2)
    with within(6):
        assert equal(stele.load(url), thing)
    assert s3.proxy.injected == 2
    s3.proxy.clear()
    with stele.open(url) as file:
        s3.proxy.inject(fault, times=2)
        with within(6):
            np.testing.assert_array_equal(file[list(thing)[1]][()] if thing is LARGE else file["w"][()],
                                          thing["second" if thing is LARGE else "w"])


def test_a_wait_that_the_store_asks_for_is_kept(s3):
    stele.dump(SMALL, s3.url + "/x.stele")
    s3.proxy.inject(faults.status(503, "SlowDown", retry_after=2), method="GET")
    begin = time.monotonic()
    assert equal(stele.load(s3.url + "/x.stele"), SMALL)
    assert 2 <= time.monotonic() - begin < 5


@pytest.mark.parametrize("name", ["503", "reset", "closed in the body"])
def test_reading_gives_up(s3, patience, name):
    patience(attempts=3)
    stele.dump(SMALL, s3.url + "/x.stele")
    s3.proxy.clear()
    s3.proxy.inject({**PASSING, **PASSING_OF_BODIES}[name], method="GET", times=1000)
    with within(5), pytest.raises(stele.Error) as caught:
        stele.load(s3.url + "/x.stele")
    assert caught.value.code == "io" and s3.url + "/x.stele" in str(caught.value)
    assert 3 <= s3.proxy.injected <= 4  # libcurl tries once more where a connection that it had kept ends
    s3.proxy.clear()
    assert equal(stele.load(s3.url + "/x.stele"), SMALL)


@pytest.mark.parametrize(("code", "name", "said"), [(403, "AccessDenied", "denied"), (404, "NoSuchKey", "not_found"),
                                                     (404, "NoSuchBucket", "not_found"), (400, "InvalidRequest", "io"),
                                                     (501, "NotImplemented", "unsupported")])
def test_what_no_further_try_helps_is_said_at_once(s3, code, name, said):
    s3.proxy.inject(faults.status(code, name, message="the words of the store"), times=1000)
    for call in (lambda: stele.load(s3.url + "/x.stele"), lambda: stele.dump(SMALL, s3.url + "/x.stele")):
        s3.proxy.log.clear()
        with within(2), pytest.raises(stele.Error) as caught:
            call()
        assert caught.value.code in (said, "io") and s3.url in str(caught.value) and len(s3.proxy.log) <= 2
        if said in ("denied", "not_found"):
            assert caught.value.code == said


def test_a_byte_that_changes_on_the_way_is_found(s3):
    for codec in ("plain", "zstd"):
        url = s3.url + f"/x.{codec}"
        stele.dump(LARGE, url, codec=codec)
        for at in (0, 5, 1000, -1, -40):
            s3.proxy.clear()
            s3.proxy.inject(faults.flip(at), method="GET", times=1000)
            try:
                loaded = stele.load(url)
            except stele.Error as error:
                assert error.code in ("damaged", "malformed", "truncated", "not_an_archive", "limit_exceeded", "io",
                                      "unsupported"), error
            else:
                assert equal(loaded, LARGE)
            assert s3.proxy.injected > 0


@pytest.mark.parametrize("codec", ["plain", "zstd"])
def test_an_object_that_is_replaced_is_not_mixed_with_the_new_one(s3, codec):
    url = s3.url + "/x.stele"
    old = {"a": generator.random(2_000_000), "b": np.zeros(1000)}
    new = {"a": old["a"] + 1, "b": np.ones(1000)}
    stele.dump(old, url, codec=codec, filter="none")
    s3.put("new", stele.dumps(new, codec=codec, filter="none"))
    content = s3.get("new")
    with stele.open(url) as file:
        assert file["b"][0] == 0
        s3.put("x.stele", content)
        with pytest.raises(stele.Error) as caught:
            file["a"][()]
        assert caught.value.code == "changed" and url in str(caught.value)
    with stele.open(url) as file:
        assert file["a"][5] == new["a"][5]
    # between the requests of a load, whichever it is
    for at in range(4):
        stele.dump(old, url, codec=codec, filter="none")
        s3.proxy.clear()
        s3.proxy.inject(faults.first(lambda: s3.put("x.stele", content)), method="GET", after=at)
        try:
            loaded = stele.load(url)
        except stele.Error as error:
            assert error.code == "changed"
        else:
            assert equal(loaded, new) if at == 0 else equal(loaded, old) or equal(loaded, new)


def test_an_object_that_is_removed_while_it_is_read(s3):
    stele.dump(LARGE, s3.url + "/x.stele")
    with stele.open(s3.url + "/x.stele") as file:
        s3.server.client.delete_object(Bucket=s3.server.bucket, Key=f"{s3.name}/x.stele")
        with within(3), pytest.raises(stele.Error) as caught:
            file["first"][()]
        assert caught.value.code in ("not_found", "changed")


# --- Writing ---

def is_upload(kind):
    """What finds a request of an upload."""
    return {"put": {"method": "PUT"}, "begin": {"method": "POST", "query": "uploads"},
            "part": {"method": "PUT", "query": "partNumber"},
            "complete": {"method": "POST", "query": "uploadId"}}[kind]


@pytest.mark.parametrize("step", ["put", "begin", "part", "complete"])
@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("store", ["s3", "moto"])
def test_writing_tries_again(request, store, step, name):
    folder = request.getfixturevalue(store)
    thing = SMALL if step == "put" else LARGE
    url = folder.url + "/x.stele"
    folder.proxy.inject(PASSING[name], times=2, **is_upload(step))
    with within(8):
        stele.dump(thing, url)
    assert folder.proxy.injected == 2
    assert folder.get("x.stele") == stele.dumps(thing) and folder.keys() == ["x.stele"]
    assert equal(stele.load(url), thing)
    if not (step == "begin" and name == "lost answer"):  # nobody has heard the number of that upload
        assert folder.uploads() == []


@pytest.mark.parametrize("step", ["put", "begin", "part", "complete"])
@pytest.mark.parametrize("name", ["503", "reset"])
def test_writing_gives_up(s3, patience, step, name):
    patience(attempts=3)
    url = s3.url + "/x.stele"
    stele.dump("old", url)
    s3.proxy.clear()
    s3.proxy.inject(PASSING[name], times=1000, **is_upload(step))
    with within(8), pytest.raises(stele.Error) as caught:
        stele.dump(SMALL if step == "put" else LARGE, url)
    assert caught.value.code == "io" and url in str(caught.value)
    s3.proxy.clear()
    assert stele.load(url) == "old" and s3.keys() == ["x.stele"] and s3.uploads() == []


def test_an_error_in_the_answer_to_a_completion(s3):
    """S3 may begin to answer 200 before it knows."""
    url = s3.url + "/x.stele"
    s3.proxy.inject(faults.status(200, "InternalError"), **is_upload("complete"))
    stele.dump(LARGE, url)
    assert s3.proxy.injected == 1 and equal(stele.load(url), LARGE)
    s3.proxy.clear()
    s3.proxy.inject(faults.status(200, "InvalidPart"), times=1000, **is_upload("complete"))
    with within(20), pytest.raises(stele.Error):
        stele.dump({"other": LARGE}, url)
    s3.proxy.clear()
    assert equal(stele.load(url), LARGE) and s3.uploads() == []


@pytest.mark.parametrize("step", ["begin", "part", "complete"])
def test_an_upload_that_the_store_has_dropped(s3, step):
    url = s3.url + "/x.stele"
    stele.dump("old", url)
    s3.proxy.inject(faults.status(404, "NoSuchUpload"), times=1000, **is_upload(step))
    with within(5), pytest.raises(stele.Error) as caught:
        stele.dump(LARGE, url)
    assert caught.value.code in ("io", "not_found") and url in str(caught.value)
    assert stele.load(url) == "old"


@pytest.mark.parametrize("thing", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("store", ["s3", "moto"])
def test_an_upload_with_a_changed_byte_is_never_taken_for_saved(request, store, thing):
    folder = request.getfixturevalue(store)
    url = folder.url + "/x.stele"
    step = is_upload("put" if thing is SMALL else "part")
    folder.proxy.check_uploads = True  # against x-amz-checksum-crc32, as S3 does; these servers do not
    folder.proxy.inject(faults.flip_upload(900), **step)
    with contextlib.suppress(stele.Error):
        stele.dump(thing, url)
        assert folder.get("x.stele") == stele.dumps(thing)
    assert folder.proxy.injected == 1
    folder.proxy.clear()
    stele.dump(thing, url)
    assert equal(stele.load(url), thing)


def test_expired_credentials_are_read_again(s3, monkeypatch, tmp_path):
    import object_servers

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    credentials = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))

    def write(secret):
        credentials.write_text(f"[default]\naws_access_key_id={object_servers.USER}\naws_secret_access_key={secret}\n")

    def expire(exchange):
        write(object_servers.SECRET)
        faults.status(403, "ExpiredToken")(exchange)

    for call in (lambda: stele.dump(SMALL, s3.url + "/x.stele"), lambda: stele.load(s3.url + "/x.stele"),
                 lambda: stele.dump(LARGE, s3.url + "/y.stele")):
        s3.proxy.clear()
        write("one of yesterday")
        s3.proxy.inject(expire, times=1)
        call()
        assert s3.proxy.injected == 1
    assert equal(stele.load(s3.url + "/y.stele"), LARGE)


def test_credentials_that_stay_expired(s3):
    s3.proxy.inject(faults.status(403, "ExpiredToken", message="The provided token has expired."), times=1000)
    for call in (lambda: stele.load(s3.url + "/x.stele"), lambda: stele.dump(SMALL, s3.url + "/x.stele")):
        with within(3), pytest.raises(stele.Error) as caught:
            call()
        assert caught.value.code == "denied" and "expired" in str(caught.value).lower()


# --- No answer ---

def test_a_hang_is_given_up_and_tried_again(s3, patience):
    url = s3.url + "/x.stele"
    patience(stall_s=1)
    for kind, fault in (("GET", faults.hang()), ("GET", faults.hang(bytes_sent=500)), ("PUT", faults.hang())):
        stele.dump(SMALL, url)
        s3.proxy.clear()
        s3.proxy.inject(fault, method=kind)
        with within(15):
            if kind == "PUT":
                stele.dump(SMALL, url)
            assert equal(stele.load(url), SMALL)
        assert s3.proxy.injected == 1


def test_nobody_listens(s3, monkeypatch, patience):
    import object_servers

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{object_servers.free_port()}")
    patience(attempts=2)
    for call in (lambda: stele.load(s3.url + "/x.stele"), lambda: stele.dump(SMALL, s3.url + "/x.stele")):
        with within(3), pytest.raises(stele.Error) as caught:
            call()
        assert caught.value.code == "io" and "127.0.0.1" in str(caught.value)


def test_a_slow_server_is_waited_for(s3):
    stele.dump(LARGE, s3.url + "/x.stele")
    s3.proxy.inject(faults.delay(0.3), times=1000)
    with within(10):
        assert equal(stele.load(s3.url + "/x.stele"), LARGE)
