"""Scores for every face of a pinned split, on all ranks, and the figures from them.

Each rank scores its slice and writes (row, score) pairs to a file of its own; rank 0 joins the files, checks that every
row was scored exactly once, and writes one Parquet of predictions. Nothing but one float per face is ever in memory,
and padded slots never leave the rank. Before scoring, rank 0's batch-norm statistics go to all ranks, which otherwise
each score with their own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from accelerate import Accelerator
from torch import nn

from shards.loader import loader
from shards.sampler import GlobalBatchSampler
from shards.schema import PREDICTIONS
from shards.split import Split
from training.detectors import in_float32, logits_of, loss_of, needs
from training.errors import TrainingError
from training.inputs import keep_valid, model_inputs
from training.metrics import FACELESS_SCORE, MetricRow, metric_rows
from training.splits import label

_PART = pa.schema([pa.field("index", pa.int64()), pa.field("score", pa.float32())])
_ROWS = 65536  # rows in memory at a time when predictions are written


@dataclass(frozen=True)
class Settings:
    """How a split is scored; none of it changes a score beyond rounding."""

    batch_size: int  # global
    workers: int = 0
    channels_last: bool = False


@dataclass(frozen=True)
class Scored:
    """A split that all ranks have scored: their files, and the mean loss."""

    parts: list[Path]
    loss: float  # mean over the faces; NaN where there is none

    def join(self, split: Split) -> np.ndarray:
        """The probability of fake of each row of the split, float32 [n], from all ranks' files, which are deleted.

        For rank 0 alone. Raises TrainingError unless every row was scored exactly once.
        """
        scores = np.full(len(split), np.nan, dtype=np.float32)
        times = np.zeros(len(split), dtype=np.int64)
        for part in self.parts:
            table = pq.read_table(part)
            rows = table["index"].to_numpy()
            times += np.bincount(rows, minlength=len(split))
            scores[rows] = table["score"].to_numpy()
        wrong = np.flatnonzero(times != 1)
        if wrong.size:
            raise TrainingError(
                f"{wrong.size} of {len(split)} faces of {label(split)} were not scored exactly once, the first is "
                f"{split.sample_ids([int(wrong[0])])[0]} ({times[wrong[0]]} times): are all processes reading the same "
                "manifest and writing to the same folder?"
            )
        for part in self.parts:
            part.unlink()
        return scores


def same_buffers(model: nn.Module) -> None:
    """Give all ranks rank 0's buffers (batch-norm statistics): all score with the weights that are saved."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)


