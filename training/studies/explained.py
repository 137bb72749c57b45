"""Research questions 3 and 4 of a study: heat maps of detectors made from one another, and neurons that sets share.

Both look at the original and the unseen test sets of each detector, with the runs of the first seed. What was computed
is kept with the weights and faces it was computed from, and is not computed again.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards.split import Split
from training.checkpoint import find_checkpoint, weights_sha256
from training.explain import figures, heatmaps, neurons
from training.explain.load import drawn, load_run
from training.studies.config import Study
from training.studies.pins import Pin
from training.studies.plan import Run
from training.studies.tables import Table

_FORMAT = 1  # of neurons' effects; raised when the same detector and faces would give other numbers
Say = Callable[[str], None]
HeatTables = dict[str, dict[str, pa.Table]]  # panel -> test set -> table of heatmaps.congenetic


def _sets(study: Study, run: Run) -> dict[str, str]:
    """Name in the tables -> split, of the sets that are explained; the original one under its training set's name."""
    return {run.training_set: run.tests["original"], **study.unseen}


def _trained(study: Study, runs: list[Run], store: Path) -> list[Run]:
    """The runs of the first seed that have weights, finished ones alone."""
    chosen = [run for run in runs if run.config is not None and run.seed == study.seeds[0]]
    return [run for run in chosen if _is_finished(store / "runs" / run.id)]


def _is_finished(folder: Path) -> bool:
    record = folder / "run.json"
    return record.is_file() and json.loads(record.read_text(encoding="utf-8"))["status"] == "finished"


