#!/usr/bin/env python3
"""The reference implementation of safetensors reads what stele writes and the reverse, for every element type; what it
refuses stele refuses, and what it accepts stele accepts."""

import json
import pathlib
import struct
import subprocess
import sys
import unittest

from build_program import SOURCE_DIR, Compiler, build_dir, cache, skip

try:
    import numpy
    import safetensors
    from safetensors.numpy import save_file
except ImportError:
    skip("there is no safetensors package")

# list FILE...   what each file holds, or its error
# map FILE...    the same, mapped
# index FILE     the same, of a model in several files
# copy IN OUT    reads and writes
# columns OUT    writes arrays of other orders and strides
PROGRAM = r"""
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "interop/safetensors/safetensors.hpp"
#include "stele/archive.hpp"

using namespace stele;

namespace {

void print_elements(const AnyArray& array) {
  const ArrayView& view = array.view();
  const auto bytes = static_cast<std::size_t>(view.byte_count());
  std::vector<std::byte> dense(bytes);
  gather(view, Order::row_major, 0, view.shape.count(), dense.data());
  std::printf("%s %s ", array.dtype().name().c_str(), view.shape.text().c_str());
  for (const std::byte byte : dense) {
    std::printf("%02x", std::to_integer<unsigned>(byte));
  }
}

void print(const Tensors& tensors) {
  std::printf("ok\n");
  for (const auto& [name, value] : tensors.metadata) {
    std::printf("metadata %s = %s\n", name.c_str(), value.to_string().c_str());
  }
  for (const auto& [name, value] : tensors.value.entries()) {
    std::printf("%s: ", name.text().c_str());
    const Value* content = &value;
    if (value.is(ValueKind::typed)) {
      std::printf("%s ", value.type_name().c_str());
      content = &value.content();
    }
    if (content->is_record()) {
      print_elements((*content)["shape"].array());
      std::printf(" ");
      content = content->find("data");
    }
    print_elements(content->array());
    std::printf("\n");
  }
}

Tensors read(const char* path, MapMode mode, const LoadOptions& options) {
  const std::unique_ptr<Source> source = file_source(path);
  return read_safetensors({.source = *source,
                           .mapping = mode == MapMode::none ? nullptr : Mapping::open(path, mode),
                           .path = path,
                           .options = options});
}

void write(const char* path, const Value& value, const Metadata& metadata) {
  const std::unique_ptr<Sink> sink = file_sink(path);
  write_safetensors(*sink, value, metadata);
  sink->close();
}

Value columns() {
  static std::int32_t numbers[24];
  for (int i = 0; i < 24; ++i) {
    numbers[i] = i;
  }
  ArrayView every_second(DType::Kind::int32, numbers, {3, 4}, Order::row_major);
  every_second.strides[0] = 32;
  every_second.strides[1] = 8;
  const ArrayView turned(DType::Kind::int32, numbers, {4, 6}, Order::column_major);
  const auto buffer = Buffer::wrap(reinterpret_cast<std::byte*>(numbers), sizeof numbers, false, nullptr);
  return Value::make_record({"model", "turned"},
                            {Value::make_record({"every_second"}, {Value(AnyArray(every_second, buffer))}),
                             Value(AnyArray(turned, buffer))});
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argv[1];
  const LoadOptions options;
  for (int i = 2; i < argc; ++i) {
    try {
      if (what == "copy") {
        const Tensors tensors = read(argv[2], MapMode::none, options);
        write(argv[3], tensors.value, tensors.metadata);
        return 0;
      }
      if (what == "columns") {
        write(argv[2], columns(), {});
        return 0;
      }
      print(what == "index" ? read_safetensors_index(argv[i], options)
                            : read(argv[i], what == "map" ? MapMode::read_only : MapMode::none, options));
    } catch (const Error& error) {
      std::printf("error %s\n", std::string(to_string(error.code())).c_str());
    }
    std::printf("--\n");
  }
  return 0;
}
"""

