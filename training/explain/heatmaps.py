"""Research question 3: do detectors that were made from one another look at the same places of a fake?

Li et al., How generalizable are deepfake image detectors, section 4.3: heat maps of congenetic detectors (one trained,
the others fine-tuned from it) on the same 1,000 fakes, coloured by OpenCV, and their structural similarity (Wang et al.
2004). Beyond the paper: maps without any heat, which are all alike, are counted, and the share of the heat inside the
manipulation mask is measured (Wang et al. 2020, Score-CAM, section 4.3, with the mask for the box).
"""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from skimage.metrics import structural_similarity
from torch import nn

from shards.image import decode_image
from shards.split import Split
from training.checkpoint import find_checkpoint, weights_sha256
from training.explain.gradcam import heat
from training.explain.load import batches, drawn, load_run
from training.inputs import model_inputs
from training.splits import label

BANDS = (0.7, 0.9)  # section 4.3: below the first dissimilar, above the second similar, between them little similar
FORMAT = 1  # of the tables; raised when the same detectors and faces would give other numbers
_BATCH = 32  # faces of which maps are held at a time


@dataclass(frozen=True)
class Example:
    """A fake with the maps of several detectors: what figures.sheet draws. Pixels are uint8 [H, W, 3], RGB."""

    sample_id: str
    method: str
    face: np.ndarray
    landmarks: np.ndarray | None  # float32 [K, 2], x right and y down in pixels of the face
    maps: dict[str, np.ndarray]  # coloured, by detector


def levels(heats: np.ndarray) -> np.ndarray:
    """Heat float [B, H, W] as uint8, each map stretched from 0 (its least) to 255 (its most); a flat map is all 0."""
    least, most = heats.min((1, 2), keepdims=True), heats.max((1, 2), keepdims=True)
    span = np.where(most > least, most - least, 1)
    return ((heats - least) / span * 255).astype(np.uint8)


