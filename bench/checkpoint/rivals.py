"""The group `checkpoint`: a model's state saved and restored by stele and by what people use.

Each call is made in a process of its own; files are in the page cache, and nobody waits for the device. With
STELE_BENCH_QUICK the state has a tenth of the size.
"""

import os
import random
import shutil
import time

import joblib
import numpy

import stele
from bench.rivals import FOLDER, MIB, QUICK, in_child, reset_peak, run, status

ARRAYS = 100
ELEMENTS = 250_000 if QUICK else 2_500_000  # 10 MB as float32


def make():
    generator = numpy.random.default_rng(0)
    return {f"layer{i}/weight": generator.random(ELEMENTS, dtype=numpy.float32) for i in range(ARRAYS)}


def change(state):
    """A tenth of the arrays, all of their elements."""
    for name in list(state)[::10]:
        state[name] += 1


class Stele:
    def __init__(self, folder):
        self.folder = folder
        self.kept = stele.Checkpoints(folder, keep_last=3, sync="none")

    def save(self, step, state):
        self.kept.save(step, state)

    def save_later(self, step, state):
        self.kept.save(step, state, asynchronous=True)

    def wait(self):
        self.kept.wait()

    def restore(self):
        return self.kept.restore()

    def restore_into(self, state):
        self.kept.restore(into=state)

    def restore_mapped(self):
        return self.kept.restore(mmap_mode="r")

    def restore_one(self, name):
        return self.kept.open(self.kept.latest())[name.replace("/", "~1")][()]


class Orbax:
    def __init__(self, folder):
        import orbax.checkpoint

        self.module = orbax.checkpoint
        options = orbax.checkpoint.CheckpointManagerOptions(max_to_keep=3)
        self.manager = orbax.checkpoint.CheckpointManager(folder, options=options)

    def save(self, step, state):
        self.save_later(step, state)
        self.wait()

    def save_later(self, step, state):
        self.manager.save(step, args=self.module.args.StandardSave(state))

    def wait(self):
        self.manager.wait_until_finished()

    def restore(self):
        return self.manager.restore(self.manager.latest_step())


class Torch:
    def __init__(self, folder):
        import torch

        self.torch = torch
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, "state.pt")

    def save(self, step, state):
        self.torch.save({name: self.torch.from_numpy(array) for name, array in state.items()}, self.path)

    def restore(self):
        return self.torch.load(self.path)

    def restore_into(self, state):
        for name, tensor in self.torch.load(self.path, mmap=True).items():
            self.torch.from_numpy(state[name]).copy_(tensor)

    def restore_mapped(self):
        return self.torch.load(self.path, mmap=True)

    def restore_one(self, name):
        return self.torch.load(self.path, mmap=True)[name].clone()


class Safetensors:
    def __init__(self, folder):
        import safetensors.numpy

        self.module = safetensors
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, "state.safetensors")

    def save(self, step, state):
        self.module.numpy.save_file(state, self.path)

    def restore(self):
        return self.module.numpy.load_file(self.path)

    def restore_one(self, name):
        with self.module.safe_open(self.path, "numpy") as file:
            return file.get_tensor(name)


class Joblib:
    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, "state.joblib")

    def save(self, step, state):
        joblib.dump(state, self.path)

    def restore(self):
        return joblib.load(self.path)

    def restore_mapped(self):
        return joblib.load(self.path, mmap_mode="r")

    def restore_one(self, name):
        return numpy.array(joblib.load(self.path, mmap_mode="r")[name])


class Copy:
    """The limit of what a background save can block: the state copied to memory that is there already."""

    def __init__(self, folder):
        self.memory = None

    def save_later(self, step, state):
        if self.memory is None:
            self.memory = {name: array.copy() for name, array in state.items()}
        for name, array in state.items():
            numpy.copyto(self.memory[name], array)

    def wait(self):
        pass


EVERYONE = {"stele": Stele, "Orbax": Orbax, "torch": Torch, "safetensors": Safetensors, "joblib": Joblib,
            "memory copy": Copy}


def bytes_in(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def timed(work):
    base = reset_peak()
    begin = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begin
    peak = (status("VmHWM") - base) / MIB
    del result
    return seconds, peak


def measured(case, who, state):
    """(seconds, peak MiB, MB on disk), or None where it has no such thing."""
    folder = str(FOLDER / f"checkpoint {who}")

    def child():
        shutil.rmtree(folder, ignore_errors=True)
        try:
            kept = EVERYONE[who](folder)
        except ImportError:
            return None
        if case == "blocked":
            if not hasattr(kept, "save_later"):
                return None
            kept.save_later(1, state)
            kept.wait()
            change(state)
            found = timed(lambda: kept.save_later(2, state))
            kept.wait()
            return *found, 0.0
        if not hasattr(kept, "save"):
            return None
        if case == "save":
            return *timed(lambda: kept.save(1, state)), bytes_in(folder) / 1e6
        kept.save(1, state)
        if case == "again":
            change(state)
            before = bytes_in(folder)
            found = timed(lambda: kept.save(2, state))
            return *found, (bytes_in(folder) - before) / 1e6
        work = getattr(kept, case, None)
        if work is None:
            return None
        # after fork the first change of a page of the state copies it
        into = {name: array + 1 for name, array in state.items()} if case == "restore_into" else None
        arguments = {"restore_into": (into,), "restore_one": ("layer50/weight",)}.get(case, ())
        return *timed(lambda: work(*arguments)), 0.0

    found = in_child(child)
    shutil.rmtree(folder, ignore_errors=True)
    return found


CASES = ("save", "again", "blocked", "restore", "restore_into", "restore_mapped", "restore_one")


def measure(repetitions):
    state = make()
    runs = []
    for _ in range(repetitions):
        for case in CASES:
            order = list(EVERYONE)
            random.shuffle(order)
            for who in order:
                found = measured(case, who, state)
                if found is None:
                    continue
                seconds, peak, disk = found
                name = f"checkpoint/{case}/{who}"
                runs.append({"name": name, "run_type": "iteration", "run_name": name, "real_time": 1e3 * seconds,
                             "cpu_time": 1e3 * seconds, "time_unit": "ms", "peak_mib": float(peak),
                             "stored_mb": float(disk)})
    return runs


if __name__ == "__main__":
    run(measure=measure)
