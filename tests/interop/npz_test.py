#!/usr/bin/env python3
"""NumPy and stele read each other's .npy and .npz files: every dtype, order, byte order and version of the format, and
zip files of every kind that Python's zipfile writes."""

import io
import pathlib
import struct
import subprocess
import unittest
import zipfile

from build_program import SOURCE_DIR, Compiler, skip

try:
    import numpy as np
except ImportError:
    skip("no NumPy")

PROGRAM = r"""
#include <iostream>
#include <string>
#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "stele/error.hpp"

using namespace stele;

// Each line is a file to read, how it is mapped (none, r, c or r+), a file to write, and "stored" or a level.
// Answers "ok" or what failed.
int main() {
  std::string from, mode, to, level;
  while (std::cin >> from >> mode >> to >> level) {
    try {
      const std::unique_ptr<Source> source = file_source(from);
      const LoadOptions options{.map = mode == "r"    ? MapMode::read_only
                                       : mode == "c"  ? MapMode::copy_on_write
                                       : mode == "r+" ? MapMode::read_write
                                                      : MapMode::none};
      const Neighbour file{.source = *source,
                           .mapping = mode == "none" ? nullptr : Mapping::open(from, options.map),
                           .path = from,
                           .options = options};
      const std::unique_ptr<Sink> sink = file_sink(to);
      if (from.ends_with(".npy")) {
        write_npy(*sink, read_npy(file).array());
      } else {
        write_npz(*sink, read_npz(file), {.level = level == "stored" ? std::nullopt : std::optional(std::stoi(level))});
      }
      sink->close();
      std::cout << "ok" << std::endl;
    } catch (const Error& error) {
      std::cout << to_string(error.code()) << ": " << error.what() << std::endl;
    }
  }
}
"""

NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
RECORD = [("id", ">u2"), ("x", "<f8"), ("pair", ">i4", (2,)), ("p", [("re", ">f4"), ("name", "S3")])]


def arrays():
    rng = np.random.default_rng(7)
    found = {}
    for code in NUMBERS:
        for order in "<>":
            values = rng.integers(0, 2 if code == "?" else 100, (3, 5)).astype(order + code)
            found[f"{order}{code}".replace("?", "b")] = values
            found[f"{order}{code}_columns".replace("?", "b")] = np.asfortranarray(values)
    for order in "<>":
        found[order + "text"] = np.array(["grüße", "x", ""]).astype(order + "U5")
        found[order + "times"] = np.array(["2026-11-29T01:02:03", "NaT"], order + "M8[ns]")
        found[order + "durations"] = np.array([1, -2], order + "m8[25ms]")
        found[order + "months"] = np.array(["2026-11"], order + "M8[M]")
    found["bytes"] = np.array([b"ab", b"c\0d"])
    found["no_bytes"] = np.zeros(3, "S0")
    found["scalar"] = np.array(2.5)
    found["true"] = np.array(True)
    found["records"] = np.array([(1, 2.5, [1, 2], (0.5, b"abc")), (3, 4.5, [3, 4], (1.5, b"d"))], dtype=RECORD)
    found["one_record"] = found["records"][0:1].reshape(())
    found["aligned"] = np.zeros(3, np.dtype([("a", "u1"), ("b", "<f8"), ("c", "u2")], align=True))
    found["unicode"] = np.zeros(2, [("ä", "<i1"), ("it's", "<f4")])
    found["many_fields"] = np.zeros(1, [(f"field_{i}", "<f4") for i in range(5000)])
    found["empty"] = np.zeros((0, 7), "u1")
    found["empty_columns"] = np.zeros((4, 0), ">f8", order="F")
    found["high"] = np.zeros((1,) * 32, "<i2")
    found["large"] = rng.standard_normal((1500, 900)).astype("f4")
    found["strided"] = np.arange(20.0)[::2]
    return found


ARRAYS = arrays()