def coloured(maps: np.ndarray) -> np.ndarray:
    """Levels uint8 [B, H, W] in OpenCV's JET, blue for 0 and red for 255: uint8 [B, H, W, 3], RGB."""
    return np.stack([cv2.applyColorMap(each, cv2.COLORMAP_JET)[..., ::-1] for each in maps])


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Structural similarity of two coloured maps uint8 [H, W, 3]: the mean over the three colours, scikit-image's 7x7
    windows. In float32, which takes half the time and differs by less than 1e-5."""
    pair = (one.astype(np.float32), other.astype(np.float32))
    return float(structural_similarity(*pair, channel_axis=2, data_range=255))


def bands(values: np.ndarray) -> dict[str, float]:
    """The shares of similarities below 0.7, from 0.7 to 0.9, and above 0.9: what a histogram of the paper shows."""
    values = np.asarray(values, np.float64)
    low, high = float((values < BANDS[0]).mean()), float((values > BANDS[1]).mean())
    return {"dissimilar": low, "between": 1 - low - high, "similar": high}


def congenetic(
    store: str | Path,
    runs: Mapping[str, str],
    split: Split,
    out: str | Path,
    *,
    images: int = 1000,
    guided: bool = False,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Compare the heat maps of some runs on the fakes of `split`, one row for each of at most `images` of them.

    `runs`: label -> run, as `load_run` takes it; usually three, ``original``, ``transfer``, ``merge``. Labels name the
    columns, so use the same for every detector. The columns:

    split, split_hash, sample_id, video_id, method   of the fake
    ssim_A_B              similarity of the maps of A and B, for every pair of labels in order
    mean                  of these; null for one run alone
    zero_maps             of how many runs the map has no heat anywhere (two of them have a similarity of 1)
    inside_A              share of A's heat inside the mask, 0 to 1; null without a mask, and where there is no heat
    mask_area             share of the face inside the mask: that of heat spread evenly; null without a mask

    The table is written to ``out/NAME@HASH12[-guided].parquet``; where that file is of the same checkpoints, faces and
    settings it is read instead. Raises TrainingError for a run or a split that cannot be explained.
    """
    checkpoints = {name: find_checkpoint(str(run), Path(store), selected=True) for name, run in runs.items()}
    what = {
        "format": FORMAT,
        "runs": {
            name: {"run": str(runs[name]), "checkpoint": path.name, "sha256": weights_sha256(path)}
            for name, path in checkpoints.items()
        },
        "split": split.name,
        "split_hash": split.hash,
        "images": images,
        "guided": guided,
    }
    path = Path(out) / f"{label(split)}{'-guided' if guided else ''}.parquet"
    if (known := _read(path, what)) is not None:
        return known
    models = {name: load_run(store, str(path), device)[0] for name, path in checkpoints.items()}
    table = compare(models, split, drawn(split, images, fakes=True), guided=guided, progress=progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    table = table.replace_schema_metadata({"deepshard": json.dumps(what)})
    pq.write_table(table, temporary)
    temporary.replace(path)
    return table


def compare(
    models: Mapping[str, nn.Module],
    split: Split,
    rows: np.ndarray,
    *,
    guided: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """The table of `congenetic`, of loaded detectors and given rows of the split."""
    pairs = list(combinations(models, 2))
    found: list[dict[str, Any]] = []
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for batch in batches(split, list(models.values()), rows, _BATCH):
            chosen = batch["index"].numpy()
            heats = {name: _heat(model, batch, guided) for name, model in models.items()}
            graded = {name: levels(heats[name]) for name in models}
            maps = {name: coloured(graded[name]) for name in models}
            scored = {f"ssim_{one}_{other}": list(pool.map(similarity, maps[one], maps[other])) for one, other in pairs}
            for i, row in enumerate(split.rows(chosen)):
                ssims = {name: values[i] for name, values in scored.items()}
                found.append(
                    {name: row[name] for name in ("sample_id", "video_id", "method")}
                    | ssims
                    | {
                        "mean": float(np.mean(list(ssims.values()))) if ssims else None,
                        "zero_maps": sum(not graded[name][i].any() for name in models),
                    }
                    | _inside({name: heats[name][i] for name in models}, _mask(split, int(chosen[i])))
                )
            if progress is not None:
                progress(len(found), len(rows))
    columns = {"split": [split.name] * len(found), "split_hash": [split.hash] * len(found)}
    schema = _schema(models, pairs)
    return pa.table(columns | {name: [row[name] for row in found] for name in schema.names[2:]}, schema=schema)


def examples(models: Mapping[str, nn.Module], split: Split, rows: np.ndarray, *, guided: bool = False) -> list[Example]:
    """The faces of `rows` with the coloured map of every detector, for figures.sheet; rows as `drawn` gives them."""
    found = []
    pointed = split.dataset(members=("landmarks",)) if _have_landmarks(split, rows) else None
    for batch in batches(split, list(models.values()), rows, _BATCH):
        chosen = batch["index"].numpy()
        maps = {name: coloured(levels(_heat(model, batch, guided))) for name, model in models.items()}
        points = None if pointed is None else pointed.__getitems__(chosen)["landmarks"].numpy()
        for i, row in enumerate(split.rows(chosen)):
            face = np.ascontiguousarray(batch["image"][i].permute(1, 2, 0).numpy())
            of_face = {name: maps[name][i] for name in models}
            landmarks = None if points is None else points[i]
            found.append(Example(row["sample_id"], row["method"], face, landmarks, of_face))
    return found


def _heat(model: nn.Module, batch: dict[str, Any], guided: bool) -> np.ndarray:
    """Heat float32 [B, H, W] of a batch of the loader; always in float32, whatever the detector was trained in."""
    inputs = model_inputs(batch, model, next(model.parameters()).device, channels_last=True)
    return heat(model, inputs, tuple(batch["image"].shape[-2:]), guided).cpu().numpy()


def _mask(split: Split, row: int) -> np.ndarray | None:
    """The mask of a row, bool [H, W], or None: not every dataset has them."""
    if split.ranges("mask").offsets[row] < 0:
        return None
    return decode_image(split.read(row, "mask"))[..., 0] >= 128


def _inside(heats: dict[str, np.ndarray], mask: np.ndarray | None) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, each in heats.items():
        total = float(each.sum(dtype=np.float64))
        known = mask is not None and total > 0
        found[f"inside_{name}"] = float(each[mask].sum(dtype=np.float64)) / total if known else None
    return found | {"mask_area": None if mask is None else float(mask.mean())}


def _schema(models: Mapping[str, nn.Module], pairs: list[tuple[str, str]]) -> pa.Schema:
    words = [pa.field(name, pa.string()) for name in ("split", "split_hash", "sample_id", "video_id", "method")]
    numbers = [f"ssim_{one}_{other}" for one, other in pairs] + ["mean"]
    shares = [*(f"inside_{name}" for name in models), "mask_area"]
    return pa.schema(
        [
            *words,
            *(pa.field(name, pa.float64()) for name in numbers),
            pa.field("zero_maps", pa.int8()),
            *(pa.field(name, pa.float64()) for name in shares),
        ]
    )


def _read(path: Path, what: dict[str, Any]) -> pa.Table | None:
    """The table that was written of the same, or None."""
    if not path.exists():
        return None
    table = pq.read_table(path)
    return table if json.loads((table.schema.metadata or {}).get(b"deepshard", b"null")) == what else None


def _have_landmarks(split: Split, rows: np.ndarray) -> bool:
    return all(json.loads(split.read(int(row), "json")).get("landmarks") for row in rows)
