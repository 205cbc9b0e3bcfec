"""A callback of Lightning that keeps checkpoints with stele, and goes on where the last run ended.

trainer = Trainer(enable_checkpointing=False, callbacks=[SteleCheckpoints("runs/7", every=500, keep_last=3)])
"""

import contextlib

import stele
from lightning.pytorch import Callback


class SteleCheckpoints(Callback):
    """Saves every so many steps in the background, and before SIGTERM ends the program. The options are those of
    stele.Checkpoints; `keep_best` knows what the module logs. Steps are counted on from the checkpoint that was restored."""

    def __init__(self, folder, every=1000, **options):
        self.every = every
        self.checkpoints = stele.Checkpoints(folder, **options)
        self.before = 0  # steps of earlier runs
        self._last = 0
        self._signals = contextlib.ExitStack()

    def on_train_start(self, trainer, pl_module):
        self._signals.enter_context(self.checkpoints.save_on_signal())
        if self.checkpoints.latest() is not None:
            objects = {"model": pl_module, "optimizers": list(trainer.optimizers),
                       "schedulers": [config.scheduler for config in trainer.lr_scheduler_configs]}
            self.before = self.checkpoints.restore(into=objects, report=True)[1].step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if self.checkpoints.stop_requested:
            trainer.should_stop = True
        if trainer.global_step % self.every == 0 or trainer.should_stop:
            self.save(trainer, pl_module)

    def save(self, trainer, pl_module):
        step = trainer.global_step
        if not trainer.is_global_zero or step == self._last:  # the same step while gradients accumulate
            return
        self._last = step
        state = {"model": pl_module.state_dict(), "optimizers": [one.state_dict() for one in trainer.optimizers],
                 "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs]}
        self.checkpoints.save(self.before + step, state, trainer.callback_metrics, {"epoch": trainer.current_epoch},
                              asynchronous=True)

    def on_train_end(self, trainer, pl_module):
        self._signals.close()
        self.checkpoints.close()

    def on_exception(self, trainer, pl_module, exception):
        self.on_train_end(trainer, pl_module)
