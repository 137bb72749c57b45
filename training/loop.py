"""The training loop: global batches in, optimiser steps out, a checkpoint and a validation at the end of each epoch.

It knows no detector by name. Model and optimiser go through `accelerator.prepare`, the loader does not (prepare would
split an already split batch again) and there is no scheduler object: the learning rate is a function of the step. Each
step's random numbers are seeded from (seed, step, rank), so that a resumed run needs no generator state.
"""

import contextlib
import hashlib
import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from shards.loader import loader
from shards.sampler import GlobalBatchSampler, Position
from shards.sequence import target_rows
from shards.split import Split
from training import evaluate
from training.augment import Augmentation, is_none
from training.checkpoint import Progress, prune_checkpoints, save_checkpoint, step_name
from training.config import Config, Optimiser, Schedule
from training.detectors import in_float32, loss_of, needs
from training.domains import TargetLabelsHidden
from training.errors import TrainingError
from training.inputs import model_inputs
from training.journal import Journal
from training.metrics import FIGURES, MetricRow
from training.rank0 import ToldByRank0, on_rank0
from training.waiting import Waiting


def training_sampler(config: Config, split: Split, rank: int, world: int) -> GlobalBatchSampler:
    """This rank's batches of `split`; raises OrderError where the split or the sizes do not allow them."""
    return GlobalBatchSampler(
        split, config.batch_size, seed=config.seed, rank=rank, world_size=world, accumulation=config.accumulate,
        kind=config.order, per_video=config.per_video, samples_per_epoch=config.samples_per_epoch, tail="drop",
    )  # fmt: skip


