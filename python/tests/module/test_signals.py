"""Ctrl-C ends long calls soon, and leaves nothing behind."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import stele

large = np.random.default_rng(0).random(12_000_000)


@pytest.fixture
def folder(tmp_path):
    stele.dump(large, tmp_path / "large.stele")
    stele.dump(large[:4_000_000], tmp_path / "large.z", level=1, filter="none")
    stele.dump({i: [i] for i in range(200_000)}, tmp_path / "many.stele")
    return tmp_path


calls = {
    "dump": lambda folder: stele.dump(large, folder / "out.stele"),
    "dump of many": lambda folder: stele.dump([[i] for i in range(200_000)], folder / "out.stele"),
    "dump, compressed": lambda folder: stele.dump(large, folder / "out.zst", level=9, filter="none"),
    "dump, in one stream": lambda folder: stele.dump(large[:500_000], folder / "out.lzma", level=0, filter="none"),
    "load": lambda folder: stele.load(folder / "large.stele"),
    "load with progress": lambda folder: stele.load(folder / "large.stele", progress=lambda done: None),
    "load in order": lambda folder: stele.load(folder / "large.z"),
    "load of many": lambda folder: stele.load(folder / "many.stele"),
    "verify": lambda folder: stele.verify(folder / "large.stele"),
    "convert": lambda folder: stele.convert(folder / "large.stele", folder / "out.stele"),
    "convert, compressed": lambda folder: stele.convert(folder / "large.stele", folder / "out.gz", level=9),
    "open": lambda folder: stele.open(folder / "large.stele").load(""),
}


def seconds_to_end(call, delay):
    """From a signal to the end of calls that follow one another."""
    sent = []

    def send():
        time.sleep(delay)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in range(1_000_000):
                call()
        return time.monotonic() - sent[0]
    finally:
        thread.join()


@pytest.mark.parametrize("name", calls)
def test_ctrl_c_ends_it_soon(folder, name):
    before = sorted(folder.iterdir())
    waits = [seconds_to_end(lambda: calls[name](folder), delay) for delay in (0.1, 0.17, 0.29)]
    assert sorted(waits)[1] < 1, waits  # a tenth of it on an idle machine
    left = set(folder.iterdir()) - set(before)
    assert all(path.name.startswith("out.") for path in left)  # of a call that ended before
    for path in left:
        stele.verify(path)


@pytest.mark.parametrize("call", [stele.load, lambda path: stele.dump(1, path), stele.verify])
def test_ctrl_c_while_waiting_for_a_pipe(tmp_path, call):
    os.mkfifo(tmp_path / "pipe")
    assert seconds_to_end(lambda: call(tmp_path / "pipe"), 0.1) < 1
    end = os.open(tmp_path / "pipe", os.O_RDWR)  # now opening it does not wait
    if call is stele.load:
        assert seconds_to_end(lambda: call(tmp_path / "pipe"), 0.1) < 1
    os.close(end)
    assert list(tmp_path.iterdir()) == [tmp_path / "pipe"]


def test_a_handler_that_does_not_raise_ends_nothing(tmp_path):
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    try:
        for _ in range(20):
            timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            stele.dump(large[:2_000_000], tmp_path / "x.stele")
            assert (stele.load(tmp_path / "x.stele") == large[:2_000_000]).all()
            timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(seen) == 20


def test_calls_of_other_threads_go_on(tmp_path):
    stele.dump(large[:2_000_000], tmp_path / "x.stele")
    found = []

    def load():
        for _ in range(20):
            found.append(stele.load(tmp_path / "x.stele").sum())

    thread = threading.Thread(target=load)
    thread.start()
    seconds_to_end(lambda: stele.load(tmp_path / "x.stele"), 0.1)
    thread.join()
    assert len(found) == 20 and len(set(found)) == 1


def test_the_file_of_a_growing_array(tmp_path):
    def grow():
        with stele.writer(tmp_path / "x.stele") as out:
            for _ in range(1000):
                out["rows"].append(large)

    assert seconds_to_end(grow, 0.3) < 1
    assert not list(tmp_path.iterdir())
