#!/usr/bin/env python3
"""State texts and Python understand each other.

Python's zlib and base64 make and read the texts without a header; and a reader written from docs/guide/state-as-text.md
alone reads the others, its example included.
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

// Each line is: to CODEC LEVEL, python or from, then the counters or the text. Answers with the other in a line.
int main() {
  std::string what;
  while (std::cin >> what) {
    stele::TextOptions options;
    if (what == "to") {
      std::cin >> options.codec >> options.level;
    } else {
      options = stele::zlib_bytes_options(101);
    }
    if (what == "from") {
      std::string text;
      std::cin >> text;
      for (const int counter : stele::from_text<std::vector<int>>(text, options)) {
        std::cout << counter << ' ';
      }
      std::cout << '\n';
      continue;
    }
    std::size_t count = 0;
    std::cin >> count;
    std::vector<std::int64_t> counters(count);
    for (auto& counter : counters) {
      std::cin >> counter;
    }
    std::cout << stele::to_text(counters, options) << '\n';
  }
}
"""


def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def signed(value):
    return -(value >> 1) - 1 if value & 1 else value >> 1


class Bits:
    """Bits of bytes, the lowest first."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def get(self, count):
        value = 0
        for i in range(count):
            value |= (self.data[self.at >> 3] >> (self.at & 7) & 1) << i
            self.at += 1
        return value

    def exp_golomb(self):
        width = 0
        while self.get(1) == 0:
            width += 1
        return (1 << width) + self.get(width) - 1


def frequencies(bits):
    weights, size_class = {}, 0
    for byte in range(bits.get(8) + 1):
        size_class += signed(bits.exp_golomb())
        if size_class == 1:
            weights[byte] = 0
        elif size_class > 1:
            power = size_class - 2
            kept = min(3, power)
            weights[byte] = (1 << power) + (bits.get(kept) << (power - kept))
    total = sum(weights.values())
    result = {byte: 1 + (weight * (4096 - len(weights)) // total if total else 0) for byte, weight in weights.items()}
    result[max(weights, key=weights.get)] += 4096 - sum(result.values())
    return result


def entropy_decode(body, planes, size):
    if size == 0:
        return b""
    bits = Bits(body)
    slots = []
    for _ in range(planes):
        table = []
        for byte, frequency in frequencies(bits).items():
            table += [(byte, frequency, place) for place in range(frequency)]
        slots.append(table)
    at = (bits.at + 7) // 8
    states = [int.from_bytes(body[at:at + 4], "little"), int.from_bytes(body[at + 4:at + 8], "little")]
    at += 8
    plain = bytearray()
    for i in range(size):
        state = states[i % 2]
        byte, frequency, place = slots[i * planes // size][state & 4095]
        state = frequency * (state >> 12) + place
        if state < 1 << 16:
            state = state << 16 | int.from_bytes(body[at:at + 2], "little")
            at += 2
        states[i % 2] = state
        plain.append(byte)
    assert at == len(body) and states == [1 << 16, 1 << 16]
    return bytes(plain)


def decode(text):
    """The integers of a text."""
    data = base64.b64decode(text, validate=True)
    assert data[0] == 0xB1
    try:
        import xxhash  # pylint: disable=import-outside-toplevel
        assert xxhash.xxh3_64_intdigest(data[:-4]) & 0xFFFFFFFF == int.from_bytes(data[-4:], "little")
    except ModuleNotFoundError:
        pass
    codec, flags = data[1] & 7, data[1]
    assert flags & 0x10 and not flags & 0x08
    count, at = number(data, 2)
    bits, at = data[at], at + 1
    first = 0
    if flags & 0x20:
        first, at = number(data, at)
    base, at = number(data, at)
    body = data[at:-4]
    offsets = count - 1 if flags & 0x20 else count
    planes = (bits + 7) // 8
    size = (offsets * bits + 7) // 8 if flags & 0x40 else offsets * planes
    if codec == 1:
        body = zlib.decompress(body, -15)
    elif codec == 3:
        body = entropy_decode(body, planes, size)
    elif codec == 4:
        body = zlib.decompress(body)
    else:
        assert codec == 0
    assert len(body) == size
    if flags & 0x40:
        reader = Bits(body)
        offset = [reader.get(bits) for _ in range(offsets)]
    else:
        offset = [sum(body[plane * offsets + i] << (8 * plane) for plane in range(planes)) for i in range(offsets)]
    values = [signed(base) + value for value in offset]
    if flags & 0x20:
        steps, values = values, [signed(first)]
        for step in steps:
            values.append(values[-1] + step)
    values = [value % (1 << 64) for value in values]
    return values if flags & 0x80 else [value - (1 << 64) if value >> 63 else value for value in values]


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

    lines, expected = [], []
    for values in states():
        # At higher levels "auto" may take zstd, which Python's library does not have.
        for codec, level in (("auto", 1), ("stored", 1), ("entropy", 1), ("deflate", 5), ("zlib", 1), ("zlib", 5)):
            lines.append(f"to {codec} {level} {len(values)} {' '.join(map(str, values))}")
            expected.append((codec, level, values))
    for text, (codec, level, values) in zip(program.ask(lines), expected, strict=True):
        check(decode(text) == values, f"{codec} {level}: {values[:20]} … became {text[:100]}")

    counters = [values for values in states() if all(0 <= value <= 101 for value in values)]
    check(len(counters) == 5, "the states are other ones than were meant")
    answers = program.ask([f"python {len(values)} {' '.join(map(str, values))}" for values in counters])
    for values, text in zip(counters, answers, strict=True):
        plain = zlib.decompress(base64.b64decode(text, validate=True))
        check(list(plain) == values, f"Python does not read {text[:100]}")
    texts = [base64.b64encode(zlib.compress(bytes(values), level)).decode()
             for values in counters for level in (0, 1, 6, 9)]
    for i, answer in enumerate(program.ask([f"from {text}" for text in texts])):
        check(list(map(int, answer.split())) == counters[i // 4], f"stele does not read {texts[i][:100]}")

    page = (SOURCE_DIR / "docs/guide/state-as-text.md").read_text(encoding="utf-8")
    dump = re.search(r"```text\n(b1 .*?)```", page, re.DOTALL).group(1)
    data = bytes.fromhex("".join(re.split(r" {2,}", line)[0] for line in dump.splitlines()))
    fibonacci = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
    text = base64.b64encode(data).decode()
    check(decode(text) == fibonacci, "the example of the page is something else")
    answers = program.ask([f"to auto 1 12 {' '.join(map(str, fibonacci))}"])
    check(answers == [text], "the example of the page has changed")
    print(f"{len(expected)} texts, {len(texts)} of Python's, {errors} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
