"""One run from its settings to its figures: pin, load, train, score the test sets, leave it all in the run's folder.

    store/runs/RUN/run.json               settings, splits, checkpoint, versions, world, figures
                   checkpoints/ predictions/ log.jsonl tensorboard/

Test sets are scored with the selected checkpoint, once, at the end; nothing is chosen by them. Predictions are Parquet
first; where a catalog exists, rank 0 has them ingested afterwards.
"""

import contextlib
import os
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.console import Console
from torch import nn

from shards.materialize import describe
from shards.remote import placed_at
from shards.split import Split
from training import evaluate, machine, record, splits
from training.checkpoint import (
    Progress,
    checkpoints,
    describe_weights,
    find_checkpoint,
    read_optimiser,
    read_progress,
    read_weights,
    run_folder,
    step_name,
    write_json,
)
from training.config import Config
from training.detectors import build_detector
from training.errors import TrainingError
from training.journal import Journal
from training.loop import Loop, evaluation_settings, training_sampler
from training.rank0 import on_rank0
from training.start import check_start, start_notes
from training.transfer import check_transfer, freeze, trained_share


@dataclass
class Run:
    """What the parts of a run share."""

    config: Config
    accelerator: Accelerator
    folder: Path
    splits: splits.Splits
    workers: int
    record: dict[str, Any]  # run.json
    console: Console

    def say(self, text: str) -> None:
        if self.accelerator.is_main_process:
            self.console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False)

    def save(self, **changes: Any) -> None:
        """Update run.json (rank 0)."""
        self.record.update(changes)
        if self.accelerator.is_main_process:
            write_json(self.folder / "run.json", self.record)


def _open(config: Config, evaluating: bool) -> splits.Splits:
    """The splits of a run; rank 0 finds or pins them, then every rank opens the manifests."""
    store, catalog = Path(config.store), Path(config.catalog)
    names = [None if evaluating else config.train, None if evaluating else config.val, *config.test]
    paths = on_rank0(lambda: [None if name is None else splits.split_path(name, store, catalog) for name in names])
    place = placed_at(config.shards, config.cache, config.cache_gb, config.offline, store)
    train, val, *tests = (None if path is None else Split.open(path, place, config.cache) for path in paths)
    repeated = {splits.label(test) for test in tests if sum(test.hash == other.hash for other in tests) > 1}
    if repeated:
        raise TrainingError(f"--test names {', '.join(sorted(repeated))} more than once: give each test set once")
    return splits.Splits(train, val, tuple(tests))


def _new_folder(config: Config, name: str) -> Path:
    """Make the folder of a new run (rank 0)."""
    run_id = config.name or f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = Path(config.store) / "runs" / run_id
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise TrainingError(
            f"run {run_id} exists already: continue it with --resume {run_id}, or choose another --name"
        ) from None
    return folder


def _prepared_model(config: Config, accelerator: Accelerator, weights: dict | None) -> nn.Module:
    """The detector on this rank's device, with `weights`, or as it starts from nothing (equal on all ranks)."""
    torch.manual_seed(config.seed)
    model = build_detector(config.detector.name, config.detector.options)
    if weights is not None:
        model.load_state_dict(weights)
    elif hasattr(model, "initialise"):
        with accelerator.local_main_process_first():  # one process of a machine downloads, the others find the file
            model.initialise()
    if config.sync_batchnorm and accelerator.num_processes > 1:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    layout = torch.channels_last if config.channels_last else torch.preserve_format
    model = model.to(device=accelerator.device, memory_format=layout)
    if config.compile:
        model.compile()
    return model


def _check(config: Config, chosen: splits.Splits, world: int, start: Path | None) -> None:
    """Raise for whatever can be known to be wrong before anything is made. `start`: the checkpoint of init_from."""
    model = build_detector(config.detector.name, config.detector.options)
    machine.check_device(config)
    for _, split in chosen.all():
        split.check_shards()
    if config.evaluate is None:
        splits.check_train(chosen.train, model, config.detector.name)
        training_sampler(config, chosen.train, 0, world)
        if chosen.val is not None:
            splits.check_selection(chosen.val, chosen.tests, config.select)
        elif config.patience is not None:
            raise TrainingError(
                "patience waits for a better --val, and there is none: give one, or leave patience away"
            )
        if config.trains == "transfer":
            check_transfer(model, config.detector.name)
            if start is None and config.resume is None and not getattr(model, "pretrained", False):
                raise TrainingError(
                    "--trains transfer keeps what was learnt before, and this run starts from random weights: give "
                    "--init_from, a run whose weights it starts from, or --trains all"
                )
        if start is not None:
            check_start(config, model, start)


