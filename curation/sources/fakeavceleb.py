"""FakeAVCeleb v1.2: one real clip each of 500 people, and fakes of picture, voice or both, as ``meta_data.csv`` lists.

The label is of the picture: ``RealVideo-FakeAudio`` is visually real. The list's header ends with a comma, so its
column ``path`` holds the file and the unnamed last one the folder. A few files have two rows that name two methods; the
first is taken and a warning names them. Counts are of Khalid et al. 2021, table 2. That a fake's footage is that of the
person in whose folder it lies, whose clip begins its name, is how the archive is laid out and not documented
*(unchecked)*; who is seen in a swap is therefore left open, and who gave the face or voice is the list's ``target1``.
"""

import re
from dataclasses import dataclass
from typing import Any

from curation.sources.error import SourceError, few
from curation.sources.listing import (
    below,
    find_file,
    make_video,
    no_layout,
    of_fake,
    of_real,
    read_rows,
    wrong_list,
)
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import Entry, find_folder, open_root, spell
from curation.sources.video import Video, identify

NAME = "fakeavceleb"
DATASET = "fakeavceleb"
LICENCE = "FakeAVCeleb request form, https://github.com/DASH-Lab/FakeAVCeleb: research only, no redistribution"
LIST = "meta_data.csv"
HEADER = ("source", "target1", "target2", "method", "category", "type", "race", "gender", "path", "")

TYPES = {  # folder: published number of clips, 21,544 in all
    "RealVideo-RealAudio": 500,
    "RealVideo-FakeAudio": 500,
    "FakeVideo-RealAudio": 9_709,
    "FakeVideo-FakeAudio": 10_835,
}
REAL = "RealVideo-RealAudio"
CATEGORIES = {  # the list's method: category of what was done to the picture
    "faceswap": "swap",
    "fsgan": "swap",
    "wav2lip": "reenactment",
    "faceswap-wav2lip": "mixed",
    "fsgan-wav2lip": "mixed",
}

_PERSON = re.compile(r"id\d+", re.ASCII)


@dataclass(frozen=True)
class Listed:
    """One clip of the list. ``path`` is ``<type>/<race>/<gender>/<id>/<file>``, without the leading FakeAVCeleb/."""

    path: str
    kind: str
    method: str
    person: str
    other: str | None


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like FakeAVCeleb (0 to 1), and why."""
    found = [folder for folder in TYPES if find_folder(place_of(root), "", folder)]
    return (1.0, f"it holds {few(found)}") if found else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read a FakeAVCeleb tree: four folders named after what is real, and ``meta_data.csv``.

    Raises LayoutError for another tree, SourceError where the list is missing or is not one.
    """
    root = open_root(root, NAME)
    folders = {kind: path for kind in TYPES if (path := find_folder(root, "", kind))}
    if not folders:
        raise no_layout("FakeAVCeleb", root, f"<type>/<race>/<gender>/<id>/*.mp4 and {LIST} (type: {few(TYPES)})")
    file = find_file(root, LIST)
    if file is None:
        raise SourceError(f"{root} has no {LIST}, which alone tells methods and people: put it there.")
    listed, doubtful = _read_list(file)
    there = {f"{kind}/{at}": entry for kind, path in folders.items() for at, entry in below(root, path, 3).items()}
    found = {path: entry for path, entry in there.items() if path in listed and entry.kind == "file"}
    unknown = sorted({said.method for said in listed.values() if said.kind.startswith("Fake")} - set(CATEGORIES))
    warnings = [f"no folder {kind}" for kind in TYPES if kind not in folders]
    if len(listed) != sum(TYPES.values()):
        warnings.append(f"{LIST} lists {len(listed):,} videos, published are {sum(TYPES.values()):,}")
    if doubtful:
        warnings.append(f"{len(doubtful)} files have two rows in {LIST}, the first is taken: {few(doubtful)}")
    if unknown:
        warnings.append(f"methods that the paper does not name, of category unknown: {few(unknown)}")
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=[_video(said, found[path], listed, name) for path, said in listed.items() if path in found],
        rows=[row for kind in TYPES for row in _rows(kind, listed, found, there)],
        notes=["the label is of the picture: RealVideo-FakeAudio is real here"],
        warnings=warnings,
    )


def _read_list(file: Place) -> tuple[dict[str, Listed], list[str]]:
    """The clips by path, and the paths of files with two rows that differ."""
    (_, header), *rows = read_rows(file) or [(0, [])]
    if tuple(header) != HEADER:
        raise wrong_list(file, f"its first line is {','.join(header)[:200]!r} and not {','.join(HEADER)!r}")
    listed: dict[str, Listed] = {}
    doubtful = []
    for line, cells in rows:
        said = dict(zip((*HEADER[:-1], "folder"), cells, strict=False))
        kind = said.get("type", "")
        folder = said.get("folder", "").strip("/").removeprefix("FakeAVCeleb/")
        parts = folder.split("/")
        if len(cells) != len(HEADER) or parts[0] != kind or kind not in TYPES or len(parts) != 4:
            raise wrong_list(file, f"{','.join(cells)[:200]!r} is no clip of {few(TYPES)}", line)
        path = spell(f"{folder}/{said['path']}")
        other = said["target1"] if _PERSON.fullmatch(said["target1"]) else None
        new = Listed(path, kind, said["method"], said["source"], other)
        if listed.setdefault(path, new) != new:
            doubtful.append(path)
    return listed, doubtful


def _video(said: Listed, clip: Entry, listed: dict[str, Listed], source: str) -> Video:
    return make_video(
        DATASET, _method(said), _name(said.path), clip, source, raw_label=said.kind, **_describe(said, listed)
    )


def _method(said: Listed) -> str:
    return "original" if said.kind == REAL else said.method


def _name(path: str) -> str:
    """The path without extension, type included: a person's clips have the same names in several types."""
    return path.removesuffix(".mp4")


def _describe(said: Listed, listed: dict[str, Listed]) -> dict[str, Any]:
    person = f"{DATASET}:{said.person}"
    if said.kind.startswith("Real"):
        return of_real(person)
    other = f"{DATASET}:{said.other}" if said.other else None
    category = CATEGORIES.get(said.method, "unknown")
    folder, _, file = said.path.partition("/")[2].rpartition("/")
    real = f"{REAL}/{folder}/{file.removesuffix('.mp4').split('_')[0]}.mp4"
    original = identify(DATASET, "original", "native", _name(real)) if real in listed else None
    fields = {**of_fake(category, person, other), "original_video": original}
    return {**fields, "visible_id": None} if category == "swap" else fields


def _rows(
    kind: str, listed: dict[str, Listed], found: dict[str, Entry], there: dict[str, Entry]
) -> list[CompletenessRow]:
    """A row for each method of a type, as the list has it, and one for what a list that is too short lacks."""
    own = [said for said in listed.values() if said.kind == kind]
    rows = []
    for method in sorted({_method(said) for said in own}):
        names = {said.path for said in own if _method(said) == method}
        missing = sorted(names - set(found))
        counts = len(names), len(names) - len(missing)
        rows.append(CompletenessRow(DATASET, method, "native", *counts, missing, part=kind))
    odd = sorted(path for path in there if path.startswith(f"{kind}/") and path not in found)
    short = max(0, TYPES[kind] - len(own))
    if short or odd:
        rows.append(CompletenessRow(DATASET, "unlisted", "native", short, 0, unexpected=odd, part=kind))
    return rows
