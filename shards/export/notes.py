"""What an export says of itself: a README of what is in it, what is not, and whose it is; the videos without a face.

A form that has no place for something says so here and on the command line, so that nothing is lost unseen.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from shards.export.sides import Side

FACELESS = "faceless.csv"


@dataclass(frozen=True)
class Licence:
    """What the scan of a source told of a dataset. ``redistributable``: whether its owners let anybody pass it on."""

    dataset: str
    licence: str
    redistributable: bool


@dataclass(frozen=True)
class Words:
    """What a form says: ``title``, ``load`` (Markdown, how to read it), ``notes`` (a sentence each: what is not as it
    is in the split), ``head``: before everything else in the README."""

    title: str
    load: str
    notes: Sequence[str]
    head: str = ""


def readme(words: Words, sides: Sequence[Side], licences: Sequence[Licence]) -> bytes:
    """README.md of an export."""
    recipes = {r["hash"]: r["name"] for side in sides for split in side.splits for r in split.recipes}
    lines = [
        f"# {words.title}",
        "",
        "Written by `deepshard export`. Every image has the bytes that the shards hold.",
        "",
    ]
    lines += ["| | split | faces | real | fake | videos without a face |", "|---|---|---|---|---|---|"]
    for side in sides:
        for split in side.splits:
            fake = int(split.labels.sum())
            cells = [side.name, f"{split.name}@{split.hash[:12]}", len(split), len(split) - fake, fake]
            lines.append(f"| {' | '.join(map(_cell, [*cells, len(split.faceless)]))} |")
    told = ", ".join(f"{name} ({digest[:8]})" for digest, name in sorted(recipes.items()))
    lines += ["", f"Recipe: {told}. 0 is real, 1 is fake.", "", "## Load it", "", words.load.strip(), ""]
    lines += ["## What is not here, or not as it was", "", *(f"* {note}" for note in words.notes), ""]
    lines += ["## Whose faces these are", "", *_whose(sides, licences), ""]
    return (words.head + "\n".join(lines)).encode()


def faceless_csv(sides: Sequence[Side]) -> bytes:
    """The videos without a face of every side, which count in an evaluation, by convention with a score of 0.5."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["side", "split", "video_id", "dataset", "method", "label"])
    for side in sides:
        for split in side.splits:
            for video in split.faceless:
                told = [video[name] for name in ("video_id", "dataset", "method", "label")]
                writer.writerow([side.name, f"{split.name}@{split.hash[:12]}", *told])
    return file.getvalue().encode()


def faceless_note(sides: Sequence[Side]) -> list[str]:
    """Of videos in which no face was found."""
    count = sum(len(split.faceless) for side in sides for split in side.splits)
    if not count:
        return []
    return [
        f"{count:,} videos in which no face was found have no file; {FACELESS} lists them. Who leaves them out of a "
        "test reports fewer videos than the split has; deepshard scores them 0.5."
    ]


def extras(sides: Sequence[Side]) -> dict[str, int]:
    """How many faces have a weight other than 1, a role, a stream, a partner; and how many fakes have no mask."""
    counts = dict.fromkeys(("weight", "role", "stream", "partner", "no mask"), 0)
    for split in (split for side in sides for split in side.splits):
        counts["weight"] += int((split.weights != 1).sum())
        for name, column in (("role", "role"), ("stream", "stream"), ("partner", "partner_id")):
            if column in split.table.column_names:
                counts[name] += len(split) - split.table[column].null_count
        counts["no mask"] += int(((split.ranges("mask").offsets[:] < 0) & (split.labels == 1)).sum())
    return counts


def of_columns(sides: Sequence[Side]) -> list[str]:
    """Of a form that keeps all that is known of a face in columns."""
    said = [
        "Identities, boxes, landmarks and measures are those of the curation; the label is the split's, corrections "
        "included.",
        *faceless_note(sides),
    ]
    counts = extras(sides)
    for name in ("weight", "role", "stream"):
        if counts[name]:
            what = "weight other than 1" if name == "weight" else name
            said.append(f"{counts[name]:,} faces have a {what}: it is a column, which no trainer heeds by itself.")
    if counts["partner"]:
        outside = partners_outside(sides)
        said.append(f"{counts['partner']:,} faces have a partner, `partner_id`; {outside:,} of those are not here.")
    if counts["no mask"]:
        said.append(f"{counts['no mask']:,} fakes have no mask: `mask` is null.")
    return said


def partners_outside(sides: Sequence[Side]) -> int:
    """Faces whose partner is not on the same side."""
    count = 0
    for side in sides:
        ids = [split.table["sample_id"] for split in side.splits]
        for split in side.splits:
            wanted = pc.drop_null(split.table["partner_id"])
            inside = np.zeros(len(wanted), bool)
            for there in ids:
                inside |= pc.is_in(wanted, there).to_numpy()
            count += int((~inside).sum())
    return count


def _whose(sides: Sequence[Side], licences: Sequence[Licence]) -> list[str]:
    known = {licence.dataset: licence for licence in licences}
    lines, private = [], []
    for dataset in datasets(sides):
        licence = known.get(dataset)
        lines.append(f"* {dataset}: {licence.licence if licence else 'its licence is not known here'}")
        if licence is None or not licence.redistributable:
            private.append(dataset)
    if private:
        lines += [
            "",
            f"**{', '.join(private)} must not be passed on.** This folder is for this machine and your group:",
        ]
        lines += ["do not upload it, and do not give it to others, in this form or another."]
    return lines


def datasets(sides: Sequence[Side]) -> list[str]:
    """The datasets whose faces are in an export."""
    found = set()
    for split in (split for side in sides for split in side.splits):
        codes, names = split.words("dataset")
        found |= {names[code] for code in np.unique(codes)}
    return sorted(found)


def _cell(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else value
