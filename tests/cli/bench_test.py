#!/usr/bin/env python3
"""`stele bench`, and `stele convert --filter`: their output and the files they leave, not their speed.

Runs in an empty folder; STELE_BIN names the program.
"""

import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time
import unittest

import cli_test
from cli_test import OTHER, PLAIN, SANITIZED, STELE, Archive, Case, codec_names, run, write

import numpy as np

RNG = np.random.default_rng(2)
ARRAYS = bytes(Archive({"walk": RNG.standard_normal(2_000).cumsum(), "counts": RNG.poisson(2, 2_000),
                        "few": np.arange(3, dtype="<i4"), "name": "m"}).data)
LARGE = bytes(Archive({"noise": RNG.integers(0, 16, 12 << 20, dtype="u1"), "ids": list(range(1000))}).data)
QUICK = ("--seconds", 0.01)


class Bench(Case):
    def bench(self, *args, **options):
        return self.ok("bench", *args, *QUICK, "--json", **options).json

    def test_table(self):
        result = self.ok("bench", "arrays.stele", *QUICK, "--filters", "auto", "--folder", "scratch")
        lines = result.text.splitlines()
        self.assertIn("arrays.stele: ", lines[0])
        self.assertIn("as a plain archive", lines[0])
        self.assertRegex(lines[2], r"^codec +level +filter +size +ratio +save MB/s +load MB/s +save memory +load memory$")
        rows = [line.split() for line in lines[3:lines.index("", 3)]]
        self.assertEqual({row[0] for row in rows}, {"plain", *codec_names()})
        self.assertNotEqual(rows[0][0], "plain")  # the largest comes last
        self.assertIn("*", result.text)
        ratios = [float(re.search(r"B +(\d+\.\d\d) ", line).group(1)) for line in lines[3:lines.index("", 3)]]
        self.assertEqual(ratios, sorted(ratios, reverse=True))
        self.assertEqual(os.listdir("scratch"), [])

    def test_json(self):
        document = self.bench("arrays.stele", "--threads", 2, "--folder", "scratch")
        self.assertEqual((document["file"], document["object"], document["threads"], document["folder"]),
                         ("arrays.stele", "archive", 2, "scratch"))
        self.ok("extract", "arrays.stele", "", "-o", "again.stele")
        self.assertEqual(document["plain_bytes"], os.path.getsize("again.stele"))
        for row in document["candidates"]:
            self.assertNotIn("failure", row)
            self.assertEqual(row["part"], 1)
            self.assertAlmostEqual(row["ratio"], document["plain_bytes"] / row["stored_bytes"])
            for way in ("save", "load"):
                self.assertAlmostEqual(row[way]["bytes_per_second"] * row[way]["seconds"], document["plain_bytes"],
                                       delta=1)
            if row["codec"] != "plain":
                self.ok("extract", "arrays.stele", "", "-o", "same", "--codec", row["codec"], "--level", row["level"],
                        "--filter", row["filter"])
                self.assertEqual(row["stored_bytes"], os.path.getsize("same"), row)
        for codec in self.ok("codecs", "--json").json["codecs"]:
            levels = [row["level"] for row in document["candidates"]
                      if row["codec"] == codec["name"] and row["filter"] == "none"]
            self.assertEqual(len(levels), len(set(levels)))
            self.assertLessEqual(len(levels), 4)
            for level in ("lowest", "standard"):
                self.assertIn(codec["levels"][level], levels)
        self.assertEqual(os.listdir("scratch"), [])

    def test_pareto_front(self):
        rows = self.bench("arrays.stele", "--codecs", "plain,gzip,zlib")["candidates"]
        for way in ("save", "load"):
            for row in rows:
                better = any(other[way]["bytes_per_second"] >= row[way]["bytes_per_second"]
                             and other["stored_bytes"] <= row["stored_bytes"]
                             and (other[way]["bytes_per_second"], -other["stored_bytes"])
                             != (row[way]["bytes_per_second"], -row["stored_bytes"]) for other in rows)
                self.assertEqual(row[way]["pareto_front"], not better, (way, row))

    def test_choice(self):
        rows = self.bench("arrays.stele", "--codecs", "plain,gzip", "--levels", "1,3,99", "--filters", "none")["candidates"]
        self.assertEqual(sorted((row["codec"], row["level"] or 0, row["filter"]) for row in rows),
                         [("gzip", 1, "none"), ("gzip", 3, "none"), ("plain", 0, "none")])
        rows = self.bench("arrays.stele", "--codecs", "gzip", "--levels", "6", "--filters", "none,auto", "--memory")
        self.assertEqual(sorted(row["filter"] for row in rows["candidates"]), ["auto", "none"])
        self.assertIsNone(rows["folder"])

    def test_any_codec(self):
        for codec in codec_names():
            self.ok("convert", "arrays.stele", f"arrays.{codec}", "--codec", codec)
            document = self.bench(f"arrays.{codec}", "--codecs", "plain")
            self.assertEqual((document["object"], document["plain_bytes"]), ("archive", len_plain()))

    def test_bytes(self):
        data = RNG.integers(0, 4, 100_000, dtype="u1").tobytes()
        write("any.bin", data)
        document = self.bench("any.bin", "--codecs", "gzip", "--levels", "1,6")
        self.assertEqual(document["object"], "bytes")
        self.assertTrue(len(data) < document["plain_bytes"] < len(data) + 1000)
        self.assertTrue(all(row["ratio"] > 3 for row in document["candidates"]))
        document = self.bench("arrays.stele", "--bytes", "--codecs", "plain")
        self.assertEqual(document["object"], "bytes")
        self.assertGreater(document["plain_bytes"], len(ARRAYS))
        self.assertIn("taken as bytes", self.ok("bench", "any.bin", "--codecs", "plain", *QUICK).text)
        self.assertEqual(self.bench("-", "--codecs", "plain", stdin=ARRAYS)["plain_bytes"], len_plain())

    def test_part(self):
        document = self.bench("large.stele", "--codecs", "gzip", "--levels", "6", "--filters", "none")
        row = document["candidates"][0]
        self.assertTrue(0.1 < row["part"] < 0.5, row)
        self.assertAlmostEqual(row["stored_bytes"] * row["ratio"], document["plain_bytes"], delta=100)
        self.ok("convert", "large.stele", "large.gz", "--level", 6)
        self.assertAlmostEqual(row["stored_bytes"] / os.path.getsize("large.gz"), 1, delta=0.02)
        text = self.ok("bench", "large.stele", "--codecs", "gzip", "--levels", "6", "--filters", "none", *QUICK).text
        self.assertRegex(text, r"gzip +6 +none +~.* on \d+ % of it\n")
        self.assertIn("--seconds", text)

    @unittest.skipIf(SANITIZED, "a sanitizer takes memory of its own")
    def test_memory(self):
        for row in self.bench("large.stele", "--codecs", "plain")["candidates"]:
            self.assertTrue(0 <= row["save"]["memory_bytes"] < 8 << 20, row)
            self.assertTrue(0 <= row["load"]["memory_bytes"] < 8 << 20, row)

    def test_errors(self):
        self.fails(3, "bench", "absent.stele", says="absent.stele")
        self.fails(4, "bench", "arrays.stele", "--folder", "no/such", says="no/such")
        self.fails(2, "bench", "arrays.stele", "--levels", "99", says="levels")
        self.fails(2, "bench", "arrays.stele", "--levels", "fast")
        self.fails(2, "bench", "arrays.stele", "--codecs", "none-such", says="gzip")
        self.fails(2, "bench", "arrays.stele", "--seconds", "0")
        self.fails(2, "bench", "arrays.stele", "--folder", "scratch", "--memory")
        self.fails(1, "bench", write("empty", b""), says="empty")
        self.fails(1, "bench", write("cut.stele", ARRAYS[:-100]), says="cut.stele")
        self.fails(1, "bench", "-", stdin=b"no archive at all", says="standard input")
        self.assertEqual(os.listdir("scratch"), [])

    def test_interrupt_leaves_nothing(self):
        process = subprocess.Popen([STELE, "bench", "large.stele", "--seconds", "60", "--folder", "scratch"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while not os.listdir("scratch") and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(len(os.listdir("scratch")), 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out, err), (-signal.SIGINT, b"", b""))
        self.assertEqual(os.listdir("scratch"), [])

    def test_progress(self):
        master, terminal = pty.openpty()
        process = subprocess.Popen([STELE, "bench", "large.stele", "--seconds", "0.3", "--codecs", "gzip", "--levels", "1,6"],
                                   stdout=subprocess.PIPE, stderr=terminal)
        process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0)
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(master, 4096):
                shown += piece
        except OSError:
            pass
        os.close(master)
        self.assertRegex(shown, rb"gzip \d, filter (none|auto); \d of 4  \[")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)