def run_experiment(config: Config, name: str, checkpoint: Path | None) -> dict[str, Any]:
    """Train and test, continue, or only test (`config.evaluate`); returns run.json's content (complete on rank 0).

    `name` starts the name of a new run. Called on every rank. Raises TrainingError, or another room's error, for what
    the user can mend, before any work where it can be known before.
    """
    machine.check_launcher(config, os.environ)
    state = machine.join_processes(config)
    workers = machine.set_arithmetic(config, state)
    evaluating = config.evaluate is not None
    chosen = _open(config, evaluating)
    start = None
    if config.init_from is not None and checkpoint is None:
        start = on_rank0(lambda: find_checkpoint(config.init_from, Path(config.store), selected=True))
    on_rank0(lambda: _check(config, chosen, state.num_processes, start))

    if checkpoint is None:
        folder = on_rank0(lambda: _new_folder(config, name))
    else:
        folder = run_folder(checkpoint) or Path(config.store) / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
    progress = None
    if checkpoint is not None and not evaluating:
        progress = on_rank0(lambda: _continued(config, chosen, folder, checkpoint))
    accelerator = machine.make_accelerator(config, folder, config.tracker == "tensorboard" and not evaluating)
    notes = [*splits.lints(chosen), *splits.leaks(chosen)]
    fresh = record.new_record(config, folder.name, chosen, notes, accelerator.num_processes, accelerator.device)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    run = Run(config, accelerator, folder, chosen, workers, fresh, console)
    _introduce(run)
    if evaluating:
        weights, card = read_weights(checkpoint)
        run.record = record.evaluated(folder, run.record)
        _test(run, _prepared_model(config, accelerator, weights), step_name(card["step"]))
    else:
        if progress is not None:
            run.record = record.resumed(folder, run.record, progress.step)
        try:
            _train_and_test(run, checkpoint, start, progress or Progress(config.seed, chosen.train.hash))
        except BaseException as error:
            run.save(status="failed", error=f"{type(error).__name__}: {error}", finished_at=record.now())
            raise
    _ingest(run)
    accelerator.end_training()
    return run.record


def _introduce(run: Run) -> None:
    """Say what is about to happen, the number of processes always."""
    config, accelerator = run.config, run.accelerator
    world = accelerator.num_processes
    where = run.record["world"]
    run.say(
        f"run {run.folder.name}: {world} {'process' if world == 1 else 'processes'} on {where['device']} "
        f"({where['device_name']}), {where['threads']} threads and {run.workers} loader workers each, "
        f"precision {config.precision}, global batch {config.batch_size} = {world} x {config.accumulate} x "
        f"{config.batch_size / world / config.accumulate:g}"
    )
    for role, split in run.splits.all():
        about = splits.describe(split, role)
        shown = f"{about['samples']} faces, {about['real']} real, {about['fake']} fake"
        shown += f", {about['target']} of the target domain" if about.get("target") else ""
        shown += f", {about['faceless']} videos without a face" if about["faceless"] else ""
        run.say(f"{role} {splits.label(split)}: {shown}")
    for note in run.record["notes"]:
        run.say(f"WARNING: {note}")
    if config.evaluate is None and run.splits.val is None:
        run.say("no --val: no checkpoint is selected, the last one is kept and tested")


def _weights(run: Run, checkpoint: Path | None, start: Path | None) -> dict[str, torch.Tensor] | None:
    """The weights to go on from, or to start from; the record says of the latter which they are."""
    if checkpoint is not None:
        weights, card = read_weights(checkpoint)
        run.record["init_from"] = card.get("init_from")
        return weights
    if start is None:
        return None
    weights, card = read_weights(start)
    run.record["init_from"] = describe_weights(start, card)
    run.say("starting from {run}, {checkpoint}, weights {sha256}".format(**run.record["init_from"]))
    for note in start_notes(card, run.splits, Path(run.config.store)):
        run.record["notes"].append(note)
        run.say(f"WARNING: {note}")
    return weights


