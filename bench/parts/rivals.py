"""The matrices of the group `parts`, and its rivals.

`prepare` writes STELE_BENCH_FOLDER/"parts float32.raw" and "parts int64.raw", the indices of the random rows, and the
rivals' files. `measure` runs each task with each rival: every one opens its file in a process of its own, and the files
are in the page cache. With STELE_BENCH_QUICK the matrices have 64 MB.
"""

import os
import pathlib
import random
import time

import numpy

from bench.rivals import FOLDER, MIB, QUICK, in_child, reset_peak, run, status

COLUMNS = 256
COLUMN = 7  # the one that is read
MATRIX_BYTES = 64_000_000 if QUICK else 1_024_000_000
RANDOM_ROWS = 1000
BATCH_BYTES = 4 * MIB
CHUNK_BYTES = MIB
THREADS = 2


# --- Matrices --------------------------------------------------------------------------------------------------------

def waves(first, count, rows, generator):
    """Columns that are waves along the rows, with noise."""
    columns = numpy.arange(COLUMNS, dtype=numpy.float32)
    row = numpy.arange(first, first + count, dtype=numpy.float32)[:, None] / rows
    part = numpy.sin(row * (20 + columns) + columns) * (1 + columns / COLUMNS)
    part += 2e-3 * generator.standard_normal(part.shape, dtype=numpy.float32)
    return part


def counts(first, count, _, generator):
    """Small counts; the first column numbers the rows."""
    part = (2 * generator.standard_exponential((count, COLUMNS), dtype=numpy.float32)).astype(numpy.int64)
    part[:, 0] = numpy.arange(first, first + count)
    return part


MATRICES = {"float32": waves, "int64": counts}


def rows_of(name):
    return MATRIX_BYTES // (COLUMNS * numpy.dtype(name).itemsize)


def raw(name):
    return FOLDER / f"parts {name}.raw"


def random_rows(name):
    return numpy.fromfile(FOLDER / f"parts {name}.random", numpy.int64)


def matrix(name):
    return numpy.memmap(raw(name), name, "r", shape=(rows_of(name), COLUMNS))


def pieces(name, piece_bytes=64 * MIB):
    """Begins and ends of pieces of the matrix."""
    step = piece_bytes // (COLUMNS * numpy.dtype(name).itemsize)
    return [(first, min(first + step, rows_of(name))) for first in range(0, rows_of(name), step)]


def write_matrices():
    for number, (name, part) in enumerate(MATRICES.items()):
        generator = numpy.random.default_rng(number)
        generator.choice(rows_of(name), RANDOM_ROWS, replace=False).astype(numpy.int64).tofile(
            FOLDER / f"parts {name}.random")
        with open(raw(name), "wb") as file:
            for first, end in pieces(name, 4 * MIB):
                part(first, end - first, rows_of(name), generator).astype(name, copy=False).tofile(file)


# --- Rivals ----------------------------------------------------------------------------------------------------------

class Memmap:
    """numpy.memmap, and a copy of what is wanted."""

    name = "numpy memmap and copy"
    counts_reads = False  # no system call reads

    def path(self, name):
        return raw(name)

    def save(self, name):
        pass  # the matrix itself

    def start(self):
        pass

    def open(self, name):
        return matrix(name)

    def rows(self, array, first, end):
        return numpy.array(array[first:end])

    def random(self, array, indices):
        return array[indices]

    def column(self, array):
        return numpy.array(array[:, COLUMN])


