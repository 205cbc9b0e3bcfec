#!/usr/bin/env python3
"""The command line with other programs' files: what NumPy, joblib and safetensors write it shows, converts and gives back."""

import json
import os
import pathlib
import pickle
import collections
import io
import subprocess
import sys
import types
import unittest
import zipfile

try:
    import joblib
    import lz4.frame  # noqa: F401: for joblib
    import numpy as np
    from safetensors.numpy import load_file, save_file
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

STELE = os.environ.get("STELE_BIN", "")


def run(*arguments, code=0):
    done = subprocess.run([STELE, *map(str, arguments)], capture_output=True, check=False, timeout=120)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout


class Model:
    """Any class: stele does not know it."""

    def __init__(self):
        self.coef_ = np.arange(12.0).reshape(3, 4)
        self.classes_ = np.array([1, 2, 3], dtype=np.int64)
        self.names = ("a", "b")
        self.seen = {1, 2}


class Dangerous:
    def __reduce__(self):
        return os.system, ("touch executed",)


def torch_file(path, tensors):
    """Writes what torch.save() makes of a state dict: name -> (storage, offset, shape, strides in elements)."""
    torch = types.ModuleType("torch")
    torch._utils = types.ModuleType("torch._utils")
    modules = {"torch": torch, "torch._utils": torch._utils}
    storage_types = {np.dtype(code): type(name, (), {"__module__": "torch"}) for code, name in (
        ("f4", "FloatStorage"), ("f8", "DoubleStorage"), ("i8", "LongStorage"), ("f2", "HalfStorage"))}
    for type_ in storage_types.values():
        setattr(torch, type_.__name__, type_)

    def rebuild(*arguments):
        raise AssertionError

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    torch._utils._rebuild_tensor_v2 = rebuild

    class Tensor:
        def __init__(self, arguments):
            self.arguments = arguments

        def __reduce__(self):
            return rebuild, (*self.arguments, False, collections.OrderedDict())

    keys = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, np.ndarray):
                return None
            key = keys.setdefault(id(value), (str(len(keys)), value))[0]
            return "storage", storage_types[value.dtype], key, "cpu", value.size

    sys.modules.update(modules)
    buffer = io.BytesIO()
    state = collections.OrderedDict((name, Tensor(parts)) for name, parts in tensors.items())
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    Pickler(buffer, 2).dump(state)
    for name in modules:
        del sys.modules[name]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", buffer.getvalue())
        file.writestr("archive/byteorder", "little")
        for key, value in keys.values():
            file.writestr(f"archive/data/{key}", value.tobytes())
        file.writestr("archive/version", "3\n")


ARRAYS = {
    "weights": np.linspace(0, 1, 300_000, dtype=np.float32).reshape(500, 600),
    "ids": np.arange(5000),
    "columns": np.asfortranarray(np.arange(24, dtype=np.int16).reshape(4, 6)),
    "times": np.array(["2020-01-01", "2021-05-05"], dtype="datetime64[D]"),
}


def same(found, expected):
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype, (found.dtype, expected.dtype)


