"""The files of the group `neighbours`, and the programs that wrote them.

`prepare` writes STELE_BENCH_FOLDER/"neighbours CASE.EXTENSION" by the formats' own libraries, in all combinations that
there are. `measure` loads each in a process of its own, and opens those that can be mapped. The files are in the page
cache. With STELE_BENCH_QUICK they have a tenth of the size.
"""

import gzip
import pickle
import time

import joblib
import numpy
import safetensors.numpy

from bench.rivals import FOLDER, MIB, QUICK, in_child, reset_peak, run, status

try:
    import torch
except ImportError:
    torch = None

SCALE = 10 if QUICK else 1


class Estimator:
    """Anything fitted: a few settings, and trees of arrays."""

    def __init__(self):
        generator = numpy.random.default_rng(1)
        self.n_features_in_ = 20
        self.classes_ = numpy.arange(3)
        self.estimators_ = [{"nodes": generator.integers(0, 99, (500, 4)), "values": generator.random((500, 3)),
                             "depth": depth, "criterion": "gini"} for depth in range(1000 // SCALE)]


def make(case):
    generator = numpy.random.default_rng(0)
    if case == "array":
        return {"a": generator.standard_normal(10_000_000 // SCALE)}
    if case == "arrays":
        return {f"a{i}": generator.standard_normal(10_000 // SCALE) for i in range(1000)}
    if case == "floats":
        return {f"key{i}": float(i) for i in range(1_000_000 // SCALE)}
    if case == "texts":
        return [f"text {i}" for i in range(1_000_000 // SCALE)]
    return Estimator()


ARRAYS = ("array", "arrays")
CASES = (*ARRAYS, "floats", "texts", "estimator")


def save_pickle(value, path):
    with open(path, "wb") as file:
        pickle.dump(value, file, 4)


def save_packed_pickle(value, path):
    with gzip.open(path, "wb", 3) as file:
        pickle.dump(value, file, 4)


def load_pickle(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def load_packed_pickle(path):
    with gzip.open(path, "rb") as file:
        return pickle.load(file)


def load_npz(path):
    with numpy.load(path) as arrays:
        return {name: arrays[name] for name in arrays}


def save_packed_npz(value, path):
    with open(path, "wb") as file:
        numpy.savez_compressed(file, **value)


# Extension: the cases, how to save, how to load, and how to map or None.
FORMATS = {
    ".npy": (("array",), lambda v, p: numpy.save(p, v["a"]), numpy.load, lambda p: numpy.load(p, mmap_mode="r")),
    ".npz": (ARRAYS, lambda v, p: numpy.savez(p, **v), load_npz, None),
    ".packed.npz": (ARRAYS, save_packed_npz, load_npz, None),
    ".safetensors": (ARRAYS, safetensors.numpy.save_file, safetensors.numpy.load_file,
                     lambda p: safetensors.safe_open(p, "numpy").keys()),
    ".joblib": (CASES, joblib.dump, joblib.load, lambda p: joblib.load(p, mmap_mode="r")),
    ".joblib.z": (CASES, lambda v, p: joblib.dump(v, p, compress=("zlib", 3)), joblib.load, None),
    ".joblib.lz4": (CASES, lambda v, p: joblib.dump(v, p, compress=("lz4", 0)), joblib.load, None),
    ".pkl": (CASES, save_pickle, load_pickle, None),
    ".pkl.gz": (CASES, save_packed_pickle, load_packed_pickle, None),
}
if torch is not None:
    FORMATS[".pt"] = (ARRAYS, lambda v, p: torch.save({k: torch.from_numpy(a) for k, a in v.items()}, p),
                      torch.load, lambda p: torch.load(p, mmap=True))


def path_of(case, extension):
    return str(FOLDER / f"neighbours {case}{extension}")


def prepare(_):
    for case in CASES:
        value = make(case)
        for extension, (cases, save, _, _) in FORMATS.items():
            if case in cases:
                save(value, path_of(case, extension))
    return []


def measured(load, path):
    def work():
        base = reset_peak()
        begin = time.perf_counter()
        value = load(path)
        seconds = time.perf_counter() - begin
        peak = (status("VmHWM") - base) / MIB
        del value
        return seconds, peak

    return in_child(work)


def measure(repetitions):
    runs = []
    for case in CASES:
        for extension, (cases, _, load, map_) in FORMATS.items():
            for mode, function in (("load", load), ("map", map_)):
                if case not in cases or function is None:
                    continue
                for _ in range(repetitions):
                    seconds, peak = measured(function, path_of(case, extension))
                    runs.append({"name": f"neighbours/{case}/{extension}/{mode}/own", "run_type": "iteration",
                                 "run_name": f"neighbours/{case}/{extension}/{mode}/own", "real_time": 1e3 * seconds,
                                 "cpu_time": 1e3 * seconds, "time_unit": "ms", "peak_mib": float(peak)})
    return runs


if __name__ == "__main__":
    run(prepare=prepare, measure=measure)