class Chunked:
    """What the rivals with chunks have in common."""

    counts_reads = True

    def path(self, name):
        return FOLDER / f"parts {name} {self.name}"

    def chunks(self, name):
        return (CHUNK_BYTES // (COLUMNS * numpy.dtype(name).itemsize), COLUMNS)

    def shape(self, name):
        return (rows_of(name), COLUMNS)

    def rows(self, array, first, end):
        return array[first:end]

    def column(self, array):
        return array[:, COLUMN]


class Hdf5(Chunked):
    def __init__(self, filter, level=None):
        self.name = f"h5py {filter}{'' if level is None else f' {level}'} shuffle"
        self.options = {"compression": filter, "compression_opts": level, "shuffle": True}

    def save(self, name):
        import h5py
        with h5py.File(self.path(name), "w") as file:
            array = file.create_dataset("rows", self.shape(name), name, chunks=self.chunks(name), **self.options)
            for first, end in pieces(name):
                array[first:end] = matrix(name)[first:end]

    def start(self):
        import h5py  # noqa: F401

    def open(self, name):
        import h5py
        return h5py.File(self.path(name), "r", rdcc_nbytes=8 * MIB)["rows"]

    def random(self, array, indices):
        """In the file's order, as h5py asks for; a read for each row is faster than one of all."""
        result = numpy.empty((len(indices), COLUMNS), array.dtype)
        for place in numpy.argsort(indices):
            result[place] = array[indices[place]]
        return result


class Zarr(Chunked):
    name = "zarr zstd 3"

    def save(self, name):
        import zarr
        array = zarr.create_array(str(self.path(name)), shape=self.shape(name), dtype=name, chunks=self.chunks(name),
                                  compressors=zarr.codecs.ZstdCodec(level=3))
        for first, end in pieces(name):
            array[first:end] = matrix(name)[first:end]

    def start(self):
        import zarr
        zarr.config.set({"threading.max_workers": THREADS})

    def open(self, name):
        import zarr
        return zarr.open_array(str(self.path(name)), mode="r")

    def random(self, array, indices):
        return array.oindex[indices]


class Blosc2(Chunked):
    def __init__(self, level, threads=THREADS):
        self.level, self.threads = level, threads
        self.name = f"blosc2 zstd {level} shuffle" + (", 1 thread" if threads == 1 else "")

    def path(self, name):
        return FOLDER / f"parts {name} blosc2 {self.level}.b2nd"

    def save(self, name):
        import blosc2
        if self.path(name).exists():
            return
        settings = blosc2.CParams(codec=blosc2.Codec.ZSTD, clevel=self.level, filters=[blosc2.Filter.SHUFFLE],
                                  nthreads=THREADS)
        array = blosc2.empty(self.shape(name), numpy.dtype(name), chunks=self.chunks(name),
                             urlpath=str(self.path(name)), cparams=settings)
        for first, end in pieces(name):
            array[first:end] = matrix(name)[first:end]

    def start(self):
        import blosc2
        blosc2.set_nthreads(self.threads)

    def open(self, name):
        import blosc2
        return blosc2.open(str(self.path(name)), mode="r", dparams=blosc2.DParams(nthreads=self.threads))

    def random(self, array, indices):
        return array[indices]


RIVALS = [Memmap(), Hdf5("gzip", 4), Hdf5("lzf"), Zarr(), Blosc2(1), Blosc2(5), Blosc2(5, 1)]


# --- Measuring -------------------------------------------------------------------------------------------------------

def size_of(path):
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def warm(path):
    """Brings a file, or those of a folder, into the page cache."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with open(file, "rb", buffering=0) as source:
                while source.read(MIB):
                    pass


def bytes_read():
    """By system calls of this process."""
    return int(pathlib.Path("/proc/self/io").read_text().split()[1])


def full_pass(rival, array):
    """Rows seen."""
    seen = 0
    step = BATCH_BYTES // (COLUMNS * array.dtype.itemsize)
    for first in range(0, array.shape[0], step):
        seen += len(rival.rows(array, first, min(first + step, array.shape[0])))
    return seen


def task_run(rival, name, task):
    """The figures of a task, whose result is compared with the matrix."""
    indices = random_rows(name)
    rows = rows_of(name)
    first, end = rows // 3, rows // 3 + rows // 100
    work = {
        "rows": lambda array: rival.rows(array, first, end),
        "random": lambda array: rival.random(array, indices),
        "column": rival.column,
        "pass": lambda array: full_pass(rival, array),
        "whole": lambda array: rival.rows(array, 0, rows),
    }[task]
    rival.start()
    base = reset_peak()
    read_before = bytes_read()
    begin = time.perf_counter()
    result = work(rival.open(name))
    seconds = time.perf_counter() - begin
    figures = {"real_time": seconds, "time_unit": "s", "stored_mb": size_of(rival.path(name)) / 1e6}
    if rival.counts_reads:
        figures["read_mb"] = (bytes_read() - read_before) / 1e6
    figures["peak_mib"] = (status("VmHWM") - base) / MIB
    whole = matrix(name)
    expected = {"rows": lambda: whole[first:end], "random": lambda: whole[indices], "column": lambda: whole[:, COLUMN],
                "pass": lambda: rows, "whole": lambda: whole}[task]()
    if not numpy.array_equal(result, expected):
        raise RuntimeError(f"{rival.name}: {task} of {name} differ from the matrix")
    return figures


def prepare(_):
    write_matrices()
    for rival in RIVALS:
        for name in MATRICES:
            in_child(lambda rival=rival, name=name: rival.save(name))
    os.sync()
    return []


def measure(repetitions):
    for rival in RIVALS:
        for name in MATRICES:
            warm(rival.path(name))
    works = [(rival, name, task) for rival in RIVALS for name in MATRICES
             for task in ("rows", "random", "column", "pass", "whole")]
    runs = []
    for _ in range(repetitions):
        for rival, name, task in random.sample(works, len(works)):
            figures = in_child(lambda rival=rival, name=name, task=task: task_run(rival, name, task))
            runs.append({"run_name": f"parts/{name}/{task}/{rival.name}", **figures})
    return runs


if __name__ == "__main__":
    run(prepare=prepare, measure=measure)
