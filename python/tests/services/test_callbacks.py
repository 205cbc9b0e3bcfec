"""The callbacks of python/examples, with look-alikes of the trainers that call them."""

import importlib.util
import os
import pathlib
import signal
import sys
import types

import numpy as np
import pytest

import stele

folder = pathlib.Path(__file__).resolve().parents[2] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SteleCheckpoints


class Model:
    def __init__(self):
        self.weight = np.zeros((50, 40))

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state):
        self.weight[...] = state["weight"]


class Momentum:
    """An optimizer that has no state before its first step."""

    def __init__(self, model):
        self.model, self.state = model, {}

    def step(self):
        self.state.setdefault(0, {"momentum": np.zeros_like(self.model.weight)})["momentum"] += 1
        self.model.weight += self.state[0]["momentum"]

    def state_dict(self):
        return {"state": self.state, "param_groups": [{"lr": 1}]}

    def load_state_dict(self, state):
        self.state = state["state"]


class Scheduler:
    steps = 0

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


class LightningTrainer:
    """Calls a callback as lightning.pytorch.Trainer does."""

    is_global_zero = True

    def __init__(self, callback, steps, accumulate=1, terminate_at=None):
        self.model, self.global_step, self.current_epoch, self.should_stop = Model(), 0, 0, False
        self.optimizers, self.callback_metrics = [Momentum(self.model)], {}
        self.lr_scheduler_configs = [types.SimpleNamespace(scheduler=Scheduler())]
        callback.on_train_start(self, self.model)
        for batch in range(steps * accumulate):
            if (batch + 1) % accumulate == 0:
                self.optimizers[0].step()
                self.lr_scheduler_configs[0].scheduler.steps += 1
                self.global_step += 1
                self.callback_metrics = {"loss": np.float32(abs(self.global_step - 4))}
            if terminate_at == self.global_step:
                os.kill(os.getpid(), signal.SIGTERM)
            callback.on_train_batch_end(self, self.model, None, None, batch)
            if self.should_stop:
                break
        callback.on_train_end(self, self.model)


@pytest.fixture
def lightning(monkeypatch):
    module = types.SimpleNamespace(Callback=object)
    monkeypatch.setitem(sys.modules, "lightning", types.SimpleNamespace(pytorch=module))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", module)
    return example("lightning_callback")


def test_lightning(lightning, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    first = lightning(tmp_path / "k", every=2, keep_last=2, keep_best=("loss", "min"))
    LightningTrainer(first, 8, accumulate=3)
    assert first.checkpoints.steps() == [4, 6, 8] and first.checkpoints.best() == 4
    assert first.checkpoints.info(6).metadata == {"epoch": 0} and signal.getsignal(signal.SIGTERM) == before
    again = LightningTrainer(lightning(tmp_path / "k", every=2), 3)
    whole = LightningTrainer(lightning(tmp_path / "other", every=100), 11)
    assert np.array_equal(again.model.weight, whole.model.weight) and again.lr_scheduler_configs[0].scheduler.steps == 11
    assert stele.Checkpoints(tmp_path / "k").latest() == 10
    stopped = LightningTrainer(lightning(tmp_path / "k", every=1000), 50, terminate_at=3)
    assert stopped.global_step == 3 and stele.Checkpoints(tmp_path / "k").latest() == 13


class TransformersTrainer:
    """Calls a callback as transformers.Trainer does."""

    def __init__(self, callback, max_steps, save_steps, terminate_at=None):
        self.model, scheduler = Model(), Scheduler()
        optimizer = Momentum(self.model)
        self.state = types.SimpleNamespace(global_step=0, epoch=0.0, is_world_process_zero=True)
        control = types.SimpleNamespace(should_save=False, should_training_stop=False)
        given = dict(model=self.model, optimizer=optimizer, lr_scheduler=scheduler, train_dataloader=None)
        callback.on_train_begin(None, self.state, control, **given)
        while self.state.global_step < max_steps and not control.should_training_stop:
            optimizer.step()
            self.state.global_step += 1
            self.state.epoch += 0.1
            callback.on_log(None, self.state, control, logs={"loss": abs(self.state.global_step - 4.0), "note": "x"}, **given)
            if terminate_at == self.state.global_step:
                os.kill(os.getpid(), signal.SIGTERM)
            control.should_save = self.state.global_step % save_steps == 0
            callback.on_step_end(None, self.state, control, **given)
            assert not control.should_save  # the Trainer does not save a second time
        callback.on_epoch_end(None, self.state, control, **given)
        callback.on_train_end(None, self.state, control, **given)


def test_transformers(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", types.SimpleNamespace(TrainerCallback=object))
    made = example("transformers_callback")
    first = made(tmp_path / "k", keep_last=2, keep_best=("loss", "min"))
    TransformersTrainer(first, 8, 2)
    assert first.checkpoints.steps() == [4, 6, 8] and first.checkpoints.best() == 4
    again = TransformersTrainer(made(tmp_path / "k"), 11, 2)
    whole = TransformersTrainer(made(tmp_path / "other"), 11, 100)
    assert np.array_equal(again.model.weight, whole.model.weight) and again.state.global_step == 11
    stopped = TransformersTrainer(made(tmp_path / "k"), 100, 1000, terminate_at=13)
    assert stopped.state.global_step == 13 and stele.Checkpoints(tmp_path / "k").latest() == 13
