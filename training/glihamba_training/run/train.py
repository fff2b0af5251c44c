"""Training on Lightning: one process, or as many as `torchrun` starts."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import platform
import time
import warnings
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader

import glihamba
from glihamba.errors import BadRequest, HarmonizeError
from glihamba.networks import build
from glihamba_proto.files import forget_parts
from glihamba_training.data.encoder import give_public_weights
from glihamba_training.data.iharmony4 import Triple
from glihamba_training.data.picture_cache import DISK_FULL, OnProgress
from glihamba_training.losses import LOSSES, foreground_normalised
from glihamba_training.run.callbacks import LastStep, Pictures, Progressing
from glihamba_training.run.checkpoints import (
    BadCheckpoint,
    WholeCheckpoints,
    averaged_weights,
    disk_full,
    inherited,
    read_checkpoint,
    recorded,
    starting_weights,
    take_weights,
    with_silent_parts,
)
from glihamba_training.run.memory import Reading, memory_of
from glihamba_training.run.optimisers import decay, optimiser_of
from glihamba_training.run.own_answers import OwnAnswers
from glihamba_training.run.processor import keep_freed_memory, multiply_by_onednn, precision_here
from glihamba_training.run.recipe import PRECISIONS, Recipe, RecipeError
from glihamba_training.run.sources import BatchSource, Loader, open_source, seen_by
from glihamba_training.run.synchronised import synchronise
from glihamba_training.run.validation import validation_triples
from glihamba_training.scoring.protocols import PROTOCOLS
from glihamba_training.synthesis.batch import Batch
from glihamba_training.synthesis.crops import CropCount

__all__ = ["HarmonizationTask", "NotANumber", "averaged_weights", "train"]

_log = logging.getLogger(__name__)


class NotANumber(HarmonizeError, FloatingPointError):
    """The loss is not finite; `str(error)` says where its batch is."""


@dataclasses.dataclass(frozen=True)
class Pictured:
    """crops: what became of this process's crops. held_out: pictures to score while training."""

    crops: CropCount
    held_out: list[Triple]

    def __deepcopy__(self, memo: Any) -> Pictured:
        return self  # the averages are a copy of the task, and need no pictures of their own

    def loader(self) -> DataLoader[int] | None:
        """The places of the pictures held out, which Lightning shares out among processes."""
        return DataLoader(range(len(self.held_out))) if self.held_out else None  # type: ignore[arg-type]


