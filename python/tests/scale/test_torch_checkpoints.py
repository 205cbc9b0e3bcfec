"""stele.torch: checkpoints of torch.distributed, saved and loaded by several processes."""

import collections
import os
import pickle
import shutil
import signal
import socket
import zipfile

import numpy as np
import pytest

import stele

torch = pytest.importorskip("torch")
dcp = pytest.importorskip("torch.distributed.checkpoint")
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as processes  # noqa: E402
from torch.distributed.checkpoint.api import CheckpointException  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor  # noqa: E402

from stele.torch import StorageReader, StorageWriter  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def plain_state():
    """Tensors of every kind, and objects."""
    torch.manual_seed(1)
    state = {name: (torch.randn(5, 7) * 3).to(getattr(torch, name)) for name in (
        "float32", "float64", "float16", "bfloat16", "int8", "int64", "uint8", "bool", "complex64", "float8_e4m3fn",
        "float8_e5m2", "complex32", "uint16")}
    state["scalar"] = torch.tensor(2.5, dtype=torch.bfloat16)
    state["empty"] = torch.empty(0, 3)
    state["turned"] = torch.arange(12.0).reshape(3, 4).T
    state["a/b~c"] = torch.arange(2000)
    state["small"] = torch.ones(2)
    state["conjugate"] = torch.tensor([1 + 2j]).conj()
    objects = {"epoch": 3, "rate": 0.1, "name": "x", "list": [1, (2, "b")], "none": None, "bytes": b"\0\1",
               "ordered": collections.OrderedDict(b=1, a=2), "size": torch.Size([3, 4]), "type": torch.bfloat16,
               "array": np.arange(4, dtype=np.int16), "inner": {"deep": {"x": torch.ones(3), "y": [1, 2]}}}
    return {"tensors": state, "objects": objects}


