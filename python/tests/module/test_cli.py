"""The command line of the installation."""

import subprocess
import sys

import numpy as np

import stele
from stele import __main__ as command_line


def run(environment, *arguments, **more):
    return subprocess.run([sys.executable, "-m", "stele", *arguments], capture_output=True, text=True, env=environment, **more)


def test_it_lists_converts_and_verifies(tmp_path, environment):
    path = tmp_path / "x.stele"
    stele.dump({"layers": [np.arange(5000.0)], "t": (1, 2)}, path, metadata={"epoch": 3})
    done = run(environment, "ls", str(path))
    assert done.returncode == 0 and "layers" in done.stdout and "float64[5000]" in done.stdout
    done = run(environment, "convert", str(path), str(tmp_path / "y.stele.zst"), "--codec", "zstd")
    assert done.returncode == 0, done.stderr
    assert stele.info(tmp_path / "y.stele.zst").metadata == {"epoch": 3}
    assert stele.load(tmp_path / "y.stele.zst")["t"] == (1, 2)
    assert run(environment, "verify", str(path)).returncode == 0


def test_its_exit_code_and_input_are_the_programs(tmp_path, environment):
    assert run(environment, "ls", str(tmp_path / "none.stele")).returncode not in (0, 127)
    assert run(environment, "no-such-command").returncode != 0
    with open(tmp_path / "x.stele", "wb") as file:
        stele.dump([1, 2, 3], file)
    with open(tmp_path / "x.stele", "rb") as file:
        done = run(environment, "ls", "-", stdin=file)
    assert done.returncode == 0 and "list" in done.stdout or "sequence" in done.stdout


def test_without_the_program_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "executable", lambda: None)
    assert command_line.main() == 127
    said = capsys.readouterr()
    assert said.out == "" and "neither" in said.err
