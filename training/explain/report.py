"""What `deepshard explain` leaves in a folder: tables, pictures of them, and the lines that are printed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from shards.split import Split
from training.errors import TrainingError
from training.explain import figures, heatmaps, neurons
from training.explain.load import drawn, load_run
from training.splits import label

Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class Likeness:
    """The heat maps of some runs on one split, summed up."""

    split: str  # name@hash12
    fakes: int
    mean: float | None  # mean similarity; null for one run alone
    bands: dict[str, float]  # shares of the fakes, see heatmaps.bands; empty for one run alone
    without_heat: int  # fakes on which two or more maps have no heat, which makes them alike
    inside: dict[str, float | None]  # run -> mean share of heat inside the mask; null without masks
    mask_area: float | None  # mean share of the face inside the mask


def explain_heatmaps(
    store: Path,
    runs: Sequence[str],
    splits: Sequence[Split],
    out: Path,
    images: int = 1000,
    guided: bool = False,
    shown: int = 4,
    progress: Progress = None,
) -> list[Likeness]:
    """Compare the heat maps of `runs` on the fakes of each split; writes into `out`

    NAME@HASH12.parquet   see heatmaps.congenetic
    NAME@HASH12.png       `shown` fakes with every run's map
    similarities.png      with two runs or more: the shares of similarities, split by split

    Raises TrainingError for what cannot be explained, and for a run or a split that is named twice.
    """
    _check_different("run", runs)
    _check_different("split", [label(split) for split in splits])
    models = {run: load_run(store, run)[0] for run in runs}
    tables = {}
    for split in splits:
        table = heatmaps.congenetic(
            store, {run: run for run in runs}, split, out, images=images, guided=guided, progress=progress
        )
        tables[label(split)] = table
        rows = drawn(split, shown, fakes=True)
        name = f"{label(split)}{'-guided' if guided else ''}.png"
        figures.sheet(out / name, heatmaps.examples(models, split, rows, guided=guided))
    if len(runs) > 1:
        by_split = {name.partition("@")[0]: table for name, table in tables.items()}
        figures.similarities(out / "similarities.png", {" / ".join(runs): by_split}, columns=1)
    return [_likeness(name, table, runs) for name, table in tables.items()]


def _check_different(what: str, names: Sequence[str]) -> None:
    """Nothing is compared with itself: raises TrainingError for a name that is given twice."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TrainingError(f"{what} {', '.join(twice)} is given more than once: name each {what} once")


def _likeness(name: str, table: pa.Table, runs: Sequence[str]) -> Likeness:
    several = len(runs) > 1
    return Likeness(
        split=name,
        fakes=table.num_rows,
        mean=pc.mean(table["mean"]).as_py(),
        bands=heatmaps.bands(table["mean"].to_numpy()) if several else {},
        without_heat=int((table["zero_maps"].to_numpy() >= 2).sum()),
        inside={run: pc.mean(table[f"inside_{run}"]).as_py() for run in runs},
        mask_area=pc.mean(table["mask_area"]).as_py(),
    )


def explain_neurons(
    store: Path, run: str, splits: Sequence[Split], out: Path, images: int = neurons.IMAGES, progress: Progress = None
) -> pa.Table:
    """Measure the effect of every neuron of `run` on each split; returns neurons.overlaps and writes into `out`

    effects.parquet    neuron int32, and its effect on each split, a column NAME@HASH12 double each
    overlaps.csv       what is returned
    overlaps.png       the same, drawn
    """
    _check_different("split", [label(split) for split in splits])
    model = load_run(store, run)[0]
    found = {label(split): neurons.effects(model, split, images, progress=progress) for split in splits}
    count = len(next(iter(found.values())))
    tops = tuple(top for top in neurons.TOPS if top < count) or (max(count // 2, 1),)
    table = neurons.overlaps(found, tops)
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"neuron": np.arange(count, dtype=np.int32), **found}), out / "effects.parquet")
    pa.csv.write_csv(table, out / "overlaps.csv")
    figures.overlapping(out / "overlaps.png", {run: table}, columns=1)
    return table
