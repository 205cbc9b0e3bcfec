"""A callback of Hugging Face's Trainer that keeps checkpoints with stele, and goes on where the last run ended.

trainer = Trainer(model, args, callbacks=[SteleCheckpoints("runs/7", keep_last=3)], train_dataset=data)
"""

import contextlib

import stele
from transformers import TrainerCallback


class SteleCheckpoints(TrainerCallback):
    """Saves when TrainingArguments (save_strategy, save_steps) say so, in the background and instead of the Trainer, and
    before SIGTERM ends the program. The options are those of stele.Checkpoints; `keep_best` knows what is logged."""

    def __init__(self, folder, **options):
        self.checkpoints = stele.Checkpoints(folder, **options)
        self.metrics = {}
        self._signals = contextlib.ExitStack()

    def on_train_begin(self, args, state, control, model=None, optimizer=None, lr_scheduler=None, **kwargs):
        self._signals.enter_context(self.checkpoints.save_on_signal())
        if self.checkpoints.latest() is not None:
            objects = {"model": model, "optimizer": optimizer, "scheduler": lr_scheduler}
            state.global_step = self.checkpoints.restore(into=objects, report=True)[1].step

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.metrics.update((name, value) for name, value in (logs or {}).items() if isinstance(value, (int, float)))

    def on_step_end(self, args, state, control, model=None, optimizer=None, lr_scheduler=None, **kwargs):
        if self.checkpoints.stop_requested:
            control.should_save = control.should_training_stop = True
        if control.should_save and state.is_world_process_zero:
            objects = {"model": model, "optimizer": optimizer, "scheduler": lr_scheduler}
            self.checkpoints.save(state.global_step, {name: one.state_dict() for name, one in objects.items()}, self.metrics,
                                  {"epoch": state.epoch}, overwrite=True, asynchronous=True)
        control.should_save = False

    on_epoch_end = on_step_end

    def on_train_end(self, args, state, control, **kwargs):
        self._signals.close()
        self.checkpoints.close()