class ConvertFilter(Case):
    def test_values_stay(self):
        self.ok("convert", "model.stele", "anew.stele", "--codec", "plain", "--filter", "none")
        self.assertEqual(*(self.ok("show", name, "--full", "--json").json for name in ("anew.stele", "model.stele")))
        for codec in codec_names():
            self.ok("convert", "model.stele", "anew", "--codec", codec, "--filter", "none", "--threads", 2)
            self.assertEqual(self.ok("info", "anew", "--json").json["codec"], codec)
            self.assertEqual(self.ok("info", "anew", "--json").json["metadata"],
                             {"author": "me", "task": "test", "epoch": 3, "loss": 0.25, "done": True})
            self.ok("convert", "anew", "plain.stele")
            self.assertEqual(pathlib.Path("plain.stele").read_bytes(), pathlib.Path("anew.stele").read_bytes())
            self.ok("convert", "anew", "back.stele", "--filter", "auto")
            self.assertEqual(self.ok("extract", "back.stele", "images", "--raw", "-o", "-").out,
                             cli_test.IMAGES.tobytes())

    def test_several_archives(self):
        report = self.ok("convert", write("twice.stele", OTHER + OTHER), "twice.gz", "--filter", "none", "--json").json
        self.assertEqual(report["archives"], 2)
        self.ok("verify", "twice.gz")
        self.assertEqual(len(self.ok("verify", "twice.gz", "--json").json["files"][0]["archives"]), 2)
        write("old", b"old")
        self.fails(5, "convert", write("differ.stele", PLAIN + OTHER), "old", "--filter", "none", says="metadata")
        self.assertEqual(pathlib.Path("old").read_bytes(), b"old")

    def test_damage(self):
        write("old", b"old")
        write("cut.stele", ARRAYS[:-100])
        for args in ((), ("--codec", "gzip")):
            self.fails(1, "convert", "cut.stele", "old", "--filter", "auto", *args)
        self.fails(2, "extract", "arrays.stele", "walk", "--raw", "--filter", "none", "-o", "old")
        self.assertEqual(pathlib.Path("old").read_bytes(), b"old")


def len_plain():
    """The bytes of ARRAYS as stele itself writes it."""
    return len(run("extract", "arrays.stele", "", "-o", "-").out)


def main():
    if not STELE:
        print("skipped: the command line is not built")
        return 77
    write("model.stele", PLAIN)
    write("arrays.stele", ARRAYS)
    write("large.stele", LARGE)
    os.mkdir("scratch")
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in (Bench, ConvertFilter))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed, {len(result.skipped)} skipped")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
