#!/usr/bin/env python3
"""Files of stele and Python's cbor2: each reads what the other wrote.

Files of stele are checked against docs/format.md without any code of stele: cbor2 decodes the items, xxhash computes the
checksums, and a short scanner finds what the directory must list. The command line reads the files of cbor2.
"""

import datetime
import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import unittest

from build_program import SOURCE_DIR, Compiler, skip

try:
    import cbor2
    import xxhash
except ImportError as error:
    skip(error)

GOLDEN = SOURCE_DIR / "tests" / "golden"
LABEL = bytes.fromhex("d9d9f8da5354454c43424f52")
DTYPE_ARRAY, GROWING, VIEW = 0x53544501, 0x53544502, 0x53544503
TAGS = {"|u1": 64, "<u2": 69, "<u4": 70, "<u8": 71, "|i1": 72, "<i2": 77, "<i4": 78, "<i8": 79, "<f2": 84, "<f4": 85,
        "<f8": 86}

WRITER = r"""
#include <map>
#include <memory>
#include <string>
#include <vector>
#include <stele/stele.hpp>

struct Item { std::string name; std::vector<float> values; };
struct Node { std::string name; std::shared_ptr<Node> next; };
struct Big {
  std::vector<std::string> words;
  std::map<std::string, int> sorted;
  std::vector<Item> items;
  std::vector<std::shared_ptr<Node>> nodes;
  std::map<std::string, std::vector<double>> arrays;
  stele::Array<std::int32_t, 3> cube;
  stele::Array<std::int32_t, 3> half;
};

int main() {
  Big big;
  for (int i = 0; i < 20000; ++i) {
    big.words.push_back("word " + std::to_string(i));
    big.sorted["key" + std::to_string(i)] = i;
  }
  for (int i = 0; i < 50; ++i) {
    big.items.push_back({"item " + std::to_string(i), std::vector<float>(static_cast<std::size_t>(i * 60), 0.5F)});
    big.arrays["a/" + std::to_string(i)].assign(static_cast<std::size_t>(500 + i), i);
  }
  for (int i = 0; i < 3000; ++i) {
    big.nodes.push_back(std::make_shared<Node>());
    big.nodes.back()->name = std::string(40, 'n');
    big.nodes.back()->next = big.nodes[static_cast<std::size_t>(i / 2)];
  }
  big.arrays["\xff"].assign(600, 1);
  big.cube = stele::Array<std::int32_t, 3>({10, 20, 30}, stele::Order::column_major);
  big.half = big.cube.slice(5, 10);
  stele::save(big, "big.stele", {.metadata = {{"made by", "a test"}}});
  for (const auto& node : big.nodes) {
    node->next.reset();
  }
  stele::MapWriter out("grown.stele");
  auto rows = out.grow<double>("rows", {3});
  for (int i = 0; i < 100; ++i) {
    rows.append(std::vector<double>(30, i));
  }
  rows.close();
  out.write("items", big.items);
  out.close();
}
"""


def read_head(data, at):
    """Major type, argument (None: indefinite) and the offset after the head, as RFC 8949 has them."""
    major, info = data[at] >> 5, data[at] & 31
    if info < 24:
        return major, info, at + 1
    if info == 31:
        return major, None, at + 1
    size = 1 << (info - 24)
    return major, int.from_bytes(data[at + 1:at + 1 + size], "big"), at + 1 + size


class Scan:
    """The end of an item, the data of the arrays in it that must be listed, and the places of its tags 28 and 105."""

    def __init__(self, data, at):
        self.data, self.arrays, self.shared, self.records = data, [], [], []
        self.end = self.item(at, False)

    def item(self, at, in_array):
        major, value, behind = read_head(self.data, at)
        if major in (0, 1, 7):
            return behind
        if value is None:
            while self.data[behind] != 0xFF:
                behind = self.item(behind, False)
            return behind + 1
        if major in (2, 3):
            if in_array and major == 2 and value >= 4096:
                self.arrays.append((behind, value))
            return behind + value
        if major in (4, 5):
            for _ in range(value * (major - 3)):
                behind = self.item(behind, in_array)
            return behind
        if value == 28:
            self.shared.append(at)
        if value == 105:
            self.records.append(at)
        return self.item(behind, 64 <= value <= 87 or value == DTYPE_ARRAY)


