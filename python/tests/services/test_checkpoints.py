"""stele.Checkpoints: saving, retention, resuming, restoring into what is there."""

import collections
import dataclasses
import datetime
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types

import numpy as np
import pytest

import stele

package = os.path.dirname(os.path.dirname(stele.__file__))


def state(step, rows=512):
    """Two arrays of 1 MiB, of which one is changed by the step."""
    return {"model": {"w": np.arange(rows * 512, dtype="f4").reshape(rows, 512), "b": np.full((rows, 512), step, "f4")},
            "history": [float(i) for i in range(step % 100)], "epoch": step, "names": ("a", None)}


def same(a, b):
    return stele.hash(a) == stele.hash(b)


@pytest.fixture
def k(tmp_path):
    return stele.Checkpoints(tmp_path / "k")


def damage(path, place=0.5):
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(int(size * place))
        byte = file.read(1)
        file.seek(int(size * place))
        file.write(bytes([byte[0] ^ 0xFF]))


def run(program, **options):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=dict(os.environ, PYTHONPATH=package),
                          capture_output=True, text=True, timeout=100, **options)


# --- Saving and listing ---


def test_what_is_saved_comes_back(k, tmp_path):
    info = k.save(100, state(100), {"loss": np.float32(0.5)}, {"by": "me", "n": 3})
    assert isinstance(info, stele.CheckpointInfo) and info.step == 100 and info.metrics == {"loss": 0.5}
    assert info.metadata == {"by": "me", "n": 3} and abs(info.created - time.time()) < 60 and info == k.info(100)
    assert "step 100" in repr(info) and "loss=0.5" in repr(info) and "2.0 MiB" in repr(info)
    assert same(k.restore(), state(100)) and same(stele.load(info.file), state(100))
    assert k.folder == str(tmp_path / "k") and repr(k) == f"<stele.Checkpoints {tmp_path / 'k'}>"
    second = k.save(200, state(200))
    assert second.written < 1.2 * 2**20 < second.bytes and second.referred >= 2**20
    assert k.steps() == [100, 200] and k.latest() == 200 and [one.step for one in k.list()] == [100, 200]
    assert k.metrics() == {100: {"loss": 0.5}, 200: {}}
    assert same(k.restore(100), state(100)) and same(k.restore(mmap_mode="r"), state(200))
    assert k.restore(path="model/b")[3, 4] == 200
    stats = k.stats()
    assert stats["checkpoints"] == 2 and stats["bytes"] - stats["stored"] > 0.9 * 2**20 and stats["parts"] == 0
    with k.open(100) as file:
        assert file["model/b"][0, :2].tolist() == [100, 100] and file["epoch"] == 100
    k.remove(100)
    assert k.steps() == [200] and k.stats()["parts"] == 1 and same(k.restore(), state(200))


def test_files_of_checkpoints_are_loaded_with_progress(k):
    for step in (1, 2):
        k.save(step, state(step))
        told = []
        assert same(stele.load(k.info(step).file, progress=told.append), state(step)) and told


def test_wrong_arguments(k):
    k.save(1, [1])
    for wrong, error in [(lambda: k.save(1, [2]), ValueError), (lambda: k.save(-1, 0), ValueError),
                         (lambda: k.save(1 << 64, 0), ValueError), (lambda: k.save("1", 0), TypeError),
                         (lambda: k.save(2, lambda: 0), TypeError), (lambda: k.save(2, 0, {"loss": "low"}), ValueError),
                         (lambda: k.save(2, 0, metadata={"a": []}), TypeError),
                         (lambda: k.save(2, 0, unchanged=True), ValueError), (lambda: k.restore(7), KeyError),
                         (lambda: k.restore(mmap_mode="r+"), ValueError), (lambda: k.open(mmap_mode="w"), ValueError),
                         (lambda: k.restore(into=[1], mmap_mode="r"), ValueError), (lambda: k.best(), ValueError),
                         (lambda: k.restore(rename={}), ValueError), (lambda: k.best("a", "least"), ValueError),
                         (lambda: k.restore(path="none"), KeyError), (lambda: k.info(3), KeyError),
                         (lambda: k.remove(3), KeyError),
                         (lambda: stele.Checkpoints(k.folder, keep_best=("a", "least")), ValueError),
                         (lambda: stele.Checkpoints(k.folder, keep_last=-1), ValueError),
                         (lambda: stele.Checkpoints(k.folder, keep_age=-1), ValueError),
                         (lambda: stele.Checkpoints(k.folder, codec="none such"), ValueError),
                         (lambda: stele.Checkpoints(k.folder + "/none", read_only=True), FileNotFoundError)]:
        with pytest.raises(error):
            wrong()
    assert k.steps() == [1] and k.restore() == [1]
    k.save(1, [2], overwrite=True)
    assert k.restore() == [2]


def test_an_empty_folder_has_nothing(k):
    assert k.steps() == [] and k.latest() is None and k.best("loss") is None and k.metrics() == {} and k.verify() == {}
    with pytest.raises(KeyError, match="there is no checkpoint") as caught:
        k.restore()
    assert caught.value.code == "not_found"