def same(one, two):
    if isinstance(one, torch.Tensor):
        assert one.dtype == two.dtype and one.shape == two.shape
        one, two = one.resolve_conj(), two.resolve_conj()
        return one.contiguous().flatten().view(torch.uint8).tolist() == two.contiguous().flatten().view(torch.uint8).tolist()
    if isinstance(one, dict):
        return list(one) == list(two) and type(one) is type(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and (one == two).all()
    return type(one) is type(two) and one == two


def blank(thing):
    """The same structure with other contents."""
    if isinstance(thing, torch.Tensor):
        return torch.zeros_like(thing, memory_format=torch.contiguous_format)
    if isinstance(thing, dict):
        return type(thing)((key, blank(value)) for key, value in thing.items())
    return None if thing is not None else 1


def save(state, place, **options):
    dcp.save(state, storage_writer=StorageWriter(place, **options), no_dist=True)


def load(state, place, **options):
    dcp.load(state, storage_reader=StorageReader(place, **options), no_dist=True)
    return state


def files(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("codec", [None, "zstd"])
def test_one_process(tmp_path, codec):
    state = plain_state()
    save(state, tmp_path / "c", codec=codec)
    assert same(load(blank(state), tmp_path / "c"), state)
    # No pickle is in any of the files, and they are archives of plain values.
    part, manifest = files(tmp_path / "c")
    assert manifest == "checkpoint.stele" and part.endswith(".part.stele")
    for name in (part, manifest):
        stele.verify(tmp_path / "c" / name)
        assert not zipfile.is_zipfile(tmp_path / "c" / name)
    with stele.open(tmp_path / "c" / part) as file:
        assert (file["small/tensors.float64"][...] == state["tensors"]["float64"].numpy()).all()
        assert file["small/objects.epoch"] == 3
        assert file["tensors.a~1b~0c"].shape == (2000,)
    assert all(risk == "data" for name in (part, manifest) for _, risk, _ in stele.types(tmp_path / "c" / name))


def test_checkpoint_id_names_the_place(tmp_path):
    state = {"x": torch.arange(5)}
    dcp.save(state, checkpoint_id=str(tmp_path / "a"), storage_writer=StorageWriter(), no_dist=True)
    into = {"x": torch.zeros(5, dtype=torch.int64)}
    dcp.load(into, checkpoint_id=str(tmp_path / "a"), storage_reader=StorageReader(), no_dist=True)
    assert same(into, state)
    with pytest.raises(CheckpointException, match="no place"):
        dcp.save(state, storage_writer=StorageWriter(), no_dist=True)


def test_an_optimizer_comes_back(tmp_path):
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    def made():
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
        return model, torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.8, 0.9))

    model, optimizer = made()
    for _ in range(3):
        model(torch.randn(16, 4)).sum().backward()
        optimizer.step()
    weights, moments = get_state_dict(model, optimizer)
    save({"model": weights, "optimizer": moments}, tmp_path)
    other, others = made()
    weights_there, moments_there = get_state_dict(other, others)
    state = load({"model": weights_there, "optimizer": moments_there}, tmp_path)
    set_state_dict(other, others, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    assert same(dict(other.state_dict()), dict(model.state_dict()))
    assert others.param_groups[0]["betas"] == (0.8, 0.9)
    assert same(others.state_dict()["state"][0], optimizer.state_dict()["state"][0])


class Settings:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x


def test_objects_of_other_classes_need_trust(tmp_path):
    save({"settings": Settings(3)}, tmp_path)
    with pytest.raises(CheckpointException, match="not trusted"):
        load({"settings": None}, tmp_path)
    assert load({"settings": None}, tmp_path, trusted=[Settings])["settings"] == Settings(3)


def test_a_function_is_no_data(tmp_path):
    with pytest.raises(CheckpointException):
        save({"f": lambda: 1, "x": torch.ones(2)}, tmp_path)
    assert files(tmp_path) == []


def test_extra_state_in_a_buffer(tmp_path):
    import io
    save({"extra": io.BytesIO(b"abc")}, tmp_path)
    assert load({"extra": None}, tmp_path)["extra"].getvalue() == b"abc"


def test_bytes_of_an_own_planner(tmp_path):
    import io

    class Own(dcp.DefaultSavePlanner):
        def transform_object(self, item, thing):
            return io.BytesIO(b"own format") if item.tensor_data is None else thing

    seen = []

    class OwnLoad(dcp.DefaultLoadPlanner):
        def load_bytes(self, item, value):
            seen.append(value.read())

    dcp.save({"x": "text"}, storage_writer=StorageWriter(tmp_path), planner=Own(), no_dist=True)
    with pytest.raises(CheckpointException, match="planner of its own"):
        dcp.load({"x": ""}, storage_reader=StorageReader(tmp_path), planner=OwnLoad(), no_dist=True)
    dcp.load({"x": ""}, storage_reader=StorageReader(tmp_path, trusted=True), planner=OwnLoad(), no_dist=True)
    assert seen == [b"own format"]


def test_planner_data_that_is_no_data_is_refused(tmp_path):
    class Own(dcp.DefaultSavePlanner):
        def create_global_plan(self, plans):
            import dataclasses
            plans, metadata = super().create_global_plan(plans)
            return plans, dataclasses.replace(metadata, planner_data={"x": Settings(1)})

    with pytest.raises(CheckpointException, match="Settings"):
        dcp.save({"x": torch.ones(2)}, storage_writer=StorageWriter(tmp_path), planner=Own(), no_dist=True)
    assert "checkpoint.stele" not in files(tmp_path)


def test_tensors_that_cannot_be_stored_are_refused(tmp_path):
    with pytest.raises(CheckpointException, match="sparse"):
        save({"x": torch.eye(3).to_sparse()}, tmp_path)
    assert files(tmp_path) == []


def test_saving_again_replaces_and_sweeps(tmp_path):
    state = {"x": torch.arange(1000)}
    save(state, tmp_path)
    old = files(tmp_path)
    dead = tmp_path / ("00003-" + "0" * 32 + ".part.stele")
    shutil.copy(tmp_path / old[0], dead)
    (tmp_path / "notes.txt").write_text("mine")
    state["x"] += 1
    save(state, tmp_path)
    new = files(tmp_path)
    assert len(new) == 3 and not set(new) & {old[0], dead.name} and "notes.txt" in new
    assert same(load({"x": torch.zeros(1000, dtype=torch.int64)}, tmp_path), state)
    with pytest.raises(CheckpointException, match="overwrite"):
        save(state, tmp_path, overwrite=False)
    assert files(tmp_path) == new


def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path):
    state = {"x": torch.arange(1000)}
    save(state, tmp_path)
    with pytest.raises(CheckpointException):
        save({"x": torch.zeros(1000, dtype=torch.int64), "f": lambda: 1}, tmp_path)
    assert same(load({"x": torch.zeros(1000, dtype=torch.int64)}, tmp_path), state)


def test_cached_plans_make_new_parts(tmp_path):
    state = {"x": torch.arange(1000)}
    for round in range(3):
        state["x"] += 1
        dcp.save(state, storage_writer=StorageWriter(tmp_path / str(round)), no_dist=True,
                 planner=dcp.DefaultSavePlanner(enable_plan_caching=True))
        assert same(load({"x": torch.zeros(1000, dtype=torch.int64)}, tmp_path / str(round)), state)


def test_in_the_background(tmp_path):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        state = {"x": torch.arange(1000), "epoch": 3}
        running = dcp.async_save(state, storage_writer=StorageWriter(tmp_path))
        state["x"] += 1
        running.result()
        assert load({"x": torch.zeros(1000, dtype=torch.int64), "epoch": 0}, tmp_path)["x"].tolist() == list(range(1000))
    finally:
        dist.destroy_process_group()