def decode(data, at):
    """One item and the offset after it."""
    stream = io.BytesIO(data)
    stream.seek(at)
    value = cbor2.CBORDecoder(stream).decode()
    return value, stream.tell()


class Archive:
    """An archive that ends where the bytes do, checked against docs/format.md on the way."""

    def __init__(self, test, data):
        self.test, self.data = test, data
        test.assertEqual(data[:12], LABEL)
        test.assertEqual(data[-50:-48], b"\x58\x30")
        self.place, length, total, directory_sum, structure_sum, magic = struct.unpack("<5Q8s", data[-48:])
        test.assertEqual(magic, b"STELEEND")
        test.assertEqual(total, len(data))
        test.assertEqual(total % 64, 0)
        label, behind = decode(data, 0)
        test.assertEqual((label.tag, label.value.tag, label.value.value), (55800, 0x5354454C, b"BOR"))
        test.assertEqual(behind, 12)
        self.root, behind = decode(data, 12)
        test.assertEqual(behind, self.place)
        self.directory, behind = decode(data, self.place)
        test.assertEqual(behind, self.place + length)
        test.assertEqual(self.directory["format"], 1)
        test.assertEqual(xxhash.xxh3_64_intdigest(data[self.place:behind]), directory_sum)
        trailer, behind = decode(data, behind)  # the padding belongs to it
        test.assertEqual((trailer, behind), (data[-48:], len(data)))
        test.assertEqual(self.structure(0, len(data) - 50), structure_sum)
        self.scan = Scan(data, 12)
        test.assertEqual(self.scan.end, self.place)
        self.check_arrays()
        self.check_segments()
        self.check_places()

    def part(self, name):
        return self.directory.get(name, [])

    def structure(self, begin, end):
        """XXH3-64 of the bytes from `begin` to `end` that are not the data of a listed array."""
        digest = xxhash.xxh3_64()
        for *_, offset, length, _ in self.part("arrays"):
            if begin <= offset < end:
                digest.update(self.data[begin:offset])
                begin = offset + length
        digest.update(self.data[begin:end])
        return digest.intdigest()

    def at(self, path):
        """The decoded value at a path."""
        value = self.root
        names = {identity: list(fields) for _, identity, fields in self.part("records")}
        for step in path.split("/") if path else []:
            step = "" if step == "~" else step.replace("~1", "/").replace("~0", "~")
            tag = value.tag if isinstance(value, cbor2.CBORTag) else None
            if tag == VIEW and step == "base":
                value = value.value[0]
            elif tag == 105:
                value = value.value[2 + list(value.value[0]).index(step)]
            elif tag in names:
                value = value.value[names[tag].index(step)]
            elif isinstance(value, dict):
                value = value[step]
            else:
                value = value[int(step)]
        return value

    def check_arrays(self):
        test = self.test
        arrays = self.part("arrays")
        test.assertEqual([(offset, length) for *_, offset, length, _ in arrays], self.scan.arrays)
        for path, dtype, extents, order, encoding, offset, length, checksum in arrays:
            content = self.data[offset:offset + length]
            test.assertEqual(offset % 64, 0, path)
            test.assertEqual(encoding, "raw")
            test.assertEqual(xxhash.xxh3_64_intdigest(content), checksum, path)
            if isinstance(path, bytes):  # it has a key that is not UTF-8
                continue
            value = self.at(path)
            if value.tag in (40, 1040):
                test.assertEqual((list(value.value[0]), order), (list(extents), "C" if value.tag == 40 else "F"))
                value = value.value[1]
            else:
                test.assertEqual(len(extents), 1)
            if value.tag == DTYPE_ARRAY:
                test.assertEqual(list(value.value), [dtype, content])
            else:
                test.assertEqual((value.tag, value.value), (TAGS[dtype], content))

    def check_segments(self):
        begin = 0
        for end, checksum in self.part("segments"):
            self.test.assertGreater(end, begin)
            self.test.assertEqual(self.structure(begin, end), checksum)
            begin = end
        if begin:  # what is behind them is data
            last = max([offset + length for *_, offset, length, _ in self.part("arrays") if offset >= begin], default=begin)
            self.test.assertEqual(last, self.place)

    def check_places(self):
        test, data = self.test, self.data
        test.assertEqual([offset for offset, _, _ in self.part("records")], self.scan.records)
        for offset, identity, names in self.part("records"):
            major, tag, behind = read_head(data, offset)
            test.assertEqual((major, tag), (6, 105))
            defined, behind = decode(data, read_head(data, behind)[2])
            test.assertEqual((list(defined), decode(data, behind)[0]), (list(names), identity))
            test.assertTrue(26880 <= identity <= 27135)
        test.assertEqual(bool(self.part("shared")), bool(self.scan.shared))
        for index, offset in self.part("shared"):
            test.assertEqual(self.scan.shared[index], offset)
        for path, offset, length in self.part("nodes"):
            test.assertGreaterEqual(length, 65536)
            test.assertEqual(Scan(data, offset).end, offset + length, path)
        for path, steps in self.part("steps"):
            value = self.at(path)
            items = list(value.items()) if isinstance(value, dict) else value
            for index, offset, *key in steps:
                if key:
                    found, behind = decode(data, offset)
                    test.assertEqual(found, key[0])
                    test.assertEqual((found, decode(data, behind)[0]), items[index])
                elif isinstance(items[index], str):
                    test.assertEqual(decode(data, offset)[0], items[index])
                else:
                    test.assertLess(Scan(data, offset).end, self.place)