def test_rules_keep_what_one_of_them_keeps(tmp_path):
    k = stele.Checkpoints(tmp_path / "k", keep_last=2, keep_every=10,
                          keep_best=[("loss", "min", 2), ("accuracy", "max")])
    for step in range(1, 31):
        k.save(step, {"step": step}, {"loss": abs(step - 7.2), "accuracy": float("nan") if step == 9 else -abs(step - 4)})
    assert k.steps() == [4, 7, 8, 10, 20, 29, 30]
    assert k.best() == 7 and k.best("accuracy") == 4 and k.best("loss", "max") == 30
    narrow = stele.Checkpoints(tmp_path / "k", keep_last=1)
    assert narrow.prune() == [4, 7, 8, 10, 20, 29] and narrow.steps() == [30]


def test_rules_of_time(tmp_path):
    k = stele.Checkpoints(tmp_path / "k", keep_age=datetime.timedelta(hours=1))
    for step in range(3):
        k.save(step, step)
    assert k.steps() == [0, 1, 2]
    assert stele.Checkpoints(tmp_path / "k", keep_interval=3600).prune() == [1]  # the first and the newest stay
    assert stele.Checkpoints(tmp_path / "k", keep_age=1e-9).prune() == [0]


def test_a_thousand_steps_are_listed(tmp_path):
    k = stele.Checkpoints(tmp_path / "k", sync="none", incremental=False)
    for step in range(1000):
        k.save(step, step, {"loss": step})
    assert len(k.list()) == 1000 and k.steps()[-1] == 999 and k.best("loss", "max") == 999 and k.restore() == 999


def test_compressed(tmp_path):
    k = stele.Checkpoints(tmp_path / "k", codec="zstd", level=1)
    k.save(1, state(1))
    k.save(2, state(2), asynchronous=True)
    k.wait()
    assert k.info(2).written < k.info(2).bytes / 2 and same(k.restore(), state(2)) and k.verify() == {}


def test_objects_of_all_kinds(k):
    pandas = pytest.importorskip("pandas")
    svm = pytest.importorskip("sklearn.svm")
    x = np.random.default_rng(0).random((60, 3))
    model = svm.SVC().fit(x, x[:, 0] > 0.5)
    things = {"frame": pandas.DataFrame({"a": [1, 2], "b": ["x", None]}), "model": model,
              "objects": np.array([1, "two", None], object), "when": datetime.datetime(2026, 1, 2), "set": {1, 2},
              "rng": np.random.default_rng(3)}
    k.save(1, things)
    k.save(2, things, asynchronous=True)
    k.save(3, things, asynchronous=True, unchanged=True)
    k.wait()
    for step in (1, 2, 3):
        back = k.restore(step, trusted=["sklearn.*"])
        assert back["frame"].equals(things["frame"]) and back["objects"].tolist() == [1, "two", None]
        assert (back["model"].predict(x) == model.predict(x)).all() and back["set"] == {1, 2}
        assert back["rng"].random() == np.random.default_rng(3).random() and back["when"].year == 2026
    with pytest.raises(stele.UntrustedError):
        k.restore()


# --- In the background ---


def test_asynchronous_saves_have_the_state_of_the_call(k):
    now = state(5)
    assert k.save(5, now, asynchronous=True) is None
    now["model"]["w"][:] = -1
    now["history"].append("later")
    k.wait()
    assert not k.is_saving and same(k.restore(), state(5))
    for step in range(6, 20):
        k.save(step, state(step), {"loss": step}, asynchronous=True)
    k.close()
    assert k.steps() == list(range(5, 20)) and all(same(k.restore(step), state(step)) for step in k.steps())


def test_unchanged_ones_are_not_copied(k):
    now = state(5)
    k.save(5, now, asynchronous=True, unchanged=True)
    k.save(6, now, asynchronous=True, unchanged=True)
    del now  # they are held
    k.wait()
    assert same(k.restore(5), state(5)) and same(k.restore(6), state(5))


@pytest.mark.parametrize("unchanged", [False, True])
def test_what_shares_memory_shares_it_again(k, unchanged):
    whole = np.arange(300_000.0).reshape(300, 1000)
    shared = [1, 2]
    things = {"a": whole, "b": whole, "rows": whole[10:20], "turned": whole.T, "lists": [shared, shared],
              "fortran": np.asfortranarray(whole[:100])}
    things["itself"] = things
    k.save(1, things)
    k.save(2, things, asynchronous=True, unchanged=unchanged)
    k.wait()
    assert k.info(1).bytes == k.info(2).bytes < 1.5 * whole.nbytes
    back = k.restore(2)
    assert back["a"] is back["b"] and back["itself"] is back and back["lists"][0] is back["lists"][1]
    back["a"][10, 5] = -7
    assert back["rows"][0, 5] == -7 and back["turned"][5, 10] == -7 and back["fortran"].flags.f_contiguous


@pytest.mark.parametrize("surface", [lambda k: k.wait(), lambda k: k.close(), lambda k: k.save(9, 9), lambda k: k.prune(),
                                     lambda k: k.save(9, 9, asynchronous=True), lambda k: k.remove(1)])
def test_failures_of_the_background_are_raised_once(k, surface):
    shutil.rmtree(k.folder)
    k.save(1, state(1), asynchronous=True)
    while k.is_saving:
        time.sleep(0.001)
    with pytest.raises(stele.Error) as caught:
        surface(k)
    assert isinstance(caught.value, OSError)
    k.wait()


