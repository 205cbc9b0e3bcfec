"""The group `remote`: an S3 store on this machine (JuiceFS's gateway over a folder), used by stele and by others.

All use the same server in turn, each in a process of its own, whose connections are new. The server has the same cores.
With STELE_BENCH_QUICK the arrays have a tenth of the size.
"""

import contextlib
import io
import os
import pathlib
import random
import sys
import time

import numpy

import stele
from bench.rivals import MIB, QUICK, in_child, reset_peak, run, status

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "support"))
import object_servers
from fault_proxy import FaultProxy

ARRAYS = 100
ROWS, COLUMNS = 2500, 100 if QUICK else 1000  # 10 MB as float32
CHUNK = 250  # rows, 1 MB, of a chunk of zarr
BUCKET = "bench"
NAME = "layer50"
BOX = slice(1000, 1100)
CODECS = ("plain", "zstd")


def make(count):
    generator = numpy.random.default_rng(0)
    # Half of the bits are noise, so that zstd has something to find.
    return {f"layer{i}": generator.random((ROWS, COLUMNS), dtype=numpy.float32).round(3) for i in range(count)}


# --- Moving bytes ---

class Stele:
    def upload(self, name, state, content):
        stele.dump(state, f"s3://{BUCKET}/{name}.stele")

    def download(self, name):
        return stele.load(f"s3://{BUCKET}/{name}.stele")


class Boto3:
    def __init__(self):
        self.client = object_servers.client(os.environ["AWS_ENDPOINT_URL_S3"])

    def upload(self, name, state, content):
        self.client.upload_fileobj(io.BytesIO(content), BUCKET, name + ".boto3")

    def download(self, name):
        into = io.BytesIO()
        self.client.download_fileobj(BUCKET, name + ".boto3", into)
        return into.getbuffer()


def s3fs_system(**more):
    import s3fs

    return s3fs.S3FileSystem(key=object_servers.USER, secret=object_servers.SECRET,
                             endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"],
                             client_kwargs={"region_name": object_servers.REGION}, **more)


class S3fs:
    def __init__(self):
        self.system = s3fs_system()

    def upload(self, name, state, content):
        self.system.pipe_file(f"{BUCKET}/{name}.s3fs", content)

    def download(self, name):
        return self.system.cat_file(f"{BUCKET}/{name}.s3fs")


def obstore_store(prefix=None):
    from obstore.store import S3Store

    return S3Store(BUCKET, prefix=prefix, endpoint=os.environ["AWS_ENDPOINT_URL_S3"],
                   access_key_id=object_servers.USER, secret_access_key=object_servers.SECRET,
                   region=object_servers.REGION, client_options={"allow_http": True})


class Obstore:
    def __init__(self):
        self.store = obstore_store()

    def upload(self, name, state, content):
        import obstore

        obstore.put(self.store, name + ".obstore", content)

    def download(self, name):
        import obstore

        return obstore.get(self.store, name + ".obstore").bytes()


MOVERS = {"stele": Stele, "boto3": Boto3, "s3fs": S3fs, "obstore": Obstore}


# --- Reading a part ---

def stele_read(codec, box):
    with stele.open(f"s3://{BUCKET}/parts.{codec}.stele") as file:
        return file[NAME][box]


def zarr_of(store, box):
    import zarr

    return zarr.open_group(store, mode="r")[NAME][box]


def zarr_on_obstore(codec, box):
    import zarr.storage

    return zarr_of(zarr.storage.ObjectStore(obstore_store(f"parts.{codec}.zarr"), read_only=True), box)


def zarr_on_s3fs(codec, box):
    import zarr.storage

    system = s3fs_system(asynchronous=True)
    return zarr_of(zarr.storage.FsspecStore(system, read_only=True, path=f"{BUCKET}/parts.{codec}.zarr"), box)


def tensorstore_read(codec, box):
    import tensorstore

    store = {"driver": "s3", "bucket": BUCKET, "path": f"parts.{codec}.zarr/{NAME}/",
             "endpoint": os.environ["AWS_ENDPOINT_URL_S3"], "aws_region": object_servers.REGION,
             "aws_credentials": {"type": "environment"}}
    array = tensorstore.open({"driver": "zarr3", "kvstore": store}, open=True, read=True).result()
    return array[box].read().result()


READERS = {"stele": stele_read, "zarr on obstore": zarr_on_obstore, "zarr on s3fs": zarr_on_s3fs,
           "tensorstore": tensorstore_read}


