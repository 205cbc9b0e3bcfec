"""The rivals of the group `archive` that are Python libraries, on the data that arrays_bench leaves for them."""

import pickle
import random
import time

import joblib
import numpy
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from bench.rivals import FOLDER, MIB, run


def measure(works, repetitions, calls=1):
    """Runs each of (name, before, work) so many times, in random order; what it returns is dropped after the time."""
    runs = []
    for _ in range(repetitions):
        for name, before, work in random.sample(works, len(works)):
            seconds = 0.0
            for _ in range(calls):
                before()
                begin = time.perf_counter()
                result = work()
                seconds += time.perf_counter() - begin
                del result
            runs.append({"run_name": name, "real_time": seconds / calls, "time_unit": "s"})
    return runs


def nothing():
    pass


def pickle_dump(value, path):
    with open(path, "wb") as file:
        pickle.dump(value, file, protocol=5)


def pickle_load(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def numpy_dump(value, path):
    numpy.save(path, value)


def matrix():
    return numpy.fromfile(FOLDER / "arrays.raw", numpy.float32).reshape(-1, 1024)


def arrays(repetitions):
    x = matrix()
    whole = {"X": x, "y": list(range(1000)), "name": "m"}
    rivals = {
        "joblib": (joblib.dump, joblib.load, whole),
        "pickle": (pickle_dump, pickle_load, whole),
        "numpy.save, X alone": (numpy_dump, numpy.load, x),
        "safetensors, X alone": (save_file, load_file, {"X": x}),
    }
    works = []
    for name, (dump, load, value) in rivals.items():
        kept, new = FOLDER / f"arrays {name}.npy", FOLDER / "arrays.new.npy"
        dump(value, kept)
        works += [
            (f"save/{name}", lambda: new.unlink(missing_ok=True), lambda d=dump, v=value, to=new: d(v, to)),
            (f"load/{name}", nothing, lambda load=load, kept=kept: load(kept)),
        ]
    return measure(works, repetitions)


def first_element(path):
    with safe_open(path, "numpy") as file:
        return file.get_slice("X")[0:1, 0:1]


def all_slices(path):
    with safe_open(path, "numpy") as file:
        return [file.get_slice(key) for key in file.keys()]


def mapping(repetitions):
    x = matrix()
    works = []
    for size in (1, 100, 1024):
        npy, pkl, tensors = (FOLDER / f"map {size}.{kind}" for kind in ("npy", "pkl", "safetensors"))
        if not tensors.exists():
            array = numpy.resize(x, (size * MIB // 4096, 1024))
            numpy.save(npy, array)
            joblib.dump(array, pkl)
            save_file({"X": array}, tensors)
        what = f"map/{size} MiB"
        works += [
            (f"{what}/numpy", nothing, lambda path=npy: numpy.load(path, mmap_mode="r")[0, 0]),
            (f"{what}/joblib", nothing, lambda path=pkl: joblib.load(path, mmap_mode="r")[0, 0]),
            (f"{what}/safetensors", nothing, lambda path=tensors: first_element(path)),
        ]
    layers = {}
    for i in range(50):
        layers[f"{i}/weights"] = numpy.zeros((512, 512), numpy.float32)
        layers[f"{i}/bias"] = numpy.zeros(2048, numpy.float32)
    pkl, tensors = FOLDER / "map 100 arrays.pkl", FOLDER / "map 100 arrays.safetensors"
    joblib.dump(layers, pkl)
    save_file(layers, tensors)
    works += [
        ("map/100 arrays/joblib", nothing, lambda: joblib.load(pkl, mmap_mode="r")),
        ("map/100 arrays/safetensors", nothing, lambda: all_slices(tensors)),
    ]
    return measure(works, repetitions, calls=20)


if __name__ == "__main__":
    run(arrays=arrays, mapping=mapping)