def test_an_object_that_fails_meanwhile_leaves_nothing(k):
    class Failing:
        def __reduce_ex__(self, protocol):
            raise RuntimeError("not now")

    for options in ({}, {"asynchronous": True}):
        with pytest.raises(RuntimeError, match="not now"):
            k.save(1, [np.zeros(5000), Failing()], **options)
    k.save(1, [np.zeros(5000), Failing()], asynchronous=True, unchanged=True)
    with pytest.raises(RuntimeError, match="not now"):
        k.wait()
    assert k.steps() == [] and os.listdir(k.folder) == ["writer.lock"]


def test_a_save_in_work_is_completed_at_the_end(tmp_path):
    done = run("""
        import sys, numpy as np, stele
        k = stele.Checkpoints(sys.argv[1] if len(sys.argv) > 1 else "k")
        k.save(1, np.arange(5e6), asynchronous=True, unchanged=True)
    """, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert stele.Checkpoints(tmp_path / "k").restore()[-1] == 5e6 - 1


def test_a_save_in_work_is_completed_when_the_object_goes(tmp_path):
    k = stele.Checkpoints(tmp_path / "k")
    k.save(1, state(1), asynchronous=True)
    del k
    assert same(stele.Checkpoints(tmp_path / "k").restore(), state(1))


def test_the_last_save_is_told_of_if_it_fails(tmp_path):
    done = run("""
        import numpy as np, os, stele
        k = stele.Checkpoints("k")
        os.rename("k", "away")
        k.save(1, np.arange(5e6), asynchronous=True)
    """, cwd=tmp_path)
    assert done.returncode == 0 and "a checkpoint was not saved" in done.stderr


def test_threads_take_turns(k):
    failed = []

    def work(first):
        try:
            for step in range(first, first + 20):
                k.save(step, state(step, 16), asynchronous=step % 2 == 0)
                assert set(k.steps()) <= set(range(80)) and k.best("loss") is None
                k.is_saving
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(20 * i,)) for i in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    k.close()
    assert not failed and k.steps() == list(range(80)) and k.verify() == {}


def test_a_save_within_a_save_is_an_error(k):
    class Nested:
        def __reduce_ex__(self, protocol):
            assert k.is_saving
            k.save(2, 2)

    with pytest.raises(RuntimeError, match="on this thread"):
        k.save(1, Nested())
    k.save(3, 3)
    assert k.steps() == [3]


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_child_of_fork_reads_and_nothing_else(k):
    k.save(1, state(1))
    k.save(2, state(2), asynchronous=True)
    child = os.fork()
    if child == 0:
        try:
            good = same(k.restore(1), state(1)) and 1 in k.steps() and not k.is_saving
            for call in (lambda: k.save(3, 3), lambda: k.save(3, 3, asynchronous=True), k.wait, k.close, k.prune,
                         lambda: k.remove(1)):
                try:
                    call()
                    good = False
                except stele.Error as error:
                    good = good and "after fork()" in str(error)
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    k.wait()
    assert k.steps() == [1, 2] and same(k.restore(), state(2))


def test_kill_while_saving_in_the_background(tmp_path):
    program = """
        import numpy as np, sys, stele
        k = stele.Checkpoints("k", keep_last=2, sync="none")
        first = k.latest() or 0
        state = {"w": np.zeros((200, 2000)), "fixed": np.arange(100_000.0)}
        for step in range(first + 1, first + 100_000):
            state["w"][step % 200] = step
            state["step"] = step
            k.save(step, state, {"step": step}, asynchronous=True)
            k.wait() if step % 3 else None
            print(step, flush=True)
    """
    newest = 0
    for round in range(30):
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, stdout=subprocess.PIPE,
                                 env=dict(os.environ, PYTHONPATH=package), text=True)
        child.stdout.readline()
        time.sleep(0.003 * (round % 10))
        child.kill()
        last = [int(line) for line in child.stdout.read().split()]
        child.wait()
        k = stele.Checkpoints(tmp_path / "k")
        back = k.restore()
        # One whose wait() returned was complete.
        assert k.latest() >= max([step for step in last if step % 3] or [newest], default=0)
        newest = k.latest()
        assert back["step"] == newest and back["w"][newest % 200, 0] == newest and back["fixed"][-1] == 99_999
        assert k.verify() == {} and len(k.steps()) <= 3
        names = [name for name in os.listdir(tmp_path / "k") if not name.startswith("step-")]
        assert set(names) <= {"writer.lock", "parts"}, names
        k.close()


# --- Signals ---


def test_signals_ask_to_stop(k):
    before = signal.getsignal(signal.SIGTERM)
    with k.save_on_signal(signal.SIGTERM) as same_one:
        assert same_one is k and not k.stop_requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert k.stop_requested and signal.getsignal(signal.SIGTERM) == before  # a second one ends the program
    assert k.stop_requested and signal.getsignal(signal.SIGTERM) == before
    with k.save_on_signal((signal.SIGUSR1, signal.SIGUSR2)):
        assert not k.stop_requested
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    with pytest.raises((OSError, ValueError)), k.save_on_signal((signal.SIGUSR1, signal.SIGKILL)):
        pass
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    caught = []

    def elsewhere():
        with pytest.raises(RuntimeError, match="main thread") as error, k.save_on_signal():
            pass
        caught.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert caught


