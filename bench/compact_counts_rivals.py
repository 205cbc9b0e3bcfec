"""The part of the group `compact` for token counts that is Python: compact_counts_rivals.py prepare|dict REPETITIONS.

`prepare` writes word lists and sentences to STELE_BENCH_FOLDER, which token_counts_bench works on. `dict` measures
Python's dict on the tables that token_counts_bench leaves there. Prints a report in Google Benchmark's form.
"""

import gc
import json
import os
import pathlib
import random
import subprocess
import sys
import time

FOLDER = pathlib.Path(os.environ.get("STELE_BENCH_FOLDER", "."))
QUICK = "STELE_BENCH_QUICK" in os.environ
HERE = pathlib.Path(__file__).resolve().parent
LOOK_UPS = 100_000 if QUICK else 1_000_000


def prepare(_):
    subprocess.run([sys.executable, HERE / "wordlists.py", FOLDER], check=True)
    return []


def resident():
    """Bytes of memory of this process."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def read_table(path):
    """The tokens as bytes, which a TokenCounts has too, and their counts."""
    table = {}
    with open(path, "rb") as file:
        for line in file:
            token, _, count = line.rstrip(b"\n").rpartition(b"\t")
            table[token] = int(count)
    return table


def look_up(table, queries):
    total = 0
    for token in queries:
        total += table.get(token, 0)
    return total


def in_child(work):
    """What `work` returns, from a process of its own, whose memory nothing else has used."""
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        with os.fdopen(write_end, "w") as out:
            json.dump(work(), out)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        result = json.load(answer)
    os.wait()
    return result


def measure_dict(path, repetitions):
    name = path.stem.removeprefix("counts ")
    gc.collect()
    before = resident()
    begin = time.perf_counter()
    table = read_table(path)
    seconds = time.perf_counter() - begin
    runs = [{"run_name": f"counts/{name}/build/dict", "real_time": seconds, "time_unit": "s",
             "resident": float(resident() - before), "tokens": float(len(table))}]
    tokens = list(table)
    queries = [bytes(bytearray(token)) for token in random.Random(1).choices(tokens, k=LOOK_UPS)]
    for _ in range(repetitions):
        begin = time.perf_counter()
        look_up(table, queries)
        runs.append({"run_name": f"counts/{name}/known/dict", "real_time": time.perf_counter() - begin,
                     "time_unit": "s", "look_ups": float(LOOK_UPS)})
    return runs


def dictionaries(repetitions):
    return [run for name in ("words", "pairs")
            for run in in_child(lambda name=name: measure_dict(FOLDER / f"counts {name}.txt", repetitions))]


if __name__ == "__main__":
    print(json.dumps({"benchmarks": {"prepare": prepare, "dict": dictionaries}[sys.argv[1]](int(sys.argv[2]))}))
