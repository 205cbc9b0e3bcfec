"""Stores in a DataLoader of PyTorch."""

import pickle

import numpy as np
import pytest

import stele

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, default_collate  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*fork")


@pytest.fixture
def store(tmp_path):
    with stele.Store(tmp_path / "s") as store:
        store.put_many((f"k{i:03}", {"x": np.full(2000, i, "f4"), "y": i}) for i in range(103))
        yield store


def numbers(loader):
    return [batch["y"].tolist() for batch in loader]


def copied(value):
    return {"x": np.array(value["x"]), "y": value["y"]}


@pytest.mark.parametrize("workers", [0, 2])
def test_by_index(store, workers):
    data = store.dataset(transform=copied)
    plain = DataLoader(data, batch_size=10, num_workers=workers)
    assert sum(numbers(plain), []) == list(range(103)) and len(plain) == 11
    batch = next(iter(plain))
    assert batch["x"].shape == (10, 2000) and batch["x"].dtype == torch.float32 and batch["x"][3, 5] == 3
    shuffled = DataLoader(data, batch_size=10, num_workers=workers, shuffle=True, persistent_workers=workers > 0)
    epochs = [sum(numbers(shuffled), []) for _ in range(2)]
    assert epochs[0] != epochs[1] and all(sorted(epoch) == list(range(103)) for epoch in epochs)


def test_a_distributed_sampler(store):
    data = store.dataset(prefix="k", transform=copied)
    seen = []
    for rank in range(2):
        sampler = DistributedSampler(data, num_replicas=2, rank=rank, shuffle=True, seed=1, drop_last=True)
        sampler.set_epoch(3)
        seen += sum(numbers(DataLoader(data, batch_size=5, sampler=sampler, num_workers=2)), [])
    assert len(seen) == len(set(seen)) == 102


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("persistent", [False, True])
def test_streams_have_one_order_with_any_number_of_workers(store, context, persistent):
    def stream(epochs, workers):
        made = store.stream(batch_size=10, seed=5, rank=1, world_size=2, collate=default_collate, transform=copied)
        assert isinstance(made, IterableDataset) and isinstance(made, stele.StoreStream)
        loader = DataLoader(made, batch_size=None, num_workers=workers, persistent_workers=persistent and workers > 0,
                            multiprocessing_context=context if workers else None)
        assert len(loader) == 6
        found = [numbers(loader) for _ in range(epochs)]
        assert made.epoch == epochs - 1
        return found

    alone = stream(2, 0)
    assert alone[0] != alone[1] and len(sum(alone[0], [])) == 51
    assert stream(2, 2) == alone


@pytest.mark.parametrize("persistent", [False, True])
def test_epochs_are_set_and_broken_off(store, persistent):
    made = store.stream(batch_size=10, seed=5, collate=default_collate, transform=copied)
    orders = [[order[i:i + 10].tolist() for i in range(0, 103, 10)] for order in map(made.order, range(6))]
    loader = DataLoader(made, batch_size=None, num_workers=2, persistent_workers=persistent)
    assert numbers(loader) == orders[0]
    for _ in loader:
        break
    assert numbers(loader) == orders[2]
    made.set_epoch(5)
    assert numbers(loader) == orders[5]
    made.set_epoch(1)
    assert [numbers(loader), numbers(loader)] == orders[1:3]


@pytest.mark.parametrize("workers", [0, 2])
def test_training_goes_on_in_the_middle(store, workers):
    def loader_of(stream, persistent=True):
        return DataLoader(stream, batch_size=None, num_workers=workers, persistent_workers=persistent and workers > 0)

    made = store.stream(batch_size=10, seed=7, collate=default_collate, transform=copied)
    loader = loader_of(made)
    epochs = [numbers(loader) for _ in range(3)]
    for taken in (1, 4, 5, 11):
        made.set_epoch(1)
        for step, _ in enumerate(loader, 1):
            if step == taken:
                break
        state = pickle.loads(pickle.dumps(made.state_dict(taken)))
        for stream in (made, store.stream(batch_size=10, collate=default_collate, transform=copied)):
            stream.load_state_dict(state)
            again = loader if stream is made else loader_of(stream, False)
            if taken < 11:
                assert numbers(again) == epochs[1][taken:]
                assert stream.epoch == 1
            assert numbers(again) == epochs[2]
    # From one that went on already.
    made.set_epoch(0, 3)
    walk = iter(loader)
    assert next(walk)["y"].tolist() == epochs[0][3]
    assert made.state_dict(1) == {"epoch": 0, "done": 40, "seed": 7, "length": 103}


def test_single_items_in_workers(store):
    made = store.stream(seed=2, transform=copied)
    loader = DataLoader(made, batch_size=8, num_workers=2)
    epochs = [sum(numbers(loader), []) for _ in range(2)]
    assert epochs[0] != epochs[1] and all(sorted(epoch) == list(range(103)) for epoch in epochs)


def test_the_ranks_of_a_process_group(store, tmp_path):
    distributed = pytest.importorskip("torch.distributed")
    if not distributed.is_available():
        pytest.skip("no torch.distributed")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        made = store.stream()
        assert (made.rank, made.world_size) == (0, 1)
    finally:
        distributed.destroy_process_group()
    with pytest.raises(ValueError):
        DataLoader(store.stream(), shuffle=True)
