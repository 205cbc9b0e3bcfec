"""The rivals of states as text that are in Python's own library, on the states that text_bench leaves for them."""

import base64
import json
import struct
import time
import zlib

from bench.rivals import FOLDER, run

PLACES = 3000
SETS = ("even", "words", "words, bursts")


def pack(counters):
    return base64.b64encode(zlib.compress(struct.pack(f"{len(counters)}B", *counters))).decode()


def unpack(text):
    data = zlib.decompress(base64.b64decode(text))
    return list(struct.unpack(f"{len(data)}B", data))


def compressed_json(counters):
    return base64.b64encode(zlib.compress(json.dumps(counters).encode())).decode()


def from_compressed_json(text):
    return json.loads(zlib.decompress(base64.b64decode(text)))


RIVALS = {
    "json": (json.dumps, json.loads),
    "pack + zlib + base64": (pack, unpack),
    "json + zlib + base64": (compressed_json, from_compressed_json),
}


def states_of(name):
    data = (FOLDER / f"state_text {name}.raw").read_bytes()
    return [list(data[at:at + PLACES]) for at in range(0, len(data), PLACES)]


def measure(work, values):
    """Seconds for each of the values, by the median of a few passes."""
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        for value in values:
            work(value)
        seconds.append((time.perf_counter() - begin) / len(values))
    return sorted(seconds)[len(seconds) // 2]


def states(repetitions):
    runs = []
    for name in SETS:
        values = states_of(name)
        for rival, (encode, decode) in RIVALS.items():
            texts = [encode(value) for value in values]
            assert [decode(text) for text in texts] == values
            characters = sum(map(len, texts)) / len(texts)
            for _ in range(repetitions):
                runs.append({"run_name": f"encode/text/{name}/{rival}", "real_time": measure(encode, values),
                             "time_unit": "s", "characters": characters})
                runs.append({"run_name": f"decode/text/{name}/{rival}", "real_time": measure(decode, texts),
                             "time_unit": "s"})
    return runs


if __name__ == "__main__":
    run(states=states)