class SteleToCbor2(unittest.TestCase):
    def golden(self, name):
        return Archive(self, (GOLDEN / name).read_bytes())

    def test_values(self):
        root = self.golden("values.stele").root
        self.assertEqual(root["numbers"], {
            "yes": True, "minus": -100, "least": -2**63, "most": 2**64 - 1, "letter": 65, "colour": 2, "half": 1.5,
            "brain": -2.0, "single": struct.unpack("f", struct.pack("f", 0.1))[0], "real": 0.1,
            "wide": [-63, 2**63 + 8, False], "z": [1.0, -0.5]})
        self.assertEqual(root["text"], "naïve")
        self.assertEqual(root["bytes"], b"\x00\xff")
        self.assertEqual(root["nested"], [None])
        self.assertEqual(root["either"], {"text": "text"})
        self.assertEqual(root["delay"], [1500, 1, 1000])
        self.assertEqual(root["bits"], b"\x05\x08")
        self.assertEqual(root["by_number"], {-1: "minus one", 300: "three hundred"})
        self.assertEqual(list(root["by_name"]), ["a", "b", "c"])
        self.assertEqual(root["versioned"], {"@version": 3, "a": 5})

    def test_arrays(self):
        archive = self.golden("arrays.stele")
        root = archive.root
        self.assertEqual(struct.unpack("<3d", root["reals"].value), (0.5, -1, 1e300))
        self.assertEqual((root["flags"].tag, list(root["flags"].value)), (DTYPE_ARRAY, ["|b1", b"\1\0\1"]))
        self.assertEqual(root["columns"].tag, 1040)
        self.assertIs(root["again"], root["columns"])
        base, first, extents, strides = root["part"].value
        self.assertEqual((root["part"].tag, first, list(extents), list(strides)), (VIEW, 64, [16], [2]))
        self.assertIs(base, root["columns"])
        self.assertEqual(len(archive.directory["arrays"]), 1)

    def test_graph(self):
        archive = self.golden("graph.stele")
        self.assertIs(archive.root["ring"]["next"]["next"], archive.root["ring"])
        self.assertIs(archive.root["same"], archive.root["ring"])
        self.assertEqual(archive.at("items/2/name"), "third")
        self.assertEqual(archive.at("by_key/b~1c/name"), "fifth")
        figure = archive.at("figures/0")
        self.assertEqual((figure.tag, figure.value[0]), (27, "square"))

    def test_stream(self):
        data = (GOLDEN / "stream.stele").read_bytes()
        second = Archive(self, data[-128:])
        self.assertEqual(second.root, "second")
        root = Archive(self, data[:-128]).root
        self.assertEqual(root["rows"].tag, GROWING)
        self.assertEqual(struct.unpack("<6i", root["rows"].value[1].value), (1, 2, 3, 4, 5, 6))
        self.assertEqual(root["numbers"].value, struct.pack("<d", 0.5))

    def test_large(self):
        pathlib.Path("writer.cpp").write_text(WRITER, encoding="utf-8")
        Compiler().compile("writer.cpp", pathlib.Path.cwd() / "writer")
        subprocess.run(["./writer"], check=True)
        big = Archive(self, pathlib.Path("big.stele").read_bytes())
        for part in ("arrays", "nodes", "steps", "records", "shared", "segments", "metadata"):
            self.assertIn(part, big.directory)
        self.assertEqual(big.root["words"][12345], "word 12345")
        self.assertGreater(len(big.directory["shared"]), 1)
        self.assertGreater(len(big.directory["segments"]), 5)
        grown = Archive(self, pathlib.Path("grown.stele").read_bytes())
        self.assertEqual(list(grown.root["rows"].value[0]), [1000, 3])
        self.assertEqual([list(part) if isinstance(part, (list, tuple)) else part for part in grown.directory["arrays"][0][:4]],
                         ["rows", "<f8", [1000, 3], "C"])


