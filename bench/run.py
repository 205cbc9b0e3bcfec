"""Runs groups of benchmark programs beside their rivals, and writes what they took to bench/results.md.

Each group is a folder beside this file. Its group.py has PROGRAMS, versions(), tables(results, table) and
bars(results). The programs run in turn, round after round, every other round in the reverse order; what is told are
medians over all rounds. A group may have ROUNDS (3 without), ONCE (programs that only the first round runs) and
picture(results, path), which draws what its tables show as picture.svg. scripts/bench builds the programs and starts
this.
"""

import argparse
import collections
import datetime
import importlib
import json
import math
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
GROUPS = ["archive", "compression", "store", "counts", "filters", "features", "text", "parts", "neighbours", "python",
          "cache", "checkpoint", "remote"]
MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}


class Results:
    """Medians by the benchmarks' names. Times are in milliseconds."""

    def __init__(self):
        self._samples = collections.defaultdict(lambda: collections.defaultdict(list))

    def add(self, report):
        for run in report["benchmarks"]:
            if run.get("run_type", "iteration") != "iteration":
                continue
            if run.get("error_occurred"):
                sys.exit(f"bench: {run['name']}: {run.get('error_message')}")
            name = re.sub(r"/(iterations:\d+|manual_time|min_time:[\d.]+|real_time)", "", run["run_name"])
            samples = self._samples[name]
            samples["ms"].append(run["real_time"] * MILLISECONDS[run["time_unit"]])
            for key, value in run.items():
                if isinstance(value, float) and key not in ("real_time", "cpu_time"):
                    samples[key].append(value)

    def __contains__(self, name):
        return name in self._samples

    def names(self):
        return list(self._samples)

    def median(self, name, key="ms"):
        return statistics.median(self._samples[name][key])

    def spread(self, name):
        """The distance of the quartiles as a share of the median."""
        values = self._samples[name]["ms"]
        if len(values) < 3:
            return float("nan")
        low, middle, high = statistics.quantiles(values, n=4)
        return (high - low) / middle


def priority():
    """What to put before a command so that other processes disturb it less."""
    if shutil.which("chrt"):
        command = ["chrt", "--fifo", "1"]
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return []


def run_program(name, program, repetitions, arguments, first):
    """Runs a program of the group of this name, or one of its scripts, and returns its report in Google Benchmark's
    form."""
    environment = dict(os.environ, STELE_BENCH_FOLDER=str(arguments.folder))
    if arguments.quick:
        environment["STELE_BENCH_QUICK"] = "1"
    script, _, part = program.partition(" ")
    if script.endswith("_bench"):  # the part is a regular expression that chooses benchmarks
        report = arguments.folder / "report.json"
        command = [
            arguments.programs / script,
            f"--benchmark_filter={part or '.'}",
            f"--benchmark_repetitions={repetitions}",
            "--benchmark_enable_random_interleaving=true",
            "--benchmark_min_time=0.1",
            f"--benchmark_out={report}",
        ]
        done = subprocess.run([*first, *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"bench: {program} failed\n{done.stdout}{done.stderr}")
        return json.loads(report.read_text())
    command = [sys.executable, "-m", f"bench.{name}.{script}", part, str(repetitions)]
    done = subprocess.run([*first, *command], check=True, env=environment, stdout=subprocess.PIPE, cwd=HERE.parent)
    return json.loads(done.stdout)


def measure(name, group, rounds, arguments, first):
    results = Results()
    for turn in range(rounds):
        programs = [p for p in group.PROGRAMS.items() if turn == 0 or p[0] not in getattr(group, "ONCE", ())]
        for program, repetitions in programs if turn % 2 == 0 else reversed(programs):
            print(f"[bench] round {turn + 1} of {rounds}: {program}", end="", flush=True)
            begin = time.monotonic()
            results.add(run_program(name, program, repetitions, arguments, first))
            print(f" ({time.monotonic() - begin:.0f} s)", flush=True)
    return results


def table(header, rows):
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def section(name, group, results, rounds, first, load):
    """The part of results.md for a group."""
    bars = [[work, bar, measured, "met" if met else "**missed**"] for work, bar, measured, met in group.bars(results)]
    spreads = [s for n in results.names() if not math.isnan(s := results.spread(n))]
    turns = "Figures of one round." if rounds == 1 else f"Medians over {rounds} rounds in turns."
    spread = (" The spread is the width of the middle half of the runs as a share of the median; half of the benchmarks "
              f"have less than {statistics.median(spreads):.0%}." if spreads else "")
    lines = [
        f"## {name}",
        "",
        f"`scripts/bench {name}`, {datetime.date.today()}. {cpu_model()}, {os.cpu_count()} cores; "
        f"{platform.system()} {platform.release()}; {group.versions()}.",
        "",
        f"{turns}{spread} Load average before: {load:.1f}" + ("; measured at real-time priority." if first else "."),
        "",
        table(["Work", "Bar", "Measured", ""], bars),
        "",
    ]
    for title, text in group.tables(results, table):
        lines += [f"### {title}", "", text, ""]
    return "\n".join(lines)


def update(path, name, text):
    """Replaces the group's section in the page of results, or adds it."""
    head = (
        "# Results\n\n"
        "Written by `scripts/bench`. Ratios within one table mean something; figures of different machines and days do\n"
        "not.\n"
    )
    sections = {}
    if path.exists():
        for part in re.split(r"(?m)^(?=## )", path.read_text())[1:]:
            sections[part.splitlines()[0].removeprefix("## ")] = part.strip()
    sections[name] = text.strip()
    known = [group for group in GROUPS if group in sections]
    path.write_text("\n\n".join([head.strip(), *(sections[group] for group in known)]) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("groups", nargs="*", metavar="group")
    arguments = parser.parse_args()
    unknown = set(arguments.groups) - set(GROUPS)
    if unknown:
        sys.exit(f"bench: no group {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}")
    first = priority()
    for name in arguments.groups or GROUPS:
        group = importlib.import_module(f"bench.{name}.group")
        rounds = 1 if arguments.quick else getattr(group, "ROUNDS", 3)
        load = os.getloadavg()[0]
        results = measure(name, group, rounds, arguments, first)
        text = section(name, group, results, rounds, first, load)
        print("\n" + text)
        if hasattr(group, "picture"):
            group.picture(results, arguments.folder / f"{name}.svg" if arguments.quick else HERE / name / "picture.svg")
        if not arguments.quick:
            update(HERE / "results.md", name, text)
            print(f"[bench] bench/results.md: {name}")


if __name__ == "__main__":
    main()