def congenetic_groups(study: Study, runs: list[Run], store: Path) -> dict[str, list[Run]]:
    """Panel -> the runs of one detector on one training set, base first, of which there are two or more."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in _trained(study, runs, store):
        groups[f"{run.family} on {run.training_set}"].append(run)
    return {panel: members for panel, members in groups.items() if len(members) > 1}


def heat_tables(study: Study, runs: list[Run], pins: dict[str, Pin], store: Path, folder: Path, say: Say) -> HeatTables:
    """RQ3: the similarity of the heat maps of congenetic detectors, on every set; empty where no two are trained."""
    found: HeatTables = {}
    for panel, members in congenetic_groups(study, runs, store).items():
        found[panel] = {}
        for name, split in _sets(study, members[0]).items():
            found[panel][name] = heatmaps.congenetic(
                store, {run.mode: run.id for run in members}, Split.open(pins[split].path),
                folder / "heatmaps" / members[0].id, images=study.heatmaps.images, guided=study.heatmaps.guided,
            )  # fmt: skip
            shares = heatmaps.bands(found[panel][name]["mean"].to_numpy())
            say(f"{panel}, {name}: " + ", ".join(f"{share:.1%} {band}" for band, share in shares.items()))
    return found


def heat_summary(found: HeatTables) -> Table:
    """RQ3 as one table: the shares of the bands, maps without heat, and how much of the heat lies inside the mask."""
    modes = list(dict.fromkeys(
        name.removeprefix("inside_") for tables in found.values() for table in tables.values()
        for name in table.column_names if name.startswith("inside_")
    ))  # fmt: skip
    rows = []
    for panel, tables in found.items():
        for name, table in tables.items():
            bands = heatmaps.bands(table["mean"].to_numpy())
            inside = [_percent(table, f"inside_{mode}") for mode in modes]
            zero = int(pc.sum(table["zero_maps"]).as_py() or 0)
            shares = [f"{share:.1%}" for share in bands.values()]
            rows.append([panel, name, table.num_rows, *shares, zero, *inside, _percent(table, "mask_area")])
    low, high = heatmaps.BANDS
    columns = [
        "Detector",
        "Test set",
        "Fakes",
        f"SSIM below {low}",
        f"{low} to {high}",
        f"above {high}",
        "Maps without heat",
    ]
    columns += [f"Heat inside the mask, {mode}" for mode in modes] + ["Area of the mask"]
    notes = [
        "Two maps without heat have a similarity of 1. Heat that is spread evenly over the face would have as large a "
        "share inside the mask as the mask has of the face's area; empty where there is no mask."
    ]
    return Table("heatmaps", "Similarity of the heat maps of congenetic detectors", columns, rows, notes)


def _percent(table: pa.Table, column: str) -> str | None:
    mean = pc.mean(table[column]).as_py() if column in table.column_names else None
    return None if mean is None else f"{mean:.1%}"


def draw_heatmaps(
    study: Study, runs: list[Run], pins: dict[str, Pin], store: Path, folder: Path, found: HeatTables
) -> list[Path]:
    """Figures 2 and 3: a sheet of heat maps for each group of detectors, and the bands of all."""
    guided = study.heatmaps.guided
    files = [figures.similarities(folder / "figure3.png", found)]
    for members in congenetic_groups(study, runs, store).values():
        models = {run.mode: load_run(store, run.id)[0] for run in members}
        rows = []
        for split in _sets(study, members[0]).values():
            opened = Split.open(pins[split].path)
            rows += heatmaps.examples(models, opened, drawn(opened, study.heatmaps.examples, fakes=True), guided=guided)
        family, training_set = members[0].family, members[0].training_set
        files.append(figures.sheet(folder / f"figure2-{family}-{training_set}.png", rows, f"{family}, {training_set}"))
    return files


def neuron_effects(
    study: Study, runs: list[Run], pins: dict[str, Pin], store: Path, folder: Path, say: Say
) -> dict[str, pa.Table]:
    """RQ4: detector -> the table of neurons.overlaps, for every trained detector that tells its neurons."""
    found = {}
    families = list(study.detectors)
    for run in sorted(_trained(study, runs, store), key=lambda run: (families.index(run.family), run.number)):
        checkpoint = find_checkpoint(run.id, store, selected=True)
        splits = {name: pins[split] for name, split in _sets(study, run).items()}
        what = {
            "format": _FORMAT,
            "run_id": run.id,
            "weights": weights_sha256(checkpoint),
            "images": study.neurons.images,
            "splits": {name: pin.hash for name, pin in splits.items()},
        }
        path = folder / "neurons" / f"{run.id}.parquet"
        effects = _kept(path, what)
        if effects is None:
            model, _ = load_run(store, run.id)
            if not hasattr(model, "after_neurons"):
                continue
            effects = {
                name: neurons.effects(model, Split.open(pin.path), study.neurons.images) for name, pin in splits.items()
            }
            _keep(path, effects, what)
        found[run.detector] = neurons.overlaps(effects, tuple(study.neurons.tops))
        most = found[run.detector].slice(len(found[run.detector]) - 1).to_pylist()[0]
        say(
            f"{run.detector}: {most['neurons']} of the top {most['top']} neurons in all {most['times']} sets, "
            f"{most['expected']:.1f} by chance"
        )
    return found


def _kept(path: Path, what: dict[str, Any]) -> dict[str, np.ndarray] | None:
    if not path.is_file():
        return None
    table = pq.read_table(path)
    if json.loads((table.schema.metadata or {}).get(b"deepshard", b"null")) != what:
        return None
    return {name: table[name].to_numpy() for name in what["splits"]}


def _keep(path: Path, effects: dict[str, np.ndarray], what: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"neuron": pa.array(range(len(next(iter(effects.values())))), pa.int32()), **effects})
    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(table.replace_schema_metadata({"deepshard": json.dumps(what)}), temporary)
    temporary.replace(path)


def neuron_summary(found: dict[str, pa.Table]) -> Table:
    """RQ4 as one table: how many neurons are in the top of so many sets, and how many chance would give."""
    rows = [
        [detector, row["top"], row["times"], row["neurons"], f"{row['expected']:.1f}", row["tied"]]
        for detector, table in found.items()
        for row in table.to_pylist()
    ]
    columns = ["Detector", "Top", "In so many sets", "Neurons", "By chance", "Tied for the last place"]
    return Table("neurons", "Neurons that contribute on several test sets", columns, rows)


def draw_neurons(folder: Path, found: dict[str, pa.Table]) -> list[Path]:
    """Figure 5."""
    return [figures.overlapping(folder / "figure5.png", found)]