def _train_and_test(run: Run, checkpoint: Path | None, start: Path | None, progress: Progress) -> None:
    config, accelerator, folder = run.config, run.accelerator, run.folder
    train = run.splits.train
    weights = _weights(run, checkpoint, start)
    card = {
        "format": 1,
        "run_id": folder.name,
        "detector": {"name": config.detector.name, "options": config.detector.options},
        "config": config.without_places(),
        "splits": run.splits.card(),
        "recipes": train.recipes,
        "versions": run.record["versions"],
        "init_from": run.record["init_from"],
    }
    model = _prepared_model(config, accelerator, weights)
    if config.trains == "transfer":
        freeze(model)
        run.say(f"transfer learning: {trained_share(model)} are trained")
    loop = Loop(config, accelerator, model, train, run.splits.val, folder, card, progress, run.workers)
    if checkpoint is not None:
        loop.restore(read_optimiser(checkpoint))
        run.say(f"continuing after step {progress.step} of {loop.total_steps}, epoch {progress.epoch + 1}")
    if config.tracker == "tensorboard":
        accelerator.init_trackers("tensorboard", init_kwargs={"tensorboard": {"purge_step": progress.step + 1}})
    run.say(f"training reads {describe(train, ['image'])}")
    left = loop.sampler.epoch_places - loop.sampler.epoch_samples
    run.say(
        f"{loop.steps_per_epoch} steps an epoch, {loop.total_steps} in all"
        + (f"; {left} faces, others each epoch, are left out because they fill no batch" if left > 0 else "")
        + (f"; an epoch goes on where the last one stopped: {config.samples_per_epoch} faces of {len(train)}"
           if config.samples_per_epoch else "")
    )  # fmt: skip
    if never := loop.sampler.left_out:
        note = f"{never} faces of {splits.label(train)} are never trained on: the order {config.order} shows only "
        note += "faces of a weight above 0" if config.order == "weighted" else "pairs, and they are in none"
        run.record["notes"].append(note)
        run.say(f"WARNING: {note}")
    run.save(steps_per_epoch=loop.steps_per_epoch)
    journal = Journal(folder, accelerator, progress.step, loop.total_steps, config.trace)
    with contextlib.closing(journal):
        progress = loop.fit(
            journal, lambda progress: run.save(progress={"step": progress.step, "epoch": progress.epoch})
        )
    accelerator.wait_for_everyone()  # the last checkpoint is written
    if loop.stopped_early:
        ended = f"after epoch {progress.epoch} of {config.epochs}: {config.patience} without a better {config.select}"
        run.record["stopped_early"] = ended
        run.say(f"stopped {ended}")

    kept = find_checkpoint(str(folder), Path(config.store), selected=True)
    reason = "the last one (no --val)"
    if progress.best is not None:
        best = progress.best
        figure = abs(best["value"]) if best["metric"].endswith(("loss", "eer")) else best["value"]
        where = f"{best['split']}@{best['split_hash'][:12]}"
        reason = f"{best['metric']} {figure:.4f} on {where} after epoch {best['epoch'] + 1}"
    run.say(f"kept checkpoint {kept.name}: {reason}")
    run.record["checkpoint"] = {"name": kept.name, "why": reason, "best": progress.best}
    if kept.name != checkpoints(folder / "checkpoints")[-1].name:
        model.load_state_dict(read_weights(kept)[0])
    _test(run, model, kept.name)
    run.save(status="finished", finished_at=record.now())


def _continued(config: Config, chosen: splits.Splits, folder: Path, checkpoint: Path) -> Progress:
    """Where a checkpoint stood, checked against what is to be continued; raises TrainingError where they differ."""
    train, val = chosen.train, chosen.val
    last = checkpoints(folder / "checkpoints")[-1]
    if checkpoint.resolve() != last.resolve():
        raise TrainingError(
            f"{checkpoint.name} is not the run's last checkpoint: resume {last}, or move later ones away"
        )
    progress = read_progress(checkpoint)
    if progress.train_hash != train.hash:
        raise TrainingError(
            f"run {folder.name} was trained on the split {progress.train_hash[:12]}, and --train is "
            f"{splits.label(train)}: resume with the split it began with, or start a new run"
        )
    if config.schedule.name == "cosine" and config.epochs != read_weights(checkpoint)[1]["config"]["epochs"]:
        raise TrainingError(
            "a cosine schedule ends with the last epoch: its number of epochs cannot change on resuming"
        )
    if progress.best is not None and (val is None or val.hash != progress.best["split_hash"]):
        raise TrainingError(
            f"the run selects its checkpoint on {progress.best['split']}@{progress.best['split_hash'][:12]}: resume it "
            "with that --val"
        )
    return progress


def _test(run: Run, model: nn.Module, checkpoint: str) -> None:
    """Score all test sets with `model` on all ranks; rank 0 writes predictions and figures."""
    settings = evaluation_settings(run.config, run.workers)
    folder = run.folder / "predictions"
    for split in run.splits.tests:
        run.say(f"scoring {splits.label(split)} with {checkpoint}")
        scored = evaluate.score_split(run.accelerator, model, split, settings, folder)
        rows = on_rank0(lambda split=split, scored=scored: _finish(run, split, scored, checkpoint))
        others = [
            row for row in run.record["metrics"] if (row["split_hash"], row["checkpoint"]) != (split.hash, checkpoint)
        ]
        run.save(metrics=[*others, *rows])
    if run.accelerator.is_main_process and run.splits.tests:
        record.show(run.record["metrics"])


def _finish(run: Run, split: Split, scored: evaluate.Scored, checkpoint: str) -> list[dict[str, Any]]:
    scores = scored.join(split)
    rows = evaluate.figures(split, scores)
    evaluate.write_predictions(run.folder / "predictions", split, scores, run.folder.name, checkpoint)
    named = {"split": split.name, "split_hash": split.hash, "checkpoint": checkpoint}
    return [{**named, **row.as_dict()} for row in rows]


def _ingest(run: Run) -> None:
    """Have the predictions ingested where there is a catalog; leave them to the next `deepshard results` otherwise."""
    catalog = Path(run.config.catalog)
    if not run.accelerator.is_main_process or not run.splits.tests:
        return
    if not catalog.exists():
        run.say(f"predictions are in {run.folder / 'predictions'} (no catalog {catalog} to ingest them into)")
        return
    from queries.ingest import ingest_store

    try:
        ingest_store(catalog, Path(run.config.store))
    except Exception as error:
        if not getattr(type(error), "deepshard_error", False):
            raise
        run.say(f"predictions are in {run.folder / 'predictions'}; the catalog did not take them yet ({error}): "
                "`deepshard results` will")  # fmt: skip
        return
    run.say(f"predictions are in {catalog}: deepshard results")