# The reference's name, stele's name, bits of an element.
TYPES = [
    ("F64", "float64", 64), ("F32", "float32", 32), ("F16", "float16", 16), ("BF16", "bfloat16", 16),
    ("I64", "int64", 64), ("I32", "int32", 32), ("I16", "int16", 16), ("I8", "int8", 8),
    ("U64", "uint64", 64), ("U32", "uint32", 32), ("U16", "uint16", 16), ("U8", "uint8", 8),
    ("BOOL", "bool", 8), ("C64", "complex64", 64), ("F8_E4M3", "float8_e4m3fn", 8), ("F8_E5M2", "float8_e5m2", 8),
    ("F8_E8M0", None, 8), ("F8_E4M3FNUZ", None, 8), ("F8_E5M2FNUZ", None, 8),
    ("F4", None, 4), ("F6_E2M3", None, 6), ("F6_E3M2", None, 6),
]


def run(*arguments):
    ran = subprocess.run(["./safetensors", *map(str, arguments)], capture_output=True, check=False)
    if ran.returncode != 0:
        raise AssertionError(f"{arguments}: {ran.returncode} {ran.stdout} {ran.stderr}")
    return ran.stdout.decode()


def listing(what, *files):
    """The text that stele prints for each file."""
    return run(what, *files).split("--\n")[:-1]


def file_of(header, data=b"\0" * 4, length=None):
    if not isinstance(header, bytes):
        header = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensors_of(data):
    """What the reference reads: name to (dtype, shape, bytes)."""
    return {name: (info["dtype"], list(info["shape"]), bytes(info["data"]))
            for name, info in safetensors.deserialize(data)}


def every_type():
    """A file with a tensor of each type and shape."""
    header, data = {"__metadata__": {"format": "pt", "ü\n\"": "\u202e\0"}}, b""
    for name, _, bits in TYPES:
        for shape in ([2, 4], [8], [0, 3], []):
            count = int(numpy.prod(shape, dtype=int))
            if count * bits % 8:
                continue
            size = count * bits // 8
            header[f"{name}.{len(shape)}.{count}"] = {"dtype": name, "shape": shape,
                                                      "data_offsets": [len(data), len(data) + size]}
            data += bytes((i * 37 + bits + 1) % (2 if name == "BOOL" else 256) for i in range(size))
    return file_of(header, data)


