"""What the rivals' scripts share: the folder they work in, work in a child process and its memory, and the report.

scripts/bench runs each beside the programs, from the top folder: python -m bench.<group>.rivals PART REPETITIONS. It
prints a report in Google Benchmark's form.
"""

import ctypes
import json
import os
import pathlib
import sys

FOLDER = pathlib.Path(os.environ.get("STELE_BENCH_FOLDER", "."))
QUICK = "STELE_BENCH_QUICK" in os.environ
MIB = 1 << 20


def run(**parts):
    """Calls the part that the command line names, which returns its runs, and prints their report."""
    print(json.dumps({"benchmarks": parts[sys.argv[1]](int(sys.argv[2]))}))


def status(field):
    """A field of /proc/self/status in bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(field)


def reset_peak():
    """Begins the high-water mark anew and returns what is resident now."""
    ctypes.CDLL(None).malloc_trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def in_child(work):
    """What `work` returns in a child process, through JSON."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "w") as out:
                json.dump(work(), out)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as out:
        answer = out.read()
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("bench: a child process failed")
    return json.loads(answer)