def test_a_signal_does_not_end_a_save(k):
    with k.save_on_signal(signal.SIGUSR1):
        def send():
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGUSR1)

        thread = threading.Thread(target=send)
        thread.start()
        step = 0
        while not k.stop_requested:
            step += 1
            k.save(step, np.full(2_000_000, step, "f8"))
        thread.join()
    assert k.verify() == {} and k.restore()[0] == step


def test_a_program_that_is_terminated_saves_first(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent("""
        import stele, time
        with stele.Checkpoints("k") as k, k.save_on_signal():
            for step in range(1, 10**9):
                time.sleep(0.001)
                print(step, flush=True) if step == 1 else None
                if k.stop_requested:
                    k.save(step, {"step": step})
                    break
    """)], cwd=tmp_path, stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=package))
    child.stdout.readline()
    child.terminate()
    child.stdout.read()
    assert child.wait() == 0
    k = stele.Checkpoints(tmp_path / "k")
    assert k.restore() == {"step": k.latest()}


@pytest.mark.parametrize("call", ["save", "asynchronous", "wait", "restore", "into", "verify"])
def test_ctrl_c_ends_long_calls(k, tmp_path, call):
    large = np.random.default_rng(0).random(6_000_000)
    k.save(0, large)
    steps = iter(range(1, 10**9))
    calls = {"save": lambda: k.save(0, large, overwrite=True),
             "asynchronous": lambda: k.save(0, large, asynchronous=True, overwrite=True),
             "wait": lambda: (k.save(0, large, asynchronous=True, overwrite=True), k.wait()),
             "restore": k.restore, "into": lambda: k.restore(into=np.empty_like(large)), "verify": k.verify}
    sent = []

    def send():
        time.sleep(0.15)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in steps:
            calls[call]()
    assert time.monotonic() - sent[0] < 2
    thread.join()
    k.wait()
    assert k.verify() == {} and k.steps() == [0]


# --- Resuming ---


