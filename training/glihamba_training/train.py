"""Training on synthesised composites, on Lightning."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from glihamba.models import build
from glihamba_training.losses import LOSSES, foreground_normalised
from glihamba_training.photos import load_bank
from glihamba_training.recipe import Recipe
from glihamba_training.synthesis import Batch, Synthesis

BANK_PER_TRAINING_SIZE = 1.5  # crops down to two thirds are still sampled without enlarging


class Composites(IterableDataset[Batch]):
    """Endless batches, the same for the same recipe and step: a resumed run sees an unbroken run's."""

    def __init__(self, data: Path, recipe: Recipe, split: str, first_step: int = 0) -> None:
        bank = load_bank(data, split, round(recipe.size * BANK_PER_TRAINING_SIZE))
        self.synthesis = Synthesis(bank, recipe.synthesis, recipe.seed)
        self.recipe, self.first_step = recipe, first_step

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        torch.set_num_threads(1)
        step, stride = self.first_step, 1
        if worker is not None:
            step, stride = step + worker.id, worker.num_workers
        while True:
            yield self.synthesis.batch(step, self.recipe.size, self.recipe.batch)
            step += stride


class HarmonizationTask(L.LightningModule):
    """The network, its loss and its optimiser, as the recipe says."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.network = build(recipe.model, **recipe.config)
        self.save_hyperparameters({"recipe": dataclasses.asdict(recipe)})

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss, harmonized = LOSSES[self.recipe.loss](self.network, batch, self.recipe)
        with torch.no_grad():
            ours, untouched = (
                foreground_normalised(picture, batch.real, batch.mask, power=self.recipe.loss_power)
                for picture in (harmonized, batch.composite)
            )
        if not torch.isfinite(loss):
            path = Path(self.trainer.default_root_dir) / f"not-finite-{self.global_step}.pt"
            torch.save(batch._asdict(), path)
            raise FloatingPointError(
                f"The loss is not a number at step {self.global_step}; its batch is in {path}."
            )
        self.log("loss", loss, prog_bar=True)
        self.log("ratio", ours / untouched, prog_bar=True)  # below 1: better than the composite
        return loss

    def configure_optimizers(self) -> Any:
        r = self.recipe
        optimiser = torch.optim.Adam(self.parameters(), r.learning_rate, betas=r.betas)

        def factor(step: int) -> float:
            return min(1.0, (step + 1) / max(1, r.warmup)) * r.decay ** sum(step >= m for m in r.milestones)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(recipe: Recipe, data: Path, run: Path, *, resume: Path | None = None, workers: int = 0) -> Path:
    """Trains to `recipe.steps` and returns the last checkpoint, `run/last.ckpt`.

    `resume`: a checkpoint to go on from, optimiser, averages and step included. The recipe may ask for
    more steps, another size or other perturbations than the checkpoint's did.
    """
    torch.manual_seed(recipe.seed)
    run.mkdir(parents=True, exist_ok=True)
    (run / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe), indent=1))
    first_step = 0
    if resume is not None:
        first_step = torch.load(resume, map_location="cpu", weights_only=True)["global_step"]
    loader = DataLoader(
        Composites(data, recipe, "train", first_step),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    checkpoints = ModelCheckpoint(
        run,
        save_last=True,
        save_top_k=0,
        every_n_train_steps=recipe.checkpoint_every,
        enable_version_counter=False,
    )
    trainer = L.Trainer(
        default_root_dir=run,
        max_steps=recipe.steps,
        gradient_clip_val=recipe.clip,
        callbacks=[checkpoints, EMAWeightAveraging(decay=recipe.ema)],
        logger=CSVLogger(run, name="log"),
        log_every_n_steps=50,
        enable_model_summary=False,
    )
    trainer.fit(HarmonizationTask(recipe), loader, ckpt_path=resume, weights_only=True)
    return run / "last.ckpt"


def averaged_weights(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The network's averaged weights in a checkpoint, and the recipe it was trained by."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    prefix = "network."
    weights = {k.removeprefix(prefix): v for k, v in saved["state_dict"].items() if k.startswith(prefix)}
    return weights, saved["hyper_parameters"]["recipe"]