class Safetensors(unittest.TestCase):
    def test_every_type_is_read(self):
        file = every_type()
        pathlib.Path("all.safetensors").write_bytes(file)
        (read,) = listing("list", "all.safetensors")
        (mapped,) = listing("map", "all.safetensors")
        self.assertEqual(read, mapped)
        stele_names = {name: stele for name, stele, _ in TYPES}
        expected = tensors_of(file)
        self.assertEqual(len(expected), 4 * len(TYPES) - 3)
        for name, (dtype, shape, data) in expected.items():
            text = f"[{', '.join(map(str, shape))}]"
            if stele_names[dtype] is not None:
                line = f"{name}: {stele_names[dtype]} {text} {data.hex()}\n"
            elif dtype in ("F4", "F6_E2M3", "F6_E3M2"):
                extents = struct.pack(f"<{len(shape)}Q", *shape).hex()
                line = f"{name}: safetensors:{dtype} uint64 [{len(shape)}] {extents} uint8 [{len(data)}] {data.hex()}\n"
            else:
                line = f"{name}: safetensors:{dtype} uint8 {text} {data.hex()}\n"
            self.assertIn("\n" + line, read)
        self.assertIn("\nmetadata format = pt\n", read)

    def test_every_type_is_written(self):
        file = every_type()
        pathlib.Path("in.safetensors").write_bytes(file)
        run("copy", "in.safetensors", "out.safetensors")
        written = pathlib.Path("out.safetensors").read_bytes()
        self.assertEqual(tensors_of(written), tensors_of(file))
        with safetensors.safe_open("out.safetensors", "np") as opened:
            self.assertEqual(opened.metadata(), {"format": "pt", "ü\n\"": "\u202e\0"})
        (length,) = struct.unpack("<Q", written[:8])
        self.assertEqual((8 + length) % 64, 0)
        sizes = {name: bits // 8 for name, _, bits in TYPES}
        for name, info in json.loads(written[8:8 + length]).items():
            if name != "__metadata__" and sizes[info["dtype"]]:
                self.assertEqual(info["data_offsets"][0] % sizes[info["dtype"]], 0, name)

    def test_order_is_the_references(self):
        """Byte for byte what the reference writes, but for the spaces after the header."""
        arrays = {}
        for i, name in enumerate("zahxmbcd"):
            for dtype in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16",
                          "uint8", "bool", "complex64"):
                arrays[f"{name}.{dtype}"] = numpy.arange(i + 1).astype(dtype)
        save_file(arrays, "reference.safetensors", {"one": "1"})
        run("copy", "reference.safetensors", "copy.safetensors")
        parts = []
        for name in ("reference.safetensors", "copy.safetensors"):
            file = pathlib.Path(name).read_bytes()
            (length,) = struct.unpack("<Q", file[:8])
            parts.append((file[8:8 + length].rstrip(b" "), file[8 + length:]))
        self.assertEqual(parts[0], parts[1])

    def test_other_orders_and_strides(self):
        run("columns", "columns.safetensors")
        loaded = safetensors.numpy.load_file("columns.safetensors")
        numpy.testing.assert_array_equal(loaded["turned"], numpy.arange(24).reshape(4, 6, order="F"))
        numpy.testing.assert_array_equal(loaded["model.every_second"], numpy.arange(24).reshape(3, 8)[:, ::2])
        self.assertEqual(len(loaded), 2)

    def test_order_of_the_names_is_that_of_the_data(self):
        names = ["z", "b", "a", "c"]
        header = {name: {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i, name in enumerate(names)}
        pathlib.Path("order.safetensors").write_bytes(file_of(dict(sorted(header.items())), b"\1\2\3\4"))
        with safetensors.safe_open("order.safetensors", "np") as opened:
            self.assertEqual(opened.offset_keys(), names)
        (text,) = listing("list", "order.safetensors")
        self.assertEqual([line.split(":")[0] for line in text.splitlines()[1:]], names)

    def test_models_in_several_files(self):
        one = {"a": numpy.arange(6, dtype="float32").reshape(2, 3), "c": numpy.zeros(0, "int64")}
        two = {"b": numpy.array(True)}
        save_file(one, "model-00001-of-00002.safetensors", {"format": "pt"})
        save_file(two, "model-00002-of-00002.safetensors", {"format": "pt"})
        index = {"metadata": {"total_size": 25},
                 "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors",
                                "c": "model-00001-of-00002.safetensors"}}
        pathlib.Path("model.safetensors.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")
        (text,) = listing("index", "model.safetensors.index.json")
        self.assertEqual(text, "ok\nmetadata format = pt\nmetadata total_size = 25\nc: int64 [0] \n"
                               f"a: float32 [2, 3] {one['a'].tobytes().hex()}\nb: bool [] 01\n")

    def verdicts(self, cases):
        """Whether the reference and stele accept each file: by name, (reference, stele reading, stele mapping)."""
        folder = pathlib.Path("cases")
        folder.mkdir(exist_ok=True)
        paths, found = [], {}
        for i, file in enumerate(cases.values()):
            paths.append(folder / f"{i}.safetensors")
            paths[-1].write_bytes(file)
        read = listing("list", *paths)
        mapped = listing("map", *paths)
        self.assertEqual((len(read), len(mapped)), (len(cases), len(cases)))
        for (name, file), path, one, other in zip(cases.items(), paths, read, mapped):
            try:
                safetensors.deserialize(file)
                with safetensors.safe_open(path, "np"):
                    accepted = True
            except safetensors.SafetensorError:
                accepted = False
            found[name] = (accepted, one.startswith("ok"), other.startswith("ok"))
            if one.startswith("ok"):
                self.assertEqual(one, other, name)
        return found

    def test_headers_have_the_same_verdict(self):
        def info(dtype="F32", shape="[1]", offsets="[0,4]", more=""):
            return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{more}}}'

        def tensor(*arguments, **named):
            return '{"t":' + info(*arguments, **named) + "}"

        def two(first, second, data):
            return file_of(f'{{"a":{info("U8", "[2]", first)},"b":{info("U8", "[2]", second)}}}', data)

        def metadata(text):
            return file_of(f'{{"__metadata__":{text},"t":{info()}}}')

        def nested(depth):
            return file_of(tensor(more=',"x":' + "[" * depth + "]" * depth))

        good = tensor()
        cases = {
            "good": file_of(good), "spaces": file_of(good + "   "), "blanks": file_of(good + "\n\t\r "),
            "inner blanks": file_of('{ "t" :\n' + info().replace(",", " ,\t") + "}"),
            "a zero follows": file_of(good.encode() + b"\0"), "text follows": file_of(good + "x"),
            "comma": file_of(good[:-1] + ",}"), "comment": file_of("{/**/" + good[1:]),
            "byte order mark": file_of(b"\xef\xbb\xbf" + good.encode()), "list": file_of("[]", b""),
            "null": file_of("null", b""), "nothing": file_of("", b""), "no tensors": file_of("{}", b""),
            "no tensors but data": file_of("{}", b"1"), "only metadata": file_of('{"__metadata__":{}}', b""),
            "long": file_of(good, length=100_000_001), "longest": file_of(good, length=2**64 - 1),
            "past the end": file_of(good, length=1000), "one byte short": file_of(good, b"\0" * 3),
            "one byte more": file_of(good, b"\0" * 5),
            "field twice": file_of('{"t":' + info(more=',"dtype":"F32"') + "}"),
            "unknown field": file_of(tensor(more=',"x":[{"a":1.5}]')), "unknown twice": file_of(tensor(more=',"x":1,"x":2')),
            "large number": file_of(tensor(more=',"x":1e999')), "many digits": file_of(tensor(more=',"x":' + "9" * 40)),
            "not a number": file_of(tensor(more=',"x":NaN')),
            "no dtype": file_of('{"t":{"shape":[1],"data_offsets":[0,4]}}'),
            "no shape": file_of('{"t":{"dtype":"F32","data_offsets":[0,4]}}'),
            "no offsets": file_of('{"t":{"dtype":"F32","shape":[1]}}'), "tensor null": file_of('{"t":null}', b""),
            "tensor text": file_of('{"t":"F32"}', b""), "tensor empty": file_of('{"t":{}}', b""),
            "dtype number": file_of('{"t":{"dtype":4,"shape":[1],"data_offsets":[0,4]}}'),
            "escaped names": file_of(good.replace("dtype", "\\u0064type")),
            "hole": two("[0,2]", "[3,5]", b"12345"), "hole before": two("[1,3]", "[3,5]", b"12345"),
            "overlap": two("[0,2]", "[1,3]", b"123"), "same place": two("[0,2]", "[0,2]", b"12"),
            "other order": two("[2,4]", "[0,2]", b"1234"), "reversed": two("[2,0]", "[2,4]", b"1234"),
            "wrapped": two("[0,2]", "[18446744073709551615,1]", b"1234"),
            "duplicated metadata": file_of(f'{{"__metadata__":{{}},"__metadata__":{{}},"t":{info()}}}'),
            "metadata last": file_of('{"t":' + info() + ',"__metadata__":{"a":"1"}}'),
            "metadata like a tensor": file_of('{"__metadata__":' + info() + "}"),
            "metadata like a tensor of texts": file_of('{"__metadata__":{"dtype":"F32","shape":"1"}}', b""),
            "packed": file_of(tensor("F4", "[8]")), "packed, odd": file_of(tensor("F4", "[7]")),
            "packed 6": file_of(tensor("F6_E2M3", "[4]", "[0,3]"), b"123"), "bad UTF-8": file_of(b'{"\xff":' + info().encode() + b"}"),
            "surrogate": file_of('{"\\ud800":' + info() + "}"), "low surrogate": file_of('{"\\udc00":' + info() + "}"),
            "pair": file_of('{"\\ud83d\\ude00":' + info() + "}"), "control": file_of('{"\x01":' + info() + "}"),
            "delete": file_of('{"\x7f":' + info() + "}"), "escaped zero": file_of('{"\\u0000":' + info() + "}"),
            "empty name": file_of('{"":' + info() + "}"), "bad escape": file_of('{"\\x41":' + info() + "}"),
            "no elements": file_of(tensor("F32", "[0]", "[0,0]"), b""),
            "overflow": file_of(tensor("F32", "[4294967296,4294967296]", "[0,0]"), b""),
            "overflow by the dtype": file_of(tensor("F64", "[2305843009213693952]", "[0,0]"), b""),
            "overflow before a zero": file_of(tensor("F32", "[9223372036854775808,2,0]", "[0,0]"), b""),
        }
        for text in ("null", "1", '"a"', "[]", "{}", '{"a":"b"}', '{"a":1}', '{"a":null}', '{"a":{}}', '{"a":["b"]}', '{"":""}'):
            cases[f"metadata {text}"] = metadata(text)
        for name in ("f32", "F99", "C128", "", "I4", "F32 ", "F8_E4M3FNUZ"):
            cases[f"dtype {name}"] = file_of(tensor(name))
        for text in ("null", "1", '"1"', "{}", '{"0":1}', "[1.0]", "[1e0]", "[-1]", "[-0]", '["1"]', "[true]", "[null]", "[[1]]",
                     "[18446744073709551616]", "[01]", "[+1]", "[1,]", "[]", "[1,1,1]", "[2]"):
            cases[f"shape {text}"] = file_of(tensor(shape=text))
            cases[f"offsets {text}"] = file_of(tensor(offsets=text))
        for text in ("[0]", "[4]", "[0,4,4]", "[4,0]", "[0,3]", "[0,5]", "[1,5]", "[0.0,4]", "[-0,4]", '["0",4]', "[0,4.0]"):
            cases[f"offsets {text}"] = file_of(tensor(offsets=text))
        for depth in (1, 124, 125, 126, 127, 1000, 100_000):
            cases[f"depth {depth}"] = nested(depth)
        found = self.verdicts(cases)
        self.assertEqual({name: verdict for name, verdict in found.items() if len(set(verdict)) != 1}, {})
        self.assertGreater(sum(accepted for accepted, _, _ in found.values()), 20)
        self.assertGreater(sum(not accepted for accepted, _, _ in found.values()), 60)

    def test_where_stele_is_stricter(self):
        """The documentation of the format forbids these, or stele has no such array; the reference takes them."""
        info = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
        cases = {
            "a space first": file_of(' {"t":' + info + "}"),
            "a name twice": file_of('{"t":' + info + ',"t":' + info + "}"),
            "twice in the metadata": file_of('{"__metadata__":{"a":"1","a":"2"},"t":' + info + "}"),
            "a list": file_of('{"t":["F32",[1],[0,4]]}'),
            "dtype as an object": file_of('{"t":{"dtype":{"F32":null},"shape":[1],"data_offsets":[0,4]}}'),
            "33 dimensions": file_of(f'{{"t":{info}}}'.replace("[1]", "[" + "1," * 32 + "1]")),
            "a large extent beside 0": file_of(
                '{"t":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]}}', b""),
            "a bool of 2": file_of('{"t":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}', b"\2"),
        }
        self.assertEqual(set(self.verdicts(cases).values()), {(True, False, False)})

    def test_truncated_files_have_the_same_verdict(self):
        save_file({"a": numpy.arange(5.0), "b": numpy.arange(3, dtype="uint8")}, "whole.safetensors", {"k": "v"})
        whole = pathlib.Path("whole.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", whole[:8])
        cases = {f"file of {size}": whole[:size] for size in range(len(whole) + 1)}
        cases |= {f"header of {size}": file_of(whole[8:8 + size], whole[8 + length:]) for size in range(length + 1)}
        cases |= {f"without byte {at}": file_of(whole[8:8 + at] + whole[9 + at:8 + length], whole[8 + length:])
                  for at in range(length)}
        found = self.verdicts(cases)
        self.assertEqual({name: verdict for name, verdict in found.items() if len(set(verdict)) != 1}, {})
        self.assertTrue(all(found[f"file of {len(whole)}"]))


def main():
    if cache(build_dir()).get("nlohmann_json_DIR", "").endswith("NOTFOUND"):
        skip("this build reads no JSON")
    compiler = Compiler()
    compiler.include.append(f"-I{SOURCE_DIR / 'src'}")
    pathlib.Path("safetensors.cpp").write_text(PROGRAM, encoding="utf-8")
    try:
        compiler.compile("safetensors.cpp", "safetensors")
    except RuntimeError as error:
        sys.exit(str(error))
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