def test_damaged_ones_are_passed_over_and_logged(k, caplog):
    for step in (1, 2, 3):
        k.save(step, state(step))
    damage(k.info(3).file)
    into = state(0)
    for restored in (lambda: k.restore(), lambda: k.restore(into=into), lambda: k.restore(into=into, verify="full")):
        caplog.clear()
        assert same(restored(), state(2))
        (record,) = caplog.records
        assert record.name == "stele.checkpoints" and record.levelno == logging.WARNING and "step 3" in record.message
    assert k.verify().keys() == {3} and k.verify(2) == {}
    told = []
    k.verify(progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(stele.Error) as caught:
        k.restore(3)
    assert caught.value.code == "damaged"
    with open(k.info(3).file, "r+b") as file:
        file.truncate(1000)
    caplog.clear()
    assert same(k.restore(), state(2)) and k.latest() == 2 and k.steps() == [1, 2] and "step 3" in caplog.text
    os.remove(k.info(1).file)  # both refer to it
    with pytest.raises(KeyError, match="no checkpoint can be read: step 3.*step 2"):
        k.restore()


def test_foreign_files_are_left_alone(k):
    k.save(1, 1)
    for name in ("step-1.stele", "step-000000000002.txt", "notes.stele", "step-x.stele"):
        pathlib.Path(k.folder, name).write_text("x")
    stele.dump(5, os.path.join(k.folder, "step-000000000007.stele"))  # no checkpoint
    assert k.steps() == [1] and k.restore() == 1
    k.save(8, 8)
    k.prune()
    assert k.steps() == [1, 8] and len(os.listdir(k.folder)) >= 7


def test_two_processes_take_turns(k):
    other = subprocess.Popen([sys.executable, "-c", f"import stele\nk = stele.Checkpoints({k.folder!r})\n"
                              "for step in range(0, 60, 2): k.save(step, step)"],
                             env=dict(os.environ, PYTHONPATH=package))
    for step in range(1, 60, 2):
        k.save(step, step, asynchronous=True)
    k.wait()
    assert other.wait() == 0 and k.steps() == list(range(60)) and k.verify() == {}


def test_read_only(k):
    k.save(1, [1])
    other = stele.Checkpoints(k.folder, read_only=True)
    assert other.restore() == [1] and other.steps() == [1]
    with pytest.raises(stele.Error) as caught:
        other.save(2, 2)
    assert caught.value.code == "read_only" and isinstance(caught.value, PermissionError)


# --- Restoring into what is there ---


@dataclasses.dataclass
class Trainer:
    weights: np.ndarray
    note: str = ""
    parts: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Frozen:
    weights: np.ndarray
    step: int


Pair = collections.namedtuple("Pair", "mean count")


def everything(fill):
    return {"model": {"w": np.full((600, 10), fill, "f4"), "small": np.full(3, fill), "zero": np.array(float(fill))},
            "list": [np.full(1000, fill, "i8"), "text" * fill, None if fill else 5], "tuple": (np.full(4, fill), fill),
            "trainer": Trainer(np.full(700, fill, "f4"), "n" * fill, [fill] * fill),
            "frozen": Frozen(np.full(2, fill), fill),
            "pair": Pair(np.full(5, fill), fill), 7: {"seven": np.full(2, fill)}, "a/b~c": np.full(2, fill),
            "": np.full(1, fill), "objects": np.array([fill, "x", None], object), "complex": np.array(complex(fill, 1)),
            "history": [0.5] * fill, "options": {"rate": fill, "deep": {"x": [fill]}},
            "turned": np.full((50, 40), fill, "f8").T,
            "names": np.array(["a" * fill, "b"], "U5"), "when": np.array([fill], "M8[s]"), "flags": np.array([fill > 2, True])}


def arrays_of(thing, found):
    if isinstance(thing, np.ndarray):
        found.append(thing)
    elif isinstance(thing, dict):
        [arrays_of(one, found) for one in thing.values()]
    elif isinstance(thing, (list, tuple)):
        [arrays_of(one, found) for one in thing]
    elif dataclasses.is_dataclass(thing):
        [arrays_of(getattr(thing, one.name), found) for one in dataclasses.fields(thing)]
    return found


@pytest.mark.parametrize("codec", ["plain", "zstd"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_arrays_are_filled_where_they_are(tmp_path, codec, asynchronous):
    k = stele.Checkpoints(tmp_path / "k", codec=codec)
    k.save(1, everything(3), asynchronous=asynchronous)
    k.wait()
    into = everything(1)
    before = arrays_of(into, [])
    places = [one.__array_interface__["data"][0] for one in before]
    history, options = into["history"], into["options"]
    back, report = k.restore(into=into, report=True)
    assert back is into and same(into, everything(3))
    after = arrays_of(into, [])
    assert all(a is b for a, b in zip(before, after)) and [one.__array_interface__["data"][0] for one in after] == places
    assert into["history"] is history and into["options"] is options
    assert report.step == 1 and report.missing == report.unexpected == [] and report.mismatched == {}
    assert {"model/w", "list/1", "tuple/1", "trainer/note", "frozen/step", "pair/0", "7/seven", "a~1b~0c", "history",
            "options", "pair/1", "~"} <= set(report.restored)


def test_an_array_alone_and_immutable_roots(k):
    k.save(1, np.arange(4000.0))
    into = np.zeros(4000)
    assert k.restore(into=into) is into and into[-1] == 3999
    k.save(2, (1, np.ones(3)))
    into = (5, np.zeros(3))
    made = k.restore(into=into)
    assert made[0] == 1 and made[1] is into[1] and into[1][0] == 1 and into[0] == 5
    k.save(3, {"a": 1, "b": [2]})
    into = {"a": 7, "old": 1}
    assert k.restore(into=into) is into and into == {"a": 1, "b": [2]}


def test_strict_changes_nothing_if_something_does_not_fit(k):
    k.save(1, {"a": np.ones(2000), "b": np.ones((3, 4)), "c": np.ones(5, "i8"), "d": 1, "e": np.ones(3), "f": {}})
    fresh = lambda: {"a": np.zeros(2000), "b": np.zeros((4, 3)), "c": np.zeros(5, "i2"), "d": np.zeros(2),  # noqa: E731
                     "e": np.zeros(3), "none": np.zeros(2), "other": 5}
    into = fresh()
    into["e"].flags.writeable = False
    with pytest.raises(stele.Error) as caught:
        k.restore(into=into)
    error = caught.value
    expected = fresh()
    assert same(into, expected) and error.code == "type_mismatch" and isinstance(error, TypeError)
    assert error.report.missing == ["none", "other"] and set(error.report.mismatched) == {"b", "c", "d", "e"}
    assert "missing: none, other" in str(error) and "expected the shape [4, 3], found [3, 4]" in str(error)
    assert "read-only" in str(error)
    _, report = k.restore(into=into, strict=False, report=True)
    assert report.restored == ["a"] and report.unexpected == ["f"] and (into["a"] == 1).all() and into["other"] == 5
    del expected["a"], into["a"]
    assert same(into, expected)
    with pytest.raises(ValueError) as caught:
        k.restore(into={"a": np.zeros(2000), "z": np.zeros(1)})
    assert caught.value.code == "missing_field"


def test_types_that_hold_the_stored_values(k):
    k.save(1, {"a": np.arange(3000, dtype="f4"), "b": np.arange(3000, dtype="i2")})
    into = {"a": np.zeros(3000, "f8"), "b": np.zeros((6000,), "i4")[::2]}
    k.restore(into=into)
    assert into["a"][-1] == 2999 and into["b"][-1] == 2999 and into["b"].base[1] == 0
    for count in (3, 3000):  # small ones and large ones alike
        k.save(count, {"x": np.arange(count), "big": np.arange(count, dtype=">f8"), "n": np.arange(count, dtype="u4")})
        into = {"x": np.zeros(count, ">i8"), "big": np.zeros(count), "n": np.zeros(count, "f8")}
        k.restore(into=into)
        assert into["x"].tolist() == into["big"].tolist() == into["n"].tolist() == list(range(count))
        for wrong in ("f8", "i4", "u8", "c16", "?"):
            with pytest.raises(TypeError, match="expected .*, found int64"):
                k.restore(into={"x": np.zeros(count, wrong)})


def test_paths_choose(k):
    def made(fill):
        return {"model": {"l0": {"w": np.full(3, fill), "b": np.full(2, fill)}, "l1": {"w": np.full(3, fill)}},
                "opt": {"m": np.full(3, fill)}, "n": fill}

    def restored(paths, **options):
        return k.restore(into=made(0.0), paths=paths, report=True, **options)[1].restored

    k.save(1, made(1.0))

    assert restored("model") == restored("model/*") == restored("model/**") == ["model/l0/w", "model/l0/b", "model/l1/w"]
    assert restored(["**/w"]) == restored("model/l?/w") == restored("model/l[01]/w") == ["model/l0/w", "model/l1/w"]
    assert restored("*/w", strict=False) == [] and restored("model/l[!0]") == ["model/l1/w"]
    assert restored(["n", "opt/m"]) == ["opt/m", "n"] and restored([], strict=False) == []
    with pytest.raises(ValueError, match="paths= chooses"):
        restored("modle/*")
    into = {"model": {"l0": {"w": np.zeros(3)}}}
    _, report = k.restore(into=into, paths="model", report=True)
    assert report.restored == ["model/l0/w"] and report.unexpected == ["model/l0/b", "model/l1"]
    found, report = k.restore(paths=["**/w", "n"], report=True)
    assert list(found) == ["model/l0/w", "model/l1/w", "n"] == report.restored and found["n"] == 1
    assert k.restore(paths="l0", path="model")["l0"]["b"][0] == 1


def test_names_are_changed(k):
    k.save(1, {"net.w": np.ones(3000), "net.b": np.ones(2), "head": {"w": np.full(2, 5.0)}})
    into = {"module.net.w": np.zeros(3000), "module.net.b": np.zeros(2), "classifier": {"w": np.zeros(2)}}
    _, report = k.restore(into=into, rename={"module.": "", "classifier": "head"}, report=True)
    assert into["module.net.w"][0] == 1 and into["classifier"]["w"][0] == 5 and report.unexpected == []
    assert report.restored == (["module.net.w", "module.net.b", "classifier/w"])
    k.restore(into=into, rename=lambda name: "net.w" if name == "module.net.w" else "head/w", paths=["*w", "classifier"])
    assert k.restore(into={"x": np.zeros(2)}, rename={"x": "net.b", "": "no/"})["x"][0] == 1  # the longest counts


def test_what_is_shared_is_restored_once(k):
    shared = np.ones(2000)
    k.save(1, {"a": shared, "b": shared, "c": {"d": shared[:10]}})
    mine, inner = np.zeros(2000), {"d": np.zeros(10)}
    into = {"a": mine, "b": mine, "c": inner}
    _, report = k.restore(into=into, report=True)
    assert into["a"] is into["b"] is mine and mine[-1] == 1 and inner["d"][0] == 1 and report.unexpected == []
    k.save(2, {"x": inner, "y": inner})
    inner["d"][:] = 0
    _, report = k.restore(into={"x": inner, "y": inner}, report=True)
    assert inner["d"][0] == 1 and report.restored == ["x/d"] and report.unexpected == []
    cycle = {"w": np.zeros(3)}
    cycle["self"] = cycle
    k.save(3, cycle)
    cycle["w"][:] = 9
    k.restore(into=cycle)
    assert cycle["w"][0] == 0 and cycle["self"] is cycle


def test_many_small_parts_are_found_at_once(k):
    things = {"layers": [{"w": np.full(3, i), "n": i, "big": np.full(1000, i), "deep": {str(i): {"x": np.full((), i)}}}
                         for i in range(500)]}
    k.save(1, things)
    into = {"layers": [{"w": np.zeros(3, int), "n": 0, "big": np.zeros(1000, int), "deep": {str(i): {"x": np.zeros((), int)}}}
                       for i in range(500)]}
    assert same(k.restore(into=into), things)
    found = k.restore(paths="layers/*/deep/**/x")
    assert len(found) == 500 and found["layers/7/deep/7/x"] == 7


def test_objects_that_only_look_like_tensors(k):
    for args in ((), (np.ones(3),), (np.ones(3), 5), ("a", "b"), ([np.ones(3)], "")):
        k.save(1, {"x": _Reduced(args)}, overwrite=True)
        with pytest.raises(TypeError, match="expected an array"):
            k.restore(into={"x": np.zeros(3)})


class _Reduced:
    def __init__(self, args):
        self.args = args

    def __reduce_ex__(self, protocol):
        from stele._forms import tensor_from_array

        return tensor_from_array, self.args


def test_two_keys_of_one_name(k):
    k.save(1, {1: np.ones(2), "1": np.zeros(2)})
    with pytest.raises(stele.Error, match="two keys"):
        k.restore(into={1: np.ones(2)})
    k.save(2, {1: np.ones(2)})
    with pytest.raises(stele.Error, match="two keys"):
        k.restore(into={1: np.ones(2), "1": np.zeros(2)})


def test_an_older_one_that_has_less_does_not_complete_a_damaged_one(k):
    k.save(1, {"a": np.arange(200_000.0)})
    k.save(2, {"a": np.arange(200_000.0) + 1, "b": np.arange(200_000.0) + 2, "c": np.arange(200_000.0) + 3})
    damage(k.info(2).file, 0.9)
    into = {name: np.zeros(200_000) for name in "abc"}
    with pytest.raises(stele.Error, match="restored in part"):
        k.restore(into=into, strict=False)
    into = {name: np.zeros(200_000) for name in "abc"}
    k.restore(into=into, strict=False, verify="full")
    assert into["a"][0] == 0 and into["a"][1] == 1 and not into["b"].any()


def test_no_second_copy_of_the_state(tmp_path):
    done = run("""
        import numpy as np, resource, stele
        k = stele.Checkpoints("k")
        into = {str(i): np.ones(4_000_000) for i in range(8)}
        k.save(1, into)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        k.restore(into=into)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """, cwd=tmp_path)
    assert int(done.stdout) < 64 << 10, done.stdout + done.stderr  # KiB, of 250 MiB


# --- Objects with a state ---


class Module:
    """As torch.nn.Module: state_dict() refers to the parameters."""

    def __init__(self, fill):
        self.parameters = {"layer.weight": np.full((40, 50), fill), "layer.bias": np.full(5, fill)}
        self.loads = 0

    def state_dict(self):
        made = collections.OrderedDict(self.parameters)
        made._metadata = {"version": 1}
        return made

    def load_state_dict(self, state):
        self.loads += 1
        for name, value in state.items():
            self.parameters[name][...] = value


class Optimizer:
    """As torch.optim.Adam: no state before the first step, keys that are numbers, copies of what it is given."""

    def __init__(self, parameters, rate):
        self.parameters, self.rate, self.state = parameters, rate, {}

    def step(self, fill):
        for i, one in enumerate(self.parameters):
            self.state[i] = {"step": np.array(float(fill)), "exp_avg": np.full_like(one, fill)}

    def state_dict(self):
        return {"state": dict(self.state), "param_groups": [{"lr": self.rate, "params": list(range(len(self.parameters)))}]}

    def load_state_dict(self, state):
        self.state, self.rate = dict(state["state"]), state["param_groups"][0]["lr"]


class Scheduler:
    def __init__(self, count):
        self.count = count

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def test_modules_and_optimizers(k):
    model = Module(2.0)
    optimizer = Optimizer(list(model.parameters.values()), 0.1)
    optimizer.step(3)
    k.save(1, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": {"count": 9}, "epoch": 4},
           asynchronous=True)
    k.wait()
    other = Module(0.0)
    for steps in (0, 1):  # as new, and in use
        training = Optimizer(list(other.parameters.values()), 0.5)
        [training.step(7) for _ in range(steps)]
        averages = [one["exp_avg"] for one in training.state.values()]
        weights = other.parameters["layer.weight"]
        weights[:] = 0
        into = {"model": other, "optimizer": training, "scheduler": Scheduler(0), "epoch": 0}
        _, report = k.restore(into=into, report=True)
        assert other.parameters["layer.weight"] is weights and (weights == 2).all() and into["epoch"] == 4
        assert training.rate == 0.1 and training.state[1]["exp_avg"].shape == (5,) and training.state[0]["step"] == 3
        assert (training.state[0]["exp_avg"] == 3).all() and into["scheduler"].count == 9 and report.unexpected == []
        if averages:
            assert training.state[0]["exp_avg"] is averages[0]
    assert other.loads == 2
    k.restore(into=other, path="model")
    k.restore(into={"model": other, "scheduler": Scheduler(1)}, paths="scheduler")
    assert other.loads == 3


def test_a_module_that_was_saved_itself(k):
    k.save(1, {"model": Module(1.0)})
    with pytest.raises(stele.Error, match="missing: model/layer.weight.*saved as model is an object itself"):
        k.restore(into={"model": Module(0.0)})


class Tensor:
    """As much of torch.Tensor as is used."""

    def __init__(self, array, bits="", device="cpu", writes=None):
        self.array, self.bits, self.requires_grad = array, bits, False
        self.device, self.layout = types.SimpleNamespace(type=device), "strided"
        self.dtype = "torch." + (bits or str(array.dtype))

    @property
    def shape(self):
        return self.array.shape

    def detach(self):
        return self

    def is_conj(self):
        return False

    is_neg = is_conj

    def element_size(self):
        return self.array.itemsize

    def numpy(self):
        if self.device.type != "cpu" or self.bits:
            raise TypeError("not on the host, or no dtype of NumPy's")
        return self.array

    def view(self, dtype):
        return Tensor(self.array.view(dtype))

    def copy_(self, other):
        self.array[...] = other.array

    def __reduce_ex__(self, protocol):  # what stele/_forms.py makes of the real ones
        from stele._forms import tensor_from_array

        return tensor_from_array, (self.array.view("u2") if self.bits else self.array, self.bits, False, "")


@pytest.fixture
def torch_like(monkeypatch):
    made = types.SimpleNamespace(
        Tensor=Tensor, strided="strided", int16=np.int16, uint8=np.uint8,
        empty_like=lambda tensor, device: Tensor(np.empty_like(tensor.array), tensor.bits))
    monkeypatch.setitem(sys.modules, "torch", made)


def test_tensors_of_a_look_alike(k, torch_like):
    shared = np.arange(3000, dtype="f4")
    k.save(1, {"w": Tensor(shared), "tied": Tensor(shared), "half": Tensor(np.arange(2000, dtype="i2"), "bfloat16"),
               "array": np.ones(4), "zero": Tensor(np.array(3.0))}, asynchronous=True)
    k.wait()
    into = {"w": Tensor(np.zeros(3000, "f4")), "tied": np.zeros(3000, "f4"),
            "half": Tensor(np.zeros(2000, "i2"), "bfloat16"), "array": Tensor(np.zeros(4)), "zero": Tensor(np.array(0.0))}
    held = into["w"].array
    assert k.restore(into=into)["w"].array is held and held[-1] == 2999 and into["tied"][-1] == 2999
    assert into["half"].array[-1] == 1999 and into["array"].array[0] == 1 and into["zero"].array == 3
    away = {"w": Tensor(np.zeros(3000, "f4"), device="cuda"), "half": Tensor(np.zeros(2000, "i2"), "bfloat16", "cuda")}
    k.restore(into=away)
    assert away["w"].array[-1] == 2999 and away["half"].array[-1] == 1999
    with pytest.raises(TypeError, match="half .expected float32, found bfloat16"):
        k.restore(into={"half": Tensor(np.zeros(2000, "f4"))})


def test_bfloat16_of_numpy_and_of_torch(k, torch_like):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.arange(3000).astype(ml_dtypes.bfloat16)
    k.save(1, {"a": array, "b": Tensor(array.view("i2"), "bfloat16")})
    into = {"a": Tensor(np.zeros(3000, "i2"), "bfloat16"), "b": np.zeros(3000, ml_dtypes.bfloat16)}
    k.restore(into=into)
    assert (into["a"].array == array.view("i2")).all() and (into["b"] == array).all()


def test_torch(k):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    def made():
        model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.BatchNorm1d(32), torch.nn.Linear(32, 2).to(torch.bfloat16))
        return model, torch.optim.Adam(model.parameters(), lr=1e-3)

    model, optimizer = made()
    model[1](model[0](torch.randn(8, 64))).sum().backward()
    optimizer.step()
    k.save(1, {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, asynchronous=True)
    with torch.no_grad():
        model[0].weight.zero_()
    k.wait()
    again, other = made()
    assert k.restore(into={"model": again}, report=True)[1].unexpected == ["optimizer"]
    again, other = made()
    places = [one.data_ptr() for one in again.parameters()]
    k.restore(into={"model": again, "optimizer": other})
    assert [one.data_ptr() for one in again.parameters()] == places and again[0].weight.abs().sum() > 0
    assert torch.equal(again[2].weight, model[2].weight) and torch.equal(again[0].bias, model[0].bias)
    assert all(torch.equal(a["exp_avg"], b["exp_avg"]) for a, b in zip(other.state.values(), optimizer.state.values()))
    loaded = k.restore()
    assert torch.equal(loaded["model"]["0.bias"], model[0].bias)


def test_jax(k):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    params = {"dense": {"w": jax.numpy.ones((40, 40)), "b": jax.numpy.zeros(3, jax.numpy.bfloat16)}}
    optimizer = optax.adam(1e-3)
    tree = {"params": params, "opt": optimizer.init(params), "step": 3}
    host = jax.tree.map(np.asarray, tree)
    k.save(1, host, asynchronous=True)
    k.wait()
    zeros = jax.tree.map(np.zeros_like, host)
    back = k.restore(into=zeros)
    same_tree = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), back, host)
    assert all(jax.tree.leaves(same_tree)) and jax.tree.structure(back) == jax.tree.structure(host)
    k.save(2, params, asynchronous=True)
    k.wait()
    loaded = k.restore(2, trusted=["jax.*", "jax._src.array._reconstruct_array", "jaxlib.*"])
    assert float(loaded["dense"]["w"].sum()) == 1600


def test_keras(k):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)])
    model.build((None, 4))
    before = model.get_weights()
    k.save(1, {"weights": before})
    model.set_weights([one * 0 for one in before])
    model.set_weights(k.restore()["weights"])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before))


