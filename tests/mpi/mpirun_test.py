"""Several ranks of MPI: what 4 save 3 load, all of them learn a verdict, and ranks that are killed leave the old or the new
archive."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

BUILD = Path(os.environ["STELE_BUILD_DIR"])
EXAMPLE = BUILD / "examples" / "mpi"
UNIT = BUILD / "tests" / "mpi_test"
ROUNDS = int(os.environ.get("STELE_KILL_ROUNDS", "4"))
ENVIRONMENT = dict(os.environ, OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                   OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_btl_base_warn_component_unused="0",
                   OMPI_MCA_btl_vader_single_copy_mechanism="none")


def command(ranks, *arguments):
    return ["mpirun", "--oversubscribe", "-n", str(ranks), *map(str, arguments)]


def run(ranks, *arguments, fails=False):
    done = subprocess.run(command(ranks, *arguments), env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert (done.returncode != 0) == fails, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def ranks_of(pid):
    """The processes of the example that mpirun has started. It waits for ever for one that is killed before that."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    found = []
    for one in listed.split():
        try:
            if os.path.samefile(f"/proc/{one}/exe", EXAMPLE):
                found.append(int(one))
        except OSError:
            pass  # it is done
    return found


def begin_of(place):
    return float(re.search(r"begin with (\S+)", run(3, EXAMPLE, "load", place)).group(1))


def main():
    if shutil.which("mpirun") is None or not EXAMPLE.exists() or not UNIT.exists():
        print("no mpirun, or built without MPI")
        return 77
    for ranks in (1, 3, 4):
        run(ranks, UNIT)
    place = Path("matrix").absolute()
    run(4, EXAMPLE, "save", place, 0.5)
    assert "3 ranks loaded 1003 rows that begin with 0.5" in run(3, EXAMPLE, "load", place)
    run(2, EXAMPLE, "save", place, 1)
    assert begin_of(place) == 1
    assert len(list((place / "shards").iterdir())) == 2, "the parts of the old archive are swept"
    run(2, EXAMPLE, "load", "none", fails=True)
    chance = random.Random(5)
    now = 1.0
    for number in range(2, 2 + ROUNDS):
        job = subprocess.Popen(command(4, EXAMPLE, "save", place, number), env=ENVIRONMENT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        ranks = []
        until = time.monotonic() + 30
        while len(ranks) < 4 and job.poll() is None and time.monotonic() < until:
            ranks = ranks_of(job.pid)
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.0))
        if ranks:
            try:
                os.kill(chance.choice(ranks), signal.SIGKILL)
            except ProcessLookupError:
                pass  # it is done
        try:
            job.wait(timeout=60)
        except subprocess.TimeoutExpired:  # Open MPI's launcher, at times, after all of its processes have ended
            alive = ranks_of(job.pid)
            job.kill()
            job.wait()
            assert not alive, f"ranks {alive} wait for ever"
        found = begin_of(place)  # compares every element
        assert found == number or (found == now and job.returncode != 0), (found, now, number, job.returncode)
        now = found
    print(f"{ROUNDS} rounds, the last archive is {now:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