class Stele:
    """The program, which converts."""

    def __init__(self):
        pathlib.Path("npz_program.cpp").write_text(PROGRAM, encoding="utf-8")
        compiler = Compiler()
        subprocess.run([*compiler.command, *compiler.include, f"-I{SOURCE_DIR / 'src'}", "-o", "npz_program",
                        "npz_program.cpp", *compiler.link], check=True)
        self.process = subprocess.Popen(["./npz_program"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, source, target, mode="none", level="stored"):
        self.process.stdin.write(f"{source} {mode} {target} {level}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def npy(array, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version)
    return out.getvalue()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stele = Stele()

    @classmethod
    def tearDownClass(cls):
        cls.stele.close()

    def converted(self, source, mode="none", level="stored"):
        target = "converted" + pathlib.Path(source).suffix
        self.assertEqual(self.stele(source, target, mode, level), "ok", (source, mode))
        loaded = np.load(target, max_header_size=1 << 20)
        return loaded if target.endswith(".npy") else dict(loaded)

    def same(self, found, expected, name):
        self.assertEqual(found.shape, expected.shape, name)
        self.assertEqual(found.dtype, expected.dtype.newbyteorder("<"), name)
        if expected.dtype.names is None:
            self.assertEqual(found.tobytes(), expected.astype(found.dtype).tobytes(), name)
        else:  # the bytes between fields have no value
            self.assertEqual(repr(found.tolist()), repr(expected.astype(found.dtype).tolist()), name)
        if expected.flags.f_contiguous and not expected.flags.c_contiguous:
            self.assertTrue(found.flags.f_contiguous, name)

    def refused(self, source, *parts, mode="none"):
        answer = self.stele(source, "refused", mode)
        for part in parts:
            self.assertIn(part, answer)


class Npy(Case):
    def test_every_dtype_in_every_order_comes_back(self):
        for name, array in ARRAYS.items():
            np.save("one.npy", array)
            for mode in ("none", "r", "c"):
                self.same(self.converted("one.npy", mode), array, name)

    def test_every_version(self):
        for version in ((1, 0), (2, 0), (3, 0)):
            pathlib.Path("version.npy").write_bytes(npy(ARRAYS["records"], version))
            for mode in ("none", "r"):
                self.same(self.converted("version.npy", mode), ARRAYS["records"], version)

    def test_what_stele_lacks_is_named(self):
        for array, part in ((np.zeros(2, "V8"), "V8"), (np.zeros(2, np.longdouble), "f16"),
                            (np.zeros(2, [("a", "<f4", (2, 3))]), "several dimensions")):
            np.save("lacks.npy", array)
            self.refused("lacks.npy", "unsupported", part)
        # objects are read as pickles are: no arrays of stele's
        for array in (np.array([{}, None]), np.array([(1, {})], [("a", "i4"), ("b", "O")])):
            np.save("objects.npy", array, allow_pickle=True)
            self.refused("objects.npy", "type_mismatch", "typed value")

    def test_changes_reach_the_file_or_are_refused(self):
        np.save("big.npy", np.arange(5, dtype=">i4"))
        self.refused("big.npy", "not_mappable", "big-endian", mode="r+")
        np.save("little.npy", np.arange(5))
        self.same(self.converted("little.npy", "r+"), np.arange(5), "r+")


class Npz(Case):
    def check(self, source, expected=None):
        expected = ARRAYS if expected is None else expected
        for mode, level in (("none", "stored"), ("none", "0"), ("r", "stored"), ("c", "9")):
            found = self.converted(source, mode, level)
            self.assertEqual(list(found), list(expected))
            for name, array in expected.items():
                self.same(found[name], array, name)
            with zipfile.ZipFile("converted.npz") as file:
                self.assertIsNone(file.testzip())
                for info in file.infolist():
                    if level == "stored":
                        with open("converted.npz", "rb") as raw:
                            raw.seek(info.header_offset + 26)
                            name_size, extra_size = struct.unpack("<HH", raw.read(4))
                        self.assertEqual((info.header_offset + 30 + name_size + extra_size) % 64, 0, info.filename)

    def test_savez(self):
        np.savez("stored.npz", **ARRAYS)
        self.check("stored.npz")

    def test_savez_compressed(self):
        np.savez_compressed("compressed.npz", **ARRAYS)
        self.check("compressed.npz")

    def test_streamed_with_descriptors(self):
        class Pipe(io.RawIOBase):
            def __init__(self):
                self.bytes = bytearray()

            def writable(self):
                return True

            def write(self, data):
                self.bytes += data
                return len(data)

        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            pipe = Pipe()
            with zipfile.ZipFile(pipe, "w", method) as file:
                for name in ("large", "records"):
                    file.writestr(f"{name}.npy", npy(ARRAYS[name]))
            pathlib.Path("streamed.npz").write_bytes(pipe.bytes)
            self.check("streamed.npz", {name: ARRAYS[name] for name in ("large", "records")})

    def test_members_of_64_bit_sizes(self):
        with zipfile.ZipFile("wide.npz", "w") as file, file.open("a.npy", "w", force_zip64=True) as out:
            out.write(npy(np.arange(10)))
        self.check("wide.npz", {"a": np.arange(10)})

    def test_more_members_than_65535(self):
        with zipfile.ZipFile("many.npz", "w") as file:
            for i in range(65_540):
                file.writestr(f"m{i}.npy", npy(np.arange(3, dtype="u1")))
        self.assertEqual(self.stele("many.npz", "many_out.npz"), "ok")
        with zipfile.ZipFile("many_out.npz") as file:
            self.assertEqual(len(file.namelist()), 65_540)
            self.assertEqual(file.read("m65539.npy"), npy(np.arange(3, dtype="u1")))

    def test_folders_texts_and_comments(self):
        with zipfile.ZipFile("mixed.npz", "w") as file:
            file.writestr("dir/", b"")
            file.writestr("dir/a.npy", npy(np.arange(3)))
            file.writestr("readme.txt", b"hello")
            file.comment = b"PK\5\6 a comment that looks like an end"
        found = self.converted("mixed.npz")
        self.assertEqual(list(found), ["dir/", "dir/a", "readme.txt"])
        self.assertEqual(found["readme.txt"], b"hello")
        np.testing.assert_array_equal(found["dir/a"], np.arange(3))

    def test_other_methods_are_named(self):
        for method, word in ((zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "lzma")):
            with zipfile.ZipFile("method.npz", "w", method) as file:
                file.writestr("a.npy", npy(np.arange(100)))
            self.refused("method.npz", "unsupported: a: ", word)
            self.refused("method.npz", "unsupported: a: ", word, mode="r")
        data = bytearray(pathlib.Path("method.npz").read_bytes())
        for signature, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
            data[data.index(signature) + at] = 93
        pathlib.Path("method.npz").write_bytes(data)
        self.refused("method.npz", "unsupported", "zstd")
        for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            data[data.index(signature) + at] |= 1
        pathlib.Path("method.npz").write_bytes(data)
        self.refused("method.npz", "unsupported", "encrypted")

    def test_names_that_come_twice(self):
        with zipfile.ZipFile("twice.npz", "w") as file:
            file.writestr("a.npy", npy(np.arange(3)))
            file.writestr("b.npy", npy(np.arange(4)))
        data = pathlib.Path("twice.npz").read_bytes().replace(b"b.npy", b"a.npy")
        pathlib.Path("twice.npz").write_bytes(data)
        self.refused("twice.npz", "duplicate_field", "a.npy is there twice")


if __name__ == "__main__":
    unittest.main()
