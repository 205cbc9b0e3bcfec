#!/usr/bin/env python3
"""The command line, on archives that this script writes according to docs/format.md, which tests that page too.

Runs in an empty folder; STELE_BIN names the program.
"""

import gzip
import io
import json
import os
import pathlib
import pty
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
import unicodedata
import unittest

try:
    import cbor2
    import numpy as np
    import xxhash
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

STELE = os.environ.get("STELE_BIN", "")
SANITIZED = bool(STELE) and any(name in pathlib.Path(STELE).read_bytes() for name in (b"__asan_", b"__tsan_"))
LABEL = bytes.fromhex("d9d9f8da5354454c43424f52")
TYPED = {"|u1": 64, "<u2": 69, "<u4": 70, "<u8": 71, "|i1": 72, "<i2": 77, "<i4": 78, "<i8": 79,
         "<f2": 84, "<f4": 85, "<f8": 86}
TYPED_OBJECT, SHARED, REFERENCE, DEFINITION = 27, 28, 29, 105
NO_OP = {3: bytes.fromhex("d9d9f7"), 5: bytes.fromhex("da0000d9f7"), 9: bytes.fromhex("db000000000000d9f7")}


# --- A writer of archives --------------------------------------------------------------------------------------------

def head(major, value):
    """The head of a CBOR item."""
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 24:
            return bytes([major << 5 | value])
        if value < 1 << 8 * size:
            return bytes([major << 5 | info]) + value.to_bytes(size, "big")
    raise ValueError(value)


