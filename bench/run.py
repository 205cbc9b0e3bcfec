"""Runs groups of benchmark programs beside their rivals, and writes what they took to bench/results.md.

Each group is a module beside this file with PROGRAMS, versions(), tables(results, table) and bars(results). Its
programs run in turn, round after round, every other round in the reverse order; what is told are medians over all
rounds. A group may have ROUNDS (3 without), ONCE (programs that only the first round runs) and picture(results, path),
which draws what its tables show as bench/<group>.svg. scripts/bench builds the programs and starts this.
"""

import argparse
import collections
import datetime
import importlib
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
GROUPS = ["archive", "compression", "compact", "features"]
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


def compile_cost(repetitions, first):
    """Seconds that the compiler takes for a file that includes the library, and for one of two standard headers."""
    compiler = os.environ.get("CXX", "c++")
    standard = "#include <string>\n#include <vector>\n"
    sources = {
        "compile/vector and string": standard,
        "compile/stele.hpp": standard + "#include <stele/stele.hpp>\n",
        "compile/stele.hpp, a struct saved and loaded": standard
        + "#include <stele/stele.hpp>\n"
        + "struct S { std::string name; std::vector<float> values; int n; };\n"
        + 'S f(const S& s) { stele::save(s, "f"); return stele::load<S>("f"); }\n',
    }
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repetitions):
            for name, text in sources.items():
                source = pathlib.Path(folder) / "source.cpp"
                source.write_text(text)
                begin = time.perf_counter()
                subprocess.run(
                    [*first, compiler, "-std=c++20", "-I", HERE.parent / "include", "-c", source, "-o", f"{folder}/o"],
                    check=True,
                )
                runs.append({"run_name": name, "real_time": time.perf_counter() - begin, "time_unit": "s"})
    return {"benchmarks": runs}


def run_program(program, repetitions, arguments, first):
    """Runs a program, a rivals' script or compile_cost, and returns its report in Google Benchmark's form."""
    if program == "compile":
        return compile_cost(repetitions, first)
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
    command = [sys.executable, HERE / f"{script}.py", part, str(repetitions)]
    done = subprocess.run([*first, *command], check=True, env=environment, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def measure(group, rounds, arguments, first):
    results = Results()
    for turn in range(rounds):
        programs = [p for p in group.PROGRAMS.items() if turn == 0 or p[0] not in getattr(group, "ONCE", ())]
        for program, repetitions in programs if turn % 2 == 0 else reversed(programs):
            print(f"[bench] round {turn + 1} of {rounds}: {program}", end="", flush=True)
            begin = time.monotonic()
            results.add(run_program(program, repetitions, arguments, first))
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
    noise = statistics.median([0.0] + [s for n in results.names() if (s := results.spread(n)) == s])
    lines = [
        f"## {name}",
        "",
        f"`scripts/bench {name}`, {datetime.date.today()}. {cpu_model()}, {os.cpu_count()} cores; "
        f"{platform.system()} {platform.release()}; {group.versions()}.",
        "",
        f"Medians over {rounds} rounds in turns. The spread is the width of the middle half of the runs as a share of "
        f"the median; half of the benchmarks have less than {noise:.0%}. Load average before: {load:.1f}"
        + ("; measured at real-time priority." if first else "."),
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
        group = importlib.import_module(name)
        rounds = 1 if arguments.quick else getattr(group, "ROUNDS", 3)
        load = os.getloadavg()[0]
        results = measure(group, rounds, arguments, first)
        text = section(name, group, results, rounds, first, load)
        print("\n" + text)
        if hasattr(group, "picture"):
            group.picture(results, (arguments.folder if arguments.quick else HERE) / f"{name}.svg")
        if not arguments.quick:
            update(HERE / "results.md", name, text)
            print(f"[bench] bench/results.md: {name}")


if __name__ == "__main__":
    main()