def _batch_for(split: Split, settings: Settings, world: int) -> int:
    """The global batch: as asked, but no larger than the split needs, and a multiple of the number of processes."""
    wanted = min(settings.batch_size, len(split))
    return max(1, -(-wanted // world)) * world


def _score_slice(
    accelerator: Accelerator, model: nn.Module, split: Split, settings: Settings, part: Path
) -> tuple[float, int]:
    """Score this rank's slice into the Parquet `part`; returns (summed loss, faces)."""
    sampler = GlobalBatchSampler(
        split, _batch_for(split, settings, accelerator.num_processes),
        rank=accelerator.process_index, world_size=accelerator.num_processes, kind="sequential", tail="pad",
    )  # fmt: skip
    on_gpu = accelerator.device.type == "cuda"
    batches = loader(split.dataset(members=needs(model)), sampler, workers=settings.workers, pin_memory=on_gpu)
    total, faces = torch.zeros((), dtype=torch.float64), 0
    waiting: list[tuple[torch.Tensor, torch.Tensor]] = []
    with pq.ParquetWriter(part, _PART) as writer:

        def flush() -> None:
            if waiting:
                index = torch.cat([rows for rows, _ in waiting]).numpy()
                scores = torch.cat([values for _, values in waiting]).cpu().numpy()
                writer.write_table(pa.table([pa.array(index), pa.array(scores)], schema=_PART))
                waiting.clear()

        for batch in batches:
            batch = keep_valid(batch)
            rows = batch["index"]
            if not len(rows):
                continue
            moved = model_inputs(batch, model, accelerator.device, settings.channels_last)
            with accelerator.autocast():
                output = model(moved)
            output = in_float32(output)
            logits = logits_of(output)
            if logits.shape != rows.shape:
                raise TrainingError(
                    f"the detector gave logits {tuple(logits.shape)} for {len(rows)} faces, not one each"
                )
            total = total.to(logits.device)
            total += loss_of(model, output, moved).double() * len(rows)
            faces += len(rows)
            waiting.append((rows, torch.sigmoid(logits)))
            if len(waiting) >= 64:
                flush()
        flush()
    return float(total), faces


def figures(split: Split, scores: np.ndarray) -> list[MetricRow]:
    """Frame- and video-level rows of `scores` float32 [n], one per row of the split. Bad scores are named by sample."""
    bad = ~np.isfinite(scores)
    if bad.any():
        shown = ", ".join(split.sample_ids(np.flatnonzero(bad)[:5].tolist()))
        raise TrainingError(
            f"{int(bad.sum())} of {len(split)} scores on {label(split)} are not numbers, for example of {shown}: the "
            "detector diverged; lower the learning rate or train with --precision bf16 or no"
        )
    faceless = [int(row["label"]) for row in split.faceless]
    return metric_rows(split.table["video_id"], split.labels, scores, faceless)


def score_split(accelerator: Accelerator, model: nn.Module, split: Split, settings: Settings, folder: Path) -> Scored:
    """Score every face of `split`; to be called on all ranks.

    `model` is the bare module (not DDP's wrapper); it is left in evaluation mode. `folder`, which all ranks must see,
    holds the ranks' parts until rank 0 joins them.
    """
    parts = [folder / f".{label(split)}.part-{rank:05d}" for rank in range(accelerator.num_processes)]
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(f".{label(split)}.part-*"):  # of a run that was killed
            stale.unlink()
    accelerator.wait_for_everyone()
    model.eval()
    same_buffers(model)
    with torch.inference_mode():
        total, faces = _score_slice(accelerator, model, split, settings, parts[accelerator.process_index])
    summed = accelerator.reduce(torch.tensor([total, faces], dtype=torch.float64, device=accelerator.device), "sum")
    accelerator.wait_for_everyone()
    return Scored(parts, float(summed[0] / summed[1]))


def prediction_batches(split: Split, scores: np.ndarray, run_id: str, checkpoint: str):
    """The predictions of a split as Arrow tables of at most 65,536 rows, the videos without a face (0.5) at the end."""

    def table(columns: dict, count: int) -> pa.Table:
        constant = {"run_id": run_id, "checkpoint": checkpoint, "split": split.name, "split_hash": split.hash}
        filled = {name: pa.array([value] * count, pa.string()) for name, value in constant.items()}
        return pa.table({**filled, **columns}, schema=PREDICTIONS)

    for start in range(0, len(split), _ROWS):
        rows = split.table.slice(start, _ROWS)
        columns = {name: rows[name].cast(PREDICTIONS.field(name).type) for name in ("sample_id", "video_id", "label")}
        columns["score"] = pa.array(scores[start : start + _ROWS], pa.float32())
        yield table(columns, len(rows))
    if faceless := split.faceless:
        yield table(
            {
                "sample_id": pa.nulls(len(faceless), pa.string()),
                "video_id": pa.array([row["video_id"] for row in faceless], pa.string()),
                "label": pa.array([row["label"] for row in faceless], pa.int8()),
                "score": pa.array([FACELESS_SCORE] * len(faceless), pa.float32()),
            },
            len(faceless),
        )


def write_predictions(folder: Path, split: Split, scores: np.ndarray, run_id: str, checkpoint: str) -> Path:
    """Write ``folder/NAME@HASH12.parquet`` (schema PREDICTIONS) and return it; rank 0 only.

    Predictions of the run's other checkpoints on this split stay in the file, those of the same checkpoint are
    replaced. The file is complete or absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{label(split)}.parquet"
    temporary = folder / f".{path.name}.tmp"
    with pq.ParquetWriter(temporary, PREDICTIONS, compression="zstd") as writer:
        if path.exists():
            for group in pq.ParquetFile(path).iter_batches(_ROWS):
                kept = group.filter(pc.not_equal(group["checkpoint"], checkpoint))
                if len(kept):
                    writer.write_table(pa.Table.from_batches([kept]).cast(PREDICTIONS))
        for table in prediction_batches(split, scores, run_id, checkpoint):
            writer.write_table(table)
    temporary.replace(path)
    return path