def padding(gap):
    """No-op tags of `gap` bytes in all."""
    for nines in range(gap // 9, -1, -1):
        for fives in range((gap - 9 * nines) // 5, -1, -1):
            rest = gap - 9 * nines - 5 * fives
            if rest % 3 == 0:
                return NO_OP[9] * nines + NO_OP[5] * fives + NO_OP[3] * (rest // 3)
    raise ValueError(gap)


def gap_before(position):
    gap = -position % 64
    return gap + 64 if gap in (1, 2, 4, 7) else gap


def step(path, name):
    name = str(name).replace("~", "~0").replace("/", "~1") or "~"
    return f"{path}/{name}" if path else name


class Archive:
    """Writes one value; `data` are the bytes, `arrays` what the directory lists."""

    def __init__(self, value, metadata=None, appended=None):
        self.data = bytearray(LABEL)
        self.structure = xxhash.xxh3_64()
        self.hashed = 0
        self.arrays = []
        self.records = []
        self.shared = []
        self.put(value, "")
        directory = {"format": 1, "writer": "cli_test.py"}
        for name in ("arrays", "records", "shared"):
            if getattr(self, name):
                directory[name] = getattr(self, name)
        if appended:
            directory["appended"] = appended
        if metadata:
            directory["metadata"] = metadata
        item = cbor2.dumps(directory)
        offset = len(self.data)
        self.data += item
        self.data += padding(gap_before(len(self.data) + 50))
        self.hash_structure()
        self.data += head(2, 48) + struct.pack("<5Q", offset, len(item), len(self.data) + 50,
                                               xxhash.xxh3_64_intdigest(item), self.structure.intdigest()) + b"STELEEND"

    def hash_structure(self):
        self.structure.update(bytes(self.data[self.hashed:]))
        self.hashed = len(self.data)

    def put(self, value, path):
        if isinstance(value, dict):
            self.data += head(5, len(value))
            for key, item in value.items():
                self.data += cbor2.dumps(key)
                self.put(item, step(path, key))
        elif isinstance(value, list):
            self.data += head(4, len(value))
            for index, item in enumerate(value):
                self.put(item, step(path, index))
        elif isinstance(value, np.ndarray):
            self.put_array(value, path)
        elif isinstance(value, cbor2.CBORTag):
            self.put_tag(value.tag, value.value, path)
        else:
            self.data += cbor2.dumps(value)

    def put_tag(self, tag, value, path):
        if tag == SHARED and not self.shared:
            self.shared = [[0, len(self.data)]]  # the first and about one in 64 KiB
        if tag == DEFINITION:
            self.records.append([len(self.data), value[1], value[0]])
        self.data += head(6, tag)
        if tag == SHARED:
            self.put(value, path)
        elif tag == TYPED_OBJECT:
            self.data += head(4, 2) + cbor2.dumps(value[0])
            self.put(value[1], path)
        elif tag == DEFINITION or tag in range(26880, 27136):
            id = value[1] if tag == DEFINITION else tag
            names = next(names for _, known, names in self.records if known == id)
            self.data += head(4, len(value))
            for item in value[:-len(names)]:
                self.data += cbor2.dumps(item)
            for name, item in zip(names, value[-len(names):]):
                self.put(item, step(path, name))
        else:
            self.data += cbor2.dumps(value)

    def put_array(self, array, path):
        columns = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
        before = b""
        if array.ndim != 1:
            before = head(6, 1040 if columns else 40) + head(4, 2) + cbor2.dumps(list(array.shape))
        if array.dtype.str in TYPED:
            before += head(6, TYPED[array.dtype.str])
        else:
            before += head(6, 0x53544501) + head(4, 2) + cbor2.dumps(array.dtype.str)
        before += head(2, array.nbytes)
        payload = array.tobytes("F" if columns else "C")
        if array.nbytes < 4096:
            self.data += before + payload
            return
        self.data += padding(gap_before(len(self.data) + len(before))) + before
        self.hash_structure()
        self.arrays.append([path, array.dtype.str, list(array.shape), "F" if columns else "C", "raw", len(self.data),
                            array.nbytes, WideNatural(xxhash.xxh3_64_intdigest(payload))])
        self.data += payload
        self.hashed = len(self.data)


class WideNatural:
    """A number that is always written in nine bytes, so that it can be patched."""

    def __init__(self, value):
        self.value = value


def default_encoder(encoder, value):
    encoder.write(b"\x1b" + value.value.to_bytes(8, "big"))


cbor2.dumps = (lambda plain: lambda value: plain(value, default=default_encoder))(cbor2.dumps)

RNG = np.random.default_rng(1)
WEIGHTS = RNG.standard_normal((100, 200)).astype("<f4")
COLUMNS = np.asfortranarray(np.arange(6000, dtype="<i8").reshape(60, 100))
IMAGES = np.repeat(np.arange(64, dtype="u1"), 65536)  # 4 MiB that compress well
MODEL = {
    "name": "first \x1b[31m model",
    "epoch": 7,
    "rate": 0.5,
    "ready": True,
    "nothing": None,
    "blob": b"\x00\x01\xff",
    "layers": [{"weights": WEIGHTS, "bias": np.arange(5, dtype="<f8")},
               {"weights": COLUMNS, "bias": np.zeros(0, "<f8")}],
    "ids": list(range(1000)),
    "metrics": {"loss": 0.25, "a/b": 1},
    "images": IMAGES,
    "flags": np.array([True, False, True]),
}
PLAIN = bytes(Archive(MODEL, {"author": "me", "task": "test", "epoch": 3, "loss": 0.25, "done": True}).data)
OTHER = bytes(Archive([1, 2, {"x": np.arange(3000, dtype="<u4")}]).data)


# --- Running the program ---------------------------------------------------------------------------------------------

class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out.decode()

    @property
    def json(self):
        return json.loads(self.out)


def run(*args, stdin=b"", **options):
    done = subprocess.run([STELE, *map(str, args)], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, check=False, **options)
    return Result(done.returncode, done.stdout, done.stderr.decode())


def write(name, data):
    pathlib.Path(name).write_bytes(data)
    return name


class Case(unittest.TestCase):
    def ok(self, *args, **options):
        result = run(*args, **options)
        self.assertEqual((result.code, result.err), (0, ""), result.out[-2000:])
        return result

    def fails(self, code, *args, says="", **options):
        result = run(*args, **options)
        self.assertEqual(result.code, code, (result.out[-2000:], result.err))
        self.assertEqual(result.out, b"")
        self.assertTrue(result.err.startswith("stele: "), result.err)
        self.assertEqual(result.err.count("\n"), 1, result.err)
        self.assertIn(says, result.err)
        # The same as JSON: on standard output, with the same exit code.
        error = run(*args, "--json", **options)
        if "-" not in args[2:]:
            self.assertEqual((error.code, error.err), (code, ""), error.out)
            self.assertEqual(set(error.json["error"]), {"code", "message", "file", "path", "offset"})
        return result

    def row(self, text, name):
        """The cells of the line that begins with a name."""
        for line in text.splitlines():
            if line.strip().startswith(name + "  "):
                return [cell.strip() for cell in line.strip().split("  ") if cell]
        self.fail(f"no line for {name} in:\n{text}")


class Info(Case):
    def test_plain(self):
        text = self.ok("info", "model.stele").text
        self.assertEqual(self.row(text, "codec")[1], "plain")
        self.assertIn(f"({len(PLAIN)} bytes)", text)
        self.assertEqual(self.row(text, "writer")[1], "cli_test.py")
        self.assertIn("3 of 4 KiB or more", text)
        self.assertEqual(self.row(text, "author")[1], "me")
        self.assertEqual([self.row(text, name)[1] for name in ("epoch", "loss", "done")], ["3", "0.25", "true"])

    def test_json(self):
        info = self.ok("info", "model.stele.gz", "--json").json
        self.assertEqual(info["codec"], "gzip")
        self.assertEqual(info["plain_bytes"], len(PLAIN))
        self.assertEqual(info["stored_bytes"], os.path.getsize("model.stele.gz"))
        self.assertAlmostEqual(info["ratio"], info["plain_bytes"] / info["stored_bytes"])
        self.assertEqual(info["format"], 1)
        self.assertEqual(info["arrays"], 3)
        self.assertEqual(info["array_bytes"], WEIGHTS.nbytes + COLUMNS.nbytes + IMAGES.nbytes)
        self.assertEqual(info["metadata"], {"author": "me", "task": "test", "epoch": 3, "loss": 0.25, "done": True})

    def test_standard_input(self):
        piped = self.ok("--json", "info", "-", stdin=pathlib.Path("model.stele.gz").read_bytes()).json
        expected = self.ok("info", "model.stele.gz", "--json").json
        self.assertEqual({**piped, "file": ""}, {**expected, "file": ""})
        with open("model.stele", "rb") as file:
            done = subprocess.run([STELE, "info", "-", "--json"], stdin=file, stdout=subprocess.PIPE, check=True)
        self.assertEqual(json.loads(done.stdout)["plain_bytes"], len(PLAIN))

    def test_several_archives(self):
        info = self.ok("info", "two.stele", "--json").json
        self.assertEqual((info["plain_bytes"], info["bytes_after"]), (len(PLAIN), len(OTHER)))
        second = self.ok("info", "two.stele", "--offset", len(PLAIN), "--json").json
        self.assertEqual(second["plain_bytes"], len(OTHER))
        write("two.gz", gzip.compress(PLAIN) + gzip.compress(OTHER))
        both = self.ok("info", "two.gz", "--json").json  # the whole file counts, as the whole file was compressed
        self.assertEqual(both["bytes_after"], len(OTHER))
        self.assertAlmostEqual(both["ratio"], len(PLAIN + OTHER) / os.path.getsize("two.gz"))
        self.assertIn("follow this archive", self.ok("info", "two.gz").text)
        piped = self.ok("info", "-", "--offset", len(PLAIN), "--json", stdin=PLAIN + OTHER).json
        self.assertEqual(piped["plain_bytes"], len(OTHER))


class Ls(Case):
    def test_tree(self):
        text = self.ok("ls", "model.stele").text
        lines = text.splitlines()
        self.assertTrue(lines[0].startswith("model.stele  "), lines[0])
        self.assertIn("map of 11", lines[0])
        offset = PLAIN.index(WEIGHTS.tobytes())
        self.assertIn(f"@{offset}", text)
        weights = next(line for line in lines if "float32[100, 200]" in line)
        self.assertRegex(weights, rf"^      weights +float32\[100, 200\] +78\.1 KiB  raw +@{offset} +mappable$")
        self.assertRegex(text, r"\n      weights +int64\[60, 100\] column-major +46\.9 KiB  raw")
        self.assertRegex(text, r"\n  epoch +7\n")
        self.assertRegex(text, r"\n  ready +true\n")
        self.assertRegex(text, r"\n  nothing +null\n")
        self.assertRegex(text, r"\n  blob +3 bytes\n")
        self.assertRegex(text, r"\n    a/b +1\n")
        self.assertRegex(text, r"\n    6 +6\n    … 993 more\n")
        self.assertNotIn("\x1b", text)
        self.assertIn('"first \\x1b[31m model"', text)
        columns = {line.index("@") for line in lines if "@" in line and "[" in line}
        self.assertEqual(len(columns), 1)

    def test_path(self):
        text = self.ok("ls", "model.stele", "layers/1").text
        self.assertEqual(len(text.splitlines()), 3)
        self.assertTrue(text.startswith("layers/1  "))
        self.assertRegex(self.ok("ls", "model.stele", "metrics/a~1b").text, r"^metrics/a~1b  1\n$")

    def test_limits(self):
        self.assertEqual(len(self.ok("ls", "model.stele", "--depth", 0).text.splitlines()), 1)
        self.assertEqual(len(self.ok("ls", "model.stele", "--depth", 1).text.splitlines()), 12)
        self.assertIn("… 989 more", self.ok("ls", "model.stele", "ids", "--max-items", 11).text)
        self.assertIn("… 993 more", self.ok("ls", "model.stele", "ids").text)
        everything = self.ok("ls", "model.stele", "ids", "--all").text
        self.assertEqual(len(everything.splitlines()), 1001)
        self.assertNotIn("…", everything)
        self.fails(2, "ls", "model.stele", "--all", "--max-items", 3)

    def test_arrays(self):
        lines = self.ok("ls", "model.stele", "--arrays").text.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["layers/0/weights", "layers/0/bias", "layers/1/weights",
                                                               "layers/1/bias", "images", "flags"])

    def test_json(self):
        listing = self.ok("ls", "model.stele.gz", "--json").json
        entries = {entry["path"]: entry for entry in listing["entries"]}
        self.assertEqual(entries["layers/1/weights"], {
            "path": "layers/1/weights", "kind": "array", "dtype": "int64", "shape": [60, 100], "order": "column-major",
            "encoding": "raw", "listed": True, "mappable": False, "offset": PLAIN.index(COLUMNS.tobytes("F")), "bytes": 48000})
        self.assertEqual(entries["ids"]["count"], 1000)
        self.assertEqual(entries["ids/999"]["text"], "999")
        arrays = self.ok("ls", "model.stele", "--arrays", "--json").json["entries"]
        self.assertEqual({entry["kind"] for entry in arrays}, {"array"})

    def test_standard_input(self):
        self.assertIn("standard input  ", self.ok("ls", "-", stdin=PLAIN).text)


class Show(Case):
    def test_array(self):
        text = self.ok("show", "model.stele", "layers/1/weights").text
        self.assertTrue(text.startswith("int64[60, 100] column-major  46.9 KiB\n[[   0    1    2 ..."), text)
        self.assertIn("5999]]", text)
        self.assertEqual(self.ok("show", "model.stele", "layers/1/weights", "--items", 1).text.split("\n", 1)[1],
                         "[[   0 ...   99]\n ...\n [5900 ... 5999]]\n")
        full = self.ok("show", "model.stele", "layers/1/weights", "--full").text
        numbers = full.split("\n", 1)[1].replace("[", " ").replace("]", " ").split()
        self.assertEqual([int(n) for n in numbers], list(range(6000)))

    def test_other_values(self):
        self.assertEqual(self.ok("show", "model.stele", "epoch").text, "7\n")
        self.assertEqual(self.ok("show", "model.stele", "metrics/a~1b").text, "1\n")
        whole = self.ok("show", "model.stele").text
        self.assertIn("float32[100, 200]", whole)
        self.assertNotIn("\x1b", whole)
        self.assertIn("992 more", whole)
        self.assertNotIn(" more", self.ok("show", "model.stele", "ids", "--full").text)
        self.assertIn("997 more", self.ok("show", "model.stele", "ids", "--items", 3).text)

    def test_json(self):
        self.assertEqual(self.ok("show", "model.stele", "metrics", "--json").json, {"loss": 0.25, "a/b": 1})
        array = self.ok("show", "model.stele.gz", "layers/0/bias", "--json").json
        self.assertEqual((array["dtype"], array["shape"], array["values"]), ("float64", [5], [0, 1, 2, 3, 4]))
        self.assertEqual(self.ok("show", "model.stele", "ids", "--json", "--full").json, list(range(1000)))

    def test_standard_input(self):
        self.assertEqual(self.ok("show", "-", "epoch", stdin=gzip.compress(PLAIN)).text, "7\n")

    def test_verify(self):
        data = bytearray(PLAIN)
        data[data.index(WEIGHTS.tobytes()) + 1000] ^= 1
        write("bad_array.stele", data)
        self.ok("show", "bad_array.stele", "layers/0/weights")
        self.fails(1, "show", "bad_array.stele", "layers/0/weights", "--verify", "full", says="layers/0/weights: ")
        self.ok("show", "bad_array.stele", "layers/1/weights", "--verify", "full")


class Extract(Case):
    def test_archive(self):
        self.ok("extract", "model.stele", "layers/0", "-o", "part.stele")
        self.ok("verify", "part.stele")
        paths = [entry["path"] for entry in self.ok("ls", "part.stele", "--json").json["entries"]]
        self.assertEqual(paths, ["", "weights", "bias"])
        self.assertEqual(self.ok("info", "part.stele", "--json").json["metadata"],
                         {"author": "me", "task": "test", "epoch": 3, "loss": 0.25, "done": True})
        raw = self.ok("extract", "part.stele", "weights", "--raw", "-o", "-").out
        self.assertEqual(raw, WEIGHTS.tobytes())

    def test_codecs(self):
        self.ok("extract", "model.stele", "images", "-o", "images.stele.gz")
        self.assertEqual(self.ok("info", "images.stele.gz", "--json").json["codec"], "gzip")
        self.ok("extract", "model.stele.gz", "images", "-o", "images.bin", "--codec", "gzip", "--level", 1)
        self.assertEqual(gzip.open("images.bin").read()[:12], LABEL)
        plain = self.ok("extract", "model.stele", "images", "-o", "-").out
        self.assertEqual(plain[:12], LABEL)
        self.assertEqual(gzip.open("images.stele.gz").read(), plain)
        self.assertEqual(self.ok("extract", "-", "", "--raw", "-o", "-", stdin=plain).out, IMAGES.tobytes())

    def test_standard_output_goes_on_where_it_stands(self):
        plain = self.ok("extract", "model.stele", "images", "-o", "-").out
        for name in ["-", "/dev/stdout", "/proc/self/fd/1", "/dev/fd/3"]:
            pathlib.Path("out").write_bytes(b"older|")
            command = f'exec 3>&1; echo header; "$0" extract model.stele images -o {name}; echo tail'
            with open("out", "ab") as out:
                subprocess.run(["sh", "-c", command, STELE], stdout=out, check=True)
            self.assertEqual(pathlib.Path("out").read_bytes(), b"older|header\n" + plain + b"tail\n", name)
            piped = subprocess.run(["sh", "-c", command + " | cat", STELE], stdout=subprocess.PIPE, check=True)
            self.assertEqual(piped.stdout, b"header\n" + plain + b"tail\n", name)
        with open("model.stele", "rb") as file:
            self.assertEqual(subprocess.run([STELE, "extract", "/dev/stdin", "images", "-o", "-"], stdin=file,
                                            stdout=subprocess.PIPE, check=True).stdout, plain)

    def test_in_place(self):
        pathlib.Path("old").write_bytes(b"old")
        os.link("old", "other")
        self.ok("convert", "model.stele", "old", "--codec", "plain", "--in-place")
        self.assertEqual(pathlib.Path("other").read_bytes(), PLAIN)

    def test_whole_archive_is_the_same_tree(self):
        self.ok("extract", "model.stele", "", "-o", "whole.stele")
        self.assertEqual(self.ok("show", "whole.stele", "--full", "--json").json,
                         self.ok("show", "model.stele", "--full", "--json").json)

    def test_raw(self):
        self.ok("extract", "model.stele", "layers/1/weights", "--raw", "-o", "columns.bin")
        self.assertTrue((np.fromfile("columns.bin", "<i8").reshape(60, 100) == COLUMNS).all())  # row-major
        self.assertEqual(self.ok("extract", "model.stele", "blob", "--raw", "-o", "-").out, b"\x00\x01\xff")
        self.assertEqual(self.ok("extract", "model.stele", "name", "--raw", "-o", "-").out, MODEL["name"].encode())
        self.assertEqual(self.ok("extract", "model.stele", "flags", "--raw", "-o", "-").out, b"\x01\x00\x01")
        self.assertEqual(self.ok("extract", "model.stele", "layers/1/bias", "--raw", "-o", "-").out, b"")
        self.fails(2, "extract", "model.stele", "epoch", "--raw", "-o", "epoch.bin", says="epoch: --raw is for")
        self.assertFalse(os.path.exists("epoch.bin"))

    def test_parts_of_arrays_by_numpys_indices(self):
        for name in ["model.stele", "model.stele.gz"]:
            for text in ["0", "-1", "3:7", ":", "::2", "::-1", "5:1:-2", "-3:", ":-1000", "1000:", "...", "2:5, 1", "..., 1:3",
                         "-2, ::-3", ":, 0", "5, -7", "3,", "+3"]:
                expected = eval(f"WEIGHTS[{text}]")
                out = self.ok("extract", name, f"layers/0/weights[{text}]", "--raw", "-o", "-").out
                self.assertEqual(out, expected.tobytes(), text)
                self.ok("extract", name, f"layers/0/weights[{text}]", "-o", "part.stele")
                self.assertEqual(self.ok("ls", "part.stele", "--json").json["entries"][0].get("shape", []),
                                 list(expected.shape), text)
        self.assertIn("float", self.ok("show", "model.stele", "layers/0/weights[1:3]").text)
        self.fails(2, "show", "model.stele", "layers/0/weights[1.5]", says='"1.5" is not an index')
        self.fails(2, "show", "model.stele", "layers/0/weights[1:2:0]", says="a step of 0")
        self.fails(2, "show", "model.stele", "layers/0/weights[1,2,3,4]", says="4 indices")
        self.fails(2, "show", "model.stele", "layers/0/weights[100000]", says="index 100000 on an axis of")
        self.fails(1, "show", "model.stele", "nothing[1]", says="nothing: expected an array")

    def test_damaged_array_leaves_no_file(self):
        data = bytearray(PLAIN)
        data[data.index(WEIGHTS.tobytes()) + 5] ^= 128
        write("damaged.stele", data)
        self.fails(1, "extract", "damaged.stele", "layers/0/weights", "-o", "never.stele", says="layers/0/weights")
        self.assertFalse(os.path.exists("never.stele"))

    def test_json(self):
        report = self.ok("extract", "model.stele", "ids", "-o", "ids.stele", "--json").json
        self.assertEqual(report["stored_bytes"], os.path.getsize("ids.stele"))
        refused = run("extract", "model.stele", "ids", "-o", "-", "--json")
        self.assertEqual((refused.code, refused.json["error"]["code"]), (2, "invalid_argument"))


def unpacks_to(data, plain):
    try:
        return gzip.decompress(data) == plain
    except Exception:  # zlib.error and several others
        return False


class Recover(Case):
    """Files of appended entries, written as docs/format.md says."""

    def entries(self, *commits):
        data, number = b"", 0
        for values in commits:
            begin = len(data)
            for value in values:
                data += bytes(Archive(value, appended=[number, begin]).data)
                number += 1
        return data

    def test_whole(self):
        write("log", self.entries([1, "two"], [[3] * 1000], [{"x": np.arange(2000)}]))
        self.assertRegex(self.ok("recover", "log").text, r"^log: 4 entries, [0-9.]+ KiB\n$")
        self.assertEqual(self.ok("verify", "log").text, "log: ok (4 archives)\n")
        report = self.ok("recover", "log", "--json").json
        self.assertEqual((report["codec"], report["entries"], report["torn_bytes"], report["cut"]), ("plain", 4, 0, False))
        write("empty", b"")
        self.assertEqual(self.ok("recover", "empty").text, "empty: 0 entries, 0 B\n")

    def test_torn(self):
        whole = self.entries([1, 2], [3])
        more = self.entries([1, 2], [3], [4, 5])[len(whole):]
        for torn in (b"\0" + more[1:], more[:100], b"\0" * 5000, b"\0" + more[1:300]):
            write("log", whole + torn)
            self.assertEqual(self.ok("recover", "log", "--json").json,
                             {"file": "log", "codec": "plain", "entries": 3, "bytes": len(whole),
                              "torn_bytes": len(torn), "cut": False})
            self.assertEqual(pathlib.Path("log").read_bytes(), whole + torn)
            self.assertIn(" cut off\n", self.ok("recover", "log", "--cut").text)
            self.assertEqual(pathlib.Path("log").read_bytes(), whole)

    def test_damaged(self):
        whole = self.entries([1, 2], ["a text"], [4])
        at = whole.index(b"a text")
        damaged = whole[:at] + b"e" + whole[at + 1:]
        write("log", damaged)
        self.fails(1, "recover", "log", "--cut", says=f"entry 2, at byte {whole.index(b'STELEEND', 200) + 8} of the file")
        write("other", PLAIN)
        self.fails(2, "recover", "other", "--cut", says="no Appender wrote")
        write("text", b"some text that is no archive")
        self.fails(1, "recover", "text", "--cut")
        self.fails(3, "recover", "none such")
        for name, data in (("log", damaged), ("other", PLAIN), ("text", b"some text that is no archive")):
            self.assertEqual(pathlib.Path(name).read_bytes(), data)


class Verify(Case):
    def test_fine(self):
        self.assertEqual(self.ok("verify", "model.stele", "model.stele.gz").text,
                         "model.stele: ok\nmodel.stele.gz: ok\n")
        self.assertEqual(self.ok("verify", "two.stele").text, "two.stele: ok (2 archives)\n")
        self.assertEqual(self.ok("verify", "-", stdin=PLAIN + OTHER + PLAIN).text, "standard input: ok (3 archives)\n")
        self.assertEqual(self.ok("verify", "-", stdin=gzip.compress(PLAIN) + gzip.compress(OTHER)).text,
                         "standard input: ok (2 archives)\n")

    def test_json(self):
        first, second = self.ok("verify", "two.stele", "model.stele.gz", "--json").json["files"]
        self.assertEqual(first["archives"], [{"offset": 0, "bytes": len(PLAIN)},
                                             {"offset": len(PLAIN), "bytes": len(OTHER)}])
        self.assertTrue(first["ok"])
        self.assertEqual((second["codec"], second["plain_bytes"]), ("gzip", len(PLAIN)))

    def test_damage_anywhere_is_found(self):
        small = bytes(Archive({"a": np.arange(2000, dtype="<u4"), "b": "text", "c": [1.5, 2]}).data)
        packed = gzip.compress(small, mtime=1)
        for data in (small, packed):
            for at in list(range(0, len(data), 211)) + list(range(len(data) - 60, len(data))):
                bad = bytearray(data)
                bad[at] ^= 16
                if data is packed and unpacks_to(bad, small):
                    continue  # a time stamp, or bits between deflate's blocks
                result = run("verify", "-", stdin=bytes(bad))
                self.assertIn(result.code, (1, 5), (at, result.out, result.err))
                self.assertRegex(result.err, "^stele: ")

    def test_truncation_anywhere_is_found(self):
        small = bytes(Archive({"a": np.arange(2000, dtype="<u4"), "b": "text"}).data)
        for data in (small, gzip.compress(small)):
            for size in list(range(0, len(data), 307)) + [len(data) - 1]:
                write("short", data[:size])
                for args in (("verify", "short"), ("info", "short"), ("convert", "short", "out.stele")):
                    result = run(*args)
                    self.assertEqual(result.code, 1, (args, size, result.out, result.err))
        self.assertFalse(os.path.exists("out.stele"))

    def test_goes_on_behind_a_bad_file(self):
        data = bytearray(PLAIN)
        at = data.index(WEIGHTS.tobytes())
        data[at + 77] ^= 1
        write("bad.stele", data)
        result = run("verify", "model.stele", "bad.stele", "absent.stele", "two.stele")
        self.assertEqual(result.code, 1)
        self.assertEqual(result.text, "model.stele: ok\ntwo.stele: ok (2 archives)\n")
        first, second = result.err.splitlines()
        self.assertRegex(first, rf"^stele: bad.stele: layers/0/weights: .*checksum.* \(offset {at}\)$")
        self.assertRegex(second, r"^stele: .*absent.stele")
        files = run("verify", "model.stele", "bad.stele", "absent.stele", "two.stele", "--json")
        self.assertEqual(files.code, 1)
        files = files.json["files"]
        self.assertEqual([file["ok"] for file in files], [True, False, False, True])
        self.assertEqual(files[1]["error"]["path"], "layers/0/weights")
        self.assertEqual(files[1]["error"]["offset"], at)
        self.assertEqual(run("verify", "absent.stele", "bad.stele").code, 3)

    def test_second_archive_is_named(self):
        data = bytearray(OTHER)
        data[data.index(np.arange(3000, dtype="<u4").tobytes()) + 9] ^= 1
        result = run("verify", "-", stdin=PLAIN + bytes(data))
        self.assertEqual(result.code, 1)
        self.assertIn(f"2/x: archive 2, at byte {len(PLAIN)}: ", result.err)

    def test_bytes_after(self):
        result = run("verify", "-", stdin=PLAIN + b"rest")
        self.assertEqual(result.code, 1)
        self.assertIn(f"offset {len(PLAIN)}", result.err)
        self.assertEqual(run("verify", "-", stdin=gzip.compress(PLAIN) + b"rest").code, 1)
        self.assertEqual(self.ok("verify", "-", stdin=gzip.compress(PLAIN) + bytes(1000)).text, "standard input: ok\n")
        write("zeros.gz", gzip.compress(PLAIN) + bytes(1000))
        self.ok("verify", "zeros.gz")


class Convert(Case):
    def test_round_trip(self):
        zstd = "zstd" in codec_names()
        chain = ["model.stele", "c.stele.gz"] + (["c.stele.zst"] if zstd else []) + ["c.stele"]
        for source, target in zip(chain, chain[1:]):
            self.ok("convert", source, target)
        self.assertEqual(pathlib.Path("c.stele").read_bytes(), PLAIN)
        self.assertEqual(gzip.open("c.stele.gz").read(), PLAIN)
        if shutil.which("gunzip"):
            unpacked = subprocess.run(["gunzip", "-c", "c.stele.gz"], stdout=subprocess.PIPE, check=True).stdout
            self.assertEqual(unpacked, PLAIN)
        if zstd and shutil.which("zstd"):
            unpacked = subprocess.run(["zstd", "-dc", "c.stele.zst"], stdout=subprocess.PIPE, check=True).stdout
            self.assertEqual(unpacked, PLAIN)
            self.assertEqual(self.ok("info", "c.stele.zst", "--json").json["codec"], "zstd")

    def test_every_codec(self):
        for codec in codec_names() + ["plain"]:
            self.ok("convert", "model.stele.gz", f"every.{codec}", "--codec", codec, "--threads", 2)
            self.assertEqual(self.ok("info", f"every.{codec}", "--json").json["codec"], codec)
            self.assertEqual(self.ok("convert", f"every.{codec}", "-").out, PLAIN)
            self.assertEqual(self.ok("extract", f"every.{codec}", "layers/0/weights", "--raw", "-o", "-").out,
                             WEIGHTS.tobytes())

    def test_filters(self):
        self.ok("convert", "model.stele", "filtered.gz", "--filter", "shuffle")
        listed = {entry["path"]: entry for entry in self.ok("ls", "filtered.gz", "--json").json["entries"]}
        self.assertEqual(listed["layers/0/weights"]["encoding"], "shuffle")
        self.assertGreater(self.ok("info", "filtered.gz", "--json").json["encoded_arrays"], 0)
        self.assertIn("filter", self.ok("info", "filtered.gz").text)
        self.ok("verify", "filtered.gz")
        self.assertEqual(self.ok("extract", "filtered.gz", "layers/0/weights", "--raw", "-o", "-").out,
                         WEIGHTS.tobytes())
        # Another codec keeps them; a plain file is decoded, unless it comes from standard input.
        self.ok("convert", "filtered.gz", "filtered.z")
        self.assertEqual(self.ok("info", "filtered.z", "--json").json["encoded_arrays"],
                         self.ok("info", "filtered.gz", "--json").json["encoded_arrays"])
        self.ok("convert", "filtered.gz", "decoded.stele")
        self.assertEqual(self.ok("info", "decoded.stele", "--json").json["encoded_arrays"], 0)
        self.assertEqual(self.ok("extract", "decoded.stele", "layers/0/weights", "--raw", "-o", "-").out,
                         WEIGHTS.tobytes())
        encoded = self.ok("convert", "-", "-", stdin=pathlib.Path("filtered.gz").read_bytes()).out
        self.assertEqual(encoded, gzip.open("filtered.gz").read())
        self.fails(2, "convert", "model.stele", "x.gz", "--filter", "nonsense", says="nonsense")
        self.fails(2, "convert", "model.stele", "x.stele", "--filter", "shuffle", says="filter")

    def test_standard_input_and_output(self):
        packed = self.ok("convert", "-", "-", "--codec", "gzip", "--level", 1, stdin=PLAIN + OTHER).out
        self.assertEqual(gzip.decompress(packed), PLAIN + OTHER)
        self.assertEqual(self.ok("convert", "-", "-", stdin=packed).out, PLAIN + OTHER)
        self.ok("convert", "-", "from_stdin.stele.gz", stdin=packed)
        self.assertEqual(gzip.open("from_stdin.stele.gz").read(), PLAIN + OTHER)

    def test_in_place(self):
        shutil.copy("model.stele", "same.stele")
        self.ok("convert", "same.stele", "same.stele", "--codec", "gzip", "--sync", "file_folder")
        self.assertEqual(gzip.open("same.stele").read(), PLAIN)

    def test_foreign_gzip(self):
        with gzip.open("foreign.gz", "wb", compresslevel=1) as file:
            file.write(PLAIN)
        self.ok("convert", "foreign.gz", "foreign.stele")
        self.assertEqual(pathlib.Path("foreign.stele").read_bytes(), PLAIN)

    def test_bad_input_leaves_the_old_file(self):
        bad = bytearray(PLAIN)
        bad[bad.index(IMAGES.tobytes()) + 3_000_000] ^= 1
        write("bad_images.stele", bad)
        write("old", b"old")
        write("text.gz", gzip.compress(b"some text that is no archive"))
        write("twice.gz", gzip.compress(gzip.compress(PLAIN)))
        before = sorted(os.listdir())
        self.fails(1, "convert", "bad_images.stele", "old", says="bad_images.stele: images: ")
        self.fails(1, "convert", "bad_images.stele", "old", "--codec", "gzip")
        self.fails(1, "convert", __file__, "old", says="archive")
        self.fails(1, "convert", "text.gz", "old", says="archive")
        self.fails(1, "convert", "twice.gz", "old", says="archive")
        self.fails(1, "convert", "/dev/null", "old")
        self.fails(3, "convert", "absent", "old", says="absent")
        self.assertEqual(pathlib.Path("old").read_bytes(), b"old")
        self.assertEqual(sorted(os.listdir()), before)

    def test_json(self):
        report = self.ok("convert", "two.stele", "two.gz", "--json").json
        self.assertEqual(report["archives"], 2)
        self.assertEqual(report["plain_bytes"], len(PLAIN + OTHER))
        self.assertEqual(report["input"], {"file": "two.stele", "codec": "plain", "stored_bytes": len(PLAIN + OTHER)})
        self.assertEqual(report["output"],
                         {"file": "two.gz", "codec": "gzip", "stored_bytes": os.path.getsize("two.gz")})

    @unittest.skipIf(SANITIZED, "a sanitizer takes memory of its own")
    def test_memory_stays_bounded(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_DATA, (48 << 20, 48 << 20))

        write("big.stele", Archive({"a": np.zeros(64 << 20, "u1"), "b": np.zeros(64 << 20, "u1")}).data)
        self.ok("convert", "big.stele", "big.gz", "--threads", 2, preexec_fn=limit)
        self.ok("verify", "big.gz", "--threads", 2, preexec_fn=limit)
        self.ok("verify", "-", "--threads", 2, stdin=pathlib.Path("big.gz").read_bytes(), preexec_fn=limit)
        self.ok("extract", "big.stele", "a", "-o", "big_a.stele", preexec_fn=limit)
        for name in ("big.stele", "big.gz", "big_a.stele"):
            os.remove(name)

    def test_interrupt_removes_the_temporary_file(self):
        os.mkdir("interrupted")
        process = subprocess.Popen([STELE, "convert", "-", "interrupted/out.stele"], stdin=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdin.write(PLAIN[:3 << 20])
        process.stdin.flush()
        deadline = time.monotonic() + 20
        while not os.listdir("interrupted") and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(len(os.listdir("interrupted")), 1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        try:
            process.stdin.write(PLAIN[3 << 20:])
            process.stdin.close()
        except BrokenPipeError:
            pass
        self.assertEqual(process.wait(30), -signal.SIGINT)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()
        self.assertEqual(os.listdir("interrupted"), [])


    def interrupted(self, folder, *args, after=0.3):
        """The seconds from a signal to the end of a command that writes to a folder."""
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        process = subprocess.Popen([STELE, *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while not os.listdir(folder) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(after)
        self.assertIsNone(process.poll(), "it was too quick")
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        code = process.wait(60)
        took = time.monotonic() - start
        self.assertEqual((code, process.stderr.read()), (-signal.SIGINT, b""))
        process.stderr.close()
        self.assertEqual(os.listdir(folder), [])
        return took

    @unittest.skipIf(SANITIZED, "too slow")
    def test_interrupt_does_not_wait_for_slow_compression(self):
        write("slow.stele", Archive({"a": RNG.integers(0, 200, 40 << 20, "u1")}).data)
        for codec in {"xz", "bzip2", "lzma"} & set(codec_names()):
            level = {"xz": 9, "bzip2": 9, "lzma": 9}[codec]
            for threads in (1, 4):
                took = self.interrupted("slow", "convert", "slow.stele", "slow/out", "--codec", codec, "--level", level,
                                        "--threads", threads)
                self.assertLess(took, 5, (codec, threads))  # a moment, on a machine that is busy
        os.remove("slow.stele")

    def test_a_limit_of_the_size_of_files_is_an_error(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        os.mkdir("limited")
        for args in (("convert", "model.stele", "limited/out.stele"), ("extract", "model.stele", "", "-o", "limited/out"),
                     ("extract", "model.stele", "images", "--raw", "-o", "limited/out")):
            result = run(*args, preexec_fn=limit)
            self.assertEqual((result.code, result.out), (4, b""), args)
            self.assertIn("File too large", result.err)
            self.assertIn("limited/out", result.err)
            self.assertEqual(os.listdir("limited"), [])
        with open("limited/standard", "wb") as out:
            done = subprocess.run([STELE, "convert", "model.stele", "-"], stdout=out, stderr=subprocess.PIPE,
                                  preexec_fn=limit, check=False)
        self.assertEqual(done.returncode, 4)
        self.assertIn(b"File too large", done.stderr)


class OtherForms(Case):
    """What structs, pointers and polymorphic values are written as."""

    def test_records(self):
        points = [cbor2.CBORTag(DEFINITION, [["x", "w"], 26880, 1, np.arange(2000, dtype="<f8")]),
                  cbor2.CBORTag(26880, [2, np.ones(2000, "<f8")])]
        write("records.stele", Archive({"points": points}).data)
        self.ok("verify", "records.stele")
        text = self.ok("ls", "records.stele").text
        self.assertEqual(text.count("record of 2"), 2)
        self.assertEqual(self.ok("show", "records.stele", "points/1/x").text, "2\n")
        raw = self.ok("extract", "records.stele", "points/1/w", "--raw", "-o", "-").out
        self.assertEqual(raw, np.ones(2000, "<f8").tobytes())

    def test_shared(self):
        value = {"a": cbor2.CBORTag(SHARED, [1, np.arange(1500, dtype="<u4")]), "b": cbor2.CBORTag(REFERENCE, 0)}
        write("shared.stele", Archive(value).data)
        self.ok("verify", "shared.stele")
        self.ok("ls", "shared.stele")
        self.assertRegex(self.ok("show", "shared.stele").text, r'"a": &0 sequence of 2\n(.*\n)*  "b": \*0\n')
        self.ok("extract", "shared.stele", "b", "-o", "b.stele")
        elements = self.ok("extract", "b.stele", "1", "--raw", "-o", "-").out
        self.assertEqual(elements, np.arange(1500, dtype="<u4").tobytes())

    def test_cycle(self):
        value = {"next": cbor2.CBORTag(SHARED, {"next": cbor2.CBORTag(REFERENCE, 0), "n": 1})}
        write("cycle.stele", Archive(value).data)
        for args in (("verify",), ("ls",), ("show",), ("show", "--json"), ("info",)):
            self.ok(args[0], "cycle.stele", *args[1:])

    def test_typed(self):
        value = [cbor2.CBORTag(TYPED_OBJECT, ["Circle", {"radius": 2.5}]), None]
        write("typed.stele", Archive(value).data)
        self.assertIn("Circle map of 1", self.ok("ls", "typed.stele").text)
        self.assertEqual(self.ok("show", "typed.stele", "0", "--json").json,
                         {"kind": "typed", "type": "Circle", "value": {"radius": 2.5}})
        self.ok("extract", "typed.stele", "0", "-o", "circle.stele")
        self.assertEqual(self.ok("show", "circle.stele").text, 'Circle map of 1\n  "radius": 2.5\n')

    def test_names(self):
        write("names.stele", Archive({"a\x1b]0;x\x07": 1, "": {"": 2}, "b c": 3, 7: 4, "tilde~/": 5}).data)
        text = self.ok("ls", "names.stele").text
        self.assertNotIn("\x1b", text)
        self.assertRegex(text, r"\n  a\\x1b\]0;x\\x07 +1\n")
        self.assertRegex(text, r'\n  "b c" +3\n  7 +4\n  tilde~/ +5\n')
        self.assertEqual(self.ok("show", "names.stele", "tilde~0~1").text, "5\n")
        self.assertEqual(self.ok("show", "names.stele", "7").text, "4\n")
        self.assertRegex(text, r'\n  "" +map of 1 .*\n    "" +2\n')
        self.assertEqual(self.ok("show", "names.stele", "~/~").text, "2\n")
        self.assertEqual({**self.ok("show", "names.stele", "--json").json}["b c"], 3)


def unsafe(text):
    """What a terminal would obey, hide or turn around in bytes that should be UTF-8."""
    return [f"U+{ord(c):04x}" for c in text.decode()
            if c != "\n" and unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
            or c in "\u061c\u200b\u200e\u200f\ufeff" or "\u202a" <= c <= "\u202e" or "\u2060" <= c <= "\u206f"
            or 0xfdd0 <= ord(c) <= 0xfdef or ord(c) & 0xfffe == 0xfffe]


def code_points():
    """Texts of many code points each, all of those below U+3000 and some of every block above."""
    points = [*range(1, 0x3000), *range(0x3000, 0xd800, 97), *range(0xe000, 0xf900, 97), *range(0xfe00, 0x10000),
              *(plane << 16 | at for plane in range(1, 17) for at in (0, 1, 0x7f, 0x85, 0x9b, 0xfffd, 0xfffe, 0xffff)),
              *range(0xe0000, 0xe0100)]
    for at in range(0, len(points), 400):
        yield "".join(map(chr, points[at:at + 400]))


class Words(Case):
    """Nothing in a file commands the terminal, whatever command shows it."""

    def check(self, *args):
        result = run(*args)
        self.assertEqual(unsafe(result.out), [], args)
        self.assertEqual(unsafe(result.err.encode()), [], args)
        return result

    def test_no_command_passes_on_what_a_terminal_obeys(self):
        for number, text in enumerate(code_points()):
            value = {text: [text, {"inner" + text: np.arange(3, dtype="<i4")}, cbor2.CBORTag(TYPED_OBJECT, [text, 1])],
                     "names": np.array([text[:20]], "<U20"), "big": np.arange(2000, dtype="<f4")}
            name = f"w{number}"
            write(name, Archive(value, {text: text}).data)
            for command in (("ls",), ("ls", "--arrays"), ("show",), ("show", "--full"), ("info",), ("verify",),
                            ("show", "none" + text), ("extract", text, "--raw", "-o", "-"), ("ls", text)):
                for form in ((), ("--json",)):
                    if "-" in command and form:
                        continue
                    result = self.check(command[0], name, *command[1:], *form)
                    if form:
                        json.loads(result.out)
            os.remove(name)
        self.assertEqual(self.ok("show", write("j", Archive("\u009b\u202e\U0001fffe").data), "--json").json,
                         "\u009b\u202e\U0001fffe")
        self.assertEqual(self.ok("extract", "j", "", "--raw", "-o", "-").out, "\u009b\u202e\U0001fffe".encode())

    def test_file_names(self):
        for text in ("\x1b]0;x\x07", "a\u009bb", "\u202ex", "new\nline"):
            write(text, PLAIN)
            for args in (("ls", "--depth", 0), ("info",), ("verify",), ("show", "no such"), ("convert", "./" + text + ".br"),
                         ("bench", "--codecs", "plain", "--seconds", "0.01")):
                self.check(args[0], text, *args[1:])
            os.remove(text)
            self.check("info", text)
            self.check("info", text, "--json")
            self.check(text)
            self.check("--" + text)
            self.check("convert", "model.stele", "x", "--codec", text)
        write("broken", PLAIN[:1000])
        os.rename("broken", b"bro\xffken")
        self.check("verify", b"bro\xffken".decode("utf-8", "surrogateescape"))


class Extensions(Case):
    def test_an_extension_of_a_compressed_format_is_that_format_or_an_error(self):
        names = codec_names()
        for extension, codec in ((".zstd", "zstd"), (".zstandard", "zstd"), (".ZST", "zstd"), (".gzip", "gzip"),
                                 (".GZ", "gzip"), (".bzip2", "bzip2"), (".bz", "bzip2"), (".zz", "zlib"), (".zlib", "zlib")):
            if codec in names:
                self.ok("convert", "two.stele", "x" + extension)
                self.assertEqual(self.ok("info", "x" + extension, "--json").json["codec"], codec, extension)
                os.remove("x" + extension)
        for extension in (".lzma2", ".lz", ".Z", ".br", ".zip", ".7z", ".tgz", ".sz", ".snappy", ".BR"):
            self.fails(2, "convert", "model.stele", "x" + extension, says="extension")
            self.fails(2, "extract", "model.stele", "ids", "-o", "x" + extension, says="extension")
            self.assertFalse(os.path.exists("x" + extension))
            self.ok("convert", "two.stele", "x" + extension, "--codec", "plain")
            os.remove("x" + extension)


class Codecs(Case):
    def test_list(self):
        text = self.ok("codecs").text
        self.assertRegex(text, r"\ngzip +\.gz")
        codecs = {codec["name"]: codec for codec in self.ok("codecs", "--json").json["codecs"]}
        self.assertIn(".gz", codecs["gzip"]["extensions"])
        levels = codecs["gzip"]["levels"]
        self.assertTrue(levels["lowest"] <= levels["standard"] <= levels["highest"])
        self.assertTrue(codecs["gzip"]["library"])


class Usage(Case):
    def test_help(self):
        text = self.ok("--help").text
        for word in ("info", "ls", "show", "extract", "verify", "convert", "codecs", "--json", "Exit codes", "  4  "):
            self.assertIn(word, text)
        for command in ("info", "ls", "show", "extract", "verify", "convert", "codecs"):
            self.assertIn("--json", self.ok(command, "--help").text)
        self.assertRegex(self.ok("--version").text, r"^stele \d+\.\d+\.\d+ \(file format \d+\)\n$")

    def test_wrong_usage(self):
        self.fails(2)
        self.fails(2, "frobnicate", says="there is no command frobnicate")
        self.fails(2, "info")
        self.fails(2, "ls", "model.stele", "--depth", "many")
        self.fails(2, "extract", "model.stele", "ids")
        self.fails(2, "extract", "model.stele", "ids", "--raw", "--codec", "gzip", "-o", "x")
        self.fails(2, "convert", "model.stele", "x", "--codec", "none-such", says="gzip")
        self.fails(2, "convert", "model.stele", "x.gz", "--level", 99, says="levels")
        self.fails(2, "convert", "model.stele", "x.gz", "--level", -99, says="levels")
        self.fails(2, "convert", "model.stele", "x.stele", "--level", 3, says="level")
        self.fails(2, "convert", "model.stele", "x", "--sync", "always")
        self.assertFalse(os.path.exists("x") or os.path.exists("x.gz") or os.path.exists("x.stele"))

    def test_every_number_is_checked(self):
        huge = "99999999999999999999"
        for command, option, good in (
                (("info", "two.stele"), "--offset", len(PLAIN)), (("ls", "model.stele"), "--offset", 0),
                (("ls", "model.stele"), "--depth", 1), (("ls", "model.stele"), "--max-items", 5),
                (("show", "model.stele"), "--items", 1), (("show", "model.stele"), "--depth", 1),
                (("show", "model.stele"), "--threads", 1), (("verify", "model.stele"), "--threads", 1),
                (("convert", "model.stele", "n.gz"), "--level", 1), (("convert", "model.stele", "n.gz"), "--threads", 1),
                (("extract", "model.stele", "ids", "-o", "n.gz"), "--level", 1),
                (("bench", "model.stele", "--codecs", "gzip", "--seconds", "0.01"), "--levels", 1),
                (("bench", "model.stele", "--codecs", "plain"), "--seconds", "0.01")):
            self.ok(*command, option, good)
            for bad in ("", " ", "-1" if option not in ("--level", "--levels") else "--1", huge, "1x", "x1", " 1", "1 ",
                        "+1", "0x10", "1,", "nan", "1e999", "1kB"):
                self.fails(2, *command, option, bad, says=option)
        self.fails(2, "verify", "model.stele", "--threads", 100_000, says="--threads")
        self.fails(2, "bench", "model.stele", "--levels", "1,,3", says="--levels")
        self.assertEqual(self.ok("ls", "model.stele", "--depth", 0).text.count("\n"), 1)

    def test_not_found(self):
        for command in ("info", "ls", "show"):
            self.fails(3, command, "absent.stele", says="absent.stele")
        self.fails(3, "ls", "model.stele", "layers/9", says="model.stele: layers/9: ")
        self.fails(3, "show", "model.stele", "none", says="model.stele: none: ")
        self.fails(3, "extract", "model.stele", "layers/0/none", "-o", "x", says="model.stele: layers/0/none: ")
        self.assertFalse(os.path.exists("x"))
        self.assertEqual(run("show", "model.stele", "none", "--json").json["error"]["code"], "not_found")

    def test_an_input_without_end_is_left_at_its_beginning(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_DATA, (256 << 20, 256 << 20))

        for args in (("info",), ("ls",), ("show",), ("verify",), ("extract", "x", "-o", "x")):
            start = time.monotonic()
            result = run(args[0], "/dev/zero", *args[1:], preexec_fn=None if SANITIZED else limit)
            self.assertEqual((result.code, result.out), (1, b""), (args, result.err))
            self.assertIn("/dev/zero", result.err)
            self.assertLess(time.monotonic() - start, 10)
            with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
                done = subprocess.run([STELE, args[0], "-", *args[1:]], stdin=endless.stdout, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, timeout=60, check=False)
                endless.kill()
            self.assertEqual(done.returncode, 1, (args, done.stderr))
            self.assertIn(b"standard input", done.stderr)
        self.fails(1, "bench", "/dev/zero", "--codecs", "plain", says="/dev/zero")

    def test_no_archive(self):
        for command in ("info", "ls", "show"):
            self.fails(1, command, __file__, says=__file__)
            self.fails(1, command, "-", stdin=b"", says="standard input")

    def test_io_errors(self):
        self.fails(3, "info", ".")  # it might be a sharded archive
        self.fails(4, "convert", "model.stele", "no/such/folder/x.gz", says="no/such/folder")
        if os.path.exists("/dev/full"):
            self.fails(4, "convert", "model.stele", "/dev/full", says="/dev/full")
            for args in (("info", "model.stele"), ("ls", "model.stele", "--all"), ("codecs",), ("--help",),
                         ("verify", "model.stele"), ("convert", "model.stele", "-"), ("info", "model.stele", "--json"),
                         ("extract", "model.stele", "images", "--raw", "-o", "-")):
                with open("/dev/full", "wb") as full:
                    done = subprocess.run([STELE, *args], stdout=full, stderr=subprocess.PIPE, check=False)
                self.assertEqual(done.returncode, 4, args)
                self.assertIn(b"standard output", done.stderr)
        if os.geteuid() != 0:
            write("secret.stele", PLAIN)
            os.chmod("secret.stele", 0)
            self.fails(4, "info", "secret.stele", says="secret.stele")

    def test_broken_pipe_is_quiet(self):
        process = subprocess.Popen([STELE, "convert", "model.stele", "-"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, restore_signals=False)
        process.stdout.read(1)
        process.stdout.close()
        self.assertEqual(process.wait(30), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()

    def test_fifo(self):
        os.mkfifo("fifo")
        self.assertTrue(stat.S_ISFIFO(os.stat("fifo").st_mode))
        for command in (("info",), ("ls", "--depth", "1"), ("verify",)):
            writer = subprocess.Popen(["dd", "if=model.stele.gz", "of=fifo", "status=none"])
            try:
                self.ok(command[0], "fifo", *command[1:])
                writer.wait(30)
            finally:
                writer.kill()

    def test_progress(self):
        """Only on a terminal, only after half a second, and it goes when the work ends."""
        master, terminal = pty.openpty()
        process = subprocess.Popen([STELE, "convert", "-", "slow.stele"], stdin=subprocess.PIPE, stderr=terminal)
        for piece in (PLAIN[:3 << 20], PLAIN[3 << 20:]):
            process.stdin.write(piece)
            process.stdin.flush()
            time.sleep(0.7)
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(master, 4096):
                shown += piece
        except OSError:
            pass
        os.close(master)
        self.assertIn(b"MiB/s", shown)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)


class Format(unittest.TestCase):
    def test_written_here_is_a_cbor_sequence(self):
        """What this file writes is what any CBOR library reads."""
        data = pathlib.Path("model.stele").read_bytes()
        decoder = cbor2.CBORDecoder(io.BytesIO(data))
        items = [decoder.decode() for _ in range(4)]
        self.assertEqual(items[0].tag, 55800)
        self.assertEqual(items[3][-8:], b"STELEEND")
        for entry in Archive(MODEL).arrays:
            self.assertEqual(entry[5] % 64, 0)


def codec_names():
    return [codec["name"] for codec in run("codecs", "--json").json["codecs"]]


def main():
    if not STELE:
        print("skipped: the command line is not built")
        return 77
    write("model.stele", PLAIN)
    write("two.stele", PLAIN + OTHER)
    write("model.stele.gz", gzip.compress(PLAIN, 6))
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