def wrap(root, arrays=(), **others):
    """An archive around an encoded root."""
    out = bytearray(LABEL + root)
    directory = cbor2.dumps({"writer": "cbor2", "format": 1, "arrays": list(arrays), "unknown": [1, {"x": 2}], **others})
    place = len(out)
    out += directory
    digest, at = xxhash.xxh3_64(), 0
    for *_, offset, length, _ in arrays:
        digest.update(bytes(out[at:offset]))
        at = offset + length
    digest.update(bytes(out[at:]))
    return bytes(out) + cbor2.dumps(struct.pack("<5Q8s", place, len(directory), len(out) + 50,
                                                xxhash.xxh3_64_intdigest(directory), digest.intdigest(), b"STELEEND"))


@unittest.skipUnless(os.environ.get("STELE_BIN"), "the command line is not built")
class Cbor2ToStele(unittest.TestCase):
    def run_stele(self, *arguments):
        return subprocess.run([os.environ["STELE_BIN"], *arguments], capture_output=True, text=True, check=False, timeout=60)

    def stele(self, *arguments):
        ran = self.run_stele(*arguments)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        return ran.stdout

    def shown(self, data):
        """What `stele show` makes of an archive, which must verify, too."""
        pathlib.Path("foreign.stele").write_bytes(data)
        self.stele("verify", "foreign.stele")
        self.stele("ls", "--json", "foreign.stele")
        return json.loads(self.stele("show", "--json", "--full", "foreign.stele"))

    def test_plain_values(self):
        value = {"int": 1, "big": 2**64 - 1, "negative": -2**63, "float": 0.5, "text": "naïve", "list": [1, [True, None]],
                 "map": {"a": {}}}
        self.assertEqual(self.shown(wrap(cbor2.dumps(value))), value)
        self.assertEqual(self.shown(wrap(cbor2.dumps(value, canonical=True))), value)

    def test_half_floats_and_undefined(self):
        halves = cbor2.dumps([1.5, 2.0, float("inf")], canonical=True)
        self.assertIn(b"\xf9\x3e\x00", halves)
        self.assertEqual(self.shown(wrap(halves)), [1.5, 2.0, "Infinity"])
        self.assertEqual(self.shown(wrap(cbor2.dumps([cbor2.undefined, None]))), [None, None])

    def test_indefinite_lengths(self):
        shown = self.shown(wrap(bytes.fromhex("bf 6161 9f 01 02 ff 7f 6162 6163 ff 5f 41 01 41 02 ff ff")))
        self.assertEqual(shown["a"], [1, 2])
        self.assertEqual(shown["bc"], {"kind": "bytes", "bytes": 2})

    def test_unknown_tags(self):
        value = {"when": cbor2.CBORTag(0, "2026-11-22T00:00:00Z"), "set": cbor2.CBORTag(258, [1, 2]),
                 "marked": cbor2.CBORTag(55799, cbor2.CBORTag(55799, 3))}
        self.assertEqual(self.shown(wrap(cbor2.dumps(cbor2.CBORTag(55799, value)))),
                         {"when": "2026-11-22T00:00:00Z", "set": [1, 2], "marked": 3})
        date = datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc)
        self.assertTrue(self.shown(wrap(cbor2.dumps({"date": date})))["date"].startswith("2026-11-22"))

    def test_typed_arrays(self):
        for tag, code, dtype in ((85, "<f", "float32"), (81, ">f", "float32"), (86, "<d", "float64"), (82, ">d", "float64"),
                                 (77, "<h", "int16"), (73, ">h", "int16"), (71, "<Q", "uint64"), (67, ">Q", "uint64")):
            data = b"".join(struct.pack(code, number) for number in (1, 2, 3))
            shown = self.shown(wrap(cbor2.dumps(cbor2.CBORTag(tag, data))))
            self.assertEqual((shown["dtype"], shown["shape"], shown["values"]), (dtype, [3], [1, 2, 3]), tag)

    def test_several_dimensions(self):
        elements = cbor2.CBORTag(64, bytes(range(6)))
        rows = self.shown(wrap(cbor2.dumps(cbor2.CBORTag(40, [[2, 3], elements]))))
        columns = self.shown(wrap(cbor2.dumps(cbor2.CBORTag(1040, [[2, 3], elements]))))
        self.assertEqual((rows["shape"], rows["values"]), ([2, 3], [0, 1, 2, 3, 4, 5]))
        self.assertEqual((columns["shape"], columns["values"]), ([2, 3], [0, 2, 4, 1, 3, 5]))
        numbers = self.shown(wrap(cbor2.dumps(cbor2.CBORTag(40, [[2, 2], [1, 2, 3, 4]]))))
        self.assertEqual(numbers["values"], [1, 2, 3, 4])

    def test_sharing(self):
        shared = ["same"]
        root = cbor2.dumps({"a": shared, "b": shared}, value_sharing=True)
        shown = self.shown(wrap(root, shared=[[0, 12 + root.index(b"\xd8\x1c")]]))
        content = shown["value"] if "kind" in shown else shown  # cbor2 marks every list and map, the root too
        self.assertEqual((content["a"]["kind"], content["a"]["value"]), ("shared", ["same"]))
        self.assertEqual(content["b"]["kind"], "reference")

    def test_records(self):
        value = [cbor2.CBORTag(105, [["x", "y"], 26880, 1, 2]), cbor2.CBORTag(26880, [3, 4]), cbor2.CBORTag(26880, [5])]
        root = cbor2.dumps(value)
        shown = self.shown(wrap(root, records=[[12 + root.index(b"\xd8\x69"), 26880, ["x", "y"]]]))
        self.assertEqual(shown, [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5}])
        self.assertEqual(json.loads(self.stele("show", "--json", "foreign.stele", "1/y")), 4)

    def test_listed_array(self):
        content = struct.pack("<2000f", *range(2000))
        root = cbor2.dumps({"x": cbor2.CBORTag(85, content)})
        offset = 12 + root.index(content)
        entry = ["x", "<f4", [2000], "C", "raw", offset, len(content), xxhash.xxh3_64_intdigest(content)]
        data = wrap(root, [entry])
        self.assertEqual(self.shown(data)["x"]["values"][1999], 1999)
        listed = json.loads(self.stele("ls", "--json", "foreign.stele"))["entries"]
        self.assertTrue(any(value["path"] == "x" and value["listed"] for value in listed))

        damaged = bytearray(data)
        damaged[offset + 5] ^= 1
        pathlib.Path("damaged.stele").write_bytes(damaged)
        ran = self.run_stele("verify", "damaged.stele")
        self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
        self.assertIn("checksum", ran.stdout + ran.stderr)

    def test_byte_string_without_a_tag_is_not_listed(self):
        self.assertEqual(self.shown(wrap(cbor2.dumps({"x": bytes(5000)})))["x"], {"kind": "bytes", "bytes": 5000})

    def test_golden_files(self):
        for name in ("values.stele", "arrays.stele", "graph.stele", "stream.stele", "arrays.stele.gz"):
            self.stele("verify", str(GOLDEN / name))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
