#!/usr/bin/env python3
"""`stele store`: every command, and import and export of files of Python's json and NumPy.

Runs in an empty folder; STELE_BIN names the program.
"""

import base64
import io
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time
import unittest
import zipfile

try:
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

STELE = os.environ.get("STELE_BIN", "")


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out.decode()

    @property
    def json(self):
        return json.loads(self.out)


def run(*args, stdin=b""):
    done = subprocess.run([STELE, "store", *map(str, args)], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False)
    return Result(done.returncode, done.stdout, done.stderr.decode())


class Case(unittest.TestCase):
    def setUp(self):
        self.s = f"{self.id().rsplit('.', 1)[1]}.store"

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
        return result

    def lines(self, *args):
        return [json.loads(line) for line in self.ok("export", self.s, "-", *args).text.split("\n")[:-1]]

    def fill(self, count=5):
        items = "".join(json.dumps({"key": f"k{i}", "value": {"n": i}}) + "\n" for i in range(count))
        self.ok("import", self.s, "-", stdin=items.encode())


class Items(Case):
    def test_put_and_get(self):
        self.ok("put", self.s, "text", "--text", "grüße\n")
        self.assertEqual(self.ok("get", self.s, "text").out, "grüße\n".encode())
        pathlib.Path("file.bin").write_bytes(bytes(range(256)))
        self.ok("put", self.s, "bytes", "file.bin")
        self.assertEqual(self.ok("get", self.s, "bytes").out, bytes(range(256)))
        self.ok("put", self.s, "piped", "-", stdin=b"x" * 3_000_000)
        self.ok("get", self.s, "piped", "-o", "piped.bin")
        self.assertEqual(pathlib.Path("piped.bin").read_bytes(), b"x" * 3_000_000)
        self.ok("put", self.s, "object", "--json", '{"a": [1, 2.5, null], "b": "x"}')
        self.assertIn("2.5", self.ok("get", self.s, "object").text)
        self.assertEqual(self.ok("get", self.s, "object", "--json").json["value"], {"a": [1, 2.5, None], "b": "x"})
        self.ok("put", self.s, "word", "--json", '"just text"')
        self.assertEqual(self.ok("get", self.s, "word").text, "just text")
        array = base64.b64encode(np.arange(6, dtype="<f4").tobytes()).decode()
        self.ok("put", self.s, "array", "--json",
                json.dumps({"$array": {"dtype": "<f4", "shape": [2, 3], "order": "C", "data": array}}))
        self.assertEqual(self.ok("get", self.s, "array").text, "float32[2, 3]  24 B\n[[0. 1. 2.]\n [3. 4. 5.]]\n")
        self.assertEqual(self.ok("get", self.s, "array", "--json").json["value"]["shape"], [2, 3])
        document = self.ok("get", self.s, "bytes", "--json").json
        self.assertEqual(document["value"], {"bytes": base64.b64encode(bytes(range(256))).decode()})

    def test_objects_as_archives(self):
        self.ok("put", self.s, "object", "--json", '{"a": [1, 2, 3]}')
        self.ok("get", self.s, "object", "-o", "object.stele.gz")
        self.assertEqual(pathlib.Path("object.stele.gz").read_bytes()[:2], b"\x1f\x8b")
        self.ok("put", self.s, "again", "object.stele.gz", "--archive")
        self.ok("put", self.s, "bytes", "object.stele.gz")
        self.assertEqual(self.ok("get", self.s, "again", "--json").json["value"], {"a": [1, 2, 3]})
        self.assertEqual(self.ok("get", self.s, "bytes").out, pathlib.Path("object.stele.gz").read_bytes())
        piped = self.ok("get", self.s, "object", "-o", "-").out
        self.ok("put", self.s, "piped", "-", "--archive", stdin=piped)
        self.assertEqual(self.ok("get", self.s, "piped", "--json").json["value"], {"a": [1, 2, 3]})
        self.fails(1, "put", self.s, "bad", "-", "--archive", stdin=b"no archive")
        self.assertEqual(run("get", self.s, "object", "-o", "-", "--json").json["error"]["code"], "invalid_argument")

    def test_kinds_of_keys(self):
        self.ok("put", self.s, "12", "--int", "--text", "integer")
        self.ok("put", self.s, "12", "--text", "text")
        self.ok("put", self.s, "--int", "--text", "negative", "--", "-5")
        self.ok("put", self.s, "18446744073709551615", "--int", "--text", "largest")
        self.ok("put", self.s, "00ff", "--hex", "--text", "bytes")
        self.assertEqual(self.ok("get", self.s, "12", "--int").text, "integer")
        self.assertEqual(self.ok("get", self.s, "12").text, "text")
        self.assertEqual(self.ok("get", self.s, "--int", "--", "-5").text, "negative")
        self.assertEqual(self.ok("get", self.s, "0x00ff", "--hex").text, "bytes")
        self.assertEqual(self.ok("ls", self.s).text, '-5\n12\n18446744073709551615\n0x00ff\n"12"\n')
        self.assertEqual([item["key"] for item in self.ok("ls", self.s, "--json").json["items"]],
                         [-5, 12, 18446744073709551615, {"bytes": "AP8="}, "12"])
        self.fails(2, "get", self.s, "x", "--int", says="not an integer")
        self.fails(2, "get", self.s, "18446744073709551616", "--int", says="not an integer")
        self.fails(2, "get", self.s, "0xf", "--hex", says="hexadecimal")
        self.fails(2, "get", self.s, "1", "--hex", "--int", says="--hex")

    def test_failures(self):
        self.fails(3, "get", "nowhere.store", "k", says="nowhere.store")
        self.fill()
        self.fails(3, "get", self.s, "missing", says='no key "missing"')
        error = run("get", self.s, "missing", "--json")
        self.assertEqual((error.code, error.json["error"]["code"]), (3, "not_found"))
        self.fails(2, "put", self.s, "k", says="one of")
        self.fails(2, "put", self.s, "k", "--text", "a", "--json", "1")
        self.fails(1, "put", self.s, "k", "--json", "{", says="JSON")
        self.fails(1, "put", self.s, "k", "--json", "1,2] [3", says="JSON")
        self.fails(2, "put", self.s, "k", "--json", "1,2", says="one value")
        self.fails(2, "put", self.s, "k" * 481, "--text", "x", says="481 bytes")
        self.fails(3, "put", self.s, "k", "no such file")
        self.fails(2, "sing", self.s)
        self.assertIn("import", self.ok("--help").text)

    def test_erase_is_all_or_none(self):
        self.fill()
        self.fails(3, "erase", self.s, "k0", "k1", "missing", says="missing")
        self.assertEqual(self.ok("stat", self.s, "--json").json["values"], 5)
        self.ok("erase", self.s, "k0", "k1")
        self.assertEqual(self.ok("ls", self.s).text, "k2\nk3\nk4\n")
        self.fails(3, "erase", "nowhere.store", "k")

    def test_another_writer_is_waited_for(self):
        self.fill()
        writer = subprocess.Popen([STELE, "store", "import", self.s, "-", "--wait-ms", "60000"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        writer.stdin.write((b'{"key": 1, "value": "' + b"x" * 1_000_000 + b'"}\n') * 2)
        writer.stdin.flush()
        code = 0
        for _ in range(100):  # until it has begun
            code = run("put", self.s, "k", "--text", "x").code
            if code != 0:
                break
            time.sleep(0.05)
        self.assertEqual(code, 4)
        self.fails(4, "erase", self.s, "k0")
        waiting = subprocess.Popen([STELE, "store", "put", self.s, "late", "--text", "x", "--wait-ms", "60000"])
        writer.communicate()
        self.assertEqual(waiting.wait(60), 0)
        self.assertEqual(self.ok("get", self.s, "late").text, "x")


class Ls(Case):
    def test_ranges_and_orders(self):
        for key, size in [("b/2", 300), ("a/1", 100), ("b/1", 200), ("c", 50)]:
            self.ok("put", self.s, key, "-", stdin=b"x" * size)
        keys = lambda *args: self.ok("ls", self.s, *args).text.split()
        self.assertEqual(keys(), ["a/1", "b/1", "b/2", "c"])
        self.assertEqual(keys("--reverse"), ["c", "b/2", "b/1", "a/1"])
        self.assertEqual(keys("--prefix", "b/"), ["b/1", "b/2"])
        self.assertEqual(keys("--from", "b/1", "--to", "c"), ["b/1", "b/2"])
        self.assertEqual(keys("--limit", 2), ["a/1", "b/1"])
        self.assertEqual(keys("--limit", 0), [])
        self.assertEqual(keys("--order", "insertion"), ["b/2", "a/1", "b/1", "c"])
        self.assertEqual(keys("--order", "size"), ["c", "a/1", "b/1", "b/2"])
        self.assertEqual(keys("--order", "size", "--reverse", "--limit", 1), ["b/2"])
        self.fails(3, "ls", self.s, "--order", "colour", says="colour")
        self.fails(2, "ls", self.s, "--order", "size", "--prefix", "b", says="--order key")
        self.fails(2, "ls", self.s, "--order", "insertion", "--reverse")

    def test_nothing_commands_the_terminal(self):
        for number, text in enumerate(("\u009b31m", "\u202ereversed", "\u2066x\u2069", "a\u200bb", "\ufeff", "\u2028", "\x7f")):
            self.ok("put", self.s, f"{number}{text}", "--text", text)
            self.ok("put", self.s, f"o{number}{text}", "--json", json.dumps({text: [text]}))
        runs = [("ls", self.s), ("ls", self.s, "--long"), ("ls", self.s, "--long", "--json"), ("stat", self.s),
                ("verify", self.s), ("get", self.s, "no\u009b"), ("get", self.s, "no\u009b", "--json"),
                ("erase", self.s, "no\u202e"), ("ls", self.s, "--order", "\u009b"), ("get", self.s, "\u009b", "--int"),
                ("stat", "no\u202estore"), ("import", self.s, "no\u009bsource"), ("get", self.s, "o0\u009b31m"),
                ("get", self.s, "o0\u009b31m", "--json")]
        for args in runs:
            result = run(*args)
            for shown in (result.text, result.err):
                for hidden in "\x7f\u009b\u202e\u2066\u2069\u200b\ufeff\u2028":
                    self.assertNotIn(hidden, shown, args)
            if "--json" in args:
                json.loads(result.out)
        self.assertEqual(self.ok("get", self.s, "0\u009b31m").text, "\u009b31m")  # data is left as it is

    def test_numbers(self):
        self.ok("put", self.s, "a", "--text", "a")
        for args in (("put", self.s, "b", "--text", "b", "--shard-bytes"), ("put", self.s, "b", "--text", "b", "--wait-ms"),
                     ("put", self.s, "b", "--text", "b", "--level"), ("ls", self.s, "--limit"), ("get", self.s, "a", "--items"),
                     ("get", self.s, "a", "--depth"), ("vacuum", self.s, "--dead-share"), ("vacuum", self.s, "--wait-ms"),
                     ("import", self.s, "-", "--batch-items"), ("import", self.s, "-", "--batch-bytes"),
                     ("import", self.s, "-", "--line-bytes")):
            for bad in ("", " ", "99999999999999999999", "1x", "+1", "0x10", "nan", "1 "):
                self.fails(2, *args, bad, says=args[-1])
            if args[-1] != "--level":
                self.fails(2, *args, "-1", says=args[-1])
        self.fails(2, "import", self.s, "-", "--batch-items", 0, says="--batch-items")
        self.assertEqual(self.ok("ls", self.s, "--limit", 1).text, "a\n")

    def test_names_of_compressed_files(self):
        self.ok("put", self.s, "a", "--text", "a")
        for out in ("lines.jsonl.gz", "all.npz.zst", "folder.br"):
            self.fails(2, "export", self.s, out)
            self.assertFalse(pathlib.Path(out).exists())
        self.fails(2, "compact", self.s, "one.stele.gz", says="not compressed")

    def test_long(self):
        self.ok("put", self.s, "evil", "--text", "\x1b[31mred")
        self.ok("put", self.s, "map", "--json", '{"a": 1}')
        self.ok("put", self.s, "number", "--json", "2.5")
        self.ok("put", self.s, "e\x1bk", "--text", "x" * 200)
        text = self.ok("ls", self.s, "--long").text
        self.assertNotIn("\x1b", text)
        self.assertRegex(text, r'evil +9 B +text +"\\x1b\[31mred"')
        self.assertRegex(text, r"map +\d+ B +map +of 1")
        self.assertRegex(text, r"number +\d+ B +real +2\.5")
        self.assertIn("…", text)
        items = self.ok("ls", self.s, "--long", "--json").json["items"]
        self.assertEqual([item["kind"] for item in items], ["text", "text", "map", "real"])


class Care(Case):
    def shard(self):
        files = (file for file in pathlib.Path(self.s).iterdir() if "index" not in file.name)
        return max(files, key=lambda file: file.stat().st_size)

    def test_stat(self):
        self.fill()
        self.assertIn("values", self.ok("stat", self.s).text)
        stats = self.ok("stat", self.s, "--json").json
        self.assertEqual((stats["values"], stats["codec"], stats["orders"]), (5, "plain", []))
        self.assertEqual(sum(shard["live_values"] for shard in stats["shards"]), 5)
        self.ok("put", "packed_codec.store", "k", "--text", "x", "--codec", "zlib", "--level", "3",
                "--shard-bytes", 1 << 20, "--durability", "put")
        self.assertEqual(self.ok("stat", "packed_codec.store", "--json").json["codec"], "zlib")
        self.fails(2, "put", "other.store", "k", "--text", "x", "--codec", "rar")

    def test_verify_finds_damage(self):
        self.ok("put", self.s, "large", "-", stdin=os.urandom(300_000))
        self.assertEqual(self.ok("verify", self.s).text.split(":")[1].split()[0], "ok")
        self.assertTrue(self.ok("verify", self.s, "--json").json["ok"])
        data = bytearray(self.shard().read_bytes())
        data[-100_000] ^= 1
        self.shard().write_bytes(data)
        result = run("verify", self.s)
        self.assertEqual(result.code, 1)
        self.assertIn("damaged", result.text)
        self.assertRegex(result.err, "stele: .*checksum")
        document = run("verify", self.s, "--json")
        self.assertEqual((document.code, document.json["ok"]), (1, False))
        self.assertTrue(document.json["problems"])
        self.fails(1, "get", self.s, "large", says="checksum")
        self.fails(1, "export", self.s, "damaged_out.npz", says="checksum")

    def test_vacuum(self):
        for _ in range(5):
            self.ok("put", self.s, "k", "-", stdin=os.urandom(100_000))
        before = self.shard().stat().st_size
        self.assertGreater(self.ok("vacuum", self.s, "--dead-share", 0.5, "--json").json["freed_bytes"], before // 2)
        self.assertLess(self.shard().stat().st_size, before // 2)
        self.assertEqual(len(self.ok("get", self.s, "k").out), 100_000)
        self.assertIn("freed", self.ok("vacuum", self.s).text)
        self.fails(2, "vacuum", self.s, "--dead-share", 2)

    def test_recover(self):
        self.fill()
        (pathlib.Path(self.s) / "index.lmdb").unlink()
        self.fails(1, "put", self.s, "k", "--text", "x")
        self.assertIn("5 values", self.ok("recover", self.s).text)
        self.assertEqual(self.ok("get", self.s, "k4", "--json").json["value"], {"n": 4})

    def test_compact(self):
        self.fill()
        self.ok("compact", self.s, "one.stele")
        self.assertEqual(self.ok("ls", "one.stele").text, "k0\nk1\nk2\nk3\nk4\n")
        self.assertEqual(self.ok("get", "one.stele", "k3", "--json").json["value"], {"n": 3})
        self.fails(4, "put", "one.stele", "k", "--text", "x")
        self.ok("import", "from_one.store", "one.stele")
        self.assertEqual(self.ok("stat", "from_one.store", "--json").json["values"], 5)


class Lines(Case):
    ITEMS = [
        {"key": -1, "value": -(1 << 63)}, {"key": 7, "value": (1 << 64) - 1}, {"key": {"bytes": "AP8="}, "value": None},
        {"key": "bytes", "bytes": "AAECAw=="}, {"key": "empty", "value": ""},
        {"key": "float", "value": 0.1}, {"key": "large", "value": 1e22},
        {"key": "list", "value": [1, [2.0, [True]], {}]},
        {"key": "map", "value": {"ä": "\u2028", "": {"x": []}}}, {"key": "minus", "value": -0.0},
        {"key": "third", "value": 1 / 3}, {"key": "tiny", "value": 5e-324},
    ]

    def test_json_of_python_comes_back(self):
        pathlib.Path("items.jsonl").write_text("\n".join(map(json.dumps, self.ITEMS)), encoding="utf-8")
        self.assertIn("12 items", self.ok("import", self.s, "items.jsonl").text)
        lines = self.lines()
        in_order = lambda items: repr(sorted(items, key=lambda item: str(item["key"])))
        self.assertEqual(in_order(lines), in_order(self.ITEMS))
        self.ok("export", self.s, "again.jsonl")
        self.ok("import", "again.store", "again.jsonl")
        self.ok("export", "again.store", "third.jsonl")
        self.assertEqual(pathlib.Path("again.jsonl").read_bytes(), pathlib.Path("third.jsonl").read_bytes())

    def test_any_objects_by_a_field(self):
        rows = [{"id": i, "name": f"n{i}", "tags": ["a", "b"]} for i in range(100)]
        report = self.ok("import", self.s, "-", "--key-field", "id", "--json",
                         stdin="\n".join(map(json.dumps, rows)).encode()).json
        self.assertEqual((report["items"], report["skipped"]), (100, 0))
        self.assertEqual([line["value"] for line in self.lines()], rows)
        self.assertEqual([line["key"] for line in self.lines("--from", 97, "--int", "--reverse")], [99, 98, 97])
        self.fails(1, "import", self.s, "-", "--key-field", "id", stdin=b'{"id": 1}\n{"id": [1]}\n', says="line 2")

    def test_hostile_lines(self):
        def bad(line, says, code=1):
            self.fails(code, "import", self.s, "-", stdin=b'{"key": 1, "value": 1}\n' + line, says=says)
        bad(b"{", "line 2")
        bad(b'{"key": "a", "bytes": "@@@@"}', "line 2: \"bytes\" is no valid base64")
        bad(b'{"key": "a", "value": {"x": 1, "x": 2}}', "line 2")
        bad(b'{"key": "a", "key": "b", "value": 1}', "line 2")
        bad(b'{"key": "a", "value": "\xff"}', "line 2")
        bad(b'{"key": "a", "value": 1e400}', "line 2")
        bad(b'{"key": "a", "value": ' + b"[" * 100_000, "deep", 5)
        bad(b'{"key": "a", "value": {"$array": {"dtype": "<f8", "shape": [1000000000000], "order": "C", "data": ""}}}',
            "line 2")
        bad(b'{"key": "a", "value": "' + b"x" * 100_000_001, "100000000 bytes", 5)
        self.fails(5, "import", self.s, "-", "--line-bytes", 20, stdin=b'{"key": "a", "value": "x"}', says="20 bytes")
        self.assertEqual(self.ok("stat", self.s, "--json").json["values"], 0)

    def test_committed_batches_stay(self):
        lines = b"".join(b'{"key": %d, "value": 1}\n' % i for i in range(95))
        self.fails(1, "import", self.s, "-", "--batch-items", 10, stdin=lines + b"bad\n", says="line 96")
        self.assertEqual(self.ok("stat", self.s, "--json").json["values"], 90)

    def test_no_overwrite(self):
        self.ok("put", self.s, "a", "--text", "old")
        text = self.ok("import", self.s, "-", "--no-overwrite", stdin=b'{"key":"a","value":"new"}\n').text
        self.assertIn("0 items", text)
        self.assertIn('"a" is there already', text)
        self.assertEqual(self.ok("get", self.s, "a").text, "old")

    def test_interrupt_keeps_whole_batches(self):
        process = subprocess.Popen([STELE, "store", "import", self.s, "-", "--batch-items", "100"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"".join(b'{"key": %d, "value": "%s"}\n' % (i, b"v" * 1000) for i in range(1000)))
        process.stdin.flush()
        for _ in range(200):
            if pathlib.Path(self.s).exists() and run("stat", self.s, "--json").json.get("values", 0) >= 100:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        for use in (lambda: process.stdin.write(b'{"key": -1, "value": 1}\n' * 10_000), process.stdin.close):
            try:
                use()
            except BrokenPipeError:
                pass
        process.stdin = None  # is closed
        process.communicate()
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertTrue(self.ok("verify", self.s, "--json").json["ok"])
        self.assertGreaterEqual(self.ok("stat", self.s, "--json").json["values"], 100)
        self.ok("put", self.s, "after", "--text", "x")


class Files(Case):
    def test_folders_come_back(self):
        folder = pathlib.Path("tree")
        contents = {"a.txt": b"text", "deep/er/b.bin": bytes(range(256)), "empty": b"", "ä ö": b"\n",
                    ".dot/x": b"dot"}
        for name, data in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / "link").symlink_to("/etc/passwd")
        text = self.ok("import", self.s, folder).text
        self.assertIn("5 items", text)
        self.assertIn("link is a link", text)
        self.ok("export", self.s, "tree_out")
        files = [path for path in pathlib.Path("tree_out").rglob("*") if path.is_file()]
        found = {str(path.relative_to("tree_out")): path.read_bytes() for path in files}
        self.assertEqual(found, contents)
        self.assertIn("5 skipped", self.ok("export", self.s, "tree_out").text)
        self.assertIn("5 items", self.ok("export", self.s, "tree_out", "--overwrite").text)
        self.ok("import", "visible.store", folder, "--no-hidden", "--key-prefix", "t/")
        self.assertIn("t/deep/er/b.bin\n", self.ok("ls", "visible.store").text)
        self.assertNotIn("dot", self.ok("ls", "visible.store").text)
        self.fails(3, "import", self.s, "no_such_folder")
        self.fails(2, "import", self.s, "tree/a.txt", says="--format")

    def test_names_stay_inside(self):
        for key in ["../../up", "/tmp/stele_absolute_key", "a/../../b", "x", "x/y"]:
            self.ok("put", self.s, key, "--text", key)
        self.ok("put", self.s, "12", "--int", "--text", "n")
        self.ok("put", self.s, "object", "--json", "[1]")
        self.ok("export", self.s, "inside/out", "--format", "files")
        self.assertFalse(pathlib.Path("/tmp/stele_absolute_key").exists())
        self.assertEqual(os.listdir("inside"), ["out"])
        self.ok("import", "inside.store", "inside/out", "--exported")
        self.assertEqual(self.ok("ls", "inside.store").text, self.ok("ls", self.s).text)
        self.assertEqual(self.ok("get", "inside.store", "object", "--json").json["value"], [1])
        self.assertEqual(self.ok("get", "inside.store", "../../up").text, "../../up")


def member(name, data):
    """A .npz of one member with these bytes."""
    with zipfile.ZipFile("hostile.npz", "w") as file:
        file.writestr(name, data)
    return "hostile.npz"


def npy(header, data=b"", version=1):
    text = header.encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


ARRAYS = {
    "floats": np.arange(12, dtype="<f4").reshape(3, 4),
    "columns": np.asfortranarray(np.arange(6000, dtype="<i8").reshape(60, 100)),
    "big_endian": np.arange(5, dtype=">u2"),
    "complex": np.array([[1 + 2j]], dtype="<c8"),
    "complex_big": np.array([1 + 2j, 3], dtype=">c16"),
    "bools": np.array([True, False]),
    "bytes": np.array([b"ab", b"c"]),
    "text": np.array(["grüße", "x"]),
    "text_big": np.array(["äb"]).astype(">U2"),
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 7), "u1"),
    "half": np.array([0.5], "<f2"),
    "records": np.array([(1, 2.5, [1, 2]), (3, 4.5, [3, 4])],
                        dtype=[("id", "<u2"), ("x", ">f8"), ("pair", "<i4", (2,))]),
    "aligned": np.zeros(3, np.dtype([("a", "u1"), ("b", "<f8")], align=True)),
    "nested": np.zeros(2, [("p", [("x", "<f4"), ("y", "<f4")]), ("ä", "<i1")]),
    "times": np.array(["2026-11-29T01:02:03.000000004", "NaT"], "<M8[ns]"),
    "durations": np.array([1, -2], ">m8[25ms]"),
    "months": np.array(["2026-11", "1969-12"], "<M8[M]"),
    "events": np.array([("2026-11-29", 0.5)], [("at", "<M8[s]"), ("x", "<f8")]),
    "dir/name": np.arange(3, dtype="<u8"),
}


class Npz(Case):
    def check(self, source):
        self.assertIn(f"{len(ARRAYS)} items", self.ok("import", self.s, source).text)
        self.assertEqual(sorted(self.ok("ls", self.s).text.split()), sorted(ARRAYS))
        for codec, out in (("plain", "out_plain.npz"), ("zlib", "out_zlib.npz")):
            self.ok("export", self.s, out, "--codec", codec)
            with np.load(out) as loaded:
                self.assertEqual(sorted(loaded.files), sorted(ARRAYS))
                for name, expected in ARRAYS.items():
                    found = loaded[name]
                    np.testing.assert_array_equal(found.astype(expected.dtype), expected, name)
                    self.assertEqual(found.shape, expected.shape)
                    self.assertEqual(found.dtype.newbyteorder("<").itemsize, expected.dtype.itemsize)
                    if expected.dtype.names is None:
                        self.assertEqual(found.dtype, expected.dtype.newbyteorder("<"))
                self.assertTrue(loaded["columns"].flags.f_contiguous)
            with zipfile.ZipFile(out) as file:
                self.assertIsNone(file.testzip())

    def test_savez(self):
        np.savez("savez.npz", **ARRAYS)
        self.check("savez.npz")

    def test_savez_compressed(self):
        np.savez_compressed("compressed.npz", **ARRAYS)
        self.check("compressed.npz")

    def test_elements_are_shown(self):
        np.savez("shown.npz", a=np.arange(4.0))
        self.ok("import", self.s, "shown.npz")
        self.assertEqual(self.ok("get", self.s, "a").text, "float64[4]  32 B\n[0. 1. 2. 3.]\n")

    def test_more_members_than_a_zip_without_64_bits_holds(self):
        count = 66_000
        buffer = io.BytesIO()
        np.save(buffer, np.arange(3, dtype="u1"))
        with zipfile.ZipFile("many.npz", "w") as file:
            for i in range(count):
                file.writestr(f"m{i}.npy", buffer.getvalue())
        self.assertEqual(self.ok("import", self.s, "many.npz", "--json").json["items"], count)
        self.ok("export", self.s, "many_out.npz")
        with zipfile.ZipFile("many_out.npz") as file:
            self.assertEqual(len(file.namelist()), count)
            self.assertEqual(file.read("m65999.npy"), buffer.getvalue())

    def test_members_of_64_bit_sizes(self):
        buffer = io.BytesIO()
        np.save(buffer, np.arange(10))
        with zipfile.ZipFile("wide.npz", "w") as file:
            with file.open("a.npy", "w", force_zip64=True) as out:
                out.write(buffer.getvalue())
        self.ok("import", self.s, "wide.npz")
        self.assertIn("int64[10]", self.ok("get", self.s, "a").text)

    def test_hostile_files(self):
        def bad(source, says="", code=1):
            self.fails(code, "import", self.s, source, says=says)
        simple = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,)}\n"
        bad(member("a.npy", b"no array at all"), "a.npy")
        bad(member("a.npy", b""), "a.npy")
        bad(member("a.npy", npy(simple % 10, b"\0" * 39)), "1 bytes early")
        bad(member("a.npy", npy(simple % 10, b"\0" * 41)), "goes on")
        bad(member("a.npy", npy(simple % (1 << 43), b"\0" * 40)), "early")
        bad(member("a.npy", npy(simple % (1 << 45), b"\0" * 40)), "limit", 5)
        bad(member("a.npy", npy(simple % (1 << 62), b"\0" * 40)), "a.npy", 5)
        bad(member("a.npy", npy(simple % "-1", b"")), "a.npy")
        bad(member("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), "header", 5)
        bad(member("a.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\x04K\x01.")), code=5)
        bad(member("a.npy", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", b"\2")), "neither 0 nor 1")
        bad(member("a.npy", npy("__import__('os').system('touch pwned')", b"")), "literal")
        bad(member("a.npy", npy("(" * 60_000, b"")), "literal")
        pathlib.Path("text.npz").write_bytes(b"no zip file")
        bad("text.npz", "text.npz")
        good = io.BytesIO()
        np.savez_compressed(good, a=np.arange(1000), b=np.arange(1000))
        for cut in (10, len(good.getvalue()) // 2, len(good.getvalue()) - 1):
            pathlib.Path("cut.npz").write_bytes(good.getvalue()[:cut])
            bad("cut.npz")
        with zipfile.ZipFile("twice.npz", "w") as file:
            file.writestr("a.npy", npy(simple % 1, b"\0" * 4))
            file.writestr("b.npy", npy(simple % 1, b"\0" * 4))
        twice = pathlib.Path("twice.npz")
        twice.write_bytes(twice.read_bytes().replace(b"b.npy", b"a.npy"))
        bad("twice.npz", "twice")
        self.assertEqual(self.ok("stat", self.s, "--json").json["values"], 0)

    def test_slipping_names_are_only_keys(self):
        array = npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", b"\0" * 4)
        text = self.ok("import", self.s, member("../../evil.npy", array)).text
        self.assertIn("1 items", text)
        self.assertEqual(self.ok("ls", self.s).text, "../../evil\n")
        self.ok("export", self.s, "slip.npz")
        with zipfile.ZipFile("slip.npz") as file:
            self.assertEqual(file.namelist(), ["%2E%2E/%2E%2E/evil.npy"])
        self.ok("import", "slip.store", "slip.npz", "--exported")
        self.assertEqual(self.ok("ls", "slip.store").text, "../../evil\n")

    def test_members_that_share_bytes(self):
        """The members of a bomb: one stream of data under many names."""
        np.savez_compressed("bomb.npz", a=np.zeros(10_000_000))
        data = pathlib.Path("bomb.npz").read_bytes()
        at = data.index(b"PK\x01\x02")
        end = data.rindex(b"PK\x05\x06")
        entry = bytearray(data[at:end])
        entries = b""
        for i in range(26):
            entry[46:47] = bytes([ord("a") + i])
            entries += entry
        tail = bytearray(data[end:])
        tail[8:16] = struct.pack("<HHI", 26, 26, len(entries))
        pathlib.Path("bomb.npz").write_bytes(data[:at] + entries + tail)
        self.fails(1, "import", self.s, "bomb.npz", says="bomb.npz")

    def test_what_is_no_array_is_skipped(self):
        with zipfile.ZipFile("mixed.npz", "w") as file:
            file.writestr("readme.txt", "hello")
        self.assertIn("readme.txt is no .npy file", self.ok("import", self.s, "mixed.npz").text)
        self.ok("put", self.s, "text", "--text", "x")
        self.fails(2, "export", self.s, "none.npz", says="no array")
        self.assertFalse(pathlib.Path("none.npz").exists())


class Stores(Case):
    def test_a_store_from_another(self):
        self.fill(1000)
        self.assertIn("1000 items", self.ok("import", "copy.store", self.s, "--codec", "zlib").text)
        self.assertEqual(self.ok("export", "copy.store", "-").out, self.ok("export", self.s, "-").out)
        self.ok("export", self.s, "part.store", "--format", "store", "--prefix", "k99")
        self.assertEqual(self.ok("stat", "part.store", "--json").json["values"], 11)
        again = self.ok("export", self.s, "part.store", "--format", "store", "--prefix", "k99").text
        self.assertIn("11 skipped", again)


if __name__ == "__main__":
    if not STELE:
        print("skipped: the command line was not built")
        sys.exit(77)
    if subprocess.run([STELE, "store", "--help"], capture_output=True, check=False).returncode != 0:
        print("skipped: built without the store")
        sys.exit(77)
    unittest.main()