def test_types_that_lose_something_are_refused(tmp_path):
    save({"x": torch.tensor([1.5, 2.5])}, tmp_path)
    assert load({"x": torch.zeros(2, dtype=torch.bfloat16)}, tmp_path)["x"].tolist() == [1.5, 2.5]
    with pytest.raises(CheckpointException, match="cannot read torch.float32 into"):
        load({"x": torch.zeros(2, dtype=torch.int64)}, tmp_path)


def damaged_manifest(folder, change):
    manifest = stele.load(folder / "checkpoint.stele")
    change(manifest)
    stele.dump(manifest, folder / "checkpoint.stele")


@pytest.mark.parametrize("change, message", [
    (lambda m: m.pop("parts"), "no description"),
    (lambda m: m.update(format=2), "later versions"),
    (lambda m: m["tensors"]["x"].update(dtype="Tensor"), "no dtype"),
    (lambda m: m["tensors"]["x"].update(dtype="nn.Module"), "no dtype"),
    (lambda m: m["tensors"]["x"].update(parts=["../../x.part.stele"]), "no description"),
    (lambda m: m["parts"].update({"../x.part.stele": 1}), "no description"),
    (lambda m: m["tensors"]["x"].update(boxes=np.zeros((1, 2, 3), np.int64)), "no description"),
    (lambda m: m["tensors"]["x"].update(boxes=np.array([[[0], [2000]]])), "do not make up"),
    (lambda m: m["tensors"]["x"].update(boxes=np.array([[[0], [500]]])), "do not make up"),
    (lambda m: m["tensors"]["x"].update(boxes=np.array([[[0], [500]]]), shape=(500,)), "expected a chunk of shape|mismatch"),
    (lambda m: m["tensors"]["x"].update(paths=["y"]), "does not have it"),
    (lambda m: m.update(parts={name: size + 1 for name, size in m["parts"].items()}), "another file"),
])
def test_a_damaged_manifest_is_an_error(tmp_path, change, message):
    save({"x": torch.arange(1000)}, tmp_path)
    damaged_manifest(tmp_path, change)
    with pytest.raises(CheckpointException, match=message):
        load({"x": torch.zeros(1000, dtype=torch.int64)}, tmp_path)


def test_without_a_manifest_there_is_no_checkpoint(tmp_path):
    save({"x": torch.arange(1000)}, tmp_path)
    part, _ = files(tmp_path)
    data = (tmp_path / part).read_bytes()
    for content, message in ((data[:-1], ""), (data[:5000] + b"x" + data[5001:], "checksum|damaged"), (None, "not there")):
        (tmp_path / part).unlink()
        if content is not None:
            (tmp_path / part).write_bytes(content)
        with pytest.raises(CheckpointException, match=message):
            load({"x": torch.zeros(1000, dtype=torch.int64)}, tmp_path)
    os.unlink(tmp_path / "checkpoint.stele")
    with pytest.raises(CheckpointException, match="no complete checkpoint"):
        load({"x": torch.zeros(1000, dtype=torch.int64)}, tmp_path)
    with pytest.raises(CheckpointException, match="no complete checkpoint"):
        load({"x": torch.zeros(1000, dtype=torch.int64)}, tmp_path / "none")


def test_the_metadata_says_what_dcps_own_does(tmp_path):
    state = plain_state()
    save(state, tmp_path / "ours")
    dcp.save(state, checkpoint_id=tmp_path / "theirs", no_dist=True)
    ours = StorageReader(tmp_path / "ours").read_metadata()
    theirs = dcp.FileSystemReader(tmp_path / "theirs").read_metadata()
    assert ours.planner_data == theirs.planner_data and ours.state_dict_metadata == theirs.state_dict_metadata


# --- Several processes ---


def table(dtype=torch.float32):
    return (torch.arange(60 * 30) % 251).reshape(60, 30).to(dtype)


def mesh_state(ranks, zero=False):
    mesh = init_device_mesh("cpu", (ranks,))
    made = {}
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16), ("f8", torch.float8_e4m3fn)):
        for split, placement in (("rows", Shard(0)), ("columns", Shard(1)), ("copies", Replicate())):
            whole = table(torch.float32).to(dtype)
            if zero:
                whole = torch.zeros_like(whole)
            if dtype is torch.float8_e4m3fn:  # gloo does not scatter it
                made[name + split] = DTensor.from_local(local_of(whole, placement, ranks), mesh, [placement], run_check=False,
                                                        shape=whole.shape, stride=whole.stride())
            else:
                made[name + split] = distribute_tensor(whole, mesh, [placement])
    made["plain"] = torch.zeros(7) if zero else torch.arange(7.0)
    made["epoch"] = 0 if zero else 12
    return made