# --- Others ---


def test_exported_and_compared(k, tmp_path):
    k.save(1, state(1))
    k.save(2, {**state(2), "new": np.zeros(1000)})
    k.export(2, tmp_path / "x.stele.zst")
    k.export(2, tmp_path / "x.stele", codec="plain")
    (change, added) = k.diff(1, 2)
    assert isinstance(change, stele.CheckpointChange) and change.kind == "changed" and change.path == "model/b"
    assert change.relative == 1 and change.largest == 1 and change.bytes == 2**20
    assert added.kind == "added" and added.path == "new"
    for step in k.steps():
        k.remove(step)
    assert same(stele.load(tmp_path / "x.stele"), stele.load(tmp_path / "x.stele.zst"))
    assert stele.load(tmp_path / "x.stele")["epoch"] == 2


def test_the_command_line_reads_them(k, tmp_path):
    k.save(1, state(1))
    k.save(2, state(2))
    cli = os.environ.get("STELE_BIN", os.path.join(package, "library", "bin", "stele"))
    if not os.path.exists(cli):
        pytest.skip("no command line beside the module")
    found = subprocess.run([cli, "checkpoints", "verify", k.folder], check=True, capture_output=True, text=True)
    changes = subprocess.run([cli, "checkpoints", "diff", k.folder, "1", "2"], check=True, capture_output=True, text=True).stdout
    assert found.stderr == "" and "model/b" in changes and "model/w" not in changes
    subprocess.run([cli, "checkpoints", "export", k.folder, "2", str(tmp_path / "two.stele")], check=True)
    assert same(stele.load(tmp_path / "two.stele"), state(2))
    subprocess.run([cli, "checkpoints", "rm", k.folder, "1"], check=True)
    assert k.steps() == [2] and same(k.restore(), state(2))
    k.save(1, state(1))
    for step in (1, 2):
        subprocess.run([cli, "extract", k.info(step).file, "model/b", "-o", str(tmp_path / "b.npy")], check=True)
        assert np.load(tmp_path / "b.npy")[0, 0] == step
