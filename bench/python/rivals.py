"""Objects of the group `python`, saved and loaded by stele's module and by what people use.

Each call is made in a process of its own. With STELE_BENCH_QUICK the objects have a tenth of the size.
"""

import os
import pickle
import random
import shutil
import time
import warnings

import joblib
import numpy

import stele
from bench.rivals import FOLDER, MIB, QUICK, in_child, reset_peak, run, status

SCALE = 10 if QUICK else 1


def make(case):
    generator = numpy.random.default_rng(0)
    if case == "array":
        return {"a": generator.standard_normal(10_000_000 // SCALE)}
    if case == "arrays":
        return [generator.standard_normal(10_000) for _ in range(1000 // SCALE)]
    if case == "small":
        return [generator.standard_normal(100) for _ in range(1000 // SCALE)]
    if case == "tuples":
        return [(i, i / 3, f"text {i}") for i in range(300_000 // SCALE)]
    if case == "dicts":
        return [{"id": i, "name": f"name {i}", "score": i / 3, "ok": i % 2 == 0} for i in range(200_000 // SCALE)]
    if case == "floats":
        return {f"key{i}": float(i) / 7 for i in range(1_000_000 // SCALE)}
    if case == "texts":
        return [f"text {i}" for i in range(1_000_000 // SCALE)]
    if case == "faces":
        from sklearn.datasets import load_sample_images

        pictures = numpy.concatenate([image[::4, ::4].mean(axis=2).ravel() for image in load_sample_images().images])
        return {"images": numpy.resize(pictures, (1500 // SCALE, 62 * 47)).astype(numpy.uint8).astype(numpy.float32) / 255,
                "target": generator.integers(0, 60, 1500 // SCALE)}
    if case == "frame":
        import pandas

        rows = 500_000 // SCALE
        return pandas.DataFrame({"i": numpy.arange(rows), "x": generator.random(rows), "y": generator.random(rows),
                                 "k": generator.integers(0, 100, rows), "s": [f"text {i % 1000}" for i in range(rows)]})
    features = generator.random((1000, 20))
    classes = (features[:, 0] + features[:, 1] > 1).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if case == "forest":
            from sklearn.ensemble import RandomForestClassifier

            return RandomForestClassifier(200 // SCALE, random_state=0).fit(features, classes)
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier((512, 256), max_iter=3, random_state=0).fit(features, classes)


CASES = ("array", "arrays", "small", "forest", "network", "frame", "floats", "texts", "tuples", "dicts", "faces")


def arrays_of(value):
    """A dict of arrays, for those that hold nothing else; None for other objects."""
    if isinstance(value, list) and isinstance(value[0], numpy.ndarray):
        return {str(i): array for i, array in enumerate(value)}
    if isinstance(value, dict) and all(isinstance(item, numpy.ndarray) for item in value.values()):
        return value
    return None


def dump_pickle(value, path):
    with open(path, "wb") as file:
        pickle.dump(value, file, 5)


def load_pickle(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def dump_npz(save):
    def dump(value, path):
        with open(path, "wb") as file:
            save(file, **arrays_of(value))

    return dump


def load_npz(path):
    with numpy.load(path) as arrays:
        return {name: arrays[name] for name in arrays}


def dump_h5py(**options):
    import h5py

    def dump(value, path):
        with h5py.File(path, "w") as file:
            for name, array in arrays_of(value).items():
                file.create_dataset(name, data=array, **options)

    return dump


def load_h5py(path):
    import h5py

    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


def dump_zarr(compressors):
    import zarr

    def dump(value, path):
        shutil.rmtree(path, ignore_errors=True)
        group = zarr.open_group(path, mode="w")
        for name, array in arrays_of(value).items():
            group.create_array(name, data=array, compressors=compressors)

    return dump


def load_zarr(path):
    import zarr

    group = zarr.open_group(path, mode="r")
    return {name: group[name][:] for name in group}


def rivals():
    """Name: (dump, load, whether it holds arrays alone)."""
    def load(path):
        return stele.load(path, trusted=True)

    found = {
        "stele": (lambda v, p: stele.dump(v, p, codec="plain"), load, False),
        "stele zstd": (lambda v, p: stele.dump(v, p, codec="zstd"), load, False),
        "stele gzip": (lambda v, p: stele.dump(v, p, codec="gzip"), load, False),
        "pickle 5": (dump_pickle, load_pickle, False),
        "joblib": (joblib.dump, joblib.load, False),
        "joblib zlib": (lambda v, p: joblib.dump(v, p, compress=("zlib", 3)), joblib.load, False),
        "joblib lz4": (lambda v, p: joblib.dump(v, p, compress=("lz4", 3)), joblib.load, False),
        "numpy": (dump_npz(numpy.savez), load_npz, True),
        "numpy zip": (dump_npz(numpy.savez_compressed), load_npz, True),
    }
    try:
        found["h5py"] = (dump_h5py(), load_h5py, True)
        found["h5py gzip"] = (dump_h5py(compression="gzip"), load_h5py, True)
    except ImportError:
        pass
    try:
        found["zarr"] = (dump_zarr(None), load_zarr, True)
        found["zarr zstd"] = (dump_zarr("auto"), load_zarr, True)
    except ImportError:
        pass
    try:
        import safetensors.numpy

        found["safetensors"] = (lambda v, p: safetensors.numpy.save_file(arrays_of(v), p), safetensors.numpy.load_file, True)
    except ImportError:
        pass
    try:
        import zipfile

        import skops.io

        def load_skops(path):
            return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))

        found["skops"] = (skops.io.dump, load_skops, False)
        found["skops zip"] = (lambda v, p: skops.io.dump(v, p, compression=zipfile.ZIP_DEFLATED), load_skops, False)
    except ImportError:
        pass
    try:
        import torch

        found["torch"] = (lambda v, p: torch.save({k: torch.from_numpy(a) for k, a in arrays_of(v).items()}, p),
                          torch.load, True)
    except ImportError:
        pass
    return found


# skops takes minutes for a million items, and has no form for text of pandas.
LEFT_OUT = {(who, case) for who in ("skops", "skops zip") for case in ("floats", "texts", "tuples", "dicts", "frame")}


def bytes_of(path):
    if os.path.isdir(path):
        return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)
    return os.path.getsize(path)


def measured(work):
    def child():
        base = reset_peak()
        begin = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - begin
        peak = (status("VmHWM") - base) / MIB
        del result
        return seconds, peak

    return in_child(child)


def report(case, work, who, seconds, peak, **more):
    name = f"python/{case}/{work}/{who}"
    return {"name": name, "run_type": "iteration", "run_name": name, "real_time": 1e3 * seconds, "cpu_time": 1e3 * seconds,
            "time_unit": "ms", "peak_mib": float(peak), **more}


def measure(repetitions):
    runs = []
    for case in CASES:
        value = make(case)
        everyone = list(rivals().items())
        measured(lambda: dump_pickle(value, str(FOLDER / "python warm up")))  # whoever comes first meets a cold machine
        for _ in range(repetitions):
            random.shuffle(everyone)
            for who, (dump, load, arrays_alone) in everyone:
                if (arrays_alone and arrays_of(value) is None) or (who, case) in LEFT_OUT:
                    continue
                path = str(FOLDER / f"python {case} {who}")
                seconds, peak = measured(lambda: dump(value, path))
                if not os.path.exists(path) and os.path.exists(path + ".npz"):
                    path += ".npz"
                runs.append(report(case, "dump", who, seconds, peak, stored_mb=bytes_of(path) / 1e6))
                seconds, peak = measured(lambda: load(path))
                runs.append(report(case, "load", who, seconds, peak))
    return runs


if __name__ == "__main__":
    run(prepare=lambda _: [], measure=measure)
