#!/usr/bin/env python3
"""libcbor, a CBOR library in C, reads files of stele: a program that knows nothing else prints their items."""

import pathlib
import shutil
import subprocess
import sys
import unittest

from build_program import SOURCE_DIR, skip

GOLDEN = SOURCE_DIR / "tests" / "golden"

# Prints every item of a CBOR sequence on a line, in RFC 8949's diagnostic notation; byte strings as h'' and their length.
PROGRAM = r"""
#include <cbor.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print(cbor_item_t* item) {
  switch (cbor_typeof(item)) {
    case CBOR_TYPE_UINT:
      printf("%" PRIu64, cbor_get_int(item));
      break;
    case CBOR_TYPE_NEGINT:
      printf("-1-%" PRIu64, cbor_get_int(item));
      break;
    case CBOR_TYPE_BYTESTRING: {
      size_t length = 0;
      if (cbor_bytestring_is_definite(item)) {
        length = cbor_bytestring_length(item);
      } else {
        for (size_t i = 0; i < cbor_bytestring_chunk_count(item); ++i) {
          length += cbor_bytestring_length(cbor_bytestring_chunks_handle(item)[i]);
        }
      }
      printf("h'%zu'", length);
      break;
    }
    case CBOR_TYPE_STRING:
      printf("\"%.*s\"", (int)cbor_string_length(item), (const char*)cbor_string_handle(item));
      break;
    case CBOR_TYPE_ARRAY:
      printf("[");
      for (size_t i = 0; i < cbor_array_size(item); ++i) {
        printf(i == 0 ? "" : ", ");
        print(cbor_array_handle(item)[i]);
      }
      printf("]");
      break;
    case CBOR_TYPE_MAP:
      printf("{");
      for (size_t i = 0; i < cbor_map_size(item); ++i) {
        printf(i == 0 ? "" : ", ");
        print(cbor_map_handle(item)[i].key);
        printf(": ");
        print(cbor_map_handle(item)[i].value);
      }
      printf("}");
      break;
    case CBOR_TYPE_TAG: {
      cbor_item_t* content = cbor_tag_item(item);
      printf("%" PRIu64 "(", cbor_tag_value(item));
      print(content);
      printf(")");
      cbor_decref(&content);
      break;
    }
    case CBOR_TYPE_FLOAT_CTRL:
      if (cbor_float_ctrl_is_ctrl(item)) {
        printf("%s", cbor_is_null(item) ? "null" : cbor_is_undef(item) ? "undefined" : cbor_get_bool(item) ? "true" : "false");
      } else {
        printf("%g_%d", cbor_float_get_float(item), (int)cbor_float_get_width(item));
      }
  }
}

int main(int argc, char** argv) {
  FILE* file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (file == NULL) {
    return 2;
  }
  static unsigned char data[1 << 20];
  const size_t size = fread(data, 1, sizeof data, file);
  fclose(file);
  for (size_t at = 0; at < size;) {
    struct cbor_load_result result;
    cbor_item_t* item = cbor_load(data + at, size - at, &result);
    if (item == NULL) {
      printf("error %d at %zu\n", (int)result.error.code, at + result.error.position);
      return 1;
    }
    printf("%zu ", at);
    print(item);
    printf("\n");
    cbor_decref(&item);
    at += result.read;
  }
  return 0;
}
"""


class LibcborReads(unittest.TestCase):
    def items(self, name):
        """The items of a golden file: (offset, text)."""
        ran = subprocess.run(["./print_cbor", GOLDEN / name], capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        return [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in ran.stdout.splitlines()]

    def archive(self, name):
        items = self.items(name)
        self.assertEqual(len(items), 4)
        self.assertEqual(items[0], (0, "55800(1398031692(h'3'))"))
        self.assertTrue(items[3][1].endswith("h'48'" + ")" * items[3][1].count("(")))
        return items[1][1], items[2][1]

    def test_values(self):
        root, directory = self.archive("values.stele")
        for part in ('"yes": true', '"minus": -1-99', '"most": 18446744073709551615', '"half": 1.5_1', '"real": 0.1_3',
                     '"text": "naïve"', "\"bytes\": h'2'", '"none": null', '"by_number": {-1-0: "minus one", 300: "three hundred"}',
                     '"versioned": {"@version": 3, "a": 5}'):
            self.assertIn(part, root)
        self.assertEqual(directory, '{"format": 1, "writer": "stele 0.1.0", "metadata": {"kind": "values"}}'.replace(
            "stele 0.1.0", directory.split('"writer": "')[1].split('"')[0]))

    def test_arrays(self):
        root, directory = self.archive("arrays.stele")
        for part in ("\"reals\": 86(h'24')", "\"flags\": 1398031617([\"|b1\", h'3'])", "\"table\": 40([[3, 2], 77(h'12')])",
                     "28(1040([[32, 32], 85(h'4096')]))", '"again": 29(0)', '"part": 1398031619([29(0), 64, [16], [2]])',
                     '[8, ["x", "<f4", 0, 1], ["n", "<i4", 4, 1]]'):
            self.assertIn(part, root)
        self.assertIn('"columns", "<f4", [32, 32], "F", "raw", 256, 4096', directory)

    def test_graph(self):
        root, _ = self.archive("graph.stele")
        for part in ('"items": [105([["name", "points"], 26880, "first"', '26880(["third"', '27(["square", 105([["side"], 26881, 3_3])])',
                     '28({"name": "one", "next": 28({"name": "two", "next": 29(0)})})', '"same": 29(0)'):
            self.assertIn(part, root)

    def test_stream(self):
        items = self.items("stream.stele")
        self.assertEqual(len(items), 8)
        self.assertEqual(items[1][1], "{\"name\": \"stream\", \"rows\": 1398031618([[2], 78(h'24')]), \"numbers\": 86(h'8')}")
        self.assertEqual(items[5][1], '"second"')


def main():
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        skip("there is no C compiler")
    pathlib.Path("print_cbor.c").write_text(PROGRAM, encoding="utf-8")
    built = subprocess.run([compiler, "-std=gnu11", "-Wall", "-Wextra", "print_cbor.c", "-o", "print_cbor", "-lcbor", "-lm"],
                           capture_output=True, text=True, check=False)
    if built.returncode != 0:
        if "cbor.h" in built.stderr or "-lcbor" in built.stderr:
            skip("libcbor is not installed")
        sys.exit(built.stderr)
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
