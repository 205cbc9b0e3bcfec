#!/usr/bin/env python3
"""State texts and Python understand each other, with Python's base64 and zlib alone.

Python reads what stele writes, by a reader made from docs/guide/state-as-text.md, and stele what Python writes, in both
alphabets; the same for bare texts, and for the example of the page.
"""

import base64
import pathlib
import random
import re
import subprocess
import sys
import zlib

from build_program import SOURCE_DIR, Compiler

PROGRAM = r"""
#include <iostream>
#include <string>
#include <vector>
#include <stele/state_text.hpp>

// Each line is: "to", count, level, 1 for base64url, integers; "bare", count, integers; or "from" or "frombare" and a text.
// Answers with the other in a line.
int main() {
  std::string what;
  while (std::cin >> what) {
    if (what == "from" || what == "frombare") {
      std::string text;
      std::cin >> text;
      const auto options = what == "from" ? stele::TextLoadOptions() : stele::zlib_bytes_load_options();
      try {
        for (const auto value : stele::from_text<std::vector<std::int64_t>>(text, options)) {
          std::cout << value << ' ';
        }
      } catch (const stele::Error& error) {
        std::cout << stele::to_string(error.code());
      }
      std::cout << '\n';
      continue;
    }
    std::size_t count = 0;
    std::cin >> count;
    stele::TextSaveOptions options;
    if (what == "bare") {
      options = stele::zlib_bytes_save_options(101);
    } else {
      int url = 0;
      std::cin >> options.level >> url;
      options.alphabet = url != 0 ? stele::TextAlphabet::base64url : stele::TextAlphabet::base64;
    }
    std::vector<std::int64_t> values(count);
    for (auto& value : values) {
      std::cin >> value;
    }
    std::cout << stele::to_text(values, options) << '\n';
  }
}
"""


def decode(text):
    """The integers of a text."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if set("-_") & set(text) else base64.b64decode(
        text + "=" * (-len(text) % 4), validate=True)
    stream, checksum = data[:-4], data[-4:]
    assert zlib.crc32(stream) == int.from_bytes(checksum, "little")
    plain = zlib.decompress(stream)
    assert plain == zlib.decompress(data)  # Python does not mind the checksum
    assert plain[0] == 0xB1
    width, at, base = plain[1] & 0x0F, 2, 0
    assert 1 <= width <= 8 and plain[1] & 0xE0 == 0
    if plain[1] & 0x10:
        at, base = 10, int.from_bytes(plain[2:10], "little", signed=True)
    count = (len(plain) - at) // width
    return [base + int.from_bytes(plain[at + i::count], "little") for i in range(count)]


def encode(values, url=False, level=6, strategy=zlib.Z_DEFAULT_STRATEGY):
    """A text of integers."""
    base = min(values, default=0)
    if 0 <= base <= 255:
        base = 0
    base = min(base, (1 << 63) - 1)
    width = max(1, (max((value - base).bit_length() for value in values) + 7) // 8) if values else 1
    head = bytes([0xB1, width | (0x10 if base else 0)]) + (base.to_bytes(8, "little", signed=True) if base else b"")
    planes = bytes((value - base) >> 8 * plane & 0xFF for plane in range(width) for value in values)
    deflate = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, 8, strategy)
    stream = deflate.compress(head + planes) + deflate.flush()
    data = stream + zlib.crc32(stream).to_bytes(4, "little")
    return base64.urlsafe_b64encode(data).decode().rstrip("=") if url else base64.b64encode(data).decode()


def states():
    rng = random.Random(1)
    counters = [min(101, int(rng.gammavariate(1.5, 2.5))) for _ in range(3000)]
    yield counters
    yield counters[:40]
    yield [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
    yield [7] * 100
    yield []
    yield [rng.randrange(-70000, 1 << 40) for _ in range(50)]
    yield [(i * i) % 5 * 300 for i in range(400)]
    yield [1_700_000_000 + 60 * i + rng.randrange(5) for i in range(200)]
    yield [-(1 << 63), (1 << 63) - 1, 0]


class Program:
    def __init__(self, path):
        source = path / "state_text_interop.cpp"
        source.write_text(PROGRAM, encoding="utf-8")
        self.path = path / "state_text_interop"
        Compiler().compile(source, self.path)

    def ask(self, lines):
        answer = subprocess.run([self.path], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120,
                                check=True)
        return answer.stdout.split("\n")[:-1]


def main():
    program = Program(pathlib.Path.cwd())
    errors = 0

    def check(good, what):
        nonlocal errors
        if not good:
            errors += 1
            print(what, file=sys.stderr)

    def listed(values):
        return f"{len(values)} {' '.join(map(str, values))}"

    lines, expected = [], []
    for values in states():
        for level in (1, 2, 6, 9):
            for url in (0, 1):
                lines.append(f"to {len(values)} {level} {url} {' '.join(map(str, values))}")
                expected.append(values)
    for text, values in zip(program.ask(lines), expected, strict=True):
        check(decode(text) == values, f"{values[:20]} … became {text[:100]}")

    texts, expected = [], []
    for values in states():
        for url in (False, True):
            for level in (0, 1, 6, 9):
                for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED):
                    texts.append(encode(values, url, level, strategy))
                    expected.append(values)
    for text, values, answer in zip(texts, expected, program.ask([f"from {text}" for text in texts]), strict=True):
        check(answer.split() == list(map(str, values)), f"stele reads {answer[:50]} in {text[:100]}")

    counters = [values for values in states() if all(0 <= value <= 101 for value in values)]
    check(len(counters) == 5, "the states are other ones than were meant")
    for values, text in zip(counters, program.ask([f"bare {listed(values)}" for values in counters]), strict=True):
        plain = zlib.decompress(base64.b64decode(text, validate=True))
        check(list(plain) == values, f"Python does not read {text[:100]}")
    bare = [base64.b64encode(zlib.compress(bytes(values), level)).decode()
            for values in counters for level in (0, 1, 6, 9)]
    for i, answer in enumerate(program.ask([f"frombare {text}" for text in bare])):
        check(list(map(int, answer.split())) == counters[i // 4], f"stele does not read {bare[i][:100]}")

    page = (SOURCE_DIR / "docs/guide/state-as-text.md").read_text(encoding="utf-8")
    dump = re.search(r"```text\n(48 0d .*?)```", page, re.DOTALL).group(1)
    data = bytes.fromhex("".join(re.split(r" {2,}", line)[0] for line in dump.splitlines()))
    text = base64.b64encode(data).decode()
    check(f"`{text}`" in page, "the page has another text of its example")
    plain = bytes.fromhex(re.search(r"```text\n(b1 01 .*?) {2,}", page).group(1))
    check(zlib.decompress(data[:-4]) == plain, "the example of the page holds something else")
    fibonacci = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
    check(decode(text) == fibonacci, "Python reads something else in the example of the page")
    check(program.ask([f"from {text}"])[0].split() == list(map(str, fibonacci)), "stele reads something else in it")
    print(f"{len(expected)} texts of Python's, {errors} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