def warm_up(who):
    """Imports, which are not measured."""
    with contextlib.suppress(ImportError):
        if who.startswith("zarr"):
            import s3fs  # noqa: F401
            import zarr.storage  # noqa: F401
            import obstore.store  # noqa: F401
        elif who == "tensorstore":
            import tensorstore  # noqa: F401


def write_parts(state):
    import zarr
    import zarr.codecs
    import zarr.storage

    for codec in CODECS:
        stele.dump(state, f"s3://{BUCKET}/parts.{codec}.stele", codec=codec)
        group = zarr.create_group(zarr.storage.ObjectStore(obstore_store(f"parts.{codec}.zarr")))
        for name, array in state.items():
            made = group.create_array(name, shape=array.shape, chunks=(CHUNK, COLUMNS), dtype=array.dtype,
                                      compressors=None if codec == "plain" else zarr.codecs.ZstdCodec())
            made[...] = array


# --- Measuring ---

def timed(work):
    base = reset_peak()
    begin = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begin
    peak = (status("VmHWM") - base) / MIB
    return result, seconds, peak


def moved(who, way, name, state, content):
    def child():
        try:
            mover = MOVERS[who]()
            if way == "upload":
                _, seconds, peak = timed(lambda: mover.upload(name, state, content))
            else:
                result, seconds, peak = timed(lambda: mover.download(name))
                if who == "stele":
                    assert result.keys() == state.keys() and (result[NAME] == state[NAME]).all()
                else:
                    assert len(result) == len(content)
        except ImportError:
            return None
        return seconds, peak

    return in_child(child)


def part_read(who, what, codec, wanted, endpoint):
    def child():
        os.environ["AWS_ENDPOINT_URL_S3"] = endpoint
        warm_up(who)
        box = () if what == "array" else BOX
        try:
            result, seconds, _ = timed(lambda: READERS[who](codec, box))
        except ImportError:
            return None
        assert (result == wanted[box]).all()
        return seconds

    return in_child(child)


def entry(name, seconds, **more):
    return {"name": name, "run_type": "iteration", "run_name": name, "real_time": 1e3 * seconds,
            "cpu_time": 1e3 * seconds, "time_unit": "ms", **{key: float(value) for key, value in more.items()}}


def shuffled(everyone):
    order = list(everyone)
    random.shuffle(order)
    return order


def measure(repetitions):
    runs = []
    with object_servers.Gateway() as server:
        os.environ.update(object_servers.environment(server.endpoint))
        object_servers.client(server.endpoint).create_bucket(Bucket=BUCKET)
        state = make(ARRAYS)
        for size, count in (("100 MB", ARRAYS // 10), ("1 GB", ARRAYS)):
            some = dict(list(state.items())[-count:] if NAME in list(state)[-count:] else
                        [(NAME, state[NAME]), *list(state.items())[:count - 1]])
            content = stele.dumps(some)
            for way in ("upload", "download"):
                for _ in range(repetitions if size == "1 GB" else 3 * repetitions):
                    for who in shuffled(MOVERS):
                        if found := moved(who, way, size, some, content):
                            runs.append(entry(f"remote/{way}/{size}/{who}", found[0], peak_mib=found[1]))
            for name in MOVERS:
                object_servers.client(server.endpoint).delete_object(Bucket=BUCKET, Key=f"{size}.{name}")
            del content
        in_child(lambda: write_parts(state))  # not here: the threads of others' libraries do not survive a fork
        with FaultProxy(server.endpoint) as counting:
            for codec in CODECS:
                stored = object_servers.client(server.endpoint).head_object(
                    Bucket=BUCKET, Key=f"parts.{codec}.stele")["ContentLength"] / ARRAYS
                for what in ("array", "box"):
                    counted = {}
                    for who in READERS:
                        counting.clear()
                        if part_read(who, what, codec, state[NAME], counting.endpoint) is not None:
                            received = counting.bytes_sent()
                            counted[who] = {"requests": len(counting.log), "mb_moved": received / 1e6,
                                            "share_moved": received / stored}
                    for _ in range(5 * repetitions):
                        for who in shuffled(counted):
                            seconds = part_read(who, what, codec, state[NAME], server.endpoint)
                            runs.append(entry(f"remote/{what}/{codec}/{who}", seconds, **counted[who]))
    return runs


if __name__ == "__main__":
    run(measure=measure)