class HarmonizationTask(L.LightningModule):
    """The network, its loss and its optimiser, as the recipe says; and the record of what it has seen.

    provenance: where the weights come from and what they have seen, in plain types; every checkpoint
    continues it. first_step: where the learning rate's schedule begins if no optimiser's state is restored.
    done: the share of the recipe's minutes that has passed, 0 for a recipe without.
    """

    def __init__(self, recipe: Recipe, provenance: dict[str, Any], first_step: int = 0) -> None:
        super().__init__()
        self.recipe = recipe
        self.provenance = provenance
        self.first_step = first_step
        self.done = 0.0
        self.pictures = Pictured(CropCount(), [])
        self.own_answers = OwnAnswers()
        self.network = build(recipe.model, **recipe.config)
        self.memory = memory_of(recipe, self.network)
        for name, weights in self.network.named_parameters():
            weights.requires_grad_(name.startswith(recipe.only))
        if not any(weights.requires_grad for weights in self.network.parameters()):
            raise RecipeError(f'No weights of {recipe.model} have a name that begins with "{recipe.only}".')
        self.save_hyperparameters({"recipe": dataclasses.asdict(recipe)})

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        # The seed depends on the step alone: a resumed run draws what the unbroken one would.
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.global_step) * 4096 + self.global_rank)
        if self.recipe.minutes:  # one clock for all processes: they must agree on the rate and on the end
            self.done = float(self.trainer.strategy.broadcast(self._seconds() / (60 * self.recipe.minutes)))

    def on_train_start(self) -> None:
        self._begun, self._began_at = time.monotonic(), self.global_step

    def _seconds(self) -> float:
        """How long this training has run, with the runs that it resumed."""
        return float(self.provenance["seconds"]) + time.monotonic() - self._begun

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss, harmonized, batch = self.step_loss(batch)
        with torch.no_grad():
            ours, untouched = (
                foreground_normalised(picture, batch.real, batch.mask, power=self.recipe.loss_power)
                for picture in (harmonized, batch.composite)
            )
        if not torch.isfinite(loss):
            self._stop(batch)
        self.log("loss", loss, prog_bar=True)
        self.log("ratio", ours / untouched, prog_bar=True)  # below 1: better than the composite
        self.log("epochs", self.global_step * self.recipe.fresh / self.recipe.epoch)
        crops = self.pictures.crops
        if crops.drawn and (self.global_step + 1) % _log_every(self.recipe) == 0:
            self.log("widened", crops.widened / crops.drawn)
        return loss

    def step_loss(self, batch: Batch) -> tuple[Tensor, Tensor, Batch]:
        """The loss of a step with these new composites, the harmonized pictures, and the whole batch."""
        network, whole = self.network, self.own_answers.joined(batch) if self.recipe.own_answers else batch
        if self.memory is not None:
            network, whole = self.memory.after(cast("Reading", self.network), batch)
        loss, harmonized = LOSSES[self.recipe.loss](network, whole, self.recipe)
        if self.recipe.own_answers:
            self.own_answers.keep(batch, harmonized)
        return loss, harmonized, whole

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        decay(optimizer, self.recipe.weight_decay)

    def validation_step(self, index: Tensor, number: int) -> None:
        """Scores a picture that is never trained on, under the protocol `strict`."""
        scores = PROTOCOLS["strict"](self.pictures.held_out[int(index)], self.network)
        for name in ("psnr", "fmse"):
            self.log(
                f"val_{name}", getattr(scores, name), prog_bar=name == "psnr", sync_dist=True, batch_size=1
            )

    def _stop(self, batch: Batch) -> None:
        process = f"-{self.global_rank}" if self.trainer.world_size > 1 else ""
        path = Path(self.trainer.default_root_dir) / f"not-finite-{self.global_step}{process}.pt"
        torch.save({name: picture.cpu() for name, picture in batch._asdict().items()}, path)
        raise NotANumber(
            f"The loss is not a number at step {self.global_step}; its batch is in {path}."
            " Lower the recipe's learning_rate, or clip its gradient, and go on from the last checkpoint."
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        seen = (self.global_step - self._began_at) * self.recipe.fresh
        checkpoint["provenance"] = {
            **self.provenance,
            "composites": self.provenance["composites"] + seen,
            "seconds": self._seconds(),
            "crops": self.provenance["crops"] + self.pictures.crops.drawn,
            "widened": self.provenance["widened"] + self.pictures.crops.widened,
        }

        if self.own_answers.kept is not None:
            kept = self.own_answers.kept._asdict()
            checkpoint["own_answers"] = {name: picture.cpu() for name, picture in kept.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "own_answers" in checkpoint:
            self.own_answers.kept = Batch(**checkpoint["own_answers"])

    def configure_optimizers(self) -> Any:
        r = self.recipe
        optimiser = optimiser_of(self.network, r)

        def factor(step: int) -> float:
            reached = self.done * r.steps if r.minutes else step
            return min(1.0, (step + 1) / max(1, r.warmup)) * r.decay ** sum(
                reached >= m for m in r.milestones
            )

        for group in optimiser.param_groups:
            group["initial_lr"] = r.learning_rate  # as the schedule wants it that begins later than at 0
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor, self.first_step - 1)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(
    recipe: Recipe,
    data: Path,
    run: Path,
    *,
    resume: Path | None = None,
    start: str | None = None,
    workers: int = 0,
    progress: OnProgress = lambda done, total: None,
) -> Path:
    """Trains to `recipe.steps`, or for `recipe.minutes`, and returns the last checkpoint, `run/last.ckpt`.

    data: see `sources.open_source`. resume: a checkpoint to go on from. A .ckpt restores optimiser, averages
    and step; a .safetensors restores weights and step, and the optimiser is a fresh one. The recipe may ask
    for more steps, another size or other pictures than the checkpoint's own did. start: a registered model,
    checkpoint or safetensors file whose weights to start from; state-space blocks that they lack begin as if
    they were not there. workers: threads that make batches ahead. Under `torchrun` each process takes its
    share of every batch.

    Raises FileNotFoundError, BadPicture, BadCheckpoint, RecipeError, CannotSave, NotANumber.
    """
    world, rank = (int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", 1), ("RANK", 0)))
    last = run / "last.ckpt"
    _refuse_impossible(recipe, last, resume, world)
    torch.manual_seed(recipe.seed)
    provenance, first_step = _past(recipe, resume)
    task = HarmonizationTask(recipe, provenance, first_step)
    given = {} if start is None else starting_weights(start)
    if resume is None:
        give_public_weights(task.network, given)
    if start is not None:
        take_weights(task.network, with_silent_parts(task.network, given), start, recipe.model)
    elif resume is not None:  # before Lightning does it, whose error would not be a sentence
        take_weights(task.network, averaged_weights(resume)[0], str(resume), recipe.model)
    device = torch.device("cpu") if workers else _device()
    if workers and torch.cuda.is_available():
        torch.set_num_threads(1)  # the cores are the workers'
    if device.type == "cpu":
        keep_freed_memory()
        multiply_by_onednn()
    source, described = open_source(data, recipe, device=device, progress=progress)
    task.pictures = Pictured(source.crops, validation_triples(data, recipe))
    if world > 1:
        synchronise(task.network)
    _note(provenance, described, data, start)
    seen = seen_by(source, data).to_record()
    provenance["seen"] += [] if seen in provenance["seen"] else [seen]
    loader = Loader(source, recipe, first_step=first_step, rank=rank, world=world, threads=workers)
    try:
        run.mkdir(parents=True, exist_ok=True)
        if not rank:
            forget_parts(last)
            (run / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe), indent=1))
        trainer = _trainer(recipe, run, world, source)
        if resume is not None and resume.suffix == ".safetensors":
            _log.warning("%s holds no optimiser: step %d begins with a fresh one.", resume, first_step)
            _begin_at(trainer, first_step)
            resume = None
        # Most recipes do without validation, and the run's folder has the recipe in it already.
        for known in ("You defined a `validation_step`", "Checkpoint directory .* exists and is not empty"):
            warnings.filterwarnings("ignore", known)
        trainer.fit(task, loader, task.pictures.loader(), ckpt_path=resume, weights_only=True)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise disk_full(last) from error
        raise
    return last