class Neighbours(unittest.TestCase):
    def test_shows_what_others_wrote(self):
        np.savez("a.npz", **ARRAYS)
        np.savez_compressed("packed.npz", **ARRAYS)
        joblib.dump(ARRAYS, "a.joblib")
        joblib.dump(ARRAYS, "a.joblib.gz", compress=("gzip", 3))
        joblib.dump(ARRAYS, "a.joblib.xz", compress=("xz", 1))
        save_file({k: v for k, v in ARRAYS.items() if k in ("weights", "ids")}, "a.safetensors", {"format": "np"})
        np.save("a.npy", ARRAYS["weights"])
        for name in ("a.npz", "packed.npz", "a.joblib", "a.joblib.gz", "a.joblib.xz", "a.safetensors"):
            entries = {e["path"]: e for e in json.loads(run("ls", name, "--json"))["entries"]}
            self.assertEqual(entries["weights"]["dtype"], "float32", name)
            self.assertEqual(entries["weights"]["shape"], [500, 600], name)
            raw = run("extract", name, "weights[7, ::100]", "--raw", "-o", "-")
            same(np.frombuffer(raw, np.float32), ARRAYS["weights"][7, ::100])
            self.assertIn(b"4999", run("show", name, "ids[-1:]"))
        self.assertIn(b"npy", run("info", "a.npy"))
        same(np.frombuffer(run("extract", "a.npy", "", "--raw", "-o", "-"), np.float32).reshape(500, 600),
             ARRAYS["weights"])

    def test_converts_there_and_back(self):
        np.savez("b.npz", **ARRAYS)
        for codec in ("", ".zst", ".gz"):
            run("convert", "b.npz", f"b.stele{codec}")
            run("verify", f"b.stele{codec}")
            for target in ("back.npz", "back.joblib", "back.pkl"):
                run("convert", f"b.stele{codec}", target)
            with np.load("back.npz") as back:
                self.assertEqual(sorted(back), sorted(ARRAYS))
                for name, array in ARRAYS.items():
                    same(back[name], array)
                    self.assertEqual(back[name].flags.f_contiguous, array.flags.f_contiguous)
            for back in (joblib.load("back.joblib"), joblib.load("back.joblib", mmap_mode="r"),
                         pickle.loads(pathlib.Path("back.pkl").read_bytes())):
                for name, array in ARRAYS.items():
                    same(back[name], array)
            self.assertIsInstance(joblib.load("back.joblib", mmap_mode="r")["weights"], np.memmap)
        save_file({"w": ARRAYS["weights"]}, "c.safetensors", {"note": "text"})
        run("convert", "c.safetensors", "c.stele.zst")
        run("convert", "c.stele.zst", "d.safetensors")
        same(load_file("d.safetensors")["w"], ARRAYS["weights"])
        self.assertEqual(json.loads(run("info", "c.stele.zst", "--json"))["metadata"], {"note": "text"})

    def test_large_arrays_of_archives_are_written_from_there(self):
        random = np.random.default_rng(5)
        arrays = {"floats": random.standard_normal((700, 500)), "ids": random.integers(0, 90, (800, 400)),
                  "columns": np.asfortranarray(random.standard_normal((600, 500)).astype(np.float32)),
                  "bools": random.integers(0, 2, 1_500_000).astype(bool), "small": np.arange(5)}
        values = {**arrays, "again": arrays["floats"]}
        pathlib.Path("big.pkl").write_bytes(pickle.dumps(values, 4))  # joblib would write the array twice
        np.savez("big.npz", **arrays)
        np.save("one.npy", arrays["columns"])
        for codec in ("zst", "gz", "lz4", "xz", "z"):
            for source in ("big.pkl", "big.npz", "one.npy"):
                run("convert", source, f"{source}.stele.{codec}", "--level", 1)
            for target in ("from.joblib", "from.pkl", "from.joblib.gz"):
                run("convert", f"big.pkl.stele.{codec}", target)
                back = pickle.loads(pathlib.Path(target).read_bytes()) if target == "from.pkl" else joblib.load(target)
                self.assertIs(back["floats"], back["again"], target)
                for name, array in arrays.items():
                    same(back[name], array)
                    self.assertEqual(back[name].flags.f_contiguous, array.flags.f_contiguous)
            for target in ("from.npz", "from.safetensors"):
                run("convert", f"big.npz.stele.{codec}", target)
                with np.load(target) if target == "from.npz" else open(target, "rb") as file:
                    back = file if target == "from.npz" else load_file(target)
                    for name, array in arrays.items():
                        same(back[name], array)
            run("convert", f"one.npy.stele.{codec}", "from.npy")
            same(np.load("from.npy"), arrays["columns"])
            with open(f"one.npy.stele.{codec}", "rb") as pipe:
                subprocess.run(f"cat | '{STELE}' convert - piped.npy", shell=True, stdin=pipe, check=True)
            same(np.load("piped.npy"), arrays["columns"])
            run("convert", pathlib.Path(f"big.npz.stele.{codec}").resolve().as_uri(), "url.npz")
            with np.load("url.npz") as back:
                same(back["ids"], arrays["ids"])
            damaged = bytearray(pathlib.Path(f"big.npz.stele.{codec}").read_bytes())
            damaged[len(damaged) // 2] ^= 0x10
            pathlib.Path("damaged.stele").write_bytes(damaged)
            for target in ("none.npz", "none.safetensors", "none.joblib", "none.pkl", "none.npz.zst"):
                done = subprocess.run([STELE, "convert", "damaged.stele", target], capture_output=True, check=False)
                self.assertNotEqual(done.returncode, 0, target)
                self.assertIn(b"damaged.stele", done.stderr)
                self.assertEqual([*pathlib.Path().glob("none*")], [])

    def test_the_target_may_be_the_source(self):
        array = np.random.default_rng(6).standard_normal(400_000)
        np.savez("x.npz", a=array)
        for options in ((), ("--in-place",)):
            run("convert", "x.npz", "x.stele.zst")
            os.replace("x.stele.zst", "same.npz.zst")
            run("convert", "same.npz.zst", "same.npz.zst", *options)
            run("convert", "same.npz.zst", "back.npz")
            with np.load("back.npz") as back:
                same(back["a"], array)

    def test_files_of_other_programs_come_through_a_pipe(self):
        joblib.dump(np.arange(500_000), "p.joblib.z")
        subprocess.run(f"cat p.joblib.z | '{STELE}' convert - p.npy", shell=True, check=True)
        same(np.load("p.npy"), np.arange(500_000))
        run("convert", "p.npy", "p.stele")
        pathlib.Path("several.stele").write_bytes(2 * pathlib.Path("p.stele").read_bytes())
        message = subprocess.run([STELE, "convert", "several.stele", "several.npy"], capture_output=True, check=False)
        self.assertIn(b"several archives", message.stderr)
        self.assertFalse(pathlib.Path("several.npy").exists())

    def test_joblib_reads_compressed_output(self):
        several = {**ARRAYS, "large": np.random.default_rng(0).standard_normal(400_000), "text": ["text"] * 50_000}
        joblib.dump(several, "e.joblib")
        for codec in ("z", "gz", "bz2", "xz", "lz4", "lzma"):
            run("convert", "e.joblib", f"f.joblib.{codec}")
            back = joblib.load(f"f.joblib.{codec}")
            for name, array in several.items():
                if name == "text":
                    self.assertEqual(back[name], array, codec)
                else:
                    same(back[name], array)
            run("convert", f"f.joblib.{codec}", "f.stele")
            run("verify", "f.stele")

    def test_objects_are_kept_and_never_made(self):
        joblib.dump({"model": Model(), "pair": [Model(), 5]}, "model.joblib", compress=3)
        run("convert", "model.joblib", "model.stele.zst")
        for name in ("model.joblib", "model.stele.zst"):
            types = json.loads(run("types", name, "--json"))["types"]
            self.assertIn(f"{__name__}.Model", [t["name"] for t in types if t["risk"] == "code"])
            raw = run("extract", name, "model/coef_", "--raw", "-o", "-")
            same(np.frombuffer(raw).reshape(3, 4), Model().coef_)
        run("convert", "model.stele.zst", "again.joblib")
        again = joblib.load("again.joblib")
        same(again["model"].coef_, Model().coef_)
        same(again["pair"][0].classes_, Model().classes_)
        self.assertEqual(again["model"].names, ("a", "b"))
        self.assertEqual(again["model"].seen, {1, 2})

        pathlib.Path("evil.pkl").write_bytes(pickle.dumps([Dangerous()]))
        types = json.loads(run("types", "evil.pkl", "--json"))["types"]
        self.assertEqual([t["risk"] for t in types], ["dangerous"])
        self.assertTrue(types[0]["name"].endswith(".system"), types)
        run("ls", "evil.pkl")
        run("convert", "evil.pkl", "evil.stele")
        run("show", "evil.stele")
        run("convert", "evil.stele", "evil_again.pkl")
        self.assertFalse(pathlib.Path("executed").exists())
        self.assertIn(b"dangerous", run("types", "evil_again.pkl"))

    def test_damage_is_found_on_the_way(self):
        np.savez("crc.npz", **ARRAYS)
        run("verify", "crc.npz")
        bytes_ = bytearray(pathlib.Path("crc.npz").read_bytes())
        at = bytes_.find(ARRAYS["ids"].tobytes())
        bytes_[at + 800] ^= 1
        pathlib.Path("crc.npz").write_bytes(bytes_)
        for command in (("convert", "crc.npz", "crc.stele"), ("verify", "crc.npz")):
            self.assertIn(b"ids", subprocess.run([STELE, *command], capture_output=True, check=False).stderr)
        self.assertFalse(pathlib.Path("crc.stele").exists())

    def test_tensors(self):
        big, small = np.arange(200_000, dtype=np.float32), np.arange(6, dtype=np.float16)
        torch_file("m.pt", {"fc.weight": (big, 0, (400, 500), (500, 1)), "fc.turned": (big, 10, (500, 300), (1, 500)),
                            "half": (small, 1, (2, 2), (3, 1)), "count": (np.array([7]), 0, (), ())})
        expected = {"fc.weight": big.reshape(400, 500), "fc.turned": big[10:150_010].reshape(300, 500).T,
                    "half": np.array([[1, 2], [4, 5]], np.float16), "count": np.array(7)}
        self.assertIn(b"torch", run("info", "m.pt"))
        raw = run("extract", "m.pt", "fc.turned", "--raw", "-o", "-")
        same(np.frombuffer(raw, np.float32).reshape(500, 300), expected["fc.turned"])
        for name in ("m.pt", "m.stele.zst"):
            run("convert", name, "m.safetensors")
            run("convert", name, "m.npz")
            run("convert", name, "m.stele.zst")
            with np.load("m.npz") as arrays:
                for found in (load_file("m.safetensors"), arrays):
                    self.assertEqual(sorted(found), sorted(expected))
                    for key, array in expected.items():
                        same(found[key], array)
        run("convert", "m.pt", "m.stele")
        self.assertLess(pathlib.Path("m.stele").stat().st_size, big.nbytes + 10_000)  # one storage, two tensors
        names = {t["name"]: t["risk"] for t in json.loads(run("types", "m.pt", "--json"))["types"]}
        self.assertEqual(set(names.values()), {"data"}, names)

    def test_members_that_cannot_be_read_leave_the_others(self):
        np.savez("v.npz", good=np.arange(4), void=np.zeros(2, "V3"), pair=np.zeros(2, [("a", "i4"), ("b", "f8")]))
        same(np.frombuffer(run("extract", "v.npz", "good", "--raw", "-o", "-"), np.int64), np.arange(4))
        self.assertIn(b"npz:unread", run("ls", "v.npz"))
        run("convert", "v.npz", "v.stele")
        run("convert", "v.stele", "back.npz")
        with np.load("back.npz") as back:
            self.assertEqual(back["void"].dtype, np.dtype("V3"))
            same(back["good"], np.arange(4))

    def test_pickles_of_the_first_protocols(self):
        for number, value in enumerate((10**100, "x" * 200, [1, (2, "three")], b"bytes")):
            for protocol in (0, 1):
                name = f"old{number}.pkl"
                pathlib.Path(name).write_bytes(pickle.dumps(value, protocol))
                run("convert", name, "old.stele")
                run("convert", "old.stele", "new.pkl")
                self.assertEqual(pickle.loads(pathlib.Path("new.pkl").read_bytes()), value)

    def test_extracts_in_the_format_of_the_name(self):
        joblib.dump(ARRAYS, "h.joblib")
        run("extract", "h.joblib", "ids", "-o", "ids.npy")
        same(np.load("ids.npy"), ARRAYS["ids"])

    def test_refuses_with_the_path_and_keeps_the_old_file(self):
        joblib.dump({"text": "x", "a": np.arange(3)}, "g.joblib")
        pathlib.Path("old.npz").write_bytes(b"old")
        message = subprocess.run([STELE, "convert", "g.joblib", "old.npz"], capture_output=True, check=False)
        self.assertNotEqual(message.returncode, 0)
        self.assertIn(b"text", message.stderr)
        self.assertEqual(pathlib.Path("old.npz").read_bytes(), b"old")


if __name__ == "__main__":
    if not STELE:
        print("skipped: there is no command line")
        sys.exit(77)
    unittest.main()
