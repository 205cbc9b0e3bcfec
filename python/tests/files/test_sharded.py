"""Checkpoints that several processes write together."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import stele

WHOLE = np.arange(600 * 70, dtype=np.float32).reshape(600, 70)


def save_part(folder, step, rank, ranks, attempt, factor=1):
    kept = stele.Checkpoints(folder)
    begin, end = len(WHOLE) * rank // ranks, len(WHOLE) * (rank + 1) // ranks
    with kept.shard(step, rank=rank, ranks=ranks, attempt=attempt) as part:
        part.put("model/w", WHOLE[begin:end] * factor, shape=WHOLE.shape, offset=(begin, 0))
        part.put("columns", WHOLE.T[:, begin:end], shape=WHOLE.T.shape, offset=(0, begin))
        part.put_value("state", {"epoch": 3, "rank": rank})


def save_all(folder, step, ranks, attempt, factor=1):
    for rank in range(ranks):
        save_part(folder, step, rank, ranks, attempt, factor)
    return stele.Checkpoints(folder).commit(step, {"loss": 0.5}, ranks=ranks, attempt=attempt)


@pytest.mark.parametrize("index", [
    (), (3,), (-1,), (slice(100, 433),), (slice(None), 5), (slice(10, 400, 7), slice(60, 3, -4)), (..., slice(2, 9)),
    (slice(599, None, -1),), (slice(5, 5),), (7, 8), (slice(590, 1000), -3)])
def test_boxes_are_those_of_numpy(tmp_path, index):
    info = save_all(tmp_path, 5, 3, "a")
    assert info.sharded and info.metrics == {"loss": 0.5} and info.step == 5
    shards = stele.Checkpoints(tmp_path).shards()
    for name, whole in (("model/w", WHOLE), ("columns", WHOLE.T)):
        if name == "columns":
            index_here = tuple(reversed(index)) if len(index) == 2 and ... not in index else ()
        else:
            index_here = index
        found = shards[name][index_here]
        np.testing.assert_array_equal(found, whole[index_here])
        assert np.shape(found) == np.shape(whole[index_here])


def test_processes_write_and_others_read(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=save_part, args=(tmp_path, 9, rank, 4, "run-1")) for rank in range(4)]
    for worker in workers:
        worker.start()
    kept = stele.Checkpoints(tmp_path)
    kept.commit(9, ranks=4, attempt="run-1", wait=120)
    for worker in workers:
        worker.join()
    shards = kept.shards()
    assert list(shards) == ["columns", "model/w"] and shards.step == 9 and shards.ranks == 4 and len(shards) == 2
    np.testing.assert_array_equal(shards["model/w"], WHOLE)
    assert shards["model/w"].dtype == np.float32 and shards["model/w"].shape == (600, 70)
    assert shards.value_names() == ["state"] and shards.value("state") == {"epoch": 3, "rank": 0}
    out = np.empty(WHOLE.shape, np.float64)
    shards["model/w"].read_into(out)
    np.testing.assert_array_equal(out, WHOLE)
    with pytest.raises(KeyError):
        shards["none"]
    with pytest.raises(IndexError):
        shards["model/w"][600]
    shards.verify()
    assert kept.verify() == {}


def test_missing_parts_and_mixed_attempts(tmp_path):
    kept = stele.Checkpoints(tmp_path)
    save_part(tmp_path, 1, 0, 2, "first")
    save_part(tmp_path, 1, 1, 2, "second")
    with pytest.raises(stele.Error, match="1 ranks: 1") as caught:
        kept.commit(1, ranks=2, attempt="first", wait=0)
    assert caught.value.code == "not_found"
    assert kept.steps() == []
    with pytest.raises(RuntimeError, match="stop"):
        with kept.shard(2, rank=0, ranks=1, attempt="x") as part:
            part.put("a", np.zeros(3), shape=(3,), offset=(0,))
            raise RuntimeError("stop")
    with pytest.raises(stele.Error):
        kept.commit(2, ranks=1, attempt="x", wait=0)
    with kept.shard(3, rank=0, ranks=1, attempt="x") as part:
        part.put("a", np.zeros(3), shape=(4,), offset=(0,))
    with pytest.raises(stele.Error, match="gap"):
        kept.commit(3, ranks=1, attempt="x", wait=0)


def test_a_sharded_checkpoint_is_not_taken_for_another(tmp_path):
    kept = stele.Checkpoints(tmp_path)
    save_all(tmp_path, 5, 2, "a")
    with pytest.raises(stele.Error, match="sharded") as caught:
        kept.restore()
    assert caught.value.code == "type_mismatch"
    with pytest.raises(stele.Error, match="sharded"):
        kept.open(5)
    kept.export(5, tmp_path / "one.stele.zst")
    one = stele.load(tmp_path / "one.stele.zst")
    np.testing.assert_array_equal(one["model/w"], WHOLE)
    np.testing.assert_array_equal(one["columns"], WHOLE.T)
    assert one["state"] == {"epoch": 3, "rank": 0}


def test_retention_removes_parts(tmp_path):
    kept = stele.Checkpoints(tmp_path, keep_last=2)
    for step in range(1, 6):
        for rank in range(2):
            save_part(tmp_path, step, rank, 2, f"s{step}", factor=step)
        kept.commit(step, ranks=2, attempt=f"s{step}")
    assert kept.steps() == [4, 5]
    np.testing.assert_array_equal(kept.shards(4)["model/w"], WHOLE * 4)
    np.testing.assert_array_equal(kept.shards()["model/w"], WHOLE * 5)
    names = os.listdir(tmp_path / "shards")
    assert sum(name.startswith("step-") for name in names) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_rank_leaves_the_last_checkpoint(tmp_path):
    save_all(tmp_path, 1, 2, "good")
    for attempt in range(10):
        child = os.fork()
        if child == 0:
            try:
                save_part(tmp_path, 2, 0, 2, f"k{attempt}")
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        assert stele.Checkpoints(tmp_path).shards().step == 1
    save_all(tmp_path, 2, 2, "last", factor=2)
    np.testing.assert_array_equal(stele.Checkpoints(tmp_path).shards()["model/w"], WHOLE * 2)
    assert sum(".k" in name for name in os.listdir(tmp_path / "shards")) == 0


def test_the_command_line_knows_sharded_checkpoints(tmp_path, environment):
    save_all(tmp_path, 5, 3, "a")

    def stele_command(*arguments):
        done = subprocess.run([sys.executable, "-m", "stele", "checkpoints", *map(str, arguments)], capture_output=True,
                              text=True, check=False, env=environment)
        return done.returncode, done.stdout, done.stderr

    code, out, _ = stele_command("show", tmp_path)
    assert code == 0 and "3 ranks" in out and "float32[600, 70]" in out and "3 boxes" in out and "state" in out
    code, out, _ = stele_command("show", tmp_path, "--json")
    assert code == 0 and [one["path"] for one in json.loads(out)["arrays"]] == ["columns", "model/w"]
    assert stele_command("verify", tmp_path)[0] == 0
    assert stele_command("export", tmp_path, 5, tmp_path / "one.stele.gz")[0] == 0
    np.testing.assert_array_equal(stele.load(tmp_path / "one.stele.gz")["model/w"], WHOLE)
    assert stele_command("diff", tmp_path, 5, 5)[0] == 0
    part = next((tmp_path / "shards").glob("*00001-of-00003*"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    code, _, err = stele_command("verify", tmp_path)
    assert code == 1 and "step 5" in err


# --- Archives of many writers ----------------------------------------------------------------------------------------


def write_archive(place, rank, ranks, attempt, factor=1):
    begin, end = len(WHOLE) * rank // ranks, len(WHOLE) * (rank + 1) // ranks
    with stele.ShardedWriter(place, rank, ranks, attempt, metadata={"by": "a test"}) as out:
        assert out.attempt == attempt
        out.put("model/w", WHOLE[begin:end] * factor, shape=WHOLE.shape, offset=(begin, 0))
        out.put("model/columns", WHOLE.T[:, begin:end], WHOLE.T.shape, (0, begin))
        if rank == 0:
            out.put("bias", np.arange(5000))
        out.put_value("state", {"epoch": 3 * factor, "rank": rank, "more": np.arange(3000)})


def write_whole(place, ranks, attempt, factor=1):
    for rank in reversed(range(ranks)):
        write_archive(place, rank, ranks, attempt, factor)


@pytest.mark.parametrize("ranks", [1, 3])
def test_archive_of_many_writers_is_like_any(tmp_path, ranks):
    place = tmp_path / "model"
    write_whole(place, ranks, "a")
    for path in (place, str(place) + "/manifest.stele"):
        for loaded in (stele.load(path), stele.load(path, progress=lambda done: None)):
            np.testing.assert_array_equal(loaded["model"]["w"], WHOLE)
            np.testing.assert_array_equal(loaded["model"]["columns"], WHOLE.T)
            assert loaded["state"]["epoch"] == 3 and loaded["state"]["rank"] == 0
            np.testing.assert_array_equal(loaded["bias"], np.arange(5000))
            loaded["model"]["w"][0, 0] = 5  # its own memory
        with stele.open(path) as f:
            assert sorted(f.keys()) == ["bias", "model", "state"]
            np.testing.assert_array_equal(f["model/w"][100:433, 7], WHOLE[100:433, 7])
            np.testing.assert_array_equal(f["model/columns"][3::7, ::-5], WHOLE.T[3::7, ::-5])
            np.testing.assert_array_equal(f["model/w"][[599, 0, 300, 300]], WHOLE[[599, 0, 300, 300]])
            np.testing.assert_array_equal(f["state/more"][-2:], [2998, 2999])
            assert f["state/epoch"] == 3 and "model/w" in f and "model/none" not in f
            assert f["model/w"].shape == WHOLE.shape
            assert [part.shape[0] for part in f["model/w"].batches(250)] == [250, 250, 100]
        info = stele.info(path)
        assert info.codec == "sharded" and info.metadata == {"by": "a test"}
        stele.verify(path)
    stele.convert(place, tmp_path / "one.stele.zst")
    np.testing.assert_array_equal(stele.load(tmp_path / "one.stele.zst")["model"]["columns"], WHOLE.T)
    with pytest.raises(stele.Error, match="several files"):
        stele.load(place, mmap_mode="r")


def test_processes_write_an_archive(tmp_path):
    context = multiprocessing.get_context("spawn")
    for attempt, factor in (("one", 1), ("two", 2)):
        workers = [context.Process(target=write_archive, args=(tmp_path, rank, 3, attempt, factor)) for rank in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        np.testing.assert_array_equal(stele.load(tmp_path)["model"]["w"], WHOLE * factor)
    assert len(list((tmp_path / "shards").iterdir())) == 3


def test_archive_does_not_exist_without_its_commit(tmp_path):
    out = stele.ShardedWriter(tmp_path, 0, 2, "a")
    out.put("x", np.arange(5), shape=(10,), offset=(0,))
    with pytest.raises(stele.Error, match="not inside"):
        out.put("x", np.arange(5), shape=(10,), offset=(6,))
    with pytest.raises(stele.Error, match="inside of another value"):
        out.put_value("x/y", 1)
    out.close()
    with pytest.raises(stele.Error, match="manifest.stele"):
        stele.open(tmp_path)
    with pytest.raises(stele.Error, match="no part of 1 ranks: 1"):
        stele.commit_sharded(tmp_path, 2, "a", wait=0.05)
    with pytest.raises(RuntimeError, match="a fault"):
        with stele.ShardedWriter(tmp_path, 1, 2, "a"):
            raise RuntimeError("a fault")
    with pytest.raises(stele.Error, match="no part of 1 ranks: 1"):
        stele.commit_sharded(tmp_path, 2, "a", wait=0)
    with stele.ShardedWriter(tmp_path, 1, 2, "a") as out:
        out.put("x", np.arange(5) + 5.5, shape=(10,), offset=(5,))
    with pytest.raises(stele.Error, match="disagree"):
        stele.commit_sharded(tmp_path, 2, "a")
    with pytest.raises(stele.Error, match="never repeated"):
        stele.ShardedWriter(tmp_path, 1, 2, "a")
    with stele.ShardedWriter(tmp_path, 0, 1) as out:
        out.put_value("", [1, 2])
    assert stele.load(tmp_path) == [1, 2]


def test_command_line_takes_an_archive_of_many_writers(tmp_path):
    place = tmp_path / "model"
    write_whole(place, 2, "a")

    def run(*arguments):
        return subprocess.run([os.environ["STELE_BIN"], *map(str, arguments)], capture_output=True, text=True, check=True).stdout

    if not os.environ.get("STELE_BIN"):
        pytest.skip("no command line")
    for path in (place, place / "manifest.stele"):
        listed = run("ls", path)
        assert "columns  float32[70, 600]" in listed and "int64[3000]" in listed, listed
        assert "sharded" in run("info", path)
        assert "41999" in run("show", path, "model/w[-1, -1]")
        assert "ok" in run("verify", path)
        run("extract", path, "model/w", "-o", tmp_path / "w.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "w.npy"), WHOLE)
        run("convert", path, tmp_path / "one.stele")
        with stele.open(tmp_path / "one.stele", mmap_mode="r") as f:
            np.testing.assert_array_equal(f["model/columns"][:], WHOLE.T)
    (tmp_path / "other").mkdir()
    done = subprocess.run([os.environ["STELE_BIN"], "ls", str(tmp_path / "other")], capture_output=True, text=True)
    assert done.returncode != 0 and "manifest.stele" in done.stderr


MPI_PROGRAM = """
import sys, uuid
from mpi4py import MPI
import numpy as np, stele
place, comm = sys.argv[1], MPI.COMM_WORLD
attempt = comm.bcast(uuid.uuid4().hex)
whole = np.arange(100 * 7.0).reshape(100, 7)
begin, end = 100 * comm.rank // comm.size, 100 * (comm.rank + 1) // comm.size
out = stele.ShardedWriter(place, comm.rank, comm.size, attempt)
out.put("model/matrix", whole[begin:end], shape=whole.shape, offset=(begin, 0))
out.close()
comm.Barrier()
if comm.rank == 0:
    stele.commit_sharded(place, comm.size, attempt)
comm.Barrier()
with stele.open(place) as f:
    np.testing.assert_array_equal(f["model/matrix"][begin:end], whole[begin:end])
"""


def test_ranks_of_mpi4py(tmp_path):
    pytest.importorskip("mpi4py")
    if shutil.which("mpirun") is None:
        pytest.skip("no mpirun")
    program = tmp_path / "program.py"
    program.write_text(MPI_PROGRAM)
    root = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    for ranks in (3, 2):
        subprocess.run(["mpirun", "--oversubscribe", "-n", str(ranks), sys.executable, str(program), str(tmp_path / "m")],
                       env=root, check=True, timeout=120)
    assert stele.load(tmp_path / "m")["model"]["matrix"][99, 6] == 699