def _refuse_impossible(recipe: Recipe, last: Path, resume: Path | None, world: int) -> None:
    """Raises RecipeError for a batch that can't be shared, BadRequest for a folder with another training."""
    if recipe.fresh % world:
        raise RecipeError(
            f"A batch of {recipe.batch} can't be shared by {world} processes: change one of them."
        )
    if last.exists() and (resume is None or resume.resolve() != last.resolve()):
        raise BadRequest(
            f"{last.parent} holds a training already: go on with --resume {last}, or name another folder."
        )


def _begin_at(trainer: L.Trainer, step: int) -> None:
    """Has Lightning count from `step` on, as if it had restored its own checkpoint."""
    loop = trainer.fit_loop.epoch_loop
    loop.automatic_optimization.optim_progress.optimizer.step.total.completed = step
    loop.on_load_checkpoint({"_batches_that_stepped": step})  # the step in the logs


def _trainer(recipe: Recipe, run: Path, world: int, source: BatchSource) -> L.Trainer:
    callbacks: list[L.Callback] = [
        EMAWeightAveraging(decay=recipe.ema),
        LastStep(run / "last.ckpt", recipe.checkpoint_every),
        Progressing(),
        *_checkpoints(recipe, run),
    ]
    if recipe.pictures_every:
        callbacks.append(Pictures(source, recipe))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # below that it advertises
    return L.Trainer(
        default_root_dir=run,
        max_steps=-1 if recipe.minutes else recipe.steps,
        gradient_clip_val=recipe.clip,
        precision=PRECISIONS[precision_here(recipe.precision)],
        accelerator="cuda" if torch.cuda.is_available() else "cpu",  # as `_device` says
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        plugins=[WholeCheckpoints()],
        callbacks=callbacks,
        logger=[
            CSVLogger(run, name="log", flush_logs_every_n_steps=recipe.log_every),
            TensorBoardLogger(run, name="tensorboard", version=""),
        ],
        log_every_n_steps=_log_every(recipe),
        check_val_every_n_epoch=None,  # there is one endless epoch
        val_check_interval=recipe.validate_every or None,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def _checkpoints(recipe: Recipe, run: Path) -> list[L.Callback]:
    """What writes `last.ckpt`, and as the recipe wants `best.ckpt` and `step-N.ckpt`."""
    last = ModelCheckpoint(
        run,
        save_last=True,
        save_top_k=0,
        every_n_train_steps=recipe.checkpoint_every,
        enable_version_counter=False,
    )
    kept: list[L.Callback] = [last]
    if recipe.validate_every:
        kept.append(ModelCheckpoint(run, "best", "val_psnr", mode="max", enable_version_counter=False))
    if recipe.keep_every:
        every = recipe.keep_every
        kept.append(ModelCheckpoint(run, "{step:07d}", save_top_k=-1, every_n_train_steps=every))
    return kept


def _log_every(recipe: Recipe) -> int:
    """Steps between lines of metrics.csv: a short training has one, too."""
    return min(recipe.log_every, recipe.steps)


def _device() -> torch.device:
    """Where this process trains."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if (count := torch.cuda.device_count()) > 1 and "LOCAL_RANK" not in os.environ:
        _log.warning("One of %d graphics cards is used: `torchrun` starts a process for each.", count)
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def _past(recipe: Recipe, resume: Path | None) -> tuple[dict[str, Any], int]:
    """The resumed checkpoint's record, or a new one, and the step to begin with."""
    if resume is None:
        nothing = {
            "composites": 0,
            "seconds": 0.0,
            "crops": 0,
            "widened": 0,
            "data": [],
            "licences": {},
            "seen": [],
        }
        return {**nothing, "started_from": "", "machine": ""}, 0
    saved = read_checkpoint(resume)
    before = saved["hyper_parameters"]["recipe"]
    if before["model"] != recipe.model:
        raise BadCheckpoint(
            f"{resume} is a training of {before['model']}, the recipe is {recipe.model}'s:"
            " resume with its own recipe."
        )
    return recorded(saved), saved["global_step"]


def _note(provenance: dict[str, Any], described: dict[str, Any], data: Path, start: str | None) -> None:
    """Adds this run to the record: where it started from, its data (once for all runs), its machine."""
    if start is not None:
        provenance.update(inherited(start), started_from=Path(start).name)
    entry = {**described, "root": str(data.resolve())}
    unknown = {**entry, "root": ""}  # as `write_weights` records it
    noted = [entry if each == unknown else each for each in provenance["data"]]
    provenance["data"] = noted if entry in noted else [*noted, entry]
    cards = (
        f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    )
    provenance["machine"] = cards or platform.machine()
    provenance["glihamba"] = glihamba.__version__
