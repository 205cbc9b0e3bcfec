"""The data of the group `counts`, and Python's dict.

`prepare` writes word lists and sentences to STELE_BENCH_FOLDER, which counts_bench works on. `dict` measures Python's
dict on the tables that counts_bench leaves there.
"""

import gc
import random
import time

from bench.counts import wordlists
from bench.rivals import FOLDER, QUICK, in_child, run, status

LOOK_UPS = 100_000 if QUICK else 1_000_000


def prepare(_):
    wordlists.write(FOLDER)
    return []


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


def measure_dict(path, repetitions):
    name = path.stem.removeprefix("counts ")
    gc.collect()
    before = status("VmRSS")
    begin = time.perf_counter()
    table = read_table(path)
    seconds = time.perf_counter() - begin
    runs = [{"run_name": f"counts/{name}/build/dict", "real_time": seconds, "time_unit": "s",
             "resident": float(status("VmRSS") - before), "tokens": float(len(table))}]
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
    run(prepare=prepare, dict=dictionaries)