def make_optimiser(model: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of the parameters that are to be trained."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise TrainingError("the detector has no parameter to train: all are frozen")
    if settings.name == "sgd":
        return torch.optim.SGD(parameters, settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
    beta1, beta2 = settings.betas
    return kind(parameters, settings.lr, (beta1, beta2), settings.eps, settings.weight_decay)


def learning_rate(base: float, schedule: Schedule, step: int, total_steps: int) -> float:
    """The rate of optimiser step `step` (from 0) of `total_steps`: linear warm-up, then constant or half a cosine."""
    if step < schedule.warmup_steps:
        return base * (step + 1) / schedule.warmup_steps
    if schedule.name == "constant":
        return base
    done = (step - schedule.warmup_steps) / max(1, total_steps - schedule.warmup_steps)
    return base * (schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * min(1.0, done))) / 2)


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed the global generators (dropout and the like) for one optimiser step of one rank."""
    digest = hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()
    value = int.from_bytes(digest[:8], "little")
    torch.manual_seed(value & (2**63 - 1))
    np.random.seed(value & 0xFFFFFFFF)
    random.seed(value)


def selection_value(select: str, loss: float, rows: list[MetricRow]) -> float:
    """The figure `select` names, in such a sign that more is better. Video level counts faceless videos as 0.5."""
    if select == "loss":
        return -loss
    level, _, figure = select.partition("_")
    row = next(row for row in rows if row.level == level)  # of video level, the row that counts faceless ones is first
    value = getattr(row, figure)
    if value is None:
        raise TrainingError(f"{select} does not exist on --val ({row.reason}): choose another --select")
    return -value if figure == "eer" else value


class Loop:
    """One run between its first and its last step: the state that `fit` moves forward."""

    def __init__(
        self,
        config: Config,
        accelerator: Accelerator,
        model: nn.Module,
        train: Split,
        val: Split | None,
        folder: Path,
        card: dict[str, Any],
        progress: Progress,
        workers: int,
    ):
        self.config, self.accelerator, self.bare, self.folder, self.card = config, accelerator, model, folder, card
        self.train_split, self.val_split, self.progress, self.workers = train, val, progress, workers
        self.sampler = training_sampler(config, train, accelerator.process_index, accelerator.num_processes)
        self.steps_per_epoch = self.sampler.epoch_samples // config.batch_size
        self.total_steps = self.steps_per_epoch * config.epochs
        transform = None if is_none(config.augment) else Augmentation(config.augment)
        self.batches = loader(
            train.dataset(needs(model), config.unreadable, transform), self.sampler, workers=workers,
            pin_memory=accelerator.device.type == "cuda",
        )  # fmt: skip
        self.hide_target = TargetLabelsHidden(train) if target_rows(train).any() else None
        self.model, self.optimiser = accelerator.prepare(model, make_optimiser(model, config.optimiser))

    def restore(self, optimiser_state: dict[str, Any]) -> None:
        """Continue with a checkpoint's optimiser and loss scaler (the weights are in the model already)."""
        self.optimiser.load_state_dict(optimiser_state["optimiser"])
        if self.accelerator.scaler is not None and optimiser_state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(optimiser_state["scaler"])

    def fit(self, journal: Journal, after_epoch: Callable[[Progress], None]) -> Progress:
        """Train up to the last epoch, or until patience ends; `after_epoch` is called on rank 0 after each epoch's
        checkpoint."""
        for epoch in range(self.progress.epoch, self.config.epochs):
            if self.stopped_early:
                break
            self._epoch(epoch, journal)
            self.progress.epoch, self.progress.batch = epoch + 1, 0
            if self.val_split is not None:
                self._validate(epoch, journal)
            self._save()
            if self.accelerator.is_main_process:
                after_epoch(self.progress)
        return self.progress

    @property
    def stopped_early(self) -> bool:
        """Whether --val has not become better for as many epochs as the patience allows."""
        best, patience = self.progress.best, self.config.patience
        return patience is not None and best is not None and self.progress.epoch - 1 - best["epoch"] >= patience

    def _epoch(self, epoch: int, journal: Journal) -> None:
        config, progress = self.config, self.progress
        self.sampler.seek(Position(progress.train_hash, progress.seed, epoch, progress.batch * config.batch_size))
        self.model.train()
        loss_sum = torch.zeros((), device=self.accelerator.device)
        since, steps, waiting, ids = time.perf_counter(), 0, Waiting(self.accelerator.device), []
        batches = iter(self.batches)
        for _ in range(self.steps_per_epoch - progress.batch):
            seed_step(config.seed, progress.step, self.accelerator.process_index)
            for turn in range(config.accumulate):
                with waiting:
                    batch = next(batches)
                journal.unreadable(progress.step + 1, batch["errors"])
                if config.trace:
                    ids += self.train_split.sample_ids(batch["index"].tolist())
                loss_sum += self._backward(batch, last=turn == config.accumulate - 1)
            rate = self._step()
            progress.step, progress.batch = progress.step + 1, progress.batch + 1
            progress.samples_seen += config.batch_size
            steps += 1
            journal.trace(progress.step, epoch, ids)
            ids = []
            if progress.step % config.log_every == 0 or progress.batch == self.steps_per_epoch:
                mean = float(self.accelerator.reduce(loss_sum / steps, "mean"))
                seconds = time.perf_counter() - since
                self._report(journal, epoch, mean, rate, steps, seconds, waiting.take())
                loss_sum, since, steps = torch.zeros_like(loss_sum), time.perf_counter(), 0
            due = config.checkpoint_every and progress.step % config.checkpoint_every == 0
            if due and progress.batch < self.steps_per_epoch:  # the end of an epoch saves anyway, after validation
                self._save()

    def _backward(self, batch: dict, last: bool) -> torch.Tensor:
        """Gradients of one micro-batch, exchanged between the ranks after the step's last one.

        Returns its share of the step's loss, on the device: reading it would make the device wait.
        """
        inputs = model_inputs(self._learnt_from(batch), self.bare, self.accelerator.device, self.config.channels_last)
        with contextlib.nullcontext() if last else self.accelerator.no_sync(self.model):
            output = in_float32(self.model(inputs))
            loss = loss_of(self.bare, output, inputs) / self.config.accumulate
            self.accelerator.backward(loss)
        return loss.detach()

    def _learnt_from(self, batch: dict) -> dict:
        """The batch as the loss may see it: no weight where the order goes by them, no label where there is no face or
        where it belongs to a target domain."""
        if self.config.order == "weighted":
            batch = {**batch, "weight": torch.ones_like(batch["weight"])}
        if self.config.unreadable == "record":
            unread = ~batch["valid"]
            batch = {**batch, "label": batch["label"].masked_fill(unread, -1),
                     "weight": batch["weight"].masked_fill(unread, 0)}  # fmt: skip
        return batch if self.hide_target is None else self.hide_target(batch)

    def _step(self) -> float:
        rate = learning_rate(self.config.optimiser.lr, self.config.schedule, self.progress.step, self.total_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if self.config.optimiser.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.optimiser.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return rate

    def _report(
        self, journal: Journal, epoch: int, loss: float, rate: float, steps: int, seconds: float, waited: float
    ):
        if not math.isfinite(loss):  # the mean over all ranks: all of them stop here, one tells
            kind = TrainingError if self.accelerator.is_main_process else ToldByRank0
            raise kind(
                f"the loss is {loss} at step {self.progress.step}: lower --optimiser.lr, set --optimiser.clip_norm, or "
                "train with --precision bf16 or no; the checkpoints so far are kept"
            )
        speed = steps * self.config.batch_size / seconds
        values = {
            "epoch": epoch, "loss": loss, "lr": rate, "samples_seen": self.progress.samples_seen,
            "images_per_second": round(speed, 1), "waiting_for_data": round(waited / seconds, 4),
        }  # fmt: skip
        shown = (
            f"epoch {epoch + 1}/{self.config.epochs} step {self.progress.step}/{self.total_steps} loss {loss:.4f} "
            f"lr {rate:.2g} {speed:.0f} images/s, {waited / seconds:.0%} of it waiting for data"
        )
        brief = f"epoch {epoch + 1}/{self.config.epochs} loss {loss:.4f} {speed:.0f} images/s"
        journal.report("train", self.progress.step, values, shown, brief)

    def _validate(self, epoch: int, journal: Journal) -> None:
        """Score --val and, if it is the best so far, select the checkpoint that is about to be written."""
        settings = evaluation_settings(self.config, self.workers)
        select, split = self.config.select, self.val_split
        part_scores = evaluate.score_split(self.accelerator, self.bare, split, settings, self.folder)

        def figures_of() -> dict[str, Any]:
            rows, loss = evaluate.figures(split, part_scores.join(split)), part_scores.loss
            value = selection_value(select, loss, rows)
            return {"epoch": epoch, "loss": loss, "value": value, "rows": [row.as_dict() for row in rows]}

        self.progress.last_val = on_rank0(figures_of)
        best, found = self.progress.best, self.progress.last_val
        better = best is None or found["value"] > best["value"]
        if better:
            self.progress.best = {
                "checkpoint": step_name(self.progress.step), "epoch": epoch, "value": found["value"],
                "metric": self.config.select, "split": self.val_split.name, "split_hash": self.val_split.hash,
            }  # fmt: skip
        counted = [row for row in found["rows"] if row["level"] == "frame" or row["faceless"] != "left out"]
        figures = {f"{row['level']}_{name}": row[name] for row in counted for name in FIGURES}
        shown = f"validation after epoch {epoch + 1}: loss {found['loss']:.4f}"
        for name in ("frame_auc", "frame_accuracy", "video_auc"):
            shown += f" {name} {figures[name]:.4f}" if figures[name] is not None else ""
        shown += " (best so far)" if better else ""
        journal.report("val", self.progress.step, {"epoch": epoch, "loss": found["loss"], **figures}, shown)

    def _save(self) -> None:
        """Write the checkpoint (rank 0) and delete all others but the selected one."""
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        folder = self.folder / "checkpoints"
        state = {
            "optimiser": self.optimiser.state_dict(),
            "scaler": None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
        }
        card = {**self.card, "step": self.progress.step, "epoch": self.progress.epoch}
        save_checkpoint(folder, self.bare.state_dict(), state, self.progress, card)
        best = self.progress.best
        prune_checkpoints(folder, {step_name(self.progress.step), *([best["checkpoint"]] if best else [])})


def evaluation_settings(config: Config, workers: int) -> evaluate.Settings:
    return evaluate.Settings(config.eval_batch_size or 2 * config.batch_size, workers, config.channels_last)