def local_of(whole, placement, ranks):
    if isinstance(placement, Replicate):
        return whole
    step = -(-whole.shape[placement.dim] // ranks)
    part = [slice(None)] * 2
    part[placement.dim] = slice(dist.get_rank() * step, (dist.get_rank() + 1) * step)
    return whole[tuple(part)].contiguous()


def check(state, ranks):
    for name, found in state.items():
        if isinstance(found, DTensor):
            dtype = {"f3": torch.float32, "bf": torch.bfloat16, "f8": torch.float8_e4m3fn}[name[:2]]
            wanted = local_of(table().to(dtype), found.placements[0], ranks)
            assert same(found.to_local(), wanted), name
    assert state["plain"].tolist() == list(range(7)) and state["epoch"] == 12


def rank_main(rank, ranks, port, work, place, result):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(ranks))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    try:
        work(rank, ranks, place)
    finally:
        dist.destroy_process_group()


def run_ranks(ranks, work, place):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes.spawn(rank_main, (ranks, port, work, str(place), None), nprocs=ranks)


def save_mesh(rank, ranks, place):
    dcp.save(mesh_state(ranks), storage_writer=StorageWriter(place))


def load_mesh(rank, ranks, place):
    state = mesh_state(ranks, zero=True)
    dcp.load(state, storage_reader=StorageReader(place))
    check(state, ranks)


def fsdp_model():
    from torch.distributed.fsdp import fully_shard
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 33), torch.nn.ReLU(), torch.nn.Linear(33, 5))
    for layer in model:
        fully_shard(layer)
    return fully_shard(model)


def train(model, steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(steps):
        torch.manual_seed(step)
        model(torch.randn(8, 12)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return optimizer


def whole_of(model, optimizer):
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict
    return get_state_dict(model, optimizer, options=StateDictOptions(full_state_dict=True))


def save_fsdp(rank, ranks, place):
    from torch.distributed.checkpoint.state_dict import get_state_dict
    model = fsdp_model()
    optimizer = train(model, 3)
    weights, moments = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optimizer": moments}, storage_writer=StorageWriter(place))
    whole = whole_of(model, optimizer)
    if rank == 0:
        torch.save(whole, place + ".expected")


def load_fsdp(rank, ranks, place):
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
    model = fsdp_model()
    optimizer = train(model, 1)
    weights, moments = get_state_dict(model, optimizer)
    state = {"model": weights, "optimizer": moments}
    dcp.load(state, storage_reader=StorageReader(place))
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    found = whole_of(model, optimizer)
    if rank == 0:
        wanted = torch.load(place + ".expected", weights_only=False)
        for one, two in zip(found, wanted):
            assert same(dict(one), dict(two))


@pytest.mark.parametrize("saving, loading", [(2, 3), (4, 1)])
def test_another_number_of_ranks_loads(tmp_path, saving, loading):
    run_ranks(saving, save_mesh, tmp_path / "c")
    parts = files(tmp_path / "c")
    assert [name[:5] for name in parts] == [*(f"{rank:05}" for rank in range(saving)), "check"]
    run_ranks(loading, load_mesh, tmp_path / "c")
    # Copies are written once.
    total = sum((tmp_path / "c" / name).stat().st_size for name in parts)
    assert total < 3 * 1800 * (4 + 2 + 1) + 200_000


def test_fsdp(tmp_path):
    run_ranks(2, save_fsdp, tmp_path / "c")
    run_ranks(3, load_fsdp, tmp_path / "c")


def die(rank, ranks, place):
    class Dying(StorageWriter):
        def finish(self, metadata, results):
            os.kill(os.getpid(), signal.SIGKILL)

    class DyingEarlier(StorageWriter):
        def write_data(self, plan, planner):
            if rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().write_data(plan, planner)

    kind = Dying if place.endswith("coordinator") else DyingEarlier
    dcp.save({"x": distribute_tensor(torch.zeros(100), init_device_mesh("cpu", (ranks,)), [Shard(0)])},
             storage_writer=kind(place))


def save_ones(rank, ranks, place):
    dcp.save({"x": distribute_tensor(torch.ones(100), init_device_mesh("cpu", (ranks,)), [Shard(0)])},
             storage_writer=StorageWriter(place))


@pytest.mark.parametrize("who", ["coordinator", "follower"])
def test_a_dead_rank_leaves_the_old_checkpoint(tmp_path, who):
    place = tmp_path / who
    run_ranks(2, save_ones, place)
    with pytest.raises(Exception):  # noqa: B017 - of torch's own: a process ended by a signal
        run_ranks(2, die, place)
    assert len(files(place)) > 3
    assert load({"x": torch.zeros(100)}, place)["x"].tolist() == [1.0] * 100
    run_ranks(2, save_ones, place)
    assert len(files(place)) == 3
