"""What happens between the steps of a training: progress, pictures in TensorBoard, the last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from glihamba_training.run.recipe import Recipe
from glihamba_training.run.sources import BatchSource
from glihamba_training.synthesis.batch import Batch

SHOWN = 4  # pictures in TensorBoard


class Progressing(RichProgressBar):
    """Counts the steps of the whole training: there are no epochs, and a resumed run does not begin at 0."""

    @property
    def total_train_batches(self) -> int | float:
        steps = int(self.trainer.max_steps)
        return steps if steps > 0 else float("inf")  # a training that ends by the clock

    def _get_train_description(self, current_epoch: int) -> str:
        return "Training"

    def get_metrics(self, trainer: L.Trainer, task: L.LightningModule) -> dict[str, Any]:
        metrics: dict[str, Any] = super().get_metrics(trainer, task)
        return {name: value for name, value in metrics.items() if name != "v_num"}


class LastStep(L.Callback):
    """Saves the last step, whatever the steps between checkpoints, and ends a training whose time is up.

    It must follow the averages' callback.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(
        self, trainer: L.Trainer, task: Any, outputs: Any, batch: Batch, index: int
    ) -> None:
        step = trainer.global_step
        over = task.done >= 1
        if over:
            trainer.should_stop = True
        if (over or step == trainer.max_steps) and step % self.every:
            trainer.save_checkpoint(self.path)


class Pictures(L.Callback):
    """Shows the same few pictures in TensorBoard now and then: composite, mask, harmonized, real."""

    def __init__(self, source: BatchSource, recipe: Recipe) -> None:
        self.every = recipe.pictures_every
        self.batch = source.batch(-1, recipe.size, SHOWN)  # no training reaches this step

    def on_train_batch_end(
        self, trainer: L.Trainer, task: Any, outputs: Any, batch: Batch, index: int
    ) -> None:
        step = trainer.global_step
        if not trainer.is_global_zero or step % self.every:
            return
        composite, mask, real = (picture.to(task.device) for picture in self.batch)
        training = task.network.training
        with torch.no_grad():
            harmonized = task.network.eval()(composite, mask).float().clamp(0, 1)
        task.network.train(training)
        rows = torch.cat((composite, mask.expand(-1, 3, -1, -1), harmonized, real), 3)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(
                    "composite, mask, harmonized, real", torch.cat(list(rows), 1), step
                )
