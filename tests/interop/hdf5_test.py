#!/usr/bin/env python3
"""stele reads the HDF5 files that h5py writes: every type that arrays have, groups, chunks and filters; refuses the rest
with its path; and survives damage."""

import gzip
import os
import pathlib
import pickle
import random
import subprocess
import sys
import unittest

STELE = os.environ.get("STELE_BIN")
if not STELE:
    print("skipped: no command line")
    sys.exit(77)
try:
    import h5py
    import numpy as np
except ImportError:
    print("skipped: no h5py")
    sys.exit(77)


def run(*arguments, data=None):
    return subprocess.run([STELE, *map(str, arguments)], input=data, capture_output=True, timeout=60)


with h5py.File("probe.h5", "w") as probe:
    probe["x"] = 1
if b"no libhdf5" in run("ls", "probe.h5").stderr:
    print("skipped: built without libhdf5")
    sys.exit(77)


def read(path, data=None):
    """The value of a file, as a pickle of it has it."""
    done = run("convert", path, "back.pkl", data=data)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return pickle.loads(pathlib.Path("back.pkl").read_bytes())


def write(path="x.h5", **values):
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file[name] = value
    return path


def same(found, good):
    return type(found) is type(good) and found.dtype == good.dtype and found.shape == good.shape and \
        found.tobytes() == good.tobytes()


class Hdf5(unittest.TestCase):
    def test_every_type(self):
        rng = np.random.default_rng(1)
        for order in "<>":
            for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "?", "S7"):
                good = rng.integers(0, 2 if code == "?" else 100, (4, 3, 2)).astype(order + code)
                with self.subTest(order + code):
                    found = read(write(a=good, empty=good[:0]))
                    native = good.astype(good.dtype.newbyteorder("<"))
                    self.assertTrue(same(found["a"], native), found["a"])
                    self.assertTrue(same(found["empty"], native[:0]))
        kinds = h5py.enum_dtype({"a": 1, "b": 300}, basetype=">i2")
        with h5py.File("x.h5", "w") as file:
            file.create_dataset("a", data=[1, 300], dtype=kinds)
        self.assertTrue(same(read("x.h5")["a"], np.array([1, 300], "<i2")))

    def test_single_values_and_texts(self):
        with h5py.File("x.h5", "w") as file:
            file["int"] = -5
            file["natural"] = np.uint64(2**64 - 1)
            file["real"] = 2.5
            file["bool"] = True
            file["complex"] = 1 + 2j
            file["text"] = "grüße"
            file["fixed"] = np.bytes_("abc")
            file["texts"] = ["one", "", "drei ü"]
            file["none"] = h5py.Empty("f8")
        found = read("x.h5")
        self.assertEqual(found, {"int": -5, "natural": 2**64 - 1, "real": 2.5, "bool": True, "complex": 1 + 2j,
                                 "text": "grüße", "fixed": "abc", "texts": ["one", "", "drei ü"], "none": None})
        self.assertIs(type(found["bool"]), bool)

    def test_groups_chunks_and_filters(self):
        good = np.arange(60000, dtype="f4").reshape(300, 200)
        for path, options in {"old.h5": {}, "new.h5": {"libver": ("v108", "v110")}}.items():
            with h5py.File(path, "w", **options) as file:
                for name, how in {"plain": {}, "chunks": {"chunks": (37, 41)}, "gzip": {"compression": "gzip"},
                                  "all": {"compression": "gzip", "shuffle": True, "fletcher32": True},
                                  "lzf": {}}.items():
                    file.create_dataset(f"deep/er/{name}", data=good, **how)
                file.create_dataset("unwritten", (3, 4), "i4", fillvalue=7)
                file["again"] = file["deep/er/plain"]
                file.create_group("nothing")
                file.attrs.update({"title": "Versuch", "count": 3, "factor": 0.5, "list": [1, 2]})
            plain = pathlib.Path(path).read_bytes()
            pathlib.Path(path + ".gz").write_bytes(gzip.compress(plain))
            for found in (read(path), read(path + ".gz"), read("-", plain)):
                self.assertEqual(sorted(found), ["again", "deep", "nothing", "unwritten"])
                self.assertEqual(found["nothing"], {})
                self.assertTrue(all(same(a, good) for a in found["deep"]["er"].values()))
                self.assertTrue(same(found["unwritten"], np.full((3, 4), 7, "i4")))
                self.assertTrue(same(found["again"], good))
        listed = run("ls", "new.h5").stdout.decode()
        self.assertIn("float32", listed)
        self.assertEqual(run("convert", "new.h5", "y.stele").returncode, 0)
        info = run("info", "y.stele").stdout.decode()
        self.assertIn("Versuch", info)
        self.assertNotIn("list", info)

    def refused(self, path, *words):
        done = run("convert", path, "y.stele")
        self.assertEqual(done.returncode > 0, True, done)
        for word in words:
            self.assertIn(word, done.stderr.decode())

    def test_what_it_cannot_read_is_refused_with_its_path(self):
        with h5py.File("x.h5", "w") as file:
            file["g/ok"] = 1
            file["g/records"] = np.zeros(3, [("a", "i4"), ("b", "f8")])
        self.refused("x.h5", "g/records", "records")
        with h5py.File("x.h5", "w") as file:
            file["g/link"] = h5py.SoftLink("/nowhere")
        self.refused("x.h5", "g/link", "link")
        with h5py.File("x.h5", "w") as file:
            file["link"] = h5py.ExternalLink("/etc/passwd", "/x")
        self.refused("x.h5", "link")
        with h5py.File("x.h5", "w") as file:
            file["g/h/loop"] = file["g"] if "g" in file else file.create_group("g")
        self.refused("x.h5", "g/h/loop", "another place")
        pathlib.Path("elements").write_bytes(bytes(80))
        with h5py.File("x.h5", "w") as file:
            file.create_dataset("far", (10,), "f8", external=[("elements", 0, 80)])
        self.refused("x.h5", "far", "other files")
        with h5py.File("x.h5", "w") as file:
            layout = h5py.VirtualLayout((10,), "f8")
            layout[:] = h5py.VirtualSource("other.h5", "x", (10,))
            file.create_virtual_dataset("virtual", layout)
        self.refused("x.h5", "virtual", "other files")
        with h5py.File("x.h5", "w") as file:
            file.create_dataset("huge", (1 << 20, 1 << 20), "f8", chunks=(1, 1 << 10))
        self.refused("x.h5", "huge", "limit")
        self.assertGreater(run("convert", write(a=1), "y.h5").returncode, 0)

    def test_damage_is_an_error(self):
        with h5py.File("x.h5", "w", libver="earliest") as file:
            file.create_dataset("group/matrix", data=np.arange(600.).reshape(20, 30), chunks=(7, 8), compression="gzip")
            file["texts"] = ["one", "two"]
            file["bools"] = np.array([True, False])
            file.attrs["title"] = "x"
        good = pathlib.Path("x.h5").read_bytes()
        rng = random.Random(3)
        for round_ in range(150):
            bad = bytearray(good[:rng.randrange(len(good))] if round_ % 10 == 0 else good)
            for _ in range(rng.choice((1, 4, 16))):
                if bad:
                    bad[rng.randrange(len(bad))] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
            pathlib.Path("bad.h5").write_bytes(bad)
            done = run("convert", "bad.h5", "bad.stele")
            self.assertGreaterEqual(done.returncode, 0, f"round {round_}")
            self.assertNotIn(b"HDF5-DIAG", done.stderr)


if __name__ == "__main__":
    unittest.main()
